# SPDX-License-Identifier: Apache-2.0
"""Simulated attitude runs that hold exactly the errors that the filter models.

For consistency: over many runs the normalised estimation error squared (NEES) of the attitude must
average 3 where the covariance is honest (Bar-Shalom, Li, Kirubarajan, 2001, section 5.4).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from meta_repo_ros.core import rotations as rot
from meta_repo_ros.core.parameters import updated
from meta_repo_ros.fusion.attitude_filter import AttitudeFilter
from meta_repo_ros.fusion.attitude_parameters import AttitudeParameters
from meta_repo_ros.fusion.attitude_state import AttitudeSample, FieldSample, ImuSample

Array = NDArray[np.float64]

IMU_RATE, FIELD_RATE = 100, 50  # Hz
FIELD = (0.0, 2.0e-5, -4.4e-5)  # T, east north up
STAR_SIGMA = math.radians(0.01)
START = 1_000_000_000  # ns


@dataclass(frozen=True)
class Run:
    """One run, at the times of the IMU samples.

    Attributes:
        stamps: (n,) ns.
        truth: (n, 4) body to ENU, w first.
        rate: (n, 3) measured, rad/s.
        force: (n, 3) measured, m/s2.
        field: (n, 3) measured, T; NaN where there is none.
        stars: (n, 4) measured attitude; NaN where there is none.
    """

    stamps: NDArray[np.int64]
    truth: Array
    rate: Array
    force: Array
    field: Array
    stars: Array


def modelled(parameters: AttitudeParameters) -> AttitudeParameters:
    """``parameters`` without what adapts to unmodelled errors."""
    return updated(
        parameters,
        {
            'motion.acceleration_time': 0.0,
            'magnetometer.disturbance_gain': 0.0,
            'rest.enabled': False,
            'stars.noise_floor': 0.0,
        },
    )


def _gauss_markov(rng: np.random.Generator, shape: tuple[int, int], decay: float) -> Array:
    """First-order process of unit variance that starts in its steady state."""
    noise = rng.standard_normal(shape)
    out = np.empty(shape)
    out[0] = noise[0]
    drive = math.sqrt(1.0 - decay * decay)
    for i in range(1, shape[0]):
        out[i] = decay * out[i - 1] + drive * noise[i]
    return out


def simulate(
    parameters: AttitudeParameters, seed: int, duration: float, *, star_interval: float = 0.0
) -> Run:
    """Simulate a tumbling, swaying sensor with the errors that ``parameters`` describe.

    Args:
        parameters: error model, as :func:`modelled` gives it.
        seed: of everything random.
        duration: s.
        star_interval: time between star attitudes of 0.01 deg, s; 0 for none.
    """
    p, rng = parameters, np.random.default_rng(seed)
    dt = 1.0 / IMU_RATE
    n = round(duration * IMU_RATE)
    time = np.arange(n) * dt
    # smooth rates up to about 1 rad/s: three sines per axis
    frequency = rng.uniform(0.05, 0.5, (3, 3))
    phase = rng.uniform(0.0, 2.0 * math.pi, (3, 3))
    amplitude = rng.uniform(0.1, 0.4, (3, 3))
    angle = 2.0 * math.pi * frequency[None] * time[:, None, None] + phase
    turning = (amplitude * np.sin(angle)).sum(axis=2)
    truth = np.empty((n, 4))
    q = rot.exp(rng.normal(0.0, 0.7, 3).tolist())
    for i, step in enumerate(rot.exp_array(turning * dt).tolist()):
        q = rot.normalize(rot.multiply(q, step))
        truth[i] = q

    gyro, acc = p.gyroscope, p.accelerometer
    speed = np.linalg.norm(turning, axis=1, keepdims=True)
    density = np.sqrt(gyro.noise_density**2 + (gyro.rate_noise * speed) ** 2)
    walk = np.cumsum(rng.standard_normal((n, 3)), axis=0) * (gyro.bias_walk * math.sqrt(dt))
    bias = rng.normal(0.0, gyro.bias_sigma, 3) + walk
    rate = turning + bias + density / math.sqrt(dt) * rng.standard_normal((n, 3))

    sway = _gauss_markov(rng, (n, 3), math.exp(-dt / p.motion.velocity_time))
    velocity = p.motion.velocity_sigma * sway
    push = np.diff(velocity, axis=0, prepend=velocity[:1]) / dt
    size = np.linalg.norm(push, axis=1, keepdims=True)
    density = np.sqrt(acc.noise_density**2 + (acc.acceleration_noise * size) ** 2)
    force = rot.rotate_array(rot.conjugate_array(truth), push + np.array((0.0, 0.0, p.gravity)))
    force += rng.normal(0.0, acc.bias_sigma, 3)
    force += density / math.sqrt(dt) * rng.standard_normal((n, 3))

    mag = p.magnetometer
    deviation = mag.disturbance_sigma * _gauss_markov(
        rng, (n, 1), math.exp(-dt / mag.disturbance_time)
    )
    deviation += mag.lag * speed * rng.standard_normal((n, 1))
    turned = rot.rotate_array(rot.exp_array(deviation * (0.0, 0.0, 1.0)), np.array(FIELD))
    field = rot.rotate_array(rot.conjugate_array(truth), turned)
    field += mag.noise * rng.standard_normal((n, 3))
    field[np.arange(n) % (IMU_RATE // FIELD_RATE) != 0] = np.nan

    stars = np.full((n, 4), np.nan)
    if star_interval > 0.0:
        every = round(star_interval * IMU_RATE)
        error = rot.exp_array(STAR_SIGMA * rng.standard_normal((n, 3)))
        stars[::every] = rot.multiply_array(error, truth)[::every]
    return Run(START + np.rint(time * 1e9).astype(np.int64), truth, rate, force, field, stars)


def attitude_nees(parameters: AttitudeParameters, run: Run, interval: float) -> Array:
    """NEES of the attitude every ``interval`` seconds of a run."""
    model = AttitudeFilter(parameters)
    every = round(interval * IMU_RATE)
    covariance = tuple((STAR_SIGMA**2 * np.eye(3)).ravel().tolist())
    nees = []
    rows = zip(
        run.stamps.tolist(), run.rate.tolist(), run.force.tolist(), run.field.tolist(),
        run.stars.tolist(), strict=True,
    )  # fmt: skip
    for i, (stamp, rate, force, field, stars) in enumerate(rows):
        model.apply(stamp, ImuSample(tuple(rate), tuple(force)))
        if not math.isnan(field[0]):
            model.apply(stamp, FieldSample(tuple(field)))
        if not math.isnan(stars[0]):
            model.apply(stamp, AttitudeSample(tuple(stars), covariance))
        if i % every == every - 1:
            model.update()
            q = model.state.orientation
            error = np.array(rot.log(rot.multiply(run.truth[i].tolist(), rot.conjugate(q))))
            nees.append(float(error @ np.linalg.solve(model.rotation_covariance, error)))
    return np.array(nees)
