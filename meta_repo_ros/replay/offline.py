# SPDX-License-Identifier: Apache-2.0
"""The offline host: drives processors from a bag in one deterministic order, faster than real time.

Order: receive time, then topic by name, then place in the bag. At equal times messages come before
results of tasks, and those before timer ticks; ticks are at exact multiples of each period. Outputs
carry the stamp of the event that caused them and reach the processors that take them before the
next event, in the order in which the processors were given; what a processor in the run publishes
is not taken from the bag. Results that are due after the bag's end still come, without ticks.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from meta_repo_ros.core.processor import Diagnostic, Processor
from meta_repo_ros.replay.bag_reader import BagReader, RawMessage
from meta_repo_ros.replay.bag_writer import BagWriter, absolute
from meta_repo_ros.replay.digest import Digest
from meta_repo_ros.replay.host import DIAGNOSTICS, DIAGNOSTICS_TYPE, Event, Host

__all__ = ['Event', 'Host', 'Progress', 'RunResult', 'iterate', 'run']

Progress = Callable[[float], None]


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
    yield from _drive(bag, host, watched, progress=progress, counts=counts)


def _drive(
    bag: BagReader,
    host: Host,
    watched: Collection[str],
    *,
    progress: Progress | None,
    counts: Counter[str] | None,
    copied: Collection[str] = (),
    copy: Callable[[RawMessage], None] | None = None,
) -> Iterator[Event]:
    """:func:`iterate`, and ``copy`` called for the bag's messages on ``copied``, in between."""
    wanted = {
        name: absolute(name)
        for name in bag.topics
        if (absolute(name) in host.inputs or absolute(name) in watched)
        and absolute(name) not in host.outputs
    }
    bag.check({name: host.inputs[full] for name, full in wanted.items() if full in host.inputs})
    host.advance(bag.start_ns)
    begin, step = bag.start_ns, max(1, bag.duration_ns // 100)
    announce = begin
    for item in _ordered(bag.raw({*wanted, *copied})):
        stamp = item.receive_ns
        yield from host.advance(stamp)
        if copy is not None and item.topic in copied:
            copy(item)
        full = wanted.get(item.topic)
        if full is None:
            continue
        if counts is not None:
            counts[full] += 1
        if bag.topics[item.topic].readable:
            message = bag.deserialise(item)
            if full in watched:
                yield Event(stamp, full, item.type, item.data, source='', codec=bag.codec)
            yield from host.feed(stamp, full, message)
        else:
            bag.skipped[item.topic] += 1
        if progress is not None and stamp >= announce:
            progress((stamp - begin) / (100 * step))
            announce = stamp + step
    yield from host.advance(bag.end_ns, including=True)
    yield from host.settle()
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
            writer.add_topic(DIAGNOSTICS, DIAGNOSTICS_TYPE, 'STATE')
            if include_inputs:
                copied = _declare_inputs(bag, writer, {*host.outputs, DIAGNOSTICS})
        try:
            events = _drive(
                bag,
                host,
                (),
                progress=progress,
                counts=counts_in,
                copied=copied,
                copy=None if writer is None else _copier(writer),
            )
            for event in events:
                counts_out[event.topic] += 1
                if event.topic != DIAGNOSTICS:
                    digest.add(event)
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


def _copier(writer: BagWriter) -> Callable[[RawMessage], None]:
    return lambda item: writer.write(item.topic, item.receive_ns, item.data)
