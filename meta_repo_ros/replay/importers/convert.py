# SPDX-License-Identifier: Apache-2.0
"""Any known recording to a bag."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meta_repo_ros.replay.importers import RecordingError
from meta_repo_ros.replay.importers.broad import trial_streams
from meta_repo_ros.replay.importers.drive import Outage, drive_streams
from meta_repo_ros.replay.importers.px4 import log_streams
from meta_repo_ros.replay.importers.streams import Progress, write_streams


@dataclass(frozen=True)
class Imported:
    """What was imported: its kind (broad, drive, px4), the bag and its messages by topic."""

    kind: str
    path: Path
    counts: Mapping[str, int]


def kind_of(source: Path | str) -> str | None:
    """``broad``, ``drive`` or ``px4``; None where ``source`` is no recording known here."""
    source = Path(source)
    if source.suffix == '.mat':
        return 'broad'
    if source.suffix == '.ulg':
        return 'px4'
    if source.suffix == '.pos' or (source.is_dir() and any(source.glob('*.pos'))):
        return 'drive'
    return None


def import_recording(
    source: Path | str,
    target: Path | str,
    *,
    outage: Outage | None = None,
    latency_s: Mapping[str, float] | None = None,
    namespace: str = '',
    progress: Progress | None = None,
    **options: Any,
) -> Imported:
    """Write the recording ``source`` as a bag with standard messages, truth on its own topics.

    Args:
        source: BROAD trial (.mat), PX4 log (.ulg), or folder (or .pos in it) of a drive.
        target: directory to create.
        outage: fixes to withhold; drives alone.
        latency_s: declared latency by topic, s; not for PX4 logs, which hold receive times.
        namespace: of the topics.
        progress: called with the fraction done.
        **options: of :class:`meta_repo_ros.replay.bag_writer.BagWriter`.

    Raises:
        RecordingError: not a recording known here, or broken.
        BagError: the bag cannot be written.
    """
    source = Path(source)
    if not source.exists():
        raise RecordingError(f'{source}: does not exist')
    kind = kind_of(source)
    if outage is not None and kind != 'drive':
        raise RecordingError(f'{source}: outages are for recordings with GNSS (.pos)')
    if latency_s and kind == 'px4':
        raise RecordingError(f'{source}: a PX4 log holds receive times; no latency can be declared')
    if kind == 'broad':
        streams = trial_streams(source)
    elif kind == 'px4':
        streams = log_streams(source)
    elif kind == 'drive':
        streams = drive_streams(source, outage)
    else:
        raise RecordingError(
            f'{source}: not a recording known here; expected a BROAD trial (.mat), a PX4 log '
            '(.ulg), or the folder of a drive (.pos with .csv and .csv.tag)'
        )
    counts = write_streams(
        streams,
        target,
        namespace=namespace,
        latency_s=latency_s,
        custom_data={'imported_from': source.name, 'recording': kind},
        progress=progress,
        **options,
    )
    return Imported(kind, Path(target), counts)
