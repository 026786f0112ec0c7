# SPDX-License-Identifier: Apache-2.0
"""State of the attitude filter: what a snapshot holds, and the measurements that change it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from meta_repo_ros.core.rotations import IDENTITY, Quaternion, Vector
from meta_repo_ros.fusion.attitude_field import FieldReference, copy_slots
from meta_repo_ros.fusion.attitude_parameters import Rest

Array = NDArray[np.float64]

# order of the error state
TILT_X, TILT_Y, HEADING = 0, 1, 2
ROTATION = slice(0, 3)
BIAS = slice(3, 6)
VELOCITY = slice(6, 8)
DEVIATION = 8
FORCE_BIAS = slice(9, 12)
SIZE = 12
NO_SUMS = (0.0,) * 14
SENSORS = ('imu', 'magnetometer', 'stars', 'velocity', 'position')


class ImuSample(NamedTuple):
    """Rate (rad/s) and specific force (m/s2) in the body frame; variances per axis or None."""

    rate: Vector
    force: Vector
    rate_variance: float | None = None
    force_variance: float | None = None


class FieldSample(NamedTuple):
    """Magnetic field in the body frame, T; variance per axis or None."""

    field: Vector
    variance: float | None = None


class StarSample(NamedTuple):
    """Star attitude ICRS to body; covariance (rad2) of a small rotation about the body axes."""

    orientation: Quaternion
    covariance: tuple[float, ...]


class AttitudeSample(NamedTuple):
    """Attitude body to ENU; covariance (rad2) of a small rotation about east, north, up."""

    orientation: Quaternion
    covariance: tuple[float, ...]


class VelocitySample(NamedTuple):
    """Velocity east and north, m/s; covariance (m2/s2), row by row."""

    velocity: tuple[float, float]
    covariance: tuple[float, float, float, float]


class PositionSample(NamedTuple):
    """Geodetic latitude and longitude, deg, and height above the ellipsoid, m."""

    latitude: float
    longitude: float
    altitude: float


Sample = ImuSample | FieldSample | StarSample | AttitudeSample | VelocitySample | PositionSample


@dataclass
class Count:
    """What became of one sensor's measurements."""

    accepted: int = 0
    rejected: int = 0
    nis: float = math.nan
    nis_sum: float = 0.0

    def take(self, nis: float, samples: int = 1) -> None:
        """Count one accepted update made of ``samples`` measurements."""
        self.accepted += samples
        self.nis = nis
        self.nis_sum += nis * samples

    @property
    def mean_nis(self) -> float:
        """Mean over the accepted ones, NaN before the first."""
        return self.nis_sum / self.accepted if self.accepted else math.nan


class RestDetector:
    """Rest: rate and force stay near their low-passed means for some time.

    Idea: Laidig, Seel, "VQF: Highly accurate IMU orientation estimation with bias estimation and
    magnetic disturbance rejection", Information Fusion 91 (2023), section 3.4.
    """

    __slots__ = ('force', 'parameters', 'quiet', 'rate')

    def __init__(self, parameters: Rest) -> None:
        self.parameters = parameters
        self.rate: Vector | None = None
        self.force: Vector = (0.0, 0.0, 0.0)
        self.quiet = 0.0

    def copy(self) -> RestDetector:
        """Independent copy."""
        return copy_slots(self)

    def restart(self) -> None:
        """Forget what was seen, as after a gap."""
        self.rate, self.quiet = None, 0.0

    @property
    def resting(self) -> bool:
        """Whether the sensor rests now."""
        return self.quiet >= self.parameters.duration and self.parameters.enabled

    def add(self, dt: float, rate: Vector, force: Vector) -> None:
        """Take one IMU sample, ``dt`` seconds after the last one."""
        if self.rate is None:
            self.rate, self.force = rate, force
            return
        p = self.parameters
        k = dt / (p.memory + dt)
        (wx, wy, wz), (gx, gy, gz) = self.rate, rate
        (ax, ay, az), (fx, fy, fz) = self.force, force
        dx, dy, dz = gx - wx, gy - wy, gz - wz
        ex, ey, ez = fx - ax, fy - ay, fz - az
        self.rate = wx, wy, wz = (wx + k * dx, wy + k * dy, wz + k * dz)
        self.force = (ax + k * ex, ay + k * ey, az + k * ez)
        if (
            dx * dx + dy * dy + dz * dz > p.rate_deviation**2
            or ex * ex + ey * ey + ez * ez > p.acceleration_deviation**2
            or wx * wx + wy * wy + wz * wz > p.rate_limit**2
        ):
            self.quiet = 0.0
        else:
            self.quiet += dt


class State:
    """Everything that a measurement can change."""

    __slots__ = (
        'aided', 'aligned', 'bias', 'counts', 'covariance', 'deviation', 'field', 'fixes', 'force',
        'force_bias', 'force_variance', 'gaps', 'heading_known', 'heading_refused', 'judged',
        'last_field', 'last_fix', 'last_velocity', 'mean_velocity', 'orientation', 'placed',
        'position', 'rate', 'rate_variance', 'resets', 'rest', 'spread', 'stamp', 'sums', 'updated',
        'velocity', 'velocity_refused',
    )  # fmt: skip

    def __init__(self, rest: RestDetector, field: FieldReference) -> None:
        self.aligned = self.heading_known = False
        self.stamp = 0  # of the last IMU sample, ns
        self.updated = 0  # of the covariance, ns
        self.orientation: Quaternion = IDENTITY
        self.bias: Vector = (0.0, 0.0, 0.0)
        self.force_bias: Vector = (0.0, 0.0, 0.0)
        self.velocity = self.mean_velocity = (0.0, 0.0)
        self.deviation = 0.0  # of the field from north, rad, towards west
        self.covariance: Array = np.zeros((SIZE, SIZE))
        # last IMU sample: rate without bias, force and variances as measured
        self.rate: Vector = (0.0, 0.0, 0.0)
        self.force: Vector = (0.0, 0.0, 0.0)
        self.rate_variance: float | None = None
        self.force_variance: float | None = None
        # integrals since the last update: rotation matrix, force, rate2, acceleration2
        self.sums: tuple[float, ...] = NO_SUMS
        self.spread = 0.0  # mean square of the linear acceleration, smoothed
        self.field = field
        self.rest = rest
        self.last_field = self.judged = self.last_fix = self.last_velocity = 0  # stamps, ns
        self.heading_refused = 0.0  # s
        self.velocity_refused = 0  # in a row
        self.aided = False  # velocity is measured, not only bounded
        self.fixes: tuple[tuple[Quaternion, float], ...] = ()  # refused stars: error, variance
        self.position: PositionSample | None = None
        self.placed = 0  # stamp of the position, ns; 0 where it is a parameter
        self.counts = {name: Count() for name in SENSORS}
        self.gaps = self.resets = 0

    def copy(self) -> State:
        """Independent copy; tuples and the covariance are never changed in place."""
        other = copy_slots(self)
        other.rest = self.rest.copy()
        other.field = self.field.copy()
        other.counts = {
            name: Count(count.accepted, count.rejected, count.nis, count.nis_sum)
            for name, count in self.counts.items()
        }
        return other
