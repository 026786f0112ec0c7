# SPDX-License-Identifier: Apache-2.0
"""The autopilots fly the real flight dynamics to what is commanded."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from meta_repo_ros.control.autopilot import wrap
from meta_repo_ros.control.processor import to_message
from meta_repo_ros.control.setpoints import Command, Setpoint, Source
from meta_repo_ros.core import rotations
from meta_repo_ros.simulation.library import find_scenario
from meta_repo_ros.simulation.scenario import Initial, Turbulence, Wind
from meta_repo_ros.simulation.simulator import Simulator
from meta_repo_ros.simulation.state import VehicleState


def _simulator(aircraft: str, **changes: object) -> Simulator:
    demo = find_scenario('demo')
    initial = Initial(heading=90.0, airspeed=52.0 if aircraft == 'c172' else 0.0)
    scenario = dataclasses.replace(
        demo, header=dataclasses.replace(demo.header, aircraft=aircraft), initial=initial,
        wind=Wind(), turbulence=Turbulence(), sensors=(), manoeuvres=(), **changes,
    )  # fmt: skip
    return Simulator(scenario)


def _fly(simulator: Simulator, seconds: float, command: Command) -> list[VehicleState]:
    stamp = simulator.state.stamp
    validity = round((seconds + 1.0) * 1e9)
    simulator.set_setpoint(to_message(Setpoint(stamp, validity, Source.OPERATOR, 'test', command)))
    states = []
    while simulator.state.stamp < stamp + seconds * 1e9:
        simulator.step()
        states.append(simulator.state)
    return states


def _course(state: VehicleState) -> float:
    return math.atan2(state.velocity[1], state.velocity[0])


def test_aeroplane_reaches_altitude_airspeed_and_course() -> None:
    simulator = _simulator('c172')
    wanted = Command(altitude=1540.0, airspeed=48.0, course=math.radians(-60.0))
    end = _fly(simulator, 40.0, wanted)[-1]
    assert end.altitude == pytest.approx(1540.0, abs=4.0)
    assert end.airspeed == pytest.approx(48.0, abs=1.0)
    assert abs(wrap(_course(end) - math.radians(-60.0))) < math.radians(2.0)


def test_aeroplane_turns_the_short_way_through_west() -> None:
    simulator = _simulator('c172')
    _fly(simulator, 30.0, Command(course=math.radians(170.0)))
    turned = _fly(simulator, 8.0, Command(course=math.radians(-170.0)))
    # from 170 to 190 deg: it never looks east again
    assert min(abs(_course(s)) for s in turned) > math.radians(150.0)
    assert abs(wrap(_course(turned[-1]) - math.radians(190.0))) < math.radians(5.0)


def test_aeroplane_holds_a_commanded_attitude_and_throttle() -> None:
    simulator = _simulator('c172')
    attitude = rotations.from_euler(math.radians(20.0), math.radians(-4.0), 0.0)
    states = _fly(simulator, 8.0, Command(attitude=attitude, thrust=0.9))
    roll, down, _ = rotations.to_euler(states[-1].orientation)
    assert math.degrees(roll) == pytest.approx(20.0, abs=2.0)
    assert math.degrees(down) == pytest.approx(-4.0, abs=1.0)
    # banked to the right it turns right
    assert wrap(_course(states[-1]) - _course(states[0])) < -math.radians(10.0)


def test_aeroplane_takes_course_and_climb_from_a_velocity() -> None:
    simulator = _simulator('c172')
    end = _fly(simulator, 15.0, Command(velocity=(50.0, 0.0, 2.0)))[-1]
    assert end.velocity[2] == pytest.approx(2.0, abs=0.3)
    assert abs(_course(end)) < math.radians(2.0)


def test_aeroplane_slows_down_rather_than_stall() -> None:
    simulator = _simulator('c172')
    states = _fly(simulator, 30.0, Command(altitude=3000.0, thrust=0.3))
    # the clean stall is at 26 m/s
    assert min(s.airspeed for s in states) > 29.0
    assert states[-1].airspeed > 31.0
    assert max(abs(rotations.to_euler(s.orientation)[0]) for s in states) < math.radians(15.0)


def test_quadrotor_flies_a_velocity_and_stops() -> None:
    simulator = _simulator('f450')
    going = _fly(simulator, 5.0, Command(velocity=(2.0, -1.0, 0.5)))[-1]
    assert going.velocity == pytest.approx((2.0, -1.0, 0.5), abs=0.25)
    stopped = _fly(simulator, 6.0, Command(velocity=(0.0, 0.0, 0.0)))[-1]
    assert np.linalg.norm(stopped.velocity) < 0.15


def test_quadrotor_holds_attitude_and_altitude() -> None:
    simulator = _simulator('f450')
    attitude = rotations.from_euler(math.radians(8.0), 0.0, math.radians(30.0))
    states = _fly(simulator, 4.0, Command(attitude=attitude, altitude=1500.0))
    assert rotations.angle(states[-1].orientation, attitude) < math.radians(1.5)
    assert states[-1].altitude == pytest.approx(1500.0, abs=0.5)
    # rolled to the right of a heading 30 deg north of east: pushed to the south-east
    assert states[-1].velocity[0] > 0.5
    assert states[-1].velocity[1] < -0.5


def test_quadrotor_follows_body_rate_and_thrust() -> None:
    simulator = _simulator('f450')
    _fly(simulator, 1.0, Command(velocity=(0.0, 0.0, 0.0)))
    hover = _fly(simulator, 1.0, Command(body_rate=(0.0, 0.0, 0.8), altitude=1500.0))[-1]
    assert hover.body_rate == pytest.approx((0.0, 0.0, 0.8), abs=0.1)
    climb = _fly(simulator, 1.0, Command(body_rate=(0.0, 0.0, 0.0), thrust=0.6))[-1]
    assert climb.velocity[2] > 2.0


def test_quadrotor_flies_airspeed_along_course() -> None:
    simulator = _simulator('f450')
    end = _fly(simulator, 6.0, Command(course=math.radians(45.0), airspeed=4.0, altitude=1505.0))[
        -1
    ]
    assert math.hypot(*end.velocity[:2]) == pytest.approx(4.0, abs=0.3)
    assert math.degrees(_course(end)) == pytest.approx(45.0, abs=2.0)
    assert end.altitude == pytest.approx(1505.0, abs=0.7)


def test_mission_flies_the_waypoints() -> None:
    simulator = Simulator(dataclasses.replace(find_scenario('waypoints'), sensors=()))
    reached = []
    while not simulator.finished:
        simulator.step()
        state = simulator.state
        for time, point in (
            (4.9, (0.0, 0.0, 0.0)), (21.9, (30.0, 0.0, 5.0)), (39.9, (15.0, 25.0, 5.0)),
            (59.9, (0.0, 0.0, 0.0)),
        ):  # fmt: skip
            if abs(state.time - time) < 1e-6:
                reached.append(np.linalg.norm(np.subtract(point, state.local_position)))
                heading = 90.0 - math.degrees(rotations.yaw(state.orientation))
                assert heading == pytest.approx(120.0 if time == 39.9 else 0.0, abs=2.0)
    assert len(reached) == 4
    assert max(reached) < 1.0
