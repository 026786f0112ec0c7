# SPDX-License-Identifier: Apache-2.0
"""Watches a running graph from outside: rates, losses, latency, navigation error against truth.

The observer is a process of its own kind to the graph: it measures what a user's node would see.
Messages are taken as raw bytes and only their stamps are read; positions are decoded when somebody
asks for a snapshot. It runs in a thread with a context of its own.
"""

from __future__ import annotations

import struct
import threading
import time
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import rclpy
import rclpy.serialization
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node

from meta_repo_ros.core.processor import Topic
from meta_repo_ros.core.time import NANOSECONDS
from meta_repo_ros.reporting.recorded import Collector
from meta_repo_ros.reporting.report import judge
from meta_repo_ros.ros import qos
from meta_repo_ros.ros.executor import DataExecutor
from meta_repo_ros.ros.types import message_class

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from meta_repo_ros.reporting.evaluation import Errors

SOURCE = 'imu/data_raw'
RESULT = 'odometry'
TOPICS = (
    Topic(SOURCE, 'sensor_msgs/msg/Imu', 'STREAM'),
    Topic('imu/mag', 'sensor_msgs/msg/MagneticField', 'STREAM'),
    Topic('gnss/fix', 'sensor_msgs/msg/NavSatFix', 'SENSOR'),
    Topic('gnss/velocity', 'geometry_msgs/msg/TwistWithCovarianceStamped', 'SENSOR'),
    Topic('baro/pressure', 'sensor_msgs/msg/FluidPressure', 'SENSOR'),
    Topic('attitude_update', 'meta_repo_ros/msg/AttitudeUpdate', 'STATE'),
    Topic('ground_truth/odometry', 'nav_msgs/msg/Odometry', 'STATE'),
    Topic('imu/data', 'sensor_msgs/msg/Imu', 'STREAM'),
    Topic(RESULT, 'nav_msgs/msg/Odometry', 'STREAM'),
)
_LATCHED = (
    Topic('odometry/origin', 'sensor_msgs/msg/NavSatFix', 'LATCHED'),
    Topic('ground_truth/origin', 'sensor_msgs/msg/NavSatFix', 'LATCHED'),
)
_DIAGNOSTICS = Topic('/diagnostics', 'diagnostic_msgs/msg/DiagnosticArray', 'STATE')
# a CDR message that begins with std_msgs/Header: 4 bytes encapsulation, then sec and nanosec
_HEADER = struct.Struct('<iI')
_REMEMBERED = 2000
_WINDOW = 2.0


@dataclass(frozen=True)
class StreamState:
    """One topic as seen from outside.

    Attributes:
        count: messages received since the start.
        lost: messages missing in the publisher's sequence numbers.
        rate: Hz over the last two seconds of wall time.
        age: s since the last one, None where none has come.
    """

    topic: str
    count: int
    lost: int
    rate: float
    age: float | None


@dataclass(frozen=True)
class Snapshot:
    """The state of the graph at one moment.

    Attributes:
        streams: one state per topic, in the order of the flow.
        latency: (median, 99th percentile) ms of the last two seconds, None without a pair.
        errors: of the newest odometry that has a truth of nearly the same time, None without.
        elapsed: s of source time between the first and the newest inertial sample.
        statuses: name -> (level, message) of the last diagnostics.
    """

    streams: tuple[StreamState, ...]
    latency: tuple[float, float] | None
    errors: Errors | None
    elapsed: float
    statuses: dict[str, tuple[int, str]] = field(default_factory=dict)


@dataclass
class _Channel:
    count: int = 0
    lost: int = 0
    last_sequence: int | None = None
    arrivals: deque[float] = field(default_factory=partial(deque, maxlen=1000))
    recent: deque[bytes] = field(default_factory=partial(deque, maxlen=1))


class Observer:
    """Subscribes to one vehicle's topics; a context manager.

    Args:
        namespace: of the vehicle; '' for none.
        domain_id: ROS domain; None for the environment's.
    """

    def __init__(self, namespace: str = '', domain_id: int | None = None) -> None:
        self._namespace = '/' + namespace.strip('/') if namespace.strip('/') else ''
        self._domain_id = domain_id
        self._channels = {topic.name: _Channel() for topic in (*TOPICS, *_LATCHED)}
        # truth may be published after or before the estimate of the same instant
        for name in (RESULT, 'ground_truth/odometry'):
            self._channels[name].recent = deque(maxlen=400)
        self._types = {topic.name: topic.type for topic in (*TOPICS, *_LATCHED)}
        self._sources: OrderedDict[bytes, int] = OrderedDict()
        self._first: int | None = None
        self._newest = 0
        self._latencies: list[float] = []
        self._statuses: dict[str, tuple[int, str]] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._ready = threading.Event()
        self._node: Node | None = None
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name='observer', daemon=True)

    def __enter__(self) -> Self:
        """Start to observe.

        Raises:
            RuntimeError: ROS cannot be started here.
        """
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            raise RuntimeError(f'cannot observe the graph: {self._failure}') from self._failure
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop."""
        self._stop.set()
        self._thread.join(timeout=5)

    @property
    def latencies(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """(n,) ms, all measured latencies.

        From the publication of an inertial sample by its source to the receipt of the odometry
        with the same stamp here, both read off the middleware.
        """
        with self._lock:
            return np.array(self._latencies)

    def publishers(self, topic: str) -> int:
        """How many publishers of the relative ``topic`` have been discovered."""
        return 0 if self._node is None else int(self._node.count_publishers(self._full(topic)))

    def _full(self, topic: str) -> str:
        return f'{self._namespace}/{topic}'

    def snapshot(self) -> Snapshot:
        """What is known now."""
        now = time.monotonic()
        with self._lock:
            streams = tuple(
                _stream(topic.name, self._channels[topic.name], now) for topic in TOPICS
            )
            rate = next(s.rate for s in streams if s.topic == RESULT)
            latest = self._latencies[-max(1, int(rate * _WINDOW)) :]
            statuses = dict(self._statuses)
            rows = [
                (name, data)
                for name in ('ground_truth/origin', 'odometry/origin')
                for data in self._channels[name].recent
            ]
            first, newest = self._first, self._newest
            estimates = list(self._channels[RESULT].recent)
            truths = list(self._channels['ground_truth/odometry'].recent)
        latency = None
        if latest:
            median, high = np.percentile(latest, [50, 99])
            latency = (float(median), float(high))
        return Snapshot(
            streams=streams,
            latency=latency,
            errors=self._errors(rows, estimates, truths),
            elapsed=0.0 if first is None else (newest - first) * 1e-9,
            statuses=statuses,
        )

    def _errors(
        self, rows: list[tuple[str, bytes]], estimates: list[bytes], truths: list[bytes]
    ) -> Errors | None:
        """Errors at the newest truth that lies between two estimates."""
        if len(estimates) < 2 or not truths:
            return None
        newest = _stamp(estimates[-1])
        known = [data for data in truths if _stamp(data) <= newest]
        if not known:
            return None
        stamp = _stamp(known[-1])
        around = [d for d in estimates if abs(_stamp(d) - stamp) < NANOSECONDS // 10]
        rows = [
            *rows, ('ground_truth/odometry', known[-1]), *((RESULT, data) for data in around)
        ]  # fmt: skip
        collector = Collector()
        for name, data in rows:
            message = rclpy.serialization.deserialize_message(
                data, message_class(self._types[name])
            )
            collector.add('/' + name, message, 0)
        return judge(collector.finish()).navigation

    def _run(self) -> None:
        context = Context()
        node = executor = None
        try:
            rclpy.init(context=context, domain_id=self._domain_id)
            node = Node(
                f'observer_{time.time_ns() % 1_000_000}',
                context=context,
                use_global_arguments=False,
                enable_rosout=False,
                start_parameter_services=False,
            )
            executor = DataExecutor(context=context)
            executor.add_node(node)
            self._subscribe(node)
            self._node = node
            self._ready.set()
            while not self._stop.is_set():
                executor.spin_once(timeout_sec=0.1)
        except ExternalShutdownException:
            pass
        except Exception as error:  # noqa: BLE001 (handed to the thread that asked for it)
            self._failure = error
        finally:
            self._ready.set()
            if node is not None:
                node.destroy_node()
            if executor is not None:
                executor.shutdown()
            context.try_shutdown()

    def _subscribe(self, node: Node) -> None:
        for topic in (*TOPICS, *_LATCHED):
            node.create_subscription(
                message_class(topic.type),
                self._full(topic.name),
                _with_info(self._on_message, topic.name),
                qos.profile(topic.qos),
                raw=True,
            )
        node.create_subscription(
            message_class(_DIAGNOSTICS.type),
            _DIAGNOSTICS.name,
            self._on_diagnostics,
            qos.profile(_DIAGNOSTICS.qos),
        )

    def _on_message(self, name: str, data: bytes, info: Any) -> None:
        with self._lock:
            channel = self._channels[name]
            channel.count += 1
            channel.arrivals.append(time.monotonic())
            channel.recent.append(data)
            sequence = info['publication_sequence_number']
            if sequence is not None:
                if channel.last_sequence is not None and sequence > channel.last_sequence + 1:
                    channel.lost += sequence - channel.last_sequence - 1
                channel.last_sequence = sequence
            if name == SOURCE:
                self._newest = _stamp(data)
                self._first = self._newest if self._first is None else self._first
                self._sources[data[4:12]] = info['source_timestamp']
                if len(self._sources) > _REMEMBERED:
                    self._sources.popitem(last=False)
            elif name == RESULT:
                published = self._sources.get(data[4:12])
                if published is not None:
                    self._latencies.append((info['received_timestamp'] - published) * 1e-6)

    def _on_diagnostics(self, message: Any) -> None:
        with self._lock:
            for status in message.status:
                level = int.from_bytes(status.level, 'little')
                self._statuses[status.name] = (level, status.message)


def _with_info(handler: Any, name: str) -> Any:
    """A callback with exactly the two positions by which rclpy recognises one with info."""

    def callback(data: bytes, info: Any) -> None:
        handler(name, data, info)

    return callback


def _stamp(data: bytes) -> int:
    sec, nanosec = _HEADER.unpack_from(data, 4)
    return int(sec) * NANOSECONDS + int(nanosec)


def _stream(name: str, channel: _Channel, now: float) -> StreamState:
    recent = [t for t in channel.arrivals if now - t <= _WINDOW]
    rate = (len(recent) - 1) / (recent[-1] - recent[0]) if len(recent) > 2 else 0.0
    age = now - channel.arrivals[-1] if channel.arrivals else None
    return StreamState(name, channel.count, channel.lost, rate, age)
