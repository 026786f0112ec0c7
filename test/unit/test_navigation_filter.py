# SPDX-License-Identifier: Apache-2.0
"""The error-state filter: integration against analytic motion, linearisation against itself."""

from __future__ import annotations

import math

import numpy as np
import pytest

from meta_repo_ros.core.geodesy import EARTH_RATE, LocalFrame
from meta_repo_ros.core.rotations import conjugate, exp, from_euler, log, multiply, rotate, yaw
from meta_repo_ros.fusion.navigation_filter import SIZE, NavigationFilter, ProcessNoise

FRAME = LocalFrame(47.26, 11.34, 600.0)
QUIET = ProcessNoise(0.0, 0.0, 0.0, 0.0, 0.0)


def make(noise: ProcessNoise = QUIET, interval: float = 0.04) -> NavigationFilter:
    return NavigationFilter(FRAME, noise, interval)


def test_at_rest_it_stays_for_a_minute() -> None:
    f = make()
    f.attitude = from_euler(0.1, -0.2, 1.0)
    to_body = conjugate(f.attitude)
    gravity = FRAME.gravity(0.0, 0.0, 0.0)
    rate = rotate(to_body, FRAME.earth_rate)
    force = rotate(to_body, (-gravity[0], -gravity[1], -gravity[2]))
    for _ in range(6000):
        f.integrate(rate, force, 0.01)
    assert f.position == pytest.approx((0.0, 0.0, 0.0), abs=1e-4)
    assert f.velocity == pytest.approx((0.0, 0.0, 0.0), abs=1e-5)
    assert f.attitude == pytest.approx(from_euler(0.1, -0.2, 1.0), abs=1e-9)


def test_without_earth_rate_compensation_it_would_turn() -> None:
    f = make()
    gravity = FRAME.gravity(0.0, 0.0, 0.0)
    for _ in range(1000):
        f.integrate((0.0, 0.0, 0.0), (0.0, 0.0, -gravity[2]), 0.01)
    assert yaw(f.attitude) == pytest.approx(
        -10.0 * EARTH_RATE * math.sin(math.radians(47.26)), rel=1e-3
    )


def test_circle() -> None:
    """A level turn: radius v / w, centripetal force v w, back at the start after one turn."""
    f, speed, rate = make(), 15.0, 2.0 * math.pi / 20.0
    f.velocity = (speed, 0.0, 0.0)
    farthest, dt = 0.0, 0.005
    for _ in range(4000):
        g = FRAME.gravity(*f.position)
        _, en, eu = FRAME.earth_rate
        v = f.velocity
        # what an accelerometer feels besides: Coriolis of the turning Earth
        earth = (2 * (en * v[2] - eu * v[1]) - g[0], 2 * eu * v[0] - g[1], -2 * en * v[0] - g[2])
        middle = multiply(f.attitude, exp((0.0, 0.0, 0.5 * rate * dt)))
        pull = (-speed * rate * math.sin(yaw(middle)), speed * rate * math.cos(yaw(middle)), 0.0)
        force = rotate(conjugate(middle), tuple(a + b for a, b in zip(pull, earth, strict=True)))
        spin = rotate(conjugate(middle), FRAME.earth_rate)
        f.integrate((spin[0], spin[1], spin[2] + rate), force, dt)
        farthest = max(farthest, math.hypot(*f.position[:2]))
    assert farthest == pytest.approx(2.0 * speed / rate, rel=1e-3)
    assert f.position == pytest.approx((0.0, 0.0, 0.0), abs=0.02)
    assert f.velocity == pytest.approx((speed, 0.0, 0.0), abs=1e-3)


def fly(error: np.ndarray) -> NavigationFilter:
    """0.4 s of manoeuvre from a start that is off by ``error``."""
    f = make(interval=0.04)
    f.position, f.velocity = (200.0, -300.0, 50.0), (20.0, -5.0, 2.0)
    f.attitude = from_euler(0.3, -0.2, 2.0)
    f.correct(error)
    for i in range(40):
        f.integrate((0.4, -0.3 + 0.01 * i, 0.5), (1.0, -2.0 + 0.05 * i, 10.5), 0.01)
    return f


def difference(a: NavigationFilter, b: NavigationFilter) -> np.ndarray:
    return np.concatenate([
        np.subtract(b.position, a.position), np.subtract(b.velocity, a.velocity),
        log(multiply(b.attitude, conjugate(a.attitude))),
        np.subtract(b.gyro_bias, a.gyro_bias), np.subtract(b.accel_bias, a.accel_bias),
        [b.baro_bias - a.baro_bias],
    ])  # fmt: skip


def test_covariance_propagates_as_errors_do() -> None:
    """P = F F' for P0 = 1: the F of finite differences gives the same covariance."""
    reference = fly(np.zeros(SIZE))
    steps = np.array([1e-2] * 3 + [1e-2] * 3 + [1e-4] * 3 + [1e-4] * 3 + [1e-3] * 3 + [1e-2])
    jacobian = np.column_stack([
        difference(reference, fly(steps[i] * np.eye(SIZE)[i])) / steps[i] for i in range(SIZE)
    ])  # fmt: skip
    expected = jacobian @ jacobian.T
    scale = np.sqrt(np.outer(np.diagonal(expected), np.diagonal(expected)))
    assert np.abs((reference.covariance - expected) / scale).max() < 2e-3


def test_decimated_covariance_is_nearly_that_of_each_sample() -> None:
    noise = ProcessNoise(1e-2, 0.1, 1e-3, 1e-2, 0.1)
    both = []
    for interval in (0.01, 0.04):
        f = make(noise, interval)
        f.covariance = np.eye(SIZE) * 1e-4
        for _ in range(400):
            f.integrate((0.4, -0.3, 0.5), (1.0, -2.0, 10.5), 0.01)
        both.append(f.covariance)
    assert np.diagonal(both[1]) == pytest.approx(np.diagonal(both[0]), rel=0.01)


def test_update_moves_towards_the_measurement_and_shrinks_the_covariance() -> None:
    f = make()
    f.covariance = np.eye(SIZE)
    h = np.zeros((3, SIZE))
    h[:, :3] = np.eye(3)
    gain, s = f.innovation_covariance(h, np.eye(3))
    f.update(h, np.eye(3), np.array([2.0, -4.0, 6.0]), gain, s)
    assert f.position == pytest.approx((1.0, -2.0, 3.0))
    assert np.diagonal(f.covariance)[:3] == pytest.approx([0.5] * 3)
    assert np.diagonal(f.covariance)[3:] == pytest.approx([1.0] * 13)


def test_attitude_correction_is_a_rotation_about_the_frame_axes() -> None:
    f = make()
    f.attitude = from_euler(0.0, 0.0, 1.0)
    error = np.zeros(SIZE)
    error[8] = 0.2
    f.correct(error)
    assert yaw(f.attitude) == pytest.approx(1.2)


def test_dead_reckoning_grows_as_predicted() -> None:
    noise = ProcessNoise(1e-3, 1e-2, 0.0, 0.0, 0.0)
    f = make(noise)
    f.covariance = np.diag([1.0] * 3 + [0.01] * 3 + [1e-5] * 3 + [1e-7] * 3 + [1e-4] * 3 + [1.0])
    predicted = f.horizontal_sigma_after(20.0)
    gravity = FRAME.gravity(0.0, 0.0, 0.0)
    for _ in range(2000):
        f.integrate((0.0, 0.0, 0.0), (0.0, 0.0, -gravity[2]), 0.01)
    f.propagate_covariance()
    assert f.horizontal_sigma_after(0.0) == pytest.approx(predicted, rel=0.03)


def test_snapshot_is_the_whole_state() -> None:
    f = fly(np.zeros(SIZE))
    saved = f.snapshot()
    ends = []
    for _ in range(2):
        f.restore(saved)
        for _ in range(7):
            f.integrate((0.1, 0.2, 0.3), (0.5, 0.1, 9.9), 0.013)
        f.propagate_covariance()
        ends.append((f.position, f.velocity, f.attitude, f.covariance.tobytes()))
    assert ends[0] == ends[1]


def test_vibration_makes_attitude_uncertain_about_the_axis_that_shakes() -> None:
    """White noise of density ``vibration`` times the rate's standard deviation."""
    f = make(ProcessNoise(0.0, 0.0, 0.0, 0.0, 0.0, vibration=0.04))
    f.attitude = from_euler(0.0, 0.0, math.pi / 2.0)
    f.covariance = np.zeros((SIZE, SIZE))
    up = -FRAME.gravity(0.0, 0.0, 0.0)[2]
    amplitude, dt = 0.5, 0.005
    for i in range(2000):
        shake = amplitude * math.sin(2.0 * math.pi * 30.0 * i * dt)
        f.integrate((0.0, shake, 0.0), (0.0, 0.0, up), dt)
    f.propagate_covariance()
    sigma = np.sqrt(np.diagonal(f.covariance)[6:9])
    # body y points west; half a second goes by until the mean has settled
    assert sigma[0] == pytest.approx(0.04 * amplitude / math.sqrt(2.0) * math.sqrt(10.0), rel=0.1)
    assert (sigma[1:] < 1e-3 * sigma[0]).all()


def test_without_vibration_noise_nothing_is_watched() -> None:
    f = make()
    f.covariance = np.zeros((SIZE, SIZE))
    for i in range(200):
        f.integrate((0.0, math.sin(0.9 * i), 0.0), (0.0, 0.0, 9.8), 0.005)
    f.propagate_covariance()
    assert not f.covariance.any()
