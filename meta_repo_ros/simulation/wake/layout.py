# SPDX-License-Identifier: Apache-2.0
"""Where the sensors sit and what converters they have."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from meta_repo_ros.core.converter import effective_band
from meta_repo_ros.core.parameters import parameter
from meta_repo_ros.core.samples import ChannelGroup, Kind


@dataclass(frozen=True)
class PressureConverter:
    """Static pressure at the disk; the numbers of the interface document."""

    channels: int = parameter(8, 'Number of sensors; 0 for none.', minimum=0, maximum=64)
    rate: float = parameter(1000.0, 'Sampling rate.', unit='Hz', minimum=50.0, maximum=20000.0)
    bits: int = parameter(16, 'Resolution.', minimum=4, maximum=24)
    range: tuple[float, ...] = parameter((0.0, 200_000.0), 'Of the converter.', unit='Pa', size=2)


@dataclass(frozen=True)
class FlowConverter:
    """Speed of the flow at the disk, without its sign."""

    channels: int = parameter(4, 'Number of sensors; 0 for none.', minimum=0, maximum=64)
    rate: float = parameter(500.0, 'Sampling rate.', unit='Hz', minimum=50.0, maximum=20000.0)
    bits: int = parameter(12, 'Resolution.', minimum=4, maximum=24)
    range: tuple[float, ...] = parameter((0.0, 100.0), 'Of the converter.', unit='m/s', size=2)


@dataclass(frozen=True)
class AcousticConverter:
    """Sound near the rotor; what the rate cannot carry of 20 to 20,000 Hz is filtered out."""

    channels: int = parameter(2, 'Number of microphones; 0 for none.', minimum=0, maximum=64)
    rate: float = parameter(2000.0, 'Sampling rate.', unit='Hz', minimum=100.0, maximum=48000.0)
    bits: int = parameter(24, 'Resolution.', minimum=4, maximum=24)
    range: tuple[float, ...] = parameter((-200.0, 200.0), 'Of the converter.', unit='Pa', size=2)


Converter = PressureConverter | FlowConverter | AcousticConverter
_TRANSDUCER = {
    Kind.PRESSURE: (0.0, math.inf),
    Kind.FLOW: (0.0, math.inf),
    Kind.ACOUSTIC: (20.0, 20000.0),
}
"""Band that each would have behind a fast enough converter, Hz."""


def lay_out(
    converters: Sequence[tuple[Kind, Converter]], rng: np.random.Generator
) -> tuple[ChannelGroup, ...]:
    """Groups of these converters, their sensors in drawn places.

    Pressure taps are spread around the disk, above and below it in turn; flow sensors stand from
    the root to the tip below it; microphones anywhere near.
    """
    return tuple(_group(kind, c, rng) for kind, c in converters if c.channels)


def _group(kind: Kind, c: Converter, rng: np.random.Generator) -> ChannelGroup:
    n = c.channels
    azimuth = (rng.uniform(0.0, 2.0 * math.pi) + np.arange(n) * 2.0 * math.pi / n) % (2 * math.pi)
    if kind is Kind.PRESSURE:
        radius = rng.uniform(0.45, 0.95, n)
        side = np.where(np.arange(n) % 2 == 0, 1.0, -1.0)
    elif kind is Kind.FLOW:
        inner, outer = rng.uniform(0.12, 0.3), rng.uniform(0.8, 1.0)
        radius = np.linspace(inner, outer, n) if n > 1 else np.array((0.5,))
        side = np.full(n, -1.0)
    else:
        radius = rng.uniform(0.4, 1.3, n)
        side = rng.choice((-1.0, 1.0), n)
    return ChannelGroup(
        kind, c.rate, c.bits, c.range[0], c.range[1], effective_band(c.rate, _TRANSDUCER[kind]),
        np.round(radius, 3), np.round(azimuth, 3), side,
    )  # fmt: skip
