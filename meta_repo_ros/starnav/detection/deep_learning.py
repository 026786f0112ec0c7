# SPDX-License-Identifier: Apache-2.0
"""Star detection by a small convolutional network.

The image, less its background and over its noise, goes through the network tile by tile; the places
where the logit of "not noise alone" has a local maximum above a level measured on pure noise, and
that of "a star rather than an artefact" is high enough, are candidates. When tracking, only small
windows around the predicted stars go through it. Centroids, covariances and the tests for artefacts
are those of the other methods.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from meta_repo_ros.starnav.detection import measure
from meta_repo_ros.starnav.detection.background import Background
from meta_repo_ros.starnav.detection.centroid import FWHM, window
from meta_repo_ros.starnav.detection.network import Network, load
from meta_repo_ros.starnav.detection.parameters import DetectionParameters
from meta_repo_ros.starnav.detection.survey import survey
from meta_repo_ros.starnav.detection.windows import local_background, track
from meta_repo_ros.starnav.image import Image
from meta_repo_ros.starnav.types import Array, Bools, Centroids

Float32 = NDArray[np.float32]
Corner = tuple[int, int]

LARGEST_TILE = 512  # pixels of the image; its layers then stay in a core's cache
COARSE = 8  # the background is interpolated to every 8th pixel, then again to each
APART = 3  # cells a side in which only the highest counts
LOOSER = 1000.0  # times as many candidates of noise alone as there may be false stars
AGREED = 4.0  # pixels within which the network must see what was found otherwise
DOUBT = 1.5  # logits by which an artefact must be more certain to refuse a bright blob
ARTEFACT = 'artefact'  # name of what the network refuses
REACH = 4  # pixels around a star that was tracked, in which the network must see it
SEARCHED = 64  # pixels of such a window
REPEAT = 8  # numbers of windows are rounded up to these, so that the network is seldom set up anew


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
        self._tiles = self._network.runner()
        self._windows = self._network.runner()

    def detect(self, image: Image, windows: Array | None = None) -> Centroids:
        """Find stars; see :class:`meta_repo_ros.starnav.detection.Detector`."""
        if windows is not None:
            return self._track(image, np.asarray(windows, float).reshape(-1, 2))
        look = survey(image, self.parameters)
        if look.problem:
            return measure.stars(look, self.parameters)
        # Noise that goes together in neighbouring pixels weighs more than it seems to.
        background = replace(look.background, noise=look.background.noise * look.roughness)
        found = self.candidates(look.image, background, self._level(look.image.size))
        star = self._stars(found, look.sigma * FWHM)
        # Bright blobs of the survey are better placed; those that the network knows for artefacts
        # beyond doubt are dropped. Of saturated ones it sees too little.
        doubted = self._stars(found, look.sigma * FWHM, DOUBT)
        refused = near(look.position, found.position[~doubted], AGREED) & (look.saturated == 0)
        refused &= ~near(look.position, found.position[doubted], AGREED)
        seen = replace(
            look,
            position=look.position[~refused],
            area=look.area[~refused],
            saturated=look.saturated[~refused],
            rejected={**look.rejected, ARTEFACT: int((~star).sum())},
        )
        return measure.stars(seen, self.parameters, found.position[star])

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
        found = self.around(image, result.position, self._level(windows.size // 2 * SEARCHED))
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

    def candidates(self, image: Image, background: Background, level: float) -> Candidates:
        """Where the network sees more than noise, in the whole image.

        Args:
            image: (h, w) uint8 or uint16.
            background: of it.
            level: least logit.
        """
        pieces = self._everywhere(Normalised(image, background, self._network))
        return self._gather(image, pieces, level)

    def around(self, image: Image, centre: Array, level: float) -> Candidates:
        """Where the network sees more than noise, near places (n, 2) u, v.

        Level and noise are those of each window, so nothing else of the image is touched.
        """
        network = self._network
        side = network.field + -(-(2 * REACH + 1) // network.stride) * network.stride
        corner = np.floor((centre - REACH) / network.stride).astype(np.int64)
        corner = corner * network.stride - network.margin
        index = corner[:, :, None] + np.arange(side)
        size = np.array([image.shape[1], image.shape[0]])[:, None]
        inside = (index >= 0) & (index < size)
        columns, rows = np.clip(index, 0, size - 1).swapaxes(0, 1)
        pixels = image[rows[:, :, None], columns[:, None, :]].astype(np.float32)
        count = len(pixels)
        middle, noise = local_background(pixels.reshape(count, -1))
        pixels -= middle[:, None, None].astype(np.float32)
        pixels *= (1.0 / noise)[:, None, None].astype(np.float32)
        np.clip(pixels, network.lowest, network.highest, out=pixels)
        pixels *= inside[:, 1, :, None] & inside[:, 0, None, :]
        batch = np.zeros((-(-count // REPEAT) * REPEAT, 1, side, side), np.float32)
        batch[:count, 0] = pixels
        logits = self._windows(batch)
        places: list[Corner] = [(u, v) for u, v in corner.tolist()]
        pieces = ((place, logits[n : n + 1]) for n, place in enumerate(places))
        return self._gather(image, pieces, level)

    def _gather(
        self, image: Image, pieces: Iterable[tuple[Corner, Float32]], level: float
    ) -> Candidates:
        """Local maxima of all pieces, each at the brightest place near it."""
        parts = [
            _peaks(logits, level, self._network, corner)
            for corner, logits in pieces
            if logits[:, 0].max() > level
        ]
        if not parts:
            return Candidates(np.zeros((0, 2)), *np.zeros((3, 0), np.float32))
        cells, logit, shape = (np.concatenate(values) for values in zip(*parts, strict=True))
        inside = np.all((cells > -0.5) & (cells < np.array(image.shape[::-1]) - 0.5), axis=1)
        position, light = _brightest(image, cells[inside])
        order = np.argsort(-light, kind='stable')
        return Candidates(position[order], light[order], logit[inside][order], shape[inside][order])

    def _everywhere(self, pixels: Normalised) -> Iterator[tuple[Corner, Float32]]:
        """Logits of tiles that cover the image."""
        height, width = pixels.shape
        network = self._network
        rows, columns = (_tile(length, LARGEST_TILE, network.stride) for length in (height, width))
        border = network.field - network.stride
        batch = np.empty((1, 1, rows + border, columns + border), np.float32)
        for top in range(0, height, rows):
            for left in range(0, width, columns):
                corner = (left - network.margin, top - network.margin)
                pixels.cut(corner, batch[0, 0])
                yield corner, self._tiles(batch)


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


class Normalised:
    """Pixels less the background, over the noise, clipped, as the network wants them."""

    def __init__(self, image: Image, background: Background, network: Network) -> None:
        self._image = image
        self.shape = (image.shape[0], image.shape[1])
        self._limits = (network.lowest, network.highest)
        self._level = _coarse(background, background.level)
        self._inverse = _coarse(background, 1.0 / background.noise)

    def cut(self, corner: Corner, out: Float32) -> None:
        """Write the piece whose upper left pixel is ``corner`` (u, v); zeros beyond the image."""
        height, width = self.shape
        left, top = max(corner[0], 0), max(corner[1], 0)
        right = min(corner[0] + out.shape[1], width)
        bottom = min(corner[1] + out.shape[0], height)
        out.fill(0.0)
        if right <= left or bottom <= top:
            return
        area = (left, top, right, bottom)
        inner = out[top - corner[1] : bottom - corner[1], left - corner[0] : right - corner[0]]
        piece = cv2.subtract(
            self._image[top:bottom, left:right].astype(np.float32), _fine(self._level, area)
        )
        cv2.multiply(piece, _fine(self._inverse, area), dst=piece)
        np.clip(piece, *self._limits, out=inner)


def _tile(length: int, largest: int, stride: int) -> int:
    """Side of equal tiles that cover ``length``, whole cells."""
    number = -(-length // largest)
    return -(-length // (number * stride)) * stride


def _coarse(background: Background, grid: Float32) -> Float32:
    """A grid of tiles at the centres of blocks of 8 x 8 pixels, two blocks beyond the image."""
    height, width = background.shape
    rows, columns = (-(-length // COARSE) + 2 for length in (height, width))
    v = (np.arange(rows) - 0.5) * COARSE - 0.5
    u = (np.arange(columns) - 0.5) * COARSE - 0.5
    place_v = np.clip((v + 0.5) / background.tile[0] - 0.5, 0.0, grid.shape[0] - 1.0)
    place_u = np.clip((u + 0.5) / background.tile[1] - 0.5, 0.0, grid.shape[1] - 1.0)
    x, y = np.meshgrid(place_u.astype(np.float32), place_v.astype(np.float32))
    result: Float32 = cv2.remap(
        grid.astype(np.float32), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return result


def _fine(coarse: Float32, area: tuple[int, int, int, int]) -> Float32:
    """The pixels of ``area`` (left, top, right, bottom) from every 8th."""
    left, top, right, bottom = area
    j0, i0 = left // COARSE, top // COARSE
    j1, i1 = -(-right // COARSE) + 2, -(-bottom // COARSE) + 2
    block = coarse[i0:i1, j0:j1]
    full = cv2.resize(block, None, fx=COARSE, fy=COARSE, interpolation=cv2.INTER_LINEAR)
    u, v = left - (j0 - 1) * COARSE, top - (i0 - 1) * COARSE
    result: Float32 = full[v : v + bottom - top, u : u + right - left]
    return result


def _peaks(
    logits: Float32, level: float, network: Network, corner: Corner
) -> tuple[Array, Float32, Float32]:
    """Local maxima above ``level``: centres (k, 2) u, v, logits, and the second logits."""
    heat, shape = logits[0]
    largest = cv2.dilate(heat, np.ones((APART, APART), np.uint8))
    row, column = np.nonzero((heat >= largest) & (heat > level))
    likeliest = cv2.dilate(shape, np.ones((3, 3), np.uint8))
    cells = np.stack([column, row], axis=1)
    middle = network.margin + (network.stride - 1) / 2.0
    place = cells * network.stride + middle + np.asarray(corner, np.float64)
    return np.asarray(place, np.float64), heat[row, column], likeliest[row, column]


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
