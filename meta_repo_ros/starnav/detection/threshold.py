# SPDX-License-Identifier: Apache-2.0
"""Star detection by threshold: candidates are blobs with a pixel well above the local background.

The fastest method. A star whose brightest pixel does not reach ``pixel_sigma`` is not found.
"""

from __future__ import annotations

import numpy as np

from meta_repo_ros.starnav.detection import candidates, measure
from meta_repo_ros.starnav.detection.background import estimate
from meta_repo_ros.starnav.detection.parameters import DetectionParameters
from meta_repo_ros.starnav.image import Image, check, full_scale
from meta_repo_ros.starnav.types import Array, Centroids

MOST_BRIGHT = 0.05  # share of the pixels; more are no stars


class ThresholdDetector:
    """Method ``threshold``."""

    def __init__(self, parameters: DetectionParameters | None = None) -> None:
        """Keep the parameters; None takes the defaults."""
        self.parameters = parameters or DetectionParameters()

    def detect(self, image: Image, windows: Array | None = None) -> Centroids:
        """Find stars; see :class:`meta_repo_ros.starnav.detection.Detector`."""
        image = np.ascontiguousarray(check(image))
        background = estimate(image, self.parameters.tile)
        saturation = self.parameters.saturation or full_scale(image)
        sigma = self.parameters.pixel_sigma
        most = int(MOST_BRIGHT * image.size) + 100
        index = candidates.above(image, background, background.noise, sigma, most)
        if len(index) > most:
            return measure.empty(image, background, 'too many bright pixels')
        blobs = candidates.blobs_of(image, index, background, sigma, saturation)
        result = measure.stars(
            image, background, blobs.position, self.parameters,
            sigma=measure.blob_sigma(blobs), saturation=saturation,
        )  # fmt: skip
        if windows is None:
            return result
        near = np.zeros(len(result), bool)
        for u, v in np.asarray(windows, float):
            offset = np.abs(result.position - (u, v)).max(axis=1)
            if len(offset) and offset.min() <= self.parameters.window_half:
                near[np.argmin(offset)] = True
        return Centroids(
            result.position[near], result.covariance[near], result.flux[near], result.snr[near],
            result.saturated[near], result.width, result.height, result.background,
            result.noise, result.rejected, result.problem,
        )  # fmt: skip
