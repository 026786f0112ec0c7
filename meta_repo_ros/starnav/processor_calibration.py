# SPDX-License-Identifier: Apache-2.0
"""The action ``starnav/calibrate`` of the processor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from meta_repo_ros.core.processor import Event, Feedback, Finished, GoalStatus, Task
from meta_repo_ros.core.rotations import Quaternion
from meta_repo_ros.starnav import messages as ros
from meta_repo_ros.starnav.calibrating import Calibrating, found, save
from meta_repo_ros.starnav.calibration import CalibrationRefused
from meta_repo_ros.starnav.camera import Camera
from meta_repo_ros.starnav.filter import AttitudeFilter

CALIBRATE = 'starnav/calibrate'
TASK = 'calibration'


class CalibrationAction:
    """Goals in, feedback and results out; :attr:`run` takes what the node measures.

    Args:
        adopt: takes the file that was written.
    """

    def __init__(self, adopt: Callable[[Path], None]) -> None:
        self.run = Calibrating()
        self._adopt = adopt
        self._directory = ''

    def start(
        self,
        goal: Any,
        stamp: int,
        directory: str,
        in_use: tuple[Camera | None, Quaternion, AttitudeFilter],
    ) -> str:
        """Begin; '' or why not.

        Args:
            goal: of the action.
            stamp: now, ns.
            directory: where the file will be written.
            in_use: camera, camera to body, and the filter with its bias.
        """
        camera, mount, f = in_use
        self._directory = directory
        return self.run.start(
            str(goal.calibration_type), float(goal.duration), anew=bool(goal.auto_detect_stars),
            camera=camera, camera_to_body=mount, gyro_bias=f.bias,
            gyro_noise=f.noise.angle_random_walk, directory=directory, stamp=stamp,
        )  # fmt: skip

    def cancel(self) -> Sequence[Event]:
        """End it; nothing is written."""
        self.run.stop()
        result = ros.calibration_result(None, 'cancelled, nothing was written')
        return (Finished(CALIBRATE, GoalStatus.CANCELED, result),)

    def tick(self, stamp: int, latency: int) -> Sequence[Event]:
        """Tell how it goes, and have it worked out at its end."""
        run = self.run
        if not run.active:
            return ()
        work = run.work(stamp)
        feedback = ros.calibration_feedback(run.progress(stamp), run.frames, run.stars, run.state)
        events: list[Event] = [Feedback(CALIBRATE, feedback)]
        if work is not None:
            events.append(Task(TASK, work, latency))
        return events

    def finish(self, result: Any, stamp: int) -> Sequence[Event]:
        """Take what was worked out, write it down, go on with it."""
        if not self.run.active:
            return ()
        self.run.stop()
        path, known = '', None
        if isinstance(result, Exception):
            text = f'{type(result).__name__}: {result}'
        elif isinstance(result, CalibrationRefused):
            text, known = result.reason, result
        else:
            known = result
            try:
                path = str(save(result, self._directory, stamp))
                text = found(result)
            except OSError as error:
                text = f'the calibration cannot be written: {error}'
        if path:
            self._adopt(Path(path))
        status = GoalStatus.SUCCEEDED if path else GoalStatus.ABORTED
        return (Finished(CALIBRATE, status, ros.calibration_result(known, text, path)),)
