# SPDX-License-Identifier: Apache-2.0
"""navigation_fusion on simulated flights, with real messages: accuracy, faults, bad input."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest

from meta_repo_ros.core.earth import icrs_to_enu, table_end_ns
from meta_repo_ros.core.geodesy import LocalFrame
from meta_repo_ros.core.parameters import from_mapping
from meta_repo_ros.core.processor import Diagnostic, Level
from meta_repo_ros.core.rotations import conjugate, from_matrix, from_message, multiply, rotate
from meta_repo_ros.core.time import set_stamp, stamp_ns
from meta_repo_ros.fusion.navigation_input import read_attitude
from meta_repo_ros.fusion.navigation_parameters import NavigationParameters
from meta_repo_ros.fusion.navigation_processor import NavigationFusion
from meta_repo_ros.msg import AttitudeUpdate, PositionUpdate
from meta_repo_ros.simulation.library import find_scenario
from meta_repo_ros.simulation.simulator import Simulator

S = 1_000_000_000
TAKEN = {topic.name for topic in NavigationFusion.inputs}
Delivered = tuple[int, str, Any]


class Flight:
    """A simulated flight as delivered, and its truth."""

    def __init__(self, scenario: str, seconds: float) -> None:
        simulator = Simulator(find_scenario(scenario).with_duration(seconds), 7)
        self.messages: list[Delivered] = []
        self.truth: dict[int, Any] = {}
        while not simulator.finished:
            for message in simulator.step():
                name = message.topic.name
                if name in TAKEN:
                    self.messages.append((message.stamp, name, message.message))
                elif name == 'ground_truth/odometry':
                    self.truth[stamp_ns(message.message.header.stamp)] = message.message
                elif name == 'ground_truth/origin':
                    o = message.message
                    self.origin = LocalFrame(o.latitude, o.longitude, o.altitude)
        self.start = self.messages[0][0]

    def until(self, seconds: float) -> list[Delivered]:
        return [m for m in self.messages if m[0] - self.start < seconds * S]


@pytest.fixture(scope='module')
def flight() -> Flight:
    return Flight('demo', 45.0)


class Run:
    """A processor that has been given messages."""

    def __init__(self, messages: list[Delivered] = (), **values: Any) -> None:  # type: ignore[assignment]
        values = {key.replace('__', '.'): value for key, value in values.items()}
        self.processor = NavigationFusion(from_mapping(NavigationParameters, values))
        self.odometry: list[Any] = []
        self.origins: list[Any] = []
        self.give(messages)

    def give(self, messages: list[Delivered]) -> Run:
        for stamp, topic, message in messages:
            for output in self.processor.on_message(topic, message, stamp):
                kind = self.odometry if output.topic == 'odometry' else self.origins
                kind.append(output.message)
        return self

    def row(self, name: str) -> Diagnostic:
        return next(row for row in self.processor.diagnostics(0) if row.name == name)

    def errors(self, flight: Flight) -> np.ndarray:
        """Rows: s since start, east, north, up, m."""
        origin = self.origins[-1]
        x, y, z = LocalFrame(origin.latitude, origin.longitude, origin.altitude).to_enu(
            flight.origin.latitude, flight.origin.longitude, flight.origin.altitude
        )
        rows = []
        for message in self.odometry:
            stamp = stamp_ns(message.header.stamp)
            if stamp in flight.truth:
                p, t = message.pose.pose.position, flight.truth[stamp].pose.pose.position
                rows.append(
                    ((stamp - flight.start) / S, p.x - t.x - x, p.y - t.y - y, p.z - t.z - z)
                )
        return np.array(rows)


def changed(messages: list[Delivered], topic: str, change: Any, start: float, end: float = 1e9):  # type: ignore[no-untyped-def]  # noqa: ANN201
    """Copies of the messages of ``topic`` changed between two times of validity."""
    first = messages[0][0]
    result = []
    for stamp, name, message in messages:
        seconds = (stamp_ns(message.header.stamp) - first) / S
        if name == topic and start <= seconds < end:
            message = copy.deepcopy(message)  # noqa: PLW2901
            if change(message, seconds - start) is None:
                continue
        result.append((stamp, name, message))
    return result


def drop(_message: Any, _seconds: float) -> None:
    return None


def north(metres: float, rate: float = 0.0) -> Any:
    def change(message: Any, seconds: float) -> bool:
        message.latitude += math.degrees((metres + rate * seconds) / 6.37e6)
        return True

    return change


def test_follows_the_flight_with_honest_covariance(flight: Flight) -> None:
    run = Run(flight.messages)
    assert len(run.origins) == 1
    errors = run.errors(flight)
    settled = errors[errors[:, 0] > 10.0]
    assert len(settled) > 600
    assert np.sqrt((settled[:, 1:] ** 2).mean(axis=0)) == pytest.approx([0.0] * 3, abs=0.5)
    last = run.odometry[-1]
    sigma = np.sqrt(np.diagonal(np.reshape(last.pose.covariance, (6, 6))))
    assert (np.abs(settled[-1, 1:]) < 4.0 * sigma[:3]).all()
    assert 0.001 < sigma[5] < 0.05
    assert (last.header.frame_id, last.child_frame_id) == ('odom', 'base_link')
    assert last.twist.twist.linear.x == pytest.approx(52.0, abs=8.0)
    row = run.row('solution')
    assert (row.level, row.values['status'], row.values['constraints']) == (
        Level.OK,
        'aided',
        'none',
    )
    assert row.values['late'] > 500  # GNSS comes 0.1 s late
    for sensor in ('gnss_position', 'gnss_velocity'):
        values = run.row(sensor).values
        assert run.row(sensor).level is Level.OK
        assert 1.5 < float(values['nis_mean']) < 4.5
        assert float(values['rejected']) < 0.02 * float(values['accepted'])
    assert run.row('barometer').values['accepted'] > 150


def test_arrival_does_not_matter_inside_the_window(flight: Flight) -> None:
    messages = flight.until(12.0)
    delays = np.random.default_rng(3).uniform(0.0, 0.35 * S, len(messages))
    order = np.argsort([m[0] + d for m, d in zip(messages, delays, strict=True)], kind='stable')
    late = [messages[i] for i in order]
    ends = []
    for arrival in (messages, late):
        run = Run(arrival)
        run.processor.window.settle()
        f = run.processor.model.filter
        assert f is not None
        assert run.processor.window.dropped == 0
        ends.append((f.position, f.attitude, f.gyro_bias, f.covariance.tobytes(),
                     run.processor.model.gates['gnss_position'].state.accepted))  # fmt: skip
    assert ends[0] == ends[1]


def test_older_than_the_window_is_dropped_and_counted(flight: Flight) -> None:
    messages = flight.until(8.0)
    fixes = [m for m in messages if m[1] == 'gnss/fix']
    run = Run([m for m in messages if m[1] != 'gnss/fix'] + fixes, window__length=0.5)
    horizon = messages[-1][0] - S // 2
    old = sum(stamp_ns(message.header.stamp) < horizon for _, _, message in fixes)
    assert 70 < old < len(fixes)
    assert run.row('solution').values['dropped_late'] == old
    assert run.row('gnss_position').values['dropped_late'] == old


def test_jump_of_a_kilometre_is_refused(flight: Flight) -> None:
    messages = changed(flight.messages, 'gnss/fix', north(1000.0), 20.0, 26.0)
    during = Run([m for m in messages if m[0] - flight.start < 25 * S])
    row = during.row('gnss_position')
    assert row.level is Level.ERROR
    assert 'disagrees' in row.message
    assert np.abs(during.errors(flight)[-1, 1:]).max() < 5.0
    after = during.give([m for m in messages if m[0] - flight.start >= 25 * S])
    assert after.row('gnss_position').level is Level.OK
    assert np.abs(after.errors(flight)[-1, 1:]).max() < 2.0
    assert after.row('gnss_position').values['gate_resets'] == 0


@pytest.mark.parametrize('consistent', [False, True])
def test_drag_off_at_one_metre_a_second_is_flagged(flight: Flight, consistent: bool) -> None:
    messages = changed(flight.messages, 'gnss/fix', north(0.0, 1.0), 20.0)
    if consistent:

        def pull(message: Any, _: float) -> bool:
            message.twist.twist.linear.y += 1.0
            return True

        messages = changed(messages, 'gnss/velocity', pull, 20.0)
    run, flagged = Run([m for m in messages if m[0] - flight.start < 20 * S]), None
    for second in range(20, 45):
        run.give([m for m in messages if second * S <= m[0] - flight.start < (second + 1) * S])
        levels = [run.row(f'gnss_{name}').level for name in ('position', 'velocity')]
        if Level.ERROR in levels and flagged is None:
            flagged = second - 20
    assert flagged is not None
    assert flagged <= (1 if consistent else 6)
    # While the disagreement is beyond its covariance the solution does not follow. A velocity that
    # is off as consistently is not told from the drift of this sensor after about seven seconds.
    errors = run.errors(flight)
    until, most = (26.0, 1.0) if consistent else (40.0, 5.0)
    assert abs(errors[np.searchsorted(errors[:, 0], until), 2]) < most


def test_stuck_fix_is_flagged(flight: Flight) -> None:
    held: list[Any] = []

    def hold(message: Any, _: float) -> bool:
        held.append(message)
        message.latitude, message.longitude = held[0].latitude, held[0].longitude
        message.altitude = held[0].altitude
        return True

    run = Run(changed(flight.until(25.0), 'gnss/fix', hold, 20.0))
    row = run.row('gnss_position')
    assert row.level is Level.ERROR
    assert 'stuck' in row.message
    assert np.abs(run.errors(flight)[-1, 1:]).max() < 5.0


def test_outage_is_dead_reckoning_and_trust_is_regained(flight: Flight) -> None:
    messages = changed(flight.messages, 'gnss/fix', drop, 20.0, 30.0)
    messages = changed(messages, 'gnss/velocity', drop, 20.0, 30.0)
    run = Run([m for m in messages if m[0] - flight.start < 29 * S])
    row = run.row('solution')
    assert row.level is Level.WARN
    assert row.values['status'] == 'dead reckoning'
    assert 5.0 < float(row.values['usable_s']) < 200.0
    before = run.row('gnss_position').values
    run.give([m for m in messages if m[0] - flight.start >= 29 * S])
    after = run.row('gnss_position').values
    assert run.row('solution').values['status'] == 'aided'
    assert int(after['held']) - int(before['held']) >= 4
    assert np.abs(run.errors(flight)[-1, 1:]).max() < 2.0


def test_gap_of_two_seconds_aligns_anew_and_a_short_one_is_bridged(flight: Flight) -> None:
    run = Run(changed(flight.until(35.0), 'imu/data_raw', drop, 20.0, 22.0))
    values = run.row('solution').values
    assert (values['status'], values['alignments'], values['inertial_gaps']) == ('aided', 2, 1)
    assert len(run.origins) == 1
    assert np.abs(run.errors(flight)[-1, 1:]).max() < 3.0
    short = Run(changed(flight.until(30.0), 'imu/data_raw', drop, 20.0, 20.3))
    values = short.row('solution').values
    assert (values['status'], values['alignments'], values['inertial_gaps']) == ('aided', 1, 1)


def test_clock_jump_starts_over_and_one_strange_stamp_does_not(flight: Flight) -> None:
    messages = flight.until(6.0)
    run = Run(messages)
    stray = copy.deepcopy(messages[0][2])
    for offset in (-100 * S, 3600 * S):
        set_stamp(stray.header.stamp, messages[-1][0] + offset)
        run.give([(messages[-1][0], 'imu/data_raw', stray)])
    values = run.row('imu').values
    assert (
        values['refused: far-future stamp'] == values['refused: stamp older than the window'] == 1
    )
    assert run.row('solution').values['clock_jumps'] == 0
    assert run.processor.model.filter is not None
    run.give(messages)  # the same flight once more: the clock went back by 6 s
    values = run.row('solution').values
    assert (values['clock_jumps'], values['status']) == (1, 'aided')
    run.processor.reset(0)
    assert run.row('solution').values['status'] == 'aligning'
    assert run.row('solution').values['resets'] == 1


def bad(message: Any, path: str, value: Any) -> Any:
    message = copy.deepcopy(message)
    *parents, last = path.split('.')
    target = message
    for parent in parents:
        target = getattr(target, parent)
    setattr(target, last, value)
    return message


NAN, INF = math.nan, math.inf
SKEWED = [1.0, 2.0, 0.0, 2.0, 1.0, 0.0, 0.0, 0.0, 1.0]


@pytest.mark.parametrize(
    'case',
    [
        ('imu/data_raw', 'imu', 'angular_velocity.x', NAN, 'not finite'),
        ('imu/data_raw', 'imu', 'linear_acceleration.z', -INF, 'not finite'),
        ('imu/data_raw', 'imu', 'linear_acceleration.z', 1e6, 'out of range'),
        ('imu/data_raw', 'imu', 'angular_velocity_covariance', [-1.0] + [0.0] * 8, 'no data'),
        ('imu/data_raw', 'imu', 'linear_acceleration_covariance', [NAN] * 9, 'bad covariance'),
        ('gnss/fix', 'gnss_position', 'latitude', NAN, 'not finite'),
        ('gnss/fix', 'gnss_position', 'latitude', 91.0, 'out of range'),
        ('gnss/fix', 'gnss_position', 'altitude', NAN, 'no altitude'),
        ('gnss/fix', 'gnss_position', 'status.status', -1, 'no fix'),
        ('gnss/fix', 'gnss_position', 'position_covariance_type', 0, 'unknown covariance'),
        ('gnss/fix', 'gnss_position', 'position_covariance', [0.0] * 9, 'unknown covariance'),
        ('gnss/fix', 'gnss_position', 'position_covariance', SKEWED, 'bad covariance'),
        ('gnss/fix', 'gnss_position', 'position_covariance', [NAN] * 9, 'bad covariance'),
        ('gnss/velocity', 'gnss_velocity', 'twist.twist.linear.x', INF, 'not finite'),
        ('gnss/velocity', 'gnss_velocity', 'twist.covariance', [0.0] * 36, 'unknown covariance'),
        ('baro/pressure', 'barometer', 'fluid_pressure', NAN, 'not finite'),
        ('baro/pressure', 'barometer', 'fluid_pressure', 0.0, 'out of range'),
        ('baro/pressure', 'barometer', 'variance', 0.0, 'unknown covariance'),
        ('baro/pressure', 'barometer', 'variance', -1.0, 'bad covariance'),
        ('imu/mag', 'magnetic_heading', 'magnetic_field.x', 8e-4, 'out of range'),
        ('imu/mag', 'magnetic_heading', 'magnetic_field.x', NAN, 'not finite'),
    ],
)
def test_bad_input_is_refused_with_its_reason(
    flight: Flight, case: tuple[str, str, str, Any, str]
) -> None:
    topic, sensor, path, value, reason = case
    messages = flight.until(2.0)
    run = Run(messages)
    run.processor.window.settle()
    state = run.processor.model.snapshot()[2]
    message = next(m for _, name, m in reversed(messages) if name == topic)
    message = bad(message, path, value)
    set_stamp(message.header.stamp, messages[-1][0] + 1)
    assert run.processor.on_message(topic, message, messages[-1][0]) == ()
    row = run.row(sensor)
    assert row.level is Level.WARN
    assert [key for key in row.values if key.startswith('refused: ' + reason)]
    assert row.values['refused'] == 1
    after = run.processor.model.snapshot()[2]
    assert repr(after) == repr(state)


@pytest.mark.parametrize('topic', sorted(TAKEN - {'attitude_update', 'position_update'}))
@pytest.mark.parametrize(
    ('offset', 'reason'), [(None, 'zero stamp'), (3600 * S, 'far-future stamp')]
)
def test_impossible_stamps_are_refused(
    flight: Flight, topic: str, offset: int | None, reason: str
) -> None:
    messages = flight.until(2.0)
    run = Run(messages)
    message = copy.deepcopy(next(m for _, name, m in reversed(messages) if name == topic))
    set_stamp(message.header.stamp, 0 if offset is None else messages[-1][0] + offset)
    run.give([(messages[-1][0], topic, message)])
    rows = {row.name: row.values for row in run.processor.diagnostics(0)}
    assert sum(f'refused: {reason}' in values for values in rows.values()) == 1


def test_unknown_covariance_can_be_allowed(flight: Flight) -> None:
    def unknown(message: Any, _: float) -> bool:
        message.position_covariance_type = 0
        return True

    messages = changed(flight.until(5.0), 'gnss/fix', unknown, 0.0)
    assert Run(messages).row('solution').values['status'] == 'aligning'
    run = Run(messages, gnss__unknown_position_sigma=1.0)
    assert run.row('solution').values['status'] == 'aided'


def star(flight: Flight, seconds: float, **fields: Any) -> Delivered:
    """True star attitude of the flight at a time, 0.01 deg."""
    stamp = min(flight.truth, key=lambda t: abs(t - flight.start - seconds * S))
    to_enu = from_message(flight.truth[stamp].pose.pose.orientation)
    sky = from_matrix(icrs_to_enu(stamp, flight.origin.latitude, flight.origin.longitude))
    message = AttitudeUpdate(
        source_mask=AttitudeUpdate.SOURCE_STARS, method=AttitudeUpdate.METHOD_IMAGE
    )
    set_stamp(message.header.stamp, stamp)
    w, x, y, z = multiply(conjugate(to_enu), sky)
    message.orientation.w, message.orientation.x = w, x
    message.orientation.y, message.orientation.z = y, z
    message.covariance = [3e-8, 0.0, 0.0, 0.0, 3e-8, 0.0, 0.0, 0.0, 3e-8]
    for name, value in fields.items():
        setattr(message, name, value)
    return stamp + S // 5, 'attitude_update', message


def test_stars_sharpen_the_heading_and_a_wrong_one_is_refused(flight: Flight) -> None:
    stars = [star(flight, t) for t in (5.0, 6.0, 7.0, 8.0)]
    wrong = star(flight, 9.0)
    q = wrong[2].orientation
    q.w, q.x, q.y, q.z = -q.z, -q.y, q.x, q.w  # half a turn
    messages = sorted(flight.until(10.0) + stars + [wrong], key=lambda m: m[0])
    with_stars, without = Run(messages), Run(flight.until(10.0))
    values = with_stars.row('star_attitude').values
    assert (values['accepted'], values['rejected']) == (4, 1)
    assert values['earth_orientation'] in {'table', 'prediction', 'extrapolated'}
    better = float(with_stars.row('solution').values['heading_sigma_deg'])
    worse = float(without.row('solution').values['heading_sigma_deg'])
    assert better < 0.05 < worse
    truth = flight.truth[stamp_ns(with_stars.odometry[-1].header.stamp)].pose.pose.orientation
    got = with_stars.odometry[-1].pose.pose.orientation
    dot = abs(truth.w * got.w + truth.x * got.x + truth.y * got.y + truth.z * got.z)
    assert math.degrees(2.0 * math.acos(min(dot, 1.0))) < 0.15


def test_stars_align_without_a_magnetometer(flight: Flight) -> None:
    messages = [m for m in flight.until(6.0) if m[1] != 'imu/mag']
    waiting = Run(messages)
    assert 'heading' in waiting.row('solution').message
    both = sorted([*messages, star(flight, 2.0)], key=lambda m: m[0])
    assert Run(both).row('solution').values['heading_source'] == 'star'


@pytest.mark.parametrize(
    ('fields', 'reason'),
    [
        ({'method': AttitudeUpdate.METHOD_UNKNOWN}, 'not from one image'),
        ({'source_mask': 0}, 'unknown source'),
        ({'source_mask': AttitudeUpdate.SOURCE_STARS | AttitudeUpdate.SOURCE_FUSION}, 'already'),
        ({'covariance': [0.0] * 9}, 'unknown covariance'),
        ({'covariance': SKEWED}, 'bad covariance'),
    ],
)
def test_star_attitudes_that_are_refused(
    flight: Flight, fields: dict[str, Any], reason: str
) -> None:
    run = Run(sorted([*flight.until(4.0), star(flight, 3.0, **fields)], key=lambda m: m[0]))
    assert reason in run.row('star_attitude').message
    crooked = star(flight, 3.5)
    for axis in 'wxyz':
        setattr(crooked[2].orientation, axis, 1.1 * getattr(crooked[2].orientation, axis))
    run.give([crooked])
    assert 'refused: not a unit quaternion' in run.row('star_attitude').values
    foreign = star(flight, 3.6)
    foreign[2].header.frame_id = 'star_camera'
    run.give([foreign])
    assert 'refused: wrong frame' in run.row('star_attitude').values


def test_filtered_star_attitudes_are_passed_over_without_a_fault(flight: Flight) -> None:
    stars = [star(flight, t) for t in (2.0, 2.5)]
    filtered = [
        star(flight, 2.0 + 0.01 * k, method=AttitudeUpdate.METHOD_FILTERED) for k in range(100)
    ]
    both = Run(sorted([*flight.until(4.0), *filtered, *stars], key=lambda m: m[0]))
    alone = Run(sorted([*flight.until(4.0), *stars], key=lambda m: m[0]))
    row = both.row('star_attitude')
    assert (row.level, row.values['passed_over'], row.values['refused']) == (Level.OK, 100, 0)
    assert both.odometry == alone.odometry
    only = Run(sorted([*flight.until(4.0), *filtered], key=lambda m: m[0]))
    assert only.row('star_attitude').level is Level.OK


def an_hour_off(messages: list[Delivered]) -> list[Delivered]:
    """As delivered to a computer whose clock, and all its sensors', is an hour ahead."""
    moved = copy.deepcopy(messages)
    for _, _, message in moved:
        message.header.stamp.sec += 3600
    return moved


def test_a_clock_off_by_an_hour_is_noticed_and_does_not_spoil_the_solution(
    flight: Flight,
) -> None:
    """The Earth then stands 15 deg wrong under the stars."""
    stars = [star(flight, float(t)) for t in range(1, 11)]
    messages = sorted([*flight.until(11.0), *stars], key=lambda m: m[0])
    run = Run(an_hour_off(messages))
    solution, row = run.row('solution'), run.row('star_attitude')
    assert solution.values['heading_source'] == 'magnetometer'
    assert row.level is Level.ERROR
    assert 'wrong time' in row.message
    assert run.row('gnss_position').level is Level.OK
    assert float(solution.values['horizontal_sigma_m']) < 2.0
    alone = Run(an_hour_off([m for m in messages if m[1] != 'imu/mag']))
    assert alone.row('solution').values['status'] == 'aligning'
    assert 'is the time wrong?' in alone.row('solution').message


def test_images_that_all_come_too_late_are_told(flight: Flight) -> None:
    late = [(t + 4 * S, topic, m) for t, topic, m in (star(flight, s) for s in (2.0, 3.0))]
    run = Run(sorted([*flight.until(9.0), *late], key=lambda m: m[0]))
    row = run.row('star_attitude')
    assert row.level is Level.WARN
    assert 'window.length' in row.message
    assert row.values['dropped_late'] == 2


def celestial(flight: Flight, seconds: float, mask: int) -> Delivered:
    stamp = min(flight.truth, key=lambda t: abs(t - flight.start - seconds * S))
    p = flight.truth[stamp].pose.pose.position
    message = PositionUpdate(source_mask=mask)
    set_stamp(message.header.stamp, stamp)
    message.latitude, message.longitude, message.altitude = flight.origin.to_geodetic(p.x, p.y, p.z)
    message.altitude = math.nan
    message.covariance = [25.0, 0.0, 0.0, 0.0, 25.0, 0.0, 0.0, 0.0, 0.0]
    return stamp + S // 5, 'position_update', message


def test_celestial_position_only_where_it_is_independent(flight: Flight) -> None:
    messages = changed(flight.until(40.0), 'gnss/fix', drop, 15.0)
    messages = changed(messages, 'gnss/velocity', drop, 15.0)
    results = {}
    for mask in (PositionUpdate.SOURCE_STARS, PositionUpdate.SOURCE_GNSS | 32):
        fixes = [celestial(flight, float(t), mask) for t in range(20, 40)]
        run = Run(sorted(messages + fixes, key=lambda m: m[0]))
        results[mask] = run
    independent, mixed = results.values()
    assert independent.row('celestial_position').values['accepted'] == 20
    assert independent.row('solution').values['status'] == 'aided'
    assert mixed.row('celestial_position').values['passed_over'] == 20
    assert mixed.row('celestial_position').level is Level.OK
    circular = celestial(flight, 39.5, PositionUpdate.SOURCE_STARS | PositionUpdate.SOURCE_FUSION)
    mixed.give([circular])
    assert 'already fused' in mixed.row('celestial_position').message
    assert mixed.row('solution').values['status'] == 'dead reckoning'
    sigma = [float(r.row('solution').values['horizontal_sigma_m']) for r in results.values()]
    assert sigma[0] < 0.6 * sigma[1]


def test_a_position_by_the_same_accelerometers_is_not_counted_twice(flight: Flight) -> None:
    messages = changed(flight.until(30.0), 'gnss/fix', drop, 15.0)
    messages = changed(messages, 'gnss/velocity', drop, 15.0)
    mask = (
        PositionUpdate.SOURCE_STARS
        | PositionUpdate.SOURCE_ACCELEROMETER
        | PositionUpdate.SOURCE_BAROMETER
    )
    fixes = [celestial(flight, float(t), mask) for t in range(20, 30)]
    for _, _, message in fixes:
        message.altitude = 9000.0  # of the barometer, which is fused itself: must not be used
    given = sorted(messages + fixes, key=lambda m: m[0])
    same = Run(given)
    row = same.row('celestial_position')
    assert (row.level, row.values['passed_over'], row.values['accepted']) == (Level.OK, 10, 0)
    assert same.odometry == Run(messages).odometry
    other = Run(given, celestial__other_inertial_sensor=True)
    assert other.row('celestial_position').values['accepted'] == 10
    heights = [run.odometry[-1].pose.pose.position.z for run in (same, other)]
    assert heights[0] == pytest.approx(heights[1], abs=2.0)


def test_what_is_not_known_of_time_widens_star_attitudes(flight: Flight) -> None:
    """Years past the end of the table UT1 is uncertain: about the Earth's axis, no other one."""

    def spread(message: Any) -> Any:
        return read_attitude(message, NavigationParameters()).covariance

    _, _, message = star(flight, 2.0)
    before = spread(message)
    message.header.stamp.sec = table_end_ns() // S + 2 * 365 * 86400
    grown = spread(message) - before
    values, vectors = np.linalg.eigh(grown)
    assert math.sqrt(values[2]) == pytest.approx(7.292115e-5 * 0.366, rel=0.1)
    assert abs(values[0]) + abs(values[1]) < 1e-3 * values[2]
    q = from_message(message.orientation)
    axis = rotate(conjugate(q), vectors[:, 2].tolist())  # in ICRS, near to the pole
    assert abs(axis[2]) > 0.99


def test_parameters_change_between_messages(flight: Flight) -> None:
    run = Run(flight.until(5.0))
    position = run.processor.model.filter.position  # type: ignore[union-attr]
    new = from_mapping(NavigationParameters, {'gate.probability': 0.9, 'odometry_divider': 10})
    run.processor.set_parameters(new)
    assert run.processor.model.filter.position == position  # type: ignore[union-attr]
    count = len(run.odometry)
    run.give([m for m in flight.until(6.0) if m[0] - flight.start >= 5 * S])
    assert len(run.odometry) - count == pytest.approx(20, abs=1)
    with pytest.raises(ValueError, match='max_gap'):
        from_mapping(NavigationParameters, {'imu.max_gap': 0.01})


def test_a_filter_that_is_wrong_for_good_aligns_anew(flight: Flight) -> None:
    messages = flight.until(35.0)
    run = Run(
        [m for m in messages if m[0] - flight.start < 15 * S],
        gate__realign_after=8.0,
        gate__recovery_after=0.0,
    )
    f = run.processor.model.running
    w, x, y, z = f.attitude
    f.attitude = (
        z,
        y,
        -x,
        -w,
    )  # half a turn about the vertical, believed to a fraction of a degree
    run.processor.window.clear()
    run.give([m for m in messages if 15 * S <= m[0] - flight.start < 21 * S])
    assert run.row('gnss_position').level is Level.ERROR
    run.give([m for m in messages if m[0] - flight.start >= 21 * S])
    values = run.row('solution').values
    assert (values['status'], values['alignments']) == ('aided', 2)
    assert np.abs(run.errors(flight)[-1, 1:]).max() < 3.0


def test_lever_arm_moves_the_solution_to_the_inertial_sensor(flight: Flight) -> None:
    """The simulated antenna is at the sensor: an arm of 3 m up puts the solution 3 m lower."""
    messages = [m for m in flight.until(15.0) if m[1] != 'gnss/velocity']
    heights = []
    for arm in (0.0, 3.0):
        run = Run(messages, gnss__lever_arm=(0.0, 0.0, arm))
        heights.append(run.odometry[-1].pose.pose.position.z)
    assert heights[1] - heights[0] == pytest.approx(-3.0, abs=0.6)
