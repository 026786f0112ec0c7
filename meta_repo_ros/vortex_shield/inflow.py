# SPDX-License-Identifier: Apache-2.0
"""Mean induced velocity of a rotor in climb, hover, descent and forward flight.

All velocities are over the hover induced velocity v_h: sink rate (positive down, through the air),
horizontal airspeed, induced velocity (positive down through the disk). Arguments are broadcast.

Sources: momentum theory (Glauert); Leishman, Principles of Helicopter Aerodynamics, section 2.13;
Johnson, Model for Vortex Ring State Influence on Rotorcraft Flight Dynamics,
NASA/TP-2005-213477; measurements of Castles and Gray, NACA TN 2474.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

LEISHMAN = (-1.125, -1.372, -1.718, -0.655)
"""Of climb over v_h, its square, cube and fourth power."""
HOVER_FACTOR = 1.15
"""Measured over ideal induced velocity in hover; 1.0 to 1.15 by rotor."""

# Johnson, table 4; sink rates and airspeeds over v_h
A_SINK, B_SINK, BASE_AIRSPEED = 1.5, 2.1, 0.75
D_SINK, N_SINK, X_SINK, E_SINK = 0.2, 0.45, 1.5, 2.0
N_THROUGH, X_THROUGH = 0.85, 1.25
RING_AIRSPEED = 0.95
HEIGHT_EXPONENT = 6.0
"""Of the airspeed in the height of the increment, sqrt(1 - (Vx / VxM)^p). One public
transcription prints 6 in its comment and calculates with 1. Between the edges of the stability
boundary the heave damping must be negative, or they are no edges. With 6 it is, up to 0.93 v_h of
the 0.95 at which the boundary closes; with 1 the increment is too low for it from 0.71 v_h on. So
it is 6.
"""
_BISECTIONS = 60


@dataclass(frozen=True)
class BlendedConstants:
    """Of :func:`blended`, fitted to Castles and Gray, NACA TN 2474, table I (129 points).

    Attributes:
        hover_factor: measured over ideal induced velocity on the side of hover.
        entrained: more of it per sink rate: the ring feeds the disk with its own wake.
        change: sink rate at which the ring is shed for the turbulent wake.
        width: of that change.
        windmill_factor: measured over ideal induced velocity in the windmill brake state, where the
            wake is turbulent and mixes with the stream; hence about 2, not 1.
        rounding: of the branch point of momentum theory at 2 v_h.
    """

    hover_factor: float = 1.069
    entrained: float = 0.283
    change: float = 1.617
    width: float = 0.038
    windmill_factor: float = 1.953
    rounding: float = 0.010


FITTED = BlendedConstants()


def momentum(sink: ArrayLike, airspeed: ArrayLike = 0.0) -> Floats:
    """By momentum theory: v = 1 / sqrt(Vx^2 + (Vz + v)^2).

    Where three solutions exist (steep fast descent) it is the windmill branch from 2 v_h down, the
    continued hover branch before. Between 0 and 2 v_h of steep descent no streamtube exists and the
    theory does not hold.
    """
    s, x = _pair(sink, airspeed)
    return _momentum(s, x, windmill=s >= 2.0)


def leishman(sink: ArrayLike, hover_factor: float = HOVER_FACTOR) -> Floats:
    """Polynomial through measurements between hover and 2 v_h, axial; momentum theory outside."""
    s = np.asarray(sink, dtype=np.float64)
    z = -np.clip(s, 0.0, 2.0)
    total = np.full(np.shape(z), hover_factor)
    for power, factor in enumerate(LEISHMAN, 1):
        total = total + factor * z**power
    outside = momentum(s) * np.where(s < 0.0, hover_factor, 1.0)
    return np.where((s >= 0.0) & (s <= 2.0), total, outside)


def johnson_baseline(sink: ArrayLike, airspeed: ArrayLike = 0.0) -> Floats:
    """Johnson's mean inflow without the vortex ring: a cubic joins the two momentum branches."""
    s, x = _pair(sink, airspeed)
    return _johnson_baseline(s, x)[0]


def johnson(
    sink: ArrayLike, airspeed: ArrayLike = 0.0, exponent: float = HEIGHT_EXPONENT
) -> Floats:
    """Johnson's inflow with the vortex ring: its heave damping is negative inside the boundary.

    Three cubics in the sink rate are added to the baseline: from D (nothing) to N, to X, to E
    (nothing). At N and X, the edges of the boundary, the through-flow Vz + v has a level tangent.

    The paper gives the value at E, not the slope; here the last piece is the parabola (off the
    transcriptions by 0.03 v_h at most).

    Args:
        sink: over v_h.
        airspeed: over v_h.
        exponent: see ``HEIGHT_EXPONENT``.
    """
    s, x = _pair(sink, airspeed)
    return _johnson_baseline(s, x)[0] + _increment(s, x, exponent)


def johnson_boundary(airspeed: ArrayLike) -> tuple[Floats, Floats]:
    """Sink rates of onset and end of Johnson's unstable region; NaN where it has none."""
    x = np.abs(np.asarray(airspeed, dtype=np.float64))
    onset, end = _edges(x)
    return np.where(x < RING_AIRSPEED, onset, np.nan), np.where(x < RING_AIRSPEED, end, np.nan)


def blended(
    sink: ArrayLike, airspeed: ArrayLike = 0.0, constants: BlendedConstants = FITTED
) -> Floats:
    """Mean inflow as measured on an untwisted rotor, by a form that physics gives.

    Two states of the wake, each momentum theory with a loss, and a change between them as in a
    mixture: before it the ring recirculates and the induced velocity rises above the theory with
    the sink rate; after it the wake is turbulent and goes upward. With airspeed the ring is swept
    away: what is above momentum theory fades until Johnson's greatest airspeed. There no
    measurement supports it.
    """
    s, x = _pair(sink, airspeed)
    c = constants
    ring = c.hover_factor * _momentum(s, np.zeros_like(s), windmill=np.zeros(s.shape, bool))
    ring = ring + c.entrained * np.maximum(s, 0.0)
    half = 0.5 * np.maximum(s, 0.0)
    under = half * half - 1.0
    root = np.sqrt(0.5 * (under + np.sqrt(under * under + c.rounding)))
    windmill = c.windmill_factor * np.maximum(half - root, 0.0)
    gone = 1.0 / (1.0 + np.exp(-np.clip((s - c.change) / c.width, -50.0, 50.0)))
    steep = ring + gone * (windmill - ring)
    if not x.any():
        return steep
    left = np.maximum(1.0 - (x / RING_AIRSPEED) ** 2, 0.0) ** 2
    flown = c.hover_factor * _momentum(s, x, windmill=s >= 2.0)
    return flown + left * (steep - flown)


def published_boundary(name: str, airspeed: float = 0.0) -> tuple[float, float]:
    """Sink rates over v_h of onset and end of the vortex ring state, by one source.

    Args:
        name: ``johnson`` (2005: negative heave damping), ``drees`` (1949: felt unsteadiness; closed
            at v_h), ``onera`` (Jimenez and Taghizad: tip vortices stay), ``newman`` (the same, for
            the mean wake), ``wolkovitch`` (1972: axial, slipstream that does not move).
        airspeed: over v_h.

    Returns:
        Two sink rates, both NaN where the source has no such state.

    Raises:
        KeyError: another name.
    """
    sinks = np.linspace(0.05, 2.5, 4901)
    v = _momentum(sinks, np.full_like(sinks, abs(airspeed)), windmill=sinks >= 2.0)
    if name == 'johnson':
        onset, end = johnson_boundary(airspeed)
        return float(onset), float(end)
    if name == 'drees':
        inside = (np.abs(sinks - 1.075) <= 0.455) & (abs(airspeed) < 1.0)
    elif name == 'onera':
        inside = np.hypot(airspeed / 4.0, 0.5 * v - sinks) < 0.2
    elif name == 'newman':
        inside = np.hypot(0.65 * airspeed, v - sinks) < 0.74
    elif name == 'wolkovitch':
        inside = (0.5 * v <= sinks) & (0.7 * v >= sinks) & (abs(airspeed) < 1.0)
    else:
        raise KeyError(f'{name!r} is not a boundary; there are {", ".join(BOUNDARIES)}')
    found = sinks[inside]
    return (float(found[0]), float(found[-1])) if found.size else (math.nan, math.nan)


BOUNDARIES = ('johnson', 'drees', 'onera', 'newman', 'wolkovitch')


def _pair(sink: ArrayLike, airspeed: ArrayLike) -> tuple[Floats, Floats]:
    s, x = np.broadcast_arrays(
        np.asarray(sink, dtype=np.float64), np.abs(np.asarray(airspeed, dtype=np.float64))
    )
    return s, x


def _momentum(s: Floats, x: Floats, windmill: NDArray[Any]) -> Floats:
    """Root of v^2 (x^2 + (v - s)^2) = 1 by bisection on a bracket where the left side rises.

    Its derivative over v, 2 v (2 v^2 - 3 s v + s^2 + x^2), vanishes at two positive v where s > 0
    and s^2 > 8 x^2: a greatest and a least value between the windmill and the hover branch.
    """
    turn = np.sqrt(np.maximum(s * s - 8.0 * x * x, 0.0))
    folded = (s > 0.0) & (s * s > 8.0 * x * x)
    peak, dip = 0.25 * (3.0 * s - turn), 0.25 * (3.0 * s + turn)

    def over(v: Floats) -> NDArray[np.bool_]:
        return np.asarray(v * v * (x * x + (v - s) ** 2) >= 1.0)

    low_branch = folded & over(peak) & (windmill | over(dip))
    low = np.where(folded & ~low_branch, dip, 0.0)
    high = np.where(low_branch, peak, np.maximum(s, 0.0) + 1.0)
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        above = over(middle)
        high = np.where(above, middle, high)
        low = np.where(above, low, middle)
    result = 0.5 * (low + high)
    return np.where(np.isfinite(s) & np.isfinite(x), result, np.nan)


def _slope(s: Floats, x: Floats, v: Floats) -> Floats:
    """Derivative of the momentum solution over the sink rate."""
    through = v - s
    return v * through / (x * x + through * through + v * through)


def _johnson_baseline(s: Floats, x: Floats) -> tuple[Floats, Floats]:
    """Induced velocity and its derivative over the sink rate."""
    none = np.zeros(s.shape, bool)
    ratio = x / BASE_AIRSPEED
    joined = (s > 0.0) & (ratio < 1.0)
    f = np.minimum(ratio, 1.0)
    a = A_SINK - 0.2 * f * f
    b = B_SINK - 0.2 * f * f
    b = b - 0.7 * (b - a) * np.maximum(2.0 * f - 1.0, 0.0) ** 3
    xj = f * BASE_AIRSPEED
    v_a = _momentum(a, xj, windmill=none)
    v_b = _momentum(b, xj, windmill=~none)
    # v = s q(s), q quadratic: value and slope at A, value at B
    q = v_a / a
    q_slope = (_slope(a, xj, v_a) - q) / a
    bend = (v_b / b - q - q_slope * (b - a)) / (b - a) ** 2
    between = joined & (s > a) & (s < b)
    over = s - a
    cubic = s * (q + q_slope * over + bend * over * over)
    cubic_slope = (q + q_slope * over + bend * over * over) + s * (q_slope + 2.0 * bend * over)
    free = _momentum(s, x, windmill=np.where(joined, s >= b, s >= 2.0))
    return np.where(between, cubic, free), np.where(between, cubic_slope, _slope(s, x, free))


def _edges(x: Floats) -> tuple[Floats, Floats]:
    m = np.maximum(1.0 - (x / RING_AIRSPEED) ** 2, 0.0)
    middle, half = 0.5 * (N_SINK + X_SINK), 0.5 * (X_SINK - N_SINK)
    return middle - half * m**0.2, middle + half * m**1.5


@functools.cache
def _axial_heights() -> tuple[float, float]:
    """Of the increment at N and X without airspeed."""
    sinks = np.array([N_SINK, X_SINK])
    v = _johnson_baseline(sinks, np.zeros(2))[0]
    return N_THROUGH + N_SINK - float(v[0]), X_THROUGH + X_SINK - float(v[1])


def _increment(s: Floats, x: Floats, exponent: float) -> Floats:
    onset, end = _edges(x)
    last = E_SINK + (end - X_SINK)
    ratio = np.minimum(x / RING_AIRSPEED, 1.0)
    height = np.sqrt(1.0 - ratio**exponent)
    n_axial, x_axial = _axial_heights()
    # the tangent of v - s is level where that of the increment undoes that of the baseline
    n_slope = 1.0 - _johnson_baseline(onset, x)[1]
    x_slope = 1.0 - _johnson_baseline(end, x)[1]
    n_value, x_value = n_axial * height, x_axial * height
    first, second = s - D_SINK, s - onset
    width, gap, rest = onset - D_SINK, np.maximum(end - onset, 1e-9), last - end
    rise = _hermite(first / width, 0.0 * s, 0.0 * s, n_value, n_slope * width)
    inner = _hermite(second / gap, n_value, n_slope * gap, x_value, x_slope * gap)
    # to zero at E, as steep as the parabola that leaves X so
    fall = _hermite(
        (s - end) / rest, x_value, x_slope * rest, 0.0 * s, -2.0 * x_value - x_slope * rest
    )
    total = np.select(
        [s <= D_SINK, s < onset, s < end, s < last], [0.0 * s, rise, inner, fall], 0.0
    )
    return np.where(x < RING_AIRSPEED, total, 0.0)


def _hermite(u: Floats, start: Floats, slope: Floats, end: Floats, end_slope: Floats) -> Floats:
    """Cubic on 0 to 1 by the values and slopes of its ends."""
    d = end - start
    return start + u * (
        slope + u * ((3.0 * d - 2.0 * slope - end_slope) + u * (slope + end_slope - 2.0 * d))
    )
