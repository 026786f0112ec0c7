# SPDX-License-Identifier: Apache-2.0
"""Synthetic star fields for the figures of star detection, apart from the simulator's camera.

Star images are Gaussians integrated over pixels; photons and read-out give the noise. Disturbances
are drawn over the same field with the same noise, so that a lost star is lost to them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Array = NDArray[np.float64]
Float32 = NDArray[np.float32]
FWHM = 2.3548200450309493


@dataclass(frozen=True)
class Field:
    """A star field before noise.

    Attributes:
        light: (h, w) expected counts.
        position: (n, 2) u, v of the stars.
        peak: (n,) height of a star centred on a pixel's middle, without pixel integration, counts.
        sigma: of a star image, pixels.
        gain: electrons per count.
        read_noise: counts.
        streaks: (m, 4) ends of streaks, u0 v0 u1 v1.
    """

    light: Float32
    position: Array
    peak: Array
    sigma: float
    gain: float
    read_noise: float
    streaks: Array = field(default_factory=lambda: np.zeros((0, 4)))

    def exposed(self, seed: int, kind: Any = np.uint16) -> NDArray[Any]:
        """Counts with noise; the same seed gives the same noise."""
        rng = np.random.default_rng(seed)
        top = np.iinfo(kind).max
        result = np.empty(self.light.shape, kind)
        for start in range(0, len(result), 256):
            part = self.light[start : start + 256]
            deviation = np.sqrt(np.maximum(part, 0.0) / np.float32(self.gain) + self.read_noise**2)
            part = part + deviation * rng.standard_normal(part.shape, dtype=np.float32)
            result[start : start + 256] = np.clip(np.rint(part), 0, top)
        return result


def noise_of(level: float, gain: float, read_noise: float) -> float:
    """Standard deviation of a background pixel, counts."""
    return float(np.sqrt(level / gain + read_noise**2))


def stamp(light: Float32, position: Array, peak: Array, sigma: float) -> None:
    """Add Gaussian stars (n, 2) of heights (n,), integrated over the pixels."""
    reach = int(np.ceil(6.0 * sigma)) + 1
    offset = np.arange(-reach, reach + 1)
    height, width = light.shape
    for (u, v), top in zip(position, peak, strict=True):
        column, row = round(u) + offset, round(v) + offset
        x = ndtr((column + 0.5 - u) / sigma) - ndtr((column - 0.5 - u) / sigma)
        y = ndtr((row + 0.5 - v) / sigma) - ndtr((row - 0.5 - v) / sigma)
        a, b = (column >= 0) & (column < width), (row >= 0) & (row < height)
        if a.any() and b.any():
            piece = np.outer(y[b], x[a]) * (top * 2.0 * np.pi * sigma**2)
            light[row[b][0] : row[b][-1] + 1, column[a][0] : column[a][-1] + 1] += piece.astype(
                np.float32
            )


def star_field(
    rng: np.random.Generator,
    size: tuple[int, int] = (4096, 4096),
    count: int = 60,
    snr: tuple[float, float] = (26.0, 800.0),
    *,
    fwhm: float = 2.8,
    level: float = 1000.0,
    gradient: float = 400.0,
    gain: float = 1.6,
    read_noise: float = 20.0,
    margin: float = 20.0,
) -> Field:
    """Stars over a sky with a gradient.

    Args:
        rng: of places and brightness.
        size: height, width.
        count: stars, no two nearer than 8 FWHM where there is room.
        snr: least and largest height over the noise of a background pixel, log-uniform.
        fwhm: of a star, pixels.
        level: of the sky at the upper left, counts.
        gradient: its growth to the right edge, half of that to the lower one, counts.
        gain: electrons per count.
        read_noise: counts.
        margin: no stars nearer to the edge, pixels.
    """
    height, width = size
    light: Any = (
        level
        + gradient * np.arange(width, dtype=np.float32) / width
        + 0.5 * gradient * np.arange(height, dtype=np.float32)[:, None] / height
    )
    position: list[Array] = []
    for _ in range(50 * count):
        place = rng.uniform((margin, margin), (width - margin, height - margin))
        if all(np.hypot(*(place - other)) > 8.0 * fwhm for other in position):
            position.append(place)
        if len(position) == count:
            break
    places = np.array(position).reshape(-1, 2)
    noise = noise_of(level + 0.75 * gradient, gain, read_noise)
    low, high = np.log(snr)
    peak = noise * np.exp(rng.uniform(low, high, len(places)))
    sigma = fwhm / FWHM
    light = light.astype(np.float32)
    stamp(light, places, peak, sigma)
    return Field(light, places, peak, sigma, gain, read_noise)


def with_streaks(
    clean: Field, rng: np.random.Generator, count: int, snr: tuple[float, float]
) -> Field:
    """The field with satellites and aircraft crossing it, steady, tumbling or flashing."""
    height, width = clean.light.shape
    light, ends = clean.light.copy(), []
    noise = noise_of(float(np.median(light)), clean.gain, clean.read_noise)
    for _ in range(count):
        middle = rng.uniform((0.0, 0.0), (width, height))
        angle = rng.uniform(0.0, 2.0 * np.pi)
        length = rng.uniform(0.15, 1.5) * width
        along = np.array([np.cos(angle), np.sin(angle)])
        step = 0.5 * clean.sigma
        t = np.arange(-length / 2.0, length / 2.0, step)
        level = noise * np.exp(rng.uniform(*np.log(snr)))
        # a line of points of spacing s and height p is s / (sqrt(2 pi) sigma) less than p high
        top = np.full(len(t), level * step / (np.sqrt(2.0 * np.pi) * clean.sigma))
        manner = rng.integers(3)
        if manner == 1:
            top *= 0.55 + 0.45 * np.cos(2.0 * np.pi * t / rng.uniform(50.0, 300.0))
        elif manner == 2:
            top[(t % rng.uniform(60.0, 200.0)) < 6.0] *= 3.0
        points = middle + t[:, None] * along
        near = ((points > -10.0) & (points < (width + 10, height + 10))).all(axis=1)
        stamp(light, points[near], top[near], clean.sigma)
        ends.append([*points[0], *points[-1]])
    return _changed(clean, light, np.array(ends).reshape(-1, 4))


def with_clouds(clean: Field, rng: np.random.Generator, glow: float, depth: float) -> Field:
    """The field behind broken clouds of fractal shape.

    Args:
        clean: the field.
        rng: of their shape.
        glow: light that a thick part adds, counts.
        depth: what it takes from the stars, magnitudes.
    """
    height, width = clean.light.shape
    shape = np.zeros((height, width), np.float32)
    for octave in range(6):
        side = 3 << octave
        coarse = rng.standard_normal((side, side)).astype(np.float32) * np.float32(0.5**octave)
        shape += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    shape = np.clip((shape - np.float32(np.quantile(shape[::8, ::8], 0.4))) / 1.5, 0.0, 1.0)
    return _changed(clean, clean.light * 10.0 ** (-0.4 * depth * shape) + glow * shape)


def with_moon(clean: Field, rng: np.random.Generator, radius: float, glow: float) -> Field:
    """The field with the Moon, its halo and a glow that falls with the distance."""
    height, width = clean.light.shape
    u, v = rng.uniform((0.0, 0.0), (width, height))
    x, y = np.arange(width, dtype=np.float32) - u, np.arange(height, dtype=np.float32) - v
    r = np.hypot(x[None, :], y[:, None])
    light = clean.light + np.float32(glow) / (1.0 + (r / np.float32(4.0 * radius)) ** 2)
    light += 60000.0 * np.clip(radius - r + 0.5, 0.0, 1.0)
    light += 20000.0 * np.exp(-np.maximum(r - radius, 0.0) / np.float32(0.4 * radius))
    return _changed(clean, light)


def with_hot_pixels(clean: Field, rng: np.random.Generator, count: int) -> Field:
    """The field with hot pixels of all strengths, a tenth of them in twos."""
    light = clean.light.copy()
    height, width = light.shape
    u, v = rng.integers(0, width - 1, count), rng.integers(0, height, count)
    noise = noise_of(float(np.median(light)), clean.gain, clean.read_noise)
    glow = (noise * np.exp(rng.uniform(np.log(5.0), np.log(1500.0), count))).astype(np.float32)
    light[v, u] += glow
    twins = slice(0, count // 10)
    light[v[twins], u[twins] + 1] += glow[twins] * rng.uniform(0.3, 1.0, count // 10).astype(
        np.float32
    )
    return _changed(clean, light)


def _changed(clean: Field, light: Any, streaks: Array | None = None) -> Field:
    ends = clean.streaks if streaks is None else np.concatenate([clean.streaks, streaks])
    return Field(
        np.asarray(light, np.float32), clean.position, clean.peak, clean.sigma, clean.gain,
        clean.read_noise, ends,
    )  # fmt: skip
