# SPDX-License-Identifier: Apache-2.0
"""Rules by which a channel is found wrong, from windows of 0.1 s and from the other channels.

A pressure count is 3 Pa where the whole load of a small rotor is 80 Pa, so a healthy channel may
repeat its value for long. It is wrong only by what the others of its kind do meanwhile.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

import numpy as np

from meta_repo_ros.core.parameters import parameter
from meta_repo_ros.core.rotorcraft import Rotorcraft
from meta_repo_ros.core.samples import Array, ChannelGroup, Kind
from meta_repo_ros.vortex_shield.filters import smoother
from meta_repo_ros.vortex_shield.health_windows import Flags, Hold, Latest, Run, Statistics

_RATE = 10.0  # windows per second
_DRIFT_LASTS = (5.0, 3.0)  # s and rings, the longer one
_DRIFT_PARTS = 4  # of that time, in each of which the slope must show
_RING = 200.0  # rad of rotor rotation, about a ring
_SWAP_MEMORY = (20.0, 8.0)  # s and rings, the longer one
_SWAP_MEAN = (10.0, 2.0)  # s and rings, the longer one
_SWAP_LASTS = 50.0  # windows
_SWAP_LOADING = 200.0  # Pa, disk loading that stands out from the offsets of sensors


class Reason(enum.IntFlag):
    """What is wrong with a channel."""

    STUCK = 1
    DEAD = 2
    SATURATED = 4
    SWAPPED = 8
    DRIFTING = 16
    NOISY = 32
    IMPLAUSIBLE = 64
    STATED = 128


RULES = (
    Reason.STUCK, Reason.DEAD, Reason.SWAPPED, Reason.DRIFTING, Reason.NOISY, Reason.IMPLAUSIBLE,
)  # fmt: skip
_BITS = np.array([[[int(reason)] for reason in RULES]], dtype=np.uint8)


@dataclass(frozen=True)
class HealthParameters:
    """When a channel is no longer used."""

    enabled: bool = parameter(
        True, 'Judge channels; without, only what their source says of them counts.'
    )
    saturation_hold: float = parameter(
        0.5, 'A channel is left out so long after a sample at the end of its range.', unit='s',
        minimum=0.0, maximum=60.0,
    )  # fmt: skip
    recovery_time: float = parameter(
        2.0, 'A channel is used again after so long without a fault.', unit='s', minimum=0.1,
        maximum=600.0,
    )  # fmt: skip
    noise_ratio: float = parameter(
        12.0, 'A channel is noisy from so many times the noise of the others of its kind.',
        minimum=2.0, maximum=1000.0,
    )  # fmt: skip
    dead_ratio: float = parameter(
        20.0, 'A channel is dead below the signal of the others over this.', minimum=2.0,
        maximum=1000.0,
    )  # fmt: skip
    pressure_disagreement: float = parameter(
        2000.0, 'A pressure channel further from the median of all is implausible.', unit='Pa',
        minimum=100.0, maximum=1e5,
    )  # fmt: skip


@dataclass(frozen=True)
class _Limits:
    """Of a kind: windows of 0.1 s, and what it takes to call it so."""

    moving: float  # counts from least to greatest in a window, from which the others change
    stuck: float  # windows without a change while the others change
    frozen: float  # windows in which no channel of the kind changes
    drift: float  # slope against the others, unit/s
    away: float  # from the others, below which a slope may be that of the wake, unit


class Rules:
    """Judges the windows of one group of channels.

    Args:
        group: whose.
        rotorcraft: whose disk loading and induced velocity are the scales.
        parameters: of the user.

    Attributes:
        middles: (w,) median of the channels that stand at no end of the range, unit of the kind.
        middle: that of the newest window.
    """

    def __init__(
        self, group: ChannelGroup, rotorcraft: Rotorcraft, parameters: HealthParameters
    ) -> None:
        c = group.channels
        self._group, self._parameters = group, parameters
        loading = rotorcraft.weight / rotorcraft.disk_area
        # a slope leaves about so much behind the band of ring shedding, 1/100 per revolution
        memory = 100.0 / rotorcraft.rotor_speed
        induced, span = rotorcraft.hover_induced_velocity(), group.range_high - group.range_low
        self._limits = {
            Kind.PRESSURE: _Limits(
                5.0, 10.0, 200.0, max(0.1 * loading / memory, 2.0), 2.0 * loading + 100.0
            ),
            Kind.FLOW: _Limits(8.0, 5.0, 20.0, 0.15 * induced, 4.0 * induced),
            Kind.ACOUSTIC: _Limits(8.0, 3.0, 10.0, 0.02 * span, 0.1 * span),
        }[group.kind]
        self._loading = loading
        self._still, self._moved, self._frozen = Run(c), Run(c), Run(1)
        self._faint, self._loud, self._opposed = (Run(c) for _ in range(3))
        self._last_low = np.full(c, np.nan)
        self._since = np.full(c, np.nan)  # median of all when a channel last changed
        ring = self._ring = _RING / rotorcraft.rotor_speed
        part = max(_DRIFT_LASTS[0], _DRIFT_LASTS[1] * ring) * _RATE / _DRIFT_PARTS
        self._part = round(part)
        self._path = np.zeros((_DRIFT_PARTS * self._part + 1, c))
        self._before: tuple[Array, Flags] | None = None
        self._level = Latest(c)
        half = 0.5 * group.resolution
        self._top = group.range_high - half
        # still air is no fault
        self._bottom = -np.inf if group.kind is Kind.FLOW else group.range_low + half
        self._compares = group.kind is Kind.PRESSURE and c > 2
        above, below = (group.station_side == side for side in (1.0, -1.0))
        self._sides = np.array([above, below], dtype=np.float64)
        self._swaps = bool((self._sides.sum(axis=1) >= 2).all()) and group.kind is Kind.PRESSURE
        self._steady = smoother(max(ring, 0.3) * _RATE)
        self._memory = smoother(max(_SWAP_MEMORY[0], _SWAP_MEMORY[1] * ring) * _RATE)
        self._base: Array | None = None
        self._mean = smoother(max(_SWAP_MEAN[0], _SWAP_MEAN[1] * ring) * _RATE)
        self._votes, self._levels = np.zeros(2 * c), np.zeros(2 * c)
        self._exchanged = Run(c)
        self._hold = Hold((len(RULES), c))
        self._windows = np.full((len(RULES), 1), parameters.recovery_time * _RATE)
        self._windows[RULES.index(Reason.DRIFTING)] *= 5.0
        self.middle = math.nan
        self.middles = np.empty(0)

    def run(self, s: Statistics) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
        """:class:`Reason` bits after each window, (w, c)."""
        railed = (s.low <= self._bottom) | (s.high >= self._top)
        # what stands at an end of the range says nothing of where the others should be
        middle = _rank_of(s.mean, ~railed, 0.5)
        middle = np.where(np.isfinite(middle), middle, _rank(s.mean, 0.5))
        self.middles = middle[:, 0]
        self.middle = float(self.middles[-1])
        count = self._group.resolution
        extent = (s.high - s.low) / count
        others = _rank(extent, 0.75)
        none = np.zeros(extent.shape, dtype=np.bool_)
        several = extent.shape[1] > 1
        sound = (extent > 0.0) & (s.low > self._bottom) & (s.high < self._top)
        if self._compares:
            far = np.abs(s.mean - middle) > self.disagreement
            sound &= ~far
        found = np.stack(
            [
                self._stuck(s, extent, others, middle),
                self._dead(extent, others) if several else none,
                self._swapped(s.mean, sound) if self._swaps else none,
                self._drifting(s.mean, sound) if several else none,
                self._noisy(s.step / count, sound) if several else none,
                far if self._compares else none,
            ],
            axis=1,
        )
        held = self._hold.run(found, self._windows)
        return np.asarray(np.bitwise_or.reduce(held * _BITS, axis=1), dtype=np.uint8)

    def _stuck(self, s: Statistics, extent: Array, others: Array, middle: Array) -> Flags:
        """No change at all while the others change, or while static pressure does."""
        before = np.concatenate([self._last_low[np.newaxis], s.low[:-1]])
        self._last_low = s.low[-1].copy()
        still = (extent == 0.0) & (s.low == before)
        length = self._still.run(still)
        moved = self._moved.run(still, np.broadcast_to(others >= self._limits.moving, still.shape))
        enough: float | Array = self._limits.stuck
        if self._group.kind is Kind.FLOW:
            # without a sign, a reversed flow may read 0 for as long as a ring lasts
            none = s.low <= self._group.range_low
            enough = np.where(none, max(enough, 10.0, self._ring * _RATE), enough)
        result = moved >= enough
        if self._group.channels > 1 or self._group.kind is not Kind.PRESSURE:
            frozen = self._frozen.run(still.all(axis=1, keepdims=True))
            result |= frozen >= self._limits.frozen
        if self._group.kind is Kind.PRESSURE and self._group.channels > 2:
            away = np.abs(middle - self._at_last_change(middle, still)) / self._group.resolution
            result |= still & (length >= 5.0) & (away >= 6.0)
        return np.asarray(result)

    def _at_last_change(self, middle: Array, still: Flags) -> Array:
        """Median of all channels in the window in which each last changed, (w, c)."""
        if len(still) == 1:
            self._since = np.where(still[0], self._since, middle[0])
            return self._since[np.newaxis]
        rows = np.where(still, -1, np.arange(len(still))[:, np.newaxis])
        rows = np.maximum.accumulate(rows, axis=0)
        result = np.where(rows < 0, self._since, middle[np.maximum(rows, 0), 0])
        self._since = result[-1].copy()
        return np.asarray(result)

    def _dead(self, extent: Array, others: Array) -> Flags:
        """Next to no signal while the others have a good one."""
        ratio = self._parameters.dead_ratio
        # what does not change at all is stuck
        faint = (extent > 0.0) & (extent * ratio < others) & (others >= 2.0 * ratio)
        return np.asarray(self._faint.run(faint) >= 10.0)

    def _noisy(self, step: Array, sound: Flags) -> Flags:
        """Much louder from sample to sample than most; of two, none is called so."""
        quiet = np.maximum(_rank_of(step, sound, 0.4), 0.7)
        loud = (step > self._parameters.noise_ratio * quiet) & (step > 3.0)
        return np.asarray(self._loud.run(loud) >= 15.0)

    @property
    def disagreement(self) -> float:
        """Greatest difference of a pressure channel from the median, Pa."""
        return max(self._parameters.pressure_disagreement, 10.0 * self._loading)

    def _drifting(self, mean: Array, sound: Flags) -> Flags:
        """A steady slope against the others on the same side of the disk."""
        apart = mean - self._peers(mean, sound)
        last, was = self._before or (apart[0], sound[0])
        self._before = (apart[-1].copy(), sound[-1].copy())
        step = apart - np.concatenate([last[np.newaxis], apart[:-1]])
        # where others take part than before, their median is another one
        same = (sound == np.concatenate([was[np.newaxis], sound[:-1]])).all(axis=1, keepdims=True)
        path = np.cumsum(np.where(same & sound, step, 0.0), axis=0) + self._path[-1]
        path = np.concatenate([self._path[1:], path])
        self._path = path[-len(self._path) :].copy()
        # how far it went in each part of the time, (w + parts, c) from the oldest
        parts = path[self._part :] - path[: -self._part]
        parts = [parts[k * self._part :][: len(mean)] for k in range(_DRIFT_PARTS)]
        limit = self._limits.drift * self._part / _RATE
        steady = (np.min(parts, axis=0) > limit) | (np.max(parts, axis=0) < -limit)
        return np.asarray(steady & (np.abs(apart) >= self._limits.away))

    def _peers(self, x: Array, sound: Flags) -> Array:
        """Median of the sound channels on the same side, of all where those are few, (w, c)."""
        result = np.broadcast_to(_rank_of(x, sound, 0.5), x.shape)
        for side in self._sides.astype(np.bool_):
            if side.sum() >= 3:
                own = _rank_of(x[:, side], sound[:, side], 0.5)
                result = np.where(side & np.isfinite(own), own, result)
        return np.where(np.isfinite(result), result, x)

    def _swapped(self, mean: Array, sound: Flags) -> Flags:
        """A channel above the disk that reads as those below do, and one below as above.

        Thrust raises the pressure below the disk and lowers it above. On a rotor of high loading
        the mean alone shows it; on a small one the error of a sensor is greater, and its changes
        must follow those of the thrust with the wrong sign too. That alone is not enough: a ring
        that tilts does the same on one side of the rotor.
        """
        mean = self._level.run(mean, sound)
        if self._base is None:
            self._base = mean[0].copy()
        above, below = self._sides
        up, down = (_mean_of_others(mean, sound * side) for side in self._sides)
        level = (mean - 0.5 * (up + down)) * (above - below) * sound
        steady = self._steady.run(mean, self._base)
        self._base = steady[-1].copy()
        change = (mean - steady) * sound
        up_change, down_change = (_mean_of_others(change, sound * s) for s in self._sides)
        own = (change - 0.5 * (up_change + down_change)) * (below - above) * sound
        thrust = 0.5 * (down_change - up_change)
        # votes, not products: a step in one channel would outweigh all else for long
        heard = np.abs(thrust) > max(1.5 * self._group.resolution, 0.04 * self._loading)
        votes = np.sign(own) * np.sign(thrust) * heard
        counted = self._memory.run(np.concatenate([votes, heard * sound], axis=1), self._votes)
        self._votes = counted[-1].copy()
        agreed, asked = np.split(counted, 2, axis=1)
        levels = np.concatenate([level, (down - up) * sound], axis=1)
        levels = self._mean.run(levels, self._levels)
        self._levels = levels[-1].copy()
        wrong, load = np.split(levels, 2, axis=1)
        against = (asked > 0.1) & (agreed < -0.6 * asked)
        against = self._opposed.run(against) >= _SWAP_LASTS
        # more than one pair: it may be the others that are exchanged
        single = [(against * side).sum(axis=1, keepdims=True) == 1.0 for side in self._sides]
        apart = (wrong * against).sum(axis=1, keepdims=True)
        result = against & single[0] & single[1] & (apart > 0.3 * self._loading)
        if self._loading >= _SWAP_LOADING:
            exchanged = (wrong > 0.25 * self._loading) & (load > 0.5 * self._loading)
            exchanged = self._exchanged.run(exchanged) >= _SWAP_LASTS
            pair = [(exchanged * side).any(axis=1, keepdims=True) for side in self._sides]
            result |= exchanged & pair[0] & pair[1]
        return np.asarray(result)


def _mean_of_others(x: Array, weight: Array) -> Array:
    """Weighted mean over the other channels, (w, c); 0 where there is none."""
    total, count = (x * weight).sum(axis=1, keepdims=True), weight.sum(axis=1, keepdims=True)
    return np.asarray((total - x * weight) / np.maximum(count - weight, 1.0))


def _rank_of(x: Array, sound: Flags, share: float) -> Array:
    """As :func:`_rank`, of the sound channels alone; infinite where there are fewer than three."""
    number = sound.sum(axis=1)
    if (number == x.shape[1]).all():
        return _rank(x, share) if x.shape[1] > 2 else np.full((len(x), 1), np.inf)
    ordered = np.sort(np.where(sound, x, np.inf), axis=1)
    index = np.floor(share * np.maximum(number - 1, 0)).astype(np.int64)
    result = np.where(number > 2, ordered[np.arange(len(x)), index], np.inf)
    return np.asarray(result[:, np.newaxis])


def _rank(x: Array, share: float) -> Array:
    """Value of each row that ``share`` of its values does not exceed, (w, 1)."""
    c = x.shape[1]
    if c < 3:
        return np.asarray(
            np.max(x, 1, keepdims=True) if share >= 0.5 else np.min(x, 1, keepdims=True)
        )
    ordered = np.sort(x, axis=1)
    if share == 0.5:
        return np.asarray(0.5 * (ordered[:, [(c - 1) // 2]] + ordered[:, [c // 2]]))
    index = math.ceil(share * (c - 1)) if share > 0.5 else math.floor(share * (c - 1))
    return np.asarray(ordered[:, [index]])
