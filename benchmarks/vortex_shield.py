# SPDX-License-Identifier: Apache-2.0
"""Figures of Vortex Shield: ``python -m benchmarks.vortex_shield``.

Everything here is simulated: no public recording of a vortex ring state with these sensors is
known. Flights are of seeds and vehicles that nothing was calibrated on.
"""

from __future__ import annotations

import sys

from benchmarks import machine

PARTS = {
    'rotor': 'benchmarks.vortex_rotor',
    'generator': 'benchmarks.vortex_generator',
    'processing': 'benchmarks.vortex_processing',
    'detection': 'benchmarks.vortex_detection',
    'false_alarms': 'benchmarks.vortex_false_alarms',
    'faults': 'benchmarks.vortex_faults',
    'recovery': 'benchmarks.vortex_recovery',
    'live': 'benchmarks.vortex_live',
}


def main() -> None:
    """Print the figures, or write them to a file; 1 where a part failed or a bar is missed."""
    asked = machine.arguments(__doc__, tuple(PARTS))
    result = machine.collect(PARTS, asked.only or list(PARTS), quick=asked.quick)
    machine.hand_out(result, asked.json)
    missed = [row for row in result['rows'] if row.get('met', row.get('passed')) is False]
    for row in missed:
        print(f'NOT REACHED: {row["part"]}: {row["figure"]}', file=sys.stderr)
    sys.exit(1 if result['missing'] or (missed and not asked.quick) else 0)


if __name__ == '__main__':
    main()
