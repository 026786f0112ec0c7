# SPDX-License-Identifier: Apache-2.0
"""Frames of 4 ms of stream time, cut from samples of any rate that come in pieces of any length."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from meta_repo_ros.core.samples import Array, ChannelGroup, Counts, Samples
from meta_repo_ros.core.time import NANOSECONDS

FRAME = 4_000_000
"""Length of a frame, ns; one decision each."""
_SLIP = 2_000_000  # of a block's stamp against the count of samples that is no gap, ns


@dataclass(frozen=True)
class Cut:
    """Samples of consecutive frames of one kind without a break.

    Attributes:
        first, last: indices of the first frame and of the one after the last.
        values: (samples, c) in the unit of the kind.
        edges: (n + 1,) index of each frame's first sample, and the end.
        good: (n, c) 1 for channels to use, 0 for others.
        usable: (n,) whether any is.
        restart: whether samples before the first are missing.
    """

    first: int
    last: int
    values: Array
    edges: np.ndarray[tuple[int], np.dtype[np.int64]]
    good: Array
    usable: np.ndarray[tuple[int], np.dtype[np.bool_]]
    restart: bool

    def mean(self, x: Array) -> Array:
        """Mean of (samples, c) over each frame, (n, c); the newest sample where a frame has none."""
        n = self.last - self.first
        size, rest = divmod(len(x), n)
        sizes = np.diff(self.edges)
        if rest == 0 and self.edges[0] == 0 and (sizes == size).all():
            if size == 1:
                return x
            return np.asarray(np.add.reduce(x.reshape(n, size, x.shape[1]), axis=1) / size)
        empty = sizes == 0
        starts = np.minimum(self.edges[:-1], len(x) - 1)
        result = np.add.reduceat(x, starts, axis=0) / np.maximum(sizes, 1)[:, np.newaxis]
        if empty.any():
            result[empty] = x[np.maximum(self.edges[:-1][empty] - 1, 0)]
        return np.asarray(result)


class Stream:
    """Samples of one kind that wait for their frame to be complete.

    Args:
        group: layout; a change of it needs a new stream.
        origin: stamp of the start of frame 0, ns.
    """

    def __init__(self, group: ChannelGroup, origin: int) -> None:
        self.group = group
        self.origin = origin
        self._pieces: list[tuple[int, Counts, Array]] = []  # stamp, counts, mask
        self._expected: int | None = None
        self._continues: int | None = None  # frame that would follow without a break

    def fits(self, group: ChannelGroup) -> bool:
        """Whether ``group`` has the same rate, scale and channels."""
        own = self.group
        return own is group or (
            own.rate == group.rate
            and own.channels == group.channels
            and own.bits == group.bits
            and (own.range_low, own.range_high) == (group.range_low, group.range_high)
        )

    def push(self, samples: Samples, good: Array) -> None:
        """Append samples; the past and the empty are left out.

        Args:
            samples: of this group.
            good: (c,) or (frames, c); 1 for channels to use.
        """
        if len(samples.counts) == 0:
            return
        start = samples.start
        if self._expected is not None and abs(start - self._expected) <= _SLIP:
            start = self._expected
        self._pieces.append((start, samples.counts, good))
        self._expected = start + round(len(samples.counts) * NANOSECONDS / self.group.rate)

    def take(self, first: int, last: int) -> Iterator[Cut]:
        """Hand out the frames from ``first`` to before ``last`` that samples cover."""
        slow_tail = self.group.rate * FRAME < NANOSECONDS
        for start, counts, good in self._merged():
            begin = (start - self.origin) * self.group.rate / NANOSECONDS
            # frames that this stretch covers, up to a sample's period at its beginning
            early = max(round(0.999 * NANOSECONDS / self.group.rate), 1000)
            own_first = max(first, math.ceil((start - self.origin - early) / FRAME))
            end = start + round(len(counts) * NANOSECONDS / self.group.rate)
            own_last = min(last, (end - self.origin + 1000) // FRAME)
            if own_last > own_first:
                bounds = np.arange(own_first, own_last + 1) * (
                    FRAME * self.group.rate / NANOSECONDS
                )
                edges = np.ceil(bounds - begin - 1e-4).astype(np.int64)
                np.clip(edges, 0, len(counts), out=edges)
                # a slow stream's newest sample stands for the frames that hold none
                offset = max(int(edges[0]) - slow_tail, 0)
                used = counts[offset : int(edges[-1])]
                if len(used):
                    yield self._cut(own_first, own_last, used, edges - offset, good)
                    self._continues = own_last
                keep = max(int(edges[-1]) - slow_tail, 0)
            else:
                keep = 0
            if keep < len(counts) and (slow_tail or end - self.origin > last * FRAME):
                rest = counts[keep:]
                stamp = start + round(keep * NANOSECONDS / self.group.rate)
                self._pieces.append((stamp, rest, good))

    def _cut(
        self, first: int, last: int, counts: Counts, edges: np.ndarray[tuple[int], np.dtype[np.int64]],
        good: Array,
    ) -> Cut:  # fmt: skip
        mask = np.broadcast_to(good, (last - first, good.shape[-1]))
        restart = self._continues != first
        values = self.group.values(counts)
        return Cut(first, last, values, edges, mask, mask.any(axis=1), restart)

    def _merged(self) -> list[tuple[int, Counts, Array]]:
        pieces, self._pieces = self._pieces, []
        if len(pieces) < 2:
            return pieces
        merged = [pieces[0]]
        for start, counts, good in pieces[1:]:
            before, waiting, _ = merged[-1]
            end = before + round(len(waiting) * NANOSECONDS / self.group.rate)
            if abs(start - end) <= _SLIP:
                merged[-1] = (before, np.concatenate([waiting, counts]), good)
            else:
                merged.append((start, counts, good))
        return merged
