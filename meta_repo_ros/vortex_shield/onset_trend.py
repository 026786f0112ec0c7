# SPDX-License-Identifier: Apache-2.0
"""When the edge of a region will be met, from the trend of the distance from it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


class Trend:
    """Time until the boundary at the present trend of the distance from it.

    A straight line through the past distances, weights fading over ``memory`` (Morrison's
    fading-memory filter of first degree), distances far from the line pulled in (Huber). Recursive:
    how the flight is cut into calls changes nothing.

    Args:
        memory: time constant of the weights, s.
        horizon: longer times are infinite, s.
    """

    GAP = 4.0  # memories without a distance after which the past is forgotten
    YOUNG = 0.2  # memories before which there is no trend yet
    SURE = 2.5  # standard deviations that the approach must stand out
    OUTLIER = 3.0  # standard deviations

    def __init__(self, memory: float = 0.5, horizon: float = 30.0) -> None:
        self.memory = memory
        self.horizon = horizon
        self.reset()

    def reset(self) -> None:
        """Forget the past."""
        self._time = math.nan
        self._level = self._slope = 0.0
        self._noise = 1e-4  # variance of the distances about the line, v_h squared
        self._age = 0.0

    def one(self, time: float, distance: float) -> float:
        """Time to onset, s; 0 inside, inf if it does not come nearer, NaN where ``distance`` is.

        Args:
            time: of the distance, s, rising; an earlier or equal one changes nothing.
            distance: over v_h, as of :class:`RiskRow`.
        """
        if not math.isfinite(distance):
            return math.nan
        step = time - self._time
        if not step <= self.GAP * self.memory:  # also the first
            self.reset()
            self._time, self._level = time, distance
        elif step > 0.0:
            self._advance(time, step, distance)
        if distance <= 0.0:
            return 0.0
        closing = -self._slope
        # standard deviation of the slope of a line through noise that is white over a tenth of
        # the memory; what is younger than the memory is less sure
        seen = min(self._age, self.memory)
        if seen < self.YOUNG * self.memory:
            return math.inf
        unsure = math.sqrt(self._noise * 0.1 * self.memory / seen) / seen
        if closing <= self.SURE * unsure or closing * self.horizon < distance:
            return math.inf
        return distance / closing

    def push(self, time: ArrayLike, distance: ArrayLike) -> Floats:
        """As :meth:`one`, for (n,) instants."""
        one = self.one
        pairs: Any = zip(
            np.asarray(time, dtype=np.float64).tolist(),
            np.asarray(distance, dtype=np.float64).tolist(),
            strict=True,
        )
        return np.fromiter((one(t, d) for t, d in pairs), np.float64)

    def _advance(self, time: float, step: float, distance: float) -> None:
        self._age += step
        # the weights of a line through all since the beginning, until that is the memory
        reach = min(self._age, self.memory)
        keep = math.exp(-2.0 * step / reach) if reach > step else 0.0
        predicted = self._level + self._slope * step
        off = distance - predicted
        limit = self.OUTLIER * math.sqrt(self._noise) + 0.02
        clipped = min(max(off, -limit), limit)
        self._level = predicted + (1.0 - keep * keep) * clipped
        self._slope += (1.0 - keep) ** 2 * clipped / step
        share = 1.0 - keep
        self._noise += share * (clipped * clipped - self._noise)
        self._time = time
