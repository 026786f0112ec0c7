# SPDX-License-Identifier: Apache-2.0
"""Detection over recordings from files: decisions, figures, tables, lines, pictures."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.table import Table

from meta_repo_ros.core.rotorcraft import Rotorcraft
from meta_repo_ros.core.samples import Array, Recording
from meta_repo_ros.reporting.wake_plots import Wake, picture
from meta_repo_ros.vortex_shield import baselines, evaluation, inflow
from meta_repo_ros.vortex_shield.detector import Decisions, DetectionParameters, Detector, spoken
from meta_repo_ros.vortex_shield.evaluation import Result, Track
from meta_repo_ros.vortex_shield.evidence import NAMES
from meta_repo_ros.vortex_shield.recorded_vehicle import rotorcraft
from meta_repo_ros.vortex_shield.stream_file import read
from meta_repo_ros.vortex_shield.types import Level, Voice

OURS = 'Vortex Shield'
_VOICES = tuple((voice.name or '').lower() for voice in Voice)


@dataclass(frozen=True)
class Judged:
    """One file and what was decided on it.

    Attributes:
        path: of the file.
        recording: read from it.
        vehicle: that made it.
        decisions: one per frame.
        track: the same for evaluation, with the truth.
        rivals: score of each baseline, one per frame.
    """

    path: Path
    recording: Recording
    vehicle: Rotorcraft
    decisions: Decisions
    track: Track
    rivals: Mapping[str, Array]

    @property
    def duration(self) -> float:
        """Of the decisions, s."""
        return len(self.track.time) * self.track.step


def judge(path: Path, parameters: DetectionParameters) -> Judged:
    """Read a file and run the detector over it.

    Raises:
        StreamFileError: the file cannot be used.
        RotorcraftError: no such vehicle flies.
    """
    recording = read(path)
    vehicle = rotorcraft(recording)
    decisions = Detector(vehicle, parameters).run(recording)
    track = as_track(recording, vehicle, decisions)
    rivals = baselines.scores(recording, vehicle, track.time) if track.has_truth else {}
    return Judged(path, recording, vehicle, decisions, track, rivals)


def as_track(recording: Recording, vehicle: Rotorcraft, decisions: Decisions) -> Track:
    """Decisions beside their truth, for evaluation."""
    time = decisions.time
    return Track(
        recording.name,
        time,
        decisions.level.astype(np.int64),
        decisions.probability,
        vehicle.radius / vehicle.hover_induced_velocity(),
        evaluation.truth_at(time, recording.truth_time, recording.truth_level),
    )


def compare(every: Sequence[Judged]) -> dict[str, dict[str, float]]:
    """Areas of the detector and of each baseline on the same samples."""
    judged = [one for one in every if one.track.has_truth]
    if not judged:
        return {}
    truth = np.concatenate([one.track.truth for one in judged])
    scores = {OURS: np.concatenate([one.track.score for one in judged])}
    for name in baselines.NAMES:
        scores[name] = np.concatenate([one.rivals[name] for one in judged])
    known = truth >= 0
    positive = truth[known] >= evaluation.INCIPIENT
    table = {}
    for name, score in scores.items():
        # what has nothing to go by cannot warn
        values = np.nan_to_num(score[known], nan=-math.inf, posinf=1e300, neginf=-math.inf)
        rates = evaluation.roc(positive, values)
        table[name] = {
            'roc_area': evaluation.area(*rates),
            'roc_area_to_0.05': evaluation.area(*rates, evaluation.PARTIAL_LIMIT),
            'average_precision': evaluation.average_precision(positive, values),
        }
    return table


def figures(result: Result) -> dict[str, Any]:
    """Figures of merit by name."""
    events = [event for event in result.events if event.detected]
    delay = evaluation.quantiles([event.delay for event in events])
    scaled = evaluation.quantiles([event.delay / event.time_unit for event in events])
    deep = [event for event in result.events if math.isfinite(event.developed)]
    deep_delay = evaluation.quantiles([event.developed_delay for event in deep])
    deep_scaled = evaluation.quantiles([event.developed_delay / event.time_unit for event in deep])
    before = [event.detected and event.lead >= 0.0 for event in deep]
    lead = evaluation.quantiles([event.lead for event in deep])
    alarms, samples = result.alarms, result.samples
    count = len(alarms.stretches)
    return {
        'events': len(result.events),
        'events_detected': len(events),
        'event_recall': result.recall,
        'onset_delay_s': {'median': delay[0], 'p95': delay[1]},
        'onset_delay_r_over_vh': {'median': scaled[0], 'p95': scaled[1]},
        'events_developed': len(deep),
        'incipient_before_developed': float(np.mean(before)) if before else math.nan,
        'lead_over_developed_s': {'median': lead[0]},
        'developed_delay_s': {'median': deep_delay[0], 'p95': deep_delay[1]},
        'developed_delay_r_over_vh': {'median': deep_scaled[0], 'p95': deep_scaled[1]},
        'false_alarms': count,
        'false_alarm_hours': alarms.hours,
        'flight_hours': alarms.flight_hours,
        'false_alarms_per_hour': count / alarms.hours if alarms.hours else math.nan,
        'false_alarms_per_hour_upper_95': evaluation.poisson_upper(count, alarms.hours),
        'roc_area': samples.area,
        'roc_area_to_0.05': samples.partial_area,
        'recall_at_false_positive_0.05': samples.recall_at_limit,
        'average_precision': samples.average_precision,
        'prevalence': samples.prevalence,
        'brier': samples.brier,
        'calibration': [
            dict(zip(('from', 'to', 'samples', 'mean_probability', 'share_true'), row, strict=True))
            for row in samples.calibration
        ],
        'intervals_95': result.intervals,
    }


def description(one: Judged) -> dict[str, Any]:
    """What a file is and what was decided on it, without judgement."""
    vehicle, decisions = one.vehicle, one.decisions
    reached = int(decisions.level.max()) if len(decisions) else 0
    return {
        'file': str(one.path),
        'duration_s': one.duration,
        'vehicle': {
            'rotor_radius_m': vehicle.radius,
            'rotors': vehicle.rotors,
            'mass_kg': vehicle.mass,
            'blades': vehicle.blades,
            'rotor_speed_rad_s': vehicle.rotor_speed,
            'hover_induced_velocity_m_s': vehicle.hover_induced_velocity(),
            'r_over_vh_s': one.track.time_unit,
        },
        'voices': voices(decisions),
        'truth': one.track.has_truth,
        'highest_level': Level(reached).name,
        'time_in_level_s': {
            level.name: float(np.sum(decisions.level == level)) * one.track.step for level in Level
        },
        'notes': [*one.recording.extra.get('notes', ()), *filter(None, [decisions.note])],
    }


def voices(decisions: Decisions) -> list[str]:
    """What took part at any time."""
    both = int(np.bitwise_or.reduce(decisions.voices)) if len(decisions) else 0
    return [name for voice, name in zip(Voice, _VOICES, strict=True) if both & voice]


def lines(one: Judged, interval: float) -> Iterator[str]:
    """JSON lines: every change of the level, and between them one per ``interval`` s (0: all)."""
    decisions, track = one.decisions, one.track
    changed = np.flatnonzero(np.diff(decisions.level.astype(np.int64)) != 0) + 1
    stride = max(1, round(interval / track.step)) if track.step else 1
    rows = np.unique(np.concatenate(([0], changed, np.arange(0, len(decisions), stride))))
    truth = track.truth if track.has_truth else None
    for i in rows[: len(decisions)].tolist():
        level = int(decisions.level[i])
        names, scores = spoken(decisions.standard[i].tolist())
        line = {
            't': round(float(track.time[i]), 6),
            'level': level - 1 if level else None,
            'state': Level(level).name,
            'probability': decisions.probability[i],
            'risk': decisions.risk[i],
            'evidence': decisions.evidence[i],
            'time_to_onset': decisions.time_to_onset[i],
            'normalised_descent': decisions.normalised_descent[i],
            'normalised_airspeed': decisions.normalised_airspeed[i],
            'features': dict(zip(names, scores, strict=True)),
        }
        if truth is not None:
            line['truth'] = int(truth[i]) if truth[i] >= 0 else None
        yield json.dumps(plain(line, 5))


def plain(value: Any, digits: int | None = None) -> Any:
    """The same for JSON: what is not a finite number is null."""
    if isinstance(value, Mapping):
        return {key: plain(item, digits) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item, digits) for item in value]
    if isinstance(value, (float, np.floating)):
        if not math.isfinite(value):
            return None
        return float(value) if digits is None else round(float(value), digits)
    return int(value) if isinstance(value, np.integer) else value


def write(one: Judged, folder: Path, name: str, interval: float, *, plot: bool) -> dict[str, Any]:
    """Write lines and picture of a file; what it is, where they lie, how good it was.

    Raises:
        OSError: they cannot be written.
    """
    levels = folder / f'{name}.jsonl'
    with levels.open('w', encoding='utf-8') as stream:
        stream.writelines(f'{line}\n' for line in lines(one, interval))
    row = {**description(one), 'levels': str(levels)}
    if plot:
        row['plot'] = str(folder / f'{name}.png')
        write_picture(one, folder / f'{name}.png')
    return row | merits([one])


def merits(every: Sequence[Judged]) -> dict[str, Any]:
    """Figures of merit of some files together, beside the baselines; none without truth."""
    judged = [one for one in every if one.track.has_truth]
    if not judged:
        return {}
    values = figures(evaluation.evaluate([one.track for one in judged]))
    return {**values, 'baselines': compare(judged)}


def write_picture(one: Judged, path: Path) -> None:
    """Draw level, probabilities, descent, features and height over time into a file.

    Raises:
        OSError: it cannot be written.
    """
    decisions, recording, track = one.decisions, one.recording, one.track
    onset, end = inflow.johnson_boundary(decisions.normalised_airspeed)
    height = recording.state[:, 2]
    seen = np.isfinite(height)
    truth = recording.truth_level if recording.truth_level is not None else np.empty(0)
    wake = Wake(
        time=track.time,
        level=decisions.level.astype(np.float64),
        probability=decisions.probability,
        risk=decisions.risk,
        evidence=decisions.evidence,
        descent=decisions.normalised_descent,
        airspeed=decisions.normalised_airspeed,
        onset=onset,
        end=end,
        features={name: decisions.standard[:, i] for i, name in enumerate(NAMES)},
        truth_time=recording.truth_time if recording.truth_time is not None else np.empty(0),
        truth_level=truth + 1,
        height_time=recording.state_time[seen],
        height=height[seen],
    )
    picture(wake, one.path.name).savefig(path, dpi=110)


def described_table(every: Sequence[Judged]) -> Table:
    """One row per file."""
    table = _table('file', 'length', 'voices', 'highest level', 'in INCIPIENT', 'in DEVELOPED')
    for one in every:
        values = description(one)
        spent = values['time_in_level_s']
        table.add_row(
            one.path.name,
            f'{one.duration:.1f} s',
            ', '.join(values['voices']) or 'none',
            values['highest_level'],
            f'{spent["INCIPIENT"]:.1f} s',
            f'{spent["DEVELOPED"]:.1f} s',
        )
    return table


def figures_table(values: Mapping[str, Any]) -> Table:
    """The figures of merit for people."""

    def number(value: float, form: str = '.2f') -> str:
        return format(value, form) if math.isfinite(value) else '-'

    def pair(key: str, unit: str) -> str:
        two = values[key]
        return f'median {number(two["median"])} {unit}, 95 % below {number(two["p95"])} {unit}'

    def span(key: str) -> str:
        low, high = values['intervals_95'].get(key, (math.nan, math.nan))
        return f' (95 %: {low:.3f} to {high:.3f})' if math.isfinite(low) else ''

    count, hours = values['false_alarms'], values['false_alarm_hours']
    found = f'{values["events_detected"]} of {values["events"]}'
    table = _table('figure', 'value')
    recall = number(values['event_recall'], '.3f')
    rate, most = (number(values[f'false_alarms_per_hour{end}']) for end in ('', '_upper_95'))
    area, partial = number(values['roc_area'], '.4f'), number(values['roc_area_to_0.05'], '.4f')
    precision, prevalence = (
        number(values[key], '.3f') for key in ('average_precision', 'prevalence')
    )
    before = number(values['incipient_before_developed'], '.1%')
    rows = (
        ('events detected', f'{found}, recall {recall}{span("recall")}'),
        ('onset delay', pair('onset_delay_s', 's')),
        ('', pair('onset_delay_r_over_vh', 'R/v_h')),
        ('INCIPIENT before developed', f'{before} of {values["events_developed"]}'),
        ('DEVELOPED delay', pair('developed_delay_s', 's')),
        ('', pair('developed_delay_r_over_vh', 'R/v_h')),
        ('false alarms', f'{count} in {hours:.3f} h without ring or margin'),
        ('', f'{rate} per hour, at most {most} (95 %, Poisson)'),
        ('ROC area', f'{area}{span("area")}'),
        ('ROC area up to 0.05', f'{partial}{span("partial_area")}'),
        ('recall at 0.05', number(values['recall_at_false_positive_0.05'], '.3f')),
        ('average precision', f'{precision} at a prevalence of {prevalence}'),
        ('Brier score', number(values['brier'], '.4f')),
    )
    for name, text in rows:
        table.add_row(name, text)
    return table


def rivals_table(rivals: Mapping[str, Mapping[str, float]]) -> Table:
    """Areas beside those of the baselines."""
    table = _table('on the same samples', 'ROC area', 'up to 0.05', 'average precision')
    for name, row in rivals.items():
        table.add_row(name, *(f'{v:.4f}' if math.isfinite(v) else '-' for v in row.values()))
    return table


def _table(*header: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for i, name in enumerate(header):
        table.add_column(
            name, overflow='fold', justify='left' if i < 1 or len(header) == 2 else 'right'
        )
    return table
