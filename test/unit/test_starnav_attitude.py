# SPDX-License-Identifier: Apache-2.0
"""Attitude from directions: exact without noise, consistent with it, robust against wrong ones."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from meta_repo_ros.core.rotations import exp, to_matrix
from meta_repo_ros.core.statistics import mean_band
from meta_repo_ros.starnav import attitude
from meta_repo_ros.starnav.camera import from_field_of_view

ARCSEC = math.radians(1.0 / 3600.0)
UNIT = st.floats(-1.0, 1.0, allow_nan=False)


def some_rotation(rng: np.random.Generator) -> np.ndarray:
    return to_matrix(exp((rng.uniform(-1.8, 1.8, 3)).tolist()))


def directions_within(rng: np.random.Generator, count: int, radius: float) -> np.ndarray:
    plane = rng.uniform(-math.tan(radius), math.tan(radius), (count, 2))
    rays = np.column_stack((plane, np.ones(count)))
    return rays / np.linalg.norm(rays, axis=1, keepdims=True)


def small_angle(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    e = a @ b.T
    return 0.5 * np.array((e[2, 1] - e[1, 2], e[0, 2] - e[2, 0], e[1, 0] - e[0, 1]))


@settings(max_examples=60, deadline=None)
@given(arrays(float, 3, elements=st.floats(-3.0, 3.0)), arrays(float, (5, 3), elements=UNIT))
def test_wahba_is_exact_without_noise(turn: np.ndarray, vectors: np.ndarray) -> None:
    vectors = vectors + np.eye(3)[[0, 1, 2, 0, 1]] * 3.0  # apart and not zero
    reference = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    rotation = to_matrix(exp(turn.tolist()))
    found = attitude.wahba(reference @ rotation.T, reference)
    assert np.abs(found - rotation).max() < 1e-9
    assert np.linalg.det(found) == pytest.approx(1.0)


@settings(max_examples=30, deadline=None)
@given(arrays(float, (6, 3), elements=UNIT), arrays(float, (6, 3), elements=UNIT))
def test_wahba_never_gives_a_reflection(a: np.ndarray, b: np.ndarray) -> None:
    found = attitude.wahba(a, b)
    assert np.linalg.det(found) == pytest.approx(1.0)
    assert np.abs(found @ found.T - np.eye(3)).max() < 1e-9


@pytest.mark.parametrize('focal_sigma', [0.0, math.inf])
def test_covariance_is_consistent(focal_sigma: float) -> None:
    rng = np.random.default_rng(11)
    camera = from_field_of_view(2048, 2048, 20.0)
    shape = np.array(((0.16, 0.05), (0.05, 0.09)))  # not round
    squared, runs = [], 200
    for _ in range(runs):
        rotation = some_rotation(rng)
        true = directions_within(rng, 25, math.radians(9.0))
        uv = camera.project(true) + rng.multivariate_normal((0.0, 0.0), shape, len(true))
        fit = attitude.solve(
            camera.directions(uv), camera.direction_covariance(uv, shape), true @ rotation,
            focal_sigma=focal_sigma, robust=False,
        )  # fmt: skip
        error = small_angle(fit.rotation, rotation)
        squared.append(error @ np.linalg.solve(fit.covariance, error))
    low, high = mean_band(3, runs, 0.999)
    assert low < np.mean(squared) < high


def test_a_third_of_wrong_matches_does_no_harm() -> None:
    rng = np.random.default_rng(2)
    camera = from_field_of_view(4096, 4096, 20.0)
    for _ in range(20):
        rotation = some_rotation(rng)
        true = directions_within(rng, 30, math.radians(9.0))
        uv = camera.project(true) + rng.normal(0.0, 0.3, (30, 2))
        wrong = rng.permutation(30)[:10]
        uv[wrong] += rng.uniform(40.0, 2000.0, (10, 2))
        covariance = camera.direction_covariance(uv, 0.09 * np.eye(2))
        fit = attitude.solve(camera.directions(uv), covariance, true @ rotation)
        assert not fit.used[wrong].any()
        assert fit.used.sum() >= 18
        assert np.linalg.norm(small_angle(fit.rotation, rotation)[:2]) < 5.0 * ARCSEC


def test_focal_length_and_distortion_are_found() -> None:
    rng = np.random.default_rng(3)
    true = directions_within(rng, 60, math.radians(12.0))
    rotation = some_rotation(rng)
    plane = true[:, :2] / true[:, 2:]
    bent = plane * (1.0 - 0.08 * (plane**2).sum(axis=1, keepdims=True)) * 1.03
    rays = np.column_stack((bent, np.ones(60)))
    seen = rays / np.linalg.norm(rays, axis=1, keepdims=True)
    fit = attitude.solve(
        seen, np.full(60, ARCSEC**2), true @ rotation, focal_sigma=math.inf, radial=True
    )
    assert fit.scale == pytest.approx(1.03, abs=1e-3)
    assert fit.radial == pytest.approx(0.08, abs=0.01)
    assert np.abs(small_angle(fit.rotation, rotation)).max() < ARCSEC
    straight = attitude.solve(
        seen, np.full(60, ARCSEC**2), true @ rotation, focal_sigma=math.inf, robust=False
    )
    assert straight.residual_rms > 20.0 * fit.residual_rms


def test_knowledge_of_the_focal_length_counts() -> None:
    rng = np.random.default_rng(4)
    true = directions_within(rng, 8, math.radians(3.0))
    known = attitude.solve(true, np.full(8, (20 * ARCSEC) ** 2), true, focal_sigma=1e-4)
    unknown = attitude.solve(true, np.full(8, (20 * ARCSEC) ** 2), true, focal_sigma=math.inf)
    assert known.scale_sigma < 1e-4 < unknown.scale_sigma


@pytest.mark.parametrize(
    ('camera', 'reference', 'text'),
    [
        (np.eye(3)[:1], np.eye(3)[:1], 'two directions'),
        (np.eye(3)[:2], np.eye(3), 'of the catalogue'),
        (np.eye(3)[[2, 2, 2]], np.eye(3)[[2, 2, 2]], 'the same'),
        (np.eye(3) * math.nan, np.eye(3), 'finite'),
    ],
)
def test_what_fixes_no_attitude_says_so(
    camera: np.ndarray, reference: np.ndarray, text: str
) -> None:
    with pytest.raises(attitude.AttitudeError, match=text):
        attitude.solve(camera, np.full(len(camera), ARCSEC**2), reference)


def test_a_covariance_that_is_none_is_refused() -> None:
    with pytest.raises(attitude.AttitudeError, match='positive definite'):
        attitude.solve(np.eye(3), np.zeros((3, 3, 3)), np.eye(3))
