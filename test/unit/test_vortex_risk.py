# SPDX-License-Identifier: Apache-2.0
"""Probability of the vortex ring state against Monte Carlo draws, and what must hold of it."""

from __future__ import annotations

import importlib
import math
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meta_repo_ros.core.rotorcraft import ROTORCRAFT
from meta_repo_ros.vortex_shield import inflow
from meta_repo_ros.vortex_shield.onset_trend import Trend
from meta_repo_ros.vortex_shield.risk import Risk, RiskParameters, RiskRow
from meta_repo_ros.vortex_shield.risk_region import DEEP, INSIDE, MARGIN

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope='module')
def vortex_rotor() -> Any:
    """``benchmarks/vortex_rotor.py``; the folder itself is not on the path of tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        return importlib.import_module('benchmarks.vortex_rotor')


RISKS = {name: Risk(craft) for name, craft in ROTORCRAFT.items()}
RISK = RISKS['f450']
V_H = RISK.rotorcraft.hover_induced_velocity()
NAMES = tuple(item.name for item in fields(RISK.assess(0.0, 0.0)))

ANY = st.one_of(
    st.floats(-30.0, 60.0), st.sampled_from((math.nan, math.inf, -math.inf, 1e200, -1e200))
)
SPREAD = st.one_of(st.floats(0.0, 10.0), st.sampled_from((math.nan, 1e200)))
VEHICLE = st.sampled_from(tuple(RISKS.values()))


@pytest.mark.parametrize('name', RISKS)
def test_probabilities_are_those_of_monte_carlo(vortex_rotor: Any, name: str) -> None:
    risk = RISKS[name]
    v_h = risk.rotorcraft.hover_induced_velocity()
    for region, outline in (('inside', INSIDE), ('margin', MARGIN), ('deep', DEEP)):
        for sink in (0.3, 0.6, 1.0, 1.4, 1.8):
            for speed in (0.0, 0.5, 0.9):
                told = getattr(risk.one(sink * v_h, speed * v_h), region)
                drawn = vortex_rotor.drawn(risk, outline, (sink, speed), 20_000, 1)
                assert told == pytest.approx(drawn, abs=0.05), (region, sink, speed)


@given(VEHICLE, st.lists(st.tuples(ANY, ANY, ANY, ANY, SPREAD, SPREAD), min_size=1, max_size=8))
def test_one_row_gives_the_numbers_of_many(risk: Risk, states: list[tuple[float, ...]]) -> None:
    s, x, t, rho, s_sigma, x_sigma = np.array(states).T
    rows = risk.assess(s, x, t, rho, sink_sigma=s_sigma, airspeed_sigma=x_sigma)
    for k, state in enumerate(states):
        alone = risk.one(*state[:4], sink_sigma=state[4], airspeed_sigma=state[5])
        np.testing.assert_allclose(rows.row(k), alone, rtol=1e-9, atol=1e-12)
        assert RiskRow._fields == NAMES


@given(VEHICLE, st.tuples(ANY, ANY, ANY, ANY, SPREAD, SPREAD))
def test_probabilities_are_nested_and_unknown_only_without_a_sink_rate(
    risk: Risk, state: tuple[float, ...]
) -> None:
    s, x, t, rho, s_sigma, x_sigma = state
    row = risk.one(s, x, t, rho, sink_sigma=s_sigma, airspeed_sigma=x_sigma)
    if not math.isfinite(s):
        assert all(math.isnan(v) for v in row[:6])
        return
    assert 0.0 <= row.deep <= row.inside + 1e-12
    assert row.inside <= row.margin + 1e-12
    assert row.margin <= 1.0
    assert 0.0 <= row.depth <= 1.0
    assert math.isnan(row.airspeed) is not math.isfinite(x)


@given(VEHICLE, st.floats(0.0, 2.0), st.floats(0.0, 12.0), st.floats(0.1, 5.0), SPREAD)
def test_more_airspeed_is_never_more_risk(
    risk: Risk, sink: float, airspeed: float, more: float, spread: float
) -> None:
    v_h = risk.rotorcraft.hover_induced_velocity()
    slow = risk.one(sink * v_h, airspeed, airspeed_sigma=spread)
    fast = risk.one(sink * v_h, airspeed + more, airspeed_sigma=spread)
    for region in ('inside', 'margin', 'deep'):
        assert getattr(fast, region) <= getattr(slow, region) + 1e-3


@given(VEHICLE, st.floats(0.0, 2.0), st.floats(-2.0, 0.65), st.floats(0.0, 0.3))
def test_more_sink_rate_before_the_middle_is_never_less_risk(
    risk: Risk, airspeed: float, sink: float, more: float
) -> None:
    v_h = risk.rotorcraft.hover_induced_velocity()
    state = {'sink_sigma': 0.3, 'airspeed_sigma': 0.3}
    slow = risk.one(sink * v_h, airspeed * v_h, **state)
    fast = risk.one((sink + more) * v_h, airspeed * v_h, **state)
    assert fast.inside >= slow.inside - 1e-9
    assert fast.margin >= slow.margin - 1e-9


@pytest.mark.parametrize('name', RISKS)
def test_what_is_no_vortex_ring_state_is_no_risk(name: str) -> None:
    risk = RISKS[name]
    v_h = risk.rotorcraft.hover_induced_velocity()
    for sink, airspeed in ((0.0, 0.0), (-1.0, 0.0), (2.0, 0.0), (2.5, 0.3), (1.0, 2.0), (0.2, 0.0)):
        assert risk.one(sink * v_h, airspeed * v_h).inside < 0.05, (sink, airspeed)
    assert risk.one(1.9 * v_h, 0.0).inside < 0.1
    assert risk.one(1.1 * v_h, 0.0).inside > 0.85
    assert risk.one(1.1 * v_h, 0.0).deep > 0.7


def test_nominal_boundary_lies_among_the_published_ones() -> None:
    onsets = [inflow.published_boundary(name)[0] for name in inflow.BOUNDARIES]
    assert min(onsets) < INSIDE.onset < max(onsets)
    spread = max(abs(onset - INSIDE.onset) for onset in onsets)
    assert spread < 2.0 * INSIDE.onset_sigma, 'none is a surprise to the outline'
    assert RISK.one(INSIDE.onset * V_H, 0.0).distance == pytest.approx(0.0, abs=0.02)
    assert RISK.one(INSIDE.leave * V_H, 0.0).distance == pytest.approx(0.0, abs=0.02)
    assert RISK.one(1.05 * V_H, INSIDE.airspeed * V_H).distance == pytest.approx(0.0, abs=0.03)
    assert RISK.one(-20.0 * V_H, 0.0).distance == pytest.approx(20.5, abs=0.05)


def test_lost_knowledge_lowers_what_can_be_said() -> None:
    known = RISK.one(1.0 * V_H, 0.0, airspeed_sigma=0.2).inside
    wind = RISK.one(1.0 * V_H, 0.0).inside
    blind = RISK.one(1.0 * V_H, math.nan).inside
    assert known > wind > blind > 0.3
    assert RISK.one(2.0 * V_H, 0.0, sink_sigma=4.0).inside > RISK.one(2.0 * V_H, 0.0).inside


def test_thrust_and_density_scale_the_speeds() -> None:
    weight = RISK.rotorcraft.weight
    nominal = RISK.one(3.0, 0.0)
    assert RISK.one(3.0, 0.0, weight).descent == nominal.descent
    assert RISK.one(3.0, 0.0, weight).inside != nominal.inside, 'a known thrust is surer'
    assert RISK.one(6.0, 0.0, 4.0 * weight).descent == pytest.approx(nominal.descent)
    assert RISK.one(3.0, 0.0, density=1.225 / 4.0).descent == pytest.approx(nominal.descent / 2.0)
    assert RISK.one(3.0, 0.0, 0.0).hover_induced_velocity == pytest.approx(V_H / 2.0)
    lower = Risk(ROTORCRAFT['f450'], RiskParameters(mass_uncertainty=0.0, wind_uncertainty=0.5))
    assert lower.one(1.0 * V_H, 0.0).inside > nominal.inside


def test_long_flights_are_taken_in_chunks_without_a_seam() -> None:
    sinks = np.linspace(-1.0, 12.0, 70_000).reshape(2, 35_000)
    rows = RISK.assess(sinks, 1.0)
    assert rows.inside.shape == sinks.shape
    for i, j in ((0, 0), (0, 32_767), (0, 32_768), (1, 34_999)):
        assert rows.inside[i, j] == pytest.approx(RISK.one(float(sinks[i, j]), 1.0).inside)
    assert np.abs(np.diff(rows.inside.ravel())).max() < 1e-3


TIME = np.arange(0.0, 6.0, 0.004)


def test_time_to_onset_is_that_of_a_steady_approach() -> None:
    distance = 1.0 - 0.2 * TIME
    found = Trend().push(TIME, distance)
    outside = (TIME > 0.3) & (distance > 1e-6)
    np.testing.assert_allclose(found[outside], distance[outside] / 0.2, rtol=1e-3)
    assert (found[distance <= 0.0] == 0.0).all()


def test_time_to_onset_is_infinite_without_an_approach() -> None:
    rng = np.random.default_rng(1)
    noise = 0.03 * rng.standard_normal(TIME.size)
    assert np.isinf(Trend().push(TIME, 0.3 + 0.1 * TIME + noise)).all(), 'receding'
    still = Trend().push(TIME, 0.4 + noise)
    assert np.isinf(still).mean() > 0.98
    assert np.isinf(Trend().push(TIME, 20.0 - 0.2 * TIME)[-1]), 'beyond the horizon'


def test_time_to_onset_survives_noise_and_outliers() -> None:
    rng = np.random.default_rng(2)
    distance = 1.5 - 0.25 * TIME
    seen = distance + 0.02 * rng.standard_normal(TIME.size)
    seen[::97] += 3.0
    found = Trend().push(TIME, seen)
    late = (TIME > 1.0) & (np.arange(TIME.size) % 97 != 0)
    ratio = found[late] / (distance[late] / 0.25)
    assert np.isfinite(ratio).mean() > 0.95
    assert np.median(ratio) == pytest.approx(1.0, abs=0.1)


@given(st.lists(st.integers(1, 200), min_size=1, max_size=12))
def test_time_to_onset_does_not_hang_on_how_the_flight_is_cut(cuts: list[int]) -> None:
    rng = np.random.default_rng(3)
    distance = 1.0 - 0.2 * TIME[:600] + 0.05 * rng.standard_normal(600)
    distance[100:110] = np.nan
    whole = Trend().push(TIME[:600], distance)
    trend, parts = Trend(), []
    edges = np.minimum(np.cumsum([0, *cuts]), 600)
    for a, b in zip(edges, [*edges[1:], 600], strict=True):
        parts.append(trend.push(TIME[a:b], distance[a:b]))
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert np.isnan(whole[100:110]).all()


def test_trend_forgets_after_a_gap_and_ignores_time_that_stands_still() -> None:
    trend = Trend(memory=0.5)
    trend.push(TIME[:500], 1.0 - 0.2 * TIME[:500])
    again = trend.one(float(TIME[499]), 0.6)
    assert math.isfinite(again)
    assert math.isinf(trend.one(float(TIME[499]) + 10.0, 0.5)), 'no trend yet'
    trend.reset()
    assert math.isinf(trend.one(0.0, 0.5))
    assert math.isnan(trend.one(0.1, math.nan))
