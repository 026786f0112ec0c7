# SPDX-License-Identifier: Apache-2.0
"""Fixtures of all tests: an isolated DDS domain, the recordings, processes as users start them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

# under `python -m pytest` the source folder would hide the installed package and its messages
_ROOT = Path(__file__).resolve().parents[1]
sys.path[:] = [entry for entry in sys.path if Path(entry or '.').resolve() != _ROOT]
_DOMAINS = range(61, 102)  # the last whose ports lie below Linux's ephemeral ones is 101
_locks: list[Any] = []


def _own_domain() -> int:
    """A domain that no other test run on this machine uses: the lock is held until we end."""
    for domain in _DOMAINS:
        lock = (Path(tempfile.gettempdir()) / f'meta_repo_ros_domain_{domain}.lock').open('w')
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            continue
        _locks.append(lock)
        return domain
    pytest.exit('all DDS domains for tests are in use on this machine')


def pytest_configure() -> None:
    """Keep the tests off every other graph on this machine and network."""
    os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
    os.environ['ROS_DOMAIN_ID'] = str(_own_domain())
    os.environ['PYTHONSAFEPATH'] = '1'
    os.environ.pop('ROS_STATIC_PEERS', None)


@pytest.fixture(scope='module')
def own_domain() -> Iterator[int]:
    """A domain without what earlier tests left: a killed process is known there for 20 s."""
    before = os.environ['ROS_DOMAIN_ID']
    os.environ['ROS_DOMAIN_ID'] = str(_own_domain())
    yield int(os.environ['ROS_DOMAIN_ID'])
    os.environ['ROS_DOMAIN_ID'] = before


@pytest.fixture(scope='session')
def recordings() -> Path:
    """The folder of recordings; the test is skipped where it is absent."""
    path = Path(os.environ.get('META_REPO_DATA', _ROOT / '../shared/data')).resolve()
    if not path.is_dir():
        pytest.skip(f'no recordings in {path}; set META_REPO_DATA')
    return path


class Program:
    """A process under test; its output is collected while it runs."""

    def __init__(self, command: Sequence[str], **options: Any) -> None:
        self.process = subprocess.Popen(
            [str(part) for part in command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            **options,
        )
        self._lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.append(line)

    @property
    def output(self) -> str:
        """All it has written so far."""
        return ''.join(self._lines)

    def wait_for(self, text: str, deadline: float = 20.0) -> None:
        """Wait until it has written ``text``."""
        end = time.monotonic() + deadline
        while text not in self.output:
            ended = self.process.poll() is not None and not self._reader.is_alive()
            if ended or time.monotonic() > end:
                pytest.fail(f'no {text!r} in its output:\n{self.output}')
            time.sleep(0.01)

    def wait(self, deadline: float = 20.0) -> int:
        """Wait until it ends; returns the exit code."""
        try:
            code = self.process.wait(deadline)
        except subprocess.TimeoutExpired:
            pytest.fail(f'still running after {deadline} s:\n{self.output}')
        self._reader.join(5.0)
        return code

    def stop(self, number: int = signal.SIGINT, deadline: float = 20.0) -> int:
        """Send a signal and wait; returns the exit code."""
        self.process.send_signal(number)
        return self.wait(deadline)

    def kill(self) -> None:
        """End it and its children, whatever it does."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def start() -> Iterator[Callable[..., Program]]:
    """``start(*command, env={...}, cwd=...)`` starts a program; all end with the test."""
    programs: list[Program] = []

    def start_program(*command: str, env: dict[str, str] | None = None, **options: Any) -> Program:
        program = Program(command, env={**os.environ, **(env or {})}, **options)
        programs.append(program)
        return program

    yield start_program
    for program in programs:
        program.kill()


@pytest.fixture
def container(start: Callable[..., Program]) -> Callable[..., Program]:
    """``container(*nodes, ros=[...])`` starts the container as the graph does.

    A node may be ``file.py:Class`` in the folder ``test/node/nodes``.
    """
    folder = Path(__file__).parent / 'node' / 'nodes'

    def start_container(*nodes: str, ros: Sequence[str] = (), **options: Any) -> Program:
        command = [sys.executable, '-u', '-m', 'meta_repo_ros.ros.container', *nodes]
        if ros:
            command += ['--ros-args', *ros]
        path = os.pathsep.join(filter(None, (str(folder), os.environ.get('PYTHONPATH'))))
        return start(*command, env={'PYTHONPATH': path}, **options)

    return start_container
