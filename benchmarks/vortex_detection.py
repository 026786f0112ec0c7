# SPDX-License-Identifier: Apache-2.0
"""Events found and how late, areas against the baselines, and both with sensors missing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.vortex_episodes import OURS, WHOLE, Flight, Seen, fly, rounded
from meta_repo_ros.simulation.wake.paths import ENCOUNTERS, HARD_NEGATIVES, ORDINARY
from meta_repo_ros.vortex_shield import baselines, evaluation
from meta_repo_ros.vortex_shield.evaluation import PARTIAL_LIMIT, Event

RECALL_BAR = 0.98
BEFORE_BAR = 0.90
LOSS_BAR = 0.05
_LENGTH = 150.0
_ORDINARY_LENGTH = 60.0
_DRAWS = 500
_DEGRADED = ('no pressure', 'no flow', 'no acoustic', 'half failed, stated',
             'half stuck, not stated')  # fmt: skip
_ALL = (WHOLE, *_DEGRADED, 'no state')


def rows(*, quick: bool) -> list[dict[str, Any]]:
    """The figures, as rows."""
    seeds, degraded = (2, 1) if quick else (36, 12)
    length = 60.0 if quick else _LENGTH
    flights = [
        # another vehicle in every flight
        Flight(kind, 1000 * i + seed, length, _ALL if seed < degraded else (WHOLE,), areas=True)
        for seed in range(seeds)
        for i, kind in enumerate(ENCOUNTERS)
    ]
    flights += [
        Flight(kind, 1000 * i + seed, _ORDINARY_LENGTH, areas=True)
        for seed in range(seeds)
        for i, kind in enumerate((*ORDINARY, *HARD_NEGATIVES), len(ENCOUNTERS))
    ]
    seen = fly(flights, 'detection')
    whole = [one for one in seen if one.variant == WHOLE]
    found = [*event_rows(whole), *area_rows(whole), *degraded_rows(seen)]
    return [{**row, 'met': None} for row in found] if quick else found


def event_rows(seen: Sequence[Seen]) -> list[dict[str, Any]]:
    """Recall, warning before the oscillation, delay of DEVELOPED."""
    events = [event for one in seen for event in one.events]
    deep = [event for event in events if math.isfinite(event.developed)]
    recall, interval = share(seen, lambda event: event.detected)
    before, before_interval = share(
        seen, lambda e: e.alarm <= e.developed if math.isfinite(e.developed) else None
    )
    spent = [
        # a ring that is never called DEVELOPED is as late as late can be
        (event.developed_delay if math.isfinite(event.developed_delay) else math.inf)
        / one.longest_delay
        for one in seen
        for event in one.events
        # what the end of the flight cuts off cannot be late
        if event.developed + one.longest_delay <= event.known_until
    ]
    worst = float(np.percentile(spent, 95, method='higher')) if spent else math.nan
    delays = [e.delay for e in events], [e.delay / e.time_unit for e in events]
    developed = [e.developed_delay for e in deep], [e.developed_delay / e.time_unit for e in deep]
    vehicles = len({one.vehicle for one in seen})
    about = {'flights': len(seen), 'vehicles': vehicles, 'events': len(events)}
    return [
        {
            'figure': 'events found, held-out seeds and vehicles',
            'bar': f'recall >= {RECALL_BAR}',
            'recall': rounded(recall, 4),
            'interval_95': interval,
            **about,
            'onset_delay_s': pair(delays[0]),
            'onset_delay_r_over_vh': pair(delays[1]),
            'missed': [f'{e.name} at {e.start:.1f} s' for e in events if not e.detected][:20],
            'met': recall >= RECALL_BAR,
        },
        {
            'figure': 'INCIPIENT before the oscillation starts (truth: developed)',
            'bar': f'>= {BEFORE_BAR:.0%} of the events that develop',
            'share': rounded(before, 4),
            'interval_95': before_interval,
            'events': len(deep),
            'lead_s': pair([e.lead for e in deep]),
            'lead_r_over_vh': pair([e.lead / e.time_unit for e in deep]),
            'met': before >= BEFORE_BAR,
        },
        {
            'figure': 'DEVELOPED after it does, over max(10 R/v_h, 1.5 ring periods)',
            'bar': 'p95 <= 1',
            'p95': rounded(worst),
            'never': sum(math.isinf(value) for value in spent),
            'events': len(spent),
            'delay_s': pair(developed[0]),
            'delay_r_over_vh': pair(developed[1]),
            'met': worst <= 1.0,
        },
    ]


def area_rows(seen: Sequence[Seen]) -> list[dict[str, Any]]:
    """Areas under the ROC of the detector and of the baselines on the same samples."""
    kept = [one for one in seen if one.scores]
    truth = np.concatenate([one.truth for one in kept])
    known = truth >= 0
    positive = truth[known] >= evaluation.INCIPIENT
    table: dict[str, dict[str, Any]] = {}
    ranks = {}
    for name in (OURS, *baselines.NAMES):
        score = np.concatenate([one.scores[name] for one in kept])[known]
        score = np.nan_to_num(score, nan=-np.inf, neginf=-np.inf)
        ranks[name] = np.searchsorted(np.unique(score), score)
        rates = evaluation.roc(positive, ranks[name].astype(float))
        table[name] = {
            'area': rounded(evaluation.area(*rates), 4),
            'area_to_0.05': rounded(evaluation.area(*rates, PARTIAL_LIMIT), 4),
            'recall_at_0.05': rounded(evaluation.recall_at(*rates, PARTIAL_LIMIT), 4),
            'average_precision': rounded(
                evaluation.average_precision(positive, ranks[name].astype(float)), 4
            ),
        }
    score = np.concatenate([one.scores[OURS] for one in kept])[known]
    figures = evaluation.samples(truth[known].astype(np.int64), score)
    owner = np.repeat(np.arange(len(kept)), [len(one.truth) for one in kept])[known]
    better = _differences(positive, ranks, owner)
    ours = table[OURS]['area_to_0.05']
    return [
        {
            'figure': 'area under the ROC up to a false positive rate of 0.05 (1 is perfect)',
            'bar': 'above that of each baseline',
            'samples': int(known.sum()),
            'prevalence': rounded(figures.prevalence),
            'table': table,
            'better_by_interval_95': better,
            'met': all(ours > table[name]['area_to_0.05'] for name in baselines.NAMES),
        },
        {
            'figure': 'calibration of the probability',
            'brier': rounded(figures.brier, 4),
            'from, to, samples, mean probability, share true': [
                [round(value, 3) for value in row] for row in figures.calibration
            ],
        },
    ]


def degraded_rows(seen: Sequence[Seen]) -> list[dict[str, Any]]:
    """Recall with sensors missing, against the same flights with all of them."""
    found = []
    for name in (*_DEGRADED, 'no state'):
        some = [one for one in seen if one.variant == name]
        same = {one.flight for one in some}
        full = [one for one in seen if one.variant == WHOLE and one.flight in same]
        recall, before = share(some, lambda e: e.detected)[0], share(full, lambda e: e.detected)[0]
        silent = sum(not one.note for one in some)
        alarms = sum(len(one.alarms.stretches) for one in some)
        row = {
            'figure': f'{name}: recall lost',
            'recall': rounded(recall, 4),
            'recall_whole': rounded(before, 4),
            'loss': rounded(before - recall, 4),
            'events': sum(len(one.events) for one in some),
            'false_alarms': alarms,
            'hours': rounded(sum(one.alarms.hours for one in some)),
            'flights_without_a_word_of_it': silent,
            'said': next((one.note for one in some if one.note), ''),
        }
        if name in _DEGRADED:
            row |= {
                'bar': f'<= {LOSS_BAR}, and the note says so in every flight',
                'met': before - recall <= LOSS_BAR and silent == 0,
            }
        found.append(row)
    return found


def share(seen: Sequence[Seen], say: Any) -> tuple[float, list[float | None]]:
    """Share of the events for which ``say`` is true, with a bootstrap interval over flights.

    Args:
        seen: flights.
        say: of an event: True, False, or None to leave it out.
    """
    counts = np.array([_count(one.events, say) for one in seen]).reshape(-1, 2)
    total = counts.sum(axis=0)
    if total[1] == 0:
        return math.nan, [None, None]
    drawn = np.random.default_rng(1).integers(len(counts), size=(_DRAWS, len(counts)))
    sums = counts[drawn].sum(axis=1)
    shares = sums[:, 0] / np.maximum(sums[:, 1], 1)
    return float(total[0] / total[1]), [rounded(v, 4) for v in np.percentile(shares, [2.5, 97.5])]


def pair(values: Sequence[float]) -> dict[str, float | None]:
    """Median and 95th percentile."""
    median, high = evaluation.quantiles(values)
    return {'median': rounded(median), 'p95': rounded(high)}


def _count(events: Sequence[Event], say: Any) -> tuple[int, int]:
    said = [answer for answer in map(say, events) if answer is not None]
    return sum(said), len(said)


def _differences(positive: Any, ranks: Any, owner: Any) -> dict[str, list[float | None]]:
    """95 % interval of our partial area less that of each baseline, flights drawn."""
    flights = int(owner.max()) + 1
    bins = 4000
    tables = {}
    for name, rank in ranks.items():
        # equal numbers per bin from the top, where the false positive rate is small
        place = (rank * float(bins - 1) / max(int(rank.max()), 1)).astype(np.int64)
        index = (owner * 2 + positive) * bins + place
        tables[name] = np.bincount(index, minlength=flights * 2 * bins).reshape(flights, 2, bins)
    generator = np.random.default_rng(2)
    found: dict[str, list[float]] = {name: [] for name in ranks if name != OURS}
    for _ in range(_DRAWS // 2):
        weight = np.bincount(generator.integers(flights, size=flights), minlength=flights)
        areas = {}
        for name, table in tables.items():
            false, true = np.cumsum(np.tensordot(weight, table, 1)[:, ::-1], axis=1)
            x, y = (np.concatenate(([0.0], c / c[-1])) for c in (false, true))
            areas[name] = evaluation.area(x, y, PARTIAL_LIMIT)
        for name, values in found.items():
            values.append(areas[OURS] - areas[name])
    return {
        name: [rounded(v, 4) for v in np.percentile(values, [2.5, 97.5])]
        for name, values in found.items()
    }
