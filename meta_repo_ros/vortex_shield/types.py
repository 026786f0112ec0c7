# SPDX-License-Identifier: Apache-2.0
"""What the parts of Vortex Shield hand to each other. SI units, earth axes ENU, angles in rad."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

from meta_repo_ros.core.rotations import Quaternion, Vector


class Level(enum.IntEnum):
    """State of the rotor wake; the values are those of ``VortexDetection``."""

    UNKNOWN = 0
    NONE = 1
    MARGIN = 2
    INCIPIENT = 3
    DEVELOPED = 4


class Voice(enum.IntFlag):
    """What took part in a detection; the values are those of ``VortexDetection``."""

    STATE = 1
    PRESSURE = 2
    FLOW = 4
    ACOUSTIC = 8


class Phase(enum.IntEnum):
    """Of a recovery; the values are those of ``RecoveryCommand``."""

    NONE = 0
    PREPARE = 1
    EXIT = 2
    CLIMB_OUT = 3
    COMPLETE = 4
    ABORTED = 5


class Variant(enum.IntEnum):
    """Way out of the wake; the values are those of ``RecoveryCommand``."""

    NONE = 0
    FORWARD = 1
    VUICHARD = 2


@dataclass(frozen=True, slots=True)
class FlightState:
    """What the vehicle knows of its flight, at one instant; NaN where unknown.

    Attributes:
        stamp: ns.
        sink_rate: through the air, positive down, m/s.
        airspeed: horizontal, through the air, m/s, >= 0.
        height: above ground, m.
        rotor_speed: mean of the rotors, rad/s.
        thrust: total as commanded, N.
        density: of the air, kg/m3.
        sink_sigma, airspeed_sigma: standard deviations, m/s; NaN: the configured ones hold.
        altitude: above the ellipsoid, m.
        velocity: over ground, ENU, m/s; None where unknown.
        wind: velocity of the air over ground, ENU, m/s; None where unknown.
        orientation: body to ENU; None where unknown.
        thrust_fraction: as a setpoint's thrust, of the throttle or collective now commanded, 0 to
            1: see :meth:`Rotorcraft.thrust_fraction`.
    """

    stamp: int
    sink_rate: float
    airspeed: float
    height: float = math.nan
    rotor_speed: float = math.nan
    thrust: float = math.nan
    density: float = 1.225
    sink_sigma: float = math.nan
    airspeed_sigma: float = math.nan
    altitude: float = math.nan
    velocity: Vector | None = None
    wind: Vector | None = None
    orientation: Quaternion | None = None
    thrust_fraction: float = math.nan


@dataclass(frozen=True, slots=True)
class Detection:
    """One decision; as ``VortexDetection``.

    Attributes:
        stamp: time of the newest sample used, ns.
        sequence: of the newest block used.
        oldest: time of the oldest sample of that block, ns.
        level: decided, with hysteresis.
        probability: calibrated, of level >= INCIPIENT.
        risk: from the descent state alone; NaN without one.
        evidence: from the streams alone; NaN without any.
        time_to_onset: s; inf if receding, 0 if inside.
        normalised_descent: sink rate over hover induced velocity, positive down; NaN if unknown.
        normalised_airspeed: NaN if unknown.
        hover_induced_velocity: m/s.
        voices: what took part.
        features: names of the features that spoke, the loudest first.
        scores: one per name, standard deviations above their quiet level.
        note: for people: what could not be used, and why.
    """

    stamp: int
    sequence: int
    oldest: int
    level: Level
    probability: float
    risk: float
    evidence: float
    time_to_onset: float
    normalised_descent: float
    normalised_airspeed: float
    hover_induced_velocity: float
    voices: Voice
    features: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()
    note: str = ''


@dataclass(frozen=True, slots=True)
class RecoveryPlan:
    """A way out of the wake at one instant; as ``RecoveryCommand``.

    Attributes:
        stamp: of the decision, ns.
        sequence: of the sample block that caused it.
        oldest: time of the oldest sample of that block, ns.
        phase, variant: where it is, and which way.
        tilt: of the rotor disk from level, rad, >= 0.
        direction: horizontal, of the exit over ground axes, counter-clockwise from east, rad.
        rotor_speed_change: asked for, rad/s: in EXIT against the speed when it began, in
            CLIMB_OUT against the present speed.
        collective_limit: highest collective or thrust fraction, 0 to 1, allowed in this phase.
        predicted_loss: of altitude, from now to the end, m.
        predicted_duration: s.
        height_available: above ground, m; NaN if unknown.
        height_margin: height available over ``predicted_loss``; NaN if unknown.
        assured: whether that is at least the configured safety margin.
        reason: for people.
        orientation: body to ENU to fly now; None where nothing is to be flown.
        thrust: fraction of the greatest thrust (or collective range) to fly now, 0 to 1; None where
            the autopilot keeps it.
        rotor_speed: rad/s to fly now; None where it stays.
    """

    stamp: int
    sequence: int
    oldest: int
    phase: Phase
    variant: Variant
    tilt: float
    direction: float
    rotor_speed_change: float
    collective_limit: float
    predicted_loss: float
    predicted_duration: float
    height_available: float
    height_margin: float
    assured: bool
    reason: str
    orientation: Quaternion | None = None
    thrust: float | None = None
    rotor_speed: float | None = None
