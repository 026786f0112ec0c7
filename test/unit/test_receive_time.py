# SPDX-License-Identifier: Apache-2.0
"""Receive times between the ticks of a simulated clock."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from meta_repo_ros.ros.receive_time import ReceiveTime

MS = 1_000_000
STEPS = st.lists(
    st.tuples(st.integers(0, 40 * MS), st.integers(0, 40 * MS)), min_size=1, max_size=50
)


def test_time_goes_on_at_the_clock_s_pace_and_stops_with_it() -> None:
    time = ReceiveTime()
    assert time.stamp(100 * MS, 0) == 100 * MS
    assert time.stamp(120 * MS, 10 * MS) == 120 * MS, 'twice real time'
    assert time.stamp(120 * MS, 15 * MS) == 130 * MS
    assert time.stamp(120 * MS, 500 * MS) == 140 * MS, 'one tick ahead at most'
    assert time.stamp(120 * MS, 600 * MS) == 140 * MS + 1, 'and still in order of arrival'


def test_a_jump_back_begins_anew() -> None:
    time = ReceiveTime()
    time.stamp(100 * MS, 0)
    time.stamp(120 * MS, 20 * MS)
    assert time.stamp(50 * MS, 25 * MS) == 50 * MS


@given(steps=STEPS)
def test_order_of_arrival_is_kept_near_the_clock(steps: list[tuple[int, int]]) -> None:
    time, clock, steady, last, interval = ReceiveTime(), 1, 1, 0, 0
    for number, (tick, passed) in enumerate(steps):
        interval = max(interval, tick)
        clock, steady = clock + tick, steady + passed
        stamp = time.stamp(clock, steady)
        assert stamp > last
        assert clock <= stamp <= clock + interval + number + 1
        last = stamp
