# SPDX-License-Identifier: Apache-2.0
"""Cameras from a field of view or from a ``sensor_msgs/CameraInfo``, and its fields back."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from meta_repo_ros.starnav.camera_model import MODELS, Camera, CameraError

__all__ = [
    'MODELS',
    'Camera',
    'CameraError',
    'camera_info_fields',
    'from_camera_info',
    'from_field_of_view',
]

_ALIASES = {'': 'none', 'fisheye': 'equidistant', 'brown_conrady': 'plumb_bob'}


def from_field_of_view(
    width: int,
    height: int,
    fov_deg: float,
    *,
    pixel_aspect: float = 1.0,
    focal_sigma: float = 0.0,
    readout_time: float = 0.0,
) -> Camera:
    """A camera without distortion whose optical axis meets the centre of the image.

    Args:
        width: pixels.
        height: pixels.
        fov_deg: horizontal field of view, edge to edge, deg.
        pixel_aspect: height over width of a pixel.
        focal_sigma: relative standard deviation of the focal length; ``inf`` where the field of
            view is a guess.
        readout_time: s from the first row to the last one.

    Raises:
        CameraError: no such camera.
    """
    if not 0.0 < fov_deg < 180.0:
        raise CameraError(f'field of view must lie between 0 and 180 deg, got {fov_deg}')
    if not 0.1 <= pixel_aspect <= 10.0:
        raise CameraError(f'pixel aspect must lie between 0.1 and 10, got {pixel_aspect}')
    f = 0.5 * width / math.tan(0.5 * math.radians(fov_deg))
    return Camera(
        width,
        height,
        f,
        f / pixel_aspect,
        0.5 * (width - 1),
        0.5 * (height - 1),
        readout_time=readout_time,
        focal_sigma=focal_sigma,
    )


def from_camera_info(
    info: Any,
    image_size: tuple[int, int] | None = None,
    *,
    readout_time: float = 0.0,
    focal_sigma: float = 0.0,
) -> Camera:
    """The camera of raw images by a ``sensor_msgs/CameraInfo``, binning and region applied.

    Args:
        info: object with the fields of the message.
        image_size: width and height of the image that came with it, to be checked.
        readout_time: s from the first row to the last one; the message does not have it.
        focal_sigma: relative; the message does not have it.

    Raises:
        CameraError: not calibrated (K of zeros), not consistent with itself or with the image,
            or of an unknown distortion model.
    """
    k = np.asarray(info.k, dtype=float).ravel()
    width, height = int(info.width), int(info.height)
    if k.size != 9:
        raise CameraError(f'camera_info: K has {k.size} elements instead of 9')
    if not k.any():
        raise CameraError('camera_info: K is zero, the camera is not calibrated')
    if k[1] or k[3] or k[6] or k[7] or k[8] != 1.0:
        raise CameraError('camera_info: K must be [fx 0 cx, 0 fy cy, 0 0 1]; skew is not supported')
    if not width or not height:
        raise CameraError(f'camera_info: image size {width}x{height}; the driver must fill it in')
    fx, cx, fy, cy = float(k[0]), float(k[2]), float(k[4]), float(k[5])
    if not (-width < cx < 2 * width and -height < cy < 2 * height):
        raise CameraError(
            f'camera_info: principal point {cx:g}, {cy:g} is far outside of {width}x{height} '
            'pixels; is the calibration of another resolution?'
        )
    if fx > 0.0 and fy > 0.0 and not 0.1 <= fx / fy <= 10.0:
        raise CameraError(f'camera_info: focal lengths {fx:g} and {fy:g} do not belong together')
    name = str(info.distortion_model)
    model = _ALIASES.get(name.lower(), name)
    distortion = tuple(float(value) for value in info.d)
    if not any(distortion) and model != 'equidistant':
        model, distortion = 'none', ()
    x, y, columns, rows = _region(info, width, height)
    bx, by = max(int(info.binning_x), 1), max(int(info.binning_y), 1)
    camera = Camera(
        columns // bx, rows // by,
        fx / bx, fy / by, (cx - x + 0.5) / bx - 0.5, (cy - y + 0.5) / by - 0.5,
        model, distortion, readout_time, focal_sigma,
    )  # fmt: skip
    if image_size is not None and image_size != (camera.width, camera.height):
        raise CameraError(
            f'camera_info is of {camera.width}x{camera.height} pixels, '
            f'the image has {image_size[0]}x{image_size[1]}'
        )
    camera.check_distortion()
    return camera


def _region(info: Any, width: int, height: int) -> tuple[int, int, int, int]:
    """Offsets and size, before binning, of the part of the sensor that is in the image."""
    roi = info.roi
    x, y = int(roi.x_offset), int(roi.y_offset)
    columns, rows = int(roi.width), int(roi.height)
    if not columns and not rows:
        return 0, 0, width, height
    if not columns or not rows or x + columns > width or y + rows > height:
        raise CameraError(
            f'camera_info: region of {columns}x{rows} pixels at {x}, {y} does not lie within '
            f'{width}x{height}'
        )
    return x, y, columns, rows


def camera_info_fields(camera: Camera) -> dict[str, Any]:
    """Fields of a ``sensor_msgs/CameraInfo`` but its header: width, height, model, d, k, r, p."""
    straight = camera.model == 'none'
    k = camera.matrix
    return {
        'width': camera.width,
        'height': camera.height,
        'distortion_model': 'plumb_bob' if straight else camera.model,
        'd': [0.0] * 5 if straight else list(camera.distortion),
        'k': k.ravel(),
        'r': np.eye(3).ravel(),
        'p': np.hstack((k, np.zeros((3, 1)))).ravel(),
    }
