# SPDX-License-Identifier: Apache-2.0
"""BROAD attitude trials: IMU and magnetometer with optical truth, as MATLAB files.

Laidig, Caruso, Cereatti, Seel: BROAD, a Benchmark for Robust Inertial Orientation Estimation,
Data 6(7), 2021. The trials hold no time of day; they begin at ``EPOCH_NS`` here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.io
from scipy.io.matlab import MatReadError
from std_msgs.msg import Bool

from meta_repo_ros.replay.importers import RecordingError, streams
from meta_repo_ros.replay.importers.streams import Floats, Integers, Stream

EPOCH_NS = 1_577_836_800_000_000_000
"""Declared time of the first sample: 2020-01-01T00:00:00Z."""

_FIELDS = ('imu_gyr', 'imu_acc', 'imu_mag', 'opt_quat', 'movement', 'sampling_rate')


@dataclass(frozen=True)
class Trial:
    """A trial as arrays.

    Attributes:
        stamps: (n,) ns since :data:`EPOCH_NS` plus that.
        angular_rate: (n, 3) rad/s, body axes.
        specific_force: (n, 3) m/s2, body axes.
        magnetic_field: (n, 3) T, body axes.
        attitude: (n, 4) optical truth x y z w, body to ENU; NaN where the cameras lost it.
        movement: (n,) whether the sample is scored.
        rate: samples a second.
    """

    stamps: Integers
    angular_rate: Floats
    specific_force: Floats
    magnetic_field: Floats
    attitude: Floats
    movement: np.ndarray[tuple[int], np.dtype[np.bool_]]
    rate: float


def read_trial(path: Path | str) -> Trial:
    """Read one trial.

    Raises:
        RecordingError: not a trial of BROAD.
    """
    try:
        content = scipy.io.loadmat(path, squeeze_me=True)
    except (OSError, ValueError, TypeError, NotImplementedError, MatReadError) as error:
        raise RecordingError(f'{path}: not a MATLAB file ({error})') from error
    missing = [name for name in _FIELDS if name not in content]
    if missing:
        raise RecordingError(f'{path}: not a trial of BROAD: {", ".join(missing)} missing')
    rate = float(content['sampling_rate'])
    count = len(content['imu_gyr'])
    lengths = {len(content[name]) for name in _FIELDS[:-1]}
    if lengths != {count} or not rate > 0:
        raise RecordingError(f'{path}: arrays of different lengths, or no sampling rate')
    return Trial(
        stamps=EPOCH_NS + np.rint(np.arange(count) * (1e9 / rate)).astype(np.int64),
        angular_rate=np.asarray(content['imu_gyr'], float),
        specific_force=np.asarray(content['imu_acc'], float),
        magnetic_field=np.asarray(content['imu_mag'], float) * 1e-6,
        attitude=np.asarray(content['opt_quat'], float)[:, [1, 2, 3, 0]],
        movement=np.asarray(content['movement'], bool),
        rate=rate,
    )


def trial_streams(path: Path | str) -> list[Stream]:
    """The trial as streams: ``imu/data_raw``, ``imu/mag``, true attitude, scored phase.

    Raises:
        RecordingError: not a trial of BROAD.
    """
    trial = read_trial(path)
    known = np.isfinite(trial.attitude).all(axis=1)
    # The scored phase where it begins or ends, and at the first sample.
    changes = np.flatnonzero(np.diff(trial.movement, prepend=not trial.movement[0]))
    moving = trial.movement[changes]
    return [
        Stream(streams.MOVEMENT, trial.stamps[changes], lambda i: Bool(data=bool(moving[i]))),
        Stream(
            streams.TRUE_ATTITUDE,
            trial.stamps[known],
            streams.attitude(trial.attitude[known]),
            streams.WORLD_FRAME,
        ),
        Stream(streams.IMU, trial.stamps, streams.imu(trial.angular_rate, trial.specific_force)),
        Stream(streams.MAGNETOMETER, trial.stamps, streams.magnetometer(trial.magnetic_field)),
    ]
