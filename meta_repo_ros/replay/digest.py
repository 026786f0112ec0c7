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

_DECIMALS = 9
_BLOCK = 20_000  # numbers that are rounded at once

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


class Digest:
    """SHA-256 over topics, stamps and messages in the order given."""

    def __init__(self) -> None:
        self._raw = hashlib.sha256()
        self._exact = hashlib.sha256()
        self._numbers = hashlib.sha256()
        self._block: list[float] = []
        self._plans: dict[str, _Plan] = {}

    @property
    def raw(self) -> str:
        """Digest of the exact bytes."""
        return self._raw.hexdigest()

    @property
    def rounded(self) -> str:
        """Digest of the rounded values."""
        self._round()
        return hashlib.sha256(self._exact.digest() + self._numbers.digest()).hexdigest()

    def add(self, topic: str, stamp: int, data: bytes, message: Any, store: Typestore) -> None:
        """Take in one message.

        Args:
            topic: its topic.
            stamp: its receive time, ns.
            data: its CDR bytes.
            message: the same deserialised, a rosbags object.
            store: the store that knows its type.
        """
        header = topic.encode() + struct.pack('<bqq', 0, stamp, len(data))
        self._raw.update(header)
        self._raw.update(data)
        exact: list[Any] = [topic, stamp]
        self._take(message, message.__msgtype__, store, exact)
        self._exact.update(repr(exact).encode())
        if len(self._block) > _BLOCK:
            self._round()

    def _take(self, message: Any, name: str, store: Typestore, exact: list[Any]) -> None:
        plan = self._plans.get(name)
        if plan is None:
            plan = self._plans[name] = _Plan(name, store)
        self._block += plan.numbers(message)
        for values in plan.arrays(message):
            exact.append(len(values))
            self._block += values.tolist()
        exact += [v.tolist() if isinstance(v, np.ndarray) else v for v in plan.exact(message)]
        for dotted, inner in plan.lists:
            items = operator.attrgetter(dotted)(message)
            exact.append(len(items))
            for item in items:
                self._take(item, inner, store, exact)

    def _round(self) -> None:
        values = np.array(self._block, np.float64)
        # Adding zero makes minus zero zero.
        self._numbers.update((np.round(values, _DECIMALS) + 0.0).astype('<f4').tobytes())
        self._block.clear()
