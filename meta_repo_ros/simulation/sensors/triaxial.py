# SPDX-License-Identifier: Apache-2.0
"""Error model of one triad of sensors: gyroscopes or accelerometers.

IEEE Std 952 and 1293 name these terms; noise density and bias random walk are read off an Allan
deviation as its values at 1 s on the slopes -1/2 and +1/2 (the latter times sqrt(3)).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from meta_repo_ros.core.parameters import parameter
from meta_repo_ros.core.rotations import Vector


@dataclass(frozen=True)
class TriaxialParameters:
    """Errors of one triad; the unit u is rad/s or m/s2. The defaults are a perfect triad."""

    noise_density: float = parameter(0.0, 'White noise.', unit='u/sqrt(Hz)', minimum=0.0)
    bias_random_walk: float = parameter(0.0, 'Drift of the bias.', unit='u/sqrt(s)', minimum=0.0)
    bias_sigma: float = parameter(0.0, 'Spread of the turn-on bias.', unit='u', minimum=0.0)
    scale_sigma: float = parameter(0.0, 'Spread of the scale error.', unit='1', minimum=0.0)
    misalignment_sigma: float = parameter(
        0.0, 'Spread of each small angle between the axes and the body.', unit='rad', minimum=0.0
    )
    bias: tuple[float, ...] = parameter(
        (0.0, 0.0, 0.0), 'Fixed part of the bias.', unit='u', size=3
    )
    scale: tuple[float, ...] = parameter(
        (0.0, 0.0, 0.0), 'Fixed part of the scale error.', unit='1', size=3
    )
    misalignment: tuple[float, ...] = parameter(
        (0.0,) * 6,
        'Fixed part of the small angles xy xz yx yz zx zy: share of the second axis in the first.',
        unit='rad', size=6,
    )  # fmt: skip
    range: float = parameter(1e9, 'Readings saturate here.', unit='u', minimum=0.0)
    resolution: float = parameter(
        0.0, 'Least step of a reading; 0 for none.', unit='u', minimum=0.0
    )


class Triad:
    """One triad with its drawn errors.

    Args:
        parameters: of the errors.
        rate: of its samples, Hz.
    """

    def __init__(self, parameters: TriaxialParameters, rate: float) -> None:
        self._p = parameters
        self._noise = parameters.noise_density * math.sqrt(rate)
        self._walk = parameters.bias_random_walk / math.sqrt(rate)
        self._bias: list[float] | None = None
        self._matrix: tuple[Vector, Vector, Vector] | None = None

    @property
    def bias(self) -> Vector:
        """Present bias, u; zero before the first measurement."""
        x, y, z = self._bias or (0.0, 0.0, 0.0)
        return (x, y, z)

    def measure(self, truth: Vector, rng: np.random.Generator) -> Vector:
        """A reading of ``truth`` (body axes)."""
        if self._bias is None or self._matrix is None:
            self._draw(rng)
            assert self._bias is not None and self._matrix is not None  # noqa: PT018, S101
        n = rng.standard_normal(6).tolist()
        x, y, z = truth
        reading = []
        for axis, (a, b, c) in enumerate(self._matrix):
            self._bias[axis] += self._walk * n[axis]
            value = a * x + b * y + c * z + self._bias[axis] + self._noise * n[axis + 3]
            reading.append(self.converted(value))
        return (reading[0], reading[1], reading[2])

    def converted(self, value: float) -> float:
        """``value`` after saturation and quantisation; NaN stays NaN."""
        p = self._p
        if p.resolution > 0.0 and math.isfinite(value):
            value = p.resolution * math.floor(value / p.resolution + 0.5)
        return max(-p.range, min(p.range, value)) if not math.isnan(value) else value

    def _draw(self, rng: np.random.Generator) -> None:
        p = self._p
        draws = rng.standard_normal(12)
        self._bias = [b + p.bias_sigma * n for b, n in zip(p.bias, draws[:3].tolist(), strict=True)]
        sx, sy, sz = (
            1.0 + s + p.scale_sigma * n for s, n in zip(p.scale, draws[3:6].tolist(), strict=True)
        )
        xy, xz, yx, yz, zx, zy = (
            m + p.misalignment_sigma * n
            for m, n in zip(p.misalignment, draws[6:].tolist(), strict=True)
        )
        self._matrix = ((sx, xy, xz), (yx, sy, yz), (zx, zy, sz))
