# SPDX-License-Identifier: Apache-2.0
"""What one process says about itself: a heartbeat at 4 Hz, all its nodes' diagnostics at 1 Hz.

One timer and two publishers per process, carried by its first node. The timer runs in the
executor thread, so the heartbeat shows that callbacks still turn, not only that a process exists.

``lifecycle/heartbeat`` is a ``diagnostic_msgs/DiagnosticStatus``: ``hardware_id`` names this
incarnation of the process (another one after a respawn), ``values`` hold the nodes' fully
qualified names and their lifecycle states.
"""

from __future__ import annotations

import os
import time
import weakref
from typing import TYPE_CHECKING, Any, ClassVar

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock
from rclpy.clock_type import ClockType

from meta_repo_ros.ros import diagnostics, qos

if TYPE_CHECKING:
    from rclpy.context import Context

    from meta_repo_ros.ros.node import ManagedNode

TOPIC = 'lifecycle/heartbeat'
PERIOD_NS = 250_000_000
_BEATS_PER_REPORT = 4


class Reporter:
    """Heartbeat and diagnostics of all managed nodes of one process (one rclpy context)."""

    _reporters: ClassVar[weakref.WeakKeyDictionary[Context, Reporter]] = weakref.WeakKeyDictionary()

    def __init__(self) -> None:
        self._nodes: list[ManagedNode] = []
        self._carrier: ManagedNode | None = None
        self._entities: tuple[Any, ...] = ()
        self._beats = 0
        self.incarnation = f'{os.getpid()}.{time.time_ns()}'

    @classmethod
    def of(cls, context: Context) -> Reporter:
        """The reporter of this process."""
        reporter = cls._reporters.get(context)
        if reporter is None:
            reporter = cls._reporters[context] = cls()
        return reporter

    def add(self, node: ManagedNode) -> None:
        """Report ``node`` from now on."""
        self._nodes.append(node)
        if self._carrier is None:
            self._carry(node)

    def remove(self, node: ManagedNode) -> None:
        """Forget ``node``, which is about to be destroyed."""
        if node not in self._nodes:
            return
        self._nodes.remove(node)
        if node is self._carrier:
            timer, report, beat = self._entities
            node.destroy_timer(timer)
            node.destroy_publisher(report)
            node.destroy_publisher(beat)
            self._carrier, self._entities = None, ()
            if self._nodes:
                self._carry(self._nodes[0])

    def _carry(self, node: ManagedNode) -> None:
        self._carrier = node
        report = node.create_publisher(DiagnosticArray, diagnostics.TOPIC, qos.profile('STATE'))
        beat = node.create_publisher(DiagnosticStatus, TOPIC, qos.profile('STATE'))
        timer = node.create_timer(
            PERIOD_NS / 1e9, self._on_timer, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )
        self._entities = (timer, report, beat)

    def _on_timer(self) -> None:
        if self._carrier is None:
            return
        _, report, beat = self._entities
        beat.publish(
            DiagnosticStatus(
                name='process',
                hardware_id=self.incarnation,
                values=[KeyValue(key=n.full_name, value=n.state_label) for n in self._nodes],
            )
        )
        self._beats += 1
        if self._beats % _BEATS_PER_REPORT == 0:
            rows = [row for node in self._nodes for row in node.status_rows()]
            report.publish(diagnostics.array(self._carrier.now_ns(), rows))
