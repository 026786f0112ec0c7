# SPDX-License-Identifier: Apache-2.0
"""Synthetic centroids with their truth, for the figures of star identification."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from meta_repo_ros.starnav.camera import Camera, from_field_of_view
from meta_repo_ros.starnav.catalogue import Catalogue
from meta_repo_ros.starnav.types import Centroids

Array = NDArray[np.float64]
BOUND = 0.02  # the field of view is known to that, relative
BRIGHTNESS_SIGMA = 0.2  # mag
BRIGHTEST_FALSE = 3.5  # mag


@dataclass(frozen=True)
class Scene:
    """What is drawn.

    Attributes:
        size: pixels, square.
        fov: deg.
        magnitude: faintest star, Hp.
        sigma: of a centroid, per axis, pixels.
        false: number of false stars.
        missing: part of the stars that is not found.
    """

    size: int
    fov: float
    magnitude: float
    sigma: float
    false: int
    missing: float

    def __str__(self) -> str:
        return (
            f'{self.size} px, {self.fov:g} deg, mag {self.magnitude:g}, {self.sigma:g} px, '
            f'{self.false} false, {100 * self.missing:.0f} % missing'
        )


@dataclass(frozen=True)
class StarField:
    """One field.

    Attributes:
        rotation: (3, 3) true icrs_to_camera.
        camera: true.
        told: camera as the solver is told.
        centroids: what was found.
        star: (n,) true star of each centroid, -1 for false ones.
    """

    rotation: Array
    camera: Camera
    told: Camera
    centroids: Centroids
    star: NDArray[np.int64]


def random_rotation(rng: np.random.Generator) -> Array:
    """A rotation (3, 3), all equally likely."""
    u, _, vt = np.linalg.svd(rng.normal(size=(3, 3)))
    rotation = u @ vt
    return np.asarray(rotation * np.linalg.det(rotation))


def draw(
    rng: np.random.Generator, catalogue: Catalogue, directions: Array, scene: Scene
) -> StarField:
    """A field with a random attitude.

    Args:
        rng: source of all that is random.
        catalogue: its magnitudes; to ``scene.magnitude``.
        directions: (n, 3) of its stars.
        scene: what to draw.
    """
    rotation = random_rotation(rng)
    true = from_field_of_view(scene.size, scene.size, scene.fov)
    near = np.flatnonzero(directions @ rotation[2] > math.cos(true.radius))
    uv = true.project(directions[near] @ rotation.T)
    seen = true.contains(uv) & (rng.random(len(near)) >= scene.missing)
    star, uv = near[seen], uv[seen]
    uv = uv + rng.normal(0.0, scene.sigma, uv.shape)
    magnitude = catalogue.hp[star] + rng.normal(0.0, BRIGHTNESS_SIGMA, len(star))
    false = rng.uniform(-0.5, scene.size - 0.5, (scene.false, 2))
    faint = rng.uniform(BRIGHTEST_FALSE, scene.magnitude, scene.false)
    uv, magnitude = np.vstack((uv, false)), np.concatenate((magnitude, faint))
    star = np.concatenate((star, np.full(scene.false, -1)))
    order = np.argsort(magnitude)
    error = 1.0 + rng.uniform(-BOUND, BOUND)
    told = true.with_focal_length(true.fx * error, BOUND / math.sqrt(3.0))
    centroids = _centroids(uv[order], magnitude[order], scene)
    return StarField(rotation, true, told, centroids, star[order])


def _centroids(uv: Array, magnitude: Array, scene: Scene) -> Centroids:
    flux = 10.0 ** (-0.4 * (magnitude - 12.0))
    covariance = np.tile(scene.sigma**2 * np.eye(2), (len(uv), 1, 1))
    return Centroids(
        position=uv, covariance=covariance, flux=flux, snr=flux,
        saturated=np.zeros(len(uv), bool), width=scene.size, height=scene.size,
    )  # fmt: skip


def mirrored(centroids: Centroids) -> Centroids:
    """Left and right exchanged."""
    position = centroids.position * (-1.0, 1.0) + (centroids.width - 1.0, 0.0)
    return dataclasses.replace(centroids, position=position)


def scattered(rng: np.random.Generator, centroids: Centroids) -> Centroids:
    """As many points anywhere."""
    position = rng.uniform(-0.5, centroids.width - 0.5, centroids.position.shape)
    return dataclasses.replace(centroids, position=position)


def other_sky(rng: np.random.Generator, count: int) -> Array:
    """Directions (count, 3) of a sky that is not ours."""
    directions = rng.normal(size=(count, 3))
    return np.asarray(directions / np.linalg.norm(directions, axis=1, keepdims=True))
