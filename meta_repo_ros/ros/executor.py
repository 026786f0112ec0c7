# SPDX-License-Identifier: Apache-2.0
"""A single-threaded executor that waits for data only.

rclpy's executor rebuilds its wait set from every entity of every node after each callback, wakes
itself twice per callback, and runs each callback as a coroutine in a task. A lifecycle node has
about thirty entities, nearly all of them services and QoS events that stay silent for minutes; so
each message pays for all of them.

Here the wait set holds subscriptions, timers, clients and guard conditions, is rebuilt only when
an entity comes or goes, and callbacks are called directly. Services are looked at every
``SLOW_PERIOD_NS``, which bounds their latency, QoS events twice a second. Messages of several
topics that wait together are taken in the order in which they arrived. Coroutines still work, as
tasks.

Use from one thread. Entities are created and destroyed in that thread.
"""

from __future__ import annotations

import heapq
import inspect
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from rclpy.event_handler import EventHandler
from rclpy.executors import Executor, ExternalShutdownException
from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy
from rclpy.subscription import Subscription
from rclpy.task import Task
from rclpy.waitable import NumberOfEntities

if TYPE_CHECKING:
    from rclpy.client import Client
    from rclpy.guard_condition import GuardCondition
    from rclpy.node import Node
    from rclpy.service import Service
    from rclpy.timer import Timer
    from rclpy.waitable import Waitable

SLOW_PERIOD_NS = 50_000_000
"""Services are looked at this often (ns), QoS events every tenth time."""
_EVENT_ROUNDS = 10
# messages of a backlog that are taken before timers and services have their turn
_BACKLOG = 64
_FOREVER_NS = 1 << 62


class DataExecutor(Executor):
    """Executor of a process; see the module's text."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._stale = True
        self._handles = ExitStack()
        self._timers: dict[int, Timer] = {}
        self._data: dict[int, Subscription[Any]] = {}
        self._clients: dict[int, Client[Any, Any]] = {}
        self._guards: dict[int, GuardCondition] = {}
        self._services: dict[int, Service[Any, Any]] = {}
        self._waitables: list[Waitable[Any]] = []
        self._ready_tasks: list[Task[Any]] = []
        self._fast_set: Any = None
        self._slow_set: Any = None
        self._event_set: Any = None
        self._events: list[EventHandler] = []
        self._slow_rounds = 0
        self._next_slow_ns = 0

    # -- what rclpy calls ------------------------------------------------------------------------

    def add_node(self, node: Node) -> bool:
        """Take the node's callbacks."""
        self._stale = True
        return bool(super().add_node(node))

    def remove_node(self, node: Node) -> None:
        """Leave the node's callbacks."""
        self._stale = True
        super().remove_node(node)

    def wake(self) -> None:
        """An entity came or went, or a task is ready."""
        self._stale = True
        super().wake()

    def create_task(self, callback: Any, *args: Any, **kwargs: Any) -> Task[Any]:
        """Run a callable or coroutine soon, in the executor's thread."""
        task: Task[Any] = Task(callback, args, kwargs, executor=self)
        self._ready_tasks.append(task)
        super().wake()
        return task

    def shutdown(self, timeout_sec: float | None = None) -> bool:
        """Let go of all entities."""
        self._handles.close()
        self._fast_set = self._slow_set = self._event_set = None
        self._stale = True
        return bool(super().shutdown(timeout_sec))

    def spin_once(self, timeout_sec: float | None = None) -> None:
        """Wait at most ``timeout_sec`` (for ever if None), then run all that is ready.

        Raises:
            ExternalShutdownException: the context was shut down.
        """
        end = _FOREVER_NS if timeout_sec is None else time.monotonic_ns() + int(timeout_sec * 1e9)
        while not self._is_shutdown:
            now = time.monotonic_ns()
            if now >= self._next_slow_ns:
                self._next_slow_ns = now + SLOW_PERIOD_NS
                if self._run_slow():
                    return
            if self._ready_tasks and self._run_tasks():
                return
            until = min(end, self._next_slow_ns)
            if self._run_fast(max(0, until - time.monotonic_ns())) or time.monotonic_ns() >= end:
                return

    def spin_once_until_future_complete(self, future: Any, timeout_sec: Any = None) -> None:
        """As rclpy's."""
        future.add_done_callback(lambda _: self.wake())
        self._spin_once_until_future_complete(future, timeout_sec)

    def _spin_once_until_future_complete(self, future: Any, timeout_sec: Any = None) -> None:
        del future
        self.spin_once(getattr(timeout_sec, 'timeout', timeout_sec))

    # -- waiting ---------------------------------------------------------------------------------

    def _run_fast(self, timeout_ns: int) -> bool:
        if self._stale:
            self._collect()
        wait_set = self._fast_set
        wait_set.clear_entities()
        for subscription in self._data.values():
            wait_set.add_subscription(subscription.handle)
        for timer in self._timers.values():
            wait_set.add_timer(timer.handle)
        for client in self._clients.values():
            wait_set.add_client(client.handle)
        for guard in self._guards.values():
            wait_set.add_guard_condition(guard.handle)
        wait_set.wait(timeout_ns)
        if not self._context.ok():
            raise ExternalShutdownException
        return self._run_ready(wait_set)

    def _run_ready(self, wait_set: Any) -> bool:
        ran = False
        if self._data:
            ready = wait_set.get_ready_entities('subscription')
            if ready:
                self._run_subscriptions([self._data[pointer] for pointer in ready])
                ran = True
        for kind, entities, run in (
            ('timer', self._timers, _run_timer),
            ('client', self._clients, self._run_client),
            ('guard_condition', self._guards, _run_guard),
        ):
            if not entities:
                continue
            for pointer in wait_set.get_ready_entities(kind):
                # What came ready may be gone; the next wait tells, save of a guard, which has
                # forgotten that it was triggered.
                if self._stale and kind != 'guard_condition':
                    break
                entity = entities.get(pointer)
                if entity is None:
                    continue
                ran = True
                self._finish(run(entity))
        return ran

    def _run_subscriptions(self, ready: list[Subscription[Any]]) -> None:
        if len(ready) == 1:
            taken = _take(ready[0])
            if taken is not None:
                self._finish(_call(ready[0], taken))
            return
        # Several have something: a backlog. Without order, one GNSS fix would overtake all the
        # inertial samples that wait since before it.
        heads: list[tuple[int, int, Any]] = []
        for place, subscription in enumerate(ready):
            taken = _take(subscription)
            if taken is not None:
                heads.append((taken[1]['received_timestamp'], place, taken))
        heapq.heapify(heads)
        budget = _BACKLOG
        while heads:
            _, place, taken = heads[0]
            self._finish(_call(ready[place], taken))
            budget -= 1
            following = None if budget < 0 or self._stale else _take(ready[place])
            if following is None:
                heapq.heappop(heads)
            else:
                heapq.heapreplace(heads, (following[1]['received_timestamp'], place, following))

    def _finish(self, result: Any) -> None:
        if result is not None and inspect.iscoroutine(result):
            self.create_task(result)

    def _run_slow(self) -> bool:
        if self._stale:
            self._collect()
        ran = self._poll(self._slow_set, self._services, self._waitables)
        self._slow_rounds += 1
        if self._slow_rounds % _EVENT_ROUNDS == 0 and not self._stale:
            ran = self._poll(self._event_set, {}, self._events) or ran
        return ran

    def _poll(
        self, wait_set: Any, services: dict[int, Service[Any, Any]], waitables: list[Waitable[Any]]
    ) -> bool:
        if not services and not waitables:
            return False
        wait_set.clear_entities()
        for service in services.values():
            wait_set.add_service(service.handle)
        for waitable in waitables:
            waitable.add_to_wait_set(wait_set)
        wait_set.wait(0)
        ready = [w for w in waitables if w.is_ready(wait_set)]
        for waitable in ready:
            self.create_task(waitable.execute, waitable.take_data())
        ran = bool(ready)
        if services:
            for pointer in wait_set.get_ready_entities('service'):
                service_ready = services.get(pointer)
                if service_ready is None:  # a waitable's own
                    continue
                ran = True
                self._run_service(service_ready)
                if self._stale:
                    break
        return ran

    def _collect(self) -> None:
        """Rebuild the wait sets; the handles stay in use until the next time."""
        self._handles.close()
        self._stale = False
        nodes = self.get_nodes()
        hold = self._hold
        self._data = hold(s for n in nodes for s in n.subscriptions)
        self._timers = hold(t for n in nodes for t in n.timers)
        self._clients = hold(c for n in nodes for c in n.clients)
        self._services = hold(s for n in nodes for s in n.services)
        guards = [g for n in nodes for g in n.guards]
        self._guards = hold([*guards, *filter(None, (self._guard, self._sigint_gc))])
        self._waitables, self._events = [], []
        entities = NumberOfEntities(num_services=len(self._services))
        for waitable in (w for n in nodes for w in n.waitables):
            try:
                self._handles.enter_context(waitable)
            except _rclpy.InvalidHandle:
                continue
            if isinstance(waitable, EventHandler):
                self._events.append(waitable)
            else:
                self._waitables.append(waitable)
                entities += waitable.get_num_entities()
        context = self._context.handle
        sizes = (len(self._data), len(self._guards), len(self._timers), len(self._clients))
        self._fast_set = _rclpy.WaitSet(*sizes, 0, 0, context)
        self._slow_set = _rclpy.WaitSet(
            entities.num_subscriptions,
            entities.num_guard_conditions,
            entities.num_timers,
            entities.num_clients,
            entities.num_services,
            entities.num_events,
            context,
        )
        self._event_set = _rclpy.WaitSet(0, 0, 0, 0, 0, len(self._events), context)

    def _hold(self, entities: Any) -> dict[int, Any]:
        held = {}
        for entity in entities:
            try:
                self._handles.enter_context(entity.handle)
            except _rclpy.InvalidHandle:
                continue
            held[entity.handle.pointer] = entity
        return held

    # -- running ---------------------------------------------------------------------------------

    def _run_tasks(self) -> bool:
        tasks, self._ready_tasks = self._ready_tasks, []
        finished = False
        for task in tasks:
            task()
            if not task.done() and not task.cancelled():
                self._ready_tasks.append(task)  # waits for a future; looked at after each wake
                continue
            finished = True
            error = task.exception()
            if error is not None:
                raise error
        return finished

    def _run_client(self, client: Client[Any, Any]) -> None:
        header, response = client.handle.take_response(client.srv_type.Response)
        if header is None:
            return
        try:
            future = client.get_pending_request(header.request_id.sequence_number)
        except KeyError:  # cancelled meanwhile
            return
        future._set_executor(self)  # noqa: SLF001 (rclpy's executors do the same)
        future.set_result(response)

    def _run_service(self, service: Service[Any, Any]) -> None:
        request, header = service.handle.service_take_request(service.srv_type.Request)
        if header is None:
            return
        response = service.callback(request, service.srv_type.Response())
        if inspect.iscoroutine(response):
            self.create_task(_answer_later, service, response, header)
        else:
            service.send_response(response, header)


async def _answer_later(service: Service[Any, Any], response: Any, header: Any) -> None:
    service.send_response(await response, header)


def _run_timer(timer: Timer) -> Any:
    # a timer can come ready and be cancelled, or be pushed back by a clock jump, in between
    if not timer.handle.is_timer_ready():
        return None
    timer.handle.call_timer()
    return timer.callback() if timer.callback is not None else None


def _take(subscription: Subscription[Any]) -> Any:
    return subscription.handle.take_message(subscription.msg_type, subscription.raw)


def _call(subscription: Subscription[Any], taken: Any) -> Any:
    if subscription._callback_type is Subscription.CallbackType.MessageOnly:  # noqa: SLF001
        return subscription.callback(taken[0])
    return subscription.callback(taken[0], taken[1])


def _run_guard(guard: GuardCondition) -> Any:
    return guard.callback() if guard.callback is not None else None
