# SPDX-License-Identifier: Apache-2.0
"""Autopilot of an aeroplane: course by bank, altitude by pitch, airspeed by throttle."""

from __future__ import annotations

import math
from dataclasses import dataclass

from meta_repo_ros.control.autopilot import (
    GRAVITY,
    Autopilot,
    FlightState,
    Integrator,
    clamp,
    wrap,
)
from meta_repo_ros.control.setpoints import Command, Field
from meta_repo_ros.core import rotations


@dataclass(frozen=True)
class FixedWingGains:
    """Gains and limits; the defaults fly a Cessna 172 between 35 and 60 m/s.

    Attributes:
        design_airspeed: airspeed at which the surface gains hold, m/s; they scale with its square.
        minimum_airspeed: below this, sinking comes before holding altitude, m/s.
        bank_limit, pitch_limit: rad.
        climb_limit: m/s.
        bank_rate: fastest change of commanded bank, rad/s.
    """

    design_airspeed: float = 50.0
    minimum_airspeed: float = 36.0
    bank_limit: float = math.radians(35.0)
    pitch_limit: float = math.radians(15.0)
    climb_limit: float = 4.0
    bank_rate: float = math.radians(12.0)
    course: float = 0.25  # 1/s
    bank: float = 1.0  # per rad
    bank_integral: float = 0.25  # per rad s
    roll_rate: float = 0.25  # per rad/s
    altitude: float = 0.2  # 1/s
    climb: float = 0.8  # rad of pitch per rad of flight path
    climb_integral: float = 0.35  # 1/s
    pitch: float = 2.0  # per rad
    pitch_integral: float = 1.2  # per rad s
    pitch_rate: float = 0.35  # per rad/s
    sideslip: float = 0.5  # per rad
    yaw_rate: float = 0.3  # per rad/s
    airspeed: float = 0.06  # throttle per m/s
    airspeed_integral: float = 0.012  # throttle per m


class FixedWingAutopilot(Autopilot):
    """Controls (aileron, elevator, rudder, throttle), -1 to 1, throttle 0 to 1.

    Positive aileron rolls right, positive elevator pitches up, positive rudder yaws right.
    Attitude takes bank and pitch of the orientation; its heading follows from the bank.
    A commanded velocity gives course, climb and, as if the air stood still, airspeed.
    """

    supported = (
        Field.ATTITUDE
        | Field.THRUST
        | Field.ALTITUDE
        | Field.AIRSPEED
        | Field.COURSE
        | Field.VELOCITY
    )

    def __init__(self, throttle: float, pitch: float, gains: FixedWingGains | None = None) -> None:
        """Start from trimmed flight: ``throttle`` 0 to 1, ``pitch`` rad, nose up positive."""
        self._gains = gains or FixedWingGains()
        self._bank = 0.0
        limit = self._gains.pitch_limit
        self._path_trim = Integrator(-limit, limit, pitch)
        self._aileron_trim = Integrator(-0.3, 0.3)
        self._elevator_trim = Integrator(-0.8, 0.8)
        self._throttle_trim = Integrator(0.0, 1.0, throttle)
        self._held: Command | None = None

    def control(self, state: FlightState, command: Command, dt: float) -> tuple[float, ...]:
        """Surfaces and throttle for the next ``dt`` seconds."""
        g = self._gains
        roll, nose_down, _ = rotations.to_euler(state.orientation)
        pitch = -nose_down
        p, q, r = state.body_rate[0], -state.body_rate[1], -state.body_rate[2]
        held = self._hold(state, command)
        if command.attitude is not None:
            bank, down, _ = rotations.to_euler(command.attitude)
            pitch_wanted = clamp(-down, -g.pitch_limit, g.pitch_limit)
            bank = clamp(bank, -g.bank_limit, g.bank_limit)
        else:
            bank = self._bank_for_course(state, held)
            pitch_wanted = self._pitch_for_climb(state, held, dt)
        step = g.bank_rate * dt
        self._bank += clamp(bank - self._bank, -step, step)
        # surface effect grows with dynamic pressure
        scale = (g.design_airspeed / max(state.airspeed, 25.0)) ** 2
        error = self._bank - roll
        # large errors belong to a manoeuvre, not to trim
        learning = error if abs(error) < 0.1 else 0.0
        trim = self._aileron_trim.add(g.bank_integral * learning * dt)
        aileron = scale * (g.bank * error - g.roll_rate * p) + trim
        error = pitch_wanted - pitch
        trim = self._elevator_trim.add(g.pitch_integral * error * dt)
        elevator = scale * (g.pitch * error - g.pitch_rate * q) + trim
        # the yaw damper must not fight the turn itself
        turn = GRAVITY / max(state.airspeed, 25.0) * math.sin(roll) * math.cos(pitch)
        rudder = scale * (g.sideslip * state.sideslip - g.yaw_rate * (r - turn))
        throttle = command.thrust
        if throttle is None:
            throttle = self._throttle(state, held, dt)
        return (
            clamp(aileron, -1.0, 1.0),
            clamp(elevator, -1.0, 1.0),
            clamp(rudder, -1.0, 1.0),
            clamp(throttle, 0.0, 1.0),
        )

    def _hold(self, state: FlightState, command: Command) -> Command:
        """Altitude, airspeed, course to hold: commanded, or last commanded, or as it flew."""
        east, north, up = state.velocity
        last = self._held or Command(
            altitude=state.altitude, airspeed=state.airspeed, course=math.atan2(north, east)
        )
        altitude, airspeed, course = command.altitude, command.airspeed, command.course
        climb = None
        if command.velocity is not None:
            east, north, up = command.velocity
            course = math.atan2(north, east) if course is None else course
            airspeed = math.hypot(east, north, up) if airspeed is None else airspeed
            climb = up if altitude is None else None
        held = Command(
            altitude=last.altitude if altitude is None else altitude,
            airspeed=last.airspeed if airspeed is None else airspeed,
            course=last.course if course is None else course,
        )
        if climb is not None:
            # a climb rate is an altitude that moves along
            held = Command(
                altitude=state.altitude + climb / self._gains.altitude,
                airspeed=held.airspeed,
                course=held.course,
            )
        self._held = held
        return held

    def _bank_for_course(self, state: FlightState, held: Command) -> float:
        g, (east, north, _) = self._gains, state.velocity
        if held.course is None:
            return 0.0
        # positive bank turns right, that is clockwise
        error = -wrap(held.course - math.atan2(north, east))
        bank = math.atan(math.hypot(east, north) * g.course * error / GRAVITY)
        return clamp(bank, -g.bank_limit, g.bank_limit)

    def _pitch_for_climb(self, state: FlightState, held: Command, dt: float) -> float:
        g, up, speed = self._gains, state.velocity[2], max(state.airspeed, 25.0)
        wanted = g.altitude * ((held.altitude or 0.0) - state.altitude)
        # near the stall, energy goes into speed
        most = clamp(state.airspeed - g.minimum_airspeed, -8.0, g.climb_limit)
        error = (min(max(wanted, -g.climb_limit), most) - up) / speed
        trim = self._path_trim.add(g.climb_integral * error * dt)
        return clamp(g.climb * error + trim, -g.pitch_limit, g.pitch_limit)

    def _throttle(self, state: FlightState, held: Command, dt: float) -> float:
        g, error = self._gains, (held.airspeed or 0.0) - state.airspeed
        throttle = g.airspeed * error + self._throttle_trim.value
        if 0.0 < throttle < 1.0 or error * (throttle - 0.5) < 0.0:
            self._throttle_trim.add(g.airspeed_integral * error * dt)
        return throttle
