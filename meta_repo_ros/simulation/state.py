# SPDX-License-Identifier: Apache-2.0
"""True state of the simulated vehicle, and what an inertial sensor feels between two states."""

from __future__ import annotations

import math
from dataclasses import dataclass

from meta_repo_ros.core import rotations
from meta_repo_ros.core.geodesy import EARTH_RATE, GM, J2, J4, SEMI_MAJOR
from meta_repo_ros.core.rotations import Quaternion, Vector


@dataclass(frozen=True, slots=True)
class VehicleState:
    """Truth at one instant, at the centre of gravity.

    Body axes are x forward, y left, z up; ENU axes are those at the vehicle; the Earth turns under
    an inertial space, Earth-fixed axes are WGS84.

    Attributes:
        stamp: ns.
        time: s since the start of the scenario.
        latitude, longitude: geodetic, rad.
        altitude: m above the WGS84 ellipsoid.
        height_above_ground: m.
        position_ecef: m, Earth-fixed.
        velocity_ecef: m/s over ground, Earth-fixed axes.
        local_position: m, in the ENU axes at the scenario's origin.
        velocity: m/s over ground, ENU.
        orientation: body to ENU.
        orientation_ecef: body to Earth-fixed.
        orientation_local: body to the ENU axes at the scenario's origin.
        body_rate: turn rate against the Earth, rad/s, body axes.
        airspeed: m/s, true.
        angle_of_attack: rad, positive nose up.
        sideslip: rad, positive wind from the right.
        static_pressure, dynamic_pressure: Pa.
        temperature: K, static.
        wind: velocity of the air over ground, m/s, ENU, with turbulence.
        rotor_speed: rad/s, one per rotor, >= 0.
        thrust: N, of all lifting rotors or propellers, without what effects take from it.
        thrust_command: N, total, as commanded; NaN where the controls do not command a thrust.
        collective: blade pitch at the root, rad; NaN for fixed pitch.
        mass: kg.
    """

    stamp: int
    time: float
    latitude: float
    longitude: float
    altitude: float
    height_above_ground: float
    position_ecef: Vector
    velocity_ecef: Vector
    local_position: Vector
    velocity: Vector
    orientation: Quaternion
    orientation_ecef: Quaternion
    orientation_local: Quaternion
    body_rate: Vector
    airspeed: float
    angle_of_attack: float
    sideslip: float
    static_pressure: float
    dynamic_pressure: float
    temperature: float
    wind: Vector
    rotor_speed: tuple[float, ...]
    thrust: float
    thrust_command: float
    collective: float
    mass: float


def ecef_from_enu(latitude: float, longitude: float) -> Quaternion:
    """Rotation from ENU axes at a place (rad) to Earth-fixed axes."""
    # turn ENU about its x axis until z is the pole, then about the pole
    return rotations.multiply(
        rotations.exp((0.0, 0.0, longitude + 0.5 * math.pi)),
        rotations.exp((0.5 * math.pi - latitude, 0.0, 0.0)),
    )


def gravitation(position: Vector) -> Vector:
    """Attraction of the Earth, m/s2, Earth-fixed axes: the normal field of WGS84 up to J4.

    Without the centrifugal part. JSBSim flies in the field up to J2, which differs by 4e-5 m/s2;
    a reading made with this one integrates to JSBSim's motion in the Earth that filters know.
    """
    x, y, z = position
    square = x * x + y * y + z * z
    central = -GM / (square * math.sqrt(square))
    shrink = SEMI_MAJOR * SEMI_MAJOR / square
    sine2 = z * z / square
    second, fourth = 1.5 * J2 * shrink, -0.625 * J4 * shrink * shrink
    radial = central * (
        1.0
        + second * (1.0 - 5.0 * sine2)
        + 3.0 * fourth * (1.0 - 14.0 * sine2 + 21.0 * sine2 * sine2)
    )
    axial = central * (2.0 * second + fourth * (12.0 - 28.0 * sine2))
    return (radial * x, radial * y, (radial + axial) * z)


def inertial_mean(before: VehicleState, after: VehicleState) -> tuple[Vector, Vector]:
    """What a perfect, averaging inertial sensor reads between two states.

    Found by differencing the states themselves in inertial space, so that integrating it leads
    exactly from one to the other; JSBSim's own accelerations do not, they belong to an instant
    while its integrators are of several steps.

    Returns:
        Mean turn rate (rad/s) and mean specific force (m/s2), body axes of the interval, against
        inertial space: they are constants that a strapdown integrates over the interval.
    """
    dt = (after.stamp - before.stamp) * 1e-9
    turn = rotations.exp((0.0, 0.0, EARTH_RATE * dt))
    v0 = _inertial_velocity(before)
    v1 = rotations.rotate(turn, _inertial_velocity(after))
    g0 = gravitation(before.position_ecef)
    g1 = rotations.rotate(turn, gravitation(after.position_ecef))
    change = (
        (v1[0] - v0[0]) / dt - 0.5 * (g0[0] + g1[0]),
        (v1[1] - v0[1]) / dt - 0.5 * (g0[1] + g1[1]),
        (v1[2] - v0[2]) / dt - 0.5 * (g0[2] + g1[2]),
    )
    back = rotations.conjugate(before.orientation_ecef)
    angle = rotations.log(
        rotations.multiply(back, rotations.multiply(turn, after.orientation_ecef))
    )
    x, y, z = rotations.rotate(back, change)
    # inverse of the mean rotation over the interval, to second order: 1 - [a]/2 + [a]^2/12
    a, b, c = angle
    cx, cy, cz = b * z - c * y, c * x - a * z, a * y - b * x
    force = (
        x - 0.5 * cx + (b * cz - c * cy) / 12.0,
        y - 0.5 * cy + (c * cx - a * cz) / 12.0,
        z - 0.5 * cz + (a * cy - b * cx) / 12.0,
    )
    return (angle[0] / dt, angle[1] / dt, angle[2] / dt), force


def _inertial_velocity(state: VehicleState) -> Vector:
    x, y, _ = state.position_ecef
    vx, vy, vz = state.velocity_ecef
    return (vx - EARTH_RATE * y, vy + EARTH_RATE * x, vz)
