# SPDX-License-Identifier: Apache-2.0
"""The report of a run: what was flown or replayed, how large the errors are, and with what.

``judge`` compares a recording with its truth; ``error_table`` prints the result on a terminal;
``write`` makes one HTML file of it.
"""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from meta_repo_ros.reporting import comparison, plots, wake_section
from meta_repo_ros.reporting.evaluation import (
    Array,
    Consistency,
    Errors,
    OutageEnd,
    Statistics,
    errors,
    outage_ends,
    statistics,
)
from meta_repo_ros.reporting.page import Section, Table, Tile, render
from meta_repo_ros.reporting.recorded import Recording

_LEVELS = ('OK', 'WARN', 'ERROR', 'STALE')
_TILES = {
    'position, horizontal': 'horizontal error',
    'position, vertical': 'vertical error',
    'attitude of odometry, total': 'attitude error',
    'attitude of imu/data, total': 'attitude error, imu/data',
    'end of outage, horizontal': 'end of outages',
}
_PACKAGES = ('meta_repo_ros', 'numpy', 'scipy', 'rosbags', 'mcap', 'jsbsim', 'pymap3d', 'rclpy')


@dataclass(frozen=True)
class Facts:
    """What a report says besides what the bag holds.

    Attributes:
        title: of the page.
        lines: one or two sentences under the title: what ran, from which input.
        bag: path of the bag, '' for none.
        digest: of the offline run, '' for none.
        speed: offline speed as a multiple of real time, None live.
        latency: (n,) ms, measured live; None otherwise.
        latency_text: what exactly was measured.
        configuration: node -> parameter -> value.
        notes: warnings that a reader must see.
        comparison: the same recording run without a topic, None for none.
        boundary: of the vortex ring state, drawn where the bag holds detections of it.
    """

    title: str
    lines: Sequence[str] = ()
    bag: str = ''
    digest: str = ''
    speed: float | None = None
    latency: Array | None = None
    latency_text: str = ''
    configuration: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    notes: Sequence[str] = ()
    comparison: comparison.Comparison | None = None
    boundary: wake_section.Boundary | None = None


@dataclass(frozen=True)
class Judgement:
    """Errors of a recording against its truth.

    Attributes:
        navigation: of ``odometry`` against ``ground_truth/odometry``, None without either.
        attitude: of ``imu/data`` against ``ground_truth/attitude`` (scored phase) or else against
            the orientation of ``ground_truth/odometry``; None without either.
        outages: errors at the end of the withheld phases.
    """

    navigation: Errors | None = None
    attitude: Errors | None = None
    outages: tuple[OutageEnd, ...] = ()


@dataclass(frozen=True)
class Row:
    """One line of the table of errors."""

    quantity: str
    unit: str
    statistics: Statistics


def judge(
    recording: Recording, outages: Sequence[tuple[int, int]] = (), *, settle: float = 0.0
) -> Judgement:
    """Compare a recording with its truth.

    Args:
        recording: what the bag holds.
        outages: phases without fixes, ns, scored at their last withheld fix.
        settle: s after the first estimate that are left out of the errors (initial alignment).
    """
    navigation = attitude = None
    ends: tuple[OutageEnd, ...] = ()
    if recording.estimate is not None and recording.truth is not None:
        navigation = _settled(errors(recording.estimate, recording.truth), settle)
        ends = outage_ends(recording.estimate, recording.truth, outages)
    reference = recording.truth_attitude
    if reference is None and recording.truth is not None:
        reference = recording.truth if recording.truth.orientation is not None else None
    if recording.attitude is not None and reference is not None:
        attitude = _settled(errors(recording.attitude, reference), settle)
    return Judgement(
        navigation=navigation if navigation is not None and len(navigation.stamps) else None,
        attitude=attitude if attitude is not None and len(attitude.stamps) else None,
        outages=ends,
    )


def error_rows(judgement: Judgement) -> tuple[Row, ...]:
    """The errors as rows of a table; quantities without truth are left out."""
    rows: list[Row] = []
    found = judgement.navigation
    if found is not None and found.position is not None:
        rows += [
            Row('position, horizontal', 'm', statistics(found.position[:, :2])),
            Row('position, vertical', 'm', statistics(found.position[:, 2])),
        ]
    if found is not None and found.velocity is not None:
        rows.append(Row('velocity', 'm/s', statistics(found.velocity)))
    for source, part in (('odometry', found), ('imu/data', judgement.attitude)):
        if part is not None and part.attitude is not None:
            rows += [
                Row(f'attitude of {source}, {name}', 'deg', statistics(part.attitude[:, i]))
                for i, name in enumerate(('total', 'heading', 'inclination'))
            ]
    if judgement.outages:
        ends = np.array([[end.horizontal, end.vertical] for end in judgement.outages])
        rows += [
            Row('end of outage, horizontal', 'm', statistics(ends[:, 0])),
            Row('end of outage, vertical', 'm', statistics(ends[:, 1])),
        ]
    return tuple(row for row in rows if row.statistics.count)


def error_cells(judgement: Judgement) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Header and cells of the table of errors, for a terminal or a page."""
    header = ('error', 'unit', 'rms', 'median', '95 %', 'max', 'instants')
    cells = []
    for row in error_rows(judgement):
        s = row.statistics
        values = (f'{value:.3f}' for value in (s.rms, s.median, s.p95, s.max))
        cells.append((row.quantity, row.unit, *values, f'{s.count}'))
    return header, cells


def versions() -> dict[str, str]:
    """Versions of Python, the platform and the packages that shape the numbers."""
    found = {'python': platform.python_version(), 'platform': platform.platform()}
    for package in _PACKAGES:
        for name in (package, f'ros-kilted-{package}'):
            try:
                found[package] = importlib.metadata.version(name)
                break
            except importlib.metadata.PackageNotFoundError:
                continue
    return found


def write(path: Path, recording: Recording, judgement: Judgement, facts: Facts) -> Path:
    """Write the report to ``path`` and return it.

    Raises:
        OSError: the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page(recording, judgement, facts), encoding='utf-8')
    return path


def page(recording: Recording, judgement: Judgement, facts: Facts) -> str:
    """The HTML text of the report."""
    wake = recording.wake
    if wake is not None and facts.boundary is not None:
        wake = wake_section.with_boundary(wake, facts.boundary)
    sections = [
        *([] if wake is None else wake_section.sections(wake)),
        *comparison.section(
            judgement.navigation,
            facts.comparison,
            comparison.silences(recording.fixes, recording.end),
            recording.start,
        ),
        *_error_sections(recording, judgement),
        *_timing_sections(recording, facts),
        *_background_sections(recording, facts),
    ]
    lines = [*facts.lines, *(f'Note: {note}' for note in facts.notes)]
    return render(facts.title, lines, _tiles(recording, judgement, facts), sections)


def _settled(found: Errors, settle: float) -> Errors:
    if settle <= 0 or len(found.stamps) == 0:
        return found
    return found.after(int(found.stamps[0] + settle * 1e9))


def _tiles(recording: Recording, judgement: Judgement, facts: Facts) -> list[Tile]:
    tiles = [] if recording.wake is None else wake_section.tiles(recording.wake)
    for row in error_rows(judgement):
        if row.quantity in _TILES:
            s = row.statistics
            detail = f'rms; 95 % below {s.p95:.2f} {row.unit}'
            tiles.append(Tile(_TILES[row.quantity], f'{s.rms:.2f} {row.unit}', detail))
    found = judgement.navigation
    flat = None if found is None else found.horizontal_consistency
    if flat is not None and np.isfinite(flat.mean):
        detail = f'of horizontal errors, mean NEES {flat.mean:.1f} of 2'
        tiles.append(Tile('inside the 95 % ellipse', f'{flat.inside_95:.0%}', detail))
    if facts.latency is not None and len(facts.latency):
        median, high = np.percentile(facts.latency, [50, 99])
        tiles.append(Tile('latency, median', f'{median:.1f} ms', f'99 % below {high:.1f} ms'))
    if facts.speed is not None:
        tiles.append(Tile('speed', f'{facts.speed:.0f} x', 'of real time, offline'))
    tiles.append(
        Tile('duration', f'{recording.duration:.0f} s', f'{_messages(recording)} messages')
    )
    return tiles


def _messages(recording: Recording) -> str:
    return f'{sum(stream.count for stream in recording.streams):,}'


def _error_sections(recording: Recording, judgement: Judgement) -> list[Section]:
    header, cells = error_cells(judgement)
    start, found = recording.start, judgement.navigation
    sections = []
    if cells:
        text = 'Estimate minus truth, at the instants of the sparser of the two.'
        tables = [Table(header, cells)]
        if consistency := _consistency_table(judgement):
            tables.append(consistency)
        sections.append(Section('Errors against truth', text, tables=tables))
    else:
        text = 'This recording holds no truth, or no estimate: nothing to compare.'
        sections.append(Section('Errors against truth', text))
    if recording.estimate is not None:
        figure = plots.track(recording.estimate, recording.truth, recording.fixes, start)
        sections.append(Section('Track', 'About the origin of the estimate.', figure))
    if judgement.outages:
        sections.append(_outage_section(judgement.outages, start))
    if found is not None:
        band = 'Line: error. Band: three standard deviations that the filter itself states.'
        sections += [
            Section('Position errors', band, plots.position_errors(found, start)),
            Section('Velocity errors', band, plots.velocity_errors(found, start)),
            Section('Attitude errors of odometry', band, plots.attitude_errors(found, start)),
        ]
    if judgement.attitude is not None:
        figure = plots.attitude_errors(judgement.attitude, start)
        sections.append(Section('Attitude errors of imu/data', figure=figure))
    if recording.innovations:
        text = (
            'Squared innovation over its covariance as each sensor was fused. Solid: the expected '
            'mean; dashed: the bound that 95 % of a consistent sensor stay below.'
        )
        sections.append(Section('Innovations', text, plots.innovations(recording.innovations)))
    if found is not None:
        text = (
            'Normalised estimation error squared; the band holds 95 % of single instants. '
            'One flight is one sample of a correlated process: a verdict takes many.'
        )
        sections.append(Section('Consistency', text, plots.consistency(found, start)))
    return [section for section in sections if section.figure or section.tables or not cells]


def _consistency_table(judgement: Judgement) -> Table | None:
    rows = []
    for source, part in (('odometry', judgement.navigation), ('imu/data', judgement.attitude)):
        for name in ('position', 'velocity', 'attitude'):
            value: Consistency | None = getattr(part, f'{name}_consistency', None)
            if value is not None and np.isfinite(value.mean):
                rows.append(
                    (f'{name} of {source}', f'{value.dimension}', f'{value.mean:.2f}',
                     f'{value.inside_95:.1%}')
                )  # fmt: skip
    header = ('normalised error squared', 'expected mean', 'mean', 'below the 95 % bound')
    return Table(header, rows) if rows else None


def _outage_section(outages: Sequence[OutageEnd], start: int) -> Section:
    rows = []
    for end in outages:
        inside = '-' if end.inside_95 is None else ('yes' if end.inside_95 else 'no')
        times = (f'{(t - start) * 1e-9:.1f}' for t in (end.start, end.end))
        rows.append((*times, f'{end.horizontal:.2f}', f'{end.vertical:.2f}', inside))
    header = ('from, s', 'to, s', 'horizontal, m', 'vertical, m', 'inside 95 % ellipse')
    text = 'Fixes were withheld; the error is taken at the last withheld fix.'
    return Section('Outages', text, tables=[Table(header, rows)])


def _timing_sections(recording: Recording, facts: Facts) -> list[Section]:
    sections = []
    if facts.latency is not None:
        figure = plots.latency(facts.latency)
        sections.append(Section('Latency', facts.latency_text, figure))
    rows = [
        (s.topic, s.type, f'{s.count}', f'{s.rate:.1f}', f'{s.longest_gap:.3f}')
        for s in recording.streams
    ]
    header = ('topic', 'type', 'messages', 'rate, Hz', 'longest gap, s')
    text = 'Rates and gaps by stamp where messages have one, else by receive time.'
    sections.append(Section('Streams', text, tables=[Table(header, rows)]))
    return sections


def _background_sections(recording: Recording, facts: Facts) -> list[Section]:
    sections = []
    rows: list[tuple[str, ...]] = [
        (s.name, _LEVELS[s.level], s.message, _LEVELS[s.last_level], s.last_message)
        for s in recording.statuses
    ]
    if rows:
        header = ('status', 'worst', 'said then', 'last', 'said last')
        sections.append(Section('Diagnostics', tables=[Table(header, rows)]))
    settings = [
        (node, name, _shown(value))
        for node, values in facts.configuration.items()
        for name, value in values.items()
    ]
    if settings:
        table = Table(('node', 'parameter', 'value'), settings)
        sections.append(Section('Configuration', tables=[table], folded=True))
    origin = [(name, value) for name, value in versions().items()]
    origin.append(('command', ' '.join([Path(sys.argv[0]).name, *sys.argv[1:]])))
    if facts.bag:
        origin.append(('bag', facts.bag))
    if facts.digest:
        origin.append(('digest of the outputs', facts.digest))
    sections.append(Section('Provenance', tables=[Table(('item', 'value'), origin)]))
    return sections


def _shown(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return ', '.join(map(_shown, value))
    return f'{value:g}' if isinstance(value, float) else str(value)
