# SPDX-License-Identifier: Apache-2.0
"""Figures of merit on cases that a hand can count."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meta_repo_ros.vortex_shield import evaluation
from meta_repo_ros.vortex_shield.evaluation import Rules, Track
from meta_repo_ros.vortex_shield.types import Level

RULES = Rules(merge=1.0, tolerance=2.0)
STEP = 0.1


def track(
    length: float,
    truth: list[tuple[float, float, int]],
    level: list[tuple[float, float, int]],
    name: str = 'flight',
) -> Track:
    """Truth and level as (from, to, value) over none; score 0.9 in alarm and 0.1 out of it."""
    time = np.arange(round(length / STEP)) * STEP
    is_true = np.zeros(len(time), np.int64)
    said = np.full(len(time), Level.NONE, np.int64)
    for values, stretches in ((is_true, truth), (said, level)):
        for start, end, value in stretches:
            values[(time >= start - 1e-6) & (time < end - 1e-6)] = value
    score = np.where(said >= Level.INCIPIENT, 0.9, 0.1)
    return Track(name, time, said, score, 0.02, is_true)


def test_an_event_in_order() -> None:
    found = evaluation.events(
        track(60, [(18, 20, 1), (20, 24, 2), (24, 30, 3)], [(21, 25, 3), (25, 31, 4)]), RULES
    )
    (event,) = found
    assert event.detected
    assert event.start == pytest.approx(20)
    assert event.end == pytest.approx(29.9)
    assert event.delay == pytest.approx(1.0)
    assert event.lead == pytest.approx(3.0)
    assert event.developed_delay == pytest.approx(1.0)


def test_an_alarm_before_the_event_leads_it() -> None:
    (event,) = evaluation.events(track(60, [(20, 30, 2)], [(18, 22, 3)]), RULES)
    assert event.delay == pytest.approx(-2.0)
    assert math.isnan(event.developed)
    assert math.isnan(event.developed_delay)
    # one that was over before does not detect it
    (event,) = evaluation.events(track(60, [(20, 30, 2)], [(15, 19, 3)]), RULES)
    assert not event.detected
    assert math.isnan(event.delay)


def test_an_event_that_the_end_cuts_off_is_not_counted() -> None:
    for level in ([], [(59.8, 60, 3)]):
        assert evaluation.events(track(60, [(59.7, 60, 2)], level), RULES) == ()
    (event,) = evaluation.events(track(60, [(59, 60, 3)], []), RULES)
    assert event.known_until == pytest.approx(59.9)


def test_stretches_close_together_are_one_event() -> None:
    near = track(60, [(20, 22, 2), (22.5, 25, 3)], [(23, 24, 3)])
    assert len(evaluation.events(near, RULES)) == 1
    far = track(60, [(20, 22, 2), (24, 26, 3)], [(21, 25, 3)])
    first, second = evaluation.events(far, RULES)
    assert first.delay == pytest.approx(1.0)
    # still on from before: it counts from the end of the event before
    assert second.delay == pytest.approx(-2.1)
    result = evaluation.evaluate([far, track(60, [(20, 30, 2)], [])])
    assert result.recall == pytest.approx(2 / 3)


def test_false_alarms_by_hand() -> None:
    # near the margin (10 to 20, and 2 s around): the first alarm there is none; two are, of which
    # the second is two stretches half a second apart
    flight = track(
        3600, [(10, 20, 1)], [(8.5, 9, 3), (100, 101, 3), (200, 201, 4), (201.5, 202, 3)]
    )
    alarms = evaluation.false_alarms(flight, RULES)
    assert len(alarms.stretches) == 2
    assert alarms.stretches[1] == pytest.approx((200.0, 201.9))
    assert alarms.hours == pytest.approx((3600 - 14) / 3600, abs=1e-3)
    assert alarms.flight_hours == pytest.approx(1.0)
    # an alarm that does not end after the event becomes false once the tolerance is over
    late = evaluation.false_alarms(track(60, [(10, 20, 2)], [(12, 40, 3)]), RULES)
    assert late.stretches[0] == pytest.approx((22.0, 39.9))


def test_unknown_truth_is_not_judged() -> None:
    flight = track(60, [], [(50, 55, 3)])
    flight.truth[400:] = evaluation.UNKNOWN
    assert evaluation.false_alarms(flight, RULES).stretches == ()
    assert evaluation.false_alarms(flight, RULES).flight_hours == pytest.approx(40 / 3600)


@pytest.mark.parametrize(('count', 'upper'), [(0, 2.9957), (1, 4.7439), (4, 9.1535), (10, 16.9622)])
def test_poisson_bound_of_the_tables(count: int, upper: float) -> None:
    assert evaluation.poisson_upper(count, 1.0) == pytest.approx(upper, abs=1e-4)
    assert evaluation.poisson_upper(count, 20.0) == pytest.approx(upper / 20.0, abs=1e-4)
    assert math.isinf(evaluation.poisson_upper(count, 0.0))


def test_areas_by_hand() -> None:
    truth = np.array([2, 0, 3, 0, 1])
    score = np.array([0.9, 0.8, 0.7, 0.2, np.nan])
    found = evaluation.samples(truth, score)
    # of the six pairs of one positive and one negative five are in order
    assert found.area == pytest.approx(5 / 6)
    assert found.average_precision == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert found.brier == pytest.approx((0.01 + 0.64 + 0.09 + 0.04 + 0.0) / 5)
    assert found.prevalence == pytest.approx(0.4)
    assert found.recall_at_limit == pytest.approx(0.5)
    tied = evaluation.samples(truth, np.full(5, 0.3))
    assert tied.area == pytest.approx(0.5)
    assert tied.partial_area == pytest.approx(0.025)
    assert tied.average_precision == pytest.approx(0.4)
    assert tied.calibration == ((0.3, 0.4, 5, pytest.approx(0.3), pytest.approx(0.4)),)


def test_one_class_alone_has_no_area() -> None:
    found = evaluation.samples(np.zeros(4, np.int64), np.linspace(0, 1, 4))
    assert math.isnan(found.area)
    assert math.isnan(found.average_precision)
    assert math.isnan(evaluation.samples(np.full(3, -1), np.zeros(3)).brier)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 8)), min_size=2, max_size=60))
def test_area_is_the_share_of_pairs_in_order(rows: list[tuple[bool, int]]) -> None:
    positive = np.array([flag for flag, _ in rows])
    score = np.array([value / 8 for _, value in rows])
    if positive.all() or not positive.any():
        return
    rates = evaluation.roc(positive, score)
    above = score[positive][:, np.newaxis] - score[~positive]
    pairs = np.mean((above > 0) + 0.5 * (above == 0))
    assert evaluation.area(*rates) == pytest.approx(pairs)
    assert 0.0 <= evaluation.area(*rates, 0.05) <= 1.0 + 1e-12


def test_truth_is_held_from_its_instant_on() -> None:
    time = np.array([0.0, 0.99, 1.0, 1.5, 2.0, 2.9, 3.5])
    found = evaluation.truth_at(time, np.array([1.0, 2.0]), np.array([1, 3]))
    assert found.tolist() == [-1, -1, 1, 1, 3, 3, -1]
    assert (evaluation.truth_at(time, None, None) == -1).all()


def test_intervals_hold_the_figure_and_shrink() -> None:
    good = [track(60, [(20, 30, 2)], [(20 + i / 10, 31, 3)], f'{i}') for i in range(12)]
    missed = [track(60, [(20, 30, 2)], [], f'missed {i}') for i in range(4)]
    result = evaluation.evaluate([*good, *missed], draws=300)
    low, high = result.intervals['recall']
    assert result.recall == pytest.approx(0.75)
    assert low < result.recall < high
    many = evaluation.evaluate([*good, *missed] * 6, draws=300).intervals['recall']
    assert many[1] - many[0] < high - low
    low, high = result.intervals['area']
    assert low < result.samples.area < high
    assert not evaluation.evaluate(good[:1]).intervals


def test_nothing_to_judge() -> None:
    flight: Any = track(5, [], [])
    flight.truth[:] = evaluation.UNKNOWN
    result = evaluation.evaluate([flight])
    assert math.isnan(result.recall)
    assert result.events == ()
    assert result.alarms.hours == 0.0
    assert evaluation.quantiles([math.nan]) == (pytest.approx(math.nan, nan_ok=True),) * 2
