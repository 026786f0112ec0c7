# SPDX-License-Identifier: Apache-2.0
"""Reads bags: rosbag2 directories and single files, MCAP and SQLite, by rosbags.

Messages come in order of receive time; of equal times in order of the files, and inside a file as
recorded. Definitions come from the bag itself; a bag without (before ROS 2 Iron) is read with those
installed here.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import sqlite3
import struct
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import apsw
import zstandard
from rosbags.interfaces import Connection, MessageDefinitionFormat, Qos
from rosbags.rosbag2 import Reader
from rosbags.rosbag2.errors import ReaderError

from meta_repo_ros.replay import definitions
from meta_repo_ros.replay.codec import Codec
from meta_repo_ros.replay.definitions import Definition, Types
from meta_repo_ros.replay.errors import BagError

if TYPE_CHECKING:
    from typing_extensions import Self

RECOVER = 'try: meta-repo bag recover'
# What rosbags and what it stands on raise where the bytes are not what they should be.
_BROKEN = (
    ReaderError,
    apsw.Error,
    sqlite3.Error,
    zstandard.ZstdError,
    struct.error,
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    EOFError,
    RuntimeError,
    MemoryError,
    OverflowError,
)
_ENCODINGS = {
    MessageDefinitionFormat.NONE: '',
    MessageDefinitionFormat.MSG: 'ros2msg',
    MessageDefinitionFormat.IDL: 'ros2idl',
}


@dataclass(frozen=True)
class BagTopic:
    """A topic of a bag.

    Attributes:
        name: as the bag has it.
        type: full type name.
        count: number of messages.
        qos: what the publishers offered.
        definition: as the bag holds it; of the installed package where it holds none.
        readable: whether its messages can be deserialised.
        reason: why not.
    """

    name: str
    type: str
    count: int
    qos: tuple[Qos, ...]
    definition: Definition
    readable: bool
    reason: str


class RawMessage(NamedTuple):
    """One recorded message; times in ns, ``data`` is CDR."""

    receive_ns: int
    topic: str
    type: str
    data: bytes


class BagReader:
    """An open bag; a context manager.

    Attributes:
        topics: by name, in the bag's order.
        skipped: messages of unreadable types that :meth:`messages` passed over, by topic.
        codec: of the bag's types.

    Args:
        path: directory with metadata.yaml, or an .mcap or .db3 file.

    Raises:
        BagError: not a bag, empty, truncated, corrupt; says what to do.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._reader = self._open()
        self.skipped: Counter[str] = Counter()
        self._types = Types()
        self.codec = Codec(self._types.store)
        self.topics: dict[str, BagTopic] = {}
        try:
            for connection in self._reader.connections:
                self._add(connection)
        except _BROKEN as error:
            self.close()
            raise self._broken(error) from error

    def _open(self) -> Reader:
        if not self.path.exists():
            raise BagError(self.path, 'does not exist')
        if self.path.is_dir() and not (self.path / 'metadata.yaml').exists():
            if any(self.path.glob('*.mcap')) or any(self.path.glob('*.db3')):
                raise BagError(
                    self.path,
                    'has no metadata.yaml: recording was cut off',
                    f'{RECOVER} {self.path}',
                )
            raise BagError(
                self.path, 'is not a bag: neither metadata.yaml nor .mcap nor .db3 in it'
            )
        if self.path.is_file() and self.path.suffix not in {'.mcap', '.db3'}:
            raise BagError(self.path, 'is not a bag: expected a directory, an .mcap or a .db3 file')
        if self.path.is_file() and self.path.stat().st_size == 0:
            raise BagError(self.path, 'is empty', 'record it again')
        try:
            reader = Reader(self.path)
            reader.open()
        except _BROKEN as error:
            raise self._broken(error) from error
        return reader

    def _broken(self, error: BaseException) -> BagError:
        text = str(error) or type(error).__name__
        return BagError(self.path, f'is truncated or corrupt ({text})', f'{RECOVER} {self.path}')

    def _add(self, connection: Connection) -> None:
        kind = connection.msgtype
        if connection.msgdef.format == MessageDefinitionFormat.NONE:
            with contextlib.suppress(ValueError):
                installed = definitions.installed(kind)
                if installed is not None and connection.digest in {'', installed.hash}:
                    self._enter(connection, installed)
                    return
            self._enter(connection, Definition(kind, hash=connection.digest))
            return
        encoding = _ENCODINGS[connection.msgdef.format]
        self._enter(
            connection, Definition(kind, encoding, connection.msgdef.data, connection.digest)
        )

    def _enter(self, connection: Connection, definition: Definition) -> None:
        readable = self._types.add(definition)
        earlier = self.topics.get(connection.topic)
        if earlier is not None and earlier.type != definition.type:
            raise BagError(
                self.path,
                f'topic {connection.topic} has two types, {earlier.type} and {definition.type}',
            )
        if readable and not definition.hash:
            with contextlib.suppress(*_BROKEN):
                digest = self._types.hash(definition.type)
                definition = Definition(
                    definition.type, definition.encoding, definition.text, digest
                )
        profiles = tuple(getattr(connection.ext, 'offered_qos_profiles', ()))
        self.topics[connection.topic] = BagTopic(
            name=connection.topic,
            type=definition.type,
            count=connection.msgcount + (earlier.count if earlier else 0),
            qos=(earlier.qos if earlier else ()) + profiles,
            definition=definition,
            readable=readable,
            reason='' if readable else self._types.refused[definition.type],
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the files."""
        if self._reader.is_open:
            self._reader.close()

    @property
    def start_ns(self) -> int:
        """Receive time of the first message, ns; 0 in an empty bag."""
        return self._reader.start_time if self.message_count else 0

    @property
    def end_ns(self) -> int:
        """Receive time of the last message, ns; 0 in an empty bag."""
        return self._reader.end_time - 1 if self.message_count else 0

    @property
    def duration_ns(self) -> int:
        """Time between the first and the last message, ns."""
        return self.end_ns - self.start_ns

    @property
    def message_count(self) -> int:
        """Messages in all topics."""
        return self._reader.message_count

    @property
    def storage(self) -> str:
        """``mcap`` or ``sqlite3``."""
        return 'mcap' if any('.mcap' in path.suffixes for path in self.files) else 'sqlite3'

    @property
    def compression(self) -> str:
        """Compression that metadata.yaml names, such as ``zstd (file)``; '' for none."""
        if not self._reader.compression_mode:
            return ''
        return f'{self._reader.compression_format} ({self._reader.compression_mode})'

    @property
    def custom_data(self) -> Mapping[str, str]:
        """``custom_data`` of metadata.yaml."""
        return dict(self._reader.storage.metadata.custom or {})

    @property
    def files(self) -> list[Path]:
        """Storage files on disk."""
        if self.path.is_file():
            return [self.path]
        wanted = ('.mcap', '.db3', '.zstd')
        return sorted(p for p in self.path.iterdir() if p.suffix in wanted)

    @property
    def size(self) -> int:
        """Bytes of the storage files."""
        return sum(path.stat().st_size for path in self.files)

    def raw(
        self,
        topics: Collection[str] | None = None,
        start_ns: int | None = None,
        stop_ns: int | None = None,
    ) -> Iterator[RawMessage]:
        """Recorded bytes in order of receive time.

        Args:
            topics: names as the bag has them; None for all.
            start_ns: first receive time.
            stop_ns: receive time to stop before.

        Raises:
            BagError: the bag is corrupt here.
        """
        wanted = [c for c in self._reader.connections if topics is None or c.topic in topics]
        if not wanted:
            return
        try:
            for connection, stamp, data in self._merged(wanted, start_ns, stop_ns):
                yield RawMessage(stamp, connection.topic, connection.msgtype, bytes(data))
        except _BROKEN as error:
            raise self._broken(error) from error

    def _merged(
        self, wanted: list[Connection], start_ns: int | None, stop_ns: int | None
    ) -> Iterator[tuple[Connection, int, bytes]]:
        spans = self._file_spans()
        if all(before[1] <= after[0] for before, after in itertools.pairwise(spans)):
            yield from self._reader.messages(wanted, start_ns, stop_ns)
            return
        # Files that overlap in time: rosbags gives one after the other.
        storage: Any = self._reader.storage
        decompress = zstandard.ZstdDecompressor().decompress
        by_message = self._reader.compression_mode == 'message'
        sources = []
        for part in storage.storages:
            names = {connection.topic for connection in wanted}
            own = [connection for connection in part.connections if connection.topic in names]
            sources.append(part.messages(own, start_ns, stop_ns))
        for connection, stamp, data in heapq.merge(*sources, key=lambda item: item[1]):
            yield connection, stamp, decompress(data) if by_message else data

    def _file_spans(self) -> list[tuple[int, int]]:
        parts = getattr(self._reader.storage, 'storages', [])
        return [
            (part.metadata.start_time, part.metadata.end_time - 1)
            for part in parts
            if part.metadata.message_count
        ]

    def messages(
        self,
        topics: Collection[str] | None = None,
        start_ns: int | None = None,
        stop_ns: int | None = None,
    ) -> Iterator[tuple[int, str, str, Any]]:
        """Receive time (ns), topic, type and deserialised message, in order of receive time.

        Unreadable types are passed over and counted in ``skipped``.

        Raises:
            BagError: the bag is corrupt here.
        """
        for item in self.raw(topics, start_ns, stop_ns):
            if self.topics[item.topic].readable:
                yield item.receive_ns, item.topic, item.type, self.deserialise(item)
            else:
                self.skipped[item.topic] += 1

    def deserialise(self, item: RawMessage) -> Any:
        """The message in ``item``.

        Raises:
            BagError: its bytes are not a message of its type.
        """
        try:
            return self.codec.deserialise(item.data, item.type)
        except ValueError as error:
            raise BagError(
                self.path,
                f'{item.topic} at {item.receive_ns} ns: {error}',
                f'{RECOVER} {self.path}',
            ) from error

    def check(self, expected: Mapping[str, str]) -> list[str]:
        """Compare the bag's types with those that somebody is going to read.

        Args:
            expected: full type name by topic, topics as the bag has them.

        Returns:
            Warnings: fields that only the bag has.

        Raises:
            BagError: another type, or a definition in which fields are missing or differ.
        """
        warnings = []
        for name, kind in expected.items():
            topic = self.topics.get(name)
            if topic is None:
                continue
            if topic.type != kind:
                raise BagError(self.path, f'topic {name} has type {topic.type}, expected {kind}')
            if not topic.readable:
                raise BagError(self.path, f'topic {name} ({kind}) cannot be read: {topic.reason}')
            errors, harmless = definitions.differences(kind, self._types)
            if errors:
                raise BagError(
                    self.path,
                    f'topic {name}: the definition of {kind} differs: {"; ".join(errors)}',
                    'convert the bag or use the version that recorded it',
                )
            warnings += [f'{name} ({kind}): {text}' for text in harmless]
        return warnings
