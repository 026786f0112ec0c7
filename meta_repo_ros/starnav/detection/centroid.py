# SPDX-License-Identifier: Apache-2.0
"""Windowed centroids with covariance, all stars at once.

The centroid solves ``sum w(x - c) (x - c) I(x) = 0`` with a Gaussian weight w of the width of a
star image, by the iteration of SExtractor's XWIN_IMAGE (Bertin). For a Gaussian star in white noise
that is the maximum-likelihood position. The covariance is that of this estimating equation:
``D^-1 N D^-T`` with ``N = sum w^2 (x-c)(x-c)^T var(I)`` and D its derivative.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from meta_repo_ros.starnav.image import Image
from meta_repo_ros.starnav.types import Array, Bools

Float32 = NDArray[np.float32]

FWHM = 2.3548200450309493  # of a Gaussian, in standard deviations
ITERATIONS = 12
CONVERGED = 1e-4  # pixels
LEAST_SIGMA = 0.45  # pixels; a narrower star image is a single pixel
# A narrower weight beats against the lattice of pixels: 0.09 px rms at a FWHM of 1.3 px.
LEAST_WEIGHT = 0.9


@dataclass(frozen=True)
class Cutouts:
    """Square windows about rounded positions, less the local background.

    Attributes:
        pixels: (n, k, k) counts above the local background.
        corner: (n, 2) u, v of the upper left pixel.
        level: (n,) local background at the centre, counts.
        noise: (n,) standard deviation of a background pixel, counts.
        level_variance: (n,) of the fitted background, counts^2.
        slope_variance: (n,) of its slope, (counts/pixel)^2.
    """

    pixels: Float32
    corner: NDArray[np.int64]
    level: Array
    noise: Array
    level_variance: Array
    slope_variance: Array


@dataclass(frozen=True)
class Measured:
    """Result of :func:`centroid`.

    Attributes:
        position: (n, 2) u, v.
        covariance: (n, 2, 2) pixels2, by noise alone.
        flux: (n,) counts, by the Gaussian weight.
        snr: (n,) of the flux against the background's noise: detection significance.
        flux_sigma: (n,) standard deviation of the flux, photon noise included.
        moments: (n, 3) uu, uv, vv of the star image within the weight, pixels2.
        converged: (n,) whether the iteration ended near where it began.
    """

    position: Array
    covariance: Array
    flux: Array
    snr: Array
    flux_sigma: Array
    moments: Array
    converged: Bools


def window(image: Image, centre: Array, half: int) -> tuple[Float32, NDArray[np.int64]]:
    """Windows (n, 2 half + 1, 2 half + 1) about positions (n, 2), edge pixels repeated outside."""
    offset = np.arange(-half, half + 1)
    middle = np.rint(centre).astype(np.int64)
    rows = middle[:, 1, None] + offset
    columns = middle[:, 0, None] + offset
    np.clip(rows, 0, image.shape[0] - 1, out=rows)
    np.clip(columns, 0, image.shape[1] - 1, out=columns)
    flat = rows[:, :, None] * image.shape[1] + columns[:, None, :]
    pixels = (
        image.take(flat) if image.flags.c_contiguous else image[rows[:, :, None], columns[:, None]]
    )
    return pixels.astype(np.float32), middle - half


def cut(
    image: Image,
    centre: Array,
    sigma: float,
    noise: Array | None = None,
    *,
    rough: float = math.inf,
) -> Cutouts:
    """Windows with a plane through their rim taken away.

    Args:
        image: uint8 or uint16.
        centre: (n, 2) u, v.
        sigma: of a star image, pixels.
        noise: (n,) known noise; None measures it in the rim.
        rough: where the rim is noisier than the known noise by that factor, the rim counts.
    """
    inner = max(3, round(3.2 * sigma + 0.5))
    half = inner + max(3, round(2.0 * sigma))
    pixels, corner = window(image, centre, half)
    x = np.arange(-half, half + 1)
    rim = np.maximum(np.abs(x)[:, None], np.abs(x)[None, :]) > inner
    dx, dy = (grid[rim] for grid in np.meshgrid(x, x))
    ring = pixels[:, rim]
    middle = ring.shape[1] // 2
    level = np.partition(ring, middle, axis=1)[:, middle, None] if len(ring) else ring[:, :1]
    deviation = ring - level
    spread = (
        np.partition(np.abs(deviation), middle, axis=1)[:, middle, None] if len(ring) else level
    )
    keep = np.abs(deviation) <= np.maximum(3.0 * 1.4826 * spread, 1.0)
    count = np.maximum(keep.sum(axis=1), 1)
    deviation = deviation * keep
    mean = deviation.sum(axis=1) / count
    # The rim is symmetric: the slopes of the plane are nearly independent of its level.
    keep_x, keep_y = keep * dx, keep * dy
    norm_x = np.maximum((keep_x * dx).sum(axis=1), 1.0)
    norm_y = np.maximum((keep_y * dy).sum(axis=1), 1.0)
    slope_x = ((deviation - mean[:, None]) * keep_x).sum(axis=1) / norm_x
    slope_y = ((deviation - mean[:, None]) * keep_y).sum(axis=1) / norm_y
    level = level[:, 0] + mean
    rest = (deviation - mean[:, None] - slope_x[:, None] * dx - slope_y[:, None] * dy) * keep
    measured = np.sqrt((rest * rest).sum(axis=1) / np.maximum(count - 3, 1)) * 1.0136
    own = np.maximum(measured, 0.29)
    sigma_pixel = own
    if noise is not None:
        known = np.maximum(noise, 0.29)
        sigma_pixel = np.where(own > rough * known, own, known)
    pixels -= level[:, None, None]
    pixels -= slope_x[:, None, None] * x[None, None, :] + slope_y[:, None, None] * x[None, :, None]
    return Cutouts(
        pixels, corner, level.astype(float), sigma_pixel.astype(float),
        (sigma_pixel**2 / count).astype(float),
        (sigma_pixel**2 / np.minimum(norm_x, norm_y)).astype(float),
    )  # fmt: skip


def centroid(
    cutouts: Cutouts,
    start: Array,
    sigma: Array | float,
    counts_per_electron: float,
    *,
    reach: float = 3.0,
    iterations: int = ITERATIONS,
) -> Measured:
    """Windowed centroids.

    Args:
        cutouts: windows less background.
        start: (n, 2) u, v, where to begin.
        sigma: of the weight (n,) or for all, pixels.
        counts_per_electron: photon variance of a pixel over its counts above the background.
        iterations: at most.
        reach: a centroid that walks farther than so many sigma has not converged.
    """
    pixels = cutouts.pixels.astype(np.float64)
    width = np.broadcast_to(np.asarray(sigma, float), (len(pixels),))
    first: Array = np.asarray(start, float) - cutouts.corner.astype(float)
    local = _iterate(pixels, first, width, iterations)
    weights = _weights(pixels, local, width)
    wx, wy = weights[:2]
    sums = _sums(pixels, weights)
    total = sums[:, 0, 0]
    norm = (wx * wx).sum(axis=1) * (wy * wy).sum(axis=1)
    per_sum = 2.0 * np.pi * width**2 / norm
    everything = wx.sum(axis=1) * wy.sum(axis=1)
    dark = cutouts.noise**2 * norm + cutouts.level_variance * everything**2
    covariance, photon = _covariance(
        cutouts, pixels, weights, sums=sums, width=width, counts_per_electron=counts_per_electron
    )
    moved = np.hypot(*(local - first).T)
    inside = ((local > 0.0) & (local < pixels.shape[1] - 1.0)).all(axis=1)
    return Measured(
        position=np.asarray(local + cutouts.corner, float),
        covariance=covariance,
        flux=total * per_sum,
        snr=total / np.sqrt(dark),
        flux_sigma=np.sqrt(dark + photon) * per_sum,
        moments=_moments(sums),
        converged=inside & (total > 0.0) & (moved <= reach * np.maximum(width, 0.8)),
    )


def star_widths(cutouts: Cutouts, start: Array, sigma: float) -> tuple[Array, Array]:
    """Standard deviations of star images (n,), pixels, and their signal to noise (n,)."""
    pixels = cutouts.pixels.astype(np.float64)
    width = np.full(len(pixels), sigma)
    first: Array = np.asarray(start, float) - cutouts.corner.astype(float)
    local = _iterate(pixels, first, width, 4)
    weights = _weights(pixels, local, width)
    sums = _sums(pixels, weights)
    norm = (weights[0] ** 2).sum(axis=1) * (weights[1] ** 2).sum(axis=1)
    snr = sums[:, 0, 0] / (cutouts.noise * np.sqrt(norm))
    near = np.hypot(*(local - first).T) < 3.0 * max(sigma, 0.8)
    return star_sigma(_moments(sums), sigma), np.where(near, snr, 0.0)


def _weights(pixels: Array, local: Array, width: Array) -> tuple[Array, Array, Array, Array]:
    """Weights along u and v (n, k), and the distances they are of."""
    axis = np.arange(pixels.shape[1], dtype=float)
    dx, dy = axis - local[:, :1], axis - local[:, 1:]
    inverse = -0.5 / (width * width)[:, None]
    return np.exp(dx * dx * inverse), np.exp(dy * dy * inverse), dx, dy


def _iterate(pixels: Array, first: Array, width: Array, iterations: int) -> Array:
    """Positions (n, 2) in the windows at which the weighted mean is the middle of the weight."""
    local: Array = first.copy()
    for _ in range(iterations if len(pixels) else 0):
        wx, wy, dx, dy = _weights(pixels, local, width)
        # over u with and without dx, then over v
        across = np.matmul(pixels, np.stack([wx, wx * dx], axis=2))
        total = (across[:, :, 0] * wy).sum(axis=1)
        pull_u = (across[:, :, 1] * wy).sum(axis=1)
        pull_v = (across[:, :, 0] * wy * dy).sum(axis=1)
        safe = np.where(total > 0.0, total, np.inf)
        step = 2.0 * np.stack([pull_u / safe, pull_v / safe], axis=1)
        step = np.clip(step, -width[:, None], width[:, None])
        local = np.asarray(local + step)
        if np.abs(step).max() < CONVERGED:
            break
    return local


def _sums(values: Array, weights: tuple[Array, Array, Array, Array]) -> Array:
    """Weighted sums (n, 3, 3) of values times dy^b dx^a at [n, b, a]."""
    wx, wy, dx, dy = weights
    across = np.matmul(values, np.stack([wx, wx * dx, wx * dx * dx], axis=2))
    return np.asarray(np.matmul(np.stack([wy, wy * dy, wy * dy * dy], axis=1), across))


def _moments(sums: Array) -> Array:
    total = np.where(sums[:, 0, 0] > 0.0, sums[:, 0, 0], np.inf)
    second = np.stack([sums[:, 0, 2], sums[:, 1, 1], sums[:, 2, 0]], axis=1)
    return np.asarray(second / total[:, None])


def _covariance(
    cutouts: Cutouts,
    pixels: Array,
    weights: tuple[Array, Array, Array, Array],
    *,
    sums: Array,
    width: Array,
    counts_per_electron: float,
) -> tuple[Array, Array]:
    """Covariance of the position and photon variance of the weighted sum."""
    wx, wy, dx, dy = weights
    squared = (wx * wx, wy * wy, dx, dy)
    photons = _sums(np.maximum(pixels, 0.0), squared) * counts_per_electron
    powers_x = np.stack([(squared[0] * dx**a).sum(axis=1) for a in range(3)], axis=1)
    powers_y = np.stack([(squared[1] * dy**b).sum(axis=1) for b in range(3)], axis=1)
    plain = powers_y[:, :, None] * powers_x[:, None, :]
    spread = photons + plain * (cutouts.noise**2)[:, None, None]
    total = sums[:, 0, 0]
    uncertain = np.empty((len(total), 2, 2))
    uncertain[:, 0, 0] = spread[:, 0, 2]
    uncertain[:, 1, 1] = spread[:, 2, 0]
    uncertain[:, 0, 1] = uncertain[:, 1, 0] = spread[:, 1, 1]
    # The fitted slope of the background pulls by sum w dx^2 per unit.
    pull_u = (wx * dx * dx).sum(axis=1) * wy.sum(axis=1)
    pull_v = wx.sum(axis=1) * (wy * dy * dy).sum(axis=1)
    uncertain[:, 0, 0] += pull_u**2 * cutouts.slope_variance
    uncertain[:, 1, 1] += pull_v**2 * cutouts.slope_variance
    scaled = _moments(sums)[:, [0, 2]] / (width**2)[:, None]
    # Bounded: noise in the moments of faint stars must not make a small derivative.
    slope = total[:, None] * np.clip(1.0 - scaled, 0.35, 0.9)
    inverse = 1.0 / np.where(total[:, None] > 0.0, slope, np.inf)
    covariance = uncertain * inverse[:, :, None] * inverse[:, None, :]
    return covariance, photons[:, 0, 0]


def star_sigma(moments: Array, weight: Array | float) -> Array:
    """Mean standard deviation of star images from their weighted moments (n,), pixels.

    A Gaussian of variance s seen through a Gaussian weight of variance t has s t / (s + t).
    """
    seen = np.clip((moments[:, 0] + moments[:, 2]) / 2.0, 1e-3, None)
    inverse = 1.0 / seen - 1.0 / np.asarray(weight, float) ** 2
    return np.sqrt(1.0 / np.clip(inverse, 1e-3, None))


def sampling_floor(sigma: float) -> float:
    """Standard deviation of centroids that the lattice of pixels leaves, pixels.

    Light under the weight beats against the lattice by exp(-2 pi^2 v), v the variance of their
    product; the factor is measured: 0.015 px at a FWHM of 1.3 px, nothing from 2 px on.
    """
    weight = max(sigma, LEAST_WEIGHT)
    product = sigma**2 * weight**2 / (sigma**2 + weight**2)
    return 2.5 * math.exp(-2.0 * math.pi**2 * product)
