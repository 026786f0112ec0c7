# SPDX-License-Identifier: Apache-2.0
"""Sends one goal to an action server of the running graph, and waits for its end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import rclpy
from rclpy.action import ActionClient
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from meta_repo_ros.core.processor import GoalStatus
from meta_repo_ros.ros.types import message_class

if TYPE_CHECKING:
    from collections.abc import Callable

    from rclpy.task import Future

_CANCELED, _SUCCEEDED = 5, 4  # action_msgs/GoalStatus
_CANCEL_S = 10.0
_MATCH_S = 0.3


class GoalError(RuntimeError):
    """The goal was not taken, or its end never came; the text says what to look at."""


def send_goal(
    name: str,
    type_name: str,
    fill: Callable[[Any], None],
    feedback: Callable[[Any], None],
    timeout: float,
    *,
    found_within: float = 10.0,
) -> tuple[GoalStatus, Any]:
    """Send a goal and wait for its result; Ctrl-C cancels it and still waits for the result.

    Args:
        name: of the action, absolute or relative to the root.
        type_name: full, such as ``meta_repo_ros/action/Calibrate``.
        fill: called with the goal to fill in.
        feedback: called with each feedback message.
        timeout: s from acceptance to the result.
        found_within: s until the server must be there.

    Raises:
        GoalError: no server, goal refused, or no result in time.
    """
    context = Context()
    rclpy.init(context=context)
    try:
        node = Node('meta_repo_goal', context=context, start_parameter_services=False)
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(node)
        client = ActionClient(node, message_class(type_name), name)
        try:
            return _Call(executor, client, name).run(fill, feedback, timeout, found_within)
        finally:
            client.destroy()
            executor.shutdown()
            node.destroy_node()
    finally:
        rclpy.try_shutdown(context=context)


class _Call:
    def __init__(self, executor: SingleThreadedExecutor, client: Any, name: str) -> None:
        self._executor = executor
        self._client = client
        self._name = name

    def run(
        self,
        fill: Callable[[Any], None],
        feedback: Callable[[Any], None],
        timeout: float,
        found_within: float,
    ) -> tuple[GoalStatus, Any]:
        self._turn(self._client.server_is_ready, found_within)
        if not self._client.server_is_ready():
            raise GoalError(
                f'nobody offers the action {self._name}: is the graph running, in this'
                ' ROS_DOMAIN_ID and namespace? `meta-repo doctor` shows it'
            )
        # the server may be matched one way only yet: its answer would be lost
        self._turn(lambda: False, _MATCH_S)
        goal = self._client._action_type.Goal()  # noqa: SLF001 (the client has no accessor)
        fill(goal)
        sent = self._client.send_goal_async(goal, lambda message: feedback(message.feedback))
        handle = self._wait(sent, 10.0, 'the server did not answer')
        if not handle.accepted:
            raise GoalError(f'{self._name} refused the goal; the node`s log says why')
        future = handle.get_result_async()
        try:
            answer = self._wait(future, timeout, f'no result within {timeout:.0f} s')
        except KeyboardInterrupt:
            handle.cancel_goal_async()
            answer = self._wait(future, _CANCEL_S, 'cancelled, but the server did not answer')
        status = {_SUCCEEDED: GoalStatus.SUCCEEDED, _CANCELED: GoalStatus.CANCELED}
        return status.get(answer.status, GoalStatus.ABORTED), answer.result

    def _wait(self, future: Future[Any], timeout: float, trouble: str) -> Any:
        self._turn(future.done, timeout)
        if not future.done():
            raise GoalError(f'{self._name}: {trouble}')
        return future.result()

    def _turn(self, ready: Callable[[], bool], timeout: float) -> None:
        end = time.monotonic() + timeout
        while not ready() and time.monotonic() < end:
            self._executor.spin_once(timeout_sec=0.05)
