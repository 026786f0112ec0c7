#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Checks parameter files against the declared parameters; takes the arguments of the command.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/environment.sh
exec meta-repo validate-config "$@"
