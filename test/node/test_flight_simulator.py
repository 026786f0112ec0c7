# SPDX-License-Identifier: Apache-2.0
"""The live simulator on real DDS: time, sensors, setpoints, lifecycle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from nav_msgs.msg import Odometry
from rclpy.node import Node
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Imu, NavSatFix

from meta_repo_ros.control.processor import SetpointArbiter, to_message
from meta_repo_ros.control.setpoints import Command, Setpoint, Source
from meta_repo_ros.core.processor import Level
from meta_repo_ros.core.time import stamp_ns
from meta_repo_ros.msg import Setpoint as SetpointMessage
from meta_repo_ros.ros import qos
from meta_repo_ros.ros.flight_simulator import FlightSimulator
from meta_repo_ros.ros.host import ProcessorNode

HOVER = 'aircraft: f450\nduration: 1.0\nseed: 3\n'
START = 1_782_043_200 * 10**9


def _node(graph: Any, tmp_path: Path, text: str = HOVER, **parameters: Any) -> FlightSimulator:
    path = tmp_path / 'flight.yaml'
    path.write_text(text)
    values = {'scenario': str(path), **parameters}
    overrides = [Parameter(name, value=value) for name, value in values.items()]
    return graph.add(FlightSimulator(parameter_overrides=overrides))


def _clock(graph: Any) -> list[int]:
    ticks: list[int] = []
    graph.node.create_subscription(
        Clock, '/clock', lambda m: ticks.append(stamp_ns(m.clock)), qos.CLOCK
    )
    return ticks


def _matched(graph: Any, node: FlightSimulator, *topics: str) -> None:
    graph.spin_until(
        lambda: all(node.count_subscribers(t) for t in topics) and node.state_label, 'matched'
    )


def test_flight_gives_every_sample_and_the_time(graph: Any, tmp_path: Path) -> None:
    node = _node(graph, tmp_path)
    ticks = _clock(graph)
    imu = graph.collect(Imu, 'imu/data_raw', 'STREAM')
    node.trigger_configure()
    _matched(graph, node, '/clock', 'imu/data_raw')
    graph.spin_for(0.2)
    assert not ticks
    node.trigger_activate()
    origin = graph.collect(NavSatFix, 'ground_truth/origin', 'LATCHED')
    graph.spin_until(lambda: len(imu) >= 200 and origin, 'one second of flight')
    stamps = [stamp_ns(m.header.stamp) for m in imu]
    # reliable and in order: no gap from the first sample on
    assert stamps == [START + 5_000_000 * (k + 1) for k in range(len(stamps))]
    assert ticks
    assert all((tick - START - 5_000_000) % 20_000_000 == 0 for tick in ticks)
    assert origin[0].latitude == pytest.approx(47.26)
    (row,) = node.diagnostics(0)
    assert row.message == 'flying flight, commanded by scenario'
    assert row.values['seed'] == 3


def test_seed_rate_zero_and_end(graph: Any, tmp_path: Path) -> None:
    node = _node(graph, tmp_path, HOVER.replace('1.0', '20.0'), rate=0.0, seed=9, at_end='stop')
    node.trigger_configure()
    node.trigger_activate()
    # as fast as it can: 20 s of flight within the 15 s that are waited
    graph.spin_until(lambda: node.simulator.finished, 'end of the scenario', deadline=15.0)
    graph.spin_until(lambda: 'finished after 20.000 s' in node.diagnostics(0)[0].message, 'the end')
    assert node.simulator.seed == 9
    assert node.simulator.state.time == pytest.approx(20.0)


def test_setpoint_commands_and_bad_ones_are_shown(graph: Any, tmp_path: Path) -> None:
    node = _node(graph, tmp_path)
    truth = graph.collect(Odometry, 'ground_truth/odometry', 'STATE')
    node.trigger_configure()
    publisher = graph.publisher(SetpointMessage, 'setpoint', 'COMMAND')
    node.trigger_activate()

    def climb() -> bool:
        command = Command(velocity=(0.0, 0.0, 2.0))
        stamp = node.simulator.state.stamp
        publisher.publish(
            to_message(Setpoint(stamp, 300_000_000, Source.OPERATOR, 'pilot', command))
        )
        return bool(truth) and truth[-1].pose.pose.position.z > 0.5

    graph.spin_until(climb, 'climb')
    assert node.simulator.commanded_by == 'operator: pilot'
    graph.spin_until(lambda: node.simulator.commanded_by == 'scenario', 'expiry')
    publisher.publish(SetpointMessage(sender='ghost'))
    graph.spin_until(lambda: node.diagnostics(0)[0].values['setpoints_refused'] == 1, 'refusal')
    assert "'ghost': source 0 is unknown" in str(node.diagnostics(0)[0].values['last_refusal'])


def test_deactivated_it_stands_still_and_forgets_who_commanded(graph: Any, tmp_path: Path) -> None:
    node = _node(graph, tmp_path)
    ticks = _clock(graph)
    node.trigger_configure()
    _matched(graph, node, '/clock')
    node.trigger_activate()
    graph.spin_until(lambda: len(ticks) > 3, 'clock')
    command = Command(velocity=(0.0, 0.0, 2.0))
    stamp = node.simulator.state.stamp
    node.simulator.set_setpoint(
        to_message(Setpoint(stamp, 60 * 10**9, Source.OPERATOR, 'pilot', command))
    )
    node.trigger_deactivate()
    assert node.simulator.commanded_by == 'scenario'
    stood = node.simulator.state.stamp
    graph.spin_for(0.3)
    assert node.simulator.state.stamp == stood
    assert 'stands still' in node.diagnostics(0)[0].message
    node.trigger_activate()
    graph.spin_until(lambda: ticks[-1] > stood, 'clock goes on')
    # it goes on from there, and does not make up for the pause
    assert min(tick for tick in ticks if tick > stood) <= stood + 25_000_000
    node.trigger_deactivate()
    node.trigger_cleanup()
    node.trigger_configure()
    assert node.simulator.state.stamp == START


def test_a_schedule_that_cannot_be_kept_is_said(graph: Any, tmp_path: Path) -> None:
    node = _node(graph, tmp_path, HOVER.replace('1.0', '600.0'), rate=100.0)
    node.trigger_configure()
    node.trigger_activate()

    def behind() -> bool:
        (row,) = node.diagnostics(0)
        return row.level is Level.WARN and row.message.startswith('behind schedule')

    graph.spin_until(behind, 'warning')
    node.set_parameters([Parameter('rate', value=1.0)])
    graph.spin_until(lambda: node.diagnostics(0)[0].level is Level.OK, 'schedule kept')


def test_a_request_reaches_the_aircraft_through_the_arbiter(graph: Any, tmp_path: Path) -> None:
    simulator = _node(graph, tmp_path)
    arbiter = graph.add(
        ProcessorNode(SetpointArbiter, parameter_overrides=[Parameter('use_sim_time', value=True)])
    )
    for node in (arbiter, simulator):
        node.trigger_configure()
        node.trigger_activate()
    publisher = graph.publisher(SetpointMessage, 'setpoint/request', 'EVENT')

    def send(source: Source, sender: str) -> str:
        command = Command(velocity=(0.0, 0.0, 1.0))
        stamp = arbiter.now_ns()
        publisher.publish(to_message(Setpoint(stamp, 500_000_000, source, sender, command)))
        return str(simulator.simulator.commanded_by)

    graph.spin_until(lambda: send(Source.OPERATOR, 'pilot') == 'operator: pilot', 'operator')
    graph.spin_until(lambda: send(Source.RECOVERY, 'shield') == 'recovery: shield', 'recovery')
    send(Source.OPERATOR, 'pilot')
    graph.spin_until(lambda: simulator.simulator.commanded_by != 'recovery: shield', 'expiry')
    graph.spin_until(lambda: simulator.simulator.commanded_by == 'scenario', 'silence')
    assert arbiter.processor.diagnostics(arbiter.now_ns())[0].message.startswith('nobody commands')


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        (HOVER.replace('f450', 'concorde'), "'concorde' does not exist; available are c172, f450"),
        (HOVER + 'initial: {airspeed: 5.0}', 'starts in a hover'),
        ('aircraft: c172\nduration: 5.0\n', 'cannot trim c172p'),
    ],
)
def test_flights_that_cannot_start_refuse_to_configure(
    graph: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str], text: str, words: str
) -> None:
    node = _node(graph, tmp_path, text)
    node.trigger_configure()
    assert node.state_label == 'unconfigured'
    assert words in capfd.readouterr().err


def test_process_ends_with_the_scenario_where_told(container: Any, tmp_path: Path) -> None:
    path = tmp_path / 'flight.yaml'
    path.write_text(HOVER)
    program = container(
        'flight_simulator', '--autostart',
        ros=['-p', f'scenario:={path}', '-p', 'at_end:=exit', '-p', 'use_sim_time:=true'],
    )  # fmt: skip
    assert program.wait() == 0
    assert 'scenario finished after 1.000 s' in program.output
    assert 'Traceback' not in program.output


def test_flight_begins_when_those_listen_for_whom_it_waits(graph: Any, tmp_path: Path) -> None:
    node = _node(graph, tmp_path, wait_for_nodes=['listener'], wait_timeout=0.0)
    ticks = _clock(graph)
    node.trigger_configure()
    node.trigger_activate()
    graph.spin_until(lambda: len(ticks) > 2, 'a clock that stands')
    assert set(ticks) == {START}
    listener = graph.add(Node('listener'))
    samples: list[Imu] = []
    listener.create_subscription(Imu, 'imu/data_raw', samples.append, qos.profile('STREAM'))
    graph.spin_until(lambda: samples, 'the first sample')
    assert stamp_ns(samples[0].header.stamp) - START <= 5_000_000, 'nothing was missed'


def test_flight_begins_without_those_who_never_come(graph: Any, tmp_path: Path) -> None:
    node = _node(graph, tmp_path, wait_for_nodes=['nobody'], wait_timeout=0.2)
    imu = graph.collect(Imu, 'imu/data_raw', 'STREAM')
    node.trigger_configure()
    node.trigger_activate()
    graph.spin_until(lambda: imu, 'a flight nevertheless')
