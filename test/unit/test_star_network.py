# SPDX-License-Identifier: Apache-2.0
"""Star detection deep_learning: stars found, artefacts refused, and its file checked."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from meta_repo_ros.starnav.detection import deep_learning, detector, network, synthetic
from meta_repo_ros.starnav.detection.deep_learning import DeepLearningDetector
from meta_repo_ros.starnav.detection.parameters import DetectionParameters
from meta_repo_ros.starnav.types import Array, Centroids

LEVEL, NOISE = 800.0, 20.0


def sky(
    rng: np.random.Generator, shape: tuple[int, int], stars: Array, peak: float, fwhm: float = 2.8
) -> NDArray[np.floating]:
    """Noise and stars of that peak in units of the noise, as counts."""
    image = LEVEL + NOISE * rng.standard_normal(shape)
    reach = int(3.0 * fwhm) + 2
    for u, v in stars:
        row, column = round(v), round(u)
        rows = slice(max(row - reach, 0), row + reach + 1)
        columns = slice(max(column - reach, 0), column + reach + 1)
        y, x = np.arange(shape[0])[rows, None], np.arange(shape[1])[columns]
        squared = (x - u) ** 2 + (y - v) ** 2
        image[rows, columns] += NOISE * peak * np.exp(-4.0 * np.log(2.0) * squared / fwhm**2)
    return image


def as_image(counts: NDArray[np.floating], dtype: type = np.uint16) -> NDArray:
    return np.clip(np.rint(counts), 0, np.iinfo(dtype).max).astype(dtype)


def lattice(rng: np.random.Generator, shape: tuple[int, int], step: int = 60) -> Array:
    """Places far from each other, each at a random part of a pixel."""
    v, u = np.mgrid[step // 2 : shape[0] - 20 : step, step // 2 : shape[1] - 20 : step]
    places = np.stack([u.ravel(), v.ravel()], axis=1).astype(float)
    return places + rng.uniform(-8.0, 8.0, places.shape)


def found(stars: Array, result: Centroids, radius: float = 2.0) -> NDArray[np.bool_]:
    """Which of the stars have a centroid near them."""
    distance = np.hypot(*(stars[:, None, :] - result.position[None, :, :]).transpose(2, 0, 1))
    return np.asarray(distance.min(axis=1, initial=np.inf) < radius)


@pytest.fixture(scope='module')
def stars_detector() -> DeepLearningDetector:
    return DeepLearningDetector(DetectionParameters(max_stars=1000))


@pytest.mark.parametrize('fwhm', [1.6, 2.8, 4.5])
@pytest.mark.parametrize('shape', [(601, 733), (256, 1100)])
def test_every_star_well_above_the_noise_is_found_and_nothing_else(
    stars_detector: DeepLearningDetector, fwhm: float, shape: tuple[int, int]
) -> None:
    rng = np.random.default_rng(1)
    stars = lattice(rng, shape)
    result = stars_detector.detect(as_image(sky(rng, shape, stars, 15.0, fwhm)))
    assert found(stars, result).all()
    assert len(result) == len(stars)
    error = result.position[:, None] - stars[None]
    nearest = np.abs(error).sum(axis=2).argmin(axis=1)
    error = result.position - stars[nearest]
    assert np.sqrt(np.mean(error**2)) < 0.15
    whitened = np.einsum('ni,nij,nj->n', error, np.linalg.inv(result.covariance), error)
    assert 0.1 < whitened.mean() / 2.0 < 1.5


def test_faint_stars_are_found_that_no_single_pixel_shows(
    stars_detector: DeepLearningDetector,
) -> None:
    rng = np.random.default_rng(2)
    shape = (1024, 1024)
    stars = lattice(rng, shape)
    image = as_image(sky(rng, shape, stars, 4.0))
    plain = detector('threshold', DetectionParameters(max_stars=1000)).detect(image)
    share = found(stars, stars_detector.detect(image)).mean()
    assert share > 0.85
    assert share > 1.15 * found(stars, plain).mean()


def test_noise_alone_gives_nothing(stars_detector: DeepLearningDetector) -> None:
    rng = np.random.default_rng(3)
    for level, noise in ((100.0, 3.0), (2000.0, 50.0)):
        image = level + noise * rng.standard_normal((2048, 2048), np.float32)
        assert len(stars_detector.detect(as_image(image))) == 0


def test_stars_of_8_bit_images_are_found(stars_detector: DeepLearningDetector) -> None:
    rng = np.random.default_rng(4)
    shape = (512, 512)
    stars = lattice(rng, shape)
    counts = 20.0 + 1.5 * (sky(rng, shape, stars, 12.0) - LEVEL) / NOISE
    result = stars_detector.detect(as_image(counts, np.uint8))
    assert found(stars, result).all()
    assert len(result) == len(stars)


def test_hot_pixels_cosmic_rays_and_streaks_are_refused(
    stars_detector: DeepLearningDetector,
) -> None:
    rng = np.random.default_rng(5)
    shape = (1024, 1024)
    stars = lattice(rng, shape)
    counts = sky(rng, shape, stars, 20.0)
    places = stars + rng.choice([-28.0, 28.0], stars.shape)
    kind = np.arange(len(places)) % 3
    y, x = np.indices(shape)
    for (u, v), which in zip(places, kind, strict=True):
        column, row = int(u) % shape[1], int(v) % shape[0]
        if which == 0:
            counts[row, column] += NOISE * 60.0
        elif which == 1:  # a cosmic ray: a thin line of some pixels
            steps = np.arange(6)
            counts[np.minimum(row + steps // 2, 1023), np.minimum(column + steps, 1023)] += (
                NOISE * 40.0
            )
    counts += 30.0 * NOISE * np.exp(-0.5 * ((0.8 * x - 0.6 * y - 100.0) / 1.3) ** 2)
    result = stars_detector.detect(as_image(counts))
    away = np.abs(0.8 * stars[:, 0] - 0.6 * stars[:, 1] - 100.0) > 8.0
    assert found(stars[away], result).mean() > 0.98
    false = ~found(result.position, Centroids(stars, *np.zeros((4, 0)), 0, 0))
    assert false.sum() <= 0.01 * len(places)


def test_a_gradient_moonlight_and_clouds_are_no_stars(
    stars_detector: DeepLearningDetector,
) -> None:
    rng = np.random.default_rng(6)
    shape = (1024, 1024)
    stars = lattice(rng, shape)
    y, x = np.indices(shape)
    counts = sky(rng, shape, stars, 25.0) + 0.5 * x
    counts += 8000.0 * np.exp(-np.hypot(x - 300.0, y - 1100.0) / 150.0)
    cloud = cv2.GaussianBlur(rng.standard_normal(shape), None, 40.0)
    counts += 4.0 * NOISE * cloud / cloud.std()
    result = stars_detector.detect(as_image(counts))
    assert found(stars, result).mean() > 0.95
    assert found(result.position, Centroids(stars, *np.zeros((4, 0)), 0, 0)).all()


@pytest.mark.parametrize('shape', [(24, 24), (25, 1001), (1001, 27)])
def test_small_and_narrow_images_are_searched_to_their_ends(
    stars_detector: DeepLearningDetector, shape: tuple[int, int]
) -> None:
    rng = np.random.default_rng(12)
    ends = np.array([[10.3, 11.6], [shape[1] - 9.4, shape[0] - 10.7]])
    stars = ends[: 1 if min(shape) == max(shape) else 2]
    result = stars_detector.detect(as_image(sky(rng, shape, stars, 30.0)))
    assert found(stars, result).all()
    assert len(result) == len(stars)


def test_the_same_image_gives_the_same_result(stars_detector: DeepLearningDetector) -> None:
    rng = np.random.default_rng(7)
    image = as_image(sky(rng, (700, 900), lattice(rng, (700, 900)), 8.0))
    first, again = stars_detector.detect(image), DeepLearningDetector(
        DetectionParameters(max_stars=1000)
    ).detect(image)  # fmt: skip
    np.testing.assert_array_equal(first.position, again.position)
    np.testing.assert_array_equal(first.covariance, again.covariance)


def test_windows_give_what_the_whole_image_gives(stars_detector: DeepLearningDetector) -> None:
    rng = np.random.default_rng(8)
    shape = (900, 1300)
    stars = lattice(rng, shape)
    image = as_image(sky(rng, shape, stars, 12.0))
    whole = stars_detector.detect(image)
    chosen = np.concatenate([stars[::3] + rng.uniform(-4.0, 4.0, stars[::3].shape), [[-500.0, 3]]])
    tracked = stars_detector.detect(image, chosen)
    assert len(tracked) == len(stars[::3])
    assert found(stars[::3], tracked).all()
    distance = np.hypot(
        *(tracked.position[:, None] - whole.position[None]).transpose(2, 0, 1)
    ).min(axis=1)  # fmt: skip
    assert distance.max() < 0.05
    assert len(stars_detector.detect(image, np.zeros((0, 2)))) == 0


def test_what_the_network_says_of_a_place_does_not_depend_on_the_other_tiles(
    stars_detector: DeepLearningDetector,
) -> None:
    rng = np.random.default_rng(9)
    shape = (300, 413)
    stars = lattice(rng, shape)
    image = as_image(sky(rng, shape, stars, 10.0))
    every = np.stack(np.meshgrid(np.arange(26), np.arange(19)), axis=-1).reshape(-1, 2)
    whole = stars_detector.candidates(image, every, 0.0)
    some = stars_detector.candidates(image, deep_learning.tiles_at(stars, image), 0.0)
    assert found(stars, Centroids(some.position, *np.zeros((4, 0)), 0, 0)).all()
    assert {*zip(*some.position.T, some.logit, strict=True)} <= {
        *zip(*whole.position.T, whole.logit, strict=True)
    }


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
@pytest.mark.parametrize('fwhm', [2.0, 2.8, 5.0])
def test_tiles_with_faint_stars_stand_out_and_most_others_do_not(fwhm: float, dtype: type) -> None:
    rng = np.random.default_rng(10)
    shape = (1025, 1023)
    stars = lattice(rng, shape)
    sigma = fwhm / synthetic.FWHM
    counts = sky(rng, shape, stars, 8.0 / (np.sqrt(np.pi) * sigma), fwhm)
    image = as_image(counts if dtype is np.uint16 else 30.0 + (counts - LEVEL) / 10.0, dtype)
    tiles = deep_learning.tiles_at(deep_learning.standing_out(image, sigma), image)
    assert len(tiles) < 0.2 * image.size / deep_learning.TILE**2
    near = np.abs(stars[:, None] - (tiles * 16.0 + 7.5)).max(axis=2).min(axis=1)
    assert (near < 12.0).mean() > 0.95


def test_the_level_follows_the_measured_rate_of_noise() -> None:
    shipped = network.load()
    table = dataclasses.replace(shipped, level=(0.0, 1.0, 2.0), rate=(1e-5, 1e-6, 1e-7))
    assert table.threshold(1.0, 10**6) == pytest.approx(1.0)
    assert table.threshold(0.1, 10**8) == pytest.approx(4.0)
    assert table.threshold(1e9, 10) == 0.0
    assert np.all(np.diff(shipped.level) > 0.0)
    assert np.all(np.diff(shipped.rate) < 0.0)


def copied(folder: Path) -> Path:
    for path in network.DATA.glob(f'{network.NAME}.*'):
        shutil.copy(path, folder)
    return folder / f'{network.NAME}.onnx'


def test_a_damaged_network_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    path = copied(tmp_path)
    network.load(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(network.NetworkError, match=r'damaged.*install the package anew'):
        network.load(path)
    path.unlink()
    with pytest.raises(network.NetworkError, match='cannot be read'):
        network.load(path)


@pytest.mark.parametrize('text', ['', '{}', '[]', '{"sha256": "x", "noise": {"level": ["a"]}}'])
def test_damaged_words_about_the_network_are_an_error(tmp_path: Path, text: str) -> None:
    path = copied(tmp_path)
    path.with_suffix('.json').write_text(text, encoding='utf-8')
    with pytest.raises(network.NetworkError, match='install the package anew'):
        network.load(path)


def test_a_network_that_opencv_cannot_run_is_an_error(tmp_path: Path) -> None:
    path = copied(tmp_path)
    content = path.read_bytes().replace(b'Relu', b'Nope')
    path.write_bytes(content)
    about = json.loads(path.with_suffix('.json').read_text(encoding='utf-8'))
    about['sha256'] = hashlib.sha256(content).hexdigest()
    path.with_suffix('.json').write_text(json.dumps(about), encoding='utf-8')
    with pytest.raises(network.NetworkError, match='cannot run the star network'):
        DeepLearningDetector(network=network.load(path))


def test_an_opencv_without_networks_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(cv2.dnn, 'readNetFromONNX')
    with pytest.raises(network.NetworkError, match='without its module dnn'):
        detector('deep_learning')


def test_pieces_come_from_their_seed_and_hold_their_stars() -> None:
    one, same = (synthetic.pieces(np.random.default_rng(11), 24) for _ in range(2))
    np.testing.assert_array_equal(one.image, same.image)
    assert np.isfinite(one.image).all()
    checked = 0
    for n, k in zip(*np.nonzero(one.snr > 60.0), strict=True):
        u, v = np.rint(one.position[n, k]).astype(int)
        if not (3 <= u < 93 and 3 <= v < 93):
            continue
        near = one.image[n, v - 1 : v + 2, u - 1 : u + 2]
        assert near.max() > 5.0
        checked += 1
    assert checked > 3
    quiet = ~one.artefact & (np.abs(one.image) < 6.0)
    assert 0.5 < one.image[quiet].std() < 2.0
