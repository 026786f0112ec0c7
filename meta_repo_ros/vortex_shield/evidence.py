# SPDX-License-Identifier: Apache-2.0
"""What the streams say of a vortex ring, against the quiet level that this vehicle has shown.

Each feature counts in standard deviations of its logarithm above its quiet level: at first the
usual one of the calibration, then what was measured while the descent state was far from the
boundary. The sum per kind is bounded, so no kind speaks louder than physics.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from meta_repo_ros.core.samples import Array, Kind
from meta_repo_ros.vortex_shield.calibration import Calibration
from meta_repo_ros.vortex_shield.features import FEATURES, KINDS, FeatureRows
from meta_repo_ros.vortex_shield.frames import Good

PROFILE = 'flow_profile'
"""Change of the flow from tip to root against quiet flight; reversal folds it in unsigned flow."""
NAMES: tuple[str, ...] = (*(name for name, _ in FEATURES), PROFILE)
KIND_OF: tuple[int, ...] = (*(KINDS.index(k) for _, k in FEATURES), KINDS.index(Kind.FLOW))
"""Index of the kind of each of the names."""
STEP = 25
"""Frames between two looks at the quiet level."""
_COLUMNS = np.array(KIND_OF)
_BITS = 1 << np.arange(len(KINDS))
_FLOW = KINDS.index(Kind.FLOW)
_LEARN = 150.0  # looks after which the quiet level moves as slowly as it ever does
_TRUST = 20.0  # looks that the usual level weighs
_TINY = 1e-6
_SILENT = 0.5  # evidence below which streams without a descent state are taken for quiet

Flags = np.ndarray[Any, np.dtype[np.bool_]]
_STAND_IN = 2.0
"""Greatest factor by which what is heard counts for the kinds that are missing, too."""


@dataclass(frozen=True, slots=True)
class EvidenceRows:
    """Evidence of consecutive frames.

    Attributes:
        total: (n,) bounded log-likelihood ratio; NaN without any usable kind.
        standard: (n, names) standard deviations above the quiet level; NaN where not usable.
    """

    total: Array
    standard: Array


class Evidence:
    """Learns what is quiet, and measures against it.

    Args:
        calibration: usual quiet levels, weights and bounds.
    """

    def __init__(self, calibration: Calibration) -> None:
        self._usual = np.array([calibration.quiet[name][0] for name in NAMES])
        self._spread = np.array([calibration.quiet[name][1] for name in NAMES])
        weights = [calibration.weights[name] for name in NAMES]
        self._kinds = np.zeros((len(NAMES), len(KINDS)))
        self._kinds[np.arange(len(NAMES)), _COLUMNS] = weights
        share = self._kinds.sum(axis=0)
        there = (np.arange(1 << len(KINDS))[:, None] & _BITS) > 0
        left = np.maximum(there @ share, 1e-9)
        self._stand_in = np.minimum(share.sum() / left, _STAND_IN)
        self._terms = tuple(zip(KIND_OF, weights, self._spread.tolist(), strict=True))
        self._kind_bounds = calibration.kind_bounds
        self._bounds = calibration.evidence_bounds
        self._feature_bounds = calibration.feature_bounds
        self._quiet = self._usual.copy()
        self._looks = np.zeros(len(NAMES))
        self._level: list[float] = self._usual.tolist()
        self._profile: Array | None = None
        self._profile_looks = 0.0

    def push(self, rows: FeatureRows, calm: Flags, blind: Flags) -> EvidenceRows:
        """Measure frames.

        Args:
            rows: of consecutive frames.
            calm: (n,) whether the descent state is far from the boundary; there quiet is learnt.
            blind: (n,) whether there is no descent state; there, while the streams are silent.
        """
        n = len(rows)
        known = rows.usable[:, _COLUMNS]
        levels = np.empty((n, len(NAMES)))
        levels[:, :-1] = rows.energy
        quiet = np.empty((n, len(NAMES)))
        begin = 0
        while begin < n:
            stop = min(n, begin + STEP - (rows.first + begin) % STEP)
            part = slice(begin, stop)
            levels[part, -1] = self._change(rows.profile[part], rows.flow_good[part])
            quiet[part] = self._level
            last = stop - 1
            if (rows.first + stop) % STEP == 0 and (
                self._silent(levels[last], known[last]) if blind[last] else calm[last]
            ):
                self._look(rows, last, levels[last], known[last])
            begin = stop
        standard = (levels - quiet) / self._spread
        np.clip(standard, *self._feature_bounds, out=standard)
        known &= np.isfinite(standard)
        kinds = np.clip(np.where(known, standard, 0.0) @ self._kinds, *self._kind_bounds)
        total = kinds.sum(axis=1)
        total = np.where(total > 0.0, total * self._stand_in[rows.usable @ _BITS], total)
        total = np.clip(total, *self._bounds)
        heard = rows.usable.any(axis=1)
        return EvidenceRows(np.where(heard, total, np.nan), np.where(known, standard, np.nan))

    def one(
        self, rows: FeatureRows, i: int, *, calm: bool, blind: bool
    ) -> tuple[float, list[float]]:
        """Total and standard scores of frame ``i`` of ``rows``, as :meth:`push` gives them."""
        usable: Sequence[bool] = rows.usable[i].tolist()
        levels: list[float] = rows.energy[i].tolist()
        change = math.nan
        if usable[_FLOW] and self._profile is not None:
            change = float(self._change(rows.profile[i : i + 1], rows.flow_good[i : i + 1])[0])
        levels.append(change)
        low, high = self._feature_bounds
        sums = [0.0] * len(KINDS)
        standard = []
        for level, quiet, (kind, weight, spread) in zip(
            levels, self._level, self._terms, strict=True
        ):
            z = (level - quiet) / spread
            if usable[kind] and z == z:  # noqa: PLR0124 - a number
                z = min(max(z, low), high)
                sums[kind] += weight * z
            else:
                z = math.nan
            standard.append(z)
        low, high = self._kind_bounds
        total = 0.0
        for value in sums:
            total += min(max(value, low), high)
        if total > 0.0:
            total *= float(self._stand_in[int(np.dot(usable, _BITS))])
        low, high = self._bounds
        total = min(max(total, low), high) if any(usable) else math.nan
        if (calm or blind) and (rows.first + i + 1) % STEP == 0:
            known, row = np.array([usable[kind] for kind in KIND_OF]), np.array(levels)
            if calm or self._silent(row, known):
                self._look(rows, i, row, known)
        return total, standard

    def _silent(self, levels: Array, known: Good) -> bool:
        """Whether nothing speaks for a ring in one frame."""
        standard = np.clip((levels - np.array(self._level)) / self._spread, *self._feature_bounds)
        usable = known & np.isfinite(standard)
        kinds = np.where(usable, standard, 0.0) @ self._kinds
        return bool(np.clip(kinds, *self._kind_bounds).sum() < _SILENT)

    def _look(self, rows: FeatureRows, i: int, levels: Array, known: Good) -> None:
        """Learn from one quiet frame."""
        use = known & np.isfinite(levels)
        gain = 1.0 / (1.0 + np.minimum(self._looks, _LEARN))
        step = np.clip(levels - self._quiet, -3.0, 3.0)
        self._quiet = np.where(use, self._quiet + gain * step, self._quiet)
        self._looks = self._looks + use
        trust = self._looks / (self._looks + _TRUST)
        self._level = (self._usual + trust * (self._quiet - self._usual)).tolist()
        if not rows.usable[i, _FLOW]:
            return
        shape = _shape(rows.profile[i : i + 1], rows.flow_good[i : i + 1])[0]
        if self._profile is None or len(self._profile) != len(shape):
            self._profile, self._profile_looks = shape, 0.0
        self._profile_looks = min(self._profile_looks + 1.0, _LEARN)
        self._profile = self._profile + (shape - self._profile) / self._profile_looks

    def _change(self, profile: Array, good: Good) -> Array:
        """Logarithm of the mean square change of the profile, (n,)."""
        quiet = self._profile
        if quiet is None or profile.shape[1] < 2 or len(quiet) != profile.shape[1]:
            return np.full(len(profile), np.nan)
        off = (_shape(profile, good) - quiet) * good
        count = good.sum(axis=1)
        change = np.log((off * off).sum(axis=1) / np.maximum(count, 1) + _TINY)
        return np.where(count > 1, change, np.nan)


def _shape(profile: Array, good: Good) -> Array:
    """Profile over its mean of the healthy channels."""
    count = np.maximum(good.sum(axis=1, keepdims=True), 1)
    mean = (profile * good).sum(axis=1, keepdims=True) / count
    return np.asarray(profile / np.maximum(mean, 0.05))
