# SPDX-License-Identifier: Apache-2.0
"""Figures of star navigation: ``python -m benchmarks.starnav``.

Peers (cedar-solve, tetra3rs, sep) need other versions of libraries than ours: they run in the
Python that ``META_REPO_PEERS`` names, on the same fields and images in the same run, and are left
out, with a word, where it names none.
"""

from __future__ import annotations

import argparse
import datetime as dt
import importlib
import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

PARTS = {
    'identification': 'benchmarks.starnav_fields',
    'detection': 'benchmarks.starnav_detection',
    'attitude': 'benchmarks.starnav_flight',
    'position': 'benchmarks.starnav_position',
    'camera': 'benchmarks.starnav_camera',
    'live': 'benchmarks.starnav_live',
}


def collect(parts: list[str], *, quick: bool) -> dict[str, Any]:
    """All rows with what they were made from; a part that fails leaves the others standing."""
    rows: list[dict[str, Any]] = []
    missing: list[str] = []
    for part in parts:
        start = time.monotonic()
        print(f'{part} ...', file=sys.stderr, flush=True)
        try:
            found = importlib.import_module(PARTS[part]).rows(quick=quick)
        except (ImportError, OSError, ValueError, RuntimeError) as error:
            missing.append(f'{part}: {type(error).__name__}: {error}')
            continue
        rows += [{'part': part, **row} for row in found]
        print(f'{part}: {time.monotonic() - start:.0f} s', file=sys.stderr, flush=True)
    return {
        'date': dt.datetime.now(dt.timezone.utc).isoformat(timespec='seconds'),
        'machine': f'{platform.machine()}, {os.cpu_count()} cores, {_processor_name()}',
        'python': platform.python_version(),
        'load_before': round(os.getloadavg()[0], 2),
        'peers': os.environ.get('META_REPO_PEERS', 'not installed'),
        'missing': missing,
        'rows': rows,
    }


def _processor_name() -> str:
    for line in Path('/proc/cpuinfo').read_text(encoding='utf-8').splitlines():
        if line.startswith('model name'):
            return line.partition(':')[2].strip()
    return platform.processor()


def main() -> None:
    """Print the figures, or write them to a file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the figures to FILE')
    parser.add_argument('--quick', action='store_true', help='fewer and shorter runs, no bars')
    parser.add_argument(
        '--only', action='append', choices=tuple(PARTS), help='this part; may be repeated'
    )
    arguments = parser.parse_args()
    result = collect(arguments.only or list(PARTS), quick=arguments.quick)
    text = json.dumps(result, indent=2)
    if arguments.json:
        arguments.json.write_text(text + '\n', encoding='utf-8')
        print(f'written: {arguments.json}')
    else:
        print(text)
    sys.exit(1 if result['missing'] else 0)


if __name__ == '__main__':
    main()
