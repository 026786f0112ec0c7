# SPDX-License-Identifier: Apache-2.0
"""CDR of types whose parts are numbers, strings and fixed arrays, in a few packed structures.

Such messages (Imu, Odometry, NavSatFix) are most of what a flight consists of. Between two strings
the places of all values are known but for the alignment, of which there are eight cases. What does
not fit is left to the general way: every function here gives None for it, or raises.
"""

from __future__ import annotations

import operator
import struct
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from rosbags.interfaces import Nodetype
from rosbags.typesys.base import normalize_fieldname
from rosbags.typesys.store import Typestore

_CODES = {
    'bool': '?', 'char': 'B', 'int8': 'b', 'uint8': 'B', 'int16': 'h', 'uint16': 'H', 'int32': 'i',
    'uint32': 'I', 'int64': 'q', 'uint64': 'Q', 'float32': 'f', 'float64': 'd',
}  # fmt: skip
_LITTLE = b'\0\1\0\0'
_LENGTH = struct.Struct('<I')
_EMPTY = 'structure_needs_at_least_one_member'
_PADS = tuple(bytes(n) for n in range(4))

Spans = tuple[tuple[int, int], ...]
Build = Callable[[Sequence[Any], Sequence[Any]], Any]


class _Leaf(NamedTuple):
    """A value that is no message: dotted name, base type, length (0 for no array)."""

    name: str
    base: str
    length: int


class _Run(NamedTuple):
    """Values between two strings, for the eight alignments of its begin.

    Attributes:
        first, last: of the leaves, without the string that follows.
        text: whether a string follows.
        writers: structures with arrays as bytes.
        readers: structures without arrays.
        spans: begin and end of each array from the begin of the run.
        exact: structures of what is neither array nor floating point.
        floats: begin and end of the floating-point values outside of arrays.
    """

    first: int
    last: int
    text: bool
    writers: tuple[struct.Struct, ...]
    readers: tuple[struct.Struct, ...]
    spans: tuple[Spans, ...]
    exact: tuple[struct.Struct, ...]
    floats: tuple[Spans, ...]


class Layout:
    """Where the values of one type lie.

    Attributes:
        bases: base type of each value outside of arrays, in order.
        arrays: base type and size of each array, in order.

    Args:
        name: full type name.
        store: that knows it.

    Raises:
        ValueError: this type has parts of changing size other than strings.
    """

    def __init__(self, name: str, store: Typestore) -> None:
        leaves: list[_Leaf] = []
        counts = [0, 0]
        self._build = _builder(name, '', store, leaves, counts)
        if any(leaf.name.endswith(_EMPTY) for leaf in leaves):
            raise ValueError(f'{name}: an empty message is one byte that no message object has')
        self.bases = tuple(leaf.base for leaf in leaves if not leaf.length)
        self.arrays = tuple((leaf.base, leaf.length) for leaf in leaves if leaf.length)
        self._types = tuple((np.dtype(base), count) for base, count in self.arrays)
        get = operator.attrgetter(*[leaf.name for leaf in leaves])
        self._get: Callable[[Any], Sequence[Any]] = get
        if len(leaves) == 1:
            self._get = lambda message: (get(message),)
        self._array_places = tuple(
            (i, np.dtype(leaf.base), leaf.length) for i, leaf in enumerate(leaves) if leaf.length
        )
        self._runs = _runs(leaves)

    def pack(self, message: Any) -> bytes | None:
        """CDR, little endian, of a message whose arrays are of the right type; None for others."""
        values = list(self._get(message))
        for i, dtype, count in self._array_places:
            array = values[i]
            if type(array) is not np.ndarray or array.dtype != dtype or array.size != count:
                return None
            values[i] = array.tobytes()
        parts = [_LITTLE]
        position = 0
        for first, last, text, writers, *_ in self._runs:
            if last > first:
                writer = writers[position & 7]
                parts.append(writer.pack(*values[first:last]))
                position += writer.size
            if text:
                data = values[last].encode()
                gap = -position & 3
                parts += (_PADS[gap], _LENGTH.pack(len(data) + 1), data, b'\0')
                position += gap + 5 + len(data)
        return b''.join(parts)

    def scan(
        self, body: bytes, *, exact: bool = False
    ) -> tuple[list[Any], list[tuple[int, int]], list[tuple[int, int]]]:
        """What is in CDR without its first 4 bytes.

        Args:
            body: CDR, little endian.
            exact: whether floating-point values are not wanted as such, but where they lie.

        Returns:
            Numbers and strings; begin and end of each array; of floats where ``exact``.

        Raises:
            struct.error, ValueError, IndexError: the bytes are not a message of this type.
        """
        scalars: list[Any] = []
        arrays: list[tuple[int, int]] = []
        floats: list[tuple[int, int]] = []
        position = 0
        for run in self._runs:
            phase = position & 7
            reader = (run.exact if exact else run.readers)[phase]
            scalars += reader.unpack_from(body, position)
            for begin, end in run.spans[phase]:
                arrays.append((position + begin, position + end))
            if exact:
                for begin, end in run.floats[phase]:
                    floats.append((position + begin, position + end))
            position += reader.size
            if run.text:
                position += -position & 3
                (length,) = _LENGTH.unpack_from(body, position)
                position += 4 + length
                if not length or body[position - 1]:
                    raise ValueError('string without end')
                scalars.append(body[position - length : position - 1].decode())
        return scalars, arrays, floats

    def unpack(self, data: bytes) -> Any:
        """The rosbags object in little-endian CDR.

        Raises:
            struct.error, ValueError, IndexError: the bytes are not a message of this type.
        """
        body = data[4:]
        scalars, spans, _ = self.scan(body)
        arrays = [
            np.frombuffer(body, dtype, count, span[0])
            for (dtype, count), span in zip(self._types, spans, strict=True)
        ]
        return self._build(scalars, arrays)


def _builder(
    name: str, prefix: str, store: Typestore, leaves: list[_Leaf], counts: list[int]
) -> Build:
    """Function from scalars and arrays to the object; ``counts`` of both so far."""
    cls: Any = store.types[name]
    parts: list[Build] = []
    first = counts[0]
    for field, (kind, what) in store.fielddefs[name][1]:
        dotted = prefix + normalize_fieldname(field)
        if kind == Nodetype.NAME:
            parts.append(_builder(str(what), dotted + '.', store, leaves, counts))
            continue
        base, count = _base(kind, what, name)
        leaves.append(_Leaf(dotted, base, count))
        parts.append(_taker(counts[1 if count else 0], array=bool(count)))
        counts[1 if count else 0] += 1
    last = counts[0]
    if last - first == len(parts):
        return lambda scalars, _: cls(*scalars[first:last])
    return lambda scalars, arrays: cls(*[part(scalars, arrays) for part in parts])


def _taker(place: int, *, array: bool) -> Build:
    if array:
        return lambda _, arrays: arrays[place]
    return lambda scalars, _: scalars[place]


def _base(kind: Any, what: Any, name: str) -> tuple[str, int]:
    if kind == Nodetype.BASE and (what[0] in _CODES or what[0] == 'string'):
        return str(what[0]), 0
    if kind == Nodetype.ARRAY:
        (inner, base), count = what
        if inner == Nodetype.BASE and base[0] in _CODES and base[0] not in {'bool', 'char'}:
            return str(base[0]), int(count)
    raise ValueError(f'{name} has a part of changing size or a rare type')


def _runs(leaves: Sequence[_Leaf]) -> tuple[_Run, ...]:
    runs = []
    first = 0
    for i, leaf in enumerate(leaves):
        if leaf.base == 'string':
            runs.append(_run(leaves, first, i, text=True))
            first = i + 1
    if first < len(leaves):
        runs.append(_run(leaves, first, len(leaves), text=False))
    return tuple(runs)


def _run(leaves: Sequence[_Leaf], first: int, last: int, *, text: bool) -> _Run:
    cases = [_case(leaves[first:last], phase) for phase in range(8)]
    return _Run(first, last, text, *zip(*cases, strict=True))


def _case(
    leaves: Sequence[_Leaf], phase: int
) -> tuple[struct.Struct, struct.Struct, Spans, struct.Struct, Spans]:
    written, read, exact = '<', '<', '<'
    arrays: list[tuple[int, int]] = []
    floats: list[tuple[int, int]] = []
    position = phase
    for leaf in leaves:
        code = _CODES[leaf.base]
        size = struct.calcsize('<' + code)
        gap = -position % size
        begin = position + gap
        position = begin + size * max(leaf.length, 1)
        value, skip, span = f'{gap}x{code}', f'{position - begin + gap}x', (begin, position)
        if leaf.length:
            written += f'{gap}x{size * leaf.length}s'
            read += skip
            exact += skip
            arrays.append(span)
        else:
            written += value
            read += value
            exact += skip if code in 'fd' else value
            if code in 'fd':
                floats.append(span)
    return (
        struct.Struct(written),
        struct.Struct(read),
        _joined(arrays, phase, together=False),
        struct.Struct(exact),
        _joined(floats, phase, together=True),
    )


def _joined(spans: Sequence[tuple[int, int]], phase: int, *, together: bool) -> Spans:
    """Spans from the begin of the run; neighbours joined where ``together``."""
    result: list[tuple[int, int]] = []
    for begin, end in spans:
        if together and result and result[-1][1] == begin - phase:
            result[-1] = (result[-1][0], end - phase)
        else:
            result.append((begin - phase, end - phase))
    return tuple(result)
