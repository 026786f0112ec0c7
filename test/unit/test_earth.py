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


def test_says_how_much_worse_it_is_past_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table cut off at many dates: what it extrapolates to against what came."""
    whole = earth._table()
    day = 86_400 * 10**9
    seen = int(np.searchsorted(whole.mjd, whole.first_prediction))
    days = np.array([30, 365, 730, 1461])
    errors, stated = [], np.zeros(len(days))
    for end in range(8_000, seen - days[-1], 400):
        cut = earth._Table(
            *(column[: end + 1] for column in (whole.mjd, whole.x_pole, whole.y_pole)),
            ut1_tai=whole.ut1_tai[: end + 1],
            first_prediction=whole.mjd[end] + 1,
        )
        monkeypatch.setattr(earth, '_table', lambda cut=cut: cut)
        last = earth.table_end_ns()
        sigma = [earth.earth_orientation_error(last + int(d) * day) for d in days]
        stated = np.array([one.ut1 for one in sigma])
        assert [one.days_outside for one in sigma] == pytest.approx(days)
        got = [earth.earth_orientation(last + int(d) * day) for d in days]
        assert {one.source for one in got} == {'extrapolated'}
        leap = [earth._leap_seconds(whole.mjd[end + d]) for d in days]
        ut1_tai = np.array([one.ut1_utc for one in got]) - leap
        errors.append(ut1_tai - whole.ut1_tai[end + days])
    assert len(errors) > 20
    rms = np.sqrt(np.mean(np.square(errors), axis=0))
    assert (rms < stated * 1.3).all()
    assert (rms > stated / 3).all()


def test_error_grows_from_measured_to_predicted_to_extrapolated() -> None:
    end = earth.table_end_ns()
    year = 365 * 86_400 * 10**9
    sigma = [earth.earth_orientation_error(end + n * year).ut1 for n in (-3, 0, 1, 5)]
    assert sigma == sorted(sigma)
    assert sigma[0] < 1e-4
    assert 0.005 < sigma[1] < 0.03
    assert earth.earth_orientation_error(end).days_outside == 0
    late = earth.earth_orientation_error(end + year)
    # a second of UT1 is 15.04 arcsec of longitude, an arcsec 30.9 m of the equator
    assert late.longitude(60.0) == pytest.approx(late.ut1 * 15.04 * 30.9 / 2, rel=2e-3)


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
