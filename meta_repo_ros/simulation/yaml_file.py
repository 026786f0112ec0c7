# SPDX-License-Identifier: Apache-2.0
"""YAML with the line of every value, for errors that say where."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

Key = tuple[str | int, ...]


class ScenarioError(ValueError):
    """A scenario that cannot be flown.

    Attributes:
        path: the file.
        line: where in it, 0 where no line can be named.
        reason: what is wrong and what would be right.
    """

    def __init__(self, path: Path | str, line: int, reason: str) -> None:
        place = f'{path}:{line}' if line else str(path)
        super().__init__(f'{place}: {reason}')
        self.path, self.line, self.reason = path, line, reason


class Document:
    """A loaded file.

    Attributes:
        path: the file.
        value: plain Python values.
    """

    def __init__(self, path: Path, value: Any, lines: Mapping[Key, int]) -> None:
        self.path, self.value, self._lines = path, value, lines

    def line(self, key: Key) -> int:
        """Line of the value at ``key``, or of the nearest part of the file that holds it."""
        while key and key not in self._lines:
            key = key[:-1]
        return self._lines.get(key, 0)

    def error(self, key: Key, reason: str) -> ScenarioError:
        """An error about the value at ``key``."""
        name = '.'.join(str(part) for part in key)
        return ScenarioError(self.path, self.line(key), f'{name}: {reason}' if name else reason)


def load(path: Path) -> Document:
    """Read a YAML file.

    Raises:
        ScenarioError: the file cannot be read, is no YAML, or has a key twice.
    """
    try:
        text = path.read_text(encoding='utf-8')
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, 'strerror', None) or str(error)
        raise ScenarioError(path, 0, f'cannot be read: {reason}') from error
    lines: dict[Key, int] = {}
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, 'problem_mark', None)
        problem = getattr(error, 'problem', None) or 'is not YAML'
        raise ScenarioError(path, mark.line + 1 if mark else 0, problem) from error
    if node is not None:
        _collect(path, node, (), lines)
    return Document(path, value, lines)


def _collect(path: Path, node: yaml.Node, key: Key, lines: dict[Key, int]) -> None:
    lines.setdefault(key, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            inner = (*key, str(name.value))
            if inner in lines:
                raise ScenarioError(
                    path, name.start_mark.line + 1, f'{name.value!r} is given twice'
                )
            lines[inner] = name.start_mark.line + 1
            _collect(path, value, inner, lines)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _collect(path, value, (*key, index), lines)
