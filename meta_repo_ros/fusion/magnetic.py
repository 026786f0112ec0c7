# SPDX-License-Identifier: Apache-2.0
"""Magnetic declination from the World Magnetic Model."""

from __future__ import annotations

import math
from functools import lru_cache

import pygeomag

_YEAR_NS = 31_556_952_000_000_000
_EPOCH = 1970.0
# Years for which the WMM2025 coefficients are published; outside, the nearest end is used
_FIRST_YEAR, _LAST_YEAR = 2025.0, 2029.99


@lru_cache(maxsize=1)
def _model() -> pygeomag.GeoMag:
    return pygeomag.GeoMag(base_year=2025)


def declination(latitude: float, longitude: float, altitude: float, stamp_ns: int) -> float:
    """Angle from true to magnetic north, rad, east positive.

    Args:
        latitude: geodetic, deg.
        longitude: deg.
        altitude: m above the ellipsoid.
        stamp_ns: UTC, ns of the Unix epoch.
    """
    year = min(max(_EPOCH + stamp_ns / _YEAR_NS, _FIRST_YEAR), _LAST_YEAR)
    field = _model().calculate(glat=latitude, glon=longitude, alt=altitude / 1000.0, time=year)
    return math.radians(field.d)
