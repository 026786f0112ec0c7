# SPDX-License-Identifier: Apache-2.0
"""A track of bounded length, and the ellipse of a horizontal covariance. numpy in, numpy out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Point = tuple[float, float, float]

CHI2_2_95 = -2.0 * math.log(0.05)
"""95 % quantile of chi-square with two degrees of freedom."""


class Track:
    """Points in the order of their stamps, thinned as they come so that the whole way stays.

    When it is full, every second point goes and the least interval doubles.

    Args:
        interval: least time between two points, ns.
        size: greatest number of points, at least 2.

    Attributes:
        stamps: ns.
        points: Earth-centred Earth-fixed (WGS84), m.
    """

    def __init__(self, interval: int, size: int) -> None:
        if size < 2:
            raise ValueError(f'a track needs at least 2 points, got {size}')
        self.stamps: list[int] = []
        self.points: list[Point] = []
        self._least = self._interval = interval
        self._size = size

    def __len__(self) -> int:
        return len(self.stamps)

    def due(self, stamp: int) -> bool:
        """Whether a point of this stamp (ns) would be taken."""
        return not self.stamps or stamp - self.stamps[-1] >= self._interval

    def add(self, stamp: int, point: Point) -> bool:
        """Take a point if it is due; returns whether older points went."""
        if not self.due(stamp):
            return False
        self.stamps.append(stamp)
        self.points.append(point)
        if len(self.stamps) <= self._size:
            return False
        del self.stamps[1::2], self.points[1::2]
        self._interval *= 2
        return True

    def clear(self) -> None:
        """Forget all points."""
        self.stamps.clear()
        self.points.clear()
        self._interval = self._least


@dataclass(frozen=True)
class Ellipse:
    """Semi-axes in m and the direction of the major one in rad, counter-clockwise from east."""

    major: float
    minor: float
    direction: float


def ellipse(covariance: NDArray[np.float64], quantile: float = CHI2_2_95) -> Ellipse:
    """The ellipse that holds the true position with the probability of ``quantile``.

    Args:
        covariance: 2x2, east and north, m2.
        quantile: of chi-square with two degrees of freedom.

    Raises:
        ValueError: not finite, or not positive semi-definite.
    """
    if not np.all(np.isfinite(covariance)):
        raise ValueError('covariance is not finite')
    values, vectors = np.linalg.eigh(0.5 * (covariance + covariance.T))
    if values[0] < -1e-9 * max(1.0, values[1]):
        raise ValueError(f'covariance has the negative eigenvalue {values[0]:g}')
    minor, major = np.sqrt(quantile * np.maximum(values, 0.0))
    return Ellipse(float(major), float(minor), math.atan2(vectors[1, 1], vectors[0, 1]))


def interpolate(stamps: Sequence[int], points: Sequence[Point], stamp: int) -> Point | None:
    """The point at ``stamp`` on straight lines between ``points``; None outside of them.

    Args:
        stamps: ns, ascending.
        points: of the same number.
        stamp: ns.
    """
    if not stamps or not stamps[0] <= stamp <= stamps[-1]:
        return None
    after = int(np.searchsorted(np.asarray(stamps, dtype=np.int64), stamp))
    if stamps[after] == stamp:
        return points[after]
    share = (stamp - stamps[after - 1]) / (stamps[after] - stamps[after - 1])
    before, behind = np.asarray(points[after - 1]), np.asarray(points[after])
    x, y, z = before + share * (behind - before)
    return float(x), float(y), float(z)
