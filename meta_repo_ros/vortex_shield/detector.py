# SPDX-License-Identifier: Apache-2.0
"""Detection of the vortex ring state in two voices: risk of the descent, evidence of the streams.

One decision per frame of 4 ms, the same whether blocks come live or a recording is run at once.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from meta_repo_ros.core.parameters import group, parameter
from meta_repo_ros.core.rotorcraft import SEA_LEVEL_DENSITY, Rotorcraft
from meta_repo_ros.core.samples import Array, Block, Kind, Recording, Samples
from meta_repo_ros.core.time import NANOSECONDS
from meta_repo_ros.vortex_shield.calibration import Calibration, shipped
from meta_repo_ros.vortex_shield.evidence import NAMES, Evidence
from meta_repo_ros.vortex_shield.features import KINDS, FeatureRows, Features
from meta_repo_ros.vortex_shield.frames import FRAME, Good
from meta_repo_ros.vortex_shield.fusion import Fusion
from meta_repo_ros.vortex_shield.health import ChannelHealth
from meta_repo_ros.vortex_shield.health_rules import HealthParameters
from meta_repo_ros.vortex_shield.levels import Levels, Signs, persistence
from meta_repo_ros.vortex_shield.risk import Risk, RiskParameters
from meta_repo_ros.vortex_shield.state_track import Motion, Stamps, StateTrack
from meta_repo_ros.vortex_shield.types import Detection, FlightState, Level, Voice

_RISK_STEP = 5  # frames between two looks at the descent state
_STRETCH = 15_000  # frames that a recording is run in at once
_LONGEST_GAP = 10 * NANOSECONDS
_BITS = {
    Kind.PRESSURE: Voice.PRESSURE,
    Kind.FLOW: Voice.FLOW,
    Kind.ACOUSTIC: Voice.ACOUSTIC,
}
_BIT = tuple(int(_BITS[kind]) for kind in KINDS)
_STATE = int(Voice.STATE)
_RISK_COLUMNS = 6  # probability inside, of the margin, time to onset, descent, airspeed, v_h
_LEVELS = tuple(Level)
_VOICES = tuple(Voice(bits) for bits in range(16))
_NO_RISK = (math.nan,) * _RISK_COLUMNS
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
        return np.asarray(self.stamp * 1e-9)


class Detector:
    """Detects for one flight of one rotorcraft.

    Args:
        rotorcraft: nominal.
        parameters: of the user.
        calibration: learnt numbers, those shipped by default.
        health: how channels are judged; None: only what their source says of them counts.

    Attributes:
        health: judge of the channels, None where there is none.
        rows: one detection for each frame that the last block completed.
    """

    def __init__(
        self,
        rotorcraft: Rotorcraft,
        parameters: DetectionParameters | None = None,
        calibration: Calibration | None = None,
        health: HealthParameters | None = HealthParameters(),  # noqa: B008 - frozen
    ) -> None:
        self.rotorcraft = rotorcraft
        self.parameters = parameters or DetectionParameters()
        self.calibration = calibration or shipped()
        self.fusion = Fusion(
            self.calibration,
            self.parameters.sensitivity,
            self.parameters.false_positive_threshold,
        )
        self._health_parameters = health
        self._risk = Risk(rotorcraft, self.parameters.risk)
        self.reset()

    def reset(self) -> None:
        """Begin a new flight."""
        craft = self.rotorcraft
        given = self._health_parameters
        self.health = ChannelHealth(craft, given) if given is not None else None
        self._features = Features(craft, self.health)
        self._evidence = Evidence(self.calibration)
        self._levels = Levels(persistence(craft))
        self._track = StateTrack(craft)
        self._trend = self._risk.trend()
        self._held: tuple[float, ...] = _NO_RISK
        self._expected: int | None = None
        self._last: Detection | None = None
        self.rows: list[Detection] = []

    def block(
        self,
        block: Block,
        state: FlightState | None = None,
        good: Mapping[Kind, Good] | None = None,
        note: str = '',
    ) -> Detection:
        """Take the next block and give the newest decision.

        Args:
            block: of any length; several frames may end in it, or none.
            state: newest flight state, None where there is none.
            good: (c,) channels to use, by kind; those that the source does not call failed
                otherwise. ``health`` leaves out more.
            note: what others found in the block, put first in the note.
        """
        notes = [note] if note else []
        if self._expected is not None:
            missing = block.start - self._expected
            if -_LONGEST_GAP < missing < -FRAME // 2:
                return self._repeat(block, 'a block older than the last one was left out')
            if abs(missing) >= _LONGEST_GAP:
                notes.append(f'the stream jumped by {missing * 1e-9:.0f} s, detection began anew')
                self.reset()
            elif missing > FRAME // 2:
                notes.append(f'{missing * 1e-6:.0f} ms of samples are missing')
        self._expected = block.end
        if state is not None:
            self._track.add(state)
        rows = self._features.push(block.groups, block.end, good)
        n = len(rows)
        self.rows = []
        if n == 0:
            return self._repeat(block, '; '.join(notes) or (self._last.note if self._last else ''))
        notes += self._notes(rows)
        text = '; '.join(notes)[:256] if notes else ''
        ends = rows.end.tolist()
        for i in range(n):
            self.rows.append(self._one(rows, i, ends[i], block, text))
        self._last = self.rows[-1]
        return self._last

    def run(self, recording: Recording, good: Mapping[Kind, Good] | None = None) -> Decisions:
        """Decisions over a whole recording, as blocks of it would give.

        Args:
            recording: of any origin.
            good: (c,) channels to use, by kind.

        Raises:
            ValueError: it holds no stream.
        """
        parts = []
        notes: dict[str, None] = {}
        for rows, risk in self.measure(recording, good):
            parts.append(self._many(rows, risk))
            notes.update(dict.fromkeys(self._notes(rows)))
        return _joined(parts, '; '.join(notes))

    def measure(
        self, recording: Recording, good: Mapping[Kind, Good] | None = None
    ) -> Iterator[tuple[FeatureRows, Array]]:
        """Features and risk of a whole recording, before they are weighed.

        Yields:
            Rows of consecutive frames, and (n, 6) probability inside, of the margin, time to onset,
            descent and airspeed over v_h, v_h.
        """
        if not recording.groups:
            raise ValueError(f'{recording.name or "recording"}: no stream of samples is in it')
        self.reset()
        times, states = _states(recording)
        density = air_density(recording.groups)
        begin = min(s.start for s in recording.groups)
        end = max(s.end for s in recording.groups)
        self._features.origin = begin
        for start in range(begin, end, _STRETCH * FRAME):
            stop = min(start + _STRETCH * FRAME, end)
            groups = [_slice(s, start, stop) for s in recording.groups]
            rows = self._features.push([s for s in groups if len(s.counts)], stop, good)
            if len(rows):
                yield rows, self._assess(rows, self._track.rows(times, states, rows.end, density))

    def _many(self, rows: FeatureRows, risk: Array) -> Decisions:
        """Decisions of consecutive frames at once."""
        inside, margin = risk[:, 0], risk[:, 1]
        known = np.isfinite(inside)
        evidence = self._evidence.push(rows, known & (margin < _CALM), ~known)
        fused = self.fusion.rows(inside, margin, evidence.total)
        levels = self._levels.run(Signs(*(x.tolist() for x in fused.signs)))
        voices = known * _STATE
        for index, bit in enumerate(_BIT):
            voices = voices + rows.usable[:, index] * bit
        return Decisions(
            stamp=rows.end,
            level=np.array(levels, dtype=np.uint8),
            probability=fused.probability,
            risk=inside,
            evidence=fused.evidence,
            score=fused.score,
            time_to_onset=risk[:, 2],
            normalised_descent=risk[:, 3],
            normalised_airspeed=risk[:, 4],
            hover_induced_velocity=risk[:, 5],
            voices=voices.astype(np.uint8),
            standard=evidence.standard,
        )

    def _assess(self, rows: FeatureRows, motion: Motion) -> Array:
        """Risk of each frame, looked at every few of them: (n, 6)."""
        n = len(rows)
        first = -rows.first % _RISK_STEP
        at = np.arange(first, n, _RISK_STEP)
        looks = np.empty((len(at) + 1, _RISK_COLUMNS))
        looks[0] = self._held
        if len(at):
            sink, airspeed, thrust, density, sink_sigma, airspeed_sigma = (x[at] for x in motion)
            r = self._risk.assess(
                sink, airspeed, thrust, density, sink_sigma=sink_sigma,
                airspeed_sigma=airspeed_sigma,
            )  # fmt: skip
            onset = self._trend.push(rows.end[at] * 1e-9, r.distance)
            looks[1:] = np.stack(
                [r.inside, r.margin, onset, r.descent, r.airspeed, r.hover_induced_velocity],
                axis=1,
            )
        self._held = tuple(looks[-1].tolist())
        return np.asarray(looks[(np.arange(n) - first) // _RISK_STEP + 1])

    def _one(self, rows: FeatureRows, i: int, end: int, block: Block, note: str) -> Detection:
        """Decision of one frame, as :meth:`_many` makes it."""
        motion = self._track.one(end)
        if (rows.first + i) % _RISK_STEP == 0:
            sink, airspeed, thrust, density, sink_sigma, airspeed_sigma = motion
            r = self._risk.one(
                sink, airspeed, thrust, density, sink_sigma=sink_sigma,
                airspeed_sigma=airspeed_sigma,
            )  # fmt: skip
            onset = self._trend.one(end * 1e-9, r.distance)
            self._held = (
                r.inside, r.margin, onset, r.descent, r.airspeed, r.hover_induced_velocity,
            )  # fmt: skip
        inside, margin, onset, descent, airspeed, induced = self._held
        total, standard = self._evidence.one(rows, i, calm=margin < _CALM, blind=math.isnan(inside))
        probability, evidence, signs = self.fusion.one(inside, margin, total)
        level = self._levels.run(Signs(*((sign,) for sign in signs)))[0]
        voices = 0 if math.isnan(inside) else _STATE
        for usable, bit in zip(rows.usable[i].tolist(), _BIT, strict=True):
            voices |= usable * bit
        names, scores = spoken(standard)
        return Detection(
            end, block.sequence, block.start, _LEVELS[level], probability, inside, evidence, onset,
            descent, airspeed, induced, _VOICES[voices], names, scores, note,
        )  # fmt: skip

    def _notes(self, rows: FeatureRows) -> list[str]:
        notes = list(self.fusion.notes)
        if self.health is not None:
            notes += self.health.notes()
        if math.isnan(self._held[0]):
            notes.append('no descent state: evidence of the streams alone, stricter threshold')
        usable = rows.usable[-1]
        if not usable.all():
            absent = [k.name.lower() for k, there in zip(KINDS, usable, strict=True) if not there]
            if len(absent) == len(KINDS):
                notes.append('no usable stream: risk of the descent state alone')
            else:
                notes.append(f'without {" and ".join(absent)}')
        return notes

    def _repeat(self, block: Block, note: str) -> Detection:
        """The last decision again: nothing was added to it."""
        last = self._last
        if last is None:
            nan = math.nan
            return Detection(
                block.end, block.sequence, block.start, Level.UNKNOWN, nan, nan, nan, math.inf,
                nan, nan, self.rotorcraft.hover_induced_velocity(), Voice(0),
                note='; '.join(filter(None, (note, 'the first frame is not complete'))),
            )  # fmt: skip
        return dataclasses.replace(
            last, sequence=block.sequence, oldest=block.start, note=note[:256]
        )


def spoken(standard: list[float]) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """Names and scores of the features above two standard deviations, the loudest first."""
    loud = [(z, name) for z, name in zip(standard, NAMES, strict=True) if z >= _SPOKE]
    loud.sort(reverse=True)
    return tuple(name for _, name in loud), tuple(z for z, _ in loud)


def _slice(samples: Samples, start: int, stop: int) -> Samples:
    """Samples whose stamps lie in [start, stop)."""
    rate = samples.group.rate
    first, last = (
        min(max(math.ceil((t - samples.start) * rate / NANOSECONDS - 1e-4), 0), len(samples.counts))
        for t in (start, stop)
    )
    stamp = samples.start + round(first * NANOSECONDS / rate)
    return Samples(samples.group, stamp, samples.counts[first:last], samples.health)


def air_density(groups: Sequence[Samples]) -> float:
    """Of the first second of absolute pressure, kg/m3, at its standard temperature.

    That of sea level where no channel gives a pressure that aircraft fly at.
    """
    for samples in groups:
        if samples.group.kind is Kind.PRESSURE and len(samples.counts):
            first = samples.group.values(samples.counts[: max(int(samples.group.rate), 1)])
            pressure = float(np.median(first))
            if 3e4 < pressure < 1.1e5:
                temperature = 288.15 * (pressure / 101325.0) ** 0.190263  # ISA troposphere
                return float(pressure / (287.05287 * temperature))
    return SEA_LEVEL_DENSITY


def _states(recording: Recording) -> tuple[Stamps, Array]:
    """Stamps and (sink rate, airspeed, thrust) of the rows that have a sink rate, in order."""
    state = np.asarray(recording.state, dtype=np.float64).reshape(-1, 5)
    time = np.asarray(recording.state_time, dtype=np.float64)
    known = np.isfinite(state[:, 0]) & np.isfinite(time)
    times = np.round(time[known] * 1e9).astype(np.int64)
    order = np.argsort(times, kind='stable')
    return times[order], state[known][order][:, (0, 1, 4)]


def _joined(parts: list[Decisions], note: str) -> Decisions:
    names = [n for n in Decisions.__dataclass_fields__ if n != 'note']
    return Decisions(
        **{n: np.concatenate([getattr(p, n) for p in parts]) for n in names}, note=note
    )
