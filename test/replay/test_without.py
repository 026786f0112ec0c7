# SPDX-License-Identifier: Apache-2.0
"""What the stars are worth: a recording run with them and without them by one command."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from meta_repo_ros.cli import main
from meta_repo_ros.replay.bag_writer import BagWriter
from meta_repo_ros.simulation.library import find_scenario
from meta_repo_ros.simulation.simulator import Simulator

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope='module')
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first 56 s of a night flight that loses GNSS at 40 s, with star attitudes."""
    path = tmp_path_factory.mktemp('flight') / 'bag'
    simulator = Simulator(find_scenario('gnss_outage').with_duration(56.0))
    with BagWriter(path) as writer:
        for topic in simulator.topics:
            writer.add_topic(topic.name, topic.type, topic.qos)
        for message in simulator.run():
            writer.write(message.topic.name, message.stamp, message.message)
    return path


def test_replay_shows_the_errors_with_and_without_stars(bag: Path, tmp_path: Path) -> None:
    arguments = ['replay', str(bag), '--without', 'attitude_update', '-o', str(tmp_path)]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    lines = done.output[done.output.index('with and without attitude_update') :].splitlines()
    found = {}
    for line in lines:
        name, _, rest = line.strip().partition('   ')
        numbers = rest.split()
        if name.startswith(('position', 'attitude')) and len(numbers) == 6:
            found[name] = [float(number) for number in numbers[1:]]
    with_, without, *_ = found['position, horizontal, without GNSS']
    assert with_ < 0.7 * without
    with_, without, *_ = found['attitude, total']
    assert with_ < 0.5 * without
    page = next(tmp_path.rglob('report.html')).read_text(encoding='utf-8')
    assert 'With and without attitude_update' in page
    assert 'without attitude_update' in page


def test_a_topic_that_is_not_there_is_refused(bag: Path, tmp_path: Path) -> None:
    arguments = ['replay', str(bag), '--without', 'position_update', '-o', str(tmp_path)]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 1
    assert 'no messages on position_update' in done.output
