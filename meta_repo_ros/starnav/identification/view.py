# SPDX-License-Identifier: Apache-2.0
"""The centroids of one frame as the search and the verification use them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np

from meta_repo_ros.starnav.camera import Camera
from meta_repo_ros.starnav.types import Array, Centroids, Ints

_WIDEST = math.tan(math.radians(75.0))  # beyond it the image plane is of no use


@dataclass(frozen=True)
class View:
    """Centroids in the plane at unit distance before the camera, brightest first.

    Attributes:
        centroid: (n,) indices into the given centroids.
        plane: (n, 2) x / z and y / z by the focal length that the camera states.
        weight: (n, 2, 2) inverse covariances in that plane.
        area: (n,) square root of the determinant of the covariance.
        low: least x and y of the image.
        high: greatest x and y of the image.
        radius: greatest angle from the optical axis within the image, rad.
        focal_sigma: relative.
        camera: as given.
        searched: part of the image in which stars were looked for.
        pixel: (n, 2) as measured.
        spread: (n, 2, 2) covariance of ``pixel``.
        moved: logarithm of the camera's focal length over the one first stated.
        flipped: whether left and right are exchanged.
    """

    centroid: Ints
    plane: Array
    weight: Array
    area: Array
    low: Array
    high: Array
    radius: float
    focal_sigma: float
    camera: Camera
    searched: float
    pixel: Array
    spread: Array
    moved: float = 0.0
    flipped: bool = False

    def __len__(self) -> int:
        return len(self.plane)

    @cached_property
    def directions(self) -> Array:
        """Unit vectors (n, 3)."""
        rays = np.column_stack((self.plane, np.ones(len(self.plane))))
        return np.asarray(rays / np.linalg.norm(rays, axis=1, keepdims=True))

    @cached_property
    def sigma(self) -> Array:
        """Standard deviation (n,) of a direction, per axis, rad."""
        return np.asarray(np.sqrt(self.area) / (1.0 + (self.plane**2).sum(axis=1)) ** 0.75)

    def first(self, count: int) -> View:
        """The brightest of the centroids."""
        if count >= len(self):
            return self
        part = slice(count)
        return replace(
            self,
            centroid=self.centroid[part],
            plane=self.plane[part],
            weight=self.weight[part],
            area=self.area[part],
            pixel=self.pixel[part],
            spread=self.spread[part],
        )

    def rescaled(self, focal: float) -> View:
        """As if the camera had stated a focal length ``focal`` times its own."""
        if focal == 1.0:
            return self
        camera = self.camera.with_focal_length(self.camera.fx * focal)
        moved = self.moved + math.log(focal)
        if camera.model != 'none':
            view = _view(self.centroid, self.pixel, self.spread, camera, self.searched)
            view = replace(view, moved=moved)
            return view.mirrored() if self.flipped else view
        return replace(
            self,
            plane=self.plane / focal,
            weight=self.weight * focal**2,
            area=self.area / focal**2,
            low=self.low / focal,
            high=self.high / focal,
            radius=math.atan(math.tan(self.radius) / focal),
            camera=camera,
            moved=moved,
        )

    def mirrored(self) -> View:
        """The same image with left and right exchanged."""
        turn = np.array((-1.0, 1.0))
        low, high = self.low * turn, self.high * turn
        return replace(
            self,
            plane=self.plane * turn,
            weight=self.weight * turn[:, np.newaxis] * turn,
            low=np.minimum(low, high),
            high=np.maximum(low, high),
            flipped=not self.flipped,
        )

    @property
    def extent(self) -> float:
        """Area of the image in the plane."""
        width, height = (self.high - self.low).tolist()
        return float(width * height)


def prepare(centroids: Centroids, camera: Camera, model_error: float) -> View:
    """Centroids with usable values, brightest first, as a view.

    Args:
        centroids: of one frame.
        camera: that took it.
        model_error: standard deviation per axis of what the camera model leaves, pixels.
    """
    position = np.asarray(centroids.position, dtype=float).reshape(-1, 2)
    covariance = np.asarray(centroids.covariance, dtype=float).reshape(-1, 2, 2)
    covariance = covariance + model_error**2 * np.eye(2)
    with np.errstate(invalid='ignore'):
        determinant = covariance[:, 0, 0] * covariance[:, 1, 1] - covariance[:, 0, 1] ** 2
    good = np.isfinite(position).all(axis=1) & (determinant > 0.0) & np.isfinite(determinant)
    kept = np.flatnonzero(good)
    flux = np.asarray(centroids.flux, dtype=float)[kept]
    kept = kept[np.argsort(-np.nan_to_num(flux, nan=-1.0), kind='stable')]
    searched = min(max(centroids.searched, 1e-12), 1.0)
    return _view(kept, position[kept], covariance[kept], camera, searched)


def _view(kept: Ints, position: Array, covariance: Array, camera: Camera, searched: float) -> View:
    rays = camera.directions(position)
    with np.errstate(invalid='ignore', divide='ignore'):
        plane = rays[:, :2] / rays[:, 2:]
        seen = (rays[:, 2] > 0.0) & (np.abs(plane) < _WIDEST).all(axis=1)
    if not seen.all():
        kept, rays, plane = kept[seen], rays[seen], plane[seen]
        position, covariance = position[seen], covariance[seen]
    jacobian = np.zeros((len(kept), 2, 2))
    if camera.model == 'none':
        jacobian[:, 0, 0], jacobian[:, 1, 1] = 1.0 / camera.fx, 1.0 / camera.fy
    else:
        by_pixel = camera.jacobian(position)
        jacobian = by_pixel[:, :2] - plane[:, :, np.newaxis] * by_pixel[:, 2:]
        jacobian /= rays[:, 2, np.newaxis, np.newaxis]
    c = jacobian @ covariance @ np.swapaxes(jacobian, -1, -2)
    determinant = c[:, 0, 0] * c[:, 1, 1] - c[:, 0, 1] * c[:, 1, 0]
    weight = np.empty_like(c)
    weight[:, 0, 0], weight[:, 1, 1] = c[:, 1, 1], c[:, 0, 0]
    weight[:, 0, 1], weight[:, 1, 0] = -c[:, 0, 1], -c[:, 1, 0]
    weight /= determinant[:, np.newaxis, np.newaxis]
    low, high, radius = _border(camera)
    return View(
        kept, plane, weight, np.sqrt(determinant), low, high, radius, camera.focal_sigma, camera,
        searched, position, covariance,
    )  # fmt: skip


@lru_cache(maxsize=16)
def _border(camera: Camera) -> tuple[Array, Array, float]:
    """Least and greatest plane coordinates of the image, and its greatest angle off the axis."""
    step = np.linspace(-0.5, 0.5, 2 if camera.model == 'none' else 9)
    u = (step + 0.5) * camera.width - 0.5
    v = (step + 0.5) * camera.height - 0.5
    grid = np.stack(np.meshgrid(u, v), axis=-1).reshape(-1, 2)
    rays = camera.directions(grid)
    rays = rays[rays[:, 2] > math.cos(math.atan(_WIDEST))]
    plane = rays[:, :2] / rays[:, 2:]
    return plane.min(axis=0), plane.max(axis=0), min(camera.radius, math.radians(75.0))
