# SPDX-License-Identifier: Apache-2.0
"""Attitude between star images: multiplicative error-state Kalman filter with the gyroscope.

State: attitude ICRS to body, gyroscope bias, and the gyroscope's matrix of scale errors and
misalignments (nine small numbers: with them the filter stays consistent through turns, and its bias
does not have to follow each change of rate). The attitude error is a rotation vector in body axes:
``C_true = exp(e x) C``.

Sources: Markley, Crassidis, Fundamentals of Spacecraft Attitude Determination and Control (2014),
sections 3.1 and 6.2.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from meta_repo_ros.core.gates import Gate, GateLimits, Verdict
from meta_repo_ros.core.rotations import (
    IDENTITY,
    Quaternion,
    Vector,
    conjugate,
    exp,
    log,
    multiply,
    normalize,
    to_matrix,
)
from meta_repo_ros.core.time import NANOSECONDS
from meta_repo_ros.starnav.filter_parameters import FilterParameters

Array = NDArray[np.float64]

SIZE = 15
ATTITUDE, BIAS, MATRIX = slice(0, 3), slice(3, 6), slice(6, 15)
_EYE3 = np.eye(3)
_ZERO3: Vector = (0.0, 0.0, 0.0)
_ZERO9 = (0.0,) * 9
# Rotation that nobody measured, for gaps of the gyroscope, rad/s
_GAP_RATE = 0.3


class Gyro(NamedTuple):
    """Angular rate of the body against inertial space, rad/s, body axes."""

    rate: Vector


class StarImage(NamedTuple):
    """Attitude by one image: ICRS to body, covariance (3, 3) rad2 in body axes."""

    attitude: Quaternion
    covariance: Array


class AttitudeFilter:
    """The filter as a function of a sequence of gyroscope samples and images.

    It is the model that a :class:`~meta_repo_ros.core.window.ReplayWindow` drives: all that a
    measurement changes is in its snapshots.

    Args:
        parameters: of the filter.

    Attributes:
        aligned: whether there is an attitude.
        time: of the state, ns.
        attitude: ICRS to body, w first.
        bias: rad/s, body axes; subtracted from the measured rate.
        matrix: nine elements, row by row; times the rate, it is subtracted as well.
        rate: last rate without bias, rad/s, body axes.
        covariance: (15, 15) of the errors of attitude (body axes), bias, matrix.
        images: used since the start, that which it began with included.
        gaps: of the gyroscope, bridged or not.
        alignments: how often it began anew.
        innovation: of the last image, rad, body axes, accepted or not.
    """

    def __init__(self, parameters: FilterParameters) -> None:
        self.gate = Gate(3, _limits(parameters))
        self.configure(parameters)
        self.aligned = False
        self.time = 0
        self.attitude: Quaternion = IDENTITY
        self.bias: Vector = _ZERO3
        self.matrix: tuple[float, ...] = _ZERO9
        self.rate: Vector = _ZERO3
        self.covariance: Array = np.zeros((SIZE, SIZE))
        self.images = self.gaps = self.alignments = 0
        self.innovation: Vector = _ZERO3
        self._measured: Vector = _ZERO3  # rate of the last sample
        self._gyro_stamp: int | None = None
        self._waiting: tuple[tuple[int, StarImage], ...] = ()  # images after the last sample
        self._gathered: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)

    def configure(self, parameters: FilterParameters) -> None:
        """Take changed parameters; the state stays."""
        self.parameters = parameters
        self.noise = parameters.gyro.noise
        self.gate.configure(_limits(parameters))

    @property
    def sigma(self) -> Vector:
        """Standard deviation of the attitude about body x, y, z, rad; infinite before the start."""
        if not self.aligned:
            return (math.inf, math.inf, math.inf)
        p = self.covariance
        return (math.sqrt(p[0, 0]), math.sqrt(p[1, 1]), math.sqrt(p[2, 2]))

    # -- the window's model ------------------------------------------------------------------------
    def apply(self, stamp: int, measurement: Gyro | StarImage) -> None:
        """Take one measurement with its time of validity, ns; stamps never fall."""
        if isinstance(measurement, StarImage):
            # The sample after it tells the rate up to it
            self._waiting = (*self._waiting[-3:], (stamp, measurement))
            return
        before, self._gyro_stamp = self._gyro_stamp, stamp
        old, self._measured = self._measured, measurement.rate
        if before is None:
            # Nobody measured how it turned before
            horizon = stamp - self.parameters.gap_tolerance * NANOSECONDS
            self._waiting = tuple(pair for pair in self._waiting if pair[0] >= horizon)
            self.time = before = stamp
        dt = (stamp - before) / NANOSECONDS
        rate = measurement.rate
        if not self.parameters.interval_mean:
            (a, b, c), (d, e, f) = old, rate
            rate = (0.5 * (a + d), 0.5 * (b + e), 0.5 * (c + f))
        gap = dt > self.parameters.gap_tolerance
        if gap:
            self._bridge(dt)
        alignments = self.alignments
        self._take_waiting(stamp, rate)
        if gap and self.alignments != alignments:
            self._inflate((stamp - self.time) / NANOSECONDS)
        self._advance(stamp, rate)

    def snapshot(self) -> Any:
        """The whole state."""
        return (
            self.aligned, self.time, self.attitude, self.bias, self.matrix, self.rate, self.images,
            self.gaps, self.alignments, self.innovation, self._measured, self._gyro_stamp,
            self._waiting, self._gathered, self.gate.snapshot(), self.covariance,
        )  # fmt: skip

    def restore(self, snapshot: Any) -> None:
        """Back to :meth:`snapshot`."""
        (
            self.aligned, self.time, self.attitude, self.bias, self.matrix, self.rate, self.images,
            self.gaps, self.alignments, self.innovation, self._measured, self._gyro_stamp,
            self._waiting, self._gathered, gate, self.covariance,
        ) = snapshot  # fmt: skip
        self.gate.restore(gate)

    # -- time --------------------------------------------------------------------------------------
    def corrected(self, rate: Vector) -> Vector:
        """A measured rate without bias, scale error and misalignment, rad/s."""
        x, y, z = rate
        bx, by, bz = self.bias
        a, b, c, d, e, f, g, h, i = self.matrix
        return (
            x - bx - a * x - b * y - c * z,
            y - by - d * x - e * y - f * z,
            z - bz - g * x - h * y - i * z,
        )

    def _advance(self, stamp: int, rate: Vector) -> None:
        """Move to ``stamp`` with a constant measured rate."""
        dt = (stamp - self.time) / NANOSECONDS
        self.time = stamp
        if dt <= 0.0 or not self.aligned:
            return
        x, y, z = self.rate = self.corrected(rate)
        x, y, z = x * dt, y * dt, z * dt
        self.attitude = _unit(multiply(exp((-x, -y, -z)), self.attitude))
        t, sx, sy, sz = self._gathered
        self._gathered = (t + dt, sx + x, sy + y, sz + z)
        if t + dt >= self.parameters.covariance_interval:
            self.propagate_covariance()

    def propagate_covariance(self) -> None:
        """Bring the covariance to the time of the state."""
        t, x, y, z = self._gathered
        if t == 0.0:
            return
        self._gathered = (0.0, 0.0, 0.0, 0.0)
        turn = to_matrix(exp((-x, -y, -z)))
        mean = 0.5 * (_EYE3 + turn)
        # Rows of the transition that are not those of the identity: e' = F e + J (t db + dM s)
        rows = np.empty((3, SIZE))
        rows[:, ATTITUDE] = turn
        rows[:, BIAS] = t * mean
        rows[:, MATRIX] = (mean[:, :, None] * np.array((x, y, z))).reshape(3, 9)
        p = self.covariance.copy()
        top = rows @ p
        p[ATTITUDE] = top
        p[:, ATTITUDE] = top.T
        p[ATTITUDE, ATTITUDE] = top @ rows.T
        n = self.noise
        walk = n.bias_walk * n.bias_walk
        d = p.ravel()[:: SIZE + 1]  # view of the diagonal
        d[0:3] += n.angle_random_walk * n.angle_random_walk * t + walk * t * t * t / 3.0
        d[3:6] += walk * t
        self.covariance = p

    def _bridge(self, dt: float) -> None:
        """The gyroscope was silent for ``dt`` s."""
        self.gaps += 1
        if not self.aligned:
            return
        self.propagate_covariance()
        if dt > self.parameters.max_gap:
            self.aligned = False
            return
        self._inflate(dt)

    def _inflate(self, dt: float) -> None:
        """Nobody measured how it turned for ``dt`` s."""
        p = self.covariance.copy()
        p[ATTITUDE, ATTITUDE] += _EYE3 * (_GAP_RATE * dt) ** 2
        self.covariance = p

    # -- images ------------------------------------------------------------------------------------
    def _take_waiting(self, stamp: int, rate: Vector) -> None:
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, ()
        for when, image in waiting:
            if self.aligned:
                self._advance(max(when, self.time), rate)
                self._update(when, image)
            elif when <= stamp:
                self._begin(when, image)

    def _begin(self, stamp: int, image: StarImage) -> None:
        """Start from an image; what is known of the gyroscope stays."""
        first = self.alignments == 0
        n = self.noise
        p = np.zeros((SIZE, SIZE))
        p[ATTITUDE, ATTITUDE] = self._floored(image.covariance)
        if first:
            p[BIAS, BIAS] = _EYE3 * n.bias_sigma**2
            p[MATRIX, MATRIX] = np.eye(9) * n.scale_sigma**2
        else:
            p[3:, 3:] = self.covariance[3:, 3:]
        self.covariance = p
        self.attitude, self.time = normalize(image.attitude), stamp
        self._gathered = (0.0, 0.0, 0.0, 0.0)
        self.aligned = True
        self.alignments += 1
        self.images += 1
        self.gate.open(stamp)

    def _update(self, stamp: int, image: StarImage) -> None:
        self.propagate_covariance()
        p, r = self.covariance, self._floored(image.covariance)
        self.innovation = log(multiply(image.attitude, conjugate(self.attitude)))
        z = np.array(self.innovation)
        s = p[ATTITUDE, ATTITUDE] + r
        growth = p[BIAS, BIAS] + _EYE3 * self.noise.angle_random_walk**2
        verdict = self.gate.judge(stamp, z, s, r, growth, distrust=False)
        if verdict is Verdict.RESET:
            self._reset(stamp, image)
        if verdict is not Verdict.ACCEPT:
            return
        self.images += 1
        gain = np.linalg.solve(s, p[ATTITUDE]).T
        rest = np.eye(SIZE)
        rest[:, ATTITUDE] -= gain
        p = rest @ p @ rest.T + gain @ r @ gain.T
        self._correct(gain @ z, p)

    def _reset(self, stamp: int, image: StarImage) -> None:
        """Images agreed with each other and not with this filter: they win, and open the bias."""
        self._begin(stamp, image)
        p = self.covariance.copy()
        n = self.noise
        p[3:, 3:] = np.diag([n.bias_sigma**2] * 3 + [n.scale_sigma**2] * 9)
        self.covariance = p
        self.bias, self.matrix = _ZERO3, _ZERO9

    def _correct(self, error: Array, covariance: Array) -> None:
        e = error.tolist()
        self.attitude = _unit(multiply(exp(e[:3]), self.attitude))
        x, y, z = self.bias
        self.bias = (x + e[3], y + e[4], z + e[5])
        self.matrix = tuple(a + b for a, b in zip(self.matrix, e[6:], strict=True))
        self.covariance = 0.5 * (covariance + covariance.T)

    def _floored(self, covariance: Array) -> Array:
        floor = self.parameters.image_sigma_floor
        return np.asarray(covariance + _EYE3 * (floor * floor))


def _limits(p: FilterParameters) -> GateLimits:
    return GateLimits(
        p.gate_probability, math.inf, 1, p.gate_probability, p.recovery_after, p.recovery_count
    )


def _unit(q: Quaternion) -> Quaternion:
    """One Newton step towards unit norm."""
    w, x, y, z = q
    k = 1.5 - 0.5 * (w * w + x * x + y * y + z * z)
    return (w * k, x * k, y * k, z * k)
