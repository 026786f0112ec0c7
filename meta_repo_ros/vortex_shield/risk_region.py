# SPDX-License-Identifier: Apache-2.0
"""Regions of descent whose edges are uncertain: probability to be inside, distance from the edge.

A region has the outline of Johnson's stability boundary (NASA/TP-2005-213477), its three axial and
forward limits random. All velocities are over the hover induced velocity v_h.

Given the airspeed, everything uncertain along the sink axis is normal and integrated exactly; over
the airspeed, which is Rice distributed (cube root approximation of Abdel-Aty, Biometrika 41, 1954),
the integral is a trapezoidal sum that keeps the result monotone where the true one is. Against
Monte Carlo draws it is within 0.03.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Floats = NDArray[np.float64]

_ROOT_HALF = math.sqrt(0.5)
_KNOTS = (0.0, 0.3, 0.5, 0.65, 0.77, 0.87, 0.94, 0.985, 1.0)  # of the greatest airspeed


class Outline(NamedTuple):
    """Outline of a region of descent; all over v_h.

    Attributes:
        onset, leave: sink rates without airspeed between which the region lies.
        onset_sigma, leave_sigma: standard deviations.
        airspeed: above which there is no such region.
        airspeed_sigma: relative standard deviation.
    """

    onset: float
    onset_sigma: float
    leave: float
    leave_sigma: float
    airspeed: float
    airspeed_sigma: float


INSIDE = Outline(0.50, 0.14, 1.60, 0.10, 0.88, 0.10)
"""Vortex ring state. Onset: 0.41 ONERA, 0.45 Johnson, 0.61 Newman, 0.62 Drees, 0.71 Wolkovitch,
0.28 a public simulator; end: 1.50 Johnson, 1.53 Drees, 1.70 to 1.75 where the descent is steady
again; airspeed: 0.75 to 1.0."""
MARGIN = Outline(0.32, 0.14, 1.75, 0.10, 1.08, 0.10)
"""Near it: two standard deviations or a gust away."""
DEEP = Outline(0.72, 0.10, 1.42, 0.10, 0.66, 0.10)
"""The ring is full: measured fluctuations are at least half of their greatest between 0.75 and
1.45 v_h (Shetty and Selig 2011; greatest at 1.2 to 1.3, Veismann et al. 2023)."""


class Distance:
    """Signed distance from an outline by bilinear interpolation in a table, over v_h."""

    STEP = 0.02
    LOW = -1.0  # sink
    HIGH = 3.0  # both

    def __init__(self, outline: Outline) -> None:
        ratio = np.sin(np.linspace(0.0, 0.5 * math.pi, 401))  # dense where it closes
        low, high = _edges(outline, ratio)
        curve_x = outline.airspeed * np.concatenate((ratio, ratio[::-1]))
        curve_z = np.concatenate((low, high[::-1]))
        sinks = np.arange(self.LOW, self.HIGH + 1.5 * self.STEP, self.STEP)
        speeds = np.arange(0.0, self.HIGH + 1.5 * self.STEP, self.STEP)
        table = np.empty((sinks.size, speeds.size))
        for row, sink in enumerate(sinks):
            away = np.hypot(curve_x - speeds[:, None], curve_z - sink)
            table[row] = away.min(axis=1)
        low, high = _edges(outline, np.minimum(speeds / outline.airspeed, 1.0))
        within = (sinks[:, None] > low) & (sinks[:, None] < high)
        self.table = np.where(within, -table, table)
        self.rows: list[list[float]] = self.table.tolist()
        self.deepest = float(-self.table.min())

    def __call__(self, sink: Floats, airspeed: Floats) -> Floats:
        """Positive outside, negative inside, NaN where ``sink`` or ``airspeed`` is."""
        z = np.clip(sink, self.LOW, self.HIGH)
        x = np.minimum(airspeed, self.HIGH)
        known = np.isfinite(z) & np.isfinite(x)
        row = (np.where(known, z, 0.0) - self.LOW) / self.STEP
        column = np.where(known, x, 0.0) / self.STEP
        i, j = row.astype(np.intp), column.astype(np.intp)
        a, b = row - i, column - j
        t = self.table
        inner = (1.0 - a) * ((1.0 - b) * t[i, j] + b * t[i, j + 1]) + a * (
            (1.0 - b) * t[i + 1, j] + b * t[i + 1, j + 1]
        )
        return np.where(known, inner + (np.abs(sink - z) + np.abs(airspeed - x)), np.nan)

    def one(self, sink: float, airspeed: float) -> float:
        """Of one finite pair."""
        z = min(max(sink, self.LOW), self.HIGH)
        x = min(airspeed, self.HIGH)
        row, column = (z - self.LOW) / self.STEP, x / self.STEP
        i, j = int(row), int(column)
        a, b = row - i, column - j
        lower, upper = self.rows[i], self.rows[i + 1]
        inner = (1.0 - a) * ((1.0 - b) * lower[j] + b * lower[j + 1]) + a * (
            (1.0 - b) * upper[j] + b * upper[j + 1]
        )
        return inner + (abs(sink - z) + abs(airspeed - x))


class Knot(NamedTuple):
    """Of the integral over the airspeed.

    Attributes:
        root: airspeed to the power 2/3, over v_h; there the Rice distribution is all but normal.
        rise: from the edge of onset to the middle.
        fall: from the middle to the edge of the end.
        end_variance: of that edge; as that of the onset where the two meet.
    """

    root: float
    rise: float
    fall: float
    end_variance: float


@functools.cache
def knots(outline: Outline) -> tuple[Knot, ...]:
    """Where the integral over the airspeed looks at the edges."""
    half = 0.5 * (outline.leave - outline.onset)
    onset, leave = outline.onset_sigma**2, outline.leave_sigma**2
    result = []
    for ratio in _KNOTS:
        m = 1.0 - ratio * ratio
        root = (ratio * outline.airspeed) ** (2.0 / 3.0) if ratio else -math.inf
        close = m**1.5
        result.append(Knot(root, half * m**0.2, half * close, onset + (leave - onset) * close))
    return tuple(result)


@functools.cache
def distance_inside() -> Distance:
    """From the vortex ring state; the table is made once."""
    return Distance(INSIDE)


def _edges(outline: Outline, ratio: Floats) -> tuple[Floats, Floats]:
    """Sink rates of onset and end at ``ratio`` of the greatest airspeed; equal from 1 on."""
    m = np.maximum(1.0 - ratio * ratio, 0.0)
    middle = 0.5 * (outline.onset + outline.leave)
    half = 0.5 * (outline.leave - outline.onset)
    return middle - half * m**0.2, middle + half * m**1.5


def probability(
    o: Outline, descent: Floats, variance: Floats, speed: Floats, spread: Floats, *, scale: Floats
) -> Floats:
    """P = integral of F(x) d(1 - g(x)) by trapezoids between the knots, see :func:`knots`.

    F(x): probability that the true airspeed lies below x of the greatest; g(x): that the sink rate
    lies between the edges there. g falls with x, F with the airspeed: so does P, for any knots.
    """
    noise = spread * spread
    square = speed * speed
    mean_square = square + 2.0 * noise
    lean = (4.0 / 9.0) * noise * (noise + square) / (mean_square * mean_square)
    wide = np.sqrt(lean + (4.0 / 9.0) * (scale * scale + o.airspeed_sigma**2))
    unit = 1.0 / (np.cbrt(mean_square) * wide)
    shift = (1.0 - lean) / wide
    offset = descent - 0.5 * (o.onset + o.leave)
    at_onset = 1.0 / np.sqrt(variance + o.onset_sigma**2)
    total: Floats = np.zeros(np.shape(descent))
    slower, between = total, total  # F and g at the knot before
    for knot in knots(o):
        here = ndtr(knot.root * unit - shift)
        at_end = 1.0 / np.sqrt(variance + knot.end_variance)
        g = ndtr((offset + knot.rise) * at_onset) - ndtr((offset - knot.fall) * at_end)
        total = total + (slower + here) * (between - g)
        slower, between = here, g
    return np.clip(0.5 * total, 0.0, 1.0)


def probability_of_one(
    o: Outline, descent: float, variance: float, speed: float, spread: float, *, scale: float
) -> float:
    """As :func:`probability`."""
    noise = spread * spread
    square = speed * speed
    mean_square = square + 2.0 * noise
    lean = (4.0 / 9.0) * noise * (noise + square) / (mean_square * mean_square)
    wide = math.sqrt(lean + (4.0 / 9.0) * (scale * scale + o.airspeed_sigma**2))
    unit = _ROOT_HALF / (mean_square ** (1.0 / 3.0) * wide)
    shift = _ROOT_HALF * (1.0 - lean) / wide
    offset = descent - 0.5 * (o.onset + o.leave)
    at_onset = _ROOT_HALF / math.sqrt(variance + o.onset_sigma**2)
    erf, sqrt, total, slower, between = math.erf, math.sqrt, 0.0, 0.0, 0.0
    for root, rise, fall, end_variance in knots(o):
        here = 1.0 + erf(root * unit - shift)
        at_end = _ROOT_HALF / sqrt(variance + end_variance)
        g = erf((offset + rise) * at_onset) - erf((offset - fall) * at_end)
        total += (slower + here) * (between - g)
        slower, between = here, g
    return min(max(0.125 * total, 0.0), 1.0)
