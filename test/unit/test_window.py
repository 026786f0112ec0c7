# SPDX-License-Identifier: Apache-2.0
"""Rewind and replay: the state depends on the set of measurements, not on their arrival."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meta_repo_ros.core.window import Arrival, ReplayWindow

MS = 1_000_000


class Recursion:
    """A state on which order matters to the last bit, with a gate that counts."""

    def __init__(self) -> None:
        self.x, self.stamp, self.rejected = 0.1, 0, 0
        self.applied: list[int] = []

    def apply(self, stamp: int, measurement: float) -> None:
        assert not self.applied or stamp >= self.stamp
        self.applied.append(stamp)
        self.x = math.sin(1.7 * self.x + (stamp - self.stamp) * 1e-8) + 0.3 * measurement
        if abs(self.x) > 1.0:
            self.rejected += 1
            self.x *= 0.5 / self.rejected
        self.stamp = stamp

    def snapshot(self) -> Any:
        return self.x, self.stamp, self.rejected, len(self.applied)

    def restore(self, snapshot: Any) -> None:
        self.x, self.stamp, self.rejected, count = snapshot
        del self.applied[count:]


def run(measurements: list[tuple[int, int, int, float]], length: int, interval: int) -> Recursion:
    model = Recursion()
    window = ReplayWindow(model, length, interval)
    for stamp, rank, sequence, value in measurements:
        window.add(stamp, rank, sequence, value)
        if sequence % 3 == 0:
            window.settle()
    window.settle()
    assert window.dropped == 0
    return model


@st.composite
def shuffled(draw: st.DrawFn) -> tuple[list[tuple[int, int, int, float]], list[int]]:
    count = draw(st.integers(1, 40))
    stamps = draw(st.lists(st.integers(0, 400), min_size=count, max_size=count))
    values = draw(st.lists(st.floats(-3, 3), min_size=count, max_size=count))
    ranks = draw(st.lists(st.integers(0, 2), min_size=count, max_size=count))
    entries = [(s * MS, r, i, v) for i, (s, r, v) in enumerate(zip(stamps, ranks, values))]  # noqa: B905
    return entries, draw(st.permutations(range(count)))


@settings(deadline=None, max_examples=150)
@given(shuffled(), st.sampled_from([1, 20 * MS, 90 * MS, 1000 * MS]))
def test_any_arrival_inside_the_window_gives_the_same_state(case: Any, interval: int) -> None:
    entries, order = case
    direct = Recursion()
    for stamp, _, _, value in sorted(entries, key=lambda e: e[:3]):
        direct.apply(stamp, value)
    got = run([entries[i] for i in order], 400 * MS, interval)
    assert (got.x.hex(), got.stamp, got.rejected) == (direct.x.hex(), direct.stamp, direct.rejected)


@settings(deadline=None, max_examples=50)
@given(st.randoms(use_true_random=False), st.integers(1, 120))
def test_late_measurements_of_a_long_stream(random: Any, delay_ms: int) -> None:
    """Each measurement up to the window late, in a stream many windows long."""
    entries = [(i * 5 * MS, 0, i, math.sin(i)) for i in range(300)]
    arrival = sorted(entries, key=lambda e: e[0] + random.uniform(0, delay_ms * MS))
    direct = Recursion()
    for stamp, _, _, value in entries:
        direct.apply(stamp, value)
    assert run(arrival, 120 * MS, 30 * MS).x.hex() == direct.x.hex()


def test_memory_is_bounded_by_the_window() -> None:
    window = ReplayWindow(Recursion(), 100 * MS, 20 * MS)
    for i in range(5000):
        window.add(i * MS, 0, i, 0.1)
    assert len(window._keys) <= 125
    assert len(window._snapshots) <= 8


def test_a_periodic_late_sensor_costs_no_more_than_what_came_after_it() -> None:
    """A fast sensor, and a slow one that is late by one period: the usual GNSS receiver."""
    window = ReplayWindow(Recursion(), 400 * MS, 50 * MS)
    for i in range(1000):
        now = i * 5 * MS
        window.add(now, 0, i, 0.1)
        if i % 20 == 7 and i > 20:
            window.add(now - 100 * MS, 1, i, 0.2)
            window.settle()
    # 21 since its stamp; without snapshots in step it would be up to 30
    assert window.replayed / window.late <= 21.5


def test_older_than_the_window_is_dropped_and_counted() -> None:
    model = Recursion()
    window = ReplayWindow(model, 100 * MS, 20 * MS)
    for i in range(50):
        assert window.add(i * 10 * MS, 0, i, 0.1) is Arrival.IN_ORDER
    before = model.x
    assert window.add(389 * MS, 0, 99, 5.0) is Arrival.DROPPED
    window.settle()
    assert (window.dropped, window.late, model.x) == (1, 0, before)
    assert window.add(390 * MS, 0, 99, 5.0) is Arrival.LATE
    assert window.pending
    window.settle()
    assert not window.pending
    assert model.x != before
    assert (window.dropped, window.late) == (1, 1)
    assert 10 <= window.replayed <= 13


def test_window_refuses_no_length() -> None:
    with pytest.raises(ValueError, match='greater than 0'):
        ReplayWindow(Recursion(), 0, 1)
