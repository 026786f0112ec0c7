# SPDX-License-Identifier: Apache-2.0
"""Identification: the scenes of ``benchmarks.starnav_fields`` at small numbers, and what is bad."""

from __future__ import annotations

import dataclasses
import importlib
import json
import math
import os
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from meta_repo_ros.core.rotations import exp, to_matrix
from meta_repo_ros.core.statistics import mean_band
from meta_repo_ros.starnav.camera import Camera, from_field_of_view
from meta_repo_ros.starnav.catalogue import Catalogue, load
from meta_repo_ros.starnav.detection import detector
from meta_repo_ros.starnav.identification import Identifier, index, levels, verification
from meta_repo_ros.starnav.image import read_picture
from meta_repo_ros.starnav.types import Centroids, Failure

_ROOT = Path(__file__).resolve().parents[2]
STAMP = 1_795_000_000_000_000_000
ARCSEC = math.radians(1.0 / 3600.0)


def _scenes() -> Any:
    sys.path.append(str(_ROOT))
    try:
        return importlib.import_module('benchmarks.starnav_scenes')
    finally:
        sys.path[:] = [entry for entry in sys.path if entry != str(_ROOT)]


scenes = _scenes()
EASY = scenes.Scene(4096, 20.0, 6.0, 0.3, 5, 0.1)
USUAL = scenes.Scene(4096, 20.0, 6.0, 0.5, 10, 0.2)
HARD = scenes.Scene(4096, 20.0, 6.0, 0.5, 30, 0.3)
NARROW = scenes.Scene(4096, 12.0, 6.0, 0.5, 5, 0.1)
COARSE = scenes.Scene(1024, 20.0, 6.0, 0.5, 5, 0.1)


@pytest.fixture(scope='module', autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('XDG_CACHE_HOME', str(tmp_path_factory.mktemp('cache')))
        yield


@pytest.fixture(scope='module')
def catalogue() -> Catalogue:
    return load(6.0)


@pytest.fixture(scope='module')
def identifier(catalogue: Catalogue) -> Identifier:
    result = Identifier(catalogue, STAMP)
    result.prepare(from_field_of_view(4096, 4096, 20.0, focal_sigma=0.01))
    return result


def drawn(identifier: Identifier, scene: Any, count: int, seed: int = 1) -> list[Any]:
    rng = np.random.default_rng(seed)
    directions = identifier.levels.directions
    return [scenes.draw(rng, identifier.catalogue, directions, scene) for _ in range(count)]


def error_of(rotation: np.ndarray, field: Any) -> np.ndarray:
    e = rotation @ field.rotation.T
    return 0.5 * np.array((e[2, 1] - e[1, 2], e[0, 2] - e[2, 0], e[1, 0] - e[0, 1]))


@pytest.mark.parametrize('scene', [EASY, USUAL, HARD, NARROW, COARSE], ids=str)
def test_lost_in_space(identifier: Identifier, scene: Any) -> None:
    fields, squared, strangers, matched = drawn(identifier, scene, 25), [], 0, 0
    for field in fields:
        match = identifier.solve(field.centroids, field.told, timeout=10.0)
        if scene is NARROW and (field.star >= 0).sum() < 5:
            continue  # four stars among five false ones prove nothing
        assert match.solved, match.detail
        error = error_of(match.icrs_to_camera, field)
        assert np.linalg.norm(error[:2]) < 30.0 * scene.sigma * match.residual_rms + 40 * ARCSEC
        squared.append(error @ np.linalg.solve(match.covariance, error))
        strangers += (field.star[match.centroid] != match.star).sum()
        matched += len(match.star)
        assert (match.hip == identifier.catalogue.hip[match.star]).all()
        assert match.focal_length == pytest.approx(field.camera.fx, rel=2e-3)
        assert match.field_of_view == pytest.approx(field.camera.field_of_view, rel=2e-3)
        assert match.residual.shape == (len(match.star), 2)
        assert np.sqrt((match.residual**2).mean()) < 2.0 * scene.sigma
        assert 0.0 <= match.false_alarm_probability <= 1e-7
        assert not match.tracked
    assert strangers < 0.02 * matched
    low, high = mean_band(3, len(squared), 0.9999)
    assert low < np.mean(squared) < high


@pytest.mark.parametrize('size_deg', [7.0, 30.0, 40.0])
def test_nothing_known_of_the_camera(size_deg: float) -> None:
    deep = Identifier(load(7.0), STAMP)
    scene = scenes.Scene(2048, size_deg, 7.0 if size_deg < 20 else 5.0, 0.3, 4, 0.1)
    rng = np.random.default_rng(int(size_deg))
    bright = deep.catalogue.brighter_than(scene.magnitude)
    for _ in range(3):
        field = scenes.draw(rng, bright, deep.levels.directions[: len(bright)], scene)
        blind = from_field_of_view(2048, 2048, 15.0, focal_sigma=math.inf)
        match = deep.solve(field.centroids, blind, timeout=20.0)
        assert match.solved, match.detail
        assert np.linalg.norm(error_of(match.icrs_to_camera, field)[:2]) < 60.0 * ARCSEC
        assert match.focal_length == pytest.approx(field.camera.fx, rel=2e-3)


def test_a_tight_group_of_stars_is_not_taken_for_the_field(identifier: Identifier) -> None:
    """Eight true stars within two degrees and one far false one fit a wrong attitude as well."""
    rng = np.random.default_rng(2)
    for _ in range(1969):  # the field that showed it
        field = scenes.draw(rng, identifier.catalogue, identifier.levels.directions, USUAL)
    match = identifier.solve(field.centroids, field.told, timeout=10.0)
    assert match.solved
    assert np.linalg.norm(error_of(match.icrs_to_camera, field)[:2]) < 20.0 * ARCSEC
    assert len(match.star) > 25


def test_distortion_of_an_unknown_camera_is_found(identifier: Identifier) -> None:
    field = drawn(identifier, EASY, 1, seed=5)[0]
    bent = dataclasses.replace(field.camera, model='plumb_bob', distortion=(-0.15, 0.0, 0.0, 0.0))
    position = bent.project(field.camera.directions(field.centroids.position))
    seen = dataclasses.replace(field.centroids, position=position)
    blind = from_field_of_view(4096, 4096, 18.0, focal_sigma=math.inf)
    match = identifier.solve(seen, blind, timeout=20.0)
    assert match.solved, match.detail
    assert match.radial == pytest.approx(-0.15, abs=0.03)
    assert np.linalg.norm(error_of(match.icrs_to_camera, field)[:2]) < 20.0 * ARCSEC
    assert np.sqrt((match.residual**2).mean()) < 0.6
    known = identifier.solve(seen, bent, timeout=20.0)
    assert known.solved
    assert known.radial == 0.0


@pytest.mark.parametrize(
    ('model', 'distortion', 'focal'),
    [
        ('equidistant', (0.02, 0.0, 0.0, 0.0), 1300.0),
        ('plumb_bob', (-0.2, 0.05, 1e-3, 0.0), 2800.0),
    ],
)
def test_cameras_with_distortion(
    identifier: Identifier, model: str, distortion: tuple[float, ...], focal: float
) -> None:
    rng = np.random.default_rng(3)
    true = Camera(2048, 2048, focal, focal, 1023.5, 1023.5, model, distortion)
    directions = identifier.levels.directions[:1000]
    for error in (0.985, 0.997, 1.008):
        rotation = scenes.random_rotation(rng)
        uv = true.project(directions @ rotation.T)
        uv = uv[true.contains(uv)] + rng.normal(0.0, 0.3, (true.contains(uv).sum(), 2))
        uv = np.insert(uv, range(0, 25, 5), rng.uniform(0.0, 2047.0, (5, 2)), axis=0)
        told = true.with_focal_length(focal * error, 0.01)
        match = identifier.solve(some_centroids(uv, told), told, timeout=10.0)
        assert match.solved, match.detail
        assert np.linalg.norm(match.icrs_to_camera[2] - rotation[2]) < 60.0 * ARCSEC
        assert match.focal_length == pytest.approx(focal, rel=1e-3)
        assert len(match.star) > 0.8 * len(uv)
        swapped = uv * (-1.0, 1.0) + (2047.0, 0.0)
        match = identifier.solve(some_centroids(swapped, told), told, timeout=10.0)
        assert match.failure is Failure.MIRRORED


@pytest.mark.parametrize('kind', ['mirrored', 'random points', 'another sky'])
@pytest.mark.parametrize('scene', [USUAL, COARSE], ids=str)
def test_what_is_no_sky_is_refused(identifier: Identifier, kind: str, scene: Any) -> None:
    rng = np.random.default_rng(9)
    seen = identifier.levels.directions
    if kind == 'another sky':
        seen = scenes.other_sky(rng, len(seen))
    reasons = []
    for _ in range(8):
        field = scenes.draw(rng, identifier.catalogue, seen, scene)
        centroids = field.centroids
        if kind == 'mirrored':
            centroids = scenes.mirrored(centroids)
        elif kind == 'random points':
            centroids = scenes.scattered(rng, centroids)
        timeout = 20.0 if kind == 'mirrored' else 0.3
        reasons.append(identifier.solve(centroids, field.told, timeout=timeout).failure)
    if kind == 'mirrored':
        assert set(reasons) == {Failure.MIRRORED}
    else:
        assert set(reasons) <= {Failure.NO_MATCH, Failure.TIMEOUT}


@pytest.mark.parametrize('sigma_deg', [0.02, 0.5, 4.0])
def test_tracking(identifier: Identifier, sigma_deg: float) -> None:
    rng = np.random.default_rng(3)
    sigma = math.radians(sigma_deg)
    for field in drawn(identifier, USUAL, 20, seed=8):
        turn = rng.normal(size=3)
        turn *= rng.uniform(0.0, 3.0) * sigma / np.linalg.norm(turn)
        hint = to_matrix(exp(turn.tolist())) @ field.rotation
        match = identifier.solve(
            field.centroids, field.camera, hint, sigma, timeout=10.0, fallback=False
        )
        assert match.solved, match.detail
        assert match.tracked
        assert np.linalg.norm(error_of(match.icrs_to_camera, field)[:2]) < 20.0 * ARCSEC


def test_a_wrong_hint_is_not_believed(identifier: Identifier) -> None:
    rng = np.random.default_rng(4)
    for field in drawn(identifier, USUAL, 10, seed=2):
        turn = to_matrix(exp((math.radians(10.0), 0.0, 0.0)))
        for hint in (turn @ field.rotation, scenes.random_rotation(rng)):
            strict = identifier.solve(
                field.centroids, field.camera, hint, math.radians(0.5), fallback=False
            )
            assert strict.failure is Failure.NO_MATCH
            assert 'expected attitude' in strict.detail
            free = identifier.solve(
                field.centroids, field.camera, hint, math.radians(0.5), timeout=10.0
            )
            assert free.solved
            assert not free.tracked
        wide = identifier.solve(
            field.centroids, field.camera, scenes.random_rotation(rng), math.radians(2.5),
            timeout=10.0, fallback=False,
        )  # fmt: skip
        assert wide.failure is Failure.NO_MATCH
        assert 'contradict' in wide.detail


@pytest.mark.parametrize('hint', [np.full((3, 3), math.nan), np.eye(3) * 2.0, np.diag((1, 1, -1))])
def test_a_hint_that_is_no_rotation(identifier: Identifier, hint: np.ndarray) -> None:
    field = drawn(identifier, EASY, 1)[0]
    match = identifier.solve(field.centroids, field.told, hint, timeout=10.0)
    assert match.solved
    assert not match.tracked
    match = identifier.solve(field.centroids, field.told, hint, fallback=False)
    assert 'no rotation' in match.detail


def test_noise_in_windows_around_predictions_proves_nothing(identifier: Identifier) -> None:
    rng = np.random.default_rng(6)
    camera = from_field_of_view(4096, 4096, 20.0)
    for _ in range(40):
        hint = scenes.random_rotation(rng)
        place = camera.project(identifier.levels.directions @ hint.T)
        place = place[camera.contains(place, 20.0)][:40]
        position = place + rng.uniform(-12.0, 12.0, place.shape)
        noise = some_centroids(position, camera)
        noise = dataclasses.replace(noise, searched=len(place) * 25.0**2 / 4096.0**2)
        match = identifier.solve(noise, camera, hint, math.radians(0.02), fallback=False)
        assert match.failure is Failure.NO_MATCH


def some_centroids(position: np.ndarray, camera: Camera) -> Centroids:
    n = len(position)
    return Centroids(
        position=position, covariance=np.tile(0.09 * np.eye(2), (n, 1, 1)),
        flux=np.arange(n, 0.0, -1.0), snr=np.full(n, 50.0), saturated=np.zeros(n, bool),
        width=camera.width, height=camera.height,
    )  # fmt: skip


@pytest.mark.parametrize('count', [0, 1, 3])
def test_too_few_stars(identifier: Identifier, count: int) -> None:
    camera = from_field_of_view(1000, 1000, 20.0)
    position = np.random.default_rng(0).uniform(0.0, 999.0, (count, 2))
    match = identifier.solve(some_centroids(position, camera), camera)
    assert match.failure is Failure.TOO_FEW_STARS
    assert str(count) in match.detail


def test_centroids_without_values_are_passed_over(identifier: Identifier) -> None:
    field = drawn(identifier, EASY, 1)[0]
    position = field.centroids.position.copy()
    covariance = field.centroids.covariance.copy()
    position[0] = math.nan
    covariance[1] = 0.0
    covariance[2] = math.inf
    exact = Identifier(identifier.catalogue, STAMP, model_error=0.0)
    match = exact.solve(
        dataclasses.replace(field.centroids, position=position, covariance=covariance),
        field.told, timeout=10.0,
    )  # fmt: skip
    assert match.solved
    assert not set(match.centroid) & {0, 1, 2}


def test_a_bad_image_is_named(identifier: Identifier) -> None:
    field = drawn(identifier, EASY, 1)[0]
    match = identifier.solve(
        dataclasses.replace(field.centroids, problem='overexposed'), field.told
    )
    assert match.failure is Failure.BAD_IMAGE
    assert 'overexposed' in match.detail


def test_a_wrong_field_of_view_is_no_match(identifier: Identifier) -> None:
    for field in drawn(identifier, EASY, 4):
        wrong = field.camera.with_focal_length(field.camera.fx * 1.15, 0.005)
        match = identifier.solve(field.centroids, wrong, timeout=0.5)
        assert match.failure in {Failure.NO_MATCH, Failure.TIMEOUT}


def test_planets_and_satellites_among_the_stars(identifier: Identifier) -> None:
    rng = np.random.default_rng(12)
    for field in drawn(identifier, EASY, 8, seed=4):
        c = field.centroids
        n = 6  # all of them brighter than any star
        more = some_centroids(rng.uniform(0.0, 4095.0, (n, 2)), field.camera)
        both = Centroids(
            position=np.vstack((more.position, c.position)),
            covariance=np.concatenate((more.covariance, c.covariance)),
            flux=np.concatenate((1e6 * c.flux.max() + more.flux, c.flux)),
            snr=np.concatenate((more.snr, c.snr)),
            saturated=np.concatenate((np.ones(n, bool), c.saturated)),
            width=c.width, height=c.height,
        )  # fmt: skip
        match = identifier.solve(both, field.told, timeout=10.0)
        assert match.solved
        assert match.centroid.min() >= n


def test_a_field_that_is_two_skies_is_ambiguous(identifier: Identifier) -> None:
    a, b = drawn(identifier, EASY, 2, seed=21)
    camera = a.camera
    both = some_centroids(
        np.stack((a.centroids.position[:25], b.centroids.position[:25]), axis=1).reshape(-1, 2),
        camera,
    )
    match = identifier.solve(both, camera, timeout=10.0)
    if match.failure is not Failure.AMBIGUOUS:  # then it is one of the two, and right
        errors = [np.linalg.norm(error_of(match.icrs_to_camera, field)) for field in (a, b)]
        assert min(errors) < 100.0 * ARCSEC


def test_the_time_is_kept(identifier: Identifier) -> None:
    rng = np.random.default_rng(1)
    field = drawn(identifier, HARD, 1)[0]
    centroids = scenes.scattered(rng, field.centroids)
    slow = identifier.solve(centroids, field.told, timeout=10.0)
    quick = identifier.solve(centroids, field.told, timeout=0.0)
    assert quick.failure is Failure.TIMEOUT
    assert quick.attempts < 0.2 * slow.attempts
    begin = time.perf_counter()
    taken = identifier.solve(centroids, field.told, timeout=0.05).elapsed
    assert taken <= time.perf_counter() - begin


# -- the test of significance ----------------------------------------------------------------------


def test_the_bound_of_false_alarms_is_what_refuses(identifier: Identifier) -> None:
    """Random fields are accepted where a hundred false alarms are allowed, at 0.05 seldom."""
    rng = np.random.default_rng(31)
    fields = drawn(identifier, COARSE, 16, seed=13)
    counts = {}
    for bound in (100.0, 0.05):
        loose = Identifier(identifier.catalogue, STAMP, false_alarm_probability=bound)
        counts[bound] = sum(
            loose.solve(scenes.scattered(rng, f.centroids), f.told, timeout=0.2).solved
            for f in fields
        )
    assert counts[100.0] > 3
    assert counts[0.05] <= 4


def test_false_alarms_of_few_and_of_many() -> None:
    few, kept = verification.false_alarms(np.array((1e-9, 1e-9, 1e-9)), 10, 1)
    assert math.isinf(few)
    assert kept == 0
    # one star beyond the sample among seven: about 7 p, times 7 bounds
    one, kept = verification.false_alarms(np.full(4, 1e-6), 10, 5)
    assert one == pytest.approx(5 * 7 * 7e-6, rel=1e-3)
    assert kept == 4
    # far ones do not count
    many, kept = verification.false_alarms(np.array((*([1e-5] * 12), 0.9, 0.95)), 20, 1)
    assert kept == 12
    assert many < 1e-30


# -- index -----------------------------------------------------------------------------------------


def test_every_triangle_is_found_again(catalogue: Catalogue) -> None:
    directions = catalogue.directions(STAMP)[:400]
    triangles = index.build(directions, math.radians(20.0))
    rows = np.random.default_rng(0).integers(0, len(triangles.key), 50)
    corners = triangles.star[rows].astype(np.int64)
    a, b, c = (directions[corners[:, i]] for i in range(3))
    sides = np.stack(
        (index.separation(b, c), index.separation(a, c), index.separation(a, b)), axis=1
    )
    assert (np.diff(sides, axis=1) <= 1e-12).all()
    shape = sides[:, 1] / sides[:, 0], sides[:, 2] / sides[:, 0]
    sense = index.sense_of(directions, corners)
    size = sides[:, 0] * 0.99, sides[:, 0] * 1.01
    tolerance = np.full(50, 1e-4)
    query, found = triangles.find(shape, sense, size, tolerance)
    assert {(q, rows[q]) for q in range(50)} <= set(
        zip(query.tolist(), found.tolist(), strict=True)
    )
    query, found = triangles.find(shape, 1 - sense, size, tolerance)
    assert not {(q, rows[q]) for q in range(50)} & set(
        zip(query.tolist(), found.tolist(), strict=True)
    )


def test_sky_map_covers_the_stars_and_little_else() -> None:
    rng = np.random.default_rng(0)
    stars = scenes.other_sky(rng, 500)
    stars[:6] = np.concatenate((np.eye(3), -np.eye(3)))
    sky = index.SkyMap(stars, 0.01)
    near = stars + rng.normal(0.0, 0.003, stars.shape)
    assert sky.near(*near.T).mean() > 0.97
    away = scenes.other_sky(rng, 20000)
    far = (away @ stars.T).max(axis=1) < math.cos(0.02)
    assert sky.near(*away[far].T).mean() < 0.001
    assert sky.coverage < 3.0 * 500 * 0.01**2 / 4.0


@pytest.fixture
def small() -> levels.Levels:
    return levels.Levels(load(4.0), STAMP)


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(levels, '_memory', {})


def test_index_is_kept_on_disk_and_repaired(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: levels.Levels
) -> None:
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    forget(monkeypatch)
    first = small.level(0)
    (file,) = levels.cache_directory().iterdir()
    content = file.read_bytes()
    for damaged in (content[: len(content) // 2], b'', b'no zip file'):
        file.write_bytes(damaged)
        forget(monkeypatch)
        again = levels.Levels(small.catalogue, STAMP).level(0)
        assert (again.triangles.key == first.triangles.key).all()
        assert file.read_bytes() == content
    built = []
    monkeypatch.setattr(index, 'build', lambda *_: built.append(1))
    forget(monkeypatch)
    assert levels.Levels(small.catalogue, STAMP).level(0).triangles.star is not None
    assert not built


def test_index_needs_no_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: levels.Levels
) -> None:
    place = tmp_path / 'file'
    place.write_text('not a directory')
    monkeypatch.setenv('XDG_CACHE_HOME', str(place))
    forget(monkeypatch)
    assert len(small.level(0).triangles.key)


@pytest.mark.skipif(os.geteuid() == 0, reason='root writes everywhere')
def test_index_needs_no_writable_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: levels.Levels
) -> None:
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    forget(monkeypatch)
    assert len(small.level(0).triangles.key)


# -- real images -----------------------------------------------------------------------------------


def test_real_images_blind() -> None:
    folder = Path(os.environ.get('META_REPO_DATA', _ROOT / '../shared/data')) / 'star_images'
    if not folder.is_dir():
        pytest.skip(f'no images at {folder}')
    deep = Identifier(load(8.0), 1_564_433_246_000_000_000)
    index_file = json.loads((folder / 'index.json').read_text(encoding='utf-8'))
    for entry in index_file:
        pixels = read_picture(folder / entry['file']).pixels
        centroids = detector('threshold').detect(pixels)
        camera = from_field_of_view(centroids.width, centroids.height, 20.0, focal_sigma=math.inf)
        match = deep.solve(centroids, camera, timeout=30.0)
        truth = entry.get('cedar_solve')
        if truth:
            assert match.solved, entry['file']
            ra, dec = math.radians(truth['ra']), math.radians(truth['dec'])
            axis = (math.cos(dec) * math.cos(ra), math.cos(dec) * math.sin(ra), math.sin(dec))
            away = np.linalg.norm(match.icrs_to_camera[2] - axis) / ARCSEC
            assert away < (15.0 if entry['file'].endswith('.tiff') else 60.0)
            assert math.degrees(match.field_of_view) == pytest.approx(truth['fov'], rel=0.02)
        else:  # cedar-solve refuses it, but half of it is sky, by the same camera as the others
            assert match.solved
            assert len(match.star) > 0.8 * len(centroids)
            assert math.degrees(match.field_of_view) == pytest.approx(10.17, abs=0.05)
