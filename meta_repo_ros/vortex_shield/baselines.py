# SPDX-License-Identifier: Apache-2.0
"""What a detector has to beat: a fixed sink limit, Johnson's box, fluctuation alone.

Each gives one score per instant, higher for more danger; a threshold on it would be the detector.
They are made as strong as they can be without being something else: the sink limit is a share of
the nominal hover induced velocity, so that it means the same on vehicles of any size.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import uniform_filter1d

from meta_repo_ros.core.rotorcraft import Rotorcraft
from meta_repo_ros.core.samples import Array, Kind, Recording, Samples
from meta_repo_ros.core.time import NANOSECONDS
from meta_repo_ros.vortex_shield import inflow

SINK_LIMIT = 'fixed sink limit'
JOHNSON_BOX = 'Johnson box at nominal mass'
FLUCTUATION = 'fluctuation only'
NAMES = (SINK_LIMIT, JOHNSON_BOX, FLUCTUATION)
_WINDOW = 30  # revolutions that the fluctuation is taken over: the period of a ring
_WIDEST = inflow.RING_AIRSPEED * (1.0 - 1e-9)
_ORDER = (Kind.PRESSURE, Kind.FLOW, Kind.ACOUSTIC)


def scores(recording: Recording, rotorcraft: Rotorcraft, time: Array) -> dict[str, Array]:
    """Score of each baseline at ``time`` (n,), s; NaN where it has nothing to go by."""
    sink, airspeed = (interpolated(recording, column, time) for column in (0, 1))
    hover = rotorcraft.hover_induced_velocity()
    return {
        SINK_LIMIT: sink / hover,
        JOHNSON_BOX: johnson_box(sink / hover, np.abs(airspeed) / hover),
        FLUCTUATION: fluctuation(recording, rotorcraft, time),
    }


def interpolated(recording: Recording, column: int, time: Array) -> Array:
    """A column of the state at ``time``, s; NaN outside and where there is none."""
    known = np.isfinite(recording.state[:, column])
    if not known.any():
        return np.full(len(time), np.nan)
    at, values = recording.state_time[known], recording.state[known, column]
    return np.asarray(np.interp(time, at, values, left=np.nan, right=np.nan))


def johnson_box(descent: Array, airspeed: Array) -> Array:
    """Distance into Johnson's stability boundary in hover induced velocities, negative outside.

    Args:
        descent: sink rate over hover induced velocity, positive down.
        airspeed: horizontal over hover induced velocity.
    """
    onset, end = inflow.johnson_boundary(np.minimum(airspeed, _WIDEST))
    inside = np.minimum(descent - onset, end - descent)
    return np.asarray(np.minimum(inside, inflow.RING_AIRSPEED - airspeed))


def fluctuation(recording: Recording, rotorcraft: Rotorcraft, time: Array) -> Array:
    """Root mean square below the rotor speed, of the first kind there is, over that seen so far.

    Pressure first, then flow, then sound, whose envelope is taken. Over the median of the first ten
    seconds, as a detector in flight would have to.
    """
    for kind in _ORDER:
        samples = next((s for s in recording.groups if s.group.kind == kind), None)
        if samples is not None:
            return _fluctuation(samples, rotorcraft, time)
    return np.full(len(time), np.nan)


def _fluctuation(samples: Samples, rotorcraft: Rotorcraft, time: Array) -> Array:
    group = samples.group
    revolution = 2.0 * np.pi / rotorcraft.rotor_speed * group.rate
    values = group.values(samples.counts)
    if group.kind == Kind.ACOUSTIC:
        values = np.abs(values - values.mean(axis=0))
    short, long = (max(round(n * revolution), 2) for n in (1, _WINDOW))
    slow = _trailing(values, short)  # the mean of a revolution is free of 1P and blade passing
    wave = slow - _trailing(slow, 2 * long)
    # the filter sums as it goes, and may end a hair below zero
    level = np.sqrt(np.maximum(_trailing(wave**2, long), 0.0)).mean(axis=1)
    start = samples.start / NANOSECONDS
    begun = level[: max(round(10.0 * group.rate), 1)]
    quiet = float(np.median(begun)) or 1.0
    at = start + np.arange(1, len(level) + 1) / group.rate
    return np.asarray(np.interp(time, at, level / quiet, left=np.nan, right=np.nan))


def _trailing(values: Array, length: int) -> Array:
    """Mean of the last ``length`` samples, along axis 0."""
    length = min(length, len(values))
    origin = (length - 1) // 2
    return np.asarray(
        uniform_filter1d(values, length, axis=0, origin=origin, mode='nearest'), np.float64
    )
