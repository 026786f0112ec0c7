# SPDX-License-Identifier: Apache-2.0
"""Copies bags into another storage, compression, split, time range or choice of topics."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from meta_repo_ros.core.time import seconds_ns
from meta_repo_ros.replay.bag_reader import BagReader
from meta_repo_ros.replay.bag_writer import BagWriter, absolute
from meta_repo_ros.replay.errors import BagError


def convert(
    source: Path | str,
    target: Path | str,
    *,
    topics: Collection[str] | None = None,
    start_s: float | None = None,
    stop_s: float | None = None,
    progress: Callable[[float], None] | None = None,
    **options: Any,
) -> int:
    """Copy ``source`` to ``target``; bytes, receive times, definitions and QoS stay.

    Args:
        source: bag to read.
        target: directory to create.
        topics: only these; None for all.
        start_s: from this time after the beginning, s.
        stop_s: before this time after the beginning, s.
        progress: called with the fraction done.
        **options: of :class:`BagWriter`.

    Returns:
        Number of messages copied.

    Raises:
        BagError: a bag cannot be read or written, or has no such topic.
    """
    with BagReader(source) as bag:
        wanted = None
        if topics is not None:
            wanted = {absolute(topic) for topic in topics}
            missing = wanted - {absolute(name) for name in bag.topics}
            if missing:
                there = ', '.join(bag.topics)
                raise BagError(source, f'has no topic {", ".join(sorted(missing))}; it has {there}')
        chosen = [t for t in bag.topics.values() if wanted is None or absolute(t.name) in wanted]
        begin = bag.start_ns
        start = None if start_s is None else begin + seconds_ns(start_s)
        stop = None if stop_s is None else begin + seconds_ns(stop_s)
        with BagWriter(target, custom_data=bag.custom_data, **options) as writer:
            for topic in chosen:
                writer.add_topic(topic.name, topic.type, topic.qos, definition=topic.definition)
            for item in bag.raw({topic.name for topic in chosen}, start, stop):
                writer.write(item.topic, item.receive_ns, item.data)
                if progress is not None and writer.message_count % 5000 == 0:
                    progress((item.receive_ns - begin) / max(1, bag.duration_ns))
            return writer.message_count
