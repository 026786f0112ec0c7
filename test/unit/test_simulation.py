# SPDX-License-Identifier: Apache-2.0
"""The simulator as a whole: truth that is one with its inertial data, determinism, plug-ins."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pymap3d
import pytest
from click.testing import CliRunner
from rosbags.highlevel import AnyReader
from sensor_msgs.msg import Imu
from std_msgs.msg import Header

from meta_repo_ros.commands.simulate import command as simulate
from meta_repo_ros.control.processor import to_message
from meta_repo_ros.control.setpoints import Command, Field, Setpoint, SetpointError, Source
from meta_repo_ros.core import rotations
from meta_repo_ros.core.geodesy import LocalFrame
from meta_repo_ros.core.parameters import parameter
from meta_repo_ros.core.processor import Topic
from meta_repo_ros.core.time import stamp_ns
from meta_repo_ros.replay.codec import installed_codec
from meta_repo_ros.simulation.effects import Effect, Wrench
from meta_repo_ros.simulation.library import find_scenario, shipped
from meta_repo_ros.simulation.scenario import Scenario, load_scenario
from meta_repo_ros.simulation.sensors.base import Sample, Sensor, stamped
from meta_repo_ros.simulation.simulator import Simulator
from meta_repo_ros.simulation.state import gravitation, inertial_mean
from meta_repo_ros.simulation.vehicle import VehicleError, find_aircraft


@dataclasses.dataclass(frozen=True)
class DiceParameters:
    sides: int = parameter(6, 'How many.', minimum=2)


class Dice(Sensor):
    """A sensor that only draws random numbers."""

    Parameters = DiceParameters
    topics = (Topic('dice', 'std_msgs/msg/Header', 'SENSOR'),)
    default_rate: ClassVar[float] = 20.0

    def sample(self, state: Any, rng: np.random.Generator) -> list[Sample]:
        thrown = int(rng.integers(self.parameters.sides))
        message = Header(frame_id=str(thrown))
        message.stamp.sec, message.stamp.nanosec = divmod(state.stamp, 10**9)
        return [Sample('dice', message)]


class Lift(Effect):
    """Carries the weight of the aircraft once more."""

    Parameters = DiceParameters

    def force(self, state: Any) -> Wrench:
        up = rotations.rotate(rotations.conjugate(state.orientation), (0.0, 0.0, 9.81 * state.mass))
        return Wrench(up)


def _scenario(tmp_path: Path, text: str) -> Scenario:
    path = tmp_path / 'scenario.yaml'
    path.write_text(text)
    return load_scenario(path)


def _digest(simulator: Simulator, topics: tuple[str, ...] = ()) -> str:
    digest = hashlib.sha256()
    for message in simulator.run():
        if not topics or message.topic.name in topics:
            digest.update(f'{message.stamp} {message.topic.name}'.encode())
            codec = installed_codec(message.topic.type)
            digest.update(codec.serialise(message.message, message.topic.type))
    return digest.hexdigest()


HOVER = 'aircraft: f450\nduration: 1.5\n'
CRUISE = 'aircraft: c172\nduration: 1.5\ninitial: {airspeed: 52.0}\n'


@pytest.mark.parametrize('name', ['demo', 'waypoints'])
def test_perfect_inertial_data_integrate_to_the_truth(name: str) -> None:
    simulator = Simulator(dataclasses.replace(find_scenario(name), sensors=()))
    state = simulator.state
    frame = LocalFrame(math.degrees(state.latitude), math.degrees(state.longitude), state.altitude)
    dt = simulator.step_ns * 1e-9
    earth = np.array(frame.earth_rate)
    position, velocity = np.zeros(3), np.array(state.velocity)
    attitude = state.orientation_local
    while not simulator.finished:
        before = state
        simulator.step()
        state = simulator.state
        rate, force = inertial_mean(before, state)
        # a strapdown in the tangent plane, written independently of how the readings were made
        middle = rotations.multiply(attitude, rotations.exp([0.5 * dt * w for w in rate]))
        attitude = rotations.multiply(
            rotations.exp(-dt * earth),
            rotations.multiply(attitude, rotations.exp([dt * w for w in rate])),
        )
        change = (
            np.array(rotations.rotate(middle, force))
            + frame.gravity(*position)
            - 2.0 * np.cross(earth, velocity)
        )
        position = position + dt * (velocity + 0.5 * dt * change)
        velocity = velocity + dt * change
    assert state.time == pytest.approx(60.0)
    assert np.linalg.norm(position - state.local_position) < 0.01
    assert rotations.angle(attitude, state.orientation_local) < 1e-9


def test_truth_agrees_with_itself_and_with_geodesy() -> None:
    simulator = Simulator(
        dataclasses.replace(find_scenario('demo').with_duration(12.0), sensors=())
    )
    origin = simulator.state
    states = []
    while not simulator.finished:
        simulator.step()
        states.append(simulator.state)
    a, b, c = states[-3:]
    step = (c.stamp - a.stamp) * 1e-9
    moved = (np.array(c.position_ecef) - a.position_ecef) / step
    assert np.allclose(moved, b.velocity_ecef, atol=1e-3)
    lat, lon, alt = pymap3d.ecef2geodetic(*b.position_ecef)
    assert lat == pytest.approx(math.degrees(b.latitude), abs=1e-8)
    assert lon == pytest.approx(math.degrees(b.longitude), abs=1e-8)
    assert alt == pytest.approx(b.altitude, abs=1e-3)
    frame = LocalFrame(
        math.degrees(origin.latitude), math.degrees(origin.longitude), origin.altitude
    )
    assert np.allclose(frame.to_enu(lat, lon, alt), b.local_position, atol=2e-3)
    # it flies where it points, but for sideslip and angle of attack
    air = np.array(b.velocity) - b.wind
    forward = rotations.rotate(rotations.conjugate(b.orientation), air)
    assert math.atan2(-forward[1], forward[0]) == pytest.approx(b.sideslip, abs=0.01)
    assert math.atan2(-forward[2], forward[0]) == pytest.approx(b.angle_of_attack, abs=0.01)
    assert np.linalg.norm(air) == pytest.approx(b.airspeed, abs=0.1)


def test_gravitation_and_centrifugal_acceleration_are_gravity() -> None:
    frame = LocalFrame(47.0, 11.0, 1500.0)
    x, y, z = pymap3d.geodetic2ecef(47.0, 11.0, 1500.0)
    g = np.array(gravitation((float(x), float(y), float(z))))
    g[:2] += 7.292115e-5**2 * np.array([x, y])
    down = pymap3d.ecef2enuv(*g, 47.0, 11.0)
    assert np.allclose(down, frame.gravity(0.0, 0.0, 0.0), atol=1e-9)


def test_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    scenario = find_scenario('demo').with_duration(2.0)
    first = _digest(Simulator(scenario))
    assert _digest(Simulator(scenario)) == first
    assert _digest(Simulator(scenario, seed=2)) != first


def test_turbulence_follows_the_seed() -> None:
    scenario = find_scenario('demo').with_duration(2.0)
    truth = ('ground_truth/odometry',)
    first = _digest(Simulator(scenario), truth)
    assert _digest(Simulator(scenario), truth) == first
    assert _digest(Simulator(scenario, seed=2), truth) != first


def test_a_sensor_of_ones_own_changes_no_other(tmp_path: Path) -> None:
    plain = Simulator(_scenario(tmp_path, CRUISE))
    text = CRUISE + f'sensors: {{dice: {{type: "{__name__}:Dice", rate: 40, sides: 3}}}}\n'
    with_dice = Simulator(_scenario(tmp_path, text))
    standard = tuple(topic.name for topic in plain.topics)
    assert [t.name for t in with_dice.topics] == [*standard, 'dice']
    throws = {m.message.frame_id for m in with_dice.run() if m.topic.name == 'dice'}
    assert throws == {'0', '1', '2'}
    assert _digest(Simulator(_scenario(tmp_path, text)), standard) == _digest(plain, standard)


def test_an_effect_of_ones_own_acts_on_the_aircraft(tmp_path: Path) -> None:
    text = HOVER + f'effects: {{lift: {{type: "{__name__}:Lift"}}}}\n'
    calm, lifted = Simulator(_scenario(tmp_path, HOVER)), Simulator(_scenario(tmp_path, text))
    forces = []
    for simulator in (calm, lifted):
        # the integrators of JSBSim take up a new force over one step of theirs
        simulator.step()
        before = simulator.state
        simulator.step()
        forces.append(np.array(inertial_mean(before, simulator.state)[1]))
    assert np.allclose(forces[1] - forces[0], (0.0, 0.0, 9.81), atol=0.02)


def test_force_pulse_pushes_in_the_given_axes_and_turns(tmp_path: Path) -> None:
    pulse = '{start: 0.5, duration: 0.25, force: [3.0, 0.0, 0.0], frame: enu}'
    text = HOVER + f'initial: {{heading: 0.0}}\neffects: {{force_pulse: {pulse}}}\n'
    simulator = Simulator(_scenario(tmp_path, text))
    felt = {}
    while not simulator.finished:
        before = simulator.state
        simulator.step()
        felt[round(before.time, 3)] = inertial_mean(before, simulator.state)[1]
    # heading north, east is to the right: body y is negative
    assert abs(felt[0.49][1]) < 0.05
    assert felt[0.505][1] == pytest.approx(-3.0 / 1.4, abs=0.05)
    twist = '{start: 0.0, duration: 0.2, moment: [0.0, 0.0, 0.02]}'
    simulator = Simulator(_scenario(tmp_path, HOVER + f'effects: {{force_pulse: {twist}}}\n'))
    simulator.step()
    began = simulator.state.body_rate[2]
    simulator.step()
    # 0.02 N m over 0.0252 kg m2 for 5 ms, to the left; rotor drag takes a little off
    turned = simulator.state.body_rate[2] - began
    assert turned == pytest.approx(0.02 / 0.0252 * 0.005, rel=0.05)


def test_steady_wind_carries_the_aircraft(tmp_path: Path) -> None:
    text = CRUISE + 'wind: {speed: 8.0, direction: 0.0}\n'
    state = Simulator(_scenario(tmp_path, text)).state
    # from the north, on a northerly heading: headwind
    assert state.wind == pytest.approx((0.0, -8.0, 0.0), abs=1e-6)
    assert state.airspeed == pytest.approx(52.0, abs=0.05)
    assert state.velocity[1] == pytest.approx(44.0, abs=0.05)


def test_delivery_keeps_latency_and_order() -> None:
    simulator = Simulator(find_scenario('demo').with_duration(1.0))
    previous, late = 0, set()
    for message in simulator.run():
        assert message.stamp >= previous
        previous = message.stamp
        late.add((message.topic.name, message.stamp - stamp_ns(message.message.header.stamp)))
    assert dict(late)['gnss/fix'] == dict(late)['gnss/velocity'] == 100_000_000
    assert {delay for name, delay in late if not name.startswith('gnss')} == {0}


def test_setpoint_flies_until_it_expires(tmp_path: Path) -> None:
    simulator = Simulator(_scenario(tmp_path, HOVER))
    stamp = simulator.state.stamp
    command = Command(velocity=(0.0, 0.0, 1.5), collective=0.1)
    setpoint = Setpoint(stamp, 500_000_000, Source.OPERATOR, 'pilot', command)
    assert simulator.set_setpoint(to_message(setpoint)) == Field.COLLECTIVE
    assert simulator.commanded_by == 'operator: pilot'
    climb = []
    while not simulator.finished:
        simulator.step()
        climb.append((simulator.state.time, simulator.state.velocity[2], simulator.commanded_by))
    assert max(v for t, v, _ in climb if t < 0.5) > 0.3
    assert {who for t, _, who in climb if t <= 0.5} == {'operator: pilot'}
    assert {who for t, _, who in climb if t > 0.505} == {'scenario'}
    with pytest.raises(SetpointError, match='expired'):
        simulator.set_setpoint(to_message(setpoint))


def test_unknown_aircraft_names_those_available() -> None:
    with pytest.raises(VehicleError, match=r"'concorde' does not exist; available are c172, f450"):
        find_aircraft('concorde')


def test_flight_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(VehicleError, match=r'cannot trim c172p at 5\.0 m/s'):
        Simulator(_scenario(tmp_path, CRUISE.replace('52.0', '5.0')))
    with pytest.raises(VehicleError, match='starts in a hover'):
        Simulator(_scenario(tmp_path, HOVER + 'initial: {airspeed: 5.0}\n'))


@pytest.mark.parametrize('name', sorted(shipped()))
def test_shipped_scenarios_fly(name: str) -> None:
    simulator = Simulator(find_scenario(name).with_duration(1.0))
    given = {message.topic.name for message in simulator.run()}
    assert given >= {'imu/data_raw', 'ground_truth/odometry', 'ground_truth/origin'}
    assert simulator.state.height_above_ground > 1.0


def test_stamped_fills_the_header() -> None:
    header = stamped(Imu(), 1_500_000_000).header
    assert (header.stamp.sec, header.stamp.nanosec, header.frame_id) == (
        1,
        500_000_000,
        'base_link',
    )


# -- meta-repo simulate ----------------------------------------------------------------------------
def _simulate(*arguments: object) -> Any:
    return CliRunner().invoke(simulate, [str(argument) for argument in arguments])


def test_bag_of_the_same_seed_is_the_same_byte_for_byte(tmp_path: Path) -> None:
    bags = [tmp_path / part / 'flight' for part in ('one', 'two', 'three')]
    for bag, seed in zip(bags, (5, 5, 6), strict=True):
        result = _simulate('gnss_outage', '-o', bag, '--duration', 2, '--seed', seed, '-q')
        assert result.exit_code == 0, result.output
    one, two, three = (
        {path.name: path.read_bytes() for path in sorted(bag.iterdir())} for bag in bags
    )
    assert one == two
    assert one != three
    assert set(one) == {'flight_0.mcap', 'metadata.yaml'}


def test_bag_holds_the_flight_with_qos_and_delivery_times(tmp_path: Path) -> None:
    result = _simulate('demo', '-o', tmp_path / 'flight', '--duration', 1)
    assert result.exit_code == 0, result.output
    assert '1.000 s of simulated flight (c172, scenario demo, seed 1)' in result.output
    with AnyReader([tmp_path / 'flight']) as reader:
        counts = {connection.topic: connection.msgcount for connection in reader.connections}
        fixes = [
            (stamp, reader.deserialize(raw, connection.msgtype))
            for connection, stamp, raw in reader.messages()
            if connection.topic == '/gnss/fix'
        ]
    assert counts['/imu/data_raw'] == 200
    assert counts['/ground_truth/odometry'] == 50
    assert {stamp - stamp_ns(fix.header.stamp) for stamp, fix in fixes} == {100_000_000}


def test_simulate_says_what_is_wrong(tmp_path: Path) -> None:
    assert (
        'no such scenario; shipped are celestial_flight, demo'
        in _simulate('x', '-o', tmp_path / 'b').output
    )
    bad = tmp_path / 'bad.yaml'
    bad.write_text('aircraft: concorde\nduration: 1.0\n')
    result = _simulate(bad, '-o', tmp_path / 'b')
    assert result.exit_code == 1
    assert f"{bad}:1: aircraft: 'concorde' does not exist" in result.output
    assert not (tmp_path / 'b').exists()
    result = _simulate('demo', '-o', tmp_path, '--duration', 1)
    assert 'exists already' in result.output
    bad.write_text(CRUISE.replace('52.0', '5.0'))
    assert 'cannot trim' in _simulate(bad, '-o', tmp_path / 'b').output
    result = _simulate('demo', '-o', bad / 'b', '--duration', 1)
    assert result.exit_code == 1
    assert 'cannot create the bag' in result.output
