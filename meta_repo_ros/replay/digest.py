# SPDX-License-Identifier: Apache-2.0
"""Digests of recorded outputs: of the exact bytes, and of rounded values.

Rounded: numbers to 9 decimals and then to single precision, so that the last bits, in which two
builds of a linear algebra library differ, do not show.
"""

from __future__ import annotations

import hashlib
import struct
from typing import Any

import numpy as np
from rosbags.interfaces import Nodetype
from rosbags.typesys.base import normalize_fieldname
from rosbags.typesys.store import Typestore

_DECIMALS = 9


class Digest:
    """SHA-256 over topics, stamps and messages in the order given."""

    def __init__(self) -> None:
        self._raw = hashlib.sha256()
        self._rounded = hashlib.sha256()
        self._fields: dict[str, list[tuple[str, Any]]] = {}

    @property
    def raw(self) -> str:
        """Digest of the exact bytes."""
        return self._raw.hexdigest()

    @property
    def rounded(self) -> str:
        """Digest of the rounded values."""
        return self._rounded.hexdigest()

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
        numbers: list[Any] = []
        exact: list[Any] = []
        self._walk(message, message.__msgtype__, store, numbers, exact)
        values = np.concatenate(numbers, axis=None) if numbers else np.empty(0)
        # Adding zero makes minus zero zero.
        rounded = (np.round(values.astype(np.float64), _DECIMALS) + 0.0).astype('<f4')
        self._rounded.update(topic.encode() + struct.pack('<bq', 0, stamp))
        self._rounded.update(rounded.tobytes())
        self._rounded.update(repr(exact).encode())

    def _walk(
        self, message: Any, name: str, store: Typestore, numbers: list[Any], exact: list[Any]
    ) -> None:
        fields = self._fields.get(name)
        if fields is None:
            fields = [(normalize_fieldname(n), d) for n, d in store.fielddefs[name][1]]
            self._fields[name] = fields
        for field, (kind, what) in fields:
            value = getattr(message, field)
            if kind == Nodetype.NAME:
                self._walk(value, what, store, numbers, exact)
            elif kind == Nodetype.BASE:
                (numbers if what[0].startswith('float') else exact).append(value)
            elif what[0][0] == Nodetype.NAME:
                exact.append(len(value))
                for item in value:
                    self._walk(item, what[0][1], store, numbers, exact)
            elif what[0][1][0].startswith('float'):
                exact.append(len(value))
                numbers.append(value)
            else:
                exact.append(value.tolist() if isinstance(value, np.ndarray) else value)
