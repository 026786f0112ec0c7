# SPDX-License-Identifier: Apache-2.0
"""Autopilot of a helicopter: velocity by tilt, tilt by cyclic, climb by collective, yaw by pedal.

A plain cascade, to fly the simulator's helicopter through a scenario. A governor inside of the
aircraft keeps the rotor speed that it commands.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

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
class RotorcraftGains:
    """Plant figures, gains and limits; the defaults fly JSBSim's AH-1S.

    Attributes:
        rotor_speed: governed, rad/s.
        rotor_speed_band: lowest and highest speed that is commanded, rad/s.
        collective_low, collective_high: blade pitch at the root, rad, at collective 0 and 1.
        collective_effect: vertical acceleration per full collective, m/s2.
        horizontal_speed, climb_speed, descent_speed: limits, m/s.
        tilt_limit: of what the velocity loop asks for, rad; a commanded attitude has its own.
        attitude_limit: of a commanded attitude, rad.
    """

    rotor_speed: float = 33.93
    rotor_speed_band: tuple[float, float] = (30.8, 35.6)
    collective_low: float = 0.14
    collective_high: float = 0.36
    collective_effect: float = 20.0
    horizontal_speed: float = 35.0
    climb_speed: float = 6.0
    descent_speed: float = 16.0
    tilt_limit: float = math.radians(15.0)
    attitude_limit: float = math.radians(25.0)
    altitude: float = 0.3  # 1/s
    velocity: float = 0.45  # 1/s
    velocity_integral: float = 0.05  # 1/s2
    climb: float = 1.2  # 1/s
    climb_integral: float = 0.4  # 1/s2
    climb_change: float = 2.5  # m/s2, fastest change of the climb asked for
    descent_change: float = 1.0  # m/s2, fastest growth of a descent asked for
    tilt_rate: float = 0.35  # rad/s, fastest change of the tilt asked for
    attitude: float = 1.5  # 1/s
    yaw: float = 0.8  # 1/s
    rate_limit: float = 0.5  # rad/s
    roll_rate: float = 1.6  # aileron per rad/s
    roll_integral: float = 1.0  # aileron per rad
    pitch_rate: float = 3.0  # elevator per rad/s
    pitch_integral: float = 2.0  # elevator per rad
    yaw_rate: float = 1.5  # rudder per rad/s
    yaw_integral: float = 0.8  # rudder per rad


class RotorcraftAutopilot(Autopilot):
    """Controls (collective 0 to 1, aileron, elevator, rudder -1 to 1, rotor speed rad/s).

    Positive aileron rolls right, positive elevator pitches up, positive rudder yaws right.
    ``thrust`` commands the collective's place in its range, ``collective`` the same in rad.

    Args:
        controls: where they hold a hover.
        roll, pitch: attitude of that hover, rad, right and nose up positive: the tail rotor
            pushes sideways, which the fuselage balances by hanging over.
    """

    supported = (
        Field.ATTITUDE
        | Field.BODY_RATE
        | Field.THRUST
        | Field.ROTOR_SPEED
        | Field.COLLECTIVE
        | Field.ALTITUDE
        | Field.AIRSPEED
        | Field.COURSE
        | Field.VELOCITY
    )

    def __init__(
        self,
        controls: tuple[float, ...],
        roll: float = 0.0,
        pitch: float = 0.0,
        gains: RotorcraftGains | None = None,
    ) -> None:
        self._gains = gains or RotorcraftGains()
        collective, aileron, elevator, rudder = controls[:4]
        self._collective = Integrator(0.0, 1.0, collective)
        self._trim = (
            Integrator(-1.0, 1.0, aileron),
            Integrator(-1.0, 1.0, elevator),
            Integrator(-1.0, 1.0, rudder),
        )
        self._hang = rotations.from_euler(roll, -pitch, 0.0)
        self._push = (Integrator(-3.0, 3.0), Integrator(-3.0, 3.0))
        self._tilt: Vector = (0.0, 0.0, 0.0)
        self._altitude: float | None = None
        self._climb = 0.0
        self._heading = 0.0

    def control(self, state: FlightState, command: Command, dt: float) -> tuple[float, ...]:
        """Controls for the next ``dt`` seconds.

        Attitude or body rate fly as given, with ``thrust``, ``collective`` or the collective that
        holds the altitude. Otherwise velocity; or airspeed along course, as if the air stood
        still; or a hover. Attitude beside a velocity gives the heading.
        """
        if self._altitude is None:
            self._altitude = state.altitude
            self._heading = rotations.yaw(state.orientation)
        moving = command.velocity is not None or command.course is not None
        if command.attitude is not None:
            self._heading = rotations.yaw(command.attitude)
        if command.attitude is not None and not moving:
            attitude = self._limited(command.attitude)
            # the velocity loop goes on from here afterwards
            level = rotations.multiply(state.orientation, rotations.conjugate(self._hang))
            x, y, z = rotations.rotate(level, (0.0, 0.0, 1.0))
            self._tilt = (x / max(z, 0.5), y / max(z, 0.5), 0.0)
        else:
            attitude = self._attitude(state, command, dt)
        rate = command.body_rate if command.body_rate is not None else self._rate(state, attitude)
        aileron, elevator, rudder = self._cyclic_and_pedal(rate, state.body_rate, dt)
        return (
            self._lift(state, command, dt), aileron, elevator, rudder, self._rotor_speed(command),
        )  # fmt: skip

    def _rotor_speed(self, command: Command) -> float:
        low, high = self._gains.rotor_speed_band
        wanted = command.rotor_speed[0] if command.rotor_speed else self._gains.rotor_speed
        return clamp(wanted, low, high)

    def _lift(self, state: FlightState, command: Command, dt: float) -> float:
        """Collective, 0 to 1."""
        g = self._gains
        up: float | None = None
        if command.velocity is not None:
            up = command.velocity[2]
        if command.altitude is not None:
            self._altitude, up = command.altitude, None
        if command.thrust is not None or command.collective is not None:
            position = command.thrust
            if command.collective is not None:
                span = g.collective_high - g.collective_low
                position = (command.collective - g.collective_low) / span
            self._altitude, self._climb = state.altitude, state.velocity[2]
            self._collective.value = clamp(position or 0.0, 0.0, 1.0)
            return self._collective.value
        if up is None:
            up = g.altitude * ((self._altitude or 0.0) - state.altitude)
            up = clamp(up, -g.climb_speed, g.climb_speed)
        else:
            self._altitude = state.altitude
        down = g.descent_change if self._climb <= 0.0 else g.climb_change
        change = clamp(up, -g.descent_speed, g.climb_speed) - self._climb
        self._climb += clamp(change, -down * dt, g.climb_change * dt)
        error = self._climb - state.velocity[2]
        level = max(rotations.rotate(state.orientation, (0.0, 0.0, 1.0))[2], 0.7)
        quick = (g.climb * error + GRAVITY * (1.0 / level - 1.0)) / g.collective_effect
        position = self._collective.value + quick
        if 0.0 < position < 1.0 or error * (position - 0.5) < 0.0:
            self._collective.add(g.climb_integral * error * dt / g.collective_effect)
        return clamp(position, 0.0, 1.0)

    def _attitude(self, state: FlightState, command: Command, dt: float) -> Quaternion:
        """Attitude whose thrust gives the horizontal acceleration wanted."""
        g = self._gains
        wanted = (0.0, 0.0)
        if command.velocity is not None:
            wanted = (command.velocity[0], command.velocity[1])
        elif command.course is not None:
            speed = command.airspeed or 0.0
            wanted = (speed * math.cos(command.course), speed * math.sin(command.course))
        shrink = min(1.0, g.horizontal_speed / max(math.hypot(*wanted), 1e-9))
        most = GRAVITY * math.tan(g.tilt_limit)
        push = []
        for axis in range(2):
            error = wanted[axis] * shrink - state.velocity[axis]
            # far from the target the integral would only learn the transient
            learning = error if abs(error) < 4.0 else 0.0
            trim = self._push[axis].add(g.velocity_integral * learning * dt)
            push.append(g.velocity * error + trim)
        shrink = min(1.0, most / max(math.hypot(*push), 1e-9))
        x, y = push[0] * shrink / GRAVITY, push[1] * shrink / GRAVITY
        # the disk follows slowly: do not ask for more than it does
        step = g.tilt_rate * dt
        dx, dy = x - self._tilt[0], y - self._tilt[1]
        shrink = min(1.0, step / max(math.hypot(dx, dy), 1e-9))
        self._tilt = (self._tilt[0] + shrink * dx, self._tilt[1] + shrink * dy, 0.0)
        cosine, sine = math.cos(self._heading), math.sin(self._heading)
        forward = cosine * self._tilt[0] + sine * self._tilt[1]
        left = cosine * self._tilt[1] - sine * self._tilt[0]
        # positive pitch in these axes is nose down, positive roll is to the right
        tilted = rotations.from_euler(-math.atan(left), math.atan(forward), self._heading)
        return rotations.multiply(tilted, self._hang)

    def _limited(self, attitude: Quaternion) -> Quaternion:
        limit = self._gains.attitude_limit
        roll, down, yaw = rotations.to_euler(attitude)
        return rotations.from_euler(clamp(roll, -limit, limit), clamp(down, -limit, limit), yaw)

    def _rate(self, state: FlightState, attitude: Quaternion) -> Vector:
        g = self._gains
        return turn_rate(state.orientation, attitude, (g.attitude, g.attitude, g.yaw), g.rate_limit)

    def _cyclic_and_pedal(self, rate: Vector, measured: Vector, dt: float) -> Vector:
        g = self._gains
        # body y is left and z up: elevator and rudder count the other way
        errors = (rate[0] - measured[0], measured[1] - rate[1], measured[2] - rate[2])
        gains = (
            (g.roll_rate, g.roll_integral),
            (g.pitch_rate, g.pitch_integral),
            (g.yaw_rate, g.yaw_integral),
        )
        x, y, z = (
            clamp(quick * error + trim.add(slow * error * dt), -1.0, 1.0)
            for error, trim, (quick, slow) in zip(errors, self._trim, gains, strict=True)
        )
        return (x, y, z)
