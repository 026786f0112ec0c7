# SPDX-License-Identifier: Apache-2.0
"""``ros2 launch`` with the real launch packages, where they are installed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from meta_repo_ros.arguments import ARGUMENTS
from meta_repo_ros.graph import system

if TYPE_CHECKING:
    from collections.abc import Callable

ROS2 = shutil.which('ros2')


@pytest.fixture(scope='module', autouse=True)
def ros2() -> None:
    if ROS2 is None:
        pytest.skip('ros2 is not in PATH')
    found = subprocess.run(
        [ROS2, 'launch', 'meta_repo_ros', 'bringup.launch.py', '--print'],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if found.returncode:
        pytest.skip(f'ros2 launch does not work here: {found.stderr.strip()[-200:]}')


def nodes() -> list[str]:
    line = [sys.executable, '-m', 'meta_repo_ros.cli', 'doctor', '--json', '--seconds', '0.5']
    found = subprocess.run(line, capture_output=True, text=True, check=False)
    return [str(name) for name in json.loads(found.stdout)['nodes']]


def test_launch_shows_the_arguments() -> None:
    line = ['ros2', 'launch', 'meta_repo_ros', 'bringup.launch.py', '--show-args']
    text = subprocess.run(line, capture_output=True, text=True, check=True).stdout
    for argument in ARGUMENTS:
        assert f"'{argument.name}':" in text
        assert argument.description in text


def test_launch_starts_the_graph_and_one_interrupt_ends_it(
    start: Callable[..., Any], mark: Any, orphans: Callable[[str], list[str]]
) -> None:
    value, environment = mark
    program = start('ros2', 'launch', 'meta_repo_ros', 'bringup.launch.py', env=environment)
    program.wait_for('managed nodes are active', 60.0)
    expected = sorted(f'/{node.type}' for process in system() for node in process.nodes)
    end = time.monotonic() + 30.0
    while (found := nodes()) != expected:
        assert time.monotonic() < end, found
    # a terminal sends Ctrl-C to the whole foreground group
    os.killpg(program.process.pid, signal.SIGINT)
    assert program.wait(15.0) == 0
    assert 'Traceback' not in program.output
    assert orphans(value) == []
