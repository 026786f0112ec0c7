# SPDX-License-Identifier: Apache-2.0
"""The way from any thread into the executor's thread of a node."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy

if TYPE_CHECKING:
    from collections.abc import Callable

    from rclpy.node import Node


class Mailbox:
    """Runs callables in the executor's thread of a node; use :meth:`post` from any thread.

    Args:
        node: whose executor wakes for it, at once.
    """

    def __init__(self, node: Node) -> None:
        self._posted: deque[Callable[[], None]] = deque()
        self._guard: Any = node.create_guard_condition(self._drain)

    def post(self, action: Callable[[], None]) -> None:
        """Have ``action()`` called; it is not where the node is destroyed before."""
        self._posted.append(action)
        with suppress(_rclpy.InvalidHandle):  # destroyed with the node
            self._guard.trigger()

    def _drain(self) -> None:
        for _ in range(len(self._posted)):  # what is posted meanwhile has its own turn
            self._posted.popleft()()
