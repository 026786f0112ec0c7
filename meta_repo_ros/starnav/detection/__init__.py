# SPDX-License-Identifier: Apache-2.0
"""Star detection: three methods behind one interface.

``detector('threshold', DetectionParameters()).detect(image)`` gives :class:`Centroids`. The methods
differ in how they find candidates; background, centroids, covariances and the tests for what is no
star are common (:mod:`.measure`).
"""

from __future__ import annotations

from typing import Protocol

from meta_repo_ros.starnav.detection.parameters import DetectionParameters
from meta_repo_ros.starnav.image import Image
from meta_repo_ros.starnav.types import Array, Centroids

METHODS = ('threshold', 'matched_filter', 'deep_learning')


class Detector(Protocol):
    """Finds stars in an image; keeps nothing from one image to the next."""

    def detect(self, image: Image, windows: Array | None = None) -> Centroids:
        """Find stars.

        Args:
            image: (h, w) uint8 or uint16, 16x16 at least.
            windows: (n, 2) u, v of predicted stars: only windows around them are searched, and
                at most one star is given for each. None searches the whole image.

        Returns:
            Stars, brightest first; with ``problem`` set where the image cannot be used.

        Raises:
            ImageError: not a gray image of 8 or 16 bits, or too small.
        """
        ...


def detector(name: str, parameters: DetectionParameters | None = None) -> Detector:
    """The detector of a method.

    Raises:
        ValueError: no such method.
    """
    chosen = parameters or DetectionParameters()
    # Imported here: the network's runtime is loaded only where it is asked for.
    if name == 'threshold':
        from meta_repo_ros.starnav.detection.threshold import ThresholdDetector  # noqa: PLC0415

        return ThresholdDetector(chosen)
    if name == 'matched_filter':
        from meta_repo_ros.starnav.detection.matched_filter import (  # noqa: PLC0415
            MatchedFilterDetector,
        )

        return MatchedFilterDetector(chosen)
    if name == 'deep_learning':
        from meta_repo_ros.starnav.detection.deep_learning import (  # noqa: PLC0415
            DeepLearningDetector,
        )

        return DeepLearningDetector(chosen)
    raise ValueError(f'no star detection method {name!r}; there are {", ".join(METHODS)}')


__all__ = ['METHODS', 'DetectionParameters', 'Detector', 'detector']
