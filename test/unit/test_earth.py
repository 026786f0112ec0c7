# SPDX-License-Identifier: Apache-2.0
"""Orientation of the Earth against published values and its own rotation."""

from __future__ import annotations

import datetime as dt

import erfa
import numpy as np
import pytest

from meta_repo_ros.core import earth


def stamp(year: int, month: int, day: int, hour: int = 0) -> int:
    moment = dt.datetime(year, month, day, hour, tzinfo=dt.timezone.utc)
    return int(moment.timestamp()) * 1_000_000_000


def test_table_value_as_published() -> None:
    # IERS Bulletin B, EOP C04: 2020-01-01 UT1-UTC -0.1771 s, x 0.0766, y 0.2824 arcsec
    got = earth.earth_orientation(stamp(2020, 1, 1))
    assert got.source == 'table'
    assert got.ut1_utc == pytest.approx(-0.1771, abs=2e-4)
    assert np.degrees(got.x_pole) * 3600 == pytest.approx(0.0766, abs=1e-3)
    assert np.degrees(got.y_pole) * 3600 == pytest.approx(0.2824, abs=1e-3)


def test_ut1_jumps_by_the_leap_second_of_2017() -> None:
    before, after = stamp(2016, 12, 31, 12), stamp(2017, 1, 1, 12)
    step = earth.earth_orientation(after).ut1_utc - earth.earth_orientation(before).ut1_utc
    assert step == pytest.approx(1.0, abs=0.003)


def test_past_the_table_works_and_says_so() -> None:
    end = earth.table_end_ns()
    assert earth.earth_orientation(end).source in {'table', 'prediction'}
    late = end + 400 * 86_400 * 10**9
    got = earth.earth_orientation(late)
    assert got.source == 'extrapolated'
    assert np.isfinite(earth.icrs_to_enu(late, 40.0, 10.0)).all()


def test_turns_at_the_rate_of_the_earth() -> None:
    t0 = stamp(2025, 7, 8, 19)
    a, b = earth.icrs_to_itrs(t0), earth.icrs_to_itrs(t0 + 10 * 10**9)
    turn = b @ a.T
    angle = np.arccos((np.trace(turn) - 1) / 2)
    assert angle / 10 == pytest.approx(7.292115e-5, rel=1e-6)
    assert turn[0, 1] > 0  # the sky turns westward seen from the Earth


def test_sidereal_angle_of_meeus() -> None:
    """Meeus, Astronomical Algorithms, example 12.a: 13 h 10 min 46.1351 s, apparent."""
    t0 = stamp(1987, 4, 10)
    orientation = earth.earth_orientation(t0)
    tt = erfa.taitt(*erfa.utctai(2440587.5, t0 / 86.4e12))
    # Meeus gives it for 0 h UT: go back by UT1 - UTC
    equinox = np.asarray(erfa.pnm06a(*tt)).T @ np.array([1.0, 0.0, 0.0])
    x, y, _ = earth.icrs_to_itrs(t0) @ equinox
    hours = np.degrees(-np.arctan2(y, x)) / 15 % 24
    expected = 13 + 10 / 60 + 46.1351 / 3600 + orientation.ut1_utc * 1.00273791 / 3600
    assert hours == pytest.approx(expected, abs=0.02 / 3600)


def test_the_pole_star_stands_at_the_latitude() -> None:
    ra, dec = np.radians([37.9546, 89.2641])
    polaris = np.array([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])
    for latitude in (-10.0, 20.0, 52.0):
        enu = earth.icrs_to_enu(stamp(2024, 3, 1, 5), latitude, 13.0) @ polaris
        assert np.degrees(np.arcsin(enu[2])) == pytest.approx(latitude, abs=0.75)
    rotation = earth.icrs_to_enu(stamp(2024, 3, 1), 52.0, 13.0)
    assert np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-14)
    assert np.linalg.det(rotation) == pytest.approx(1.0)
