# SPDX-License-Identifier: Apache-2.0
"""Two voices become one score, a calibrated probability, and the signs that levels hang on.

The score adds the log odds of the risk and the log-likelihood ratio of the evidence, both bounded,
so that it rises with either and neither can outvote the other where that one is sure.
"""

from __future__ import annotations

import bisect
import math
from typing import Any, NamedTuple

import numpy as np

from meta_repo_ros.core.samples import Array
from meta_repo_ros.vortex_shield.calibration import Calibration
from meta_repo_ros.vortex_shield.levels import Signs

Flags = np.ndarray[Any, np.dtype[np.bool_]]
_HOLD = 1.0  # below the threshold, at which an alarm still stands
_NEAR = 1.5  # below the threshold, at which the margin begins
_MARGIN = 0.5  # probability to be near the boundary from which the margin begins
_DEEP = 0.01  # probability to be inside from which it may
_LOST = 0.005  # below which it has not
_QUIET_SHARE = 0.2  # of the false positives, where evidence has to decide alone


class FusedRows(NamedTuple):
    """Of many frames; NaN where no voice spoke."""

    score: Array
    probability: Array
    evidence: Array
    signs: Signs


class Fusion:
    """Weighs risk and evidence at one operating point.

    Args:
        calibration: weights and curves.
        sensitivity, false_positive: choose the threshold on the curves.

    Attributes:
        threshold: of the score of both voices.
        threshold_alone: of that of evidence alone, stricter: nothing says that the vehicle sinks.
        notes: for people.
    """

    def __init__(self, calibration: Calibration, sensitivity: float, false_positive: float) -> None:
        self.calibration = c = calibration
        self.threshold = c.fused.threshold(sensitivity, false_positive)
        self.threshold_alone = c.alone.threshold(sensitivity, _QUIET_SHARE * false_positive)
        self.notes: tuple[str, ...] = ()
        if not c.fused.reached(sensitivity, false_positive):
            text = (
                f'sensitivity {sensitivity:g} and false positive threshold {false_positive:g} '
                'cannot both be held, the threshold lies half way'
            )
            self.notes = (text,)
        self._proof, self._doubt = c.proof, c.doubt
        self._knots = tuple(zip(*c.probability, strict=True))
        self._scores = c.probability[0]

    def rows(self, inside: Array, margin: Array, total: Array) -> FusedRows:
        """Fuse many frames.

        Args:
            inside: (n,) probability of the risk; NaN without a state.
            margin: (n,) that to be near the boundary; likewise.
            total: (n,) evidence; NaN without streams.
        """
        c = self.calibration
        known, heard = np.isfinite(inside), np.isfinite(total)
        spoke = np.where(heard, total, 0.0)
        p = np.clip(np.where(known, inside, 0.5), 1e-9, 1.0 - 1e-9)
        odds = np.clip(np.log(p / (1.0 - p)), -c.risk_bound, c.risk_bound)
        both = c.bias + c.risk_weight * odds + spoke
        alone = c.evidence_bias + c.evidence_weight * spoke
        score = np.where(known, both - self.threshold, alone - self.threshold_alone)
        one_alone = 1.0 / (1.0 + np.exp(-alone))
        probability = np.where(known, np.interp(both, *c.probability), one_alone)
        voice = known | heard
        alarm = voice & (score >= 0.0)
        hold = voice & (score >= -_HOLD)
        signs = Signs(
            voice,
            (voice & (score >= -_NEAR)) | (margin >= _MARGIN),
            alarm,
            hold,
            alarm & (spoke >= self._proof) & (~known | (inside >= _DEEP)),
            hold & (spoke >= self._doubt) & (~known | (inside >= _LOST)),
        )
        return FusedRows(
            np.where(voice, score, np.nan),
            np.where(voice, probability, np.nan),
            np.where(heard, one_alone, np.nan),
            signs,
        )

    def one(
        self, inside: float, margin: float, total: float
    ) -> tuple[float, float, tuple[bool, ...]]:
        """Probability, evidence and signs of one frame, as :meth:`rows` gives them."""
        c = self.calibration
        known, heard = inside == inside, total == total  # noqa: PLR0124 - numbers
        spoke = total if heard else 0.0
        alone = c.evidence_bias + c.evidence_weight * spoke
        evidence = 1.0 / (1.0 + math.exp(-alone))
        if known:
            p = min(max(inside, 1e-9), 1.0 - 1e-9)
            odds = min(max(math.log(p / (1.0 - p)), -c.risk_bound), c.risk_bound)
            both = c.bias + c.risk_weight * odds + spoke
            score = both - self.threshold
            probability = self._interpolated(both)
        elif heard:
            score, probability = alone - self.threshold_alone, evidence
        else:
            return math.nan, math.nan, (False,) * 6
        alarm, hold = score >= 0.0, score >= -_HOLD
        return (
            probability,
            evidence if heard else math.nan,
            (
                True,
                score >= -_NEAR or margin >= _MARGIN,
                alarm,
                hold,
                alarm and spoke >= self._proof and (not known or inside >= _DEEP),
                hold and spoke >= self._doubt and (not known or inside >= _LOST),
            ),
        )

    def _interpolated(self, score: float) -> float:
        knots = self._knots
        i = bisect.bisect_right(self._scores, score)
        if i == 0:
            return knots[0][1]
        if i == len(knots):
            return knots[-1][1]
        (x0, y0), (x1, y1) = knots[i - 1], knots[i]
        return y0 + (y1 - y0) * (score - x0) / (x1 - x0)
