# SPDX-License-Identifier: Apache-2.0
"""What the autopilots have in common: the state that they see and a limited integrator.

They are plain cascades of proportional and integral loops, made to fly the simulator's aircraft
through a scenario; they see the true state and prove nothing about estimation.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar, Protocol

from meta_repo_ros.control.setpoints import Command, Field
from meta_repo_ros.core import rotations
from meta_repo_ros.core.rotations import Quaternion, Vector

GRAVITY = 9.80665  # m/s2, standard


class FlightState(Protocol):
    """What an autopilot sees of the aircraft; frames as everywhere (ENU, body x y z = FLU)."""

    @property
    def orientation(self) -> Quaternion:
        """Body to ENU."""

    @property
    def body_rate(self) -> Vector:
        """Turn rate against the Earth, rad/s, body axes."""

    @property
    def velocity(self) -> Vector:
        """Over ground, m/s, ENU."""

    @property
    def altitude(self) -> float:
        """Above the WGS84 ellipsoid, m."""

    @property
    def airspeed(self) -> float:
        """True airspeed, m/s."""

    @property
    def sideslip(self) -> float:
        """Rad, positive wind from the right."""


class Autopilot(ABC):
    """Turns a command into actuator positions.

    Attributes:
        supported: what of a command it can follow; the rest is ignored.
    """

    supported: ClassVar[Field]

    @abstractmethod
    def control(self, state: FlightState, command: Command, dt: float) -> tuple[float, ...]:
        """Actuator positions for the next ``dt`` seconds, in the order of the aircraft.

        A command that leaves a loop open (no altitude, no speed, ...) holds what was last
        commanded of it, or what flew when the autopilot started.
        """


class Integrator:
    """An integral that stays within limits (anti-windup by clamping)."""

    def __init__(self, low: float, high: float, value: float = 0.0) -> None:
        self.low, self.high, self.value = low, high, value

    def add(self, amount: float) -> float:
        """Add and return the new value."""
        self.value = clamp(self.value + amount, self.low, self.high)
        return self.value


def clamp(value: float, low: float, high: float) -> float:
    """``value`` within ``[low, high]``."""
    return low if value < low else min(value, high)


def wrap(angle: float) -> float:
    """Angle in [-pi, pi), rad."""
    return (angle + math.pi) % (2.0 * math.pi) - math.pi


def turn_rate(orientation: Quaternion, wanted: Quaternion, gains: Vector, limit: float) -> Vector:
    """Body rate, rad/s, that turns ``orientation`` into ``wanted`` (both body to ENU).

    Args:
        orientation: as it is.
        wanted: as it is to be.
        gains: of the error about each body axis, 1/s.
        limit: greatest rate about any of them, rad/s.
    """
    x, y, z = rotations.log(rotations.multiply(rotations.conjugate(orientation), wanted))
    return (
        clamp(gains[0] * x, -limit, limit),
        clamp(gains[1] * y, -limit, limit),
        clamp(gains[2] * z, -limit, limit),
    )
