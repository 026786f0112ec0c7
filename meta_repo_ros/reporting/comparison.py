# SPDX-License-Identifier: Apache-2.0
"""The same recording with and without a topic: what that topic is worth.

Both runs are judged against the same truth. Nothing here knows which topic it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from meta_repo_ros.reporting import plots
from meta_repo_ros.reporting.evaluation import Array, Errors, Rows, Stamps, Trajectory
from meta_repo_ros.reporting.page import Section, Table

HEADER = ('error', 'unit', 'rms with', 'rms without', '95 % with', '95 % without', 'with / without')
_SILENCE_NS = 2_000_000_000
Phases = Sequence[tuple[int, int]]


@dataclass(frozen=True)
class Comparison:
    """A second run of the same recording.

    Attributes:
        label: what it did without, such as ``attitude_update``.
        errors: of its odometry.
    """

    label: str
    errors: Errors


def silences(fixes: Trajectory | None, end: int, longest: int = _SILENCE_NS) -> Phases:
    """Phases [start, end] in ns without a fix for longer than ``longest``, up to ``end``."""
    if fixes is None or len(fixes) == 0:
        return ()
    stamps = np.append(fixes.stamps, end)
    wide = np.flatnonzero(np.diff(stamps) > longest)
    return tuple((int(stamps[i]), int(stamps[i + 1])) for i in wide)


def cells(found: Errors, other: Comparison, phases: Phases = ()) -> list[tuple[str, ...]]:
    """Rows of the table under :data:`HEADER`: both runs, the first one ``with``."""
    first, second = list(_measures(found, phases)), list(_measures(other.errors, phases))
    both = {name: values for name, _, values in second}
    rows: list[tuple[str, ...]] = []
    for name, unit, values in first:
        against = both.get(name, np.empty(0))
        if len(values) == 0 or len(against) == 0:
            continue
        a, b = (float(np.sqrt(np.mean(v**2))) for v in (values, against))
        c, d = (float(np.percentile(v, 95)) for v in (values, against))
        ratio = f'{a / b:.2f}' if b > 0.0 else '-'
        rows.append((name, unit, *(f'{value:.3f}' for value in (a, b, c, d)), ratio))
    return rows


def section(
    found: Errors | None, other: Comparison | None, phases: Phases, start: int
) -> list[Section]:
    """The section of the report, none where there is nothing to compare."""
    if found is None or other is None:
        return []
    rows = cells(found, other, phases)
    if not rows:
        return []
    text = (
        f'The recorded flight once more offline without {other.label}, everything else the same; '
        'shaded: no GNSS.'
    )
    figure = plots.comparison(found, other.errors, other.label, phases, start)
    title = f'With and without {other.label}'
    return [Section(title, text, figure, tables=[Table(HEADER, rows)])]


def _measures(found: Errors, phases: Phases) -> Iterator[tuple[str, str, Array]]:
    """Name, unit and magnitudes, NaN left out."""
    if found.position is not None:
        flat = np.hypot(found.position[:, 0], found.position[:, 1])
        yield 'position, horizontal', 'm', _finite(flat)
        if phases:
            inside = _inside(found.stamps, phases)
            yield 'position, horizontal, without GNSS', 'm', _finite(flat[inside])
        yield 'position, horizontal, at the end', 'm', _finite(flat)[-1:]
        yield 'position, vertical', 'm', _finite(np.abs(found.position[:, 2]))
    if found.velocity is not None:
        yield 'velocity', 'm/s', _finite(np.linalg.norm(found.velocity, axis=1))
    if found.attitude is not None:
        for i, name in enumerate(('total', 'heading', 'inclination')):
            yield f'attitude, {name}', 'deg', _finite(found.attitude[:, i])


def _inside(stamps: Stamps, phases: Phases) -> Rows:
    inside = np.zeros(len(stamps), dtype=np.bool_)
    for start, end in phases:
        inside |= (stamps >= start) & (stamps <= end)
    return inside


def _finite(values: Array) -> Array:
    return np.asarray(values[np.isfinite(values)])
