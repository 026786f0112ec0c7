# SPDX-License-Identifier: Apache-2.0
"""Channels that stick, die, saturate, drift or change places: rings still found, no false alarm."""

from __future__ import annotations

from typing import Any

from benchmarks.vortex_detection import share
from benchmarks.vortex_episodes import Flight, fly, rounded
from meta_repo_ros.vortex_shield import evaluation

_FIRST_SEED = 20_000
_LENGTH = 90.0
LOSS_BAR = 0.05
FAULTS = tuple(f'{fault}, not stated' for fault in ('stuck', 'dead', 'saturated', 'drift',
                                                    'swapped'))  # fmt: skip


def rows(*, quick: bool) -> list[dict[str, Any]]:
    """The figures, as rows: one per fault, in one channel of every kind from 20 s on."""
    seeds = 2 if quick else 24
    variants = ('whole', *FAULTS)
    flights = [
        Flight(kind, _FIRST_SEED + 1000 * i + seed, _LENGTH, variants)
        for seed in range(seeds)
        for i, kind in enumerate(('slow_entry', 'fast_entry', 'hover', 'cruise'))
    ]
    seen = fly(flights, 'faults')
    whole = share([one for one in seen if one.variant == 'whole'], lambda e: e.detected)[0]
    before = sum(len(one.alarms.stretches) for one in seen if one.variant == 'whole')
    found = []
    for name in FAULTS:
        some = [one for one in seen if one.variant == name]
        recall, interval = share(some, lambda e: e.detected)
        alarms = sum(len(one.alarms.stretches) for one in some)
        hours = sum(one.alarms.hours for one in some)
        named = sum(bool(one.note) for one in some)
        found.append({
            'figure': f'one channel of every kind {name.removesuffix(", not stated")}: recall lost',
            'value': rounded(whole - recall, 4),
            'bar': f'<= {LOSS_BAR}',
            'met': None if quick else whole - recall <= LOSS_BAR,
            'recall': rounded(recall, 4),
            'interval_95': interval,
            'recall_without_fault': rounded(whole, 4),
            'false_alarms': alarms,
            'false_alarms_without_fault': before,
            'hours': rounded(hours),
            'false_alarms_per_hour_upper_95': rounded(evaluation.poisson_upper(alarms, hours)),
            'flights_in_which_it_was_said': f'{named} of {len(some)}',
        })  # fmt: skip
    return found
