# SPDX-License-Identifier: Apache-2.0
"""Parameters of star detection."""

from __future__ import annotations

from dataclasses import dataclass

from meta_repo_ros.core.parameters import parameter


@dataclass(frozen=True)
class DetectionParameters:
    """What counts as a star."""

    false_per_image: float = parameter(
        0.01, 'Expected false stars from noise alone in one image; sets the least signal to noise.',
        minimum=1e-9, maximum=100.0,
    )  # fmt: skip
    pixel_sigma: float = parameter(
        4.5, 'Method threshold: a candidate has a pixel that much above the background.',
        unit='sigma', minimum=2.5, maximum=50.0,
    )  # fmt: skip
    psf_fwhm: float = parameter(
        0.0, 'Full width at half maximum of a star image; 0 measures it in each image.',
        unit='px', minimum=0.0, maximum=30.0,
    )  # fmt: skip
    max_fwhm: float = parameter(
        12.0, 'Stars wider than this make the image a blurred one.',
        unit='px', minimum=2.0, maximum=50.0,
    )  # fmt: skip
    max_stars: int = parameter(300, 'The brightest so many are given.', minimum=4, maximum=10000)
    tile: int = parameter(
        64, 'Side of the tiles of background and noise; large images take a 32nd of theirs.',
        unit='px', minimum=16, maximum=512,
    )  # fmt: skip
    window_half: int = parameter(
        12, 'Windows around predicted stars reach that far from their centre.',
        unit='px', minimum=6, maximum=100,
    )  # fmt: skip
    saturation: float = parameter(
        0.0, 'Level at which the camera saturates; 0 takes it from the image.',
        unit='counts', minimum=0.0, maximum=65535.0,
    )  # fmt: skip
    electrons_per_count: float = parameter(
        0.0, 'Gain of the camera, for photon noise; 0 estimates it from background and noise.',
        minimum=0.0,
    )  # fmt: skip
    centroid_floor: float = parameter(
        0.01, 'Standard deviation of centroids that no amount of light goes below, per axis.',
        unit='px', minimum=0.0, maximum=5.0,
    )  # fmt: skip
    max_elongation: float = parameter(
        2.0, 'Blobs longer than that, against the other stars, are streaks.',
        minimum=1.2, maximum=20.0,
    )  # fmt: skip
    reject_artefacts: bool = parameter(
        True, 'Drop hot pixels, streaks and extended objects; off for tests of the detector alone.'
    )
