# SPDX-License-Identifier: Apache-2.0
"""What a node counts about itself, and the ``host`` row of its diagnostics."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from meta_repo_ros.core.processor import Diagnostic, Level

if TYPE_CHECKING:
    from meta_repo_ros.ros.parameters import NodeParameters


@dataclass
class NodeStatistics:
    """Counters since the node was made.

    Attributes:
        received: messages handed to the node's code.
        ignored: messages that came while the node was not active.
        gaps: messages missing in the publishers' sequence numbers.
        gaps_by_topic: the same, by declared topic.
        exceptions: exceptions caught in callbacks.
        last_exception: the last one of them, for people.
        clock_resets: backward jumps of the clock.
        incompatible: topic and reason of each incompatible-QoS event.
    """

    received: int = 0
    ignored: int = 0
    gaps: int = 0
    exceptions: int = 0
    last_exception: str = ''
    clock_resets: int = 0
    incompatible: dict[str, str] = field(default_factory=dict)
    gaps_by_topic: Counter[str] = field(default_factory=Counter)
    _reported: int = 0
    _reported_gaps: int = 0

    def gap(self, topic: str, lost: int) -> None:
        """Count ``lost`` messages of ``topic``."""
        self.gaps += lost
        self.gaps_by_topic[topic] += lost

    def exception(self, where: str, error: Exception) -> bool:
        """Count ``error``; True where it is worth a line in the log (first since last report)."""
        self.exceptions += 1
        self.last_exception = f'{where}: {type(error).__name__}: {error}'
        return self.exceptions == self._reported + 1

    def row(self, state: str, parameters: NodeParameters) -> Diagnostic:
        """The ``host`` row; ERROR while exceptions come, and where the parameters are refused."""
        new, self._reported = self.exceptions - self._reported, self.exceptions
        lost, self._reported_gaps = self.gaps - self._reported_gaps, self.gaps
        level, message = Level.OK, state
        if parameters.problem:
            level, message = Level.ERROR, f'parameter {parameters.problem}'
        elif new:
            level, message = Level.ERROR, f'{new} exceptions, last in {self.last_exception}'
        elif self.incompatible:
            level, message = Level.WARN, next(iter(self.incompatible.values()))
        elif lost:
            level, message = Level.WARN, f'{state}; {lost} messages lost'
        elif parameters.unknown:
            level, message = Level.WARN, f'unknown parameters {", ".join(parameters.unknown)}'
        elif self.exceptions:
            level = Level.WARN
            message = f'{state}; {self.exceptions} exceptions, last in {self.last_exception}'
        values: dict[str, str | int | float | bool] = {
            'state': state,
            'messages received': self.received,
            'messages ignored while not active': self.ignored,
            'messages lost': self.gaps,
            **{f'messages lost: {t}': n for t, n in self.gaps_by_topic.items()},
            'exceptions': self.exceptions,
            'clock resets': self.clock_resets,
            'incompatible topics': len(self.incompatible),
        }
        return Diagnostic('host', level, message, values)
