# SPDX-License-Identifier: Apache-2.0
"""Place, velocity and air of the camera, for what they do to star light."""

from __future__ import annotations

from meta_repo_ros.core.rotations import Vector
from meta_repo_ros.core.time import NANOSECONDS
from meta_repo_ros.starnav.observer import Observer, standard_atmosphere
from meta_repo_ros.starnav.parameters import EnvironmentParameters

_VELOCITY_LIFETIME = 10 * NANOSECONDS
_PRESSURE_LIFETIME = 60 * NANOSECONDS
_LEAST_PRESSURE = 10.0  # Pa: above 65 km refraction at 45 deg is below 0.01 arcsec


class Environment:
    """The newest of each, and how old it may be.

    The place is that of GNSS, else that of the celestial fix, else that of the parameters: ten
    kilometres of error change refraction by less than 0.2 arcsec in the upper half of the sky.

    Args:
        parameters: of this group.
    """

    def __init__(self, parameters: EnvironmentParameters) -> None:
        self.parameters = parameters
        self.reset()

    def reset(self) -> None:
        """Forget everything measured."""
        self._gnss: tuple[int, Vector] | None = None
        self._celestial: tuple[int, Vector] | None = None
        self._velocity: tuple[int, Vector] | None = None
        self._pressure: tuple[int, float] | None = None

    def set_gnss(self, stamp: int, place: Vector) -> None:
        """Latitude, longitude (deg), altitude (m)."""
        self._gnss = (stamp, place)

    def set_celestial(self, stamp: int, place: Vector) -> None:
        """Latitude, longitude (deg), altitude (m)."""
        self._celestial = (stamp, place)

    def set_velocity(self, stamp: int, velocity: Vector) -> None:
        """East, north, up, m/s."""
        self._velocity = (stamp, velocity)

    def set_pressure(self, stamp: int, pressure: float) -> None:
        """Of the air outside, Pa."""
        self._pressure = (stamp, pressure)

    def place(self, stamp: int) -> tuple[Vector | None, str]:
        """Latitude, longitude (deg), altitude (m), and where they come from."""
        limit = round(self.parameters.position_lifetime * NANOSECONDS)
        for known, source in ((self._gnss, 'GNSS'), (self._celestial, 'celestial fix')):
            if known is not None and abs(stamp - known[0]) <= limit:
                return known[1], source
        p = self.parameters
        if p.position_known:
            return (p.latitude, p.longitude, p.altitude), 'parameters'
        return None, 'unknown'

    def observer(self, stamp: int) -> Observer:
        """The camera at ``stamp``: at the centre of the Earth where nothing is known."""
        place, _ = self.place(stamp)
        if place is None:
            return Observer(stamp)
        velocity: Vector = (0.0, 0.0, 0.0)
        if self._velocity is not None and abs(stamp - self._velocity[0]) <= _VELOCITY_LIFETIME:
            velocity = self._velocity[1]
        pressure = 0.0
        if self.parameters.refraction:
            pressure = standard_atmosphere(place[2])[0]
            if self._pressure is not None and abs(stamp - self._pressure[0]) <= _PRESSURE_LIFETIME:
                pressure = self._pressure[1]
            if pressure < _LEAST_PRESSURE:
                pressure = 0.0
        return Observer(stamp, place[0], place[1], place[2], velocity, pressure)
