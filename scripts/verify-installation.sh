#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Shows that the installation works: versions, imports, entry points, a message over DDS.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/environment.sh
command -v meta-repo > /dev/null || {
    echo 'FAIL  command: meta-repo is not installed; run scripts/setup-dev.sh' >&2
    exit 1
}
exec meta-repo verify "$@"
