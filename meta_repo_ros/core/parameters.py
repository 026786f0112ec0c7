# SPDX-License-Identifier: Apache-2.0
"""Parameters as frozen dataclasses: description, unit, range, read-only mark; checked as a whole.

A nested dataclass gives dotted names (``detection.sensitivity``), as ROS parameters have them.
A dataclass with a method ``warnings() -> tuple[ParameterWarning, ...]`` says there what it takes
although it cannot hold.
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, dataclass
from typing import Any, NamedTuple, TypeVar

Value = bool | int | float | str | tuple[Any, ...]
T = TypeVar('T')
_KEY = 'meta_repo_ros.parameter'
_SCALARS = (bool, int, float, str)


class ParameterError(ValueError):
    """A parameter set that cannot be taken.

    Attributes:
        key: dotted name of the offending parameter, '' where the combination offends.
        reason: what is wrong and what would be right.
    """

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f'{key}: {reason}' if key else reason)
        self.key = key
        self.reason = reason


class ParameterWarning(NamedTuple):
    """What a parameter asks for and cannot have; ``reason`` says what is done instead."""

    key: str
    reason: str

    def __str__(self) -> str:
        return f'{self.key}: {self.reason}'


@dataclass(frozen=True)
class ParameterSpec:
    """One declared parameter.

    Attributes:
        name: dotted name.
        type: bool, int, float or str; the element type for arrays.
        is_array: whether the value is a tuple of ``type``.
        default: default value, None where the parameter must be given.
        size: exact number of elements of an array, None for any.
    """

    name: str
    type: type
    is_array: bool
    default: Value | None
    description: str
    unit: str
    minimum: float | None
    maximum: float | None
    choices: tuple[Value, ...]
    read_only: bool
    size: int | None

    @property
    def required(self) -> bool:
        """Whether a parameter file must give this value."""
        return self.default is None

    @property
    def type_name(self) -> str:
        """Human name of the type, such as ``float`` or ``float[3]``."""
        if not self.is_array:
            return self.type.__name__
        return f'{self.type.__name__}[{"" if self.size is None else self.size}]'

    def check(self, value: Any) -> Value:
        """Return ``value`` in the declared type.

        Raises:
            ParameterError: wrong type, not finite, out of range, not among the choices.
        """
        if not self.is_array:
            return self._check_scalar(value)
        if isinstance(value, str) or not hasattr(value, '__iter__'):
            raise ParameterError(self.name, f'expected {self.type_name}, got {value!r}')
        elements = tuple(self._check_scalar(v) for v in value)
        if self.size is not None and len(elements) != self.size:
            raise ParameterError(self.name, f'expected {self.size} elements, got {len(elements)}')
        return elements

    def _check_scalar(self, value: Any) -> Value:
        if self.type is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if type(value) is not self.type:
            raise ParameterError(
                self.name, f'expected {self.type_name}, got {value!r} ({type(value).__name__})'
            )
        if isinstance(value, float) and not math.isfinite(value):
            raise ParameterError(self.name, f'must be finite, got {value}')
        if isinstance(value, int | float):
            if self.minimum is not None and value < self.minimum:
                raise ParameterError(self.name, f'must be at least {self.minimum}, got {value}')
            if self.maximum is not None and value > self.maximum:
                raise ParameterError(self.name, f'must be at most {self.maximum}, got {value}')
        if self.choices and value not in self.choices:
            allowed = ', '.join(map(str, self.choices))
            raise ParameterError(self.name, f'must be one of {allowed}; got {value!r}')
        return typing.cast('Value', value)


def parameter(
    default: Any = MISSING,
    description: str = '',
    *,
    unit: str = '',
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[Any, ...] = (),
    read_only: bool = False,
    size: int | None = None,
) -> Any:
    """Declare a dataclass field as a parameter; without ``default`` it must be given.

    Args:
        default: default value; arrays are tuples.
        description: one sentence, shown by ``ros2 param describe`` and in the tables of docs/.
        unit: SI unit, or the users' unit where the interface document has one.
        minimum: least allowed value (of each element).
        maximum: greatest allowed value (of each element).
        choices: the only allowed values.
        read_only: cannot change after configure.
        size: exact number of array elements.
    """
    meta = {
        'description': description, 'unit': unit, 'minimum': minimum, 'maximum': maximum,
        'choices': choices, 'read_only': read_only, 'size': size,
    }  # fmt: skip
    return dataclasses.field(default=default, metadata={_KEY: meta})


def group(cls: type) -> Any:
    """Declare a field that nests another parameter dataclass ``cls`` with its defaults."""
    return dataclasses.field(default_factory=cls)


def describe(cls: type, prefix: str = '') -> dict[str, ParameterSpec]:
    """All parameters of the dataclass ``cls`` by dotted name, in order of declaration."""
    hints = typing.get_type_hints(cls)
    specs: dict[str, ParameterSpec] = {}
    for item in dataclasses.fields(cls):
        hint, name = hints[item.name], prefix + item.name
        if dataclasses.is_dataclass(hint):
            specs.update(describe(typing.cast('type', hint), name + '.'))
            continue
        is_array = typing.get_origin(hint) is tuple
        kind = typing.get_args(hint)[0] if is_array else hint
        if kind not in _SCALARS or isinstance(hint, types.UnionType):
            raise TypeError(f'{cls.__name__}.{item.name}: {hint} cannot be a ROS parameter')
        default = None if item.default is MISSING else item.default
        specs[name] = ParameterSpec(name, kind, is_array, default, **item.metadata[_KEY])
    return specs


def from_mapping(cls: type[T], values: Mapping[str, Any]) -> T:
    """Build ``cls`` from dotted names; what is not given takes its default.

    Raises:
        ParameterError: unknown key, wrong type, out of range, missing, or a combination that the
            dataclass's ``__post_init__`` refuses with ValueError.
    """
    specs = describe(cls)
    for key in values:
        if key not in specs:
            near = difflib.get_close_matches(key, specs, n=1)
            hint = f'; did you mean {near[0]!r}?' if near else ''
            raise ParameterError(key, f'unknown parameter{hint}')
    checked: dict[str, Value] = {}
    for name, spec in specs.items():
        if name in values:
            checked[name] = spec.check(values[name])
        elif spec.required:
            raise ParameterError(name, f'missing; a {spec.type_name} must be given')
    return _build(cls, checked, '')


def to_mapping(instance: Any) -> dict[str, Value]:
    """Dotted names and values of a parameter dataclass instance."""
    result: dict[str, Value] = {}
    for item in dataclasses.fields(instance):
        value = getattr(instance, item.name)
        if dataclasses.is_dataclass(value):
            result.update({f'{item.name}.{k}': v for k, v in to_mapping(value).items()})
        else:
            result[item.name] = value
    return result


def warnings_of(instance: Any) -> tuple[ParameterWarning, ...]:
    """What a checked parameter dataclass takes although it cannot hold."""
    method = getattr(instance, 'warnings', None)
    return tuple(method()) if callable(method) else ()


def parameter_hash(instance: Any) -> str:
    """First 16 hex digits of the SHA-256 of all names and values, sorted."""
    text = json.dumps(to_mapping(instance), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def updated(instance: T, changes: Mapping[str, Any]) -> T:
    """A copy of ``instance`` with ``changes`` (dotted names) applied and checked as one set.

    Raises:
        ParameterError: as :func:`from_mapping`.
    """
    return from_mapping(type(instance), {**to_mapping(instance), **changes})


def _build(cls: type[T], values: Mapping[str, Value], prefix: str) -> T:
    hints = typing.get_type_hints(cls)
    arguments: dict[str, Any] = {}
    for item in dataclasses.fields(cls):  # type: ignore[arg-type]
        name = prefix + item.name
        if dataclasses.is_dataclass(hints[item.name]):
            arguments[item.name] = _build(hints[item.name], values, name + '.')
        elif name in values:
            arguments[item.name] = values[name]
    try:
        return cls(**arguments)
    except ParameterError:
        raise
    except ValueError as error:
        raise ParameterError(prefix.rstrip('.'), str(error)) from error
