# SPDX-License-Identifier: Apache-2.0
"""The live host: a thin lifecycle node around one processor.

Per message: one lookup of the time, the processor, one publish per output. Messages are handed
over as they are, without copies. Tasks run in a thread of the node; what comes of one that began
before a deactivation or a reset is dropped, and a goal ends aborted then.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

from meta_repo_ros.core.processor import Feedback, Finished, Output, Task
from meta_repo_ros.ros.actions import OfferedAction, refuse
from meta_repo_ros.ros.node import ManagedNode
from meta_repo_ros.ros.tasks import TaskRunner
from meta_repo_ros.ros.types import message_class

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rclpy.service import Service as RclpyService
    from rclpy.subscription import Subscription

    from meta_repo_ros.core.processor import (
        Action,
        Diagnostic,
        Event,
        Processor,
        Service,
        Topic,
    )
    from meta_repo_ros.ros.exchange import BulkSubscription


class ProcessorNode(ManagedNode):
    """Runs a processor live.

    Args:
        processor: the processor's class; it is built anew by each configure.
        name: node name, the processor's own by default.
        seed: seed of the processor's randomness.
        **options: as for :class:`ManagedNode`.
    """

    def __init__(
        self, processor: type[Processor], name: str | None = None, *, seed: int = 0, **options: Any
    ) -> None:
        self._class = processor
        self._seed = seed
        self._processor: Processor | None = None
        self._publish: dict[str, Callable[[Any], None]] = {}
        self._was_active = False
        self._latched: dict[str, Any] = {}
        self._tasks: TaskRunner | None = None
        self._offered_services: list[RclpyService[Any, Any]] = []
        self._actions: dict[str, OfferedAction] = {}
        super().__init__(name or processor.name, parameters=processor.Parameters, **options)

    @property
    def processor(self) -> Processor:
        """The processor; there is none while unconfigured.

        Raises:
            RuntimeError: while unconfigured.
        """
        if self._processor is None:
            raise RuntimeError(f'{self.full_name} is not configured')
        return self._processor

    def configure(self) -> None:
        """Build the processor, its publishers, subscriptions, services, actions and timer."""
        processor = self._processor = self._class(self.parameters, seed=self._seed)
        self._was_active = False
        self._publish = {t.name: self.advertise(t).publish for t in processor.outputs}
        for topic in processor.inputs:
            self._subscribe(topic, processor.on_message)
        period = processor.timer_period_ns
        if period is not None:
            self.every(period, self._on_timer)
        for service in processor.services:
            self._offer_service(service)
        for action in processor.actions:
            self._offer_action(action)

    def activate(self) -> None:
        """Start; after a pause the processor starts from nothing but the latched inputs."""
        if self._was_active:
            self.processor.reset(self.now_ns())
        self._was_active = True
        for topic, message in self._latched.items():
            self._take(topic, message)

    def deactivate(self) -> None:
        """Publish the processor's safe outputs; what is under way comes to nothing."""
        self._drop_work('the node was deactivated')
        self._emit(self.processor.safe_outputs(self.now_ns()))

    def cleanup(self) -> None:
        """Drop the processor."""
        self._end_tasks()
        for service in self._offered_services:
            self.destroy_service(service)
        self._offered_services.clear()
        for action in self._actions.values():
            action.destroy()
        self._actions.clear()
        self._processor = None
        self._publish = {}
        self._latched.clear()

    def destroy_node(self) -> None:
        """As the base's; no thread and no action server remains."""
        self._end_tasks()
        for action in self._actions.values():
            action.discard()
        self._actions.clear()
        super().destroy_node()

    def apply_parameters(self, parameters: Any) -> None:
        """Hand the new set to the processor."""
        self.processor.set_parameters(parameters)

    def on_clock_reset(self, stamp: int) -> None:
        """Reset the processor."""
        self._drop_work('the clock jumped back')
        self.processor.reset(stamp)

    def diagnostics(self, stamp: int) -> Sequence[Diagnostic]:
        """The processor's rows, and one of its tasks once there were any."""
        rows = self.processor.diagnostics(stamp)
        return rows if self._tasks is None else (*rows, self._tasks.row())

    def _emit(self, events: Sequence[Event]) -> None:
        publish = self._publish
        for event in events:
            if type(event) is Output:
                publish[event[0]](event[1])
            else:
                self._do(event)

    def _do(self, event: Event) -> None:
        """What is not a message: work, or news of a goal."""
        if isinstance(event, Task):
            if self._tasks is None:
                self._tasks = TaskRunner(self, self._on_result)
            self._tasks.submit(event)
        elif isinstance(event, Feedback):
            self._actions[event.action].feedback(event.message)
        elif isinstance(event, Finished):
            self._actions[event.action].finish(event.status, event.result)
        else:
            raise TypeError(f'a processor cannot give back {type(event).__name__}')

    def _end_tasks(self) -> None:
        if self._tasks is not None and not self._tasks.close():
            self.get_logger().warning('a task runs on; nobody waits for it any longer')
        self._tasks = None

    def _drop_work(self, reason: str) -> None:
        if self._tasks is not None:
            self._tasks.forget()
        for action in self._actions.values():
            action.abort(reason)

    def _on_result(self, name: str, result: Any) -> None:
        try:
            self._emit(self.processor.on_result(name, result, self.now_ns()))
        except Exception as error:  # noqa: BLE001 (as for input)
            self._on_exception(name, error)

    def _offer_service(self, service: Service) -> None:
        def callback(request: Any, response: Any) -> Any:
            if not self.active:
                return refuse(response, f'{self.full_name} is not active')
            try:
                answer = self.processor.on_request
                self._emit(answer(service.name, request, response, self.now_ns()))
            except Exception as error:  # noqa: BLE001 (as for input)
                self._on_exception(service.name, error)
                return refuse(response, f'{type(error).__name__}: {error}')
            return response

        kind = message_class(service.type)
        self._offered_services.append(self.create_service(kind, service.name, callback))

    def _offer_action(self, action: Action) -> None:
        def take(goal: Any) -> str:
            try:
                return self.processor.on_goal(action.name, goal, self.now_ns())
            except Exception as error:  # noqa: BLE001 (as for input)
                self._on_exception(action.name, error)
                return f'{type(error).__name__}: {error}'

        def cancel() -> None:
            try:
                self._emit(self.processor.on_cancel(action.name, self.now_ns()))
            except Exception as error:  # noqa: BLE001 (as for input)
                self._on_exception(action.name, error)
                self._actions[action.name].abort(f'{type(error).__name__}: {error}')

        self._actions[action.name] = OfferedAction(self, action, take, cancel)

    def _take(self, topic: str, message: Any) -> None:
        try:
            self._emit(self.processor.on_message(topic, message, self.now_ns()))
        except Exception as error:  # noqa: BLE001 (input must never keep a node inactive)
            self._on_exception(topic, error)

    def _on_timer(self) -> None:
        self._emit(self.processor.on_timer(self.now_ns()))

    def _subscribe(
        self, topic: Topic, on_message: Callable[[str, Any, int], Sequence[Event]]
    ) -> None:
        node, name, statistics = self, topic.name, self.statistics
        publish, failed = self._publish, partial(self._on_exception, topic.name)
        time_source, now_ns, wall_ns = self._time_source, self.now_ns, time.time_ns
        last_sequence = 0
        latched = self._latched if topic.qos == 'LATCHED' else None  # comes once
        subscription: Subscription[Any] | BulkSubscription

        def callback(message: Any, info: Any) -> None:
            nonlocal last_sequence
            sequence = info['publication_sequence_number']
            if sequence is not None:  # some middleware does not tell
                # one publisher numbers its messages without holes; several cannot be told apart
                lost = sequence - last_sequence - 1
                if lost > 0 and last_sequence and subscription.get_publisher_count() == 1:
                    statistics.gap(name, lost)
                last_sequence = sequence
            if latched is not None:
                latched[name] = message
            if not node.active:
                statistics.ignored += latched is None
                return
            statistics.received += 1
            stamp = now_ns() if time_source.ros_time_is_active else wall_ns()
            try:
                for event in on_message(name, message, stamp):
                    if type(event) is Output:
                        publish[event[0]](event[1])
                    else:
                        node._do(event)
            except Exception as error:  # noqa: BLE001 (input must never end the process)
                failed(error)

        subscription = self.subscribe_raw_callback(topic, callback)
