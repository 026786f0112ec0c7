# SPDX-License-Identifier: Apache-2.0
"""Outages on a recording: a processor that does not see the fixes of certain phases, or a topic."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from meta_repo_ros.core.processor import Diagnostic, Event, Processor
from meta_repo_ros.core.time import seconds_ns, stamp_ns

GNSS = ('gnss/fix', 'gnss/velocity')


@dataclass(frozen=True)
class OutagePlan:
    """Outages of ``length`` s that begin every ``every`` s, the first one after ``first`` s."""

    every: float
    length: float
    first: float

    @classmethod
    def parse(cls, text: str) -> OutagePlan:
        """Read ``EVERY:LENGTH`` or ``EVERY:LENGTH:FIRST`` in seconds; FIRST is EVERY by default.

        Raises:
            ValueError: not positive numbers, or outages that leave no fix between them.
        """
        try:
            every, length, *rest = (float(part) for part in text.split(':'))
            (first,) = rest or [every]
        except ValueError:
            raise ValueError(f'expected EVERY:LENGTH[:FIRST] in seconds; got {text!r}') from None
        if not (0 < length < every < np.inf and 0 <= first < np.inf):
            raise ValueError(f'0 < LENGTH < EVERY and FIRST >= 0 are needed; got {text!r}')
        return cls(every, length, first)

    def phases(self, first: int, last: int) -> tuple[tuple[int, int], ...]:
        """Outages [start, end] in ns that lie wholly between the fixes ``first`` and ``last``."""
        every, length = seconds_ns(self.every), seconds_ns(self.length)
        begin = first + seconds_ns(self.first)
        count = max(0, (last - begin - length) // every + 1)
        return tuple((begin + every * k, begin + every * k + length) for k in range(count))


class Withheld(Processor):
    """Runs ``processor`` without the GNSS messages whose stamps lie in ``phases``.

    Args:
        processor: what runs.
        phases: [start, end] in ns of ``header.stamp``.
        topics: relative names of what is withheld altogether.
    """

    def __init__(
        self,
        processor: Processor,
        phases: Sequence[tuple[int, int]] = (),
        topics: Collection[str] = (),
    ) -> None:
        super().__init__(processor.parameters, processor.seed)
        self._processor = processor
        self._starts = np.array([start for start, _ in phases], dtype=np.int64)
        self._ends = np.array([end for _, end in phases], dtype=np.int64)
        self.withheld = 0
        # the declarations of a class, here of one instance
        for attribute in ('name', 'inputs', 'outputs'):
            setattr(self, attribute, getattr(processor, attribute))
        kept = tuple(topic for topic in processor.inputs if topic.name not in topics)
        self.inputs = kept  # type: ignore[misc]

    @property
    def timer_period_ns(self) -> int | None:
        """Of the processor inside."""
        return self._processor.timer_period_ns

    def on_message(self, topic: str, message: Any, stamp: int) -> Sequence[Event]:
        """Drop a withheld fix, hand on everything else."""
        if topic in GNSS:
            valid = stamp_ns(message.header.stamp)
            if np.any((self._starts <= valid) & (valid <= self._ends)):
                self.withheld += 1
                return ()
        return self._processor.on_message(topic, message, stamp)

    def on_timer(self, stamp: int) -> Sequence[Event]:
        """Of the processor inside."""
        return self._processor.on_timer(stamp)

    def on_result(self, name: str, result: Any, stamp: int) -> Sequence[Event]:
        """Of the processor inside."""
        return self._processor.on_result(name, result, stamp)

    def diagnostics(self, stamp: int) -> Sequence[Diagnostic]:
        """Of the processor inside."""
        return self._processor.diagnostics(stamp)

    def reset(self, stamp: int) -> None:
        """Of the processor inside."""
        self._processor.reset(stamp)
