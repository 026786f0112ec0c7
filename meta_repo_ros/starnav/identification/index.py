# SPDX-License-Identifier: Apache-2.0
"""Index of star triangles by shape, and a map of where the stars are.

A triangle is described by its sides a >= b >= c as the shape (b/a, c/a), its sense of rotation and
its size a. With the focal length known within a few per cent one triangle leaves a handful of
candidates; with the sense of rotation in the key a mirrored sky finds none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from meta_repo_ros.starnav.types import Array, Ints

STRIP = 0.002  # width of a strip of b/a
STRIPS = int(0.5 / STRIP) + 2
FLATTEST = 0.1  # least c/a in the index
SMALLEST = 0.1  # least a over the radius of the index
_WITHIN = 0.98  # part of a strip's unit of key that c/a takes


@dataclass(frozen=True)
class Triangles:
    """Triangles of the brightest stars, sorted by key.

    Attributes:
        key: (t,) sense of rotation, strip of b/a, and within the strip c/a.
        ratio: (t,) b/a.
        size: (t,) a, rad.
        star: (t, 3) indices of the stars opposite a, b and c.
        radius: longest side that the index holds, rad.
        count: number of stars that it was made from.
    """

    key: Array
    ratio: NDArray[np.float32]
    size: NDArray[np.float32]
    star: NDArray[np.uint16]
    radius: float
    count: int

    def find(
        self, shape: tuple[Array, Array], sense: Ints, size: tuple[Array, Array], tolerance: Array
    ) -> tuple[Ints, Ints]:
        """All triangles of the index that resemble the given ones.

        Args:
            shape: b/a and c/a, (q,) each.
            sense: (q,) 0 or 1.
            size: least and greatest a, (q,) each, rad.
            tolerance: (q,) of both ratios.

        Returns:
            Indices of the queries, and of the triangles, (m,) each.
        """
        x, y = shape
        first = np.clip(((x - tolerance - 0.5) / STRIP).astype(np.int64), 0, STRIPS - 1)
        last = np.clip(((x + tolerance - 0.5) / STRIP).astype(np.int64), 0, STRIPS - 1)
        query, strip = spans(first, last + 1)
        base = strip + STRIPS * sense[query]
        centre, width = y[query], tolerance[query]
        low = base + _WITHIN * np.clip(centre - width, 0.0, 1.0)
        high = base + _WITHIN * np.clip(centre + width, 0.0, 1.0)
        edges = np.searchsorted(self.key, np.concatenate((low, high)))
        row, triangle = spans(edges[: len(low)], edges[len(low) :])
        query = query[row]
        a = self.size[triangle]
        close = np.abs(self.ratio[triangle] - x[query]) <= tolerance[query]
        close &= (a >= size[0][query]) & (a <= size[1][query])
        return query[close], triangle[close]


def spans(first: Ints, end: Ints) -> tuple[Ints, Ints]:
    """For half-open ranges: of every member the range's number, and the member."""
    count = end - first
    number = np.repeat(np.arange(len(count)), count)
    offset = np.arange(len(number)) - np.repeat(np.cumsum(count) - count - first, count)
    return number, offset


def key_of(ratio: Array, flat: Array, sense: Ints) -> Array:
    """Keys by which triangles are sorted."""
    strip = np.clip(((ratio - 0.5) / STRIP).astype(np.int64), 0, STRIPS - 1)
    return np.asarray(strip + STRIPS * sense + _WITHIN * flat)


def build(directions: Array, radius: float) -> Triangles:
    """All triangles with sides up to ``radius`` but the smallest and the flattest ones.

    Args:
        directions: (n, 3) unit vectors of the stars, brightest first, n < 65536.
        radius: rad.
    """
    n = len(directions)
    chord = 2.0 * math.sin(0.5 * radius)
    pairs = cKDTree(directions).query_pairs(chord, output_type='ndarray')
    pairs.sort(axis=1)
    pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
    end = np.searchsorted(pairs[:, 0], pairs[:, 0], side='right')
    second, third = spans(np.arange(1, len(pairs) + 1), end)
    side = separation(directions[pairs[:, 0]], directions[pairs[:, 1]])
    i, j, k = pairs[second, 0], pairs[second, 1], pairs[third, 1]
    ij, ik = side[second], side[third]
    jk = separation(directions[j], directions[k])
    sides = np.stack((jk, ik, ij), axis=1)  # opposite i, j, k
    keep = (jk <= radius) & (sides.max(axis=1) >= SMALLEST * radius)
    keep &= sides.min(axis=1) >= FLATTEST * sides.max(axis=1)
    sides, corners = sides[keep], np.stack((i, j, k), axis=1)[keep]
    order = np.argsort(-sides, axis=1)
    sides = np.take_along_axis(sides, order, axis=1)
    corners = np.take_along_axis(corners, order, axis=1)
    ratio, flat = sides[:, 1] / sides[:, 0], sides[:, 2] / sides[:, 0]
    key = key_of(ratio, flat, sense_of(directions, corners))
    order = np.argsort(key, kind='stable')
    return Triangles(
        key=key[order],
        ratio=ratio[order].astype(np.float32),
        size=sides[order, 0].astype(np.float32),
        star=corners[order].astype(np.uint16),
        radius=radius,
        count=n,
    )


def separation(a: Array, b: Array) -> Array:
    """Angles between unit vectors (..., 3), rad; not for opposite ones."""
    return np.asarray(2.0 * np.arcsin(0.5 * np.linalg.norm(a - b, axis=-1)))


def sense_of(directions: Array, corners: Ints) -> Ints:
    """Whether corners (t, 3) run one way round (1) or the other (0)."""
    a, b, c = (directions[corners[:, i]] for i in range(3))
    x = a[:, 0] * (b[:, 1] * c[:, 2] - b[:, 2] * c[:, 1])
    x += a[:, 1] * (b[:, 2] * c[:, 0] - b[:, 0] * c[:, 2])
    x += a[:, 2] * (b[:, 0] * c[:, 1] - b[:, 1] * c[:, 0])
    return np.asarray(x > 0.0).astype(np.int64)


class SkyMap:
    """One bit per small cell of the sky: whether a star is near. The map is an octahedron's."""

    def __init__(self, directions: Array, radius: float) -> None:
        """Mark what lies within ``radius`` (rad) of the directions (n, 3)."""
        self.radius = radius
        self.cells = 1 << max(6, math.ceil(math.log2(3.0 / radius)))
        self.bits = np.zeros(self.cells * self.cells // 8, dtype=np.uint8)
        step = np.linspace(-1.0, 1.0, 9)
        u, v = (grid.ravel() for grid in np.meshgrid(step, step))
        disc = np.hypot(u, v) <= 1.0
        pole = np.abs(directions[:, 2]) < 0.9
        axis = np.where(pole[:, None], (0.0, 0.0, 1.0), (1.0, 0.0, 0.0))
        east = np.cross(axis, directions)
        east /= np.linalg.norm(east, axis=1, keepdims=True)
        north = np.cross(directions, east)
        for a, b in zip(u[disc] * radius, v[disc] * radius, strict=True):
            point = directions + a * east + b * north
            byte, bit = self._cell(*point.T)
            np.bitwise_or.at(self.bits, byte, (1 << bit).astype(np.uint8))
        self.coverage = float(np.unpackbits(self.bits).mean())

    def _cell(self, x: Array, y: Array, z: Array) -> tuple[Ints, Ints]:
        absolute_x, absolute_y = np.abs(x), np.abs(y)
        total = absolute_x + absolute_y + np.abs(z)
        total = np.divide(0.5 * self.cells, total)
        u, v = x * total, y * total
        half = 0.5 * self.cells
        below = z < 0.0
        if below.any():
            p, q = absolute_y * total, absolute_x * total
            u = np.where(below, np.copysign(half - p, u), u)
            v = np.where(below, np.copysign(half - q, v), v)
        column = (u + half).astype(np.int32)
        row = (v + half).astype(np.int32)
        np.minimum(column, self.cells - 1, out=column)
        np.minimum(row, self.cells - 1, out=row)
        cell = row * self.cells + column
        return cell >> 3, cell & 7

    def near(self, x: Array, y: Array, z: Array) -> NDArray[np.uint8]:
        """1 where a star is near the direction (any length, any shape), else 0."""
        byte, bit = self._cell(x, y, z)
        return np.asarray((self.bits[byte] >> bit.astype(np.uint8)) & 1)
