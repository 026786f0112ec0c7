# SPDX-License-Identifier: Apache-2.0
"""What is known of a rotorcraft before it flies: size, mass, rotor."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

STANDARD_GRAVITY = 9.80665  # m/s2
SEA_LEVEL_DENSITY = 1.225  # kg/m3


class RotorcraftError(ValueError):
    """Parameters that no rotorcraft has; the text says which and why."""


@dataclass(frozen=True)
class Rotorcraft:
    """One vehicle with one main rotor or several equal rotors.

    Attributes:
        name: for people.
        radius: of one rotor, m.
        rotors: number of lifting rotors.
        mass: nominal, kg.
        blades: per rotor.
        rotor_speed: in hover at nominal mass, rad/s.
        rotor_speed_band: lowest and highest allowed in flight, rad/s.
        thrust_ratio: greatest thrust over weight at nominal mass, sea level.
        drag_area: equivalent flat-plate area along the horizontal, m2.
        tilt_time: time constant from commanded to actual tilt of the thrust, s.
        fixed_pitch: whether thrust is by rotor speed alone.
        hover_fraction: thrust fraction of a setpoint (throttle or collective, 0 to 1) that hovers
            at nominal mass, sea level.
        thrust_exponent: thrust grows with the fraction to this power.
        heave_damping: upward acceleration per sink rate at constant collective, without a ring,
            1/s.
        collective_range: blade pitch of fraction 0 and of fraction 1, rad; None for fixed pitch.

    Raises:
        RotorcraftError: a value that cannot be.
    """

    name: str
    radius: float
    rotors: int
    mass: float
    blades: int
    rotor_speed: float
    rotor_speed_band: tuple[float, float]
    thrust_ratio: float = 1.3
    drag_area: float = 0.0
    tilt_time: float = 0.2
    fixed_pitch: bool = False
    hover_fraction: float = 0.5
    thrust_exponent: float = 1.0
    collective_range: tuple[float, float] | None = None
    heave_damping: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what cannot fly."""
        limits = {
            'radius': (0.02, 30.0), 'rotors': (1, 16), 'mass': (0.01, 1e5), 'blades': (1, 12),
            'rotor_speed': (1.0, 5000.0), 'thrust_ratio': (1.0, 20.0), 'drag_area': (0.0, 100.0),
            'tilt_time': (0.0, 10.0), 'hover_fraction': (0.01, 1.0), 'thrust_exponent': (0.2, 5.0),
            'heave_damping': (0.0, 5.0),
        }  # fmt: skip
        for field_name, (low, high) in limits.items():
            value = getattr(self, field_name)
            if not (math.isfinite(value) and low <= value <= high):
                raise RotorcraftError(
                    f'{self.name or "rotorcraft"}: {field_name} is {value}, '
                    f'must be {low:g} to {high:g}'
                )
        least, most = self.rotor_speed_band
        if not (math.isfinite(most) and 0.0 < least <= self.rotor_speed <= most):
            raise RotorcraftError(
                f'{self.name or "rotorcraft"}: rotor_speed_band {least:g} to {most:g} rad/s does '
                f'not hold the hover speed {self.rotor_speed:g} rad/s'
            )
        loading = self.mass * STANDARD_GRAVITY / self.disk_area
        if not 1.0 < loading < 5000.0:
            raise RotorcraftError(
                f'{self.name or "rotorcraft"}: disk loading is {loading:.3g} N/m2, no rotorcraft '
                'has it: check radius (m), rotors and mass (kg)'
            )

    @property
    def weight(self) -> float:
        """At nominal mass, N."""
        return self.mass * STANDARD_GRAVITY

    @property
    def disk_area(self) -> float:
        """Of all rotors, m2."""
        return self.rotors * math.pi * self.radius**2

    def hover_induced_velocity(
        self, density: float = SEA_LEVEL_DENSITY, thrust: float | None = None
    ) -> float:
        """By momentum theory, m/s.

        Args:
            density: of the air, kg/m3.
            thrust: of all rotors, N; the nominal weight by default.
        """
        force = self.weight if thrust is None else thrust
        return math.sqrt(max(force, 0.0) / (2.0 * density * self.disk_area))

    def thrust_fraction(self, thrust: float = math.nan, collective: float = math.nan) -> float:
        """Fraction, 0 to 1, that a setpoint would say for what is commanded now; NaN if unknown.

        Args:
            thrust: of all rotors as commanded, N.
            collective: mean blade pitch, rad; goes before the thrust where the range is known.
        """
        if self.collective_range is not None and math.isfinite(collective):
            low, high = self.collective_range
            fraction = (collective - low) / (high - low)
        elif math.isfinite(thrust):
            ratio = max(thrust, 0.0) / self.weight
            fraction = self.hover_fraction * ratio ** (1.0 / self.thrust_exponent)
        else:
            return math.nan
        return max(0.0, min(fraction, 1.0))


ROTORCRAFT: Mapping[str, Rotorcraft] = MappingProxyType({
    # JSBSim's F450 with its DJI 9450 propellers (9.4 in) and E305 motors; hover at sea level, idle
    # and greatest speed as its autopilot flies it
    'f450': Rotorcraft(
        'f450', radius=0.1194, rotors=4, mass=1.4, blades=2, rotor_speed=514.0,
        rotor_speed_band=(150.0, 1000.0), thrust_ratio=4.0, drag_area=0.016, tilt_time=0.15,
        fixed_pitch=True, hover_fraction=0.42, thrust_exponent=1.74,
    ),
    # JSBSim's ah1s: 44 ft, 324 rpm, 8500 lb with crew and its tanks empty, as it is flown; band
    # 294 to 339 rpm, drag of the fuselage 10.4 ft2; the rest measured in its simulated flight
    'ah1s': Rotorcraft(
        'ah1s', radius=6.7056, rotors=1, mass=3855.5, blades=2, rotor_speed=33.93,
        rotor_speed_band=(30.8, 35.5), thrust_ratio=1.4, drag_area=1.0, tilt_time=0.7,
        hover_fraction=0.59, thrust_exponent=1.15, collective_range=(0.14, 0.36),
        heave_damping=0.33,
    ),
})  # fmt: skip
"""Vehicles by the name that scenarios and configurations use."""
