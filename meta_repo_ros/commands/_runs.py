# SPDX-License-Identifier: Apache-2.0
"""Folders of runs, and the console that they speak on."""

from __future__ import annotations

from collections.abc import Container
from datetime import datetime
from pathlib import Path

import click
from rich.console import Console

_PLAIN_WIDTH = 120


def console() -> Console:
    """The console; into a pipe or a file lines are as long as they need to be."""
    terminal = Console(soft_wrap=True)
    return terminal if terminal.is_terminal else Console(width=_PLAIN_WIDTH, soft_wrap=True)


def folder(given: Path | None, kind: str) -> Path:
    """The folder of a run, made if need be; ``runs/<kind>-<local time>`` by default.

    Raises:
        click.ClickException: it cannot be made or written to.
    """
    stamp = datetime.now().astimezone().strftime('%Y%m%d-%H%M%S')
    path = given or Path('runs') / f'{kind}-{stamp}'
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / '.writable'
        probe.touch()
        probe.unlink()
    except OSError as error:
        reason = error.strerror or error
        raise click.ClickException(
            f'cannot write to {path}: {reason}; choose another folder with --output'
        ) from error
    return path


def unique(path: Path, taken: Container[str]) -> str:
    """A short name for ``path`` that is not in ``taken``."""
    base = path.stem if path.is_file() else path.resolve().name
    name, number = base, 2
    while name in taken:
        name, number = f'{base}_{number}', number + 1
    return name
