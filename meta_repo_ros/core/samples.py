# SPDX-License-Identifier: Apache-2.0
"""Raw counts of the rotor's sensors in aligned blocks: pressure, flow, sound.

The message is ``meta_repo_ros/msg/SampleBlock``; these are its checked parts, free of ROS.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from meta_repo_ros.core.time import NANOSECONDS

Array = np.ndarray[Any, np.dtype[np.float64]]
Counts = np.ndarray[Any, np.dtype[np.int32]]
Healths = np.ndarray[Any, np.dtype[np.uint8]]


class Kind(enum.IntEnum):
    """What a group measures; the values are the message's constants."""

    PRESSURE = 1
    FLOW = 2
    ACOUSTIC = 3


class Health(enum.IntEnum):
    """State of a channel; the values are the message's constants."""

    GOOD = 0
    SUSPECT = 1
    FAILED = 2


UNIT = {Kind.PRESSURE: 'Pa', Kind.FLOW: 'm/s', Kind.ACOUSTIC: 'Pa'}


@dataclass(frozen=True, eq=False)
class ChannelGroup:
    """Channels of one kind behind converters of one rate; one object is equal to itself alone.

    Attributes:
        kind: what they measure.
        rate: Hz.
        bits: resolution of the converter.
        range_low, range_high: value of count 0 and of count 2^bits - 1, unit of the kind.
        band: lower and upper end of the effective band, Hz, below half the rate.
        station_radius: (c,) fraction of the rotor radius.
        station_azimuth: (c,) rad from the tail boom, positive in the sense of rotation.
        station_side: (c,) +1 above the disk, -1 below it, 0 in it.
    """

    kind: Kind
    rate: float
    bits: int
    range_low: float
    range_high: float
    band: tuple[float, float]
    station_radius: Array
    station_azimuth: Array
    station_side: Array

    @property
    def channels(self) -> int:
        """Number of channels."""
        return len(self.station_radius)

    @property
    def full_scale(self) -> int:
        """Greatest count."""
        return (1 << self.bits) - 1

    @property
    def resolution(self) -> float:
        """Value of one count, unit of the kind."""
        return (self.range_high - self.range_low) / self.full_scale

    def values(self, counts: Counts) -> Array:
        """Counts in the unit of the kind, any shape."""
        return self.range_low + self.resolution * counts.astype(np.float64)


@dataclass(frozen=True)
class Samples:
    """Consecutive samples of one group.

    Attributes:
        group: whose.
        start: stamp of the first sample, ns.
        counts: (n, c) raw counts.
        health: (c,) :class:`Health` as the source says.
    """

    group: ChannelGroup
    start: int
    counts: Counts
    health: Healths

    @property
    def end(self) -> int:
        """Stamp at which the next sample is due, ns."""
        return self.start + round(len(self.counts) * NANOSECONDS / self.group.rate)


@dataclass(frozen=True)
class Block:
    """Samples of all groups over the same time.

    Attributes:
        sequence: counts blocks without a gap.
        start: stamp of the first sample, ns.
        duration: ns.
        groups: one entry per group, each starting at ``start``.
        notes: for people: what the source says of its channels and cannot be.
    """

    sequence: int
    start: int
    duration: int
    groups: tuple[Samples, ...]
    notes: tuple[str, ...] = ()

    @property
    def end(self) -> int:
        """Stamp at which the next block is due, ns."""
        return self.start + self.duration

    def group(self, kind: Kind) -> Samples | None:
        """The samples of a kind, None where there are none."""
        return next((s for s in self.groups if s.group.kind == kind), None)


@dataclass(frozen=True)
class Recording:
    """Streams of any length with the flight state beside them, of any origin.

    Attributes:
        groups: streams; groups may start at different times.
        state_time: (m,) s, of the same time axis as ``Samples.start`` (s times 1e9).
        state: (m, 5) sink rate m/s (positive down), forward airspeed m/s, height above ground m,
            rotor speed rad/s, thrust command N; NaN where unknown.
        rotorcraft: mapping with ``rotor_radius_m``, ``rotors``, ``mass_kg``, ``blades``.
        truth_time: (k,) s, or None.
        truth_level: (k,) 0 none, 1 margin, 2 incipient, 3 developed, or None.
        name: for people.
    """

    groups: tuple[Samples, ...]
    state_time: Array
    state: Array
    rotorcraft: dict[str, float]
    truth_time: Array | None = None
    truth_level: Array | None = None
    name: str = ''
    extra: dict[str, Any] = field(default_factory=dict)
