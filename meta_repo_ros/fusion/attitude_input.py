# SPDX-License-Identifier: Apache-2.0
"""Messages to measurements of the attitude filter: everything that may not be fused ends here."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meta_repo_ros.core import rotations as rot
from meta_repo_ros.core.statistics import is_covariance
from meta_repo_ros.fusion.attitude_parameters import Magnetometer, Stars
from meta_repo_ros.fusion.attitude_state import (
    FieldSample,
    ImuSample,
    PositionSample,
    StarSample,
    VelocitySample,
)

METHOD_IMAGE = 1
METHOD_FILTERED = 2
SOURCE_FUSION = 128
NO_FIX = -1
_UNIT_TOLERANCE = 1e-3


class BadInputError(ValueError):
    """A message that is not fused; the text is the reason, a key of the diagnostics."""


class CovarianceReader:
    """Variance per axis of 3x3 covariances; the last one is remembered, drivers repeat it."""

    def __init__(self) -> None:
        self._raw = b''
        self._variance: float | None = None

    def read(self, values: Any) -> float | None:
        """Mean variance per axis; None for all zeros, which means unknown.

        Raises:
            BadInputError: neither zeros nor a positive definite matrix.
        """
        array = np.asarray(values, dtype=float)
        raw = array.tobytes()
        if raw != self._raw:
            self._variance = self._check(array)
            self._raw = raw
        return self._variance

    @staticmethod
    def _check(array: NDArray[np.float64]) -> float | None:
        if not array.any():
            return None
        matrix = array.reshape(3, 3)
        if not is_covariance(matrix):
            raise BadInputError('covariance not positive definite')
        return float(np.trace(matrix)) / 3.0


def _vector(message: Any) -> rot.Vector:
    x, y, z = float(message.x), float(message.y), float(message.z)
    if not math.isfinite(x + y + z):
        raise BadInputError('not finite')
    return (x, y, z)


def read_imu(message: Any, rate: CovarianceReader, force: CovarianceReader) -> ImuSample:
    """Sample of a ``sensor_msgs/Imu``.

    Raises:
        BadInputError: with the reason.
    """
    if message.angular_velocity_covariance[0] == -1.0:
        raise BadInputError('no rate')
    if message.linear_acceleration_covariance[0] == -1.0:
        raise BadInputError('no specific force')
    return ImuSample(
        _vector(message.angular_velocity),
        _vector(message.linear_acceleration),
        rate.read(message.angular_velocity_covariance),
        force.read(message.linear_acceleration_covariance),
    )


def read_field(message: Any, covariance: CovarianceReader, limits: Magnetometer) -> FieldSample:
    """Sample of a ``sensor_msgs/MagneticField``.

    Raises:
        BadInputError: with the reason.
    """
    field = _vector(message.magnetic_field)
    if max(map(abs, field)) >= limits.full_scale:
        raise BadInputError('saturated')
    return FieldSample(field, covariance.read(message.magnetic_field_covariance))


def read_star(message: Any, limits: Stars) -> StarSample:
    """Sample of a ``meta_repo_ros/AttitudeUpdate`` that stands on its own.

    Raises:
        BadInputError: with the reason.
    """
    if int(message.method) != METHOD_IMAGE:
        raise BadInputError('not from one image')
    if int(message.source_mask) & SOURCE_FUSION:
        raise BadInputError('contains the output of a filter')
    q = rot.from_message(message.orientation)
    norm = math.hypot(*q)
    if not abs(norm - 1.0) < _UNIT_TOLERANCE:
        raise BadInputError('quaternion not of unit length')
    covariance = np.asarray(message.covariance, dtype=float)
    if not covariance.any():
        raise BadInputError('covariance unknown')
    if not is_covariance(covariance.reshape(3, 3)):
        raise BadInputError('covariance not positive definite')
    if float(message.false_alarm_probability) > limits.false_alarm_limit:
        raise BadInputError('identification doubtful')
    return StarSample(rot.normalize(q), tuple(covariance.tolist()))


def read_velocity(message: Any) -> VelocitySample:
    """Horizontal sample of a ``geometry_msgs/TwistWithCovarianceStamped`` in ENU.

    Raises:
        BadInputError: with the reason.
    """
    east, north, _ = _vector(message.twist.twist.linear)
    matrix = np.asarray(message.twist.covariance, dtype=float).reshape(6, 6)[:3, :3]
    if not matrix.any():
        raise BadInputError('covariance unknown')
    if not is_covariance(matrix):
        raise BadInputError('covariance not positive definite')
    (a, b, _), (c, d, _), _ = matrix.tolist()
    return VelocitySample((east, north), (a, b, c, d))


def read_position(message: Any) -> PositionSample:
    """Sample of a ``sensor_msgs/NavSatFix``.

    Raises:
        BadInputError: with the reason.
    """
    if int(message.status.status) == NO_FIX:
        raise BadInputError('no fix')
    latitude, longitude = float(message.latitude), float(message.longitude)
    if not (abs(latitude) <= 90.0 and abs(longitude) <= 360.0):
        raise BadInputError('no position')
    altitude = float(message.altitude)
    return PositionSample(latitude, longitude, altitude if math.isfinite(altitude) else 0.0)
