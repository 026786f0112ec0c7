# SPDX-License-Identifier: Apache-2.0
"""ROS messages to checked measurements; what cannot be believed is refused with a reason.

Rules of the message definitions: an all-zero covariance means *unknown*, -1 in element 0 of an Imu
covariance means *no such data*, variance 0 of a pressure means *unknown*.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meta_repo_ros.core.earth import earth_orientation_error, icrs_to_itrs
from meta_repo_ros.core.geodesy import EARTH_RATE, pressure_altitude
from meta_repo_ros.core.rotations import (
    Vector,
    conjugate,
    from_matrix,
    from_message,
    multiply,
    normalize,
    rotate,
)
from meta_repo_ros.core.statistics import is_covariance
from meta_repo_ros.core.time import stamp_ns
from meta_repo_ros.fusion.measurements import (
    CelestialPosition,
    Fix,
    GnssVelocity,
    Imu,
    MagneticField,
    PressureHeight,
    StarAttitude,
)
from meta_repo_ros.fusion.navigation_parameters import NavigationParameters
from meta_repo_ros.msg import AttitudeUpdate, PositionUpdate

Array = NDArray[np.float64]

# The Earth's field with a margin for iron nearby, T
_FIELD_RANGE = (1.0e-5, 1.5e-4)
_PRESSURE_RANGE = (5.0e3, 1.2e5)  # Pa: 20 km above to 1.4 km below sea level
_HEIGHT_RANGE = (-1.0e3, 5.0e5)  # m
_UNIT_TOLERANCE = 1e-3
_ATTITUDE_EXCLUDES = (
    AttitudeUpdate.SOURCE_GNSS | AttitudeUpdate.SOURCE_FUSION | AttitudeUpdate.SOURCE_GYROSCOPE
)
_INERTIAL = PositionUpdate.SOURCE_ACCELEROMETER | PositionUpdate.SOURCE_GYROSCOPE


class RefusedError(ValueError):
    """A message that cannot be fused; the text is a short reason, used as a counter's key."""


def is_passed_over(topic: str, message: Any, parameters: NavigationParameters) -> bool:
    """Whether a message is of a kind that is not for this filter, and no fault of anybody.

    A filtered attitude is made from images that are fused one by one. A position from stars and
    accelerometers says what the filter already has from the same accelerometers and the attitude by
    the same stars: fused again it would count both twice. So would one that is GNSS, which stands
    in where there are no stars.
    """
    if topic == 'attitude_update':
        return bool(message.method == AttitudeUpdate.METHOD_FILTERED)
    if topic == 'position_update':
        mask = message.source_mask
        inertial = bool(mask & _INERTIAL) and not parameters.celestial.other_inertial_sensor
        return inertial or bool(mask & PositionUpdate.SOURCE_GNSS)
    return False


def read_imu(message: Any, parameters: NavigationParameters) -> Imu:
    """``sensor_msgs/Imu``; its orientation is not used."""
    w, f = message.angular_velocity, message.linear_acceleration
    rate: Vector = (float(w.x), float(w.y), float(w.z))
    force: Vector = (float(f.x), float(f.y), float(f.z))
    # a sum is finite only where every term is
    if not math.isfinite(sum(rate) + sum(force)):
        raise RefusedError('not finite')
    for first in (
        message.angular_velocity_covariance[0],
        message.linear_acceleration_covariance[0],
    ):
        if not first >= 0.0:
            raise RefusedError('no data (covariance -1)' if first == -1.0 else 'bad covariance')
    limits = parameters.imu
    if max(map(abs, rate)) > limits.max_rate or max(map(abs, force)) > limits.max_force:
        raise RefusedError('out of range')
    return Imu(rate, force)


def read_fix(message: Any, parameters: NavigationParameters) -> Fix:
    """``sensor_msgs/NavSatFix``."""
    if message.status.status < 0:
        raise RefusedError('no fix')
    place = (float(message.latitude), float(message.longitude), float(message.altitude))
    _check_place(*place)
    if math.isnan(place[2]):
        raise RefusedError('no altitude')
    if message.position_covariance_type == 0:
        covariance = _assumed(parameters.gnss.unknown_position_sigma)
    else:
        covariance = _covariance(
            message.position_covariance, 3, parameters.gnss.unknown_position_sigma
        )
    return Fix(*place, covariance)


def read_velocity(message: Any, parameters: NavigationParameters) -> GnssVelocity:
    """``geometry_msgs/TwistWithCovarianceStamped``, linear part, east north up."""
    v = message.twist.twist.linear
    velocity: Vector = (float(v.x), float(v.y), float(v.z))
    if not math.isfinite(sum(velocity)):
        raise RefusedError('not finite')
    covariance = np.asarray(message.twist.covariance, np.float64).reshape(6, 6)[:3, :3]
    return GnssVelocity(
        velocity, _covariance(covariance, 3, parameters.gnss.unknown_velocity_sigma)
    )


def read_pressure(message: Any, parameters: NavigationParameters) -> PressureHeight:
    """``sensor_msgs/FluidPressure``."""
    pressure, variance = float(message.fluid_pressure), float(message.variance)
    if not math.isfinite(pressure + variance):
        raise RefusedError('not finite')
    if not _PRESSURE_RANGE[0] <= pressure <= _PRESSURE_RANGE[1]:
        raise RefusedError('out of range')
    if variance < 0.0:
        raise RefusedError('bad covariance')
    sigma = math.sqrt(variance) if variance > 0.0 else parameters.barometer.unknown_sigma
    if sigma == 0.0:
        raise RefusedError('unknown covariance')
    height = pressure_altitude(pressure)
    return PressureHeight(height, abs(pressure_altitude(pressure + sigma) - height))


def read_attitude(message: Any, parameters: NavigationParameters) -> StarAttitude:
    """``meta_repo_ros/AttitudeUpdate``: inertial to body, from images alone."""
    if message.method != AttitudeUpdate.METHOD_IMAGE:
        raise RefusedError('not from one image')
    if message.source_mask == 0:
        raise RefusedError('unknown source')
    if message.source_mask & _ATTITUDE_EXCLUDES:
        raise RefusedError('source already fused')
    _check_frame(message.header.frame_id, parameters.base_frame)
    q = from_message(message.orientation)
    norm = math.sqrt(sum(c * c for c in q))
    if not math.isfinite(norm):
        raise RefusedError('not finite')
    if abs(norm - 1.0) > _UNIT_TOLERANCE:
        raise RefusedError('not a unit quaternion')
    covariance = _covariance(message.covariance, 3, 0.0)
    when = stamp_ns(message.header.stamp)
    attitude = multiply(from_matrix(icrs_to_itrs(when)), conjugate(normalize(q)))
    # what is not known of UT1 turns the Earth under the stars about its axis
    axis = np.array(rotate(conjugate(attitude), (0.0, 0.0, 1.0)))
    covariance += (EARTH_RATE * earth_orientation_error(when).ut1) ** 2 * np.outer(axis, axis)
    return StarAttitude(attitude, covariance)


def read_position(message: Any, parameters: NavigationParameters) -> CelestialPosition:  # noqa: ARG001
    """``meta_repo_ros/PositionUpdate`` that holds neither GNSS nor a fused solution.

    The altitude of one that holds a barometer is not taken: the pressure itself is fused.
    """
    if message.source_mask == 0:
        raise RefusedError('unknown source')
    if message.source_mask & PositionUpdate.SOURCE_FUSION:
        raise RefusedError('source already fused')
    place = (float(message.latitude), float(message.longitude), float(message.altitude))
    _check_place(*place)
    if message.source_mask & PositionUpdate.SOURCE_BAROMETER:
        place = (*place[:2], math.nan)
    covariance = np.asarray(message.covariance, np.float64).reshape(3, 3)
    if math.isnan(place[2]):
        covariance = covariance.copy()
        covariance[2, :] = covariance[:, 2] = 0.0
        covariance[2, 2] = covariance[0, 0]
    return CelestialPosition(*place, _covariance(covariance, 3, 0.0))


def read_magnetic(message: Any, parameters: NavigationParameters) -> MagneticField:  # noqa: ARG001
    """``sensor_msgs/MagneticField``."""
    m = message.magnetic_field
    field: Vector = (float(m.x), float(m.y), float(m.z))
    norm = math.hypot(*field)
    if not math.isfinite(norm):
        raise RefusedError('not finite')
    if not _FIELD_RANGE[0] <= norm <= _FIELD_RANGE[1]:
        raise RefusedError('out of range')
    return MagneticField(field)


READERS: Mapping[str, tuple[int, str, Callable[[Any, NavigationParameters], Any]]] = {
    'imu/data_raw': (0, 'imu', read_imu),
    'baro/pressure': (1, 'barometer', read_pressure),
    'imu/mag': (2, 'magnetic_heading', read_magnetic),
    'attitude_update': (3, 'star_attitude', read_attitude),
    'position_update': (4, 'celestial_position', read_position),
    'gnss/velocity': (5, 'gnss_velocity', read_velocity),
    'gnss/fix': (6, 'gnss_position', read_fix),
}
"""By topic: rank among measurements of equal stamp, name of the sensor, reader."""


def _check_place(latitude: float, longitude: float, altitude: float) -> None:
    if not math.isfinite(latitude + longitude) or math.isinf(altitude):
        raise RefusedError('not finite')
    if abs(latitude) > 90.0 or abs(longitude) > 360.0:
        raise RefusedError('out of range')
    if not math.isnan(altitude) and not _HEIGHT_RANGE[0] <= altitude <= _HEIGHT_RANGE[1]:
        raise RefusedError('out of range')


def _check_frame(frame: str, base: str) -> None:
    if frame not in {'', base} and not frame.endswith('/' + base):
        raise RefusedError('wrong frame')


def _assumed(sigma: float) -> Array:
    if sigma == 0.0:
        raise RefusedError('unknown covariance')
    return np.asarray(np.eye(3) * sigma**2)


def _covariance(values: Any, size: int, unknown: float) -> Array:
    matrix = np.asarray(values, np.float64).reshape(size, size)
    if not matrix.any():
        return _assumed(unknown)
    if not is_covariance(matrix):
        raise RefusedError('bad covariance')
    return np.array(matrix)
