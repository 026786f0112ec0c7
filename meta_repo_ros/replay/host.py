# SPDX-License-Identifier: Apache-2.0
"""Processors with their routing and timers, driven by whoever has messages: a bag, a simulator.

A task runs at once, and its result comes ``latency`` later. At equal times messages come first,
then results, then ticks. There are no services and actions here.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from meta_repo_ros.core.processor import Diagnostic, Feedback, Finished, Processor, Task
from meta_repo_ros.core.processor import Event as Answer
from meta_repo_ros.core.time import NANOSECONDS, set_stamp
from meta_repo_ros.replay.bag_writer import absolute
from meta_repo_ros.replay.codec import Codec, installed_codec, type_name

DIAGNOSTICS = '/diagnostics'
DIAGNOSTICS_TYPE = 'diagnostic_msgs/msg/DiagnosticArray'
_LOOP = 1000  # outputs that one event may cause before it is called an endless loop


class Event:
    """A message that passed during a run.

    Attributes:
        stamp: receive time or time of output, ns.
        topic: with leading slash.
        type: full type name.
        data: CDR bytes.
        source: name of the processor that gave it, '' for the bag.
    """

    __slots__ = ('_codec', '_message', 'data', 'source', 'stamp', 'topic', 'type')

    def __init__(
        self, stamp: int, topic: str, kind: str, data: bytes, *, source: str, codec: Codec
    ) -> None:
        self.stamp, self.topic, self.type = stamp, topic, kind
        self.data, self.source, self._codec = data, source, codec
        self._message: Any = None

    @property
    def message(self) -> Any:
        """Deserialised, with ROS field names; most outputs are only recorded, and never are."""
        if self._message is None:
            self._message = self._codec.deserialise(self.data, self.type)
        return self._message


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
        self._next_due = -1  # nothing happens before
        # due time, order of beginning, whose, which, what came of it
        self._results: list[tuple[int, int, _Seat, str, Any]] = []
        self._begun = 0
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
        if end <= self._next_due:
            return events
        if self._next_second < 0:
            self._start(stamp)
        while True:
            ticks = [seat.next_tick for seat in self._seats if seat.next_tick >= 0]
            tick = min([self._next_second, *ticks])
            result = self._results[0][0] if self._results else tick + 1
            if min(tick, result) >= end:
                self._next_due = min(tick, result)
                return events
            if result <= tick:
                self._deliver(events)
            else:
                self._tick(tick, events)

    def _tick(self, tick: int, events: list[Event]) -> None:
        for seat in self._seats:
            if seat.next_tick == tick:
                outputs = seat.processor.on_timer(tick)
                seat.next_tick = self._after(seat, tick)
                if outputs:
                    self._route(seat, outputs, tick, events)
        if tick == self._next_second:
            self._diagnose(tick, events)
            self._next_second += NANOSECONDS

    def settle(self) -> list[Event]:
        """Deliver the results that are still to come; no ticks happen any more."""
        events: list[Event] = []
        last = max((result[0] for result in self._results), default=-1)
        while self._results and self._results[0][0] <= last:
            self._deliver(events)
        return events

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

    def _begin(self, seat: _Seat, task: Task, stamp: int) -> None:
        if task.latency < 0:
            raise RuntimeError(f'{seat.processor.name}: the result of {task.name} is in the past')
        try:
            result = task.run()
        except Exception as error:  # noqa: BLE001 (the processor is told, as by the live host)
            result = error
        due = stamp + task.latency
        heapq.heappush(self._results, (due, self._begun, seat, task.name, result))
        self._begun += 1
        self._next_due = min(self._next_due, due)

    def _deliver(self, events: list[Event]) -> None:
        due, _, seat, name, result = heapq.heappop(self._results)
        self._route(seat, seat.processor.on_result(name, result, due), due, events)

    def _route(
        self, giver: _Seat, outputs: Iterable[Answer], stamp: int, events: list[Event]
    ) -> None:
        waiting = deque((giver, output) for output in outputs)
        routed = 0
        while waiting:
            seat, output = waiting.popleft()
            if isinstance(output, Task):
                self._begin(seat, output, stamp)
                continue
            if isinstance(output, (Feedback, Finished)):  # of a goal, and there are none
                continue
            declared, message = output
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
            events.append(_event(stamp, DIAGNOSTICS, DIAGNOSTICS_TYPE, array, ''))


def _event(stamp: int, topic: str, kind: str, message: Any, source: str) -> Event:
    codec = installed_codec(kind)
    return Event(stamp, topic, kind, codec.serialise(message, kind), source=source, codec=codec)


def _text(value: object) -> str:
    return f'{value:.6g}' if isinstance(value, float) else str(value)


def _ceil(stamp: int, period: int) -> int:
    return -(-stamp // period) * period
