# SPDX-License-Identifier: Apache-2.0
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meta_repo_ros.core import rotations as rot
from meta_repo_ros.core.parameters import updated
from meta_repo_ros.core.rotations import Quaternion, Vector
from meta_repo_ros.core.statistics import mean_band
from meta_repo_ros.core.window import ReplayWindow
from meta_repo_ros.fusion.attitude_filter import AttitudeFilter
from meta_repo_ros.fusion.attitude_parameters import AttitudeParameters
from meta_repo_ros.fusion.attitude_simulation import attitude_nees, modelled, simulate
from meta_repo_ros.fusion.attitude_state import (
    AttitudeSample,
    FieldSample,
    ImuSample,
    PositionSample,
    Sample,
    VelocitySample,
)

DT = 5_000_000  # ns, 200 Hz
START = 1_700_000_000_000_000_000
FIELD = (0.0, 2.0e-5, -4.4e-5)
DEG = math.pi / 180.0
STAR = tuple(((0.01 * DEG) ** 2 * np.eye(3)).ravel())


class Sensor:
    """A noiseless sensor turned by hand; feeds a filter."""

    def __init__(self, attitude: Quaternion, **changes: object) -> None:
        self.filter = AttitudeFilter(updated(AttitudeParameters(), changes))
        self.attitude, self.stamp = attitude, START
        self.bias: Vector = (0.0, 0.0, 0.0)
        self.field: Vector | None = FIELD

    def run(self, seconds: float, rate: Vector = (0.0, 0.0, 0.0)) -> None:
        for _ in range(round(seconds * 1e9 / DT)):
            self.stamp += DT
            self.attitude = rot.normalize(
                rot.multiply(self.attitude, rot.exp([w * DT * 1e-9 for w in rate]))
            )
            inverse = rot.conjugate(self.attitude)
            gyro = (rate[0] + self.bias[0], rate[1] + self.bias[1], rate[2] + self.bias[2])
            self.filter.apply(self.stamp, ImuSample(gyro, rot.rotate(inverse, (0, 0, 9.81))))
            if self.field is not None:
                self.filter.apply(self.stamp, FieldSample(rot.rotate(inverse, self.field)))

    def star(self, offset: Vector = (0.0, 0.0, 0.0)) -> None:
        q = rot.multiply(rot.exp(offset), self.attitude)
        self.filter.apply(self.stamp, AttitudeSample(q, STAR))

    @property
    def error(self) -> float:
        return rot.angle(self.attitude, self.filter.state.orientation) / DEG


@given(st.tuples(*[st.floats(-1.8, 1.8)] * 3))
@settings(max_examples=20, deadline=None)
def test_any_resting_attitude_is_found(vector: Vector) -> None:
    sensor = Sensor(rot.exp(vector))
    sensor.run(4.0)
    assert sensor.error < 0.05


def test_bias_is_learnt_at_rest() -> None:
    sensor = Sensor(rot.exp((0.3, -0.2, 1.0)))
    sensor.bias = (0.004, -0.006, 0.005)
    sensor.run(12.0)
    np.testing.assert_allclose(sensor.filter.state.bias, sensor.bias, atol=1e-4)


def test_a_slow_turn_is_no_rest() -> None:
    sensor = Sensor(rot.IDENTITY)
    sensor.run(12.0)
    sensor.run(20.0, rate=(0.0, 0.0, 0.02))
    assert abs(sensor.filter.state.bias[2]) < 1e-3
    assert sensor.error < 2.0


def test_turning_is_integrated_exactly_between_corrections() -> None:
    sensor = Sensor(rot.exp((0.1, 0.2, 0.3)))
    sensor.run(5.0)
    sensor.field = None
    before = sensor.filter.state.orientation
    true_before = sensor.attitude
    sensor.run(0.5, rate=(2.0, -1.0, 3.0))
    turned = rot.multiply(rot.conjugate(before), sensor.filter.state.orientation)
    expected = rot.multiply(rot.conjugate(true_before), sensor.attitude)
    assert rot.angle(turned, expected) < 0.02 * DEG


def test_magnetic_heading_leaves_roll_and_pitch_alone() -> None:
    with_field, without = (Sensor(rot.exp((0.4, -0.3, 0.5))) for _ in range(2))
    for sensor in (with_field, without):
        sensor.run(5.0)
        sensor.run(1.0, rate=(0.5, 0.2, 0.1))
    # the same field turned by five degrees; the filters differ by one heading update
    sensor = with_field
    inverse = rot.conjugate(sensor.attitude)
    for model, turn in ((with_field.filter, 5.0 * DEG), (without.filter, 0.0)):
        field = rot.rotate(rot.exp((0.0, 0.0, turn)), FIELD)
        model.state.field.sum = (0.0, 0.0, 0.0)
        model.state.field.count = 0
        model.apply(sensor.stamp + 1, FieldSample(rot.rotate(inverse, field)))
        rate = (0.5, 0.2, 0.1)
        force = rot.rotate(inverse, (0, 0, 9.81))
        for k in range(1, 5):
            model.apply(sensor.stamp + k * DT, ImuSample(rate, force))
    moved = rot.multiply(
        with_field.filter.state.orientation, rot.conjugate(without.filter.state.orientation)
    )
    x, y, z = rot.log(moved)
    assert abs(z) > 1e-4
    assert math.hypot(x, y) < 1e-3 * abs(z)


@pytest.mark.parametrize(
    'field',
    [
        (3.0e-5, 2.0e-5, -4.4e-5),  # stronger
        (0.0, 4.4e-5, -2.0e-5),  # as strong, other dip
        (1.0e-6, 0.0, -1.0e-6),  # shielded
    ],
)
def test_disturbed_field_is_refused_and_heading_kept(field: Vector) -> None:
    sensor = Sensor(rot.exp((0.1, 0.2, 1.0)))
    sensor.run(8.0)
    count = sensor.filter.state.counts['magnetometer']
    accepted = count.accepted
    sensor.field = field
    sensor.run(5.0, rate=(0.0, 0.0, 0.3))
    count = sensor.filter.state.counts['magnetometer']
    assert count.accepted - accepted < 8
    assert count.rejected > 900
    assert sensor.error < 0.5


def test_a_steady_other_field_becomes_the_reference_in_motion() -> None:
    sensor = Sensor(rot.exp((0.1, 0.2, 1.0)))
    sensor.run(8.0)
    sensor.field = (0.0, 3.0e-5, -6.0e-5)
    sensor.run(10.0, rate=(0.1, 0.0, 0.5))
    assert not sensor.filter.state.field.accepted
    sensor.run(16.0, rate=(0.1, 0.0, 0.5))
    assert sensor.filter.state.field.accepted
    assert sensor.filter.state.field.adoptions == 1


def test_heading_recovers_from_a_field_that_turned() -> None:
    sensor = Sensor(rot.IDENTITY, **{'magnetometer.recovery_time': 5.0})
    sensor.run(8.0)
    turned = rot.rotate(rot.exp((0.0, 0.0, 2.0)), FIELD)
    sensor.field = turned
    sensor.run(3.0, rate=(0.0, 0.0, 0.5))
    assert sensor.error < 3.0
    sensor.run(40.0, rate=(0.0, 0.0, 0.5))
    offset = rot.log(rot.multiply(sensor.attitude, rot.conjugate(sensor.filter.state.orientation)))
    assert offset[2] == pytest.approx(2.0, abs=0.2)


def test_stars_give_all_three_axes() -> None:
    sensor = Sensor(rot.exp((0.3, 0.4, 2.0)))
    sensor.run(3.0)
    # field and gravity agree on an attitude that the stars correct by less than the gate
    offset = (0.002, -0.001, 0.05)
    sensor.star(offset)
    moved = rot.log(rot.multiply(sensor.filter.state.orientation, rot.conjugate(sensor.attitude)))
    assert moved[2] == pytest.approx(offset[2], abs=0.02 * DEG)
    sigma = np.sqrt(np.diag(sensor.filter.rotation_covariance)) / DEG
    assert sigma[2] < 0.012


def test_a_wrong_identification_is_refused_and_agreeing_ones_reset() -> None:
    sensor = Sensor(rot.exp((0.3, 0.4, 2.0)))
    sensor.run(5.0)
    for offset in ((2.0, 0.0, 0.0), (0.0, 1.0, 1.0), (0.0, -0.7, 0.2)):
        sensor.run(0.2)
        sensor.star(offset)
    assert sensor.filter.state.counts['stars'].rejected == 3
    assert sensor.error < 0.1
    for _ in range(3):
        sensor.run(0.2)
        sensor.star((0.0, 0.5, 0.0))
    assert sensor.error / math.degrees(0.5) == pytest.approx(1.0, abs=0.02)
    assert sensor.filter.state.resets == 1


def test_star_attitude_stands_against_accelerometer_bias() -> None:
    sensor = Sensor(rot.exp((0.1, 0.0, 0.5)))
    tilted = rot.multiply(rot.exp((0.002, -0.002, 0.0)), sensor.attitude)  # 2 mg seen as tilt
    sensor.run(5.0)
    for _ in range(20):
        sensor.run(1.0)
        sensor.filter.apply(sensor.stamp, AttitudeSample(tilted, STAR))
    assert sensor.filter.state.counts['stars'].rejected == 0
    assert rot.angle(sensor.filter.state.orientation, tilted) < 0.01 * DEG


def test_earth_rotation_is_no_bias() -> None:
    rate = 7.292115e-5
    latitude = 60.0
    earth = (0.0, rate * math.cos(latitude * DEG), rate * math.sin(latitude * DEG))
    sensor = Sensor(rot.exp((0.3, 0.4, 2.0)), **{'magnetometer.world_model': False})
    sensor.filter.apply(START, PositionSample(latitude, 10.0, 0.0))
    sensor.bias = rot.rotate(rot.conjugate(sensor.attitude), earth)
    sensor.run(20.0)
    assert np.abs(sensor.filter.state.bias).max() < 0.1 * rate


def test_world_model_gives_declination() -> None:
    sensor = Sensor(rot.IDENTITY)
    sensor.run(1.0)
    sensor.filter.apply(sensor.stamp, PositionSample(-37.8, 144.9, 0.0))
    # Melbourne, end of 2023: declination 11.8 deg east (NOAA's calculator)
    declination = sensor.filter.state.field.declination / DEG
    assert declination == pytest.approx(11.8, abs=0.3)
    assert rot.yaw(sensor.filter.state.orientation) / DEG == pytest.approx(-declination, abs=0.01)


def test_a_coordinated_turn_needs_velocity() -> None:
    speed, turn = 50.0, 0.05

    def fly(*, gnss: bool) -> float:
        model = AttitudeFilter(AttitudeParameters())
        bank = -math.atan(speed * turn / 9.81)  # left turn seen from above: left wing down
        stamp, course, worst = START, 0.0, 0.0
        for k in range(round(60.0e9 / DT)):
            stamp += DT
            turning = turn if k * DT > 10e9 else 0.0
            course += turning * DT * 1e-9
            q = rot.from_euler(bank if turning else 0.0, 0.0, course)
            inverse = rot.conjugate(q)
            push = speed * turning
            force = (-push * math.sin(course), push * math.cos(course), 9.81)
            model.apply(
                stamp,
                ImuSample(
                    rot.rotate(inverse, (0.0, 0.0, turning))
                    if k * DT != 10e9 + DT
                    else (bank / (DT * 1e-9), 0.0, 0.0),
                    rot.rotate(inverse, force),
                ),
            )
            model.apply(stamp, FieldSample(rot.rotate(inverse, FIELD)))
            if gnss and k % 20 == 0:
                velocity = (speed * math.cos(course), speed * math.sin(course))
                model.apply(stamp, VelocitySample(velocity, (0.01, 0.0, 0.0, 0.01)))
            if k * DT > 30e9:
                worst = max(worst, rot.angle(model.state.orientation, q) / DEG)
        return worst

    assert fly(gnss=True) < 1.5
    assert fly(gnss=False) > 5.0


@pytest.mark.parametrize('gap', [0.5, 2.0, 20.0])
def test_gap_widens_the_covariance_and_the_attitude_recovers(gap: float) -> None:
    sensor = Sensor(rot.exp((0.3, 0.4, 2.0)))
    sensor.run(10.0)
    before = np.trace(sensor.filter.rotation_covariance)
    sensor.stamp += round(gap * 1e9)
    sensor.attitude = rot.multiply(sensor.attitude, rot.exp((0.3, 0.1, 0.2)))
    sensor.run(0.005)
    assert sensor.filter.state.gaps == 1
    assert np.trace(sensor.filter.rotation_covariance) > 10.0 * before
    sensor.run(30.0, rate=(0.1, 0.05, 0.2))
    assert sensor.error < 3.0


def test_free_fall_does_not_align() -> None:
    model = AttitudeFilter(AttitudeParameters())
    model.apply(START, ImuSample((0.0, 0.0, 0.0), (0.0, 0.0, 0.1)))
    assert not model.state.aligned


def _samples(seed: int) -> list[tuple[int, int, Sample]]:
    """0.4 s of everything: (stamp, rank, sample), in order."""
    parameters = modelled(AttitudeParameters())
    run = simulate(parameters, seed, 0.4, star_interval=0.1)
    events: list[tuple[int, int, Sample]] = []
    for i, stamp in enumerate(run.stamps.tolist()):
        events.append((stamp, 1, ImuSample(tuple(run.rate[i]), tuple(run.force[i]))))
        if np.isfinite(run.field[i, 0]):
            events.append((stamp - 3_000_000, 2, FieldSample(tuple(run.field[i]))))
        if np.isfinite(run.stars[i, 0]):
            events.append((stamp - 1_000_000, 4, AttitudeSample(tuple(run.stars[i]), STAR)))
            events.append((stamp - 2_000_000, 3, VelocitySample((0.1, 0.2), (0.1, 0.0, 0.0, 0.1))))
            events.append((stamp, 0, PositionSample(47.0, 11.0, 500.0)))
    return sorted(events, key=lambda e: e[:2])


def _final(events: list[tuple[int, int, Sample]]) -> tuple[object, ...]:
    model = AttitudeFilter(AttitudeParameters())
    window: ReplayWindow[Sample] = ReplayWindow(model, 1_000_000_000, 50_000_000)
    for stamp, rank, sample in events:
        window.add(stamp, rank, 0, sample)
        window.settle()
    assert window.dropped == 0
    s = model.state
    return s.orientation, s.bias, s.velocity, s.deviation, s.covariance.tobytes(), str(s.counts)


@given(st.randoms(use_true_random=False))
@settings(max_examples=10, deadline=None)
def test_order_of_arrival_does_not_matter(random: object) -> None:
    events = _samples(3)
    expected = _final(events)
    random.shuffle(events)  # type: ignore[attr-defined]
    assert _final(events) == expected


def test_covariance_stays_positive_definite_through_everything() -> None:
    parameters = AttitudeParameters()
    run = simulate(parameters, 5, 20.0, star_interval=3.0)
    model = AttitudeFilter(parameters)
    for i, stamp in enumerate(run.stamps.tolist()):
        model.apply(stamp, ImuSample(tuple(run.rate[i]), tuple(run.force[i])))
        if np.isfinite(run.field[i, 0]):
            model.apply(stamp, FieldSample(tuple(run.field[i])))
        if np.isfinite(run.stars[i, 0]) and i > 500:
            model.apply(stamp, AttitudeSample(tuple(run.stars[i]), STAR))
        if i % 100 == 99:
            covariance = model.state.covariance
            assert np.array_equal(covariance, covariance.T)
            assert np.linalg.eigvalsh(covariance).min() > 0.0
    assert math.hypot(*model.state.orientation) == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize('star_interval', [0.0, 1.0])
def test_errors_are_as_large_as_the_covariance_says(star_interval: float) -> None:
    parameters = modelled(AttitudeParameters())
    seeds = 12
    runs = [simulate(parameters, s, 14.0, star_interval=star_interval) for s in range(seeds)]
    nees = np.array([attitude_nees(parameters, run, 1.0) for run in runs])
    low, high = mean_band(3, seeds, 0.99)
    mean = nees.mean(axis=0)[10:]
    assert low < mean.mean() < high
    # and an overconfident filter would be found: a third of the noise that is there
    boast = updated(parameters, {'gyroscope.rate_noise': 0.0008, 'motion.velocity_sigma': 0.1})
    doubt = np.array([attitude_nees(boast, run, 1.0) for run in runs[:4]])
    assert doubt.mean(axis=0)[10:].mean() > high
