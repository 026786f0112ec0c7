# SPDX-License-Identifier: Apache-2.0
"""A live graph inside the test: one executor, helpers to publish, collect, call and wait."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import rclpy
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from meta_repo_ros.ros import qos
from meta_repo_ros.ros.executor import DataExecutor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# the same module is loaded by containers under test and by the tests themselves
sys.path.insert(0, str(Path(__file__).parent / 'nodes'))


class Graph:
    """What a test has of the live graph; everything runs in the test's own thread."""

    def __init__(self) -> None:
        self.executor = DataExecutor()
        self.node = Node('test_probe')
        self.executor.add_node(self.node)
        self._nodes: list[Node] = []
        self._clients: dict[str, Any] = {}

    def add(self, node: Any) -> Any:
        """Spin ``node`` too, and destroy it with the test."""
        self._nodes.append(node)
        self.executor.add_node(node)
        return node

    def remove(self, node: Any) -> None:
        """Destroy ``node`` now."""
        self._nodes.remove(node)
        self.executor.remove_node(node)
        node.destroy_node()

    def spin_until(
        self, condition: Callable[[], object], what: str = 'condition', deadline: float = 15.0
    ) -> None:
        """Run callbacks until ``condition()`` holds; fails at the deadline (s)."""
        end = time.monotonic() + deadline
        while not condition():
            if time.monotonic() > end:
                pytest.fail(f'not within {deadline} s: {what}')
            self.executor.spin_once(timeout_sec=0.02)

    def spin_for(self, seconds: float) -> None:
        """Run callbacks for a while, to see that something does not happen."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.executor.spin_once(timeout_sec=0.02)

    def collect(self, message_type: Any, topic: str, preset: str = 'STATE') -> list[Any]:
        """A list that grows with what is published on ``topic``."""
        received: list[Any] = []
        self.node.create_subscription(message_type, topic, received.append, qos.profile(preset))
        return received

    def publisher(
        self, message_type: Any, topic: str, preset: str = 'STATE', subscribers: int = 1
    ) -> Any:
        """A publisher, matched with at least ``subscribers``."""
        publisher = self.node.create_publisher(message_type, topic, qos.profile(preset))
        self.spin_until(
            lambda: publisher.get_subscription_count() >= subscribers, f'subscriber of {topic}'
        )
        return publisher

    def call(
        self, service_type: Any, name: str, request: Any = None, deadline: float = 15.0
    ) -> Any:
        """Call a service and return its response.

        One client a service is kept: making and destroying many of one name, Fast DDS now and then
        never matches a new one. Such a one is made anew.
        """
        end = time.monotonic() + deadline
        while True:
            client = self._clients.get(name) or self.node.create_client(service_type, name)
            self._clients[name] = client
            if client.service_is_ready():
                break
            last = time.monotonic() + 4.0 >= end
            try:
                self.spin_until(client.service_is_ready, f'service {name}', 4.0)
            except pytest.fail.Exception:
                if last:
                    raise
                self.node.destroy_client(self._clients.pop(name))
        future = client.call_async(service_type.Request() if request is None else request)
        self.spin_until(future.done, f'answer of {name}', deadline)
        return future.result()

    def close(self) -> None:
        """Destroy everything."""
        for node in (*self._nodes, self.node):
            self.executor.remove_node(node)
            node.destroy_node()
        self.executor.shutdown()


@pytest.fixture
def ros() -> Iterator[None]:
    """A fresh rclpy context."""
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    yield
    rclpy.try_shutdown()


@pytest.fixture
def graph(ros: None) -> Iterator[Graph]:
    """A live graph of this test alone."""
    del ros
    live = Graph()
    yield live
    live.close()
