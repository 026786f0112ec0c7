# SPDX-License-Identifier: Apache-2.0
"""Work beside the executor: one thread per node."""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from meta_repo_ros.core.processor import Diagnostic, Level, Task

if TYPE_CHECKING:
    from collections.abc import Callable

    from meta_repo_ros.ros.node import ManagedNode

WAIT_S = 1.0
"""How long the end of a node waits for a task that runs."""
_THREAD = 'tasks of '
# A thread that wants the interpreter gets it after so long (s), wherever it waits for something:
# several times per message. With Python's 5 ms a task of pure Python would stop a stream of 100 Hz.
_SWITCH_S = 0.0005
# The scheduler prefers the executor's thread where both want the processor (Linux only).
_NICE = 5


@dataclass
class TaskCounts:
    """What became of the tasks of one name.

    Attributes:
        started: tasks begun.
        dropped: tasks that a newer one replaced before they began.
        failed: tasks that ended with an exception.
        last: s that the last one took.
        longest: s that the longest one took.
    """

    started: int = 0
    dropped: int = 0
    failed: int = 0
    last: float = 0.0
    longest: float = 0.0


class TaskRunner:
    """Runs tasks one after another in a daemon thread, which begins with the first one.

    All methods are called in the executor's thread.

    Args:
        node: gives the thread its name and takes the results.
        deliver: takes the task's name and what it returned or raised, in the executor's thread.
    """

    def __init__(self, node: ManagedNode, deliver: Callable[[str, Any], None]) -> None:
        self._node = node
        self._deliver = deliver
        self._changed = threading.Condition()
        self._waiting: dict[str, Task] = {}  # in order of their coming
        self._busy = False
        self._ended = False
        self._generation = 0
        self._thread: threading.Thread | None = None
        self.counts: dict[str, TaskCounts] = {}
        self.last_failure = ''
        self._reported = (0, 0)

    def submit(self, task: Task) -> None:
        """Begin ``task`` when the ones before it are done; drop one of its name that waits."""
        counts = self.counts.setdefault(task.name, TaskCounts())
        with self._changed:
            counts.dropped += self._waiting.pop(task.name, None) is not None
            self._waiting[task.name] = task
            self._changed.notify_all()
        if self._thread is None:
            _ = self._node.mailbox  # made in this thread
            sys.setswitchinterval(min(sys.getswitchinterval(), _SWITCH_S))
            name = f'{_THREAD}{self._node.get_name()}'
            self._thread = threading.Thread(target=self._work, name=name, daemon=True)
            self._thread.start()

    def forget(self) -> None:
        """Begin nothing that waits, and let nobody know what the running one gives."""
        with self._changed:
            self._generation += 1
            self._waiting.clear()

    def close(self) -> bool:
        """End the thread, and wait ``WAIT_S`` at most; whether it has ended."""
        self.forget()
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        if self._thread is None:
            return True
        self._thread.join(WAIT_S)
        return not self._thread.is_alive()

    def row(self) -> Diagnostic:
        """The ``tasks`` row; WARN where tasks were dropped or failed since the last one."""
        with self._changed:
            busy, waiting = self._busy, len(self._waiting)
        dropped = sum(c.dropped for c in self.counts.values())
        failed = sum(c.failed for c in self.counts.values())
        new_dropped, new_failed = dropped - self._reported[0], failed - self._reported[1]
        self._reported = (dropped, failed)
        level, message = Level.OK, 'working' if busy else 'idle'
        if new_failed:
            level, message = Level.WARN, f'{new_failed} failed, last {self.last_failure}'
        elif new_dropped:
            level, message = Level.WARN, f'{new_dropped} dropped for newer ones: too slow'
        values: dict[str, str | int | float | bool] = {'waiting': waiting}
        for name, counts in self.counts.items():
            values |= {
                f'{name}: started': counts.started,
                f'{name}: dropped': counts.dropped,
                f'{name}: failed': counts.failed,
                f'{name}: last (s)': counts.last,
                f'{name}: longest (s)': counts.longest,
            }
        return Diagnostic('tasks', level, message, values)

    def _work(self) -> None:
        with suppress(OSError, AttributeError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        while True:
            with self._changed:
                self._busy = False
                self._changed.wait_for(lambda: self._waiting or self._ended)
                if self._ended:
                    return
                name = next(iter(self._waiting))
                task = self._waiting.pop(name)
                generation, self._busy = self._generation, True
            self._run(task, generation)
            del task  # and with it, what it holds, such as an image

    def _run(self, task: Task, generation: int) -> None:
        counts = self.counts[task.name]
        counts.started += 1
        begin = time.perf_counter()
        try:
            result = task.run()
        except Exception as error:  # noqa: BLE001 (goes to the processor)
            result = error
            counts.failed += 1
            self.last_failure = f'{task.name}: {type(error).__name__}: {error}'
        counts.last = time.perf_counter() - begin
        counts.longest = max(counts.longest, counts.last)
        self._node.mailbox.post(lambda: self._hand_over(task.name, result, generation))

    def _hand_over(self, name: str, result: Any, generation: int) -> None:
        if generation == self._generation:
            self._deliver(name, result)


def unfinished() -> bool:
    """Whether a task of this process runs on after its node has gone."""
    return any(t.name.startswith(_THREAD) for t in threading.enumerate())
