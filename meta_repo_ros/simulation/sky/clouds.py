# SPDX-License-Identifier: Apache-2.0
"""Clouds: one layer of fractal noise that the wind moves and the vehicle flies under."""

from __future__ import annotations

import math

import cv2
import numpy as np

from meta_repo_ros.core.geodesy import SEMI_MAJOR
from meta_repo_ros.simulation.sky.exposure import Exposure
from meta_repo_ros.simulation.sky.settings import Sky
from meta_repo_ros.starnav.types import Array

_SIDE = 512
_OCTAVES = 7
_EDGE = 0.25  # of the ranks: from the rim of a cloud to its full depth
_LOWEST = 0.05  # sine of the elevation below which the layer is not followed


class Clouds:
    """Optical depth over the sky.

    Args:
        seed: of the pattern.
    """

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng((seed, 0xC10D))
        pattern = np.zeros((_SIDE, _SIDE), np.float32)
        for octave in range(_OCTAVES):
            coarse = rng.standard_normal((4 << octave, 4 << octave)).astype(np.float32)
            # three periods side by side, so that the middle one joins itself
            wide = cv2.resize(
                np.tile(coarse, (3, 3)), (3 * _SIDE, 3 * _SIDE), interpolation=cv2.INTER_CUBIC
            )
            pattern += wide[_SIDE : 2 * _SIDE, _SIDE : 2 * _SIDE] * 0.55**octave
        # ranks: the share of the pattern above 1 - c is c
        ranks = np.empty(pattern.size, np.float32)
        ranks[np.argsort(pattern, axis=None)] = np.linspace(0.0, 1.0, pattern.size)
        self._pattern = ranks.reshape(pattern.shape)

    def depth(self, sky: Sky, exposure: Exposure, directions: Array) -> Array:
        """Optical depth (...) towards ``directions`` (..., 3), east north up."""
        shape = directions.shape[:-1]
        if sky.clouds <= 0.0 or not exposure.on_earth:
            return np.zeros(shape)
        seconds = (exposure.stamp % 86_400_000_000_000) * 1e-9
        latitude, longitude = math.radians(exposure.latitude), math.radians(exposure.longitude)
        here = (
            SEMI_MAJOR * math.cos(latitude) * longitude - sky.cloud_wind[0] * seconds,
            SEMI_MAJOR * latitude - sky.cloud_wind[1] * seconds,
        )
        scale = sky.cloud_height / np.maximum(directions[..., 2], _LOWEST)
        # four of the largest clouds make a period of the pattern
        per_metre = _SIDE / (4.0 * sky.cloud_size)
        x, y = (
            ((here[axis] + directions[..., axis] * scale) * per_metre) % _SIDE for axis in (0, 1)
        )
        rank = cv2.remap(
            self._pattern,
            np.atleast_2d(x).astype(np.float32),
            np.atleast_2d(y).astype(np.float32),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_WRAP,
        ).reshape(shape)
        # the rim is softer outwards, so that a full cover leaves no gap
        thick = (rank - (1.0 - sky.clouds) * (1.0 + _EDGE)) / _EDGE + 1.0
        return np.asarray(sky.cloud_depth * np.clip(thick, 0.0, 1.0))
