# SPDX-License-Identifier: Apache-2.0
"""The rendered sky against what light, optics and electronics must give."""

from __future__ import annotations

import calendar
import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from meta_repo_ros.core import rotations
from meta_repo_ros.core.earth import icrs_to_enu
from meta_repo_ros.core.parameters import ParameterError, from_mapping
from meta_repo_ros.simulation.faults import Fault
from meta_repo_ros.simulation.sky import disturbances, optics
from meta_repo_ros.simulation.sky.disturbances import Disturbance
from meta_repo_ros.simulation.sky.exposure import Exposure
from meta_repo_ros.simulation.sky.renderer import SkyRenderer
from meta_repo_ros.simulation.sky.settings import StarCameraParameters
from meta_repo_ros.starnav.astrometry import Observer, apparent
from meta_repo_ros.starnav.catalogue import load
from meta_repo_ros.starnav.detection import detector
from meta_repo_ros.starnav.planets import planets

NIGHT = calendar.timegm((2026, 12, 1, 19, 0, 0)) * 10**9  # the Moon is down
PLACE = {'latitude': 47.26, 'longitude': 11.34, 'altitude': 1800.0, 'pressure': 81500.0}
# nothing but stars, all of a width that leaves few doubts about sampling
BARE = {
    'sky.moon': False, 'sky.planets': False, 'sky.twilight': False, 'sky.brightness': 50.0,
    'optics.vignetting': 0.0, 'electronics.response': 0.0, 'electronics.fixed_pattern': 0.0,
    'electronics.dark_current': 0.0, 'sky.magnitude_limit': 6.0,
}  # fmt: skip


def parameters(**values: Any) -> StarCameraParameters:
    """The camera, dots written as double underscores."""
    return from_mapping(
        StarCameraParameters,
        {'width': 640, 'height': 640, **{k.replace('__', '.'): v for k, v in values.items()}},
    )


def bare(**values: Any) -> SkyRenderer:
    return SkyRenderer(parameters(**{**BARE, **values}))


def exposure(rate: tuple[float, float, float] = (0.0, 0.0, 0.0), **values: Any) -> Exposure:
    """Level at the place, the nose to the north, turning at ``rate`` (body axes, rad/s)."""
    stamp = values.get('stamp', NIGHT)
    level = rotations.multiply(
        rotations.exp((0.0, 0.0, -0.5 * math.pi)),
        rotations.from_matrix(icrs_to_enu(stamp, PLACE['latitude'], PLACE['longitude'])),
    )
    time = np.linspace(-0.5, 0.5, 11)
    knots = [rotations.multiply(rotations.exp([-w * t for w in rate]), level) for t in time]
    return Exposure(
        **{
            'stamp': NIGHT, 'knot_time': time, 'knot_orientation': np.array(knots), **PLACE,
            'temperature': 276.0, 'velocity': np.array((60.0, 0.0, 0.0)), **values,
        }
    )  # fmt: skip


def lonely(renderer: SkyRenderer, seen: Exposure, reach: float = 14.0) -> np.ndarray:
    """Indices of the bright stars of the truth with nothing near, away from the border."""
    truth = renderer.truth(seen)
    distance = np.linalg.norm(truth.position[:, np.newaxis] - truth.position, axis=-1)
    np.fill_diagonal(distance, np.inf)
    good = (distance.min(axis=1) > 2.0 * reach) & renderer.camera.contains(truth.position, reach)
    return np.flatnonzero(good & (truth.magnitude < 6.5))


def moments(image: np.ndarray, at: np.ndarray, reach: int = 13) -> tuple[float, Any, Any]:
    """Light, centroid and covariance of what lies around a pixel."""
    u, v = np.rint(at).astype(int)
    patch = image[v - reach : v + reach + 1, u - reach : u + reach + 1].astype(float)
    total = patch.sum()
    grid = np.stack(np.meshgrid(*[np.arange(-reach, reach + 1)] * 2), axis=-1)
    mean = np.einsum('ij,ijk->k', patch, grid) / total
    offset = grid - mean
    return (
        total,
        mean + np.array((u, v)),
        np.einsum('ij,ijk,ijl->kl', patch, offset, offset) / total,
    )


# -- where ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    'values',
    [
        {},
        {'optics__psf': 'moffat', 'optics__moffat_beta': 6.0},
        {'optics__psf_sigma': 0.5},
        {
            'distortion_model': 'plumb_bob', 'distortion': (-0.2, 0.1, 1e-3, -1e-3),
            'pixel_aspect': 1.93, 'principal_point': (7.0, -5.0),
        },
        {'distortion_model': 'equidistant', 'distortion': (0.1, 0.0, 0.0, 0.0),
         'field_of_view': 60.0, 'sky__magnitude_limit': 4.5},
        {'optics__defocus': 3.0},
    ],
    ids=['gauss', 'moffat', 'undersampled', 'distorted', 'fisheye', 'out of focus'],
)  # fmt: skip
def test_stars_stand_where_the_camera_sees_them(values: dict[str, Any]) -> None:
    renderer, seen = bare(**values), exposure()
    camera = renderer.camera
    stars = load(6.0)
    observer = Observer(
        seen.stamp, seen.latitude, seen.longitude, seen.altitude, (60.0, 0.0, 0.0),
        seen.pressure, seen.temperature,
    )  # fmt: skip
    # level, nose to the north, camera up: image up is north, right is west
    to_camera = np.array(((-1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, 1.0))) @ icrs_to_enu(
        seen.stamp, seen.latitude, seen.longitude
    )
    expected = camera.project(apparent(stars, None, observer) @ to_camera.T)
    image = renderer.light(seen)
    which = lonely(renderer, seen)
    truth = renderer.truth(seen)
    assert len(which) >= 3
    for index in which:
        if not camera.contains(truth.position[index : index + 1], 16.0)[0]:
            continue
        _, centre, _ = moments(image, truth.position[index])
        hip = int(truth.hip[index])
        if hip in stars.hip:
            np.testing.assert_allclose(centre, expected[stars.index_of(hip)], atol=0.02)
        np.testing.assert_allclose(centre, truth.position[index], atol=0.02)


def test_turning_smears_by_rate_times_exposure() -> None:
    renderer = bare()
    rate = 0.02  # about the nose: the sky moves sideways
    seen = exposure((rate, 0.0, 0.0), duration=0.2)
    truth, image = renderer.truth(seen), renderer.light(seen)
    length = rate * 0.2 * renderer.camera.fx
    assert length > 4.0
    for index in lonely(renderer, seen, 18.0)[:6]:
        _, _, spread = moments(image, truth.position[index], 18)
        # a box of that length and the profile: variances add
        assert spread[0, 0] == pytest.approx(length**2 / 12.0 + 1.2**2 + 1.0 / 12.0, rel=0.05)
        assert spread[1, 1] == pytest.approx(1.2**2 + 1.0 / 12.0, rel=0.05)
        assert abs(spread[0, 1]) < 0.1


def test_long_trails_are_even() -> None:
    # 300 pixels in a second
    rate = 0.166
    seen = exposure((rate, 0.0, 0.0), duration=1.0)
    renderer = bare()
    image = renderer.light(seen)
    truth = renderer.truth(seen)
    index = next(
        i for i in range(len(truth))
        if 220 < truth.position[i, 0] < 420 and 60 < truth.position[i, 1] < 580
        and np.sum(np.abs(truth.position[:, 1] - truth.position[i, 1]) < 12) == 1
    )  # fmt: skip
    u, v = truth.position[index]
    band = image[round(v) - 9 : round(v) + 10].sum(axis=0)
    inner = band[round(u) - 110 : round(u) + 110]
    length = rate * renderer.camera.fx
    # but where the trail of another star crosses
    middle = np.median(inner)
    assert (np.abs(inner / middle - 1.0) < 0.05).mean() > 0.8
    assert middle == pytest.approx(truth.electrons[index] / length, rel=0.03)


def test_tumbling_draws_no_more_than_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    largest = []
    add = optics._add

    def watched(image: np.ndarray, u: int, v: int, patch: np.ndarray) -> None:
        largest.append(patch.shape[0])
        add(image, u, v, patch)

    monkeypatch.setattr(optics, '_add', watched)
    # half a turn a second about two axes: every planet and star passes the plane of the camera
    seen = exposure((3.0, 2.0, 0.5), duration=1.0)
    light = SkyRenderer(parameters()).light(seen)
    assert np.isfinite(light).all()
    assert max(largest) <= 640 + 3 * 100


def test_rows_of_a_rolling_shutter_see_the_camera_turn() -> None:
    rolling = bare(readout_time=0.3)
    seen = exposure((0.01, 0.004, 0.05), duration=0.01)
    truth = rolling.truth(seen)
    camera = rolling.camera
    rate = rotations.rotate(rotations.conjugate(rolling.parameters.mounting()), (0.01, 0.004, 0.05))
    at_stamp = camera.project(truth.direction @ truth.icrs_to_camera.T)
    measured = camera.directions(truth.position)
    corrected = camera.at_middle_row(measured, truth.position[:, 1], rate)
    assert np.abs(truth.position - at_stamp).max() > 1.0
    np.testing.assert_allclose(camera.project(corrected), at_stamp, atol=0.01)
    image = rolling.light(seen)
    for index in lonely(rolling, seen)[:5]:
        _, centre, _ = moments(image, truth.position[index])
        np.testing.assert_allclose(centre, truth.position[index], atol=0.03)


def test_a_camera_turned_in_its_mount() -> None:
    renderer, seen = bare(), exposure()
    right, wrong = renderer.truth(seen), renderer.truth(seen, Disturbance(offset=(0.01, 0.0, 0.0)))
    turn = rotations.log(rotations.from_matrix(wrong.icrs_to_camera @ right.icrs_to_camera.T))
    # body x is up in the image: camera -y
    assert turn == pytest.approx((0.0, 0.01, 0.0), abs=1e-9)


# -- how bright -----------------------------------------------------------------------------------


def test_light_of_a_star_is_that_of_its_magnitude() -> None:
    renderer, seen = bare(sky__extinction=0.0), exposure(duration=0.5)
    area = math.pi * 0.015**2
    image, truth = renderer.light(seen), renderer.truth(seen)
    for index in lonely(renderer, seen)[:8]:
        total, _, spread = moments(image, truth.position[index])
        flux = 2e10 * area * 0.7 * 0.6 * 0.5 * 10.0 ** (-0.4 * truth.magnitude[index])
        assert total == pytest.approx(flux, rel=2e-3)
        assert np.diag(spread) == pytest.approx(1.2**2 + 1.0 / 12.0, rel=0.02)


def test_air_takes_light_and_vignetting_too() -> None:
    seen = exposure()
    clear = bare(sky__extinction=0.0).truth(seen)
    hazy = bare(sky__extinction=0.3).truth(seen)
    zenith = np.argmin(np.linalg.norm(clear.position - 319.5, axis=1))
    share = hazy.electrons[zenith] / clear.electrons[zenith]
    assert share == pytest.approx(10.0 ** (-0.4 * 0.3 * 81500.0 / 101325.0), rel=3e-3)
    dark = bare(sky__extinction=0.0, optics__vignetting=0.5).truth(seen)
    radius = np.linalg.norm(clear.position - 319.5, axis=1) / math.hypot(319.5, 319.5)
    np.testing.assert_allclose(dark.electrons / clear.electrons, 1.0 - 0.5 * radius**2, rtol=1e-6)


def test_dark_sky_has_the_brightness_asked_for() -> None:
    renderer = bare(sky__brightness=20.0, sky__magnitude_limit=0.0, sky__extinction=0.0)
    seen = exposure()
    level = float(renderer.light(seen)[320, 320])
    pixel = (math.degrees(1.0) * 3600.0 / renderer.camera.fx) ** 2
    assert level == pytest.approx(
        renderer.electrons_per_second(20.0) * seen.duration * pixel, rel=1e-3
    )


def test_noise_is_that_of_light_and_read_out() -> None:
    values = {
        'sky__magnitude_limit': 0.0, 'sky__brightness': 17.0, 'electronics__read_noise': 8.0,
        'electronics__electrons_per_count': 2.0, 'electronics__dark_current': 300.0,
    }  # fmt: skip
    for exact in (False, True):
        renderer = bare(**values, electronics__exact_noise=exact)
        seen = exposure(gain=3.0)
        image = renderer.render(seen).astype(float)
        electrons = renderer.light(seen) + 300.0 * seen.duration
        part = np.s_[200:312, 200:312]
        expected = float(electrons[part].mean())
        assert image[part].mean() == pytest.approx(400.0 + 1.5 * expected, rel=3e-3)
        # of 12,544 pixels the spread is known to 0.6 %
        assert image[part].std() == pytest.approx(1.5 * math.sqrt(expected + 64.0), rel=0.03)


def test_saturation_bits_and_blooming() -> None:
    seen = exposure(duration=5.0)
    image = bare().render(seen)
    assert (image.dtype, image.max()) == (np.uint16, 65535)
    small = bare(electronics__bits=8, electronics__bias=20.0).render(seen)
    assert (small.dtype, small.max()) == (np.uint8, 255)
    few = bare(electronics__bits=12).render(seen)
    assert few.max() == 4095
    low = bare(electronics__full_well=10000.0).render(seen)
    assert low.max() == 10400
    renderer = bare(electronics__blooming=True, electronics__full_well=10000.0)
    bloomed = renderer.render(seen)
    brightest = renderer.truth(seen).position[0]
    column = np.rint(brightest[0]).astype(int)
    assert (bloomed[:, column] > 9000).sum() > 3 * (low[:, column] > 9000).sum()


def test_patterns_stay_and_noise_does_not() -> None:
    renderer = SkyRenderer(parameters(electronics__hot_pixels=40, electronics__fixed_pattern=6.0))
    frames = [renderer.render(exposure(sequence=n)).astype(float) for n in range(12)]
    assert not np.array_equal(frames[0], frames[1])
    dark = renderer.render(exposure(), Disturbance(blackout=True)).astype(float)
    assert np.median(dark) == pytest.approx(401.0, abs=1.0)
    glowing = np.sort(dark.ravel())[-40:]
    assert glowing[0] > np.median(dark) + 50.0
    more = renderer.render(exposure(), Disturbance(blackout=True, hot_pixels=60)).astype(float)
    both = (dark > 1000.0) & (more > 1000.0)
    assert both.sum() >= 0.9 * (dark > 1000.0).sum()
    quiet = np.mean(frames, axis=0)[300:420, 300:420]
    single = frames[0][300:420, 300:420]
    # of 12 frames' mean the pattern is left
    assert 5.5 < np.std(np.where(quiet < np.median(quiet) + 30, quiet, np.median(quiet))) < 9.0
    assert np.corrcoef(single.ravel(), quiet.ravel())[0, 1] > 0.3


def test_the_same_exposure_gives_the_same_image() -> None:
    values = {'electronics__hot_pixels': 20, 'sky__clouds': 0.5, 'sky__satellites': 2.0}
    seen = exposure((0.01, 0.0, 0.0), sequence=5)
    first = SkyRenderer(parameters(**values), seed=3).render(seen)
    other = SkyRenderer(parameters(**values), seed=3)
    other.render(exposure(sequence=4))
    memory = np.empty_like(first)
    assert other.render(seen, out=memory) is memory
    np.testing.assert_array_equal(first, memory)
    assert not np.array_equal(first, SkyRenderer(parameters(**values), seed=4).render(seen))


def test_a_detector_finds_the_stars_where_they_are() -> None:
    renderer = SkyRenderer(
        parameters(width=1000, height=700, electronics__hot_pixels=30, sky__magnitude_limit=8.0)
    )
    seen = exposure()
    centroids = detector('threshold').detect(renderer.render(seen))
    truth = renderer.truth(seen)
    assert not centroids.problem
    bright = np.flatnonzero((truth.magnitude < 5.5) & (truth.magnitude > 2.0))
    distance = np.linalg.norm(truth.position[bright, np.newaxis] - centroids.position, axis=-1)
    near = distance.min(axis=1)
    assert (near < 1.0).mean() > 0.9
    assert np.sqrt(np.mean(near[near < 0.5] ** 2)) < 0.12


# -- what else shines and hides -------------------------------------------------------------------


def test_moon_stands_where_it_is_and_brightens_the_sky() -> None:
    stamp = calendar.timegm((2026, 11, 25, 0, 0, 0)) * 10**9
    observer = Observer(stamp, PLACE['latitude'], PLACE['longitude'], PLACE['altitude'])
    moon = next(body for body in planets(observer) if body.name == 'Moon')
    up = observer.icrs_to_enu @ moon.direction
    assert up[2] > 0.5
    # turn the camera until the Moon is 2 deg from the axis
    level = icrs_to_enu(stamp, PLACE['latitude'], PLACE['longitude'])
    tilt = rotations.between(up, (math.sin(0.035), 0.0, math.cos(0.035)))
    knots = np.array([rotations.multiply(tilt, rotations.from_matrix(level))])
    seen = Exposure(
        stamp, duration=0.001, knot_time=np.zeros(1), knot_orientation=knots,
        latitude=PLACE['latitude'], longitude=PLACE['longitude'], altitude=PLACE['altitude'],
        pressure=PLACE['pressure'],
    )  # fmt: skip
    values = {'field_of_view': 8.0, 'sky__magnitude_limit': 2.0, 'optics__stray_light': 1e-9}
    shone = SkyRenderer(parameters(**values))
    image = shone.light(seen)
    total = float(image.sum())
    v, u = np.unravel_index(np.argmax(image), image.shape)
    direction = shone.camera.directions([(u, v)])[0]
    expected = rotations.to_matrix(rotations.conjugate(shone.parameters.mounting())) @ (
        rotations.to_matrix(knots[0]) @ moon.direction
    )
    assert math.acos(direction @ expected) < 0.6 * moon.angular_diameter
    # the disc is what it is lit of, over the half a degree that it is
    lit = (image > 0.5 * image.max()).sum() * shone.camera.pixel_angle**2
    area = 0.25 * math.pi * moon.angular_diameter**2
    assert lit == pytest.approx(moon.illuminated * area, rel=0.05)
    flux = shone.electrons_per_second(moon.magnitude) * 0.001
    assert 0.6 * flux < total < 1.5 * flux
    without = SkyRenderer(parameters(**values, sky__moon=False)).light(seen)
    corner = np.s_[:40, :40]
    assert image[corner].mean() > 20.0 * without[corner].mean()


def test_day_and_dusk() -> None:
    renderer = SkyRenderer(parameters())
    noon = calendar.timegm((2026, 6, 21, 11, 15, 0)) * 10**9
    assert np.median(renderer.render(exposure(stamp=noon, duration=0.2))) == 65535
    dusk = calendar.timegm((2026, 12, 1, 16, 20, 0)) * 10**9
    light = renderer.light(exposure(stamp=dusk))
    night = renderer.light(exposure())
    assert np.median(light) > 10.0 * np.median(night)
    # brighter where the Sun went down: west is right in the image of a level flight to the north
    assert np.median(light[:, -100:]) > 1.05 * np.median(light[:, :100])


def test_ground_hides_the_stars_below_the_horizon() -> None:
    # on the side: the camera looks at the horizon, ground in one half
    roll = rotations.exp((0.5 * math.pi, 0.0, 0.0))
    level = exposure()
    knots = rotations.multiply_array(roll, level.knot_orientation)
    seen = dataclasses.replace(level, knot_orientation=knots, altitude=0.0, pressure=101325.0)
    truth = bare(field_of_view=60.0).truth(seen)
    observer = Observer(
        seen.stamp, seen.latitude, seen.longitude, 0.0, pressure=101325.0, temperature=276.0
    )
    assert len(truth) > 50
    assert (truth.direction @ observer.zenith).min() > -1e-3
    assert len(bare(field_of_view=60.0, sky__ground=False).truth(seen)) > 1.5 * len(truth)
    light = bare(field_of_view=60.0, sky__brightness=18.0).light(seen)
    assert (light < 0.1 * np.median(light[light > 1.0])).mean() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize('share', [0.3, 0.7])
def test_clouds_cover_their_share_and_move(share: float) -> None:
    wide = {'field_of_view': 100.0, 'sky__magnitude_limit': 6.0}
    clear = bare(**wide)
    renderer = bare(**wide, sky__clouds=share, sky__cloud_size=300.0)
    gone = []
    for minute in range(6):
        seen = exposure(stamp=NIGHT + minute * 60 * 10**9)
        before, after = clear.truth(seen), renderer.truth(seen)
        np.testing.assert_array_equal(before.star, after.star)
        gone.append((after.electrons < 0.5 * before.electrons).mean())
    assert np.mean(gone) == pytest.approx(share, abs=0.15)
    assert np.std(gone) > 0.0


def test_satellites_and_aircraft_draw_lines() -> None:
    plain, seen = bare(), exposure(duration=1.0, sequence=2)
    stars = plain.light(seen)
    satellites = bare(sky__satellites=6.0).light(seen) - stars
    lit = satellites > 0.2 * np.median(satellites[satellites > 1.0])
    # half a degree in a second, each, of 640 pixels over 20 deg
    assert lit.sum() > 50
    flying = bare(sky__aircraft=4.0, sky__aircraft_rate=3.0).light(seen) - stars
    bright = np.sort(flying[flying > 1.0])
    # the flashes stand out of the line
    assert bright[-1] > 5.0 * np.median(bright)
    assert not np.array_equal(
        bare(sky__satellites=6.0).light(dataclasses.replace(seen, sequence=3)) - stars, satellites
    )


def test_planets_are_drawn() -> None:
    observer = Observer(NIGHT, PLACE['latitude'], PLACE['longitude'], PLACE['altitude'])
    saturn = next(body for body in planets(observer) if body.name == 'Saturn')
    up = observer.icrs_to_enu @ saturn.direction
    assert up[2] > 0.3
    level = icrs_to_enu(NIGHT, PLACE['latitude'], PLACE['longitude'])
    q = rotations.multiply(rotations.between(up, (0.0, 0.0, 1.0)), rotations.from_matrix(level))
    seen = exposure(knot_time=np.zeros(1), knot_orientation=np.array([q]))
    values = {'sky__extinction': 0.0, 'sky__refraction': False, 'sky__magnitude_limit': 0.0}
    image = bare(**values, sky__planets=True).light(seen)
    total, centre, _ = moments(image, np.array((319.5, 319.5)))
    np.testing.assert_allclose(centre, (319.5, 319.5), atol=0.1)
    flux = bare(**values).electrons_per_second(saturn.magnitude) * seen.duration
    assert total == pytest.approx(flux, rel=0.02)


def test_without_a_place_there_is_no_air() -> None:
    space = dataclasses.replace(exposure(), latitude=math.nan, longitude=math.nan)
    renderer = SkyRenderer(parameters(sky__clouds=1.0))
    truth = renderer.truth(space)
    assert len(truth) > 20
    clear = renderer.electrons_per_second(truth.magnitude[0]) * space.duration
    assert 0.75 * clear < truth.electrons[0] <= clear
    assert renderer.render(space).std() > 1.0


# -- settings and faults --------------------------------------------------------------------------


def test_faults_become_disturbances() -> None:
    def fault(kind: str, start: float, *value: float) -> Fault:
        return Fault(sensor='c', type=kind, start=start, duration=2.0, value=value)

    faults = (
        fault('clouds', 1.0, 0.8, 5.0, 0.0), fault('streaks', 1.0, 2.0, 1.0, 0.0),
        fault('hot_pixels', 2.0, 30.0, 0.0, 0.0), fault('hot_pixels', 2.5, 10.0, 0.0, 0.0),
        fault('blackout', 4.0, 0.0, 0.0, 0.0), fault('outage', 1.0, 0.0, 0.0, 0.0),
    )  # fmt: skip
    assert disturbances.at(faults, 0.5) is disturbances.NONE
    now = disturbances.at(faults, 2.6)
    assert (now.clouds, now.streaks, now.hot_pixels, now.blackout) == (
        (0.8, 5.0), (2.0, 1.0), 40, False,
    )  # fmt: skip
    assert disturbances.at(faults, 4.5).blackout
    sky = now.sky(parameters().sky)
    assert (sky.clouds, sky.cloud_depth, sky.satellites) == (0.8, 5.0, 2.0)


@pytest.mark.parametrize(
    ('values', 'text'),
    [
        ({'camera_to_body': (0.0, 0.0, 0.0, 2.0)}, 'unit quaternion'),
        ({'distortion_model': 'plumb_bob', 'distortion': (0.1,)}, '4 or 5'),
        ({'distortion_model': 'plumb_bob', 'distortion': (-60.0, 0, 0, 0)}, 'folds back'),
        ({'width': 5000}, 'at most 4096'),
    ],
)
def test_impossible_cameras_are_refused(values: dict[str, Any], text: str) -> None:
    with pytest.raises(ParameterError, match=text):
        parameters(**values)


def test_declared_camera_can_differ_from_the_true_one() -> None:
    p = parameters(
        distortion_model='plumb_bob', distortion=(-0.1, 0.0, 0.0, 0.0), declared_focal_scale=1.02,
        declare_distortion=False,
    )  # fmt: skip
    assert p.declared().fx == pytest.approx(1.02 * p.camera().fx)
    assert (p.declared().model, p.camera().model) == ('none', 'plumb_bob')
