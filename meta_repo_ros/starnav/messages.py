# SPDX-License-Identifier: Apache-2.0
"""ROS messages of the node starnav: read into checked values, made from results."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import Image

from meta_repo_ros.action import Calibrate
from meta_repo_ros.core.messages import Template
from meta_repo_ros.core.rotations import Quaternion, Vector, from_matrix, set_message
from meta_repo_ros.core.time import NANOSECONDS, set_stamp, stamp_ns
from meta_repo_ros.msg import AttitudeUpdate, IdentifiedStars, PositionUpdate, StarCentroids
from meta_repo_ros.starnav.calibration import Calibration, CalibrationRefused
from meta_repo_ros.starnav.celestial_types import Fix
from meta_repo_ros.starnav.pointing import pointing
from meta_repo_ros.starnav.tracker import Tick
from meta_repo_ros.starnav.types import Array, Centroids, Match

_PRESSURE_RANGE = (100.0, 1.2e5)  # Pa
_HEIGHT_RANGE = (-1.0e3, 1.0e5)  # m
_FASTEST = 12_000.0  # m/s
_FILTERED = (
    'header.stamp.sec',
    'header.stamp.nanosec',
    *(f'orientation.{axis}' for axis in 'wxyz'),
    'covariance',
)


class RefusedError(ValueError):
    """A message that cannot be used; the text is a short reason, used as a counter's key."""


class Inertial(NamedTuple):
    """Angular rate (rad/s) and specific force (m/s2), body axes."""

    rate: Vector
    force: Vector


class Place(NamedTuple):
    """Latitude, longitude (deg), altitude (m above the ellipsoid), covariance (3, 3) m2 ENU."""

    latitude: float
    longitude: float
    altitude: float
    covariance: Array


# -- reading ---------------------------------------------------------------------------------------
def valid_stamp(message: Any) -> int:
    """Stamp of the header, ns.

    Raises:
        RefusedError: it is zero.
    """
    stamp = stamp_ns(message.header.stamp)
    if stamp <= 0:
        raise RefusedError('no stamp')
    return stamp


def check_frame(message: Any, frame: str) -> None:
    """Refuse what is in another frame; empty ones pass, prefixes of a vehicle do not count."""
    given = str(message.header.frame_id)
    if frame and given not in {'', frame} and not given.endswith('/' + frame):
        raise RefusedError('wrong frame')


def read_inertial(message: Any, max_rate: float) -> Inertial:
    """``sensor_msgs/Imu``; a force that is marked as absent is NaN."""
    w, f = message.angular_velocity, message.linear_acceleration
    rate: Vector = (float(w.x), float(w.y), float(w.z))
    force: Vector = (float(f.x), float(f.y), float(f.z))
    if not math.isfinite(sum(rate)):
        raise RefusedError('not finite')
    if message.angular_velocity_covariance[0] < 0.0:
        raise RefusedError('no rate (covariance -1)')
    if max(map(abs, rate)) > max_rate:
        raise RefusedError('out of range')
    if message.linear_acceleration_covariance[0] < 0.0 or not math.isfinite(sum(force)):
        force = (math.nan, math.nan, math.nan)
    return Inertial(rate, force)


def read_fix(message: Any) -> Place:
    """``sensor_msgs/NavSatFix``; an unknown covariance is NaN."""
    if message.status.status < 0:
        raise RefusedError('no fix')
    place = (float(message.latitude), float(message.longitude), float(message.altitude))
    if not math.isfinite(sum(place)):
        raise RefusedError('not finite')
    low, high = _HEIGHT_RANGE
    if abs(place[0]) > 90.0 or abs(place[1]) > 360.0 or not low <= place[2] <= high:
        raise RefusedError('out of range')
    covariance = np.array(message.position_covariance, np.float64).reshape(3, 3)
    if message.position_covariance_type == 0 or not covariance.any():
        covariance = np.full((3, 3), math.nan)
    return Place(*place, covariance)


def read_velocity(message: Any) -> Vector:
    """Linear part of ``geometry_msgs/TwistWithCovarianceStamped``, m/s east north up."""
    v = message.twist.twist.linear
    velocity: Vector = (float(v.x), float(v.y), float(v.z))
    if not math.isfinite(sum(velocity)):
        raise RefusedError('not finite')
    if max(map(abs, velocity)) > _FASTEST:
        raise RefusedError('out of range')
    return velocity


def read_pressure(message: Any) -> float:
    """``sensor_msgs/FluidPressure``, Pa."""
    pressure = float(message.fluid_pressure)
    if not math.isfinite(pressure):
        raise RefusedError('not finite')
    if not _PRESSURE_RANGE[0] <= pressure <= _PRESSURE_RANGE[1]:
        raise RefusedError('out of range')
    return pressure


# -- making ----------------------------------------------------------------------------------------
class FilteredTemplate:
    """Makes ``AttitudeUpdate`` of the filter, a hundred a second.

    Args:
        frame: body frame.
    """

    def __init__(self, frame: str) -> None:
        message = AttitudeUpdate()
        message.header.frame_id = frame
        message.source_mask = AttitudeUpdate.SOURCE_STARS | AttitudeUpdate.SOURCE_GYROSCOPE
        message.method = AttitudeUpdate.METHOD_FILTERED
        message.residual_rms = math.nan
        message.false_alarm_probability = math.nan
        self._make = Template(message, *_FILTERED)

    def __call__(self, tick: Tick) -> Any:
        """The message of one instant."""
        return self._make(*divmod(tick.stamp, NANOSECONDS), *tick.attitude, tick.covariance.ravel())


def image_attitude(
    stamp: int, frame: str, attitude: Quaternion, covariance: Array, match: Match
) -> Any:
    """``AttitudeUpdate`` of one image.

    Args:
        stamp: middle of the exposure, ns.
        frame: body frame.
        attitude: ICRS to body.
        covariance: (3, 3) rad2, body axes.
        match: what it comes from.
    """
    message = AttitudeUpdate()
    set_stamp(message.header.stamp, stamp)
    message.header.frame_id = frame
    set_message(message.orientation, attitude)
    message.covariance = covariance.ravel()
    message.source_mask = AttitudeUpdate.SOURCE_STARS
    message.method = AttitudeUpdate.METHOD_IMAGE
    message.stars_matched = len(match.star)
    message.residual_rms = float(match.residual_rms)
    message.false_alarm_probability = float(match.false_alarm_probability)
    return message


def position_message(fix: Fix, frame: str, *, spoofing: bool) -> Any:
    """``PositionUpdate`` of a fix.

    Args:
        fix: the position.
        frame: body frame.
        spoofing: whether the cross-check with GNSS failed.
    """
    message = PositionUpdate()
    set_stamp(message.header.stamp, fix.stamp)
    message.header.frame_id = frame
    message.latitude, message.longitude = fix.latitude, fix.longitude
    message.altitude = fix.altitude
    message.covariance = np.asarray(fix.covariance, np.float64).ravel()
    message.source_mask = int(fix.source_mask)
    message.spoofing_suspected = spoofing
    return message


def calibration_result(
    result: Calibration | CalibrationRefused | None, text: str, path: str = ''
) -> Any:
    """Result of ``Calibrate``; nothing was written where ``path`` is empty."""
    message = Calibrate.Result()
    message.success, message.message, message.path = bool(path), text, path
    if result is None:
        return message
    message.residual_before = result.residual_before
    message.residual_after = result.residual_after
    message.frames, message.stars = result.frames, result.stars
    if isinstance(result, Calibration):
        camera = result.camera
        message.focal_length_x, message.focal_length_y = camera.fx, camera.fy
        message.principal_point_x, message.principal_point_y = camera.cx, camera.cy
        message.distortion = list(camera.distortion)
        set_message(message.camera_to_body, result.camera_to_body)
        bias = message.gyro_bias
        bias.x, bias.y, bias.z = (float(b) for b in result.gyro_bias)
    return message


def calibration_feedback(progress: float, frames: int, stars: int, state: str) -> Any:
    """Feedback of ``Calibrate``."""
    message = Calibrate.Feedback()
    message.progress, message.frames, message.stars = progress, frames, stars
    message.state = state
    return message


def centroids_message(header: Any, centroids: Centroids, method: str, *, windowed: bool) -> Any:
    """``StarCentroids``."""
    message = StarCentroids()
    message.header.stamp.sec = header.stamp.sec
    message.header.stamp.nanosec = header.stamp.nanosec
    message.header.frame_id = str(header.frame_id)
    message.width, message.height = int(centroids.width), int(centroids.height)
    message.u = _doubles(centroids.position[:, 0])
    message.v = _doubles(centroids.position[:, 1])
    message.covariance = _doubles(centroids.covariance)
    message.flux = _floats(centroids.flux)
    message.snr = _floats(centroids.snr)
    message.saturated = [bool(value) for value in centroids.saturated]
    message.background = float(np.float32(centroids.background))
    message.noise = float(np.float32(centroids.noise))
    message.method, message.windowed = method, windowed
    message.problem = centroids.problem
    return message


def stars_message(
    header: Any,
    centroids: Centroids,
    match: Match,
    magnitudes: NDArray[np.float64],
    *,
    elapsed: float = math.nan,
) -> Any:
    """``IdentifiedStars``.

    Args:
        header: of the image.
        centroids: of the image.
        match: of the image.
        magnitudes: (k,) Hp of the matched stars.
        elapsed: time that identification took, s.
    """
    message = IdentifiedStars()
    message.header.stamp.sec = header.stamp.sec
    message.header.stamp.nanosec = header.stamp.nanosec
    message.header.frame_id = str(header.frame_id)
    message.solved, message.tracked = match.solved, match.tracked
    message.elapsed = elapsed
    if not match.solved:
        detail = f': {match.detail}' if match.detail else ''
        message.failure = f'{match.failure.value}{detail}'
        return message
    set_message(message.orientation, from_matrix(match.icrs_to_camera))
    message.covariance = match.covariance.ravel()
    where = pointing(match.icrs_to_camera)
    message.right_ascension = where.right_ascension
    message.declination = where.declination
    message.roll = where.roll
    message.field_of_view = math.degrees(match.field_of_view)
    message.residual_rms = float(match.residual_rms)
    message.false_alarm_probability = float(match.false_alarm_probability)
    message.hip = [int(hip) for hip in match.hip]
    used = centroids.position[match.centroid]
    message.u, message.v = _doubles(used[:, 0]), _doubles(used[:, 1])
    message.residual_u = _doubles(match.residual[:, 0])
    message.residual_v = _doubles(match.residual[:, 1])
    message.magnitude = _floats(magnitudes)
    return message


def picture_message(header: Any, picture: NDArray[np.uint8]) -> Any:
    """``sensor_msgs/Image`` bgr8 of an array (h, w, 3)."""
    message = Image()
    message.header.stamp.sec = header.stamp.sec
    message.header.stamp.nanosec = header.stamp.nanosec
    message.header.frame_id = str(header.frame_id)
    message.height, message.width = picture.shape[:2]
    message.encoding, message.step = 'bgr8', 3 * picture.shape[1]
    # rosidl takes an array.array as it is, and checks every element of anything else
    message.data.frombytes(np.ascontiguousarray(picture).tobytes())
    return message


def _doubles(values: Any) -> list[float]:
    return [float(value) for value in np.ravel(values)]


def _floats(values: Any) -> list[float]:
    return [float(value) for value in np.ravel(values).astype(np.float32)]
