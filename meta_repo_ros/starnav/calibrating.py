# SPDX-License-Identifier: Apache-2.0
"""The goal of ``starnav/calibrate``: takes frames as they come, and writes the file at the end."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from meta_repo_ros.core.rotations import Quaternion, Vector
from meta_repo_ros.starnav import calibration_file
from meta_repo_ros.starnav.calibration import Calibration, CalibrationRefused, Settings
from meta_repo_ros.starnav.calibration_file import CalibrationFile
from meta_repo_ros.starnav.calibration_run import CalibrationRun
from meta_repo_ros.starnav.camera import Camera
from meta_repo_ros.starnav.pipeline import Frame

FILE = 'star_camera.yaml'


class Calibrating:
    """At most one calibration at a time.

    Attributes:
        anew: whether each image is to be searched as a whole and without a hint.
    """

    def __init__(self) -> None:
        self.anew = False
        self._run: CalibrationRun | None = None
        self._working = False
        self._camera: Camera | None = None

    @property
    def active(self) -> bool:
        """Whether there is a goal."""
        return self._run is not None

    @property
    def frames(self) -> int:
        """Identified so far."""
        return self._run.frames if self._run is not None else 0

    @property
    def stars(self) -> int:
        """Identified so far."""
        return self._run.stars if self._run is not None else 0

    @property
    def state(self) -> str:
        """For people."""
        return self._run.state if self._run is not None else ''

    def start(
        self,
        kind: str,
        duration: float,
        *,
        anew: bool,
        camera: Camera | None,
        camera_to_body: Quaternion,
        gyro_bias: Vector,
        gyro_noise: float,
        directory: str,
        stamp: int,
    ) -> str:
        """Begin; '' or why not.

        Args:
            kind: full, quick, camera or gyro.
            duration: s.
            anew: search each image as a whole and without a hint.
            camera: the one in use, None where none is known yet.
            camera_to_body: the one in use, w first.
            gyro_bias: the one in use, rad/s.
            gyro_noise: rad/s/sqrt(Hz).
            directory: where the file will be written, '' for :func:`usual_directory`.
            stamp: now, ns.
        """
        if directory and not Path(directory).is_dir():
            return f'camera.calibration_directory {directory} is no directory'
        if camera is None:
            return 'no camera yet: give camera_info or a field of view, or wait for a solved image'
        try:
            self._run = CalibrationRun(
                kind, duration, camera, camera_to_body, gyro_bias=gyro_bias, start=stamp,
                settings=Settings(gyro_noise=gyro_noise),
            )  # fmt: skip
        except ValueError as error:
            return str(error)
        self._camera = camera
        self._working = False
        self.anew = anew
        return ''

    def stop(self) -> None:
        """Forget the goal."""
        self._run = None
        self.anew = self._working = False

    def add_gyro(self, stamp: int, rate: Vector) -> None:
        """Take a reading as measured."""
        if self._run is not None and not self._working:
            self._run.add_gyro(stamp, rate)

    def add_frame(self, frame: Frame) -> bool:
        """Take a frame; whether it counts."""
        run, camera = self._run, self._camera
        if run is None or self._working or camera is None or not frame.match.solved:
            return False
        if (frame.centroids.width, frame.centroids.height) != (camera.width, camera.height):
            return False
        return run.add_frame(frame.stamp, frame.centroids, frame.match, frame.directions)

    def progress(self, stamp: int) -> float:
        """Share of the duration gone by, 0 to 1."""
        return self._run.progress(stamp) if self._run is not None else 0.0

    def work(self, stamp: int) -> Callable[[], Calibration | CalibrationRefused] | None:
        """What a task is to do once the time is up, once; None before and after."""
        run = self._run
        if run is None or self._working or not run.complete(stamp):
            return None
        self._working = True
        self.anew = False
        return run.finish


def usual_directory() -> Path:
    """Where ROS keeps calibrations of cameras: ``$ROS_HOME/camera_info``, by ``~/.ros``."""
    home = os.environ.get('ROS_HOME', '').strip()
    return (Path(home) if home else Path.home() / '.ros') / 'camera_info'


def save(result: Calibration, directory: str, stamp: int) -> Path:
    """Write the file.

    Raises:
        OSError: it cannot be written.
    """
    folder = Path(directory) if directory else usual_directory()
    if not directory:
        folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE
    calibration_file.write(
        path,
        CalibrationFile(
            result.camera, result.camera_to_body, result.gyro_bias, stamp, result.residual_after,
            result.notes,
        ),
    )  # fmt: skip
    return path


def found(result: Calibration) -> str:
    """What was found, for people."""
    text = (
        f'{result.residual_before:.3f} px before, {result.residual_after:.3f} px after, on frames '
        f'held out; {result.frames} frames, {result.stars} stars'
    )
    return '; '.join((text, *result.notes))
