# SPDX-License-Identifier: Apache-2.0
"""Frames of 4 ms of stream time, cut from samples of any rate that come in pieces of any length."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from meta_repo_ros.core.samples import Array, ChannelGroup, Counts, Samples
from meta_repo_ros.core.time import NANOSECONDS

FRAME = 4_000_000
"""Length of a frame, ns; one decision each."""
FRAME_RATE = NANOSECONDS / FRAME
_SLIP = 2_000_000  # of a block's stamp against the count of samples that is no gap, ns

Good = np.ndarray[Any, np.dtype[np.bool_]]
Edges = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(slots=True)
class Cut:
    """Samples of consecutive frames of one kind without a break.

    Attributes:
        first, last: indices of the first frame and of the one after the last.
        values: (samples, c) in the unit of the kind.
        size: samples in each frame, 0 where that varies.
        edges: (n + 1,) index of each frame's first sample, and the end.
        good: (n, c) channels to use.
        usable: (n,) whether there is any.
        restart: whether samples before the first are missing.
    """

    first: int
    last: int
    values: Array
    size: int
    edges: Edges
    good: Good
    usable: Good
    restart: bool

    def mean(self, x: Array) -> Array:
        """Mean of (samples, c) over each frame, (n, c); the newest sample if it has none."""
        if self.size == 1:
            return x
        if self.size:
            shape = (self.last - self.first, self.size, *x.shape[1:])
            return np.asarray(np.add.reduce(x.reshape(shape), axis=1) / self.size)
        edges = self.edges
        sizes = edges[1:] - edges[:-1]
        starts = np.minimum(edges[:-1], len(x) - 1)
        result = np.add.reduceat(x, starts, axis=0)
        result /= np.maximum(sizes, 1).reshape((-1,) + (1,) * (x.ndim - 1))
        empty = sizes == 0
        if empty.any():
            result[empty] = x[np.maximum(edges[:-1][empty] - 1, 0)]
        return np.asarray(result)

    def uniform(self) -> Iterator[Cut]:
        """The same frames in stretches through which the channels to use stay the same."""
        good = self.good
        if len(good) == 1 or good.strides[0] == 0:
            yield self
            return
        changes = np.flatnonzero((good[1:] != good[:-1]).any(axis=1)) + 1
        if len(changes) == 0:
            yield self
            return
        restart = self.restart
        for start, stop in itertools.pairwise((0, *changes.tolist(), len(good))):
            edges = self.edges[start : stop + 1]
            values = self.values[edges[0] : edges[-1]]
            if len(values) == 0:  # frames of a slow stream without a sample of their own
                values, edges = self.values[edges[0] - 1 : edges[0]], edges - edges[0] + 1
            else:
                edges = edges - edges[0]
            yield Cut(
                self.first + start, self.first + stop, values, self.size, edges,
                good[start:stop], self.usable[start:stop], restart,
            )  # fmt: skip
            restart = False


class Stream:
    """Samples of one kind that wait for their frame to be complete.

    Args:
        group: layout; a change of it needs a new stream.
        origin: stamp of the start of frame 0, ns.
    """

    def __init__(self, group: ChannelGroup, origin: int) -> None:
        self.group = group
        self.origin = origin
        per_frame = group.rate / FRAME_RATE
        self._size = round(per_frame) if abs(per_frame - round(per_frame)) < 1e-9 else 0
        self._slow = per_frame < 1.0
        self._single = np.array([0, self._size], dtype=np.int64)
        self._pieces: list[tuple[int, Counts, Good]] = []
        self._expected: int | None = None
        self._next: int | None = None  # frame that would follow without a break

    def fits(self, group: ChannelGroup) -> bool:
        """Whether ``group`` has the same rate, scale and channels."""
        own = self.group
        return own is group or (
            own.rate == group.rate
            and own.channels == group.channels
            and own.bits == group.bits
            and (own.range_low, own.range_high) == (group.range_low, group.range_high)
        )

    def push(self, samples: Samples, good: Good) -> None:
        """Append samples.

        Args:
            samples: of this group, not older than those before.
            good: (c,) channels to use.
        """
        count = len(samples.counts)
        if count == 0:
            return
        start = samples.start
        if self._expected is not None and abs(start - self._expected) <= _SLIP:
            start = self._expected
        self._pieces.append((start, samples.counts, good))
        self._expected = start + round(count * NANOSECONDS / self.group.rate)

    def take(self, first: int, last: int) -> Iterator[Cut]:
        """Hand out the frames from ``first`` to before ``last`` that samples cover."""
        pieces = self._pieces
        if not pieces:
            return
        if len(pieces) == 1 and self._size:
            start, counts, good = pieces[0]
            if start == self.origin + first * FRAME and len(counts) == (last - first) * self._size:
                self._pieces = []
                if len(counts) == self._size:
                    edges = self._single
                else:
                    edges = np.arange(0, len(counts) + 1, self._size)
                yield self._cut(first, last, counts, edges, good, size=self._size)
                return
        for start, counts, good in self._merged():
            yield from self._stretch(start, counts, good, first, last)

    def _stretch(
        self, start: int, counts: Counts, good: Good, first: int, last: int
    ) -> Iterator[Cut]:
        rate = self.group.rate
        begin = (start - self.origin) * rate / NANOSECONDS
        # frames that this stretch covers, up to a sample's period at its beginning
        early = max(round(0.999 * NANOSECONDS / rate), 1000)
        own_first = max(first, math.ceil((start - self.origin - early) / FRAME))
        end = start + round(len(counts) * NANOSECONDS / rate)
        own_last = min(last, (end - self.origin + 1000) // FRAME)
        keep = 0
        if own_last > own_first:
            bounds = np.arange(own_first, own_last + 1) * (rate / FRAME_RATE)
            edges = np.ceil(bounds - begin - 1e-4).astype(np.int64)
            edges = np.minimum(np.maximum(edges, 0), len(counts))
            # a slow stream's newest sample stands for the frames that hold none
            offset = max(int(edges[0]) - self._slow, 0)
            used = counts[offset : int(edges[-1])]
            if len(used):
                sizes = edges[1:] - edges[:-1]
                size = self._size if offset == edges[0] and (sizes == self._size).all() else 0
                yield self._cut(own_first, own_last, used, edges - offset, good, size=size)
            keep = max(int(edges[-1]) - self._slow, 0)
        if keep < len(counts) and (self._slow or end - self.origin > last * FRAME):
            stamp = start + round(keep * NANOSECONDS / rate)
            self._pieces.append((stamp, counts[keep:], good))

    def _cut(
        self, first: int, last: int, counts: Counts, edges: Edges, good: Good, *, size: int
    ) -> Cut:
        values: Array = np.asarray(counts * self.group.resolution)
        if self.group.range_low:
            values += self.group.range_low
        restart = self._next != first
        self._next = last
        every = good[np.newaxis]
        usable: Good = np.asarray(every.any(axis=1))
        if last - first > 1:
            every = np.broadcast_to(every, (last - first, len(good)))
            usable = np.broadcast_to(usable, last - first)
        return Cut(first, last, values, size, edges, every, usable, restart)

    def _merged(self) -> list[tuple[int, Counts, Good]]:
        pieces, self._pieces = self._pieces, []
        merged = pieces[:1]
        for start, counts, good in pieces[1:]:
            before, waiting, _ = merged[-1]
            end = before + round(len(waiting) * NANOSECONDS / self.group.rate)
            if abs(start - end) <= _SLIP:
                merged[-1] = (before, np.concatenate([waiting, counts]), good)
            else:
                merged.append((start, counts, good))
        return merged
