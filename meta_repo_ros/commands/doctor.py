# SPDX-License-Identifier: Apache-2.0
"""``meta-repo doctor``: the environment and the running graph on one page."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import sys
from importlib import metadata
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

    from meta_repo_ros.ros.inspection import GraphReport

_RANGES = ('SUBNET', 'LOCALHOST', 'OFF', 'SYSTEM_DEFAULT')


@click.command()
@click.option(
    '--seconds',
    default=3.0,
    show_default=True,
    type=click.FloatRange(0.1, 600.0),
    help='How long rates are measured.',
)
@click.option('--json', 'as_json', is_flag=True, help='Print JSON.')
@click.pass_context
def command(context: click.Context, seconds: float, as_json: bool) -> None:
    """Show environment, nodes, topics with measured rates, and what is wrong.

    Looks for QoS and type mismatches and for nodes of the same name. Exit code 0: nothing is
    wrong; 1: something is; 2: ROS 2 cannot be used here at all.
    """
    environment, problems = look_at_environment()
    graph = None
    if not problems:
        try:
            from meta_repo_ros.ros.inspection import inspect

            graph = inspect(seconds)
            problems += graph.problems
        except Exception as error:  # noqa: BLE001 (whatever fails is what the doctor looks for)
            problems.append(f'ROS 2 does not work here: {type(error).__name__}: {error}')
    if as_json:
        nodes, topics = (graph.nodes, graph.topics) if graph else ((), ())
        result = {
            'environment': environment,
            'nodes': list(nodes),
            'topics': [dataclasses.asdict(topic) for topic in topics],
            'problems': problems,
        }
        click.echo(json.dumps(result, indent=2))
    else:
        _print(environment, graph, problems)
    context.exit(2 if graph is None else int(bool(problems)))


def look_at_environment() -> tuple[dict[str, str], list[str]]:
    """Facts by name, and what is wrong with them."""
    problems: list[str] = []
    facts = {
        'meta_repo_ros': _version('meta_repo_ros'),
        'Python': f'{platform.python_version()} ({sys.executable})',
        'system': f'{platform.system()} {platform.release()}, {os.cpu_count()} cores',
        'ROS 2': _distribution(),
        'ROS_DOMAIN_ID': os.environ.get('ROS_DOMAIN_ID') or '0 (not set)',
        'discovery range': os.environ.get('ROS_AUTOMATIC_DISCOVERY_RANGE') or 'SUBNET (not set)',
    }
    if peers := os.environ.get('ROS_STATIC_PEERS'):
        facts['static peers'] = peers
    try:
        from meta_repo_ros.environment import domain_id

        domain_id()
    except ValueError as error:
        problems.append(str(error))
    given = os.environ.get('ROS_AUTOMATIC_DISCOVERY_RANGE', '')
    if given and given not in _RANGES:
        allowed = ', '.join(_RANGES)
        problems.append(f'ROS_AUTOMATIC_DISCOVERY_RANGE must be one of {allowed}; it is {given!r}')
    try:
        from rclpy.utilities import get_rmw_implementation_identifier

        facts['RMW'] = get_rmw_implementation_identifier()
    except Exception as error:  # noqa: BLE001 (a missing library raises whatever it likes)
        problems.append(
            f'ROS 2 for Python cannot be imported ({error}); source its setup file, or run '
            'scripts/setup-dev.sh'
        )
    return facts, problems


def _distribution() -> str:
    if name := os.environ.get('ROS_DISTRO'):
        return name
    try:
        return f'PyPI wheels, rclpy {metadata.version("ros-rclpy")}'
    except metadata.PackageNotFoundError:
        return 'not sourced (ROS_DISTRO is not set)'


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return 'not installed with a version'


def _print(environment: dict[str, str], graph: GraphReport | None, problems: list[str]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(soft_wrap=True, highlight=False)
    facts = Table.grid(padding=(0, 2))
    for name, value in environment.items():
        facts.add_row(f'[bold]{name}', value)
    console.print(facts)
    if graph is not None:
        _print_graph(console, graph)
    for problem in problems:
        console.print(f'[bold red]wrong[/] {_plain(problem)}')
    if not problems:
        console.print('[bold green]nothing is wrong[/]')


def _print_graph(console: Console, graph: GraphReport) -> None:
    from rich.table import Table

    if not graph.nodes:
        console.print('[yellow]no nodes run in this domain; start some with: meta-repo up[/]')
        return
    console.print(f'\n[bold]{len(graph.nodes)} nodes[/]  {"  ".join(graph.nodes)}\n')
    table = Table(box=None, pad_edge=False, header_style='bold')
    table.add_column('topic', no_wrap=True)
    table.add_column('type', overflow='ellipsis', no_wrap=True)
    for title, width in (('Hz', 6), ('kB/s', 6), ('from', 4), ('to', 3)):
        table.add_column(title, justify='right', min_width=width)
    for topic in graph.topics:
        if topic.name.endswith('/transition_event'):
            continue
        table.add_row(
            topic.name,
            ', '.join(topic.types).replace('/msg/', '/'),
            _number(topic.rate),
            _number(None if topic.bandwidth is None else topic.bandwidth / 1e3),
            _count(topic.publishers),
            _count(topic.subscribers),
        )
    console.print(table)
    console.print()


def _count(names: tuple[str, ...]) -> str:
    return str(len(names)) if names else '-'


def _number(value: float | None) -> str:
    return '?' if value is None else f'{value:.1f}'


def _plain(text: Any) -> str:
    from rich.markup import escape

    return escape(str(text))
