# SPDX-License-Identifier: Apache-2.0
"""Autopilot of a quadrotor: velocity by tilt, tilt by body rate, body rate by rotor thrust.

The cascade is the usual one of geometric control: the wanted acceleration gives the direction of
thrust, with the heading it gives an attitude (T. Lee, M. Leok, N. H. McClamroch, "Geometric
tracking control of a quadrotor UAV on SE(3)", CDC 2010).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from meta_repo_ros.control.autopilot import (
    GRAVITY,
    Autopilot,
    FlightState,
    Integrator,
    clamp,
    turn_rate,
)
from meta_repo_ros.control.setpoints import Command, Field
from meta_repo_ros.core import rotations
from meta_repo_ros.core.rotations import Quaternion, Vector


@dataclass(frozen=True)
class MultirotorGains:
    """Plant figures, gains and limits; the defaults fly a DJI F450.

    Attributes:
        mass: kg.
        inertia: kg m2, about body x, y, z.
        arm: distance of the rotors from the body's x and y axes, m.
        torque_per_thrust: drag torque over thrust of a rotor, m.
        full_thrust: thrust of one rotor at full throttle, N.
        exponent: thrust grows with throttle to this power.
        horizontal_speed: limit, m/s.
        vertical_speed: limit on the way to an altitude, m/s.
        descent_speed: limit of a commanded velocity, m/s: a vortex ring can be flown into.
        descent_change: fastest growth of a commanded descent, m/s2.
        thrust_per_speed: thrust of one rotor, by the two figures above, over the square of the
            speed that it takes up near the hover, N s2.
        tilt_limit: rad.
    """

    mass: float = 1.4
    inertia: Vector = (0.019, 0.019, 0.0252)
    arm: float = 0.1651
    torque_per_thrust: float = 0.0197
    full_thrust: float = 15.5
    exponent: float = 1.74
    horizontal_speed: float = 12.0
    vertical_speed: float = 4.0
    descent_speed: float = 8.0
    descent_change: float = 1.0
    thrust_per_speed: float = 1.22e-5
    tilt_limit: float = math.radians(30.0)
    altitude: float = 1.0  # 1/s
    velocity: float = 1.2  # 1/s
    velocity_integral: float = 0.3  # 1/s2
    attitude: float = 3.5  # 1/s
    yaw: float = 1.5  # 1/s
    rate_limit: float = 3.0  # rad/s
    rate: float = 12.0  # 1/s
    yaw_rate: float = 4.0  # 1/s


class MultirotorAutopilot(Autopilot):
    """Throttles (front right, aft left, front left, aft right), 0 to 1; rotors in an X."""

    supported = (
        Field.ATTITUDE
        | Field.BODY_RATE
        | Field.THRUST
        | Field.ROTOR_SPEED
        | Field.ALTITUDE
        | Field.AIRSPEED
        | Field.COURSE
        | Field.VELOCITY
    )

    def __init__(self, gains: MultirotorGains | None = None) -> None:
        self._gains = gains or MultirotorGains()
        self._integral = tuple(Integrator(-3.0, 3.0) for _ in range(3))
        self._altitude: float | None = None
        self._heading: float | None = None
        self._climb: float | None = None  # commanded climb as it is let through, m/s

    def control(self, state: FlightState, command: Command, dt: float) -> tuple[float, ...]:
        """Throttles for the next ``dt`` seconds.

        Attitude or body rate fly as given, with ``thrust``, or else the thrust of ``rotor_speed``,
        or else the thrust that holds the altitude. Otherwise velocity; or airspeed along course,
        as if the air stood still; or a hover. Attitude beside a velocity gives the heading.
        """
        g = self._gains
        if self._altitude is None:
            self._altitude = state.altitude
            self._heading = rotations.yaw(state.orientation)
        acceleration = self._acceleration(state, command, dt)
        moving = command.velocity is not None or command.course is not None
        if command.attitude is not None and not moving:
            attitude = command.attitude
            self._heading = rotations.yaw(attitude)
            thrust = self._vertical_thrust(state, acceleration[2])
        else:
            if command.attitude is not None:
                self._heading = rotations.yaw(command.attitude)
            attitude, thrust = self._tilt(acceleration)
        if command.thrust is not None:
            thrust = 4.0 * g.full_thrust * command.thrust**g.exponent
        elif command.rotor_speed is not None:
            # what tilts and turns it comes on top
            squares = [speed * speed for speed in command.rotor_speed]
            thrust = 4.0 * g.thrust_per_speed * sum(squares) / len(squares)
        rate = command.body_rate if command.body_rate is not None else self._rate(state, attitude)
        return self._mix(thrust, rate, state.body_rate)

    def _acceleration(self, state: FlightState, command: Command, dt: float) -> Vector:
        """Wanted specific force, m/s2, ENU (gravity's share included)."""
        g = self._gains
        east = north = 0.0
        up: float | None = None
        if command.velocity is not None:
            east, north, up = command.velocity
        elif command.course is not None:
            speed = command.airspeed or 0.0
            east, north = speed * math.cos(command.course), speed * math.sin(command.course)
        if command.altitude is not None:
            self._altitude, up = command.altitude, None
        if up is None:
            up = g.altitude * ((self._altitude or 0.0) - state.altitude)
            up = clamp(up, -g.vertical_speed, g.vertical_speed)
            self._climb = None
        else:
            self._altitude = state.altitude
            up = clamp(up, -g.descent_speed, g.vertical_speed)
            before = state.velocity[2] if self._climb is None else self._climb
            up = self._climb = max(up, min(before, 0.0) - g.descent_change * dt)
        shrink = min(1.0, g.horizontal_speed / max(math.hypot(east, north), 1e-9))
        wanted = (east * shrink, north * shrink, up)
        force = [0.0, 0.0, GRAVITY]
        still = command.velocity is None and command.course is None
        tilted = command.body_rate is not None or (still and command.attitude is not None)
        lifted = command.thrust is not None or command.rotor_speed is not None
        if lifted:
            self._altitude = state.altitude
        open_loop = (tilted, tilted, lifted)
        for axis in range(3):
            error = wanted[axis] - state.velocity[axis]
            # far from the target the integral would only learn the transient, and while somebody
            # else holds tilt or thrust it would learn that
            learning = error if abs(error) < 2.0 and not open_loop[axis] else 0.0
            force[axis] += g.velocity * error + self._integral[axis].add(
                g.velocity_integral * learning * dt
            )
        return (force[0], force[1], force[2])

    def _tilt(self, force: Vector) -> tuple[Quaternion, float]:
        """Attitude and thrust (N) that give the specific force, tilt limited."""
        g = self._gains
        x, y, z = force[0], force[1], clamp(force[2], 0.3 * GRAVITY, 1.8 * GRAVITY)
        horizontal = math.hypot(x, y)
        shrink = min(1.0, z * math.tan(g.tilt_limit) / max(horizontal, 1e-9))
        x, y = x * shrink, y * shrink
        heading = self._heading or 0.0
        up = np.array((x, y, z))
        norm = float(np.linalg.norm(up))
        up /= norm
        left = np.cross(up, (math.cos(heading), math.sin(heading), 0.0))
        left /= np.linalg.norm(left)
        matrix = np.column_stack((np.cross(left, up), left, up))
        return rotations.from_matrix(matrix), g.mass * norm

    def _vertical_thrust(self, state: FlightState, force_up: float) -> float:
        up = rotations.rotate(state.orientation, (0.0, 0.0, 1.0))[2]
        return self._gains.mass * clamp(force_up, 0.0, 2.0 * GRAVITY) / max(up, 0.5)

    def _rate(self, state: FlightState, attitude: Quaternion) -> Vector:
        g = self._gains
        return turn_rate(state.orientation, attitude, (g.attitude, g.attitude, g.yaw), g.rate_limit)

    def _mix(self, thrust: float, rate: Vector, measured: Vector) -> tuple[float, ...]:
        g = self._gains
        gains = (g.rate, g.rate, g.yaw_rate)
        roll, pitch, yaw = (
            inertia * gain * (wanted - is_now)
            for inertia, gain, wanted, is_now in zip(g.inertia, gains, rate, measured, strict=True)
        )
        base = clamp(0.25 * thrust, 0.02 * g.full_thrust, 0.9 * g.full_thrust)
        # keep tilt control where thrust is short: yaw gives way first
        most = min(base, g.full_thrust - base)
        roll, pitch = 0.25 * roll / g.arm, 0.25 * pitch / g.arm
        shrink = min(1.0, most / max(abs(roll) + abs(pitch), 1e-9))
        roll, pitch = roll * shrink, pitch * shrink
        room = most - abs(roll) - abs(pitch)
        yaw = clamp(0.25 * yaw / g.torque_per_thrust, -room, room)
        # body x forward, y left, z up: positive roll lifts the left, positive pitch the rear;
        # the drag of the rotors front right and aft left turns the body to the right
        thrusts = (
            base - roll - pitch - yaw,
            base + roll + pitch - yaw,
            base + roll - pitch + yaw,
            base - roll + pitch + yaw,
        )
        return tuple(
            clamp(value / g.full_thrust, 0.0, 1.0) ** (1.0 / g.exponent) for value in thrusts
        )
