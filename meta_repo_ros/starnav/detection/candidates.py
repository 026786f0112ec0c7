# SPDX-License-Identifier: Apache-2.0
"""Pixels above a threshold that follows background and noise, strip by strip.

The threshold is a row for every few rows of the image, so a strip is one comparison and a search
for the set bytes; nothing of the size of the image is made.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from meta_repo_ros.starnav.detection.background import Background, Float32
from meta_repo_ros.starnav.detection.blobs import Blobs, measure
from meta_repo_ros.starnav.image import Image
from meta_repo_ros.starnav.types import Array, Ints

ROWS = 16  # rows of the image that share a row of thresholds
STRIP = 64  # rows compared at once
ROUGH = 1.4  # a tile so much noisier than its neighbouring pixels differ has structure
ROUGH_SHARE = 0.5  # of the tiles
MOST_TILES = 400


def above(image: Image, background: Background, noise: Float32, sigma: float, most: int) -> Ints:
    """Sorted linear indices of pixels above level + sigma * noise; stops after ``most``.

    Args:
        image: uint8 or uint16.
        background: of that image.
        noise: (ny, nx) grid of tiles: of the pixels of ``image``.
        sigma: threshold, standard deviations.
        most: of the pixels wanted.
    """
    height, width = image.shape
    wide = background.wide((background.level + sigma * noise).astype(np.float32))
    # Where the threshold is beyond the scale, the saturated pixels themselves stay.
    top = np.iinfo(image.dtype).max - 1
    mask = np.empty((STRIP, width), bool)
    parts, found = [], 0
    for start in range(0, height, STRIP):
        count = min(STRIP, height - start)
        middle = start + np.arange((ROWS - 1) / 2.0, count + ROWS // 2, ROWS)
        limit = background.rows(wide, np.asarray(middle, np.float64))
        rows = np.clip(limit, 0, top, out=limit).astype(image.dtype)
        part = mask[:count]
        whole = count // ROWS
        np.greater(
            image[start : start + whole * ROWS].reshape(whole, ROWS, width),
            rows[:whole, None, :],
            out=part[: whole * ROWS].reshape(whole, ROWS, width),
        )
        if whole * ROWS < count:
            np.greater(
                image[start + whole * ROWS : start + count], rows[whole], out=part[whole * ROWS :]
            )
        hits = np.flatnonzero(part.reshape(-1))
        if len(hits):
            parts.append(hits + start * width)
            found += len(hits)
            if found > most:
                break
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


def blobs_of(
    image: Image, index: Ints, background: Background, sigma: float, saturation: float
) -> Blobs:
    """Connected blobs of the pixels found."""
    level, noise = levels(image, index, background)
    return blobs_from(image, index, (level, noise), sigma, saturation)


def levels(image: Image, index: Ints, background: Background) -> tuple[Array, Array]:
    """Background level and noise at pixels (n,)."""
    v, u = np.divmod(index, image.shape[1])
    level, noise = background.at(u.astype(float), v.astype(float))
    return level.astype(float), noise.astype(float)


def blobs_from(
    image: Image, index: Ints, surroundings: tuple[Array, Array], sigma: float, saturation: float
) -> Blobs:
    """Connected blobs of pixels whose background level and noise are known."""
    value: NDArray[np.integer] = image.reshape(-1)[index]
    level, noise = surroundings
    return measure(
        index, image.shape[1], value, level=level, threshold=sigma * noise, saturation=saturation
    )


def in_rough_tiles(
    image: Image, background: Background, sigma: float, star: float
) -> tuple[Ints, Array, Array]:
    """Pixels above their own surroundings, in tiles where glow or clouds hide them.

    In such tiles the noise is that of neighbouring pixels, and the background the mean of a ring
    about each pixel. Images that are rough all over have none of that: nothing is smooth there.

    Args:
        image: uint8 or uint16.
        background: of it.
        sigma: threshold, standard deviations.
        star: standard deviation of a star image, pixels.

    Returns:
        Sorted linear indices (n,), and background level and noise there, counts.
    """
    rough = background.noise > ROUGH * background.fine
    tiles = np.argwhere(rough)
    none = np.zeros(0, np.int64), np.zeros(0), np.zeros(0)
    if not len(tiles) or len(tiles) > min(MOST_TILES, ROUGH_SHARE * rough.size):
        return none
    inner = round(2.5 * star) + 1
    outer = inner + 4
    areas = [(2 * half + 1) ** 2 for half in (inner, outer)]
    th, tw = background.tile
    height, width = image.shape
    parts = []
    for i, j in tiles.tolist():
        top, left = i * th, j * tw
        bottom = height if i == rough.shape[0] - 1 else top + th
        right = width if j == rough.shape[1] - 1 else left + tw
        above_it, before = max(top - outer, 0), max(left - outer, 0)
        piece = image[above_it : bottom + outer, before : right + outer].astype(np.float32)
        sums = [cv2.boxFilter(piece, -1, (2 * h + 1, 2 * h + 1), normalize=False)
                for h in (inner, outer)]  # fmt: skip
        ring = (sums[1] - sums[0]) / np.float32(areas[1] - areas[0])
        own = np.s_[top - above_it : bottom - above_it, left - before : right - before]
        around = ring[own]
        excess = piece[own] - around
        deviation = max(float(background.fine[i, j]), 1.4826 * float(np.median(np.abs(excess))))
        v, u = np.nonzero(excess > sigma * deviation)
        parts.append(((v + top) * width + u + left, around[v, u], np.full(len(v), deviation)))
    index, level, noise = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(index)
    return index[order], level[order].astype(float), noise[order]
