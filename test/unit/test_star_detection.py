# SPDX-License-Identifier: Apache-2.0
"""Stars are found where they are, with errors as large as the covariances say; nothing else is."""

from __future__ import annotations

import importlib
import math
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from meta_repo_ros.core.statistics import mean_band
from meta_repo_ros.starnav.detection import DetectionParameters, detector
from meta_repo_ros.starnav.detection.background import estimate
from meta_repo_ros.starnav.detection.blobs import label
from meta_repo_ros.starnav.detection.measure import least_snr
from meta_repo_ros.starnav.image import ImageError, read_picture
from meta_repo_ros.starnav.types import Centroids

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get('META_REPO_DATA', ROOT / '../shared/data')) / 'star_images'
CLASSICAL = ('threshold', 'matched_filter')


@pytest.fixture(scope='module')
def skies() -> ModuleType:
    """``benchmarks/starnav_images.py``; the folder itself is not on the path of tests."""
    sys.path.append(str(ROOT))
    try:
        return importlib.import_module('benchmarks.starnav_images')
    finally:
        sys.path[:] = [entry for entry in sys.path if entry != str(ROOT)]


def matched(found: Centroids, truth: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Index of the star nearest to each centroid, and their distance, pixels."""
    distance = np.linalg.norm(found.position[:, None] - truth[None], axis=2)
    return distance.argmin(axis=1), distance.min(axis=1)


@pytest.mark.parametrize('method', CLASSICAL)
@pytest.mark.parametrize(
    ('size', 'kind', 'level'),
    [((512, 512), np.uint16, 1000.0), ((507, 333), np.uint8, 30.0), ((64, 700), np.uint16, 3000.0)],
)
def test_all_stars_are_found_and_nothing_else(
    skies: ModuleType, method: str, size: tuple[int, int], kind: Any, level: float
) -> None:
    small = {'gradient': 10.0, 'gain': 4.0, 'read_noise': 1.0} if kind == np.uint8 else {}
    field = skies.star_field(np.random.default_rng(1), size, 15, (12.0, 60.0), level=level, **small)
    found = detector(method).detect(field.exposed(2, kind))
    star, distance = matched(found, field.position)
    assert sorted(star) == list(range(len(field.position)))
    assert distance.max() < 0.4
    assert not found.problem
    assert (found.width, found.height) == (size[1], size[0])
    # brightest first, and the light is that of the stars
    assert np.all(np.diff(found.flux) <= 0.0)
    light = 2.0 * np.pi * field.sigma**2 * field.peak[star]
    assert np.median(found.flux / light) == pytest.approx(1.0, abs=0.1)
    assert found.noise == pytest.approx(
        skies.noise_of(float(np.median(field.light)), field.gain, field.read_noise), rel=0.1
    )


@pytest.mark.parametrize(
    ('snr', 'fwhm'), [((6.0, 12.0), 2.8), ((12.0, 40.0), 2.0), ((12.0, 40.0), 4.5)]
)
def test_covariance_is_that_of_the_errors(
    skies: ModuleType, snr: tuple[float, float], fwhm: float
) -> None:
    method = detector('matched_filter', DetectionParameters(electrons_per_count=1.6))
    nees, error = [], []
    for seed in range(8):
        field = skies.star_field(np.random.default_rng(seed), (400, 400), 30, snr, fwhm=fwhm)
        found = method.detect(field.exposed(seed))
        star, distance = matched(found, field.position)
        good = distance < 1.5
        e = (found.position - field.position[star])[good]
        nees += np.einsum('ni,nij,nj->n', e, np.linalg.inv(found.covariance[good]), e).tolist()
        error += e.tolist()
    low, high = mean_band(2, len(nees), 0.999)
    # the floor for what no noise explains makes bright stars' covariances a little larger
    assert 0.85 * low < np.mean(nees) < high
    assert np.abs(np.mean(error, axis=0)).max() < 4.0 * np.std(error) / math.sqrt(len(error))


def test_noise_alone_gives_as_few_stars_as_asked_for() -> None:
    rng = np.random.default_rng(0)
    asked = DetectionParameters(false_per_image=0.5, pixel_sigma=3.5, psf_fwhm=2.8)
    strict = DetectionParameters(psf_fwhm=2.8)
    many = few = 0
    for _ in range(40):
        image = np.rint(rng.normal(1000.0, 20.0, (400, 400))).astype(np.uint16)
        many += len(detector('matched_filter', asked).detect(image))
        few += len(detector('matched_filter', strict).detect(image))
    # expected 20 and 0.4; the bound for the field counts noise between the pixels, too
    assert 3 <= many <= 35
    assert few <= 3


def test_least_signal_to_noise_keeps_its_number() -> None:
    t = least_snr(4096.0**2, 1.2, 0.01)
    expected = 4096.0**2 / (2 * 1.2**2) * (2 * math.pi) ** -1.5 * t * math.exp(-(t**2) / 2)
    assert expected == pytest.approx(0.01, rel=1e-6)


@settings(deadline=None, max_examples=60)
@given(
    mask=st.lists(st.lists(st.booleans(), min_size=12, max_size=12), min_size=1, max_size=10).map(
        np.array
    )
)
def test_components_are_those_of_a_label_image(mask: NDArray[np.bool_]) -> None:
    ndimage = importlib.import_module('scipy.ndimage')
    expected, count = ndimage.label(mask, structure=np.ones((3, 3)))
    index = np.flatnonzero(mask)
    if len(index):
        number, labels = label(index, mask.shape[1])
        assert number == count
        assert len(set(zip(labels, expected.reshape(-1)[index], strict=True))) == count


@settings(deadline=None, max_examples=30)
@given(
    height=st.integers(16, 200),
    width=st.integers(16, 200),
    level=st.floats(50.0, 20000.0),
    slope=st.floats(-0.2, 0.2),
    noise=st.floats(1.0, 60.0),
)
def test_background_follows_a_slope(
    height: int, width: int, level: float, slope: float, noise: float
) -> None:
    rng = np.random.default_rng(height * 1000 + width)
    u = np.arange(width) + np.zeros((height, 1))
    light = level + slope * level * (u / width - 0.5)
    image = np.clip(np.rint(light + noise * rng.standard_normal(light.shape)), 0, 65535)
    back = estimate(image.astype(np.uint16))
    step = back.tile[1]
    tolerance = 5.0 * noise / math.sqrt(back.tile[0] * step) + abs(slope) * level * step / width
    at, deviation = back.at(np.array([width / 2.0]), np.array([height / 2.0]))
    assert abs(at[0] - level) < tolerance + 0.5
    if abs(slope) * level * step / width < 0.5 * noise and level > 5.0 * noise:
        assert deviation[0] == pytest.approx(noise, rel=0.35)


@pytest.mark.parametrize('method', CLASSICAL)
def test_windows_find_the_same_stars(skies: ModuleType, method: str) -> None:
    field = skies.star_field(np.random.default_rng(5), (600, 600), 20, (12.0, 200.0))
    image = field.exposed(6)
    rng = np.random.default_rng(7)
    windows = field.position + rng.uniform(-6.0, 6.0, field.position.shape)
    nowhere = [(math.nan, 3.0), (-500.0, 2.0), (1e9, 1e9)]
    whole = detector(method).detect(image)
    found = detector(method).detect(image, np.concatenate([windows, nowhere]))
    star, distance = matched(found, whole.position)
    assert sorted(star) == list(range(20))
    assert found.searched == pytest.approx(20 * 25**2 / 600**2)
    assert whole.searched == 1.0
    sigma = np.sqrt(found.covariance[:, 0, 0])
    assert np.all(distance < 0.05 + sigma)
    assert len(detector(method).detect(image, np.zeros((0, 2)))) == 0


def test_empty_windows_and_doubled_ones_give_no_stars_twice(skies: ModuleType) -> None:
    field = skies.star_field(np.random.default_rng(5), (600, 600), 3, (50.0, 200.0))
    image = field.exposed(6)
    both = np.repeat(field.position, 2, axis=0) + np.tile([[3.0, 0.0], [-3.0, 0.0]], (3, 1))
    assert len(detector('threshold').detect(image, both)) == 3
    free = field.position[:1] + 60.0
    assert len(detector('threshold').detect(image, free)) == 0


def disturbed(skies: ModuleType, clean: Any, rng: np.random.Generator, what: str) -> Any:
    """The same field with something between it and the camera."""
    kinds = {
        'streaks': lambda: skies.with_streaks(clean, rng, 3, (3.0, 100.0)),
        'faint streak': lambda: skies.with_streaks(clean, rng, 2, (1.5, 2.5)),
        'hot pixels': lambda: skies.with_hot_pixels(clean, rng, 100),
        'moon': lambda: skies.with_moon(clean, rng, 12.0, 3000.0),
        'clouds': lambda: skies.with_clouds(clean, rng, 800.0, 0.3),
    }
    return kinds[what]()


@pytest.mark.parametrize('method', CLASSICAL)
@pytest.mark.parametrize('what', ['streaks', 'faint streak', 'hot pixels', 'moon', 'clouds'])
def test_disturbances_give_no_stars_and_take_few(skies: ModuleType, method: str, what: str) -> None:
    lost = kept = 0
    for seed in range(4):
        rng = np.random.default_rng((3, seed))
        clean = skies.star_field(rng, (700, 700), 25, (20.0, 400.0))
        field = disturbed(skies, clean, rng, what)
        before = detector(method).detect(clean.exposed(seed))
        after = detector(method).detect(field.exposed(seed))
        assert not after.problem
        assert len(before) == 25
        star, distance = matched(after, clean.position)
        lost += 25 - len(set(star[distance < 1.5]))
        kept += int((distance >= 1.5).sum())
        reason = {'streaks': 'streak', 'hot pixels': 'hot pixel', 'moon': 'extended'}.get(what)
        assert reason is None or after.rejected.get(reason, 0) > 0
    assert kept <= (2 if what == 'clouds' else 0)
    assert lost <= 5


def test_smeared_stars_are_no_streaks(skies: ModuleType) -> None:
    field = skies.star_field(np.random.default_rng(2), (500, 500), 20, (30.0, 200.0))
    light = sum(np.roll(field.light, shift, axis=1) for shift in range(-2, 3)) / 5.0
    smeared = skies.Field(
        light.astype(np.float32), field.position, field.peak, field.sigma, field.gain, 20.0
    )
    found = detector('threshold').detect(smeared.exposed(1))
    star, distance = matched(found, field.position)
    assert len(set(star[distance < 0.5])) >= 19


@pytest.mark.parametrize('top', [65535, 50000, 4095])
def test_saturated_stars_are_kept_with_less_trust(skies: ModuleType, top: int) -> None:
    field = skies.star_field(np.random.default_rng(2), (500, 500), 20, (30.0, 200.0))
    field.light[:] *= np.float32(min(top / 40000.0, 1.0))
    skies.stamp(field.light, field.position[:2], np.array([4.0, 40.0]) * top, field.sigma)
    found = detector('threshold').detect(np.minimum(field.exposed(1), np.uint16(top)))
    star, distance = matched(found, field.position)
    assert set(star[:2]) == {0, 1}
    assert found.saturated[:2].all()
    assert not found.saturated[2:].any()
    assert distance[:2].max() < 0.3
    assert found.covariance[:2, 0, 0].min() > found.covariance[2:5, 0, 0].max()


def test_pair_gives_two_stars_that_doubt_each_other(skies: ModuleType) -> None:
    field = skies.star_field(np.random.default_rng(2), (500, 500), 10, (100.0, 200.0))
    second = field.position[0] + (5.0, 2.0)
    skies.stamp(field.light, second[None], field.peak[:1], field.sigma)
    found = detector('threshold').detect(field.exposed(1))
    truth = np.concatenate([field.position, second[None]])
    star, distance = matched(found, truth)
    assert {0, 10} <= set(star[distance < 0.5])
    alone = found.covariance[star == 5, 0, 0][0]
    assert found.covariance[star == 0, 0, 0][0] > 1.5 * alone


def flat(level: float, noise: float, kind: Any = np.uint16) -> NDArray[Any]:
    rng = np.random.default_rng(4)
    top = np.iinfo(kind).max
    return np.clip(np.rint(rng.normal(level, noise, (300, 400))), 0, top).astype(kind)


def daylight() -> NDArray[np.uint8]:
    """Bright sky over a dark skyline with structure."""
    image = flat(170.0, 2.0, np.uint8)
    for k in range(40):
        image[200 + (k * 37) % 60 :, 10 * k : 10 * k + 8] = 40 + 5 * (k % 7)
    return image


@pytest.mark.parametrize('method', CLASSICAL)
@pytest.mark.parametrize(
    ('image', 'problem'),
    [
        (np.zeros((300, 400), np.uint16), 'black'),
        (np.zeros((17, 16), np.uint8), 'black'),
        (flat(1.0, 0.4, np.uint8), 'black'),
        (flat(400.0, 5.0), 'black'),
        (np.full((300, 400), 255, np.uint8), 'overexposed'),
        (np.full((300, 400), 65535, np.uint16), 'overexposed'),
        (flat(65400.0, 300.0), 'overexposed'),
        (flat(40000.0, 200.0), 'daylight'),
        (daylight(), 'daylight'),
    ],
)
def test_useless_images_are_named(method: str, image: NDArray[Any], problem: str) -> None:
    found = detector(method).detect(image)
    assert found.problem == problem
    assert len(found) == 0


@pytest.mark.parametrize('method', CLASSICAL)
def test_blurred_image_is_named(skies: ModuleType, method: str) -> None:
    field = skies.star_field(
        np.random.default_rng(2), (500, 500), 12, (40.0, 100.0), fwhm=17.0, margin=60.0
    )
    found = detector(method).detect(field.exposed(1))
    assert found.problem == 'blurred'
    assert len(found) == 0


def test_few_stars_are_given_as_they_are(skies: ModuleType) -> None:
    field = skies.star_field(np.random.default_rng(2), (500, 500), 2, (40.0, 100.0))
    found = detector('threshold').detect(field.exposed(1))
    assert len(found) == 2
    assert not found.problem


def test_image_of_wrong_kind_is_refused() -> None:
    for image in (np.zeros((300, 400)), np.zeros((300, 400, 3), np.uint8)):
        for windows in (None, np.zeros((1, 2))):
            with pytest.raises(ImageError):
                detector('threshold').detect(image, windows)  # type: ignore[arg-type]


@settings(deadline=None, max_examples=40)
@given(
    height=st.integers(16, 90),
    width=st.integers(16, 90),
    kind=st.sampled_from([np.uint8, np.uint16]),
    seed=st.integers(0, 1000),
    spots=st.integers(0, 30),
)
def test_any_image_gives_an_answer(
    height: int, width: int, kind: Any, seed: int, spots: int
) -> None:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, rng.integers(1, np.iinfo(kind).max), (height, width)).astype(kind)
    for _ in range(spots):
        v, u = rng.integers(0, height), rng.integers(0, width)
        image[v : v + rng.integers(1, 9), u : u + rng.integers(1, 9)] = np.iinfo(kind).max
    for method in CLASSICAL:
        for windows in (None, rng.uniform(-10.0, 100.0, (5, 2))):
            found = detector(method).detect(image, windows)
            assert np.isfinite(found.position).all()
            assert np.all(np.linalg.eigvalsh(found.covariance) > 0.0)
            assert np.all((found.position >= 0.0) & (found.position <= (width - 1, height - 1)))


def test_unknown_method_is_refused() -> None:
    with pytest.raises(ValueError, match='threshold, matched_filter, deep_learning'):
        detector('magic')


@pytest.mark.skipif(not DATA.is_dir(), reason=f'no recordings at {DATA}')
def test_hot_pixels_of_a_real_camera_are_seen() -> None:
    """Four frames of one camera look at other stars; what stays in place are its hot pixels."""
    frames = [read_picture(path).pixels for path in sorted(DATA.glob('*.tiff'))]
    places = [(540, 256), (878, 137), (25, 188), (449, 461)]
    loose = detector('threshold', DetectionParameters(reject_artefacts=False))
    for image in frames:
        found, everything = detector('threshold').detect(image), loose.detect(image)
        assert len(found) > 50
        for place in places:
            near = np.abs(found.position - place).max(axis=1) < 1.0
            assert not near.any()
        hot = [(np.abs(everything.position - place).max(axis=1) < 1.0).any() for place in places]
        assert sum(hot) >= 2


def lamp(angle: float, *, saturated_all_along: bool) -> np.ndarray:
    """Stars, and a lamp that moves along a row but for ``angle`` and flashes on its way."""
    rng = np.random.default_rng(4)
    light = np.full((256, 256), 500.0)
    v, u = np.mgrid[:256, :256]
    for x, y in ((40, 40), (200, 60), (60, 210), (210, 200)):
        light += 8000.0 * np.exp(-((u - x) ** 2 + (v - y) ** 2) / (2 * 1.2**2))
    along = np.linspace(-15.0, 15.0, 121)
    level = 9000.0 if saturated_all_along else 800.0
    for s in along:
        x, y = 128.0 + s * np.cos(angle), 128.0 + s * np.sin(angle)
        light += level * np.exp(-((u - x) ** 2 + (v - y) ** 2) / (2 * 1.2**2))
    light += 4e6 * np.exp(-((u - 131.0) ** 2 + (v - 128.0) ** 2) / (2 * 1.2**2))
    return np.clip(rng.normal(light, 20.0), 0, 65535).astype(np.uint16)


@pytest.mark.parametrize(('angle', 'whole'), [(0.0, False), (0.02, False), (0.05, True)])
def test_flashing_lamp_along_a_row_is_no_star_that_leaks(angle: float, whole: bool) -> None:
    found = detector('threshold').detect(lamp(angle, saturated_all_along=whole))
    assert len(found) == 4
    assert np.linalg.norm(found.position - 128.0, axis=1).min() > 50.0


def test_star_that_leaks_along_its_column_is_kept() -> None:
    image = lamp(0.0, saturated_all_along=False)
    image[100:156] = np.random.default_rng(5).normal(500.0, 20.0, (56, 256)).astype(np.uint16)
    v, u = np.mgrid[:256, :256]
    star = 4e6 * np.exp(-((u - 128.0) ** 2 + (v - 128.0) ** 2) / (2 * 1.2**2))
    image = np.minimum(image + star, 65535).astype(np.uint16)
    image[112:145, 127:130] = 65535
    found = detector('threshold').detect(image)
    assert np.linalg.norm(found.position - 128.0, axis=1).min() < 1.0
