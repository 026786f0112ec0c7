#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Pins what requirements.in and requirements-dev.in ask for, with hashes, in requirements.txt.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v uv > /dev/null || { echo 'lock: install uv first (pip install uv)' >&2; exit 1; }
uv pip compile --universal --python-version 3.10 --generate-hashes --no-annotate \
    --custom-compile-command scripts/lock.sh "$@" requirements-dev.in -o requirements.txt
