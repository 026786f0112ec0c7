# SPDX-License-Identifier: Apache-2.0
"""Simulated flights of held-out seeds and vehicles through the detector, in two processes."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.vortex_blocks import blocks
from meta_repo_ros.core.samples import Array, Block, Health, Kind, Recording, Samples
from meta_repo_ros.core.time import NANOSECONDS
from meta_repo_ros.simulation.wake.channel_faults import ChannelFault, spoil
from meta_repo_ros.simulation.wake.episodes import episode
from meta_repo_ros.simulation.wake.fleet import HELD_OUT
from meta_repo_ros.vortex_shield import baselines, evaluation
from meta_repo_ros.vortex_shield.detector import Decisions, Detector, air_density
from meta_repo_ros.vortex_shield.evaluation import Alarms, Event, Track
from meta_repo_ros.vortex_shield.types import FlightState

OURS = 'Vortex Shield'
PROCESSES = 2
_THIN_S = 0.1  # between two samples kept for the areas
WHOLE = 'whole'
FAULT_AFTER = 20.0
"""s from the start of a flight."""


@dataclass(frozen=True)
class Flight:
    """One episode to be made and judged.

    Attributes:
        kind: of the episode.
        seed: of everything in it, counted from the first that is held out.
        length: s.
        variants: what is done to its streams before the detector sees them, see :data:`VARIANTS`.
        areas: whether samples are kept for ROC areas, the baselines' too.
    """

    kind: str
    seed: int
    length: float
    variants: tuple[str, ...] = (WHOLE,)
    areas: bool = False


@dataclass(frozen=True)
class Seen:
    """What the detector made of one variant of a flight.

    Attributes:
        flight, variant: which.
        vehicle: name.
        events: encounters.
        alarms: false ones.
        time_unit: R / v_h, s.
        ring_period: s.
        note: what the detector said of what it could not use.
        truth: (n,) thinned.
        scores: (n,) by name, thinned; empty where not kept.
    """

    flight: Flight
    variant: str
    vehicle: str
    events: tuple[Event, ...]
    alarms: Alarms
    time_unit: float
    ring_period: float
    note: str
    truth: np.ndarray[Any, np.dtype[np.int8]]
    scores: dict[str, Array] = field(default_factory=dict)

    @property
    def longest_delay(self) -> float:
        """That DEVELOPED may take, s."""
        return max(10.0 * self.time_unit, 1.5 * self.ring_period)


def held_out(flight: Flight) -> Recording:
    """The recording of a flight."""
    return episode(flight.kind, seed=HELD_OUT + flight.seed, duration=flight.length)


def fly(flights: Sequence[Flight], label: str) -> list[Seen]:
    """Judge all flights in two processes; progress goes to standard error."""
    # threads of the linear algebra would fight for the same two cores
    for name in ('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS'):
        os.environ.setdefault(name, '1')
    found: list[Seen] = []
    begin = time.monotonic()
    context = multiprocessing.get_context('spawn')
    with _importable(), ProcessPoolExecutor(PROCESSES, mp_context=context) as pool:
        waiting = [pool.submit(judge, flight) for flight in flights]
        for i, done in enumerate(as_completed(waiting), 1):
            found += done.result()
            if i * 10 // len(flights) > (i - 1) * 10 // len(flights):
                hours = sum(one.length for one in flights) * i / len(flights) / 3600.0
                spent = time.monotonic() - begin
                print(f'  {label}: {i} of {len(flights)} flights, {hours:.1f} h, {spent:.0f} s',
                      file=sys.stderr, flush=True)  # fmt: skip
    order = {flight: i for i, flight in enumerate(flights)}
    return sorted(found, key=lambda one: (order[one.flight], one.variant))


@contextlib.contextmanager
def _importable() -> Iterator[None]:
    """Let new processes find this package, which takes itself off the path when it is imported."""
    root = str(Path(__file__).resolve().parents[1])
    sys.path.insert(0, root)
    try:
        yield
    finally:
        sys.path.remove(root)


def judge(flight: Flight) -> list[Seen]:
    """Make one flight and judge its variants."""
    recording = held_out(flight)
    return [_seen(flight, name, recording) for name in flight.variants]


def _seen(flight: Flight, name: str, recording: Recording) -> Seen:
    changed = VARIANTS[name](recording, np.random.default_rng((flight.seed, len(name))))
    vehicle = recording.extra['vehicle']
    decisions = Detector(vehicle).run(changed)
    track = track_of(changed, decisions)
    thin = slice(None, None, max(1, round(_THIN_S / track.step)))
    scores = {}
    if flight.areas:
        scores = {OURS: track.score[thin]}
        scores |= baselines.scores(recording, vehicle, track.time[thin])
    return Seen(
        flight=flight,
        variant=name,
        vehicle=vehicle.name,
        events=evaluation.events(track),
        alarms=evaluation.false_alarms(track),
        time_unit=track.time_unit,
        ring_period=recording.extra['ring_period'],
        note=decisions.note,
        truth=track.truth[thin].astype(np.int8),
        scores=scores,
    )


def track_of(recording: Recording, decisions: Decisions) -> Track:
    """Decisions of an episode beside its truth."""
    return Track(
        recording.name,
        decisions.time,
        decisions.level.astype(np.int64),
        decisions.probability,
        recording.extra['time_unit'],
        evaluation.truth_at(decisions.time, recording.truth_time, recording.truth_level),
    )


# -- what is done to the streams ------------------------------------------------------------------


def _whole(recording: Recording, _: np.random.Generator) -> Recording:
    return recording


def _without(kind: Kind) -> Callable[[Recording, np.random.Generator], Recording]:
    def change(recording: Recording, _: np.random.Generator) -> Recording:
        left = tuple(s for s in recording.groups if s.group.kind != kind)
        return dataclasses.replace(recording, groups=left)

    return change


def _half_stated(recording: Recording, rng: np.random.Generator) -> Recording:
    """Half of the channels of every kind failed, and their source says so."""

    def change(samples: Samples) -> Samples:
        health, counts = samples.health.copy(), samples.counts.copy()
        gone = _half(samples, rng)
        health[gone], counts[:, gone] = Health.FAILED, 0
        return dataclasses.replace(samples, health=health, counts=counts)

    return dataclasses.replace(recording, groups=tuple(map(change, recording.groups)))


def _half_stuck(recording: Recording, rng: np.random.Generator) -> Recording:
    """Half of the channels of every kind stuck from the start, and nobody says so."""

    def change(samples: Samples) -> Samples:
        counts = samples.counts.copy()
        gone = _half(samples, rng)
        counts[:, gone] = counts[0, gone]
        return dataclasses.replace(samples, counts=counts)

    return dataclasses.replace(recording, groups=tuple(map(change, recording.groups)))


def _no_state(recording: Recording, _: np.random.Generator) -> Recording:
    return dataclasses.replace(recording, state_time=np.empty(0), state=np.empty((0, 5)))


def _fault(fault: ChannelFault) -> Callable[[Recording, np.random.Generator], Recording]:
    """One channel of every kind fails for good, :data:`FAULT_AFTER` s after the start."""

    def change(recording: Recording, rng: np.random.Generator) -> Recording:
        groups = []
        for samples in recording.groups:
            group, counts = samples.group, samples.counts.copy()
            channel = int(rng.integers(group.channels))
            part = counts[round(FAULT_AFTER * group.rate) :]
            # a sensor whose zero wanders by ten times what the rotor does, within a minute
            rise = (3e3 if group.kind == Kind.PRESSURE else 30.0) * len(part) / group.rate / 60.0
            spoil(part, group, fault, channel, held=int(part[0, channel]), drift=(0.0, rise))
            groups.append(dataclasses.replace(samples, counts=counts))
        return dataclasses.replace(recording, groups=tuple(groups))

    return change


def _half(samples: Samples, rng: np.random.Generator) -> Any:
    channels = samples.group.channels
    # of a single microphone, as many flights lose it as keep it
    count = channels // 2 + (channels % 2 and int(rng.integers(2)))
    return rng.permutation(channels)[:count]


VARIANTS: dict[str, Callable[[Recording, np.random.Generator], Recording]] = {
    WHOLE: _whole,
    'no pressure': _without(Kind.PRESSURE),
    'no flow': _without(Kind.FLOW),
    'no acoustic': _without(Kind.ACOUSTIC),
    'half failed, stated': _half_stated,
    'half stuck, not stated': _half_stuck,
    'no state': _no_state,
    **{f'{fault.value}, not stated': _fault(fault) for fault in ChannelFault},
}


# -- the same block by block ----------------------------------------------------------------------


def newest_states(recording: Recording, cut: Sequence[Block]) -> Iterator[FlightState | None]:
    """The flight state that a node would have at the end of each block; None before the first."""
    stamps = np.round(recording.state_time * NANOSECONDS).astype(np.int64)
    at = np.searchsorted(stamps, [block.end for block in cut], side='right') - 1
    density = air_density(recording.groups)
    state, last = None, -1
    for i in at.tolist():
        if i != last:
            sink, airspeed, height, speed, thrust = recording.state[i].tolist()
            state, last = (
                FlightState(int(stamps[i]), sink, airspeed, height, speed, thrust, density), i,
            )  # fmt: skip
        yield state


def live(recording: Recording, detector: Detector, length: int) -> Iterator[Any]:
    """Detections of the live path, one per block of ``length``, ns."""
    cut = blocks(recording, length)
    for block, state in zip(cut, newest_states(recording, cut), strict=True):
        yield detector.block(block, state)


def rounded(value: float, digits: int = 3) -> float | None:
    """For JSON: None for what is no number."""
    return round(float(value), digits) if math.isfinite(value) else None
