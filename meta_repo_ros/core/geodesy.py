# SPDX-License-Identifier: Apache-2.0
"""WGS84: a local east, north, up frame, gravity and Earth rate in it, and standard pressure height.

The frame is the tangent plane at its origin: straight axes that turn with the Earth, so that
geometry in it is exact at any distance; far from the origin its z axis is not the local vertical
(0.9 deg at 100 km). Sources: NIMA TR8350.2 (WGS84), EGM96 J2, ISO 2533 (standard atmosphere).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import pymap3d
from numpy.typing import NDArray

from meta_repo_ros.core.earth import itrs_to_enu

Array = NDArray[np.float64]
Vector = tuple[float, float, float]
Matrix = tuple[Vector, Vector, Vector]

EARTH_RATE = 7.292115e-5  # rad/s
SEMI_MAJOR = 6378137.0  # m
FLATTENING = 1.0 / 298.257223563
GM = 3.986004418e14  # m3/s2
J2 = 1.08262982e-3  # of the normal field
J4 = -2.37091222e-6
STANDARD_GRAVITY = 9.80665  # m/s2
_E2 = FLATTENING * (2.0 - FLATTENING)

_SEA_PRESSURE = 101325.0  # Pa
_TROPOPAUSE = 11000.0  # m, geopotential
_TROPOPAUSE_PRESSURE = 22632.06  # Pa
_EXPONENT = 5.255880  # g M / (R L)
_STRATOSPHERE_SCALE = 6341.62  # m, R T / (g M) at 216.65 K


@dataclass(frozen=True)
class LocalFrame:
    """East, north, up tangent plane.

    Args:
        latitude: of the origin, geodetic, deg.
        longitude: deg.
        altitude: m above the ellipsoid.

    Attributes:
        earth_rate: rotation of the Earth, rad/s, in the frame's axes.
        radius: mean radius of curvature at the origin, m.
    """

    latitude: float
    longitude: float
    altitude: float
    earth_rate: Vector = field(init=False)
    radius: float = field(init=False)
    _centre: Vector = field(init=False, repr=False)  # origin from the Earth's centre, own axes
    _axis: Vector = field(init=False, repr=False)  # the Earth's axis, own axes

    def __post_init__(self) -> None:
        if not (abs(self.latitude) <= 90.0 and math.isfinite(self.longitude + self.altitude)):
            raise ValueError(
                f'no place on the Earth: {self.latitude} deg, {self.longitude} deg, '
                f'{self.altitude} m'
            )
        lat = math.radians(self.latitude)
        sin_lat, cos_lat = math.sin(lat), math.cos(lat)
        normal = SEMI_MAJOR / math.sqrt(1.0 - _E2 * sin_lat * sin_lat)
        meridian = normal * (1.0 - _E2) / (1.0 - _E2 * sin_lat * sin_lat)
        x = (normal + self.altitude) * cos_lat
        z = (normal * (1.0 - _E2) + self.altitude) * sin_lat
        put = object.__setattr__
        put(self, '_axis', (0.0, cos_lat, sin_lat))
        put(self, '_centre', (0.0, -sin_lat * x + cos_lat * z, cos_lat * x + sin_lat * z))
        put(self, 'earth_rate', (0.0, EARTH_RATE * cos_lat, EARTH_RATE * sin_lat))
        put(self, 'radius', math.sqrt(normal * meridian))

    def to_enu(self, latitude: float, longitude: float, altitude: float) -> Vector:
        """East, north, up of a geodetic position (deg, deg, m), m."""
        east, north, up = pymap3d.geodetic2enu(
            latitude, longitude, altitude, self.latitude, self.longitude, self.altitude
        )
        return float(east), float(north), float(up)

    def to_geodetic(self, east: float, north: float, up: float) -> Vector:
        """Latitude, longitude (deg) and altitude (m) of a point of the frame."""
        lat, lon, alt = pymap3d.enu2geodetic(
            east, north, up, self.latitude, self.longitude, self.altitude
        )
        return float(lat), float(lon), float(alt)

    def axes_at(self, east: float, north: float, up: float) -> Array:
        """Rotation (3, 3) from east, north, up at a point of the frame to the frame's axes.

        One kilometre from the origin they differ by 0.01 deg: a receiver's east, north, up
        velocity must be turned before it is compared with one in the frame.
        """
        latitude, longitude, _ = self.to_geodetic(east, north, up)
        own = itrs_to_enu(self.latitude, self.longitude)
        return np.asarray(own @ itrs_to_enu(latitude, longitude).T)

    def height(self, east: float, north: float, up: float) -> float:
        """Height above the ellipsoid, m: within 3 m up to 70 km from the origin."""
        return (
            self.altitude
            + up
            + (east * east + north * north) / (2.0 * (self.radius + self.altitude + up))
        )

    def gravity(self, east: float, north: float, up: float) -> Vector:
        """Gravity (with centrifugal acceleration) at a point of the frame, m/s2.

        Attraction of the ellipsoid with J2 and J4: within 1e-6 m/s2 of the normal gravity of WGS84.
        Real gravity differs by up to 1e-3 m/s2 (deflection of the vertical, anomalies).
        """
        cx, cy, cz = self._centre
        _, ay, az = self._axis
        x, y, z = cx + east, cy + north, cz + up
        along = ay * y + az * z  # distance north of the equatorial plane
        square = x * x + y * y + z * z
        radius = math.sqrt(square)
        attraction = -GM / (square * radius)
        bulge = 1.5 * J2 * SEMI_MAJOR * SEMI_MAJOR / square
        sine2 = along * along / square
        ratio4 = -0.625 * J4 * (SEMI_MAJOR * SEMI_MAJOR / square) ** 2
        radial = EARTH_RATE * EARTH_RATE + attraction * (
            1.0
            + bulge * (1.0 - 5.0 * sine2)
            + 3.0 * ratio4 * (1.0 - 14.0 * sine2 + 21.0 * sine2 * sine2)
        )
        axial = along * (
            attraction * (2.0 * bulge + ratio4 * (12.0 - 28.0 * sine2)) - EARTH_RATE * EARTH_RATE
        )
        return radial * x, radial * y + axial * ay, radial * z + axial * az


def normal_gravity(latitude: float, altitude: float) -> float:
    """Magnitude of normal gravity, m/s2 (Somigliana, WGS84; second order in height).

    Args:
        latitude: geodetic, deg.
        altitude: m above the ellipsoid.
    """
    sine2 = math.sin(math.radians(latitude)) ** 2
    surface = 9.7803253359 * (1.0 + 0.00193185265241 * sine2) / math.sqrt(1.0 - _E2 * sine2)
    ratio = altitude / SEMI_MAJOR
    m = 0.00344978650684
    return surface * (
        1.0 - 2.0 * (1.0 + FLATTENING + m - 2.0 * FLATTENING * sine2) * ratio + 3.0 * ratio * ratio
    )


def pressure_altitude(pressure: float) -> float:
    """Geopotential height of a static pressure (Pa) in the standard atmosphere, up to 20 km, m.

    Raises:
        ValueError: the pressure is not positive.
    """
    if not pressure > 0.0:
        raise ValueError(f'pressure must be greater than 0 Pa, got {pressure}')
    if pressure >= _TROPOPAUSE_PRESSURE:
        ratio = math.pow(pressure / _SEA_PRESSURE, 1.0 / _EXPONENT)
        return (288.15 / 0.0065) * (1.0 - ratio)
    return _TROPOPAUSE + _STRATOSPHERE_SCALE * math.log(_TROPOPAUSE_PRESSURE / pressure)
