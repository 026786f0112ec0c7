# SPDX-License-Identifier: Apache-2.0
"""The offline host: drives processors from a bag in one deterministic order, faster than real time.

Order: receive time, then topic by name, then place in the bag. At equal times messages come before
timer ticks; ticks are at exact multiples of each period. Outputs carry the stamp of the event that
caused them and reach the processors that take them before the next event, in the order in which the
processors were given; what a processor in the run publishes is not taken from the bag.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from meta_repo_ros.core.processor import Diagnostic, Output, Processor
from meta_repo_ros.core.time import NANOSECONDS, set_stamp
from meta_repo_ros.replay import definitions
from meta_repo_ros.replay.bag_reader import BagReader, RawMessage
from meta_repo_ros.replay.bag_writer import BagWriter, absolute
from meta_repo_ros.replay.codec import installed_codec, type_name
from meta_repo_ros.replay.digest import Digest

Progress = Callable[[float], None]
_DIAGNOSTICS = '/diagnostics'
_DIAGNOSTICS_TYPE = 'diagnostic_msgs/msg/DiagnosticArray'
_LOOP = 1000  # outputs that one event may cause before it is called an endless loop


class Event(NamedTuple):
    """A message that passed during a run.

    Attributes:
        stamp: receive time or time of output, ns.
        topic: with leading slash.
        type: full type name.
        message: deserialised, with ROS field names.
        data: CDR bytes.
        source: name of the processor that gave it, '' for the bag.
    """

    stamp: int
    topic: str
    type: str
    message: Any
    data: bytes
    source: str


@dataclass(frozen=True)
class RunResult:
    """What a run gave.

    Attributes:
        digest: SHA-256 of the outputs, values rounded; diagnostics are not in it.
        raw_digest: SHA-256 of the outputs, exact bytes.
        counts_in: messages taken from the bag, by topic.
        counts_out: messages given, by topic.
        duration_ns: time that the bag spans.
        wall_s: time that the run took.
        diagnostics: last rows of each processor, by its name.
        skipped: messages of topics that processors take but that could not be read, by topic.
        warnings: harmless differences between the bag's definitions and ours.
    """

    digest: str
    raw_digest: str
    counts_in: Mapping[str, int]
    counts_out: Mapping[str, int]
    duration_ns: int
    wall_s: float
    diagnostics: Mapping[str, tuple[Diagnostic, ...]]
    skipped: Mapping[str, int]
    warnings: tuple[str, ...]

    @property
    def real_time_factor(self) -> float:
        """Recorded time over time taken."""
        return self.duration_ns * 1e-9 / self.wall_s if self.wall_s > 0 else float('inf')


@dataclass
class _Seat:
    """A processor in the host: its topics resolved, and its next tick."""

    processor: Processor
    inputs: dict[str, str]  # absolute to declared
    outputs: dict[str, str]  # declared to absolute
    types: dict[str, str]
    next_tick: int = -1
    diagnostics: tuple[Diagnostic, ...] = field(default_factory=tuple)


class Host:
    """Processors with their routing; :meth:`feed` and :meth:`advance` give what they publish.

    Args:
        processors: in order of routing.
        namespace: of all relative names.
        remaps: other names for topics, relative or absolute, for all processors.
    """

    def __init__(
        self,
        processors: Sequence[Processor],
        *,
        namespace: str = '/',
        remaps: Mapping[str, str] | None = None,
    ) -> None:
        names = dict(remaps or {})

        def resolve(name: str) -> str:
            name = names.get(name, name)
            return name if name.startswith('/') else absolute(f'{namespace.rstrip("/")}/{name}')

        self._seats = [
            _Seat(
                processor,
                {resolve(topic.name): topic.name for topic in processor.inputs},
                {topic.name: resolve(topic.name) for topic in processor.outputs},
                {topic.name: topic.type for topic in processor.outputs},
            )
            for processor in processors
        ]
        self.inputs: dict[str, str] = {}
        self.outputs: dict[str, tuple[str, str]] = {}
        self._takers: dict[str, list[_Seat]] = {}
        for seat in self._seats:
            for topic in seat.processor.outputs:
                self.outputs[resolve(topic.name)] = (topic.type, topic.qos)
            for topic in seat.processor.inputs:
                self.inputs[resolve(topic.name)] = topic.type
                self._takers.setdefault(resolve(topic.name), []).append(seat)
        self._next_second = -1
        self._namespace = namespace.strip('/')

    @property
    def processors(self) -> list[Processor]:
        """The processors, in order."""
        return [seat.processor for seat in self._seats]

    def feed(self, stamp: int, topic: str, message: Any) -> list[Event]:
        """Deliver one message of an absolute topic; call :meth:`advance` with its stamp before."""
        events: list[Event] = []
        for seat in self._takers.get(topic, ()):
            outputs = seat.processor.on_message(seat.inputs[topic], message, stamp)
            if outputs:
                self._route(seat, outputs, stamp, events)
        return events

    def advance(self, stamp: int, *, including: bool = False) -> list[Event]:
        """Let all timer ticks before ``stamp`` (or up to it) happen, in order of time."""
        end = stamp + 1 if including else stamp
        events: list[Event] = []
        if self._next_second < 0:
            self._start(stamp)
        while True:
            due = min((s.next_tick for s in self._seats if s.next_tick >= 0), default=end)
            tick = min(due, self._next_second)
            if tick >= end:
                return events
            for seat in self._seats:
                if seat.next_tick == tick:
                    outputs = seat.processor.on_timer(tick)
                    seat.next_tick = self._after(seat, tick)
                    if outputs:
                        self._route(seat, outputs, tick, events)
            if tick == self._next_second:
                self._diagnose(tick, events)
                self._next_second += NANOSECONDS

    def diagnostics(self, stamp: int) -> dict[str, tuple[Diagnostic, ...]]:
        """The rows of all processors now."""
        return {
            seat.processor.name: tuple(seat.processor.diagnostics(stamp)) for seat in self._seats
        }

    def _start(self, stamp: int) -> None:
        self._next_second = _ceil(stamp, NANOSECONDS)
        for seat in self._seats:
            period = seat.processor.timer_period_ns
            seat.next_tick = -1 if period is None else _ceil(stamp, period)

    @staticmethod
    def _after(seat: _Seat, tick: int) -> int:
        # Asked anew, since a parameter may have changed the period.
        period = seat.processor.timer_period_ns
        return -1 if period is None else _ceil(tick + 1, period)

    def _route(
        self, giver: _Seat, outputs: Iterable[Output], stamp: int, events: list[Event]
    ) -> None:
        waiting = deque((giver, output) for output in outputs)
        routed = 0
        while waiting:
            seat, (declared, message) = waiting.popleft()
            routed += 1
            if routed > _LOOP:
                raise RuntimeError(
                    f'{seat.processor.name}: processors answer each other without end on {declared}'
                )
            topic = seat.outputs.get(declared)
            if topic is None:
                raise RuntimeError(f'{seat.processor.name} gives undeclared topic {declared!r}')
            kind = seat.types[declared]
            if type_name(message) != kind:
                raise TypeError(
                    f'{seat.processor.name}: {declared} is {kind}, got {type_name(message)}'
                )
            event = _event(stamp, topic, kind, message, seat.processor.name)
            events.append(event)
            for taker in self._takers.get(topic, ()):
                # What a subscriber gets has gone through CDR, here as over DDS.
                answers = taker.processor.on_message(taker.inputs[topic], event.message, stamp)
                waiting.extend((taker, answer) for answer in answers)

    def _diagnose(self, stamp: int, events: list[Event]) -> None:
        array = DiagnosticArray()
        set_stamp(array.header.stamp, stamp)
        for seat in self._seats:
            seat.diagnostics = tuple(seat.processor.diagnostics(stamp))
            name = f'{self._namespace}/{seat.processor.name}'.lstrip('/')
            array.status += [
                DiagnosticStatus(
                    level=bytes([row.level]),
                    name=f'{name}: {row.name}',
                    message=row.message,
                    hardware_id=self._namespace or 'vehicle',
                    values=[KeyValue(key=k, value=_text(v)) for k, v in row.values.items()],
                )
                for row in seat.diagnostics
            ]
        if array.status:
            events.append(_event(stamp, _DIAGNOSTICS, _DIAGNOSTICS_TYPE, array, ''))


def _event(stamp: int, topic: str, kind: str, message: Any, source: str) -> Event:
    codec = installed_codec(kind)
    data = codec.serialise(message, kind)
    return Event(stamp, topic, kind, codec.deserialise(data, kind), data, source)


def _text(value: object) -> str:
    return f'{value:.6g}' if isinstance(value, float) else str(value)


def _ceil(stamp: int, period: int) -> int:
    return -(-stamp // period) * period


def iterate(
    bag: BagReader,
    processors: Sequence[Processor] | Host,
    *,
    watch: Collection[str] = (),
    namespace: str = '/',
    remaps: Mapping[str, str] | None = None,
    progress: Progress | None = None,
    counts: Counter[str] | None = None,
) -> Iterator[Event]:
    """Outputs of the processors on ``bag``, and the bag's messages on the topics of ``watch``.

    Args:
        bag: open bag.
        processors: processors, or a host of them (``namespace`` and ``remaps`` are its own then).
        watch: relative or absolute topics to be passed through, such as ground truth.
        namespace: of the processors' relative names.
        remaps: other names for topics.
        progress: called with the fraction done, about once in a hundred.
        counts: counts the messages taken from the bag, by topic.

    Raises:
        BagError: the bag is corrupt, or a type in it differs from ours.
    """
    if isinstance(processors, Host):
        host = processors
    else:
        host = Host(processors, namespace=namespace, remaps=remaps)
    watched = {absolute(topic) for topic in watch}
    wanted = {
        name: absolute(name)
        for name in bag.topics
        if (absolute(name) in host.inputs or absolute(name) in watched)
        and absolute(name) not in host.outputs
    }
    bag.check({name: host.inputs[full] for name, full in wanted.items() if full in host.inputs})
    stamp = bag.start_ns
    host.advance(stamp)
    begin, step = bag.start_ns, max(1, bag.duration_ns // 100)
    announce = begin
    for item in _ordered(bag.raw(wanted)):
        stamp = item.receive_ns
        yield from host.advance(stamp)
        full = wanted[item.topic]
        if counts is not None:
            counts[full] += 1
        if bag.topics[item.topic].readable:
            message = bag.deserialise(item)
            if full in watched:
                yield Event(stamp, full, item.type, message, item.data, '')
            yield from host.feed(stamp, full, message)
        else:
            bag.skipped[item.topic] += 1
        if progress is not None and stamp >= announce:
            progress((stamp - begin) / (100 * step))
            announce = stamp + step
    yield from host.advance(bag.end_ns, including=True)
    if progress is not None:
        progress(1.0)


def _ordered(messages: Iterable[RawMessage]) -> Iterator[RawMessage]:
    """Messages of equal receive time by topic; the order inside a topic stays."""
    group: list[RawMessage] = []
    for item in messages:
        if group and item.receive_ns != group[0].receive_ns:
            yield from _by_topic(group)
            group = []
        group.append(item)
    yield from _by_topic(group)


def _by_topic(group: list[RawMessage]) -> list[RawMessage]:
    return group if len(group) == 1 else sorted(group, key=lambda item: absolute(item.topic))


def run(
    bag_in: Path | str,
    processors: Sequence[Processor],
    bag_out: Path | str | None = None,
    *,
    progress: Progress | None = None,
    include_inputs: bool = False,
    namespace: str = '/',
    remaps: Mapping[str, str] | None = None,
    storage: str = 'mcap',
    compression: str = 'none',
) -> RunResult:
    """Drive ``processors`` from the bag ``bag_in``; the same bag gives the same bytes.

    Args:
        bag_in: directory, .mcap or .db3.
        processors: in order of routing.
        bag_out: directory to create; None to write nothing.
        progress: called with the fraction done.
        include_inputs: whether the output bag also holds what the input bag holds, except topics
            that the processors give.
        namespace: of the processors' relative names.
        remaps: other names for topics.
        storage: of the output bag.
        compression: of the output bag.

    Raises:
        BagError: the bag cannot be read or written.
    """
    begin = time.perf_counter()
    digest = Digest()
    host = Host(processors, namespace=namespace, remaps=remaps)
    counts_in: Counter[str] = Counter()
    counts_out: Counter[str] = Counter()
    with BagReader(bag_in) as bag:
        expected = {n: host.inputs[absolute(n)] for n in bag.topics if absolute(n) in host.inputs}
        warnings = bag.check(expected)
        writer = None
        copied: set[str] = set()
        if bag_out is not None:
            writer = BagWriter(bag_out, storage=storage, compression=compression)
            for name, (kind, preset) in host.outputs.items():
                writer.add_topic(name, kind, preset)
            writer.add_topic(_DIAGNOSTICS, _DIAGNOSTICS_TYPE, 'STATE')
            if include_inputs:
                copied = _declare_inputs(bag, writer, {*host.outputs, _DIAGNOSTICS})
        try:
            events = iterate(bag, host, progress=progress, counts=counts_in)
            if writer is not None and copied:
                events = _interleave(bag, copied, events, writer)
            for event in events:
                counts_out[event.topic] += 1
                store = definitions.ours(event.type)
                if store is not None and event.topic != _DIAGNOSTICS:
                    digest.add(event.topic, event.stamp, event.data, event.message, store.store)
                if writer is not None:
                    writer.write(event.topic, event.stamp, event.data)
        finally:
            if writer is not None:
                writer.close()
        return RunResult(
            digest=digest.rounded,
            raw_digest=digest.raw,
            counts_in=dict(counts_in),
            counts_out=dict(counts_out),
            duration_ns=bag.duration_ns,
            wall_s=time.perf_counter() - begin,
            diagnostics=host.diagnostics(bag.end_ns),
            skipped=dict(bag.skipped),
            warnings=tuple(warnings),
        )


def _declare_inputs(bag: BagReader, writer: BagWriter, given: Collection[str]) -> set[str]:
    copied = set()
    for topic in bag.topics.values():
        if absolute(topic.name) not in given:
            writer.add_topic(topic.name, topic.type, topic.qos, definition=topic.definition)
            copied.add(topic.name)
    return copied


def _interleave(
    bag: BagReader, copied: Collection[str], events: Iterator[Event], writer: BagWriter
) -> Iterator[Event]:
    """Write the bag's messages between the outputs, each before what it causes."""
    inputs = _ordered(bag.raw(copied))
    item = next(inputs, None)
    for event in events:
        while item is not None and item.receive_ns <= event.stamp:
            writer.write(item.topic, item.receive_ns, item.data)
            item = next(inputs, None)
        yield event
    while item is not None:
        writer.write(item.topic, item.receive_ns, item.data)
        item = next(inputs, None)
