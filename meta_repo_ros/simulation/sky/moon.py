# SPDX-License-Identifier: Apache-2.0
"""The Moon's disc, and glare of bright bodies in the lens."""

from __future__ import annotations

import math

import numpy as np

from meta_repo_ros.simulation.sky.optics import Image
from meta_repo_ros.starnav.camera import Camera
from meta_repo_ros.starnav.planets import Body
from meta_repo_ros.starnav.types import Array

_REFERENCE = math.radians(10.0)
_CLOSEST = math.radians(0.3)


def add_disc(
    image: Image, camera: Camera, body: Body, icrs_to_camera: Array, electrons: float
) -> None:
    """Add the lit part of the disc of ``body`` evenly, in place; smear within it is left out.

    Args:
        image: (h, w) electrons.
        camera: which takes it.
        body: of the solar system.
        icrs_to_camera: (3, 3).
        electrons: of the whole disc.
    """
    direction = icrs_to_camera @ body.direction
    (u, v), reach = camera.project(direction[np.newaxis])[0], 0.5 * body.angular_diameter
    if not math.isfinite(u):
        return
    margin = math.ceil(1.5 * reach * max(camera.fx, camera.fy) / max(direction[2], 0.2) ** 2) + 2
    left, right = max(0, math.floor(u) - margin), min(camera.width, math.ceil(u) + margin)
    above, below = max(0, math.floor(v) - margin), min(camera.height, math.ceil(v) + margin)
    if left >= right or above >= below:
        return
    grid = np.stack(np.meshgrid(np.arange(left, right), np.arange(above, below)), axis=-1)
    rays = camera.directions(grid.reshape(-1, 2))
    towards_sun = icrs_to_camera @ body.sun
    x = rays @ towards_sun / reach
    y = rays @ np.cross(direction, towards_sun) / reach
    pixel = camera.pixel_angle / reach
    # the terminator is half an ellipse; edges are soft over one pixel
    limb = np.sqrt(np.maximum(1.0 - y * y, 0.0))
    lit = np.clip((1.0 - np.hypot(x, y)) / pixel + 0.5, 0.0, 1.0)
    lit *= np.clip((x - (1.0 - 2.0 * body.illuminated) * limb) / pixel + 0.5, 0.0, 1.0)
    area = math.pi * max(body.illuminated, 1e-3) / pixel**2
    patch = (lit * (electrons / max(area, 1.0))).reshape(grid.shape[:2])
    image[above:below, left:right] += patch.astype(np.float32)


def glare(directions: Array, body: Array) -> Array:
    """Light scattered in the lens over that 10 deg from ``body`` (3,), towards ``directions``."""
    angle = np.arccos(np.clip(directions @ body, -1.0, 1.0))
    return np.asarray((_REFERENCE / np.maximum(angle, _CLOSEST)) ** 2)
