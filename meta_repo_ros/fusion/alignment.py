# SPDX-License-Identifier: Apache-2.0
"""Initial alignment, at rest or in motion: attitude, velocity and how uncertain they are.

The rotation since the start of the alignment is integrated from the gyroscope, the specific force
is summed in the body axes of the start. Over the same time GNSS gives the change of velocity; the
two differ by gravity and by the attitude of the start, which levels it. Heading comes from a star
attitude, from the direction of travel (where the vehicle points along it), or from a magnetometer.
Where ``alignment.rest`` is set, a standstill before the start gives level and gyroscope bias.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meta_repo_ros.core.geodesy import LocalFrame
from meta_repo_ros.core.rotations import (
    IDENTITY,
    Quaternion,
    Vector,
    between,
    conjugate,
    exp,
    multiply,
    normalize,
    rotate,
    to_matrix,
)
from meta_repo_ros.core.statistics import chi2_quantile
from meta_repo_ros.core.time import NANOSECONDS
from meta_repo_ros.fusion.alignment_rest import Rest
from meta_repo_ros.fusion.navigation_parameters import NavigationParameters

Array = NDArray[np.float64]
# Least time between two velocities that gives an acceleration, s
_MIN_SPAN = 0.4
_CONVERGED = 1e-6  # rad


@dataclass(frozen=True)
class Aligned:
    """Result at the time of the last fix.

    Attributes:
        attitude: body to local frame.
        covariance: (3, 3) rad2, of the attitude error in the frame's axes.
        tilt_from_bias: (3, 3) rad per m/s2: attitude error that an accelerometer bias made.
        velocity: m/s, local frame.
        velocity_covariance: (3, 3) m2/s2.
        heading_source: ``star``, ``velocity`` or ``magnetometer``.
        gyro_bias: rad/s.
        gyro_bias_sigma: rad/s.
    """

    attitude: Quaternion
    covariance: Array
    tilt_from_bias: Array
    velocity: Vector
    velocity_covariance: Array
    heading_source: str
    gyro_bias: Vector
    gyro_bias_sigma: float


@dataclass
class _Gathered:
    start: int | None = None
    turn: Quaternion = IDENTITY  # body now to body at start
    force: Vector = (0.0, 0.0, 0.0)  # integral in the axes of the start, m/s
    seconds: float = 0.0
    level: tuple[Vector, float] | None = None  # mean force of a standstill that ended at the start
    first_velocity: tuple[int, Vector] | None = None
    last_velocity: tuple[int, Vector, Array] | None = None
    force_between: Vector = (0.0, 0.0, 0.0)
    turn_at_velocity: Quaternion = IDENTITY
    magnetic: Vector = (0.0, 0.0, 0.0)  # sum in the axes of the start, any unit
    star: tuple[Quaternion, Array] | None = None  # start to ECEF, covariance in start's axes


class Alignment:
    """Gathers measurements until a filter can start.

    Args:
        parameters: of the node.
    """

    def __init__(self, parameters: NavigationParameters) -> None:
        self.parameters = parameters
        self._g = _Gathered()
        self.rest = Rest(parameters)
        self.missing = 'inertial data'
        self.star_refused = False

    def configure(self, parameters: NavigationParameters) -> None:
        """Take other parameters; the state stays."""
        self.parameters = self.rest.parameters = parameters

    def clear(self) -> None:
        """Start again."""
        self._g = _Gathered()
        self.rest.clear()
        self.missing = 'inertial data'

    def add_imu(self, stamp: int, rate: Vector, force: Vector, dt: float) -> None:
        """Take ``dt`` seconds of rate (rad/s) and specific force (m/s2) that end at ``stamp``."""
        g, limits = self._g, self.parameters.alignment
        if limits.rest:
            self.rest.add_imu(rate, force, dt)
            bias = self.rest.bias
            rate = (rate[0] - bias[0], rate[1] - bias[1], rate[2] - bias[2])
        if g.start is None or stamp - g.start > limits.max_duration * NANOSECONDS:
            self._g = g = _Gathered(start=stamp)
            return
        half = exp((0.5 * dt * rate[0], 0.5 * dt * rate[1], 0.5 * dt * rate[2]))
        middle = multiply(g.turn, half)
        fx, fy, fz = rotate(middle, force)
        x, y, z = g.force
        g.force = (x + fx * dt, y + fy * dt, z + fz * dt)
        g.turn = normalize(multiply(middle, half))
        g.seconds += dt

    def add_velocity(self, stamp: int, velocity: Vector, covariance: Array) -> None:
        """Take a GNSS velocity, m/s east north up."""
        g = self._g
        if g.start is None:
            return
        if self.parameters.alignment.rest and self.rest.add_velocity(velocity, covariance):
            force = self.rest.force
            assert force is not None  # noqa: S101
            # Velocity and fix of this moment are those of the start
            self._g = g = _Gathered(start=stamp, level=(force, self.rest.accel_variance))
        if g.first_velocity is None:
            # From here on both integrals cover the same time
            g.first_velocity = (stamp, velocity)
            g.force, g.seconds = (0.0, 0.0, 0.0), 0.0
        g.last_velocity = (stamp, velocity, covariance)
        g.force_between = g.force
        g.turn_at_velocity = g.turn

    def add_magnetic(self, field: Vector) -> None:
        """Take a magnetic field in body axes."""
        g = self._g
        if g.start is not None:
            g.magnetic = _add(g.magnetic, rotate(g.turn, field))

    def add_star(self, body_to_ecef: Quaternion, covariance: Array) -> None:
        """Take a star attitude with covariance in body axes, rad2."""
        g = self._g
        if g.start is not None:
            turn = to_matrix(g.turn)
            g.star = (multiply(body_to_ecef, conjugate(g.turn)), turn @ covariance @ turn.T)

    def solve(
        self, stamp: int, frame: LocalFrame, ecef_to_enu: Quaternion, declination: float
    ) -> Aligned | None:
        """Alignment at ``stamp``, or None and :attr:`missing` says what is not there yet.

        Args:
            stamp: time of the present fix, ns.
            frame: local frame, its origin near the vehicle.
            ecef_to_enu: rotation into the frame's axes.
            declination: of the magnetic field, rad, east positive.
        """
        g, limits = self._g, self.parameters.alignment
        if g.start is None or (g.level is None and g.seconds < limits.duration):
            if 'heading' not in self.missing:
                self.missing = 'time to level'
            return None
        gravity = frame.gravity(0.0, 0.0, 0.0)
        up: Vector = (-gravity[0], -gravity[1], -gravity[2])
        force, seconds = g.force, g.seconds
        velocity: Vector = (0.0, 0.0, 0.0)
        spread = np.eye(3) * 1.0
        accel_variance = limits.accel_sigma**2
        if g.first_velocity is not None and g.last_velocity is not None:
            span = (g.last_velocity[0] - g.first_velocity[0]) / NANOSECONDS
            if span < _MIN_SPAN:
                if g.level is not None and 'heading' in self.missing:
                    return None
                self.missing = 'a second GNSS velocity'
                return None
            change = tuple(b - a for a, b in zip(g.first_velocity[1], g.last_velocity[1]))  # noqa: B905
            up = (change[0] / span + up[0], change[1] / span + up[1], change[2] / span + up[2])
            force, seconds = g.force_between, span
            late = (stamp - g.last_velocity[0]) / NANOSECONDS
            velocity = tuple(  # type: ignore[assignment]
                v + c / span * late
                for v, c in zip(g.last_velocity[1], change)  # noqa: B905
            )
            spread = g.last_velocity[2] + np.eye(3) * (2.0 * late) ** 2
            accel_variance += 2.0 * float(np.trace(g.last_velocity[2])) / 3.0 / (span * span)
        if g.level is not None:
            force, accel_variance = g.level
            up = (-gravity[0], -gravity[1], -gravity[2])
        level = between(force, up)
        tilt_variance = accel_variance / 96.0  # over gravity squared
        found = self._heading(level, up, ecef_to_enu, declination, tilt_variance)
        if found is None:
            return None
        start, covariance, source = found
        attitude = normalize(multiply(start, g.turn))
        drift = (self.rest.bias_sigma * (seconds + 0.5)) ** 2
        if g.level is not None:
            drift += self.parameters.imu.gyro_noise**2 * seconds
        body = to_matrix(attitude)
        tilt_from_bias = np.array([-body[1], body[0], np.zeros(3)]) / 9.8
        if source == 'star':
            tilt_from_bias = np.zeros((3, 3))
        return Aligned(
            attitude, covariance + np.eye(3) * drift, tilt_from_bias, velocity, spread, source,
            self.rest.bias, self.rest.bias_sigma,
        )  # fmt: skip

    def _heading(
        self,
        level: Quaternion,
        up: Vector,
        ecef_to_enu: Quaternion,
        declination: float,
        tilt_variance: float,
    ) -> tuple[Quaternion, Array, str] | None:
        """Attitude of the start, its covariance in the frame's axes, and the source of heading."""
        g, limits = self._g, self.parameters.alignment
        self.star_refused = False
        if g.star is not None:
            attitude = multiply(ecef_to_enu, g.star[0])
            turn = to_matrix(attitude)
            covariance = turn @ g.star[1] @ turn.T
            felt = rotate(attitude, rotate(conjugate(level), up))
            if self._is_upright(felt, up, covariance, tilt_variance):
                return attitude, covariance, 'star'
            self.star_refused = True
        if limits.velocity_heading and g.last_velocity is not None:
            east, north, _ = g.last_velocity[1]
            speed = math.hypot(east, north)
            if speed >= limits.min_speed:
                nose = rotate(g.turn_at_velocity, (1.0, 0.0, 0.0))
                course = float(np.trace(g.last_velocity[2])) / 3.0 / (speed * speed)
                variance = course + limits.sideslip_sigma**2
                return (
                    _turned(level, up, nose, math.atan2(north, east)),
                    np.diag([tilt_variance, tilt_variance, variance]),
                    'velocity',
                )
        if self.parameters.heading.use != 'never' and any(g.magnetic):
            attitude = _turned(level, up, g.magnetic, math.pi / 2.0 - declination)
            x, y, z = rotate(attitude, g.magnetic)
            dip = z / max(math.hypot(x, y), 1e-12)
            variance = self.parameters.heading.sigma**2 + dip * dip * tilt_variance
            return attitude, np.diag([tilt_variance, tilt_variance, variance]), 'magnetometer'
        self.missing = 'a source of heading: star attitude, magnetometer' + (
            ', or speed' if limits.velocity_heading else ''
        )
        if self.star_refused:
            self.missing = 'heading: the star attitude contradicts the vertical; is the time wrong?'
        return None

    def _is_upright(
        self, felt: Vector, up: Vector, covariance: Array, tilt_variance: float
    ) -> bool:
        """Whether the specific force, turned by the stars, points where it must.

        A clock that is wrong by minutes turns the Earth under the stars, and with it up: an
        attitude so wrong, believed at the start, would make every good fix look false.
        """
        off = math.atan2(float(np.linalg.norm(np.cross(felt, up))), float(np.dot(felt, up)))
        bias = self.parameters.imu.accel_bias_sigma**2 / 96.0
        variance = tilt_variance + bias + float(covariance[0, 0] + covariance[1, 1]) / 2.0
        limit = chi2_quantile(self.parameters.gate.probability, 2)
        return off * off <= limit * variance

    def snapshot(self) -> Any:
        """State to go back to; what it holds is never written to."""
        return copy.copy(self._g), self.rest.snapshot(), self.missing

    def restore(self, snapshot: Any) -> None:
        """Back to :meth:`snapshot`."""
        gathered, rest, self.missing = snapshot
        self.rest.restore(rest)
        self._g = copy.copy(gathered)


def _turned(level: Quaternion, axis: Vector, direction: Vector, azimuth: float) -> Quaternion:
    """``level`` turned about ``axis`` until ``direction`` (body) points to ``azimuth`` from east.

    The axis is that of the specific force, which must keep its direction: vertical only where the
    vehicle does not accelerate. Then one step suffices, else the steps converge quickly.
    """
    x, y, z = axis
    norm = math.hypot(x, y, z)
    for _ in range(20):
        east, north, _ = rotate(level, direction)
        off = math.remainder(azimuth - math.atan2(north, east), 2.0 * math.pi)
        level = multiply(exp((x / norm * off, y / norm * off, z / norm * off)), level)
        if abs(off) < _CONVERGED:
            break
    return level


def _add(a: Vector, b: Vector) -> Vector:
    return (a[0] + b[0], a[1] + b[1], a[2] + b[2])
