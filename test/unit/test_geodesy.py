# SPDX-License-Identifier: Apache-2.0
"""The local frame against pymap3d, gravity against Somigliana, pressure against ISO 2533."""

from __future__ import annotations

import math

import numpy as np
import pymap3d
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meta_repo_ros.core.geodesy import (
    EARTH_RATE,
    LocalFrame,
    normal_gravity,
    pressure_altitude,
)


@pytest.mark.parametrize('latitude', [-90.0, -45.0, 0.0, 40.1, 90.0])
@pytest.mark.parametrize('altitude', [0.0, 1600.0, 12000.0])
def test_gravity_at_the_origin_is_normal_gravity(latitude: float, altitude: float) -> None:
    east, north, up = LocalFrame(latitude, 11.0, altitude).gravity(0.0, 0.0, 0.0)
    assert math.hypot(east, north, up) == pytest.approx(
        normal_gravity(latitude, altitude), abs=3e-5
    )
    assert east == pytest.approx(0.0, abs=1e-12)
    # above the ellipsoid the vertical bends by 8e-7 per km at 45 deg
    assert north == pytest.approx(0.0, abs=2e-5 + 9e-9 * altitude)


def test_normal_gravity_of_the_standard() -> None:
    assert normal_gravity(0.0, 0.0) == pytest.approx(9.7803253359, abs=1e-9)
    assert normal_gravity(90.0, 0.0) == pytest.approx(9.8321849379, abs=1e-8)


def test_gravity_far_away_points_along_the_vertical_there() -> None:
    frame = LocalFrame(46.0, 7.0, 400.0)
    point = frame.to_enu(46.5, 8.0, 2000.0)
    there = LocalFrame(46.5, 8.0, 2000.0)
    rotate = np.array(pymap3d.enu2uvw(*there.gravity(0.0, 0.0, 0.0), 46.5, 8.0))
    here = np.array(pymap3d.enu2uvw(*frame.gravity(*point), 46.0, 7.0))
    assert here == pytest.approx(rotate, abs=1e-9)


@given(
    st.floats(-89, 89), st.floats(-180, 180), st.floats(-5e4, 5e4), st.floats(-5e4, 5e4),
    st.floats(-500, 9000),
)  # fmt: skip
def test_there_and_back(
    latitude: float, longitude: float, east: float, north: float, up: float
) -> None:
    frame = LocalFrame(latitude, longitude, 100.0)
    lat, lon, alt = frame.to_geodetic(east, north, up)
    assert frame.to_enu(lat, lon, alt) == pytest.approx((east, north, up), abs=1e-5)
    assert frame.height(east, north, up) == pytest.approx(alt, abs=3.0)


def test_earth_rate_points_to_the_pole() -> None:
    assert LocalFrame(30.0, 0.0, 0.0).earth_rate == pytest.approx(
        (0.0, EARTH_RATE * math.cos(math.pi / 6), EARTH_RATE * 0.5)
    )


@pytest.mark.parametrize(
    ('pressure', 'height'),
    [(101325.0, 0.0), (89874.6, 1000.0), (54019.9, 5000.0), (22632.06, 11000.0), (5474.9, 20000.0)],
)
def test_standard_atmosphere(pressure: float, height: float) -> None:
    assert pressure_altitude(pressure) == pytest.approx(height, abs=0.5)


@pytest.mark.parametrize('pressure', [0.0, -5.0, math.nan])
def test_no_height_without_pressure(pressure: float) -> None:
    with pytest.raises(ValueError, match='greater than 0'):
        pressure_altitude(pressure)


def test_no_frame_beyond_the_pole() -> None:
    with pytest.raises(ValueError, match='no place'):
        LocalFrame(91.0, 0.0, 0.0)
    with pytest.raises(ValueError, match='no place'):
        LocalFrame(10.0, math.nan, 0.0)


@pytest.mark.parametrize('place', [(0.0, 0.0, 0.0), (3e4, -2e4, 500.0), (0.0, -9e4, 0.0)])
def test_axes_at_a_point_are_those_of_its_own_east_north_up(place: tuple[float, ...]) -> None:
    frame = LocalFrame(47.0, 11.0, 600.0)
    there = LocalFrame(*frame.to_geodetic(*place))
    here = np.array(place)
    columns = [
        np.array(frame.to_enu(*there.to_geodetic(*step))) - here for step in 100.0 * np.eye(3)
    ]
    assert frame.axes_at(*place) == pytest.approx(np.array(columns).T / 100.0, abs=1e-9)
