# SPDX-License-Identifier: Apache-2.0
"""What the streams say, one row per frame of 4 ms, whatever the length of the blocks.

A feature is the smoothed energy of one physical quantity, in units of the vehicle's own disk
loading T/A or hover induced velocity v_h, in a band counted in rotor revolutions: rings leave the
disk every 10 to 80 of them (Stack, Caradonna & Savas: 20 to 50). Nothing here assumes the shape of
a ring. All is causal and vectorised over frames; one frame and a million take the same path.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from meta_repo_ros.core.rotorcraft import Rotorcraft
from meta_repo_ros.core.samples import Array, Health, Kind, Samples
from meta_repo_ros.vortex_shield.filters import Band, band_pass, smoother
from meta_repo_ros.vortex_shield.frames import FRAME, Cut, Stream

FEATURES: tuple[tuple[str, Kind], ...] = (
    ('pressure_fluctuation', Kind.PRESSURE),
    ('thrust_fluctuation', Kind.PRESSURE),
    ('pressure_one_per_rev', Kind.PRESSURE),
    ('pressure_blade_passing', Kind.PRESSURE),
    ('flow_fluctuation', Kind.FLOW),
    ('flow_turbulence', Kind.FLOW),
    ('acoustic_low_frequency', Kind.ACOUSTIC),
    ('acoustic_blade_passing', Kind.ACOUSTIC),
)
"""Energies by name, and the kind of the channels they come from."""
KINDS = (Kind.PRESSURE, Kind.FLOW, Kind.ACOUSTIC)
_COLUMNS = {kind: [i for i, (_, k) in enumerate(FEATURES) if k == kind] for kind in KINDS}
_TINY = 1e-12
_FRAME_RATE = 1e9 / FRAME
RING_BAND = (1.0 / 100.0, 1.0 / 6.0)
"""Lower and upper end of the band of ring shedding, per revolution."""


@dataclass(frozen=True)
class FeatureRows:
    """Features of consecutive frames.

    Attributes:
        first: index of the first frame.
        end: (n,) stamp of the end of each frame, ns.
        energy: (n, features) natural logarithm of the smoothed energy.
        usable: (n, kinds) whether the frame held healthy samples of the kind.
        profile: (n, flow channels) smoothed flow over v_h; no columns before flow is seen.
        flow_good: (n, flow channels) 1 where healthy; no columns before flow is seen.
    """

    first: int
    end: np.ndarray[tuple[int], np.dtype[np.int64]]
    energy: Array
    usable: np.ndarray[tuple[int, int], np.dtype[np.bool_]]
    profile: Array
    flow_good: Array

    def __len__(self) -> int:
        return len(self.end)


class Features:
    """Cuts streams into frames and measures each.

    Args:
        rotorcraft: whose disk loading, v_h and rotor speed scale everything.
    """

    def __init__(self, rotorcraft: Rotorcraft) -> None:
        self.rotorcraft = rotorcraft
        self.revolution = 2.0 * math.pi / rotorcraft.rotor_speed
        self.origin: int | None = None
        self.next_frame = 0
        self._streams: dict[Kind, Stream] = {}
        self._stages: dict[Kind, _Stage] = {}
        per_rev = self.revolution * _FRAME_RATE
        self._fast = smoother(8.0 * per_rev)
        self._slow = smoother(32.0 * per_rev)
        start = np.full(len(FEATURES), math.log(1e-4))
        self._fast_state = np.exp(start)
        self._slow_state = np.exp(start)
        self._profile = np.zeros((1, 0))

    def push(
        self,
        groups: Sequence[Samples],
        until: int,
        good: Mapping[Kind, Array] | None = None,
    ) -> FeatureRows:
        """Take samples and return the rows of the frames they complete.

        Args:
            groups: next samples, any number of kinds.
            until: stamp up to which everything has been handed over, ns.
            good: (c,) 1 for channels to use, 0 for others, by kind; else the health of ``groups``.
        """
        if self.origin is None:
            self.origin = min((s.start for s in groups), default=until)
        for samples in groups:
            kind = samples.group.kind
            stream = self._streams.get(kind)
            if stream is None or not stream.fits(samples.group):
                stream = self._streams[kind] = Stream(samples.group, self.origin)
                self._stages[kind] = _STAGES[kind](stream, self.rotorcraft, self.revolution)
            mask = None if good is None else good.get(kind)
            if mask is None:
                mask = (samples.health != Health.FAILED).astype(np.float64)
            stream.push(samples, mask)
        last = max((until - self.origin) // FRAME, self.next_frame)
        return self._frames(self.next_frame, last)

    def _frames(self, first: int, last: int) -> FeatureRows:
        n = last - first
        self.next_frame = last
        origin = self.origin or 0
        energy = np.full((n, len(FEATURES)), np.nan)
        usable = np.zeros((n, len(KINDS)), dtype=np.bool_)
        channels = self._profile.shape[1]
        flow = self._streams.get(Kind.FLOW)
        if flow is not None and flow.group.channels != channels:
            channels = flow.group.channels
            self._profile = np.zeros((1, channels))
        profile = np.repeat(self._profile, n, axis=0)
        flow_good = np.zeros((n, channels))
        for index, kind in enumerate(KINDS):
            stream = self._streams.get(kind)
            if stream is None or n == 0:
                continue
            for cut in stream.take(first, last):
                rows = slice(cut.first - first, cut.last - first)
                stage = self._stages[kind]
                energy[rows, _COLUMNS[kind]] = stage.run(cut)
                usable[rows, index] = cut.usable
                if isinstance(stage, _Flow):
                    profile[rows], flow_good[rows] = stage.profile, cut.good
                    profile[rows.stop :] = profile[rows.stop - 1]
        if n and channels:
            self._profile = profile[-1:]
        ends = origin + FRAME * np.arange(first + 1, last + 1, dtype=np.int64)
        return FeatureRows(first, ends, self._smooth(energy), usable, profile, flow_good)

    def _smooth(self, energy: Array) -> Array:
        """Quick to rise, slow to fall: the greater of two averages; holds what is missing."""
        n = len(energy)
        if n == 0:
            return energy
        result = np.empty_like(energy)
        missing = np.isnan(energy)
        edges = [0, n]
        if n > 1:
            changes = np.flatnonzero((missing[1:] != missing[:-1]).any(axis=1)) + 1
            edges = [0, *changes.tolist(), n]
        for start, stop in zip(edges[:-1], edges[1:], strict=True):
            part = energy[start:stop]
            gone = missing[start]
            if gone.any():
                part = part.copy()
                part[:, gone] = self._slow_state[gone]
                self._fast_state[gone] = self._slow_state[gone]
            fast = self._fast.run(part, self._fast_state)
            slow = self._slow.run(part, self._slow_state)
            self._fast_state = fast[-1].copy()
            self._slow_state = slow[-1].copy()
            np.maximum(fast, slow, out=result[start:stop])
        return np.log(result + _TINY)


class _Stage:
    """Turns the samples of one kind into energies, with the filters' memory."""

    def __init__(self, stream: Stream, rotorcraft: Rotorcraft, revolution: float) -> None:
        self.group = stream.group
        self.loading = rotorcraft.weight / rotorcraft.disk_area
        self.induced = rotorcraft.hover_induced_velocity()
        per_rev = 1.0 / revolution
        top = min(RING_BAND[1] * per_rev, 0.4 * _FRAME_RATE, 0.4 * self.group.rate)
        self.ring = band_pass(RING_BAND[0] * per_rev, top, _FRAME_RATE)
        self.blade_passing = rotorcraft.blades * per_rev
        self.per_rev = per_rev

    def run(self, cut: Cut) -> Array:
        """Energies of the frames of one unbroken stretch, (n, features of the kind)."""
        raise NotImplementedError

    def _band(self, low: float, high: float) -> Band | None:
        """Band of the samples themselves; None where the stream does not hold it."""
        low = max(low, self.group.band[0])
        high = min(high, self.group.band[1], 0.45 * self.group.rate)
        if not (0.0 < low < 0.8 * high) or self.group.rate < _FRAME_RATE:
            return None
        return band_pass(low, high, self.group.rate, order=1)


class _Pressure(_Stage):
    def __init__(self, stream: Stream, rotorcraft: Rotorcraft, revolution: float) -> None:
        super().__init__(stream, rotorcraft, revolution)
        side = self.group.station_side
        self.above = (side > 0).astype(np.float64)
        self.below = (side < 0).astype(np.float64)
        self.once = self._band(0.7 * self.per_rev, 1.3 * self.per_rev)
        self.passing = self._band(0.7 * self.blade_passing, 1.4 * self.blade_passing)

    def run(self, cut: Cut) -> Array:
        means = cut.mean(cut.values)
        ring = self.ring.run(means, restart=cut.restart)
        good = cut.good
        count = np.maximum(good.sum(axis=1, keepdims=True), 1.0)
        result = np.full((len(means), 4), np.nan)
        # static pressure follows height in all channels alike
        centre = (ring * good).sum(axis=1, keepdims=True) / count if means.shape[1] > 2 else 0.0
        result[:, 0] = trimmed_energy(ring - centre, good, count[:, 0]) / self.loading**2
        above, below = good * self.above, good * self.below
        n_above, n_below = above.sum(axis=1), below.sum(axis=1)
        both = (n_above > 0) & (n_below > 0)
        if both.any():
            jump = (ring * below).sum(axis=1) / np.maximum(n_below, 1.0)
            jump -= (ring * above).sum(axis=1) / np.maximum(n_above, 1.0)
            result[:, 1] = np.where(both, (jump / self.loading) ** 2, np.nan)
        for column, band in ((2, self.once), (3, self.passing)):
            if band is not None:
                x = band.run(cut.values, restart=cut.restart)
                energy = cut.mean(x * x)
                result[:, column] = (energy * good).sum(axis=1) / count[:, 0] / self.loading**2
        result[~cut.usable] = np.nan
        return result


class _Flow(_Stage):
    def __init__(self, stream: Stream, rotorcraft: Rotorcraft, revolution: float) -> None:
        super().__init__(stream, rotorcraft, revolution)
        self.low = smoother(12.0 * revolution * _FRAME_RATE)
        self.state: Array | None = None
        self.profile = np.zeros((0, self.group.channels))

    def run(self, cut: Cut) -> Array:
        means = cut.mean(cut.values)
        if self.state is None:
            self.state = means[0].copy()
        ring = self.ring.run(means, restart=cut.restart)
        slow = self.low.run(means, self.state)
        self.state = slow[-1].copy()
        self.profile = slow / self.induced
        good = cut.good
        count = np.maximum(good.sum(axis=1), 1.0)
        result = np.full((len(means), 2), np.nan)
        result[:, 0] = trimmed_energy(ring, good, count) / self.induced**2
        quick = means - slow - ring
        result[:, 1] = trimmed_energy(quick, good, count) / self.induced**2
        result[~cut.usable] = np.nan
        return result


class _Acoustic(_Stage):
    def __init__(self, stream: Stream, rotorcraft: Rotorcraft, revolution: float) -> None:
        super().__init__(stream, rotorcraft, revolution)
        self.low = self._band(20.0, max(60.0, min(0.7 * self.per_rev, 200.0)))
        self.passing = self._band(0.7 * self.blade_passing, 1.4 * self.blade_passing)

    def run(self, cut: Cut) -> Array:
        good = cut.good
        count = np.maximum(good.sum(axis=1), 1.0)
        result = np.full((len(good), 2), np.nan)
        for column, band in ((0, self.low), (1, self.passing)):
            if band is not None:
                x = band.run(cut.values, restart=cut.restart)
                energy = cut.mean(x * x)
                result[:, column] = (energy * good).sum(axis=1) / count / self.loading**2
        result[~cut.usable] = np.nan
        return result


_STAGES: dict[Kind, type[_Stage]] = {
    Kind.PRESSURE: _Pressure,
    Kind.FLOW: _Flow,
    Kind.ACOUSTIC: _Acoustic,
}


def trimmed_energy(x: Array, good: Array, count: Array) -> Array:
    """Mean square over healthy channels, without the loudest where there are four or more.

    Args:
        x: (n, c).
        good: (n, c) 1 for channels to use, 0 for others.
        count: (n,) sum of ``good``, at least 1.
    """
    energy = x * x * good
    total = energy.sum(axis=1)
    many = count >= 4.0
    if many.any():
        return np.where(many, (total - energy.max(axis=1)) / np.maximum(count - 1.0, 1.0),
                        total / count)  # fmt: skip
    return np.asarray(total / count)
