# SPDX-License-Identifier: Apache-2.0
"""Probability that the rotor descends in its own vortex ring, from the flight state alone.

Coordinates are those of the literature: sink rate and horizontal airspeed over the hover induced
velocity v_h. Nothing there is known well: v_h hangs on mass, the airspeed on the wind, and the
boundary on the criterion of whoever drew it. So the answer is a probability.

A region has the outline of Johnson's stability boundary (NASA/TP-2005-213477), its three axial and
forward limits random (:class:`Outline`). Given the airspeed, everything uncertain along the sink
axis is normal and integrated exactly; over the airspeed, which is Rice distributed (cube root
approximation of Abdel-Aty, Biometrika 41, 1954), the integral is a trapezoidal sum that keeps the
result monotone where the true one is.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from meta_repo_ros.core.parameters import parameter
from meta_repo_ros.core.rotorcraft import SEA_LEVEL_DENSITY, Rotorcraft

Floats = NDArray[np.float64]

_KNOTS = (0.0, 0.3, 0.5, 0.65, 0.77, 0.87, 0.94, 0.985, 1.0)  # of the greatest airspeed
_ROOT_HALF = math.sqrt(0.5)
_LEAST_THRUST = 0.25  # of the weight; below it v_h says nothing of the wake that is there
_LEAST_SIGMA = 0.02  # m/s
_FAR = 100.0  # v_h; what is beyond is taken as this
_CHUNK = 1 << 15


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


@dataclass(frozen=True)
class RiskParameters:
    """What is not known of the flight."""

    mass_uncertainty: float = parameter(
        0.15, 'Standard deviation of mass (thrust unknown) over nominal mass.', minimum=0.0,
        maximum=0.5,
    )  # fmt: skip
    thrust_uncertainty: float = parameter(
        0.10, 'Standard deviation of the thrust made over the thrust commanded.', minimum=0.0,
        maximum=0.5,
    )  # fmt: skip
    wind_uncertainty: float = parameter(
        2.5, 'Root mean square error of the horizontal wind, of both components together.',
        unit='m/s', minimum=0.0, maximum=50.0,
    )  # fmt: skip
    sink_uncertainty: float = parameter(
        0.4, 'Standard deviation of the sink rate through the air where none is given.',
        unit='m/s', minimum=0.0, maximum=20.0,
    )  # fmt: skip
    unknown_airspeed: float = parameter(
        0.6, 'Standard deviation of each component of an unknown airspeed, over v_h.',
        minimum=0.05, maximum=10.0,
    )  # fmt: skip
    trend_time: float = parameter(
        0.5, 'Memory of the trend behind the time to onset.', unit='s', minimum=0.02, maximum=30.0
    )
    horizon: float = parameter(
        30.0, 'Times to onset beyond it are infinite.', unit='s', minimum=0.1, maximum=3600.0
    )


class RiskRow(NamedTuple):
    """One instant.

    Attributes:
        inside: probability of the vortex ring state; NaN where the sink rate is unknown, as all
            that hangs on it.
        margin: probability to be near it or inside, >= ``inside``.
        deep: probability of a full ring, <= ``inside``.
        distance: from the nominal boundary, over v_h: positive outside, negative inside.
        depth: 0 at the nominal boundary and outside, 1 in the middle of the region.
        descent: sink rate over v_h.
        airspeed: over v_h; NaN where unknown.
        hover_induced_velocity: v_h, m/s.
    """

    inside: float
    margin: float
    deep: float
    distance: float
    depth: float
    descent: float
    airspeed: float
    hover_induced_velocity: float


@dataclass(frozen=True)
class RiskRows:
    """As :class:`RiskRow`, arrays of the shape of the state."""

    inside: Floats
    margin: Floats
    deep: Floats
    distance: Floats
    depth: Floats
    descent: Floats
    airspeed: Floats
    hover_induced_velocity: Floats

    def row(self, index: int) -> RiskRow:
        """One instant of it."""
        return RiskRow(*(float(getattr(self, item.name)[index]) for item in fields(self)))


class _Distance:
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


class _Knot(NamedTuple):
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
def _knots(outline: Outline) -> tuple[_Knot, ...]:
    half = 0.5 * (outline.leave - outline.onset)
    onset, leave = outline.onset_sigma**2, outline.leave_sigma**2
    result = []
    for ratio in _KNOTS:
        m = 1.0 - ratio * ratio
        root = (ratio * outline.airspeed) ** (2.0 / 3.0) if ratio else -math.inf
        close = m**1.5
        result.append(_Knot(root, half * m**0.2, half * close, onset + (leave - onset) * close))
    return tuple(result)


@functools.cache
def _distance() -> _Distance:
    return _Distance(INSIDE)


def _edges(outline: Outline, ratio: Floats) -> tuple[Floats, Floats]:
    """Sink rates of onset and end at ``ratio`` of the greatest airspeed; equal from 1 on."""
    m = np.maximum(1.0 - ratio * ratio, 0.0)
    middle = 0.5 * (outline.onset + outline.leave)
    half = 0.5 * (outline.leave - outline.onset)
    return middle - half * m**0.2, middle + half * m**1.5


class Risk:
    """Of one vehicle.

    Args:
        rotorcraft: whose nominal mass holds where no thrust is known.
        parameters: uncertainties.
    """

    def __init__(self, rotorcraft: Rotorcraft, parameters: RiskParameters | None = None) -> None:
        self.rotorcraft = rotorcraft
        self.parameters = parameters or RiskParameters()
        self._distance = _distance()

    def assess(
        self,
        sink_rate: ArrayLike,
        airspeed: ArrayLike,
        thrust: ArrayLike = math.nan,
        density: ArrayLike = SEA_LEVEL_DENSITY,
        *,
        sink_sigma: ArrayLike = math.nan,
        airspeed_sigma: ArrayLike = math.nan,
    ) -> RiskRows:
        """Risk of many instants; the arguments are broadcast against each other.

        Args:
            sink_rate: through the air, positive down, m/s; NaN: no risk can be told.
            airspeed: horizontal, m/s; NaN: unknown, see ``unknown_airspeed``.
            thrust: of all rotors, N; NaN: the nominal weight and ``mass_uncertainty``.
            density: kg/m3; NaN or not positive: sea level.
            sink_sigma: standard deviation, m/s; NaN: ``sink_uncertainty``.
            airspeed_sigma: of each component, m/s; NaN: from ``wind_uncertainty``.
        """
        s, x, t, rho, s_sigma, x_sigma = np.broadcast_arrays(*(
            np.asarray(value, dtype=np.float64)
            for value in (sink_rate, airspeed, thrust, density, sink_sigma, airspeed_sigma)
        ))  # fmt: skip
        if s.size <= _CHUNK:
            return self._assess(s, x, t, rho, s_sigma, x_sigma)
        # many at a time, but few enough to stay in the cache
        result = RiskRows(*(np.empty(s.size) for _ in fields(RiskRows)))
        flat = [np.ravel(value) for value in (s, x, t, rho, s_sigma, x_sigma)]
        for start in range(0, s.size, _CHUNK):
            part = slice(start, start + _CHUNK)
            rows = self._assess(*(value[part] for value in flat))
            for item in fields(RiskRows):
                getattr(result, item.name)[part] = getattr(rows, item.name)
        return RiskRows(*(getattr(result, item.name).reshape(s.shape) for item in fields(RiskRows)))

    def _assess(self, *state: Floats) -> RiskRows:
        s, x, t, rho, s_sigma, x_sigma = state
        p, craft = self.parameters, self.rotorcraft
        s = np.where(np.isfinite(s), s, np.nan)
        known = np.isfinite(t)
        force = np.maximum(np.where(known, t, craft.weight), _LEAST_THRUST * craft.weight)
        rho = np.where(np.isfinite(rho) & (rho > 0.0), rho, SEA_LEVEL_DENSITY)
        v_h = np.sqrt(force / (2.0 * craft.disk_area * rho))
        scale = 0.5 * np.where(known, p.thrust_uncertainty, p.mass_uncertainty)
        has_speed = np.isfinite(x)
        descent = np.clip(s / v_h, -_FAR, _FAR)
        speed = np.minimum(np.abs(np.where(has_speed, x, 0.0)) / v_h, _FAR)
        per_axis = np.where(np.isfinite(x_sigma), np.abs(x_sigma), self._wind_sigma)
        spread = np.clip(per_axis, _LEAST_SIGMA, _FAR * v_h) / v_h
        spread = np.where(has_speed, spread, p.unknown_airspeed)
        s_sigma = np.where(np.isfinite(s_sigma), np.abs(s_sigma), p.sink_uncertainty)
        variance = np.minimum(s_sigma / v_h, _FAR) ** 2 + (scale * descent) ** 2
        inside, margin, deep = (
            _probability(outline, descent, variance, speed, spread, scale=scale)
            for outline in (INSIDE, MARGIN, DEEP)
        )
        distance = self._distance(descent, speed)
        depth = np.clip(-distance / self._distance.deepest, 0.0, 1.0)
        shown = np.where(has_speed, speed, np.nan)
        return RiskRows(inside, margin, deep, distance, depth, descent, shown, v_h)

    def one(
        self,
        sink_rate: float,
        airspeed: float,
        thrust: float = math.nan,
        density: float = SEA_LEVEL_DENSITY,
        *,
        sink_sigma: float = math.nan,
        airspeed_sigma: float = math.nan,
    ) -> RiskRow:
        """Risk of one instant; arguments and numbers as of :meth:`assess`, without its overhead."""
        p, craft = self.parameters, self.rotorcraft
        known = math.isfinite(thrust)
        force = max(thrust if known else craft.weight, _LEAST_THRUST * craft.weight)
        rho = density if math.isfinite(density) and density > 0.0 else SEA_LEVEL_DENSITY
        v_h = math.sqrt(force / (2.0 * craft.disk_area * rho))
        has_speed = math.isfinite(airspeed)
        speed = min(abs(airspeed) / v_h, _FAR) if has_speed else 0.0
        shown = speed if has_speed else math.nan
        if not math.isfinite(sink_rate):
            nan = math.nan
            return RiskRow(nan, nan, nan, nan, nan, nan, shown, v_h)
        scale = 0.5 * (p.thrust_uncertainty if known else p.mass_uncertainty)
        descent = min(max(sink_rate / v_h, -_FAR), _FAR)
        per_axis = abs(airspeed_sigma) if math.isfinite(airspeed_sigma) else self._wind_sigma
        spread = min(max(per_axis, _LEAST_SIGMA), _FAR * v_h) / v_h
        spread = spread if has_speed else p.unknown_airspeed
        s_sigma = abs(sink_sigma) if math.isfinite(sink_sigma) else p.sink_uncertainty
        variance = min(s_sigma / v_h, _FAR) ** 2 + (scale * descent) ** 2
        distance = self._distance.one(descent, speed)
        return RiskRow(
            _probability_of_one(INSIDE, descent, variance, speed, spread, scale=scale),
            _probability_of_one(MARGIN, descent, variance, speed, spread, scale=scale),
            _probability_of_one(DEEP, descent, variance, speed, spread, scale=scale),
            distance,
            min(max(-distance / self._distance.deepest, 0.0), 1.0),
            descent,
            shown,
            v_h,
        )

    def trend(self) -> Trend:
        """A new trend for the times to onset of one flight."""
        return Trend(self.parameters.trend_time, self.parameters.horizon)

    @property
    def _wind_sigma(self) -> float:
        return self.parameters.wind_uncertainty * _ROOT_HALF


def _probability(
    o: Outline, descent: Floats, variance: Floats, speed: Floats, spread: Floats, *, scale: Floats
) -> Floats:
    """P = integral of F(x) d(1 - g(x)) by trapezoids between the knots, see :func:`_knots`.

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
    for knot in _knots(o):
        here = ndtr(knot.root * unit - shift)
        at_end = 1.0 / np.sqrt(variance + knot.end_variance)
        g = ndtr((offset + knot.rise) * at_onset) - ndtr((offset - knot.fall) * at_end)
        total = total + (slower + here) * (between - g)
        slower, between = here, g
    return np.clip(0.5 * total, 0.0, 1.0)


def _probability_of_one(
    o: Outline, descent: float, variance: float, speed: float, spread: float, *, scale: float
) -> float:
    """As :func:`_probability`."""
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
    for root, rise, fall, end_variance in _knots(o):
        here = 1.0 + erf(root * unit - shift)
        at_end = _ROOT_HALF / sqrt(variance + end_variance)
        g = erf((offset + rise) * at_onset) - erf((offset - fall) * at_end)
        total += (slower + here) * (between - g)
        slower, between = here, g
    return min(max(0.125 * total, 0.0), 1.0)


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
