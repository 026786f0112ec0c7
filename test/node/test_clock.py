# SPDX-License-Identifier: Apache-2.0
"""One ``/clock`` subscription per process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from builtin_interfaces.msg import Time
from node_probes import First, Second, Third
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Imu

from meta_repo_ros.ros.host import ProcessorNode

if TYPE_CHECKING:
    from collections.abc import Callable


def _subscriptions(graph: Any) -> int:
    return len(graph.node.get_subscriptions_info_by_topic('/clock'))


def test_a_container_of_three_nodes_takes_the_clock_once(
    graph: Any, container: Callable[..., Any]
) -> None:
    nodes = [f'node_probes:{name}' for name in ('First', 'Second', 'Third')]
    container(*nodes, '--autostart', ros=['-p', 'use_sim_time:=true'])
    received = graph.collect(Imu, 'imu/data', 'STREAM')
    clock = graph.publisher(Clock, '/clock', 'BULK')
    publisher = graph.publisher(Imu, 'imu/data_raw', 'STREAM', subscribers=3)
    graph.spin_until(
        lambda: len(graph.node.get_publishers_info_by_topic('/imu/data')) == 3, 'three outputs'
    )
    assert _subscriptions(graph) == 1

    def all_three_at_42() -> bool:
        clock.publish(Clock(clock=Time(sec=42)))
        publisher.publish(Imu())
        graph.executor.spin_once(timeout_sec=0.05)
        return [m.header.stamp.sec for m in received[-3:]] == [42, 42, 42]

    graph.spin_until(all_three_at_42, 'all nodes at the simulated time')


def test_the_subscription_survives_the_node_that_carries_it(graph: Any) -> None:
    sim = [Parameter('use_sim_time', value=True)]
    first, second, third = (
        graph.add(ProcessorNode(cls, parameter_overrides=sim)) for cls in (First, Second, Third)
    )
    clock = graph.publisher(Clock, '/clock', 'BULK')
    clock.publish(Clock(clock=Time(sec=7)))
    graph.spin_until(lambda: third.now_ns() == 7_000_000_000, 'third node at 7 s')
    assert first.now_ns() == second.now_ns() == 7_000_000_000

    graph.remove(first)
    graph.spin_until(lambda: _subscriptions(graph) == 1, 'subscription handed over')
    graph.spin_until(lambda: clock.get_subscription_count() == 1, 'matched again')
    clock.publish(Clock(clock=Time(sec=8)))
    graph.spin_until(lambda: third.now_ns() == 8_000_000_000, 'third node at 8 s')
    assert second.now_ns() == 8_000_000_000

    for node in (second, third):
        assert node.set_parameters([Parameter('use_sim_time', value=False)])[0].successful
    assert second.now_ns() > 1_000_000_000_000_000_000
    graph.spin_until(lambda: _subscriptions(graph) == 0, 'no one needs the clock')
