# SPDX-License-Identifier: Apache-2.0
"""Small pieces of simulated sky with their truth, by which the star network is trained.

A piece shows what is left of an image after its background was subtracted and divided by its
noise: stars of many widths and brightnesses, smeared or not, and what must not be taken for one:
hot pixels and columns, cosmic rays, streaks, clouds, glow and gradients.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import zoom
from scipy.special import erf

Floats = NDArray[np.float32]
Array = NDArray[np.floating]

SMEAR = 5  # points by which a smeared star is drawn
FWHM = 2.0 * np.sqrt(2.0 * np.log(2.0))
FAINTEST = 5.0  # matched-filter SNR from which a star must be found


@dataclass(frozen=True)
class Pieces:
    """A batch of pieces.

    Attributes:
        image: (n, size, size) pixels in units of the background's noise, background 0.
        position: (n, k, 2) u, v of the stars, pixels.
        snr: (n, k) of the whole star image against its own shape; 0 where there is no star.
        radius: (n, k) pixels around the star within which the truth does not tell cells apart.
        artefact: (n, size, size) whether the pixel holds what is neither star nor background.
    """

    image: Floats
    position: Array
    snr: Array
    radius: Array
    artefact: NDArray[np.bool_]


def profile(edges: Array, centre: Array, sigma: Array) -> Array:
    """Part of a line of a Gaussian's light that falls on each pixel between ``edges``."""
    scale = 1.0 / (np.sqrt(2.0) * sigma[..., None])
    return np.asarray(np.diff(erf((edges - centre[..., None]) * scale), axis=-1) * 0.5)


def stars(
    rng: np.random.Generator, count: int, most: int, size: int
) -> tuple[Array, Array, Array, Array]:
    """Drawn stars: images (n, k, size, size) are summed already; see ``Pieces`` for the rest."""
    edges = np.arange(size + 1) - 0.5
    fwhm = np.exp(rng.uniform(np.log(1.2), np.log(6.0), (count, 1)))
    sigma = np.broadcast_to(fwhm / FWHM, (count, most))
    # wings of real optics: part of the light in a Gaussian twice as wide
    wing = rng.uniform(0.0, 0.35, (count, 1)) * (rng.random((count, 1)) < 0.6)
    length = (rng.random((count, 1)) < 0.4) * rng.uniform(0.0, 1.0, (count, 1)) * (0.8 * fwhm + 1.5)
    angle = rng.uniform(0.0, np.pi, (count, 1))
    position = rng.uniform(-2.0, size + 1.0, (count, most, 2))
    step = np.linspace(-0.5, 0.5, SMEAR)
    u = position[..., 0, None] + (length * np.cos(angle))[..., None] * step
    v = position[..., 1, None] + (length * np.sin(angle))[..., None] * step
    weight = np.empty((count, most, 2, SMEAR))
    weight[..., 0, :] = (1.0 - wing)[..., None] / SMEAR
    weight[..., 1, :] = wing[..., None] / SMEAR
    sigmas = np.stack([sigma, 2.0 * sigma], axis=-1)[..., None] + np.zeros(SMEAR)
    across = profile(edges, u[:, :, None, :] + np.zeros((1, 1, 2, 1)), sigmas)
    down = profile(edges, v[:, :, None, :] + np.zeros((1, 1, 2, 1)), sigmas)
    # energy of the sum of separable parts: sum over pairs of the products of their overlaps
    parts = 2 * SMEAR
    a = across.reshape(count, most, parts, size)
    b = down.reshape(count, most, parts, size)
    w = weight.reshape(count, most, parts)
    energy = np.einsum(
        'nkij,nki,nkj->nk', (a @ a.swapaxes(-1, -2)) * (b @ b.swapaxes(-1, -2)), w, w
    )
    # most stars near the limit, some bright ones
    snr = 4.0 * np.exp(rng.exponential(1.0, (count, most)))
    bright = rng.random((count, most)) < 0.1
    snr = np.where(bright, np.exp(rng.uniform(np.log(50.0), np.log(2e4), (count, most))), snr)
    number = rng.integers(0, most + 1, (count, 1))
    snr = np.where(np.arange(most) < number, snr, 0.0)
    flux = snr / np.sqrt(np.maximum(energy, 1e-6))
    flux = np.where(energy > 1e-3, flux, 0.0)
    snr = np.where(energy > 1e-3, snr, 0.0)
    b = b * (w * flux[..., None])[..., None]
    image = b.reshape(count, -1, size).swapaxes(-1, -2) @ a.reshape(count, -1, size)
    # where a bright star is above the noise, cells cannot be told apart
    reach = sigma * np.sqrt(2.0 * np.log(np.maximum(flux / (FWHM * sigma**2), 1.0)))
    reach = np.where(wing > 0.0, 1.6 * reach, reach)
    radius = np.maximum(2.0, np.where(snr > 40.0, reach + 2.0, 0.5 * fwhm + 1.2)) + 0.5 * length
    return image, position, snr, radius


def lines(
    rng: np.random.Generator, count: int, size: int, *, length: Array, sigma: Array, peak: Array
) -> Array:
    """One straight line of light through each of ``count`` pieces."""
    centre = rng.uniform(0.0, size, (count, 2, 1, 1))
    angle = rng.uniform(0.0, np.pi, (count, 1, 1))
    y, x = np.mgrid[:size, :size].astype(np.float64)
    x = x - centre[:, 0]
    y = y - centre[:, 1]
    along = x * np.cos(angle) + y * np.sin(angle)
    across = y * np.cos(angle) - x * np.sin(angle)
    half = 0.5 * length[:, None, None]
    scale = 1.0 / (np.sqrt(2.0) * sigma[:, None, None])
    ends = 0.5 * (erf((along + half) * scale) - erf((along - half) * scale))
    # averaged over a pixel across
    body = np.exp(-0.5 * across**2 / (sigma[:, None, None] ** 2 + 1.0 / 12.0))
    top = ends.max(axis=(1, 2), keepdims=True)
    shape = body * ends / np.maximum(top, 0.05)
    drift = 1.0 + 0.3 * np.sin(along * rng.uniform(0.02, 0.3, (count, 1, 1)))
    return np.asarray(shape * drift * peak[:, None, None])


def structure(rng: np.random.Generator, count: int, size: int) -> Array:
    """Clouds and glow that the subtraction of the background left over."""
    result = np.zeros((count, size, size))
    grids = (4, 7)
    for grid in grids:
        chosen = np.flatnonzero(rng.random(count) < 0.25)
        amplitude = np.exp(rng.uniform(np.log(0.2), np.log(2.5), (len(chosen), 1, 1)))
        coarse = rng.standard_normal((len(chosen), grid, grid)) * amplitude
        factor = size / grid
        smooth = zoom(coarse, (1.0, factor, factor), order=3, mode='nearest', grid_mode=True)
        result[chosen] += smooth
    y, x = np.mgrid[-0.5 : 0.5 : size * 1j, -0.5 : 0.5 : size * 1j]
    slope = rng.normal(0.0, 1.0, (count, 2, 1, 1)) * (rng.random((count, 1, 1, 1)) < 0.5)
    return np.asarray(result + slope[:, 0] * x + slope[:, 1] * y)


def defects(rng: np.random.Generator, image: Array, artefact: NDArray[np.bool_]) -> None:
    """Adds hot and dead pixels, pairs of them, columns and rows, and marks them."""
    count, size, _ = image.shape
    number = rng.poisson(4.0, count)
    which = np.repeat(np.arange(count), number)
    n = len(which)
    u, v = rng.integers(0, size, (2, n))
    height = np.exp(rng.uniform(np.log(4.0), np.log(2e3), n)) * np.where(
        rng.random(n) < 0.1, -0.2, 1.0
    )
    image[which, v, u] += height
    artefact[which, v, u] = True
    # charge that leaks to one neighbour
    leak = rng.random(n) < 0.12
    sideways = rng.random(n) < 0.5
    u2 = np.minimum(u + sideways, size - 1)
    v2 = np.minimum(v + ~sideways, size - 1)
    image[which[leak], v2[leak], u2[leak]] += (height * rng.uniform(0.02, 0.35, n))[leak]
    for chosen in np.flatnonzero(rng.random(count) < 0.06):
        upright = rng.random() < 0.5
        line = image[chosen] if upright else image[chosen].T
        start = rng.integers(0, size) if rng.random() < 0.5 else 0
        column = rng.integers(0, size)
        line[start:, column] += np.exp(rng.uniform(np.log(1.0), np.log(100.0)))
        marked = artefact[chosen] if upright else artefact[chosen].T
        marked[start:, column] = True


def noise(rng: np.random.Generator, image: Array) -> Array:
    """Adds the noise of detector and photons; its standard deviation at the background is 1."""
    count = len(image)
    noisy = image + rng.standard_normal(image.shape, np.float32)
    # photons of the stars themselves; electrons per unit of noise
    gain = np.exp(rng.uniform(np.log(2.0), np.log(200.0), (count, 1, 1)))
    noisy += np.sqrt(np.clip(image, 0.0, None) / gain) * rng.standard_normal(
        image.shape, np.float32
    )
    dim = np.flatnonzero(rng.random(count) < 0.2)  # so dark that the photons can be counted
    mean = np.exp(rng.uniform(np.log(4.0), np.log(100.0), (len(dim), 1, 1)))
    light = np.clip(mean + image[dim] * np.sqrt(mean), 0.0, 1e6)
    noisy[dim] = (rng.poisson(light) - mean) / np.sqrt(mean)
    coarse = np.flatnonzero(rng.random(count) < 0.25)  # few bits
    step = rng.uniform(0.2, 1.2, (len(coarse), 1, 1))
    offset = rng.random((len(coarse), 1, 1)) - 0.5
    noisy[coarse] = (np.round(noisy[coarse] / step + offset) - offset) * step
    return np.asarray(noisy * rng.uniform(0.93, 1.07, (count, 1, 1)))


def pieces(rng: np.random.Generator, count: int, size: int = 96, most: int = 5) -> Pieces:
    """Simulated pieces of sky.

    Args:
        rng: seeded generator; the same one gives the same pieces.
        count: number of pieces.
        size: of a piece, pixels.
        most: stars in a piece at most.
    """
    image, position, snr, radius = stars(rng, count, most, size)
    image += structure(rng, count, size)
    streak = np.zeros((count, size, size))
    for share, longest, widest in ((0.3, 400.0, 2.1), (0.35, 10.0, 0.5)):
        chosen = np.flatnonzero(rng.random(count) < share)
        n = len(chosen)
        shortest = 2.0 if longest < size else 14.0
        length = np.exp(rng.uniform(np.log(shortest), np.log(longest), n))
        sigma = rng.uniform(0.25 if longest < size else 0.5, widest, n)
        length = np.where(longest < size, length, np.maximum(length, 10.0 * sigma))
        peak = np.exp(rng.uniform(np.log(1.0 if longest > size else 3.0), np.log(200.0), n))
        streak[chosen] += lines(rng, n, size, length=length, sigma=sigma, peak=peak)
    image += streak
    level = np.exp(rng.uniform(np.log(60.0), np.log(3e4), (count, 1, 1)))
    image = noise(rng, image)
    artefact = streak > 0.7
    defects(rng, image, artefact)
    image = np.minimum(image, level)  # the end of the scale
    for edge in np.flatnonzero(rng.random(count) < 0.06):  # beyond the edge of the image
        width = rng.integers(1, 14)
        turned = np.rot90(image[edge], int(rng.integers(0, 4)))
        turned[:width] = 0.0
    inside = np.all((position > -0.5) & (position < size - 0.5), axis=-1)
    return Pieces(image.astype(np.float32), position, np.where(inside, snr, 0.0), radius, artefact)
