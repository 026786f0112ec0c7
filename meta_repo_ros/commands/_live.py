# SPDX-License-Identifier: Apache-2.0
"""A live graph from start to report: for ``demo`` and ``replay --live``."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from meta_repo_ros.commands import _comparison, _domain
from meta_repo_ros.commands._display import Display, display_on
from meta_repo_ros.commands._offline import CHAIN, chain, make, parameters
from meta_repo_ros.graph import NODES, ProcessSpec, system
from meta_repo_ros.replay.bag_reader import BagReader
from meta_repo_ros.replay.errors import BagError
from meta_repo_ros.reporting import recorded, report
from meta_repo_ros.reporting.terminal import error_table
from meta_repo_ros.ros.observer import Observer
from meta_repo_ros.run import OWN, Runner
from meta_repo_ros.vortex_shield.inflow import johnson_boundary

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from rich.console import Console

    from meta_repo_ros.reporting.evaluation import Errors
    from meta_repo_ros.reporting.report import Facts, Judgement

BRING_UP_S = 60.0
_REFRESH_S = 0.5
_STALLED_S = 15.0
_LOOK_S = 3.0
_END_S = 0.1  # the last samples of a bag may be lost
SETTLE_S = 10.0
DIVERGED_M = 50.0
LATENCY_TEXT = (
    'From the publication of an inertial sample by its source to the receipt of the odometry of '
    'the same stamp by an observer in a third process; both times by the middleware.'
)


@dataclass
class Flight:
    """What a live run gave besides its bag.

    Attributes:
        latencies: (n,) ms.
        streams: topic -> (received, lost).
        errors: at the end, None where there was no truth.
        exit_code: of the graph.
        trouble: why it ended before its time, '' if it did not.
        complaints: last lines in which a process spoke of an error.
    """

    latencies: np.ndarray[Any, np.dtype[np.float64]]
    streams: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    errors: Errors | None = None
    exit_code: int = 0
    trouble: str = ''
    complaints: Sequence[str] = ()


def with_parameters(
    processes: Sequence[ProcessSpec], given: Mapping[str, Mapping[str, object]]
) -> tuple[ProcessSpec, ...]:
    """``processes`` with more parameters for the nodes named in ``given``."""
    return tuple(
        replace(
            process,
            nodes=tuple(
                replace(node, parameters={**node.parameters, **given.get(node.type, {})})
                for node in process.nodes
            ),
        )
        for process in processes
    )


def fly(
    console: Console,
    processes: Sequence[ProcessSpec],
    duration: float,
    folder: Path,
    domain: int,
) -> Flight:
    """Run ``processes`` for ``duration`` s of source time, or until they end or Ctrl-C.

    Raises:
        RuntimeError: the graph cannot be started, or another one is in this domain.
    """
    return asyncio.run(_fly(console, processes, duration, folder, domain))


async def _fly(
    console: Console,
    processes: Sequence[ProcessSpec],
    duration: float,
    folder: Path,
    domain: int,
) -> Flight:
    complaints: deque[str] = deque(maxlen=12)

    def on_output(name: str, line: str) -> None:
        if name == OWN or 'ERROR' in line or 'Traceback' in line:
            complaints.append(f'{name}: {line}')

    runner = Runner(processes, log_directory=folder / 'logs', on_output=on_output)
    interrupted = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, interrupted.set)
    try:
        with Observer(domain_id=domain) as observer:
            if await _occupied(observer, domain):
                raise RuntimeError(
                    f'another graph publishes odometry in ROS domain {domain}: stop it, or set'
                    ' another ROS_DOMAIN_ID (or none, and a free one is taken)'
                )
            await runner.start()
            ended = asyncio.ensure_future(runner.wait())
            try:
                with display_on(console, duration) as display:
                    trouble = await _watch(observer, display, ended, interrupted, duration)
            finally:
                runner.request_stop()
                await ended
            final = observer.snapshot()
            return Flight(
                latencies=observer.latencies,
                errors=final.errors,
                streams={s.topic: (s.count, s.lost) for s in final.streams},
                exit_code=runner.exit_code,
                trouble=trouble,
                complaints=tuple(complaints),
            )
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.remove_signal_handler(number)


async def _occupied(observer: Observer, domain: int) -> bool:
    """Whether another graph publishes odometry here; a free domain that we chose needs no look."""
    if _domain.chosen(domain):
        return False
    end = asyncio.get_running_loop().time() + _LOOK_S
    while asyncio.get_running_loop().time() < end:
        if observer.publishers('odometry') or observer.publishers('imu/data_raw'):
            return True
        await asyncio.sleep(0.1)
    return False


async def _watch(
    observer: Observer,
    display: Display,
    ended: asyncio.Future[int],
    interrupted: asyncio.Event,
    duration: float,
) -> str:
    """Show the graph until it is done; returns what went wrong, '' for nothing."""
    loop = asyncio.get_running_loop()
    moved, elapsed = loop.time(), 0.0
    while True:
        shown = observer.snapshot()
        display.show(shown)
        if shown.elapsed > elapsed:
            moved, elapsed = loop.time(), shown.elapsed
        if elapsed >= duration:
            return ''
        if interrupted.is_set():
            return 'stopped before its time'
        if ended.done():
            # a source that has given all it has ends the graph
            return '' if elapsed > 0 and ended.result() == 0 else 'the graph ended by itself'
        if loop.time() - moved > (_STALLED_S if elapsed else BRING_UP_S):
            what = 'stopped' if elapsed else 'did not begin'
            return f'inertial samples {what} within {loop.time() - moved:.0f} s'
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(interrupted.wait(), _REFRESH_S)


def replay(console: Console, bag: Path, folder: Path, rate: float, files: Sequence[Path]) -> int:
    """Play ``bag`` through the live graph; returns the exit code.

    Raises:
        BagError, ValueError, RuntimeError: the bag cannot be read, or the graph not be started.
    """
    domain = _domain.isolate()
    with BagReader(bag) as reader:
        names = {name.lstrip('/') for name in reader.topics}
        stamps = [recorded.header_stamp(m.data) for m in reader.raw(['/imu/data_raw'])]
    if len(stamps) < 2:
        raise RuntimeError(f'{bag}: nothing to fuse, it holds no imu/data_raw')
    given = {
        'profile': 'stand_alone',
        'bag': str(bag),
        'record': 'true',
        'bag_path': str((folder / 'bag').absolute()),
        'respawn': 'false',
    }
    over: dict[str, Mapping[str, object]] = {node: parameters(node, files) for node in CHAIN}
    processes = with_parameters(system(given), {**over, 'bag_player': {'rate': rate}})
    duration = (max(stamps) - min(stamps)) * 1e-9
    expected = Expected(
        'odometry' if 'gnss/fix' in names else 'imu/data',
        truth=any(name.startswith('ground_truth/') for name in names),
    )
    flight = fly(console, processes, duration - _END_S, folder, domain)
    facts = report.Facts(
        title=f'Live replay of {bag.name}',
        lines=[f'{bag} played through the live graph at {rate:g} times real time.'],
        configuration=configuration(processes),
    )
    return conclude(console, flight, folder, facts, expected)


@dataclass(frozen=True)
class Expected:
    """What a good run shows: messages on ``topic``, and, where there is truth, a small error."""

    topic: str = 'odometry'
    truth: bool = True


def verdict(flight: Flight, judgement: Judgement, expected: Expected) -> str:
    """Why navigation failed, '' where it worked."""
    if not flight.streams.get(expected.topic, (0, 0))[0]:
        return f'no {expected.topic} came'
    if not expected.truth:
        return ''
    if expected.topic != 'odometry':
        return '' if judgement.attitude is not None else 'the attitude could not be compared'
    found = judgement.navigation
    if found is None or found.position is None:
        return 'the bag does not hold what is needed to compare odometry with truth'
    p95 = float(np.nanpercentile(np.hypot(*found.position[:, :2].T), 95))
    if not p95 < DIVERGED_M:
        return f'navigation diverged: 95 % of the horizontal errors reach up to {p95:.0f} m'
    return ''


def configuration(processes: Sequence[ProcessSpec], params_file: Path | None = None) -> Any:
    """Parameters of the processors in ``processes``, by node."""
    from meta_repo_ros.core.parameters import to_mapping

    files = [] if params_file is None else [params_file]
    nodes = [node for process in processes for node in process.nodes]
    found: dict[str, Mapping[str, object]] = {}
    for node in nodes:
        values: dict[str, object] = {}
        if NODES[node.type].kind == 'processor':
            values.update(to_mapping(make(node.type, files).parameters))
        values.update(node.parameters)
        if values:
            found[node.type] = values
    return found


def conclude(
    console: Console,
    flight: Flight,
    folder: Path,
    facts: Facts,
    expected: Expected | None = None,
    *,
    without: Sequence[str] = (),
    files: Sequence[Path] = (),
) -> int:
    """Judge the recorded bag, print and write the report; returns the exit code.

    Args:
        console: to print on.
        flight: what was seen live.
        folder: of the run; its ``bag`` is judged.
        facts: for the report.
        expected: of a good run.
        without: topics; where the bag holds them, the report also shows a run without them.
        files: parameter files over the shipped ones, for that run.
    """
    if flight.trouble:
        console.print(f'[yellow]{flight.trouble}[/]', highlight=False)
    try:
        recording = recorded.read_bag(folder / 'bag')
    except BagError as error:
        _complain(console, flight, str(error))
        return 1
    judgement = report.judge(recording, settle=SETTLE_S)
    lost = {topic: lost for topic, (_, lost) in flight.streams.items() if lost}
    notes = [
        f'{count} messages of {topic} did not reach the observer' for topic, count in lost.items()
    ]
    facts = replace(
        facts,
        bag=str(folder / 'bag'),
        boundary=johnson_boundary,
        latency=flight.latencies,
        latency_text=LATENCY_TEXT,
        notes=[*facts.notes, *([flight.trouble] if flight.trouble else []), *notes],
    )
    other = None
    if without and _comparison.present(recording, without):
        console.print(f'once more offline without {" and ".join(without)} ...', highlight=False)
        other = _comparison.run_without(
            folder / 'bag',
            chain({s.topic for s in recording.streams} - _comparison.IMAGES, files),
            without,
            recording,
            settle=SETTLE_S,
        )
        facts = replace(facts, comparison=other)
    page = report.write(folder / 'report.html', recording, judgement, facts)
    if report.error_rows(judgement):
        console.print(
            error_table(judgement, f'errors against truth, first {SETTLE_S:g} s left out')
        )
    if other is not None and (shown := _comparison.table(judgement, other, recording)):
        console.print(shown)
    if len(flight.latencies):
        median, high = np.percentile(flight.latencies, [50, 99])
        console.print(f'latency {median:.1f} ms, 99 % below {high:.1f} ms', highlight=False)
    console.print(
        f'bag     {folder / "bag"}\nreport  {page}\nlogs    {folder / "logs"}', highlight=False
    )
    reason = verdict(flight, judgement, expected or Expected())
    if reason or flight.exit_code:
        _complain(console, flight, reason or f'the graph ended with exit code {flight.exit_code}')
        return 1
    return 0


def summarise(console: Console, flight: Flight) -> int:
    """Print the result of a flight without a bag; returns the exit code."""
    for topic, (count, lost) in flight.streams.items():
        if count:
            console.print(f'{topic}: {count} messages, {lost} lost', highlight=False)
    reason = flight.trouble
    if not flight.streams.get('odometry', (0, 0))[0]:
        reason = 'no odometry came'
    elif flight.errors is None or flight.errors.position is None:
        reason = 'odometry could not be compared with truth'
    else:
        horizontal = float(np.hypot(*flight.errors.position[-1, :2]))
        console.print(f'horizontal error at the end {horizontal:.2f} m', highlight=False)
        if not horizontal < DIVERGED_M:
            reason = 'navigation diverged'
    if reason or flight.exit_code:
        _complain(console, flight, reason or f'the graph ended with exit code {flight.exit_code}')
        return 1
    return 0


def _complain(console: Console, flight: Flight, reason: str) -> None:
    console.print(f'[bold red]failed: {reason}[/]', highlight=False)
    for line in flight.complaints:
        console.print(f'  {line}', highlight=False, markup=False)
