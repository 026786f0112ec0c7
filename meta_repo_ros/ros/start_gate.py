# SPDX-License-Identifier: Apache-2.0
"""A source of data waits until those it is meant for listen.

What a volatile publisher sends before its subscribers are matched is lost: a recording would begin
later than the filter that it records.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection

    from rclpy.publisher import Publisher

    from meta_repo_ros.ros.node import ManagedNode

_POLL_NS = 50_000_000
_SETTLED_NS = 800_000_000  # nodes subscribe one topic after the other, and discovery is work


class StartGate:
    """Opens once, when every named node listens and no new subscription has come for 0.8 s.

    Args:
        node: the source; the awaited nodes are in its namespace.
        publishers: its publishers.
        names: nodes to wait for; none opens at once.
        timeout: after this time it opens with a warning, s; 0 waits for ever.
    """

    def __init__(
        self,
        node: ManagedNode,
        publishers: Collection[Publisher[Any]],
        names: Collection[str],
        timeout: float,
    ) -> None:
        self._node = node
        self._publishers = publishers
        self._names = frozenset(names)
        now = time.monotonic_ns()
        self._deadline = now + int(timeout * 1e9) if timeout > 0.0 else None
        self._next_look = now
        self._matched = -1
        self._matched_since = now
        self.is_open = not names

    def check(self) -> bool:
        """Whether it is open by now; cheap to call often."""
        now = time.monotonic_ns()
        if self.is_open or now < self._next_look:
            return self.is_open
        self._next_look = now + _POLL_NS
        matched = sum(publisher.get_subscription_count() for publisher in self._publishers)
        if matched != self._matched:
            self._matched, self._matched_since = matched, now
        missing = self._missing()
        if not missing and now - self._matched_since >= _SETTLED_NS:
            self.is_open = True
        elif self._deadline is not None and now >= self._deadline:
            self.is_open = True
            names = ', '.join(sorted(missing)) or 'late subscriptions'
            self._node.get_logger().warning(f'nobody waited for listens ({names}): starting anyway')
        return self.is_open

    def _missing(self) -> set[str]:
        missing, namespace = set(self._names), self._node.get_namespace()
        for publisher in self._publishers:
            for end in self._node.get_subscriptions_info_by_topic(publisher.topic_name):
                if end.node_namespace == namespace:
                    missing.discard(end.node_name)
            if not missing:
                break
        return missing
