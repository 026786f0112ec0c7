#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Sets up what is missing, checks style and types, runs the tests; takes the arguments of pytest.
set -uo pipefail
cd "$(dirname "$0")/.."
scripts/setup-dev.sh || exit
. scripts/environment.sh
export META_REPO_DATA="${META_REPO_DATA:-$PWD/../shared/data}"

failed=0
for check in 'ruff check' 'ruff format --check' mypy; do
    echo "test: $check"
    $check || { echo "test: $check: FAILED" && failed=1; }
done
echo 'test: pytest'
python -m pytest "$@" || failed=$?
exit "$failed"
