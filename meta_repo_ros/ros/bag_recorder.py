# SPDX-License-Identifier: Apache-2.0
"""Records topics as they pass, as raw bytes, into a bag.

A bag begins with activate and ends with deactivate. While it runs, everything older than
``flush_period`` is on disk. With simulated time, receive times are those of ``/clock``, continued
between its ticks; nothing is recorded before the first one. When it jumps back, a new bag begins.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy

from meta_repo_ros.core.parameters import parameter
from meta_repo_ros.core.processor import Diagnostic, Level
from meta_repo_ros.core.time import seconds_ns
from meta_repo_ros.replay import definitions
from meta_repo_ros.replay.bag_writer import COMPRESSIONS, STORAGES, BagWriter
from meta_repo_ros.replay.definitions import Definition
from meta_repo_ros.replay.errors import BagError
from meta_repo_ros.ros import bag_qos
from meta_repo_ros.ros.node import ManagedNode
from meta_repo_ros.ros.receive_time import ReceiveTime
from meta_repo_ros.ros.types import message_class

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rclpy.qos import QoSProfile
    from rclpy.subscription import Subscription
    from rclpy.topic_endpoint_info import TopicEndpointInfo

HEARTBEATS = '(^|/)lifecycle/heartbeat$'


@dataclass(frozen=True)
class Parameters:
    """Parameters of the recorder."""

    path: str = parameter(
        '',
        'Bag to create; runs/bag-<time> if empty. Where it exists, a number is added.',
        read_only=True,
    )
    topics: tuple[str, ...] = parameter(
        (), 'Topics to record; all if this and the expression are empty.', read_only=True
    )
    regex: str = parameter(
        '', 'Record topics in whose full name this expression is found.', read_only=True
    )
    exclude: str = parameter(
        HEARTBEATS, 'Never record topics in whose name this expression is found.', read_only=True
    )
    storage: str = parameter('mcap', 'Storage format.', choices=STORAGES, read_only=True)
    compression: str = parameter(
        'none',
        'Compression of MCAP chunks; SQLite takes zstd alone.',
        choices=COMPRESSIONS,
        read_only=True,
    )
    compression_mode: str = parameter(
        'file', 'What SQLite compresses.', choices=('file', 'message'), read_only=True
    )
    max_file_size: float = parameter(
        0.0,
        'Begin a new file after this size; 0 for never.',
        unit='MB',
        minimum=0.0,
        read_only=True,
    )
    max_file_duration: float = parameter(
        0.0, 'Begin a new file after this time; 0 for never.', unit='s', minimum=0.0, read_only=True
    )
    flush_period: float = parameter(
        1.0,
        'What is older than this survives the death of the process.',
        unit='s',
        minimum=0.05,
        maximum=60.0,
        read_only=True,
    )
    discovery_period: float = parameter(
        0.1, 'How often new topics are looked for.', unit='s', minimum=0.02, read_only=True
    )

    def __post_init__(self) -> None:
        if self.storage == 'sqlite3' and self.compression == 'lz4':
            raise ValueError('SQLite bags are compressed with zstd alone')
        check_expression('regex', self.regex)
        check_expression('exclude', self.exclude)


def check_expression(name: str, text: str) -> None:
    """Raise ValueError where the parameter ``name`` is not a regular expression."""
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f'{name} is not a regular expression: {error}') from error


@dataclass
class _Channel:
    """A topic being recorded."""

    subscription: Subscription[Any]
    request: QoSProfile
    last_sequence: int = 0


class BagRecorder(ManagedNode):
    """The recorder node."""

    name = 'bag_recorder'
    Parameters = Parameters

    def __init__(self, name: str | None = None, **options: Any) -> None:
        self._bag: BagWriter | None = None
        self._channels: dict[str, _Channel] = {}
        self._unknown: dict[str, str] = {}
        self._stopped = ''
        self._lost = 0
        self._early = 0
        self._receive_time = ReceiveTime()
        self._bags = 0
        super().__init__(name, **options)

    @property
    def bag_path(self) -> Path | None:
        """The bag being recorded, None while inactive or after an error."""
        return self._bag.path if self._bag is not None else None

    def configure(self) -> None:
        """Make the timers; they run while active."""
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        p = self.parameters
        self.every(seconds_ns(p.discovery_period), self._discover, clock=steady)
        self.every(seconds_ns(p.flush_period), self._flush, clock=steady)

    def activate(self) -> None:
        """Create the bag and subscribe to what is there."""
        self._stopped = ''
        self._lost = self._early = 0
        self._open()
        self._discover()

    def deactivate(self) -> None:
        """Take what has arrived, and complete the bag."""
        self._drain()
        self._unsubscribe()
        self._close()

    def on_clock_reset(self, stamp: int) -> None:
        """Begin a new bag: receive times of one bag never run backwards."""
        if self._bag is not None and self._bag.message_count:
            self._close()
            self._open()
            self.get_logger().info(f'the clock is at {stamp / 1e9:.3f} s: a new bag begins')
            for topic in list(self._channels):
                self._declare(topic)

    def diagnostics(self, stamp: int) -> Sequence[Diagnostic]:
        """One row: what is recorded, what was lost."""
        del stamp
        bag = self._bag
        values: dict[str, str | int | float | bool] = {
            'topics': len(self._channels),
            'messages': bag.message_count if bag is not None else 0,
            'bytes': bag.total_size if bag is not None else 0,
            'lost': self._lost,
            'before_clock': self._early,
            'path': str(bag.path) if bag is not None else '',
        }
        if self._stopped:
            return (Diagnostic('recording', Level.ERROR, self._stopped, values),)
        if self._unknown:
            names = ', '.join(f'{topic} ({kind})' for topic, kind in self._unknown.items())
            text = f'not recorded, their types are not installed: {names}'
            return (Diagnostic('recording', Level.WARN, text, values),)
        if self._lost:
            text = f'{self._lost} messages were lost on their way to the recorder'
            return (Diagnostic('recording', Level.WARN, text, values),)
        text = 'recording' if bag is not None else 'not recording'
        return (Diagnostic('recording', Level.OK, text, values),)

    # -- the bag ---------------------------------------------------------------------------------

    def _open(self) -> None:
        p = self.parameters
        wanted = Path(p.path) if p.path else Path('runs') / time.strftime('bag-%Y%m%d-%H%M%S')
        path = wanted
        number = 1
        while path.exists():
            number += 1
            path = wanted.with_name(f'{wanted.name}-{number}')
        if path != wanted:
            self.get_logger().warning(f'{wanted} exists; recording to {path}')
        try:
            self._bag = BagWriter(
                path,
                storage=p.storage,
                compression=p.compression,
                compression_mode=p.compression_mode,
                max_file_bytes=int(p.max_file_size * 1e6),
                max_file_ns=seconds_ns(p.max_file_duration),
            )
        except BagError as error:
            self._stopped = str(error)
            raise RuntimeError(str(error)) from error
        self.get_logger().info(f'recording to {path}')

    def _close(self) -> None:
        bag, self._bag = self._bag, None
        if bag is None:
            return
        try:
            bag.close()
        except BagError as error:
            self._fail(error)
            return
        self.get_logger().info(f'{bag.path}: {bag.message_count} messages, complete')

    def _flush(self) -> None:
        if self._bag is not None:
            try:
                self._bag.flush()
            except BagError as error:
                self._fail(error)

    def _fail(self, error: BagError) -> None:
        self._bag = None
        self._stopped = str(error)
        self.get_logger().error(str(error))

    # -- the topics ------------------------------------------------------------------------------

    def _discover(self) -> None:
        if self._bag is None:
            if self._channels:
                self._unsubscribe()
            return
        for topic, kinds in self.get_topic_names_and_types():
            if topic in self._unknown or not self._wanted(topic):
                continue
            publishers = self.get_publishers_info_by_topic(topic)
            if not publishers:
                continue
            channel = self._channels.get(topic)
            if channel is None:
                self._subscribe(topic, kinds[0], publishers)
            else:
                self._adapt(topic, channel, publishers)

    def _wanted(self, topic: str) -> bool:
        p = self.parameters
        if any(word.startswith('_') for word in topic.split('/')):
            return False  # hidden
        if p.exclude and re.search(p.exclude, topic):
            return False
        if not p.topics and not p.regex:
            return True
        chosen = {self.resolve_topic_name(name) for name in p.topics}
        return topic in chosen or bool(p.regex and re.search(p.regex, topic))

    def _subscribe(self, topic: str, kind: str, publishers: list[TopicEndpointInfo]) -> None:
        offers = [publisher.qos_profile for publisher in publishers]
        request = bag_qos.request(offers)
        try:
            cls = message_class(kind)
        except ValueError:
            self._unknown[topic] = kind
            self.get_logger().warning(f'{topic} is not recorded: type {kind} is not installed')
            return
        self._declare(topic, publishers)
        subscription = self.create_subscription(
            cls, topic, partial(self._on_message, topic), request, raw=True
        )
        self._own_subscriptions.append(subscription)
        self._channels[topic] = _Channel(subscription, request)

    def _adapt(self, topic: str, channel: _Channel, publishers: list[TopicEndpointInfo]) -> None:
        """Ask for less where a new publisher offers less; else its messages would never come."""
        request = bag_qos.request([publisher.qos_profile for publisher in publishers])
        weaker = (
            channel.request.reliability == ReliabilityPolicy.RELIABLE != request.reliability
            or channel.request.durability == DurabilityPolicy.TRANSIENT_LOCAL != request.durability
        )
        if weaker:
            self._unsubscribe(topic)
            self._subscribe(topic, publishers[0].topic_type, publishers)

    def _declare(self, topic: str, publishers: list[TopicEndpointInfo] | None = None) -> None:
        found = self.get_publishers_info_by_topic(topic) if publishers is None else publishers
        if self._bag is None or not found:
            return
        kind = found[0].topic_type
        definition = definitions.installed(kind) or Definition(kind)
        told = str(found[0].topic_type_hash)
        if told.startswith('RIHS01_') and definition.hash != told:
            # Another version of the type than ours passes here: its definition is not known.
            if definition.hash:
                self.get_logger().warning(f'{topic}: {kind} of the publisher differs from ours')
                definition = Definition(kind, hash=told)
            else:
                definition = Definition(kind, definition.encoding, definition.text, told)
        profiles = [bag_qos.to_bag(publisher.qos_profile) for publisher in found]
        try:
            self._bag.add_topic(topic, kind, profiles, definition=definition)
        except BagError as error:
            self._unknown[topic] = kind
            self.get_logger().warning(str(error))

    def _drain(self) -> None:
        for topic, channel in list(self._channels.items()):
            subscription = channel.subscription
            for _ in range(bag_qos.RECORDER_DEPTH):
                with subscription.handle:
                    taken = subscription.handle.take_message(subscription.msg_type, True)
                if taken is None:
                    break
                self._on_message(topic, *taken)

    def _unsubscribe(self, topic: str | None = None) -> None:
        for name in [topic] if topic is not None else list(self._channels):
            subscription = self._channels.pop(name).subscription
            self._own_subscriptions.remove(subscription)
            self.destroy_subscription(subscription)

    def _on_message(self, topic: str, data: bytes, info: Any) -> None:
        channel, bag = self._channels.get(topic), self._bag
        if channel is None or bag is None:
            return
        sequence = info['publication_sequence_number'] or 0
        lost = sequence - channel.last_sequence - 1
        # One publisher numbers its messages without holes; several cannot be told apart.
        if channel.last_sequence and lost > 0 and channel.subscription.get_publisher_count() == 1:
            self._lost += lost
        channel.last_sequence = sequence
        published = None
        if self._time_source.ros_time_is_active:
            clock = self.now_ns()
            if clock <= 0:
                self._early += 1
                return
            received = self._receive_time.stamp(clock, time.monotonic_ns())
        else:
            received = info['received_timestamp'] or time.time_ns()
            published = info['source_timestamp'] or None
        self.statistics.received += 1
        try:
            bag.write(topic, received, data, published)
        except BagError as error:
            self._fail(error)
