# SPDX-License-Identifier: Apache-2.0
"""From candidates to stars: what all three methods share.

A candidate becomes a star if the light under the shape of a star image stands out of the noise by
more than false alarms are allowed to, and if no test of :mod:`.artefacts` calls it something else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from meta_repo_ros.starnav.detection.background import Background
from meta_repo_ros.starnav.detection.blobs import Blobs
from meta_repo_ros.starnav.detection.centroid import (
    FWHM,
    LEAST_SIGMA,
    centroid,
    cut,
    star_sigma,
)
from meta_repo_ros.starnav.detection.parameters import DetectionParameters
from meta_repo_ros.starnav.image import Image
from meta_repo_ros.starnav.types import Array, Centroids

FIRST_SIGMA = 1.2  # pixels, where no star is bright enough to tell
STARS_FOR_WIDTH = 40


def least_snr(pixels: float, sigma: float, false_per_image: float) -> float:
    """Signal to noise of the star filter that noise alone exceeds so often in an image.

    Expected Euler characteristic of a smoothed Gaussian random field above a level t, R. Adler,
    The Geometry of Random Fields (1981), theorem 5.3.1: ``A / (2 sigma^2) (2 pi)^-1.5 t
    exp(-t^2 / 2)``; sigma is the star's, whose filter gives noise a correlation of exp(-r^2 / 4
    sigma^2).

    Args:
        pixels: area searched.
        sigma: of a star image, pixels.
        false_per_image: expected number.
    """
    density = pixels / (2.0 * max(sigma, 0.5) ** 2) * (2.0 * math.pi) ** -1.5
    t = 5.0
    for _ in range(30):
        t = math.sqrt(max(2.0 * math.log(max(density * t / false_per_image, 1.0001)), 1.0))
    return max(t, 3.0)


def blob_sigma(blobs: Blobs, least: int = 3) -> float:
    """Standard deviation of star images from the areas of blobs, NaN where none tells.

    A Gaussian of peak p is above t over an area of 2 pi sigma^2 ln(p / t).
    """
    ratio = blobs.peak / blobs.threshold
    good = (ratio > 1.5) & (blobs.saturated == 0) & (blobs.area >= least)
    if not good.any():
        return math.nan
    chosen = np.flatnonzero(good)[:STARS_FOR_WIDTH]
    squared = blobs.area[chosen] / (2.0 * math.pi * np.log(ratio[chosen]))
    return float(np.sqrt(np.median(squared)))


def photon_counts(background: Background, parameters: DetectionParameters) -> float:
    """Photon variance of a pixel over its counts: the inverse of the gain in electrons."""
    if parameters.electrons_per_count > 0.0:
        return 1.0 / parameters.electrons_per_count
    level = background.median_level
    return background.median_noise**2 / level if level > 0.0 else 0.0


def empty(image: Image, background: Background | None, problem: str = '') -> Centroids:
    """No stars."""
    return Centroids(
        position=np.zeros((0, 2)),
        covariance=np.zeros((0, 2, 2)),
        flux=np.zeros(0),
        snr=np.zeros(0),
        saturated=np.zeros(0, bool),
        width=image.shape[1],
        height=image.shape[0],
        background=background.median_level if background else math.nan,
        noise=background.median_noise if background else math.nan,
        problem=problem,
    )


def stars(
    image: Image,
    background: Background,
    position: Array,
    parameters: DetectionParameters,
    *,
    sigma: float = math.nan,
    saturation: float = math.inf,
    rejected: Mapping[str, int] | None = None,
) -> Centroids:
    """Measure candidates and keep the stars.

    Args:
        image: uint8 or uint16.
        background: of that image.
        position: (n, 2) u, v of candidates, within a pixel or two.
        parameters: what counts as a star.
        sigma: first guess of a star image's standard deviation, pixels.
        saturation: counts at which a pixel is saturated.
        rejected: blobs refused before, by reason.
    """
    reasons = dict(rejected or {})
    if not len(position):
        return empty(image, background)
    photon = photon_counts(background, parameters)
    width = _width(image, position, parameters, sigma, photon)
    noise = background.at(position[:, 0], position[:, 1])[1].astype(float)
    cutouts = cut(image, position, width, noise)
    found = centroid(cutouts, position, width, photon)
    least = least_snr(image.size, width, parameters.false_per_image)
    keep = found.converged & (found.snr >= least)
    reasons['faint'] = int((~keep).sum())
    chosen = np.flatnonzero(keep)
    chosen = chosen[np.argsort(-found.flux[chosen], kind='stable')]
    chosen = chosen[_apart(found.position[chosen], max(1.5 * width, 1.0))]
    chosen = chosen[: parameters.max_stars]
    covariance = found.covariance[chosen] + np.eye(2) * parameters.centroid_floor**2
    peak = (cutouts.pixels[chosen] + cutouts.level[chosen, None, None]).max(axis=(1, 2))
    return Centroids(
        position=found.position[chosen],
        covariance=covariance,
        flux=found.flux[chosen],
        snr=(found.flux / found.flux_sigma)[chosen],
        saturated=peak >= saturation,
        width=image.shape[1],
        height=image.shape[0],
        background=background.median_level,
        noise=background.median_noise,
        rejected={reason: count for reason, count in reasons.items() if count},
    )


def _width(
    image: Image, position: Array, parameters: DetectionParameters, sigma: float, photon: float
) -> float:
    """Standard deviation of a star image: as configured, or the median of the brightest."""
    if parameters.psf_fwhm > 0.0:
        return max(parameters.psf_fwhm / FWHM, LEAST_SIGMA)
    guess = FIRST_SIGMA if math.isnan(sigma) else float(np.clip(sigma, 0.6, 10.0))
    first = position[:STARS_FOR_WIDTH]
    for _ in range(3):
        cutouts = cut(image, first, guess)
        found = centroid(cutouts, first, guess, photon)
        good = found.converged & (found.snr > 8.0)
        if not good.any():
            break
        guess = float(np.clip(np.median(star_sigma(found.moments[good], guess)), LEAST_SIGMA, 12.0))
    return guess


def _apart(position: Array, distance: float) -> np.ndarray:
    """Indices of positions that are not near an earlier (brighter) one."""
    if len(position) < 2:
        return np.arange(len(position))
    order = np.argsort(position[:, 0], kind='stable')
    x = position[order, 0]
    keep = np.ones(len(position), bool)
    for shift in range(1, len(position)):
        close = x[shift:] - x[:-shift] < distance
        if not close.any():
            break
        a, b = order[:-shift][close], order[shift:][close]
        near = np.hypot(*(position[a] - position[b]).T) < distance
        keep[np.maximum(a, b)[near]] = False
    return np.flatnonzero(keep)
