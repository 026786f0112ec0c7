# SPDX-License-Identifier: Apache-2.0
"""Sensor models against what their parameters promise."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from meta_repo_ros.core import rotations
from meta_repo_ros.core.earth import icrs_to_enu
from meta_repo_ros.core.geodesy import LocalFrame, pressure_altitude
from meta_repo_ros.core.parameters import from_mapping
from meta_repo_ros.simulation.faults import Fault
from meta_repo_ros.simulation.library import find_scenario
from meta_repo_ros.simulation.sensors.air import AirDataSensor, BarometerSensor
from meta_repo_ros.simulation.sensors.base import Sensor, SensorContext
from meta_repo_ros.simulation.sensors.gnss import GnssSensor
from meta_repo_ros.simulation.sensors.horizon_camera import HorizonCameraSensor
from meta_repo_ros.simulation.sensors.imu import ImuSensor
from meta_repo_ros.simulation.sensors.magnetometer import MagnetometerSensor
from meta_repo_ros.simulation.sensors.rotor import RotorSensor
from meta_repo_ros.simulation.sensors.star_attitude import SimulatedStarAttitude
from meta_repo_ros.simulation.sensors.triaxial import Triad, TriaxialParameters
from meta_repo_ros.simulation.simulator import Simulator
from meta_repo_ros.simulation.state import VehicleState, ecef_from_enu


@pytest.fixture(scope='module')
def state() -> VehicleState:
    """Somewhere in the turn of the demonstration flight."""
    simulator = Simulator(
        dataclasses.replace(find_scenario('demo').with_duration(15.0), sensors=())
    )
    for _ in simulator.run():
        pass
    return simulator.state


def _make(
    cls: type[Sensor], state: VehicleState, *faults: Fault, rate: float | None = None, **values: Any
) -> Any:
    parameters = from_mapping(cls.Parameters, values)
    return cls(parameters, SensorContext('s', rate or cls.default_rate, faults, state))


def _readings(sensor: Sensor, state: VehicleState, count: int) -> list[Any]:
    rng = np.random.default_rng(7)
    return [[s.message for s in sensor.sample(state, rng)] for _ in range(count)]


def _fault(kind: str, **values: Any) -> Fault:
    return Fault(sensor='s', type=kind, start=0.0, **values)


def _turned(state: VehicleState, orientation: Any) -> VehicleState:
    to_ecef = ecef_from_enu(state.latitude, state.longitude)
    return dataclasses.replace(
        state,
        orientation=orientation,
        orientation_ecef=rotations.multiply(to_ecef, orientation),
    )


# -- triads ----------------------------------------------------------------------------------------
def test_white_noise_has_its_density_at_any_rate() -> None:
    for rate in (50.0, 200.0):
        triad = Triad(TriaxialParameters(noise_density=0.01), rate)
        rng = np.random.default_rng(1)
        readings = np.array([triad.measure((0.0, 0.0, 0.0), rng) for _ in range(20000)])
        # the standard deviation of 60,000 draws is known within 0.3 %
        assert readings.std() == pytest.approx(0.01 * math.sqrt(rate), rel=0.015)
        assert abs(readings.mean()) < 5.0 * 0.01 * math.sqrt(rate / 60000.0)


def test_bias_starts_with_its_spread_and_walks() -> None:
    starts, ends = [], []
    for seed in range(400):
        triad = Triad(TriaxialParameters(bias_sigma=0.5, bias_random_walk=0.2), 10.0)
        rng = np.random.default_rng(seed)
        first = triad.measure((0.0, 0.0, 0.0), rng)
        for _ in range(100):
            last = triad.measure((0.0, 0.0, 0.0), rng)
        starts.append(first)
        ends.append(np.subtract(last, first))
        assert last == pytest.approx(triad.bias)
    assert np.std(starts) == pytest.approx(math.hypot(0.5, 0.2 * math.sqrt(0.1)), rel=0.1)
    assert np.std(ends) == pytest.approx(0.2 * math.sqrt(10.0), rel=0.1)


def test_scale_misalignment_saturation_and_steps() -> None:
    rng = np.random.default_rng(1)
    triad = Triad(
        TriaxialParameters(
            scale=(0.01, 0.0, 0.0), misalignment=(0.0, 0.02, 0.0, 0.0, 0.0, 0.0), range=5.0
        ),
        100.0,
    )
    assert triad.measure((1.0, 2.0, 3.0), rng) == pytest.approx((1.01 + 0.02 * 3.0, 2.0, 3.0))
    assert triad.measure((1.0, -7.0, 7.0), rng)[1:] == (-5.0, 5.0)
    coarse = Triad(TriaxialParameters(resolution=0.25), 100.0)
    assert coarse.measure((0.3, 0.4, -0.3), rng) == pytest.approx((0.25, 0.5, -0.25))


def test_imu_shows_faults_and_its_conventions(state: VehicleState) -> None:
    level = _turned(dataclasses.replace(state, velocity_ecef=(0.0, 0.0, 0.0)), (1.0, 0.0, 0.0, 0.0))
    later = dataclasses.replace(level, stamp=level.stamp + 5_000_000)
    quiet = {
        f'{triad}.{name}': 0.0
        for triad in ('gyroscope', 'accelerometer')
        for name in ('noise_density', 'bias_random_walk', 'bias_sigma', 'resolution')
    }
    rng = np.random.default_rng(1)
    message = _make(ImuSensor, level, **quiet).sample(later, rng)[0].message
    frame = LocalFrame(math.degrees(state.latitude), math.degrees(state.longitude), state.altitude)
    # at rest: gravity upwards, the turn of the Earth
    g = frame.gravity(0.0, 0.0, 0.0)
    a, w = message.linear_acceleration, message.angular_velocity
    assert (a.x, a.y, a.z) == pytest.approx((-g[0], -g[1], -g[2]), abs=1e-6)
    assert (w.x, w.y, w.z) == pytest.approx(frame.earth_rate, abs=1e-9)
    assert message.orientation_covariance[0] == -1.0

    pushed = _make(
        ImuSensor, level, _fault('accelerometer_offset', value=(200.0, 0.0, 0.0)), **quiet
    )
    assert pushed.sample(later, rng)[0].message.linear_acceleration.x == pytest.approx(78.4532)
    broken = _make(ImuSensor, level, _fault('nan'), **quiet)
    assert math.isnan(broken.sample(later, rng)[0].message.angular_velocity.z)


# -- satellites ------------------------------------------------------------------------------------
def _enu(state: VehicleState, fix: Any) -> tuple[float, float, float]:
    frame = LocalFrame(math.degrees(state.latitude), math.degrees(state.longitude), state.altitude)
    return frame.to_enu(fix.latitude, fix.longitude, fix.altitude)


def test_gnss_errors_are_as_declared(state: VehicleState) -> None:
    readings = _readings(_make(GnssSensor, state), state, 3000)
    errors = np.array([_enu(state, fix) for fix, _ in readings[:1000]])
    assert errors.std(axis=0) == pytest.approx([0.5, 0.5, 1.0], rel=0.1)
    assert abs(errors.mean(axis=0)).max() < 0.15
    fix, twist = readings[0]
    assert np.asarray(fix.position_covariance)[[0, 4, 8]] == pytest.approx([0.25, 0.25, 1.0])
    assert np.asarray(twist.twist.covariance)[[0, 7, 14]] == pytest.approx([0.0025, 0.0025, 0.0064])
    speeds = [(t.twist.twist.linear.x, t.twist.twist.linear.z) for _, t in readings]
    assert np.std(speeds, axis=0) == pytest.approx([0.05, 0.08], rel=0.08)
    assert np.mean(speeds, axis=0) == pytest.approx(
        [state.velocity[0], state.velocity[2]], abs=0.01
    )


def test_gnss_error_can_be_correlated(state: VehicleState) -> None:
    sensor = _make(GnssSensor, state, rate=10.0, correlation_time=5.0)
    east = np.array([_enu(state, fix)[0] for fix, _ in _readings(sensor, state, 3000)])
    assert east.std() == pytest.approx(0.5, rel=0.25)
    assert np.corrcoef(east[:-10], east[10:])[0, 1] == pytest.approx(math.exp(-0.2), abs=0.1)


def test_spoofed_fix_drags_position_and_velocity_together(state: VehicleState) -> None:
    quiet = {
        'horizontal_sigma': 0.0, 'vertical_sigma': 0.0,
        'horizontal_velocity_sigma': 0.0, 'vertical_velocity_sigma': 0.0,
    }  # fmt: skip
    drag = _make(GnssSensor, state, _fault('offset', rate=(1.0, 0.0, 0.0)), **quiet)
    fix, twist = _readings(drag, state, 1)[0]
    assert _enu(state, fix) == pytest.approx((state.time, 0.0, 0.0), abs=1e-3)
    assert twist.twist.twist.linear.x == pytest.approx(state.velocity[0] + 1.0)
    jump = _make(GnssSensor, state, _fault('position_offset', value=(0.0, 1000.0, 0.0)), **quiet)
    fix, twist = _readings(jump, state, 1)[0]
    # along the ellipsoid: it drops under the tangent plane by 1000^2 / 2 R
    assert _enu(state, fix) == pytest.approx((0.0, 1000.0, -0.078), abs=0.02)
    assert twist.twist.twist.linear.y == pytest.approx(state.velocity[1])
    lost = _make(GnssSensor, state, _fault('nan'), **quiet)
    assert math.isnan(_readings(lost, state, 1)[0][0].latitude)


# -- field, air, rotors ----------------------------------------------------------------------------
def test_magnetometer_sees_the_field_turned_and_distorted(state: VehicleState) -> None:
    quiet = {'noise_sigma': 0.0, 'resolution': 0.0}
    sensor = _make(MagnetometerSensor, state, **quiet)
    field = np.array(sensor.earth_field(state))
    # Innsbruck, 2026: 48.7 uT, dip 64 deg, declination 4.5 deg east
    assert np.linalg.norm(field) == pytest.approx(48.7e-6, abs=0.5e-6)
    assert math.degrees(math.atan2(-field[2], np.hypot(*field[:2]))) == pytest.approx(64.0, abs=1.0)
    assert math.degrees(math.atan2(field[0], field[1])) == pytest.approx(4.5, abs=1.0)
    north = _turned(state, rotations.from_euler(0.0, 0.0, math.pi / 2.0))
    m = _readings(sensor, north, 1)[0][0].magnetic_field
    assert (m.x, m.y, m.z) == pytest.approx((field[1], -field[0], field[2]), abs=1e-12)

    iron = _make(
        MagnetometerSensor, state, _fault('offset', value=(0.0, 0.0, 1.0)), **quiet,
        hard_iron=(1e-6, 0.0, 0.0), soft_iron=(1.1, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0),
    )  # fmt: skip
    m = _readings(iron, north, 1)[0][0].magnetic_field
    assert m.x == pytest.approx(1.1 * field[1] + 1e-6)
    assert m.z == 8.0e-4  # saturated


def test_barometer_and_air_data(state: VehicleState) -> None:
    quiet = {'noise_sigma': 0.0, 'bias_sigma': 0.0, 'bias_random_walk': 0.0}
    pressure = _readings(_make(BarometerSensor, state, **quiet), state, 1)[0][0].fluid_pressure
    # geopotential against geometric height: 0.4 m at 1500 m
    assert pressure_altitude(pressure) == pytest.approx(state.altitude, abs=1.0)
    noisy = [m.fluid_pressure for (m,) in _readings(_make(BarometerSensor, state), state, 2000)]
    assert np.std(np.diff(noisy)) == pytest.approx(3.0 * math.sqrt(2.0), rel=0.06)

    air = [m for (m,) in _readings(_make(AirDataSensor, state), state, 2000)]
    assert np.std([m.true_airspeed for m in air]) == pytest.approx(0.5, rel=0.06)
    assert np.mean([m.true_airspeed for m in air]) == pytest.approx(state.airspeed, abs=0.05)
    assert math.isnan(air[0].wind.x)
    assert math.isnan(air[0].height_above_ground)  # 900 m: out of range
    low = dataclasses.replace(state, airspeed=3.0, height_above_ground=40.0)
    message = _readings(_make(AirDataSensor, state), low, 1)[0][0]
    assert math.isnan(message.angle_of_attack)
    assert message.height_above_ground == pytest.approx(40.0, abs=2.0)


def test_rotor_speeds(state: VehicleState) -> None:
    four = dataclasses.replace(state, rotor_speed=(500.0, 510.0, 520.0, 0.0), thrust_command=13.7)
    message = _readings(_make(RotorSensor, state), four, 1)[0][0]
    assert list(message.speed) == pytest.approx([500.0, 510.0, 520.0, 0.0], abs=3.0)
    assert min(message.speed) >= 0.0
    assert message.thrust_command == 13.7


# -- attitude and camera ---------------------------------------------------------------------------
def test_star_attitude_turns_icrs_into_the_body(state: VehicleState) -> None:
    sensor = _make(SimulatedStarAttitude, state, sigma=(0.0, 0.0, 0.0))
    message = _readings(sensor, state, 1)[0][0]
    measured = rotations.to_matrix(rotations.from_message(message.orientation))
    enu = icrs_to_enu(state.stamp, math.degrees(state.latitude), math.degrees(state.longitude))
    expected = rotations.to_matrix(state.orientation).T @ enu
    assert np.allclose(measured, expected, atol=1e-9)
    assert message.source_mask == message.SOURCE_STARS
    assert message.method == message.METHOD_IMAGE

    noisy = _make(SimulatedStarAttitude, state)
    truth = rotations.from_message(message.orientation)
    errors = [
        rotations.log(
            rotations.multiply(rotations.from_message(m.orientation), rotations.conjugate(truth))
        )
        for (m,) in _readings(noisy, state, 500)
    ]
    assert np.std(errors, axis=0) == pytest.approx([1.745e-4] * 3, rel=0.1)
    assert np.asarray(noisy.sample(state, np.random.default_rng(1))[0].message.covariance)[
        0
    ] == pytest.approx(1.745e-4**2)


def test_horizon_lies_where_the_attitude_says(state: VehicleState) -> None:
    low = dataclasses.replace(state, altitude=0.0)
    camera = _make(HorizonCameraSensor, state)
    level = camera.draw(_turned(low, (1.0, 0.0, 0.0, 0.0)))
    assert level[:59].min() > 180
    assert level[61:].max() < 80
    right = camera.draw(_turned(low, rotations.from_euler(math.pi / 2.0, 0.0, 0.0)))
    # right wing down: the ground is on the right
    assert right[:, 82:].max() < 80
    assert right[:, :78].min() > 180
    up = camera.draw(_turned(low, rotations.from_euler(0.0, -math.radians(10.0), 0.0)))
    rows = np.flatnonzero(up[:, 80] < 130)
    assert rows[0] - 59.5 == pytest.approx(80.0 * math.tan(math.radians(10.0)), abs=1.0)
    image, info = _readings(camera, low, 1)[0]
    assert len(image.data) == image.width * image.height == 160 * 120
    assert info.k[0] == pytest.approx(80.0)
