# SPDX-License-Identifier: Apache-2.0
"""``meta-repo up`` as a user starts and stops it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from meta_repo_ros.core.installation import config_directory
from meta_repo_ros.replay.bag_reader import BagReader

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.usefixtures('own_domain')
UP = (sys.executable, '-u', '-m', 'meta_repo_ros.cli', 'up')
ACTIVE = 'managed nodes are active'


def process_of(node: str, mark: str) -> int:
    """The process id of the container that runs ``node`` in the graph with ``mark``."""
    for entry in Path('/proc').iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / 'cmdline').read_bytes().split(b'\0')
            ours = mark.encode() in (entry / 'environ').read_bytes()
        except OSError:
            continue
        if ours and b'meta_repo_ros.ros.container' in words and node.encode() in words[:6]:
            return int(entry.name)
    raise AssertionError(f'no process runs {node}')


def test_one_interrupt_ends_everything_and_leaves_a_whole_bag(
    start: Callable[..., Any], tmp_path: Path, mark: Any, orphans: Callable[[str], list[str]]
) -> None:
    value, environment = mark
    bag, logs = tmp_path / 'bag', tmp_path / 'logs'
    program = start(
        *UP, '--record', 'true', '--bag-path', str(bag), '--log-dir', str(logs), env=environment
    )
    program.wait_for(ACTIVE, 60.0)

    second = start(*UP, '--log-dir', str(tmp_path / 'second'))
    assert second.wait(60.0) == 1
    assert 'has running already: ' in second.output
    assert 'Traceback' not in second.output

    os.kill(process_of('navigation_fusion', value), signal.SIGKILL)
    program.wait_for('navigation was ended by SIGKILL; it starts again in', 10.0)
    program.wait_for('navigation_fusion', 60.0)

    assert program.stop(signal.SIGINT, 10.0) == 0
    assert 'Traceback' not in program.output
    assert 'is killed' not in program.output
    assert orphans(value) == []
    assert (bag / 'metadata.yaml').is_file()
    with BagReader(bag) as reader:
        assert reader.message_count > 0
        assert reader.topics['/imu/data_raw'].count > 0
    assert {path.name for path in logs.glob('*.log')} >= {
        'simulation.log', 'navigation.log', 'control.log', 'supervision.log', 'recording.log',
    }  # fmt: skip


def test_an_interrupt_while_it_starts_is_no_failure(
    start: Callable[..., Any], tmp_path: Path, mark: Any, orphans: Callable[[str], list[str]]
) -> None:
    value, environment = mark
    program = start(*UP, '--no-check', '--log-dir', str(tmp_path), env=environment)
    program.wait_for('processes in domain', 30.0)
    assert program.stop(signal.SIGINT, 10.0) == 0
    assert 'Traceback' not in program.output
    assert orphans(value) == []


@pytest.mark.skipif(shutil.which('setpriv') is None, reason='setpriv is not installed')
def test_nothing_outlives_a_runner_that_is_killed(
    start: Callable[..., Any], tmp_path: Path, mark: Any, orphans: Callable[[str], list[str]]
) -> None:
    value, environment = mark
    program = start(*UP, '--no-check', '--log-dir', str(tmp_path), env=environment)
    program.wait_for(ACTIVE, 60.0)
    assert len(orphans(value)) > 1
    program.stop(signal.SIGKILL)
    end = time.monotonic() + 20.0
    while left := orphans(value):
        assert time.monotonic() < end, left
        time.sleep(0.02)


def test_the_end_of_the_flight_ends_the_graph(start: Callable[..., Any], tmp_path: Path) -> None:
    own = tmp_path / 'own.yaml'
    own.write_text('flight_simulator:\n  ros__parameters: {at_end: exit, rate: 0.0}\n')
    scenario = tmp_path / 'short.yaml'
    text = (config_directory() / 'scenarios' / 'demo.yaml').read_text()
    scenario.write_text(re.sub('(?m)^duration: .*', 'duration: 1.0', text))
    options = ('--params-file', own, '--scenario', scenario, '--log-dir', tmp_path / 'logs')
    program = start(*UP, '--no-check', *map(str, options))
    assert program.wait(60.0) == 0, program.output
    assert 'simulation has finished' in program.output


def test_a_scenario_that_cannot_be_flown_is_refused_before_the_start(
    start: Callable[..., Any], tmp_path: Path
) -> None:
    scenario = tmp_path / 'wrong.yaml'
    scenario.write_text('aircraft: c172\n')
    program = start(*UP, '--no-check', '--scenario', str(scenario))
    assert program.wait(30.0) == 1
    assert f'Error: {scenario}:1: ' in program.output
    assert 'duration: missing' in program.output


def test_a_log_directory_that_cannot_be_written_is_said(
    start: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / 'file').touch()
    program = start(*UP, '--no-check', '--log-dir', str(tmp_path / 'file' / 'logs'))
    assert program.wait(30.0) == 1
    assert 'cannot write logs into' in program.output
    assert 'Traceback' not in program.output
