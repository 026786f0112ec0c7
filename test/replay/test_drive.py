# SPDX-License-Identifier: Apache-2.0
"""The car drive: dead reckoning through withheld fixes, from the raw IMU."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

_ROOT = Path(__file__).resolve().parents[2]
_DATA = Path(os.environ.get('META_REPO_DATA', _ROOT.parent / 'shared' / 'data')) / 'gnss_imu'
pytestmark = pytest.mark.skipif(not _DATA.is_dir(), reason=f'no drive recording in {_DATA}')


@pytest.fixture(scope='module')
def drive() -> Any:
    sys.path.append(str(_ROOT))
    try:
        return importlib.import_module('benchmarks.drive')
    finally:
        sys.path[:] = [entry for entry in sys.path if entry != str(_ROOT)]


def test_outages_stay_below_the_peer_and_inside_their_ellipses(drive: Any) -> None:
    """At the peer's own start the rms is below its published one; the largest error is not."""
    recording = drive.load(_DATA)
    outages, model = drive.run(recording, drive.parameters(constraints=False))
    figures = drive.figures(drive.START_S, outages)
    assert figures['outages'] == 11
    assert figures['rms_m'] < 6.45
    assert figures['max_m'] < 13.3
    assert figures['inside_95'] >= 9
    assert model.alignments == 1
    assert model.drift_found is None
    gate = model.gates['gnss_position'].state
    assert gate.resets == 0
    assert gate.rejected < 20


@pytest.mark.parametrize('start', [50.0, 60.0, 72.5])
def test_other_starts_stay_below_the_peer(drive: Any, start: float) -> None:
    recording = drive.load(_DATA)
    outages, _ = drive.run(recording, drive.parameters(constraints=False), start)
    figures = drive.figures(start, outages)
    rms, largest = drive.PEER_M[start][:2]
    assert figures['rms_m'] < rms
    assert figures['max_m'] < largest
    assert figures['inside_95'] >= 9


def test_constraints_of_a_car_shrink_the_error(drive: Any) -> None:
    recording = drive.load(_DATA)
    outages, model = drive.run(recording, drive.parameters(constraints=True))
    assert drive.figures(drive.START_S, outages)['rms_m'] < 4.5
    assert model.constraints is not None
    assert model.constraints.applied > 1000


def test_repeated_samples_are_dropped_and_time_stays_causal(drive: Any) -> None:
    recording = drive.load(_DATA)
    index, times = drive.cadence(recording)
    assert len(index) == 53722
    assert (np.diff(times) > 0).all()
    off = (times - recording.imu_time[index]) * 1e-9
    assert abs(off.mean()) < 0.005
    assert np.abs(off).max() < 0.04
