# SPDX-License-Identifier: Apache-2.0
"""Makes messages quickly, for those that are sent hundreds of times a second."""

from __future__ import annotations

import copy
import functools
from typing import Any, Generic, TypeVar

M = TypeVar('M')


class Template(Generic[M]):
    """Makes ``rosidl`` messages in about a fifth of the time that constructor and setters take.

    Generated constructors import the types of all their fields at every call, and make values that
    are then replaced. Here a function is compiled once that does just what is needed, as
    :mod:`dataclasses` does for its constructors.

    Args:
        prototype: what is constant in each message; sequences in it must be of plain values.
        names: dotted names of the fields that differ, such as ``pose.pose.position.x``.

    Raises:
        ValueError: no such field, or one that holds a message.
    """

    def __init__(self, prototype: M, *names: str) -> None:
        self._names: dict[str, str] = {name: f'v{i}' for i, name in enumerate(names)}
        self._used: dict[str, Any] = {'new': object.__new__}
        self._lines: list[str] = []
        missing = set(names)
        root = self._take(prototype, '', missing)
        if missing:
            raise ValueError(f'no plain field {min(missing)} in {type(prototype).__name__}')
        body = '\n '.join([*self._lines, f'return {root}'])
        # the text is made of names of generated classes alone
        exec(f'def make({", ".join(self._names.values())}):\n {body}', self._used)  # noqa: S102
        self._make = self._used['make']

    def __call__(self, *values: Any) -> M:
        """A new message with these values for ``names``, in order.

        They are taken as they are: numbers of the field's type, arrays of its dtype and size that
        belong to this message alone.
        """
        message: M = self._make(*values)
        return message

    def _take(self, message: Any, prefix: str, missing: set[str]) -> str:
        """Append what makes ``message``; the name of its variable."""
        variable = f'm{len(self._used)}'
        self._used[f'c_{variable}'] = type(message)
        self._lines.append(f'{variable} = new(c_{variable})')
        # where ROS was told to check fields, the setters do that
        checked = getattr(message, '_check_fields', False)
        for slot in sorted(type(message).__slots__, key=lambda name: name != '_check_fields'):
            name = slot.removeprefix('_')
            value = getattr(message, slot)
            target = f'{variable}.{name if checked and slot != "_check_fields" else slot}'
            if prefix + name in missing and not hasattr(value, '__slots__'):
                missing.discard(prefix + name)
                self._lines.append(f'{target} = {self._names[prefix + name]}')
            elif hasattr(value, 'get_fields_and_field_types'):
                inner = self._take(value, f'{prefix}{name}.', missing)
                self._lines.append(f'{target} = {inner}')
            else:
                self._lines.append(f'{target} = {self._constant(value)}')
        return variable

    def _constant(self, value: Any) -> str:
        """Expression for a value that is the same in all messages."""
        name = f'k{len(self._used)}'
        if isinstance(value, bool | int | float | str | bytes):
            self._used[name] = value
            return name
        self._used[name] = functools.partial(copy.copy, copy.copy(value))
        return f'{name}()'
