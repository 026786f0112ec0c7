# SPDX-License-Identifier: Apache-2.0
"""What a celestial fix is made with and what comes out: parameters, sources, the fix itself."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from meta_repo_ros.core.geodesy import FLATTENING, SEMI_MAJOR
from meta_repo_ros.core.parameters import parameter

Array = NDArray[np.float64]

ARCSEC = math.pi / (180.0 * 3600.0)
"""One second of arc, rad."""


class Source(enum.IntFlag):
    """What a position was made from; values as ``SOURCE_*`` of PositionUpdate."""

    NONE = 0
    GYROSCOPE = 1
    ACCELEROMETER = 2
    MAGNETOMETER = 4
    BAROMETER = 8
    GNSS = 16
    STARS = 32
    VISION = 64
    FUSION = 128


@dataclass(frozen=True)
class Fix:
    """A position.

    Attributes:
        stamp: time of validity, ns UTC.
        latitude: geodetic, WGS84, deg.
        longitude: deg, east positive.
        altitude: m above the ellipsoid, NaN where nothing told it.
        covariance: (3, 3) m2, east north up; the row and column of an unknown altitude are zero.
        source_mask: everything that it contains.
        velocity: (3,) m/s, east north up, NaN where not estimated.
        epochs: star attitudes used.
        seconds: time over which they were taken.
    """

    stamp: int
    latitude: float
    longitude: float
    altitude: float
    covariance: Array
    source_mask: Source
    velocity: Array = field(default_factory=lambda: np.full(3, math.nan))
    epochs: int = 0
    seconds: float = 0.0

    @property
    def horizontal_sigma(self) -> float:
        """Root of the sum of both horizontal variances, m."""
        return math.sqrt(float(self.covariance[0, 0] + self.covariance[1, 1]))


@dataclass(frozen=True)
class CelestialParameters:
    """Position by stars and the vertical."""

    motion: str = parameter(
        'moving', 'static: the vehicle does not move over the ground; moving: it may.',
        choices=('moving', 'static'),
    )  # fmt: skip
    deflection: tuple[float, ...] = parameter(
        (0.0, 0.0), 'Known deflection of the vertical, north and east.', unit='arcsec', size=2
    )
    vertical_sigma: float = parameter(
        5.0, 'Deflection of the vertical beyond the known one, each axis; constant at one place.',
        unit='arcsec', minimum=0.0, maximum=600.0,
    )  # fmt: skip
    deflection_distance: float = parameter(
        30000.0, 'Distance over which the deflection changes.', unit='m', minimum=100.0
    )
    accel_bias_sigma: float = parameter(
        0.05, 'Accelerometer bias, and gravity times the angle between camera and accelerometers.',
        unit='m/s2', minimum=0.0,
    )  # fmt: skip
    accel_bias_walk: float = parameter(
        1e-4, 'Random walk of that bias.', unit='m/s3/sqrt(Hz)', minimum=0.0
    )
    accel_noise: float = parameter(
        3e-3, 'Accelerometer noise density.', unit='m/s2/sqrt(Hz)', minimum=1e-9
    )
    gyro_noise: float = parameter(
        2e-4, 'Gyroscope noise density, between images.', unit='rad/s/sqrt(Hz)', minimum=0.0
    )
    ground_speed_sigma: float = parameter(
        60.0, 'Speed over ground of a moving vehicle without air data, each axis.', unit='m/s',
        minimum=0.1,
    )  # fmt: skip
    ground_speed_time: float = parameter(
        60.0, 'Time over which that speed changes.', unit='s', minimum=1.0
    )
    wind_sigma: float = parameter(10.0, 'Wind, each axis.', unit='m/s', minimum=0.1, maximum=100.0)
    wind_time: float = parameter(
        3600.0, 'Time over which the wind changes.', unit='s', minimum=10.0
    )
    gust_sigma: float = parameter(
        1.5, 'Gusts and errors of one air velocity, each axis.', unit='m/s', minimum=0.01
    )
    minimum_airspeed: float = parameter(
        10.0, 'Air data below this airspeed are not used.', unit='m/s', minimum=1.0
    )
    barometer_sigma: float = parameter(3.0, 'Noise of a pressure height.', unit='m', minimum=0.1)
    barometer_bias_sigma: float = parameter(
        200.0, 'Pressure height against true height.', unit='m', minimum=1.0
    )
    clock_sigma: float = parameter(
        0.0, 'Constant error of the clock; 1 s is 15 arcsec of longitude.', unit='s', minimum=0.0
    )
    gate_probability: float = parameter(
        0.999999, 'Probability of a good epoch to pass.', minimum=0.9, maximum=0.999999999
    )
    maximum_gap: float = parameter(
        60.0, 'The gyroscopes bridge so long without an image.', unit='s', minimum=1.0,
        maximum=600.0,
    )  # fmt: skip
    maximum_age: float = parameter(
        10.0, 'No position once the last image is older.', unit='s', minimum=0.1
    )
    usable_sigma: float = parameter(
        5000.0, 'A worse fix leaves position_update to GNSS, while that is not suspected.',
        unit='m', minimum=1.0,
    )  # fmt: skip
    gnss: bool = parameter(
        False, 'Take GNSS positions into the fix; it then says so, and is no longer independent.'
    )


def radii(latitude: float, altitude: float) -> tuple[float, float]:
    """Radii of curvature of meridian and prime vertical plus altitude, m.

    Args:
        latitude: geodetic, deg.
        altitude: m.
    """
    e2 = FLATTENING * (2.0 - FLATTENING)
    square = 1.0 - e2 * math.sin(math.radians(latitude)) ** 2
    normal = SEMI_MAJOR / math.sqrt(square)
    return normal * (1.0 - e2) / square + altitude, normal + altitude
