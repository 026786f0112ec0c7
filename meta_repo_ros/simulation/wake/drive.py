# SPDX-License-Identifier: Apache-2.0
"""What drives the sensors at the rotor, at evenly spaced knots: one row per knot."""

from __future__ import annotations

import enum
import math

from meta_repo_ros.core.rotorcraft import STANDARD_GRAVITY, Rotorcraft
from meta_repo_ros.simulation.state import VehicleState
from meta_repo_ros.simulation.wake.ring import GAS_CONSTANT, RotorWake, WakeState


class Column(enum.IntEnum):
    """Columns of a drive; SI units.

    INTENSITY to FLUCTUATION and BUFFET are those of the wake's state; IMBALANCE is the amplitude
    of the 1P force over thrust, DESCENT and AIRSPEED are m/s along and across the shaft, LOADING
    is thrust without ring over disk area, HEIGHT is that of the disk above ground over its
    radius, GUST the rms of gusts smaller than those in DESCENT and AIRSPEED, m/s.
    """

    INTENSITY = 0
    RING_PHASE = 1
    RING_STRENGTH = 2
    TILT_COS = 3
    TILT_SIN = 4
    DEFICIT = 5
    FLUCTUATION = 6
    IMBALANCE = 7
    ROTOR_PHASE = 8
    DESCENT = 9
    AIRSPEED = 10
    INDUCED = 11
    LOADING = 12
    PRESSURE = 13
    DENSITY = 14
    HEIGHT = 15
    GUST = 16
    BUFFET = 17


COLUMNS = len(Column)


def row(wake: RotorWake, now: WakeState, state: VehicleState, gust: float = 0.0) -> list[float]:
    """The drive at one state.

    Args:
        wake: whose state it is.
        now: of the wake, at the time of ``state``.
        state: of the vehicle.
        gust: rms of small gusts, m/s.
    """
    craft, shape = wake.rotorcraft, wake.shape
    thrust = state.thrust if state.thrust > 0.0 else state.mass * STANDARD_GRAVITY
    induced = now.hover_induced_velocity
    return [
        now.intensity,
        now.ring_phase,
        now.ring_strength,
        math.cos(now.tilt_direction),
        math.sin(now.tilt_direction),
        now.deficit,
        now.fluctuation,
        shape.imbalance + now.intensity * shape.one_per_rev,
        now.rotor_phase,
        now.normalised_descent * induced,
        now.normalised_airspeed * induced,
        induced,
        thrust / craft.disk_area,
        state.static_pressure,
        state.static_pressure / (GAS_CONSTANT * state.temperature),
        ground_distance(state.height_above_ground, craft),
        gust,
        now.buffet,
    ]


def ground_distance(height: float, craft: Rotorcraft) -> float:
    """Of the disk over its radius; a disk stands some way above the wheels."""
    return max(height, 0.0) / craft.radius + 0.6
