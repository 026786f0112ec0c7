# SPDX-License-Identifier: Apache-2.0
"""How good decisions are against truth: by event, by flight hour, and by sample.

* **Event**: a stretch of truth >= 2 (incipient); stretches closer than ``Rules.merge`` are one. One
  that begins less than ``Rules.horizon`` before the truth ends is not counted, found or not.
* **Detected**: a decision of INCIPIENT or more within the event, or an alarm still on at its start.
* **Delay**: from the event's start to that alarm's start; negative where the alarm came first.
* **False alarm**: a stretch of INCIPIENT or more where truth is below 1 (margin) and has been, and
  will be, for ``Rules.tolerance``; stretches closer than ``Rules.merge`` are one. Per hour of such
  flight, with the one-sided 95 % upper bound of a Poisson count.
* **Samples**: truth >= 2 against truth < 2; margin counts as no ring.

Intervals come from a bootstrap over recordings, never over samples, which are not independent.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.stats import chi2

from meta_repo_ros.core.samples import Array
from meta_repo_ros.vortex_shield.types import Level

Levels = np.ndarray[Any, np.dtype[np.int64]]
UNKNOWN = -1
MARGIN, INCIPIENT, DEVELOPED = 1, 2, 3
"""Levels of the truth, as in a file."""
PARTIAL_LIMIT = 0.05
_BINS = 2000


@dataclass(frozen=True)
class Rules:
    """Times in s: the greater of an absolute one and a multiple of R / v_h.

    Attributes:
        merge: gap below which two stretches are one.
        tolerance: around truth of margin or more in which an alarm is not false.
        horizon: an event that begins less than this before truth ends is not counted, found or not.
    """

    merge: float = 1.0
    tolerance: float = 2.0
    horizon: float = 0.5

    @staticmethod
    def of(time_unit: float) -> Rules:
        """For a rotor whose R / v_h is ``time_unit``, s."""
        return Rules(
            max(1.0, 2.0 * time_unit), max(2.0, 10.0 * time_unit), max(0.5, 10.0 * time_unit)
        )


@dataclass(frozen=True)
class Track:
    """Decisions of one recording, with truth where there is one.

    Attributes:
        name: of the recording.
        time: (n,) s, rising.
        level: (n,) :class:`Level`.
        score: (n,) probability of INCIPIENT or more; NaN counts as 0.
        time_unit: R / v_h, s.
        truth: (n,) 0 to 3 at ``time``, -1 unknown.
    """

    name: str
    time: Array
    level: Levels
    score: Array
    time_unit: float
    truth: Levels

    @property
    def has_truth(self) -> bool:
        """Whether truth is known anywhere."""
        return bool((self.truth >= 0).any())

    @property
    def step(self) -> float:
        """Time that one decision stands for, s."""
        return float(np.median(np.diff(self.time))) if len(self.time) > 1 else 0.0


@dataclass(frozen=True)
class Event:
    """One encounter; times in s, NaN where it did not happen.

    Attributes:
        name: of the recording.
        start, end: of truth >= incipient.
        developed: start of truth = developed.
        alarm: start of INCIPIENT or more.
        alarm_developed: start of DEVELOPED.
        time_unit: R / v_h.
        known_until: end of the truth, after which nobody knows what would have been.
    """

    name: str
    start: float
    end: float
    developed: float
    alarm: float
    alarm_developed: float
    time_unit: float
    known_until: float = math.inf

    @property
    def detected(self) -> bool:
        """Whether there was an alarm."""
        return math.isfinite(self.alarm)

    @property
    def delay(self) -> float:
        """From onset to alarm; negative: before it."""
        return self.alarm - self.start

    @property
    def developed_delay(self) -> float:
        """From developed truth to DEVELOPED; NaN without either."""
        return self.alarm_developed - self.developed

    @property
    def lead(self) -> float:
        """From the alarm to developed truth; NaN where it never developed."""
        return self.developed - self.alarm


@dataclass(frozen=True)
class Alarms:
    """False alarms: their (start, end) in s, and the hours in which one would have been false."""

    stretches: tuple[tuple[float, float], ...]
    hours: float
    flight_hours: float


@dataclass(frozen=True)
class Samples:
    """Figures by sample; NaN where truth has only one of the two classes."""

    area: float
    partial_area: float
    average_precision: float
    brier: float
    calibration: tuple[tuple[float, float, int, float, float], ...]
    prevalence: float
    recall_at_limit: float


@dataclass(frozen=True)
class Result:
    """Everything about some recordings."""

    events: tuple[Event, ...]
    alarms: Alarms
    samples: Samples
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def recall(self) -> float:
        """Share of the events that were detected; NaN without events."""
        return _share([event.detected for event in self.events])


def truth_at(time: Array, truth_time: Array | None, truth_level: Array | None) -> Levels:
    """Truth at ``time``: the last one given, -1 before the first and long after the last."""
    if truth_time is None or truth_level is None or len(truth_time) == 0:
        return np.full(len(time), UNKNOWN, np.int64)
    step = float(np.median(np.diff(truth_time))) if len(truth_time) > 1 else 0.0
    # a decision may lie a hair before the instant that it belongs to
    index = np.searchsorted(truth_time, time + 1e-9, side='right') - 1
    level = np.asarray(truth_level)[np.maximum(index, 0)].astype(np.int64)
    outside = (index < 0) | (time > truth_time[-1] + step + 1e-9)
    return np.where(outside, UNKNOWN, level)


def stretches(time: Array, on: np.ndarray[Any, np.dtype[np.bool_]], merge: float) -> list[
    tuple[int, int]
]:  # fmt: skip
    """First and last row of each stretch of ``on``; those closer than ``merge`` (s) are one."""
    edges = np.diff(np.concatenate(([0], on.astype(np.int8), [0])))
    found: list[tuple[int, int]] = []
    for first, after in zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True):
        if found and time[first] - time[found[-1][1]] < merge:
            found[-1] = (found[-1][0], int(after) - 1)
        else:
            found.append((int(first), int(after) - 1))
    return found


def events(track: Track, rules: Rules | None = None) -> tuple[Event, ...]:
    """The encounters of a recording."""
    rules = rules or Rules.of(track.time_unit)
    time = track.time
    alarms = stretches(time, track.level >= Level.INCIPIENT, 0.0)
    developed = stretches(time, track.level >= Level.DEVELOPED, 0.0)
    found = []
    known = np.flatnonzero(track.truth >= 0)
    until = float(time[known[-1]]) if len(known) else -math.inf
    free = -math.inf  # an alarm that began in the event before says nothing about this one
    for first, last in stretches(time, track.truth >= INCIPIENT, rules.merge):
        start, end = float(time[first]), float(time[last])
        if until - start < rules.horizon:
            continue
        deep = np.flatnonzero(track.truth[first : last + 1] >= DEVELOPED)
        deep_start = float(time[first + deep[0]]) if len(deep) else math.nan
        found.append(
            Event(
                name=track.name,
                start=start,
                end=end,
                developed=deep_start,
                alarm=_first_touching(time, alarms, start, end, free),
                alarm_developed=_first_touching(time, developed, deep_start, end, free),
                time_unit=track.time_unit,
                known_until=until,
            )
        )
        free = end
    return tuple(found)


def false_alarms(track: Track, rules: Rules | None = None) -> Alarms:
    """Alarms of a recording where truth says that there was nothing near."""
    rules = rules or Rules.of(track.time_unit)
    time, step = track.time, track.step
    known = track.truth >= 0
    near = np.zeros(len(time), np.int64)
    # alarms are judged only where truth is known: the unknown counts as near, without tolerance
    for first, last in stretches(time, track.truth >= MARGIN, 0.0):
        begin = np.searchsorted(time, time[first] - rules.tolerance)
        near[begin : np.searchsorted(time, time[last] + rules.tolerance, side='right')] = 1
    quiet = known & (near == 0)
    found = stretches(time, quiet & (track.level >= Level.INCIPIENT), rules.merge)
    return Alarms(
        tuple((float(time[first]), float(time[last])) for first, last in found),
        float(quiet.sum()) * step / 3600.0,
        float(known.sum()) * step / 3600.0,
    )


def poisson_upper(count: int, exposure: float, confidence: float = 0.95) -> float:
    """One-sided upper bound of a rate of which ``count`` were seen in ``exposure``.

    Source: Garwood, Biometrika 28 (1936) 437. Infinite without exposure.
    """
    if exposure <= 0.0:
        return math.inf
    return float(chi2.ppf(confidence, 2 * (count + 1))) / 2.0 / exposure


def samples(truth: Levels, score: Array) -> Samples:
    """Figures by sample of rows whose truth is known."""
    known = truth >= 0
    positive = truth[known] >= INCIPIENT
    values = np.nan_to_num(score[known], nan=0.0)
    rates = roc(positive, values)
    return Samples(
        area=area(*rates),
        partial_area=area(*rates, PARTIAL_LIMIT),
        average_precision=average_precision(positive, values),
        brier=float(np.mean((values - positive) ** 2)) if len(values) else math.nan,
        calibration=calibration(positive, values),
        prevalence=float(positive.mean()) if len(values) else math.nan,
        recall_at_limit=recall_at(*rates, PARTIAL_LIMIT),
    )


def roc(positive: np.ndarray[Any, np.dtype[np.bool_]], score: Array) -> tuple[Array, Array]:
    """False and true positive rate for each threshold from the highest score down, from (0, 0)."""
    order = np.argsort(-score, kind='stable')
    ranked, hits = score[order], positive[order]
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True)[: len(ranked)])
    true = np.concatenate(([0], np.cumsum(hits)[last]))
    false = np.concatenate(([0], np.cumsum(~hits)[last]))
    with np.errstate(invalid='ignore'):
        return np.asarray(false / false[-1], float), np.asarray(true / true[-1], float)


def area(false_rate: Array, true_rate: Array, limit: float = 1.0) -> float:
    """Area under the curve up to a false positive rate, over ``limit``: 1 is perfect.

    Chance is 0.5 for ``limit`` 1, and ``limit`` / 2 else. NaN where a class is missing.
    """
    if not (np.isfinite(false_rate).all() and np.isfinite(true_rate).all()):
        return math.nan
    x, y = false_rate, true_rate
    after = int(np.searchsorted(x, limit, side='right'))
    if after < len(x):  # the curve is cut where it crosses the limit
        share = (limit - x[after - 1]) / (x[after] - x[after - 1])
        end = y[after - 1] + share * (y[after] - y[after - 1])
        x, y = np.append(x[:after], limit), np.append(y[:after], end)
    return float(np.sum(np.diff(x) * (y[1:] + y[:-1]) / 2.0) / limit)


def recall_at(false_rate: Array, true_rate: Array, limit: float) -> float:
    """Greatest true positive rate at a false positive rate of at most ``limit``."""
    if not (np.isfinite(false_rate).all() and np.isfinite(true_rate).all()):
        return math.nan
    return float(true_rate[false_rate <= limit][-1])


def average_precision(positive: np.ndarray[Any, np.dtype[np.bool_]], score: Array) -> float:
    """Sum of precision times the step in recall, over thresholds; NaN without positives."""
    if not positive.any():
        return math.nan
    order = np.argsort(-score, kind='stable')
    ranked, hits = score[order], np.cumsum(positive[order])
    last = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1)
    recall = hits[last] / hits[-1]
    precision = hits[last] / (last + 1.0)
    return float(np.sum(np.diff(np.concatenate(([0.0], recall))) * precision))


def calibration(
    positive: np.ndarray[Any, np.dtype[np.bool_]], score: Array, bins: int = 10
) -> tuple[tuple[float, float, int, float, float], ...]:
    """(from, to, samples, mean probability, share that was true) of each bin with samples."""
    index = np.clip((score * bins).astype(np.int64), 0, bins - 1)
    rows = []
    for i in np.unique(index):
        inside = index == i
        rows.append((i / bins, (i + 1) / bins, int(inside.sum()),
                     float(score[inside].mean()), float(positive[inside].mean())))  # fmt: skip
    return tuple(rows)


def evaluate(tracks: Sequence[Track], *, draws: int = 1000, seed: int = 1) -> Result:
    """All figures of some recordings together, with 95 % intervals where there are several."""
    judged = [track for track in tracks if track.has_truth]
    found = [events(track) for track in judged]
    alarms = [false_alarms(track) for track in judged]
    return Result(
        events=tuple(event for group in found for event in group),
        alarms=Alarms(
            tuple(stretch for one in alarms for stretch in one.stretches),
            sum(one.hours for one in alarms),
            sum(one.flight_hours for one in alarms),
        ),
        samples=samples(
            np.concatenate([track.truth for track in judged] or [np.empty(0, np.int64)]),
            np.concatenate([track.score for track in judged] or [np.empty(0)]),
        ),
        intervals=_bootstrap(judged, found, draws, seed) if len(judged) > 1 else {},
    )


def quantiles(values: Sequence[float]) -> tuple[float, float]:
    """Median and 95th percentile of those that are numbers; NaN without any."""
    finite = np.array([value for value in values if math.isfinite(value)])
    if len(finite) == 0:
        return math.nan, math.nan
    return float(np.median(finite)), float(np.percentile(finite, 95))


def _first_touching(
    time: Array, found: list[tuple[int, int]], start: float, end: float, free: float
) -> float:
    """Start of the first stretch that reaches into [start, end] and began after ``free``."""
    if not math.isfinite(start):
        return math.nan
    for first, last in found:
        if time[last] >= start and time[first] <= end:
            # one that is still on from before began, for this event, where that one ended
            return float(max(time[first], free))
    return math.nan


def _share(flags: Sequence[bool]) -> float:
    return float(np.mean(flags)) if len(flags) else math.nan


def _bootstrap(
    tracks: Sequence[Track], found: Sequence[tuple[Event, ...]], draws: int, seed: int
) -> dict[str, tuple[float, float]]:
    """95 % intervals of recall, median delay, and areas, recordings drawn with replacement."""
    generator = np.random.default_rng(seed)
    counts = np.stack([_histogram(track) for track in tracks])
    values: dict[str, list[float]] = {'recall': [], 'delay': [], 'area': [], 'partial_area': []}
    for _ in range(draws):
        rows = generator.integers(len(tracks), size=len(tracks))
        drawn = [event for i in rows for event in found[i]]
        false, true = np.cumsum(counts[rows].sum(axis=0)[:, ::-1], axis=1)
        values['recall'].append(_share([event.detected for event in drawn]))
        values['delay'].append(quantiles([event.delay for event in drawn])[0])
        if false[-1] and true[-1]:
            x, y = (np.concatenate(([0.0], c / c[-1])) for c in (false, true))
            values['area'].append(area(x, y))
            values['partial_area'].append(area(x, y, PARTIAL_LIMIT))
    return {name: _interval(drawn) for name, drawn in values.items() if _interval(drawn) != ()}


def _interval(values: Sequence[float]) -> Any:
    finite = [value for value in values if math.isfinite(value)]
    return tuple(map(float, np.percentile(finite, [2.5, 97.5]))) if finite else ()


def _histogram(track: Track) -> Levels:
    """(2, bins) rows without and with a ring, by logit of the score: fine at both ends."""
    known = track.truth >= 0
    score = np.clip(np.nan_to_num(track.score[known], nan=0.0), 1e-9, 1.0 - 1e-9)
    place = (np.log(score / (1.0 - score)) / 42.0 + 0.5) * _BINS
    index = np.clip(place.astype(np.int64), 0, _BINS - 1)
    positive = track.truth[known] >= INCIPIENT
    return np.stack([np.bincount(index[positive == flag], minlength=_BINS) for flag in (0, 1)])
