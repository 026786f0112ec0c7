# SPDX-License-Identifier: Apache-2.0
import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from geometry_msgs.msg import TwistWithCovarianceStamped
from hypothesis import given, settings
from hypothesis import strategies as st
from sensor_msgs.msg import Imu, MagneticField, NavSatFix

from meta_repo_ros.core import rotations as rot
from meta_repo_ros.core.earth import icrs_to_enu
from meta_repo_ros.core.parameters import updated
from meta_repo_ros.core.processor import Level
from meta_repo_ros.core.time import set_stamp
from meta_repo_ros.fusion.attitude_field import world_field
from meta_repo_ros.fusion.attitude_parameters import AttitudeParameters
from meta_repo_ros.fusion.attitude_processor import AttitudeFusion
from meta_repo_ros.msg import AttitudeUpdate

DT = 5_000_000
START = 1_780_000_000_000_000_000
ATTITUDE = rot.from_euler(0.2, -0.1, 1.0)
LATITUDE, LONGITUDE = 47.26, 11.34
WORLD = world_field(LATITUDE, LONGITUDE, 0.0, START)
FIELD = (
    WORLD.horizontal * math.sin(WORLD.declination),
    WORLD.horizontal * math.cos(WORLD.declination),
    WORLD.up,
)
STAR_VARIANCE = math.radians(0.01) ** 2
DEG = math.pi / 180.0


def diagonal(variance: float, n: int = 3) -> np.ndarray[Any, Any]:
    return (variance * np.eye(n)).ravel()


def imu(stamp: int) -> Imu:
    message = Imu()
    message.header.frame_id = 'imu_link'
    set_stamp(message.header.stamp, stamp)
    force = rot.rotate(rot.conjugate(ATTITUDE), (0.0, 0.0, 9.81))
    a = message.linear_acceleration
    a.x, a.y, a.z = force
    message.orientation_covariance[0] = -1.0
    return message


def field(stamp: int) -> MagneticField:
    message = MagneticField()
    set_stamp(message.header.stamp, stamp)
    m = message.magnetic_field
    m.x, m.y, m.z = rot.rotate(rot.conjugate(ATTITUDE), FIELD)
    return message


def fix(stamp: int) -> NavSatFix:
    message = NavSatFix()
    set_stamp(message.header.stamp, stamp)
    message.latitude, message.longitude, message.altitude = LATITUDE, LONGITUDE, math.nan
    return message


def velocity(stamp: int) -> TwistWithCovarianceStamped:
    message = TwistWithCovarianceStamped()
    set_stamp(message.header.stamp, stamp)
    message.twist.covariance = diagonal(0.01, 6)
    return message


def star(stamp: int, attitude: rot.Quaternion = ATTITUDE) -> AttitudeUpdate:
    message = AttitudeUpdate()
    set_stamp(message.header.stamp, stamp)
    body_to_icrs = icrs_to_enu(stamp, LATITUDE, LONGITUDE).T @ rot.to_matrix(attitude)
    rot.set_message(message.orientation, rot.from_matrix(body_to_icrs.T))
    message.covariance = diagonal(STAR_VARIANCE)
    message.method = AttitudeUpdate.METHOD_IMAGE
    message.source_mask = AttitudeUpdate.SOURCE_STARS
    message.residual_rms = message.false_alarm_probability = math.nan
    return message


class Bench:
    def __init__(self, **changes: object) -> None:
        values = {'magnetometer.declination': WORLD.declination, **changes}
        self.fusion = AttitudeFusion(updated(AttitudeParameters(), values))
        self.now = START
        self.out: list[Imu] = []

    def send(self, topic: str, message: Any) -> int:
        """Returns how many messages came out."""
        outputs = self.fusion.on_message(topic, message, self.now)
        self.out.extend(output.message for output in outputs)
        return len(outputs)

    def run(self, seconds: float, *, with_field: bool = True) -> None:
        for _ in range(round(seconds * 1e9 / DT)):
            self.now += DT
            self.send('imu/data_raw', imu(self.now))
            if with_field:
                self.send('imu/mag', field(self.now))

    def row(self, name: str) -> Any:
        return {row.name: row for row in self.fusion.diagnostics(self.now)}[name]

    @property
    def state(self) -> tuple[Any, ...]:
        self.fusion.window.settle()
        s = self.fusion.filter.state
        return s.orientation, s.bias, s.covariance.tobytes(), s.stamp


def test_output_carries_attitude_covariance_and_corrected_rate() -> None:
    bench = Bench()
    bench.run(5.0)
    assert len(bench.out) == 1000
    last = bench.out[-1]
    assert (last.header.stamp.sec, last.header.stamp.nanosec) == divmod(bench.now, 10**9)
    assert last.header.frame_id == 'imu_link'
    assert rot.angle(rot.from_message(last.orientation), ATTITUDE) < 0.05 * DEG
    covariance = np.reshape(last.orientation_covariance, (3, 3))
    assert np.linalg.eigvalsh(covariance).min() > 0.0
    assert np.reshape(last.angular_velocity_covariance, (3, 3))[0, 0] > 0.0
    assert bench.row('attitude').level is Level.OK


def test_without_field_heading_is_declared_unknown() -> None:
    bench = Bench()
    bench.run(2.0, with_field=False)
    assert np.reshape(bench.out[-1].orientation_covariance, (3, 3))[2, 2] > 9.0
    row = bench.row('attitude')
    assert row.level is Level.WARN
    assert 'heading unknown' in row.message


def test_star_attitude_comes_from_icrs_with_the_turn_of_the_earth() -> None:
    bench = Bench(**{'magnetometer.enabled': False})
    bench.run(2.0, with_field=False)
    bench.send('attitude_update', star(bench.now))
    assert bench.row('stars').values['accepted'] == 0  # no position yet
    bench.send('gnss/fix', fix(bench.now))
    bench.run(1.0, with_field=False)
    bench.send('attitude_update', star(bench.now))
    bench.run(DT * 1e-9, with_field=False)
    assert rot.angle(rot.from_message(bench.out[-1].orientation), ATTITUDE) < 0.01 * DEG
    assert bench.row('attitude').level is Level.OK


def test_filtered_star_attitudes_are_passed_over_without_a_fault() -> None:
    bench = Bench()
    bench.send('gnss/fix', fix(START))
    bench.run(2.0)
    before = bench.state
    for _ in range(5):
        message = star(bench.now)
        set_filtered(message)
        assert bench.send(STARS, message) == 0
    assert bench.state == before
    row = bench.row('stars')
    assert (row.level, row.values['passed_over'], row.values['rejected']) == (Level.OK, 5, 0)


def test_position_may_come_from_parameters() -> None:
    place = {'position.latitude': LATITUDE, 'position.longitude': LONGITUDE}
    bench = Bench(**place, **{'position.known': True})
    bench.run(1.0)
    bench.send('attitude_update', star(bench.now))
    assert bench.row('stars').values['accepted'] == 1


def set_nan(message: Any) -> None:
    message.angular_velocity.y = math.nan


def set_infinite(message: Any) -> None:
    message.linear_acceleration.z = math.inf


def set_field_nan(message: Any) -> None:
    message.magnetic_field.x = math.nan


def set_saturated(message: Any) -> None:
    message.magnetic_field.x = -4.0e-4


def set_zero_stamp(message: Any) -> None:
    set_stamp(message.header.stamp, 0)


def set_future(message: Any) -> None:
    set_stamp(message.header.stamp, START + 3600 * 10**9)


def set_past(message: Any) -> None:
    set_stamp(message.header.stamp, START - 10 * 10**9)


def set_rate_covariance(message: Any) -> None:
    message.angular_velocity_covariance = np.array([1.0, 2.0, 0, 2.0, 1.0, 0, 0, 0, 1.0])


def set_no_rate(message: Any) -> None:
    message.angular_velocity_covariance[0] = -1.0


def set_no_force(message: Any) -> None:
    message.linear_acceleration_covariance[0] = -1.0


def set_field_covariance(message: Any) -> None:
    message.magnetic_field_covariance = diagonal(-1.0e-12)


def set_long_quaternion(message: Any) -> None:
    message.orientation.w += 0.1


def set_nan_quaternion(message: Any) -> None:
    message.orientation.w = math.nan


def set_zero_covariance(message: Any) -> None:
    message.covariance = np.zeros(9)


def set_indefinite(message: Any) -> None:
    message.covariance = np.array([1.0, 2.0, 0, 2.0, 1.0, 0, 0, 0, 1.0])


def set_filtered(message: Any) -> None:
    message.method = AttitudeUpdate.METHOD_FILTERED


def set_unknown_method(message: Any) -> None:
    message.method = AttitudeUpdate.METHOD_UNKNOWN


def set_fusion(message: Any) -> None:
    message.source_mask |= AttitudeUpdate.SOURCE_FUSION


def set_doubtful(message: Any) -> None:
    message.false_alarm_probability = 0.5


def set_no_fix(message: Any) -> None:
    message.status.status = -1


def set_nan_latitude(message: Any) -> None:
    message.latitude = math.nan


def set_velocity_unknown(message: Any) -> None:
    message.twist.covariance = np.zeros(36)


def set_velocity_nan(message: Any) -> None:
    message.twist.twist.linear.x = math.nan


IMU, MAG, STARS, FIX = 'imu/data_raw', 'imu/mag', 'attitude_update', 'gnss/fix'
VELOCITY = 'gnss/velocity'
MAKE: dict[str, Callable[[int], Any]] = {
    IMU: imu, MAG: field, STARS: star, FIX: fix, VELOCITY: velocity,
}  # fmt: skip
SENSOR = {
    IMU: 'imu', MAG: 'magnetometer', STARS: 'stars', FIX: 'position', VELOCITY: 'velocity',
}  # fmt: skip
STAMPS = [
    (topic, spoil, reason)
    for topic in MAKE
    for spoil, reason in (
        (set_zero_stamp, 'zero stamp'),
        (set_future, 'stamp in the future'),
        (set_past, 'older than the window'),
    )
]


@pytest.mark.parametrize(
    ('topic', 'spoil', 'reason'),
    [
        *STAMPS,
        (IMU, set_nan, 'not finite'),
        (IMU, set_infinite, 'not finite'),
        (IMU, set_rate_covariance, 'covariance not positive definite'),
        (IMU, set_no_rate, 'no rate'),
        (IMU, set_no_force, 'no specific force'),
        (MAG, set_field_nan, 'not finite'),
        (MAG, set_saturated, 'saturated'),
        (MAG, set_field_covariance, 'covariance not positive definite'),
        (STARS, set_long_quaternion, 'quaternion not of unit length'),
        (STARS, set_nan_quaternion, 'quaternion not of unit length'),
        (STARS, set_zero_covariance, 'covariance unknown'),
        (STARS, set_indefinite, 'covariance not positive definite'),
        (STARS, set_unknown_method, 'not from one image'),
        (STARS, set_fusion, 'contains the output of a filter'),
        (STARS, set_doubtful, 'identification doubtful'),
        (FIX, set_no_fix, 'no fix'),
        (FIX, set_nan_latitude, 'no position'),
        (VELOCITY, set_velocity_unknown, 'covariance unknown'),
        (VELOCITY, set_velocity_nan, 'not finite'),
    ],
)
def test_bad_input_is_counted_reported_and_not_fused(
    topic: str, spoil: Callable[[Any], None], reason: str
) -> None:
    bench = Bench()
    bench.send('gnss/fix', fix(START))
    bench.run(2.0)
    bench.row(SENSOR[topic])
    before = bench.state
    bench.now += DT
    message = MAKE[topic](bench.now)
    spoil(message)
    assert bench.send(topic, message) == 0
    assert bench.state == before
    row = bench.row(SENSOR[topic])
    assert row.values[f'rejected: {reason}'] == 1
    assert row.level is Level.WARN
    assert reason in row.message
    # the good one at the same time is taken
    bench.send(topic, MAKE[topic](bench.now))
    bench.run(0.1)
    assert bench.state != before
    assert rot.angle(rot.from_message(bench.out[-1].orientation), ATTITUDE) < 0.5 * DEG


def test_covariance_of_the_message_goes_before_the_parameter() -> None:
    # slow motion: rate noise is what counts
    changes = {'rest.enabled': False, 'motion.velocity_sigma': 0.01}
    bench, noisy = Bench(**changes), Bench(**changes)
    for _ in range(2000):
        bench.now = noisy.now = bench.now + DT
        bench.send(IMU, imu(bench.now))
        message = imu(noisy.now)
        message.angular_velocity_covariance = diagonal(0.01)
        noisy.send(IMU, message)
    quiet, loud = (b.fusion.filter.rotation_covariance[0, 0] for b in (bench, noisy))
    assert loud > 1.05 * quiet


def test_repeated_imu_sample_gives_nothing_twice() -> None:
    bench = Bench()
    bench.run(1.0)
    assert bench.send(IMU, imu(bench.now)) == 0


def test_gap_of_two_seconds_is_counted() -> None:
    bench = Bench()
    bench.run(3.0)
    quiet = bench.out[-1].orientation_covariance[0]
    bench.now += 2 * 10**9
    assert bench.row('attitude').level is Level.ERROR
    bench.run(DT * 1e-9)
    assert bench.row('attitude').values['gaps'] == 1
    assert bench.out[-1].orientation_covariance[0] > 10.0 * quiet
    bench.run(5.0)
    assert rot.angle(rot.from_message(bench.out[-1].orientation), ATTITUDE) < 0.1 * DEG


def test_new_parameters_keep_the_attitude() -> None:
    bench = Bench()
    bench.run(3.0)
    before = bench.fusion.filter.state.orientation
    off = updated(bench.fusion.parameters, {'magnetometer.enabled': False})
    bench.fusion.set_parameters(off)
    bench.run(0.5)
    assert rot.angle(bench.fusion.filter.state.orientation, before) < 0.01 * DEG
    assert bench.row('magnetometer').values['rejected: disabled'] == 100


def test_reset_forgets() -> None:
    bench = Bench()
    bench.run(1.0)
    bench.now = START - 10**12
    bench.fusion.reset(bench.now)
    assert not bench.fusion.filter.state.aligned
    bench.run(1.0)
    assert bench.row('imu').values['accepted'] == 200


def _received(seed: int) -> list[tuple[str, Any]]:
    rng = np.random.default_rng(seed)
    messages: list[tuple[str, Any]] = []
    for k in range(60):
        stamp = START + (k + 1) * DT
        message = imu(stamp)
        message.angular_velocity.x = float(rng.normal(0.0, 0.3))
        messages.append((IMU, message))
        if k % 4 == 0:
            messages.append((MAG, field(stamp - int(rng.integers(3_000_000)))))
        if k % 20 == 10:
            messages.append((STARS, star(stamp - 1_000_000)))
            messages.append((FIX, fix(stamp - 2_000_000)))
            messages.append((VELOCITY, velocity(stamp)))
    return messages


@given(st.randoms(use_true_random=False))
@settings(max_examples=8, deadline=None)
def test_any_order_of_arrival_ends_in_the_same_state(random: Any) -> None:
    messages = _received(1)
    states = []
    for shuffled in (False, True):
        bench = Bench()
        bench.now = START + 60 * DT
        order = copy.copy(messages)
        if shuffled:
            random.shuffle(order)
        for topic, message in order:
            bench.send(topic, message)
        states.append(bench.state)
    assert states[0] == states[1]
