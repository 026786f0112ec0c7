# SPDX-License-Identifier: Apache-2.0
"""What the simulated star camera is like: geometry, optics, electronics, sky."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from meta_repo_ros.core import rotations
from meta_repo_ros.core.parameters import group, parameter
from meta_repo_ros.core.rotations import Quaternion
from meta_repo_ros.starnav.camera import MODELS, Camera, from_field_of_view


@dataclass(frozen=True)
class Optics:
    """Lens: how much light it takes and how it images a star."""

    aperture: float = parameter(
        0.03, 'Diameter of the aperture.', unit='m', minimum=1e-4, maximum=2.0
    )
    transmission: float = parameter(
        0.7, 'Share of the light that passes.', unit='1', minimum=0.0, maximum=1.0
    )
    zero_point: float = parameter(
        2e10, 'Light of a star of magnitude 0 (Hp) above the air, over the band of the sensor.',
        unit='photons/s/m2', minimum=0.0,
    )  # fmt: skip
    psf: str = parameter('gaussian', 'Image of a star.', choices=('gaussian', 'moffat'))
    psf_sigma: float = parameter(
        1.2, 'Its width; of a Moffat profile, that of the Gaussian of the same FWHM.',
        unit='pixels', minimum=0.2, maximum=50.0,
    )  # fmt: skip
    psf_growth: float = parameter(
        0.0, 'Growth of the width from the centre to the corners.', unit='1', minimum=-0.8,
        maximum=10.0,
    )  # fmt: skip
    moffat_beta: float = parameter(3.0, 'Exponent of a Moffat profile.', minimum=1.5, maximum=20.0)
    defocus: float = parameter(
        0.0, 'Radius of the disc of a point out of focus.', unit='pixels', minimum=0.0, maximum=50.0
    )
    vignetting: float = parameter(
        0.2, 'Loss of light in the corners.', unit='1', minimum=0.0, maximum=1.0
    )
    stray_light: float = parameter(
        1e-9, 'Glare of bodies outside of the axis: share of their light scattered into a pixel 10 '
        'deg away, falling with the square of the angle.', unit='1', minimum=0.0, maximum=1.0,
    )  # fmt: skip


@dataclass(frozen=True)
class Electronics:
    """Sensor and its read-out."""

    quantum_efficiency: float = parameter(
        0.6, 'Electrons per photon.', unit='1', minimum=0.0, maximum=1.0
    )
    electrons_per_count: float = parameter(
        1.0, 'At gain 1.', unit='electrons/count', minimum=1e-3, maximum=1e4
    )
    read_noise: float = parameter(5.0, 'Of a pixel.', unit='electrons', minimum=0.0)
    dark_current: float = parameter(5.0, 'Of a pixel.', unit='electrons/s', minimum=0.0)
    full_well: float = parameter(70000.0, 'Of a pixel.', unit='electrons', minimum=10.0)
    bias: float = parameter(400.0, 'Level without light, at any gain.', unit='counts', minimum=0.0)
    bits: int = parameter(16, 'Of a count; up to 8 give mono8.', minimum=4, maximum=16)
    fixed_pattern: float = parameter(
        1.0, 'Spread of the levels of pixels without light.', unit='counts', minimum=0.0
    )
    column_pattern: float = parameter(
        0.0, 'Spread of the levels of columns.', unit='counts', minimum=0.0
    )
    response: float = parameter(
        0.005, 'Spread of the sensitivity of pixels.', unit='1', minimum=0.0, maximum=0.5
    )
    hot_pixels: int = parameter(0, 'How many pixels glow.', minimum=0, maximum=10_000_000)
    hot_pixel_current: float = parameter(
        20000.0, 'Mean glow of a hot pixel; exponentially distributed.', unit='electrons/s',
        minimum=0.0,
    )  # fmt: skip
    blooming: bool = parameter(
        default=False, description='Whether full pixels overflow along their column (CCD).'
    )
    exact_noise: bool = parameter(
        default=False,
        description='Poisson and normal deviates for every pixel, slow; else Gaussian noise of the '
        'same variance from a field that is used again.',
    )


@dataclass(frozen=True)
class Sky:
    """What lies between the stars and the camera, and what else shines."""

    magnitude_limit: float = parameter(7.5, 'Faintest stars drawn (Hp).', minimum=0.0, maximum=8.0)
    brightness: float = parameter(
        21.5, 'Of the dark sky at the zenith, in V.', unit='mag/arcsec2', minimum=0.0, maximum=50.0
    )
    extinction: float = parameter(
        0.2, 'At the zenith at sea level; falls with the pressure.', unit='mag', minimum=0.0,
        maximum=5.0,
    )  # fmt: skip
    refraction: bool = parameter(default=True, description='Whether the air bends the light.')
    moon: bool = parameter(default=True, description='Moon, where it really is: disc and glow.')
    planets: bool = parameter(default=True, description='Planets, where they really are.')
    twilight: bool = parameter(
        default=True, description='Light of the Sun, where it really is: twilight and day.'
    )
    ground: bool = parameter(
        default=True, description='Whether there is dark ground below the horizon.'
    )
    clouds: float = parameter(
        0.0, 'Share of the sky that is covered.', unit='1', minimum=0.0, maximum=1.0
    )
    cloud_depth: float = parameter(
        3.0, 'Optical depth of thick clouds.', unit='1', minimum=0.0, maximum=100.0
    )
    cloud_height: float = parameter(
        3000.0, 'Height of the clouds above the camera.', unit='m', minimum=10.0, maximum=20000.0
    )
    cloud_size: float = parameter(
        1500.0, 'Size of the largest ones.', unit='m', minimum=1.0, maximum=1e5
    )
    cloud_wind: tuple[float, ...] = parameter((10.0, 3.0), 'East and north.', unit='m/s', size=2)
    cloud_brightness: float = parameter(
        20.0, 'Light that a thick cloud throws back.', unit='mag/arcsec2', minimum=0.0, maximum=30.0
    )
    satellites: float = parameter(
        0.0, 'Mean number of satellites crossing a frame.', minimum=0.0, maximum=100.0
    )
    satellite_magnitude: float = parameter(3.0, 'Brightness of a satellite; spread of 1 mag.')
    satellite_rate: float = parameter(
        0.5, 'How fast it goes over the sky.', unit='deg/s', minimum=0.0, maximum=10.0
    )
    aircraft: float = parameter(
        0.0, 'Mean number of aircraft crossing a frame.', minimum=0.0, maximum=100.0
    )
    aircraft_magnitude: float = parameter(0.0, 'Brightness of an aircraft`s steady light.')
    aircraft_rate: float = parameter(
        1.0, 'How fast it goes over the sky.', unit='deg/s', minimum=0.0, maximum=30.0
    )
    strobe_period: float = parameter(
        1.0, 'Between two flashes of an aircraft; a flash is 50 ms and 3 mag brighter.', unit='s',
        minimum=0.01,
    )  # fmt: skip


@dataclass(frozen=True)
class StarCameraParameters:
    """Parameters of the simulated star camera, of the plug-in and of the node alike."""

    width: int = parameter(1024, 'Pixels.', minimum=16, maximum=4096, read_only=True)
    height: int = parameter(1024, 'Pixels.', minimum=16, maximum=4096, read_only=True)
    field_of_view: float = parameter(
        20.0, 'Horizontal, without distortion.', unit='deg', minimum=0.1, maximum=150.0,
        read_only=True,
    )  # fmt: skip
    pixel_aspect: float = parameter(
        1.0, 'Height over width of a pixel.', minimum=0.1, maximum=10.0, read_only=True
    )
    principal_point: tuple[float, ...] = parameter(
        (0.0, 0.0), 'Where the axis meets the image, right and down of its centre.', unit='pixels',
        size=2, read_only=True,
    )  # fmt: skip
    distortion_model: str = parameter(
        'none', 'As in camera_info.', choices=tuple(MODELS), read_only=True
    )
    distortion: tuple[float, ...] = parameter(
        (), 'Its coefficients, in the order of OpenCV.', read_only=True
    )
    readout_time: float = parameter(
        0.0, 'From the first row to the last; 0 for a global shutter.', unit='s', minimum=-10.0,
        maximum=10.0, read_only=True,
    )  # fmt: skip
    declared_focal_scale: float = parameter(
        1.0, 'Focal length in camera_info over the true one.', minimum=0.5, maximum=2.0,
        read_only=True,
    )  # fmt: skip
    declare_distortion: bool = parameter(
        default=True, description='Whether camera_info tells of the distortion.', read_only=True
    )
    camera_to_body: tuple[float, ...] = parameter(
        (0.0, 0.0, 0.7071067811865476, 0.7071067811865476),
        'Quaternion x y z w that rotates optical axes into body axes. Default: the camera looks '
        'up, the top of the image is forward.', size=4, read_only=True,
    )  # fmt: skip
    exposure: float = parameter(0.2, 'Of a frame.', unit='s', minimum=1e-4, maximum=10.0)
    gain: float = parameter(1.0, 'Over the lowest one.', unit='1', minimum=1.0, maximum=1000.0)
    optics: Optics = group(Optics)
    electronics: Electronics = group(Electronics)
    sky: Sky = group(Sky)

    def __post_init__(self) -> None:
        if not math.isclose(math.hypot(*self.camera_to_body), 1.0, abs_tol=1e-3):
            raise ValueError(
                f'camera_to_body must be a unit quaternion, got {list(self.camera_to_body)}'
            )
        self.camera().check_distortion()

    def camera(self) -> Camera:
        """The true camera.

        Raises:
            starnav.camera.CameraError: no such camera.
        """
        camera = from_field_of_view(
            self.width,
            self.height,
            self.field_of_view,
            pixel_aspect=self.pixel_aspect,
            readout_time=self.readout_time,
        )
        right, down = self.principal_point
        return dataclasses.replace(
            camera,
            cx=camera.cx + right,
            cy=camera.cy + down,
            model=self.distortion_model,
            distortion=self.distortion,
        )

    def declared(self) -> Camera:
        """The camera as camera_info has it."""
        camera = self.camera()
        camera = camera.with_focal_length(camera.fx * self.declared_focal_scale)
        if self.declare_distortion:
            return camera
        return dataclasses.replace(camera, model='none', distortion=())

    def mounting(self) -> Quaternion:
        """``camera_to_body`` as a unit quaternion, w first."""
        x, y, z, w = self.camera_to_body
        return rotations.normalize((w, x, y, z))
