# SPDX-License-Identifier: Apache-2.0
"""The baselines are what they are called."""

from __future__ import annotations

import numpy as np
import pytest

from meta_repo_ros.core.rotorcraft import ROTORCRAFT
from meta_repo_ros.core.samples import ChannelGroup, Kind, Recording, Samples
from meta_repo_ros.vortex_shield import baselines

F450 = ROTORCRAFT['f450']


def recording() -> Recording:
    """Forty seconds; from 20 s on a wave of 3 Hz and 60 Pa beside blade passing."""
    rng = np.random.default_rng(2)
    time = np.arange(40_000) / 1000.0
    values = 10.0 * rng.normal(size=(40_000, 4)) + 101_325.0
    values += 80.0 * np.sin(F450.rotor_speed / np.pi * 2 * np.pi * time)[:, np.newaxis]
    values[20_000:] += 60.0 * np.sin(2 * np.pi * 3.0 * time[20_000:])[:, np.newaxis]
    group = ChannelGroup(Kind.PRESSURE, 1000.0, 16, 0.0, 200_000.0, (0.0, 450.0), *np.ones((3, 4)))
    counts = np.round(values / group.resolution).astype(np.int32)
    state_time = np.arange(0.0, 40.0, 0.1)
    state = np.full((400, 5), np.nan)
    state[:, 0] = state_time / 10.0
    state[:, 1] = 1.0
    return Recording(
        (Samples(group, 0, counts, np.zeros(4, np.uint8)),), state_time, state, {}, name='x'
    )


def test_scores_of_a_descent() -> None:
    time = np.array([5.0, 19.0, 30.0, 39.0, 50.0])
    found = baselines.scores(recording(), F450, time)
    hover = F450.hover_induced_velocity()
    assert found[baselines.SINK_LIMIT][:4] == pytest.approx(time[:4] / 10.0 / hover)
    assert np.isnan(found[baselines.SINK_LIMIT][4])
    loud = found[baselines.FLUCTUATION]
    # blade passing, five times as loud as the noise, is not fluctuation; the wave is
    assert loud[:2] == pytest.approx(1.0, abs=0.2)
    assert (loud[2:4] > 5.0).all()


def test_box_is_positive_inside_johnsons_boundary_alone() -> None:
    # the axial boundary of Johnson (2005) lies at 0.45 and 1.5, its end at an airspeed of 0.95
    descent = np.array([0.40, 0.45, 0.975, 1.50, 1.60, 0.85, 0.85, 0.85])
    airspeed = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.5, 0.95, 1.5])
    score = baselines.johnson_box(descent, airspeed)
    assert score[[1, 3]] == pytest.approx(0.0, abs=1e-9)
    assert score[2] == pytest.approx(0.525)
    assert (score[[0, 4, 7]] < 0.0).all()
    assert score[5] > 0.0 >= score[6]


def test_without_state_and_streams_there_is_no_score() -> None:
    empty = Recording((), np.empty(0), np.empty((0, 5)), {})
    found = baselines.scores(empty, F450, np.arange(3.0))
    assert all(np.isnan(values).all() for values in found.values())
