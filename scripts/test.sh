#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Sets up what is missing, checks style and types, runs the tests; takes the arguments of pytest.
set -uo pipefail
cd "$(dirname "$0")/.."
scripts/setup-dev.sh || exit
. scripts/environment.sh
export META_REPO_DATA="${META_REPO_DATA:-$PWD/../shared/data}"

failed=()
check() {
    echo "test: $*"
    "$@" || failed+=("$*")
}
check ruff check
check ruff format --check
check mypy
check_failures=${#failed[@]}
if [ "$check_failures" -gt 0 ]; then
    printf 'test: FAILED: %s\n' "${failed[@]}"
fi
echo 'test: pytest'
python -m pytest "$@"
status=$?
if [ "$check_failures" -gt 0 ] && [ "$status" -eq 0 ]; then
    status=1
fi
exit "$status"
