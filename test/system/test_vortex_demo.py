# SPDX-License-Identifier: Apache-2.0
"""The demonstration of Vortex Shield as a user starts it: warned, flown out, reported."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from meta_repo_ros.control.setpoints import Source
from meta_repo_ros.replay.bag_reader import BagReader
from meta_repo_ros.vortex_shield.types import Level, Phase

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

COMMAND = (sys.executable, '-m', 'meta_repo_ros.cli')
WATCHED = ('/vortex_detection', '/recovery_command', '/setpoint', '/ground_truth/wake')


@pytest.mark.timeout(240)
def test_a_quadrotor_is_warned_recovers_and_reports(
    start: Callable[..., Any], mark: Any, orphans: Callable[[str], list[str]], tmp_path: Path
) -> None:
    folder = tmp_path / 'ring'
    options = ('--scenario', 'vortex_recovery', '--duration', '18', '--output', str(folder))
    program = start(*COMMAND, 'demo', *options, env=mark[1])
    assert program.wait(deadline=200) == 0, program.output
    levels: Counter[int] = Counter()
    phases: Counter[int] = Counter()
    commanding: Counter[int] = Counter()
    with BagReader(folder / 'bag') as bag:
        counts = {name: topic.count for name, topic in bag.topics.items()}
        for _, topic, _, message in bag.messages(WATCHED):
            if topic == '/vortex_detection':
                levels[message.level] += 1
            elif topic == '/recovery_command':
                phases[message.phase] += 1
            elif topic == '/setpoint':
                commanding[message.source] += 1
    assert counts['/rotor_samples'] > 0.9 * 18 * 250
    assert counts['/vortex_detection'] > 0
    assert counts['/ground_truth/wake'] > 0
    assert counts['/vortex_shield/markers'] > 0
    assert levels[Level.NONE] > 0
    assert levels[Level.INCIPIENT] + levels[Level.DEVELOPED] > 0
    assert phases[Phase.EXIT] > 0
    assert commanding[Source.RECOVERY] > 0
    page = (folder / 'report.html').read_text(encoding='utf-8')
    assert 'Rotor wake' in page
    assert orphans(mark[0]) == []

    report = start(*COMMAND, 'vortex', 'report', str(folder / 'bag'))
    assert report.wait(deadline=60) == 0, report.output
