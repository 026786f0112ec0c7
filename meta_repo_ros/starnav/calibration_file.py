# SPDX-License-Identifier: Apache-2.0
"""Calibration files: YAML as ROS ``camera_calibration_parsers`` writes it, and a block of our own.

Other programs read the camera from it and pass over the block ``star_camera``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import yaml

from meta_repo_ros.core import rotations
from meta_repo_ros.core.rotations import Quaternion
from meta_repo_ros.starnav.camera import Camera, CameraError, camera_info_fields, from_camera_info
from meta_repo_ros.starnav.types import Array

_NO_REGION = SimpleNamespace(x_offset=0, y_offset=0, width=0, height=0)


@dataclass(frozen=True)
class CalibrationFile:
    """What stands in a calibration file.

    Attributes:
        camera: the camera, with its readout time.
        camera_to_body: rotates camera axes into body axes, w first; None where it is not there.
        gyro_bias: (3,) rad/s, body axes; None where it is not there.
        stamp: when it was found, ns UTC; 0 where unknown.
        residual: pixels, rms per axis on frames that were held out; NaN where unknown.
        notes: for people.
    """

    camera: Camera
    camera_to_body: Quaternion | None = None
    gyro_bias: Array | None = None
    stamp: int = 0
    residual: float = math.nan
    notes: tuple[str, ...] = field(default=())


def write(path: Path, calibration: CalibrationFile, name: str = 'star_camera') -> None:
    """Write a calibration file; one that is there is replaced as a whole.

    Raises:
        OSError: it cannot be written.
    """
    fields = camera_info_fields(calibration.camera)
    own: dict[str, Any] = {'readout_time': calibration.camera.readout_time}
    own['focal_sigma'] = calibration.camera.focal_sigma
    if calibration.camera_to_body is not None:
        w, x, y, z = (float(c) for c in calibration.camera_to_body)
        own['camera_to_body'] = {'x': x, 'y': y, 'z': z, 'w': w}
    if calibration.gyro_bias is not None:
        own['gyro_bias'] = [float(c) for c in calibration.gyro_bias]
    if calibration.stamp:
        moment = datetime.fromtimestamp(calibration.stamp // 10**9, timezone.utc)
        own['date'] = moment.strftime('%Y-%m-%dT%H:%M:%SZ')
        own['stamp'] = calibration.stamp
    if math.isfinite(calibration.residual):
        own['residual'] = float(calibration.residual)
    if calibration.notes:
        own['notes'] = list(calibration.notes)
    content = {
        'image_width': fields['width'],
        'image_height': fields['height'],
        'camera_name': name,
        'camera_matrix': _matrix(fields['k'], 3, 3),
        'distortion_model': fields['distortion_model'],
        'distortion_coefficients': _matrix(fields['d'], 1, len(fields['d'])),
        'rectification_matrix': _matrix(fields['r'], 3, 3),
        'projection_matrix': _matrix(fields['p'], 3, 4),
        'star_camera': own,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=96)
    # never half a file: the old one stands until the new one is whole
    draft = path.with_name(path.name + '.part')
    draft.write_text(text, encoding='utf-8')
    draft.replace(path)


def read(path: Path) -> CalibrationFile:
    """Read a calibration file, of ours or of ``camera_calibration``.

    Raises:
        CameraError: it cannot be read, or what stands in it is no camera.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding='utf-8'))
    except OSError as error:
        raise CameraError(f'calibration file {path} cannot be read: {error.strerror}') from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CameraError(f'calibration file {path} is no YAML: {error}') from error
    try:
        return _decode(content)
    except CameraError as error:
        raise CameraError(f'calibration file {path}: {error}') from error


def _decode(content: Any) -> CalibrationFile:
    if not isinstance(content, Mapping):
        raise CameraError('keys and values are expected; write it with starnav/calibrate')
    matrix = _numbers(content, 'camera_matrix', 9)
    own = content.get('star_camera', {})
    if not isinstance(own, Mapping):
        raise CameraError('star_camera must have keys and values')
    info = SimpleNamespace(
        width=_number(content, 'image_width'),
        height=_number(content, 'image_height'),
        k=matrix,
        d=_numbers(content, 'distortion_coefficients', None),
        distortion_model=str(content.get('distortion_model', '')),
        binning_x=0,
        binning_y=0,
        roi=_NO_REGION,
    )
    camera = from_camera_info(
        info,
        readout_time=_number(own, 'readout_time', 0.0),
        focal_sigma=_number(own, 'focal_sigma', 0.0),
    )
    mounting: Quaternion | None = None
    if 'camera_to_body' in own:
        parts = own['camera_to_body']
        if not isinstance(parts, Mapping):
            raise CameraError('camera_to_body must have x, y, z and w')
        w, x, y, z = (_number(parts, axis) for axis in 'wxyz')
        if abs(math.sqrt(w * w + x * x + y * y + z * z) - 1.0) > 1e-3:
            raise CameraError('camera_to_body is not a unit quaternion')
        mounting = rotations.normalize((w, x, y, z))
    bias = None
    if 'gyro_bias' in own:
        bias = np.array(_floats(own['gyro_bias'], 'gyro_bias', 3))
    return CalibrationFile(
        camera,
        mounting,
        bias,
        int(_number(own, 'stamp', 0)),
        _number(own, 'residual', math.nan),
        tuple(map(str, own.get('notes', ()))),
    )


def _matrix(values: Any, rows: int, columns: int) -> dict[str, Any]:
    return {'rows': rows, 'cols': columns, 'data': [float(value) for value in values]}


def _numbers(content: Mapping[str, Any], key: str, count: int | None) -> list[float]:
    block = content.get(key)
    if not isinstance(block, Mapping) or 'data' not in block:
        raise CameraError(f'{key} with its data is missing')
    return _floats(block['data'], key, count)


def _floats(values: Any, key: str, count: int | None) -> list[float]:
    good = isinstance(values, list) and all(
        isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) for v in values
    )
    if not good or count not in (None, len(values)):
        wanted = 'numbers' if count is None else f'{count} numbers'
        raise CameraError(f'{key} must be a list of {wanted}, got {values!r}')
    return [float(value) for value in values]


def _number(content: Mapping[str, Any], key: str, default: float | None = None) -> Any:
    value = content.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise CameraError(f'{key} must be a number, got {value!r}')
    return value
