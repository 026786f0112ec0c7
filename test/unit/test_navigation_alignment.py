# SPDX-License-Identifier: Apache-2.0
"""Alignment from a standstill: gyroscope bias, level, and what is no standstill."""

from __future__ import annotations

import math

import numpy as np
import pytest

from meta_repo_ros.core.geodesy import LocalFrame
from meta_repo_ros.core.parameters import from_mapping
from meta_repo_ros.core.rotations import (
    Vector,
    conjugate,
    from_euler,
    log,
    multiply,
    rotate,
    yaw,
)  # fmt: skip
from meta_repo_ros.fusion.alignment import Aligned, Alignment
from meta_repo_ros.fusion.navigation_parameters import NavigationParameters

S = 1_000_000_000
FRAME = LocalFrame(47.0, 8.0, 400.0)
UP = -FRAME.gravity(0.0, 0.0, 0.0)[2]
BIAS: Vector = (0.004, -0.003, 0.002)
START = from_euler(0.05, -0.08, 0.0)  # roll, pitch, yaw from east


def drive(parameters: NavigationParameters, spin: float = 0.0) -> Aligned | None:
    """20 s at rest (or turning on the spot), then 1 m/s2 forward until the alignment is done."""
    alignment = Alignment(parameters)
    covariance = np.eye(3) * 0.05**2
    for i in range(1, 2400):
        seconds = 0.01 * i
        ahead = max(seconds - 20.0, 0.0)
        force = rotate(conjugate(START), (1.0 if ahead else 0.0, 0.0, UP))
        rate = (BIAS[0], BIAS[1], BIAS[2] + (spin if not ahead else 0.0))
        alignment.add_imu(i * S // 100, rate, force, 0.01)
        if i % 25:
            continue
        alignment.add_velocity(i * S // 100, (ahead, 0.0, 0.0), covariance)
        found = alignment.solve(i * S // 100, FRAME, (1.0, 0.0, 0.0, 0.0), 0.0)
        if found is not None:
            return found
    return None


def values(*, rest: bool) -> NavigationParameters:
    return from_mapping(
        NavigationParameters,
        {
            'alignment.rest': rest,
            'alignment.velocity_heading': True,
            'alignment.min_speed': 1.0,
            'imu.gyro_bias_sigma': 0.005,
        },
    )


def test_a_standstill_gives_bias_and_level() -> None:
    found = drive(values(rest=True))
    assert found is not None
    assert found.gyro_bias == pytest.approx(BIAS, abs=1e-4)
    assert 5e-5 < found.gyro_bias_sigma < 2e-4
    error = log(multiply(found.attitude, conjugate(START)))
    assert np.abs(error[:2]) == pytest.approx([0.0, 0.0], abs=2e-3)
    assert yaw(found.attitude) == pytest.approx(0.0, abs=0.02)
    assert found.heading_source == 'velocity'
    assert math.sqrt(found.covariance[0, 0]) < 0.01


def test_it_must_be_asked_for() -> None:
    found = drive(values(rest=False))
    assert found is not None
    assert found.gyro_bias == (0.0, 0.0, 0.0)
    assert found.gyro_bias_sigma == 0.005


def test_turning_on_the_spot_is_no_standstill() -> None:
    found = drive(values(rest=True), spin=0.1)
    assert found is not None
    assert found.gyro_bias == (0.0, 0.0, 0.0)
    assert found.gyro_bias_sigma == 0.005
