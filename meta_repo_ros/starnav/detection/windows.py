# SPDX-License-Identifier: Apache-2.0
"""Stars in windows around predicted places: the rest of the image is not touched."""

from __future__ import annotations

import dataclasses

import numpy as np

from meta_repo_ros.starnav.detection import artefacts
from meta_repo_ros.starnav.detection.background import QUANTISATION
from meta_repo_ros.starnav.detection.centroid import (
    FWHM,
    LEAST_SIGMA,
    LEAST_WEIGHT,
    Float32,
    centroid,
    cut,
    window,
)
from meta_repo_ros.starnav.detection.measure import EDGE, brightest, counted, least_snr, within
from meta_repo_ros.starnav.detection.parameters import DetectionParameters
from meta_repo_ros.starnav.detection.survey import FIRST_SIGMA, refined_width
from meta_repo_ros.starnav.image import Image, check, full_scale
from meta_repo_ros.starnav.types import Array, Centroids


def track(image: Image, windows: Array, parameters: DetectionParameters) -> Centroids:
    """At most one star in each window.

    Args:
        image: uint8 or uint16.
        windows: (n, 2) u, v; those outside of the image or not finite are passed over.
        parameters: what counts as a star.

    Raises:
        ImageError: not a gray image of 8 or 16 bits, or too small.
    """
    image = check(image)
    if not image.flags.c_contiguous:
        image = image.copy()
    half = min(parameters.window_half, (min(image.shape) - 1) // 2)
    centre = np.asarray(windows, float).reshape(-1, 2)
    size = np.array([image.shape[1], image.shape[0]])
    with np.errstate(invalid='ignore'):
        centre = centre[((centre > -half) & (centre < size - 1 + half)).all(axis=1)]
    centre = np.clip(centre, half, size - 1 - half)
    pixels, corner = window(image, centre, half)
    n, k = pixels.shape[:2]
    flat = pixels.reshape(n, k * k)
    level, noise = local_background(flat)
    saturation = parameters.saturation or (
        255.0 if image.dtype == np.uint8 else float(full_scale(image[:1], _top(flat)))
    )
    # Sum of 3 x 3: the peak of a star, not a pixel of noise.
    smooth = _smooth(pixels)
    place = smooth.reshape(n, (k - 2) ** 2).argmax(axis=1)
    row, column = np.divmod(place, k - 2)
    start = np.stack([column, row], axis=1) + 1.0 + corner
    photon = 1.0 / parameters.electrons_per_count if parameters.electrons_per_count > 0.0 else 0.0
    middle = float(np.median(level)) if n else np.nan
    if not photon and middle > 0.0:
        photon = float(np.median(noise)) ** 2 / middle
    if parameters.psf_fwhm > 0.0:
        sigma = max(parameters.psf_fwhm / FWHM, LEAST_SIGMA)
    else:
        sigma = refined_width(image, start, FIRST_SIGMA, noise)
        sigma = min(sigma, 0.25 * parameters.window_half)
    cutouts = cut(image, start, sigma, noise)
    found = centroid(cutouts, start, max(sigma, LEAST_WEIGHT), photon)
    least = least_snr(n * k * k, sigma, parameters.false_per_image)
    inside = within(found.position, image, EDGE * sigma)
    saturated = cutouts.pixels.max(axis=(1, 2), initial=0.0) + cutouts.level >= saturation
    keep = found.converged & (found.snr >= least) & inside
    reasons = {'faint': int((~keep).sum())}
    if parameters.reject_artefacts:
        for reason, verdict in artefacts.shapes(
            cutouts, found, sigma, saturated, np.zeros(len(keep), bool)
        ).items():
            reasons[reason] = int((verdict & keep).sum())
            keep &= ~verdict
    return dataclasses.replace(
        brightest(image, found, keep, saturated=saturated, sigma=sigma, parameters=parameters),
        background=middle,
        noise=float(np.median(noise)) if n else np.nan,
        searched=min(1.0, n * k * k / image.size),
        rejected=counted(reasons),
    )


def local_background(flat: Float32) -> tuple[Array, Array]:
    """Level and noise of windows (n, pixels): median and its absolute deviation, refined."""
    middle = flat.shape[1] // 2
    if not len(flat):
        return np.zeros(0), np.zeros(0)
    level = np.partition(flat, middle, axis=1)[:, middle]
    deviation = flat - level[:, None]
    spread = np.partition(np.abs(deviation), middle, axis=1)[:, middle]
    inside = np.abs(deviation) <= np.maximum(3.0 * 1.4826 * spread, 1.0)[:, None]
    count = inside.sum(axis=1)
    deviation *= inside
    mean = deviation.sum(axis=1) / count
    variance = np.einsum('ij,ij->i', deviation, deviation) / count - mean**2
    noise = np.sqrt(np.maximum(variance, 0.0)) * 1.0136
    return (level + mean).astype(float), np.maximum(noise, QUANTISATION).astype(float)


def _smooth(pixels: Float32) -> Float32:
    rows = pixels[:, :-2] + pixels[:, 1:-1] + pixels[:, 2:]
    result: Float32 = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]
    return result


def _top(flat: Float32) -> int:
    return int(flat.max(initial=0.0))
