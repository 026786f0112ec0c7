# SPDX-License-Identifier: Apache-2.0
"""Star detection by a small convolutional network.

Tiles in which anything stands out of the noise, seen at half the resolution, go through the
network. Places where its logit of "not noise alone" has a local maximum above a level measured on
pure noise, and that of "a star rather than an artefact" is high enough, are candidates. When
tracking, only tiles at the predicted stars go through it. Centroids, covariances and the common
tests for artefacts are those of the other methods.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from meta_repo_ros.starnav.detection import candidates, measure
from meta_repo_ros.starnav.detection.background import estimate
from meta_repo_ros.starnav.detection.centroid import FWHM, window
from meta_repo_ros.starnav.detection.network import Network, load
from meta_repo_ros.starnav.detection.parameters import DetectionParameters
from meta_repo_ros.starnav.detection.survey import survey
from meta_repo_ros.starnav.detection.windows import local_background, track
from meta_repo_ros.starnav.image import Image
from meta_repo_ros.starnav.types import Array, Bools, Centroids, Ints

Float32 = NDArray[np.float32]

TILE = 16  # pixels of the image, in whole cells
CELLS_AROUND = 1  # so that a star at the edge of a tile has its maximum inside
BATCH = 32  # tiles at once; always so many, so that the network is set up but once
STANDS_OUT = 3.7  # standard deviations; a star that can be found has half as much again
COARSE_SCALE = 16  # counts are widened where averaging would round them away
APART = 3  # cells a side in which only the highest counts
LOOSER = 1000.0  # times as many candidates of noise alone as there may be false stars
AGREED = 4.0  # pixels within which the network must see what was found otherwise
DOUBT = 1.5  # logits by which an artefact must be more certain to refuse a bright blob
ARTEFACT = 'artefact'  # name of what the network refuses


class DeepLearningDetector:
    """Method ``deep_learning``. Not for two threads at once.

    Args:
        parameters: what counts as a star; None takes the defaults.
        network: None takes the shipped one.

    Raises:
        NetworkError: the network is missing, damaged, or this OpenCV cannot run it.
    """

    def __init__(
        self, parameters: DetectionParameters | None = None, network: Network | None = None
    ) -> None:
        self.parameters = parameters or DetectionParameters()
        self._network = network or load()
        self._run = self._network.runner()

    def detect(self, image: Image, windows: Array | None = None) -> Centroids:
        """Find stars; see :class:`meta_repo_ros.starnav.detection.Detector`."""
        if windows is not None:
            return self._track(image, np.asarray(windows, float).reshape(-1, 2))
        look = survey(image, self.parameters)
        if look.problem:
            return measure.stars(look, self.parameters)
        seen = np.concatenate([standing_out(look.image, look.sigma), look.position])
        level = self._level(look.image.size)
        found = self.candidates(look.image, tiles_at(seen, look.image), level, look.roughness)
        star = self._stars(found, look.sigma * FWHM)
        # Bright blobs of the survey are better placed; those that the network knows for artefacts
        # beyond doubt are dropped. Of saturated ones it sees too little.
        doubted = self._stars(found, look.sigma * FWHM, DOUBT)
        refused = near(look.position, found.position[~doubted], AGREED) & (look.saturated == 0)
        refused &= ~near(look.position, found.position[doubted], AGREED)
        bright = replace(
            look,
            position=look.position[~refused],
            area=look.area[~refused],
            saturated=look.saturated[~refused],
            rejected={**look.rejected, ARTEFACT: int((~star).sum())},
        )
        return measure.stars(bright, self.parameters, found.position[star])

    def _stars(self, found: Candidates, fwhm: float, doubt: float = 0.0) -> Bools:
        """Which candidates the network does not take for artefacts, with so much doubt."""
        if not self.parameters.reject_artefacts:
            return np.ones(len(found.shape), bool)
        return np.asarray(found.shape > self._network.least_shape(fwhm) - doubt)

    def _level(self, pixels: int) -> float:
        """Least logit: the exact count of false alarms is kept by the measured signal to noise."""
        return self._network.threshold(LOOSER * self.parameters.false_per_image, pixels)

    def _track(self, image: Image, windows: Array) -> Centroids:
        """What is found in windows, unless the network sees nothing or an artefact there."""
        result = track(image, windows, self.parameters)
        if not len(result):
            return result
        level = self._level(len(result) * TILE**2)
        found = self.candidates(image, tiles_at(result.position, image), level)
        star = found.position[self._stars(found, self.parameters.psf_fwhm)]
        keep = near(result.position, star, AGREED) | result.saturated
        refused = int((~keep).sum())
        return replace(
            result,
            position=result.position[keep],
            covariance=result.covariance[keep],
            flux=result.flux[keep],
            snr=result.snr[keep],
            saturated=result.saturated[keep],
            rejected={**result.rejected, ARTEFACT: refused} if refused else result.rejected,
        )

    def candidates(
        self, image: Image, tiles: Ints, level: float, roughness: float = 1.0
    ) -> Candidates:
        """Where the network sees more than noise.

        Args:
            image: (h, w) uint8 or uint16.
            tiles: (n, 2) column and row of tiles.
            level: least logit.
            roughness: of the noise: how much more it weighs than that of single pixels.
        """
        places, logits, shapes = [np.zeros((0, 2))], [NONE], [NONE]
        for corner, result in self._logits(image, tiles, roughness):
            for n in np.flatnonzero(result[:, 0].max(axis=(1, 2)) > level):
                cells, logit, shape = _peaks(result[n], level)
                places.append((cells * self._network.stride + corner[n]).astype(float))
                logits.append(logit)
                shapes.append(shape)
        middle = self._network.margin + (self._network.stride - 1) / 2.0
        place: Array = np.concatenate(places) + middle
        logit, shape = np.concatenate(logits), np.concatenate(shapes)
        inside = np.all((place > -0.5) & (place < np.array(image.shape[::-1]) - 0.5), axis=1)
        if not inside.any():
            return Candidates(np.zeros((0, 2)), NONE, NONE, NONE)
        position, light = _brightest(image, place[inside])
        order = np.argsort(-light, kind='stable')
        return Candidates(position[order], light[order], logit[inside][order], shape[inside][order])

    def _logits(
        self, image: Image, tiles: Ints, roughness: float
    ) -> Iterator[tuple[Ints, Float32]]:
        """Batches of corners (k, 2) u, v of what the network saw, and its logits.

        Level and noise are those of each tile and its surroundings: nothing else is touched.
        """
        network = self._network
        around = CELLS_AROUND * network.stride + network.margin
        side = TILE + (2 * CELLS_AROUND - 1) * network.stride + network.field
        size = np.array([image.shape[1], image.shape[0]])[:, None]
        batch = np.zeros((BATCH, 1, side, side), np.float32)
        for start in range(0, len(tiles), BATCH):
            corner = tiles[start : start + BATCH] * TILE - around
            index = corner[:, :, None] + np.arange(side)
            inside = (index >= 0) & (index < size)
            columns, rows = np.clip(index, 0, size - 1).swapaxes(0, 1)
            pixels = image[rows[:, :, None], columns[:, None, :]].astype(np.float32)
            count = len(pixels)
            level, noise = local_background(pixels[:, ::2, ::2].reshape(count, -1))
            pixels -= level[:, None, None].astype(np.float32)
            pixels *= (1.0 / (roughness * noise))[:, None, None].astype(np.float32)
            np.clip(pixels, network.lowest, network.highest, out=pixels)
            pixels *= inside[:, 1, :, None] & inside[:, 0, None, :]
            batch[:count, 0] = pixels
            yield corner, self._run(batch)[:count]


NONE = np.zeros(0, np.float32)


@dataclass(frozen=True)
class Candidates:
    """What the network found, brightest first.

    Attributes:
        position: (n, 2) u, v of the brightest place, pixels.
        light: (n,) counts of the 3 x 3 pixels there above their surroundings.
        logit: (n,) of "not noise alone".
        shape: (n,) logit of "a star rather than an artefact".
    """

    position: Array
    light: Float32
    logit: Float32
    shape: Float32


def tiles_at(position: Array, image: Image) -> Ints:
    """Column and row of the tiles (k, 2) that hold positions (n, 2) u, v, each once."""
    most = (np.array([image.shape[1], image.shape[0]]) - 1) // TILE
    tiles = np.clip(np.floor((position + 0.5) / TILE), 0, most).astype(np.int64)
    key = np.unique(tiles[:, 1] * (most[0] + 1) + tiles[:, 0])
    return np.stack([key % (most[0] + 1), key // (most[0] + 1)], axis=1)


def standing_out(image: Image, sigma: float) -> Array:
    """Positions (n, 2) u, v of what stands out of the noise.

    Seen at half the resolution and smoothed by a star image, whose standard deviation is ``sigma``
    pixels: a few milliseconds, and a tenth of a star's signal to noise, are lost.
    """
    even = image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2]
    if image.dtype == np.uint8:
        even = cv2.multiply(even, COARSE_SCALE, dtype=cv2.CV_16U)
    half = cv2.resize(even, (even.shape[1] // 2, even.shape[0] // 2), interpolation=cv2.INTER_AREA)
    width = max(0.5 * sigma, 0.5)
    side = 2 * round(2.0 * width) + 1
    half = cv2.GaussianBlur(half, (side, side), width)
    background = estimate(half)
    index = candidates.above(half, background, background.noise, STANDS_OUT, half.size)
    row, column = np.divmod(index, half.shape[1])
    return np.stack([column, row], axis=1) * 2.0 + 0.5


def _peaks(logits: Float32, level: float) -> tuple[Ints, Float32, Float32]:
    """Local maxima above ``level``: cells (k, 2) u, v, logits, and the second logits there."""
    heat, shape = logits
    largest = cv2.dilate(heat, np.ones((APART, APART), np.uint8))
    row, column = np.nonzero((heat >= largest) & (heat > level))
    likeliest = cv2.dilate(shape, np.ones((3, 3), np.uint8))
    return np.stack([column, row], axis=1), heat[row, column], likeliest[row, column]


def _brightest(image: Image, cells: Array) -> tuple[Array, Float32]:
    """Centre and light of the brightest 3 x 3 pixels within 4 pixels of each cell (n, 2)."""
    pixels, corner = window(image, cells, 5)
    sums = sliding_window_view(pixels, (3, 3), axis=(1, 2)).sum(axis=(-2, -1))
    sums = sums.reshape(len(cells), -1)
    best = sums.argmax(axis=1)
    row, column = np.divmod(best, 9)
    light = sums[np.arange(len(cells)), best] - np.median(sums, axis=1)
    return corner + np.stack([column, row], axis=1) + 1.0, light.astype(np.float32)


def near(position: Array, others: Array, distance: Array | float) -> Bools:
    """Which of the positions (n, 2) have another within ``distance``, (n,) or for all, pixels."""
    if not len(position) or not len(others):
        return np.zeros(len(position), bool)
    nearest, _ = cKDTree(others).query(position)
    return np.asarray(nearest <= distance)
