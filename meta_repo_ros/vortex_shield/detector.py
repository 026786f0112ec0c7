# SPDX-License-Identifier: Apache-2.0
"""Detection of the vortex ring state in two voices: risk of the descent, evidence of the streams.

One decision per frame of 4 ms, the same whether blocks come live or a recording is run at once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from meta_repo_ros.core.parameters import group, parameter
from meta_repo_ros.core.rotorcraft import Rotorcraft
from meta_repo_ros.core.samples import Array, Block, Kind, Recording, Samples
from meta_repo_ros.core.time import NANOSECONDS
from meta_repo_ros.vortex_shield.calibration import Calibration, shipped
from meta_repo_ros.vortex_shield.evidence import NAMES, Evidence
from meta_repo_ros.vortex_shield.features import KINDS, FeatureRows, Features
from meta_repo_ros.vortex_shield.frames import FRAME
from meta_repo_ros.vortex_shield.levels import Levels, persistence
from meta_repo_ros.vortex_shield.risk import Risk, RiskParameters
from meta_repo_ros.vortex_shield.state_track import (
    AIRSPEED,
    AIRSPEED_SIGMA,
    DENSITY,
    SINK,
    SINK_SIGMA,
    THRUST,
    Stamps,
    StateTrack,
)
from meta_repo_ros.vortex_shield.types import Detection, FlightState, Level, Voice

_RISK_STEP = 5  # frames between two looks at the descent state
_STRETCH = 15_000  # frames that a recording is run in at once
_LONGEST_GAP = 10 * NANOSECONDS
_BITS = {
    Kind.PRESSURE: Voice.PRESSURE,
    Kind.FLOW: Voice.FLOW,
    Kind.ACOUSTIC: Voice.ACOUSTIC,
}
# columns of the risk of a frame
_INSIDE, _MARGIN, _DEEP, _ONSET, _DESCENT, _AIRSPEED, _INDUCED = range(7)
_SPOKE = 2.0  # standard deviations from which a feature is said to speak
_CALM = 0.1  # probability to be near the boundary below which the flight is taken for quiet


@dataclass(frozen=True)
class DetectionParameters:
    """What a user may choose."""

    sensitivity: float = parameter(
        0.8, 'Share of windows with a ring that the threshold must find.', minimum=0.0, maximum=1.0
    )
    false_positive_threshold: float = parameter(
        0.05, 'Share of windows of quiet flight that may pass it.', minimum=1e-6, maximum=0.5
    )
    risk: RiskParameters = group(RiskParameters)


@dataclass(frozen=True)
class Decisions:
    """Detections of consecutive frames; arrays of one length, as :class:`Detection`.

    Attributes:
        stamp: end of each frame, ns.
        level: :class:`Level` values.
        probability, risk, evidence, time_to_onset, normalised_descent, normalised_airspeed: as
            there.
        hover_induced_velocity: m/s.
        score: log odds that the levels hang on.
        voices: :class:`Voice` bits.
        standard: (n, names) standard deviations of the features in the order of ``NAMES``.
        note: of the whole.
    """

    stamp: Stamps
    level: np.ndarray[Any, np.dtype[np.uint8]]
    probability: Array
    risk: Array
    evidence: Array
    score: Array
    time_to_onset: Array
    normalised_descent: Array
    normalised_airspeed: Array
    hover_induced_velocity: Array
    voices: np.ndarray[Any, np.dtype[np.uint8]]
    standard: Array
    note: str = ''

    def __len__(self) -> int:
        return len(self.stamp)

    @property
    def time(self) -> Array:
        """End of each frame, s, on the time axis of the recording."""
        return self.stamp * 1e-9


class Detector:
    """Detects for one flight of one rotorcraft.

    Args:
        rotorcraft: nominal.
        parameters: of the user.
        calibration: learnt numbers, those shipped by default.

    Attributes:
        rows: decisions of the frames that the last block completed.
    """

    def __init__(
        self,
        rotorcraft: Rotorcraft,
        parameters: DetectionParameters | None = None,
        calibration: Calibration | None = None,
    ) -> None:
        self.rotorcraft = rotorcraft
        self.parameters = parameters or DetectionParameters()
        self.calibration = c = calibration or shipped()
        wanted = (self.parameters.sensitivity, self.parameters.false_positive_threshold)
        self.threshold = c.fused.threshold(*wanted)
        # alone, evidence must be surer: nothing says that the vehicle descends at all
        self.threshold_alone = c.alone.threshold(wanted[0], 0.2 * wanted[1])
        self._standing = []
        if not c.fused.reached(*wanted):
            self._standing.append(
                f'sensitivity {wanted[0]:g} and false positive threshold {wanted[1]:g} cannot '
                'both be held; the threshold lies half way'
            )
        self._risk = Risk(rotorcraft, self.parameters.risk)
        self.reset()

    def reset(self) -> None:
        """Begin a new flight."""
        self._features = Features(self.rotorcraft)
        self._evidence = Evidence(self.calibration)
        self._levels = Levels(persistence(self.rotorcraft))
        self._track = StateTrack(self.rotorcraft)
        self._trend = self._risk.trend()
        self._held = np.full((1, 7), np.nan)
        self._expected: int | None = None
        self._last: Detection | None = None
        self.rows: Decisions | None = None

    def block(
        self,
        block: Block,
        state: FlightState | None = None,
        good: Mapping[Kind, Array] | None = None,
        note: str = '',
    ) -> Detection:
        """Take the next block and give the newest decision.

        Args:
            block: of any length; several frames may end in it, or none.
            state: newest flight state, None where there is none.
            good: (c,) 1 for channels to use, by kind; the health that the source states otherwise.
            note: what others found in the block, put first in the note.
        """
        notes = [note] if note else []
        if self._expected is not None:
            missing = block.start - self._expected
            if missing < -FRAME // 2:
                if missing > -_LONGEST_GAP and self._last is not None:
                    return self._repeat(block, 'a block older than the last one was left out')
                notes.append('time ran backwards, detection began anew')
                self.reset()
            elif missing > _LONGEST_GAP:
                notes.append(f'no samples for {missing * 1e-9:.0f} s, detection began anew')
                self.reset()
            elif missing > FRAME // 2:
                notes.append(f'{missing * 1e-6:.0f} ms of samples are missing')
        self._expected = block.end
        if state is not None:
            self._track.add(state)
        rows = self._features.push(block.groups, block.end, good)
        if len(rows) == 0:
            if self._last is None:
                return self._unknown(block, notes)
            return self._repeat(block, self._last.note)
        self.rows = self._decide(rows)
        notes += self._notes(self.rows, block)
        self._last = self._newest(self.rows, block, '; '.join(notes)[:256])
        return self._last

    def run(self, recording: Recording, good: Mapping[Kind, Array] | None = None) -> Decisions:
        """Decisions over a whole recording, as blocks of it would give.

        Args:
            recording: of any origin.
            good: (c,) 1 for channels to use, by kind.
        """
        self.reset()
        state = np.asarray(recording.state, dtype=np.float64)
        known = np.isfinite(state[:, 0]) & np.isfinite(recording.state_time)
        times = np.round(recording.state_time[known] * 1e9).astype(np.int64)
        order = np.argsort(times, kind='stable')
        values = np.full((len(times), 6), np.nan)
        values[:, SINK], values[:, AIRSPEED] = state[known, 0], state[known, 1]
        values[:, THRUST] = state[known, 4]
        values[:, DENSITY] = 1.225
        self._track.extend(times[order], values[order])
        begin = min(s.start for s in recording.groups)
        end = max(s.end for s in recording.groups)
        self._features.origin = begin
        parts = []
        for start in range(begin, end, _STRETCH * FRAME):
            stop = min(start + _STRETCH * FRAME, end)
            groups = [
                piece for s in recording.groups if len((piece := _slice(s, start, stop)).counts)
            ]
            rows = self._features.push(groups, stop, good)
            if len(rows):
                parts.append(self._decide(rows))
        return _joined(parts)

    def _decide(self, rows: FeatureRows) -> Decisions:
        state = self._track.rows(rows.end)
        risk = self._assess(rows, state)
        inside, margin = risk[:, _INSIDE], risk[:, _MARGIN]
        known = np.isfinite(inside)
        evidence = self._evidence.push(rows, known & (margin < _CALM))
        c = self.calibration
        heard = np.isfinite(evidence.total)
        total = np.where(heard, evidence.total, 0.0)
        odds = np.clip(logit(np.where(known, inside, 0.5)), -c.risk_bound, c.risk_bound)
        both = c.bias + c.risk_weight * odds + total
        alone = c.evidence_bias + c.evidence_weight * total
        # where no state is, evidence has its own scale; the threshold is the same zero
        score = np.where(known, both - self.threshold, alone - self.threshold_alone)
        probability = np.where(
            known, np.interp(both, *c.probability), expit(alone)
        )  # fmt: skip
        any_voice = known | heard
        score = np.where(any_voice, score, np.nan)
        alarm = score >= 0.0
        hold = score >= -1.0
        near = (score >= -1.5) | (margin >= 0.5)
        spoken = total >= c.source.get('proof', 0.5)
        deep = alarm & spoken & (~known | (inside >= 0.5))
        proven = hold & (total >= 0.0) & (~known | (inside >= 0.25))
        lists = (x.tolist() for x in (any_voice, near, alarm, hold, deep, proven))
        levels = self._levels.run(*lists)
        voices = known * int(Voice.STATE)
        for index, kind in enumerate(KINDS):
            voices = voices + evidence.usable[:, index] * int(_BITS[kind])
        return Decisions(
            stamp=rows.end,
            level=np.array(levels, dtype=np.uint8),
            probability=np.where(any_voice, probability, np.nan),
            risk=inside,
            evidence=np.where(heard, expit(alone), np.nan),
            score=score,
            time_to_onset=risk[:, _ONSET],
            normalised_descent=risk[:, _DESCENT],
            normalised_airspeed=risk[:, _AIRSPEED],
            hover_induced_velocity=risk[:, _INDUCED],
            voices=voices.astype(np.uint8),
            standard=evidence.standard,
        )

    def _assess(self, rows: FeatureRows, state: Array) -> Array:
        """Risk of each frame, looked at every few of them: (n, 7)."""
        n = len(rows)
        first = -rows.first % _RISK_STEP
        if n == 1:
            if first == 0:
                self._held = np.array([self._assess_one(int(rows.end[0]), state[0])])
            return self._held
        at = np.arange(first, n, _RISK_STEP)
        looks = np.empty((len(at) + 1, 7))
        looks[0] = self._held[0]
        if len(at):
            s = state[at]
            r = self._risk.assess(
                s[:, SINK], s[:, AIRSPEED], s[:, THRUST], s[:, DENSITY],
                sink_sigma=s[:, SINK_SIGMA], airspeed_sigma=s[:, AIRSPEED_SIGMA],
            )  # fmt: skip
            onset = self._trend.push(rows.end[at] * 1e-9, r.distance)
            looks[1:] = np.stack(
                [r.inside, r.margin, r.deep, onset, r.descent, r.airspeed,
                 r.hover_induced_velocity], axis=1,
            )  # fmt: skip
        self._held = looks[-1:].copy()
        return np.asarray(looks[(np.arange(n) - first) // _RISK_STEP + 1])

    def _assess_one(self, stamp: int, state: Array) -> tuple[float, ...]:
        sink, airspeed, thrust, density, sink_sigma, airspeed_sigma = state.tolist()
        r = self._risk.one(
            sink, airspeed, thrust, density, sink_sigma=sink_sigma, airspeed_sigma=airspeed_sigma
        )
        onset = self._trend.one(stamp * 1e-9, r.distance)
        return (r.inside, r.margin, r.deep, onset, r.descent, r.airspeed, r.hover_induced_velocity)

    def _newest(self, rows: Decisions, block: Block, note: str) -> Detection:
        level = Level(int(rows.level[-1]))
        names, scores = spoken(rows.standard[-1].tolist())
        return Detection(
            stamp=int(rows.stamp[-1]),
            sequence=block.sequence,
            oldest=block.start,
            level=level,
            probability=float(rows.probability[-1]),
            risk=float(rows.risk[-1]),
            evidence=float(rows.evidence[-1]),
            time_to_onset=float(rows.time_to_onset[-1]),
            normalised_descent=float(rows.normalised_descent[-1]),
            normalised_airspeed=float(rows.normalised_airspeed[-1]),
            hover_induced_velocity=float(rows.hover_induced_velocity[-1]),
            voices=Voice(int(rows.voices[-1])),
            features=names,
            scores=scores,
            note=note,
        )

    def _notes(self, rows: Decisions, block: Block) -> list[str]:
        notes = list(self._standing)
        voices = int(rows.voices[-1])
        if not voices & Voice.STATE:
            notes.append('no descent state: evidence of the streams alone, stricter threshold')
        absent = [k.name.lower() for k in KINDS if not voices & _BITS[k]]
        if len(absent) == len(KINDS):
            notes.append('no usable stream: risk of the descent state alone')
        elif absent:
            notes.append(f'no usable {" and ".join(absent)} channel')
        for samples in block.groups:
            failed = int((samples.health == 2).sum())
            if 0 < failed < len(samples.health):
                kind = samples.group.kind.name.lower()
                notes.append(f'{failed} of {len(samples.health)} {kind} channels failed')
        return notes

    def _repeat(self, block: Block, note: str) -> Detection:
        """The last decision again: nothing was added to it."""
        last = self._last
        if last is None:
            return self._unknown(block, [note])
        return Detection(
            last.stamp, block.sequence, block.start, last.level, last.probability, last.risk,
            last.evidence, last.time_to_onset, last.normalised_descent, last.normalised_airspeed,
            last.hover_induced_velocity, last.voices, last.features, last.scores, note,
        )  # fmt: skip

    def _unknown(self, block: Block, notes: list[str]) -> Detection:
        nan = math.nan
        notes = [*notes, 'the first frame is not complete']
        return Detection(
            block.end, block.sequence, block.start, Level.UNKNOWN, nan, nan, nan, math.inf, nan,
            nan, self.rotorcraft.hover_induced_velocity(), Voice(0), note='; '.join(notes),
        )  # fmt: skip


def spoken(standard: list[float]) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """Names and scores of the features above two standard deviations, the loudest first."""
    loud = [(z, name) for z, name in zip(standard, NAMES, strict=True) if z >= _SPOKE]
    loud.sort(reverse=True)
    return tuple(name for _, name in loud), tuple(z for z, _ in loud)


def logit(p: Array) -> Array:
    """Log odds of probabilities, finite."""
    p = np.clip(p, 1e-9, 1.0 - 1e-9)
    return np.asarray(np.log(p / (1.0 - p)))


def expit(x: Array) -> Array:
    """Probability of log odds."""
    return np.asarray(1.0 / (1.0 + np.exp(-x)))


def _slice(samples: Samples, start: int, stop: int) -> Samples:
    """Samples whose stamps lie in [start, stop)."""
    rate = samples.group.rate
    first, last = (
        min(max(math.ceil((t - samples.start) * rate / NANOSECONDS - 1e-4), 0), len(samples.counts))
        for t in (start, stop)
    )
    stamp = samples.start + round(first * NANOSECONDS / rate)
    return Samples(samples.group, stamp, samples.counts[first:last], samples.health)


def _joined(parts: list[Decisions]) -> Decisions:
    names = [n for n in Decisions.__dataclass_fields__ if n != 'note']
    return Decisions(**{n: np.concatenate([getattr(p, n) for p in parts]) for n in names})
