# SPDX-License-Identifier: Apache-2.0
"""The flight state at every frame, from states that come at their own rate, with gaps and NaN."""

from __future__ import annotations

import math

import numpy as np

from meta_repo_ros.core.rotorcraft import Rotorcraft
from meta_repo_ros.core.samples import Array
from meta_repo_ros.vortex_shield.filters import smoother
from meta_repo_ros.vortex_shield.frames import FRAME
from meta_repo_ros.vortex_shield.types import FlightState

Stamps = np.ndarray[tuple[int], np.dtype[np.int64]]
SINK, AIRSPEED, THRUST, DENSITY, SINK_SIGMA, AIRSPEED_SIGMA = range(6)
_OLDEST = 700_000_000  # ns; a state older than this is none


class StateTrack:
    """Holds the newest state, smooths it over a fraction of the time a ring takes to form.

    Args:
        rotorcraft: R / v_h sets the smoothing.
    """

    def __init__(self, rotorcraft: Rotorcraft) -> None:
        frames = 1e9 / FRAME
        unit = rotorcraft.radius / rotorcraft.hover_induced_velocity() * frames
        self._weight = rotorcraft.weight
        self._short = smoother(min(max(1.0 * unit, 2.0), 100.0))
        self._long = smoother(min(max(10.0 * unit, 250.0), 1000.0))
        self.reset()

    def reset(self) -> None:
        """Forget all states."""
        self._times: Stamps = np.zeros(0, dtype=np.int64)
        self._values = np.zeros((0, 6))
        self._motion: Array | None = None
        self._thrust: Array | None = None

    def add(self, state: FlightState) -> None:
        """Take one state; an older one than the newest, or one without a sink rate, is left out."""
        if not math.isfinite(state.sink_rate):
            return
        if len(self._times) and state.stamp <= self._times[-1]:
            return
        row = (state.sink_rate, state.airspeed, state.thrust, state.density, state.sink_sigma,
               state.airspeed_sigma)  # fmt: skip
        self.extend(np.array([state.stamp], dtype=np.int64), np.array([row]))

    def extend(self, times: Stamps, values: Array) -> None:
        """Take (m,) stamps, rising, and (m, 6) values of which none lacks a sink rate."""
        self._times = np.concatenate([self._times, times])
        self._values = np.concatenate([self._values, values])

    def rows(self, end: Stamps) -> Array:
        """State at frames that end at ``end`` (n,), ns: (n, 6), NaN where unknown or too old."""
        n = len(end)
        if len(self._times) == 0:
            self._motion = self._thrust = None
            return np.full((n, 6), np.nan)
        at = np.searchsorted(self._times, end, side='right') - 1
        result = self._values[np.maximum(at, 0)]
        stale = (at < 0) | (end - self._times[np.maximum(at, 0)] > _OLDEST)
        result[stale] = np.nan
        newest = int(at[-1])
        if newest > 0:
            self._times = self._times[newest:]
            self._values = self._values[newest:]
        self._smooth(result)
        return result

    def _smooth(self, rows: Array) -> None:
        """In place; begins anew after every stretch without a state."""
        known = np.isfinite(rows[:, SINK])
        force = rows[:, THRUST]
        force[~np.isfinite(force)] = self._weight
        # v_h follows mass, not the thrust of one manoeuvre
        np.clip(force, 0.75 * self._weight, 1.35 * self._weight, out=force)
        n = len(rows)
        edges = [0, n]
        if n > 1:
            edges = [0, *(np.flatnonzero(known[1:] != known[:-1]) + 1).tolist(), n]
        for start, stop in zip(edges[:-1], edges[1:], strict=True):
            if not known[start]:
                self._motion = None
                rows[start:stop, THRUST] = np.nan
                continue
            motion = rows[start:stop, :THRUST]
            if self._motion is None:
                self._motion = motion[0].copy()
            speed = motion[:, 1]
            lost = ~np.isfinite(speed)
            if lost.any():
                speed[lost] = 0.0
            if not math.isfinite(self._motion[1]):
                self._motion[1] = speed[0]
            smooth = self._short.run(motion, self._motion)
            self._motion = smooth[-1].copy()
            if lost.any():
                smooth[lost, 1] = np.nan
            rows[start:stop, :THRUST] = smooth
            pull = force[start:stop, np.newaxis]
            if self._thrust is None:
                self._thrust = pull[0].copy()
            smooth = self._long.run(pull, self._thrust)
            self._thrust = smooth[-1].copy()
            rows[start:stop, THRUST] = smooth[:, 0]
