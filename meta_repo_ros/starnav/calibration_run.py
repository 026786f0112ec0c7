# SPDX-License-Identifier: Apache-2.0
"""A calibration as it goes: frames and gyroscope readings are collected, then it is worked out."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from meta_repo_ros.core import rotations
from meta_repo_ros.core.rotations import Quaternion
from meta_repo_ros.core.time import seconds_ns
from meta_repo_ros.starnav import calibration_mounting
from meta_repo_ros.starnav.calibration import (
    KINDS,
    Calibration,
    CalibrationRefused,
    InUse,
    Settings,
    calibrate,
)
from meta_repo_ros.starnav.calibration_lens import Frame
from meta_repo_ros.starnav.calibration_mounting import Motion
from meta_repo_ros.starnav.camera_model import Camera
from meta_repo_ros.starnav.types import Array, Centroids, Ints, Match

_MIN_STARS = 4  # of a frame
_ROUGH = 1e-4  # rad: attitudes as identified, with rows that were not exposed together
_MOST_READINGS = 2_000_000


class CalibrationRun:
    """One calibration.

    Args:
        kind: one of ``calibration.KINDS``.
        duration: how long frames are taken, s.
        camera: the one in use.
        camera_to_body: the one in use, w first.
        gyro_bias: (3,) the one in use, rad/s, body axes.
        start: stamp of the begin, ns; without it, that of the first frame or reading.
        settings: limits.

    Attributes:
        frames, stars: identified so far.
        state: for people: collecting, estimating, done.

    Raises:
        ValueError: an unknown kind, or a duration that is not positive.
    """

    def __init__(
        self,
        kind: str,
        duration: float,
        camera: Camera,
        camera_to_body: Quaternion,
        *,
        gyro_bias: ArrayLike = (0.0, 0.0, 0.0),
        start: int | None = None,
        settings: Settings | None = None,
    ) -> None:
        if kind not in KINDS:
            raise ValueError(f'calibration_type must be one of {", ".join(KINDS)}; got {kind!r}')
        if not 0.0 < duration <= 86400.0:
            raise ValueError(f'duration must lie between 0 and 86400 s, got {duration}')
        self.kind = kind
        self.state = 'collecting'
        self.stars = 0
        self._duration = seconds_ns(duration)
        self._camera, self._mounting = camera, camera_to_body
        self._bias = np.asarray(gyro_bias, dtype=float)
        self._start = start
        self._settings = settings or Settings()
        self._frames: dict[int, Frame] = {}
        self._gyro_time: list[int] = []
        self._gyro_rate: list[tuple[float, float, float]] = []

    @property
    def frames(self) -> int:
        """Frames identified so far."""
        return len(self._frames)

    def add_frame(
        self, stamp: int, centroids: Centroids, match: Match, reference_directions: ArrayLike
    ) -> bool:
        """Take a frame.

        Args:
            stamp: of the image, ns.
            centroids: found in it.
            match: which stars they are; one that is not solved is passed over.
            reference_directions: (k, 3) apparent directions of the stars of ``match``, GCRS axes.

        Returns:
            Whether it was taken.
        """
        directions = np.asarray(reference_directions, dtype=float).reshape(-1, 3)
        if not match.solved or len(directions) != len(match.centroid):
            return False
        which = np.asarray(match.centroid)
        # a saturated star's centre is not where its centroid says
        good = ~np.asarray(centroids.saturated)[which]
        good &= np.isfinite(directions).all(axis=1)
        which, directions = which[good], directions[good]
        if len(which) < _MIN_STARS or stamp in self._frames:
            return False
        covariance = np.asarray(centroids.covariance)[which]
        variance = 0.5 * np.trace(covariance, axis1=1, axis2=2)
        sigma = np.sqrt(np.where(np.isfinite(variance) & (variance > 0.0), variance, 1.0))
        self._begin(stamp)
        self._frames[stamp] = Frame(
            stamp,
            np.asarray(centroids.position)[which],
            sigma,
            directions,
            np.asarray(match.icrs_to_camera),
        )
        self.stars += len(which)
        return True

    def add_gyro(self, stamp: int, rate: tuple[float, float, float]) -> None:
        """Take a reading, rad/s, body axes, uncorrected; it holds for the interval before it."""
        x, y, z = rate
        if self._gyro_time and stamp <= self._gyro_time[-1]:
            return
        if len(self._gyro_time) < _MOST_READINGS and np.isfinite(x + y + z):
            self._begin(stamp)
            self._gyro_time.append(stamp)
            self._gyro_rate.append((x, y, z))

    def progress(self, stamp: int) -> float:
        """Share of the duration that has gone by at ``stamp``, 0 to 1."""
        if self._start is None:
            return 0.0
        return min(max((stamp - self._start) / self._duration, 0.0), 1.0)

    def complete(self, stamp: int) -> bool:
        """Whether enough time has gone by for :meth:`finish`."""
        return self.progress(stamp) >= 1.0

    def finish(self) -> Calibration | CalibrationRefused:
        """Work it out; takes up to some seconds, and touches nothing but itself."""
        self.state = 'estimating'
        time = np.array(self._gyro_time, dtype=np.int64)
        rate = np.array(self._gyro_rate, dtype=float).reshape(-1, 3)
        frames = [self._frames[stamp] for stamp in sorted(self._frames)]
        if self._camera.readout_time and frames and len(time) > 1:
            bias = self._rough_bias(frames, time, rate)
            frames = [self._upright(frame, time, rate - bias) for frame in frames]
        in_use = InUse(self._camera, self._mounting, self._bias)
        result = calibrate(self.kind, frames, (time, rate), in_use, self._settings)
        self.state = 'done'
        return result

    def _begin(self, stamp: int) -> None:
        if self._start is None:
            self._start = stamp

    def _rough_bias(self, frames: list[Frame], time: Ints, rate: Array) -> Array:
        """Bias of the gyroscope before anything else is known, for the time of a read-out."""
        attitudes = np.array([frame.icrs_to_camera for frame in frames])
        covariances = np.tile(np.eye(3) * _ROUGH**2, (len(frames), 1, 1))
        stamps = [frame.stamp for frame in frames]
        motion = Motion(stamps, attitudes, covariances, time, rate, self._settings.gyro_noise)
        found = calibration_mounting.estimate(
            motion, self._mounting, self._bias, fixed_mounting=True
        )
        return self._bias if found is None else found.gyro_bias

    def _upright(self, frame: Frame, time: Ints, rate: Array) -> Frame:
        """``frame`` as if all rows had been exposed with the middle one."""
        camera = self._camera
        half = seconds_ns(0.5 * abs(camera.readout_time))
        # readings whose intervals touch the read-out; the last one ends after it
        first, last = np.searchsorted(time, (frame.stamp - half, frame.stamp + half))
        mean = rate[min(first, len(rate) - 1) : max(last, first) + 1].mean(axis=0)
        w = rotations.to_matrix(self._mounting).T @ mean
        seen = camera.at_middle_row(camera.directions(frame.uv), frame.uv[:, 1], w)
        uv = camera.project(seen)
        good = np.isfinite(uv).all(axis=1)
        return Frame(
            frame.stamp, uv[good], frame.sigma[good], frame.directions[good], frame.icrs_to_camera
        )
