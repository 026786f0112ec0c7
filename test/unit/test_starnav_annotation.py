# SPDX-License-Identifier: Apache-2.0
"""The annotated picture: size, marks where they belong, any part of the sky."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from meta_repo_ros.core.rotations import exp, to_matrix
from meta_repo_ros.starnav.annotation import annotate, shrink, stretch
from meta_repo_ros.starnav.camera import from_field_of_view
from meta_repo_ros.starnav.types import Centroids, Failure, Match


def centroids(*places: tuple[float, float], size: int) -> Centroids:
    n = len(places)
    return Centroids(
        np.array(places, float).reshape(-1, 2), np.tile(np.eye(2), (n, 1, 1)), np.ones(n),
        np.ones(n), np.zeros(n, bool), size, size,
    )  # fmt: skip


def match(icrs_to_camera: Any, *used: int) -> Match:
    k = len(used)
    return Match(
        Failure.NONE, icrs_to_camera=icrs_to_camera, centroid=np.array(used, np.int64),
        star=np.arange(k), hip=np.arange(1, k + 1), residual=np.zeros((k, 2)), residual_rms=1e-5,
        field_of_view=math.radians(20.0),
    )  # fmt: skip


def looking(right_ascension: float, declination: float) -> np.ndarray:
    """ICRS to a camera that looks there, north up; deg."""
    a, d = math.radians(right_ascension), math.radians(declination)
    axis = np.array([math.cos(d) * math.cos(a), math.cos(d) * math.sin(a), math.sin(d)])
    east = np.array([-math.sin(a), math.cos(a), 0.0])
    return np.stack([-east, -np.cross(axis, east), axis])


def sky(size: int, kind: Any = np.uint16) -> np.ndarray:
    return np.random.default_rng(0).normal(100.0, 3.0, (size, size)).astype(kind)


def name(hip: int) -> str:
    return {1: 'Sirius', 2: 'Étoile'}.get(hip, f'HIP {hip}')


def coloured(picture: np.ndarray, channel: int) -> np.ndarray:
    """Where one colour stands out."""
    wide = picture.astype(int)
    others = [c for c in range(3) if c != channel]
    return wide[..., channel] > 80 + wide[..., others].max(axis=2)


@pytest.mark.parametrize(('size', 'kind'), [(2048, np.uint16), (1024, np.uint8), (300, np.uint16)])
def test_circles_around_stars_and_crosses_on_the_rest(size: int, kind: Any) -> None:
    camera = from_field_of_view(size, size, 20.0)
    found = centroids((0.25 * size, 0.25 * size), (0.75 * size, 0.5 * size), size=size)
    picture = annotate(
        sky(size, kind), found, match(looking(80.0, 10.0), 0), camera, name, grid=False
    )
    wide = min(size, 1024)
    assert picture.dtype == np.uint8
    assert picture.shape[1] == wide
    assert picture.shape[0] > wide, 'a line of text below'
    v, u = np.nonzero(coloured(picture[:wide], 1))
    assert np.hypot(u - 0.25 * wide, v - 0.25 * wide).max() < 12
    v, u = np.nonzero(coloured(picture[:wide], 2))
    assert len(u) > 5
    assert np.hypot(u - 0.75 * wide, v - 0.5 * wide).max() < 12


@pytest.mark.parametrize('declination', [-90.0, -89.5, -45.0, 0.0, 60.0, 85.0, 90.0])
@pytest.mark.parametrize('field', [2.0, 20.0, 100.0])
def test_the_grid_is_drawn_everywhere(declination: float, field: float) -> None:
    camera = from_field_of_view(400, 400, field)
    plain, lined = (
        annotate(
            np.full((400, 400), 100, np.uint16), centroids(size=400),
            match(looking(359.0, declination)), camera, name, grid=grid,
        ).astype(int)
        for grid in (False, True)
    )  # fmt: skip
    drawn = (np.abs(lined - plain).sum(axis=2) > 0)[:400]
    assert 100 < drawn.sum() < 0.3 * drawn.size


def test_without_an_attitude_the_reason_stands_below() -> None:
    failed = Match(Failure.NO_MATCH, 'no star pattern of 3 centroids')
    picture = annotate(sky(200), centroids((50, 50), size=200), failed, None, name)
    assert picture[200:].max() > 100
    assert not coloured(picture[:200], 1).any()


def test_faint_stars_survive_the_shrinking_and_flat_images_the_stretching() -> None:
    image = sky(4096, np.uint16)
    image[1001, 2003] = 400
    small, scale = shrink(stretch(image), 1024)
    assert small.shape == (1024, 1024)
    assert scale == 0.25
    assert small[250, 500] > np.median(small) + 50
    for value in (0, 65535):
        assert stretch(np.full((64, 64), value, np.uint16)).shape == (64, 64)


def test_any_attitude_is_drawn() -> None:
    camera = from_field_of_view(128, 128, 20.0)
    rng = np.random.default_rng(4)
    for _ in range(40):
        turn = to_matrix(exp(rng.normal(0.0, 3.0, 3).tolist()))
        annotate(sky(128), centroids((5, 5), size=128), match(turn, 0), camera, name)
