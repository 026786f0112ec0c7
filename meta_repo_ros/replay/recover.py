# SPDX-License-Identifier: Apache-2.0
"""Makes a readable bag of what a killed recorder, a full disk or a broken copy left behind."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import struct
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import zstandard
from mcap.exceptions import McapError
from mcap.reader import SeekingReader
from mcap.records import Channel, Chunk, Message, Schema
from mcap.stream_reader import CRCValidationError, StreamReader, breakup_chunk
from rosbags.interfaces import Qos
from rosbags.rosbag2.errors import ReaderError
from rosbags.rosbag2.metadata import parse_qos

from meta_repo_ros.replay.bag_writer import BagWriter
from meta_repo_ros.replay.definitions import Definition
from meta_repo_ros.replay.errors import BagError

_RECORD_LIMIT = 1 << 30  # a longer record is a broken length
_LATEST = 2**63 - 1  # ns
_REASONS = 100  # that are told
_SQLITE_HEADER = 100  # bytes
_SMALLEST_PAGE = 512  # bytes
_MISSES = 3000  # rows in sequence that cannot be read, before the rest is given up
_ZSTD_MAGIC = b'\x28\xb5\x2f\xfd'
_BROKEN = (
    McapError,
    CRCValidationError,
    zstandard.ZstdError,
    struct.error,
    RuntimeError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    OSError,
    EOFError,
    MemoryError,
)

# Names of columns and texts are decoded by the sqlite3 module, damaged or not.
_SQLITE_BROKEN = (sqlite3.Error, ValueError, OverflowError)


@dataclass(frozen=True)
class Recovery:
    """What was recovered.

    Attributes:
        path: the readable bag.
        counts: messages by topic.
        start_ns: receive time of the first message, ns.
        end_ns: receive time of the last message, ns.
        lost: what could not be read, in words; empty where nothing was lost.
    """

    path: Path
    counts: dict[str, int]
    start_ns: int
    end_ns: int
    lost: tuple[str, ...]

    @property
    def message_count(self) -> int:
        """Messages in all topics."""
        return sum(self.counts.values())


@dataclass(frozen=True)
class _Item:
    topic: str
    qos: tuple[Qos, ...]
    definition: Definition
    receive_ns: int
    publish_ns: int
    data: bytes


def recover(source: Path | str, target: Path | str | None = None) -> Recovery:
    """Copy all that can be read of ``source`` into a new bag; the source is not changed.

    Args:
        source: bag directory (metadata.yaml may be missing), or one .mcap or .db3 file.
        target: directory to create, ``<source>_recovered`` by default.

    Raises:
        BagError: nothing in there is a bag, or not one message can be read.
    """
    source = Path(source)
    files = _storage_files(source)
    out = Path(target) if target is not None else source.with_name(f'{source.stem}_recovered')
    lost: list[str] = []
    storage = 'mcap' if files[0].name.endswith('.mcap') else 'sqlite3'
    counts: Counter[str] = Counter()
    stamps: list[int] = []
    with BagWriter(out, storage=storage, custom_data={'recovered_from': source.name}) as writer:
        for path in files:
            read = _read_mcap if path.name.endswith('.mcap') else _read_sqlite
            for item in read(path, lost):
                if not _declare(writer, item, path, lost):
                    continue
                writer.write(item.topic, item.receive_ns, _message(item.data), item.publish_ns)
                counts[item.topic] += 1
                stamps = [min([*stamps[:1], item.receive_ns]), max([*stamps[1:], item.receive_ns])]
    if not stamps:
        shutil.rmtree(out)
        why = '; '.join(lost) or 'it holds no message'
        raise BagError(source, f'nothing can be recovered: {why}')
    return Recovery(out, dict(counts), stamps[0], stamps[1], tuple(lost))


def _storage_files(source: Path) -> list[Path]:
    if not source.exists():
        raise BagError(source, 'does not exist')
    if source.is_file():
        if source.suffix not in {'.mcap', '.db3', '.zstd'}:
            raise BagError(source, 'is not a bag: expected a directory, an .mcap or a .db3 file')
        return [source]
    names = ('*.mcap', '*.db3', '*.db3.zstd', '*.mcap.zstd')
    found = [path for pattern in names for path in source.glob(pattern)]
    # A killed compression leaves both the file and a part of its compressed copy.
    plain = {path.name for path in found}
    files = [p for p in found if not (p.suffix == '.zstd' and p.stem in plain)]
    if not files:
        raise BagError(source, 'is not a bag: no .mcap and no .db3 in it')
    return sorted(files, key=_file_number)


def _declare(writer: BagWriter, item: _Item, path: Path, lost: list[str]) -> bool:
    """Declare the item's topic; False where topic, type or times can be no recorder's."""
    definition = item.definition if item.definition.encoding else None
    reason = ''
    if not 0 <= item.receive_ns <= _LATEST:
        reason = f'time {item.receive_ns} ns'
    else:
        try:
            writer.add_topic(item.topic, item.definition.type, item.qos, definition=definition)
        except (BagError, ValueError) as error:
            reason = str(error)
    text = f'{path.name}: messages of {item.topic} ({reason})'
    if reason and text not in lost and len(lost) < _REASONS:
        lost.append(text)
    return not reason


def _message(data: bytes) -> bytes:
    # Singly compressed messages: no CDR encapsulation begins like that.
    if data[:4] != _ZSTD_MAGIC:
        return data
    try:
        return zstandard.ZstdDecompressor().decompress(data)
    except zstandard.ZstdError:
        return data


def _file_number(path: Path) -> tuple[int, str]:
    number = path.name.partition('.')[0].rpartition('_')[2]
    return (int(number) if number.isdigit() else 0, path.name)


def _read_mcap(path: Path, lost: list[str]) -> Iterator[_Item]:
    schemas: dict[int, Schema] = {}
    channels: dict[int, tuple[str, tuple[Qos, ...], Definition]] = {}
    for record in _records(path, lost):
        if isinstance(record, Schema):
            schemas[record.id] = record
        elif isinstance(record, Channel):
            channels[record.id] = _channel(record, schemas.get(record.schema_id))
        elif isinstance(record, Message) and record.channel_id in channels:
            topic, profiles, definition = channels[record.channel_id]
            yield _Item(
                topic, profiles, definition, record.log_time, record.publish_time, record.data
            )


def _records(path: Path, lost: list[str]) -> Iterator[object]:
    """All records, those of chunks included; chunk by chunk, so that a broken one costs itself."""
    with _plain(path) as plain, plain.open('rb') as file:
        records = StreamReader(file, emit_chunks=True, record_size_limit=_RECORD_LIMIT).records
        while True:
            position = file.tell()
            try:
                record = next(records, None)
            except _BROKEN as error:
                rest = plain.stat().st_size - position
                if rest:
                    what = str(error) or 'incomplete record'
                    lost.append(f'{path.name}: from byte {position} of {position + rest} ({what})')
                yield from _indexed_records(file, position, path, lost)
                return
            if record is None:
                return
            yield from _unpacked(record, position, path, lost)


def _unpacked(record: object, position: int, path: Path, lost: list[str]) -> Iterator[object]:
    if not isinstance(record, Chunk):
        yield record
        return
    try:
        yield from breakup_chunk(record, validate_crc=True)
    except _BROKEN as error:
        lost.append(f'{path.name}: the chunk at byte {position} ({error or "broken"})')


def _indexed_records(
    file: BinaryIO, position: int, path: Path, lost: list[str]
) -> Iterator[object]:
    """Chunks behind ``position`` by the index at the end, where that is whole."""
    try:
        file.seek(0)
        summary = SeekingReader(file, record_size_limit=_RECORD_LIMIT).get_summary()
    except _BROKEN:
        return
    if summary is None:
        return
    yield from summary.schemas.values()
    yield from summary.channels.values()
    for index in sorted(summary.chunk_indexes, key=lambda index: index.chunk_start_offset):
        if index.chunk_start_offset <= position:
            continue
        file.seek(index.chunk_start_offset)
        reader = StreamReader(
            file, skip_magic=True, emit_chunks=True, record_size_limit=_RECORD_LIMIT
        )
        with contextlib.suppress(*_BROKEN):
            record = next(reader.records, None)
            yield from _unpacked(record, index.chunk_start_offset, path, lost)


def _channel(channel: Channel, schema: Schema | None) -> tuple[str, tuple[Qos, ...], Definition]:
    digest = channel.metadata.get('topic_type_hash', '')
    profiles = _profiles(channel.metadata.get('offered_qos_profiles', ''))
    if schema is None:
        return channel.topic, profiles, Definition('unknown', hash=digest)
    text = schema.data.decode('utf-8', 'replace')
    return channel.topic, profiles, Definition(schema.name, schema.encoding, text, digest)


def _profiles(text: str) -> tuple[Qos, ...]:
    try:
        return tuple(parse_qos(text))
    except (ReaderError, KeyError, TypeError, ValueError):
        return ()


def _read_sqlite(path: Path, lost: list[str]) -> Iterator[_Item]:
    with tempfile.TemporaryDirectory() as folder, _plain(path) as plain:
        # SQLite rolls a killed transaction back when it opens the file: in a copy, not in place.
        copy = Path(folder) / path.name
        shutil.copy2(plain, copy)
        logs = [path.with_name(path.name + suffix) for suffix in ('-journal', '-wal')]
        for log in logs:
            if log.exists():
                shutil.copy2(log, copy.with_name(log.name))
        if not any(log.exists() for log in logs):
            _admit_truncation(copy, lost)
        with contextlib.closing(sqlite3.connect(copy)) as connection:
            connection.text_factory = lambda text: text.decode('utf-8', 'replace')
            try:
                topics = _sqlite_topics(connection)
                for number, stamp, data in _sqlite_rows(connection, path, lost):
                    known = number in topics and isinstance(stamp, int)
                    if known and isinstance(data, bytes):
                        topic, profiles, definition = topics[number]
                        yield _Item(topic, profiles, definition, stamp, stamp, data)
            except _SQLITE_BROKEN as error:
                lost.append(f'{path.name}: {error}')


def _admit_truncation(path: Path, lost: list[str]) -> None:
    """Write the pages that there are into the header; SQLite refuses a file with fewer."""
    size = path.stat().st_size
    with path.open('r+b') as file:
        header = file.read(_SQLITE_HEADER)
        if len(header) < _SQLITE_HEADER or not header.startswith(b'SQLite format 3'):
            return
        page = int.from_bytes(header[16:18], 'big')
        page = 65536 if page == 1 else page
        promised = int.from_bytes(header[28:32], 'big')
        if page < _SMALLEST_PAGE or size // page >= promised:
            return
        lost.append(f'{path.name}: cut off at byte {size} of {promised * page}')
        file.truncate(size // page * page)
        file.seek(28)
        file.write((size // page).to_bytes(4, 'big'))


def _sqlite_rows(
    connection: sqlite3.Connection, path: Path, lost: list[str]
) -> Iterator[tuple[int, int, bytes]]:
    """Rows in order; after a broken page one by one, as far as they can be found."""
    last = 0
    try:
        query = 'SELECT id,topic_id,timestamp,data FROM messages ORDER BY id'
        for row in connection.execute(query):
            last = row[0]
            yield row[1:]
    except _SQLITE_BROKEN as error:
        lost.append(f'{path.name}: not all of what follows message {last} ({error})')
    else:
        return
    missed = 0
    while missed < _MISSES:
        last += 1
        missed += 1
        with contextlib.suppress(*_SQLITE_BROKEN):
            query = 'SELECT topic_id,timestamp,data FROM messages WHERE id=?'
            row = connection.execute(query, (last,)).fetchone()
            if row is not None:
                yield row
                missed = 0


def _sqlite_topics(
    connection: sqlite3.Connection,
) -> dict[int, tuple[str, tuple[Qos, ...], Definition]]:
    columns = {row[1] for row in connection.execute('PRAGMA table_info(topics)')}
    texts = {}
    if connection.execute('PRAGMA table_info(message_definitions)').fetchall():
        query = 'SELECT topic_type,encoding,encoded_message_definition FROM message_definitions'
        texts = {row[0]: (row[1], row[2]) for row in connection.execute(query)}
    wanted = ['id', 'name', 'type']
    optional = ['offered_qos_profiles', 'type_description_hash']
    chosen = wanted + [name if name in columns else "''" for name in optional]
    topics = {}
    for number, name, kind, profiles, digest in connection.execute(
        f'SELECT {",".join(chosen)} FROM topics'  # noqa: S608 (column names from this list)
    ):
        encoding, text = texts.get(kind, ('', ''))
        texts_of_topic = (kind, encoding, text, digest)
        if all(isinstance(value, str) for value in (name, profiles, *texts_of_topic)):
            topics[number] = (name, _profiles(profiles), Definition(*texts_of_topic))
    return topics


@contextlib.contextmanager
def _plain(path: Path) -> Iterator[Path]:
    """The file itself, or a decompressed copy as far as it can be decompressed."""
    if path.suffix != '.zstd':
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.stem
        with path.open('rb') as source, copy.open('wb') as sink:
            reader = zstandard.ZstdDecompressor().stream_reader(source)
            with contextlib.suppress(zstandard.ZstdError):
                shutil.copyfileobj(reader, sink)
        yield copy
