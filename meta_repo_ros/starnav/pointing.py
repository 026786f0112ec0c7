# SPDX-License-Identifier: Apache-2.0
"""Where a camera points, in the terms of astronomers and of people on the ground."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from meta_repo_ros.core.earth import icrs_to_enu
from meta_repo_ros.starnav.types import Array

_POINTS = (
    'north', 'north-north-east', 'north-east', 'east-north-east',
    'east', 'east-south-east', 'south-east', 'south-south-east',
    'south', 'south-south-west', 'south-west', 'west-south-west',
    'west', 'west-north-west', 'north-west', 'north-north-west',
)  # fmt: skip


@dataclass(frozen=True)
class Pointing:
    """Direction of the optical axis in ICRS.

    Attributes:
        right_ascension: deg, 0 to 360.
        declination: deg.
        roll: position angle of the image's up direction, deg, 0 to 360, from north through east.
    """

    right_ascension: float
    declination: float
    roll: float


@dataclass(frozen=True)
class Horizontal:
    """Direction of the optical axis above the horizon.

    Attributes:
        azimuth: deg, 0 to 360, from north through east.
        elevation: deg above the horizon of the ellipsoid.
        tilt: how far the image's up direction leans from the zenith's, deg, -180 to 180, positive
            clockwise as seen by the camera.
    """

    azimuth: float
    elevation: float
    tilt: float

    @property
    def compass(self) -> str:
        """The nearest of the sixteen compass points."""
        return _POINTS[round(self.azimuth / 22.5) % 16]


def pointing(icrs_to_camera: Array) -> Pointing:
    """Right ascension, declination and roll of a camera.

    Args:
        icrs_to_camera: (3, 3).
    """
    axis, up = icrs_to_camera[2], -icrs_to_camera[1]
    longitude, latitude, angle = _spherical(axis, up)
    return Pointing(longitude % 360.0, latitude, angle % 360.0)


def horizontal(icrs_to_camera: Array, stamp: int, latitude: float, longitude: float) -> Horizontal:
    """Azimuth and elevation of a camera on the ground, without refraction.

    Args:
        icrs_to_camera: (3, 3).
        stamp: ns, UTC.
        latitude: deg, WGS84.
        longitude: deg, WGS84, east positive.
    """
    turn = icrs_to_enu(stamp, latitude, longitude)
    axis, up = turn @ icrs_to_camera[2], turn @ -icrs_to_camera[1]
    # azimuth runs against the sense of longitude; seen from inside the sphere, so does the tilt
    mirrored = np.array([axis[1], axis[0], axis[2]])
    east, elevation, angle = _spherical(mirrored, np.array([up[1], up[0], up[2]]))
    return Horizontal(east % 360.0, elevation, angle)


def field_of_view(focal_length: float, size: int) -> float:
    """Angle that ``size`` pixels span about the optical axis, rad, without distortion."""
    return 2.0 * math.atan(0.5 * size / focal_length)


def _spherical(axis: Array, up: Array) -> tuple[float, float, float]:
    """Longitude, latitude, and position angle of ``up`` about ``axis``, deg."""
    x, y, z = axis.tolist()
    longitude, latitude = math.atan2(y, x), math.asin(max(-1.0, min(1.0, z)))
    sin, cos = math.sin(longitude), math.cos(longitude)
    east = np.array([-sin, cos, 0.0])
    slope = math.sin(latitude)
    north = np.array([-cos * slope, -sin * slope, math.cos(latitude)])
    angle = math.atan2(float(up @ east), float(up @ north))
    return math.degrees(longitude), math.degrees(latitude), math.degrees(angle)
