# SPDX-License-Identifier: Apache-2.0
"""PX4 flight logs (``.ulg``), read by pyulog.

The log holds the autopilot's own receive times. Its estimator's attitude becomes
``reference/attitude``: an estimate, not truth. Forward-right-down and north-east-down axes become
forward-left-up and east-north-up.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyulog
from scipy.spatial.transform import Rotation
from sensor_msgs.msg import NavSatFix, NavSatStatus

from meta_repo_ros.core.processor import Topic
from meta_repo_ros.replay.importers import RecordingError, streams
from meta_repo_ros.replay.importers.streams import Floats, Integers, Stream

_FRD_TO_FLU = np.array([1.0, -1.0, -1.0])
_NED_TO_ENU = Rotation.from_matrix([[0, 1, 0], [1, 0, 0], [0, 0, -1]])
_FLU_TO_FRD = Rotation.from_matrix(np.diag(_FRD_TO_FLU))
_GAUSS = 1e-4  # T
_EPOCH_NS = 1_577_836_800_000_000_000  # for logs without a GNSS time: 2020-01-01T00:00:00Z
_FIX_3D, _FIX_RTK_FLOAT = 3, 5


def log_streams(path: Path | str) -> list[Stream]:
    """The log as streams.

    Raises:
        RecordingError: not a log of PX4, or none of the known topics is in it.
    """
    try:
        log = pyulog.ULog(str(path))
    except Exception as error:  # pyulog raises plain exceptions of many kinds
        raise RecordingError(f'{path}: not a PX4 log ({error})') from error
    data = {d.name: d.data for d in log.data_list if d.multi_id == 0}
    offset = _boot_time(data)
    result: list[Stream] = []
    if 'sensor_combined' in data:
        d = data['sensor_combined']
        make = streams.imu(_flu(d, 'gyro_rad'), _flu(d, 'accelerometer_m_s2'))
        result.append(_stream(streams.IMU, d, offset, make))
    if 'vehicle_magnetometer' in data:
        d = data['vehicle_magnetometer']
        make_field = streams.magnetometer(_flu(d, 'magnetometer_ga') * _GAUSS)
        result.append(_stream(streams.MAGNETOMETER, d, offset, make_field))
    if 'vehicle_air_data' in data:
        d = data['vehicle_air_data']
        make_pressure = streams.pressure(np.asarray(d['baro_pressure_pa'], float))
        result.append(_stream(streams.PRESSURE, d, offset, make_pressure))
    if 'vehicle_gps_position' in data:
        result += _gnss(data['vehicle_gps_position'], offset)
    if 'vehicle_attitude' in data:
        d = data['vehicle_attitude']
        result.append(_stream(streams.ESTIMATED_ATTITUDE, d, offset, streams.attitude(_enu(d))))
    if not result:
        raise RecordingError(f'{path}: no sensor topic in this log; log at the default profile')
    return result


def _boot_time(data: dict[str, dict[str, Any]]) -> int:
    """UTC of the autopilot's start, ns: the median over the GNSS receiver's times."""
    gps = data.get('vehicle_gps_position')
    if gps is None:
        return _EPOCH_NS
    utc = np.asarray(gps['time_utc_usec'], np.int64)
    boot = (utc - np.asarray(gps['timestamp'], np.int64))[utc > 0]
    return int(np.median(boot)) * 1000 if len(boot) else _EPOCH_NS


def _stream(
    topic: Topic, d: dict[str, Any], offset: int, make: Any, frame: str = streams.BODY_FRAME
) -> Stream:
    received: Integers = offset + np.asarray(d['timestamp'], np.int64) * 1000
    sampled = np.asarray(d.get('timestamp_sample', d['timestamp']), np.int64)
    # Zero where the driver gives no sample time.
    sampled = np.where(sampled > 0, sampled, np.asarray(d['timestamp'], np.int64))
    return Stream(topic, offset + sampled * 1000, make, frame, received)


def _columns(d: dict[str, Any], name: str, count: int) -> Floats:
    return np.stack([np.asarray(d[f'{name}[{i}]'], float) for i in range(count)], axis=1)


def _flu(d: dict[str, Any], name: str) -> Floats:
    return np.asarray(_columns(d, name, 3) * _FRD_TO_FLU)


def _enu(d: dict[str, Any]) -> Floats:
    frd_to_ned = Rotation.from_quat(_columns(d, 'q', 4)[:, [1, 2, 3, 0]])
    return np.asarray((_NED_TO_ENU * frd_to_ned * _FLU_TO_FRD).as_quat())


def _gnss(d: dict[str, Any], offset: int) -> list[Stream]:
    if 'lat' in d:  # before v1.14: 1e-7 deg and mm
        angles = np.stack([np.asarray(d[name], float) * 1e-7 for name in ('lat', 'lon')], axis=1)
        height = np.asarray(d['alt_ellipsoid'], float) * 1e-3
    else:
        angles = np.stack([np.asarray(d[f'{n}_deg'], float) for n in ('latitude', 'longitude')], 1)
        height = np.asarray(d['altitude_ellipsoid_m'], float)
    horizontal, vertical = np.asarray(d['eph'], float), np.asarray(d['epv'], float)
    kind = np.asarray(d['fix_type'], np.int64)
    status = np.where(
        kind >= _FIX_RTK_FLOAT,
        NavSatStatus.STATUS_GBAS_FIX,
        np.where(kind >= _FIX_3D, NavSatStatus.STATUS_FIX, NavSatStatus.STATUS_NO_FIX),
    )
    ned = np.stack([np.asarray(d[f'vel_{axis}_m_s'], float) for axis in 'ned'], axis=1)
    speed = np.asarray(d['s_variance_m_s'], float)
    make_fix = streams.fix(
        np.column_stack([angles, height]),
        _diagonal(horizontal, horizontal, vertical),
        NavSatFix.COVARIANCE_TYPE_DIAGONAL_KNOWN,
        status,
    )
    make_velocity = streams.velocity(ned[:, [1, 0, 2]] * [1, 1, -1], _diagonal(speed, speed, speed))
    return [
        _stream(streams.FIX, d, offset, make_fix, 'gnss_antenna'),
        _stream(streams.VELOCITY, d, offset, make_velocity, streams.WORLD_FRAME),
    ]


def _diagonal(*deviations: Floats) -> Floats:
    return np.asarray(np.stack([d**2 for d in deviations], axis=1)[:, :, None] * np.eye(3))
