# SPDX-License-Identifier: Apache-2.0
"""One ``/clock`` subscription per process feeds every node of it.

rclpy gives each node a time source with a subscription of its own; fifteen nodes then take and
convert each clock message fifteen times. Here the first node that wants simulated time carries
the subscription, and hands it over when it goes. ``use_sim_time`` keeps its usual meaning.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, ClassVar

from rosgraph_msgs.msg import Clock

from meta_repo_ros.ros import qos

if TYPE_CHECKING:
    from collections.abc import Callable

    from rclpy.context import Context
    from rclpy.node import Node
    from rclpy.subscription import Subscription

TOPIC = '/clock'


class ClockListener:
    """What a node's time source holds in place of a subscription."""

    def __init__(
        self, node: Node, create: Callable[..., Any], callback: Callable[[Clock], None]
    ) -> None:
        self.node = node
        self.create = create
        self.callback = callback


class ClockFeed:
    """The one subscription and its listeners."""

    _feeds: ClassVar[weakref.WeakKeyDictionary[Context, ClockFeed]] = weakref.WeakKeyDictionary()

    def __init__(self) -> None:
        self._listeners: list[ClockListener] = []
        self._carrier: ClockListener | None = None
        self._subscription: Subscription[Any] | None = None

    @classmethod
    def of(cls, context: Context) -> ClockFeed:
        """The feed of this process (of this rclpy context)."""
        feed = cls._feeds.get(context)
        if feed is None:
            feed = cls._feeds[context] = cls()
        return feed

    def add(self, listener: ClockListener) -> None:
        """Feed ``listener`` from now on."""
        self._listeners.append(listener)
        self._ensure_subscription()

    def remove(self, listener: ClockListener) -> None:
        """Feed ``listener`` no more; if it carried the subscription, another one does now."""
        self._listeners.remove(listener)
        if listener is self._carrier:
            if self._subscription is not None:
                listener.node.destroy_subscription(self._subscription)
            self._carrier = self._subscription = None
            self._ensure_subscription()

    def _ensure_subscription(self) -> None:
        if self._carrier is None and self._listeners:
            self._carrier = self._listeners[0]
            self._subscription = self._carrier.create(Clock, TOPIC, self._on_clock, qos.CLOCK)

    def _on_clock(self, message: Clock) -> None:
        for listener in self._listeners:
            listener.callback(message)
