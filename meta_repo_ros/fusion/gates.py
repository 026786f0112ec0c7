# SPDX-License-Identifier: Apache-2.0
"""Slow drift and stuck fixes of GNSS, which pass a chi-square gate."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meta_repo_ros.core.statistics import chi2_quantile
from meta_repo_ros.core.time import NANOSECONDS

Array = NDArray[np.float64]


class DriftMonitor:
    """Notices a slow pull: the mean of many innovations, each of which passes the gate.

    Weighted sums over some time constants of the whitened innovations of each axis; independent
    errors would give a chi-square variable. Errors of GNSS are correlated in time, so the sum
    counts only one value in each two ``correlation_time``.

    Args:
        time_constants: lengths of memory, s.
        correlation_time: of the sensor's errors, s.
        false_alarm: probability of a false alarm of one test.
    """

    def __init__(
        self, time_constants: tuple[float, ...], correlation_time: float, false_alarm: float
    ) -> None:
        self.time_constants = time_constants
        self.correlation_time = correlation_time
        self.threshold = chi2_quantile(1.0 - false_alarm, 3)
        self.clear()

    def configure(self, other: DriftMonitor) -> None:
        """Take the thresholds of another monitor; the state stays."""
        self.correlation_time, self.threshold = other.correlation_time, other.threshold

    def clear(self) -> None:
        """Forget everything."""
        self.statistic = 0.0  # of the last test, largest of the time constants
        self._last: int | None = None
        self._sums: tuple[tuple[float, ...], ...] = ((0.0,) * 4,) * len(self.time_constants)

    def add(self, stamp: int, innovation: Array, s: Array) -> bool:
        """Take one accepted innovation; True where the mean is beyond its covariance."""
        dt = 0.0 if self._last is None else (stamp - self._last) / NANOSECONDS
        self._last = stamp
        white = [float(innovation[i]) / math.sqrt(float(s[i, i])) for i in range(3)]
        # An error lasts: so many equal values stand for one independent one
        repeat = 1.0 if dt == 0.0 else 1.0 + 2.0 * self.correlation_time / dt
        sums = []
        self.statistic = 0.0
        for old, tau in zip(self._sums, self.time_constants, strict=True):
            fade = math.exp(-dt / tau)
            x, y, z = (fade * a + b for a, b in zip(old[:3], white, strict=True))
            weight = fade * fade * old[3] + repeat
            sums.append((x, y, z, weight))
            if dt > 0.0:
                self.statistic = max(self.statistic, (x * x + y * y + z * z) / weight)
        self._sums = tuple(sums)
        return self.statistic > self.threshold

    def snapshot(self) -> Any:
        """State to go back to."""
        return self.statistic, self._last, self._sums

    def restore(self, snapshot: Any) -> None:
        """Back to :meth:`snapshot`."""
        self.statistic, self._last, self._sums = snapshot


class StuckMonitor:
    """Notices a receiver that repeats one fix while the vehicle moves.

    Args:
        distance: travelled by the inertial solution while the fix did not change in any digit, m.
    """

    def __init__(self, distance: float) -> None:
        self.distance = distance
        self._fix: tuple[float, ...] = ()
        self._stamp = 0
        self._travelled = 0.0

    def add(self, stamp: int, fix: tuple[float, ...], speed: float) -> bool:
        """Take one fix and the inertial speed above its own uncertainty, m/s; True where stuck."""
        if fix == self._fix:
            self._travelled += speed * (stamp - self._stamp) / NANOSECONDS
        else:
            self._fix, self._travelled = fix, 0.0
        self._stamp = stamp
        return self._travelled > self.distance

    def snapshot(self) -> Any:
        """State to go back to."""
        return self._fix, self._stamp, self._travelled

    def restore(self, snapshot: Any) -> None:
        """Back to :meth:`snapshot`."""
        self._fix, self._stamp, self._travelled = snapshot
