# SPDX-License-Identifier: Apache-2.0
"""Services and actions of a processor."""

from __future__ import annotations

from typing import Any

import pytest
from action_msgs.msg import GoalStatus
from node_workers import ORDER, Server
from rclpy.action import ActionClient
from rclpy.node import Node
from std_msgs.msg import String
from std_srvs.srv import Trigger

from meta_repo_ros.action import Calibrate
from meta_repo_ros.ros.host import ProcessorNode

FULL = Calibrate.Goal(calibration_type='full')


class Bench:
    """An active server and its clients."""

    def __init__(self, graph: Any) -> None:
        self.graph = graph
        self.node: ProcessorNode = graph.add(ProcessorNode(Server))
        self.node.trigger_configure()
        self.publisher = graph.publisher(String, ORDER.name, ORDER.qos)
        self.feedback: list[Any] = []
        self.client = self.new_client(graph.node)

    def new_client(self, node: Any) -> Any:
        client = ActionClient(node, Calibrate, 'calibrate')
        self.graph.spin_until(client.server_is_ready, 'action server')
        return client

    def activate(self) -> None:
        self.node.trigger_activate()

    def order(self, text: str) -> None:
        self.publisher.publish(String(data=text))

    def wait(self, future: Any, what: str) -> Any:
        self.graph.spin_until(future.done, what)
        return future.result()

    def send(self, goal: Any = FULL, client: Any = None) -> Any:
        keep = lambda message: self.feedback.append(message.feedback)  # noqa: E731
        return self.wait((client or self.client).send_goal_async(goal, keep), 'answer to the goal')

    def result(self, handle: Any) -> Any:
        return self.wait(handle.get_result_async(), 'result')


@pytest.fixture
def bench(graph: Any) -> Any:
    bench = Bench(graph)
    yield bench
    bench.client.destroy()


def test_a_service_is_answered_by_the_processor(bench: Bench) -> None:
    answer = bench.graph.call(Trigger, 'answer')
    assert (answer.success, answer.message) == (False, '/server is not active')
    bench.activate()
    answer = bench.graph.call(Trigger, 'answer')
    assert (answer.success, answer.message) == (True, 'answer asked')
    bench.node.processor.goal = FULL
    answer = bench.graph.call(Trigger, 'answer')
    assert (answer.success, answer.message) == (False, 'ArithmeticError: busy')
    assert bench.node.statistics.exceptions == 1
    bench.node.trigger_deactivate()
    bench.node.trigger_cleanup()
    bench.node.trigger_configure()
    assert not bench.graph.call(Trigger, 'answer').success


def test_a_goal_gives_feedback_and_a_result(bench: Bench) -> None:
    bench.activate()
    handle = bench.send()
    assert handle.accepted
    bench.order('feedback')
    bench.graph.spin_until(lambda: bench.feedback, 'feedback')
    assert (bench.feedback[0].state, bench.feedback[0].frames) == ('collecting', 3)
    bench.order('succeeded')
    done = bench.result(handle)
    assert done.status == GoalStatus.STATUS_SUCCEEDED
    assert (done.result.success, done.result.message) == (True, 'at the end')
    bench.order('succeeded')  # nothing runs any more
    again = bench.send()
    bench.order('aborted')
    assert bench.result(again).status == GoalStatus.STATUS_ABORTED


def test_goals_are_refused_with_the_reason_in_the_log(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    logger = bench.node.get_logger()
    monkeypatch.setattr(type(logger), 'warning', lambda _self, text, **_: said.append(text))
    assert not bench.send().accepted
    bench.activate()
    assert not bench.send(Calibrate.Goal(calibration_type='half')).accepted
    assert not bench.send(Calibrate.Goal(calibration_type='break')).accepted
    assert said == [
        'calibrate: goal refused: the node is not active',
        "calibrate: goal refused: no calibration 'half'",
        'calibrate: goal refused: ArithmeticError: broken goal',
    ]
    assert bench.send().accepted


def test_one_goal_at_a_time_whoever_asks(bench: Bench) -> None:
    bench.activate()
    other_node = bench.graph.add(Node('other_client'))
    other = bench.new_client(other_node)
    first = bench.send()
    assert not bench.send(client=other).accepted
    bench.order('succeeded')
    assert bench.result(first).status == GoalStatus.STATUS_SUCCEEDED
    second = bench.send(client=other)
    assert second.accepted
    bench.order('succeeded')
    assert bench.result(second).status == GoalStatus.STATUS_SUCCEEDED
    other.destroy()


@pytest.mark.parametrize('patient', [False, True])
def test_a_goal_is_cancelled(bench: Bench, patient: bool) -> None:
    bench.activate()
    bench.node.processor.patient = patient
    handle = bench.send()
    response = bench.wait(handle.cancel_goal_async(), 'answer to the cancellation')
    assert len(response.goals_canceling) == 1
    assert bench.node.processor.cancelled == 1
    if patient:  # it finishes in its own time, and may still succeed
        bench.order('succeeded')
    expected = GoalStatus.STATUS_SUCCEEDED if patient else GoalStatus.STATUS_CANCELED
    assert bench.result(handle).status == expected


@pytest.mark.parametrize('end', ['deactivate', 'clock', 'shutdown'])
def test_a_goal_ends_aborted_with_its_node(bench: Bench, end: str) -> None:
    bench.activate()
    handle = bench.send()
    future = handle.get_result_async()
    bench.graph.spin_for(0.2)  # the request for the result is there
    if end == 'clock':
        bench.node.on_clock_reset(0)
    elif end == 'deactivate':
        bench.node.trigger_deactivate()
    else:
        bench.node.trigger_shutdown()
    done = bench.wait(future, 'result')
    assert done.status == GoalStatus.STATUS_ABORTED
    assert not done.result.success
    assert done.result.message
    if end == 'clock':
        assert bench.send().accepted


def test_a_wrong_result_aborts_and_is_reported(bench: Bench) -> None:
    bench.activate()
    handle = bench.send()
    bench.order('wrong')
    done = bench.result(handle)
    assert done.status == GoalStatus.STATUS_ABORTED
    assert done.result.message == 'the result of calibrate is String'
    assert 'the result of calibrate is String' in bench.node.statistics.last_exception


def test_nothing_of_an_action_outlives_its_node(bench: Bench) -> None:
    name = '/calibrate/_action/send_goal'
    bench.activate()
    assert bench.send().accepted
    bench.graph.spin_until(lambda: bench.graph.node.count_services(name) == 1, 'one server')
    bench.graph.remove(bench.node)
    bench.graph.spin_until(lambda: not bench.graph.node.count_services(name), 'no server')
