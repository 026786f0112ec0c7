# SPDX-License-Identifier: Apache-2.0
"""Plots of a run as SVG text that stands inside an HTML page and follows its light or dark colours.

Matplotlib draws with placeholder colours; they are replaced by the page's CSS variables.
"""

from __future__ import annotations

import functools
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from scipy.stats import chi2

from meta_repo_ros.reporting.evaluation import Array, Errors, Stamps, Trajectory, relocated

# Placeholder colour -> CSS variable of the page (report.css).
_VARIABLES = {
    '#010203': 'var(--ink)',
    '#020304': 'var(--muted)',
    '#030405': 'var(--grid)',
    '#040506': 'var(--truth)',
    '#050607': 'var(--estimate)',
    '#060708': 'var(--raw)',
    '#070809': 'var(--warn)',
    '#08090a': 'var(--panel)',
}
INK, MUTED, GRID, TRUTH, ESTIMATE, RAW, WARN, PANEL = _VARIABLES
STYLE = {
    'svg.fonttype': 'none', 'font.family': 'sans-serif', 'font.size': 9, 'axes.titlesize': 9,
    'axes.edgecolor': GRID, 'axes.labelcolor': MUTED, 'axes.titlecolor': INK, 'text.color': INK,
    'xtick.color': MUTED, 'ytick.color': MUTED, 'grid.color': GRID, 'grid.linewidth': 0.6,
    'axes.grid': True, 'axes.axisbelow': True, 'axes.spines.top': False,
    'axes.spines.right': False, 'axes.titlelocation': 'left', 'legend.frameon': False,
    'lines.linewidth': 1.2, 'path.simplify_threshold': 0.4, 'xtick.major.size': 0,
    'ytick.major.size': 0, 'legend.fontsize': 8.5,
}  # fmt: skip
_ENU = ('east', 'north', 'up')
_WIDTH = 9.2
_POINTS = 1200
_TICKS = (0.001, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 1000)


@dataclass(frozen=True)
class Innovations:
    """Normalised innovations squared of one sensor.

    Attributes:
        seconds: (n,) s since the start.
        nis: (n,) values.
        dimension: number of components of one measurement.
    """

    seconds: Array
    nis: Array
    dimension: int


def drawn(draw: Callable[..., Figure | None]) -> Callable[..., str]:
    """Make a function that returns a figure return SVG text, '' where there is nothing to draw."""

    @functools.wraps(draw)
    def wrapped(*args: Any, **kwargs: Any) -> str:
        with mpl.rc_context({**STYLE, 'svg.hashsalt': draw.__name__}):
            figure = draw(*args, **kwargs)
            return '' if figure is None else _svg(figure, draw.__name__)

    return wrapped


def _svg(figure: Figure, name: str) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format='svg', transparent=True, metadata={'Date': None})
    text = buffer.getvalue()
    text = text[text.index('<svg') :]
    text = re.sub(r'<metadata>.*?</metadata>', '', text, flags=re.DOTALL)
    text = re.sub(r' xmlns(:xlink)?="[^"]*"', '', text)
    # size comes from the page; identifiers must differ between the pictures of one page
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r'\1', text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r'\1', text, count=1)
    text = re.sub(r'((?: id="|href="#|url\(#))', rf'\g<1>{name}-', text)
    text = re.sub(r'font: ([\d.]+px)[^;\"]*', r'font-size: \1', text)
    # a hundredth of a point is finer than any screen, and half the bytes
    text = re.sub(r'\d+\.\d{3,}', lambda match: f'{float(match[0]):.2f}', text)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, variable)
    return text


def _thinned(count: int) -> slice:
    return slice(None, None, max(1, count // _POINTS))


def _figure(rows: int, height: float, columns: int = 1, **kwargs: Any) -> tuple[Figure, Any]:
    figure = Figure(figsize=(_WIDTH, height), layout='constrained')
    axes = figure.subplots(rows, columns, squeeze=False, **kwargs)
    return figure, axes


def seconds(stamps: Stamps, start: int) -> Array:
    """Seconds of ``stamps`` (ns) since ``start`` (ns)."""
    return np.asarray((stamps - start) * 1e-9, dtype=float)


@drawn
def track(
    estimate: Trajectory, truth: Trajectory | None, fixes: Trajectory | None, start: int
) -> Figure | None:
    """Plan view in metres east and north about the estimate's origin, and height over time."""
    if estimate.position is None or estimate.origin is None:
        return None
    figure = Figure(figsize=(_WIDTH, 4.3), layout='constrained')
    plan, height = figure.subplots(1, 2, width_ratios=(1.15, 1))
    layers = (
        (fixes, 'GNSS fixes', {'color': RAW, 'marker': '.', 'linestyle': '', 'markersize': 2.5}),
        (truth, 'truth', {'color': TRUTH, 'linewidth': 3.2, 'alpha': 0.55}),
        (estimate, 'estimate', {'color': ESTIMATE, 'linewidth': 1.3}),
    )
    for layer, label, look in layers:
        if layer is None or layer.position is None or layer.origin is None or len(layer) == 0:
            continue
        path = relocated(layer, estimate.origin)
        rows = _thinned(len(path))
        east, north, up = np.asarray(path.position)[rows].T
        plan.plot(east, north, label=label, **look)
        height.plot(seconds(path.stamps[rows], start), up, **look)
    plan.plot(*estimate.position[0, :2], 'o', color=INK, markersize=5, label='start')
    plan.set(xlabel='east, m', ylabel='north, m', title='Plan view')
    plan.set_aspect('equal', adjustable='datalim')
    height.set(xlabel='time, s', ylabel='height over the start of the frame, m', title='Height')
    figure.legend(loc='outside lower center', ncols=4)
    return figure


@drawn
def position_errors(errors: Errors, start: int) -> Figure | None:
    """East, north and up errors with 3-sigma bands."""
    time = seconds(errors.stamps, start)
    return _banded(time, errors.position, errors.position_sigma, 'm')


@drawn
def velocity_errors(errors: Errors, start: int) -> Figure | None:
    """East, north and up velocity errors with 3-sigma bands."""
    time = seconds(errors.stamps, start)
    return _banded(time, errors.velocity, errors.velocity_sigma, 'm/s')


@drawn
def attitude_errors(errors: Errors, start: int) -> Figure | None:
    """Attitude errors about east, north and up with 3-sigma bands."""
    if errors.rotation is None:
        return None
    sigma = None if errors.rotation_sigma is None else np.rad2deg(errors.rotation_sigma)
    names = ('about east', 'about north', 'about up (heading)')
    time = seconds(errors.stamps, start)
    return _banded(time, np.rad2deg(errors.rotation), sigma, 'deg', names)


def _banded(
    time: Array, error: Array | None, sigma: Array | None, unit: str, names: Sequence[str] = _ENU
) -> Figure | None:
    if error is None or not np.isfinite(error).any():
        return None
    figure, axes = _figure(3, 5.0, sharex=True)
    rows = _thinned(len(time))
    time = time[rows]
    for i, (axis, name) in enumerate(zip(axes[:, 0], names, strict=True)):
        limit = float(np.nanpercentile(np.abs(error[:, i]), 99.5))
        if sigma is not None and np.isfinite(sigma[:, i]).any():
            band = 3 * sigma[rows, i]
            axis.fill_between(
                time, -band, band, color=ESTIMATE, alpha=0.16, linewidth=0, label='3 sigma'
            )
            # the band of the first instants is wide; the picture is about what follows
            limit = max(limit, float(np.nanpercentile(3 * sigma[:, i], 95)))
        axis.plot(time, error[rows, i], color=ESTIMATE, label='error')
        axis.axhline(0, color=MUTED, linewidth=0.6)
        axis.set_ylim(-1.25 * limit or -1, 1.25 * limit or 1)
        axis.set(title=name, ylabel=unit)
    axes[-1, 0].set_xlabel('time, s')
    axes[0, 0].legend(loc='upper right', ncols=2, bbox_to_anchor=(1, 1.25))
    return figure


@drawn
def comparison(
    found: Errors, other: Errors, label: str, phases: Sequence[tuple[int, int]], start: int
) -> Figure | None:
    """Horizontal and attitude error of two runs over time; shaded phases."""
    rows = [
        ('horizontal error', 'm', [_horizontal(e) for e in (found, other)]),
        ('attitude error', 'deg', [_total(e) for e in (found, other)]),
    ]
    shown = [row for row in rows if all(len(values) for values in row[2])]
    if not shown:
        return None
    figure, axes = _figure(len(shown), 0.5 + 2.2 * len(shown), sharex=True)
    for axis, (title, unit, both) in zip(axes[:, 0], shown, strict=True):
        for begin, end in phases:
            axis.axvspan((begin - start) * 1e-9, (end - start) * 1e-9, color=MUTED, alpha=0.14,
                         linewidth=0)  # fmt: skip
        names = (f'with {label}', f'without {label}')
        for errors, values, name, colour in zip(
            (found, other), both, names, (ESTIMATE, WARN), strict=True
        ):
            part = _thinned(len(errors.stamps))
            axis.plot(seconds(errors.stamps[part], start), values[part], color=colour, label=name)
        axis.set_ylim(bottom=0)
        axis.set(title=title, ylabel=unit)
    axes[-1, 0].set_xlabel('time, s')
    axes[0, 0].legend(loc='upper left')
    return figure


def _horizontal(errors: Errors) -> Array:
    if errors.position is None:
        return np.empty(0)
    return np.asarray(np.hypot(errors.position[:, 0], errors.position[:, 1]))


def _total(errors: Errors) -> Array:
    return np.empty(0) if errors.attitude is None else errors.attitude[:, 0]


@drawn
def innovations(sensors: Mapping[str, Innovations]) -> Figure | None:
    """Normalised innovation squared of each sensor with the 95 % bound of chi-square."""
    shown = {name: s for name, s in sensors.items() if len(s.nis)}
    if not shown:
        return None
    figure, axes = _figure(len(shown), 0.5 + 1.35 * len(shown), sharex=True)
    for axis, (name, sensor) in zip(axes[:, 0], shown.items(), strict=True):
        bound = float(chi2.ppf(0.95, sensor.dimension))
        inside = np.mean(sensor.nis <= bound)
        rows = _thinned(len(sensor.nis))
        axis.plot(
            sensor.seconds[rows], sensor.nis[rows], '.', color=ESTIMATE, markersize=3,
        )  # fmt: skip
        axis.axhline(bound, color=WARN, linewidth=1, linestyle='--')
        axis.axhline(sensor.dimension, color=MUTED, linewidth=0.8)
        axis.set_ylim(0, max(2.2 * bound, float(np.percentile(sensor.nis, 98))))
        axis.set(title=f'{name}: {inside:.0%} below the 95 % bound, {sensor.dimension} components')
        axis.set_ylabel('NIS')
    axes[-1, 0].set_xlabel('time, s')
    return figure


@drawn
def consistency(errors: Errors, start: int) -> Figure | None:
    """NEES of position, velocity and attitude with the two-sided 95 % band of one run."""
    items = [
        (name, value)
        for name in ('position', 'velocity', 'attitude')
        if (value := getattr(errors, f'{name}_consistency')) is not None
        and np.isfinite(value.nees).any()
    ]
    if not items:
        return None
    figure, axes = _figure(len(items), 0.5 + 1.35 * len(items), sharex=True)
    rows = _thinned(len(errors.stamps))
    time = seconds(errors.stamps[rows], start)
    for axis, (name, value) in zip(axes[:, 0], items, strict=True):
        low, high = chi2.ppf([0.025, 0.975], value.dimension)
        axis.axhspan(low, high, color=ESTIMATE, alpha=0.14, linewidth=0)
        axis.plot(time, value.nees[rows], color=ESTIMATE)
        axis.set_ylim(0, max(1.6 * high, float(np.nanpercentile(value.nees, 98))))
        axis.set(title=f'{name}: mean {value.mean:.2f}, expected {value.dimension}', ylabel='NEES')
    axes[-1, 0].set_xlabel('time, s')
    return figure


@drawn
def latency(milliseconds: Array) -> Figure | None:
    """Histogram of latencies on a logarithmic axis, median and 99th percentile marked."""
    values = milliseconds[np.isfinite(milliseconds) & (milliseconds > 0)]
    if len(values) < 2:
        return None
    figure, axes = _figure(1, 2.5)
    axis = axes[0, 0]
    low, high = np.percentile(values, [0.05, 99.95])
    bins = np.geomspace(max(low * 0.9, 1e-3), high * 1.1, 70)
    axis.hist(values, bins=bins, color=ESTIMATE, alpha=0.75)
    axis.set_xscale('log')
    ticks = [tick for tick in _TICKS if bins[0] <= tick <= bins[-1]]
    axis.set_xticks(ticks, [f'{tick:g}' for tick in ticks])
    axis.set_xticks([], minor=True)
    for quantile, name in ((50, 'median'), (99, '99 %')):
        value = float(np.percentile(values, quantile))
        axis.axvline(value, color=WARN, linewidth=1, linestyle='--')
        axis.annotate(
            f' {name} {value:.2g} ms', (value, 1), xycoords=('data', 'axes fraction'), va='top'
        )
    axis.set(xlabel='latency, ms', ylabel='messages')
    return figure
