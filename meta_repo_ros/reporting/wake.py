# SPDX-License-Identifier: Apache-2.0
"""What a bag says about the rotor wake: detections, recovery, heights, rotor speeds, truth."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np

from meta_repo_ros.core.time import stamp_ns
from meta_repo_ros.reporting.evaluation import Array
from meta_repo_ros.reporting.wake_plots import PHASES, Wake

DETECTION = 'vortex_detection'
RECOVERY = 'recovery_command'
TRUTH = 'ground_truth/wake'
ROTOR = 'rotor_state'
AIR = 'air_data'
TOPICS = frozenset({DETECTION, RECOVERY, TRUTH, ROTOR, AIR})
VARIANTS = ('none', 'forward', 'Vuichard')
_VALUES = ('level', 'probability', 'risk', 'evidence', 'normalised_descent', 'normalised_airspeed')
_DIGITS = 3
_LEAST_STEP = 5_000_000  # ns between two rows of what only stands beside


class WakeCollector:
    """Gathers the messages of :data:`TOPICS` of one vehicle."""

    def __init__(self) -> None:
        self._rows: dict[str, list[tuple[float, ...]]] = defaultdict(list)
        self._last: dict[str, int] = defaultdict(lambda: -_LEAST_STEP)
        self._features: list[tuple[int, int, dict[str, float]]] = []
        self._plans: list[tuple[str, ...]] = []
        self._stamps: list[int] = []

    def add(self, name: str, message: Any) -> None:
        """Read one message."""
        stamp = stamp_ns(message.header.stamp)
        if name == DETECTION:
            self._stamps.append(stamp)
            self._rows[name].append((stamp, *(float(getattr(message, key)) for key in _VALUES)))
            if len(message.features):
                scores = dict(zip(message.features, message.feature_scores, strict=False))
                self._features.append((stamp, len(self._stamps) - 1, scores))
        elif name == RECOVERY:
            self._recovery(stamp, message)
        elif stamp - self._last[name] >= _LEAST_STEP:
            self._last[name] = stamp
            self._beside(name, stamp, message)

    def finish(self, start: int) -> Wake | None:
        """All of it with times in s since ``start``, ns; None without detections."""
        rows = self._columns(DETECTION, start, 1 + len(_VALUES))
        if len(rows) == 0:
            return None
        truth, height, rotor, phase = (
            self._columns(name, start, 2) for name in (TRUTH, AIR, ROTOR, RECOVERY)
        )
        names = sorted({name for _, _, scores in self._features for name in scores})
        features = {name: np.zeros(len(rows)) for name in names}
        for _, index, scores in self._features:
            for name, score in scores.items():
                features[name][index] = score
        order = np.argsort(rows[:, 0], kind='stable')
        rows = rows[order]
        time, level, probability, risk, evidence, descent, airspeed = rows.T
        return Wake(
            time=time,
            level=level,
            probability=probability,
            risk=risk,
            evidence=evidence,
            descent=descent,
            airspeed=airspeed,
            features={name: values[order] for name, values in features.items()},
            truth_time=truth[:, 0],
            truth_level=truth[:, 1],
            height_time=height[:, 0],
            height=height[:, 1],
            rotor_time=rotor[:, 0],
            rotor_speed=rotor[:, 1],
            phase_time=phase[:, 0],
            phase=phase[:, 1],
            plans=[(f'{(int(p[0]) - start) * 1e-9:.{_DIGITS}f}', *p[1:]) for p in self._plans],
        )

    def _recovery(self, stamp: int, message: Any) -> None:
        phase = int(message.phase)
        before = self._rows[RECOVERY][-1][1] if self._rows[RECOVERY] else None
        self._rows[RECOVERY].append((stamp, float(phase)))
        if phase != before:
            name = PHASES[phase] if phase < len(PHASES) else f'{phase}'
            variant = VARIANTS[message.variant] if message.variant < len(VARIANTS) else '?'
            self._plans.append((
                f'{stamp}', name.lower().replace('_', ' '), variant,
                f'{np.degrees(message.tilt):.1f}', f'{message.predicted_altitude_loss:.1f}',
                f'{message.predicted_duration:.1f}', f'{message.height_available:.1f}',
                'yes' if message.assured else 'no', message.reason,
            ))  # fmt: skip

    def _beside(self, name: str, stamp: int, message: Any) -> None:
        if name == TRUTH:
            value = float(message.level)
        elif name == AIR:
            value = float(message.height_above_ground)
        else:
            value = float(np.mean(message.speed)) if len(message.speed) else np.nan
        if np.isfinite(value):
            self._rows[name].append((stamp, value))

    def _columns(self, name: str, start: int, width: int) -> Array:
        rows = np.array(self._rows[name], dtype=np.float64).reshape(-1, width)
        if len(rows):
            # whole numbers first: a stamp of today has no nanoseconds left as a float
            stamps = np.array([row[0] for row in self._rows[name]], dtype=np.int64)
            rows[:, 0] = (stamps - start) * 1e-9
        return rows
