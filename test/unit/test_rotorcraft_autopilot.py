# SPDX-License-Identifier: Apache-2.0
"""The simulated helicopter hovers, descends and tilts as it is told; the quadrotor descends."""

from __future__ import annotations

import math

import numpy as np
import pytest

from meta_repo_ros.control.rotorcraft import RotorcraftAutopilot, RotorcraftGains
from meta_repo_ros.control.setpoints import Command
from meta_repo_ros.core import rotations
from meta_repo_ros.core.rotations import Vector
from meta_repo_ros.core.rotorcraft import ROTORCRAFT, SEA_LEVEL_DENSITY
from meta_repo_ros.simulation.scenario import Initial, Turbulence, Wind
from meta_repo_ros.simulation.state import VehicleState
from meta_repo_ros.simulation.vehicle import Vehicle, VehicleError, find_aircraft

_RATE = 200


class _Flight:
    def __init__(self, name: str, wind: float = 0.0, altitude: float = 20.0) -> None:
        kind = find_aircraft(name)
        initial = Initial(altitude=altitude, height=500.0, heading=90.0)
        weather = Wind(speed=wind, direction=270.0)
        self.vehicle = Vehicle(
            kind, initial, weather, Turbulence(), tick_rate=_RATE, seed=1, start=10**18
        )
        self.autopilot = kind.autopilot(self.vehicle.trim)

    def fly(self, seconds: float, command: Command) -> list[VehicleState]:
        states = []
        for _ in range(round(seconds * _RATE)):
            controls = self.autopilot.control(self.vehicle.state, command, 1.0 / _RATE)
            states.append(self.vehicle.step(controls))
        return states


_HOVER = Command(velocity=(0.0, 0.0, 0.0))


def _tilt(state: VehicleState) -> float:
    return math.acos(rotations.rotate(state.orientation, (0.0, 0.0, 1.0))[2])


def test_helicopter_starts_in_a_trimmed_hover_in_wind() -> None:
    flight = _Flight('ah1s', wind=6.0)
    first = flight.vehicle.state
    assert first.velocity == pytest.approx((0.0, 0.0, 0.0), abs=1e-6)
    assert first.rotor_speed[0] == pytest.approx(33.93, rel=0.02)
    assert math.isnan(first.thrust_command)
    states = flight.fly(5.0, _HOVER)
    assert max(np.linalg.norm(s.velocity) for s in states) < 0.2
    assert np.linalg.norm(states[-1].local_position) < 0.3
    # the tail rotor pushes to the right: it hangs over to the left
    roll = rotations.to_euler(states[-1].orientation)[0]
    assert math.radians(-4.0) < roll < math.radians(-1.0)


def test_helicopter_is_the_one_that_is_known() -> None:
    state = _Flight('ah1s').vehicle.state
    known = ROTORCRAFT['ah1s']
    assert state.mass == pytest.approx(known.mass, rel=1e-3)
    assert state.thrust == pytest.approx(known.weight, rel=0.02)
    low, high = known.collective_range or (math.nan, math.nan)
    assert (state.collective - low) / (high - low) == pytest.approx(known.hover_fraction, abs=0.02)
    gains = RotorcraftGains()
    assert (gains.collective_low, gains.collective_high) == (low, high)
    density = state.static_pressure / (287.053 * state.temperature)
    assert density == pytest.approx(SEA_LEVEL_DENSITY, rel=0.01)
    assert known.hover_induced_velocity(density, state.thrust) == pytest.approx(10.5, abs=0.1)


def test_quadrotor_is_the_one_that_is_known() -> None:
    states = _Flight('f450').fly(3.0, _HOVER)
    known = ROTORCRAFT['f450']
    assert states[-1].mass == pytest.approx(known.mass)
    assert np.mean(states[-1].rotor_speed) == pytest.approx(known.rotor_speed, rel=0.01)
    assert states[-1].thrust_command == pytest.approx(known.weight, rel=0.06)


@pytest.mark.parametrize(('name', 'share'), [('ah1s', 1.0), ('ah1s', 1.25), ('f450', 1.3)])
def test_descends_at_shares_of_the_induced_velocity(name: str, share: float) -> None:
    flight = _Flight(name)
    sink = share * ROTORCRAFT[name].hover_induced_velocity()
    states = flight.fly(22.0 if name == 'ah1s' else 13.0, Command(velocity=(0.0, 0.0, -sink)))
    assert states[-1].velocity == pytest.approx((0.0, 0.0, -sink), abs=0.04 * sink)
    assert max(_tilt(s) for s in states) < math.radians(6.0)
    low, high = ROTORCRAFT[name].rotor_speed_band
    assert all(low < speed < high for s in states for speed in s.rotor_speed)


def test_helicopter_flies_a_velocity_climbs_and_stops() -> None:
    flight = _Flight('ah1s')
    assert flight.fly(22.0, Command(velocity=(9.0, -4.0, 2.0)))[-1].velocity == pytest.approx(
        (9.0, -4.0, 2.0), abs=0.7
    )
    end = flight.fly(25.0, Command(course=0.5 * math.pi, airspeed=6.0, altitude=60.0))[-1]
    assert end.altitude == pytest.approx(60.0, abs=2.0)
    assert math.atan2(end.velocity[1], end.velocity[0]) == pytest.approx(0.5 * math.pi, abs=0.15)


@pytest.mark.parametrize('towards', [(0.0, 1.0), (1.0, 0.0), (-1.0, 0.0), (0.0, -1.0)])
def test_helicopter_holds_a_tilt_of_15_deg(towards: tuple[float, float]) -> None:
    flight = _Flight('ah1s')
    tilt = math.radians(15.0)
    wanted = rotations.from_euler(towards[0] * tilt, towards[1] * tilt, 0.0)
    states = flight.fly(5.0, Command(attitude=wanted, thrust=0.5))
    assert rotations.angle(states[-1].orientation, wanted) < math.radians(6.0)
    assert _tilt(states[-1]) == pytest.approx(tilt, abs=math.radians(1.0))
    assert max(_tilt(s) for s in states) < math.radians(16.0)
    east, north, _ = states[-1].velocity
    # heading east; positive pitch is nose down, positive roll to the right, that is south
    assert towards[1] * east - towards[0] * north > 6.0
    stopped = flight.fly(14.0, _HOVER)[-1]
    assert math.hypot(*stopped.velocity[:2]) < 1.5


def test_helicopter_takes_collective_and_rotor_speed() -> None:
    flight = _Flight('ah1s')
    level = flight.vehicle.state.orientation
    command = Command(attitude=level, collective=0.24, rotor_speed=(32.0,))
    end = flight.fly(4.0, command)[-1]
    assert end.collective == pytest.approx(0.24, abs=1e-3)
    assert end.rotor_speed[0] == pytest.approx(32.0, abs=0.4)
    assert end.velocity[2] < -3.0
    # neither beyond the band nor beyond the range of the blades
    end = flight.fly(3.0, Command(attitude=level, collective=0.9, rotor_speed=(90.0,)))[-1]
    assert end.collective == pytest.approx(0.36, abs=1e-3)
    assert end.rotor_speed[0] < 35.6


def test_helicopter_follows_a_body_rate() -> None:
    end = _Flight('ah1s').fly(4.0, Command(body_rate=(0.0, 0.0, 0.2), altitude=20.0))[-1]
    assert end.body_rate[2] == pytest.approx(0.2, abs=0.03)


def test_quadrotor_takes_rotor_speed_as_thrust() -> None:
    flight = _Flight('f450')
    level: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)
    flight.fly(1.0, _HOVER)
    end = flight.fly(1.0, Command(attitude=level, rotor_speed=(560.0,) * 4))[-1]
    assert np.mean(end.rotor_speed) == pytest.approx(560.0, rel=0.02)
    assert end.velocity[2] > 0.5


def test_quadrotor_holds_tilt_and_thrust() -> None:
    wanted = rotations.from_euler(0.0, math.radians(15.0), 0.0)
    states = _Flight('f450').fly(2.0, Command(attitude=wanted, thrust=0.42))
    assert rotations.angle(states[-1].orientation, wanted) < math.radians(0.5)
    assert max(_tilt(s) for s in states) < math.radians(15.3)
    assert states[-1].velocity[0] > 3.0


def test_tilt_asked_for_by_the_velocity_loop_is_limited() -> None:
    class Still:
        orientation = (1.0, 0.0, 0.0, 0.0)
        body_rate: Vector = (0.0, 0.0, 0.0)
        velocity: Vector = (0.0, 0.0, 0.0)
        altitude = 0.0
        airspeed = 0.0
        sideslip = 0.0

    autopilot = RotorcraftAutopilot((0.6, 0.0, 0.0, 0.0))
    outputs = [
        autopilot.control(Still(), Command(velocity=(1e6, -1e6, -1e6)), 0.005) for _ in range(4000)
    ]
    assert all(abs(c) <= 1.0 and 0.0 <= o[0] <= 1.0 for o in outputs for c in o[:4])


def test_helicopter_cannot_start_at_an_airspeed() -> None:
    kind = find_aircraft('AH1S')
    with pytest.raises(VehicleError, match='starts in a hover'):
        Vehicle(
            kind, Initial(airspeed=20.0), Wind(), Turbulence(), tick_rate=_RATE, seed=1, start=1
        )


def test_helicopter_cannot_start_where_it_cannot_hover() -> None:
    with pytest.raises(VehicleError, match=r'ah1s cannot hover here.*start lower'):
        _Flight('ah1s', altitude=9000.0)


def test_helicopter_stays_in_the_air_in_severe_turbulence() -> None:
    kind = find_aircraft('ah1s')
    storm = Turbulence(model='milspec', wind_at_6m=20.0, severity=6)
    flight = _Flight('ah1s')
    flight.vehicle = Vehicle(
        kind, Initial(altitude=500.0, height=300.0), Wind(speed=12.0), storm,
        tick_rate=_RATE, seed=4, start=1,
    )  # fmt: skip
    flight.autopilot = kind.autopilot(flight.vehicle.trim)
    states = flight.fly(15.0, _HOVER)
    assert max(_tilt(s) for s in states) < math.radians(20.0)
    assert abs(states[-1].local_position[2]) < 15.0
