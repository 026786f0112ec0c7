# SPDX-License-Identifier: Apache-2.0
"""How the camera sits on the body, and the gyroscope's bias, from turns seen by both.

Between two frames the body turns by what the gyroscope integrates to, the camera by what the stars
say; the mounting makes one the other (hand-eye calibration, Tsai & Lenz 1989, here as least
squares with the bias). Turns about one axis alone leave the mounting about that axis unknown.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from meta_repo_ros.core import rotations
from meta_repo_ros.core.rotations import Quaternion
from meta_repo_ros.starnav.calibration_solver import Equations, solve
from meta_repo_ros.starnav.types import Array, Bools, Ints

_LONGEST = 30.0  # s: frames further apart make no pair
_GAP = 0.2  # s without a gyroscope reading: the turn over it is not known
_PASSES = 4
_HELD_OUT = 4  # one turn of so many
_MOUNTING_SIGMA = 0.5  # rad: where the motion shows nothing, nothing much is changed


@dataclass(frozen=True)
class Mounting:
    """The result.

    Attributes:
        camera_to_body: w first.
        sigma: (3,) about body axes, rad; infinite where it was not asked for.
        gyro_bias: (3,) rad/s, body axes.
        gyro_bias_sigma: (3,) rad/s.
        before: rms of the turns' differences per axis with the old values, on turns held out, rad.
        after: the same with new ones found from the other turns.
        pairs: turns that were compared.
    """

    camera_to_body: Quaternion
    sigma: Array
    gyro_bias: Array
    gyro_bias_sigma: Array
    before: float
    after: float
    pairs: int


@dataclass(frozen=True)
class _Turns:
    """Turns between frames.

    Attributes:
        camera: (n, 4) quaternions, by the stars, camera axes.
        gyro: (n, 4) by the gyroscope less the bias, body axes.
        by_bias: (n, 3, 3) derivative of the turn's vector (body axes at its end) by the bias.
        sigma: (n, 3) standard deviations, rad, body axes.
    """

    camera: Array
    gyro: Array
    by_bias: Array
    sigma: Array

    def take(self, which: Bools) -> _Turns:
        """Some of them."""
        return _Turns(self.camera[which], self.gyro[which], self.by_bias[which], self.sigma[which])


@dataclass(frozen=True)
class Motion:
    """What was seen and felt.

    Attributes:
        stamps: (n,) of the frames, ns, ascending.
        attitudes: (n, 3, 3) ICRS to camera.
        covariances: (n, 3, 3) of them, rad2, camera axes.
        gyro_time: (m,) ns, ascending.
        gyro_rate: (m, 3) rad/s, body axes; each holds for the interval that ends at its stamp.
        gyro_noise: rad/s/sqrt(Hz).
    """

    stamps: Sequence[int]
    attitudes: Array
    covariances: Array
    gyro_time: Ints
    gyro_rate: Array
    gyro_noise: float


def estimate(
    motion: Motion,
    mounting: Quaternion,
    bias: Array,
    *,
    fixed_mounting: bool,
    bias_sigma: float = 0.02,
) -> Mounting | None:
    """Mounting and bias from frames and gyroscope readings.

    Args:
        motion: frames and readings.
        mounting: camera to body as known until now, w first.
        bias: (3,) rad/s as known until now.
        fixed_mounting: whether only the bias is sought.
        bias_sigma: spread of biases about the known one, rad/s.

    Returns:
        None where fewer than two turns lie between the readings.
    """
    known = np.asarray(bias, dtype=float)
    turns = _turns(motion, known, mounting)
    count = len(turns.gyro)
    if count < 2:
        return None
    # judged by turns that were held out, then found from all
    held = np.arange(count) % _HELD_OUT == _HELD_OUT // 2
    used = ~held if count >= _HELD_OUT else np.ones(count, bool)
    held = held if count >= _HELD_OUT else used

    def fit(which: Bools) -> tuple[Quaternion, Array, Array]:
        return _fit(motion, mounting, known, which, fixed=fixed_mounting, bias_sigma=bias_sigma)

    trial, trial_bias, _ = fit(used)
    before = _rms(turns.take(held), mounting)
    after = _rms(_turns(motion, trial_bias, trial).take(held), trial)
    found, found_bias, deviation = fit(np.ones(count, bool))
    return Mounting(found, deviation[3:], found_bias, deviation[:3], before, after, count)


def _fit(
    motion: Motion,
    start: Quaternion,
    known: Array,
    which: Bools,
    *,
    fixed: bool,
    bias_sigma: float,
) -> tuple[Quaternion, Array, Array]:
    """Mounting, bias, and standard deviations (6,) of bias and mounting."""
    mounting, bias = start, known
    size = 3 if fixed else 6
    deviation = np.full(6, math.inf)
    for _ in range(_PASSES):
        turns = _turns(motion, bias, mounting).take(which)
        offset = rotations.log(rotations.multiply(mounting, rotations.conjugate(start)))
        prior = np.concatenate(((bias - known) / bias_sigma, np.asarray(offset) / _MOUNTING_SIGMA))
        equations = _equations(turns, mounting, prior[:size], bias_sigma)
        x, covariance, _ = solve(equations, np.zeros(size), 3 * len(turns.gyro))
        deviation[:size] = np.sqrt(np.maximum(np.diag(covariance), 0.0))
        bias = bias + x[:3]
        if not fixed:
            mounting = rotations.multiply(rotations.exp(x[3:].tolist()), mounting)
    return rotations.normalize(mounting), bias, deviation


def _equations(turns: _Turns, mounting: Quaternion, prior: Array, bias_sigma: float) -> Equations:
    """Residuals of bias (3) and small turn of the mounting (3), linear about what is known."""
    difference = (_difference(turns, mounting) / turns.sigma).ravel()
    # turned with the mounting, the camera's turn S becomes m S m^-1: S^-1 moves by (G - 1) m
    by_mounting = np.array([rotations.to_matrix(q) for q in turns.gyro.tolist()]) - np.eye(3)
    both = np.concatenate((turns.by_bias, by_mounting), axis=2)[:, :, : len(prior)]
    rows = (both / turns.sigma[:, :, np.newaxis]).reshape(-1, len(prior))
    spread = np.array([bias_sigma] * 3 + [_MOUNTING_SIGMA] * 3)[: len(prior)]
    jacobian = np.vstack((rows, np.diag(1.0 / spread)))

    def equations(x: Array) -> tuple[Array, Array]:
        return np.concatenate((difference + rows @ x, prior + x / spread)), jacobian

    return equations


def _difference(turns: _Turns, mounting: Quaternion) -> Array:
    """Turns (n, 3) by the gyroscope against those by the camera, body axes, rad."""
    seen = rotations.multiply_array(
        rotations.multiply_array(mounting, turns.camera), rotations.conjugate(mounting)
    )
    return rotations.log_array(
        rotations.multiply_array(turns.gyro, rotations.conjugate_array(seen))
    )


def _rms(turns: _Turns, mounting: Quaternion) -> float:
    return float(np.sqrt(np.mean(_difference(turns, mounting) ** 2)))


def _turns(motion: Motion, bias: Array, mounting: Quaternion) -> _Turns:
    time, rate, stamps = motion.gyro_time, motion.gyro_rate, motion.stamps
    to_body = rotations.to_matrix(mounting)
    camera, integrated, derivative, sigma = [], [], [], []
    quaternion = [rotations.from_matrix(r) for r in motion.attitudes]
    for i in range(len(stamps) - 1):
        begin, end = stamps[i], stamps[i + 1]
        seconds = (end - begin) * 1e-9
        if not 0.0 < seconds <= _LONGEST:
            continue
        # readings whose intervals touch the pair's; the first and the last one count in part
        first = int(np.searchsorted(time, begin, side='right'))
        last = int(np.searchsorted(time, end, side='left'))
        edges = np.concatenate(((begin,), time[first:last], (end,)))
        if first == 0 or last >= len(time):
            continue
        length = np.diff(edges) * 1e-9
        if float(np.diff(time[first - 1 : last + 1]).max()) * 1e-9 > _GAP:
            continue
        turn, by_bias = _integrate(rate[first : last + 1] - bias, length)
        camera.append(rotations.multiply(quaternion[i + 1], rotations.conjugate(quaternion[i])))
        integrated.append(turn)
        derivative.append(by_bias)
        both = to_body @ (motion.covariances[i] + motion.covariances[i + 1]) @ to_body.T
        sigma.append(np.sqrt(np.diag(both) + motion.gyro_noise**2 * seconds))
    return _Turns(
        np.array(camera).reshape(-1, 4),
        np.array(integrated).reshape(-1, 4),
        np.array(derivative).reshape(-1, 3, 3),
        np.array(sigma).reshape(-1, 3),
    )


def _integrate(rate: Array, length: Array) -> tuple[Quaternion, Array]:
    """Turn of body axes as a quaternion, and the derivative of its vector by the bias.

    Components of a fixed vector turn the other way than the body.
    """
    q: Quaternion = rotations.IDENTITY
    by_bias = np.zeros((3, 3))
    for step, dt in zip((-rate * length[:, np.newaxis]).tolist(), length.tolist(), strict=True):
        part = rotations.exp(step)
        q = rotations.multiply(part, q)
        # less bias is more turn: exp(-(w - b) dt)
        by_bias = rotations.to_matrix(part) @ by_bias + dt * np.eye(3)
    return rotations.normalize(q), by_bias
