# SPDX-License-Identifier: Apache-2.0
"""How much altitude and time a way out of the vortex ring will take: a point mass, integrated.

The disk tilts with a lag; its thrust pushes the vehicle aside while it goes on sinking; inside of
the ring part of the thrust is missing; once it may rise the thrust stops the descent. Coarse steps
of plain floats: a prediction takes a few tens of microseconds.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from meta_repo_ros.core.rotorcraft import STANDARD_GRAVITY

_STEP = 0.07  # of v_h / (g tan(tilt)), the time that the exit takes
_MOST_STEPS = 120
# Measured thrust loss against normalised descent: greatest at 1.2 to 1.3 v_h (Veismann, Dougherty,
# Gharib 2023), none where the descent begins to be steady (0.4) and ends to be unsteady (1.9).
_ONSET, _PEAK, _END = 0.4, 1.25, 1.9
_GONE = 0.95  # airspeed over v_h without a ring (Johnson, NASA/TP-2005-213477)


class Start(NamedTuple):
    """Where a prediction begins.

    Attributes:
        sink: m/s, positive down, through the air.
        along: airspeed along the exit, m/s, signed.
        across: airspeed across it, m/s.
        tilt: of the thrust towards the exit, rad, signed.
        thrust: commanded, over weight: what it would be in a hover.
        deficit: part of it that is missing now.
    """

    sink: float
    along: float
    across: float
    tilt: float
    thrust: float
    deficit: float


class Way(NamedTuple):
    """How the exit is flown.

    Attributes:
        hover_induced_velocity: m/s.
        tilt: rad.
        lag: time constant of the tilt, s.
        drag: deceleration over speed squared, 1/m.
        most: greatest thrust over weight within the recovery's limits.
        clear: airspeed at which the ring is left and the limits end, m/s.
        after: greatest thrust over weight from then on.
        raise_from: airspeed from which the thrust may rise, m/s; 0: at once.
        rise: fastest change of thrust over weight, 1/s.
        gain: upward acceleration per sink rate, 1/s.
        acceleration: greatest upward acceleration asked for, m/s2.
        end_sink: sink rate at which it ends, m/s.
        ring: thrust lost in the full ring, of the thrust.
        damping: upward acceleration per sink rate at constant collective, 1/s.
    """

    hover_induced_velocity: float
    tilt: float
    lag: float
    drag: float
    most: float
    clear: float
    after: float
    raise_from: float
    rise: float
    gain: float
    acceleration: float
    end_sink: float
    ring: float
    damping: float = 0.0


class Prediction(NamedTuple):
    """Altitude lost, m, and time, s, until the sink ends; inf where it does not."""

    loss: float
    duration: float


NEVER = Prediction(math.inf, math.inf)


def ring_shape(descent: float, airspeed: float) -> float:
    """Thrust lost over that of the full ring, 0 to 1.

    Args:
        descent: sink rate over v_h.
        airspeed: horizontal, over v_h.
    """
    if not _ONSET < descent < _END or airspeed >= _GONE:
        return 0.0
    x = (
        (descent - _ONSET) / (_PEAK - _ONSET)
        if descent < _PEAK
        else (_END - descent) / (_END - _PEAK)
    )
    side = airspeed / _GONE
    return x * x * (3.0 - 2.0 * x) * (1.0 - side * side)


def upflow(sink: float, airspeed: float, hover_induced_velocity: float) -> float:
    """Upward flow at the disk beyond that of a hover, m/s.

    Sink rate, and what airspeed takes off the induced velocity (Glauert, level flight).
    """
    half = 0.5 * (airspeed / hover_induced_velocity) ** 2
    induced = math.sqrt(math.sqrt(half * half + 1.0) - half)
    return sink + hover_induced_velocity * (1.0 - induced)


def predict(start: Start, way: Way) -> Prediction:
    """Altitude lost and time from now until the sink ends.

    Args:
        start: where it begins.
        way: how it is flown.

    Returns:
        The prediction; :data:`NEVER` where the start is not finite or the descent does not end.
    """
    sink, along, across, tilt, thrust, missing = start
    v_h, goal, lag, drag, most, clear, after, raise_from, rise, gain, strongest = way[:11]
    end_sink, ring, damping = way[11:]
    if not math.isfinite(sink + along + across + tilt + thrust + missing) or v_h <= 0.0:
        return NEVER
    g = STANDARD_GRAVITY
    dt = _STEP * v_h / (g * math.tan(goal))
    keep = math.exp(-dt / lag) if lag > 0.0 else 0.0
    # what is missing beyond the model now, or less, fades with the ring
    shape = ring_shape(sink / v_h, math.hypot(along, across) / v_h)
    full = ring if shape < 0.05 else min(max(missing / shape, 0.5 * ring), 1.3 * ring)
    loss = time = 0.0
    for _ in range(_MOST_STEPS):
        if sink <= end_sink:
            return Prediction(loss, time)
        speed = math.sqrt(along * along + across * across)
        wanted = goal
        if speed > 0.9 * v_h:
            wanted = goal * max(0.3, min(1.0, (1.25 * v_h - speed) / (0.25 * v_h)))
        tilt = wanted + (tilt - wanted) * keep
        cosine = math.cos(tilt)
        if speed >= raise_from:
            ask = (1.0 + min(gain * sink, strongest) / g) / cosine
            ask = min(ask, most if speed < clear else after)
            thrust += max(min(ask - thrust, rise * dt), -rise * dt)
        made = thrust
        if damping:
            made += damping / g * upflow(sink, speed, v_h)
        lift = g * made * (1.0 - full * ring_shape(sink / v_h, speed / v_h))
        through = drag * math.sqrt(speed * speed + sink * sink)
        along += (lift * math.sin(tilt) - through * along) * dt
        across -= through * across * dt
        change = (g - lift * cosine - through * sink) * dt
        if sink + change < end_sink:
            part = (sink - end_sink) / -change
            return Prediction(loss + 0.5 * (sink + end_sink) * part * dt, time + part * dt)
        loss += (sink + 0.5 * change) * dt
        sink += change
        time += dt
    return NEVER
