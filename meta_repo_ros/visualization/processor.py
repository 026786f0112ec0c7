# SPDX-License-Identifier: Apache-2.0
"""Processor of the track visualizer: tracks of truth, estimate and GNSS, the estimate's ellipse.

Everything is drawn in the frame of the estimate (``odom`` about ``odometry/origin``). Points are
kept Earth-fixed, so that tracks stay where they are when that origin moves.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pymap3d
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Path
from visualization_msgs.msg import Marker, MarkerArray

from meta_repo_ros.core.parameters import parameter
from meta_repo_ros.core.processor import Diagnostic, Level, Output, Processor, Topic
from meta_repo_ros.core.time import NANOSECONDS, seconds_ns, set_stamp, stamp_ns
from meta_repo_ros.visualization.track import Ellipse, Point, Track, ellipse, interpolate

_TRACKS = {'truth': 'track/truth', 'estimate': 'track/estimate', 'gnss': 'track/gnss'}
_ORIGINS = {'truth': 'ground_truth/origin', 'estimate': 'odometry/origin'}
_NO_FIX = -1
_RECENT_TRUTH = 64


@dataclass(frozen=True)
class TrackVisualizerParameters:
    """Parameters of the track visualizer."""

    interval: float = parameter(
        0.2,
        'Least time between two points of a track; it doubles whenever a track is full.',
        unit='s', minimum=0.01, maximum=60.0, read_only=True,
    )  # fmt: skip
    max_points: int = parameter(
        1000,
        'Greatest number of points of a track.',
        unit='', minimum=10, maximum=100000, read_only=True,
    )  # fmt: skip
    ellipse_height: float = parameter(
        0.1, 'Height of the covariance ellipse.', unit='m', minimum=0.001, maximum=100.0
    )
    text_size: float = parameter(
        2.0, 'Height of the text that shows the error.', unit='m', minimum=0.01, maximum=1000.0
    )


@dataclass
class _Drawn:
    """A track, the path message that shows it, and whether that is to be published."""

    track: Track
    path: Any = field(default_factory=Path)
    changed: bool = False


class TrackVisualizer(Processor):
    """Draws where the vehicle was, where it is thought to be, and how sure that is."""

    name = 'track_visualizer'
    Parameters = TrackVisualizerParameters
    inputs = (
        Topic('odometry', 'nav_msgs/msg/Odometry', 'STREAM'),
        Topic('ground_truth/odometry', 'nav_msgs/msg/Odometry', 'STATE'),
        Topic('gnss/fix', 'sensor_msgs/msg/NavSatFix', 'SENSOR'),
        Topic('odometry/origin', 'sensor_msgs/msg/NavSatFix', 'LATCHED'),
        Topic('ground_truth/origin', 'sensor_msgs/msg/NavSatFix', 'LATCHED'),
    )
    outputs = (
        *(Topic(name, 'nav_msgs/msg/Path', 'LATCHED') for name in _TRACKS.values()),
        Topic('track/markers', 'visualization_msgs/msg/MarkerArray', 'LATCHED'),
    )

    def __init__(self, parameters: TrackVisualizerParameters, seed: int = 0) -> None:
        super().__init__(parameters, seed)
        self.parameters: TrackVisualizerParameters
        self._drawn = self._empty()
        self._origins: dict[str, tuple[float, float, float]] = {}
        self._recent_truth: deque[tuple[int, Point]] = deque(maxlen=_RECENT_TRUTH)
        self._newest: Any = None
        self._frame = 'odom'
        self._error: float | None = None
        self._refused = 0
        self._reported = 0

    @property
    def timer_period_ns(self) -> int:
        """One second."""
        return NANOSECONDS

    def on_message(self, topic: str, message: Any, stamp: int) -> Sequence[Output]:  # noqa: ARG002
        """Take a point of a track, or an origin; nothing is published here."""
        if topic == 'odometry':
            self._newest = message
            self._take('estimate', message)
        elif topic == 'ground_truth/odometry':
            self._take('truth', message)
        elif topic == 'gnss/fix':
            if message.status.status > _NO_FIX:
                self._add('gnss', stamp_ns(message.header.stamp), _geodetic(message))
        else:
            self._set_origin('truth' if topic == _ORIGINS['truth'] else 'estimate', message)
        return ()

    def on_timer(self, stamp: int) -> Sequence[Output]:  # noqa: ARG002
        """Publish what has changed."""
        if 'estimate' not in self._origins:
            return ()
        outputs = []
        for name, drawn in self._drawn.items():
            if drawn.changed:
                self._draw(drawn)
                outputs.append(Output(_TRACKS[name], drawn.path))
        markers = self._markers()
        if markers is not None:
            outputs.append(Output('track/markers', markers))
        return outputs

    def diagnostics(self, stamp: int) -> Sequence[Diagnostic]:  # noqa: ARG002
        """Number of points, what was refused, and the newest horizontal error."""
        values: dict[str, str | int | float | bool] = {
            f'points {name}': len(drawn.track) for name, drawn in self._drawn.items()
        }
        values['refused'] = self._refused
        if self._error is not None:
            values['horizontal_error_m'] = self._error
        news, self._reported = self._refused - self._reported, self._refused
        if news:
            text = f'{news} positions that are no places were refused'
            return (Diagnostic('tracks', Level.WARN, text, values),)
        waiting = 'estimate' not in self._origins
        text = 'waits for odometry/origin' if waiting else 'draws'
        return (Diagnostic('tracks', Level.OK, text, values),)

    def reset(self, stamp: int) -> None:  # noqa: ARG002
        """Forget all points and the estimate; origins stay, since they come only once."""
        self._drawn = self._empty()
        self._recent_truth.clear()
        self._newest = self._error = None

    def _empty(self) -> dict[str, _Drawn]:
        interval, size = seconds_ns(self.parameters.interval), self.parameters.max_points
        return {name: _Drawn(Track(interval, size)) for name in _TRACKS}

    def _set_origin(self, name: str, message: Any) -> None:
        place = (float(message.latitude), float(message.longitude), float(message.altitude))
        if not _is_place(*place):
            self._refused += 1
            return
        if self._origins.get(name) != place and name == 'estimate':
            for drawn in self._drawn.values():
                drawn.path = Path()
                drawn.changed = len(drawn.track) > 0
        self._origins[name] = place

    def _take(self, name: str, message: Any) -> None:
        """A position relative to an origin; most come too early to be drawn, and cost little."""
        stamp = stamp_ns(message.header.stamp)
        if name == 'truth':
            position = message.pose.pose.position
            self._recent_truth.append((stamp, (position.x, position.y, position.z)))
        if name in self._origins and self._drawn[name].track.due(stamp):
            if name == 'estimate':
                self._frame = message.header.frame_id or self._frame
            self._add(name, stamp, self._earth_fixed(name, message.pose.pose.position))

    def _earth_fixed(self, name: str, position: Any) -> Point:
        return _floats(pymap3d.enu2ecef(position.x, position.y, position.z, *self._origins[name]))

    def _add(self, name: str, stamp: int, point: Point) -> None:
        if not all(map(math.isfinite, point)):
            self._refused += 1
            return
        drawn = self._drawn[name]
        if drawn.track.due(stamp):
            drawn.changed = True
            if drawn.track.add(stamp, point):
                drawn.path = Path()

    def _draw(self, drawn: _Drawn) -> None:
        """Bring the path message up to date; points that it shows already are not made again."""
        track, poses = drawn.track, drawn.path.poses
        begin = len(poses)
        places = self._local(track.points[begin:])
        for stamp, (x, y, z) in zip(track.stamps[begin:], places, strict=True):
            pose = PoseStamped()
            pose.header.frame_id = self._frame
            set_stamp(pose.header.stamp, stamp)
            pose.pose.position.x, pose.pose.position.y, pose.pose.position.z = x, y, z
            poses.append(pose)
        drawn.path.header.frame_id = self._frame
        set_stamp(drawn.path.header.stamp, track.stamps[-1])
        drawn.changed = False

    def _local(self, points: Sequence[Point]) -> list[list[float]]:
        """Earth-fixed points in the estimate's frame, n rows of east, north, up."""
        x, y, z = np.array(points).T
        places: list[list[float]] = np.column_stack(
            pymap3d.ecef2enu(x, y, z, *self._origins['estimate'])
        ).tolist()
        return places

    def _markers(self) -> Any:
        newest, self._newest = self._newest, None
        if newest is None:
            return None
        position = newest.pose.pose.position
        covariance = np.asarray(newest.pose.covariance, dtype=float).reshape(6, 6)[:2, :2]
        try:
            area = ellipse(covariance)
        except ValueError:
            self._refused += 1
            return None
        if not math.isfinite(position.x + position.y + position.z):
            self._refused += 1
            return None
        self._error = self._horizontal_error(newest)
        error = 'no truth' if self._error is None else f'{self._error:.2f} m off'
        text = _marker(newest, 'error', Marker.TEXT_VIEW_FACING)
        text.text = f'{error}, 95 %: {area.major:.2f} m'
        text.scale.z = self.parameters.text_size
        text.pose.position.z += self.parameters.text_size
        text.color.r = text.color.g = text.color.b = text.color.a = 1.0
        return MarkerArray(markers=[self._ellipse_marker(newest, area), text])

    def _ellipse_marker(self, estimate: Any, area: Ellipse) -> Any:
        marker = _marker(estimate, 'covariance', Marker.CYLINDER)
        # rviz2 refuses a scale of zero
        marker.scale.x = max(2.0 * area.major, 1e-3)
        marker.scale.y = max(2.0 * area.minor, 1e-3)
        marker.scale.z = self.parameters.ellipse_height
        marker.pose.orientation.z = math.sin(0.5 * area.direction)
        marker.pose.orientation.w = math.cos(0.5 * area.direction)
        marker.color.r, marker.color.g, marker.color.b, marker.color.a = 0.2, 0.6, 1.0, 0.4
        return marker

    def _horizontal_error(self, estimate: Any) -> float | None:
        """Distance from the truth of the same time, in the horizontal plane of the origin."""
        if 'truth' not in self._origins:
            return None
        stamps = [stamp for stamp, _ in self._recent_truth]
        points = [point for _, point in self._recent_truth]
        truth = interpolate(stamps, points, stamp_ns(estimate.header.stamp))
        if truth is None:
            return None
        fixed = _floats(pymap3d.enu2ecef(*truth, *self._origins['truth']))
        ((east, north, _),) = self._local([fixed])
        position = estimate.pose.pose.position
        return math.hypot(position.x - east, position.y - north)


def _marker(estimate: Any, namespace: str, kind: int) -> Any:
    marker = Marker()
    marker.header.frame_id = estimate.header.frame_id
    marker.header.stamp.sec = estimate.header.stamp.sec
    marker.header.stamp.nanosec = estimate.header.stamp.nanosec
    marker.ns, marker.id, marker.type, marker.action = namespace, 0, kind, Marker.ADD
    position = estimate.pose.pose.position
    marker.pose.position.x, marker.pose.position.y = float(position.x), float(position.y)
    marker.pose.position.z = float(position.z)
    marker.pose.orientation.w = 1.0
    return marker


def _geodetic(fix: Any) -> Point:
    if not _is_place(fix.latitude, fix.longitude, fix.altitude):
        return math.nan, math.nan, math.nan
    return _floats(pymap3d.geodetic2ecef(fix.latitude, fix.longitude, fix.altitude))


def _is_place(latitude: float, longitude: float, altitude: float) -> bool:
    return abs(latitude) <= 90.0 and math.isfinite(longitude) and math.isfinite(altitude)


def _floats(point: Any) -> Point:
    x, y, z = point
    return float(x), float(y), float(z)
