# SPDX-License-Identifier: Apache-2.0
"""First look at an image: background, bright blobs, width of star images, what is no star.

All three methods begin with :func:`survey`, add their own candidates and end with
:func:`.measure.stars`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meta_repo_ros.starnav.detection import artefacts, candidates
from meta_repo_ros.starnav.detection.background import Background, estimate
from meta_repo_ros.starnav.detection.blobs import Blobs
from meta_repo_ros.starnav.detection.centroid import (
    FWHM,
    LEAST_SIGMA,
    LEAST_WEIGHT,
    centroid,
    cut,
    star_widths,
)
from meta_repo_ros.starnav.detection.parameters import DetectionParameters
from meta_repo_ros.starnav.image import Image, check, full_scale
from meta_repo_ros.starnav.types import Array, Ints

FIRST_SIGMA = 1.2  # pixels, where no star is bright enough to tell
STARS_FOR_WIDTH = 40
MOST_BRIGHT = 0.05  # share of bright pixels; more are no stars
ROUGH_SIDE = 20  # places a side
ROUGH_ALLOWED = 1.1  # by chance
SEVERAL = 4  # pixels of exactly the largest count are saturated
MOST_SATURATED = 0.1  # share of saturated pixels


@dataclass(frozen=True)
class Survey:
    """What a first look tells of an image.

    Attributes:
        image: (h, w) uint8 or uint16, contiguous.
        background: level and noise.
        saturation: counts at which a pixel is saturated.
        sigma: standard deviation of a star image, pixels.
        roughness: noise of the star filter over that of white noise of the same pixels; above 1
            where neighbouring pixels go together (JPEG, Bayer patterns made gray).
        photon: photon variance of a pixel over its counts above the background.
        position: (n, 2) u, v of the bright candidates, brightest first.
        area: (n,) pixels above the threshold of these.
        saturated: (n,) number of saturated pixels of these.
        regions: where candidates of no kind are stars.
        rejected: blobs that are no stars, by reason.
        problem: why the image as a whole cannot be used.
    """

    image: Image
    background: Background
    saturation: float
    sigma: float = FIRST_SIGMA
    photon: float = 0.0
    position: Array = field(default_factory=lambda: np.zeros((0, 2)))
    area: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    saturated: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    regions: artefacts.Regions = field(default_factory=artefacts.Regions)
    rejected: Mapping[str, int] = field(default_factory=dict)
    problem: str = ''
    roughness: float = 1.0


def survey(image: Image, parameters: DetectionParameters) -> Survey:
    """Look at an image as a whole.

    Raises:
        ImageError: not a gray image of 8 or 16 bits, or too small.
    """
    image = check(image)
    if not image.flags.c_contiguous:
        image = image.copy()
    background = estimate(image, parameters.tile)
    saturation = parameters.saturation or float(full_scale(image))
    photon = photon_counts(background, parameters)
    first = Survey(image, background, saturation, photon=photon)
    problem = _level_problem(image, background, saturation)
    if problem:
        return Survey(image, background, saturation, photon=photon, problem=problem)
    most = int(MOST_BRIGHT * image.size) + 200
    sigma = parameters.pixel_sigma
    index = candidates.above(image, background, background.noise, sigma, most)
    if len(index) > most:
        bright = background.median_level > artefacts.DAYLIGHT * saturation
        problem = 'daylight' if bright else 'too many bright pixels'
        return Survey(image, background, saturation, photon=photon, problem=problem)
    if not parameters.saturation:
        saturation = _flat_top(image.reshape(-1)[index], saturation)
        first = dataclasses.replace(first, saturation=saturation)
    blobs = candidates.blobs_of(image, index, background, sigma, saturation)
    width = star_width(first, blobs, parameters)
    if not parameters.reject_artefacts:
        return Survey(
            image, background, saturation, width, photon,
            blobs.position, blobs.area, blobs.saturated,
        )  # fmt: skip
    around = candidates.levels(image, index, background)
    more = candidates.in_rough_tiles(image, background, sigma, width)
    new = np.flatnonzero(~np.isin(more[0], index)) if len(more[0]) else more[0]
    if len(new):
        joined = np.concatenate([index, more[0][new]])
        order = np.argsort(joined, kind='stable')
        level, noise = (
            np.concatenate([old, other[new]])[order]
            for old, other in zip(around, more[1:], strict=True)
        )
        index, around = joined[order], (level, noise)
    # Hot pixels that touch a star are taken out of its blob.
    lone = artefacts.lone_pixels(image, index, *around, width)
    if len(new) or lone.any():
        kept = (around[0][~lone], around[1][~lone])
        blobs = candidates.blobs_from(image, index[~lone], kept, sigma, saturation)
    rough = roughness(image, background, width)
    sorted_out = artefacts.sort_blobs(image, background, blobs, width, parameters)
    rejected = dict(sorted_out.rejected)
    rejected['hot pixel'] = rejected.get('hot pixel', 0) + int(lone.sum())
    problem = ''
    if width * FWHM > parameters.max_fwhm:
        problem = 'blurred'
    return Survey(
        image, background, saturation, width, photon,
        sorted_out.position, blobs.area[sorted_out.blob], blobs.saturated[sorted_out.blob],
        sorted_out.regions, rejected, problem, rough,
    )  # fmt: skip


def roughness(image: Image, background: Background, sigma: float) -> float:
    """Noise of the star filter over what white noise would give, 1 at least.

    Measured at places on a lattice; the median deviation does not mind the stars among them.
    """
    step = np.maximum(np.array([image.shape[1], image.shape[0]]) // ROUGH_SIDE, 1)
    side = [np.arange(step[k] // 2, image.shape[1 - k], step[k]) for k in (0, 1)]
    place = np.stack(np.meshgrid(*side), axis=-1).reshape(-1, 2).astype(float)
    cutouts = cut(image, place, sigma, background.at(place[:, 0], place[:, 1])[1].astype(float))
    found = centroid(cutouts, place, max(sigma, LEAST_WEIGHT), 0.0, iterations=0)
    spread = 1.4826 * float(np.median(np.abs(found.snr)))
    return max(1.0, spread / ROUGH_ALLOWED)


def photon_counts(background: Background, parameters: DetectionParameters) -> float:
    """Photon variance of a pixel over its counts: the inverse of the gain in electrons.

    Where the gain is not known, all noise of the background is taken for photon noise, which is
    right for a sky-limited camera without offset and too much for others.
    """
    if parameters.electrons_per_count > 0.0:
        return 1.0 / parameters.electrons_per_count
    level = background.median_level
    return background.median_noise**2 / level if level > 0.0 else 0.0


def star_width(look: Survey, blobs: Blobs, parameters: DetectionParameters) -> float:
    """Standard deviation of a star image: as configured, or the median of the brightest, pixels."""
    if parameters.psf_fwhm > 0.0:
        return max(parameters.psf_fwhm / FWHM, LEAST_SIGMA)
    guess = blob_sigma(blobs)
    if math.isnan(guess):
        guess = FIRST_SIGMA
    guess = min(max(guess, 0.6), 12.0)
    ratio = blobs.peak / blobs.threshold
    expected = 2.0 * np.pi * guess**2 * np.log(np.maximum(ratio, 1.05))
    good = (blobs.saturated == 0) & (blobs.area >= 3)
    good &= (blobs.area < 3.0 * expected + 8.0) & (blobs.area > 0.3 * expected - 2.0)
    bright = np.flatnonzero(good)[:STARS_FOR_WIDTH]
    return refined_width(look.image, blobs.position[bright], guess)


def refined_width(image: Image, position: Array, guess: float, noise: Array | None = None) -> float:
    """Median width of star images at (n, 2), pixels; ``guess`` where none is bright."""
    for _ in range(3):
        widths, snr = star_widths(cut(image, position, guess, noise), position, guess)
        if not (snr > 8.0).any():
            break
        before, guess = guess, min(max(float(np.median(widths[snr > 8.0])), LEAST_SIGMA), 12.0)
        if abs(guess - before) < 0.1 * before:
            break
    return guess


def blob_sigma(blobs: Blobs) -> float:
    """Standard deviation of star images from the areas of blobs, NaN where none tells.

    A Gaussian of peak p is above t over an area of 2 pi sigma^2 ln(p / t).
    """
    ratio = blobs.peak / blobs.threshold
    good = np.flatnonzero((ratio > 1.5) & (blobs.saturated == 0) & (blobs.area >= 3))
    if not len(good):
        return math.nan
    chosen = good[:STARS_FOR_WIDTH]
    squared = blobs.area[chosen] / (2.0 * math.pi * np.log(ratio[chosen]))
    return float(np.sqrt(np.median(squared)))


def _flat_top(values: NDArray[Any], scale: float) -> float:
    """Where the camera saturates: at the largest count, if several pixels have exactly that one.

    Colour photos made gray, and cameras that saturate below the end of their scale.
    """
    if not len(values):
        return scale
    top = float(values.max())
    several = np.count_nonzero(values == top) >= SEVERAL
    return top if several and top >= 0.5 * scale else scale


def _level_problem(image: Image, background: Background, saturation: float) -> str:
    """What the level alone tells."""
    step = max(1, min(image.shape) // 256)
    sample = image[::step, ::step]
    if np.count_nonzero(sample >= saturation) > MOST_SATURATED * sample.size:
        return 'overexposed'
    if int(image.max()) - int(image.min()) <= 1:
        return 'black' if background.median_level < 0.5 * saturation else 'overexposed'
    return ''
