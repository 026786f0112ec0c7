# SPDX-License-Identifier: Apache-2.0
# Sourced by the other scripts: enters what setup-dev.sh made.
if [ ! -x .venv/bin/python ]; then
    echo 'not set up yet: run scripts/setup-dev.sh first' >&2
    exit 1
fi
if [ -n "${ROS_DISTRO:-}" ] && [ -f install/setup.bash ]; then
    set +u
    . install/setup.bash
    set -u
fi
VIRTUAL_ENV="$PWD/.venv"
PATH="$VIRTUAL_ENV/bin:$PATH"
# The source folder meta_repo_ros has no generated messages: it must not hide the installed package.
PYTHONSAFEPATH=1
export VIRTUAL_ENV PATH PYTHONSAFEPATH
