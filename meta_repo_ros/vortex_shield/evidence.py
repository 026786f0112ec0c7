# SPDX-License-Identifier: Apache-2.0
"""What the streams say of a vortex ring, against the quiet level that this vehicle has shown.

Each feature counts in standard deviations of its logarithm above its quiet level: at first the
usual one of the calibration, then what was measured while the descent state was far from the
boundary. The sum per kind is bounded, so no kind speaks louder than physics.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from meta_repo_ros.core.samples import Array, Kind
from meta_repo_ros.vortex_shield.calibration import Calibration
from meta_repo_ros.vortex_shield.features import FEATURES, KINDS, FeatureRows

PROFILE = 'flow_profile'
"""Change of the flow from tip to root against quiet flight; reversal folds it in unsigned flow."""
NAMES: tuple[str, ...] = (*(name for name, _ in FEATURES), PROFILE)
_KIND_OF = np.array([KINDS.index(k) for _, k in FEATURES] + [KINDS.index(Kind.FLOW)])
_STEP = 25  # frames between two looks at the quiet level
_LEARN = 150.0  # looks after which the quiet level moves as slowly as it ever does
_TRUST = 20.0  # looks that the usual level weighs
_TINY = 1e-9


@dataclass(frozen=True)
class EvidenceRows:
    """Evidence of consecutive frames.

    Attributes:
        total: (n,) bounded log-likelihood ratio; NaN without any usable kind.
        standard: (n, names) standard deviations above the quiet level; NaN where not usable.
        usable: (n, kinds).
    """

    total: Array
    standard: Array
    usable: np.ndarray[Any, np.dtype[np.bool_]]


class Evidence:
    """Learns what is quiet, and measures against it.

    Args:
        calibration: usual quiet levels, weights and bounds.
    """

    def __init__(self, calibration: Calibration) -> None:
        self.calibration = calibration
        self._usual = np.array([calibration.quiet[name][0] for name in NAMES])
        self._spread = np.array([calibration.quiet[name][1] for name in NAMES])
        weights = np.array([calibration.weights[name] for name in NAMES])
        self._kinds = np.zeros((len(NAMES), len(KINDS)))
        self._kinds[np.arange(len(NAMES)), _KIND_OF] = weights
        self._low, self._high = calibration.kind_bounds
        self._bounds = calibration.evidence_bounds
        self._z_bounds = calibration.feature_bounds
        self.reset()

    def reset(self) -> None:
        """Forget what this vehicle has shown."""
        self._quiet = self._usual.copy()
        self._looks = np.zeros(len(NAMES))
        self._profile: Array | None = None
        self._profile_looks = 0.0

    def push(self, rows: FeatureRows, calm: np.ndarray[Any, np.dtype[np.bool_]]) -> EvidenceRows:
        """Measure frames.

        Args:
            rows: of consecutive frames.
            calm: (n,) whether the descent state is far from the boundary; there quiet is learnt.
        """
        n = len(rows)
        known = rows.usable[:, _KIND_OF]
        levels = np.empty((n, len(NAMES)))
        levels[:, :-1] = rows.energy
        quiet = np.empty((n, len(NAMES)))
        begin = 0
        while begin < n:
            stop = min(n, begin + _STEP - (rows.first + begin) % _STEP)
            self._stretch(rows, levels, quiet, known, calm, begin, stop)
            begin = stop
        standard = (levels - quiet) / self._spread
        np.clip(standard, *self._z_bounds, out=standard)
        counted = np.where(known & np.isfinite(standard), standard, 0.0)
        kinds = np.clip(counted @ self._kinds, self._low, self._high)
        heard = rows.usable.any(axis=1)
        total = np.clip(kinds.sum(axis=1), *self._bounds)
        return EvidenceRows(
            np.where(heard, total, np.nan), np.where(known, standard, np.nan), rows.usable
        )

    def _stretch(
        self,
        rows: FeatureRows,
        levels: Array,
        quiet: Array,
        known: np.ndarray[Any, np.dtype[np.bool_]],
        calm: np.ndarray[Any, np.dtype[np.bool_]],
        begin: int,
        stop: int,
    ) -> None:
        """Frames up to the next look at the quiet level; looks at the last of them if it is one."""
        part = slice(begin, stop)
        levels[part, -1] = self._profile_change(rows, part)
        trust = self._looks / (self._looks + _TRUST)
        quiet[part] = self._usual + trust * (self._quiet - self._usual)
        last = stop - 1
        if (rows.first + stop) % _STEP or not calm[last]:
            return
        use = known[last] & np.isfinite(levels[last])
        gain = 1.0 / (1.0 + np.minimum(self._looks, _LEARN))
        step = np.clip(levels[last] - self._quiet, -3.0, 3.0)
        self._quiet = np.where(use, self._quiet + gain * step, self._quiet)
        self._looks = self._looks + use
        if use[-1] or (rows.usable[last, 1] and self._profile is None):
            shape = _shape(rows.profile[last : last + 1], rows.flow_good[last : last + 1])[0]
            if self._profile is None or len(self._profile) != len(shape):
                self._profile, self._profile_looks = shape, 0.0
            self._profile_looks += 1.0
            self._profile = self._profile + (shape - self._profile) / min(
                self._profile_looks, _LEARN
            )

    def _profile_change(self, rows: FeatureRows, part: slice) -> Array:
        good = rows.flow_good[part]
        quiet = self._profile
        if quiet is None or good.shape[1] < 2 or len(quiet) != good.shape[1]:
            return np.full(len(good), np.nan)
        off = (_shape(rows.profile[part], good) - quiet) * good
        count = good.sum(axis=1)
        change = (off * off).sum(axis=1) / np.maximum(count, 1.0)
        return np.where(count >= 2.0, np.log(change + _TINY), np.nan)


def _shape(profile: Array, good: Array) -> Array:
    """Profile over its mean of the healthy channels."""
    count = np.maximum(good.sum(axis=1, keepdims=True), 1.0)
    mean = (profile * good).sum(axis=1, keepdims=True) / count
    return np.asarray(profile / np.maximum(mean, 0.05))
