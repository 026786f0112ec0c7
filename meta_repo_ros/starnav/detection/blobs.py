# SPDX-License-Identifier: Apache-2.0
"""Connected blobs of the few pixels above a threshold, without a label image.

The pixels come as sorted linear indices; neighbours are found by bisection, so the cost follows
the number of bright pixels and not the size of the image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from meta_repo_ros.starnav.types import Array, Ints


@dataclass(frozen=True)
class Blobs:
    """Connected groups (8 neighbours) of pixels above the threshold.

    Attributes:
        area: (n,) pixels.
        peak: (n,) largest pixel above the background, counts.
        threshold: (n,) of the peak pixel above the background, counts.
        peak_position: (n, 2) u, v of the largest pixel.
        position: (n, 2) u, v, flux-weighted mean.
        moments: (n, 3) flux-weighted central second moments uu, uv, vv, pixels2.
        saturated: (n,) number of saturated pixels.
        saturated_span: (n,) columns or rows, whichever more, from the first to the last of them.
    """

    area: Ints
    peak: Array
    threshold: Array
    peak_position: Ints
    position: Array
    moments: Array
    saturated: Ints
    saturated_span: Ints

    def __len__(self) -> int:
        return len(self.area)

    def axes(self) -> tuple[Array, Array, Array]:
        """Standard deviations along and across the long axis, pixels, and its angle, rad."""
        uu, uv, vv = self.moments.T
        half, mean = np.hypot((uu - vv) / 2.0, uv), (uu + vv) / 2.0
        long = np.sqrt(np.maximum(mean + half, 0.0))
        short = np.sqrt(np.maximum(mean - half, 0.0))
        return long, short, 0.5 * np.arctan2(2.0 * uv, uu - vv)


def label(index: Ints, width: int) -> tuple[int, Ints]:
    """Connected components of pixels given by sorted linear indices.

    Args:
        index: (n,) v * width + u, ascending.
        width: of the image, pixels.

    Returns:
        Number of components and the component of each pixel (n,).
    """
    # One empty column on the right keeps the ends of neighbouring rows apart.
    v, u = np.divmod(index, width)
    key = v * (width + 1) + u
    first = np.flatnonzero(key[1:] - key[:-1] == 1)
    pairs = [(first, first + 1)]
    below = np.searchsorted(key, key + width)
    for shift in range(3):
        place = np.minimum(below + shift, len(key) - 1)
        gap = key[place] - key
        found = np.flatnonzero((gap >= width) & (gap <= width + 2))
        pairs.append((found, place[found]))
    row = np.concatenate([pair[0] for pair in pairs])
    column = np.concatenate([pair[1] for pair in pairs])
    graph = coo_matrix((np.ones(len(row), np.int8), (row, column)), shape=(len(key), len(key)))
    count, labels = connected_components(graph, directed=False)
    return int(count), labels.astype(np.int64)


def measure(
    index: Ints,
    width: int,
    value: NDArray[Any],
    *,
    level: NDArray[Any],
    threshold: NDArray[Any],
    saturation: float,
) -> Blobs:
    """Blobs of pixels above a threshold, brightest peak first.

    Args:
        index: (n,) linear indices, ascending.
        width: of the image, pixels.
        value: (n,) counts of these pixels.
        level: (n,) background there, counts.
        threshold: (n,) threshold above the background there, counts.
        saturation: counts at which a pixel is saturated.
    """
    if not len(index):
        none, empty = np.zeros(0, np.int64), np.zeros(0)
        return Blobs(
            none, empty, empty, np.zeros((0, 2), np.int64), np.zeros((0, 2)), np.zeros((0, 3)),
            none, none,
        )  # fmt: skip
    count, labels = label(index, width)
    v, u = np.divmod(index, width)
    excess = np.maximum(value - level, 1e-6)

    def total(weight: Array | None = None) -> Array:
        return np.asarray(np.bincount(labels, weight, count), float)

    area, flux = total(), total(excess)
    mu, mv = total(excess * u) / flux, total(excess * v) / flux
    du, dv = u - mu[labels], v - mv[labels]
    moments = np.stack(
        [total(excess * du * du), total(excess * du * dv), total(excess * dv * dv)], axis=1
    )
    moments = moments / flux[:, None]
    order = np.lexsort((-excess, labels))
    start = np.searchsorted(labels[order], np.arange(count))
    top = order[start]
    full = value >= saturation
    rank = np.argsort(-excess[top], kind='stable')
    return Blobs(
        area=area[rank].astype(np.int64),
        peak=excess[top][rank],
        threshold=np.asarray(threshold[top][rank], float),
        peak_position=np.stack([u[top], v[top]], axis=1)[rank],
        position=np.stack([mu, mv], axis=1)[rank],
        moments=moments[rank],
        saturated=total(full.astype(float))[rank].astype(np.int64),
        saturated_span=_span(labels[full], u[full], v[full], count)[rank],
    )


def _span(labels: Ints, u: Ints, v: Ints, count: int) -> Ints:
    """The greater of width and height of each group's pixels, 0 of a group without any."""
    span = np.zeros(count, np.int64)
    for place in (u, v):
        least, largest = np.full(count, np.iinfo(np.int64).max), np.full(count, -1)
        np.minimum.at(least, labels, place)
        np.maximum.at(largest, labels, place)
        has = largest >= 0
        span[has] = np.maximum(span[has], (largest - least)[has] + 1)
    return span
