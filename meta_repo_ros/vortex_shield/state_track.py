# SPDX-License-Identifier: Apache-2.0
"""The flight state at every frame, from states that come at their own rate, with gaps and NaN."""

from __future__ import annotations

import itertools
import math
from collections import deque
from typing import Any, NamedTuple

import numpy as np

from meta_repo_ros.core.rotorcraft import Rotorcraft
from meta_repo_ros.core.samples import Array
from meta_repo_ros.vortex_shield.filters import smoother
from meta_repo_ros.vortex_shield.frames import FRAME_RATE
from meta_repo_ros.vortex_shield.types import FlightState

Stamps = np.ndarray[Any, np.dtype[np.int64]]
_OLDEST = 700_000_000  # ns; a state older than this is none
_LEAST, _MOST = 0.75, 1.35  # thrust over nominal weight that v_h follows
_KEPT = 4096  # states


class Motion(NamedTuple):
    """State of one frame, or columns of that of many; NaN where unknown.

    Attributes:
        sink_rate, airspeed: smoothed, m/s.
        thrust: smoothed over seconds, N: v_h follows mass, not the pull of one manoeuvre.
        density: kg/m3.
        sink_sigma, airspeed_sigma: m/s.
    """

    sink_rate: Any
    airspeed: Any
    thrust: Any
    density: Any
    sink_sigma: Any
    airspeed_sigma: Any


_UNKNOWN = Motion(*(math.nan,) * 6)


class StateTrack:
    """Holds the newest state, smooths it over a fraction of the time a ring takes to form.

    Args:
        rotorcraft: R / v_h sets the smoothing.
    """

    def __init__(self, rotorcraft: Rotorcraft) -> None:
        unit = rotorcraft.radius / rotorcraft.hover_induced_velocity() * FRAME_RATE
        self._weight = rotorcraft.weight
        self._short = smoother(min(max(0.5 * unit, 2.0), 60.0))
        self._long = smoother(min(max(10.0 * unit, 250.0), 1000.0))
        self._waiting: deque[tuple[int, Motion]] = deque(maxlen=_KEPT)
        self._now: tuple[int, Motion] | None = None
        self._newest = -(1 << 62)
        # sink rate, airspeed and thrust as smoothed; None before and after a stretch without state
        self._smooth: list[float] | None = None

    def add(self, state: FlightState) -> None:
        """Take one state; one not newer than the newest, or without sink rate, is left out."""
        if state.stamp <= self._newest or not math.isfinite(state.sink_rate):
            return
        self._newest = state.stamp
        motion = Motion(
            state.sink_rate, state.airspeed, state.thrust, state.density, state.sink_sigma,
            state.airspeed_sigma,
        )  # fmt: skip
        self._waiting.append((state.stamp, motion))

    def one(self, end: int) -> Motion:
        """State at the frame that ends at ``end``, ns; frames come in order."""
        waiting = self._waiting
        while waiting and waiting[0][0] <= end:
            self._now = waiting.popleft()
        now = self._now
        if now is None or end - now[0] > _OLDEST:
            self._smooth = None
            return _UNKNOWN
        sink, airspeed, thrust, *rest = now[1]
        weight = self._weight
        thrust = (
            min(max(thrust, _LEAST * weight), _MOST * weight) if math.isfinite(thrust) else weight
        )
        smooth = self._smooth
        if smooth is None:
            smooth = self._smooth = [sink, airspeed, thrust]
        short = self._short.gain
        smooth[0] += short * (sink - smooth[0])
        if math.isfinite(smooth[1]):
            smooth[1] += short * (airspeed - smooth[1])
        else:
            smooth[1] = airspeed
        smooth[2] += self._long.gain * (thrust - smooth[2])
        return Motion(*smooth, *rest)

    def rows(self, times: Stamps, states: Array, end: Stamps, density: float) -> Motion:
        """State at many frames, as :meth:`one` gives it frame by frame.

        Args:
            times: (m,) stamps, rising.
            states: (m, 3) sink rate, airspeed, thrust; no sink rate is NaN.
            end: (n,) of the frames.
            density: of the air, kg/m3.
        """
        n = len(end)
        at = np.searchsorted(times, end, side='right') - 1
        smooth = np.full((n, 3), np.nan)
        if len(times):
            held = np.maximum(at, 0)
            smooth[:] = states[held]
            smooth[(at < 0) | (end - times[held] > _OLDEST)] = np.nan
        force = smooth[:, 2]
        force[np.isnan(force)] = self._weight
        np.clip(force, _LEAST * self._weight, _MOST * self._weight, out=force)
        gone = np.isnan(smooth[:, :2])
        smooth[gone[:, 0], 2] = np.nan
        changes = np.flatnonzero((gone[1:] != gone[:-1]).any(axis=1)) + 1
        for start, stop in itertools.pairwise((0, *changes.tolist(), n)):
            self._stretch(smooth[start:stop])
        air = np.where(gone[:, 0], np.nan, density)
        unknown = np.full(n, np.nan)
        return Motion(smooth[:, 0], smooth[:, 1], smooth[:, 2], air, unknown, unknown)

    def _stretch(self, part: Array) -> None:
        """Smooth in place where the same columns are known throughout."""
        first = part[0].tolist()
        if math.isnan(first[0]):
            self._smooth = None
            return
        smooth = self._smooth or first
        if math.isnan(smooth[1]):
            smooth[1] = first[1]
        start = np.array(smooth)
        part[:, :2] = self._short.run(part[:, :2], start[:2])
        part[:, 2:] = self._long.run(part[:, 2:], start[2:])
        self._smooth = part[-1].tolist()
