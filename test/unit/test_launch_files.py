# SPDX-License-Identifier: Apache-2.0
"""The launch files say what the graph says.

Some of it can be tested without the ``launch`` package of ROS 2; the rest is skipped there.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import os
from pathlib import Path
from typing import Any

import pytest

from meta_repo_ros.arguments import ARGUMENTS
from meta_repo_ros.core.installation import share_directory
from meta_repo_ros.graph import SUBSYSTEMS, argv, system

FILES = sorted((share_directory() / 'launch').glob('*.launch.py'))
NAMES = [file.name.removesuffix('.launch.py') for file in FILES]


def test_there_is_one_launch_file_per_subsystem() -> None:
    assert set(NAMES) == {*SUBSYSTEMS, 'bringup', 'replay'}


@pytest.mark.parametrize('file', FILES, ids=NAMES)
def test_a_launch_file_only_adapts_the_graph(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding='utf-8'))
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert modules == {'launch', 'meta_repo_ros.launching'}
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    assert [function.name for function in functions] == ['generate_launch_description']


@pytest.fixture(scope='module')
def launching() -> Any:
    # not `launch` itself: PyPI has an unrelated package of that name
    reason = 'the launch package of ROS 2 is not installed'
    pytest.importorskip('launch.launch_description', reason=reason)
    return importlib.import_module('meta_repo_ros.launching')


def load(file: Path) -> Any:
    spec = importlib.util.spec_from_file_location(file.name.replace('.', '_'), file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.generate_launch_description()


def expand(description: Any, **given: str) -> list[list[str]]:
    """Command lines of the processes that a description starts."""
    from launch.actions import ExecuteProcess  # noqa: PLC0415

    from launch import LaunchContext  # noqa: PLC0415

    context = LaunchContext()
    context.launch_configurations.update(given)
    lines = []
    for entity in description.entities:
        for inner in entity.visit(context) or ():
            if isinstance(inner, ExecuteProcess):
                words = [
                    ''.join(context.perform_substitution(part) for part in word)
                    for word in inner.process_description.cmd
                ]
                lines.append(words)
    return lines


def bringup() -> Path:
    return FILES[NAMES.index('bringup')]


def test_launch_declares_the_arguments_of_meta_repo_up(launching: Any) -> None:
    del launching
    declared = load(bringup()).get_launch_arguments()
    assert [(d.name, d.description) for d in declared] == [
        (a.name, a.description + (f' Valid choices are: {list(a.choices)}' if a.choices else ''))
        for a in ARGUMENTS
    ]
    for declaration, argument in zip(declared, ARGUMENTS, strict=True):
        assert ''.join(part.text for part in declaration.default_value) == argument.default
        assert tuple(declaration.choices or ()) == argument.choices


@pytest.mark.parametrize(
    'given', [{}, {'profile': 'hybrid', 'namespace': 'uav', 'respawn': 'false'}, {'vehicles': '2'}]
)
def test_launch_starts_the_command_lines_of_meta_repo_up(launching: Any, given: Any) -> None:
    del launching
    expected = [list(argv(process)) for process in system(given)]
    assert expand(load(bringup()), **given) == expected


@pytest.mark.parametrize('name', SUBSYSTEMS)
def test_every_subsystem_can_be_launched_alone(launching: Any, name: str) -> None:
    del launching
    given = {'bag': os.devnull} if name == 'replay' else {}
    lines = expand(load(FILES[NAMES.index(name)]), **given)
    chosen = None if name == 'replay' else [name]
    assert lines == [list(argv(process)) for process in system(given, chosen)]


def test_replay_must_be_given_a_bag(launching: Any) -> None:
    del launching
    declared = {d.name: d for d in load(FILES[NAMES.index('replay')]).get_launch_arguments()}
    assert declared['bag'].default_value is None


def test_what_an_including_launch_file_sets_is_honoured(launching: Any) -> None:
    from launch import LaunchContext  # noqa: PLC0415

    context = LaunchContext()
    context.launch_configurations.update(
        {
            'ros_namespace': '/fleet',
            'global_params': [('use_sim_time', True)],
            'ros_remaps': [('/tf', 'tf')],
        }
    )
    description = launching.subsystem('control')
    actions = [inner for e in description.entities for inner in e.visit(context) or ()]
    words = [
        ''.join(context.perform_substitution(part) for part in word)
        for word in actions[0].process_description.cmd
    ]
    assert '__ns:=/fleet' in words
    assert words[-4:] == ['-p', 'use_sim_time:=true', '-r', '/tf:=tf']
