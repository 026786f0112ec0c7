# SPDX-License-Identifier: Apache-2.0
"""The command line: every command explains itself, wrong use is answered with what is right."""

from __future__ import annotations

import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from meta_repo_ros.arguments import ARGUMENTS
from meta_repo_ros.cli import main
from meta_repo_ros.commands import up
from meta_repo_ros.commands._offline import with_aircraft
from meta_repo_ros.graph import argv, system

COMMANDS = main.list_commands(click.Context(main))


def invoke(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, arguments, prog_name='meta-repo')
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def test_the_commands_are_found_by_their_modules() -> None:
    assert {'up', 'doctor', 'validate-config'} <= set(COMMANDS)
    code, text = invoke('--help')
    assert code == 0
    assert all(name in text for name in COMMANDS)
    code, text = invoke('fly')
    assert code == 2
    assert "No such command 'fly'" in text
    assert invoke('--version')[0] == 0


@pytest.mark.parametrize('name', COMMANDS)
def test_every_command_explains_itself(name: str) -> None:
    code, text = invoke(name, '--help')
    assert code == 0
    assert text.startswith(f'Usage: meta-repo {name}')


def test_up_takes_every_argument_of_the_graph() -> None:
    options = {option.name: option for option in up.command.params}
    for argument in ARGUMENTS:
        option = options[argument.name]
        assert isinstance(option, click.Option)
        assert option.opts == [f'--{argument.name.replace("_", "-")}']
        assert option.help == argument.description
        assert (option.default or '') == argument.default
        if argument.choices:
            assert isinstance(option.type, click.Choice)
            assert tuple(option.type.choices) == argument.choices


def test_up_takes_options_and_assignments_alike() -> None:
    wanted = {'profile': 'modular', 'record': 'true', 'namespace': 'uav'}
    expected = [f'{p.name}: {shlex.join(argv(p))}' for p in system(wanted)]
    _, options = invoke('up', '--dry-run', '--profile', 'modular', '--namespace', 'uav', '--record')
    _, assignments = invoke('up', '--dry-run', *(f'{k}:={v}' for k, v in wanted.items()))
    assert options.splitlines() == assignments.splitlines() == expected


@pytest.mark.parametrize(
    ('arguments', 'reason'),
    [
        (['profil:=full'], "did you mean 'profile'"),
        (['full'], "'full' is neither an option nor name:=value"),
        (['--profile', 'small'], "'small' is not one of"),
        (['--vehicles', '0'], 'vehicles: must be a number from 1 to 100'),
        (['--bag', '/nowhere'], 'bag: /nowhere does not exist'),
    ],
)
def test_up_refuses_bad_arguments_with_the_reason(arguments: list[str], reason: str) -> None:
    code, text = invoke('up', '--dry-run', *arguments)
    assert code == 2
    assert reason in text


def test_a_bad_domain_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('ROS_DOMAIN_ID', '300')
    code, text = invoke('up', '--dry-run')
    assert code == 1
    assert 'ROS_DOMAIN_ID must be a number from 0 to 232' in text
    code, text = invoke('doctor', '--json')
    assert code == 2
    assert 'ROS_DOMAIN_ID' in text


def test_a_replay_takes_the_rotorcraft_that_the_bag_names(tmp_path: Path) -> None:
    own = tmp_path / 'own.yaml'
    own.write_text('/**/vortex_shield: {ros__parameters: {vehicle: {name: f450}}}\n')
    bag = {'aircraft': 'ah1s'}
    given = {'vortex_shield': {'strict': False}}
    found = with_aircraft(bag, (), given)
    assert found == {'vortex_shield': {'vehicle.name': 'ah1s', 'strict': False}}
    assert with_aircraft(bag, [own], given) == given, 'the user knows better'
    assert with_aircraft({'aircraft': 'c172'}, (), {}) == with_aircraft({}, (), {}) == {}
