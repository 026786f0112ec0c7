# SPDX-License-Identifier: Apache-2.0
"""What the recovery makes of the flight states: checked for age, smoothed, dead reckoned."""

from __future__ import annotations

import math
from dataclasses import dataclass

from meta_repo_ros.core.rotations import Quaternion
from meta_repo_ros.core.rotorcraft import SEA_LEVEL_DENSITY, STANDARD_GRAVITY, Rotorcraft
from meta_repo_ros.vortex_shield.recovery_choice import air_velocity
from meta_repo_ros.vortex_shield.recovery_parameters import RecoverySettings
from meta_repo_ros.vortex_shield.types import FlightState

_MEMORY = 0.4  # s, of the smoothed thrust, rotor speed and vertical acceleration
_MOST_ACCELERATION = 0.6  # g


@dataclass(slots=True)
class View:
    """The flight as it is known now; NaN or None where it is not.

    Attributes:
        sink, airspeed: through the air, m/s.
        sink_sigma, airspeed_sigma: m/s.
        height: above ground, m.
        density: kg/m3.
        orientation: body to ENU.
        air: horizontal velocity through the air, m/s.
        wind: horizontal, m/s.
        rotor_speed: rad/s.
        missing: for people: what is not known.
    """

    sink: float = math.nan
    airspeed: float = math.nan
    sink_sigma: float = math.nan
    airspeed_sigma: float = math.nan
    height: float = math.nan
    density: float = SEA_LEVEL_DENSITY
    orientation: Quaternion | None = None
    air: tuple[float, float] | None = None
    wind: tuple[float, float] | None = None
    rotor_speed: float = math.nan
    missing: str = ''

    @property
    def blind(self) -> bool:
        """Whether neither sink rate nor attitude is known."""
        return math.isnan(self.sink) and self.orientation is None


class FlightView:
    """Follows the flight states.

    Args:
        rotorcraft: whose.
        settings: of the recovery.

    Attributes:
        thrust_fraction: smoothed; NaN where never told.
        rotor_speed: smoothed, rad/s; NaN where never told.
        lift: upward force over weight, from the change of the sink rate.
    """

    def __init__(self, rotorcraft: Rotorcraft, settings: RecoverySettings) -> None:
        self._rotorcraft = rotorcraft
        self._settings = settings
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.thrust_fraction = self.rotor_speed = math.nan
        self.lift = 1.0
        self._stamp = 0
        self._sink = math.nan  # smoothed
        self._acceleration = 0.0

    def look(self, flight: FlightState | None, now: int) -> View:
        """The flight as known at ``now`` (ns)."""
        s = self._settings
        if flight is None:
            return View(missing='no flight state')
        age = (now - flight.stamp) * 1e-9
        if not -s.state_age <= age <= s.state_age:
            return View(missing=f'flight state is {age:.2f} s old')
        if flight.stamp > self._stamp:
            self._follow(flight)
        missing = []
        for name, value in (
            ('sink rate', flight.sink_rate), ('airspeed', flight.airspeed),
            ('height', flight.height),
        ):  # fmt: skip
            if not math.isfinite(value):
                missing.append(name)
        orientation = flight.orientation
        if orientation is None or not abs(math.hypot(*orientation) - 1.0) < 1e-2:
            orientation = None
            missing.append('attitude')
        wind = flight.wind
        known = wind is not None and math.isfinite(wind[0] + wind[1])
        sigma, speed_sigma = flight.sink_sigma, flight.airspeed_sigma
        density = flight.density
        return View(
            sink=float(flight.sink_rate) if math.isfinite(flight.sink_rate) else math.nan,
            airspeed=float(flight.airspeed) if 0.0 <= flight.airspeed < math.inf else math.nan,
            sink_sigma=sigma if 0.0 <= sigma < math.inf else s.sink_uncertainty,
            airspeed_sigma=speed_sigma if 0.0 <= speed_sigma < math.inf else s.airspeed_uncertainty,
            height=max(float(flight.height), 0.0) if math.isfinite(flight.height) else math.nan,
            density=density if 0.05 < density < 2.0 else SEA_LEVEL_DENSITY,
            orientation=orientation,
            air=air_velocity(flight),
            wind=(wind[0], wind[1]) if known and wind is not None else None,
            rotor_speed=flight.rotor_speed if flight.rotor_speed > 0.0 else math.nan,
            missing=', '.join(missing),
        )  # fmt: skip

    def _follow(self, flight: FlightState) -> None:
        """Smooth what is noisy; alpha-beta filter of the sink rate."""
        dt = (flight.stamp - self._stamp) * 1e-9
        fresh = not 0.0 < dt < 5.0 * _MEMORY
        self._stamp = flight.stamp
        weight = 1.0 if fresh else 1.0 - math.exp(-dt / _MEMORY)
        fraction = flight.thrust_fraction
        if not math.isfinite(fraction):
            fraction = self._rotorcraft.thrust_fraction(flight.thrust)
        if math.isfinite(fraction):
            old = self.thrust_fraction
            self.thrust_fraction = old + weight * (fraction - old) if old == old else fraction  # noqa: PLR0124
        if math.isfinite(flight.rotor_speed):
            old = self.rotor_speed
            self.rotor_speed = old + weight * (flight.rotor_speed - old) if old > 0.0 else (
                flight.rotor_speed
            )  # fmt: skip
        if not math.isfinite(flight.sink_rate):
            self._sink = math.nan
        elif fresh or math.isnan(self._sink):
            self._sink, self._acceleration = flight.sink_rate, 0.0
        else:
            self._sink += self._acceleration * dt
            error = flight.sink_rate - self._sink
            self._sink += weight * error
            # gain of a critically damped filter of that memory
            self._acceleration += weight * weight / (2.0 - weight) * error / dt
        limit = _MOST_ACCELERATION
        change = self._acceleration / STANDARD_GRAVITY
        self.lift = 1.0 - max(-limit, min(change, limit))
