# SPDX-License-Identifier: Apache-2.0
"""Figures of star navigation: ``python -m benchmarks.starnav``.

Peers (cedar-solve, tetra3rs, sep) need other versions of libraries than ours: they run in the
Python that ``META_REPO_PEERS`` names, on the same fields and images in the same run, and are left
out, with a word, where it names none.
"""

from __future__ import annotations

import os
import sys

from benchmarks import machine

PARTS = {
    'identification': 'benchmarks.starnav_fields',
    'detection': 'benchmarks.starnav_detection',
    'attitude': 'benchmarks.starnav_flight',
    'position': 'benchmarks.starnav_position',
    'camera': 'benchmarks.starnav_camera',
    'live': 'benchmarks.starnav_live',
}


def main() -> None:
    """Print the figures, or write them to a file."""
    asked = machine.arguments(__doc__, tuple(PARTS))
    result = {
        **machine.collect(PARTS, asked.only or list(PARTS), quick=asked.quick),
        'peers': os.environ.get('META_REPO_PEERS', 'not installed'),
    }
    machine.hand_out(result, asked.json)
    sys.exit(1 if result['missing'] else 0)


if __name__ == '__main__':
    main()
