# SPDX-License-Identifier: Apache-2.0
"""Parameters that say which rotorcraft Vortex Shield protects."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from meta_repo_ros.core.parameters import parameter
from meta_repo_ros.core.rotorcraft import ROTORCRAFT, Rotorcraft

_CUSTOM = 'custom'
_NEEDED = ('radius', 'mass', 'rotor_speed', 'min_rotor_speed', 'max_rotor_speed')


@dataclass(frozen=True)
class VehicleParameters:
    """The rotorcraft: one by name, or custom; 0 stands for the value of the named one."""

    name: str = parameter(
        'f450', 'Known vehicle, or custom.', choices=(*ROTORCRAFT, _CUSTOM), read_only=True
    )
    radius: float = parameter(
        0.0, 'Of one rotor.', unit='m', minimum=0.0, maximum=30.0, read_only=True
    )
    rotors: int = parameter(
        0, 'Number of lifting rotors; custom: 0 means 1.', minimum=0, maximum=16, read_only=True
    )
    mass: float = parameter(
        0.0, 'As it takes off.', unit='kg', minimum=0.0, maximum=1e5, read_only=True
    )
    blades: int = parameter(
        0, 'Of each rotor; custom: 0 means 2.', minimum=0, maximum=12, read_only=True
    )
    rotor_speed: float = parameter(
        0.0, 'In hover at this mass.', unit='rad/s', minimum=0.0, maximum=5000.0, read_only=True
    )
    min_rotor_speed: float = parameter(
        0.0, 'Least in flight.', unit='rad/s', minimum=0.0, maximum=5000.0, read_only=True
    )
    max_rotor_speed: float = parameter(
        0.0, 'Greatest in flight.', unit='rad/s', minimum=0.0, maximum=5000.0, read_only=True
    )
    thrust_ratio: float = parameter(
        0.0, 'Greatest thrust over weight; custom: 0 means 1.3.', minimum=0.0, maximum=20.0,
        read_only=True,
    )  # fmt: skip
    drag_area: float = parameter(
        0.0, 'Equivalent flat plate along the horizontal.', unit='m^2', minimum=0.0, maximum=100.0,
        read_only=True,
    )  # fmt: skip
    tilt_time: float = parameter(
        0.0, 'Time constant from commanded to actual tilt; custom: 0 means 0.2.', unit='s',
        minimum=0.0, maximum=10.0, read_only=True,
    )  # fmt: skip
    hover_fraction: float = parameter(
        0.0, 'Throttle or collective that hovers at this mass; custom: 0 means 0.5.', minimum=0.0,
        maximum=1.0, read_only=True,
    )  # fmt: skip
    thrust_exponent: float = parameter(
        0.0, 'Thrust grows with throttle or collective to this power; custom: 0 means 1.',
        minimum=0.0, maximum=5.0, read_only=True,
    )  # fmt: skip
    fixed_pitch: bool = parameter(
        False, 'Custom: whether thrust is by rotor speed alone.', read_only=True
    )

    @property
    def rotorcraft(self) -> Rotorcraft:
        """The vehicle.

        Raises:
            RotorcraftError: no vehicle is like that.
        """
        given: dict[str, Any] = {
            name: getattr(self, name)
            for name in (
                *('radius', 'rotors', 'mass', 'blades', 'rotor_speed'),
                *('thrust_ratio', 'drag_area', 'tilt_time', 'hover_fraction', 'thrust_exponent'),
            )
            if getattr(self, name)
        }
        base = ROTORCRAFT.get(self.name)
        least, most = base.rotor_speed_band if base else (0.0, 0.0)
        band = (self.min_rotor_speed or least, self.max_rotor_speed or most)
        if base is not None:
            return dataclasses.replace(base, rotor_speed_band=band, **given)
        defaults = {'rotors': 1, 'blades': 2}
        return Rotorcraft(
            self.name, rotor_speed_band=band, fixed_pitch=self.fixed_pitch, **{**defaults, **given}
        )

    def __post_init__(self) -> None:
        missing = [name for name in _NEEDED if not getattr(self, name)]
        if self.name == _CUSTOM and missing:
            raise ValueError(f'vehicle.name is custom: vehicle.{missing[0]} must be given')
        _ = self.rotorcraft
