# SPDX-License-Identifier: Apache-2.0
"""One storage file of a bag, MCAP or SQLite, written in all-or-nothing steps.

What was written before the last :meth:`StorageFile.commit` survives the death of the process. A
commit that fails (full disk) leaves the file as the commit before left it, keeps what was pending,
and may be repeated.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import zstandard
from mcap.writer import CompressionType, Writer

from meta_repo_ros.replay.definitions import Definition

LIBRARY = 'meta_repo_ros'
SUFFIXES = {'mcap': '.mcap', 'sqlite3': '.db3'}
_BACKLOG = 1 << 20  # bytes of messages that may wait for a commit
_SQL_SCHEMA = """\
CREATE TABLE schema(schema_version INTEGER PRIMARY KEY,ros_distro TEXT NOT NULL);
CREATE TABLE metadata(
  id INTEGER PRIMARY KEY,metadata_version INTEGER NOT NULL,metadata TEXT NOT NULL);
CREATE TABLE topics(
  id INTEGER PRIMARY KEY,name TEXT NOT NULL,type TEXT NOT NULL,serialization_format TEXT NOT NULL,
  offered_qos_profiles TEXT NOT NULL,type_description_hash TEXT NOT NULL);
CREATE TABLE message_definitions(
  id INTEGER PRIMARY KEY,topic_type TEXT NOT NULL,encoding TEXT NOT NULL,
  encoded_message_definition TEXT NOT NULL,type_description_hash TEXT NOT NULL);
CREATE TABLE messages(
  id INTEGER PRIMARY KEY,topic_id INTEGER NOT NULL,timestamp INTEGER NOT NULL, data BLOB NOT NULL);
CREATE INDEX timestamp_idx ON messages (timestamp ASC)"""
_INSERT_TYPE = """\
INSERT INTO message_definitions(
  topic_type,encoding,encoded_message_definition,type_description_hash) VALUES(?,?,?,?)"""
_INSERT_MESSAGE = 'INSERT INTO messages(topic_id,timestamp,data) VALUES(?,?,?)'


@dataclass(frozen=True)
class TopicRecord:
    """What a storage file holds about a topic; ``qos`` is the YAML text of metadata version 9."""

    name: str
    definition: Definition
    qos: str


class StorageFile(Protocol):
    """A file being written; ``size`` counts what is on disk and what is pending, in bytes."""

    path: Path

    @property
    def size(self) -> int:
        """Bytes on disk and pending."""

    @property
    def backlog(self) -> bool:
        """Whether so much is pending that it should be committed now."""

    def add_topic(self, topic: TopicRecord) -> int:
        """Declare a topic; returns its number in this file."""

    def write(self, topic: int, receive_ns: int, publish_ns: int, data: bytes) -> None:
        """Append a message; never fails for want of space."""

    def commit(self) -> None:
        """Bring everything pending to disk (OSError, sqlite3.Error where that is impossible)."""

    def close(self, metadata: str) -> None:
        """Commit, write index and metadata, close; repeatable where it fails."""

    def abandon(self) -> None:
        """Close without index; what was committed can be recovered."""


class _Stream:
    """Buffers what the MCAP writer emits, and writes it in one step or not at all."""

    def __init__(self, path: Path) -> None:
        self._file = path.open('xb', buffering=0)
        self._parts: list[bytes] = []
        self._committed = 0
        self.position = 0

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        self.position += len(data)
        return len(data)

    def tell(self) -> int:
        return self.position

    def flush(self) -> None:
        """Nothing: the owner commits where it can handle a failure."""

    @property
    def pending(self) -> int:
        return self.position - self._committed

    def commit(self) -> None:
        data = memoryview(b''.join(self._parts))
        try:
            done = 0
            while done < len(data):
                done += self._file.write(data[done:]) or 0
        except OSError:
            self._file.seek(self._committed)
            self._file.truncate()
            raise
        self._parts.clear()
        self._committed = self.position

    def close(self) -> None:
        self._file.close()


class _McapFile:
    """MCAP with profile ``ros2`` and chunk index; a chunk is closed at each commit.

    Args:
        path: file to create.
        compression: of the chunks: 'none', 'zstd' or 'lz4'.
        chunk_bytes: chunks close at this size at the latest.
    """

    def __init__(self, path: Path, compression: str, chunk_bytes: int) -> None:
        self.path = path
        self._stream = _Stream(path)
        self._writer = Writer(
            self._stream,  # type: ignore[arg-type]
            chunk_size=chunk_bytes,
            compression=CompressionType[compression.upper()],
        )
        self._writer.start('ros2', LIBRARY)
        self._schemas: dict[str, int] = {}
        self._open_chunk = 0
        self._finished = False

    @property
    def size(self) -> int:
        return self._stream.position + self._open_chunk

    @property
    def backlog(self) -> bool:
        return self._stream.pending > _BACKLOG

    def add_topic(self, topic: TopicRecord) -> int:
        schema = self._schemas.get(topic.definition.type)
        if schema is None:
            schema = self._writer.register_schema(
                topic.definition.type, topic.definition.encoding, topic.definition.text.encode()
            )
            self._schemas[topic.definition.type] = schema
        metadata = {'offered_qos_profiles': topic.qos, 'topic_type_hash': topic.definition.hash}
        return self._writer.register_channel(topic.name, 'cdr', schema, metadata)

    def write(self, topic: int, receive_ns: int, publish_ns: int, data: bytes) -> None:
        before = self._stream.position
        self._writer.add_message(topic, receive_ns, data, publish_ns)
        closed = self._stream.position != before
        self._open_chunk = 0 if closed else self._open_chunk + len(data) + 31

    def commit(self) -> None:
        self._writer.flush()
        self._open_chunk = 0
        self._stream.commit()

    def close(self, metadata: str) -> None:
        if not self._finished:
            self._writer.flush()
            self._writer.add_metadata('rosbag2', {'serialized_metadata': metadata})
            self._writer.finish()
            self._finished = True
        self._stream.commit()
        self._stream.close()

    def abandon(self) -> None:
        self._stream.close()


class _SqliteFile:
    """SQLite with rosbag2's schema, version 4.

    Args:
        path: file to create.
        compress_messages: whether each message is compressed with zstd (rosbag2's message mode).
        distro: name of the ROS distribution for the schema table.
    """

    def __init__(self, path: Path, *, compress_messages: bool, distro: str) -> None:
        self.path = path
        path.open('xb').close()  # SQLite's own error for an unwritable directory says little
        self._compressor = zstandard.ZstdCompressor() if compress_messages else None
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute('PRAGMA synchronous=NORMAL')
        # Pages reach the file at commits only, so that a kill between two needs no rollback.
        self._connection.execute('PRAGMA cache_spill=OFF')
        self._statements: list[tuple[str, tuple[object, ...]]] = [
            (statement, ()) for statement in _SQL_SCHEMA.split(';\n')
        ]
        self._statements.append(('INSERT INTO schema VALUES(4,?)', (distro,)))
        self._rows: list[tuple[int, int, bytes]] = []
        self._topics = 0
        self._types: set[str] = set()
        self._pending = 0
        self._committed = 0
        self._closing = False

    @property
    def size(self) -> int:
        return self._committed + self._pending

    @property
    def backlog(self) -> bool:
        return self._pending > _BACKLOG

    def add_topic(self, topic: TopicRecord) -> int:
        definition = topic.definition
        if definition.type not in self._types and definition.encoding:
            self._types.add(definition.type)
            values = (definition.type, definition.encoding, definition.text, definition.hash)
            self._statements.append((_INSERT_TYPE, values))
        self._topics += 1
        row = (self._topics, topic.name, definition.type, 'cdr', topic.qos, definition.hash)
        self._statements.append(('INSERT INTO topics VALUES(?,?,?,?,?,?)', row))
        return self._topics

    def write(self, topic: int, receive_ns: int, publish_ns: int, data: bytes) -> None:
        del publish_ns  # rosbag2's schema 4 has no place for it
        if self._compressor is not None:
            data = self._compressor.compress(data)
        self._rows.append((topic, receive_ns, data))
        self._pending += len(data) + 40

    def commit(self) -> None:
        if not self._statements and not self._rows:
            return
        try:
            self._connection.execute('BEGIN')
            for statement, values in self._statements:
                self._connection.execute(statement, values)
            self._connection.executemany(_INSERT_MESSAGE, self._rows)
            self._connection.execute('COMMIT')
        except sqlite3.Error:
            if self._connection.in_transaction:
                self._connection.execute('ROLLBACK')
            raise
        self._statements.clear()
        self._rows.clear()
        self._pending = 0
        self._committed = self.path.stat().st_size

    def close(self, metadata: str) -> None:
        if not self._closing:
            self._statements.append(
                ('INSERT INTO metadata(metadata_version,metadata) VALUES(9,?)', (metadata,))
            )
            self._closing = True
        self.commit()
        self._connection.close()

    def abandon(self) -> None:
        self._connection.close()


def create(
    path: Path, storage: str, *, compression: str, mode: str, chunk_bytes: int, distro: str
) -> StorageFile:
    """Create the storage file ``path``.

    Args:
        path: must not exist.
        storage: ``mcap`` or ``sqlite3``.
        compression: of MCAP's chunks: ``none``, ``zstd`` or ``lz4``.
        mode: ``message`` where SQLite shall hold compressed messages.
        chunk_bytes: MCAP chunks close at this size at the latest.
        distro: name of the ROS distribution, kept by SQLite.

    Raises:
        OSError, sqlite3.Error: it cannot be created.
    """
    if storage == 'mcap':
        return _McapFile(path, compression, chunk_bytes)
    return _SqliteFile(path, compress_messages=mode == 'message', distro=distro)
