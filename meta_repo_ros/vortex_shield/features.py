# SPDX-License-Identifier: Apache-2.0
"""What the streams say, one row per frame of 4 ms, whatever the length of the blocks.

A feature is the smoothed energy of one physical quantity, in units of the vehicle's own disk
loading T/A or hover induced velocity v_h, in a band counted in rotor revolutions: rings leave the
disk every 10 to 80 of them (Stack, Caradonna & Savas: 20 to 50). Nothing here assumes the shape of
a ring. All is causal and vectorised over frames; one frame and a million take the same path.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from meta_repo_ros.core.rotorcraft import Rotorcraft
from meta_repo_ros.core.samples import Array, Health, Kind, Samples
from meta_repo_ros.vortex_shield.filters import Window
from meta_repo_ros.vortex_shield.frames import FRAME, FRAME_RATE, Good, Stream
from meta_repo_ros.vortex_shield.health import ChannelHealth
from meta_repo_ros.vortex_shield.stages import STAGES, FlowStage, Stage

FEATURES: tuple[tuple[str, Kind], ...] = tuple(
    (name, kind) for kind, stage in STAGES.items() for name in stage.names
)
"""Energies by name, and the kind of the channels they come from."""
KINDS = tuple(STAGES)
FAST, SLOW = 8.0, 28.0
"""Revolutions that energies are averaged over: the greater average counts, so that a feature rises
in a fraction of a ring's period and does not fall between two rings."""
_COLUMNS = {
    kind: slice(start, start + len(stage.names))
    for (kind, stage), start in zip(
        STAGES.items(),
        itertools.accumulate((len(s.names) for s in STAGES.values()), initial=0),
        strict=False,
    )
}
_TINY = 1e-12
_START = 1e-4  # energy before anything was seen


@dataclass(frozen=True, slots=True)
class FeatureRows:
    """Features of consecutive frames.

    Attributes:
        first: index of the first frame.
        end: (n,) stamp of the end of each frame, ns.
        energy: (n, features) natural logarithm of the smoothed energy; NaN where it never was.
        usable: (n, kinds) whether the frame held healthy samples of the kind.
        profile: (n, flow channels) smoothed flow over v_h; no columns before flow is seen.
        flow_good: (n, flow channels) healthy ones; no columns before flow is seen.
    """

    first: int
    end: np.ndarray[Any, np.dtype[np.int64]]
    energy: Array
    usable: np.ndarray[Any, np.dtype[np.bool_]]
    profile: Array
    flow_good: Good

    def __len__(self) -> int:
        return len(self.end)


class Features:
    """Cuts streams into frames and measures each.

    Args:
        rotorcraft: whose disk loading, v_h and rotor speed scale everything.
        health: leaves out channels; what the source says of them holds anyway.

    Attributes:
        origin: stamp of the start of frame 0, ns; the first sample unless set before.
    """

    def __init__(self, rotorcraft: Rotorcraft, health: ChannelHealth | None = None) -> None:
        self.rotorcraft = rotorcraft
        self._health = health
        self.origin: int | None = None
        self.next_frame = 0
        self._streams: dict[Kind, Stream] = {}
        self._stages: dict[Kind, Stage] = {}
        revolution = 2.0 * math.pi / rotorcraft.rotor_speed * FRAME_RATE
        start = np.full(len(FEATURES), _START)
        self._fast = Window(round(FAST * revolution), start)
        self._slow = Window(round(SLOW * revolution), start)
        self._newest = start  # energies of the last frame
        self._profile = np.zeros(0)

    def push(
        self,
        groups: Sequence[Samples],
        until: int,
        good: Mapping[Kind, Good] | None = None,
    ) -> FeatureRows:
        """Take samples and return the rows of the frames they complete.

        Args:
            groups: next samples, any number of kinds.
            until: stamp up to which everything has been handed over, ns.
            good: (c,) channels to use by kind; else those that the source does not call failed.
        """
        if self.origin is None:
            self.origin = min((s.start for s in groups), default=until)
        for samples in groups:
            kind = samples.group.kind
            stream = self._streams.get(kind)
            if stream is None or not stream.fits(samples.group):
                stream = self._streams[kind] = Stream(samples.group, self.origin)
                self._stages[kind] = STAGES[kind](samples.group, self.rotorcraft)
            mask = None if good is None else good.get(kind)
            if mask is None:
                mask = samples.health != Health.FAILED
            stream.push(samples, mask)
        last = max((until - self.origin) // FRAME, self.next_frame)
        return self._frames(self.next_frame, last)

    def _frames(self, first: int, last: int) -> FeatureRows:
        n = last - first
        self.next_frame = last
        energy = np.full((n, len(FEATURES)), np.nan)
        usable = np.zeros((n, len(KINDS)), dtype=np.bool_)
        flow = self._streams.get(Kind.FLOW)
        if flow is not None and flow.group.channels != len(self._profile):
            self._profile = np.zeros(flow.group.channels)
        profile = np.empty((n, len(self._profile)))
        profile[:] = self._profile
        flow_good = np.zeros(profile.shape, dtype=np.bool_)
        for index, kind in enumerate(KINDS):
            stream = self._streams.get(kind)
            if stream is None:
                continue
            stage = self._stages[kind]
            for whole in stream.take(first, last):
                judged = self._health.judge(stream.group, whole) if self._health else whole
                for cut in judged.uniform():
                    rows = slice(cut.first - first, cut.last - first)
                    energy[rows, _COLUMNS[kind]] = stage.run(cut)
                    usable[rows, index] = cut.usable
                    if isinstance(stage, FlowStage):
                        profile[rows], flow_good[rows] = stage.profile, cut.good
                        profile[rows.stop :] = profile[rows.stop - 1]
        if n:
            self._profile = profile[-1]
        origin = (self.origin or 0) + FRAME
        ends = np.arange(origin + first * FRAME, origin + last * FRAME, FRAME, dtype=np.int64)
        return FeatureRows(first, ends, self._smooth(energy), usable, profile, flow_good)

    def _smooth(self, energy: Array) -> Array:
        """Quick to rise, slow to fall: the greater of two averages; holds what is missing."""
        n = len(energy)
        if n == 0:
            return energy
        missing = np.isnan(energy)
        if not missing.any():
            return np.log(self._averaged(energy) + _TINY)
        edges = [0, *(np.flatnonzero((missing[1:] != missing[:-1]).any(axis=1)) + 1).tolist(), n]
        result = np.empty_like(energy)
        for start, stop in itertools.pairwise(edges):
            gone = missing[start]
            part = energy[start:stop]
            part[:, gone] = self._newest[gone]
            result[start:stop] = self._averaged(part)
        return np.log(result + _TINY)

    def _averaged(self, energy: Array) -> Array:
        result = np.maximum(self._fast.run(energy), self._slow.run(energy))
        self._newest = result[-1]
        return result
