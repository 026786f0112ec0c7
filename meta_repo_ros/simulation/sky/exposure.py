# SPDX-License-Identifier: Apache-2.0
"""One exposure of the sky: when, how long, and how the camera turned meanwhile."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from meta_repo_ros.core import rotations
from meta_repo_ros.starnav.types import Array


@dataclass(frozen=True)
class Exposure:
    """One exposure, without the image.

    Attributes:
        stamp: middle of the exposure of the middle row, ns, UTC.
        sequence: counts exposures; seeds the noise.
        duration: s.
        gain: over the lowest one.
        knot_time: (m,) s from ``stamp``, ascending.
        knot_orientation: (m, 4) ICRS to body, w first.
        latitude, longitude: deg; NaN for a camera in space, without air and ground.
        altitude: m above the ellipsoid.
        velocity: (3,) m/s relative to the Earth, east north up.
        pressure: Pa.
        temperature: K.
    """

    stamp: int
    sequence: int = 0
    duration: float = 0.2
    gain: float = 1.0
    knot_time: Array = field(default_factory=lambda: np.zeros(1))
    knot_orientation: Array = field(default_factory=lambda: np.array([(1.0, 0.0, 0.0, 0.0)]))
    latitude: float = math.nan
    longitude: float = math.nan
    altitude: float = 0.0
    velocity: Array = field(default_factory=lambda: np.zeros(3))
    pressure: float = 0.0
    temperature: float = 288.15

    @property
    def on_earth(self) -> bool:
        """Whether the place is known, and so where the air and the ground are."""
        return math.isfinite(self.latitude) and math.isfinite(self.longitude)

    def orientation(self, time: ArrayLike) -> Array:
        """Attitudes (..., 4), ICRS to body, at ``time`` (...), s from the stamp.

        Constant turn rate between knots and, beyond them, as at the nearest pair.
        """
        t = np.asarray(time, dtype=float)
        knots, q = self.knot_time, self.knot_orientation
        if len(knots) == 1:
            return np.broadcast_to(q[0], (*t.shape, 4))
        i = np.clip(np.searchsorted(knots, t) - 1, 0, len(knots) - 2)
        # the turn that follows the earlier attitude, by the short way round
        turn = rotations.log_array(
            rotations.multiply_array(q[1:], rotations.conjugate_array(q[:-1]))
        )
        part = ((t - knots[i]) / (knots[i + 1] - knots[i]))[..., np.newaxis]
        return rotations.multiply_array(rotations.exp_array(part * turn[i]), q[i])
