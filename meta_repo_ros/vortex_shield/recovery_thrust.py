# SPDX-License-Identifier: Apache-2.0
"""Thrust, collective and rotor speed in a recovery, and the limits that they keep."""

from __future__ import annotations

import math

from meta_repo_ros.core.rotorcraft import SEA_LEVEL_DENSITY, STANDARD_GRAVITY, Rotorcraft
from meta_repo_ros.vortex_shield.recovery_parameters import RecoveryParameters


class ThrustLaw:
    """Holds thrust while it must not rise, then stops the descent with it.

    Limits, all of them against the flight when the recovery began: rotor speed within the
    permitted change and within the vehicle's band; where thrust is made by rotor speed alone that
    bounds the thrust as well. Otherwise the greatest thrust of the vehicle does.

    Args:
        rotorcraft: whose.
        parameters: limits and settings.
    """

    def __init__(self, rotorcraft: Rotorcraft, parameters: RecoveryParameters) -> None:
        self._rotorcraft = rotorcraft
        self._parameters = parameters
        self.begin(math.nan, math.nan, SEA_LEVEL_DENSITY)

    def begin(self, fraction: float, rotor_speed: float, density: float) -> None:
        """Take the thrust fraction and the rotor speed (rad/s) flown now; NaN where unknown."""
        craft, p = self._rotorcraft, self._parameters
        self._hover = craft.hover_fraction * (SEA_LEVEL_DENSITY / density) ** (
            1.0 / craft.thrust_exponent
        )
        self.known = math.isfinite(fraction)
        self.start = fraction if self.known else self._hover
        self.start_speed = rotor_speed if rotor_speed > 0.0 else craft.rotor_speed
        least, most = craft.rotor_speed_band
        change = p.max_rotor_speed_change * (1.0 - p.settings.rotor_reserve)
        self.speed_low = min(max(least, self.start_speed - change), self.start_speed)
        self.speed_high = max(min(most, self.start_speed + change), self.start_speed)
        if craft.fixed_pitch:
            self._low = self._at_speed(self.speed_low)
            self._high = self._at_speed(self.speed_high)
        else:
            self._low = 0.5 * min(self._hover, self.start)
            self._high = self._hover * craft.thrust_ratio ** (1.0 / craft.thrust_exponent)
        self._high = max(min(self._high, 1.0), self.start)
        self.fraction = self.start
        self._integral = 0.0

    @property
    def most(self) -> float:
        """Greatest thrust over weight that may be commanded."""
        return self.ratio(self._high)

    def ratio(self, fraction: float) -> float:
        """Thrust over weight of a fraction, at rest."""
        return float((max(fraction, 0.0) / self._hover) ** self._rotorcraft.thrust_exponent)

    def limit(self, *, deep: bool) -> float:
        """Highest fraction allowed now."""
        return self.fraction if deep else self._high

    def step(self, sink: float, tilt: float, dt: float, *, deep: bool) -> float:
        """The fraction to fly now.

        Args:
            sink: m/s, NaN where unknown.
            tilt: commanded, rad.
            dt: since the last step, s.
            deep: whether thrust must not rise.
        """
        if deep:
            return self.fraction
        s, g = self._parameters.settings, STANDARD_GRAVITY
        exponent = 1.0 / self._rotorcraft.thrust_exponent
        ask = 0.0
        if math.isfinite(sink):
            step = s.sink_integral * max(-1.0, min(sink, 3.0)) * dt
            self._integral = max(0.0, min(self._integral + step, s.climb_acceleration))
            ask = max(-1.0, min(s.sink_gain * sink, s.climb_acceleration)) + self._integral
        wanted = self._hover * (max(1.0 + ask / g, 0.1) / math.cos(tilt)) ** exponent
        wanted = max(self._low, min(wanted, self._high))
        # thrust over weight changes at a limited rate
        most = s.thrust_rise * dt * exponent * self._hover
        self.fraction = float(self.fraction + max(-most, min(wanted - self.fraction, most)))
        return self.fraction

    def rotor_speed(self) -> float:
        """Rotor speed to fly now, rad/s: what the thrust makes of it, or the governed one."""
        craft = self._rotorcraft
        wanted = craft.rotor_speed
        if craft.fixed_pitch:
            wanted = self.start_speed * (self.fraction / self.start) ** (
                0.5 * craft.thrust_exponent
            )
        return max(self.speed_low, min(wanted, self.speed_high))

    def _at_speed(self, speed: float) -> float:
        """Fraction at a rotor speed: thrust grows with its square."""
        return float(
            self.start * (speed / self.start_speed) ** (2.0 / self._rotorcraft.thrust_exponent)
        )
