# SPDX-License-Identifier: Apache-2.0
"""``meta-repo validate-config``: parameter files and scenarios against what is declared."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meta_repo_ros.core.parameter_files import Problem

_SUFFIXES = ('.yaml', '.yml')
_SCENARIOS = 'scenarios'


@click.command()
@click.argument(
    'paths', nargs=-1, metavar='[PATH]...', type=click.Path(exists=True, path_type=Path)
)
@click.option('--tables', is_flag=True, help='Print tables of all parameters, as Markdown.')
@click.option('--strict', is_flag=True, help='Take warnings for problems.')
@click.pass_context
def command(context: click.Context, paths: tuple[Path, ...], tables: bool, strict: bool) -> None:
    """Check parameter files and scenarios, with file and line.

    PATH is a file, or a directory that is searched for .yaml files; files below a directory
    `scenarios` are scenarios. Without PATH the shipped configuration is checked, and every node
    must have its file there. A warning names what is asked for and cannot hold, and what the node
    does instead. Exit code 0: all is well; 1: something is not.
    """
    from meta_repo_ros.core.installation import config_directory
    from meta_repo_ros.core.parameter_tables import tables as rendered
    from meta_repo_ros.graph import NODES, node_class

    try:
        nodes = {name: node_class(name).Parameters for name in NODES}
    except ImportError as error:
        raise click.ClickException(f'a node cannot be imported: {error}') from error
    if tables:
        click.echo(rendered(nodes), nl=False)
        return
    problems: list[Problem] = []
    if not paths:
        try:
            paths = (config_directory(),)
        except FileNotFoundError as error:
            raise click.ClickException(str(error)) from error
        problems += _absent(paths[0], nodes)
    files = [file for path in paths for file in _files(path)]
    if not files:
        raise click.ClickException(f'no .yaml file in {", ".join(map(str, paths))}')
    for file in files:
        problems += check(file, nodes)
    for problem in problems:
        click.echo(str(problem))
    wrong = [problem for problem in problems if strict or not problem.warning]
    bad = len({problem.path for problem in wrong})
    warnings = len(problems) - len(wrong)
    counted = f', {warnings} warnings' if warnings else ''
    click.echo(f'{len(files)} files checked, {len(wrong)} problems in {bad}{counted}', err=True)
    context.exit(1 if wrong else 0)


def check(file: Path, nodes: Mapping[str, type]) -> list[Problem]:
    """Everything that is wrong in a parameter file or a scenario.

    Args:
        file: below a directory ``scenarios``, a scenario.
        nodes: parameter dataclasses by node name.
    """
    from meta_repo_ros.core.parameter_files import Problem, check_file
    from meta_repo_ros.simulation.scenario import load_scenario
    from meta_repo_ros.simulation.yaml_file import ScenarioError

    if _SCENARIOS not in file.absolute().parts[:-1]:
        return check_file(file, nodes)
    try:
        load_scenario(file)
    except ScenarioError as error:
        return [Problem(file, error.line, error.reason)]
    return []


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return sorted(file for file in path.rglob('*') if file.suffix in _SUFFIXES and file.is_file())


def _absent(directory: Path, nodes: Mapping[str, type]) -> list[Problem]:
    from meta_repo_ros.core.parameter_files import Problem

    paths = [directory / f'{name}.yaml' for name in nodes]
    reason = 'is missing: every node has a parameter file'
    return [Problem(path, 0, reason) for path in paths if not path.is_file()]
