# SPDX-License-Identifier: Apache-2.0
"""The runner's duties, with real processes."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from meta_repo_ros.environment import domain_id, process_environment
from meta_repo_ros.graph import ProcessSpec
from meta_repo_ros.run import OWN, RunError, Runner
from meta_repo_ros.run_background import BackgroundRunner

if TYPE_CHECKING:
    from collections.abc import Callable

SLEEP = 'import os, time; print(os.getpid()); time.sleep(60)'
STUBBORN = f'import signal; signal.signal(signal.SIGINT, lambda *_: print("no")); {SLEEP}'
DEAF = f'import signal; [signal.signal(n, signal.SIG_IGN) for n in (2, 15)]; {SLEEP}'


def python(name: str, code: str, **options: object) -> ProcessSpec:
    return replace(ProcessSpec(name, command=(sys.executable, '-c', code)), **options)  # type: ignore[arg-type]


class System:
    """A runner and what it said; ends with the test."""

    def __init__(self, *processes: ProcessSpec, log_directory: Path | None = None) -> None:
        self.lines: list[tuple[str, str]] = []
        self.runner = Runner(
            processes,
            log_directory=log_directory,
            on_output=lambda name, line: self.lines.append((name, line)),
        )

    def run(self, when: Callable[[], bool] | None = None, stops: int = 1) -> int:
        """Run to the end, or until ``when()`` holds; then ask ``stops`` times to stop."""

        async def main() -> int:
            await self.runner.start()
            end = time.monotonic() + 20.0
            while when is not None and not when():
                assert time.monotonic() < end, self.lines
                await asyncio.sleep(0.01)
            for _ in range(stops if when is not None else 0):
                self.runner.request_stop()
                await asyncio.sleep(0.05)
            return await asyncio.wait_for(self.runner.wait(), 20.0)

        return asyncio.run(main())

    def said(self, name: str) -> list[str]:
        return [line for who, line in self.lines if who == name]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f'/proc/{pid}/stat').read_text().split(') ')[1][0] != 'Z'


def test_output_comes_line_by_line_with_the_name_of_its_process() -> None:
    code = 'import sys; print("one\\ntwo"); print("x" * 200000); sys.stdout.write("end")'
    system = System(python('a', code), python('b', 'import sys; print("err", file=sys.stderr)'))
    assert system.run() == 0
    assert system.said('a') == ['one', 'two', 'x' * 200000, 'end']
    assert system.said('b') == ['err']


def test_a_required_process_ends_the_system_with_its_code() -> None:
    system = System(python('short', 'raise SystemExit(7)', required=True), python('long', SLEEP))
    assert system.run() == 7
    assert system.said(OWN) == ['short has ended with exit code 7']
    assert system.runner.pids == {}


def test_the_end_of_a_required_process_without_error_is_no_error() -> None:
    system = System(python('short', '', required=True), python('long', SLEEP))
    assert system.run() == 0


def test_the_first_failure_gives_the_exit_code() -> None:
    later = 'import time; time.sleep(1); raise SystemExit(4)'
    killed = 'import os, signal; os.kill(os.getpid(), signal.SIGKILL)'
    system = System(python('a', killed), python('b', later))
    assert system.run() == 128 + signal.SIGKILL
    assert system.said(OWN) == ['a was ended by SIGKILL', 'b has ended with exit code 4']


def test_a_process_that_ends_unasked_is_started_again(tmp_path: Path) -> None:
    count = f'open({str(tmp_path / "count")!r}, "a").write("x"); raise SystemExit(3)'
    system = System(python('a', count, respawn=True, respawn_delay=0.05))
    assert system.run(lambda: len(system.said(OWN)) >= 3) == 0
    assert len((tmp_path / 'count').read_text()) >= 3
    assert system.said(OWN)[0] == 'a has ended with exit code 3; it starts again in 0.05 s'


def test_a_stop_does_not_wait_for_a_respawn() -> None:
    system = System(python('a', 'raise SystemExit(3)', respawn=True, respawn_delay=60.0))
    assert system.run(lambda: bool(system.said(OWN))) == 0


def test_a_stop_ends_what_listens_and_is_no_failure() -> None:
    system = System(python('a', SLEEP), python('b', SLEEP, required=True))
    assert system.run(lambda: len(system.lines) == 2) == 0
    assert system.runner.pids == {}


@pytest.mark.parametrize('code', [STUBBORN, DEAF])
def test_a_stop_goes_on_to_harder_signals(code: str) -> None:
    system = System(python('a', code))
    result = system.run(lambda: bool(system.said('a')), stops=3)
    assert not alive(int(system.said('a')[0]))
    killed = code == DEAF
    assert result == (128 + signal.SIGKILL if killed else 0)
    assert system.said(OWN) == (
        ['a does not end and is killed', 'a was ended by SIGKILL'] if killed else []
    )


def test_no_child_of_a_process_is_left_behind() -> None:
    code = f'import subprocess, sys; print(subprocess.Popen([sys.executable, "-c", {DEAF!r}]).pid)'
    system = System(python('a', code))
    assert system.run() == 0
    pid = int(next(line for line in system.said('a') if line.isdecimal()))
    end = time.monotonic() + 5.0
    while alive(pid):
        assert time.monotonic() < end
        time.sleep(0.01)


def test_logs_go_to_one_file_per_process(tmp_path: Path) -> None:
    show = 'import os; print(os.environ["ROS_LOG_DIR"]); raise SystemExit(2)'
    system = System(python('uav1/a', show), log_directory=tmp_path / 'new' / 'log')
    assert system.run() == 2
    folder = tmp_path / 'new' / 'log'
    assert (folder / 'uav1.a.log').read_text() == f'{folder}\n'
    assert (folder / f'{OWN}.log').read_text() == 'uav1/a has ended with exit code 2\n'


def test_what_cannot_be_started_is_said_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / 'file').touch()
    system = System(python('a', SLEEP), log_directory=tmp_path / 'file' / 'log')
    with pytest.raises(RunError, match=r'cannot write logs into .*--log-dir'):
        system.run()
    missing = System(python('a', SLEEP), ProcessSpec('rviz', command=('no_such_rviz2',)))
    with pytest.raises(RunError, match='rviz: no_such_rviz2 is not installed'):
        missing.run()
    assert missing.lines == []
    with pytest.raises(ValueError, match='unique'):
        Runner([python('a', ''), python('a', '')])


def test_the_wheels_need_not_start_python_twice() -> None:
    pytest.importorskip('ros_wheels_bootstrapper')
    code = 'import sys, rclpy; print(sys.flags.safe_path, rclpy.ok())'
    environment = {k: v for k, v in os.environ.items() if k != 'LD_LIBRARY_PATH'}
    environment.pop('_ROS_WHEELS_BOOTSTRAP_COMPLETE', None)
    prepared = process_environment(environment)
    assert prepared['_ROS_WHEELS_BOOTSTRAP_COMPLETE'] == '1'
    lines: list[str] = []
    runner = Runner(
        [python('a', code)], environment=prepared, on_output=lambda _, line: lines.append(line)
    )

    async def main() -> int:
        await runner.start()
        return await runner.wait()

    assert asyncio.run(main()) == 0, lines
    assert lines == ['True False']


def test_who_publishes_images_gets_shared_memory_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    name = 'FASTDDS_DEFAULT_PROFILES_FILE'
    monkeypatch.delenv(name, raising=False)
    assert name not in process_environment()
    profiles = Path(process_environment(images=True)[name])
    (size,) = re.findall(r'<segment_size>(\d+)<', profiles.read_text(encoding='utf-8'))
    assert int(size) > 4096 * 4096 * 2
    assert process_environment({name: '/own.xml'}, images=True)[name] == '/own.xml'
    usage = shutil.disk_usage('/')
    monkeypatch.setattr(shutil, 'disk_usage', lambda _: usage._replace(free=64 << 20))
    assert name not in process_environment({}, images=True), 'there is too little of it'
    monkeypatch.undo()
    lines: list[str] = []
    code = f'import os; print(os.environ.get("{name}"))'
    runner = Runner([python('a', code, images=True)], on_output=lambda _, line: lines.append(line))
    assert asyncio.run(runner.run()) == 0
    assert lines == [str(profiles)]


def test_the_domain_is_a_number_that_dds_takes() -> None:
    assert domain_id({}) == 0
    assert domain_id({'ROS_DOMAIN_ID': '101'}) == 101
    for bad in ('233', 'x', '-1'):
        with pytest.raises(ValueError, match='from 0 to 232'):
            domain_id({'ROS_DOMAIN_ID': bad})


def test_a_synchronous_program_runs_the_same_runner_in_a_thread() -> None:
    lines: list[str] = []
    with BackgroundRunner(
        [python('a', SLEEP)], on_output=lambda _, line: lines.append(line)
    ) as runner:
        while not lines:
            assert runner.wait(0.01) is None
        assert runner.pids == {'a': int(lines[0])}
    assert runner.wait() == 0
    assert not alive(int(lines[0]))
    failing = BackgroundRunner([python('a', 'raise SystemExit(3)')])
    failing.start()
    assert failing.wait(20.0) == 3
    assert failing.stop() == 3
    with pytest.raises(RunError, match='is not installed'):
        BackgroundRunner([ProcessSpec('a', command=('no_such_program',))]).start()
