# SPDX-License-Identifier: Apache-2.0
"""Which channels can be used, frame by frame, and how much of each kind is left.

What a sample alone shows, the end of the range or a pressure that cannot be, counts at once; what
takes the other channels and some time is judged in windows of 0.1 s and counts from the frame
after. A frame is judged by what came before its end alone, the same however the blocks were cut.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from meta_repo_ros.core.rotorcraft import Rotorcraft
from meta_repo_ros.core.samples import Array, ChannelGroup, Kind
from meta_repo_ros.vortex_shield.frames import FRAME, Cut
from meta_repo_ros.vortex_shield.health_rules import HealthParameters, Reason, Rules
from meta_repo_ros.vortex_shield.health_windows import WINDOW, Windows

Bits = np.ndarray[Any, np.dtype[np.uint8]]
_FEWEST = 8  # samples in a window, below which nothing is judged
_WORDS = {
    Reason.STUCK: 'stuck',
    Reason.DEAD: 'dead',
    Reason.SATURATED: 'saturated',
    Reason.SWAPPED: 'exchanged with another',
    Reason.DRIFTING: 'drifting',
    Reason.NOISY: 'noisy',
    Reason.IMPLAUSIBLE: 'far from all others',
    Reason.STATED: 'failed by their source',
}


class GroupHealth:
    """Judges the channels of one group.

    Args:
        group: whose.
        rotorcraft: whose disk loading and induced velocity are the scales.
        parameters: of the user.

    Attributes:
        reasons: (c,) :class:`Reason` bits of the newest frame.
    """

    def __init__(
        self, group: ChannelGroup, rotorcraft: Rotorcraft, parameters: HealthParameters
    ) -> None:
        self.group = group
        self.reasons: Bits = np.zeros(group.channels, dtype=np.uint8)
        self._rules = Rules(group, rotorcraft, parameters)
        # windows of the kinds end one after another
        self._windows = Windows((int(group.kind) - 1) * WINDOW // len(Kind))
        self._judged: Bits = self.reasons[np.newaxis]
        self._hold = round(parameters.saturation_hold * 1e9 / FRAME)
        self._enough = group.rate * WINDOW * FRAME * 1e-9 >= _FEWEST
        half = 0.5 * group.resolution
        self._top = group.range_high - half
        # still air is no fault
        self._bottom = -np.inf if group.kind is Kind.FLOW else group.range_low + half
        self._compares = group.kind is Kind.PRESSURE and group.channels > 2
        self._ends = np.full((2, group.channels), -(1 << 40), dtype=np.int64)  # last bad frames
        self._latest = -(1 << 40)

    def run(self, cut: Cut) -> Bits:
        """:class:`Reason` bits of each frame, (n, c), beside what its source states."""
        if not self._enough:
            return np.zeros((cut.last - cut.first, self.group.channels), dtype=np.uint8)
        middle = self._rules.middle
        windows = self._windows.run(cut)
        if windows is None:
            judged: Bits = self._judged
            middles: Array | None = None
        else:
            judged, middles = self._judge(cut, *windows, middle)
        reasons = self._at_once(cut, judged, middle if middles is None else middles)
        self.reasons = reasons[-1]
        return reasons

    def _judge(self, cut: Cut, ends: Any, statistics: Any, middle: float) -> tuple[Bits, Array]:
        """Bits and median that hold in each frame, from the windows that ended before it."""
        after = self._rules.run(statistics)
        at = np.searchsorted(ends, np.arange(cut.first, cut.last), side='right')
        held = np.concatenate([self._judged, after])
        self._judged = after[-1:]
        medians = np.concatenate([[middle], self._rules.middles])
        return held[at], medians[at][:, np.newaxis]

    def _at_once(self, cut: Cut, judged: Bits, middle: float | Array) -> Bits:
        """Add what single samples show."""
        values = cut.values
        least, most = values.min(), values.max()
        slack = self._rules.disagreement if self._compares else np.inf
        low, high = middle - slack, middle + slack
        n = cut.last - cut.first
        bad = least <= self._bottom or most >= self._top
        if self._compares:
            bad = bad or bool(np.any(least < low)) or bool(np.any(most > high))
        if not bad and cut.first > self._latest + self._hold:
            return np.broadcast_to(judged, (n, judged.shape[1])) if len(judged) != n else judged
        starts = np.minimum(cut.edges[:-1], len(values) - 1)
        lowest = np.minimum.reduceat(values, starts, axis=0)
        highest = np.maximum.reduceat(values, starts, axis=0)
        frames = np.arange(cut.first, cut.last)[:, np.newaxis]
        result: Bits = np.array(np.broadcast_to(judged, lowest.shape))
        railed = (lowest <= self._bottom) | (highest >= self._top)
        apart = (lowest < low) | (highest > high) if self._compares else np.zeros_like(railed)
        for row, (raised, reason) in enumerate(
            ((railed, Reason.SATURATED), (apart & ~railed, Reason.IMPLAUSIBLE))
        ):
            last = np.maximum.accumulate(np.where(raised, frames, self._ends[row]), axis=0)
            self._ends[row] = last[-1]
            result |= np.where(frames - last <= self._hold, np.uint8(reason), np.uint8(0))
        self._latest = int(self._ends.max())
        return result


class ChannelHealth:
    """Judges the channels of all groups of a flight.

    Args:
        rotorcraft: whose disk loading and induced velocity are the scales.
        parameters: of the user.
    """

    def __init__(self, rotorcraft: Rotorcraft, parameters: HealthParameters | None = None) -> None:
        self._rotorcraft = rotorcraft
        self._parameters = parameters or HealthParameters()
        self._groups: dict[Kind, GroupHealth] = {}
        self._out: dict[Kind, Bits] = {}
        self._notes: tuple[str, ...] | None = ()

    def judge(self, group: ChannelGroup, cut: Cut) -> Cut:
        """The same frames, the channels that cannot be used left out.

        Args:
            group: whose frames.
            cut: consecutive frames; ``good`` is what the source states.
        """
        if not self._parameters.enabled:
            return cut
        kind = group.kind
        known = self._groups.get(kind)
        if known is None or known.group is not group:
            known = GroupHealth(group, self._rotorcraft, self._parameters)
            self._groups[kind] = known
        reasons = known.run(cut)
        newest = np.where(cut.good[-1], reasons[-1], reasons[-1] | np.uint8(Reason.STATED))
        if kind not in self._out or (newest != self._out[kind]).any():
            self._out[kind] = newest
            self._notes = None
        if not reasons.any():
            return cut
        good = np.logical_and(cut.good, reasons == 0)
        return dataclasses.replace(cut, good=good, usable=good.any(axis=1))

    @property
    def left(self) -> dict[Kind, tuple[int, int]]:
        """By kind: channels that can be used, and all."""
        return {k: (int((out == 0).sum()), len(out)) for k, out in self._out.items()}

    @property
    def reasons(self) -> dict[Kind, Bits]:
        """By kind: (c,) :class:`Reason` bits of the newest frame."""
        return dict(self._out)

    def notes(self) -> tuple[str, ...]:
        """For people: which channels are left out and why, kinds that are gone first."""
        if self._notes is None:
            notes = [_note(kind, out) for kind, out in sorted(self._out.items()) if out.any()]
            self._notes = tuple(note for _, note in sorted(notes))
        return self._notes


def _note(kind: Kind, out: Bits) -> tuple[float, str]:
    """Share of the channels that is left, and a sentence."""
    name, total = kind.name.lower(), len(out)
    bad = int((out != 0).sum())
    why = ', '.join(
        f'{int((out & reason != 0).sum())} {word}'
        for reason, word in _WORDS.items()
        if (out & reason).any()
    )
    if bad == total:
        return 0.0, f'{name} is gone: all {total} channels are out ({why})'
    which = ' '.join(map(str, np.flatnonzero(out).tolist()))
    few = 'only ' if 2 * bad >= total else ''
    return 1.0 - bad / total, (
        f'{few}{total - bad} of {total} {name} channels are left ({why}: channel {which})'
    )
