# SPDX-License-Identifier: Apache-2.0
"""Images of points: profiles integrated over pixels, added to an image in small patches."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

from meta_repo_ros.simulation.sky.settings import Optics
from meta_repo_ros.starnav.camera import Camera
from meta_repo_ros.starnav.types import Array

Image = NDArray[np.float32]

_FWHM = 2.0 * math.sqrt(2.0 * math.log(2.0))
_PIECE = 40.0  # pixels of a trail in one patch
_FAR = 100.0  # pixels outside of the image from which nothing reaches in
_BUDGET = 4_000_000  # elements of the arrays of one batch
# three points of Gauss-Legendre on a pixel
_NODES = np.array((-0.5, 0.0, 0.5)) * math.sqrt(0.6)
_WEIGHTS = np.array((5.0, 8.0, 5.0)) / 18.0


def width_at(optics: Optics, camera: Camera, uv: Array) -> Array:
    """Width (n,) of the images of points at ``uv`` (n, 2), pixels."""
    return np.asarray(optics.psf_sigma * (1.0 + optics.psf_growth * radius_squared(camera, uv)))


def radius_squared(camera: Camera, uv: Array) -> Array:
    """Square (n,) of the distance from the centre of the image; 1 in the corners."""
    half = 0.25 * ((camera.width - 1) ** 2 + (camera.height - 1) ** 2)
    du = uv[..., 0] - 0.5 * (camera.width - 1)
    dv = uv[..., 1] - 0.5 * (camera.height - 1)
    return np.asarray((du * du + dv * dv) / max(half, 1.0))


def disc(radius: float, sigma: float) -> Array:
    """Points (n, 2) spread evenly over a disc, close enough for profiles of width ``sigma``."""
    if radius < 0.05 * sigma:
        return np.zeros((1, 2))
    n = int(np.clip(4.0 * math.pi * (radius / sigma) ** 2, 19, 400))
    k = np.arange(n) + 0.5
    angle, r = k * math.pi * (3.0 - math.sqrt(5.0)), radius * np.sqrt(k / n)
    points = np.stack((r * np.cos(angle), r * np.sin(angle)), axis=-1)
    return np.asarray(points - points.mean(axis=0))


def add_points(image: Image, tracks: Array, light: Array, sigma: Array, optics: Optics) -> None:
    """Add images of points that moved during the exposure.

    Args:
        image: (h, w) electrons, changed in place.
        tracks: (n, k, 2) pixels passed by each point; NaN where it was not seen.
        light: (n, k) electrons left at each.
        sigma: (n,) width of the profile, pixels.
        optics: its profile and defocus.
    """
    size = np.array(image.shape[::-1])
    # what is far outside or behind is nowhere seen, but would make large patches
    tracks = np.clip(np.nan_to_num(tracks, nan=-_FAR), -_FAR, size + _FAR)
    near = ((tracks.max(axis=1) > 1.0 - _FAR) & (tracks.min(axis=1) < size + _FAR - 1.0)).all(
        axis=1
    )
    tracks, light, sigma = tracks[near], light[near], sigma[near]
    if not len(tracks):
        return
    pieces = math.ceil(float(np.ptp(tracks, axis=1).max()) / _PIECE)
    if 1 < pieces < tracks.shape[1]:
        # the cost of a patch grows with its area: a long trail in short ones
        parts = np.array_split(np.arange(tracks.shape[1]), pieces)
        for part in parts:
            add_points(image, tracks[:, part], light[:, part], sigma, optics)
        return
    total = light.sum(axis=1)
    if optics.defocus > 0.0:
        spread = disc(optics.defocus, float(sigma.mean()))
        n, k, _ = tracks.shape
        tracks = (tracks[:, :, np.newaxis] + spread).reshape(n, k * len(spread), 2)
        light = np.repeat(light, len(spread), axis=1) / len(spread)
    low, high = tracks.min(axis=1), tracks.max(axis=1)
    middle = 0.5 * (low + high)
    # patches of one size can be made together: points in order of their size
    reach = _reach(total, sigma, optics)
    size = np.ceil((high - low).max(axis=1) + 2.0 * reach).astype(int) + 2
    order = np.argsort(size, kind='stable')
    start = 0
    while start < len(order):
        stop = _batch(size[order], tracks.shape[1], start)
        which, p = order[start:stop], int(size[order[stop - 1]])
        place = np.rint(middle[which] - 0.5 * (p - 1)).astype(int)
        at = tracks[which] - place[:, np.newaxis]
        if optics.psf == 'moffat':
            patches = _moffat(at, light[which], sigma[which], p, optics.moffat_beta)
        else:
            patches = _gaussian(at, light[which], sigma[which], p)
        for (u, v), patch in zip(place.tolist(), patches.astype(np.float32), strict=True):
            _add(image, u, v, patch)
        start = stop


def _reach(light: Array, sigma: Array, optics: Optics) -> Array:
    """Pixels from a point beyond which its profile does not matter, (n,)."""
    if optics.psf == 'moffat':
        alpha = _alpha(sigma, optics.moffat_beta)
        # outside, a pixel gets less than a hundredth of an electron, up to 60 widths
        beta = optics.moffat_beta
        peak = np.maximum(light * (beta - 1.0) / (math.pi * alpha**2) / 0.01, 1.0)
        return np.asarray(np.clip(alpha * peak ** (0.5 / beta), 8.0 * alpha, 60.0 * alpha))
    return 5.5 * sigma


def _alpha(sigma: Array, beta: float) -> Array:
    return np.asarray(_FWHM * sigma / (2.0 * math.sqrt(2.0 ** (1.0 / beta) - 1.0)))


def _batch(size: NDArray[np.int64], points: int, start: int) -> int:
    """End of the batch that begins at ``start``: bounded in memory, and of like sizes."""
    stop = start + 1
    while stop < len(size) and size[stop] <= 1.3 * size[start] + 4:
        p = int(size[stop])
        if (stop - start) * p * max(p, points) > _BUDGET:
            break
        stop += 1
    return stop


def _gaussian(at: Array, light: Array, sigma: Array, size: int) -> Array:
    """Electrons (n, size, size) of trails ``at`` (n, k, 2), from the corner of each patch."""
    edges = np.arange(size + 1) - 0.5
    scaled = math.sqrt(0.5) / sigma[:, np.newaxis, np.newaxis]
    share_u = np.diff(0.5 * erf((edges - at[..., :1]) * scaled), axis=-1)
    share_v = np.diff(0.5 * erf((edges - at[..., 1:]) * scaled), axis=-1)
    share_v *= light[..., np.newaxis]
    return np.asarray(np.swapaxes(share_v, 1, 2) @ share_u)


def _moffat(at: Array, light: Array, sigma: Array, size: int, beta: float) -> Array:
    alpha2 = (_alpha(sigma, beta) ** 2)[:, np.newaxis, np.newaxis]
    fine = (np.arange(size)[:, np.newaxis] + _NODES).ravel()
    weight = np.tile(_WEIGHTS, size)
    result = np.zeros((len(at), size, size))
    for k in range(at.shape[1]):
        du2 = (fine - at[:, k, :1])[:, np.newaxis, :] ** 2
        dv2 = (fine - at[:, k, 1:])[:, :, np.newaxis] ** 2
        value = (1.0 + (du2 + dv2) / alpha2) ** -beta
        value *= weight * weight[:, np.newaxis]
        summed = value.reshape(len(at), size, 3, size, 3).sum(axis=(2, 4))
        result += summed * light[:, k, np.newaxis, np.newaxis]
    return np.asarray(result * (beta - 1.0) / (math.pi * alpha2))


def _add(image: Image, u: int, v: int, patch: NDArray[np.float32]) -> None:
    h, w = image.shape
    size_v, size_u = patch.shape
    left, above = max(0, -u), max(0, -v)
    right, below = min(size_u, w - u), min(size_v, h - v)
    if left < right and above < below:
        image[v + above : v + below, u + left : u + right] += patch[above:below, left:right]
