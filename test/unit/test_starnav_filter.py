# SPDX-License-Identifier: Apache-2.0
"""The attitude filter of starnav: analytic answers, order of arrival, gaps, wrong images."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meta_repo_ros.core.rotations import angle, conjugate, exp, log, multiply, normalize
from meta_repo_ros.core.statistics import mean_band
from meta_repo_ros.starnav.filter_parameters import GRADES, FilterParameters, GyroParameters
from meta_repo_ros.starnav.tracker import AttitudeTracker, mean_to_middle

if TYPE_CHECKING:
    from meta_repo_ros.starnav.tracker import Tick

S = 1_000_000_000
START = 1_790_000_000 * S
PERIOD = S // 100
ARCSEC = math.radians(1.0 / 3600.0)
IMAGE = np.diag([1.0, 1.0, 6.0]) ** 2 * ARCSEC**2
Quaternion = Any


def filter_parameters(**changes: Any) -> FilterParameters:
    grade = changes.pop('grade', 'tactical')
    return FilterParameters(gyro=GyroParameters(grade=grade), **changes)


class Body:
    """A body that turns with a given rate, and its gyroscope."""

    def __init__(self, rate: Any, hz: int = 200, bias: Any = (0.0, 0.0, 0.0)) -> None:
        self.rate = rate  # function of s, rad/s, or a constant
        self.hz, self.bias = hz, np.array(bias)
        self.k = 0
        self.attitude: Quaternion = normalize((0.3, -0.5, 0.7, 0.2))
        self.truth: dict[int, Quaternion] = {START: self.attitude}

    @property
    def stamp(self) -> int:
        return START + self.k * S // self.hz

    def step(self) -> tuple[int, tuple[float, float, float]]:
        """Stamp and measured rate, the mean since the sample before."""
        seconds = (self.k + 0.5) / self.hz
        rate = np.array(self.rate(seconds) if callable(self.rate) else self.rate)
        self.attitude = multiply(exp(-rate / self.hz), self.attitude)
        self.k += 1
        self.truth[self.stamp] = self.attitude
        x, y, z = (rate + self.bias).tolist()
        return self.stamp, (x, y, z)


def run(body: Body, tracker: AttitudeTracker, seconds: float, delay: float = 0.3) -> list[Tick]:
    """Perfect images at each whole second, delivered late."""
    ticks: list[Tick] = []
    waiting: list[int] = []
    for _ in range(round(seconds * body.hz)):
        stamp, rate = body.step()
        ticks += tracker.add_gyro(stamp, rate)
        if (stamp - START) % S == 0:
            waiting.append(stamp)
        while waiting and waiting[0] + delay * S <= stamp:
            when = waiting.pop(0)
            assert tracker.add_image(when, body.truth[when], IMAGE)
    return ticks


def test_output_is_at_each_instant_and_follows_the_truth() -> None:
    body = Body(lambda t: (0.01 * math.sin(t), 0.02, -0.01 * math.cos(2.0 * t)))
    tracker = AttitudeTracker(filter_parameters(), PERIOD)
    ticks = run(body, tracker, 6.0)
    stamps = [tick.stamp for tick in ticks]
    assert stamps == list(range(stamps[0], body.stamp + 1, PERIOD))
    assert stamps[0] == START + S + round(0.3 * S) + S // 200 + PERIOD // 2
    for tick in ticks:
        assert angle(tick.attitude, body.truth[tick.stamp]) < 0.2 * ARCSEC


def test_a_slow_gyroscope_gives_the_instants_between_its_samples() -> None:
    body = Body((0.0, 0.05, 0.0), hz=40)
    tracker = AttitudeTracker(filter_parameters(), PERIOD)
    ticks = run(body, tracker, 3.0)
    assert {b.stamp - a.stamp for a, b in itertools.pairwise(ticks)} == {PERIOD}
    last, first = ticks[-1], ticks[0]
    turned = np.array(log(multiply(last.attitude, conjugate(first.attitude))))
    seconds = (last.stamp - first.stamp) / S
    assert turned == pytest.approx([0.0, -0.05 * seconds, 0.0], abs=1e-6)


def test_bias_is_found() -> None:
    bias = np.array([3e-5, -5e-5, 4e-5])
    body = Body((0.001, 0.0, -0.001), bias=bias)
    tracker = AttitudeTracker(filter_parameters(), PERIOD)
    run(body, tracker, 60.0)
    f = tracker.filter
    sigma = np.sqrt(np.diagonal(f.covariance)[3:6])
    assert (sigma < 1e-5).all()
    assert np.array(f.bias) == pytest.approx(bias, abs=1e-6)


def test_covariance_of_one_image_after_a_time_is_the_analytic_one() -> None:
    noise = GRADES['tactical']
    tracker = AttitudeTracker(filter_parameters(image_sigma_floor=0.0), PERIOD)
    body = Body((0.0, 0.0, 0.0))
    tracker.add_gyro(*body.step())
    tracker.add_image(body.stamp, body.attitude, IMAGE)
    t = 10.0
    for _ in range(round(t * body.hz) + 1):
        tracker.add_gyro(*body.step())
    expected = (
        np.diagonal(IMAGE)
        + noise.angle_random_walk**2 * t
        + noise.bias_sigma**2 * t**2
        + noise.bias_walk**2 * t**3 / 3.0
    )
    assert np.diagonal(tracker.filter.covariance)[:3] == pytest.approx(expected, rel=1e-2)


@settings(deadline=None, max_examples=15)
@given(st.permutations(range(6)), st.integers(0, 40))
def test_order_of_arrival_does_not_matter(order: list[int], late: int) -> None:
    """Bit for bit: the state is a function of the set of measurements."""
    body = Body((0.01, -0.02, 0.005), hz=50)
    samples = [body.step() for _ in range(200)]
    images = [samples[20 + 25 * i][0] for i in range(6)]
    orderly = AttitudeTracker(filter_parameters(), PERIOD)
    for stamp, rate in samples:
        orderly.add_gyro(stamp, rate)
        if stamp in images:
            orderly.add_image(stamp, body.truth[stamp], IMAGE)
    mixed = AttitudeTracker(filter_parameters(), PERIOD)
    for stamp, rate in samples[: len(samples) - late]:
        mixed.add_gyro(stamp, rate)
    for i in order:
        mixed.add_image(images[i], body.truth[images[i]], IMAGE)
    for stamp, rate in samples[len(samples) - late :]:
        mixed.add_gyro(stamp, rate)
    assert mixed.filter.attitude == orderly.filter.attitude
    assert mixed.filter.bias == orderly.filter.bias
    assert (mixed.filter.covariance == orderly.filter.covariance).all()


def test_attitude_at_a_stamp_of_the_past_and_just_ahead() -> None:
    body = Body(lambda t: (0.05 * math.sin(3.0 * t), 0.02, 0.0))
    tracker = AttitudeTracker(filter_parameters(window=4.0), PERIOD)
    run(body, tracker, 5.0)
    for back in (0, 1, 77, 600):
        stamp = body.stamp - back * S // body.hz
        found = tracker.attitude_at(stamp)
        assert found is not None
        assert angle(found, body.truth[stamp]) < 0.5 * ARCSEC
    assert tracker.attitude_at(body.stamp - 6 * S) is None
    ahead = tracker.attitude_at(body.stamp + S // 50)
    assert ahead is not None
    assert angle(ahead, tracker.filter.attitude) == pytest.approx(
        float(np.linalg.norm(tracker.filter.rate)) / 50.0, rel=1e-6
    )
    assert tracker.attitude_at(body.stamp + S) is None


def test_mean_attitude_of_an_exposure_is_brought_to_its_middle() -> None:
    """Constant angular acceleration a: the mean lies a T^2 / 24 off the middle."""
    acceleration, exposure = 0.2, 0.5
    body = Body(lambda t: (0.0, 0.0, acceleration * t), hz=400)
    tracker = AttitudeTracker(filter_parameters(), PERIOD)
    run(body, tracker, 3.0)
    middle = START + 2 * S
    offset = tracker.exposure_mean(middle, exposure)
    # a fixed star turns against the body
    assert offset == pytest.approx((0.0, 0.0, -acceleration * exposure**2 / 24.0), abs=2e-5)
    mean = multiply(exp(offset), body.truth[middle])
    assert angle(mean_to_middle(mean, offset), body.truth[middle]) < 1e-9
    assert tracker.exposure_mean(body.stamp, exposure) == (0.0, 0.0, 0.0)


def test_wrong_images_are_refused_and_persistent_ones_win() -> None:
    body = Body((0.0, 0.001, 0.0))
    tracker = AttitudeTracker(filter_parameters(), PERIOD)
    run(body, tracker, 5.0)
    f = tracker.filter
    wrong = exp((0.01, 0.0, 0.0))
    tracker.add_image(body.stamp - S // 2, multiply(wrong, body.truth[body.stamp - S // 2]), IMAGE)
    assert f.gate.state.rejected == 1
    assert angle(f.attitude, body.attitude) < ARCSEC
    # a single one changes nothing; three that agree with each other do
    for _ in range(4):
        for _ in range(body.hz):
            tracker.add_gyro(*body.step())
        tracker.add_image(body.stamp, multiply(wrong, body.attitude), IMAGE)
    tracker.add_gyro(*body.step())
    assert f.gate.state.resets == 1
    assert angle(f.attitude, multiply(wrong, body.attitude)) < 5 * ARCSEC
    assert max(f.sigma) < 20 * ARCSEC


def test_an_image_older_than_the_window_is_dropped() -> None:
    body = Body((0.0, 0.001, 0.0))
    tracker = AttitudeTracker(filter_parameters(window=2.0), PERIOD)
    run(body, tracker, 5.0)
    before = tracker.filter.attitude
    assert not tracker.add_image(START + S, body.truth[START + S], IMAGE)
    assert tracker.dropped == 1
    assert tracker.filter.attitude == before


def test_a_short_gap_widens_the_covariance_and_a_long_one_needs_an_image() -> None:
    body = Body((0.0, 0.001, 0.0))
    tracker = AttitudeTracker(filter_parameters(), PERIOD)
    run(body, tracker, 3.0)
    f = tracker.filter
    before = max(f.sigma)
    for _ in range(body.hz // 5):
        body.step()
    tracker.add_gyro(*body.step())
    assert f.aligned
    assert max(f.sigma) > 10 * before
    assert not tracker.add_gyro(*body.step()), 'so wide an attitude is not given out'
    for _ in range(2 * body.hz):
        body.step()
    tracker.add_gyro(*body.step())
    assert not f.aligned
    assert f.gaps == 2
    tracker.add_image(body.stamp, body.attitude, IMAGE)
    ticks = [tick for _ in range(10) for tick in tracker.add_gyro(*body.step())]
    assert f.aligned
    assert f.alignments == 2
    assert angle(ticks[-1].attitude, body.truth[ticks[-1].stamp]) < ARCSEC


def test_consistency_through_turns() -> None:
    """Mean NEES of many runs with every modelled error, bias, scale and misalignment included."""
    noise = GRADES['industrial']
    values = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        bias = rng.normal(0.0, noise.bias_sigma, 3)
        matrix = rng.normal(0.0, noise.scale_sigma, (3, 3))
        phase = rng.uniform(0.0, 6.0, 3)
        body = Body(
            lambda t, phase=phase: 0.1 * np.sin(0.5 * t * np.array([1.0, 0.7, 1.3]) + phase), hz=100
        )
        tracker = AttitudeTracker(
            filter_parameters(grade='industrial', image_sigma_floor=0.0), PERIOD
        )
        for k in range(2000):
            stamp, rate = body.step()
            w = np.array(rate)
            w = w + matrix @ w + bias + rng.normal(0.0, noise.angle_random_walk * 10.0, 3)
            ticks = tracker.add_gyro(stamp, tuple(w.tolist()))
            if k % 100 == 99:
                error = np.sqrt(np.diagonal(IMAGE)) * rng.standard_normal(3)
                tracker.add_image(stamp, multiply(exp(error), body.attitude), IMAGE)
            if ticks and k % 300 == 250:
                e = np.array(log(multiply(body.attitude, conjugate(ticks[-1].attitude))))
                values.append(e @ np.linalg.solve(ticks[-1].covariance, e))
    low, high = mean_band(3, len(values), 0.999)
    assert low < np.mean(values) < high
