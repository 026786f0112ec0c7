# SPDX-License-Identifier: Apache-2.0
"""Where a camera is, how it moves and through what air it looks, as astrometry needs it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

import erfa
import numpy as np

from meta_repo_ros.core.earth import icrs_to_itrs, itrs_to_enu
from meta_repo_ros.starnav.types import Array

_UNIX_JD = 2440587.5
_DAY_NS = 86_400_000_000_000
_MINUTE_NS = 60_000_000_000
_C = 299_792_458.0  # m/s
_AU = 149_597_870_700.0  # m
_AU_DAY = _AU / 86_400.0 / _C  # one au a day, in units of c
_EARTH_RATE = np.array([0.0, 0.0, 7.292115e-5])  # rad/s, WGS84
_SUN_GM = 1.32712440018e20  # m3/s2
_WGS84 = 1
_WAVELENGTH = 0.6  # micrometres, the middle of what a silicon sensor sees of a star

# US Standard Atmosphere 1976: geopotential altitude m, temperature K, lapse rate K/m
_LAYERS = (
    (0.0, 288.15, -0.0065), (11_000.0, 216.65, 0.0), (20_000.0, 216.65, 0.001),
    (32_000.0, 228.65, 0.0028), (47_000.0, 270.65, 0.0), (51_000.0, 270.65, -0.0028),
    (71_000.0, 214.65, -0.002), (84_852.0, 186.946, 0.0),
)  # fmt: skip
_GMR = 9.80665 * 0.0289644 / 8.31432  # g M / R, K/m
_DEEPEST = -5000.0  # m, where that standard begins
_VACUUM = 0.01  # Pa: less does not refract by a microarcsecond
_EARTH_RADIUS = 6_356_766.0  # of that standard, m


class Air(NamedTuple):
    """Pressure (Pa) and temperature (K)."""

    pressure: float
    temperature: float


@dataclass(frozen=True)
class Observer:
    """A camera at one instant. Without a position it is at the centre of the Earth, in vacuum.

    Attributes:
        stamp_ns: UTC, ns of the Unix epoch.
        latitude: geodetic, deg; None with an unknown position.
        longitude: deg, east positive; None with an unknown position.
        altitude: above the WGS84 ellipsoid, m.
        velocity_enu: relative to the Earth; east, north, up, m/s.
        pressure: of the air around it, Pa; 0 for no refraction.
        temperature: of that air, K; None for the standard atmosphere's at ``altitude``.
        humidity: relative, 0 to 1.

    Raises:
        ValueError: a value that is no latitude, pressure in Pa or temperature in K.
    """

    stamp_ns: int
    latitude: float | None = None
    longitude: float | None = None
    altitude: float = 0.0
    velocity_enu: tuple[float, float, float] = (0.0, 0.0, 0.0)
    pressure: float = 0.0
    temperature: float | None = None
    humidity: float = 0.0

    def __post_init__(self) -> None:
        if self.latitude is not None and not abs(self.latitude) <= 90.0:
            raise ValueError(f'latitude {self.latitude} deg is not between -90 and 90')
        if not 0.0 <= self.pressure <= 2e5:
            raise ValueError(f'pressure {self.pressure} Pa is not between 0 and 200000')
        if self.temperature is not None and not 50.0 <= self.temperature <= 5000.0:
            raise ValueError(f'temperature {self.temperature} K is not between 50 and 5000')

    @property
    def has_position(self) -> bool:
        """Whether the position is known."""
        return self.latitude is not None and self.longitude is not None

    @cached_property
    def icrs_to_enu(self) -> Array:
        """Rotation (3, 3) from GCRS axes to local east, north, up.

        Raises:
            ValueError: the position is not known.
        """
        if self.latitude is None or self.longitude is None:
            raise ValueError('an observer without latitude and longitude has no local frame')
        return itrs_to_enu(self.latitude, self.longitude) @ icrs_to_itrs(self.stamp_ns)

    @property
    def zenith(self) -> Array:
        """Upward normal (3,) of the ellipsoid in GCRS axes."""
        return np.asarray(self.icrs_to_enu[2])

    @cached_property
    def geocentric(self) -> tuple[Array, Array]:
        """Position (m) and velocity (m/s) relative to the Earth's centre, GCRS axes."""
        if self.latitude is None or self.longitude is None:
            return np.zeros(3), np.zeros(3)
        lat, lon = math.radians(self.latitude), math.radians(self.longitude)
        position = np.asarray(erfa.gd2gc(_WGS84, lon, lat, self.altitude))
        local = itrs_to_enu(self.latitude, self.longitude)
        velocity = np.cross(_EARTH_RATE, position) + local.T @ np.asarray(self.velocity_enu)
        to_icrs = (local.T @ self.icrs_to_enu).T
        return to_icrs @ position, to_icrs @ velocity

    @cached_property
    def barycentric(self) -> tuple[Array, Array]:
        """Position (au) and velocity (in units of c) relative to the solar system's barycentre."""
        _, _, position, velocity = _earth(self.stamp_ns)
        own_position, own_velocity = self.geocentric
        return position + own_position / _AU, velocity + own_velocity / _C

    @cached_property
    def heliocentric(self) -> Array:
        """Position (3,) relative to the Sun, au."""
        return _earth(self.stamp_ns)[0] + self.geocentric[0] / _AU

    @cached_property
    def refraction_constants(self) -> tuple[float, float]:
        """A and B of refraction = A tan z + B tan^3 z, rad (``erfa.refco``)."""
        if self.pressure < _VACUUM or not self.has_position:
            return 0.0, 0.0
        kelvin = self.temperature
        if kelvin is None:
            kelvin = standard_atmosphere(self.altitude).temperature
        a, b = erfa.refco(self.pressure / 100.0, kelvin - 273.15, self.humidity, _WAVELENGTH)
        return float(a), float(b)


def aberrate(directions: Array, observer: Observer) -> Array:
    """Directions (k, 3) as seen at the observer's velocity, from those seen at rest there."""
    _, velocity = observer.barycentric
    distance = float(np.linalg.norm(observer.heliocentric))
    bm1 = float(np.sqrt(1.0 - velocity @ velocity))
    return np.asarray(erfa.ab(directions, velocity, distance, bm1))


def terrestrial_time(stamp_ns: int) -> tuple[float, float]:
    """TT as a two-part Julian date."""
    days, rest = divmod(stamp_ns, _DAY_NS)
    tt1, tt2 = erfa.taitt(*erfa.utctai(_UNIX_JD + days, rest / _DAY_NS))
    return float(tt1), float(tt2)


@lru_cache(maxsize=16)
def _earth_at_minute(minute: int) -> tuple[Array, Array, Array, Array]:
    """Heliocentric and barycentric position (au) and velocity (c) of the Earth's centre."""
    sun, barycentre = erfa.epv00(*terrestrial_time(minute * _MINUTE_NS))
    return sun['p'], sun['v'] * _AU_DAY, barycentre['p'], barycentre['v'] * _AU_DAY


def _earth(stamp_ns: int) -> tuple[Array, Array, Array, Array]:
    """As :func:`_earth_at_minute` at any instant: falls freely from the nearest minute."""
    minute = (stamp_ns + _MINUTE_NS // 2) // _MINUTE_NS
    dt = (stamp_ns - minute * _MINUTE_NS) * 1e-9
    sun, sun_velocity, barycentre, velocity = _earth_at_minute(minute)
    distance = float(np.linalg.norm(sun)) * _AU
    change = -_SUN_GM * sun * _AU / distance**3 * dt / _C
    step = dt * _C / _AU
    return (
        sun + sun_velocity * step,
        sun_velocity + change,
        barycentre + velocity * step,
        velocity + change,
    )


def standard_atmosphere(altitude: float) -> Air:
    """Pressure and temperature of the US Standard Atmosphere 1976, from -5000 m of altitude up."""
    altitude = max(altitude, _DEEPEST)
    height = _EARTH_RADIUS * altitude / (_EARTH_RADIUS + altitude)
    pressure = 101_325.0
    for (base, start, lapse), after in zip(_LAYERS, (*_LAYERS[1:], None), strict=True):
        top = height if after is None else min(height, after[0])
        warm = start + lapse * (top - base)
        if lapse:
            pressure *= (warm / start) ** (-_GMR / lapse)
        else:
            pressure *= math.exp(-_GMR * (top - base) / start)
        if after is None or height <= after[0]:
            return Air(pressure, warm)
    raise AssertionError
