# SPDX-License-Identifier: Apache-2.0
"""The scenario's manoeuvres as a command: what flies while nobody sends a setpoint."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from meta_repo_ros.control.autopilot import clamp
from meta_repo_ros.control.setpoints import Command
from meta_repo_ros.core.rotations import Vector, from_euler
from meta_repo_ros.simulation.scenario import Manoeuvre, ManoeuvreValues
from meta_repo_ros.simulation.state import VehicleState

_DEFAULT_SPEED = 3.0  # m/s towards a waypoint, where no airspeed is commanded


def course_enu(degrees: float) -> float:
    """Angle counter-clockwise from east, rad, of a course clockwise from north, deg."""
    return math.radians(90.0 - degrees)


class Mission:
    """Follows a list of manoeuvres.

    Args:
        manoeuvres: in order of time.
        hovers: whether the aircraft can stop at a waypoint.
        approach: speed towards a waypoint over the distance to it, 1/s.
    """

    def __init__(
        self, manoeuvres: Sequence[Manoeuvre], *, hovers: bool, approach: float = 0.4
    ) -> None:
        self._todo = list(manoeuvres)
        self._hovers, self._approach = hovers, approach
        self._command = Command()
        self._waypoint: Vector | None = None

    def command(self, state: VehicleState) -> Command:
        """The command at a state; states must come in order of time."""
        while self._todo and self._todo[0].values.at <= state.time:
            self._begin(self._todo.pop(0))
        if self._waypoint is None:
            return self._command
        return self._towards(state, self._waypoint)

    def _begin(self, manoeuvre: Manoeuvre) -> None:
        v, given, command = manoeuvre.values, manoeuvre.given, self._command
        # one way to move at a time: the newest given replaces the others
        if given & {'course', 'velocity', 'waypoint', 'attitude'}:
            self._waypoint = None
            command = dataclasses.replace(command, course=None, velocity=None, attitude=None)
        self._command = dataclasses.replace(command, **self._changes(v, given, command))
        if 'waypoint' in given:
            self._waypoint = (v.waypoint[0], v.waypoint[1], v.waypoint[2])

    def _changes(
        self, v: ManoeuvreValues, given: frozenset[str], before: Command
    ) -> dict[str, Any]:
        changes: dict[str, Any] = {'thrust': None}
        for name in given & {'altitude', 'airspeed', 'thrust'}:
            changes[name] = getattr(v, name)
        if 'course' in given:
            changes['course'] = course_enu(v.course)
        if 'velocity' in given:
            changes['velocity'] = (v.velocity[0], v.velocity[1], v.velocity[2])
        if 'attitude' in given:
            roll, pitch, heading = v.attitude
            changes['attitude'] = from_euler(
                math.radians(roll), -math.radians(pitch), course_enu(heading)
            )
        if 'heading' in given:
            changes['attitude'] = from_euler(0.0, 0.0, course_enu(v.heading))
            if before.course is None and before.velocity is None:
                # a heading alone means to turn on the spot, not to fly by attitude
                changes.setdefault('velocity', (0.0, 0.0, 0.0))
        return changes

    def _towards(self, state: VehicleState, waypoint: Vector) -> Command:
        east, north, up = (w - p for w, p in zip(waypoint, state.local_position, strict=True))
        altitude = state.altitude + up
        distance = math.hypot(east, north)
        if not self._hovers:
            return dataclasses.replace(
                self._command, course=math.atan2(north, east), altitude=altitude
            )
        speed = self._command.airspeed or _DEFAULT_SPEED
        speed = clamp(self._approach * distance, 0.0, speed)
        scale = speed / distance if distance > 1e-6 else 0.0
        return dataclasses.replace(
            self._command, velocity=(east * scale, north * scale, 0.0), altitude=altitude
        )
