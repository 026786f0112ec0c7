# SPDX-License-Identifier: Apache-2.0
"""Messages of the simulated star camera: its exposures, images and camera_info."""

from __future__ import annotations

import array
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, Image

from meta_repo_ros.core.processor import Topic
from meta_repo_ros.core.time import set_stamp, stamp_ns
from meta_repo_ros.msg import SkyExposure
from meta_repo_ros.simulation.sky.exposure import Exposure
from meta_repo_ros.starnav.camera import Camera, camera_info_fields

FRAME = 'star_camera_optical_frame'
EXPOSURE = Topic('star_camera/exposure', 'meta_repo_ros/msg/SkyExposure', 'STATE')
IMAGE = Topic('star_camera/image', 'sensor_msgs/msg/Image', 'BULK')
CAMERA_INFO = Topic('star_camera/camera_info', 'sensor_msgs/msg/CameraInfo', 'BULK')

_PIECE = bytes(1 << 20)
_XYZW = [1, 2, 3, 0]
_WXYZ = [3, 0, 1, 2]


def exposure_message(exposure: Exposure) -> SkyExposure:
    """``exposure`` as a message."""
    message = SkyExposure()
    set_stamp(message.header.stamp, exposure.stamp)
    message.header.frame_id = FRAME
    message.sequence = exposure.sequence
    message.exposure, message.gain = float(exposure.duration), float(exposure.gain)
    message.knot_time = array.array('d', np.asarray(exposure.knot_time, dtype=float).tobytes())
    knots = np.asarray(exposure.knot_orientation, dtype=float)[:, _XYZW]
    message.knot_orientation = array.array('d', knots.tobytes())
    message.latitude, message.longitude = float(exposure.latitude), float(exposure.longitude)
    message.altitude = float(exposure.altitude)
    velocity = message.velocity
    velocity.x, velocity.y, velocity.z = (float(c) for c in exposure.velocity)
    message.pressure, message.temperature = float(exposure.pressure), float(exposure.temperature)
    return message


def exposure_from(message: Any) -> Exposure:
    """The exposure of a ``SkyExposure`` message.

    Raises:
        ValueError: its knots or numbers make no exposure.
    """
    time = np.asarray(message.knot_time, dtype=float)
    knots = np.asarray(message.knot_orientation, dtype=float)
    if not len(time) or len(knots) != 4 * len(time):
        raise ValueError(
            f'SkyExposure has {len(time)} knot times and {len(knots)} numbers of orientation; '
            'four belong to each time, and one knot is the least'
        )
    knots = knots.reshape(-1, 4)[:, _WXYZ]
    if not np.allclose(np.linalg.norm(knots, axis=1), 1.0, atol=1e-3):
        raise ValueError('SkyExposure: an orientation is not a unit quaternion')
    if not (np.isfinite(time).all() and (np.diff(time) > 0.0).all()):
        raise ValueError('SkyExposure: knot times do not ascend')
    duration, gain = float(message.exposure), float(message.gain)
    if not (0.0 < duration <= 60.0 and 0.0 < gain <= 1e6):
        raise ValueError(f'SkyExposure: exposure {duration} s or gain {gain} cannot be')
    v = message.velocity
    return Exposure(
        stamp=stamp_ns(message.header.stamp),
        sequence=int(message.sequence),
        duration=duration,
        gain=gain,
        knot_time=time,
        knot_orientation=knots,
        latitude=float(message.latitude),
        longitude=float(message.longitude),
        altitude=float(message.altitude),
        velocity=np.array((v.x, v.y, v.z)),
        pressure=float(message.pressure),
        temperature=float(message.temperature),
    )


def image_buffer(camera: Camera, bits: int) -> tuple[array.array[int], NDArray[Any]]:
    """Memory for an image's ``data``, and the array (h, w) that is it."""
    kind = np.dtype(np.uint8 if bits <= 8 else np.uint16)
    # piece by piece: an array in one go would hold the interpreter for many milliseconds
    size = camera.width * camera.height * kind.itemsize
    memory = array.array('B')
    for start in range(0, size, len(_PIECE)):
        memory.frombytes(_PIECE[: size - start])
    view = np.frombuffer(memory, dtype=kind).reshape(camera.height, camera.width)
    return memory, view


def image_message(memory: array.array[int], view: NDArray[Any], stamp: int) -> Image:
    """Message of an image made by :func:`image_buffer`; the memory is taken, not copied.

    Args:
        memory: that of ``view``.
        view: (h, w) uint8 or uint16 of this machine's byte order.
        stamp: ns.
    """
    message = _unchecked()
    set_stamp(message.header.stamp, stamp)
    message.header.frame_id = FRAME
    message.height, message.width = view.shape
    message.encoding = 'mono8' if view.dtype == np.uint8 else 'mono16'
    message.is_bigendian = int(not np.little_endian)
    message.step = view.strides[0]
    message.data = memory
    return message


def _unchecked() -> Image:
    """An image whose setter of ``data`` takes an array as it is."""
    try:
        # with this option off, as it is by default, the setter copies what it is given
        return Image(check_fields=True)
    except (TypeError, AssertionError):
        return Image()


def camera_info_message(camera: Camera, stamp: int) -> CameraInfo:
    """``camera`` as a message."""
    message = CameraInfo()
    set_stamp(message.header.stamp, stamp)
    message.header.frame_id = FRAME
    for name, value in camera_info_fields(camera).items():
        setattr(message, name, value)
    return message
