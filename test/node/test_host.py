# SPDX-License-Identifier: Apache-2.0
"""The live host around a processor, on real DDS."""

from __future__ import annotations

from typing import Any

import pytest
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from node_probes import INPUT, OUTPUT, LatchedProbe, Probe
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Imu

from meta_repo_ros.core.processor import Level
from meta_repo_ros.core.time import stamp_ns
from meta_repo_ros.ros import qos
from meta_repo_ros.ros.host import ProcessorNode


def _host(graph: Any, **parameters: Any) -> ProcessorNode:
    overrides = [Parameter(name, value=value) for name, value in parameters.items()]
    return graph.add(ProcessorNode(Probe, parameter_overrides=overrides))


def _activate(node: ProcessorNode) -> None:
    node.trigger_configure()
    node.trigger_activate()
    assert node.state_label == 'active'


def test_input_passes_only_while_active(graph: Any) -> None:
    node = _host(graph)
    node.trigger_configure()
    received = graph.collect(Imu, OUTPUT.name, OUTPUT.qos)
    publisher = graph.publisher(Imu, INPUT.name, INPUT.qos)
    publisher.publish(Imu())
    graph.spin_until(lambda: node.statistics.ignored == 1, 'message ignored while inactive')
    assert node.processor.count == 0

    node.trigger_activate()
    graph.spin_until(lambda: node._publish and _matched(node), 'output matched')
    publisher.publish(Imu())
    graph.spin_until(lambda: received, 'output')
    assert received[0].linear_acceleration.x == 1.0

    node.trigger_deactivate()
    publisher.publish(Imu())
    graph.spin_until(lambda: node.statistics.ignored == 2, 'message ignored after deactivate')
    assert node.processor.count == 1


def test_latched_input_is_kept_for_activation(graph: Any) -> None:
    node = graph.add(ProcessorNode(LatchedProbe))
    node.trigger_configure()
    topic = LatchedProbe.inputs[0]
    publisher = graph.publisher(Imu, topic.name, topic.qos)
    message = Imu()
    message.header.frame_id = 'origin'
    publisher.publish(message)
    graph.spin_until(lambda: node._latched, 'latched message while inactive')
    assert node.processor.frames == []

    node.trigger_activate()
    assert node.processor.frames == ['origin']
    node.trigger_deactivate()
    node.trigger_activate()
    assert node.processor.frames == ['origin'], 'kept through the reset of a second activation'


def test_safe_outputs_are_published_on_deactivate_and_on_shutdown(graph: Any) -> None:
    node = _host(graph)
    received = graph.collect(Imu, OUTPUT.name, OUTPUT.qos)
    _activate(node)
    graph.spin_until(lambda: _matched(node), 'output matched')
    node.trigger_deactivate()
    graph.spin_until(lambda: len(received) == 1, 'safe output on deactivate')
    node.trigger_activate()
    node.trigger_shutdown()
    graph.spin_until(lambda: len(received) == 2, 'safe output on shutdown')
    assert [m.header.frame_id for m in received] == ['safe', 'safe']


def test_timer_runs_only_while_active(graph: Any) -> None:
    node = _host(graph, rate=100)
    node.trigger_configure()
    graph.spin_for(0.1)
    assert node.processor.ticks == 0
    node.trigger_activate()
    graph.spin_until(lambda: node.processor.ticks > 2, 'timer ticks')
    node.trigger_deactivate()
    ticks = node.processor.ticks
    graph.spin_for(0.1)
    assert node.processor.ticks == ticks


def test_state_is_reset_when_activated_again(graph: Any) -> None:
    node = _host(graph)
    _activate(node)
    assert node.processor.resets == []
    node.trigger_deactivate()
    node.trigger_activate()
    assert len(node.processor.resets) == 1


def test_exception_in_a_callback_is_reported_and_survived(graph: Any) -> None:
    node = _host(graph, mode='raise')
    rows = graph.collect(DiagnosticArray, '/diagnostics')
    _activate(node)
    publisher = graph.publisher(Imu, INPUT.name, INPUT.qos)
    for _ in range(3):
        publisher.publish(Imu())
    graph.spin_until(lambda: node.statistics.exceptions == 3, 'three exceptions counted')
    graph.spin_until(
        lambda: any(s.level == DiagnosticStatus.ERROR for m in rows for s in m.status), 'ERROR row'
    )
    error = next(s for m in rows for s in m.status if s.level == DiagnosticStatus.ERROR)
    assert error.name == 'probe: host'
    assert 'ArithmeticError: mode raise raises' in error.message

    assert node.set_parameters([Parameter('mode', value='plain')])[0].successful
    publisher.publish(Imu())
    graph.spin_until(lambda: node.processor.count == 1, 'works again')


def test_diagnostics_are_named_by_node_and_subsystem(graph: Any) -> None:
    node = _host(graph)
    rows = graph.collect(DiagnosticArray, '/diagnostics')
    _activate(node)
    graph.spin_until(lambda: any(len(m.status) == 2 for m in rows), 'rows of an active node')
    status = {s.name: s for m in rows for s in m.status}
    assert set(status) == {'probe: host', 'probe: input'}
    assert all(s.hardware_id for s in status.values())
    assert {v.key: v.value for v in status['probe: host'].values}['state'] == 'active'
    assert stamp_ns(rows[-1].header.stamp) > 0


def test_lost_messages_are_counted(graph: Any) -> None:
    node = _host(graph)
    _activate(node)
    publisher = graph.publisher(Imu, INPUT.name, INPUT.qos)
    publisher.publish(Imu())
    graph.spin_until(lambda: node.processor.count == 1, 'first message')
    depth = qos.profile(INPUT.qos).depth
    for _ in range(depth + 50):  # more than the queue holds, while nobody takes any
        publisher.publish(Imu())
    graph.spin_until(lambda: node.processor.count == 1 + depth, 'the rest of the queue')
    assert node.statistics.gaps == 50
    row = node.statistics.row('active', node._node_parameters)
    assert (row.level, row.message) == (Level.WARN, 'active; 50 messages lost')
    assert row.values['messages lost: imu/data_raw'] == 50
    assert node.statistics.row('active', node._node_parameters).level == Level.OK


def test_backward_clock_jump_resets_the_processor(graph: Any) -> None:
    node = _host(graph, use_sim_time=True)
    _activate(node)
    received = graph.collect(Imu, OUTPUT.name, OUTPUT.qos)
    clock = graph.publisher(Clock, '/clock', 'BULK')
    publisher = graph.publisher(Imu, INPUT.name, INPUT.qos)
    graph.spin_until(lambda: _matched(node), 'output matched')

    _tick(graph, node, clock, 100)
    _tick(graph, node, clock, 101)
    publisher.publish(Imu())
    graph.spin_until(lambda: received, 'output')
    assert received[0].header.stamp.sec == 101
    assert node.processor.resets == []

    _tick(graph, node, clock, 5)
    assert node.processor.resets == [5_000_000_000]
    assert node.processor.count == 0
    assert node.statistics.clock_resets == 1


@pytest.mark.parametrize('rate', [20])
def test_timer_follows_simulated_time(graph: Any, rate: int) -> None:
    node = _host(graph, use_sim_time=True, rate=rate)
    _activate(node)
    clock = graph.publisher(Clock, '/clock', 'BULK')
    _tick(graph, node, clock, 10)
    graph.spin_for(0.2)
    ticks = node.processor.ticks
    assert ticks <= 1  # real time passed, simulated time did not
    _tick(graph, node, clock, 11)
    graph.spin_until(lambda: node.processor.ticks > ticks, 'tick after simulated time moved')


def _matched(node: ProcessorNode) -> bool:
    return all(p.get_subscription_count() for p in node._own_publishers)


def _tick(graph: Any, node: ProcessorNode, clock: Any, seconds: int) -> None:
    clock.publish(Clock(clock=Time(sec=seconds)))
    graph.spin_until(lambda: node.now_ns() == seconds * 1_000_000_000, f'clock at {seconds} s')
