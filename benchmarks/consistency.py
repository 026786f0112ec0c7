# SPDX-License-Identifier: Apache-2.0
"""Consistency of the navigation filter: mean NEES of many simulated flights against its band.

The flights are kinematic: smooth rates and accelerations, integrated with the same strapdown
equations, so that noise, biases and (in one row) scale and misalignment are the only errors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meta_repo_ros.core.geodesy import LocalFrame
from meta_repo_ros.core.parameters import from_mapping
from meta_repo_ros.core.rotations import conjugate, exp, from_euler, log, multiply, rotate
from meta_repo_ros.core.statistics import mean_band, normalised_squared
from meta_repo_ros.core.time import NANOSECONDS
from meta_repo_ros.fusion.alignment import Aligned
from meta_repo_ros.fusion.measurements import Fix, GnssVelocity, Imu
from meta_repo_ros.fusion.navigation import Navigation
from meta_repo_ros.fusion.navigation_filter import ATTITUDE, NavigationFilter, ProcessNoise
from meta_repo_ros.fusion.navigation_parameters import NavigationParameters

Floats = NDArray[np.float64]

RATE_HZ = 100
GNSS_EVERY = 10  # samples
POSITION_SIGMA, VELOCITY_SIGMA = 1.0, 0.1  # m, m/s
TILT_SIGMA, HEADING_SIGMA = 0.01, 0.03  # rad, at start
FRAME = LocalFrame(47.26, 11.34, 1500.0)
_START = 1_750_000_000 * NANOSECONDS
MODELLED = {
    'imu.gyro_scale_sigma': 0.0,
    'imu.accel_scale_sigma': 0.0,
    'gnss.time_sigma': 0.0,
    'gnss.position_floor': 0.01,
    'gnss.velocity_floor': 0.01,
}


@dataclass(frozen=True)
class Flight:
    """True inertial data and states, one row per sample; the state at the end of the sample."""

    rate: Floats
    force: Floats
    position: Floats
    velocity: Floats
    attitude: Floats


def fly(seed: int, seconds: float) -> Flight:
    """A flight with turns, climbs and speed changes of random phase."""
    rng = np.random.default_rng(seed)
    phase = rng.uniform(0.0, 2.0 * math.pi, 6)
    n, dt = round(seconds * RATE_HZ), 1.0 / RATE_HZ
    truth = NavigationFilter(FRAME, ProcessNoise(0.0, 0.0, 0.0, 0.0, 0.0), 1e9)
    truth.velocity = (20.0, 0.0, 0.0)
    truth.attitude = from_euler(0.0, 0.0, float(rng.uniform(-3.0, 3.0)))
    rows: list[list[float]] = []
    for i in range(n):
        t = i * dt
        rate = (
            0.15 * math.sin(0.9 * t + phase[0]),
            0.10 * math.sin(0.7 * t + phase[1]),
            0.25 * math.sin(0.23 * t + phase[2]),
        )
        gx, gy, gz = FRAME.gravity(*truth.position)
        wanted = (
            2.5 * math.sin(0.31 * t + phase[3]) - gx,
            2.5 * math.sin(0.27 * t + phase[4]) - gy,
            1.0 * math.sin(0.41 * t + phase[5]) - gz,
        )
        force = rotate(conjugate(truth.attitude), wanted)
        truth.integrate(rate, force, dt)
        rows.append([*rate, *force, *truth.position, *truth.velocity, *truth.attitude])
    table = np.array(rows)
    return Flight(*np.split(table, [3, 6, 9, 12], axis=1))


def errors(
    seed: int, flight: Flight, parameters: NavigationParameters, imperfection: float
) -> tuple[Floats, Floats, Floats]:
    """NEES of attitude, of position, velocity and attitude, and of all 15 states, at 1 Hz."""
    rng = np.random.default_rng(10_000 + seed)
    p, dt = parameters.imu, 1.0 / RATE_HZ
    n = len(flight.rate)
    root = math.sqrt(dt)
    gyro_bias = p.gyro_bias_sigma * rng.standard_normal(3) + np.cumsum(
        p.gyro_bias_walk * root * rng.standard_normal((n, 3)), axis=0
    )
    accel_bias = p.accel_bias_sigma * rng.standard_normal(3) + np.cumsum(
        p.accel_bias_walk * root * rng.standard_normal((n, 3)), axis=0
    )
    gyro_map = np.eye(3) + imperfection * rng.standard_normal((3, 3))
    accel_map = np.eye(3) + imperfection * rng.standard_normal((3, 3))
    rates = flight.rate @ gyro_map.T + gyro_bias
    rates += p.gyro_noise / root * rng.standard_normal((n, 3))
    forces = flight.force @ accel_map.T + accel_bias
    forces += p.accel_noise / root * rng.standard_normal((n, 3))

    model = Navigation(parameters)
    model.frame = FRAME
    position_r, velocity_r = np.eye(3) * POSITION_SIGMA**2, np.eye(3) * VELOCITY_SIGMA**2
    spread = np.diag([TILT_SIGMA**2, TILT_SIGMA**2, HEADING_SIGMA**2])
    off = (np.sqrt(np.diagonal(spread)) * rng.standard_normal(3)).tolist()
    start = 1  # the first sample only starts the clock of the filter
    stamp = _START
    model.apply(stamp, Imu(tuple(rates[0].tolist()), tuple(forces[0].tolist())))
    aligned = Aligned(
        multiply(conjugate(exp(off)), flight.attitude[0].tolist()),
        spread,
        np.zeros((3, 3)),
        tuple((flight.velocity[0] + VELOCITY_SIGMA * rng.standard_normal(3)).tolist()),
        velocity_r,
        'test',
        (0.0, 0.0, 0.0),
        p.gyro_bias_sigma,
    )
    measured = flight.position[0] + POSITION_SIGMA * rng.standard_normal(3)
    model.start(stamp, Fix(*FRAME.to_geodetic(*measured.tolist()), position_r), aligned)
    attitude: list[float] = []
    motion: list[float] = []
    full: list[float] = []
    for i in range(start, n):
        stamp = _START + i * NANOSECONDS // RATE_HZ
        model.apply(stamp, Imu(tuple(rates[i].tolist()), tuple(forces[i].tolist())))
        if i % GNSS_EVERY == 0:
            v = flight.velocity[i] + VELOCITY_SIGMA * rng.standard_normal(3)
            model.apply(stamp, GnssVelocity(tuple(v.tolist()), velocity_r))
            x = flight.position[i] + POSITION_SIGMA * rng.standard_normal(3)
            model.apply(stamp, Fix(*FRAME.to_geodetic(*x.tolist()), position_r))
        if i % RATE_HZ == 0 and model.filter is not None:
            f = model.filter
            f.propagate_covariance()
            error = np.concatenate(
                [
                    flight.position[i] - f.position,
                    flight.velocity[i] - f.velocity,
                    log(multiply(flight.attitude[i].tolist(), conjugate(f.attitude))),
                    gyro_bias[i] - f.gyro_bias,
                    accel_bias[i] - f.accel_bias,
                ]
            )
            c = f.covariance[:15, :15]
            attitude.append(normalised_squared(error[ATTITUDE], c[ATTITUDE, ATTITUDE]))
            motion.append(normalised_squared(error[:9], c[:9, :9]))
            full.append(normalised_squared(error, c))
    return np.array(attitude), np.array(motion), np.array(full)


def row(runs: int, seconds: float, values: dict[str, Any], imperfection: float) -> dict[str, Any]:
    """Mean NEES over ``runs`` flights and how often it lies in the 95 % band."""
    parameters = from_mapping(NavigationParameters, values)
    both = [errors(s, fly(s, seconds), parameters, imperfection) for s in range(runs)]
    result: dict[str, Any] = {'runs': runs, 'seconds': seconds}
    for k, (name, dof) in enumerate((('attitude', 3), ('motion', 9), ('full_state', 15))):
        mean = np.mean([flight[k] for flight in both], axis=0)
        low, high = mean_band(dof, runs)
        result[name] = {
            'dof': dof,
            'band': [round(low, 2), round(high, 2)],
            'mean_nees': round(float(mean.mean()), 2),
            'inside': round(float(np.mean((mean >= low) & (mean <= high))), 3),
            'above': round(float(np.mean(mean > high)), 3),
        }
    return result


def rows(*, quick: bool) -> list[dict[str, Any]]:
    """Rows of the benchmark."""
    runs, seconds = (12, 20.0) if quick else (50, 60.0)
    return [
        {
            'figure': 'NEES, only modelled errors',
            'bar': '' if quick else 'inside >= 0.9 for both',
            **row(runs, seconds, MODELLED, 0.0),
        },
        {
            'figure': 'NEES, scale and misalignment 0.2 % (1 sigma), shipped parameters',
            **row(runs, seconds, {}, 0.002),
        },
    ]
