# SPDX-License-Identifier: Apache-2.0
"""``meta-repo up``: run the graph without ``ros2 launch``."""

from __future__ import annotations

import asyncio
import os
import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from meta_repo_ros.arguments import ARGUMENTS, Argument, ArgumentError

if TYPE_CHECKING:
    from meta_repo_ros.graph import ProcessSpec


def argument_option(argument: Argument) -> click.Option:
    """The command line option of a graph argument."""
    boolean = argument.choices == ('true', 'false')
    return click.Option(
        [f'--{argument.name.replace("_", "-")}', argument.name],
        help=argument.description,
        default=argument.default or None,
        show_default=True,
        type=click.Choice(argument.choices) if argument.choices else str,
        is_flag=False,
        flag_value='true' if boolean else None,
    )


def graph_options(command: click.Command) -> click.Command:
    """Give ``command`` an option for every argument of the graph, before its own options."""
    command.params[:0] = [argument_option(argument) for argument in ARGUMENTS]
    return command


def given_arguments(options: dict[str, object], assignments: Sequence[str] = ()) -> dict[str, str]:
    """Values of the graph's arguments from options and from ``name:=value`` texts.

    Raises:
        click.UsageError: a text that is no assignment.
    """
    values = {name: str(value) for name, value in options.items() if value is not None}
    for text in assignments:
        name, separator, value = text.partition(':=')
        if not separator:
            raise click.UsageError(f'{text!r} is neither an option nor name:=value')
        values[name] = value
    return values


@graph_options
@click.command(short_help='Run the graph.')
@click.argument('assignments', nargs=-1, metavar='[NAME:=VALUE]...')
@click.option(
    '--log-dir',
    type=click.Path(file_okay=False, path_type=Path),
    help='Directory of the log files; a new one under ~/.ros/log by default.',
)
@click.option('--dry-run', is_flag=True, help='Print the command lines and end.')
@click.option('--no-check', is_flag=True, help='Do not look for a graph that runs already.')
@click.pass_context
def command(
    context: click.Context,
    /,
    assignments: tuple[str, ...],
    log_dir: Path | None,
    dry_run: bool,
    no_check: bool,
    **options: object,
) -> None:
    """Run the graph until Ctrl-C.

    Takes every argument of `ros2 launch meta_repo_ros bringup.launch.py`, as an option or as
    NAME:=VALUE.
    """
    from meta_repo_ros import graph
    from meta_repo_ros.environment import domain_id, process_environment
    from meta_repo_ros.run import RunError, Runner
    from meta_repo_ros.simulation.library import find_scenario

    values = given_arguments(options, assignments)
    try:
        processes = graph.system(values)
        domain = domain_id()
        if values.get('scenario'):
            find_scenario(values['scenario'])
    except ArgumentError as error:
        raise click.UsageError(str(error)) from error
    except (ValueError, OSError) as error:
        raise click.ClickException(str(error)) from error
    if dry_run:
        for process in processes:
            click.echo(f'{process.name}: {shlex.join(graph.argv(process))}')
        return
    directory = log_dir or default_log_directory()
    try:
        if not no_check:
            refuse_second_graph(processes, domain)
        runner = Runner(processes, log_directory=directory, environment=process_environment())
        click.echo(f'{len(processes)} processes in domain {domain}, logs in {directory}', err=True)
        code = asyncio.run(runner.run())
    except RunError as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:  # nothing runs yet: the runner takes the signal once it starts
        code = 0
    context.exit(code)


def refuse_second_graph(processes: Sequence[ProcessSpec], domain: int) -> None:
    """End with a clear error where the nodes of ``processes`` run in this domain already.

    Raises:
        click.ClickException: they do, or rclpy is not installed.
    """
    try:
        from meta_repo_ros.ros.inspection import conflicts
    except ImportError as error:
        raise click.ClickException(
            f'ROS 2 for Python cannot be imported ({error}); source its setup file, or run '
            'scripts/setup-dev.sh'
        ) from error
    names = {f'{process.namespace}/{node.type}' for process in processes for node in process.nodes}
    clock = any(process.name.endswith(('simulation', 'replay')) for process in processes)
    found = conflicts(names, clock=clock)
    if found:
        raise click.ClickException(
            f'domain {domain} has running already: {", ".join(found)}; end it, or give this graph '
            'another domain (ROS_DOMAIN_ID)' + ('' if clock else ' or another --namespace')
        )


def default_log_directory() -> Path:
    """A new directory where rcl's logs would go: ROS_LOG_DIR, ROS_HOME/log or ~/.ros/log."""
    home = Path(os.environ.get('ROS_HOME') or Path.home() / '.ros')
    root = Path(os.environ.get('ROS_LOG_DIR') or home / 'log')
    return root / f'{time.strftime("%Y-%m-%d-%H-%M-%S")}-meta-repo-{os.getpid()}'
