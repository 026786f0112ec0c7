# SPDX-License-Identifier: Apache-2.0
"""Which camera is believed: calibration file, camera_info, parameters, or what the stars told."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from meta_repo_ros.starnav.camera import Camera, CameraError, from_camera_info, from_field_of_view
from meta_repo_ros.starnav.parameters import CameraParameters
from meta_repo_ros.starnav.types import Match

_LEARN_STARS = 8
_DOUBT_AFTER = 3  # images in a row that were not solved
_FORGET_AFTER = 5  # images in a row that a camera found by itself did not solve


class CameraBook:
    """What is known of the camera.

    Args:
        parameters: of the group ``camera``.
        calibrated: camera of the calibration file, None without one.

    Attributes:
        problem: why the last camera_info is not used, '' for no reason.
        received: camera_info messages.
        refused: those not used.
        learned: found by itself, None while not.
        contradicted: why the stated camera is not used: the stars found another one; '' where not.
    """

    def __init__(self, parameters: CameraParameters, calibrated: Camera | None = None) -> None:
        self.parameters = parameters
        self.calibrated = calibrated
        self.problem = ''
        self.received = self.refused = 0
        self.learned: Camera | None = None
        self.contradicted = ''
        self._content: tuple[Any, ...] = ()
        self._from_info: Camera | None = None
        self._failures = 0

    def take_info(self, info: Any) -> None:
        """Take a ``sensor_msgs/CameraInfo``."""
        self.received += 1
        p = self.parameters
        try:
            content = _content(info)
            if content == self._content:
                self.refused += bool(self.problem)
                return
            self._content = content
            self._from_info = from_camera_info(
                info, readout_time=p.readout_time, focal_sigma=p.focal_sigma
            )
            self.problem = ''
        except (CameraError, ValueError, TypeError, OverflowError) as error:
            self._from_info = None
            self.refused += 1
            text = str(error)
            self.problem = text if text.startswith('camera_info') else f'camera_info: {text}'

    def current(self, width: int, height: int) -> tuple[Camera | None, str]:
        """The camera for images of this size, None where unknown, and where it comes from."""
        size = (width, height)
        learned = self.learned
        fits = learned is not None and (learned.width, learned.height) == size
        if fits and self.contradicted:
            return learned, 'found by itself'
        known = ((self.calibrated, 'calibration file'), (self._from_info, 'camera_info'))
        for camera, source in known:
            if camera is not None and (camera.width, camera.height) == size:
                return camera, source
        p = self.parameters
        if p.field_of_view > 0.0 and min(size) > 0:
            camera = from_field_of_view(
                width, height, p.field_of_view, pixel_aspect=p.pixel_aspect,
                focal_sigma=p.focal_sigma, readout_time=p.readout_time,
            )  # fmt: skip
            return camera, 'parameters'
        if fits:
            return learned, 'found by itself'
        return None, 'unknown'

    def mismatch(self, width: int, height: int) -> str:
        """Why camera_info is not used for images of this size, '' where it is or there is none."""
        if self.contradicted:
            return self.contradicted
        camera = self._from_info
        if camera is None or (camera.width, camera.height) == (width, height):
            return self.problem
        return f'camera_info is of {camera.width}x{camera.height} px, images of {width}x{height} px'

    @property
    def doubtful(self) -> bool:
        """Whether the next image is to be solved as if nothing were known of the camera.

        A camera stated wrongly solves no image: now and then one is looked at without it.
        """
        return self._failures > 0 and self._failures % _DOUBT_AFTER == 0

    def take_match(self, camera: Camera | None, match: Match, *, was_known: bool) -> None:
        """Learn from an image: a camera that was not known, or one that no longer fits."""
        if match.solved:
            stated = None
            if not was_known and camera is not None:
                stated, source = self.current(camera.width, camera.height)
            self._failures = 0
            if stated is not None and camera is not None and not _differ(stated, camera):
                return
            if not was_known and camera is not None and len(match.star) >= _LEARN_STARS:
                sigma = camera.focal_sigma if math.isfinite(camera.focal_sigma) else 0.01
                self.learned = dataclasses.replace(
                    camera,
                    focal_sigma=max(sigma, self.parameters.focal_sigma),
                    readout_time=self.parameters.readout_time,
                )
                if stated is not None and source != 'found by itself':
                    self.contradicted = (
                        f'{source} contradicts the stars: focal length {stated.fx:.1f} px, '
                        f'but they are seen with {camera.fx:.1f} px'
                    )
            return
        self._failures += 1
        if self._failures >= _FORGET_AFTER:
            self.learned, self.contradicted = None, ''


def _differ(stated: Camera, found: Camera) -> bool:
    """Whether the stars tell another focal length, beyond both errors and a part in a hundred."""
    sigma = math.hypot(stated.focal_sigma, min(found.focal_sigma, 0.01))
    return abs(found.fx / stated.fx - 1.0) > max(5.0 * sigma, 0.01)


def _content(info: Any) -> tuple[Any, ...]:
    """What makes a camera, to be compared: drivers repeat it with each image."""
    roi = info.roi
    return (
        int(info.width), int(info.height), str(info.distortion_model),
        tuple(float(value) for value in info.d), tuple(float(value) for value in info.k),
        int(info.binning_x), int(info.binning_y), int(roi.x_offset), int(roi.y_offset),
        int(roi.width), int(roi.height),
    )  # fmt: skip
