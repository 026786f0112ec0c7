# SPDX-License-Identifier: Apache-2.0
"""One recorded live flight that several tests look at."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

FLIGHT_S = 20
_MARK = 'META_REPO_TEST_MARK'


@dataclass(frozen=True)
class Demo:
    """A finished ``meta-repo demo``: its folder, exit code, output and mark of its processes."""

    folder: Path
    code: int
    output: str
    mark: str


def marked(mark: str) -> list[str]:
    """Command lines of processes that inherited ``mark``, ours apart."""
    found = []
    for entry in Path('/proc').iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if f'{_MARK}={mark}'.encode() in (entry / 'environ').read_bytes():
                found.append((entry / 'cmdline').read_bytes().replace(b'\0', b' ').decode())
        except OSError:
            continue
    return found


@pytest.fixture(scope='session')
def orphans() -> Callable[[str], list[str]]:
    """``orphans(mark)``: command lines of processes that outlived what was started with it."""
    return marked


@pytest.fixture
def mark() -> tuple[str, dict[str, str]]:
    """A mark, and the environment that hands it down."""
    value = uuid.uuid4().hex
    return value, {_MARK: value}


@pytest.fixture(scope='session')
def fly(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Demo]:
    """``fly()``: the demonstration, shortened, as a user starts it."""

    def run() -> Demo:
        folder = tmp_path_factory.mktemp('demo') / 'flight'
        value = uuid.uuid4().hex
        environment = {**os.environ, _MARK: value}
        environment.pop('ROS_DOMAIN_ID')  # it finds a free one itself
        command = [sys.executable, '-m', 'meta_repo_ros.cli', 'demo']
        command += ['--duration', str(FLIGHT_S), '--output', str(folder)]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=110
        )
        return Demo(folder, done.returncode, done.stdout + done.stderr, value)

    return run


@pytest.fixture(scope='session')
def demo(fly: Callable[[], Demo]) -> Demo:
    """One such flight that several tests look at."""
    return fly()
