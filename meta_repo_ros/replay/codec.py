# SPDX-License-Identifier: Apache-2.0
"""Messages to CDR bytes and back without rclpy, through rosbags' type store.

``rosidl`` objects differ from what rosbags expects in sequences (``array.array``) and in ``byte``
(``bytes`` of length 1); a plan made once for each type converts just the fields that need it.
"""

from __future__ import annotations

import contextlib
import functools
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
from rosbags.interfaces import Nodetype
from rosbags.serde import SerdeError
from rosbags.typesys.base import normalize_fieldname
from rosbags.typesys.store import Typestore

from meta_repo_ros.replay import definitions
from meta_repo_ros.replay.layout import Layout

Convert = Callable[[Any], Any]
_ENCAPSULATIONS = (b'\0\0', b'\0\1')  # CDR, big and little endian
# whatever a value that is not what the type says can raise
_UNFIT = (AttributeError, TypeError, ValueError, IndexError, OverflowError, struct.error)
_EMPTY = 'structure_needs_at_least_one_member'


def type_name(message: Any) -> str:
    """Full type name of a ``rosidl`` or rosbags message.

    Raises:
        TypeError: not a message.
    """
    known = getattr(message, '__msgtype__', None)
    return str(known) if known is not None else _class_type_name(message.__class__)


@functools.cache
def _class_type_name(cls: type[object]) -> str:
    words = cls.__module__.split('.')
    if len(words) < 3 or not hasattr(cls, 'get_fields_and_field_types'):
        raise TypeError(f'{cls.__module__}.{cls.__qualname__} is not a message type')
    return f'{words[0]}/{words[1]}/{cls.__name__}'


class Codec:
    """Serialises and deserialises with the types of one store."""

    def __init__(self, store: Typestore) -> None:
        self._store = store
        self._plans: dict[str, Convert | None] = {}
        self._layouts: dict[str, Layout | None] = {}

    def layout(self, name: str) -> Layout | None:
        """Where the values of type ``name`` lie; None where that changes with the message."""
        try:
            return self._layouts[name]
        except KeyError:
            try:
                found: Layout | None = Layout(name, self._store)
            except (ValueError, LookupError):
                found = None
            self._layouts[name] = found
            return found

    def serialise(self, message: Any, name: str) -> bytes:
        """CDR bytes, little endian, of ``message`` as type ``name``.

        Raises:
            TypeError, ValueError: a field does not fit its type.
        """
        layout = self.layout(name)
        if layout is not None:
            # what fails here fails below, too, with the reason
            with contextlib.suppress(*_UNFIT):
                data = layout.pack(message)
                if data is not None:
                    return data
        plan = self._plan(name)
        try:
            value = message if plan is None else plan(message)
            return bytes(self._store.serialize_cdr(value, name, little_endian=True))
        except (AttributeError, SerdeError) as error:
            raise TypeError(f'not a {name}: {error}') from error
        except Exception as error:
            if isinstance(error, TypeError | ValueError):
                raise
            raise ValueError(f'{name}: {error}') from error  # struct.error: value out of range

    def deserialise(self, data: bytes, name: str) -> Any:
        """The message in ``data``; bytes after it are ignored.

        ``rclpy.serialization`` writes up to some tens of bytes too many after empty sequences, so
        genuine bags hold such messages.

        Raises:
            ValueError: the bytes are not a message of this type.
        """
        if data[:2] not in _ENCAPSULATIONS or len(data) < 4:
            raise ValueError(f'{name}: not CDR (begins with {data[:4].hex()})')
        layout = self.layout(name)
        if layout is not None and data[1]:
            with contextlib.suppress(*_UNFIT):
                return layout.unpack(data)
        try:
            known = self._store.get_msgdef(name)
            read = known.deserialize_cdr_le if data[1] else known.deserialize_cdr_be
            message, _ = read(data[4:], 0, known.cls, self._store)
        except (SerdeError, struct.error, LookupError, OverflowError, MemoryError) as error:
            raise ValueError(f'{name}: {error}') from error
        return message

    def _plan(self, name: str) -> Convert | None:
        if name not in self._plans:
            self._plans[name] = _message_plan(name, self._store)
        return self._plans[name]


def _message_plan(name: str, store: Typestore) -> Convert | None:
    fields = store.fielddefs[name][1]
    cls = store.types[name]
    if [field for field, _ in fields] == [_EMPTY]:
        return lambda _: cls()
    names = [normalize_fieldname(field) for field, _ in fields]
    plans = [_field_plan(description, store) for _, description in fields]
    if not any(plans):
        return None
    steps = tuple(zip(names, plans, strict=True))

    def convert(message: Any) -> Any:
        return cls(
            *[
                getattr(message, field) if plan is None else plan(getattr(message, field))
                for field, plan in steps
            ]
        )

    return convert


def _field_plan(description: Any, store: Typestore) -> Convert | None:
    kind, what = description
    if kind == Nodetype.BASE:
        return _byte if what[0] in {'byte', 'octet'} else None
    if kind == Nodetype.NAME:
        return _message_plan(what, store)
    element, length = what
    if element[0] == Nodetype.BASE:
        return _array_plan(element[1][0], length if kind == Nodetype.ARRAY else None)
    inner = _message_plan(element[1], store)
    if inner is None:
        return None
    return lambda values: [inner(value) for value in values]


def _array_plan(base: str, length: int | None) -> Convert | None:
    if base in {'string', 'wstring'}:
        return None
    if base in {'byte', 'octet'}:
        return _bytes
    dtype = np.dtype({'bool': 'bool', 'char': 'uint8'}.get(base, base))
    if length is not None and base != 'bool':
        return None  # rosidl holds fixed arrays of numbers as numpy arrays already

    def convert(values: Any) -> Any:
        if isinstance(values, bytes | bytearray):
            return np.frombuffer(values, dtype)
        return np.ascontiguousarray(values, dtype)

    return convert


def _byte(value: Any) -> int:
    # rosbags takes a byte as a signed number.
    number = value[0] if isinstance(value, bytes) else int(value)
    return number - 256 if number > 127 else number


def _bytes(values: Any) -> Any:
    if isinstance(values, np.ndarray):
        return values
    if isinstance(values, bytes | bytearray):
        return np.frombuffer(values, np.int8)
    return np.frombuffer(b''.join(values), np.int8)


@functools.cache
def _codec_of(types: definitions.Types) -> Codec:
    return Codec(types.store)


@functools.cache
def installed_codec(name: str) -> Codec:
    """The codec of the installed types, able to handle ``name``.

    Raises:
        ValueError: the package of ``name`` is not installed.
    """
    types = definitions.ours(name)
    if types is None:
        raise ValueError(f'message type {name} is not installed')
    return _codec_of(types)
