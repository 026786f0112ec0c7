# SPDX-License-Identifier: Apache-2.0
"""Processor ``starnav``: star images and the gyroscope in, attitude and position out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from meta_repo_ros.core.processor import (
    Action,
    Diagnostic,
    Event,
    Output,
    Processor,
    Task,
    Topic,
)
from meta_repo_ros.core.rotations import (
    Quaternion,
    from_matrix,
    multiply,
    normalize,
    to_matrix,
)
from meta_repo_ros.core.time import NANOSECONDS, seconds_ns
from meta_repo_ros.starnav import calibration_file, report
from meta_repo_ros.starnav import messages as ros
from meta_repo_ros.starnav.annotation import annotate
from meta_repo_ros.starnav.camera import Camera
from meta_repo_ros.starnav.camera_book import CameraBook
from meta_repo_ros.starnav.catalogue import load
from meta_repo_ros.starnav.celestial_types import Fix
from meta_repo_ros.starnav.detection import detector
from meta_repo_ros.starnav.environment import Environment
from meta_repo_ros.starnav.messages import FilteredTemplate, RefusedError
from meta_repo_ros.starnav.parameters import StarNavParameters
from meta_repo_ros.starnav.pipeline import Frame, Job, process
from meta_repo_ros.starnav.positioning import Positioning
from meta_repo_ros.starnav.processor_calibration import CALIBRATE, CalibrationAction
from meta_repo_ros.starnav.processor_calibration import TASK as CALIBRATION_TASK
from meta_repo_ros.starnav.sky import SkySource
from meta_repo_ros.starnav.stamps import StampGuard, check_image_stamp
from meta_repo_ros.starnav.tracker import AttitudeTracker
from meta_repo_ros.starnav.types import Array

IMAGE, INFO, IMU = 'star_camera/image', 'star_camera/camera_info', 'imu/data_raw'
FIX, VELOCITY, PRESSURE, AIR = 'gnss/fix', 'gnss/velocity', 'baro/pressure', 'air_data'
ATTITUDE, POSITION = 'attitude_update', 'position_update'
CENTROIDS, STARS, ANNOTATED = 'starnav/centroids', 'starnav/stars', 'starnav/annotated'
_IMAGE_TASK = 'image'
_FEEDBACK_PERIOD = NANOSECONDS // 2
# How fast a camera without a gyroscope may turn, for the hint of the image before, rad/s
_UNMEASURED_RATE = 0.01
# Windows are used where the prediction is this much better than their size
_WINDOW_SIGMAS = 3.0


class StarNav(Processor):
    """Attitude ICRS to body by each image, filtered with the gyroscope in between, and position.

    Detection and identification of an image are a task; the gyroscope goes on meanwhile, and the
    result is put to its own time. Filtered attitudes are given at the instants of ``update_rate``
    that the gyroscope's stamps pass: its stamps are the clock of this node.
    """

    name: ClassVar[str] = 'starnav'
    Parameters: ClassVar[type] = StarNavParameters
    inputs: ClassVar[tuple[Topic, ...]] = (
        Topic(IMU, 'sensor_msgs/msg/Imu', 'STREAM'),
        Topic(IMAGE, 'sensor_msgs/msg/Image', 'BULK'),
        Topic(INFO, 'sensor_msgs/msg/CameraInfo', 'BULK'),
        Topic(FIX, 'sensor_msgs/msg/NavSatFix', 'SENSOR'),
        Topic(VELOCITY, 'geometry_msgs/msg/TwistWithCovarianceStamped', 'SENSOR'),
        Topic(PRESSURE, 'sensor_msgs/msg/FluidPressure', 'SENSOR'),
        Topic(AIR, 'meta_repo_ros/msg/AirData', 'SENSOR'),
    )
    outputs: ClassVar[tuple[Topic, ...]] = (
        Topic(ATTITUDE, 'meta_repo_ros/msg/AttitudeUpdate', 'STATE'),
        Topic(POSITION, 'meta_repo_ros/msg/PositionUpdate', 'STATE'),
        Topic(CENTROIDS, 'meta_repo_ros/msg/StarCentroids', 'STATE'),
        Topic(STARS, 'meta_repo_ros/msg/IdentifiedStars', 'STATE'),
        Topic(ANNOTATED, 'sensor_msgs/msg/Image', 'BULK'),
    )
    actions: ClassVar[tuple[Action, ...]] = (Action(CALIBRATE, 'meta_repo_ros/action/Calibrate'),)

    def __init__(self, parameters: StarNavParameters, seed: int = 0) -> None:
        super().__init__(parameters, seed)
        self.parameters: StarNavParameters = parameters
        core = parameters.starnav_core
        self.catalogue = load(core.star_database.magnitude_limit)
        self.refused: dict[str, Counter[str]] = {topic.name: Counter() for topic in self.inputs}
        self.images = report.ImageCounts()
        self.resets = 0
        self._generation = 0
        self._readers: dict[str, Callable[[Any, int], Sequence[Event]]] = {
            IMU: self._take_inertial,
            IMAGE: self._take_image,
            INFO: self._take_info,
            FIX: self._take_fix,
            VELOCITY: self._take_velocity,
            PRESSURE: self._take_pressure,
            AIR: self._take_air,
        }
        self._configure()
        self._begin()

    def _configure(self) -> None:
        """All that depends on parameters and on nothing measured."""
        p = self.parameters
        core = p.starnav_core
        self.sky = SkySource(self.catalogue, core.star_database.update_interval)
        self.method = core.processing.star_detection_algorithm
        self.detector = detector(self.method, p.detection)
        self.filtered = core.processing.attitude_estimation == 'extended_kalman_filter'
        file = p.camera.calibration_file
        self.calibrated = calibration_file.read(Path(file)) if file else None
        x, y, z, w = p.camera.camera_to_body
        self._mount_camera(normalize((w, x, y, z)))
        self._make_filtered = FilteredTemplate(p.frames.body)
        self._picture = partial(_picture, self.catalogue.name, grid=p.image.grid)

    def _mount_camera(self, given: Quaternion) -> None:
        file = None if self.calibrated is None else self.calibrated.camera_to_body
        self.camera_to_body = given if file is None else file
        self._mount = to_matrix(self.camera_to_body)

    @property
    def _calibrated_camera(self) -> Camera | None:
        return None if self.calibrated is None else self.calibrated.camera

    def _begin(self) -> None:
        """Forget all that was measured."""
        p = self.parameters
        self._generation += 1
        period = round(NANOSECONDS / p.starnav_core.accuracy.update_rate)
        self.tracker = AttitudeTracker(p.filter, period)
        if self.calibrated is not None and self.calibrated.gyro_bias is not None:
            x, y, z = self.calibrated.gyro_bias.tolist()
            self.tracker.filter.bias = (x, y, z)
        self.guard = StampGuard(seconds_ns(p.filter.window), seconds_ns(p.filter.clock_jump))
        self.book = CameraBook(p.camera, self._calibrated_camera)
        self.calibration = CalibrationAction(self._adopt)
        self.environment = Environment(p.environment)
        self.positioning = Positioning(p.celestial, p.cross_check)
        self.last_image: tuple[int, Quaternion, float] | None = None  # ns, attitude, sigma
        self.last_frame: Frame | None = None
        self._image_stamp = 0
        self._full_frame = 0  # ns, last image whose whole was searched
        self._windows_failed = False

    # -- processor ---------------------------------------------------------------------------------
    def on_message(self, topic: str, message: Any, stamp: int) -> Sequence[Event]:
        """Take one message; what cannot be used is counted by its reason."""
        try:
            return self._readers[topic](message, stamp)
        except RefusedError as reason:
            self.refused[topic][str(reason)] += 1
            return ()

    def on_result(self, name: str, result: Any, stamp: int) -> Sequence[Event]:
        """Take what became of an image, or of a calibration."""
        if name == CALIBRATION_TASK:
            return self.calibration.finish(result, stamp)
        if isinstance(result, Exception):
            self.images.broken(result)
            return ()
        generation, frame = result
        if generation != self._generation:
            return ()
        return self._take_frame(frame)

    def diagnostics(self, stamp: int) -> Sequence[Diagnostic]:
        """Rows for people."""
        return report.rows(self, stamp)

    def set_parameters(self, parameters: StarNavParameters) -> None:
        """Take a new set; the state stays."""
        before = self.parameters
        self.parameters = parameters
        try:
            self._configure()
        except Exception as error:
            self.parameters = before
            self._configure()
            raise ValueError(str(error)) from error
        self.tracker.filter.configure(parameters.filter)
        self.book.parameters = parameters.camera
        self.book.calibrated = self._calibrated_camera
        self.environment.parameters = parameters.environment

    def reset(self, stamp: int) -> None:  # noqa: ARG002
        """Forget all state."""
        self.resets += 1
        self._begin()

    # -- gyroscope ---------------------------------------------------------------------------------
    def _take_inertial(self, message: Any, _received: int) -> Sequence[Event]:
        when = ros.valid_stamp(message)
        sample = ros.read_inertial(message, self.parameters.filter.gyro.max_rate)
        reason, jumped = self.guard.check(when)
        if reason:
            raise RefusedError(reason)
        if jumped:
            guard = self.guard
            self._begin()
            self.guard = guard
        ticks = self.tracker.add_gyro(when, sample.rate)
        self.calibration.run.add_gyro(when, sample.rate)
        self.positioning.add_inertial(when, sample.rate, sample.force)
        if not ticks or not self.filtered:
            return ()
        make = self._make_filtered
        return [Output(ATTITUDE, make(tick)) for tick in ticks]

    # -- images ------------------------------------------------------------------------------------
    def _take_image(self, message: Any, received: int) -> Sequence[Event]:
        self.images.received += 1
        p = self.parameters
        when = ros.valid_stamp(message)
        ros.check_frame(message, p.frames.camera)
        reason = check_image_stamp(
            when, received, self._image_stamp, max_delay=seconds_ns(p.image.max_delay),
            tolerance=seconds_ns(p.image.future_tolerance),
        )  # fmt: skip
        if reason:
            raise RefusedError(reason)
        self._image_stamp = when
        job = self._job(message, when)
        return (Task(_IMAGE_TASK, partial(_run, self._generation, self.sky, job), self._latency),)

    @property
    def _latency(self) -> int:
        return seconds_ns(self.parameters.image.latency)

    def _job(self, message: Any, stamp: int) -> Job:
        """All that the task needs, none of which changes later."""
        p = self.parameters
        camera, _ = self.book.current(int(message.width), int(message.height))
        camera = None if self.book.doubtful else camera
        hint, sigma = (None, float('inf')) if self.calibration.run.anew else self._hint(stamp)
        rate = self.tracker.rate_at(stamp)
        windows = False
        if hint is not None and camera is not None and p.identification.tracking:
            due = stamp - self._full_frame >= seconds_ns(p.identification.full_frame_interval)
            near = _WINDOW_SIGMAS * sigma * camera.fx < p.detection.window_half
            windows = near and not due and not self._windows_failed
        return Job(
            message=message,
            stamp=stamp,
            detector=self.detector,
            method=self.method,
            camera=camera,
            observer=self.environment.observer(stamp),
            hint=hint,
            hint_sigma=sigma,
            rate=None if rate is None else self._mount.T @ np.array(rate),
            exposure=p.camera.exposure,
            smear_error=p.camera.smear_error,
            windows=windows,
            max_windows=p.identification.max_windows,
            timeout=p.identification.timeout,
            picture=self._picture if p.image.annotate else None,
        )

    def _hint(self, stamp: int) -> tuple[Array | None, float]:
        """Predicted ICRS to camera and its standard deviation, rad; None where too uncertain."""
        p = self.parameters.identification
        margin = np.radians(p.hint_margin)
        attitude, sigma = self.tracker.attitude_at(stamp), max(self.tracker.filter.sigma)
        if attitude is None and self.last_image is not None:
            when, attitude, sigma = self.last_image
            sigma += _UNMEASURED_RATE * abs(stamp - when) / NANOSECONDS
        sigma = float(sigma + margin)
        if attitude is None or sigma > np.radians(p.hint_limit):
            return None, float('inf')
        return self._mount.T @ to_matrix(attitude), sigma

    def _take_frame(self, frame: Frame) -> Sequence[Event]:
        """Publish what an image gave, and let the filter have it."""
        p, match = self.parameters, frame.match
        self.last_frame = frame
        self.images.take(frame)
        if not frame.windowed:
            self._full_frame = frame.stamp
        self._windows_failed = not match.solved
        elapsed = match.elapsed if p.image.report_elapsed else float('nan')
        outputs: list[Event] = [
            Output(CENTROIDS, ros.centroids_message(
                frame.header, frame.centroids, frame.method, windowed=frame.windowed)),
            Output(STARS, ros.stars_message(
                frame.header, frame.centroids, match, frame.magnitude, elapsed=elapsed)),
        ]  # fmt: skip
        self.book.take_match(frame.camera, match, was_known=frame.camera_known)
        if match.solved:
            outputs += self._take_attitude(frame)
        self.calibration.run.add_frame(frame)
        if frame.picture is not None:
            outputs.append(Output(ANNOTATED, ros.picture_message(frame.header, frame.picture)))
        return outputs

    def _take_attitude(self, frame: Frame) -> Sequence[Event]:
        p, match, stamp = self.parameters, frame.match, frame.stamp
        mean = multiply(self.camera_to_body, from_matrix(match.icrs_to_camera))
        covariance = self._mount @ match.covariance @ self._mount.T
        attitude, covariance = self.tracker.at_middle(stamp, p.camera.exposure, mean, covariance)
        self.last_image = (stamp, attitude, float(np.sqrt(np.trace(covariance))))
        outputs: list[Event] = [
            Output(ATTITUDE, ros.image_attitude(
                stamp, p.frames.body, attitude, covariance, match))
        ]  # fmt: skip
        if match.false_alarm_probability > p.filter.false_alarm_limit:
            self.refused[IMAGE]['may be a wrong identification'] += 1
            return outputs
        if not self.tracker.add_image(stamp, attitude, covariance):
            self.refused[IMAGE]['older than the window'] += 1
        for fix in self.positioning.add_image(stamp, attitude, covariance):
            height = 0.0 if np.isnan(fix.altitude) else fix.altitude
            self.environment.set_celestial(stamp, (fix.latitude, fix.longitude, height))
            outputs.append(self._position(fix))
        return outputs

    def _position(self, fix: Fix) -> Output:
        suspected = self.positioning.verdict.spoofing_suspected
        return Output(
            POSITION, ros.position_message(fix, self.parameters.frames.body, spoofing=suspected)
        )

    # -- calibration -------------------------------------------------------------------------------
    @property
    def timer_period_ns(self) -> int | None:
        """Of the feedback of a calibration."""
        return _FEEDBACK_PERIOD

    def on_timer(self, stamp: int) -> Sequence[Event]:
        """Tell how a calibration goes, and work it out at its end."""
        return self.calibration.tick(stamp, self._latency)

    def on_goal(self, action: str, goal: Any, stamp: int) -> str:  # noqa: ARG002
        """Begin a calibration, or say why not."""
        p, frame = self.parameters, self.last_frame
        size = p.starnav_core.camera.size
        if frame is not None:
            size = (frame.centroids.width, frame.centroids.height)
        camera = self.book.current(*size)[0]
        folder = p.camera.calibration_directory
        in_use = (camera, self.camera_to_body, self.tracker.filter)
        return self.calibration.start(goal, stamp, folder, in_use)

    def on_cancel(self, action: str, stamp: int) -> Sequence[Event]:  # noqa: ARG002
        """End it; nothing is written."""
        return self.calibration.cancel()

    def _adopt(self, path: Path) -> None:
        """Go on with what was found; an image must give the attitude anew."""
        self.calibrated = calibration_file.read(path)
        self._mount_camera(self.camera_to_body)
        counts = self.images
        guard, positioning, environment = self.guard, self.positioning, self.environment
        self._begin()
        self.images, self.guard = counts, guard
        self.positioning, self.environment = positioning, environment

    # -- everything else ---------------------------------------------------------------------------
    def _take_info(self, message: Any, _received: int) -> Sequence[Event]:
        self.book.take_info(message)
        return ()

    def _take_fix(self, message: Any, _received: int) -> Sequence[Event]:
        when, place = self._in_time(message), ros.read_fix(message)
        self.environment.set_gnss(when, place[:3])
        return [self._position(fix) for fix in self.positioning.add_gnss(when, *place)]

    def _take_velocity(self, message: Any, _received: int) -> Sequence[Event]:
        self.environment.set_velocity(self._in_time(message), ros.read_velocity(message))
        return ()

    def _take_pressure(self, message: Any, _received: int) -> Sequence[Event]:
        when, pressure = self._in_time(message), ros.read_pressure(message)
        self.environment.set_pressure(when, pressure)
        self.positioning.add_pressure(when, pressure)
        return ()

    def _take_air(self, message: Any, _received: int) -> Sequence[Event]:
        when = self._in_time(message)
        speed = float(message.true_airspeed)
        self.positioning.celestial.add_air_data(
            when, speed, float(message.angle_of_attack), float(message.sideslip)
        )
        return ()

    def _in_time(self, message: Any) -> int:
        """Stamp of a slow sensor; one far from the gyroscope's clock is refused."""
        when = ros.valid_stamp(message)
        newest = self.guard.newest
        if newest and abs(when - newest) > self.guard.jump:
            raise RefusedError('stamp far from the gyroscope')
        return when


def _picture(
    name: Callable[[int], str], image: Any, frame: Frame, *, grid: bool
) -> NDArray[np.uint8]:
    return annotate(image, frame.centroids, frame.match, frame.camera, name, grid=grid)


def _run(generation: int, sky: SkySource, job: Job) -> tuple[int, Frame]:
    """In the thread of the tasks."""
    return generation, process(job, sky.at(job.stamp))
