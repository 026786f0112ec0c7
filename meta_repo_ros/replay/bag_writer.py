# SPDX-License-Identifier: Apache-2.0
"""Writes bags that ``ros2 bag``, Foxglove and rosbags read: MCAP or SQLite beside metadata.yaml.

The same calls give the same bytes: nothing in here reads a clock. What was written before the last
:meth:`BagWriter.flush` survives ``kill -9`` (``meta-repo bag recover`` completes such a bag).
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
import zstandard
from rosbags.interfaces import Qos
from rosbags.rosbag2.metadata import dump_qos_v9

from meta_repo_ros.replay import definitions, qos
from meta_repo_ros.replay.codec import Codec, installed_codec, type_name
from meta_repo_ros.replay.definitions import Definition
from meta_repo_ros.replay.errors import BagError, BagFullError
from meta_repo_ros.replay.storage import SUFFIXES, StorageFile, TopicRecord, create

if TYPE_CHECKING:
    from typing_extensions import Self

STORAGES = ('mcap', 'sqlite3')
COMPRESSIONS = ('none', 'zstd', 'lz4')
METADATA_VERSION = 9
_NEVER = 2**63 - 1
_RESERVE = 1 << 20  # bytes kept free for index and metadata of a bag on a disk that runs full
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass
class _Span:
    """Count and time span of messages."""

    start: int = _NEVER
    end: int = 0
    count: int = 0

    def add(self, stamp: int) -> None:
        self.start = min(self.start, stamp)
        self.end = max(self.end, stamp)
        self.count += 1

    def as_dict(self) -> dict[str, Any]:
        return {
            'duration': {'nanoseconds': max(0, self.end - self.start) if self.count else 0},
            'starting_time': {'nanoseconds_since_epoch': self.start},
            'message_count': self.count,
        }


@dataclass
class _Topic:
    record: TopicRecord
    profiles: list[Qos]
    codec: Codec | None = None
    count: int = 0
    number: int = field(default=-1)  # in the file being written, -1 before the first message


class BagWriter:
    """A bag being written; a context manager that closes it, also after an error.

    Args:
        path: directory to create; its name is the bag's name.
        storage: ``mcap`` or ``sqlite3``.
        compression: ``none``, ``zstd`` or ``lz4``. MCAP compresses chunks; SQLite whole files
            or messages, with zstd alone.
        compression_mode: ``file`` or ``message``, for SQLite.
        max_file_bytes: a new file begins when the present one has this size; 0 for never.
        max_file_ns: a new file begins when the present one spans this receive time; 0 for never.
        chunk_bytes: MCAP chunks close at this size at the latest.
        custom_data: kept in metadata.yaml.

    Raises:
        BagError: the directory exists, or cannot be written; wrong options.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        storage: str = 'mcap',
        compression: str = 'none',
        compression_mode: str = 'file',
        max_file_bytes: int = 0,
        max_file_ns: int = 0,
        chunk_bytes: int = 1 << 20,
        custom_data: Mapping[str, str] | None = None,
    ) -> None:
        self.path = Path(path)
        if storage not in STORAGES or compression not in COMPRESSIONS:
            raise BagError(path, f'no storage {storage!r} with compression {compression!r}')
        if storage == 'sqlite3' and compression == 'lz4':
            raise BagError(path, 'SQLite bags are compressed with zstd alone')
        if compression_mode not in {'file', 'message'}:
            raise BagError(
                path, f'compression mode {compression_mode!r} is neither file nor message'
            )
        self.storage = storage
        self._compression = compression
        # MCAP compresses inside, so that readers see an uncompressed bag.
        self._mode = compression_mode if storage == 'sqlite3' and compression != 'none' else ''
        self._max_bytes, self._max_ns = max_file_bytes, max_file_ns
        self._chunk_bytes = chunk_bytes
        self._custom = dict(custom_data or {})
        self._topics: dict[str, _Topic] = {}
        self._files: list[tuple[str, _Span]] = []
        self._file: StorageFile | None = None
        self._closed = False
        self._closed_bytes = 0
        self._create()

    def _create(self) -> None:
        try:
            self.path.mkdir(parents=True)
        except FileExistsError:
            raise BagError(self.path, 'exists already', 'choose another name') from None
        except OSError as error:
            raise BagError(
                self.path, f'cannot create the bag: {error.strerror}', 'choose another directory'
            ) from error
        self._reserve = self.path / '.reserve'
        try:
            with self._reserve.open('wb') as file:
                os.posix_fallocate(file.fileno(), 0, _RESERVE + 2 * self._chunk_bytes)
        except OSError:
            self._drop_reserve()  # a small disk: recording may still fit
        try:
            self._open_file()
        except BagError:
            shutil.rmtree(self.path, ignore_errors=True)
            raise
        self._commit()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def message_count(self) -> int:
        """Messages written so far."""
        return sum(span.count for _, span in self._files)

    @property
    def size(self) -> int:
        """Bytes of the file being written, pending ones included."""
        return self._file.size if self._file is not None else 0

    @property
    def total_size(self) -> int:
        """Bytes of all files so far."""
        return self._closed_bytes + self.size

    @property
    def file_names(self) -> list[str]:
        """Names of the storage files so far."""
        return [name for name, _ in self._files]

    @property
    def counts(self) -> dict[str, int]:
        """Messages written so far by topic."""
        return {name: topic.count for name, topic in self._topics.items()}

    def add_topic(
        self,
        name: str,
        type_name: str,
        qos_profiles: str | Sequence[Qos] = (),
        *,
        definition: Definition | None = None,
    ) -> None:
        """Declare a topic before its first message; the same declaration again does nothing.

        Args:
            name: topic; a relative name is taken as one in the root namespace.
            type_name: full type name.
            qos_profiles: what the publishers offered, or the name of a preset.
            definition: the type's definition; None takes that of the installed package.

        Raises:
            BagError: the topic is there with another type.
        """
        name = absolute(name)
        profiles = (
            [qos.PRESETS[qos_profiles]] if isinstance(qos_profiles, str) else list(qos_profiles)
        )
        present = self._topics.get(name)
        if present is not None:
            if present.record.definition.type != type_name:
                raise BagError(
                    self.path,
                    f'topic {name} has type {present.record.definition.type}, not {type_name}',
                )
            return
        if definition is None:
            definition = definitions.installed(type_name) or Definition(type_name)
        record = TopicRecord(name, definition, qos.as_yaml(profiles))
        self._topics[name] = _Topic(record, profiles)

    def write(
        self, topic: str, receive_ns: int, message: Any, publish_ns: int | None = None
    ) -> None:
        """Append a message.

        Args:
            topic: a declared topic.
            receive_ns: receive time, ns, >= 0.
            message: CDR bytes, or a ``rosidl`` or rosbags message of the topic's type.
            publish_ns: time of publication, ns, where known.

        Raises:
            BagError: undeclared topic, closed bag, negative time.
            BagFullError: no space; the bag was closed and holds everything up to here.
            TypeError, ValueError: the message does not fit the topic's type.
        """
        entry = self._topics.get(topic) or self._topics.get(absolute(topic))
        if entry is None:
            raise BagError(self.path, f'topic {topic} was not declared')
        if self._closed or self._file is None:
            raise BagError(self.path, 'is closed')
        if not 0 <= receive_ns <= _NEVER:
            raise BagError(self.path, f'{topic}: receive time {receive_ns} ns is out of range')
        if isinstance(message, bytes | bytearray | memoryview):
            data = bytes(message)
        else:
            data = self._serialise(entry, message)
        if self._max_bytes or self._max_ns:
            self._split_if_due(receive_ns)
        if entry.number < 0:
            entry.number = self._file.add_topic(entry.record)
        published = receive_ns if publish_ns is None else publish_ns
        self._file.write(entry.number, receive_ns, published, data)
        entry.count += 1
        self._files[-1][1].add(receive_ns)
        if self._file.backlog:
            self._commit()

    def flush(self) -> None:
        """Bring everything written to disk, closing the MCAP chunk or SQLite transaction.

        Raises:
            BagFullError: as :meth:`write`.
        """
        if not self._closed:
            self._commit()

    def split(self) -> None:
        """Begin a new file."""
        if self._files[-1][1].count:
            self._close_file()
            self._open_file()

    def close(self) -> None:
        """Complete the last file and write metadata.yaml; once more does nothing."""
        if self._closed:
            return
        self._closed = True
        try:
            # Topics without messages belong to the bag, too.
            for entry in self._topics.values():
                if entry.number < 0 and not entry.count and self._file is not None:
                    entry.number = self._file.add_topic(entry.record)
            self._close_file()
            self._write_metadata()
        finally:
            self._drop_reserve()

    def _serialise(self, entry: _Topic, message: Any) -> bytes:
        name = entry.record.definition.type
        if type_name(message) != name:
            raise TypeError(f'{entry.record.name} takes {name}, got {type_name(message)}')
        if entry.codec is None:
            entry.codec = installed_codec(name)
        return entry.codec.serialise(message, name)

    def _split_if_due(self, receive_ns: int) -> None:
        span = self._files[-1][1]
        if not span.count or self._file is None:
            return
        too_big = self._max_bytes and self._file.size >= self._max_bytes
        too_long = self._max_ns and receive_ns - span.start >= self._max_ns
        if too_big or too_long:
            self.split()

    def _open_file(self) -> None:
        path = self.path / f'{self.path.name}_{len(self._files)}{SUFFIXES[self.storage]}'
        try:
            self._file = create(
                path,
                self.storage,
                compression=self._compression,
                mode=self._mode,
                chunk_bytes=self._chunk_bytes,
                distro=_distro(),
            )
        except (OSError, sqlite3.Error) as error:
            raise BagError(path, f'cannot be created: {error}') from error
        self._files.append((path.name, _Span()))
        for entry in self._topics.values():
            entry.number = -1

    def _commit(self) -> None:
        if self._file is None:
            return
        try:
            self._file.commit()
        except (OSError, sqlite3.Error) as error:
            self._closed = True
            self._close_full(error)

    def _close_full(self, error: OSError | sqlite3.Error) -> None:
        """Complete the bag in the space that was kept free, and say what happened."""
        reason = 'the disk is full' if _is_full(error) else f'cannot be written: {error}'
        self._drop_reserve()
        try:
            self._close_file(again=False)
            self._write_metadata()
        except (OSError, sqlite3.Error, BagError):
            if self._file is not None:
                self._file.abandon()
            raise BagFullError(
                self.path,
                f'{reason}; recording stopped',
                'make room, then run meta-repo bag recover',
            ) from error
        raise BagFullError(
            self.path,
            f'{reason}; recording stopped after {self.message_count} messages, the bag is complete',
            'make room before you record again',
        ) from error

    def _close_file(self, *, again: bool = True) -> None:
        file = self._file
        if file is None:
            return
        metadata = yaml.safe_dump(self._metadata(), sort_keys=False)
        try:
            file.close(metadata)
        except (OSError, sqlite3.Error) as error:
            if not again:
                raise
            self._closed = True
            self._close_full(error)
        self._file = None
        self._closed_bytes += file.size
        if self._mode == 'file':
            self._compress_last(file.path)

    def _compress_last(self, path: Path) -> None:
        target = path.with_name(path.name + '.zstd')
        try:
            with path.open('rb') as source, target.open('xb') as sink:
                zstandard.ZstdCompressor().copy_stream(source, sink, size=path.stat().st_size)
        except OSError as error:
            target.unlink(missing_ok=True)
            raise BagFullError(path, f'cannot be compressed: {error.strerror}') from error
        path.unlink()
        self._files[-1] = (target.name, self._files[-1][1])

    def _total(self) -> _Span:
        spans = [span for _, span in self._files]
        return _Span(min(s.start for s in spans), max(s.end for s in spans), self.message_count)

    def _metadata(self) -> dict[str, Any]:
        topics = [
            {
                'topic_metadata': {
                    'name': topic.record.name,
                    'type': topic.record.definition.type,
                    'serialization_format': 'cdr',
                    'offered_qos_profiles': dump_qos_v9(topic.profiles),
                    'type_description_hash': topic.record.definition.hash,
                },
                'message_count': topic.count,
            }
            for topic in self._topics.values()
        ]
        return {
            'version': METADATA_VERSION,
            'storage_identifier': self.storage,
            **self._total().as_dict(),
            'topics_with_message_count': topics,
            'compression_format': 'zstd' if self._mode else '',
            'compression_mode': self._mode,
            'relative_file_paths': [name for name, _ in self._files],
            'files': [{'path': name, **span.as_dict()} for name, span in self._files],
            'custom_data': self._custom or None,
            'ros_distro': _distro(),
        }

    def _write_metadata(self) -> None:
        write_metadata(self.path, self._metadata())

    def _drop_reserve(self) -> None:
        with contextlib.suppress(OSError):
            self._reserve.unlink(missing_ok=True)


def write_metadata(bag: Path, metadata: Mapping[str, Any]) -> None:
    """Write ``metadata.yaml`` of the directory ``bag`` in one step."""
    text = yaml.safe_dump({'rosbag2_bagfile_information': dict(metadata)}, sort_keys=False)
    part = bag / 'metadata.yaml.part'
    part.write_text(text, encoding='utf-8')
    part.replace(bag / 'metadata.yaml')


def absolute(topic: str) -> str:
    """``topic`` with a leading slash, as bags hold names."""
    return topic if topic.startswith('/') else '/' + topic


def _distro() -> str:
    return os.environ.get('ROS_DISTRO', 'unknown')


def _is_full(error: OSError | sqlite3.Error) -> bool:
    if isinstance(error, OSError):
        return error.errno in _FULL
    return 'full' in str(error)
