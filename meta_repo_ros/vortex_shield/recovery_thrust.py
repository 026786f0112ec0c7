# SPDX-License-Identifier: Apache-2.0
"""Thrust, collective and rotor speed in a recovery, and the limits that they keep."""

from __future__ import annotations

import math

from meta_repo_ros.core.rotorcraft import SEA_LEVEL_DENSITY, STANDARD_GRAVITY, Rotorcraft
from meta_repo_ros.vortex_shield.recovery_parameters import RecoveryParameters


class ThrustLaw:
    """Holds thrust while it must not rise, then stops the descent with it.

    In the wake the rotor speed stays within the permitted change from the speed when the recovery
    began; clear of it every command stays within that change from the speed that the rotors have;
    always within the vehicle's band. Where thrust is made by rotor speed alone that bounds the
    thrust as well; otherwise the greatest thrust of the vehicle does.

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
        self._change = change
        self._low = 0.5 * min(self._hover, self.start)
        self._highest = self._hover * craft.thrust_ratio ** (1.0 / craft.thrust_exponent)
        self._highest = max(min(self._highest, 1.0), self.start)
        self._high = self._highest
        if craft.fixed_pitch:
            self._low = self._at_speed(self.speed_low)
            self._high = max(min(self._at_speed(self.speed_high), 1.0), self.start)
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

    def _bounds(self, present: float) -> tuple[float, float]:
        """Lowest and highest fraction, given the rotor speed from which it may change."""
        if not (self._rotorcraft.fixed_pitch and present > 0.0):
            return self._low, self._high
        least, most = self._rotorcraft.rotor_speed_band
        low = self._at_speed(max(present - self._change, least))
        return low, min(self._at_speed(min(present + self._change, most)), self._highest)

    def step(
        self, sink: float, tilt: float, dt: float, *, deep: bool, present: float = math.nan
    ) -> float:
        """The fraction to fly now.

        Args:
            sink: m/s, NaN where unknown.
            tilt: commanded, rad.
            dt: since the last step, s.
            deep: whether thrust must not rise.
            present: rotor speed that a change counts from, rad/s; NaN: that of the beginning.
        """
        if deep and not math.isfinite(sink):
            return self.fraction
        s, g = self._parameters.settings, STANDARD_GRAVITY
        exponent = 1.0 / self._rotorcraft.thrust_exponent
        ask = 0.0
        if math.isfinite(sink):
            step = 0.0 if deep else s.sink_integral * max(-1.0, min(sink, 3.0)) * dt
            self._integral = max(0.0, min(self._integral + step, s.climb_acceleration))
            ask = max(-1.0, min(s.sink_gain * sink, s.climb_acceleration)) + self._integral
        wanted = self._hover * (max(1.0 + ask / g, 0.1) / math.cos(tilt)) ** exponent
        low, high = self._bounds(present)
        if deep:
            # it may fall once the sink has ended, never rise
            high = min(high, self.fraction)
            low = min(low, high)
        wanted = max(low, min(wanted, high))
        # thrust over weight changes at a limited rate
        most = s.thrust_rise * dt * exponent * self._hover
        wanted = self.fraction + max(-most, min(wanted - self.fraction, most))
        self.fraction = float(max(low, min(wanted, high)))
        if present > 0.0:
            self._high = max(self._high, self.fraction)
        return self.fraction

    def rotor_speed(self) -> float:
        """Rotor speed to fly now, rad/s: what the thrust makes of it, or the governed one."""
        craft = self._rotorcraft
        if craft.fixed_pitch:
            return float(
                self.start_speed * (self.fraction / self.start) ** (0.5 * craft.thrust_exponent)
            )
        return max(self.speed_low, min(craft.rotor_speed, self.speed_high))

    def change(self, present: float) -> float:
        """Change of rotor speed asked for, rad/s, from ``present`` or from the beginning (NaN)."""
        return self.rotor_speed() - (present if present > 0.0 else self.start_speed)

    def _at_speed(self, speed: float) -> float:
        """Fraction at a rotor speed: thrust grows with its square."""
        return float(
            self.start * (speed / self.start_speed) ** (2.0 / self._rotorcraft.thrust_exponent)
        )
