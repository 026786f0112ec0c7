# SPDX-License-Identifier: Apache-2.0
"""False alarms in flights without a ring that look like one, and that live is the same."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.vortex_episodes import Flight, fly, held_out, live, rounded
from meta_repo_ros.simulation.wake.paths import HARD_NEGATIVES
from meta_repo_ros.vortex_shield import evaluation
from meta_repo_ros.vortex_shield.detector import Detector

HOURS = 20.0
BAR = 4
_LENGTH = 300.0
_FIRST_SEED = 10_000
BLOCK = 10_000_000
"""Length of the blocks, ns."""


def rows(*, quick: bool) -> list[dict[str, Any]]:
    """The figures, as rows."""
    kinds = tuple(HARD_NEGATIVES)
    hours = 0.6 if quick else HOURS
    length = 120.0 if quick else _LENGTH
    # a little more than asked for: what lies near a ring does not count
    count = int(np.ceil(1.06 * hours * 3600.0 / length / len(kinds)))
    flights = [
        Flight(kind, _FIRST_SEED * (k + 3) + i, length)
        for i in range(count)
        for k, kind in enumerate(kinds)
    ]
    seen = fly(flights, 'false alarms')
    alarms = [(one, stretch) for one in seen for stretch in one.alarms.stretches]
    exposed = sum(one.alarms.hours for one in seen)
    by_kind = {
        kind: {
            'events': sum(one.flight.kind == kind for one, _ in alarms),
            'hours': rounded(sum(s.alarms.hours for s in seen if s.flight.kind == kind), 2),
        }
        for kind in kinds
    }
    worst = [
        f'{one.flight.kind} seed {one.flight.seed} ({one.vehicle}): {begin:.1f} to {end:.1f} s'
        for one, (begin, end) in alarms
    ]
    return [
        {
            'figure': 'false alarms in hard negatives',
            'bar': f'<= {BAR} in {HOURS:g} h' if not quick else 'none in a quick run',
            'events': len(alarms),
            'hours': rounded(exposed, 2),
            'flight_hours': rounded(sum(one.alarms.flight_hours for one in seen), 2),
            'per_hour': rounded(len(alarms) / exposed),
            'per_hour_upper_95': rounded(evaluation.poisson_upper(len(alarms), exposed)),
            'by_kind': by_kind,
            'alarms': worst[:40],
            'met': None if quick else len(alarms) <= BAR and exposed >= HOURS,
        },
        *(same_row(kind, 20.0 if quick else 60.0) for kind in ('turbulence', 'fast_entry')),
    ]


def same_row(kind: str, length: float) -> dict[str, Any]:
    """A recording at once, and the same in blocks as the node gets them."""
    recording = held_out(Flight(kind, _FIRST_SEED, length))
    vehicle = recording.extra['vehicle']
    whole = Detector(vehicle).run(recording)
    detector = Detector(vehicle)
    found = [(d.stamp, d.level, d.probability) for d in live(recording, detector, BLOCK)]
    stamps, levels, probabilities = (np.array(column) for column in zip(*found, strict=True))
    at = np.searchsorted(whole.stamp, stamps)
    at = np.minimum(at, len(whole.stamp) - 1)
    same = whole.stamp[at] == stamps
    difference = np.abs(whole.probability[at] - probabilities)[same]
    unequal = int(np.sum(whole.level[at][same] != levels[same]))
    return {
        'figure': f'offline run against live blocks of {BLOCK * 1e-6:g} ms, {kind}',
        'bar': 'every level the same',
        'blocks': len(found),
        'compared': int(same.sum()),
        'levels_that_differ': unequal,
        'largest_difference_of_probability': float(np.nanmax(difference)),
        'met': unequal == 0 and bool(same.all()),
    }
