# SPDX-License-Identifier: Apache-2.0
"""Parameters of the node starnav: the users' keys under ``starnav_core``, then our own groups."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from meta_repo_ros.core.parameters import group, parameter
from meta_repo_ros.starnav.celestial_types import CelestialParameters
from meta_repo_ros.starnav.cross_check import CrossCheckParameters
from meta_repo_ros.starnav.detection.parameters import DetectionParameters
from meta_repo_ros.starnav.filter_parameters import FilterParameters

_SIZE = re.compile(r'([1-9]\d{0,4})x([1-9]\d{0,4})')


@dataclass(frozen=True)
class StarDatabaseParameters:
    """Star catalogue."""

    catalog: str = parameter('hipparcos', 'Star catalogue.', choices=('hipparcos',), read_only=True)
    magnitude_limit: float = parameter(
        6.0, 'Faintest stars of the catalogue that are used, Hp.', unit='mag', minimum=2.0,
        maximum=8.0, read_only=True,
    )  # fmt: skip
    update_interval: float = parameter(
        86400.0, 'Time after which the stars are moved to the date again.', unit='s', minimum=1.0
    )


@dataclass(frozen=True)
class CameraKeys:
    """What the camera is said to be; images that differ are used and noted in the diagnostics."""

    resolution: str = parameter('4096x4096', 'Width and height of the images.', unit='px')
    bit_depth: int = parameter(16, 'Bits of a pixel.', choices=(8, 10, 12, 14, 16))
    exposure_range: tuple[float, ...] = parameter(
        (0.1, 10.0), 'Shortest and longest exposure.', unit='s', minimum=0.0, size=2
    )
    gain_range: tuple[float, ...] = parameter(
        (1.0, 1000.0), 'Lowest and highest gain.', minimum=0.0, size=2
    )

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, pixels."""
        width, height = self.resolution.split('x')
        return int(width), int(height)

    def __post_init__(self) -> None:
        if not _SIZE.fullmatch(self.resolution):
            raise ValueError(
                f'starnav_core.camera.resolution must be WIDTHxHEIGHT, such as 4096x4096; '
                f'got {self.resolution!r}'
            )
        for name in ('exposure_range', 'gain_range'):
            low, high = getattr(self, name)
            if not 0.0 < low <= high:
                raise ValueError(
                    f'starnav_core.camera.{name} must rise from above 0, got {low} to {high}'
                )


@dataclass(frozen=True)
class ProcessingParameters:
    """Methods."""

    star_detection_algorithm: str = parameter(
        'deep_learning', 'How stars are found in an image.',
        choices=('deep_learning', 'threshold', 'matched_filter'),
    )  # fmt: skip
    position_calculation_method: str = parameter(
        'least_squares', 'How position comes from stars and the vertical.',
        choices=('least_squares',),
    )  # fmt: skip
    attitude_estimation: str = parameter(
        'extended_kalman_filter',
        'extended_kalman_filter: with the gyroscope, at update_rate; least_squares: each image '
        'by itself.',
        choices=('extended_kalman_filter', 'least_squares'),
    )  # fmt: skip


@dataclass(frozen=True)
class AccuracyParameters:
    """What is asked for; diagnostics say what is reached."""

    position_accuracy: float = parameter(
        1.0, 'Position asked for. Stars and the vertical do not reach this: see docs/starnav.md.',
        unit='m', minimum=1e-3,
    )  # fmt: skip
    attitude_accuracy: float = parameter(
        0.01, 'Attitude asked for, about each axis, 3 sigma.', unit='deg', minimum=1e-6
    )
    update_rate: float = parameter(
        100.0, 'Rate of the filtered attitude.', unit='Hz', minimum=1.0, maximum=1000.0,
        read_only=True,
    )  # fmt: skip


@dataclass(frozen=True)
class StarNavCoreParameters:
    """The users' keys."""

    star_database: StarDatabaseParameters = group(StarDatabaseParameters)
    camera: CameraKeys = group(CameraKeys)
    processing: ProcessingParameters = group(ProcessingParameters)
    accuracy: AccuracyParameters = group(AccuracyParameters)


@dataclass(frozen=True)
class CameraParameters:
    """The camera, where star_camera/camera_info does not say it."""

    calibration_file: str = parameter(
        '', 'File written by starnav/calibrate; stands above everything else.'
    )
    calibration_directory: str = parameter(
        '', 'Where starnav/calibrate writes; empty: $ROS_HOME/camera_info, by ~/.ros.'
    )
    field_of_view: float = parameter(
        0.0, 'Horizontal field of view where camera_info is missing; 0: unknown, found by itself.',
        unit='deg', minimum=0.0, maximum=179.0,
    )  # fmt: skip
    focal_sigma: float = parameter(
        1e-3, 'Relative standard deviation of the focal length.', minimum=0.0, maximum=1.0
    )
    pixel_aspect: float = parameter(
        1.0, 'Height over width of a pixel where camera_info is missing.', minimum=0.1,
        maximum=10.0,
    )  # fmt: skip
    readout_time: float = parameter(
        0.0, 'From the first row to the last one; 0: global shutter, negative: last row first.',
        unit='s', minimum=-1.0, maximum=1.0,
    )  # fmt: skip
    exposure: float = parameter(
        0.2,
        'Exposure, for mean attitude and smear; 0 for a camera that stands still.',
        unit='s',
        minimum=0.0,
        maximum=60.0,
    )
    smear_error: float = parameter(
        0.1, 'Error of a centroid along the smear of a turning camera, share of its length.',
        minimum=0.0, maximum=1.0,
    )  # fmt: skip
    camera_to_body: tuple[float, ...] = parameter(
        (0.0, 0.0, math.sqrt(0.5), math.sqrt(0.5)),
        'Quaternion x y z w that rotates optical axes into body axes. Default: the camera looks '
        'up, the top of the image is forward.',
        size=4,
    )  # fmt: skip

    def __post_init__(self) -> None:
        norm = math.sqrt(sum(c * c for c in self.camera_to_body))
        if abs(norm - 1.0) > 1e-3:
            raise ValueError(
                f'camera.camera_to_body must be a unit quaternion x y z w, its norm is {norm:.4g}'
            )


@dataclass(frozen=True)
class IdentificationParameters:
    """Finding out which stars they are."""

    timeout: float = parameter(
        1.0, 'Longest search of one image.', unit='s', minimum=0.01, maximum=60.0
    )
    tracking: bool = parameter(
        True, 'Search around predicted stars alone while the filter knows the attitude well.'
    )
    hint_limit: float = parameter(
        2.0, 'A predicted attitude with a greater standard deviation is no hint.', unit='deg',
        minimum=0.01, maximum=10.0,
    )  # fmt: skip
    hint_margin: float = parameter(
        0.003, 'Added to the standard deviation of a prediction: mounting, time stamps.',
        unit='deg', minimum=0.0, maximum=5.0,
    )  # fmt: skip
    full_frame_interval: float = parameter(
        10.0, 'The whole image is searched at least that often.', unit='s', minimum=0.0
    )
    max_windows: int = parameter(
        60, 'Windows around the brightest predicted stars.', minimum=8, maximum=1000
    )


@dataclass(frozen=True)
class ImageParameters:
    """Which images are taken."""

    max_delay: float = parameter(
        10.0, 'An image whose stamp is older at its receipt is refused.', unit='s', minimum=0.1
    )
    future_tolerance: float = parameter(
        0.05, 'An image whose stamp is further ahead of its receipt is refused.', unit='s',
        minimum=0.0,
    )  # fmt: skip
    latency: float = parameter(
        0.4, 'Time that an image takes; offline its result comes so long after it.', unit='s',
        minimum=0.0, maximum=60.0,
    )  # fmt: skip
    report_elapsed: bool = parameter(
        False, 'Write the time taken into starnav/stars; runs of one bag then differ in it.'
    )
    annotate: bool = parameter(False, 'Publish starnav/annotated.')
    grid: bool = parameter(True, 'Lines of right ascension and declination in it.')


@dataclass(frozen=True)
class EnvironmentParameters:
    """Where the camera is, for the light's way through the air, and its own velocity."""

    latitude: float = parameter(
        0.0, 'Used while GNSS is silent and position_known is set.', unit='deg', minimum=-90.0,
        maximum=90.0,
    )  # fmt: skip
    longitude: float = parameter(0.0, 'As latitude.', unit='deg', minimum=-180.0, maximum=180.0)
    altitude: float = parameter(0.0, 'As latitude, above the ellipsoid.', unit='m')
    position_known: bool = parameter(
        False, 'Whether latitude, longitude and altitude hold before the first fix.'
    )
    refraction: bool = parameter(True, 'Correct refraction where position and attitude allow it.')
    position_lifetime: float = parameter(
        600.0, 'A position older than this is no longer used.', unit='s', minimum=1.0
    )


@dataclass(frozen=True)
class FrameParameters:
    """Frames."""

    body: str = parameter('base_link', 'Body frame of attitudes.', read_only=True)
    camera: str = parameter(
        'star_camera_optical_frame', 'Frame that images must have; empty: any.', read_only=True
    )


@dataclass(frozen=True)
class StarNavParameters:
    """All of starnav."""

    starnav_core: StarNavCoreParameters = group(StarNavCoreParameters)
    camera: CameraParameters = group(CameraParameters)
    image: ImageParameters = group(ImageParameters)
    detection: DetectionParameters = group(DetectionParameters)
    identification: IdentificationParameters = group(IdentificationParameters)
    filter: FilterParameters = group(FilterParameters)
    environment: EnvironmentParameters = group(EnvironmentParameters)
    celestial: CelestialParameters = group(CelestialParameters)
    cross_check: CrossCheckParameters = group(CrossCheckParameters)
    frames: FrameParameters = group(FrameParameters)
