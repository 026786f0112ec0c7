# SPDX-License-Identifier: Apache-2.0
"""Pixels above a threshold that follows background and noise, strip by strip.

The threshold is a row for every few rows of the image, so a strip is one comparison and a search
for the set bytes; nothing of the size of the image is made.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from meta_repo_ros.starnav.detection.background import Background, Float32
from meta_repo_ros.starnav.detection.blobs import Blobs, measure
from meta_repo_ros.starnav.image import Image
from meta_repo_ros.starnav.types import Ints

ROWS = 8  # rows of the image that share a row of thresholds
STRIP = 64  # rows compared at once


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
    value: NDArray[np.integer] = image.reshape(-1)[index]
    v, u = np.divmod(index, image.shape[1])
    level, noise = background.at(u.astype(float), v.astype(float))
    return measure(
        index, image.shape[1], value, level=level, threshold=sigma * noise, saturation=saturation
    )
