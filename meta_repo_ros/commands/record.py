# SPDX-License-Identifier: Apache-2.0
"""``meta-repo record``: the bag recorder in this process, until Ctrl-C."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import click

from meta_repo_ros.commands.bag import storage_options


@click.command()
@click.argument('topics', nargs=-1)
@click.option(
    '-o',
    '--output',
    type=click.Path(path_type=Path),
    help='Bag to create; runs/bag-<time> by default.',
)
@click.option('--regex', default='', help='Record topics in whose name this expression is found.')
@click.option('--exclude', default=None, help='Leave out topics in whose name this is found.')
@click.option('--use-sim-time', is_flag=True, help='Take receive times from /clock.')
@storage_options
def command(
    topics: tuple[str, ...],
    output: Path | None,
    regex: str,
    exclude: str | None,
    use_sim_time: bool,
    max_size: float,
    max_duration: float,
    **storage: Any,
) -> None:
    """Record TOPICS of the live graph, or all of them, into a bag until Ctrl-C."""
    from meta_repo_ros.ros import container

    if storage['storage'] == 'sqlite3' and storage['compression'] == 'lz4':
        raise click.UsageError('SQLite bags are compressed with zstd alone')
    if output is not None and output.exists():
        raise click.ClickException(f'{output}: exists already; choose another name')
    place = output if output is not None else Path('runs')
    parent = next(path for path in place.absolute().parents if path.exists())
    if not os.access(parent, os.W_OK):
        raise click.ClickException(f'{parent}: cannot be written; choose another directory with -o')
    values: dict[str, Any] = {
        **storage,
        'path': str(output) if output is not None else '',
        'regex': regex,
        'max_file_size': max_size,
        'max_file_duration': max_duration,
        'use_sim_time': use_sim_time,
    }
    if topics:
        values['topics'] = list(topics)
    if exclude is not None:
        values['exclude'] = exclude
    arguments = ['bag_recorder', '--autostart', '--ros-args']
    for name, value in values.items():
        # rcl reads YAML, of which JSON is a part
        arguments += ['-p', f'{name}:={json.dumps(value)}']
    sys.exit(container.main(arguments))
