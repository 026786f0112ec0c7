# SPDX-License-Identifier: Apache-2.0
"""Processor ``attitude_fusion``: IMU, magnetic field and star attitudes in, attitude out."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from sensor_msgs.msg import Imu

from meta_repo_ros.core import rotations as rot
from meta_repo_ros.core.messages import Template
from meta_repo_ros.core.parameters import parameter_hash
from meta_repo_ros.core.processor import Diagnostic, Level, Output, Processor, Topic
from meta_repo_ros.core.time import seconds_ns, stamp_ns
from meta_repo_ros.core.window import Arrival, ReplayWindow
from meta_repo_ros.fusion import attitude_input as read
from meta_repo_ros.fusion.attitude_filter import AttitudeFilter
from meta_repo_ros.fusion.attitude_input import BadInputError
from meta_repo_ros.fusion.attitude_parameters import AttitudeParameters
from meta_repo_ros.fusion.attitude_state import ImuSample, PositionSample, Sample

IMU, FIELD, STARS = 'imu/data_raw', 'imu/mag', 'attitude_update'
FIX, VELOCITY = 'gnss/fix', 'gnss/velocity'
_SENSORS = {
    IMU: 'imu',
    FIELD: 'magnetometer',
    STARS: 'stars',
    VELOCITY: 'velocity',
    FIX: 'position',
}
_RANKS = {FIX: 0, IMU: 1, FIELD: 2, VELOCITY: 3, STARS: 4}
_SNAPSHOT_INTERVAL = 50_000_000  # ns
_EYE = np.eye(3)
_OUTPUT = Template(
    Imu(),
    'header.stamp.sec',
    'header.stamp.nanosec',
    'header.frame_id',
    *(f'orientation.{axis}' for axis in 'wxyz'),
    *(f'angular_velocity.{axis}' for axis in 'xyz'),
    *(f'linear_acceleration.{axis}' for axis in 'xyz'),
    'orientation_covariance',
    'angular_velocity_covariance',
    'linear_acceleration_covariance',
)
_STALE = 1_000_000_000  # ns without IMU


class AttitudeFusion(Processor):
    """Attitude body to ENU with covariance, from ``imu/data_raw`` and what else there is.

    ``imu/data`` carries the stamp, frame and specific force of the IMU sample; its rate is free of
    the estimated bias; ``orientation_covariance`` is of a small rotation about east, north, up.
    """

    name: ClassVar[str] = 'attitude_fusion'
    Parameters: ClassVar[type] = AttitudeParameters
    inputs: ClassVar[tuple[Topic, ...]] = (
        Topic(IMU, 'sensor_msgs/msg/Imu', 'STREAM'),
        Topic(FIELD, 'sensor_msgs/msg/MagneticField', 'STREAM'),
        Topic(STARS, 'meta_repo_ros/msg/AttitudeUpdate', 'STATE'),
        Topic(FIX, 'sensor_msgs/msg/NavSatFix', 'SENSOR'),
        Topic(VELOCITY, 'geometry_msgs/msg/TwistWithCovarianceStamped', 'SENSOR'),
    )
    outputs: ClassVar[tuple[Topic, ...]] = (Topic('imu/data', 'sensor_msgs/msg/Imu', 'STREAM'),)

    def __init__(self, parameters: AttitudeParameters, seed: int = 0) -> None:
        super().__init__(parameters, seed)
        self.parameters: AttitudeParameters = parameters
        self._start()

    def _start(self) -> None:
        self.filter = AttitudeFilter(self.parameters)
        self._place()
        self._open_window()
        self._refused: dict[str, Counter[str]] = {s: Counter() for s in _SENSORS.values()}
        self._reported: dict[str, int] = {}
        self._passed_over = 0
        self._published = 0  # newest stamp given out, ns
        self._rate_covariance = read.CovarianceReader()
        self._force_covariance = read.CovarianceReader()
        self._field_covariance = read.CovarianceReader()
        self._covariance = self._rotation_values = self._rate_values = np.zeros(9)
        self._rate_noise = math.nan

    def _place(self) -> None:
        place = self.parameters.position
        if place.known:
            self.filter.state.position = PositionSample(
                place.latitude, place.longitude, place.altitude
            )

    def _open_window(self) -> None:
        timing = self.parameters.timing
        self.window: ReplayWindow[Sample] = ReplayWindow(
            self.filter, seconds_ns(timing.window), _SNAPSHOT_INTERVAL
        )
        self._tolerance = seconds_ns(timing.future_tolerance)

    # -- events ------------------------------------------------------------------------------------
    def on_message(self, topic: str, message: Any, stamp: int) -> Sequence[Output]:
        """Fuse one message, or count why not."""
        if topic == STARS and message.method == read.METHOD_FILTERED:
            self._passed_over += 1  # made from images that come one by one
            return ()
        try:
            valid = self._check_stamp(message, stamp)
            sample, sequence = self._read(topic, message)
        except BadInputError as error:
            self._refused[_SENSORS[topic]][str(error)] += 1
            return ()
        arrival = self.window.add(valid, _RANKS[topic], sequence, sample)
        if arrival is Arrival.DROPPED:
            self._refused[_SENSORS[topic]]['older than the window'] += 1
            return ()
        if topic != IMU:
            return ()
        # one replay for all that came late since the last sample
        self.window.settle()
        state = self.filter.state
        if not state.aligned or not self._published < valid == state.stamp:
            return ()  # a late or repeated sample improves what comes next
        self._published = valid
        return (Output('imu/data', self._output(message, sample)),)

    def _check_stamp(self, message: Any, now: int) -> int:
        valid = stamp_ns(message.header.stamp)
        if valid <= 0:
            raise BadInputError('zero stamp')
        if valid > now + self._tolerance:
            raise BadInputError('stamp in the future')
        return valid

    def _read(self, topic: str, message: Any) -> tuple[Sample, int]:
        p = self.parameters
        if topic == IMU:
            imu = read.read_imu(message, self._rate_covariance, self._force_covariance)
            return imu, hash(imu.rate + imu.force)
        if topic == FIELD:
            if not p.magnetometer.enabled:
                raise BadInputError('disabled')
            field = read.read_field(message, self._field_covariance, p.magnetometer)
            return field, hash(field.field)
        if topic == STARS:
            if not p.stars.enabled:
                raise BadInputError('disabled')
            star = read.read_star(message, p.stars)
            return star, hash(star.orientation + star.covariance)
        if topic == VELOCITY:
            if not p.velocity.enabled:
                raise BadInputError('disabled')
            velocity = read.read_velocity(message)
            return velocity, hash(velocity)
        position = read.read_position(message)
        return position, hash(tuple(position))

    def _output(self, message: Any, sample: Any) -> Imu:
        imu: ImuSample = sample
        state, p = self.filter.state, self.parameters
        noise = imu.rate_variance
        if noise is None:
            noise = p.gyroscope.noise_density**2 / p.timing.update_interval
        covariance = state.covariance
        if covariance is not self._covariance or noise != self._rate_noise:
            # the filter replaces its covariance, at a lower rate than the IMU's
            self._covariance, self._rate_noise = covariance, noise
            self._rotation_values = covariance[:3, :3].ravel()
            self._rate_values = (covariance[3:6, 3:6] + noise * _EYE).ravel()
        header = message.header
        return _OUTPUT(
            int(header.stamp.sec),
            int(header.stamp.nanosec),
            str(header.frame_id),
            *map(float, state.orientation),
            *map(float, state.rate),
            *imu.force,
            self._rotation_values.copy(),
            self._rate_values.copy(),
            np.array(message.linear_acceleration_covariance, dtype=float),
        )

    def set_parameters(self, parameters: Any) -> None:
        """Go on from the present attitude with other parameters."""
        self.parameters = parameters
        self.filter.retune(parameters)
        self._place()
        self._open_window()

    def reset(self, stamp: int) -> None:  # noqa: ARG002
        """Forget all state."""
        self._start()

    # -- diagnostics -------------------------------------------------------------------------------
    def diagnostics(self, stamp: int) -> Sequence[Diagnostic]:
        """One row for the attitude and one per sensor."""
        self.window.settle()
        return (
            self._attitude_row(stamp),
            self._sensor_row('imu', self._imu_values()),
            self._sensor_row('magnetometer', self._field_values()),
            self._sensor_row('stars', {'passed_over': self._passed_over}),
            self._sensor_row('velocity', {'aided': self.filter.state.aided}),
            self._sensor_row('position', {}),
            self._window_row(),
        )

    def _attitude_row(self, stamp: int) -> Diagnostic:
        state = self.filter.state
        sigma = np.degrees(np.sqrt(np.diag(self.filter.rotation_covariance)))
        level, text = Level.OK, 'attitude from all sensors in use'
        if not state.aligned:
            level, text = Level.WARN, 'waits for the IMU'
        elif stamp - state.stamp > _STALE:
            level = Level.ERROR
            text = f'no IMU for {(stamp - state.stamp) * 1e-9:.1f} s: attitude is not updated'
        elif not state.heading_known:
            level, text = Level.WARN, 'heading unknown: no magnetic field or stars taken so far'
        roll, pitch, yaw = np.degrees(rot.to_euler(state.orientation))
        values: dict[str, str | int | float | bool] = {
            'roll_deg': round(float(roll), 3),
            'pitch_deg': round(float(pitch), 3),
            'yaw_deg': round(float(yaw), 3),
            'tilt_sigma_deg': round(float(max(sigma[0], sigma[1])), 4),
            'heading_sigma_deg': round(float(sigma[2]), 4),
            'resting': state.rest.resting,
            'gaps': state.gaps,
            'resets': state.resets,
            'parameters': parameter_hash(self.parameters),
        }
        return Diagnostic('attitude', level, text, values)

    def _imu_values(self) -> dict[str, float]:
        return {
            f'bias_{axis}_deg_per_s': round(math.degrees(bias), 5)
            for axis, bias in zip('xyz', self.filter.state.bias, strict=True)
        }

    def _field_values(self) -> dict[str, float | bool]:
        field = self.filter.state.field
        return {
            'field_uT': round(field.norm * 1e6, 2),
            'undisturbed': field.accepted,
            'disturbance_deg': round(math.degrees(math.sqrt(field.variance)), 2),
            'deviation_deg': round(math.degrees(self.filter.state.deviation), 2),
            'declination_deg': round(math.degrees(field.declination), 2),
            'references_adopted': field.adoptions,
        }

    def _sensor_row(self, sensor: str, values: dict[str, Any]) -> Diagnostic:
        count = self.filter.state.counts[sensor]
        refused = self._refused[sensor]
        rejected = count.rejected + sum(refused.values())
        fresh = rejected - self._reported.get(sensor, 0)
        self._reported[sensor] = rejected
        level, text = Level.OK, 'used' if count.accepted else 'nothing came in'
        if fresh > 0:
            reasons = ', '.join(f'{reason} {n}' for reason, n in sorted(refused.items()))
            level = Level.WARN
            text = f'{fresh} refused since the last report; in all: {reasons or "by the gates"}'
        rows: dict[str, Any] = {'accepted': count.accepted, 'rejected': rejected}
        rows |= {f'rejected: {reason}': n for reason, n in sorted(refused.items())}
        if sensor not in {'imu', 'position'}:
            rows |= {'rejected: gate': count.rejected}
            rows |= {'nis': round(count.nis, 3), 'nis_mean': round(count.mean_nis, 3)}
        return Diagnostic(sensor, level, text, {**rows, **values})

    def _window_row(self) -> Diagnostic:
        values = {
            'late': self.window.late,
            'dropped': self.window.dropped,
            'replayed': self.window.replayed,
        }
        return Diagnostic('window', Level.OK, 'late measurements are put in their place', values)
