# SPDX-License-Identifier: Apache-2.0
"""The part of a report that is about the rotor wake."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from meta_repo_ros.reporting.evaluation import Array
from meta_repo_ros.reporting.page import Section, Table, Tile
from meta_repo_ros.reporting.wake_plots import LEVELS, Wake, descent_plane, over_time

Boundary = Callable[[Array], tuple[Array, Array]]
_PLAN = ('s', 'phase', 'variant', 'tilt, deg', 'predicted loss, m', 'predicted time, s',
         'height, m', 'assured', 'reason')  # fmt: skip


def with_boundary(wake: Wake, boundary: Boundary) -> Wake:
    """``wake`` with the boundary at its airspeeds, all over the hover induced velocity."""
    onset, end = boundary(wake.airspeed)
    return replace(wake, onset=onset, end=end)


def tiles(wake: Wake) -> list[Tile]:
    """What a reader sees first."""
    worst = int(wake.level.max())
    first = {level: _first(wake, level) for level in (3, 4)}
    when = [
        f'{LEVELS[level].lower()} from {t:.1f} s' for level, t in first.items() if t is not None
    ]
    found = [Tile('highest level', LEVELS[worst], '; '.join(when))]
    if len(wake.phase):
        assured = next((plan[7] for plan in reversed(wake.plans) if plan[1] in {'exit', 'prepare'}),
                       '-')  # fmt: skip
        detail = f'assured: {assured}; {wake.phase_time[0]:.1f} to {wake.phase_time[-1]:.1f} s'
        found.append(Tile('recovery', wake.plans[-1][1] if wake.plans else '-', detail))
    return found


def sections(wake: Wake) -> list[Section]:
    """Plots over time, descent against the boundary, plans of the recovery."""
    text = (
        'Decided level, with the truth of the simulated wake where it was recorded, what descent '
        '(risk) and streams (evidence) say, and what flew meanwhile. The band is the boundary of '
        'negative heave damping at the airspeed of the moment (Johnson 2005).'
    )
    found = [Section('Rotor wake', text, over_time(wake), [_times(wake)])]
    figure = descent_plane(wake)
    if figure:
        found.append(Section('Descent state', 'One point per decision; down is faster descent.',
                             figure))  # fmt: skip
    if wake.plans:
        text = 'The first plan of each phase.'
        found.append(Section('Recovery', text, tables=[Table(_PLAN, wake.plans)]))
    return found


def _first(wake: Wake, level: int) -> float | None:
    rows = np.flatnonzero(wake.level >= level)
    return float(wake.time[rows[0]]) if len(rows) else None


def _times(wake: Wake) -> Table:
    """First time and length of each level, decided and true."""
    rows = []
    step = float(np.median(np.diff(wake.time))) if len(wake.time) > 1 else 0.0
    truth_step = float(np.median(np.diff(wake.truth_time))) if len(wake.truth_time) > 1 else 0.0
    for i, name in enumerate(LEVELS):
        decided = wake.time[wake.level == i]
        true = wake.truth_time[wake.truth_level == i]
        cells = []
        for times, each in ((decided, step), (true, truth_step)):
            cells += [f'{times[0]:.2f}', f'{len(times) * each:.2f}'] if len(times) else ['-', '-']
        if len(decided) or len(true):
            rows.append((name, *cells))
    header = ('level', 'decided first, s', 'for, s', 'true first, s', 'for, s')
    return Table(header, rows)
