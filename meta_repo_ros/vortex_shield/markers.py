# SPDX-License-Identifier: Apache-2.0
"""What rviz shows of Vortex Shield: rotor disk, ring, way out, and a line of text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from geometry_msgs.msg import Point
from visualization_msgs.msg import Marker, MarkerArray

from meta_repo_ros.core.rotations import Quaternion, conjugate, rotate
from meta_repo_ros.core.rotorcraft import Rotorcraft
from meta_repo_ros.core.time import set_stamp
from meta_repo_ros.vortex_shield.types import Detection, Level, Phase, RecoveryPlan

COLOURS = {
    Level.UNKNOWN: (0.6, 0.6, 0.6),
    Level.NONE: (0.1, 0.7, 0.2),
    Level.MARGIN: (0.95, 0.85, 0.1),
    Level.INCIPIENT: (1.0, 0.5, 0.0),
    Level.DEVELOPED: (0.9, 0.05, 0.05),
}
"""Red, green, blue by level."""
_RING_POINTS = 48
_TURNS = 12  # windings of the line around the core of the ring
_LIFETIME = 1_000_000_000  # ns: what is no longer drawn disappears by itself
_FLOWN = (Phase.PREPARE, Phase.EXIT, Phase.CLIMB_OUT)


class Markers:
    """Makes the markers of one vehicle, all in its body frame.

    The disk is one circle about the rotors: with several of them it reaches to their tips where
    they stand side by side around the hub.

    Args:
        rotorcraft: whose.
        frame: body frame.
    """

    def __init__(self, rotorcraft: Rotorcraft, frame: str) -> None:
        self._frame = frame
        self._radius = rotorcraft.radius * (1.0 if rotorcraft.rotors == 1 else 2.4)
        self._ring = torus(self._radius, 0.2 * self._radius)

    def draw(
        self,
        stamp: int,
        detection: Detection | None,
        plan: RecoveryPlan | None,
        orientation: Quaternion | None,
    ) -> Any:
        """``MarkerArray`` at ``stamp`` (ns).

        Args:
            stamp: ns.
            detection: newest, None before there is one.
            plan: newest, None where there is none.
            orientation: body to ENU, for the direction of the exit; None where unknown.
        """
        level = Level.UNKNOWN if detection is None else detection.level
        colour = COLOURS[level]
        radius = self._radius
        disk = self._marker(stamp, 'rotor_disk', Marker.CYLINDER, (*colour, 0.4))
        disk.scale.x = disk.scale.y = 2.0 * radius
        disk.scale.z = 0.02 * radius
        text = self._marker(stamp, 'level', Marker.TEXT_VIEW_FACING, (1.0, 1.0, 1.0, 1.0))
        text.pose.position.z = 0.8 * radius
        text.scale.z = 0.3 * radius
        text.text = caption(detection, plan)
        markers = [disk, text]
        if level >= Level.INCIPIENT:
            ring = self._marker(stamp, 'ring', Marker.LINE_STRIP, (*colour, 0.8))
            ring.scale.x = 0.02 * radius
            ring.points = [Point(x=x, y=y, z=z) for x, y, z in self._ring]
            markers.append(ring)
        if plan is not None and plan.phase in _FLOWN and orientation is not None:
            markers.append(self._arrow(stamp, plan, orientation))
        return MarkerArray(markers=markers)

    def _arrow(self, stamp: int, plan: RecoveryPlan, orientation: Quaternion) -> Any:
        colour = (0.1, 0.9, 0.3, 1.0) if plan.assured else (0.9, 0.1, 0.6, 1.0)
        arrow = self._marker(stamp, 'escape', Marker.ARROW, colour)
        east, north = math.cos(plan.direction), math.sin(plan.direction)
        tip = rotate(conjugate(orientation), (east, north, 0.0))
        length = 3.0 * self._radius
        arrow.points = [Point(), Point(x=length * tip[0], y=length * tip[1], z=length * tip[2])]
        arrow.scale.x, arrow.scale.y = 0.1 * self._radius, 0.25 * self._radius
        arrow.scale.z = 0.4 * self._radius
        return arrow

    def _marker(self, stamp: int, name: str, kind: int, colour: Sequence[float]) -> Any:
        marker = Marker()
        set_stamp(marker.header.stamp, max(stamp, 0))
        marker.header.frame_id = self._frame
        marker.ns, marker.type, marker.action = name, kind, Marker.ADD
        marker.pose.orientation.w = 1.0
        c = marker.color
        c.r, c.g, c.b, c.a = map(float, colour)
        set_stamp(marker.lifetime, _LIFETIME)
        marker.frame_locked = True
        return marker


def caption(detection: Detection | None, plan: RecoveryPlan | None) -> str:
    """One line for people: level, probability, and the plan where there is one."""
    if detection is None:
        return 'no rotor samples'
    text = detection.level.name
    if math.isfinite(detection.probability):
        text += f' {100.0 * detection.probability:.0f} %'
    if plan is None or plan.phase not in _FLOWN:
        return text
    assured = 'assured' if plan.assured else 'NOT ASSURED'
    way = plan.variant.name.lower()
    loss = plan.predicted_loss
    return f'{text}\n{plan.phase.name} {way}, {loss:.0f} m to lose, {assured}'


def torus(radius: float, core: float) -> tuple[tuple[float, float, float], ...]:
    """A closed line wound around a ring in the plane z = 0.

    Args:
        radius: of the ring's middle, m.
        core: of the ring's core, m.

    Returns:
        Points x, y, z, m; the last is the first.
    """
    points = []
    total = _RING_POINTS * 4
    for i in range(total + 1):
        about = 2.0 * math.pi * i / total
        turn = _TURNS * about
        out = radius + core * math.cos(turn)
        points.append((out * math.cos(about), out * math.sin(about), core * math.sin(turn)))
    return tuple(points)
