#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Sets up what is missing and runs the demonstration; takes the arguments of `meta-repo demo`.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup-dev.sh
. scripts/environment.sh
exec meta-repo demo "$@"
