# SPDX-License-Identifier: Apache-2.0
"""Large messages by reference between the nodes of one process.

A message of preset BULK is handed as the object that it is to the subscribers of its topic in the
same process; over DDS it goes only where somebody outside has subscribed. Such a message must not
be changed after it was published. As over DDS with that preset, a subscriber that is slow gets the
newest one.

While a node of the process publishes the topic, and nobody outside does, a subscriber has no DDS
subscription, since it would take and decode each message once more: other processes then do not see
it as a subscriber.
"""

from __future__ import annotations

import inspect
import threading
import weakref
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from rclpy.clock import Clock
from rclpy.clock_type import ClockType

from meta_repo_ros.ros.memory import keep_large_blocks

if TYPE_CHECKING:
    from collections.abc import Callable

    from rclpy.context import Context
    from rclpy.duration import Duration
    from rclpy.publisher import Publisher
    from rclpy.subscription import Subscription
    from rclpy.timer import Timer

    from meta_repo_ros.ros.node import ManagedNode

_LOOK_S = 1.0
"""How often a subscriber looks for publishers outside while there is one inside."""


@dataclass
class _Place:
    """One topic in this process."""

    publishers: list[BulkPublisher] = field(default_factory=list)
    takers: list[BulkSubscription] = field(default_factory=list)
    connected: int = 0  # own subscriptions over DDS

    def changed(self) -> None:
        for taker in list(self.takers):
            taker.look()


class Exchange:
    """The places of a process (of an rclpy context), by resolved topic name and type."""

    _exchanges: ClassVar[weakref.WeakKeyDictionary[Context, Exchange]] = weakref.WeakKeyDictionary()

    def __init__(self) -> None:
        self._places: dict[tuple[str, str], _Place] = {}

    @classmethod
    def place(cls, context: Context, topic: str, kind: str) -> _Place:
        """The place of ``topic``."""
        exchange = cls._exchanges.get(context)
        if exchange is None:
            exchange = cls._exchanges[context] = cls()
        return exchange._places.setdefault((topic, kind), _Place())


class BulkPublisher:
    """A publisher that hands over by reference where it can.

    Args:
        node: whose it is.
        topic: resolved name.
        kind: full type name.
        publisher: the one over DDS.
    """

    def __init__(self, node: ManagedNode, topic: str, kind: str, publisher: Publisher[Any]) -> None:
        keep_large_blocks()
        self.node = node
        self.dds = publisher
        self._sequence = 0
        self._place = Exchange.place(node.context, topic, kind)
        self._place.publishers.append(self)
        self._place.changed()

    @property
    def topic_name(self) -> str:
        """Resolved name."""
        return str(self.dds.topic_name)

    def publish(self, message: Any) -> None:
        """Hand ``message`` to every subscriber; it must not be changed any more."""
        self._sequence += 1
        for taker in self._place.takers:
            taker.put(message, self._sequence)
        if self.dds.get_subscription_count() > self._place.connected:
            self.dds.publish(message)

    def get_subscription_count(self) -> int:
        """Subscribers inside and outside."""
        outside: int = self.dds.get_subscription_count() - self._place.connected
        return outside + len(self._place.takers)

    def wait_for_all_acked(self, timeout: Duration) -> bool:
        """As rclpy's."""
        return bool(self.dds.wait_for_all_acked(timeout))

    def withdraw(self) -> None:
        """Leave the exchange; the publisher over DDS remains."""
        self._place.publishers.remove(self)
        self._place.changed()


class BulkSubscription:
    """A subscription that takes by reference where it can; all of it in the executor's thread.

    Args:
        node: whose it is.
        topic: resolved name.
        kind: full type name.
        callback: takes the message, or message and info as rclpy gives them.
        subscribe: makes a subscription over DDS with the callback it is given.
        unsubscribe: destroys it.
    """

    def __init__(
        self,
        node: ManagedNode,
        topic: str,
        kind: str,
        callback: Callable[..., None],
        *,
        subscribe: Callable[[Callable[[Any, Any], None]], Subscription[Any]],
        unsubscribe: Callable[[Subscription[Any]], object],
    ) -> None:
        keep_large_blocks()
        self._node = node
        self._topic = topic
        self._callback = callback
        self._with_info = len(inspect.signature(callback).parameters) > 1
        self._subscribe, self._unsubscribe = subscribe, unsubscribe
        self._dds: Subscription[Any] | None = None
        self._timer: Timer | None = None
        self._own: frozenset[bytes] = frozenset()
        self._lock = threading.Lock()
        self._latest: tuple[Any, int] | None = None
        self._place = Exchange.place(node.context, topic, kind)
        self._place.takers.append(self)
        self._outside = 0
        self.look()

    def put(self, message: Any, sequence: int) -> None:
        """Have ``message`` taken soon, in the place of one that was not taken yet."""
        with self._lock:
            waiting, self._latest = self._latest is not None, (message, sequence)
        if not waiting:
            self._node.mailbox.post(self._take)

    def look(self) -> None:
        """Subscribe over DDS where a message may come from outside, and only there."""
        publishers = self._place.publishers
        inside = len(publishers)
        self._outside = max(0, self._node.count_publishers(self._topic) - inside) if inside else 0
        if (self._timer is not None) != bool(inside):
            self._set_timer(wanted=bool(inside))
        if inside and self._outside:  # ours come by reference, and not once more
            names = {(p.node.get_name(), p.node.get_namespace()) for p in publishers}
            infos = self._node.get_publishers_info_by_topic(self._topic)
            self._own = frozenset(
                bytes(i.endpoint_gid) for i in infos if (i.node_name, i.node_namespace) in names
            )
        wanted = not inside or self._outside > 0
        if wanted and self._dds is None:
            self._dds = self._subscribe(self._on_message)
            self._place.connected += 1
        elif not wanted and self._dds is not None:
            self._disconnect()

    def get_publisher_count(self) -> int:
        """Publishers inside and outside."""
        if self._dds is not None:
            return int(self._dds.get_publisher_count())
        return len(self._place.publishers)

    def destroy(self) -> None:
        """Take no more."""
        self._place.takers.remove(self)
        self._set_timer(wanted=False)
        if self._dds is not None:
            self._disconnect()
        with self._lock:
            self._latest = None

    def _disconnect(self) -> None:
        if self._dds is not None:
            self._place.connected -= 1
            self._unsubscribe(self._dds)
            self._dds = None

    def _set_timer(self, *, wanted: bool) -> None:
        if self._timer is not None:
            self._node.destroy_timer(self._timer)
            self._timer = None
        if wanted:
            clock = Clock(clock_type=ClockType.STEADY_TIME)
            self._timer = self._node.create_timer(_LOOK_S, self.look, clock=clock)

    def _take(self) -> None:
        with self._lock:
            latest, self._latest = self._latest, None
        if latest is not None:
            message, sequence = latest
            self._call(message, {'publication_sequence_number': sequence})

    def _on_message(self, message: Any, info: Any) -> None:
        if not self._own or info['publisher_gid']['data'] not in self._own:
            self._call(message, info)

    def _call(self, message: Any, info: Any) -> None:
        if self._with_info:
            self._callback(message, info)
        else:
            self._callback(message)


__all__ = ['BulkPublisher', 'BulkSubscription', 'Exchange']
