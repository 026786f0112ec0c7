# SPDX-License-Identifier: Apache-2.0
"""Digests of recorded outputs: of the exact bytes, and of rounded values.

Rounded: numbers to 9 decimals and then to single precision, so that the last bits, in which two
builds of a linear algebra library differ, do not show.
"""

from __future__ import annotations

import hashlib
import operator
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
from rosbags.interfaces import Nodetype
from rosbags.typesys.base import normalize_fieldname
from rosbags.typesys.store import Typestore

from meta_repo_ros.replay import definitions
from meta_repo_ros.replay.codec import installed_codec
from meta_repo_ros.replay.host import Event
from meta_repo_ros.replay.layout import Layout

_DECIMALS = 9
_BLOCK = 160_000  # bytes of numbers that are rounded at once

Getter = Callable[[Any], tuple[Any, ...]]


class _Plan:
    """How to take the values of a type apart: dotted names of what is always there, and lists."""

    def __init__(self, name: str, store: Typestore) -> None:
        self.lists: list[tuple[str, str]] = []
        numbers: list[str] = []
        arrays: list[str] = []
        exact: list[str] = []
        self._collect(name, '', store, (numbers, arrays, exact))
        self.numbers, self.arrays, self.exact = map(_getter, (numbers, arrays, exact))

    def _collect(
        self, name: str, prefix: str, store: Typestore, names: tuple[list[str], ...]
    ) -> None:
        numbers, arrays, exact = names
        for field, (kind, what) in store.fielddefs[name][1]:
            dotted = prefix + normalize_fieldname(field)
            if kind == Nodetype.NAME:
                self._collect(str(what), dotted + '.', store, names)
            elif kind == Nodetype.BASE:
                (numbers if str(what[0]).startswith('float') else exact).append(dotted)
            else:
                element: Any = what[0]
                if element[0] == Nodetype.NAME:
                    self.lists.append((dotted, element[1]))
                elif element[1][0].startswith('float'):
                    arrays.append(dotted)
                else:
                    exact.append(dotted)


def _getter(names: list[str]) -> Getter:
    if not names:
        return lambda _: ()
    get = operator.attrgetter(*names)
    return get if len(names) > 1 else lambda message: (get(message),)


class _Packed:
    """The same for a type with a layout: taken from the bytes without making objects."""

    def __init__(self, layout: Layout) -> None:
        self._scan = layout.scan
        self._sizes = [count for _, count in layout.arrays]

    @classmethod
    def of(cls, layout: Layout | None) -> _Packed | None:
        """None where there is no layout, or numbers of other than double precision."""
        if layout is None or any(base != 'float64' for base, _ in layout.arrays):
            return None
        return None if 'float32' in layout.bases else cls(layout)

    def take(self, data: bytes, exact: list[Any], numbers: list[bytes]) -> int:
        """Append to both lists; returns how many bytes of numbers."""
        body = data[4:]
        others, arrays, singles = self._scan(body, exact=True)
        exact += self._sizes
        exact += others
        size = 0
        for begin, end in (*singles, *arrays):
            numbers.append(body[begin:end])
            size += end - begin
        return size


class Digest:
    """SHA-256 over topics, stamps and messages in the order given."""

    def __init__(self) -> None:
        self._raw = hashlib.sha256()
        self._exact = hashlib.sha256()
        self._numbers = hashlib.sha256()
        self._block: list[bytes] = []  # of numbers in double precision
        self._size = 0
        self._plans: dict[str, _Plan] = {}
        self._packed: dict[str, _Packed | None] = {}

    @property
    def raw(self) -> str:
        """Digest of the exact bytes."""
        return self._raw.hexdigest()

    @property
    def rounded(self) -> str:
        """Digest of the rounded values."""
        self._round()
        return hashlib.sha256(self._exact.digest() + self._numbers.digest()).hexdigest()

    def add(self, event: Event) -> None:
        """Take in one message of an installed type; little-endian CDR."""
        name, data = event.type, event.data
        self._raw.update(event.topic.encode() + struct.pack('<bqq', 0, event.stamp, len(data)))
        self._raw.update(data)
        exact: list[Any] = [event.topic, event.stamp]
        if name not in self._packed:
            self._packed[name] = _Packed.of(installed_codec(name).layout(name))
        packed = self._packed[name]
        if packed is not None:
            self._size += packed.take(data, exact, self._block)
        else:
            types = definitions.ours(name)
            assert types is not None  # noqa: S101
            numbers: list[float] = []
            self._take(event.message, name, types.store, exact, numbers)
            self._block.append(np.array(numbers, '<f8').tobytes())
            self._size += 8 * len(numbers)
        self._exact.update(repr(exact).encode())
        if self._size > _BLOCK:
            self._round()

    def _take(
        self, message: Any, name: str, store: Typestore, exact: list[Any], numbers: list[float]
    ) -> None:
        plan = self._plans.get(name)
        if plan is None:
            plan = self._plans[name] = _Plan(name, store)
        numbers += plan.numbers(message)
        for values in plan.arrays(message):
            exact.append(len(values))
            numbers += values.tolist()
        exact += [v.tolist() if isinstance(v, np.ndarray) else v for v in plan.exact(message)]
        for dotted, inner in plan.lists:
            items = operator.attrgetter(dotted)(message)
            exact.append(len(items))
            for item in items:
                self._take(item, inner, store, exact, numbers)

    def _round(self) -> None:
        values = np.frombuffer(b''.join(self._block), '<f8')
        # Adding zero makes minus zero zero.
        self._numbers.update((np.round(values, _DECIMALS) + 0.0).astype('<f4').tobytes())
        self._block.clear()
        self._size = 0
