#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Sets up everything needed to run, change and test the project; run it again after a pull.
#
# On a machine with a sourced ROS 2 it builds there with colcon. Else it makes .venv with the ROS 2
# wheels of requirements.txt and builds into that. PYTHON=/path/to/python chooses the Python.
set -euo pipefail
cd "$(dirname "$0")/.."

usable() {
    "$1" -I -S -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 15))' 2> /dev/null
}

if [ -z "${PYTHON:-}" ]; then
    for candidate in python3 python3.11 python3.12 python3.13 python3.10 python3.14; do
        # A virtual environment's own Python cannot make a new one when that is broken.
        found=$(PATH="${PATH//"$PWD/.venv/bin:"/}" command -v "$candidate") || continue
        if usable "$found"; then PYTHON=$found && break; fi
    done
fi
if [ -z "${PYTHON:-}" ] || ! usable "$PYTHON"; then
    echo "setup: no Python 3.10 to 3.14 found${PYTHON:+ in PYTHON=$PYTHON}" >&2
    echo '  install one, for example: sudo apt install python3 python3-venv python3-dev' >&2
    echo '  or name one: PYTHON=/path/to/python3.11 scripts/setup-dev.sh' >&2
    exit 1
fi
exec "$PYTHON" -I -S scripts/setup_dev.py "$@"
