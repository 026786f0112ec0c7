# SPDX-License-Identifier: Apache-2.0
"""The rules of docs/architecture.md that a machine can check, read from the imports."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / 'meta_repo_ros'
MODULES = sorted(PACKAGE.rglob('*.py'))

# Which room may import which; what stands at the top level is a room of one module.
ARROWS = {
    'core': set(),
    'control': {'core'},
    'fusion': {'core'},
    'starnav': {'core'},
    'vortex_shield': {'core', 'control'},
    'simulation': {'core', 'control', 'starnav'},
    'replay': {'core'},
    'reporting': {'core', 'replay'},
    'visualization': {'core'},
    'arguments': set(),
    'environment': {'core'},
    'graph_nodes': set(),
    'graph': {'core', 'arguments', 'graph_nodes'},
    'ros': {
        *('core', 'control', 'fusion', 'graph', 'replay', 'reporting', 'simulation'),
        *('starnav', 'visualization', 'vortex_shield'),
    },
    'run': {'graph', 'arguments', 'environment'},
    'run_background': {'graph', 'run'},
    'launching': {'graph', 'arguments', 'environment'},
}
ROS = ('rclpy', 'launch', 'launch_ros')
MAY_IMPORT_ROS = ('ros', 'commands', 'launching.py')
# Inside these rooms only the named places may know a message type.
MESSAGES_IN = {
    'core': (),
    'control': ('processor',),
    'fusion': ('processor', 'navigation_input'),
    'simulation': ('sensors', 'processor', 'messages', 'sky_camera'),
    'starnav': ('processor', 'messages'),
    'vortex_shield': ('processor', 'messages', 'markers'),
    'visualization': ('processor',),
    'graph': (),
    'arguments': (),
}
CLOCKS = ('time.time', 'time.monotonic', 'time.perf_counter', 'time.sleep', 'datetime.now')
IO_MODULES = ('time', 'threading', 'socket', 'asyncio', 'multiprocessing', 'subprocess', 'random')
LONGEST = 450


def place(path: Path) -> str:
    """For messages: where in the package a module lies."""
    return path.relative_to(PACKAGE).as_posix()


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix('.py')


@functools.cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding='utf-8'))


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == 'TYPE_CHECKING'


def walk(node: ast.AST) -> Iterator[ast.AST]:
    """What runs: everything except blocks under TYPE_CHECKING."""
    yield node
    if not is_type_checking(node):
        for child in ast.iter_child_nodes(node):
            yield from walk(child)


@functools.cache
def imports(path: Path) -> frozenset[str]:
    """Full names of the modules and names that a module imports when it runs."""
    result = set()
    for node in walk(tree(path)):
        if isinstance(node, ast.Import):
            result |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f'{place(path)}:{node.lineno}: a relative import'
            result |= {f'{node.module}.{alias.name}' for alias in node.names}
    return frozenset(result)


def is_message(name: str) -> bool:
    parts = name.split('.')
    own = parts[0] == PACKAGE.name and parts[1:2] in (['msg'], ['srv'], ['action'])
    return own or parts[0].endswith(('_msgs', '_srvs', '_interfaces'))


def top(names: frozenset[str]) -> set[str]:
    return {name.split('.')[0] for name in names}


def arrows(path: Path) -> Iterator[str]:
    """Arrows point one way; commands and the command line use everything."""
    own = room(path)
    if own not in ('__init__', 'cli', 'commands'):
        own_package = f'{PACKAGE.name}.'
        targets = {name.split('.')[1] for name in imports(path) if name.startswith(own_package)}
        for target in targets - ARROWS.get(own, set()) - {own, 'msg', 'srv', 'action'}:
            yield f'{own} may not import {target}'


def ros_only_on_the_live_side(path: Path) -> Iterator[str]:
    if not place(path).startswith(MAY_IMPORT_ROS):
        yield from top(imports(path)) & set(ROS)


def mathematics_knows_no_messages(path: Path) -> Iterator[str]:
    allowed = MESSAGES_IN.get(room(path))
    if allowed is not None and not any(name in place(path) for name in allowed):
        yield from filter(is_message, imports(path))


def no_clock_thread_or_socket(path: Path) -> Iterator[str]:
    if room(path) in ('core', 'control', 'fusion', 'simulation'):
        yield from top(imports(path)) & set(IO_MODULES)
        for node in walk(tree(path)):
            if isinstance(node, ast.Attribute) and ast.unparse(node).endswith(CLOCKS):
                yield f'line {node.lineno}: {ast.unparse(node)}'


def random_numbers_are_seeded(path: Path) -> Iterator[str]:
    for node in walk(tree(path)):
        if isinstance(node, ast.Call) and 'np.random.' in ast.unparse(node.func):
            constructor = ast.unparse(node.func).rsplit('.', 1)[1]
            seeded = node.args or node.keywords
            if not seeded or constructor not in ('default_rng', 'SeedSequence', 'Generator'):
                yield f'line {node.lineno}: {ast.unparse(node)}'


def files_can_be_read_in_one_sitting(path: Path) -> Iterator[str]:
    lines = len(path.read_text(encoding='utf-8').splitlines())
    if lines > LONGEST:
        yield f'{lines} lines: find the seam'


RULES = (
    arrows,
    ros_only_on_the_live_side,
    mathematics_knows_no_messages,
    no_clock_thread_or_socket,
    random_numbers_are_seeded,
    files_can_be_read_in_one_sitting,
)


@pytest.mark.parametrize('rule', RULES, ids=lambda rule: rule.__name__)
def test_rule(rule: Callable[[Path], Iterator[str]]) -> None:
    assert MODULES
    faults = [f'{place(path)}: {fault}' for path in MODULES for fault in sorted(rule(path))]
    assert not faults, '\n'.join(faults)


def test_every_room_is_in_the_table_and_says_what_it_is_for() -> None:
    rooms = {room(path) for path in MODULES} - {'__init__', 'cli', 'commands'}
    assert rooms <= set(ARROWS), 'add the new room to the table of allowed arrows'
    for path in PACKAGE.glob('*/__init__.py'):
        assert ast.get_docstring(tree(path)), f'{place(path)} has no docstring'


def test_commands_import_ros_only_when_they_run() -> None:
    program = (
        'import sys; from meta_repo_ros.cli import main; context = main.make_context("x", ["up"]);'
        'names = main.list_commands(context); assert names, names;'
        'commands = [main.get_command(context, name) for name in names]; assert all(commands);'
        'sys.exit("rclpy" in sys.modules)'
    )
    assert subprocess.run([sys.executable, '-c', program], check=False).returncode == 0


def test_generated_interfaces_are_not_hidden() -> None:
    for name in ('msg', 'srv', 'action'):
        assert not (PACKAGE / name).exists()
        assert not (PACKAGE / f'{name}.py').exists()


@pytest.mark.parametrize(
    ('rule', 'where', 'text'),
    [
        (arrows, 'core/a.py', 'from meta_repo_ros.fusion import gates'),
        (arrows, 'fusion/a.py', 'import meta_repo_ros.simulation.simulator'),
        (ros_only_on_the_live_side, 'replay/a.py', 'def f():\n    import rclpy.node'),
        (mathematics_knows_no_messages, 'fusion/a.py', 'from sensor_msgs.msg import Imu'),
        (mathematics_knows_no_messages, 'core/a.py', 'from meta_repo_ros.msg import Setpoint'),
        (no_clock_thread_or_socket, 'fusion/a.py', 'import time'),
        (no_clock_thread_or_socket, 'control/a.py', 'x = datetime.datetime.now()'),
        (random_numbers_are_seeded, 'core/a.py', 'x = np.random.normal(0.0, 1.0)'),
        (random_numbers_are_seeded, 'core/a.py', 'x = np.random.default_rng()'),
        (files_can_be_read_in_one_sitting, 'core/a.py', '\n' * 500),
    ],
)
def test_rule_finds_a_breach(
    rule: Callable[[Path], Iterator[str]],
    where: str,
    text: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys.modules[__name__], 'PACKAGE', tmp_path / PACKAGE.name)
    path = tmp_path / PACKAGE.name / where
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert list(rule(path))
