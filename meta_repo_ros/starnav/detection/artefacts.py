# SPDX-License-Identifier: Apache-2.0
"""What is bright and no star: streaks, extended objects, hot pixels, traces of particles.

Blobs are judged by area and second moments; candidates by their shape within the window of a star,
against the noise of that shape, and by rays: light that goes on along a line beyond the star image
on both sides is a streak, however faint its pieces are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import cv2
import numpy as np

from meta_repo_ros.starnav.detection.background import Background
from meta_repo_ros.starnav.detection.blobs import Blobs
from meta_repo_ros.starnav.detection.centroid import (
    FWHM,
    LEAST_WEIGHT,
    Cutouts,
    Float32,
    Measured,
    window,
)
from meta_repo_ros.starnav.detection.parameters import DetectionParameters
from meta_repo_ros.starnav.image import Image
from meta_repo_ros.starnav.types import Array, Bools, Ints

DAYLIGHT = 0.2  # share of the scale that a night sky hardly reaches
ASKEW = 0.25  # pixels by which leaked charge may seem to leave its column
ANGLES = 36  # of rays, over half a turn
RAY = 24  # reach of a ray beyond the star image, pixels
LONG_RAY = 96  # of rays from faint candidates: pieces of streaks hardly above the noise
RAY_SIGNIFICANCE = 5.5
RAY_SHARE = 0.1  # of the candidate's own height
SHAPE_SIGNIFICANCE = 4.0
ALIKE = (0.07, 0.22)  # least and largest ellipticity at which bright stars are still stars
ROUND = 0.03  # ellipticity of stars where there are few to measure it
LEAST_FOR_LONE = 0.8  # pixels, of stars whose pixels always have bright neighbours
LONE_SIGMA = 8.0  # a lone pixel is that far above the background
LEAST_FOR_HOT = 0.72  # pixels; narrower star images look like hot pixels
HOT = 0.62  # share of the star filter's gain over the brightest pixel that a star has at least


class Frame(Protocol):
    """An image and the width of its stars."""

    @property
    def image(self) -> Image:
        """Uint8 or uint16."""
        ...

    @property
    def sigma(self) -> float:
        """Standard deviation of a star image, pixels."""
        ...


@dataclass(frozen=True)
class Regions:
    """Parts of the image in which candidates are not taken.

    Attributes:
        segments: (n, 5) u, v of both ends and half width, pixels.
        discs: (n, 3) u, v, radius, pixels.
    """

    segments: Array = field(default_factory=lambda: np.zeros((0, 5)))
    discs: Array = field(default_factory=lambda: np.zeros((0, 3)))

    def contain(self, position: Array) -> tuple[Bools, Bools]:
        """Which positions (n, 2) are on a segment, and which in a disc."""
        on = np.zeros(len(position), bool)
        for u0, v0, u1, v1, half in self.segments:
            along = np.array([u1 - u0, v1 - v0])
            length2 = max(float(along @ along), 1e-9)
            offset = position - (u0, v0)
            place = np.clip(offset @ along / length2, 0.0, 1.0)
            on |= np.hypot(*(offset - place[:, None] * along).T) <= half
        within = np.zeros(len(position), bool)
        for u, v, radius in self.discs:
            within |= np.hypot(position[:, 0] - u, position[:, 1] - v) <= radius
        return on, within


@dataclass(frozen=True)
class Sorted:
    """Blobs after sorting.

    Attributes:
        position: (n, 2) u, v of star candidates.
        blob: (n,) index of the blob of each; a pair of stars names its blob twice.
        regions: of streaks and extended objects.
        rejected: blobs by reason.
    """

    position: Array
    blob: Ints
    regions: Regions
    rejected: Mapping[str, int]


def sort_blobs(
    image: Image,
    background: Background,
    blobs: Blobs,
    sigma: float,
    parameters: DetectionParameters,
) -> Sorted:
    """Sort blobs into star candidates, streaks and extended objects.

    Args:
        image: uint8 or uint16.
        background: of it.
        blobs: connected pixels above the threshold.
        sigma: of a star image, pixels.
        parameters: what counts as a star.
    """
    long, short, angle = blobs.axes()
    saturated = blobs.saturated > 0
    ratio = np.maximum(blobs.peak / blobs.threshold, 1.0)
    expected = 2.0 * np.pi * sigma**2 * (np.log(ratio) + 1.0)
    fwhm = FWHM * sigma
    # Pixels that leak along a column or row belong to a saturated star; they are saturated
    # themselves, unlike the streak of a lamp that flashes.
    axis_angle = np.abs((angle + np.pi / 4.0) % (np.pi / 2.0) - np.pi / 4.0)
    askew = axis_angle * np.sqrt(12.0) * long  # pixels from end to end
    bloom = saturated & (askew < ASKEW) & (blobs.saturated >= 4)
    bloom &= (long > 1.5 * short) & (short < 2.0 * fwhm)
    flash = bloom & (blobs.saturated_span < 2.0 * long)
    bloom &= ~flash
    elongated = (long > parameters.max_elongation * np.maximum(short, 0.5 * sigma)) & (
        long > 1.5 * sigma
    )
    elongated = (elongated & (blobs.area >= 6) & ~bloom) | flash
    core = np.sqrt(blobs.saturated / np.pi)
    large = blobs.area > 4.0 * expected + 12.0
    extended = np.where(saturated, core > 2.2 * fwhm, large) & ~elongated & ~bloom
    # A bright star lights many pixels.
    hot = (ratio > 5.0) & (blobs.area < 0.35 * expected) & (sigma > LEAST_FOR_HOT)
    pairs, ends = _pairs(image, background, blobs, (long, short, angle), sigma)
    pair = np.zeros(len(blobs), bool)
    # saturated from end to end: no two stars, whose light has a gap
    line = (blobs.saturated_span > 2.8 * long) & (blobs.saturated >= 0.8 * blobs.saturated_span)
    pair[pairs] = (elongated & ~line)[pairs] & (long[pairs] < 4.0 * fwhm)
    streak = elongated & ~pair
    segments = _segments(blobs, streak, (long, angle), sigma)
    discs = _discs(blobs, extended, sigma)
    single = ~streak & ~extended & ~pair & ~hot
    chosen = np.flatnonzero(single)
    double = np.flatnonzero(pair[pairs])
    position = np.concatenate([blobs.position[chosen], ends[double].reshape(-1, 2)])
    owner = np.concatenate([chosen, np.repeat(pairs[double], 2)])
    order = np.argsort(owner, kind='stable')
    position, owner = position[order], owner[order]
    regions = Regions(segments, discs)
    on, within = regions.contain(position)
    rejected = {
        'streak': int(streak.sum()) + int(on.sum()),
        'extended': int(extended.sum()) + int((within & ~on).sum()),
        'hot pixel': int((hot & ~streak & ~extended).sum()),
    }
    keep = ~on & ~within
    return Sorted(position[keep], owner[keep], regions, rejected)


def _pairs(
    image: Image,
    background: Background,
    blobs: Blobs,
    axes: tuple[Array, Array, Array],
    sigma: float,
) -> tuple[Ints, Array]:
    """Elongated blobs that are two stars: the light dips between its two halves.

    Returns:
        Indices of these blobs (m,), and the two positions of each (m, 2, 2).
    """
    long, short, angle = axes
    some = np.flatnonzero((long > 1.3 * short) & (long > 1.3 * sigma) & (blobs.area >= 6))
    if not len(some):
        return some, np.zeros((0, 2, 2))
    half = np.sqrt(np.maximum(long[some] ** 2 - short[some] ** 2, 0.0))
    direction = np.stack([np.cos(angle[some]), np.sin(angle[some])], axis=1)
    # Light along the long axis, from end to end, averaged over three pixels.
    reach = np.linspace(-1.8, 1.8, 25)
    points = blobs.position[some, None] + (half[:, None] * reach)[:, :, None] * direction[:, None]
    u = np.clip(np.rint(points[:, :, 0]), 1, image.shape[1] - 2).astype(np.int64)
    v = np.clip(np.rint(points[:, :, 1]), 1, image.shape[0] - 2).astype(np.int64)
    light = np.zeros(u.shape)
    for dv in (-1, 0, 1):
        for du in (-1, 0, 1):
            light += image[v + dv, u + du]
    level, noise = background.at(blobs.position[some, 0], blobs.position[some, 1])
    light = light / 9.0 - level[:, None]
    left, right = light[:, :12].argmax(axis=1), 13 + light[:, 13:].argmax(axis=1)
    row = np.arange(len(some))
    lesser = np.minimum(light[row, left], light[row, right])
    between = np.array(
        [light[i, a : b + 1].min() for i, (a, b) in enumerate(zip(left, right, strict=True))]
    )
    dip = lesser - between
    real = (dip > 0.2 * lesser) & (dip > 1.5 * noise)
    ends = np.stack([points[row, left], points[row, right]], axis=1)
    return some[real], ends[real]


def _segments(blobs: Blobs, streak: Bools, axes: tuple[Array, Array], sigma: float) -> Array:
    """The lines of streaks, longer than the blobs, for the pieces that lie on them."""
    which = np.flatnonzero(streak)
    long, angle = axes[0][which], axes[1][which]
    # A line of even light has a standard deviation of its length over sqrt(12).
    reach = np.sqrt(3.0) * long * 1.5 + 10.0
    direction = np.stack([np.cos(angle), np.sin(angle)], axis=1) * reach[:, None]
    middle = blobs.position[which]
    half = np.full((len(which), 1), 3.0 * sigma + 1.0)
    return np.concatenate([middle - direction, middle + direction, half], axis=1)


def _discs(blobs: Blobs, extended: Bools, sigma: float) -> Array:
    """Circles about extended objects."""
    which = np.flatnonzero(extended)
    radius = np.sqrt(2.0 * np.maximum(blobs.moments[which][:, 0], blobs.moments[which][:, 2]))
    return np.concatenate([blobs.position[which], (1.2 * radius + 3.0 * sigma)[:, None]], axis=1)


def lone_pixels(image: Image, index: Ints, level: Array, noise: Array, sigma: float) -> Bools:
    """Which bright pixels have no neighbour that is as bright as a star's would be.

    Args:
        image: uint8 or uint16.
        index: (n,) linear indices of bright pixels.
        level: (n,) background there, counts.
        noise: (n,) standard deviation of a background pixel there, counts.
        sigma: of a star image, pixels.
    """
    if sigma < LEAST_FOR_LONE or not len(index):
        return np.zeros(len(index), bool)
    height, width = image.shape
    v, u = np.divmod(index, width)
    flat = image.reshape(-1)
    value = flat[index] - level
    best = np.zeros(len(index))
    for dv, du in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        near = np.clip(v + dv, 0, height - 1) * width + np.clip(u + du, 0, width - 1)
        np.maximum(best, np.where(near == index, 0.0, flat[near] - level), out=best)
    return np.asarray((value > LONE_SIGMA * noise) & (best < lone_share(sigma) * value))


def lone_share(sigma: float) -> float:
    """Share of a star's brightest pixel that its brightest neighbour always exceeds."""
    return 0.6 * float(np.exp(-0.5 / sigma**2))


def mended(pixels: Float32, noise: Array, sigma: float) -> Float32:
    """Windows (n, k, k) less their background, lone bright pixels replaced by their neighbours."""
    if sigma < LEAST_FOR_LONE or not len(pixels):
        return pixels
    inner = pixels[:, 1:-1, 1:-1]
    sides = (pixels[:, :-2, 1:-1], pixels[:, 2:, 1:-1], pixels[:, 1:-1, :-2], pixels[:, 1:-1, 2:])
    best = np.maximum(np.maximum(sides[0], sides[1]), np.maximum(sides[2], sides[3]))
    lone = (inner > LONE_SIGMA * noise[:, None, None]) & (best < lone_share(sigma) * inner)
    if lone.any():
        pixels = pixels.copy()
        pixels[:, 1:-1, 1:-1][lone] = (sum(side[lone] for side in sides)) / 4.0
    return pixels


def shapes(
    cutouts: Cutouts, found: Measured, sigma: float, saturated: Bools, lined: Bools
) -> dict[str, Bools]:
    """Which candidates do not have the shape of a star.

    Args:
        cutouts: windows of the candidates.
        found: their centroids, with a weight of ``sigma``.
        sigma: of a star image, pixels.
        saturated: (n,) candidates whose shape tells nothing.
        lined: (n,) candidates on lines of light.

    Returns:
        By reason, whether each candidate (n,) is that.
    """
    gain = np.sqrt(np.pi) * sigma  # of the star filter over one pixel, for a star
    peak = cutouts.pixels.max(axis=(1, 2)) / cutouts.noise
    hot = (peak - 2.0) * HOT * gain > found.snr
    if sigma < LEAST_FOR_HOT:
        hot[:] = False
    weight = max(sigma, LEAST_WEIGHT)
    seen = sigma**2 * weight**2 / (sigma**2 + weight**2)
    uu, uv, vv = found.moments.T / seen
    spread = weight**2 / (2.0 * seen) / np.maximum(found.snr, 1e-3)
    e1, e2 = (uu - vv) / 2.0, uv
    bright = (found.snr > 12.0) & found.converged & ~hot & ~saturated & ~lined
    if bright.sum() >= 5:
        # All stars drawn out alike by rotation during the exposure are stars.
        e1, e2 = e1 - np.median(e1[bright]), e2 - np.median(e2[bright])
    ellipticity = np.hypot(e1, e2)
    # As unlike as the lens and the lattice of pixels make stars.
    usual = float(np.median(ellipticity[bright])) if bright.sum() >= 8 else ROUND
    limit = weight**2 / (2.0 * seen) * np.clip(4.0 * usual, *ALIKE) + SHAPE_SIGNIFICANCE * spread
    long = (ellipticity > limit) & ~hot & ~saturated
    size = (uu + vv) / 2.0
    largest = (2.0 * sigma + 0.4) ** 2
    widest = largest * weight**2 / (largest + weight**2) / seen
    wide = (size > widest + SHAPE_SIGNIFICANCE * spread) & ~long & ~hot & ~saturated
    sharp = (size < 0.5 - SHAPE_SIGNIFICANCE * spread) & ~hot & ~saturated
    return {'hot pixel': (hot & ~saturated) | sharp, 'streak': long | lined, 'extended': wide}


def on_rays(
    look: Frame, position: Array, amplitude: Array, noise: Array, *, reach: int = RAY
) -> Bools:
    """Which candidates lie on a line of light, or at its end.

    Light along rays from just outside of the star image is compared with that of the rays on both
    sides. By medians, so that another star on a ray does not count, and in both halves of a ray.

    Args:
        look: image and width of its stars.
        position: (n, 2) u, v.
        amplitude: (n,) height of the star, counts.
        noise: (n,) standard deviation of a background pixel, counts.
        reach: of the rays, pixels.
    """
    if not len(position):
        return np.zeros(0, bool)
    light = _rays(look, position, reach)
    half = light.shape[1] // 2
    # Halo, moon glow: what is the same all round at each distance.
    light -= np.median(light, axis=1, keepdims=True)
    both = (light[:, :half] + light[:, half:]) / 2.0
    found = np.zeros(len(position), bool)
    row = np.arange(len(position))
    # A ray of R samples of 3 x 3 pixels has about 3 R independent pixels; the median of samples
    # has a quarter more noise than their mean.
    for rays, pixels in ((both, 6.0 * reach), (light, 3.0 * reach)):
        theory = 1.25 * np.sqrt(1.5) * noise / np.sqrt(pixels)
        theory = np.where(_near_edge(look.image, position, reach), np.sqrt(2.0), 1.0) * theory
        middle = _high(np.median(rays, axis=2))
        spread = np.maximum(1.4826 * np.median(np.abs(middle), axis=1), theory)
        best = middle.argmax(axis=1)
        ray = rays[row, best]
        middle_of = ray.shape[1] // 2
        near, far = ray[:, :middle_of], ray[:, middle_of:]
        lesser = np.minimum(np.median(near, axis=1), np.median(far, axis=1))
        least = RAY_SIGNIFICANCE * spread
        strong = (middle[row, best] > least) & (lesser > 0.5 * least)
        found |= strong & (middle[row, best] > RAY_SHARE * amplitude)
    return found


def _rays(look: Frame, position: Array, reach: int) -> Float32:
    """Light (n, angles, samples) along rays all round, above that on both sides of the ray.

    Each sample is a mean of 3 x 3 pixels less those at either side, so that glow of any slope goes.
    """
    start, aside = 3.5 * look.sigma + 1.0, max(4.0, 3.5 * look.sigma)
    half = int(np.ceil(start + reach + aside)) + 1
    pixels, corner = window(look.image, position, half)
    n, k = pixels.shape[:2]
    smooth = cv2.blur(pixels.reshape(n * k, k), (3, 3)).reshape(-1)
    angles = 2 * max(ANGLES, round(np.pi * reach / 2.0))
    theta = np.arange(angles) * (2.0 * np.pi / angles)
    radius = start + np.arange(0, reach, _step(reach))
    along = np.stack([np.cos(theta), np.sin(theta)])[:, :, None] * radius
    across = np.stack([-np.sin(theta), np.cos(theta)])[:, :, None] * aside
    local = (position - corner).T
    first = np.arange(n)[:, None, None] * (k * k)
    height, width = look.image.shape
    over = (corner < 0).any(axis=1) | (corner + k > (width, height)).any(axis=1)
    light = np.zeros((n, angles, len(radius)), np.float32)
    outside = np.zeros((int(over.sum()), angles, len(radius)), bool)
    for side, share in ((0.0, 1.0), (1.0, -0.5), (-1.0, -0.5)):
        offset = along + side * across
        u, v = (np.rint(local[c][:, None, None] + offset[c]).astype(np.int64) for c in (0, 1))
        light += np.float32(share) * smooth.take(first + v * k + u)
        if over.any():
            column, row = (
                grid[over] + corner[over, c, None, None] for c, grid in enumerate((u, v))
            )
            outside |= (column < 1) | (column > width - 2) | (row < 1) | (row > height - 2)
    for star, lost in zip(np.flatnonzero(over), outside, strict=True):
        # Beyond the edge stands what is opposite, so that half a ray counts as a whole one.
        other = np.roll(lost, angles // 2, axis=0)
        light[star][lost] = np.roll(light[star], angles // 2, axis=0)[lost]
        light[star][lost & other] = 0.0
    return light


def _step(reach: int) -> int:
    """Pixels between the samples of a ray: their means of 3 x 3 pixels hardly overlap then."""
    return 2 if reach > RAY else 1


def _near_edge(image: Image, position: Array, reach: float) -> Bools:
    size = np.array([image.shape[1], image.shape[0]])
    return np.asarray(((position < reach) | (position > size - reach)).any(axis=1))


def _high(values: Array) -> Array:
    """Values (n, angles) on a circle less their running median over a sixth of it."""
    reach = max(2, values.shape[1] // 12)
    around = np.concatenate([values[:, -reach:], values, values[:, :reach]], axis=1)
    views = np.lib.stride_tricks.sliding_window_view(around, 2 * reach + 1, axis=1)
    return np.asarray(values - np.median(views, axis=2))
