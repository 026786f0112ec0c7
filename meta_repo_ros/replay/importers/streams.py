# SPDX-License-Identifier: Apache-2.0
"""Arrays to bags: streams of messages merged by receive time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from geometry_msgs.msg import QuaternionStamped, TwistWithCovarianceStamped
from nav_msgs.msg import Odometry
from sensor_msgs.msg import FluidPressure, Imu, MagneticField, NavSatFix, NavSatStatus

from meta_repo_ros.core.processor import Topic
from meta_repo_ros.core.time import seconds_ns, set_stamp
from meta_repo_ros.replay.bag_writer import BagWriter

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Progress = Callable[[float], None]

BODY_FRAME = 'base_link'
WORLD_FRAME = 'odom'

IMU = Topic('imu/data_raw', 'sensor_msgs/msg/Imu', 'STREAM')
MAGNETOMETER = Topic('imu/mag', 'sensor_msgs/msg/MagneticField', 'STREAM')
FIX = Topic('gnss/fix', 'sensor_msgs/msg/NavSatFix', 'SENSOR')
VELOCITY = Topic('gnss/velocity', 'geometry_msgs/msg/TwistWithCovarianceStamped', 'SENSOR')
PRESSURE = Topic('baro/pressure', 'sensor_msgs/msg/FluidPressure', 'SENSOR')
TRUE_ATTITUDE = Topic('ground_truth/attitude', 'geometry_msgs/msg/QuaternionStamped', 'STATE')
MOVEMENT = Topic('ground_truth/movement', 'std_msgs/msg/Bool', 'STATE')
TRUE_ODOMETRY = Topic('ground_truth/odometry', 'nav_msgs/msg/Odometry', 'STATE')
TRUE_ORIGIN = Topic('ground_truth/origin', 'sensor_msgs/msg/NavSatFix', 'LATCHED')
ESTIMATED_ATTITUDE = Topic('reference/attitude', 'geometry_msgs/msg/QuaternionStamped', 'STATE')

DEFAULT_LATENCY_S = {
    'imu/data_raw': 0.002,
    'imu/mag': 0.002,
    'gnss/fix': 0.1,
    'gnss/velocity': 0.1,
    'baro/pressure': 0.01,
}
"""Declared latency, s, of recordings that hold no receive times; truth has none."""


@dataclass(frozen=True)
class Stream:
    """The messages of one topic.

    Attributes:
        topic: where they go.
        stamps: (n,) time of validity, ns.
        make: gives message ``i``, in the same object each time, since it is written at once; its
            header is filled in where it has one.
        frame_id: of the header.
        received: (n,) receive time, ns; None for the stamp and the declared latency.
    """

    topic: Topic
    stamps: Integers
    make: Callable[[int], Any]
    frame_id: str = BODY_FRAME
    received: Integers | None = None


def write_streams(
    streams: Sequence[Stream],
    target: Path | str,
    *,
    namespace: str = '',
    latency_s: Mapping[str, float] | None = None,
    custom_data: Mapping[str, str] | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> dict[str, int]:
    """Write ``streams`` into a new bag in order of receive time; gives counts by topic.

    Args:
        streams: at equal receive times the earlier in this sequence comes first.
        target: directory to create.
        namespace: of the topics.
        latency_s: latency by topic, s, in place of :data:`DEFAULT_LATENCY_S`.
        custom_data: for the bag's metadata.
        progress: called with the fraction done.
        **options: of :class:`BagWriter`.

    Raises:
        BagError: the bag cannot be written.
    """
    latency = {**DEFAULT_LATENCY_S, **(latency_s or {})}
    prefix = namespace.strip('/')
    names = [f'/{prefix}/{s.topic.name}' if prefix else f'/{s.topic.name}' for s in streams]
    received = [
        s.stamps + seconds_ns(latency.get(s.topic.name, 0.0)) if s.received is None else s.received
        for s in streams
    ]
    times = np.concatenate(received)
    owner = np.concatenate([np.full(len(r), k) for k, r in enumerate(received)])
    index = np.concatenate([np.arange(len(r)) for r in received])
    order = np.lexsort((index, owner, times))
    with BagWriter(target, custom_data=custom_data, **options) as writer:
        for stream, name in zip(streams, names, strict=True):
            writer.add_topic(name, stream.topic.type, stream.topic.qos)
        for done, (k, i, at) in enumerate(
            zip(owner[order].tolist(), index[order].tolist(), times[order].tolist(), strict=True)
        ):
            stream = streams[k]
            message = stream.make(i)
            if hasattr(message, 'header'):
                set_stamp(message.header.stamp, int(stream.stamps[i]))
                message.header.frame_id = stream.frame_id
            writer.write(names[k], at, message)
            if progress is not None and done % 5000 == 0:
                progress(done / len(order))
        if progress is not None:
            progress(1.0)
        return {name.removeprefix('/'): count for name, count in writer.counts.items()}


def imu(angular_rate: Floats, specific_force: Floats) -> Callable[[int], Imu]:
    """Raw IMU messages of (n, 3) rad/s and (n, 3) m/s2; orientation and covariances unknown."""
    message = Imu()
    message.orientation_covariance[0] = -1.0

    def make(i: int) -> Imu:
        _set(message.angular_velocity, angular_rate[i])
        _set(message.linear_acceleration, specific_force[i])
        return message

    return make


def magnetometer(field: Floats) -> Callable[[int], MagneticField]:
    """Magnetic field messages of (n, 3) T; covariance unknown."""
    message = MagneticField()

    def make(i: int) -> MagneticField:
        _set(message.magnetic_field, field[i])
        return message

    return make


def fix(
    place: Floats, covariance: Floats, kind: int, status: npt.NDArray[np.int64]
) -> Callable[[int], NavSatFix]:
    """Fixes of (n, 3) deg, deg, m above the ellipsoid and (n, 3, 3) m2, ENU.

    Args:
        place: latitude, longitude, altitude.
        covariance: of the position.
        kind: a COVARIANCE_TYPE of NavSatFix.
        status: (n,) STATUS of NavSatStatus.
    """
    message = NavSatFix(position_covariance_type=kind)

    def make(i: int) -> NavSatFix:
        message.latitude, message.longitude, message.altitude = map(float, place[i])
        message.position_covariance = covariance[i].ravel()
        message.status.status = int(status[i])
        message.status.service = NavSatStatus.SERVICE_GPS
        return message

    return make


def velocity(vector: Floats, covariance: Floats) -> Callable[[int], TwistWithCovarianceStamped]:
    """Velocities of (n, 3) m/s and (n, 3, 3) m2/s2, ENU; angular part unknown (-1)."""
    message = TwistWithCovarianceStamped()

    def make(i: int) -> TwistWithCovarianceStamped:
        _set(message.twist.twist.linear, vector[i])
        message.twist.covariance = _block(covariance[i])
        return message

    return make


def pressure(pascal: Floats) -> Callable[[int], FluidPressure]:
    """Pressure messages of (n,) Pa; variance unknown."""
    return lambda i: FluidPressure(fluid_pressure=float(pascal[i]))


def attitude(quaternion: Floats) -> Callable[[int], QuaternionStamped]:
    """Attitudes of (n, 4) x y z w, body to ENU."""
    message = QuaternionStamped()

    def make(i: int) -> QuaternionStamped:
        q = message.quaternion
        q.x, q.y, q.z, q.w = map(float, quaternion[i])
        return message

    return make


def odometry(
    position: Floats, covariance: Floats, speed: Floats, speed_covariance: Floats
) -> Callable[[int], Odometry]:
    """Odometry of (n, 3) m and (n, 3) m/s, ENU, orientation unknown (variance -1).

    The child frame is the antenna with axes parallel to ENU, so that the twist stays in ENU.
    """
    message = Odometry(child_frame_id='gnss_antenna')

    def make(i: int) -> Odometry:
        _set(message.pose.pose.position, position[i])
        message.pose.covariance = _block(covariance[i])
        _set(message.twist.twist.linear, speed[i])
        message.twist.covariance = _block(speed_covariance[i])
        return message

    return make


def _block(covariance: Floats) -> Floats:
    whole = np.zeros((6, 6))
    whole[:3, :3] = covariance
    whole[3, 3] = whole[4, 4] = whole[5, 5] = -1.0
    return whole.ravel()


def _set(vector: Any, values: Floats) -> None:
    vector.x, vector.y, vector.z = map(float, values)
