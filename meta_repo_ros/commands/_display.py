# SPDX-License-Identifier: Apache-2.0
"""The running graph on a terminal: progress, rates, latency, error against truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

if TYPE_CHECKING:
    from typing_extensions import Self

    from meta_repo_ros.ros.observer import Snapshot

_LINE_S = 5.0
_LEVELS = {1: 'yellow', 2: 'red', 3: 'magenta'}
_LEVEL_NAMES = {1: 'WARN', 2: 'ERROR', 3: 'STALE'}


class Display:
    """A progress bar and a table on a terminal."""

    def __init__(self, console: Console, duration: float) -> None:
        self._progress = Progress(
            TextColumn('{task.description}'),
            BarColumn(bar_width=40),
            TextColumn('{task.completed:5.1f} of {task.total:.0f} s'),
            console=console,
        )
        self._task = self._progress.add_task('starting', total=duration)
        self._live = Live(console=console, refresh_per_second=4, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, shown: Snapshot) -> None:
        """Draw the state of the graph."""
        description = 'flying' if shown.elapsed > 0 else 'starting'
        self._progress.update(self._task, completed=shown.elapsed, description=description)
        self._live.update(Group(self._progress, _table(shown)))


class Lines(Display):
    """Plain lines every few seconds, where there is no terminal."""

    def __init__(self, console: Console, duration: float) -> None:
        self._console = console
        self._duration = duration
        self._next = 0.0
        self._said = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def show(self, shown: Snapshot) -> None:
        """Print a line when it is time for one."""
        if not self._said:
            self._said = True
            self._console.print('starting the graph', highlight=False)
        if shown.elapsed > 0 and shown.elapsed >= self._next:
            self._next = shown.elapsed + _LINE_S
            self._console.print(_line(shown, self._duration), highlight=False)


def display_on(console: Console, duration: float) -> Display:
    """A live picture on a terminal, plain lines elsewhere; a context manager."""
    return Display(console, duration) if console.is_terminal else Lines(console, duration)


def _table(shown: Snapshot) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for name in ('topic', 'Hz', 'messages', 'lost'):
        table.add_column(name, justify='left' if name == 'topic' else 'right', min_width=9)
    for stream in shown.streams:
        if stream.count:
            lost = f'[red]{stream.lost}[/]' if stream.lost else '0'
            table.add_row(stream.topic, f'{stream.rate:.1f}', f'{stream.count}', lost)
    table.add_section()
    for name, value in _figures(shown):
        table.add_row(name, value)
    for name, (level, message) in sorted(shown.statuses.items()):
        if level:
            colour = _LEVELS.get(level, 'red')
            table.add_row(f'[{colour}]{name}[/]', f'[{colour}]{_LEVEL_NAMES[level]}[/]', message)
    return table


def _figures(shown: Snapshot) -> list[tuple[str, str]]:
    rows = []
    if shown.latency is not None:
        rows.append(('latency', '{:.1f} ms (99 %: {:.1f})'.format(*shown.latency)))
    found = shown.errors
    if found is not None and found.position is not None and len(found.position):
        horizontal, vertical = np.hypot(*found.position[-1, :2]), abs(found.position[-1, 2])
        rows.append(('position error', f'{horizontal:.2f} m, height {vertical:.2f} m'))
    if found is not None and found.attitude is not None and len(found.attitude):
        rows.append(('attitude error', f'{found.attitude[-1, 0]:.2f} deg'))
    return rows


def _line(shown: Snapshot, duration: float) -> str:
    rates = ', '.join(
        f'{stream.topic} {stream.rate:.0f} Hz'
        for stream in shown.streams
        if stream.topic in {'imu/data_raw', 'gnss/fix', 'odometry'}
    )
    figures = ', '.join(f'{name} {value}' for name, value in _figures(shown))
    troubles = [name for name, (level, _) in shown.statuses.items() if level >= 2]
    trouble = f'; errors: {", ".join(sorted(troubles))}' if troubles else ''
    text = f'{shown.elapsed:5.1f} of {duration:.0f} s: {rates}'
    return f'{text}; {figures}{trouble}' if figures else f'{text}{trouble}'
