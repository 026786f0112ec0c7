# SPDX-License-Identifier: Apache-2.0
"""``meta-repo replay`` on real recordings, on our own bag, and on what is none."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

COMMAND = (sys.executable, '-m', 'meta_repo_ros.cli', 'replay')


def value(output: str, quantity: str) -> float:
    """The rms of ``quantity`` in the table of errors."""
    found = re.search(rf'{re.escape(quantity)}\s+\S+\s+([\d.]+)', output)
    assert found, output
    return float(found[1])


@pytest.mark.timeout(300)
def test_attitude_trial_prints_errors_against_truth(
    start: Callable[..., Any], recordings: Path, tmp_path: Path
) -> None:
    (trial,) = (recordings / 'attitude_broad').glob('18_*.mat')
    program = start(*COMMAND, str(trial), '--output', str(tmp_path))
    assert program.wait(deadline=280) == 0, program.output
    # the bar of the benchmark is narrower; here any order of magnitude must show
    assert value(program.output, 'attitude of imu/data, total') < 3.0
    assert value(program.output, 'attitude of imu/data, inclination') < 1.5
    assert re.search(r'digest [0-9a-f]{64}', program.output)
    assert (tmp_path / trial.stem / 'report.html').is_file()
    assert (tmp_path / trial.stem / 'bag' / 'metadata.yaml').is_file()


@pytest.mark.timeout(300)
def test_drive_prints_errors_at_the_ends_of_outages(
    start: Callable[..., Any], recordings: Path, tmp_path: Path
) -> None:
    drive = recordings / 'gnss_imu'
    program = start(*COMMAND, str(drive), '--outages', '45:15', '--output', str(tmp_path))
    assert program.wait(deadline=280) == 0, program.output
    assert 'GNSS withheld in 11 outages of 15 s' in program.output
    assert 0.0 < value(program.output, 'end of outage, horizontal') < 20.0
    assert value(program.output, 'position, horizontal') < 10.0


def test_replay_of_a_bag_is_repeatable(
    start: Callable[..., Any], demo: Any, tmp_path: Path
) -> None:
    digests = []
    for name in ('first', 'second'):
        program = start(*COMMAND, str(demo.folder / 'bag'), '--output', str(tmp_path / name))
        assert program.wait(deadline=100) == 0, program.output
        found = re.search(r'digest ([0-9a-f]{64})', program.output)
        assert found
        digests.append(found[1])
    assert digests[0] == digests[1]


@pytest.mark.parametrize('content', [b'', b'no recording'])
def test_what_is_no_recording_is_told(
    start: Callable[..., Any], tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / 'x.mcap'
    path.write_bytes(content)
    program = start(*COMMAND, str(path), str(tmp_path / 'none'), '--output', str(tmp_path / 'out'))
    assert program.wait() == 1
    assert str(path) in program.output
    assert 'does not exist' in program.output
    assert 'Traceback' not in program.output
