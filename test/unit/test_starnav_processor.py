# SPDX-License-Identifier: Apache-2.0
"""The node starnav with real messages and drawn skies: attitude, tracking, bad input."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo, Image, Imu, NavSatFix

from meta_repo_ros.core.earth import icrs_to_enu
from meta_repo_ros.core.parameters import from_mapping
from meta_repo_ros.core.processor import Diagnostic, Level, Output, Task
from meta_repo_ros.core.rotations import (
    angle,
    conjugate,
    exp,
    from_matrix,
    from_message,
    multiply,
    normalize,
    to_matrix,
)
from meta_repo_ros.core.time import set_stamp, stamp_ns
from meta_repo_ros.msg import AttitudeUpdate
from meta_repo_ros.starnav.astrometry import Observer, apparent
from meta_repo_ros.starnav.camera import camera_info_fields, from_field_of_view
from meta_repo_ros.starnav.catalogue import load
from meta_repo_ros.starnav.parameters import StarNavParameters
from meta_repo_ros.starnav.processor import FIX, IMAGE, IMU, INFO, StarNav
from meta_repo_ros.starnav.sky import SkySource

if TYPE_CHECKING:
    from collections.abc import Callable

S = 1_000_000_000
START = 1_790_000_000 * S
SIZE = 512
CAMERA = from_field_of_view(SIZE, SIZE, 20.0)
MOUNT = to_matrix((math.sqrt(0.5), 0.0, 0.0, math.sqrt(0.5)))
CATALOGUE = load(6.0)
ARCSEC = math.radians(1.0 / 3600.0)
ORION = normalize((0.9, 0.1, -0.3, 0.2))
Quaternion = Any


def draw(attitude: Quaternion, observer: Observer, seed: int = 0) -> np.ndarray:
    """A sky of Gaussian stars in noise, (SIZE, SIZE) uint16."""
    rng = np.random.default_rng(seed)
    turn = MOUNT.T @ to_matrix(attitude)
    seen = apparent(CATALOGUE, None, observer) @ turn.T
    near = np.flatnonzero(seen[:, 2] > 0.95)
    image = rng.normal(300.0, 10.0, (SIZE, SIZE))
    for (u, v), hp in zip(CAMERA.project(seen[near]).tolist(), CATALOGUE.hp[near], strict=True):
        if 8 < u < SIZE - 9 and 8 < v < SIZE - 9:
            i, j = round(u), round(v)
            y, x = np.mgrid[j - 7 : j + 8, i - 7 : i + 8]
            spot = np.exp(-((x - u) ** 2 + (y - v) ** 2) / (2.0 * 1.2**2))
            image[j - 7 : j + 8, i - 7 : i + 8] += 2e5 * 10.0 ** (-0.4 * hp) * 10.0 * spot
    return np.clip(image, 0.0, 65535.0).astype(np.uint16)


def image_message(pixels: np.ndarray, stamp: int, encoding: str = 'mono16') -> Image:
    message = Image()
    set_stamp(message.header.stamp, stamp)
    message.header.frame_id = 'star_camera_optical_frame'
    message.height, message.width = pixels.shape[:2]
    message.encoding = encoding
    message.step = pixels.strides[0]
    message.data.frombytes(np.ascontiguousarray(pixels).tobytes())
    return message


def info_message(stamp: int, camera: Any = CAMERA) -> CameraInfo:
    message = CameraInfo()
    set_stamp(message.header.stamp, stamp)
    for name, value in camera_info_fields(camera).items():
        setattr(message, name, value)
    return message


class Flight:
    """A body in motion or at rest, its gyroscope and its camera, and the node."""

    def __init__(self, rate: Any = (0.001, -0.0005, 0.0008), hz: int = 100, **values: Any) -> None:
        values = {key.replace('__', '.'): value for key, value in values.items()}
        given = {
            'starnav_core.processing.star_detection_algorithm': 'threshold',
            'filter.gyro.grade': 'tactical',
            'image.latency': 0.2,
            'identification.timeout': 20.0,
        }
        self.node = StarNav(from_mapping(StarNavParameters, {**given, **values}))
        self.rate, self.hz = np.array(rate), hz
        self.now, self.attitude = START, ORION
        self.truth: dict[int, Quaternion] = {}
        self.outputs: list[Output] = []
        self._due: list[tuple[int, Task]] = []

    def fly(self, seconds: float) -> None:
        for _ in range(round(seconds * self.hz)):
            self.now += S // self.hz
            self.attitude = multiply(exp(-self.rate / self.hz), self.attitude)
            self.truth[self.now] = self.attitude
            message = Imu()
            set_stamp(message.header.stamp, self.now)
            w = message.angular_velocity
            w.x, w.y, w.z = self.rate.tolist()
            message.linear_acceleration_covariance[0] = -1.0
            self.give(IMU, message)
            self.work(self.now)

    def give(self, topic: str, message: Any, received: int | None = None) -> list[Any]:
        events = list(self.node.on_message(topic, message, received or self.now))
        for event in events:
            if isinstance(event, Task):
                self._due.append((self.now + event.latency, event))
            else:
                self.outputs.append(event)
        return events

    def work(self, until: int) -> None:
        """Do the tasks that are due."""
        while self._due and self._due[0][0] <= until:
            due, task = self._due.pop(0)
            self.outputs += self.node.on_result(task.name, task.run(), due)

    def see(self, change: Callable[[np.ndarray], np.ndarray] | None = None, **more: Any) -> None:
        """Take an image now, perhaps changed, and wait for its result."""
        pixels = draw(self.attitude, Observer(self.now), seed=len(self.truth))
        pixels = pixels if change is None else change(pixels)
        self.give(IMAGE, image_message(pixels, self.now, **more))
        self.fly(0.25)

    def of(self, topic: str) -> list[Any]:
        return [output.message for output in self.outputs if output.topic == topic]

    def images(self) -> list[Any]:
        return [m for m in self.of('attitude_update') if m.method == AttitudeUpdate.METHOD_IMAGE]

    def filtered(self) -> list[Any]:
        return [m for m in self.of('attitude_update') if m.method == AttitudeUpdate.METHOD_FILTERED]

    def error(self, message: Any) -> float:
        truth = self.truth[stamp_ns(message.header.stamp)]
        return angle(from_message(message.orientation), truth)

    def row(self, name: str) -> Diagnostic:
        return next(row for row in self.node.diagnostics(self.now) if row.name == name)


@pytest.fixture
def flight() -> Flight:
    """One that has its camera_info and half a second of gyroscope."""
    flight = Flight()
    flight.give(INFO, info_message(START))
    flight.fly(0.5)
    return flight


def test_from_images_to_attitude(flight: Flight) -> None:
    for _ in range(4):
        flight.see()
        flight.fly(0.75)
    assert len(flight.images()) == 4
    for message in flight.images():
        assert flight.error(message) < 30 * ARCSEC
        assert message.source_mask == AttitudeUpdate.SOURCE_STARS
        assert message.stars_matched >= 15
        assert message.false_alarm_probability < 1e-7
        sigma = np.sqrt(np.diagonal(np.array(message.covariance).reshape(3, 3)))
        assert (sigma < 30 * ARCSEC).all()
        assert sigma[2] > 1.5 * sigma[0], 'roll about the optical axis is the weak one'
    filtered = flight.filtered()
    stamps = [stamp_ns(m.header.stamp) for m in filtered]
    assert stamps == list(range(stamps[0], flight.now + 1, S // 100))
    assert all(flight.error(m) < 40 * ARCSEC for m in filtered)
    both = AttitudeUpdate.SOURCE_STARS | AttitudeUpdate.SOURCE_GYROSCOPE
    assert {m.source_mask for m in filtered} == {both}

    stars, centroids = flight.of('starnav/stars'), flight.of('starnav/centroids')
    assert [m.tracked for m in stars] == [False, True, True, True]
    assert [m.windowed for m in centroids] == [False, True, True, True]
    assert all(m.solved and not m.failure for m in stars)
    assert stars[0].field_of_view == pytest.approx(20.0, abs=0.01)
    assert len(stars[0].hip) == len(stars[0].u) == len(stars[0].magnitude)
    assert np.std(stars[0].residual_u) < 0.3
    axis = np.array(MOUNT @ [0.0, 0.0, 1.0])
    pointing = to_matrix(flight.truth[stamp_ns(stars[0].header.stamp)]).T @ axis
    assert stars[0].declination == pytest.approx(math.degrees(math.asin(pointing[2])), abs=0.01)

    assert flight.row('images').level == Level.OK
    assert flight.row('images').values['by_windows'] == 3
    assert flight.row('filter').message == 'ok'
    assert flight.row('camera').message == 'camera_info'
    assert flight.row('astronomy').values['earth_orientation'] == 'table'
    assert float(flight.row('astronomy').values['catalogue_epoch']) == pytest.approx(
        2026.7, abs=0.1
    )
    asked, reached = (
        flight.row('accuracy').values[f'attitude_{x}_deg'] for x in ('asked', 'reached')
    )
    assert asked == 0.01
    assert 0.0 < reached < 0.1


def test_a_fast_turn_smears_the_stars_and_widens_the_covariance() -> None:
    rate = np.radians([3.0, 0.0, 0.0])
    flight = Flight(rate=rate, camera__exposure=0.2)
    flight.give(INFO, info_message(START))
    flight.fly(0.3)
    before = flight.attitude
    mean = np.zeros((SIZE, SIZE))
    for k in range(21):
        attitude = multiply(exp(-rate * 0.01 * (k - 10)), before)
        mean += draw(attitude, Observer(flight.now), seed=1) / 21.0
    flight.see(lambda pixels: mean.astype(pixels.dtype))
    (message,) = flight.images()
    assert flight.error(message) < math.radians(0.1)
    sigma = np.sqrt(np.diagonal(np.array(message.covariance).reshape(3, 3)))
    assert math.radians(0.02) < sigma[0] < math.radians(0.1), 'about the axis of the turn'
    assert sigma[1] < 0.2 * sigma[0]


def test_least_squares_gives_images_alone() -> None:
    flight = Flight(starnav_core__processing__attitude_estimation='least_squares')
    flight.give(INFO, info_message(START))
    flight.fly(0.2)
    flight.see()
    assert len(flight.images()) == 1
    assert not flight.filtered()
    assert 'off' in flight.row('filter').message


def test_without_gyroscope_the_image_before_is_the_hint() -> None:
    flight = Flight(rate=(0.0, 0.0, 0.0))
    flight.give(INFO, info_message(START))
    for _ in range(2):
        flight.now += S
        flight.truth[flight.now] = flight.attitude
        flight.give(IMAGE, image_message(draw(ORION, Observer(flight.now)), flight.now))
        flight.work(flight.now + S)
    assert [m.tracked for m in flight.of('starnav/stars')] == [False, True]
    assert not flight.filtered()
    assert flight.row('filter').message == 'no gyroscope'


@pytest.mark.parametrize('info', ['missing', 'zero', 'other size', 'nan', 'skew'])
def test_camera_info_missing_or_wrong_is_found_by_itself(info: str) -> None:
    flight = Flight()
    message = info_message(START)
    if info == 'zero':
        message.k = np.zeros(9)
    elif info == 'other size':
        message = info_message(START, from_field_of_view(SIZE // 2, SIZE, 20.0))
    elif info == 'nan':
        message.k[0] = math.nan
    elif info == 'skew':
        message.k[1] = 3.0
    if info != 'missing':
        flight.give(INFO, message)
        flight.give(INFO, message)
    flight.fly(0.2)
    flight.see()
    flight.fly(0.75)
    flight.see()
    assert [m.solved for m in flight.of('starnav/stars')] == [True, True]
    assert all(flight.error(m) < 60 * ARCSEC for m in flight.images())
    row = flight.row('camera')
    assert row.level == Level.WARN
    assert row.values['source'] == 'found by itself'
    assert row.values['field_of_view_deg'] == pytest.approx(20.0, abs=0.02)
    wrong = info in {'zero', 'nan', 'skew'}
    assert row.values['camera_info_refused'] == (2 if wrong else 0)
    assert 'camera_info' in row.message
    assert ('256x512' in row.message) == (info == 'other size')


def test_a_camera_info_that_contradicts_the_stars_is_overruled() -> None:
    flight = Flight()
    flight.give(INFO, info_message(START, from_field_of_view(SIZE, SIZE, 24.0)))
    flight.fly(0.2)
    for _ in range(5):
        flight.see()
        flight.fly(0.5)
    assert [m.solved for m in flight.of('starnav/stars')] == [False, False, False, True, True]
    assert flight.error(flight.images()[-1]) < 60 * ARCSEC
    row = flight.row('camera')
    assert row.level == Level.WARN
    assert row.message.startswith('camera_info contradicts the stars')
    assert row.values['field_of_view_deg'] == pytest.approx(20.0, abs=0.02)


def _noise(level: float, sigma: float) -> Callable[[np.ndarray], np.ndarray]:
    def change(pixels: np.ndarray) -> np.ndarray:
        noise = np.random.default_rng(3).normal(level, sigma, pixels.shape)
        return np.clip(noise, 0.0, 65535.0).astype(np.uint16)

    return change


def _three_stars(pixels: np.ndarray) -> np.ndarray:
    few = _noise(300.0, 10.0)(pixels).astype(float)
    for u, v in ((100, 100), (200, 300), (400, 150)):
        cv2.circle(few, (u, v), 1, 5000.0, -1)
    return cv2.GaussianBlur(few, (0, 0), 1.0).astype(np.uint16)


def _points(pixels: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(5)
    many = np.zeros(pixels.shape)
    for u, v in rng.integers(10, SIZE - 10, (30, 2)).tolist():
        many[v, u] = rng.uniform(2e4, 2e5)
    return (cv2.GaussianBlur(many, (0, 0), 1.2) + _noise(300.0, 10.0)(pixels)).astype(np.uint16)


BAD = {
    'black': np.zeros_like,
    'white': lambda pixels: np.full_like(pixels, 65535),
    'daylight': _noise(45000.0, 300.0),
    'overexposed': lambda pixels: np.where(pixels > 250, 65535, pixels).astype(np.uint16),
    'blurred': lambda pixels: cv2.GaussianBlur(pixels, (0, 0), 12.0),
    'three stars': _three_stars,
    'empty sky': _noise(300.0, 10.0),
    'mirrored': lambda pixels: pixels[:, ::-1].copy(),
    'random points': _points,
}


@pytest.mark.parametrize('kind', BAD)
def test_an_image_without_a_sky_gives_no_attitude_and_says_why(flight: Flight, kind: str) -> None:
    flight.see(BAD[kind])
    assert not flight.images()
    (message,) = flight.of('starnav/stars')
    assert not message.solved
    assert message.failure
    row = flight.row('images')
    assert row.level == Level.WARN
    assert row.values['not_solved'] == 1
    assert row.values['received'] == 1
    # and it goes on
    flight.fly(0.5)
    flight.see()
    assert len(flight.images()) == 1
    assert flight.row('images').level == Level.OK


def _gray8(pixels: np.ndarray) -> np.ndarray:
    return np.clip(pixels / 40.0, 0, 255).astype(np.uint8)


FORMS = {
    'mono8': (_gray8, 'mono8'),
    'bgr8': (lambda p: cv2.cvtColor(_gray8(p), cv2.COLOR_GRAY2BGR), 'bgr8'),
    'rgba8': (lambda p: cv2.cvtColor(_gray8(p), cv2.COLOR_GRAY2RGBA), 'rgba8'),
    'odd size': (lambda p: p[: SIZE - 3, : SIZE - 7].copy(), 'mono16'),
    'padded rows': (lambda p: np.pad(p, ((0, 0), (0, 5)))[:, :SIZE], 'mono16'),
}


@pytest.mark.parametrize('form', FORMS)
def test_other_forms_of_images_are_taken(form: str) -> None:
    change, encoding = FORMS[form]
    flight = Flight(rate=(0.0, 0.0, 0.0))
    flight.fly(0.2)
    pixels = draw(ORION, Observer(flight.now))
    flight.give(IMAGE, image_message(change(pixels), flight.now, encoding))
    if form == 'padded rows':
        flight = Flight(rate=(0.0, 0.0, 0.0))
        flight.fly(0.2)
        message = image_message(np.pad(pixels, ((0, 0), (0, 5))), flight.now)
        message.width = SIZE
        flight.give(IMAGE, message)
    flight.fly(0.3)
    (message,) = flight.of('starnav/stars')
    assert message.solved, message.failure
    (attitude,) = flight.images()
    # of a part of the image the middle is not the principal point
    assert flight.error(attitude) < (800 if form == 'odd size' else 60) * ARCSEC
    values = flight.row('images').values
    assert values['expected'] == '4096x4096, 16 bit', 'what differs from the users keys is noted'
    if form in {'bgr8', 'rgba8'}:
        assert any(key.startswith('note: ') and 'gray' in key for key in values)


def test_big_endian_is_taken(flight: Flight) -> None:
    pixels = draw(flight.attitude, Observer(flight.now))
    message = image_message(pixels.astype('>u2'), flight.now)
    message.is_bigendian = 1
    flight.give(IMAGE, message)
    flight.fly(0.3)
    assert flight.error(flight.images()[0]) < 30 * ARCSEC


def _truncated(message: Image) -> None:
    message.data = message.data[: len(message.data) // 2]


def _no_data(message: Image) -> None:
    message.data = message.data[:0]


@pytest.mark.parametrize(
    ('change', 'reason'),
    [
        (_truncated, 'truncated'),
        (_no_data, 'truncated'),
        (lambda m: setattr(m, 'encoding', 'yuv422'), 'encoding'),
        (lambda m: setattr(m, 'encoding', 'rgb8'), 'step'),
        (lambda m: setattr(m, 'encoding', 'mono8'), 'image'),
        (lambda m: setattr(m, 'step', 3), 'step'),
        (lambda m: setattr(m, 'height', 0), 'pixels'),
        (lambda m: (setattr(m, 'width', 4), setattr(m, 'height', 4)), 'pixels'),
    ],
)
def test_what_is_no_image_is_refused_with_its_reason(
    flight: Flight, change: Callable[[Image], None], reason: str
) -> None:
    message = image_message(draw(flight.attitude, Observer(flight.now)), flight.now)
    change(message)
    flight.give(IMAGE, message)
    flight.fly(0.3)
    assert not flight.images()
    row = flight.row('images')
    assert row.level == Level.WARN
    assert row.values['not_solved'] == 1
    assert reason in row.message
    assert not flight.of('starnav/stars')[0].solved


@pytest.mark.parametrize(
    ('stamp', 'reason'),
    [
        (lambda now: 0, 'no stamp'),  # noqa: ARG005
        (lambda now: now + S, 'stamp in the future'),
        (lambda now: now + 3600 * S, 'stamp in the future'),
        (lambda now: now - 3600 * S, 'stamp too old'),
    ],
)
def test_an_image_with_a_wrong_stamp_is_refused(
    flight: Flight, stamp: Callable[[int], int], reason: str
) -> None:
    message = image_message(draw(flight.attitude, Observer(flight.now)), stamp(flight.now))
    assert flight.give(IMAGE, message) == []
    assert flight.node.refused[IMAGE] == {reason: 1}
    assert flight.row('clock').level == Level.WARN
    flight.see()
    flight.give(IMAGE, image_message(draw(ORION, Observer(flight.now)), flight.now - S // 4))
    assert flight.node.refused[IMAGE]['stamp not after the image before'] == 1
    assert len(flight.images()) == 1


def test_a_wrong_frame_is_refused(flight: Flight) -> None:
    message = image_message(draw(flight.attitude, Observer(flight.now)), flight.now)
    message.header.frame_id = 'front_camera'
    assert flight.give(IMAGE, message) == []
    assert flight.node.refused[IMAGE] == {'wrong frame': 1}


def test_planets_and_satellites_among_the_stars_are_left_out(flight: Flight) -> None:
    def change(pixels: np.ndarray) -> np.ndarray:
        bright = pixels.astype(np.float64)
        for u, v in ((250.3, 260.2), (120.6, 400.1)):
            y, x = np.mgrid[:SIZE, :SIZE]
            bright += 60000.0 * np.exp(-((x - u) ** 2 + (y - v) ** 2) / (2.0 * 1.2**2))
        trail = np.zeros((SIZE, SIZE), np.float32)
        cv2.line(trail, (30, 480), (460, 40), 4000.0, 2, cv2.LINE_AA)
        bright += cv2.GaussianBlur(trail, (0, 0), 1.0)
        return np.clip(bright, 0.0, 65535.0).astype(np.uint16)

    flight.see(change)
    (message,) = flight.images()
    assert flight.error(message) < 40 * ARCSEC
    (stars,) = flight.of('starnav/stars')
    for u, v in ((250.3, 260.2), (120.6, 400.1)):
        assert min(math.hypot(a - u, b - v) for a, b in zip(stars.u, stars.v, strict=True)) > 3.0


@pytest.mark.parametrize(
    ('change', 'reason'),
    [
        (lambda m: setattr(m.angular_velocity, 'x', math.nan), 'not finite'),
        (lambda m: setattr(m.angular_velocity, 'y', 1e3), 'out of range'),
        (lambda m: m.angular_velocity_covariance.__setitem__(0, -1.0), 'no rate (covariance -1)'),
        (lambda m: set_stamp(m.header.stamp, 0), 'no stamp'),
        (lambda m: set_stamp(m.header.stamp, START + 86400 * S), 'far-future stamp'),
        (lambda m: set_stamp(m.header.stamp, START - 86400 * S), 'stamp older than the window'),
    ],
)
def test_bad_gyroscope_samples_are_counted(
    flight: Flight, change: Callable[[Imu], None], reason: str
) -> None:
    flight.see()
    message = Imu()
    set_stamp(message.header.stamp, flight.now + S // 200)
    change(message)
    flight.give(IMU, message)
    assert flight.node.refused[IMU] == {reason: 1}
    flight.fly(0.1)
    assert flight.row('filter').level == Level.WARN or 'stamp' in reason
    assert flight.error(flight.filtered()[-1]) < 40 * ARCSEC


def test_a_clock_that_was_set_starts_it_anew(flight: Flight) -> None:
    flight.see()
    assert flight.filtered()
    flight.now += 86400 * S
    flight.fly(0.5)
    assert flight.row('clock').values['clock_jumps'] == 1
    assert not flight.node.tracker.filter.aligned
    flight.see()
    assert flight.error(flight.filtered()[-1]) < 40 * ARCSEC


def test_work_that_breaks_is_counted(flight: Flight) -> None:
    assert flight.node.on_result('image', MemoryError('too large'), flight.now) == ()
    row = flight.row('images')
    assert row.values['not solved: MemoryError'] == 1
    assert 'too large' in row.message or row.level == Level.STALE


def test_a_reset_forgets_and_drops_what_is_under_way(flight: Flight) -> None:
    flight.give(IMAGE, image_message(draw(flight.attitude, Observer(flight.now)), flight.now))
    flight.node.reset(flight.now)
    flight.work(flight.now + S)
    assert not flight.images()
    assert not flight.node.tracker.filter.aligned


def test_the_picture_is_made_where_asked_for() -> None:
    flight = Flight(image__annotate=True)
    flight.give(INFO, info_message(START))
    flight.fly(0.2)
    flight.see()
    flight.see(BAD['black'])
    first, second = flight.of('starnav/annotated')
    assert (first.encoding, first.width, first.step) == ('bgr8', SIZE, 3 * SIZE)
    assert len(first.data) == first.height * first.step
    picture = np.frombuffer(first.data, np.uint8).reshape(first.height, SIZE, 3).astype(int)
    green = (picture[..., 1] > 200) & (picture[..., 2] < 160)
    assert green.sum() > 200, 'circles around the stars'
    assert len(second.data) == second.height * second.step


def test_parameters_can_change_while_it_runs(flight: Flight) -> None:
    flight.see()
    changed = {
        'starnav_core.processing.star_detection_algorithm': 'matched_filter',
        'identification.tracking': False,
        'filter.gyro.grade': 'tactical',
        'image.latency': 0.2,
    }
    flight.node.set_parameters(from_mapping(StarNavParameters, changed))
    flight.see()
    assert [m.method for m in flight.of('starnav/centroids')] == ['threshold', 'matched_filter']
    assert not flight.of('starnav/centroids')[1].windowed
    assert len(flight.images()) == 2


def test_a_clock_wrong_by_an_hour_is_noticed_with_gnss() -> None:
    """Everything bears the same wrong time: only the Earth's rotation tells."""
    latitude, longitude, wrong = 47.0, 11.0, 3600 * S
    flight = Flight(
        rate=(0.0, 0.0, 0.0), hz=50, celestial__motion='static', celestial__accel_bias_sigma=1e-3
    )
    level = normalize((0.9, 0.02, -0.03, 0.3))  # east, north, up to body
    gravity = to_matrix(level) @ [0.0, 0.0, 9.80665]
    flight.give(INFO, info_message(START))
    node = flight.node
    for k in range(50 * 14):
        flight.now += S // 50
        true = flight.now - wrong
        imu = Imu()
        set_stamp(imu.header.stamp, flight.now)
        attitude = multiply(level, from_matrix(icrs_to_enu(true, latitude, longitude)))
        later = multiply(level, from_matrix(icrs_to_enu(true + S, latitude, longitude)))
        turn = multiply(later, conjugate(attitude))
        w, f = imu.angular_velocity, imu.linear_acceleration
        w.x, w.y, w.z = (-2.0 * c for c in turn[1:])
        f.x, f.y, f.z = gravity.tolist()
        flight.give(IMU, imu)
        flight.work(flight.now)
        if k % 50 == 25:
            fix = NavSatFix()
            fix.status.status = 0
            set_stamp(fix.header.stamp, flight.now)
            fix.latitude, fix.longitude, fix.altitude = latitude, longitude, 500.0
            fix.position_covariance = np.eye(3).ravel()
            fix.position_covariance_type = 2
            flight.give(FIX, fix)
            observer = Observer(true, latitude, longitude, 500.0)
            flight.give(IMAGE, image_message(draw(attitude, observer), flight.now))
    assert node.images.solved >= 12
    assert flight.of('position_update')[-1].spoofing_suspected
    row = flight.row('clock')
    assert row.level == Level.ERROR
    assert row.values['time_error_s'] == pytest.approx(3600.0, abs=30.0)
    assert flight.row('position').level == Level.ERROR


def test_stars_are_moved_to_the_date_after_each_interval() -> None:
    source = SkySource(CATALOGUE, 86400.0)
    first = source.at(START)
    assert source.at(START + 86399 * S) is first
    year = source.at(START + 365 * 86400 * S)
    assert year.stamp == START + 365 * 86400 * S
    moved = np.linalg.norm(year.directions - first.directions, axis=1)
    pm = np.hypot(CATALOGUE.pm_ra, CATALOGUE.pm_dec)
    assert moved == pytest.approx(pm * 365.0 / 365.25, rel=0.02, abs=1e-9)
    assert moved.max() > 3 * ARCSEC
