# SPDX-License-Identifier: Apache-2.0
"""Star detection by threshold: candidates are blobs with a pixel well above the local background.

The fastest method. A star whose brightest pixel does not reach ``pixel_sigma`` is not found.
"""

from __future__ import annotations

from meta_repo_ros.starnav.detection.measure import stars
from meta_repo_ros.starnav.detection.parameters import DetectionParameters
from meta_repo_ros.starnav.detection.survey import survey
from meta_repo_ros.starnav.detection.windows import track
from meta_repo_ros.starnav.image import Image
from meta_repo_ros.starnav.types import Array, Centroids


class ThresholdDetector:
    """Method ``threshold``."""

    def __init__(self, parameters: DetectionParameters | None = None) -> None:
        """Keep the parameters; None takes the defaults."""
        self.parameters = parameters or DetectionParameters()

    def detect(self, image: Image, windows: Array | None = None) -> Centroids:
        """Find stars; see :class:`meta_repo_ros.starnav.detection.Detector`."""
        if windows is not None:
            return track(image, windows, self.parameters)
        return stars(survey(image, self.parameters), self.parameters)
