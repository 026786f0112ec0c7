# SPDX-License-Identifier: Apache-2.0
"""Numbers of the detector that come from generated data; written by a script, never by hand."""

from __future__ import annotations

import functools
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

FILE = Path(__file__).with_name('data') / 'vortex_calibration.json'


class CalibrationError(ValueError):
    """A calibration that cannot be used; the text says what is wrong with it."""


@dataclass(frozen=True)
class Curve:
    """How often a score is reached, per window of flight.

    Attributes:
        score: rising.
        detected: share of windows with a ring in which it is reached, falling.
        alarmed: share of windows of quiet flight in which it is reached, falling.
    """

    score: tuple[float, ...]
    detected: tuple[float, ...]
    alarmed: tuple[float, ...]

    def threshold(self, sensitivity: float, false_positive: float) -> float:
        """Score that divides: half way between the two that the bounds allow.

        The highest at which ``sensitivity`` of the windows with a ring are found, and the lowest at
        which ``false_positive`` of the quiet ones alarm. It falls when either rises.
        """
        highest = _crossing(self.score, self.detected, sensitivity)
        lowest = _crossing(self.score, self.alarmed, false_positive)
        return 0.5 * (highest + lowest)

    def reached(self, sensitivity: float, false_positive: float) -> bool:
        """Whether one score holds both bounds."""
        highest = _crossing(self.score, self.detected, sensitivity)
        return highest >= _crossing(self.score, self.alarmed, false_positive)


@dataclass(frozen=True)
class Calibration:
    """All numbers of the detector that are learnt.

    Attributes:
        quiet: usual level and spread of the logarithm of each feature's energy, by name.
        weights: of each feature's standard score, by name, >= 0.
        feature_bounds: of a standard score.
        kind_bounds: of the sum over the features of one kind.
        evidence_bounds: of the sum over kinds.
        risk_weight, risk_bound: of the log odds of the risk, and where these are clipped.
        bias: of the sum of both voices.
        evidence_weight, evidence_bias: log odds from evidence alone.
        proof, doubt: evidence from which a ring is proven, and below which no longer.
        fused, alone: curves of the score of both voices, and of evidence alone.
        probability: knots (score, probability) of the calibrated probability of the fused score.
        source: how it was made: seeds, hash of the data, figures.
    """

    quiet: Mapping[str, tuple[float, float]]
    weights: Mapping[str, float]
    feature_bounds: tuple[float, float]
    kind_bounds: tuple[float, float]
    evidence_bounds: tuple[float, float]
    risk_weight: float
    risk_bound: float
    bias: float
    evidence_weight: float
    evidence_bias: float
    proof: float
    doubt: float
    fused: Curve
    alone: Curve
    probability: tuple[tuple[float, ...], tuple[float, ...]]
    source: Mapping[str, Any]

    @functools.cached_property
    def digest(self) -> str:
        """First 16 hex digits of the SHA-256 of all numbers."""
        text = json.dumps(to_mapping(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def to_mapping(calibration: Calibration) -> dict[str, Any]:
    """As the file holds it, without its digest."""
    c = calibration
    curves = {
        name: {'score': list(v.score), 'detected': list(v.detected), 'alarmed': list(v.alarmed)}
        for name, v in (('fused', c.fused), ('alone', c.alone))
    }
    return {
        'quiet': {k: list(v) for k, v in c.quiet.items()},
        'weights': dict(c.weights),
        'feature_bounds': list(c.feature_bounds),
        'kind_bounds': list(c.kind_bounds),
        'evidence_bounds': list(c.evidence_bounds),
        'risk_weight': c.risk_weight,
        'risk_bound': c.risk_bound,
        'bias': c.bias,
        'evidence_weight': c.evidence_weight,
        'evidence_bias': c.evidence_bias,
        'proof': c.proof,
        'doubt': c.doubt,
        **curves,
        'probability': [list(v) for v in c.probability],
        'source': dict(c.source),
    }


def from_mapping(data: Mapping[str, Any]) -> Calibration:
    """Check what a file holds.

    Raises:
        CalibrationError: a number is missing, not finite, or stands in the wrong order.
    """
    try:
        curves = {
            name: Curve(*(tuple(map(float, data[name][key])) for key in
                          ('score', 'detected', 'alarmed')))
            for name in ('fused', 'alone')
        }  # fmt: skip
        result = Calibration(
            quiet={k: (float(v[0]), float(v[1])) for k, v in data['quiet'].items()},
            weights={k: float(v) for k, v in data['weights'].items()},
            feature_bounds=_pair(data['feature_bounds']),
            kind_bounds=_pair(data['kind_bounds']),
            evidence_bounds=_pair(data['evidence_bounds']),
            risk_weight=float(data['risk_weight']),
            risk_bound=float(data['risk_bound']),
            bias=float(data['bias']),
            evidence_weight=float(data['evidence_weight']),
            evidence_bias=float(data['evidence_bias']),
            proof=float(data['proof']),
            doubt=float(data['doubt']),
            fused=curves['fused'],
            alone=curves['alone'],
            probability=(
                tuple(map(float, data['probability'][0])),
                tuple(map(float, data['probability'][1])),
            ),
            source=dict(data['source']),
        )
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise CalibrationError(f'calibration: {type(error).__name__}: {error}') from error
    for name, curve in (('fused', result.fused), ('alone', result.alone)):
        for key, rising in (('score', True), ('detected', False), ('alarmed', False)):
            values = np.array(getattr(curve, key))
            steps = np.diff(values) if rising else -np.diff(values)
            if len(values) < 2 or not np.isfinite(values).all() or (steps < 0.0).any():
                raise CalibrationError(f'calibration: {name}.{key} must be finite and in order')
    if min(result.weights.values()) < 0.0 or result.risk_weight <= 0.0:
        raise CalibrationError('calibration: weights must not be negative: more of a sign is never '
                               'less of a ring')  # fmt: skip
    return result


def load(path: Path = FILE) -> Calibration:
    """Read a file.

    Raises:
        CalibrationError: cannot be read, or its digest does not fit its numbers.
    """
    try:
        data = json.loads(path.read_text(encoding='utf-8'))
    except (OSError, json.JSONDecodeError) as error:
        raise CalibrationError(f'calibration {path}: {error}') from error
    digest = data.pop('digest', None)
    result = from_mapping(data)
    if digest != result.digest:
        raise CalibrationError(
            f'calibration {path}: its digest is {digest}, its numbers have {result.digest}; '
            'run scripts/calibrate_vortex_detector.py instead of editing it'
        )
    return result


@functools.cache
def shipped() -> Calibration:
    """The calibration that comes with the package."""
    return load()


def save(calibration: Calibration, path: Path = FILE) -> None:
    """Write a file with its digest."""
    data = {**to_mapping(calibration), 'digest': calibration.digest}
    path.write_text(json.dumps(data, indent=1) + '\n', encoding='utf-8')


def _pair(values: Any) -> tuple[float, float]:
    low, high = (float(v) for v in values)
    if not (math.isfinite(low) and low < high < math.inf):
        raise ValueError(f'{values} is no range')
    return low, high


def _crossing(score: tuple[float, ...], share: tuple[float, ...], wanted: float) -> float:
    """Score at which a falling share is ``wanted``."""
    falling = np.array(share)[::-1]
    rising = np.maximum.accumulate(falling + 1e-9 * np.arange(len(falling)))
    return float(np.interp(wanted, rising, np.array(score)[::-1]))
