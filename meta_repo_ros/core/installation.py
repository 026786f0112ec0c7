# SPDX-License-Identifier: Apache-2.0
"""Where the files lie that the package ships: parameter files, scenarios, launch files."""

from __future__ import annotations

import os
import sys
from pathlib import Path

PACKAGE = 'meta_repo_ros'


def share_directory() -> Path:
    """The directory that holds ``config`` and ``launch``.

    The checkout, where the package is run from one; else ``share/meta_repo_ros`` of the first
    prefix that has it (``AMENT_PREFIX_PATH``, then Python's own).

    Raises:
        FileNotFoundError: in none of these places.
    """
    checkout = Path(__file__).resolve().parents[2]
    prefixes = filter(None, os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep))
    installed = [Path(prefix) / 'share' / PACKAGE for prefix in (*prefixes, sys.prefix)]
    candidates = ([checkout] if (checkout / 'package.xml').is_file() else []) + installed
    for candidate in candidates:
        if (candidate / 'config').is_dir():
            return candidate
    places = ', '.join(map(str, candidates))
    raise FileNotFoundError(f'{PACKAGE} is not installed completely: no config in {places}')


def config_directory() -> Path:
    """The directory of the shipped parameter files.

    Raises:
        FileNotFoundError: as :func:`share_directory`.
    """
    return share_directory() / 'config'
