# SPDX-License-Identifier: Apache-2.0
"""Runs the processes of the graph where ``ros2 launch`` does not exist, with its duties.

Each process has a group of its own, so that Ctrl-C reaches it through the runner alone. Stopping
is SIGINT, then SIGTERM, then SIGKILL to the group. A ``required`` process ends the system; another
is started again, after a delay, where it says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from meta_repo_ros.environment import process_environment
from meta_repo_ros.graph import ProcessSpec, argv

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from io import FileIO

OWN = 'meta-repo'
"""Name under which the runner itself speaks."""

_STOP_SIGNALS = ((signal.SIGINT, 3.0), (signal.SIGTERM, 1.0), (signal.SIGKILL, 0.5))
# Python that has not yet installed its handlers answers SIGINT with a traceback
_STARTING = 5.0
_LAST_OUTPUT = 1.0
_STOPPED = (0, -signal.SIGINT, -signal.SIGTERM, 128 + signal.SIGINT, 128 + signal.SIGTERM)
# the kernel ends a process with its runner, even where that is killed
_TIED = ('setpriv', '--pdeathsig', 'TERM') if shutil.which('setpriv') else ()
_ON_STOP_REQUEST = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

OutputCallback = Callable[[str, str], None]
"""Called with the name of the process and one line of its output, without the line's end."""


class RunError(RuntimeError):
    """The system cannot be started; the text says what to do."""


@dataclass
class _Running:
    process: Process
    started: float

    @property
    def group(self) -> int:
        return self.process.pid

    def signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.group, number)


class Runner:
    """Starts, watches and stops processes; use it from one asyncio event loop.

    Args:
        processes: what :func:`meta_repo_ros.graph.system` gives.
        log_directory: gets one file per process and ROS's own logs; None for no files.
        on_output: takes each line; see :func:`printer`.
        environment: of the processes; :func:`process_environment` by default.

    Attributes:
        exit_code: code of the first process that failed and was not started again, 0 for none.
    """

    def __init__(
        self,
        processes: Sequence[ProcessSpec],
        *,
        log_directory: Path | None = None,
        on_output: OutputCallback | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        names = [process.name for process in processes]
        if len(set(names)) < len(names):
            raise ValueError(f'process names must be unique: {", ".join(names)}')
        self.processes = tuple(processes)
        self.log_directory = log_directory
        self.exit_code = 0
        self._on_output = on_output or printer(names)
        self._environment = dict(environment or process_environment())
        self._running: dict[str, _Running] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._logs: dict[str, TextIO] = {}
        self._stopping = asyncio.Event()
        self._escalate = asyncio.Event()

    @property
    def pids(self) -> dict[str, int]:
        """Process ids of what runs now, by name."""
        return {name: running.process.pid for name, running in self._running.items()}

    async def start(self) -> None:
        """Start all processes.

        Raises:
            RunError: a program is not installed, or the log directory cannot be written.
        """
        for spec in self.processes:
            program = argv(spec)[0]
            if shutil.which(program, path=self._environment.get('PATH')) is None:
                raise RunError(f'{spec.name}: {program} is not installed, or not in PATH')
        self._open_logs()
        self._tasks = [asyncio.create_task(self._supervise(spec)) for spec in self.processes]

    async def wait(self) -> int:
        """Wait until everything has ended; returns the exit code."""
        await asyncio.gather(*self._tasks)
        for log in self._logs.values():
            with contextlib.suppress(OSError):
                log.close()
        return self.exit_code

    async def stop(self) -> int:
        """Stop everything within 5 s; returns the exit code."""
        self.request_stop()
        return await self.wait()

    def request_stop(self) -> None:
        """Begin to stop; asked again, go on to the harder signal at once."""
        if self._stopping.is_set():
            self._escalate.set()
        self._stopping.set()

    async def run(self) -> int:
        """Start, run until the end or SIGINT, SIGTERM or SIGHUP; returns the exit code."""
        loop = asyncio.get_running_loop()
        for number in _ON_STOP_REQUEST:
            loop.add_signal_handler(number, self.request_stop)
        try:
            await self.start()
            return await self.wait()
        finally:
            for number in _ON_STOP_REQUEST:
                loop.remove_signal_handler(number)

    async def _supervise(self, spec: ProcessSpec) -> None:
        while not self._stopping.is_set():
            code = await self._run_once(spec)
            if self._stopping.is_set():
                if code not in _STOPPED:
                    self._fail(spec, code)
                return
            if spec.required or not spec.respawn:
                if code != 0:
                    self._fail(spec, code)
                elif spec.required:
                    self._say(f'{spec.name} has finished')
                if spec.required:
                    self._stopping.set()
                return
            self._say(f'{spec.name} {_ended(code)}; it starts again in {spec.respawn_delay:g} s')
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), spec.respawn_delay)

    async def _run_once(self, spec: ProcessSpec) -> int:
        # a pipe of our own: asyncio's would be waited for, and children of the process may hold it
        reading, writing = os.pipe()
        output = os.fdopen(reading, 'rb', buffering=0)
        try:
            process = await asyncio.create_subprocess_exec(
                *_TIED,
                *argv(spec),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=writing,
                stderr=writing,
                env=process_environment(self._environment, images=spec.images),
                start_new_session=True,
            )
        except OSError as error:
            output.close()
            self._say(f'{spec.name} cannot be started: {error}')
            return 127
        finally:
            os.close(writing)
        running = _Running(process, time.monotonic())
        self._running[spec.name] = running
        stopper = asyncio.create_task(self._stop_when_asked(spec, running))
        reader = asyncio.create_task(self._read(spec.name, output))
        try:
            code = await process.wait()
            running.signal(signal.SIGKILL)  # what it started and left behind
            with contextlib.suppress(asyncio.TimeoutError):  # one may have left the group
                await asyncio.wait_for(reader, _LAST_OUTPUT)
        finally:
            del self._running[spec.name]
            stopper.cancel()
        return code

    async def _stop_when_asked(self, spec: ProcessSpec, running: _Running) -> None:
        await self._stopping.wait()
        steps = _STOP_SIGNALS
        if time.monotonic() - running.started < _STARTING:
            steps = ((signal.SIGTERM, _STOP_SIGNALS[0][1]), *_STOP_SIGNALS[1:])
        for number, grace in steps:
            if number == signal.SIGKILL:
                self._say(f'{spec.name} does not end and is killed')
            running.signal(number)
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._escalate.wait(), grace)
            self._escalate.clear()

    async def _read(self, name: str, output: FileIO) -> None:
        stream = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(stream), output
        )
        rest = b''
        while chunk := await stream.read(65536):
            *lines, rest = (rest + chunk).split(b'\n')
            for line in lines:
                self._put(name, line.decode(errors='replace').rstrip('\r'))
        if rest:
            self._put(name, rest.decode(errors='replace'))
        transport.close()

    def _open_logs(self) -> None:
        if self.log_directory is None:
            return
        try:
            self.log_directory.mkdir(parents=True, exist_ok=True)
            for name in (OWN, *(spec.name for spec in self.processes)):
                path = self.log_directory / f'{name.replace("/", ".")}.log'
                self._logs[name] = path.open('w', encoding='utf-8', buffering=1)
        except OSError as error:
            raise RunError(
                f'cannot write logs into {self.log_directory}: {error.strerror}; '
                'choose another directory with --log-dir'
            ) from error
        self._environment['ROS_LOG_DIR'] = str(self.log_directory)

    def _put(self, name: str, line: str) -> None:
        self._on_output(name, line)
        if name in self._logs:
            try:
                self._logs[name].write(line + '\n')
            except OSError as error:
                del self._logs[name]
                self._say(f'no more log of {name}: {error.strerror}')

    def _say(self, text: str) -> None:
        self._put(OWN, text)

    def _fail(self, spec: ProcessSpec, code: int) -> None:
        exit_code = 128 - code if code < 0 else code
        self.exit_code = self.exit_code or exit_code
        self._say(f'{spec.name} {_ended(code)}')


def printer(names: Sequence[str], stream: TextIO | None = None) -> OutputCallback:
    """Print lines with their process's name before them, in colour on a terminal.

    Args:
        names: of all processes; gives the width and the colours.
        stream: standard output by default. ``NO_COLOR`` in the environment is honoured.
    """
    out = sys.stdout if stream is None else stream
    colour = out.isatty() and not os.environ.get('NO_COLOR')
    width = max(map(len, (OWN, *names)))
    codes = {name: 31 + (index % 6) for index, name in enumerate((*names,), start=1)}

    def put(name: str, line: str) -> None:
        prefix = f'{name:<{width}} |'
        if colour:
            prefix = f'\x1b[{codes.get(name, 1)}m{prefix}\x1b[0m'
        with contextlib.suppress(BrokenPipeError):
            print(prefix, line, file=out, flush=True)

    return put


def _ended(code: int) -> str:
    if code < 0:
        return f'was ended by {signal.Signals(-code).name}'
    return f'has ended with exit code {code}'
