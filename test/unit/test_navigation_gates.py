# SPDX-License-Identifier: Apache-2.0
"""Gates: recovery by a consistent group, stricter test after an outage, drift, stuck fixes."""

from __future__ import annotations

import numpy as np
import pytest

from meta_repo_ros.core.gates import Gate, GateLimits, Verdict
from meta_repo_ros.fusion.gates import DriftMonitor, StuckMonitor

S = 1_000_000_000
LIMITS = GateLimits(
    probability=0.999, outage=2.0, reacquire_count=4, reacquire_probability=0.99,
    recovery_after=5.0, recovery_count=10,
)  # fmt: skip
ONE = np.eye(3)


def judge(gate: Gate, stamp: float, x: float, *, distrust: bool = False) -> Verdict:
    return gate.judge(
        round(stamp * S), np.array([x, 0.0, 0.0]), 2.0 * ONE, ONE, 0.01 * ONE, distrust=distrust
    )


def test_accepts_and_rejects_by_chi_square() -> None:
    gate = Gate(3, LIMITS)
    assert judge(gate, 1.0, 5.6) is Verdict.ACCEPT  # 15.7 < 16.27
    assert judge(gate, 1.1, 5.8) is Verdict.REJECT  # 16.8
    assert (gate.state.accepted, gate.state.rejected, gate.state.streak) == (1, 1, 1)
    assert gate.nis_mean == pytest.approx(15.68)
    assert judge(gate, 1.2, 0.0) is Verdict.ACCEPT
    assert gate.state.streak == 0


def test_a_consistent_group_wins_and_an_inconsistent_one_never() -> None:
    steady, wild = Gate(3, LIMITS), Gate(3, LIMITS)
    for gate in (steady, wild):
        judge(gate, 0.0, 0.0)
    verdicts = [judge(steady, 0.1 + 0.1 * i, 100.0) for i in range(52)]
    assert verdicts.count(Verdict.RESET) == 1
    assert verdicts.index(Verdict.RESET) == 50  # after 5 s
    for i in range(200):
        assert judge(wild, 0.1 + 0.1 * i, 100.0 * (-1.0) ** i) is Verdict.REJECT


def test_after_an_outage_several_consistent_ones_are_needed() -> None:
    gate = Gate(3, LIMITS)
    judge(gate, 0.0, 0.0)
    got = [judge(gate, 10.0 + 0.1 * i, 1.0) for i in range(5)]
    assert got == [Verdict.HOLD] * 3 + [Verdict.ACCEPT] * 2
    # values that scatter far more than they say never regain trust
    other = Gate(3, LIMITS)
    judge(other, 0.0, 0.0)
    assert Verdict.ACCEPT not in [
        judge(other, 10.0 + 0.1 * i, 4.5 * (-1.0) ** i) for i in range(50)
    ]


def test_distrust_asks_for_the_same() -> None:
    gate = Gate(3, LIMITS)
    judge(gate, 0.0, 0.0)
    assert judge(gate, 0.1, 0.5, distrust=True) is Verdict.HOLD


def test_snapshot_holds_the_counters() -> None:
    gate = Gate(3, LIMITS)
    judge(gate, 0.0, 0.0)
    saved = gate.snapshot()
    judge(gate, 0.1, 100.0)
    gate.restore(saved)
    assert (gate.state.rejected, gate.state.streak, gate.state.accepted) == (0, 0, 1)


def test_drift_is_found_in_the_mean_and_not_in_noise() -> None:
    rng = np.random.default_rng(1)
    monitor = DriftMonitor((5.0, 20.0, 60.0), 1.0, 1e-9)
    noise = rng.standard_normal((3000, 3))
    assert not any(monitor.add(round(0.1 * i * S), x, ONE) for i, x in enumerate(noise))
    monitor.clear()
    pulled = (
        monitor.add(round(0.1 * i * S), x + np.array([2.5, 0.0, 0.0]), ONE)
        for i, x in enumerate(noise)
    )
    found = next(i for i, flag in enumerate(pulled) if flag)
    assert 10 < found < 600


def test_drift_counts_what_came_before_an_outage_as_before() -> None:
    monitor = DriftMonitor((5.0, 20.0, 60.0), 1.0, 1e-9)
    biased = np.array([1.0, 0.0, 0.0])
    for i in range(200):
        monitor.add(round(0.25 * i * S), biased, ONE)
    before = monitor.statistic
    assert not monitor.add(round(65.0 * S), biased, ONE)
    assert monitor.statistic < 1.1 * before


def test_stuck_needs_motion() -> None:
    monitor = StuckMonitor(1.0)
    assert not any(monitor.add(i * S, (1.0, 2.0, 3.0), 0.0) for i in range(100))
    assert monitor.add(101 * S, (1.0, 2.0, 3.0), 5.0)
    assert not monitor.add(102 * S, (1.0, 2.0, 3.1), 5.0)
