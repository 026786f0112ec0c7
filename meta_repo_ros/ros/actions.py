# SPDX-License-Identifier: Apache-2.0
"""Services and actions of a processor, live."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.task import Future

from meta_repo_ros.core.processor import Action, GoalStatus
from meta_repo_ros.ros.types import message_class

if TYPE_CHECKING:
    from collections.abc import Callable

    from meta_repo_ros.ros.node import ManagedNode


def refuse(message: Any, reason: str) -> Any:
    """A new response or result that says no, as far as ``message``'s type can say it."""
    answer = type(message)()
    if hasattr(answer, 'success'):
        answer.success = False
    if hasattr(answer, 'message'):
        answer.message = reason
    return answer


@dataclass(frozen=True)
class _Goal:
    handle: Any
    end: Future[tuple[GoalStatus, Any]]


class OfferedAction:
    """One action of a node: one goal at a time, until :meth:`destroy`.

    Goals, cancellations and results are looked at by the executor at the pace of services.

    Args:
        node: whose it is; its goals are refused while it is not active.
        action: name and type.
        take: called with a goal; '' where it is taken, else why it is refused.
        cancel: called where somebody wants the goal to end early.
    """

    def __init__(
        self,
        node: ManagedNode,
        action: Action,
        take: Callable[[Any], str],
        cancel: Callable[[], None],
    ) -> None:
        self._node = node
        self._name = action.name
        self._take = take
        self._cancel = cancel
        self._type = message_class(action.type)
        self._goal: _Goal | None = None
        self._unanswered = 0
        self._server: Any = ActionServer(
            node,
            self._type,
            action.name,
            self._run,
            goal_callback=self._on_goal,
            handle_accepted_callback=self._on_accepted,
            cancel_callback=self._on_cancel,
        )

    def feedback(self, message: Any) -> None:
        """Publish feedback of the running goal; without one nothing happens."""
        if self._goal is not None:
            self._goal.handle.publish_feedback(message)

    def finish(self, status: GoalStatus, result: Any) -> None:
        """End the running goal; without one nothing happens.

        Raises:
            TypeError: ``result`` is not of the action's type; the goal is aborted.
        """
        goal, self._goal = self._goal, None
        if goal is None:
            return
        if isinstance(result, self._type.Result):
            goal.end.set_result((status, result))
            return
        reason = f'the result of {self._name} is {type(result).__name__}'
        goal.end.set_result((GoalStatus.ABORTED, refuse(self._type.Result(), reason)))
        raise TypeError(reason)

    def abort(self, reason: str) -> None:
        """End the running goal, if there is one, since its node cannot go on with it."""
        if self._goal is not None:
            self._node.get_logger().warning(f'{self._name}: the goal is aborted: {reason}')
            self.finish(GoalStatus.ABORTED, refuse(self._type.Result(), reason))

    def destroy(self) -> None:
        """Withdraw the action, after the answer to a goal that was just ended."""
        self.abort('the node is taken down')
        if self._unanswered and self._node.executor is not None:
            self._node.executor.create_task(self._server.destroy)
        else:
            self._server.destroy()

    def discard(self) -> None:
        """Destroy the server now: nobody turns its node any more. Its node would not do so."""
        self._server.destroy()

    def _on_goal(self, goal: Any) -> GoalResponse:
        if not self._node.active:
            reason = 'the node is not active'
        elif self._goal is not None:
            reason = 'another goal is running'
        else:
            reason = self._take(goal)
        if reason:
            self._node.get_logger().warning(f'{self._name}: goal refused: {reason}')
            return GoalResponse.REJECT
        return GoalResponse.ACCEPT

    def _on_accepted(self, handle: Any) -> None:
        goal = self._goal = _Goal(handle, Future())
        self._unanswered += 1
        handle.execute(partial(self._run, end=goal.end))

    async def _run(self, handle: Any, end: Future[tuple[GoalStatus, Any]]) -> Any:
        status, result = await end
        self._unanswered -= 1
        if status is GoalStatus.SUCCEEDED:
            handle.succeed()
        elif status is GoalStatus.CANCELED and handle.is_cancel_requested:
            handle.canceled()
        else:
            handle.abort()
        return result

    def _on_cancel(self, handle: Any) -> CancelResponse:
        if self._goal is None or self._goal.handle != handle:
            return CancelResponse.REJECT
        self._cancel()
        return CancelResponse.ACCEPT
