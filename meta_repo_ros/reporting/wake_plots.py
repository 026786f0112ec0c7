# SPDX-License-Identifier: Apache-2.0
"""Pictures of the rotor wake over time: decided level and truth, probabilities, descent, features.

:func:`draw` makes a figure in any colours; a page and a picture file take it from there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from meta_repo_ros.reporting.evaluation import Array
from meta_repo_ros.reporting.plots import (
    ESTIMATE,
    GRID,
    INK,
    MUTED,
    RAW,
    STYLE,
    TRUTH,
    WARN,
    drawn,
)

LEVELS = ('UNKNOWN', 'NONE', 'MARGIN', 'INCIPIENT', 'DEVELOPED')
PHASES = ('NONE', 'PREPARE', 'EXIT', 'CLIMB_OUT', 'COMPLETE', 'ABORTED')
_WIDTH = 9.2
_POINTS = 4000
_SHOWN = 6
_NOISE = 2.0  # standard deviations that a feature has to reach to be shown


@dataclass(frozen=True)
class Colours:
    """Of one kind of picture."""

    ink: str
    muted: str
    grid: str
    truth: str
    main: str
    second: str
    alarm: str


PAGE = Colours(INK, MUTED, GRID, TRUTH, ESTIMATE, RAW, WARN)
PAPER = Colours('#18202b', '#5d6877', '#dde2e8', '#8a94a3', '#1f6feb', '#d9822b', '#c2410c')
_MORE = ('#15803d', '#9333ea', '#0e7490')


@dataclass(frozen=True)
class Wake:
    """Decisions over time, s, and what flew beside them; empty where there is none.

    Attributes:
        time: (n,) of the decisions.
        level: (n,) index into ``LEVELS``.
        probability, risk, evidence: (n,).
        descent, airspeed: (n,) over the hover induced velocity.
        onset, end: (n,) descent of the boundary at that airspeed, NaN where it has none.
        features: standard deviations above their quiet level, (n,) by name.
        truth_time, truth_level: index into ``LEVELS``.
        height_time, height: m above ground.
        rotor_time, rotor_speed: rad/s, mean of the rotors.
        phase_time, phase: index into ``PHASES``.
        plans: of each phase's first plan: s, phase, variant, tilt, predicted loss and time, height,
            assured, reason; as text.
    """

    time: Array
    level: Array
    probability: Array
    risk: Array
    evidence: Array
    descent: Array
    airspeed: Array
    onset: Array = field(default_factory=lambda: np.empty(0))
    end: Array = field(default_factory=lambda: np.empty(0))
    features: Mapping[str, Array] = field(default_factory=dict)
    truth_time: Array = field(default_factory=lambda: np.empty(0))
    truth_level: Array = field(default_factory=lambda: np.empty(0))
    height_time: Array = field(default_factory=lambda: np.empty(0))
    height: Array = field(default_factory=lambda: np.empty(0))
    rotor_time: Array = field(default_factory=lambda: np.empty(0))
    rotor_speed: Array = field(default_factory=lambda: np.empty(0))
    phase_time: Array = field(default_factory=lambda: np.empty(0))
    phase: Array = field(default_factory=lambda: np.empty(0))
    plans: Sequence[tuple[str, ...]] = ()


def picture(wake: Wake, title: str) -> Figure:
    """A figure for a file, on white."""
    with mpl.rc_context(_style(PAPER)):
        figure = draw(wake, PAPER)
        figure.suptitle(title, x=0.01, ha='left', fontsize=10)
        figure.set_facecolor('white')
        return figure


@drawn
def over_time(wake: Wake) -> Figure | None:
    """SVG for a page."""
    return draw(wake, PAGE) if len(wake.time) else None


@drawn
def descent_plane(wake: Wake) -> Figure | None:
    """Descent against airspeed, both over the hover induced velocity, with the boundary."""
    known = np.isfinite(wake.descent) & np.isfinite(wake.airspeed)
    if not known.any():
        return None
    figure = Figure(figsize=(_WIDTH, 4.6), layout='constrained')
    axis = figure.subplots()
    _boundary(axis, wake)
    alarm = wake.level >= LEVELS.index('INCIPIENT')
    for mask, colour, label in (
        (known & ~alarm, ESTIMATE, 'below INCIPIENT'),
        (known & alarm, WARN, 'INCIPIENT or DEVELOPED'),
    ):
        rows = np.flatnonzero(mask)
        rows = rows[:: max(1, len(rows) // 1500)]
        axis.plot(wake.airspeed[rows], wake.descent[rows], '.', color=colour, markersize=3,
                  label=label)  # fmt: skip
    axis.set(xlabel='airspeed over v_h', ylabel='sink rate over v_h', title='Descent state')
    axis.invert_yaxis()
    axis.set_xlim(left=0)
    axis.legend(loc='lower right')
    return figure


def draw(wake: Wake, colours: Colours) -> Figure:
    """All that there is, one under the other."""
    panels = [_levels, _probabilities]
    if np.isfinite(wake.descent).any():
        panels.append(_descent)
    if wake.features:
        panels.append(_features)
    if len(wake.height_time):
        panels.append(_height)
    if len(wake.phase_time):
        panels.append(_phases)
    if len(wake.rotor_time):
        panels.append(_rotor)
    figure = Figure(figsize=(_WIDTH, 0.5 + 1.6 * len(panels)), layout='constrained')
    axes = figure.subplots(len(panels), 1, squeeze=False, sharex=True)[:, 0]
    for axis, panel in zip(axes, panels, strict=True):
        panel(axis, wake, colours)
        handles, _ = axis.get_legend_handles_labels()
        if handles:
            axis.legend(loc='upper left', bbox_to_anchor=(1.0, 1.02), borderaxespad=0.2)
    axes[-1].set_xlabel('time, s')
    return figure


def _style(colours: Colours) -> dict[str, Any]:
    swap = {GRID: colours.grid, MUTED: colours.muted, INK: colours.ink}
    return {key: swap.get(value, value) if isinstance(value, str) else value
            for key, value in STYLE.items()}  # fmt: skip


def _rows(count: int) -> slice:
    return slice(None, None, max(1, count // _POINTS))


def _steps(time: Array, values: Array) -> tuple[Array, Array]:
    """Where a piecewise constant value begins and ends: nothing short is lost by thinning."""
    if len(values) == 0:
        return time, values
    edge = np.flatnonzero(np.diff(values) != 0)
    keep = np.unique(np.concatenate(([0], edge, edge + 1, [len(values) - 1])))
    return time[keep], values[keep]


def _levels(axis: Any, wake: Wake, colours: Colours) -> None:
    if len(wake.truth_time):
        time, level = _steps(wake.truth_time, wake.truth_level)
        axis.fill_between(time, 1, level, step='post', color=colours.truth, alpha=0.35,
                          linewidth=0, label='truth')  # fmt: skip
    time, level = _steps(wake.time, wake.level)
    axis.step(time, level, where='post', color=colours.main, label='decided')
    axis.set_yticks(range(len(LEVELS)), [name.lower() for name in LEVELS])
    axis.set_ylim(-0.2, 4.3)
    axis.set_title('Level')


def _probabilities(axis: Any, wake: Wake, colours: Colours) -> None:
    rows = _rows(len(wake.time))
    for name, values, colour in (
        ('evidence', wake.evidence, colours.second),
        ('risk', wake.risk, colours.truth),
        ('probability', wake.probability, colours.main),
    ):
        if np.isfinite(values).any():
            axis.plot(wake.time[rows], values[rows], color=colour, label=name)
    axis.set_ylim(-0.03, 1.03)
    axis.set_title('Probability of INCIPIENT or more')


def _descent(axis: Any, wake: Wake, colours: Colours) -> None:
    rows = _rows(len(wake.time))
    time = wake.time[rows]
    if len(wake.onset) == len(wake.time) and np.isfinite(wake.onset).any():
        axis.fill_between(time, wake.onset[rows], wake.end[rows], color=colours.alarm, alpha=0.14,
                          linewidth=0, label='boundary')  # fmt: skip
    axis.plot(time, wake.airspeed[rows], color=colours.second, label='airspeed')
    axis.plot(time, wake.descent[rows], color=colours.main, label='sink rate')
    axis.set_title('Descent state over the hover induced velocity')


def _features(axis: Any, wake: Wake, colours: Colours) -> None:
    rows = _rows(len(wake.time))
    peaks = {name: float(np.nanmax(v)) for name, v in wake.features.items() if np.isfinite(v).any()}
    names = sorted(peaks, key=lambda name: -peaks[name])[:_SHOWN]
    palette = (colours.main, colours.second, colours.alarm, *_MORE)
    for name, colour in zip(names, palette, strict=False):
        axis.plot(wake.time[rows], wake.features[name][rows], color=colour, linewidth=0.9,
                  label=name.replace('_', ' '))  # fmt: skip
    axis.axhline(_NOISE, color=colours.muted, linewidth=0.7, linestyle='--')
    axis.set_title('Features, standard deviations above their quiet level')


def _height(axis: Any, wake: Wake, colours: Colours) -> None:
    rows = _rows(len(wake.height_time))
    axis.plot(wake.height_time[rows], wake.height[rows], color=colours.main)
    axis.set(title='Height above ground', ylabel='m')


def _phases(axis: Any, wake: Wake, colours: Colours) -> None:
    time, phase = _steps(wake.phase_time, wake.phase)
    axis.step(time, phase, where='post', color=colours.main)
    axis.set_yticks(range(len(PHASES)), [name.lower().replace('_', ' ') for name in PHASES])
    axis.set_ylim(-0.3, 5.3)
    axis.set_title('Phase of the recovery')


def _rotor(axis: Any, wake: Wake, colours: Colours) -> None:
    rows = _rows(len(wake.rotor_time))
    axis.plot(wake.rotor_time[rows], wake.rotor_speed[rows], color=colours.main)
    axis.set(title='Rotor speed, mean of the rotors', ylabel='rad/s')


def _boundary(axis: Any, wake: Wake) -> None:
    if len(wake.onset) != len(wake.time):
        return
    known = np.isfinite(wake.onset)
    order = np.argsort(wake.airspeed[known])
    x = wake.airspeed[known][order]
    if len(x) > 1:
        rows = _rows(len(x))
        axis.fill_between(x[rows], wake.onset[known][order][rows], wake.end[known][order][rows],
                          color=WARN, alpha=0.14, linewidth=0, label='boundary')  # fmt: skip
