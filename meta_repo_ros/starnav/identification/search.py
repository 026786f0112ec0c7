# SPDX-License-Identifier: Apache-2.0
"""Lost in space: attitudes proposed by triangles of centroids, the most voted for first.

The triangles run breadth first over the centroids: all of the eight brightest, then those that the
next four add, and so on, so that a few bright false stars cost little. All candidates of a batch
become attitudes at once, and every centroid votes on each by one look at a map of the sky.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from scipy.special import betainc

from meta_repo_ros.starnav.identification.index import (
    FLATTEST,
    SMALLEST,
    STRIP,
    SkyMap,
    Triangles,
)
from meta_repo_ros.starnav.identification.view import View
from meta_repo_ros.starnav.types import Array, Ints

MOST = 48  # centroids from which triangles are made
VOTERS = 64
_WIDTH = 2.7  # standard deviations that a shape may be off
_COARSEST = 0.012  # tolerance of a shape beyond which a triangle tells too little
_BATCH = 400
_LARGEST = 1000  # hypotheses that vote at once
_LOOKED_AT = 1e5  # triangles of the index that are compared at once
_KEPT = 12  # of a batch
_CROWDED = 1.5  # stars stand closer than on the mean where the index has most triangles


@dataclass(frozen=True)
class Level:
    """What a field of view of some size needs.

    Attributes:
        triangles: the index.
        map: where its stars are.
        directions: (n, 3) of its stars.
    """

    triangles: Triangles
    map: SkyMap
    directions: Array


@dataclass(frozen=True)
class Hypotheses:
    """Attitudes proposed by one batch, the most voted for first.

    Attributes:
        rotation: (h, 3, 3) icrs_to_camera.
        scale: (h,) true focal length over the stated one.
        votes: (h,) centroids near a star, beyond those of the triangle.
        surprise: (h,) number of attitudes of the batch that would by chance have as many votes.
        tried: number of all attitudes that voted.
        patterns: number of triangles looked up.
    """

    rotation: Array
    scale: Array
    votes: Ints
    surprise: Array
    tried: int
    patterns: int


@lru_cache(maxsize=1)
def _triples() -> Ints:
    """Index triples i < j < k of ``MOST`` centroids, by k, then j, then i."""
    i, j, k = np.indices((MOST,) * 3).reshape(3, -1)
    ordered = (i < j) & (j < k)
    triples = np.stack((i, j, k), axis=1)[ordered]
    return np.ascontiguousarray(triples[np.lexsort(triples.T)])


@lru_cache(maxsize=64)
def batches(count: int) -> tuple[Ints, ...]:
    """Index triples of ``count`` centroids in the order in which they are tried."""
    triples = _triples()[: math.comb(count, 3)]
    edges = [0, 56]
    while edges[-1] < len(triples):
        edges.append(edges[-1] + min(_BATCH, edges[-1] + edges[-1] // 2))
    return tuple(triples[a:b] for a, b in pairwise(edges) if a < len(triples))


class Search:
    """Batches of hypotheses about one view at one level."""

    def __init__(self, view: View, level: Level, half_range: float, *, slack: float = 0.0) -> None:
        """Prepare.

        Args:
            view: the centroids.
            level: the index.
            half_range: greatest error of the logarithm of the focal length.
            slack: relative error of an angle by distortion.
        """
        self.view, self.level = view.first(VOTERS), level
        self.range, self.slack = half_range, slack
        part = view.first(MOST)
        self.directions = part.directions
        difference = self.directions[:, None] - self.directions
        self.side = 2.0 * np.arcsin(0.5 * np.sqrt(np.einsum('ijk,ijk->ij', difference, difference)))
        self.variance = part.sigma**2
        self.squared = (part.plane**2).sum(axis=1)
        self.rays = np.column_stack((self.view.plane, np.ones(len(self.view))))

    def run(self) -> Iterator[Hypotheses]:
        """Batch by batch, each of a few milliseconds at most."""
        for triples in batches(len(self.directions)):
            corners, sides, tolerance = self._patterns(triples)
            # candidates that have to be looked at, if shapes were spread evenly
            each = len(self.level.triangles.key) * 4.0 * tolerance * (tolerance + STRIP)
            piece = (np.cumsum(each) / _LOOKED_AT).astype(np.int64)
            for part in np.split(np.arange(len(piece)), np.flatnonzero(np.diff(piece)) + 1):
                yield from self._batch(corners[part], sides[part], tolerance[part])

    def _batch(self, corners: Ints, sides: Array, tolerance: Array) -> Iterator[Hypotheses]:
        if not len(corners):
            yield self._none(0)
            return
        x, y = sides[:, 1] / sides[:, 0], sides[:, 2] / sides[:, 0]
        u, v, w = (self.directions[corners[:, i]] for i in range(3))
        sense = (np.einsum('ij,ij->i', u, np.cross(v, w)) > 0.0).astype(np.int64)
        reach = np.exp(self.range + tolerance)
        query, triangle = self.level.triangles.find(
            (x, y), sense, (sides[:, 0] / reach, sides[:, 0] * reach), tolerance
        )
        patterns = len(corners)
        if not len(query):
            yield self._none(patterns)
        for start in range(0, len(query), _LARGEST):
            some = query[start : start + _LARGEST]
            chosen = triangle[start : start + _LARGEST]
            yield self._propose(corners[some], sides[some, 0], chosen, patterns)
            patterns = 0

    def _patterns(self, triples: Ints) -> tuple[Ints, Array, Array]:
        """Usable triangles: corners opposite the sides a >= b >= c, sides, tolerance of shape."""
        i, j, k = triples.T
        sides = np.stack((self.side[j, k], self.side[i, k], self.side[i, j]), axis=1)
        order = np.argsort(-sides, axis=1)
        sides = np.take_along_axis(sides, order, axis=1)
        corners = np.take_along_axis(triples, order, axis=1)
        variance = self.variance[triples].sum(axis=1)
        bend = self.squared[triples].max(axis=1) * self.range
        radius, reach = self.level.triangles.radius, math.exp(self.range)
        a, c = sides[:, 0], sides[:, 2]
        tolerance = _WIDTH * np.sqrt(variance) / a + bend + self.slack
        good = (a < radius * reach) & (a > SMALLEST * radius / reach) & (c > FLATTEST * a)
        good &= tolerance < _COARSEST
        corners, sides, tolerance = corners[good], sides[good], tolerance[good]
        # where two sides are as good as equal, either may be the longer one
        extra = []
        for p in (0, 1):
            close = sides[:, p + 1] > sides[:, p] * (1.0 - tolerance)
            if close.any():
                swap = np.arange(3)
                swap[[p, p + 1]] = p + 1, p
                extra.append((corners[close][:, swap], sides[close][:, swap], tolerance[close]))
        if extra:
            corners = np.concatenate((corners, *(e[0] for e in extra)))
            sides = np.concatenate((sides, *(e[1] for e in extra)))
            tolerance = np.concatenate((tolerance, *(e[2] for e in extra)))
        return corners, sides, tolerance

    def _propose(self, corners: Ints, size: Array, triangle: Ints, patterns: int) -> Hypotheses:
        index = self.level.triangles
        scale = size / index.size[triangle]
        tried = len(scale)
        star = index.star[triangle].astype(np.int64)
        rays = self.rays[corners]
        rays[:, :, :2] /= scale[:, None, None]
        rays /= np.sqrt(np.einsum('hij,hij->hi', rays, rays))[:, :, None]
        rotation = _frames(rays) @ np.swapaxes(_frames(self.level.directions[star]), -1, -2)
        # every centroid in the axes of the sky: transposed rotation on (x / s, y / s, 1)
        turned = np.swapaxes(rotation, -1, -2).copy()
        turned[:, :, :2] /= scale[:, None, None]
        seen = turned.transpose(1, 0, 2).reshape(-1, 3) @ self.rays.T
        x, y, z = seen.reshape(3, len(scale), -1)
        votes = self.level.map.near(x, y, z).sum(axis=1, dtype=np.int64) - 3
        order = np.argsort(-votes, kind='stable')[:_KEPT]
        rotation, scale, votes = rotation[order], scale[order], votes[order]
        others = len(self.view) - 3
        k = np.clip(votes, 1, others)
        tail = betainc(k, others - k + 1, _CROWDED * self.level.map.coverage)
        surprise = tried * np.where(votes > 0, tail, 1.0)
        return Hypotheses(rotation, scale, votes, surprise, tried, patterns)

    @staticmethod
    def _none(patterns: int) -> Hypotheses:
        zero = np.zeros(0)
        return Hypotheses(np.zeros((0, 3, 3)), zero, zero.astype(np.int64), zero, 0, patterns)


def _frames(corners: Array) -> Array:
    """Right-handed axes (h, 3, 3), in columns, fixed to triangles (h, 3, 3) of unit vectors.

    The third axis points to the middle, the first along the longest side.
    """
    middle = corners.sum(axis=1)
    middle /= np.sqrt(np.einsum('hi,hi->h', middle, middle))[:, None]
    along = corners[:, 2] - corners[:, 1]
    along = along - np.einsum('hi,hi->h', along, middle)[:, None] * middle
    along /= np.sqrt(np.einsum('hi,hi->h', along, along))[:, None]
    frames = np.empty((len(corners), 3, 3))
    frames[:, :, 0], frames[:, :, 2] = along, middle
    frames[:, 0, 1] = middle[:, 1] * along[:, 2] - middle[:, 2] * along[:, 1]
    frames[:, 1, 1] = middle[:, 2] * along[:, 0] - middle[:, 0] * along[:, 2]
    frames[:, 2, 1] = middle[:, 0] * along[:, 1] - middle[:, 1] * along[:, 0]
    return frames
