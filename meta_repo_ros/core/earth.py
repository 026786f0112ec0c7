# SPDX-License-Identifier: Apache-2.0
"""Orientation of the Earth: from the inertial frame of the stars to local east, north, up.

IAU 2006/2000A precession and nutation by ERFA, UT1 and polar motion from the IERS table that the
package ``astropy-iers-data`` ships (finals2000A: final values, then predictions). Past the end of
the table polar motion is held and errs by up to 0.3 arcsec; UT1 goes on as fast as in the table's
last year and errs by about half a millisecond a day, 0.2 m of longitude at the equator each, until
somebody updates the package. :attr:`EarthOrientation.source` says so,
:func:`earth_orientation_error` how much.

Stamps are UTC as nanoseconds of the Unix epoch, as ROS clocks give them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import astropy_iers_data
import erfa
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_UNIX_JD = 2440587.5  # Julian date of 1970-01-01
_MJD_JD = 2400000.5
_DAY_NS = 86_400_000_000_000
_ARCSEC = math.pi / (180.0 * 3600.0)
_EQUATOR_SPEED = 465.1  # m/s, of the ground
_YEAR = 365  # days over which UT1's rate is taken: seasons cancel


@dataclass(frozen=True)
class EarthOrientation:
    """Earth orientation parameters at one instant.

    Attributes:
        ut1_utc: UT1 - UTC, s.
        x_pole: polar motion x, rad.
        y_pole: polar motion y, rad.
        source: ``table``, ``prediction`` (of the table), or ``extrapolated`` (outside the table).
    """

    ut1_utc: float
    x_pole: float
    y_pole: float
    source: str


@dataclass(frozen=True)
class EarthOrientationError:
    """Standard deviations of :class:`EarthOrientation` at one instant.

    Attributes:
        ut1: s.
        pole: of each of x and y, rad.
        days_outside: days past the table's end (or before its beginning), 0 inside.
    """

    ut1: float
    pole: float
    days_outside: float

    def longitude(self, latitude: float = 0.0) -> float:
        """East error of a position found by stars at ``latitude`` (deg) because of UT1, m."""
        return _EQUATOR_SPEED * math.cos(math.radians(latitude)) * self.ut1


@dataclass(frozen=True)
class _Table:
    mjd: Array
    x_pole: Array  # rad
    y_pole: Array  # rad
    ut1_tai: Array  # s, continuous over leap seconds
    first_prediction: float  # MJD


def _leap_seconds(mjd: float | Array) -> Array:
    """TAI - UTC at 0 h of the days ``mjd``, s."""
    year, month, day, _ = erfa.jd2cal(_MJD_JD, np.floor(mjd))
    return np.asarray(erfa.dat(year, month, day, 0.0))


@lru_cache(maxsize=1)
def _table() -> _Table:
    # Fixed columns of finals2000A: IERS Rapid Service, ReadMe.finals2000A
    rows: list[tuple[float, float, float, float]] = []
    first_prediction = math.inf
    with Path(astropy_iers_data.IERS_A_FILE).open(encoding='ascii') as lines:
        for line in lines:
            ut1 = line[58:68].strip()
            if not ut1:
                continue
            mjd = float(line[7:15])
            rows.append((mjd, float(line[18:27]), float(line[37:46]), float(ut1)))
            if 'P' in (line[16], line[57]):
                first_prediction = min(first_prediction, mjd)
    data = np.array(rows)
    leap = _leap_seconds(data[:, 0])
    return _Table(
        data[:, 0], data[:, 1] * _ARCSEC, data[:, 2] * _ARCSEC, data[:, 3] - leap, first_prediction
    )


def table_end_ns() -> int:
    """Last instant that the shipped table covers, ns of the Unix epoch."""
    return round((float(_table().mjd[-1]) + _MJD_JD - _UNIX_JD) * _DAY_NS)


def earth_orientation(stamp_ns: int) -> EarthOrientation:
    """Earth orientation parameters at ``stamp_ns`` (UTC), linear between the daily values."""
    table = _table()
    mjd = stamp_ns / _DAY_NS + (_UNIX_JD - _MJD_JD)
    source = 'table' if mjd < table.first_prediction else 'prediction'
    if not table.mjd[0] <= mjd <= table.mjd[-1]:
        source = 'extrapolated'
    ut1_tai = float(np.interp(mjd, table.mjd, table.ut1_tai))
    rate = (table.ut1_tai[-1] - table.ut1_tai[-1 - _YEAR]) / (table.mjd[-1] - table.mjd[-1 - _YEAR])
    ut1_tai += float(rate) * max(mjd - float(table.mjd[-1]), 0.0)
    return EarthOrientation(
        ut1_tai + float(_leap_seconds(mjd)),
        float(np.interp(mjd, table.mjd, table.x_pole)),
        float(np.interp(mjd, table.mjd, table.y_pole)),
        source,
    )


def earth_orientation_error(stamp_ns: int) -> EarthOrientationError:
    """How well :func:`earth_orientation` knows: measured, predicted, or extrapolated.

    Predictions: 0.25 ms D^0.75 and 0.68 mas D^0.80 after D days (IERS Bulletin A). Past the end,
    0.5 ms a day is added: what a line through a year of the table errs by, as rms over 1973 to
    2026, is 35 ms after 100 days, 0.09 s after 1 year, 0.22 s after 2 and 2.3 s after 10.
    """
    table = _table()
    mjd = stamp_ns / _DAY_NS + (_UNIX_JD - _MJD_JD)
    first, last = float(table.mjd[0]), float(table.mjd[-1])
    late, early = max(mjd - last, 0.0), max(first - mjd, 0.0)
    predicted = max(min(mjd, last) - table.first_prediction + 1.0, 0.0)
    ut1 = math.hypot(2e-5 + 2.5e-4 * predicted**0.75, 5e-4 * late, 2e-3 * early)
    pole = math.hypot(1e-4 + 6.8e-4 * predicted**0.80, 0.2 if late + early else 0.0)
    return EarthOrientationError(ut1, pole * _ARCSEC, late + early)


def icrs_to_itrs(stamp_ns: int) -> Array:
    """Rotation (3, 3) that takes ICRS (GCRS) components to Earth-fixed (ITRS, WGS84) components.

    Args:
        stamp_ns: UTC, ns of the Unix epoch.
    """
    days, rest = divmod(stamp_ns, _DAY_NS)
    utc1, utc2 = _UNIX_JD + days, rest / _DAY_NS
    orientation = earth_orientation(stamp_ns)
    tt = erfa.taitt(*erfa.utctai(utc1, utc2))
    ut1 = erfa.utcut1(utc1, utc2, orientation.ut1_utc)
    return np.asarray(
        erfa.c2t06a(tt[0], tt[1], ut1[0], ut1[1], orientation.x_pole, orientation.y_pole)
    )


def itrs_to_enu(latitude: float, longitude: float) -> Array:
    """Rotation (3, 3) from Earth-fixed to east, north, up components.

    Args:
        latitude: geodetic, deg.
        longitude: deg, east positive.
    """
    lat, lon = math.radians(latitude), math.radians(longitude)
    sin_lat, cos_lat, sin_lon, cos_lon = math.sin(lat), math.cos(lat), math.sin(lon), math.cos(lon)
    return np.array([
        [-sin_lon, cos_lon, 0.0],
        [-sin_lat * cos_lon, -sin_lat * sin_lon, cos_lat],
        [cos_lat * cos_lon, cos_lat * sin_lon, sin_lat],
    ])  # fmt: skip


def icrs_to_enu(stamp_ns: int, latitude: float, longitude: float) -> Array:
    """Rotation (3, 3) that takes ICRS (GCRS) components to local east, north, up components.

    Args:
        stamp_ns: UTC, ns of the Unix epoch.
        latitude: geodetic, deg.
        longitude: deg, east positive.

    Returns:
        R with ``v_enu = R @ v_icrs``. Aberration is not in it: it belongs to the star directions.
    """
    return itrs_to_enu(latitude, longitude) @ icrs_to_itrs(stamp_ns)
