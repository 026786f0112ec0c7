# SPDX-License-Identifier: Apache-2.0
"""Every mistake in a parameter file is found, with its line; what ROS takes is taken."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import rclpy
import yaml
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from rclpy.context import Context
from rclpy.node import Node

from meta_repo_ros.commands import validate_config
from meta_repo_ros.core import parameter_files
from meta_repo_ros.core.parameter_files import Given, Problem, check_file, check_text
from meta_repo_ros.core.parameter_tables import tables
from meta_repo_ros.core.parameters import group, parameter
from meta_repo_ros.graph import NODES, node_class

FILE = Path('file.yaml')
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Detection:
    sensitivity: float = parameter(0.8, 'How sensitive.', minimum=0.0, maximum=1.0)


@dataclass(frozen=True)
class Detector:
    frame: str = parameter(description='Which frame.')
    rate: float = parameter(50.0, 'How often.', unit='Hz', minimum=1.0, read_only=True)
    count: int = parameter(3, 'How many | at once.', maximum=10)
    mode: str = parameter('slow', 'How.', choices=('slow', 'fast'))
    gains: tuple[float, ...] = parameter((1.0, 2.0, 3.0), 'Gains.', size=3)
    detection: Detection = group(Detection)

    def __post_init__(self) -> None:
        if self.mode == 'fast' and self.rate < 10.0:
            raise ValueError('mode fast needs a rate of at least 10')


@dataclass(frozen=True)
class Other:
    own: bool = parameter(True, 'Its own.')


CLASSES = {'detector': Detector, 'other': Other}
GOOD = """\
/**/detector:
  ros__parameters:
    frame: odom
    rate: 20
    detection:
      sensitivity: 1e-3
"""


def problems(text: str) -> list[str]:
    return [f'{p.line}: {p.reason}' for p in check_text(text, FILE, CLASSES)]


def test_what_is_right_is_right_in_every_form_of_name() -> None:
    assert problems(GOOD) == []
    for name in ('detector', '/detector', '/uav1/detector', '/*/detector', 'uav1/detector'):
        assert problems(GOOD.replace('/**/detector', name)) == []
    nested = 'uav1:\n  detector:\n    ros__parameters: {frame: odom, use_sim_time: true}\n'
    assert problems(nested) == []
    assert problems('/**:\n  ros__parameters:\n    own: false\n    rate: 2.0\n') == []
    quality = '    qos_overrides./odometry.publisher.depth: 5\n'
    assert problems(GOOD + quality) == []


@pytest.mark.parametrize(
    ('line', 'reason'),
    [
        ('sensitivty: 0.5', "sensitivty: unknown parameter; did you mean 'detection.sensitivity'?"),
        ('count: 2.0', 'count: expected int, got 2.0 (float)'),
        ('count: "2"', "count: expected int, got '2' (str)"),
        ('count: 11', 'count: must be at most 10, got 11'),
        ('rate: .nan', 'rate: must be finite, got nan'),
        ('rate: -.inf', 'rate: must be finite, got -inf'),
        ('rate: 0.5', 'rate: must be at least 1.0, got 0.5'),
        ('rate:', 'rate: has no value'),
        ('mode: quick', "mode: must be one of slow, fast; got 'quick'"),
        ('mode: yes', 'mode: expected str, got True (bool)'),
        ('gains: [1.0, 2.0]', 'gains: expected 3 elements, got 2'),
        ('gains: [1.0, 2, 3.0]', 'gains: elements must be of one type, not float, int'),
        ('gains: [[1.0], 2.0, 3.0]', 'gains: a list holds plain values only'),
        ('detection.sensitivity: 2.0', 'detection.sensitivity: must be at most 1.0, got 2.0'),
        ('frame: base', 'frame: given twice, first in line 3'),
        ('use_sim_time: 1', 'use_sim_time: expected bool, got 1 (int)'),
    ],
)
def test_a_wrong_value_is_found_in_its_line(line: str, reason: str) -> None:
    text = f'/**/detector:\n  ros__parameters:\n    frame: odom\n    {line}\n'
    (found,) = problems(text)
    assert found.startswith('4: ')
    assert reason in found


def test_all_mistakes_of_a_file_are_reported_at_once() -> None:
    text = GOOD.replace('odom', '7').replace('20', 'many') + 'detectr:\n  ros__parameters: {a: 1}\n'
    assert problems(text) == [
        '3: detector: frame: expected str, got 7 (int)',
        "4: detector: rate: expected float, got 'many' (str)",
        "7: unknown node 'detectr'; did you mean 'detector'?",
    ]


def test_a_missing_parameter_and_a_wrong_combination_are_found() -> None:
    text = '/**/detector:\n  ros__parameters:\n    mode: slow\n'
    assert problems(text) == ['1: detector: frame: missing; a str must be given']
    combined = GOOD.replace('20', '2') + '    mode: fast\n'
    assert problems(combined) == ['1: detector: mode fast needs a rate of at least 10']


@pytest.mark.parametrize(
    ('text', 'reason'),
    [
        ('', '0: is empty'),
        ('a: [1\n', 'is no YAML'),
        ('a:\n\tb: 1\n', '2: is no YAML'),
        ('just text', '1: the file holds no ros__parameters'),
        ('detector: 5\n', "1: '/detector' holds no ros__parameters"),
        ('ros__parameters: {a: 1}\n', '1: ros__parameters stands under no node name'),
        (
            'detector:\n  ros__parameters: 5\n',
            '2: ros__parameters of /detector holds no parameters',
        ),
        ('detector:\n  ros__parameters: {frame: &a b, mode: *a}\n', '2: ROS 2 takes no aliases'),
        ('/**:\n  ros__parameters: {nobody: 1}\n', '2: nobody: unknown parameter'),
        (GOOD + GOOD, '7: /**/detector: given twice, first in line 1'),
        (GOOD + '    detection.sensitivity: 0.1\n', 'detection.sensitivity: given twice'),
        (GOOD + '---\n' + GOOD, '8: a parameter file holds one document'),
    ],
)
def test_what_is_no_parameter_file_is_refused(text: str, reason: str) -> None:
    assert reason in '\n'.join(problems(text))


def test_files_that_cannot_be_read_are_problems(tmp_path: Path) -> None:
    assert 'cannot be read' in check_file(tmp_path / 'absent.yaml', CLASSES)[0].reason
    (tmp_path / 'binary.yaml').write_bytes(b'\xff\xfe\x00')
    assert 'is no text' in check_file(tmp_path / 'binary.yaml', CLASSES)[0].reason
    assert str(Problem(FILE, 3, 'is wrong')) == 'file.yaml:3: is wrong'


@given(st.text(max_size=60))
def test_no_text_crashes_the_check(text: str) -> None:
    check_text(text, FILE, CLASSES)
    check_text(f'detector:\n  ros__parameters:\n    {text}', FILE, CLASSES)


def test_values_are_read_as_rcl_reads_them(tmp_path: Path) -> None:
    texts = [
        '1e-3', '5', '-7', '0', '5.', '.5', '-.5E2', '+3.0', 'on', 'No', 'Y', 'TRUE', 'tRUE', '"5"',
        "'on'", 'abc', '1_0', '1.0.0', '5 6', '1e', '.inf', '-.INF', '.nan', '12abc', 'e5',
    ]  # fmt: skip
    file = tmp_path / 'file.yaml'
    lines = [f'    v{number}: {text}\n' for number, text in enumerate(texts)]
    file.write_text('/**:\n  ros__parameters:\n' + ''.join(lines))
    context = Context()
    rclpy.init(context=context)
    node = Node(
        'reader',
        context=context,
        cli_args=['--ros-args', '--params-file', str(file)],
        use_global_arguments=False,
        automatically_declare_parameters_from_overrides=True,
    )
    try:
        for number, text in enumerate(texts):
            value = node.get_parameter(f'v{number}').value
            (item,) = dict(_read(f'v: {text}')).values()
            assert (type(item.value), repr(item.value)) == (type(value), repr(value)), text
    finally:
        node.destroy_node()
        rclpy.try_shutdown(context=context)


def _read(text: str) -> list[tuple[str, Given]]:
    reader = parameter_files._Reader(FILE, {})
    return list(reader.values(yaml.compose(text, Loader=yaml.SafeLoader), ''))


def test_the_shipped_configuration_is_sound() -> None:
    result = CliRunner().invoke(validate_config.command, [])
    assert result.exit_code == 0, result.output
    assert ', 0 problems' in result.output


def test_the_command_names_file_line_and_reason(tmp_path: Path) -> None:
    (tmp_path / 'scenarios').mkdir()
    (tmp_path / 'scenarios' / 'bad.yaml').write_text('name: bad\naircraft: zeppelin\n')
    (tmp_path / 'bad.yaml').write_text('track_visualizer:\n  ros__parameters:\n    intervl: 1.0\n')
    result = CliRunner().invoke(validate_config.command, [str(tmp_path)])
    assert result.exit_code == 1
    assert f'{tmp_path}/bad.yaml:3: track_visualizer: intervl: unknown parameter' in result.output
    assert f'{tmp_path}/scenarios/bad.yaml' in result.output
    empty = tmp_path / 'empty'
    empty.mkdir()
    assert 'no .yaml file' in CliRunner().invoke(validate_config.command, [str(empty)]).output


def test_the_tables_show_every_parameter() -> None:
    text = tables(CLASSES)
    assert '| `rate` | float | `50.0` | Hz | at least 1 | How often. *Fixed.* |' in text
    assert '| `count` | int | `3` |  | at most 10 | How many \\| at once. |' in text
    assert '| `frame` | str | **must be given** |' in text
    assert '| `gains` | float[3] | `[1.0, 2.0, 3.0]` |' in text
    assert '| `detection.sensitivity` | float | `0.8` |  | 0 to 1 |' in text


def test_the_tables_in_the_documents_are_current() -> None:
    nodes = {name: node_class(name).Parameters for name in NODES}
    written = (ROOT / 'docs' / 'parameters.md').read_text(encoding='utf-8')
    assert written == tables(nodes), 'run: meta-repo validate-config --tables > docs/parameters.md'
