# SPDX-License-Identifier: Apache-2.0
"""From the samples of one kind to the energies of its frames, with the memory of the filters."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from meta_repo_ros.core.rotorcraft import Rotorcraft
from meta_repo_ros.core.samples import Array, ChannelGroup, Kind
from meta_repo_ros.vortex_shield.filters import Band, band_pass, smoother
from meta_repo_ros.vortex_shield.frames import FRAME_RATE, Cut, Good

RING_BAND = (1.0 / 60.0, 1.0 / 5.0)
"""Corners of the band of ring shedding, per revolution; half of a ring of 80 turns still passes."""
_PROFILE = 12.0  # revolutions that a profile is averaged over
_ENVELOPE = 2.0  # revolutions that an envelope is averaged over
_TINY = 1e-12


class Stage:
    """Turns the samples of one kind into energies.

    Args:
        group: layout of the channels.
        rotorcraft: whose disk loading, v_h and rotor speed scale everything.
    """

    names: ClassVar[tuple[str, ...]] = ()

    def __init__(self, group: ChannelGroup, rotorcraft: Rotorcraft) -> None:
        self.group = group
        self.loading = rotorcraft.weight / rotorcraft.disk_area
        self.induced = rotorcraft.hover_induced_velocity()
        self.per_rev = rotorcraft.rotor_speed / (2.0 * math.pi)
        self.passing_rate = rotorcraft.blades * self.per_rev
        self.ring = self.ring_band()
        self._good: Good | None = None
        self.count = 0

    def run(self, cut: Cut) -> Array:
        """Energies of frames through which the same channels are healthy, (n, names)."""
        good = cut.good[0]
        if self._good is None or (good != self._good).any():
            self._good = good
            self.count = int(good.sum())
            self.use(good.astype(np.float64))
        result = self.measure(cut)
        if self.count == 0:
            result[:] = np.nan
        return result

    def use(self, good: Array) -> None:
        """Prepare what depends on which channels are healthy: (c,) of 1 and 0."""
        raise NotImplementedError

    def measure(self, cut: Cut) -> Array:
        """Energies, (n, names); NaN columns for what these channels cannot show."""
        raise NotImplementedError

    def ring_band(self) -> Band:
        """Of frames."""
        top = min(RING_BAND[1] * self.per_rev, 0.4 * FRAME_RATE, 0.4 * self.group.rate)
        return band_pass(min(RING_BAND[0] * self.per_rev, 0.2 * top), top, FRAME_RATE)

    def band(self, low: float, high: float) -> Band | None:
        """Of samples; None where the stream does not hold it."""
        low = max(low, self.group.band[0])
        high = min(high, self.group.band[1], 0.45 * self.group.rate)
        if not (0.0 < low < 0.8 * high) or self.group.rate < FRAME_RATE:
            return None
        return band_pass(low, high, self.group.rate, order=1)


class Envelope:
    """Blade-passing tone, and how much it swells and fades with the rings."""

    def __init__(self, stage: Stage) -> None:
        self._band = stage.band(0.7 * stage.passing_rate, 1.4 * stage.passing_rate)
        self._short = smoother(_ENVELOPE / stage.per_rev * FRAME_RATE)
        self._ring = stage.ring_band()
        self._state: Array | None = None

    def run(self, cut: Cut, share: Array) -> Array | float:
        """Energy of the logarithm of the envelope, (n,); NaN where the band is not there.

        Args:
            cut: of samples.
            share: (c, 1) weights of the channels.
        """
        if self._band is None:
            return math.nan
        x = self._band.run(cut.values, restart=cut.restart)
        energy = cut.mean((x * x) @ share)
        if self._state is None:
            self._state = energy[0].copy()
        smooth = self._short.run(energy, self._state)
        self._state = smooth[-1].copy()
        swing = self._ring.run(np.log(smooth + _TINY), restart=cut.restart)
        return np.asarray(swing[:, 0] ** 2)


class PressureStage(Stage):
    """Low-frequency pressure, the jump over the disk as thrust, 1P, blade passing."""

    names = ('pressure_fluctuation', 'thrust_fluctuation', 'pressure_one_per_rev',
             'pressure_blade_passing')  # fmt: skip

    def __init__(self, group: ChannelGroup, rotorcraft: Rotorcraft) -> None:
        super().__init__(group, rotorcraft)
        self.once = self.band(0.7 * self.per_rev, 1.3 * self.per_rev)
        self.envelope = Envelope(self)
        self.share = np.zeros((group.channels, 1))
        self.mix = np.zeros((group.channels, group.channels))
        self.jump: Array | None = None

    def use(self, good: Array) -> None:
        """Differences between channels, because static pressure follows height in all alike."""
        count = max(good.sum(), 1.0)
        self.share = (good / (count * self.loading**2))[:, np.newaxis]
        self.mix = np.diag(good)
        if count > 2:
            self.mix = self.mix - np.outer(good, good) / count
        self.mix = self.mix / self.loading
        side = self.group.station_side
        above, below = good * (side > 0), good * (side < 0)
        self.jump = None
        if above.any() and below.any():
            self.jump = (below / below.sum() - above / above.sum()) / self.loading

    def measure(self, cut: Cut) -> Array:
        """See :class:`Stage`."""
        ring = self.ring.run(cut.mean(cut.values), restart=cut.restart)
        result = np.full((len(ring), 4), np.nan)
        result[:, 0] = trimmed_energy(ring @ self.mix, self.count)
        if self.jump is not None:
            result[:, 1] = (ring @ self.jump) ** 2
        if self.once is not None:
            x = self.once.run(cut.values, restart=cut.restart)
            result[:, 2] = cut.mean((x * x) @ self.share)[:, 0]
        result[:, 3] = self.envelope.run(cut, self.share)
        return result


class FlowStage(Stage):
    """Low-frequency flow, faster turbulence, and the profile from root to tip.

    Attributes:
        profile: (n, c) of the last cut: smoothed flow over v_h.
    """

    names = ('flow_fluctuation', 'flow_turbulence')

    def __init__(self, group: ChannelGroup, rotorcraft: Rotorcraft) -> None:
        super().__init__(group, rotorcraft)
        self.low = smoother(_PROFILE / self.per_rev * FRAME_RATE)
        self.scale = np.zeros(group.channels)
        self.profile = np.zeros((0, group.channels))
        self._state: Array | None = None

    def use(self, good: Array) -> None:
        """Only healthy channels count."""
        self.scale = good / self.induced

    def measure(self, cut: Cut) -> Array:
        """See :class:`Stage`."""
        means = cut.mean(cut.values)
        if self._state is None:
            self._state = means[0].copy()
        ring = self.ring.run(means, restart=cut.restart)
        slow = self.low.run(means, self._state)
        self._state = slow[-1].copy()
        self.profile = slow / self.induced
        result = np.empty((len(means), 2))
        result[:, 0] = trimmed_energy(ring * self.scale, self.count)
        result[:, 1] = trimmed_energy((means - slow - ring) * self.scale, self.count)
        return result


class AcousticStage(Stage):
    """Sound below the rotor's own tones, and blade passing."""

    names = ('acoustic_low_frequency', 'acoustic_blade_passing')

    def __init__(self, group: ChannelGroup, rotorcraft: Rotorcraft) -> None:
        super().__init__(group, rotorcraft)
        self.low = self.band(20.0, max(60.0, min(0.7 * self.per_rev, 200.0)))
        self.envelope = Envelope(self)
        self.share = np.zeros((group.channels, 1))

    def use(self, good: Array) -> None:
        """Only healthy channels count."""
        self.share = (good / (max(good.sum(), 1.0) * self.loading**2))[:, np.newaxis]

    def measure(self, cut: Cut) -> Array:
        """See :class:`Stage`."""
        n = cut.last - cut.first
        result = np.full((n, 2), np.nan)
        if self.low is not None:
            x = self.low.run(cut.values, restart=cut.restart)
            result[:, 0] = cut.mean((x * x) @ self.share)[:, 0]
        result[:, 1] = self.envelope.run(cut, self.share)
        return result


STAGES: dict[Kind, type[Stage]] = {
    Kind.PRESSURE: PressureStage,
    Kind.FLOW: FlowStage,
    Kind.ACOUSTIC: AcousticStage,
}


def trimmed_energy(x: Array, count: int) -> Array:
    """Mean square over channels, without the loudest where there are four or more.

    Args:
        x: (n, c), 0 in channels that do not count.
        count: of those that do.
    """
    energy = x * x
    total = energy.sum(axis=1)
    if count >= 4:
        return np.asarray((total - energy.max(axis=1)) / (count - 1))
    return np.asarray(total / max(count, 1))
