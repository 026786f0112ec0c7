# SPDX-License-Identifier: Apache-2.0
"""What a bag says about a run: trajectories, truth, rates, latencies, innovations, diagnostics.

:class:`Collector` takes messages one by one, so that any reader, and a test, can feed it.
"""

from __future__ import annotations

import functools
import importlib
import struct
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pymap3d
from scipy.spatial.transform import Rotation

from meta_repo_ros.core.time import NANOSECONDS, stamp_ns
from meta_repo_ros.replay.bag_reader import BagReader
from meta_repo_ros.reporting.evaluation import (
    Origin,
    Stamps,
    Trajectory,
    trajectory,
)
from meta_repo_ros.reporting.plots import Innovations
from meta_repo_ros.reporting.wake import TOPICS as WAKE_TOPICS
from meta_repo_ros.reporting.wake import WakeCollector
from meta_repo_ros.reporting.wake_plots import Wake

ESTIMATE = 'odometry'
ATTITUDE = 'imu/data'
TRUTH = 'ground_truth/odometry'
TRUTH_ATTITUDE = 'ground_truth/attitude'
MOVEMENT = 'ground_truth/movement'
FIX = 'gnss/fix'
_ORIGINS = {ESTIMATE: 'odometry/origin', TRUTH: 'ground_truth/origin'}
# components of one measurement, of sensors whose rows do not say
_DIMENSIONS = {'attitude_fusion: stars': 3}
# Topics whose content is read; all others are only counted.
READ = WAKE_TOPICS | {
    *(ESTIMATE, ATTITUDE, TRUTH, TRUTH_ATTITUDE, MOVEMENT, FIX),
    *_ORIGINS.values(),
    'diagnostics',
}


@dataclass(frozen=True)
class Stream:
    """One topic of a bag: count, mean rate in Hz, longest gap in s.

    By ``header.stamp`` where the type has one, which shows losses, else by receive time.
    """

    topic: str
    type: str
    count: int
    rate: float
    longest_gap: float


@dataclass(frozen=True)
class Status:
    """One row of ``/diagnostics``: its worst level (0 OK, 1 WARN, 2 ERROR, 3 STALE) and words."""

    name: str
    level: int
    message: str
    last_level: int
    last_message: str


@dataclass(frozen=True)
class Recording:
    """Everything that a report needs of a bag; what the bag does not hold is None or empty.

    Attributes:
        start, end: first and last receive time, ns.
        estimate: trajectory of ``odometry``.
        attitude: orientations of ``imu/data`` with covariance.
        truth: trajectory of ``ground_truth/odometry``.
        truth_attitude: orientations of ``ground_truth/attitude``, in the scored phase only.
        fixes: positions of ``gnss/fix``.
        wake: detections of ``vortex_detection`` and what stood beside them.
    """

    start: int
    end: int
    estimate: Trajectory | None = None
    attitude: Trajectory | None = None
    truth: Trajectory | None = None
    truth_attitude: Trajectory | None = None
    fixes: Trajectory | None = None
    innovations: Mapping[str, Innovations] = field(default_factory=dict)
    streams: tuple[Stream, ...] = ()
    statuses: tuple[Status, ...] = ()
    wake: Wake | None = None

    @property
    def duration(self) -> float:
        """Seconds from the first to the last message."""
        return (self.end - self.start) * 1e-9


class Collector:
    """Gathers the messages of one vehicle.

    Args:
        namespace: of the vehicle, such as ``/uav1``; '' for none.
    """

    def __init__(self, namespace: str = '') -> None:
        self._prefix = '/' + namespace.strip('/') + '/' if namespace.strip('/') else '/'
        self._received: dict[str, list[int]] = defaultdict(list)
        self._stamps: dict[str, list[int]] = defaultdict(list)
        self._types: dict[str, str] = {}
        self._odometry: dict[str, list[tuple[Any, ...]]] = {ESTIMATE: [], TRUTH: []}
        self._origins: dict[str, Origin] = {}
        self._orientations: dict[str, list[tuple[Any, ...]]] = {ATTITUDE: [], TRUTH_ATTITUDE: []}
        self._movement: list[tuple[int, bool]] = []
        self._fixes: list[tuple[Any, ...]] = []
        self._nis: dict[str, list[tuple[int, float, int]]] = defaultdict(list)
        self._last_nis: dict[str, str] = {}
        self._statuses: dict[str, Status] = {}
        self._wake = WakeCollector()

    def relative(self, topic: str) -> str:
        """The vehicle's own name of ``topic``; other vehicles' topics keep their full name."""
        if topic == '/diagnostics':
            return 'diagnostics'
        return topic.removeprefix(self._prefix)

    def wants(self, topic: str) -> bool:
        """Whether :meth:`add` needs the message itself."""
        return self.relative(topic) in READ

    def count(self, topic: str, type_name: str, received: int, stamp: int | None = None) -> None:
        """Count one message by its receive time and its header's stamp, ns."""
        self._received[topic].append(received)
        self._stamps[topic].append(received if stamp is None else stamp)
        self._types[topic] = type_name

    def add(self, topic: str, message: Any, received: int) -> None:
        """Read one message whose topic :meth:`wants`."""
        name = self.relative(topic)
        if name in self._odometry:
            self._odometry[name].append(_odometry_row(message))
        elif name in _ORIGINS.values():
            owner = next(key for key, value in _ORIGINS.items() if value == name)
            self._origins[owner] = Origin(message.latitude, message.longitude, message.altitude)
        elif name == ATTITUDE:
            covariance = np.asarray(message.orientation_covariance, dtype=float).reshape(3, 3)
            if covariance[0, 0] >= 0:
                row = (stamp_ns(message.header.stamp), _xyzw(message.orientation), covariance)
                self._orientations[name].append(row)
        elif name == TRUTH_ATTITUDE:
            row = (stamp_ns(message.header.stamp), _xyzw(message.quaternion), np.zeros((3, 3)))
            self._orientations[name].append(row)
        elif name == MOVEMENT:
            self._movement.append((received, bool(message.data)))
        elif name == FIX:
            self._add_fix(message)
        elif name == 'diagnostics':
            self._add_diagnostics(message)
        elif name in WAKE_TOPICS:
            self._wake.add(name, message)

    def finish(self) -> Recording:
        """Everything gathered, as arrays."""
        times = [t for row in self._received.values() for t in (min(row), max(row))]
        start, end = (min(times), max(times)) if times else (0, 0)
        return Recording(
            start=start,
            end=end,
            estimate=self._path(ESTIMATE),
            attitude=self._attitude(ATTITUDE, covariance=True),
            truth=self._path(TRUTH),
            truth_attitude=self._scored(self._attitude(TRUTH_ATTITUDE, covariance=False)),
            fixes=self._fix_path(),
            innovations=self._innovations(start),
            streams=tuple(
                _stream(self.relative(topic), self._types[topic], stamps)
                for topic, stamps in sorted(self._stamps.items())
            ),
            statuses=tuple(self._statuses[name] for name in sorted(self._statuses)),
            wake=self._wake.finish(start),
        )

    def _add_fix(self, message: Any) -> None:
        if (
            message.status.status < 0
            or not np.isfinite([message.latitude, message.longitude]).all()
        ):
            return
        altitude = message.altitude if np.isfinite(message.altitude) else 0.0
        stamp = stamp_ns(message.header.stamp)
        self._fixes.append((stamp, message.latitude, message.longitude, altitude))

    def _add_diagnostics(self, message: Any) -> None:
        stamp = stamp_ns(message.header.stamp)
        for row in message.status:
            level = (
                int.from_bytes(row.level, 'little') if isinstance(row.level, bytes) else row.level
            )
            before = self._statuses.get(row.name)
            worst = before is None or level > before.level
            self._statuses[row.name] = Status(
                row.name,
                level if worst or before is None else before.level,
                row.message if worst or before is None else before.message,
                level,
                row.message,
            )
            self._add_innovation(stamp, row)

    def _add_innovation(self, stamp: int, row: Any) -> None:
        """The last normalised innovation that a filter tells of a sensor, once each."""
        values = {item.key: item.value for item in row.values}
        text = values.get('nis_last', values.get('nis'))
        sensor = row.name.removeprefix('navigation_fusion: ')
        if text is None or text == self._last_nis.get(sensor):
            return
        self._last_nis[sensor] = text
        dimension = int(float(values.get('nis_expected', _DIMENSIONS.get(sensor, 1))))
        if np.isfinite(float(text)):
            self._nis[sensor].append((stamp, float(text), dimension))

    def _path(self, name: str) -> Trajectory | None:
        rows, origin = self._odometry[name], self._origins.get(name)
        if not rows:
            return None
        columns = _odometry_columns(rows)
        if origin is None:
            columns['position'] = None
        return trajectory(origin=origin, **columns)

    def _attitude(self, name: str, *, covariance: bool) -> Trajectory | None:
        rows = self._orientations[name]
        if not rows:
            return None
        stamps, orientation, spread = zip(*rows, strict=True)
        return trajectory(
            stamps, orientation=orientation, attitude_covariance=spread if covariance else None
        )

    def _scored(self, truth: Trajectory | None) -> Trajectory | None:
        """Truth in the movement phase, as BROAD scores it; all of it where no phase is given."""
        if truth is None or truth.orientation is None or not self._movement:
            return truth
        times = np.array([t for t, _ in self._movement])
        moving = np.array([m for _, m in self._movement])
        last = np.searchsorted(times, truth.stamps, side='right') - 1
        rows = (last >= 0) & moving[np.maximum(last, 0)]
        return trajectory(truth.stamps[rows], orientation=truth.orientation[rows])

    def _fix_path(self) -> Trajectory | None:
        if not self._fixes:
            return None
        rows = np.array([row[1:] for row in self._fixes])
        origin = Origin(*map(float, rows[0]))
        enu = pymap3d.geodetic2enu(
            *rows.T, origin.latitude, origin.longitude, origin.altitude, deg=True
        )
        stamps = [row[0] for row in self._fixes]
        return trajectory(stamps, origin=origin, position=np.stack(enu, axis=1))

    def _innovations(self, start: int) -> dict[str, Innovations]:
        result = {}
        for sensor, rows in sorted(self._nis.items()):
            stamps, values, dimensions = (np.array(column) for column in zip(*rows, strict=True))
            result[sensor] = Innovations((stamps - start) * 1e-9, values, int(dimensions[-1]))
        return result


def collect(messages: Iterable[tuple[str, str, int, Any]], namespace: str = '') -> Recording:
    """A :class:`Recording` of (topic, type, receive time in ns, message) rows."""
    collector = Collector(namespace)
    for topic, type_name, received, message in messages:
        header = getattr(message, 'header', None)
        stamp = None if header is None else stamp_ns(header.stamp)
        collector.count(topic, type_name, received, stamp)
        if collector.wants(topic):
            collector.add(topic, message, received)
    return collector.finish()


def read_bag(path: Path | str, namespace: str = '') -> Recording:
    """A :class:`Recording` of one vehicle of a bag.

    Raises:
        BagError: the bag cannot be read.
    """
    collector = Collector(namespace)
    with BagReader(path) as bag:
        for item in bag.raw():
            stamp = header_stamp(item.data) if _is_stamped(item.type) else None
            collector.count(item.topic, item.type, item.receive_ns, stamp)
            if collector.wants(item.topic) and bag.topics[item.topic].readable:
                collector.add(item.topic, bag.deserialise(item), item.receive_ns)
    return collector.finish()


def _xyzw(quaternion: Any) -> tuple[float, float, float, float]:
    return quaternion.x, quaternion.y, quaternion.z, quaternion.w


def _odometry_row(message: Any) -> tuple[Any, ...]:
    """Stamp, then 3 + 4 + 3 numbers, then the covariances of pose and twist as they came."""
    pose, twist = message.pose, message.twist
    point, speed = pose.pose.position, twist.twist.linear
    numbers = (point.x, point.y, point.z, *_xyzw(pose.pose.orientation), speed.x, speed.y, speed.z)
    return stamp_ns(message.header.stamp), numbers, pose.covariance, twist.covariance


def _odometry_columns(rows: list[tuple[Any, ...]]) -> dict[str, Any]:
    """Columns of a trajectory; velocity and its covariance turned from the body to ENU axes."""
    stamps, numbers, pose_spread, twist_spread = (
        list(column) for column in zip(*rows, strict=True)
    )
    values = np.array(numbers, dtype=float)
    spread = np.array(pose_spread, dtype=float).reshape(-1, 6, 6)
    speed_spread = np.array(twist_spread, dtype=float).reshape(-1, 6, 6)[:, :3, :3]
    orientation, velocity = values[:, 3:7], values[:, 7:10]
    known = (np.linalg.norm(orientation, axis=1) > 0.5) & (spread[:, 3, 3] >= 0)
    orientation[~known] = np.nan
    if known.any():
        # the twist is given in the child (body) frame
        turn = Rotation.from_quat(orientation[known]).as_matrix()
        velocity[known] = np.einsum('nij,nj->ni', turn, velocity[known])
        speed_spread[known] = turn @ speed_spread[known] @ turn.transpose(0, 2, 1)
    return {
        'stamps': stamps,
        'position': values[:, :3],
        'orientation': orientation if known.any() else None,
        'velocity': velocity,
        'position_covariance': spread[:, :3, :3],
        'attitude_covariance': spread[:, 3:, 3:],
        'velocity_covariance': speed_spread,
    }


@functools.cache
def _is_stamped(type_name: str) -> bool:
    """Whether messages of this type begin with a header; False where it is not installed."""
    package, _, name = type_name.partition('/msg/')
    try:
        message: Any = getattr(importlib.import_module(f'{package}.msg'), name)
    except (ImportError, AttributeError):
        return False
    return next(iter(message.get_fields_and_field_types().values()), '') == 'std_msgs/Header'


def header_stamp(data: bytes) -> int:
    """The stamp, ns, of a CDR message that begins with a header."""
    # CDR: four bytes of encapsulation, the second of which tells the byte order, then the stamp
    sec, nanosec = struct.unpack_from('<iI' if data[1] & 1 else '>iI', data, 4)
    return int(sec) * NANOSECONDS + int(nanosec)


def _stream(topic: str, type_name: str, stamps: list[int]) -> Stream:
    times: Stamps = np.sort(np.array(stamps, dtype=np.int64))
    span = float(times[-1] - times[0]) * 1e-9
    rate = (len(times) - 1) / span if span > 0 else 0.0
    gap = float(np.diff(times).max()) * 1e-9 if len(times) > 1 else 0.0
    return Stream(topic, type_name, len(times), rate, gap)
