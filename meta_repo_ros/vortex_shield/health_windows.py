# SPDX-License-Identifier: Apache-2.0
"""Statistics of channels over windows of 0.1 s, and counters that go on from window to window."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from meta_repo_ros.core.samples import Array
from meta_repo_ros.vortex_shield.frames import Cut

Flags = np.ndarray[Any, np.dtype[np.bool_]]
Integers = np.ndarray[Any, np.dtype[np.int64]]
WINDOW = 25
"""Frames of a window."""


class Statistics(NamedTuple):
    """Of consecutive windows, (w, c) each, unit of the kind.

    Attributes:
        mean, low, high: of the samples.
        step: root mean square of the difference of neighbouring samples.
    """

    mean: Array
    low: Array
    high: Array
    step: Array


class Windows:
    """Collects frames until windows are full; the same windows however the frames come.

    Args:
        phase: frame, below ``WINDOW``, at which windows begin, so that those of several kinds do
            not end at once.
    """

    def __init__(self, phase: int = 0) -> None:
        self._phase = phase
        self._start: int | None = None  # frame of the first piece that waits
        self._pieces: list[tuple[Array, Integers | int]] = []  # samples; edges or size of frames

    def run(self, cut: Cut) -> tuple[Integers, Statistics] | None:
        """Windows that the frames complete: the frame after each, and its statistics."""
        values: Array = cut.values
        frames: Integers | int = cut.size or cut.edges
        if cut.restart or self._start is None:
            begin = cut.first + (self._phase - cut.first) % WINDOW
            self._pieces = []
            self._start = None
            if begin >= cut.last:
                return None
            self._start = begin
            edges = cut.edges[begin - cut.first :]
            values, frames = values[edges[0] :], edges - edges[0]
        self._pieces.append((values, frames))
        number = (cut.last - self._start) // WINDOW
        if number == 0:
            return None
        values, edges = _joined(self._pieces)
        bounds = edges[: number * WINDOW + 1 : WINDOW]
        stop = int(bounds[-1])
        ends = self._start + WINDOW * np.arange(1, number + 1)
        self._start = int(ends[-1])
        self._pieces = [(values[stop:], edges[number * WINDOW :] - stop)]
        return ends, _statistics(values[:stop], bounds)


class Run:
    """Counts consecutive windows in which something holds, per channel."""

    def __init__(self, channels: int) -> None:
        self._length: Array = np.zeros(channels)

    def run(self, holds: Flags, weight: Array | None = None) -> Array:
        """Length up to each window, (w, c), 0 where it does not hold.

        Args:
            holds: (w, c).
            weight: (w, c) what a window counts, 1 by default.
        """
        one = holds.astype(np.float64) if weight is None else weight * holds
        if len(holds) == 1:
            self._length = (self._length + one[0]) * holds[0]
            return self._length[np.newaxis]
        total = np.cumsum(one, axis=0) + self._length
        # what had been counted when it last did not hold; before that, nothing is taken off
        broken = np.where(holds, 0.0, total)
        length = total - np.maximum.accumulate(broken, axis=0)
        self._length = length[-1].copy()
        return np.asarray(length)


class Latest:
    """Repeats the last sound value of a channel while it is not sound."""

    def __init__(self, channels: int) -> None:
        self._value = np.full(channels, np.nan)

    def run(self, x: Array, sound: Flags) -> Array:
        """(w, c) values; the first of all is taken as it is."""
        held = np.where(np.isnan(self._value), x[0], self._value)
        if len(x) == 1:
            result = np.where(sound, x, held)
        else:
            rows = np.where(sound, np.arange(len(x))[:, np.newaxis], -1)
            rows = np.maximum.accumulate(rows, axis=0)
            result = np.where(rows < 0, held, np.take_along_axis(x, np.maximum(rows, 0), axis=0))
        self._value = result[-1].copy()
        return np.asarray(result)


class Hold:
    """Keeps flags up for some windows after they were last raised."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._age = np.full(shape, np.inf)

    def run(self, raised: Flags, windows: Array) -> Flags:
        """Whether a flag was raised in this or the last ``windows`` windows, (w, ...)."""
        if len(raised) == 1:
            self._age = np.where(raised[0], 0.0, self._age + 1.0)
            return np.asarray(self._age[np.newaxis] < windows)
        at = np.arange(1.0, len(raised) + 1.0).reshape(-1, *[1] * (raised.ndim - 1))
        last = np.maximum.accumulate(np.where(raised, at, -self._age), axis=0)
        age = at - last
        self._age = age[-1].copy()
        return np.asarray(age < windows)


def _joined(pieces: list[tuple[Array, Integers | int]]) -> tuple[Array, Integers]:
    """Samples of all pieces, and the edges of their frames from 0."""
    values, sizes = [], []
    for samples, frames in pieces:
        if isinstance(frames, int):
            values.append(samples)
            sizes.append(np.full(len(samples) // frames, frames))
        else:
            values.append(samples[frames[0] : frames[-1]])
            sizes.append(np.diff(frames))
    return np.concatenate(values), np.concatenate([[0], np.cumsum(np.concatenate(sizes))])


def _statistics(values: Array, bounds: Integers) -> Statistics:
    starts = bounds[:-1]
    sizes = np.diff(bounds)[:, np.newaxis]
    if (sizes == sizes[0]).all():
        x = values.reshape(len(starts), int(sizes[0, 0]), values.shape[1])
        steps = np.diff(x, axis=1)
        energy = np.einsum('wsc,wsc->wc', steps, steps)
        mean, low, high = x.mean(axis=1), x.min(axis=1), x.max(axis=1)
    else:
        steps = np.diff(values, axis=0, append=values[-1:])
        steps[bounds[1:] - 1] = 0.0  # between windows
        energy = np.add.reduceat(steps * steps, starts, axis=0)
        mean = np.add.reduceat(values, starts, axis=0) / sizes
        low = np.minimum.reduceat(values, starts, axis=0)
        high = np.maximum.reduceat(values, starts, axis=0)
    return Statistics(mean, low, high, np.sqrt(energy / np.maximum(sizes - 1, 1)))
