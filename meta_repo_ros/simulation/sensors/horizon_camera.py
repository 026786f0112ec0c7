# SPDX-License-Identifier: Apache-2.0
"""A camera that sees sky and ground: a small example of an image sensor as a plug-in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, Image

from meta_repo_ros.core import rotations
from meta_repo_ros.core.parameters import parameter
from meta_repo_ros.core.processor import Topic
from meta_repo_ros.simulation.sensors.base import Sample, Sensor, SensorContext, stamped
from meta_repo_ros.simulation.state import VehicleState

_FRAME = 'horizon_camera_optical_frame'
_SKY, _GROUND = 190, 70


@dataclass(frozen=True)
class HorizonCameraParameters:
    """Parameters of the horizon camera."""

    width: int = parameter(160, 'Pixels.', minimum=16, maximum=1920)
    height: int = parameter(120, 'Pixels.', minimum=16, maximum=1080)
    field_of_view: float = parameter(
        90.0, 'Horizontal field of view.', unit='deg', minimum=5.0, maximum=150.0
    )
    noise_sigma: float = parameter(4.0, 'Noise of a pixel.', unit='counts', minimum=0.0)


class HorizonCameraSensor(Sensor):
    """Gives ``horizon_camera/image`` (mono8) and ``horizon_camera/camera_info``.

    Looks along body x; the optical frame has z forward, x right, y down (REP-103). The horizon is
    that of a sphere seen from the height above the ellipsoid; there is no scenery.
    """

    Parameters = HorizonCameraParameters
    topics = (
        Topic('horizon_camera/image', 'sensor_msgs/msg/Image', 'BULK'),
        Topic('horizon_camera/camera_info', 'sensor_msgs/msg/CameraInfo', 'BULK'),
    )
    default_rate: ClassVar[float] = 2.0

    def __init__(self, parameters: HorizonCameraParameters, context: SensorContext) -> None:
        super().__init__(parameters, context)
        p = parameters
        self._focal = 0.5 * p.width / math.tan(math.radians(0.5 * p.field_of_view))
        self._centre = (0.5 * (p.width - 1), 0.5 * (p.height - 1))

    def sample(self, state: VehicleState, rng: np.random.Generator) -> Sequence[Sample]:
        """Take an image."""
        picture = self.draw(state)
        noisy = picture + rng.normal(0.0, self.parameters.noise_sigma, picture.shape)
        picture = np.clip(noisy, 0.0, 255.0).astype(np.uint8)
        image = stamped(Image(), state.stamp, _FRAME)
        image.height, image.width = picture.shape
        image.encoding, image.step = 'mono8', picture.shape[1]
        image.data = picture.tobytes()
        return (
            Sample('horizon_camera/image', image),
            Sample('horizon_camera/camera_info', self._info(state.stamp)),
        )

    def draw(self, state: VehicleState) -> NDArray[np.uint8]:
        """Image (height, width) without noise, smooth at the horizon."""
        p: HorizonCameraParameters = self.parameters
        dip = math.acos(6371e3 / (6371e3 + max(state.altitude, 0.0)))
        # up direction in body axes, then in the optical frame
        x, y, z = rotations.rotate(rotations.conjugate(state.orientation), (0.0, 0.0, 1.0))
        up = (-y, -z, x)
        picture = np.full((p.height, p.width), _SKY, np.uint8)
        ground = self._ground(up, dip)
        if len(ground) >= 3:
            shift = 4  # sub-pixel bits
            points = np.round(np.array(ground) * (1 << shift)).astype(np.int32)
            cv2.fillPoly(picture, [points], _GROUND, cv2.LINE_AA, shift)
        return picture

    def _ground(self, up: tuple[float, float, float], dip: float) -> list[tuple[float, float]]:
        """Corners of the part of the image below the horizon (a straight line here)."""
        p: HorizonCameraParameters = self.parameters
        (cx, cy), f, slope = self._centre, self._focal, math.sin(dip)

        def above(u: float, v: float) -> float:
            return up[0] * (u - cx) + up[1] * (v - cy) + (up[2] + slope) * f

        far = 2.0
        corners = [
            (-far, -far), (p.width + far, -far),
            (p.width + far, p.height + far), (-far, p.height + far),
        ]  # fmt: skip
        inside: list[tuple[float, float]] = []
        for (u0, v0), (u1, v1) in zip(corners, corners[1:] + corners[:1], strict=True):
            h0, h1 = above(u0, v0), above(u1, v1)
            if h0 < 0.0:
                inside.append((u0, v0))
            if h0 * h1 < 0.0:
                t = h0 / (h0 - h1)
                inside.append((u0 + t * (u1 - u0), v0 + t * (v1 - v0)))
        return inside

    def _info(self, stamp: int) -> CameraInfo:
        p: HorizonCameraParameters = self.parameters
        (cx, cy), f = self._centre, self._focal
        info = stamped(CameraInfo(), stamp, _FRAME)
        info.width, info.height = p.width, p.height
        info.distortion_model, info.d = 'plumb_bob', [0.0] * 5
        info.k = [f, 0.0, cx, 0.0, f, cy, 0.0, 0.0, 1.0]
        info.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
        info.p = [f, 0.0, cx, 0.0, 0.0, f, cy, 0.0, 0.0, 0.0, 1.0, 0.0]
        return info
