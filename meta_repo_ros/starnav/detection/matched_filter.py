# SPDX-License-Identifier: Apache-2.0
"""Star detection by matched filter: candidates stand out after correlation with a star image.

In white noise no linear method finds fainter stars of a known width; costs one more pass over the
image.
"""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np

from meta_repo_ros.starnav.detection import candidates
from meta_repo_ros.starnav.detection.background import Float32
from meta_repo_ros.starnav.detection.measure import least_snr, stars
from meta_repo_ros.starnav.detection.parameters import DetectionParameters
from meta_repo_ros.starnav.detection.survey import Survey, survey
from meta_repo_ros.starnav.detection.windows import track
from meta_repo_ros.starnav.image import Image
from meta_repo_ros.starnav.types import Array, Centroids

MARGIN = 0.4  # candidates begin that much below the least signal to noise: the filter is sampled
SCALE = 16  # 8-bit images are widened, so that rounding after the filter does no harm


class MatchedFilterDetector:
    """Method ``matched_filter``."""

    def __init__(self, parameters: DetectionParameters | None = None) -> None:
        """Keep the parameters; None takes the defaults."""
        self.parameters = parameters or DetectionParameters()

    def detect(self, image: Image, windows: Array | None = None) -> Centroids:
        """Find stars; see :class:`meta_repo_ros.starnav.detection.Detector`."""
        if windows is not None:
            return track(image, windows, self.parameters)
        look = survey(image, self.parameters)
        least = least_snr(look.image.size, look.sigma, self.parameters.false_per_image)
        more = None if look.problem else peaks(look, least - MARGIN)
        return stars(look, self.parameters, more)


def peaks(look: Survey, least: float) -> Array:
    """Maxima (n, 2) u, v of the image filtered with a star image, brightest first.

    Args:
        look: of the image.
        least: signal to noise of the maxima.
    """
    image, background = look.image, look.background
    if image.dtype == np.uint8:
        image = cv2.multiply(image, SCALE, dtype=cv2.CV_16U)
        background = dataclasses.replace(
            background, level=background.level * SCALE, noise=background.noise * SCALE
        )
    side = 2 * round(2.5 * look.sigma) + 1
    filtered = cv2.GaussianBlur(image, (side, side), look.sigma)
    kernel = cv2.getGaussianKernel(side, look.sigma).ravel()
    noise: Float32 = background.noise * np.float32((kernel**2).sum())
    most = image.size // 50 + 200
    index = candidates.above(filtered, background, noise, least, most)[:most]
    blobs = candidates.blobs_of(filtered, index, background, least, np.inf)
    return blobs.peak_position.astype(float)
