# SPDX-License-Identifier: Apache-2.0
"""The camera model against analytic answers and OpenCV; camera_info and what is wrong with it."""

from __future__ import annotations

import dataclasses
import math
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meta_repo_ros.core import rotations
from meta_repo_ros.starnav.camera import (
    Camera,
    CameraError,
    camera_info_fields,
    from_camera_info,
    from_field_of_view,
)

BASE = Camera(4096, 3072, 11000.0, 11500.0, 2040.0, 1550.0)
BROWN = (-0.12, 0.08, 4e-4, -3e-4, 0.02)
RATIONAL = (0.2, 0.05, 3e-4, -2e-4, 0.01, 0.15, 0.02, 0.003)
WIDE = Camera(1100, 800, 500.0, 505.0, 540.0, 410.0, 'equidistant', (0.02, -0.01, 0.002, -0.001))
CAMERAS = {
    'pinhole': BASE,
    'stretched rows': from_field_of_view(752, 290, 18.43, pixel_aspect=1.93),
    'brown 4': dataclasses.replace(BASE, model='plumb_bob', distortion=BROWN[:4]),
    'brown 5': dataclasses.replace(BASE, model='plumb_bob', distortion=BROWN),
    'rational': dataclasses.replace(BASE, model='rational_polynomial', distortion=RATIONAL),
    'fisheye': WIDE,
}
each = pytest.mark.parametrize('camera', CAMERAS.values(), ids=CAMERAS)


def grid(camera: Camera, n: int = 15) -> np.ndarray:
    u, v = np.meshgrid(
        np.linspace(-0.5, camera.width - 0.5, n), np.linspace(-0.5, camera.height - 0.5, n)
    )
    return np.stack((u.ravel(), v.ravel()), axis=-1)


def test_pinhole_is_the_analytic_one() -> None:
    camera = from_field_of_view(1000, 500, 90.0)
    assert camera.fx == pytest.approx(500.0)
    # right edge: 45 deg right of the axis; x is right, y down, z forward
    np.testing.assert_allclose(
        camera.directions([(999.5, 249.5), (499.5, 749.5)]),
        np.array([(1.0, 0.0, 1.0), (0.0, 1.0, 1.0)]) / math.sqrt(2.0),
        atol=1e-12,
    )
    np.testing.assert_allclose(camera.project([(0.0, -2.0, 4.0)]), [(499.5, -0.5)])
    assert camera.field_of_view == pytest.approx(math.radians(90.0))
    assert camera.vertical_field_of_view == pytest.approx(2.0 * math.atan(0.5))
    assert camera.radius == pytest.approx(math.atan(math.hypot(1.0, 0.5)))


def test_rows_stretched_as_in_the_swarm_camera() -> None:
    camera = CAMERAS['stretched rows']
    assert camera.fx / camera.fy == pytest.approx(1.93)
    square = from_field_of_view(752, 560, 18.43)
    assert camera.vertical_field_of_view == pytest.approx(square.vertical_field_of_view, rel=2e-3)


@each
def test_pixels_come_back(camera: Camera) -> None:
    uv = grid(camera)
    directions = camera.directions(uv)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1.0, atol=1e-14)
    np.testing.assert_allclose(camera.project(directions), uv, atol=1e-6)
    camera.check_distortion()


@given(
    k1=st.floats(-0.3, 0.3),
    k2=st.floats(-0.1, 0.1),
    p=st.floats(-2e-3, 2e-3),
    fov=st.floats(2.0, 60.0),
    aspect=st.floats(0.5, 2.0),
)
def test_pixels_come_back_for_any_distortion(
    k1: float, k2: float, p: float, fov: float, aspect: float
) -> None:
    base = from_field_of_view(800, 600, fov, pixel_aspect=aspect)
    camera = dataclasses.replace(base, model='plumb_bob', distortion=(k1, k2, p, -p))
    try:
        camera.check_distortion()
    except CameraError:
        return
    uv = grid(camera, 7)
    np.testing.assert_allclose(camera.project(camera.directions(uv)), uv, atol=1e-5)


@each
def test_directions_are_those_of_opencv(camera: Camera) -> None:
    directions = camera.directions(grid(camera))
    if camera.model == 'equidistant':
        expected, _ = cv2.fisheye.projectPoints(
            directions[:, np.newaxis], np.zeros(3), np.zeros(3), camera.matrix,
            np.array(camera.distortion),
        )  # fmt: skip
    else:
        expected, _ = cv2.projectPoints(
            directions, np.zeros(3), np.zeros(3), camera.matrix, np.array(camera.distortion)
        )
    np.testing.assert_allclose(camera.project(directions * 7.0), expected[:, 0], atol=1e-9)


@each
def test_what_is_behind_is_not_seen(camera: Camera) -> None:
    seen = camera.project([(0.0, 0.0, 1.0), (0.0, 0.0, -1.0), (1.0, 0.0, 0.0)])
    np.testing.assert_allclose(seen[0], (camera.cx, camera.cy))
    assert np.isnan(seen[1:]).all()
    assert camera.project(np.zeros((0, 3))).shape == (0, 2)
    assert camera.directions(np.zeros((0, 2))).shape == (0, 3)


def test_stars_far_outside_do_not_fold_into_the_image() -> None:
    camera = dataclasses.replace(
        from_field_of_view(1000, 1000, 40.0), model='plumb_bob', distortion=(-0.5, 0.0, 0.0, 0.0)
    )
    # the radius r (1 - r^2 / 2) stops growing at r = sqrt(2 / 3) and is back at zero at sqrt 2
    tangent = np.array([0.3, 0.8, 0.83, math.sqrt(2.0)])
    seen = camera.project(np.stack((tangent, 0.0 * tangent, 1.0 + 0.0 * tangent), axis=-1))
    assert np.isfinite(seen[:2]).all()
    assert np.isnan(seen[2:]).all()
    with pytest.raises(CameraError, match='folds back'):
        dataclasses.replace(camera, distortion=(-6.0, 0.0, 0.0, 0.0)).check_distortion()


@each
def test_covariance_of_directions_is_that_of_moved_pixels(camera: Camera) -> None:
    uv = grid(camera, 5) * 0.9 + 20.0
    covariance = np.array([(0.04, 0.01), (0.01, 0.09)])
    result = camera.direction_covariance(uv, covariance)
    rng = np.random.default_rng(1)
    noise = rng.multivariate_normal((0.0, 0.0), covariance, 20000)
    for at, expected in zip(uv[::7], result[::7], strict=True):
        cloud = camera.directions(at + noise)
        sample = np.cov(cloud.T)
        np.testing.assert_allclose(sample, expected, atol=0.05 * np.trace(expected))
    # no error along the direction itself
    directions = camera.directions(uv)
    along = np.einsum('ni,nij,nj->n', directions, result, directions)
    assert (np.abs(along) < 1e-6 * np.trace(result, axis1=1, axis2=2)).all()


def test_rolling_shutter_rows_are_taken_to_the_middle_one() -> None:
    camera = dataclasses.replace(BASE, readout_time=0.1)
    rate = np.array((0.02, -0.01, 0.3))
    at_stamp = camera.directions([(100.0, 50.0), (2000.0, 1535.5), (4000.0, 3050.0)])
    v = np.array((40.0, 1535.5, 3000.0))
    measured = [
        # after the time t a fixed star has turned by -rate t in the camera
        rotations.rotate(rotations.exp(-rate * t), d)
        for d, t in zip(at_stamp, camera.row_time(v), strict=True)
    ]
    np.testing.assert_allclose(camera.at_middle_row(measured, v, rate), at_stamp, atol=1e-12)
    assert camera.row_time(3071.0) - camera.row_time(0.0) == pytest.approx(0.1)
    assert camera.row_time(1535.5) == 0.0
    still = dataclasses.replace(camera, readout_time=0.0)
    np.testing.assert_array_equal(still.at_middle_row(measured, v, rate), measured)


@each
def test_resized_image_shows_the_same_directions(camera: Camera) -> None:
    half = camera.scaled(0.5)
    corner = camera.directions([(camera.width - 0.5, camera.height - 0.5)])
    np.testing.assert_allclose(
        half.project(corner), [(half.width - 0.5, half.height - 0.5)], atol=1e-6
    )
    longer = camera.with_focal_length(2.0 * camera.fx, 0.01)
    assert (longer.fx / longer.fy, longer.focal_sigma) == (
        pytest.approx(camera.fx / camera.fy), 0.01,
    )  # fmt: skip


# -- camera_info ------------------------------------------------------------------------------


def info(camera: Camera = CAMERAS['brown 5'], **changes: Any) -> SimpleNamespace:
    fields = {
        **camera_info_fields(camera),
        'binning_x': 0,
        'binning_y': 0,
        'roi': SimpleNamespace(x_offset=0, y_offset=0, height=0, width=0, do_rectify=False),
    }
    return SimpleNamespace(**{**fields, **changes})


@each
def test_camera_info_there_and_back(camera: Camera) -> None:
    again = from_camera_info(info(camera), (camera.width, camera.height), focal_sigma=0.0)
    assert again == camera


def test_binning_and_region() -> None:
    camera = CAMERAS['brown 5']
    roi = SimpleNamespace(x_offset=400, y_offset=200, width=2048, height=1024)
    part = from_camera_info(info(binning_x=2, binning_y=4, roi=roi))
    assert (part.width, part.height) == (1024, 256)
    # the upper left corner of the region is the upper left corner of the image
    np.testing.assert_allclose(
        part.directions([(-0.5, -0.5)]), camera.directions([(399.5, 199.5)]), atol=1e-9
    )
    np.testing.assert_allclose(
        part.directions([(1023.5, 255.5)]), camera.directions([(2447.5, 1223.5)]), atol=1e-9
    )


@pytest.mark.parametrize(
    ('changes', 'text'),
    [
        ({'k': np.zeros(9)}, 'not calibrated'),
        ({'k': []}, '0 elements'),
        ({'k': [1e4, 0, 2e3, 0, 0, 1.5e3, 0, 0, 1]}, 'both must be positive'),
        ({'k': [1e4, 0, 9e4, 0, 1e4, 1.5e3, 0, 0, 1]}, 'another resolution'),
        ({'k': [1e4, 3, 2e3, 0, 1e4, 1.5e3, 0, 0, 1]}, 'skew'),
        ({'k': [1e4, 0, 2e3, 0, 1e1, 1.5e3, 0, 0, 1]}, 'do not belong together'),
        ({'k': [math.nan, 0, 2e3, 0, 1e4, 1.5e3, 0, 0, 1]}, 'finite'),
        ({'distortion_model': 'thin_prism'}, 'not known'),
        ({'d': [0.1, 0.2]}, '4 or 5'),
        ({'d': [-90.0, 0.0, 0.0, 0.0]}, 'folds back'),
        ({'width': 0}, 'driver'),
        ({'roi': SimpleNamespace(x_offset=4000, y_offset=0, width=200, height=9)}, 'lie within'),
        ({'binning_x': 2}, 'the image has 4096x3072'),
    ],
)
def test_a_wrong_camera_info_is_refused_with_the_reason(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(CameraError, match=text):
        from_camera_info(info(**changes), (4096, 3072))


@pytest.mark.parametrize(
    ('arguments', 'text'),
    [
        ({'fov_deg': 0.0}, 'between 0 and 180'),
        ({'fov_deg': math.nan}, 'between 0 and 180'),
        ({'width': 0}, 'both must be positive'),
        ({'pixel_aspect': 0.0}, 'pixel aspect'),
        ({'focal_sigma': -1.0}, 'focal_sigma'),
    ],
)
def test_no_camera_of_impossible_values(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(CameraError, match=text):
        from_field_of_view(**{'width': 100, 'height': 100, 'fov_deg': 20.0, **arguments})
