# SPDX-License-Identifier: Apache-2.0
"""Faults of sensors, scheduled by the scenario."""

from __future__ import annotations

from dataclasses import dataclass

from meta_repo_ros.core.parameters import parameter

GENERIC = ('outage', 'freeze')
"""Faults that every sensor can have: no messages; the last reading again and again."""


@dataclass(frozen=True)
class Fault:
    """One fault of one sensor.

    The value of a fault is ``value + rate * (time since its start)``; its unit and axes are those
    that the sensor's documentation gives for this type of fault.
    """

    sensor: str = parameter(description='Name of the sensor in this scenario.')
    type: str = parameter(description='Type of fault; the sensor says which it knows.')
    start: float = parameter(description='When it begins.', unit='s', minimum=0.0)
    duration: float = parameter(
        1e9, 'How long it lasts; without it to the end.', unit='s', minimum=0.0
    )
    value: tuple[float, ...] = parameter((0.0, 0.0, 0.0), 'Constant part.', size=3)
    rate: tuple[float, ...] = parameter((0.0, 0.0, 0.0), 'Growth per second.', size=3)

    def active(self, time: float) -> bool:
        """Whether it is there at ``time``, s since the start of the scenario."""
        return self.start <= time < self.start + self.duration

    def at(self, time: float) -> tuple[float, float, float]:
        """Its value at ``time``."""
        since = time - self.start
        (a, b, c), (u, v, w) = self.value, self.rate
        return (a + u * since, b + v * since, c + w * since)
