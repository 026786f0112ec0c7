# SPDX-License-Identifier: Apache-2.0
"""A recording once more without a topic, to show what the topic is worth."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from meta_repo_ros.replay import offline
from meta_repo_ros.replay.withheld import Withheld
from meta_repo_ros.reporting import recorded, report
from meta_repo_ros.reporting.comparison import HEADER, Comparison, cells, silences

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path

    from rich.table import Table

    from meta_repo_ros.core.processor import Processor
    from meta_repo_ros.reporting.recorded import Recording
    from meta_repo_ros.reporting.report import Judgement

STARS = ('attitude_update',)
IMAGES = frozenset({'star_camera/image'})
"""Not solved once more: what they gave is in the bag."""


def run_without(
    bag: Path,
    processors: Sequence[Processor],
    topics: Collection[str],
    recording: Recording,
    *,
    phases: Sequence[tuple[int, int]] = (),
    settle: float = 0.0,
    namespace: str = '',
    progress: Callable[[float], None] | None = None,
) -> Comparison | None:
    """Run those of ``processors`` that take ``topics`` on ``bag`` without these.

    Args:
        bag: the recording; what the run gives is written beside it.
        processors: fresh ones; the others' messages are taken from the bag.
        topics: relative names.
        recording: of the run with them, for its truth.
        phases: GNSS outages of that run, ns.
        settle: s after the first estimate that are left out.
        namespace: of the vehicle.
        progress: called with the fraction done.

    Returns:
        None where no processor takes the topics, or nothing can be judged.

    Raises:
        BagError: the bag cannot be read or the other one not be written.
    """
    chosen = [p for p in processors if any(topic.name in topics for topic in p.inputs)]
    if not chosen:
        return None
    label = ' and '.join(topics)
    target = bag.parent / f'{bag.name}_without_{"_".join(t.replace("/", "_") for t in topics)}'
    offline.run(
        bag,
        [Withheld(processor, phases, topics) for processor in chosen],
        target,
        namespace=namespace or '/',
        progress=progress,
    )
    other = recorded.read_bag(target, namespace)
    both = dataclasses.replace(recording, estimate=other.estimate, attitude=other.attitude)
    judged = report.judge(both, phases, settle=settle)
    return None if judged.navigation is None else Comparison(label, judged.navigation)


def present(recording: Recording, topics: Collection[str]) -> bool:
    """Whether the recording holds messages on all of ``topics``."""
    counts: dict[str, int] = {stream.topic: stream.count for stream in recording.streams}
    return all(counts.get(topic, 0) for topic in topics)


def table(judgement: Judgement, other: Comparison, recording: Recording) -> Table | None:
    """Both runs for a terminal, None where there is nothing to compare."""
    from rich import box
    from rich.table import Table

    if judgement.navigation is None:
        return None
    rows: list[Any] = cells(judgement.navigation, other, silences(recording.fixes, recording.end))
    if not rows:
        return None
    title = f'with and without {other.label}'
    shown = Table(title=title, title_justify='left', box=box.SIMPLE_HEAD)
    for i, name in enumerate(HEADER):
        shown.add_column(name, justify='left' if i < 2 else 'right')
    for row in rows:
        shown.add_row(*row)
    return shown
