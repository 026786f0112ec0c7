# SPDX-License-Identifier: Apache-2.0
"""Right ascension, declination, roll; azimuth and elevation; against hand-made cameras."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meta_repo_ros.core.earth import icrs_to_enu
from meta_repo_ros.starnav.pointing import field_of_view, horizontal, pointing

NOON = 1_782_043_200_000_000_000  # 2026-06-21T12:00:00Z


def camera(axis: list[float], up: list[float]) -> np.ndarray:
    """Rows: right, down, forward, in the frame of the arguments."""
    z, y = np.array(axis), -np.array(up)
    return np.stack([np.cross(y, z), y, z])


@given(
    st.floats(0.0, 359.9), st.floats(-89.0, 89.0), st.floats(0.0, 359.9),
)  # fmt: skip
def test_pointing_is_what_the_camera_was_made_from(ra: float, dec: float, roll: float) -> None:
    a, d, p = np.radians([ra, dec, roll])
    axis = np.array([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)])
    east = np.array([-np.sin(a), np.cos(a), 0.0])
    north = np.cross(axis, east)
    up = np.cos(p) * north + np.sin(p) * east
    found = pointing(camera(axis.tolist(), up.tolist()))
    for value, wanted in ((found.right_ascension, ra), (found.roll, roll)):
        assert (value - wanted + 180.0) % 360.0 - 180.0 == pytest.approx(0.0, abs=1e-6)
    assert found.declination == pytest.approx(dec, abs=1e-6)


@pytest.mark.parametrize(
    ('azimuth', 'elevation', 'tilt', 'compass'),
    [(3, 0, 0, 'north'), (90, 30, 0, 'east'), (225, 60, 20, 'south-west'), (300, -5, -120, None)],
)
def test_horizontal(azimuth: float, elevation: float, tilt: float, compass: str | None) -> None:
    a, e, t = np.radians([azimuth, elevation, tilt])
    axis = np.array([np.sin(a) * np.cos(e), np.cos(a) * np.cos(e), np.sin(e)])
    right = np.array([np.cos(a), -np.sin(a), 0.0])  # of a camera that stands upright
    upright = np.cross(right, axis)
    up = np.cos(t) * upright + np.sin(t) * right
    place = (47.0, 11.0)
    icrs_to_camera = camera(axis.tolist(), up.tolist()) @ icrs_to_enu(NOON, *place)
    found = horizontal(icrs_to_camera, NOON, *place)
    assert (found.azimuth, found.elevation, found.tilt) == pytest.approx((azimuth, elevation, tilt))
    assert compass is None or found.compass == compass


def test_field_of_view() -> None:
    assert field_of_view(1000.0, 2000) == pytest.approx(np.pi / 2.0)
