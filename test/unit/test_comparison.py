# SPDX-License-Identifier: Apache-2.0
"""Two runs of one recording side by side."""

from __future__ import annotations

import numpy as np
import pytest

from meta_repo_ros.reporting.comparison import Comparison, cells, section, silences
from meta_repo_ros.reporting.evaluation import Errors, Origin, trajectory

SECOND = 1_000_000_000


def errors(scale: float, *, attitude: bool = True) -> Errors:
    """Errors that grow by ``scale`` metres a second to the east, for ten seconds."""
    t = np.arange(11)
    position = np.stack([scale * t, 0.0 * t, 0.0 * t + 1.0], axis=1)
    degrees = np.full((11, 3), scale)
    return Errors(
        t * SECOND, position=position, attitude=degrees if attitude else None,
    )  # fmt: skip


def test_both_runs_stand_in_one_row() -> None:
    rows = {row[0]: row for row in cells(errors(1.0), Comparison('stars', errors(4.0)))}
    assert rows['position, horizontal, at the end'][2:] == (
        '10.000', '40.000', '10.000', '40.000', '0.25',
    )  # fmt: skip
    assert rows['position, vertical'][-1] == '1.00'
    assert rows['attitude, total'][1:4] == ('deg', '1.000', '4.000')
    assert 'position, horizontal, without GNSS' not in rows


def test_what_only_one_run_has_is_left_out() -> None:
    other = Comparison('stars', errors(4.0, attitude=False))
    assert not [row for row in cells(errors(1.0), other) if row[0].startswith('attitude')]


def test_phases_without_gnss_are_counted_alone() -> None:
    stamps = [0, SECOND, 2 * SECOND, 8 * SECOND]
    fixes = trajectory(stamps, origin=Origin(47.0, 11.0, 0.0), position=np.zeros((4, 3)))
    phases = silences(fixes, 10 * SECOND + 1)
    assert phases == ((2 * SECOND, 8 * SECOND), (8 * SECOND, 10 * SECOND + 1))
    assert silences(None, SECOND) == ()
    rows = {row[0]: row for row in cells(errors(1.0), Comparison('stars', errors(4.0)), phases)}
    t = np.arange(2, 11)
    assert float(rows['position, horizontal, without GNSS'][2]) == pytest.approx(
        np.sqrt(np.mean(t**2)), abs=1e-3
    )


def test_the_report_gets_a_table_and_a_picture() -> None:
    (part,) = section(errors(1.0), Comparison('stars', errors(4.0)), ((0, SECOND),), 0)
    assert part.title == 'With and without stars'
    assert 'without stars' in part.figure
    assert len(part.tables[0].rows) == 7
    assert section(errors(1.0), None, (), 0) == []
    assert section(None, Comparison('stars', errors(4.0)), (), 0) == []
