# SPDX-License-Identifier: Apache-2.0
"""What the sensors of a navigation filter say, already checked and in SI units."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from meta_repo_ros.core.rotations import Quaternion, Vector

Array = NDArray[np.float64]


class Imu(NamedTuple):
    """Angular rate (rad/s) and specific force (m/s2), body axes."""

    rate: Vector
    force: Vector


class Fix(NamedTuple):
    """GNSS position: deg, deg, m above the ellipsoid; covariance (3, 3) m2 east north up."""

    latitude: float
    longitude: float
    altitude: float
    covariance: Array


class GnssVelocity(NamedTuple):
    """GNSS velocity, m/s east north up, covariance (3, 3)."""

    velocity: Vector
    covariance: Array


class PressureHeight(NamedTuple):
    """Height of the static pressure in the standard atmosphere, m, and its standard deviation."""

    height: float
    sigma: float


class StarAttitude(NamedTuple):
    """Body to ECEF, covariance (3, 3) rad2 in body axes."""

    attitude: Quaternion
    covariance: Array


class CelestialPosition(NamedTuple):
    """Position that holds neither GNSS nor fusion; altitude NaN where not determined."""

    latitude: float
    longitude: float
    altitude: float
    covariance: Array


class MagneticField(NamedTuple):
    """Magnetic field in body axes, any unit."""

    field: Vector
