# SPDX-License-Identifier: Apache-2.0
"""From electrons expected in each pixel to counts: noise, patterns, saturation, blooming.

Noise and patterns come from one field of normal deviates, of which each tile of the image takes
another piece: a whole frame of 4096 x 4096 pixels costs a few passes of OpenCV over memory.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from meta_repo_ros.simulation.sky.settings import Electronics

Image = NDArray[np.float32]
Counts = NDArray[np.uint16]

_SIDE = 2048  # of the field
_TILE = 256


class ReadOut:
    """One sensor: its patterns and hot pixels stay the same from frame to frame.

    Args:
        electronics: settings.
        width, height: pixels.
        seed: of its patterns.
    """

    def __init__(self, electronics: Electronics, width: int, height: int, seed: int) -> None:
        self.electronics = electronics
        rng = np.random.default_rng((seed, 0xF1E1D))
        self._field = rng.standard_normal((_SIDE, _SIDE), dtype=np.float32)
        self._tiles = [
            (v, u, min(_TILE, height - v), min(_TILE, width - u))
            for v in range(0, height, _TILE)
            for u in range(0, width, _TILE)
        ]
        # where in the field each tile's patterns lie
        self._fixed = rng.integers(0, _SIDE - _TILE, (len(self._tiles), 2, 2)).tolist()
        self._columns = (electronics.column_pattern * rng.standard_normal(width)).astype(np.float32)
        self._pixels = width * height
        self._seed = seed

    def hot(self, more: int = 0) -> tuple[NDArray[np.int64], Image]:
        """Flat indices and currents (electrons/s) of the hot pixels and of ``more`` of them."""
        count = min(self.electronics.hot_pixels + more, self._pixels)
        rng = np.random.default_rng((self._seed, 0x407))
        where = rng.integers(0, self._pixels, count)
        # drawn pixel by pixel, so that more of them leave the first ones as they are
        rng = np.random.default_rng((self._seed, 0x408))
        current = rng.exponential(self.electronics.hot_pixel_current, count)
        return where, current.astype(np.float32)

    def counts(
        self,
        electrons: Image,
        gain: float,
        rng: np.random.Generator,
        out: NDArray[Any] | None = None,
    ) -> NDArray[Any]:
        """Read the image out; ``electrons`` (h, w) is used up.

        Args:
            electrons: expected in each pixel, with dark current.
            gain: over the lowest one.
            rng: of the noise.
            out: array to write into, uint8 or uint16.

        Returns:
            (h, w) counts.
        """
        e = self.electronics
        kind = np.uint8 if e.bits <= 8 else np.uint16
        result: NDArray[Any] = np.empty(electrons.shape, kind) if out is None else out
        scale = gain / e.electrons_per_count
        top = min(float(2**e.bits - 1), e.full_well * scale + e.bias)
        if e.exact_noise:
            self._exact(electrons, rng)
        offsets = rng.integers(0, _SIDE - _TILE, (len(self._tiles), 2)).tolist()
        depth = cv2.CV_8U if kind is np.uint8 else cv2.CV_16U
        noise, buffer = np.empty((2, _TILE, _TILE), np.float32)
        for (v, u, h, w), (y, x), fixed in zip(self._tiles, offsets, self._fixed, strict=True):
            tile = electrons[v : v + h, u : u + w]
            part, spare = noise[:h, :w], buffer[:h, :w]
            if e.response > 0.0:
                y1, x1 = fixed[0]
                cv2.multiply(
                    tile, self._field[y1 : y1 + h, x1 : x1 + w], dst=part, scale=e.response
                )
                cv2.add(tile, part, dst=tile)
            if not e.exact_noise:
                # photon noise of the light, and of the read-out
                cv2.add(tile, e.read_noise**2, dst=part)
                cv2.max(part, 0.0, dst=part)
                cv2.sqrt(part, dst=part)
                cv2.multiply(part, self._field[y : y + h, x : x + w], dst=part)
                cv2.add(tile, part, dst=tile)
            cv2.addWeighted(tile, scale, tile, 0.0, e.bias, dst=spare)
            if e.fixed_pattern > 0.0:
                y2, x2 = fixed[1]
                cv2.scaleAdd(
                    self._field[y2 : y2 + h, x2 : x2 + w], e.fixed_pattern, spare, dst=spare
                )
            if e.column_pattern > 0.0:
                spare += self._columns[u : u + w]
            cv2.min(spare, top, dst=spare)
            # rounds, and clips at zero
            cv2.add(spare, 0.0, dst=result[v : v + h, u : u + w], dtype=depth)
        return result

    def _exact(self, electrons: Image, rng: np.random.Generator) -> None:
        np.maximum(electrons, 0.0, out=electrons)
        electrons[...] = rng.poisson(electrons)
        if self.electronics.read_noise > 0.0:
            electrons += rng.standard_normal(electrons.shape, dtype=np.float32) * np.float32(
                self.electronics.read_noise
            )

    def bloom(self, electrons: Image, columns: NDArray[np.int64]) -> None:
        """Let full pixels of ``columns`` overflow up and down, half each way, in place."""
        full = self.electronics.full_well
        for u in np.unique(columns).tolist():
            column = electrons[:, u]
            over = np.flatnonzero(column > full)
            if not len(over):
                continue
            # runs of full pixels, each with its excess
            for run in np.split(over, np.flatnonzero(np.diff(over) > 1) + 1):
                excess = 0.5 * float((column[run] - full).sum())
                column[run] = full
                _spill(column, range(int(run[0]) - 1, -1, -1), excess, full)
                _spill(column, range(int(run[-1]) + 1, len(column)), excess, full)


def _spill(column: Image, way: range, excess: float, full: float) -> None:
    for v in way:
        if excess <= 0.0:
            return
        room = max(full - float(column[v]), 0.0)
        taken = min(room, excess)
        column[v] += taken
        excess -= taken
