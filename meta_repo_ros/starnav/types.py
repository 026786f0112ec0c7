# SPDX-License-Identifier: Apache-2.0
"""Value types shared by the modules of this room.

Conventions: image coordinates (u, v) in pixels, u to the right, v down, the centre of the upper
left pixel is (0, 0). Camera axes are the optical ones of REP-103: x right, y down, z forward.
Matrices and quaternions named ``a_to_b`` rotate components in frame a into components in frame b;
quaternions have w first. ``icrs`` stands for the axes of GCRS. Magnitudes are Hp.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Centroids:
    """Star images found in one frame, brightest first.

    Attributes:
        position: (n, 2) u, v, pixels.
        covariance: (n, 2, 2) of ``position``, pixels squared.
        flux: (n,) counts above the background; of a saturated star a lower bound.
        snr: (n,) flux over its standard deviation.
        saturated: (n,) whether a pixel reached the end of the scale.
        width: pixels of the whole image.
        height: pixels of the whole image.
        background: median level, counts.
        noise: standard deviation of a background pixel, counts.
        searched: part of the image in which stars were looked for: 1 but for windows around
            predicted stars, where a match proves the less the smaller they are.
        rejected: blobs that are no stars, counted by reason (``hot pixel``, ``streak``, ...).
        problem: why the image as a whole cannot be used ('' where it can): ``black``,
            ``overexposed``, ``daylight``, ``blurred``, ...
    """

    position: Array
    covariance: Array
    flux: Array
    snr: Array
    saturated: Bools
    width: int
    height: int
    background: float = math.nan
    noise: float = math.nan
    searched: float = 1.0
    rejected: Mapping[str, int] = field(default_factory=dict)
    problem: str = ''

    def __len__(self) -> int:
        return len(self.position)


class Failure(enum.Enum):
    """Why a frame gave no attitude."""

    NONE = ''
    BAD_IMAGE = 'bad image'
    TOO_FEW_STARS = 'too few stars'
    NO_MATCH = 'no match'
    AMBIGUOUS = 'ambiguous'
    MIRRORED = 'mirrored'
    TIMEOUT = 'timeout'


@dataclass(frozen=True)
class Match:
    """Result of identification and of the least-squares attitude: solved, or the reason why not.

    Attributes:
        failure: ``Failure.NONE`` where solved.
        detail: a sentence for people.
        icrs_to_camera: (3, 3).
        covariance: (3, 3) of the small rotation of the camera about its own axes, rad2.
        centroid: (k,) indices of the used centroids.
        star: (k,) indices into the catalogue that was given.
        hip: (k,) Hipparcos numbers.
        residual: (k, 2) measured minus predicted, pixels.
        residual_rms: rad, per axis.
        focal_length: pixels, as fitted or as known.
        field_of_view: horizontal, rad.
        radial: coefficient k1 of radial distortion in OpenCV's sense, fitted where nothing was
            known of the camera and the stars show one; else 0.
        false_alarm_probability: that so good a match comes about by chance, over all trials made.
        elapsed: s, wall time of the search.
        attempts: patterns tried.
        tracked: whether a hint led to it.
    """

    failure: Failure
    detail: str = ''
    icrs_to_camera: Array = field(default_factory=lambda: np.full((3, 3), math.nan))
    covariance: Array = field(default_factory=lambda: np.full((3, 3), math.nan))
    centroid: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    star: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    hip: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    residual: Array = field(default_factory=lambda: np.zeros((0, 2)))
    residual_rms: float = math.nan
    focal_length: float = math.nan
    field_of_view: float = math.nan
    radial: float = 0.0
    false_alarm_probability: float = math.nan
    elapsed: float = math.nan
    attempts: int = 0
    tracked: bool = False

    @property
    def solved(self) -> bool:
        """Whether there is an attitude."""
        return self.failure is Failure.NONE
