# SPDX-License-Identifier: Apache-2.0
"""The executor of the live host."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import pytest
from rclpy.task import Future
from std_msgs.msg import Int32
from std_srvs.srv import Trigger

from meta_repo_ros.ros import qos


def test_a_backlog_of_several_topics_is_taken_in_order_of_arrival(graph: Any) -> None:
    order: list[int] = []
    topics = ('a', 'b', 'c')
    for topic in topics:
        graph.node.create_subscription(
            Int32, topic, lambda m: order.append(m.data), qos.profile('EVENT')
        )
    publishers = [graph.publisher(Int32, topic, 'EVENT') for topic in topics]
    # a burst on one topic, then in turn, more than one round takes
    sequence = [0] * 40 + [0, 1, 2] * 40
    for number, which in enumerate(sequence):
        publishers[which].publish(Int32(data=number))
    graph.spin_until(lambda: len(order) == len(sequence), 'all messages')
    assert order == sorted(order)


def test_a_subscription_destroyed_by_another_callback_is_called_no_more(graph: Any) -> None:
    seen: list[int] = []
    second = graph.node.create_subscription(
        Int32, 'b', lambda m: seen.append(m.data), qos.profile('EVENT')
    )

    def first(message: Int32) -> None:
        seen.append(message.data)
        if message.data == 1:
            graph.node.destroy_subscription(second)

    graph.node.create_subscription(Int32, 'a', first, qos.profile('EVENT'))
    a, b = graph.publisher(Int32, 'a', 'EVENT'), graph.publisher(Int32, 'b', 'EVENT')
    a.publish(Int32(data=1))
    graph.spin_until(lambda: seen == [1], 'first message')
    b.publish(Int32(data=2))
    a.publish(Int32(data=3))
    graph.spin_until(lambda: 3 in seen, 'third message')
    assert 2 not in seen


def test_a_service_may_await(graph: Any) -> None:
    gate: Future[None] = Future()

    async def answer(_request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        await gate
        response.message = 'opened'
        return response

    graph.node.create_service(Trigger, 'wait', answer)
    graph.node.create_timer(0.1, partial(gate.set_result, None))
    assert graph.call(Trigger, 'wait').message == 'opened'


def test_what_a_callback_raises_comes_out_of_spin(graph: Any) -> None:
    def fail(_message: Int32) -> None:
        raise ArithmeticError('on purpose')

    graph.node.create_subscription(Int32, 'a', fail, qos.profile('EVENT'))
    graph.publisher(Int32, 'a', 'EVENT').publish(Int32())
    with pytest.raises(ArithmeticError, match='on purpose'):
        graph.spin_for(10.0)


def test_a_cancelled_timer_is_not_called(graph: Any) -> None:
    calls: list[str] = []

    def cancel_other() -> None:
        calls.append('first')
        other.cancel()

    graph.node.create_timer(0.02, cancel_other)
    other = graph.node.create_timer(0.03, partial(calls.append, 'other'))
    graph.spin_until(lambda: len(calls) >= 4, 'timer calls')
    assert 'other' not in calls


def test_a_guard_is_not_forgotten_when_an_entity_comes(graph: Any) -> None:
    calls: list[str] = []

    def make() -> None:  # the wait set has to be built anew
        calls.append('timer')
        graph.node.create_publisher(Int32, 'late', 1)
        timer.cancel()

    timer = graph.node.create_timer(0.02, make)
    guard = graph.node.create_guard_condition(partial(calls.append, 'guard'))
    graph.executor.spin_once(timeout_sec=0.0)
    time.sleep(0.03)  # the timer is due
    guard.trigger()
    graph.spin_until(lambda: 'timer' in calls, 'timer')
    graph.spin_until(lambda: 'guard' in calls, 'guard', 1.0)
