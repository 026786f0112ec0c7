# SPDX-License-Identifier: Apache-2.0
"""Checks parameter files against the declared parameters, with file and line.

Values are read as ``rcl_yaml_param_parser`` reads them, which is not quite YAML: ``1e-3`` is a
number there, and the elements of a list must be of one type.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from meta_repo_ros.core.parameters import (
    ParameterError,
    ParameterSpec,
    describe,
    from_mapping,
    warnings_of,
)

_KEY = 'ros__parameters'
_TRUE = frozenset({'Y', 'y', 'yes', 'Yes', 'YES', 'true', 'True', 'TRUE', 'on', 'On', 'ON'})
_FALSE = frozenset({'N', 'n', 'no', 'No', 'NO', 'false', 'False', 'FALSE', 'off', 'Off', 'OFF'})
_EVERY_NODE: Mapping[str, ParameterSpec] = {
    name: ParameterSpec(
        name, bool, is_array=False, default=False, description='', unit='', minimum=None,
        maximum=None, choices=(), read_only=False, size=None,
    )
    for name in ('use_sim_time', 'start_parameter_services', 'start_type_description_service')
}  # fmt: skip
_INTEGER = re.compile(r'[-+]?(0|[1-9][0-9]*)')
_FLOAT = re.compile(
    r'[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?|[-+]?\.?(nan|inf)', re.IGNORECASE
)
_FREE = 'qos_overrides.'
"""Names that begin so are declared by rclpy as topics are made."""


@dataclass(frozen=True, order=True)
class Problem:
    """What is wrong in a file, where, and what would be right; a warning: a node runs with it."""

    path: Path
    line: int
    reason: str
    warning: bool = False

    def __str__(self) -> str:
        reason = f'warning: {self.reason}' if self.warning else self.reason
        return f'{self.path}:{self.line}: {reason}' if self.line else f'{self.path}: {reason}'


@dataclass(frozen=True)
class Given:
    """A value that a file gives; ``names`` are the keys of its mappings joined by dots."""

    value: Any
    line: int


class _Reader:
    """Walks one composed file and collects problems."""

    def __init__(self, path: Path, nodes: Mapping[str, type]) -> None:
        self.path = path
        self.nodes = nodes
        self.specs = {name: describe(cls) for name, cls in nodes.items()}
        self.problems: list[Problem] = []

    def problem(self, mark: Any, reason: str) -> None:
        line = mark if isinstance(mark, int) else mark.line + 1
        self.problems.append(Problem(self.path, line, reason))

    def read(self, text: str) -> None:
        try:
            for event in yaml.parse(text, Loader=yaml.SafeLoader):
                if isinstance(event, yaml.AliasEvent):
                    self.problem(event.start_mark, 'ROS 2 takes no aliases (*name)')
            documents = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            self.problem(mark or 0, f'is no YAML: {error.problem or error.context}')
            return
        except yaml.YAMLError as error:
            self.problem(0, f'is no YAML: {error}')
            return
        if not documents or documents[0] is None:
            self.problem(0, 'is empty')
        elif len(documents) > 1:
            self.problem(documents[1].start_mark, 'a parameter file holds one document')
        else:
            self.sections(documents[0], '', 1)

    def sections(self, node: Any, name: str, line: int) -> None:
        """Namespaces and node names, down to ``ros__parameters``."""
        if not isinstance(node, yaml.MappingNode):
            what = f'{name!r} holds' if name else 'the file holds'
            self.problem(node.start_mark, f'{what} no {_KEY}: expected NODE: {_KEY}: ...')
            return
        for key, value in self.items(node):
            if key.value != _KEY:
                below = f'{name}/{key.value.strip("/")}'
                self.sections(value, below, key.start_mark.line + 1)
            elif not name:
                self.problem(key.start_mark, f'{_KEY} stands under no node name')
            elif not isinstance(value, yaml.MappingNode):
                self.problem(value.start_mark, f'{_KEY} of {name} holds no parameters')
            else:
                self.section(name, line, dict(self.values(value, '')))

    def section(self, name: str, line: int, given: Mapping[str, Given]) -> None:
        """Parameters of one node, or of all where the name is a wildcard."""
        node = name.rpartition('/')[2]
        if set(node) == {'*'}:
            for key, item in given.items():
                self.shared(key, item)
        elif node not in self.specs:
            hint = _suggestion(node, self.specs, 'there are')
            self.problem(line, f'unknown node {node!r}; {hint}')
        else:
            self.own(node, line, given)

    def shared(self, key: str, item: Given) -> None:
        """A parameter under ``/**``: right if it is for any node."""
        reasons = [_check(specs, key, item.value) for specs in self.specs.values()]
        if not all(reasons):
            return
        known = {name: spec for specs in self.specs.values() for name, spec in specs.items()}
        self.problem(item.line, _check(known, key, item.value))

    def own(self, node: str, line: int, given: Mapping[str, Given]) -> None:
        specs = self.specs[node]
        sound = True
        for key, item in given.items():
            reason = _check(specs, key, item.value)
            if reason:
                sound = False
                self.problem(item.line, f'{node}: {reason}')
        values = {key: item.value for key, item in given.items() if key in specs}
        for key, spec in specs.items():
            if spec.required and key not in values:
                sound = False
                self.problem(line, f'{node}: {key}: missing; a {spec.type_name} must be given')
        if sound:
            try:
                taken: Any = from_mapping(self.nodes[node], values)
            except ParameterError as error:
                self.problem(line, f'{node}: {error}')
                return
            for warning in warnings_of(taken):
                at = given[warning.key].line if warning.key in given else line
                self.problems.append(Problem(self.path, at, f'{node}: {warning}', warning=True))

    def values(self, node: Any, prefix: str) -> Iterator[tuple[str, Given]]:
        """Dotted names and values below ``ros__parameters``."""
        seen: dict[str, int] = {}
        for key, value in self.items(node):
            name, line = prefix + key.value, key.start_mark.line + 1
            if isinstance(value, yaml.MappingNode):
                inner = list(self.values(value, name + '.'))
            else:
                inner = self.leaf(name, line, value)
            for dotted, item in inner:
                if dotted in seen:
                    reason = f'{dotted}: given twice, first in line {seen[dotted]}'
                    self.problem(item.line, reason)
                seen[dotted] = item.line
                yield dotted, item

    def leaf(self, name: str, line: int, node: Any) -> list[tuple[str, Given]]:
        if isinstance(node, yaml.ScalarNode):
            value = _scalar(node)
            if value is None:
                self.problem(line, f'{name}: has no value')
                return []
            return [(name, Given(value, line))]
        elements = []
        for child in node.value:
            value = _scalar(child) if isinstance(child, yaml.ScalarNode) else None
            if value is None:
                self.problem(child.start_mark, f'{name}: a list holds plain values only')
                return []
            elements.append(value)
        types = sorted({type(element).__name__ for element in elements})
        if len(types) > 1:
            hint = '; write 2.0, not 2, among floats' if types == ['float', 'int'] else ''
            self.problem(
                line, f'{name}: elements must be of one type, not {", ".join(types)}{hint}'
            )
            return []
        return [(name, Given(tuple(elements), line))]

    def items(self, node: Any) -> Iterator[tuple[Any, Any]]:
        """Keys and values of a mapping; a key that comes again is a problem."""
        seen: dict[str, int] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self.problem(key.start_mark, 'a key must be a name')
                continue
            line = key.start_mark.line + 1
            if key.value in seen:
                self.problem(line, f'{key.value}: given twice, first in line {seen[key.value]}')
                continue
            seen[key.value] = line
            yield key, value


def check_text(text: str, path: Path, nodes: Mapping[str, type]) -> list[Problem]:
    """As :func:`check_file`, of text that stands for the file ``path``."""
    reader = _Reader(path, nodes)
    reader.read(text)
    return sorted(set(reader.problems))


def check_file(path: Path, nodes: Mapping[str, type]) -> list[Problem]:
    """Everything that is wrong in a parameter file.

    Args:
        path: the file.
        nodes: parameter dataclasses by node name.
    """
    try:
        text = path.read_text(encoding='utf-8')
    except OSError as error:
        return [Problem(path, 0, f'cannot be read: {error.strerror}')]
    except UnicodeDecodeError as error:
        return [Problem(path, 0, f'is no text: {error.reason} at byte {error.start}')]
    return check_text(text, path, nodes)


def _check(specs: Mapping[str, ParameterSpec], key: str, value: Any) -> str:
    """What is wrong with one parameter, '' for nothing."""
    spec = specs.get(key) or _EVERY_NODE.get(key)
    if spec is None:
        if key.startswith(_FREE):
            return ''
        near = difflib.get_close_matches(key, (*specs, *_EVERY_NODE), n=1)
        return f'{key}: unknown parameter' + (f'; did you mean {near[0]!r}?' if near else '')
    try:
        spec.check(value)
    except ParameterError as error:
        return str(error)
    return ''


def _scalar(node: Any) -> bool | int | float | str | None:
    """The value of a scalar as rcl's parser takes it; None for an empty one."""
    text: str = node.value
    if node.style is not None:  # quoted, or a block of text
        return text
    if text in ('', '~', 'null', 'Null', 'NULL'):
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    return _number(text)


def _number(text: str) -> int | float | str:
    for kind, pattern in ((int, _INTEGER), (float, _FLOAT)):
        if pattern.fullmatch(text):
            return kind(text.lower().replace('.nan', 'nan').replace('.inf', 'inf'))
    return text


def _suggestion(name: str, known: Mapping[str, Any], otherwise: str) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f'did you mean {near[0]!r}?' if near else f'{otherwise} {", ".join(known)}'
