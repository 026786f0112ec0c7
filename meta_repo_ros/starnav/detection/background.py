# SPDX-License-Identifier: Apache-2.0
"""Background level and noise per tile, robust against stars and gradients.

Both are measured on a sparse sample of each tile: level by median, then by the mean within three
robust standard deviations (8-bit medians are too coarse); noise by the deviations about the
bilinear surface through the tiles, clipped alike. A tile with structure (cloud, limb of the Moon)
has a larger deviation and so a higher threshold by itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from meta_repo_ros.starnav.image import Image

Float32 = NDArray[np.float32]

TILES_PER_SIDE = 32  # of large images, whose glow and clouds cover more pixels
SAMPLES_PER_SIDE = 16  # of a tile
QUANTISATION = 0.29  # standard deviation of rounding, counts
CLIP = 3.0  # robust standard deviations
_CLIPPED_STD = 1.0136  # std of a Gaussian over that of one cut at +-3 sigma


@dataclass(frozen=True)
class Background:
    """Level and noise on a grid of tiles.

    Attributes:
        level: (ny, nx) counts at the centres of the tiles.
        noise: (ny, nx) standard deviation of a pixel, counts, with what structure the tile has.
        fine: (ny, nx) the same from differences of neighbouring pixels, without structure.
        tile: height and width of a tile, pixels.
        shape: height and width of the image.
    """

    level: Float32
    noise: Float32
    fine: Float32
    tile: tuple[int, int]
    shape: tuple[int, int]

    @property
    def median_level(self) -> float:
        """Of the image, counts."""
        return float(np.median(self.level))

    @property
    def median_noise(self) -> float:
        """Of the image, counts."""
        return float(np.median(self.noise))

    def at(self, u: NDArray[np.float64], v: NDArray[np.float64]) -> tuple[Float32, Float32]:
        """Level and noise at positions (n,), bilinear between the centres of the tiles."""
        level, noise, _ = self.all_at(u, v)
        return level, noise

    def all_at(
        self, u: NDArray[np.float64], v: NDArray[np.float64]
    ) -> tuple[Float32, Float32, Float32]:
        """Level, noise and noise without structure at positions (n,)."""
        i0, i1, fv = self._between(v, 0)
        j0, j1, fu = self._between(u, 1)

        def blend(grid: Float32) -> Float32:
            top = grid[i0, j0] * (1 - fu) + grid[i0, j1] * fu
            bottom = grid[i1, j0] * (1 - fu) + grid[i1, j1] * fu
            return (top * (1 - fv) + bottom * fv).astype(np.float32)

        return blend(self.level), blend(self.noise), blend(self.fine)

    def wide(self, grid: Float32) -> Float32:
        """A grid of tiles spread to the full width of the image, (ny, width)."""
        width, columns = self.shape[1], self.tile[1] * grid.shape[1]
        result: Float32 = cv2.resize(grid, (columns, grid.shape[0]), interpolation=cv2.INTER_LINEAR)
        if columns < width:
            result = np.pad(result, ((0, 0), (0, width - columns)), mode='edge')
        return result

    def rows(self, wide: Float32, position: NDArray[np.float64]) -> Float32:
        """Rows (n, width) of the surface through ``wide`` at vertical positions (n,)."""
        i0, i1, f = self._between(position, 0)
        result: Float32 = wide[i1] - wide[i0]
        result *= f.astype(np.float32)[:, None]
        result += wide[i0]
        return result

    def _between(
        self, position: NDArray[np.float64], axis: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        count = self.level.shape[axis]
        place = np.clip((np.asarray(position) + 0.5) / self.tile[axis] - 0.5, 0.0, count - 1.0)
        low = np.minimum(place.astype(np.int64), max(count - 2, 0))
        return low, np.minimum(low + 1, count - 1), place - low


def estimate(image: Image, tile: int = 64) -> Background:
    """Measure background and noise of an image, a few milliseconds at 4096x4096.

    Args:
        image: (h, w) uint8 or uint16.
        tile: wanted side of a tile, pixels; small images take smaller ones, large ones larger.
    """
    shape = (image.shape[0], image.shape[1])
    side = max(16, min(max(tile, min(shape) // TILES_PER_SIDE), min(shape) // 4))
    ny, nx = (max(1, round(length / side)) for length in shape)
    th, tw = shape[0] // ny, shape[1] // nx
    step = max(1, min(th, tw) // SAMPLES_PER_SIDE)
    start = (step - 1) // 2
    blocks = image[: ny * th, : nx * tw].reshape(ny, th, nx, tw)
    cut = blocks[:, start::step, :, start::step]
    ky, kx = cut.shape[1], cut.shape[3]
    sample = np.ascontiguousarray(cut.swapaxes(1, 2)).reshape(ny, nx, ky * kx)
    middle = sample.shape[2] // 2
    level = np.partition(sample, middle, axis=2)[:, :, middle].astype(np.float32)
    smooth = cv2.medianBlur(level, 3) if min(ny, nx) >= 3 else level
    surface = cv2.resize(smooth, (nx * kx, ny * ky), interpolation=cv2.INTER_LINEAR)
    surface = surface.reshape(ny, ky, nx, kx).swapaxes(1, 2).reshape(ny, nx, ky * kx)
    residual = sample - surface
    centre = np.partition(residual, middle, axis=2)[:, :, middle, None]
    residual -= centre
    spread = np.partition(np.abs(residual), middle, axis=2)[:, :, middle, None]
    limit = np.maximum(1.4826 * spread, 1.0) * CLIP
    inside = np.abs(residual) <= limit
    count = inside.sum(axis=2)
    residual *= inside
    mean = residual.sum(axis=2) / count
    variance = np.einsum('ijk,ijk->ij', residual, residual) / count - mean**2
    noise = np.sqrt(np.maximum(variance, 0.0)) * _CLIPPED_STD
    # the surface at the centre of a tile is the smoothed level there
    level = smooth + centre[:, :, 0] + mean
    noise = np.maximum(noise, QUANTISATION)
    next_pixel = blocks[:, start :: 2 * step, :, start + 1 :: step][..., : kx - 1]
    difference = cut[:, ::2, :, : next_pixel.shape[3]].astype(np.float32) - next_pixel
    fine = _deviation(difference.swapaxes(1, 2).reshape(ny, nx, -1)) / np.float32(np.sqrt(2.0))
    fine = np.clip(fine, QUANTISATION, noise)
    return Background(
        level.astype(np.float32), noise.astype(np.float32), fine.astype(np.float32), (th, tw), shape
    )


def _deviation(values: Float32) -> Float32:
    """Standard deviation along the last axis, without what is far out."""
    size = np.abs(values)
    middle = values.shape[2] // 2
    spread = np.partition(size, middle, axis=2)[:, :, middle, None]
    inside = size <= np.maximum(1.4826 * spread, 1.0) * CLIP
    values = values * inside
    count = np.maximum(inside.sum(axis=2), 1)
    result: Float32 = np.sqrt(np.einsum('ijk,ijk->ij', values, values) / count) * _CLIPPED_STD
    return result
