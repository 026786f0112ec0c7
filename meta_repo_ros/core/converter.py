# SPDX-License-Identifier: Apache-2.0
"""What stands between a transducer and its counts: band, anti-alias filter, sampling, converter.

A converter of rate f cannot tell a tone above f / 2 from its mirror image below: see :func:`alias`.
So a fast signal passes a low-pass filter before it is sampled, and the effective band ends at
0.45 f, where that filter begins to fall. Everything that would fold into the band is at least
``STOP_BAND`` down.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from scipy import signal

from meta_repo_ros.core.sample_message import USABLE_BAND
from meta_repo_ros.core.samples import Array, ChannelGroup, Counts

STOP_BAND = 80.0  # dB
RIPPLE = 0.05  # dB, in the band


def alias(frequency: float, rate: float) -> float:
    """Frequency at which a tone appears once it is sampled without a filter, Hz."""
    return abs(frequency - rate * round(frequency / rate))


def effective_band(rate: float, transducer: tuple[float, float]) -> tuple[float, float]:
    """Band that can be believed, Hz: of the transducer, as far as the sampling carries it.

    Args:
        rate: of sampling, Hz.
        transducer: lower and upper end of its band, Hz.

    Raises:
        ValueError: nothing of the transducer's band can be had.
    """
    low, high = transducer[0], min(transducer[1], USABLE_BAND * rate)
    if not 0.0 <= low < high:
        raise ValueError(
            f'band {transducer[0]:g} to {transducer[1]:g} Hz cannot be had at {rate:g} Hz, which '
            f'carries {USABLE_BAND * rate:g} Hz'
        )
    return low, high


def quantise(values: Array, group: ChannelGroup) -> Counts:
    """Counts of the group's converters, clipped to their range; NaN gives count 0.

    Args:
        values: any shape, unit of the kind.
        group: whose range and bits.
    """
    counts = np.rint((values - group.range_low) / group.resolution)
    # NaN loses against 0 in fmax
    kept: Counts = np.fmin(np.fmax(counts, 0.0), group.full_scale).astype(np.int32)
    return kept


class Decimator:
    """Samples a fast signal at a lower rate, piece by piece.

    The filter is elliptic, in sections of second order: a few milliseconds of delay, where a
    linear-phase filter as steep takes 12 ms at 2000 Hz, more than a whole decision may take.

    Args:
        source_rate: of the signal, Hz; a whole multiple of ``rate``.
        rate: to sample at, Hz.
        anti_alias: without, every nth sample is taken as it is, and what is above half the rate
            folds down: for showing what that does.

    Raises:
        ValueError: the rates do not divide.
    """

    def __init__(self, source_rate: float, rate: float, *, anti_alias: bool = True) -> None:
        factor = round(source_rate / rate)
        if factor < 1 or abs(source_rate - factor * rate) > 1e-6 * source_rate:
            raise ValueError(
                f'a signal of {source_rate:g} Hz cannot be sampled at {rate:g} Hz: the first must '
                'be a whole multiple of the second'
            )
        self.factor = factor
        self._sections = _low_pass(factor) if anti_alias and factor > 1 else None
        self._state: Array | None = None
        self._skip = 0
        self.delay = 0.0 if self._sections is None else _delay(factor) / source_rate
        """Of slow signals, s."""

    def push(self, values: Array) -> Array:
        """The samples that the next piece of the signal gives.

        Args:
            values: (n, c) at the source rate; the first value of all stands for the past.

        Returns:
            (m, c) at the lower rate.
        """
        if len(values) == 0:
            return values
        if self._sections is not None:
            if self._state is None:
                self._state = signal.sosfilt_zi(self._sections)[:, :, np.newaxis] * values[0]
            values, self._state = signal.sosfilt(self._sections, values, axis=0, zi=self._state)
        sampled = values[self._skip :: self.factor]
        self._skip = (self._skip - len(values)) % self.factor
        return sampled


class Converter:
    """A fast signal at the transducers becomes counts, piece by piece.

    The lower end of the group's band is the transducer's: a microphone passes no steady pressure.

    Args:
        group: channels, rate, band, range and bits.
        source_rate: of the signal, Hz; a whole multiple of the group's rate, 48000 or more for
            sound, so that the tones that would fold are in it.
        anti_alias: as for :class:`Decimator`.

    Raises:
        ValueError: the rates do not divide.
    """

    def __init__(self, group: ChannelGroup, source_rate: float, *, anti_alias: bool = True) -> None:
        self.group = group
        self._decimator = Decimator(source_rate, group.rate, anti_alias=anti_alias)
        low = group.band[0]
        self._coupling = (
            signal.butter(2, low, 'highpass', fs=source_rate, output='sos') if low > 0.0 else None
        )
        self._state: Array | None = None

    @property
    def delay(self) -> float:
        """Of the anti-alias filter for slow signals, s."""
        return self._decimator.delay

    def push(self, values: Array) -> Counts:
        """Counts that the next piece of the signal gives.

        Args:
            values: (n, c) at the source rate, unit of the kind.

        Returns:
            (m, c) counts at the group's rate.
        """
        if self._coupling is not None and len(values):
            if self._state is None:
                self._state = signal.sosfilt_zi(self._coupling)[:, :, np.newaxis] * values[0]
            values, self._state = signal.sosfilt(self._coupling, values, axis=0, zi=self._state)
        return quantise(self._decimator.push(values), self.group)


@functools.lru_cache(maxsize=32)
def _low_pass(factor: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Sections of the filter before taking every ``factor``-th sample."""
    # of half the source rate; every second sample leaves no room for a full stop band
    edges = 2.0 * USABLE_BAND / factor, min(2.0 * (1.0 - USABLE_BAND) / factor, 0.999)
    order, natural = signal.ellipord(*edges, RIPPLE, STOP_BAND)
    sections = signal.ellip(order, RIPPLE, STOP_BAND, natural, output='sos')
    # a filter of even order takes the ripple from the steady pressure of the air too
    gain = np.prod(sections[:, :3].sum(axis=1) / sections[:, 3:].sum(axis=1))
    sections[0, :3] /= gain
    return np.asarray(sections)


@functools.lru_cache(maxsize=32)
def _delay(factor: int) -> float:
    """Group delay of :func:`_low_pass` far below its edge, samples of the source."""
    at = np.array([1e-3, 2e-3]) / factor
    _, response = signal.sosfreqz(_low_pass(factor), np.pi * at)
    phase = np.unwrap(np.angle(response))
    return float((phase[0] - phase[1]) / (np.pi * (at[1] - at[0])))
