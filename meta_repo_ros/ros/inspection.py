# SPDX-License-Identifier: Apache-2.0
"""Looks at a running graph from outside: nodes, topics with measured rates, QoS, duplicates."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import (
    DurabilityPolicy,
    QoSCompatibility,
    QoSProfile,
    ReliabilityPolicy,
    qos_check_compatible,
)
from rclpy.signals import SignalHandlerOptions
from rclpy.topic_endpoint_info import TopicEndpointInfo

from meta_repo_ros.ros.types import message_class

_NAME = '_meta_repo_inspector'
_STEP = 0.05
_UNKNOWN = 'NODE_NAME_UNKNOWN'  # an endpoint that is discovered before its node
_DISCOVERY = 1.5
_LONGEST_DISCOVERY = 5.0


@dataclass(frozen=True)
class TopicReport:
    """One topic as seen from outside.

    Attributes:
        types: type names of its endpoints; more than one means that they do not match.
        rate: messages per second, None where the type is not installed here.
        bandwidth: bytes per second, None likewise.
    """

    name: str
    types: tuple[str, ...]
    publishers: tuple[str, ...]
    subscribers: tuple[str, ...]
    rate: float | None
    bandwidth: float | None


@dataclass(frozen=True)
class GraphReport:
    """A running graph; ``problems`` are sentences for people."""

    nodes: tuple[str, ...]
    topics: tuple[TopicReport, ...]
    problems: tuple[str, ...]


class _Counter:
    def __init__(self) -> None:
        self.messages = 0
        self.bytes = 0
        self.begin = time.monotonic()

    def __call__(self, data: bytes) -> None:
        self.messages += 1
        self.bytes += len(data)


@contextmanager
def _observer() -> Iterator[tuple[Node, SingleThreadedExecutor]]:
    context = Context()
    rclpy.init(context=context, signal_handler_options=SignalHandlerOptions.NO)
    node = Node(
        _NAME, context=context, enable_rosout=False, start_parameter_services=False,
        use_global_arguments=False,
    )  # fmt: skip
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    try:
        yield node, executor
    finally:
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown(context=context)


def conflicts(names: Collection[str], *, clock: bool, patience: float = 2.5) -> list[str]:
    """Who is in this domain already and stands in the way.

    Args:
        names: full names of the nodes that shall be started.
        clock: whether they shall publish ``/clock``.
        patience: longest time to look for others, s.

    Returns:
        Names of nodes that run already; a ``/clock`` publisher counts where ``clock`` is set.
    """
    with _observer() as (node, _):
        end = time.monotonic() + patience
        while time.monotonic() < end:
            found = [name for name in _node_names(node) if name in names]
            if clock:
                publishers = node.get_publishers_info_by_topic('/clock')
                found += [_full_name(info) for info in publishers if _UNKNOWN not in info.node_name]
            if found:
                return sorted(set(found))
            time.sleep(_STEP)
    return []


def inspect(seconds: float, on_progress: Callable[[float], None] | None = None) -> GraphReport:
    """Look at the graph of this domain and measure for ``seconds``.

    Args:
        seconds: how long rates are measured.
        on_progress: called now and then with the share that is done, 0 to 1.
    """
    with _observer() as (node, executor):
        counters: dict[str, _Counter | None] = {}
        nodes = 0
        found = begin = time.monotonic()
        # discovery takes its time: measure from the last node or topic that was found
        while (elapsed := time.monotonic() - max(found, begin + _DISCOVERY)) < seconds:
            known, nodes = nodes, len(node.get_node_names())
            if _subscribe_to_new(node, counters) or nodes > known:
                found = time.monotonic()
                if found - begin > _LONGEST_DISCOVERY + seconds:
                    break
            executor.spin_once(timeout_sec=_STEP)
            if on_progress is not None:
                on_progress(max(0.0, elapsed / seconds))
        return _report(node, counters)


def _subscribe_to_new(node: Node, counters: dict[str, _Counter | None]) -> bool:
    new = [item for item in node.get_topic_names_and_types() if item[0] not in counters]
    for name, types in new:
        counters[name] = _subscribe(node, name, types)
    return bool(new)


def _subscribe(node: Node, name: str, types: list[str]) -> _Counter | None:
    try:
        kind = message_class(types[0])
    except ValueError:
        return None
    # takes what any publisher offers
    qos = QoSProfile(
        depth=1000,
        reliability=ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.VOLATILE,
    )
    counter = _Counter()
    node.create_subscription(kind, name, partial(_Counter.__call__, counter), qos, raw=True)
    return counter


def _report(node: Node, counters: Mapping[str, _Counter | None]) -> GraphReport:
    names = _node_names(node)
    problems = [
        f'{count} nodes have the name {name}; rename or end one of them'
        for name, count in sorted(Counter(names).items())
        if count > 1
    ]
    topics = []
    for name, types in sorted(node.get_topic_names_and_types()):
        publishers = node.get_publishers_info_by_topic(name)
        subscribers = [
            info for info in node.get_subscriptions_info_by_topic(name) if info.node_name != _NAME
        ]
        if not publishers and not subscribers:
            continue
        if len(types) > 1:
            problems.append(f'{name}: endpoints of different types: {", ".join(types)}')
        problems += _mismatches(name, publishers, subscribers)
        counter = counters.get(name)
        seconds = 0.0 if counter is None else time.monotonic() - counter.begin
        topics.append(
            TopicReport(
                name,
                tuple(types),
                tuple(sorted(map(_full_name, publishers))),
                tuple(sorted(map(_full_name, subscribers))),
                None if counter is None else counter.messages / seconds,
                None if counter is None else counter.bytes / seconds,
            )
        )
    return GraphReport(tuple(sorted(names)), tuple(topics), tuple(dict.fromkeys(problems)))


def _mismatches(
    topic: str,
    publishers: Collection[TopicEndpointInfo],
    subscribers: Collection[TopicEndpointInfo],
) -> Iterator[str]:
    for publisher in publishers:
        for subscriber in subscribers:
            result, reason = qos_check_compatible(publisher.qos_profile, subscriber.qos_profile)
            if result == QoSCompatibility.ERROR:
                text = reason.replace('ERROR: ', '').strip().rstrip(';').strip()
                yield f'{topic}: {_full_name(publisher)} to {_full_name(subscriber)}: {text}'


def _node_names(node: Node) -> list[str]:
    pairs = node.get_node_names_and_namespaces()
    return [f'{space.rstrip("/")}/{name}' for name, space in pairs if name != _NAME]


def _full_name(info: TopicEndpointInfo) -> str:
    return f'{info.node_namespace.rstrip("/")}/{info.node_name}'
