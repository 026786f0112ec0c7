# SPDX-License-Identifier: Apache-2.0
"""What a benchmark ran on, and on what it was asked."""

from __future__ import annotations

import argparse
import datetime as dt
import importlib
import json
import os
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def processor() -> str:
    """Name of the processor."""
    for line in Path('/proc/cpuinfo').read_text(encoding='utf-8').splitlines():
        if line.startswith('model name'):
            return line.partition(':')[2].strip()
    return platform.processor() or platform.machine()


def provenance() -> dict[str, Any]:
    """Date, machine and load, for the head of a result."""
    return {
        'date': dt.datetime.now(dt.timezone.utc).isoformat(timespec='seconds'),
        'machine': f'{platform.machine()}, {os.cpu_count()} cores, {processor()}',
        'python': platform.python_version(),
        'load_before': round(os.getloadavg()[0], 2),
    }


def collect(modules: Mapping[str, str], parts: Sequence[str], *, quick: bool) -> dict[str, Any]:
    """Rows of all parts; a part that fails leaves the others standing.

    Args:
        modules: name of the module by part; each has ``rows(quick=...)``.
        parts: those that are asked for.
        quick: few and short runs.
    """
    rows: list[dict[str, Any]] = []
    missing: list[str] = []
    head = provenance()
    for part in parts:
        start = time.monotonic()
        print(f'{part} ...', file=sys.stderr, flush=True)
        try:
            found = importlib.import_module(modules[part]).rows(quick=quick)
        except (ImportError, OSError, ValueError, RuntimeError) as error:
            missing.append(f'{part}: {type(error).__name__}: {error}')
            continue
        rows += [{'part': part, **row} for row in found]
        print(f'{part}: {time.monotonic() - start:.0f} s', file=sys.stderr, flush=True)
    return {**head, 'missing': missing, 'rows': rows}


def arguments(description: str | None, parts: Sequence[str]) -> argparse.Namespace:
    """``--only``, ``--quick`` and ``--json`` of a benchmark of several parts."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the figures to FILE')
    parser.add_argument('--quick', action='store_true', help='fewer and shorter runs, no bars')
    parser.add_argument(
        '--only', action='append', choices=tuple(parts), help='this part; may be repeated'
    )
    return parser.parse_args()


def hand_out(result: Mapping[str, Any], path: Path | None) -> None:
    """Write a result to a file, or to standard output without one."""
    text = json.dumps(result, indent=2)
    if path is None:
        print(text)
    else:
        path.write_text(text + '\n', encoding='utf-8')
        print(f'written: {path}')
