# SPDX-License-Identifier: Apache-2.0
"""Brings the managed nodes up in order, and up again after a respawn.

Parameter names are nav2's. Two differences: a node that refuses or is lost is left out and
reported while the others go on flying, and a process is watched by its executor's heartbeat
(``ros/heartbeat.py``) in place of a bond per node.

Services (``std_srvs/Trigger``): ``~/startup``, ``~/pause``, ``~/resume``, ``~/reset``,
``~/shutdown`` answer when the nodes are there, or when no further progress is possible;
``~/is_active`` answers at once.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from lifecycle_msgs.srv import ChangeState
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.task import Future
from std_srvs.srv import Trigger

from meta_repo_ros.core.parameters import parameter
from meta_repo_ros.core.processor import Diagnostic, Level, Topic
from meta_repo_ros.core.time import seconds_ns
from meta_repo_ros.ros import heartbeat
from meta_repo_ros.ros.node import ManagedNode
from meta_repo_ros.ros.supervision import Call, Supervision, Target

if TYPE_CHECKING:
    from collections.abc import Sequence

_COMMANDS = {
    'startup': Target.ACTIVE,
    'pause': Target.INACTIVE,
    'resume': Target.ACTIVE,
    'reset': Target.UNCONFIGURED,
    'shutdown': Target.FINALIZED,
}


@dataclass(frozen=True)
class LifecycleManagerParameters:
    """Parameters of ``lifecycle_manager``."""

    node_names: tuple[str, ...] = parameter(
        (), 'Managed nodes, in the order of bring-up; shutdown is in reverse.', read_only=True
    )
    autostart: bool = parameter(True, 'Bring all nodes up without being asked.', read_only=True)
    bond_timeout: float = parameter(
        4.0,
        'A node without heartbeat for so long is lost; 0 switches the watch off.',
        unit='s', minimum=0.0, maximum=3600.0, read_only=True,
    )  # fmt: skip
    bond_heartbeat_period: float = parameter(
        0.1, 'Period of the watch.', unit='s', minimum=0.01, maximum=10.0, read_only=True
    )
    bond_respawn_max_duration: float = parameter(
        10.0,
        'How long an absent node holds up the ones after it.',
        unit='s', minimum=0.0, maximum=3600.0, read_only=True,
    )  # fmt: skip
    service_timeout: float = parameter(
        10.0,
        'A node without heartbeat for so long during a transition is lost.',
        unit='s', minimum=0.1, maximum=3600.0, read_only=True,
    )  # fmt: skip
    attempt_respawn_reconnection: bool = parameter(
        True, 'Configure and activate a node again when its process comes back.', read_only=True
    )


class LifecycleManager(ManagedNode):
    """The manager; it starts by itself."""

    name = 'lifecycle_manager'
    Parameters = LifecycleManagerParameters
    self_starting: ClassVar[bool] = True

    _supervision: Supervision

    def configure(self) -> None:
        """Make the clients, services and the watch."""
        settings = self.parameters
        names = [self._qualified(name) for name in settings.node_names]
        if len(set(names)) != len(names):
            raise ValueError(f'node_names holds a name twice: {", ".join(names)}')
        self._supervision = Supervision(
            names,
            bond_timeout_ns=seconds_ns(settings.bond_timeout),
            service_timeout_ns=seconds_ns(settings.service_timeout),
            respawn_ns=seconds_ns(settings.bond_respawn_max_duration),
            reconnect=settings.attempt_respawn_reconnection,
            now_ns=time.monotonic_ns(),
        )
        self._target = Target.ACTIVE if settings.autostart else Target.UNCONFIGURED
        self._announced: Target | None = None
        self._waiting: list[Future[Any]] = []
        self._last_tick_ns = time.monotonic_ns()
        self._clients_of = {
            name: self.create_client(ChangeState, f'{name}/change_state') for name in names
        }
        self._services_of = [
            self.create_service(Trigger, f'~/{command}', partial(self._command, target))
            for command, target in _COMMANDS.items()
        ]
        self._services_of.append(self.create_service(Trigger, '~/is_active', self._is_active))
        self.listen(
            Topic(heartbeat.TOPIC, 'diagnostic_msgs/msg/DiagnosticStatus', 'STATE'), self._on_beat
        )
        self.every(
            seconds_ns(settings.bond_heartbeat_period),
            self._tick,
            clock=Clock(clock_type=ClockType.STEADY_TIME),
        )

    def cleanup(self) -> None:
        """Release the clients and services."""
        for client in self._clients_of.values():
            self.destroy_client(client)
        for service in self._services_of:
            self.destroy_service(service)

    def diagnostics(self, stamp: int) -> Sequence[Diagnostic]:
        """One row: where all managed nodes are."""
        del stamp
        problems = self._supervision.problems()
        values = {
            name: 'lost' if node.lost else node.state or 'not seen'
            for name, node in self._supervision.nodes.items()
        }
        if problems:
            return [Diagnostic('managed nodes', Level.ERROR, '; '.join(problems), values)]
        if not self._supervision.reached(self._target):
            changed = self._supervision.changed_by_hand()
            text = f'on the way to {self._target.value}'
            if changed:
                text = f'not all {self._target.value}; changed by hand: {", ".join(changed)}'
            return [Diagnostic('managed nodes', Level.WARN, text, values)]
        return [Diagnostic('managed nodes', Level.OK, f'all {self._target.value}', values)]

    def _qualified(self, name: str) -> str:
        if name.startswith('/'):
            return name
        return f'{self.get_namespace().rstrip("/")}/{name}'

    def _on_beat(self, message: Any) -> None:
        states = {pair.key: pair.value for pair in message.values}
        now = time.monotonic_ns()
        for event in self._supervision.beat(message.hardware_id, states, now):
            self.get_logger().warning(event)

    def _tick(self) -> None:
        now = time.monotonic_ns()
        late = now - self._last_tick_ns - 2 * seconds_ns(self.parameters.bond_heartbeat_period)
        self._last_tick_ns = now
        if late > 0:
            self._supervision.shift(late)
        for event in self._supervision.check(now):
            self.get_logger().error(event)
        self._advance()

    def _advance(self) -> None:
        now = time.monotonic_ns()
        step = self._supervision.next_step(self._target, now)
        if step is None:
            self._announce(now)
            return
        name, transition = step
        client = self._clients_of[name]
        if not client.service_is_ready():
            return
        request = ChangeState.Request()
        request.transition.id = int(transition)
        call = self._supervision.begin(name, transition, now)
        self._announced = None
        client.call_async(request).add_done_callback(partial(self._on_answer, call))

    def _on_answer(self, call: Call, future: Future[Any]) -> None:
        answer = future.result()
        success = answer is not None and answer.success
        reason = self._supervision.finish(call, success=success, now_ns=time.monotonic_ns())
        if reason:
            self.get_logger().error(reason)
        self._advance()

    def _announce(self, now: int) -> None:
        if self._announced is not self._target and self._supervision.reached(self._target):
            self._announced = self._target
            count = len(self._supervision.nodes)
            self.get_logger().info(f'all {count} managed nodes are {self._target.value}')
        if self._waiting and self._supervision.settled(self._target, now):
            waiting, self._waiting = self._waiting, []
            for future in waiting:
                future.set_result(None)

    async def _command(
        self, target: Target, _request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        self._target = target
        self._announced = None
        self._supervision.retry()
        done: Future[Any] = Future()
        self._waiting.append(done)
        await done
        response.success = self._supervision.reached(target)
        response.message = self._summary(target)
        return response

    def _is_active(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success = self._supervision.reached(Target.ACTIVE)
        response.message = self._summary(Target.ACTIVE)
        return response

    def _summary(self, target: Target) -> str:
        problems = self._supervision.problems()
        if not problems and self._supervision.reached(target):
            return f'all {target.value}'
        states = (f'{name} {node.state}' for name, node in self._supervision.nodes.items())
        return '; '.join(problems or states)
