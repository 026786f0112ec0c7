# SPDX-License-Identifier: Apache-2.0
"""Processor of navigation_fusion: sensors in, odometry and its origin out."""

from __future__ import annotations

import math
import zlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from nav_msgs.msg import Odometry
from numpy.typing import NDArray
from sensor_msgs.msg import NavSatFix

from meta_repo_ros.core.earth import earth_orientation, earth_orientation_error
from meta_repo_ros.core.gates import Gate
from meta_repo_ros.core.geodesy import LocalFrame
from meta_repo_ros.core.messages import Template
from meta_repo_ros.core.processor import Diagnostic, Level, Output, Processor, Topic
from meta_repo_ros.core.time import NANOSECONDS, seconds_ns, set_stamp, stamp_ns
from meta_repo_ros.core.window import Arrival, ReplayWindow
from meta_repo_ros.fusion.navigation import Navigation, Status
from meta_repo_ros.fusion.navigation_filter import ATTITUDE, POSITION, VELOCITY, NavigationFilter
from meta_repo_ros.fusion.navigation_input import READERS, RefusedError, is_passed_over
from meta_repo_ros.fusion.navigation_parameters import NavigationParameters

Array = NDArray[np.float64]

_IMU = 'imu/data_raw'
_SELECTED = frozenset({'attitude_update', 'position_update'})
_POSE_BLOCK = np.ix_(np.r_[POSITION, ATTITUDE], np.r_[POSITION, ATTITUDE])
_ODOMETRY = (
    'header.stamp.sec',
    'header.stamp.nanosec',
    *(f'pose.pose.position.{axis}' for axis in 'xyz'),
    *(f'pose.pose.orientation.{axis}' for axis in 'wxyz'),
    *(f'twist.twist.linear.{axis}' for axis in 'xyz'),
    *(f'twist.twist.angular.{axis}' for axis in 'xyz'),
    'pose.covariance',
    'twist.covariance',
)
# IMU samples in a row whose stamps disagree with all before: then the clock has jumped
_PERSISTENT = 20
# Refused in a row before it is called an error
_STREAK = 3


class NavigationFusion(Processor):
    """Position, velocity, attitude and sensor biases by an error-state Kalman filter.

    Odometry is given at the rate of the IMU (or a fraction), in the tangent plane at the first fix,
    which is published on ``odometry/origin``. Measurements may be late by up to ``window.length``.
    """

    name = 'navigation_fusion'
    Parameters = NavigationParameters
    inputs = (
        Topic(_IMU, 'sensor_msgs/msg/Imu', 'STREAM'),
        Topic('gnss/fix', 'sensor_msgs/msg/NavSatFix', 'SENSOR'),
        Topic('gnss/velocity', 'geometry_msgs/msg/TwistWithCovarianceStamped', 'SENSOR'),
        Topic('baro/pressure', 'sensor_msgs/msg/FluidPressure', 'SENSOR'),
        Topic('attitude_update', 'meta_repo_ros/msg/AttitudeUpdate', 'STATE'),
        Topic('position_update', 'meta_repo_ros/msg/PositionUpdate', 'STATE'),
        Topic('imu/mag', 'sensor_msgs/msg/MagneticField', 'STREAM'),
    )
    outputs = (
        Topic('odometry', 'nav_msgs/msg/Odometry', 'STREAM'),
        Topic('odometry/origin', 'sensor_msgs/msg/NavSatFix', 'LATCHED'),
    )

    def __init__(self, parameters: NavigationParameters, seed: int = 0) -> None:
        super().__init__(parameters, seed)
        self.parameters: NavigationParameters
        self.clock_jumps = 0
        self._refused: dict[str, Counter[str]] = {
            name: Counter() for _, name, _ in READERS.values()
        }
        self._late: Counter[str] = Counter()
        self._passed_over: Counter[str] = Counter()
        self._resets = 0
        self._begin()

    def _begin(self) -> None:
        p = self.parameters
        self.model = Navigation(p)
        self.window: ReplayWindow[Any] = ReplayWindow(
            self.model, seconds_ns(p.window.length), seconds_ns(p.window.snapshot_interval)
        )
        self._imu_stamp: int | None = None
        self._strange: list[int] = []
        self._samples = 0
        self._published = 0
        self._origin: LocalFrame | None = None
        self._covariance: Array | None = None
        self._pose_covariance: Array = np.zeros(36)
        self._twist_covariance: Array = np.zeros(36)
        self._make_odometry = self._odometry_template()

    # -- processor ---------------------------------------------------------------------------------
    def on_message(self, topic: str, message: Any, stamp: int) -> Sequence[Output]:  # noqa: ARG002
        """Take one sensor message; an IMU sample gives odometry."""
        rank, sensor, read = READERS[topic]
        if topic in _SELECTED and is_passed_over(topic, message, self.parameters):
            self._passed_over[sensor] += 1
            return ()
        when = stamp_ns(message.header.stamp)
        try:
            if topic == _IMU:
                measurement = read(message, self.parameters)
                self._check_inertial_time(when)
            else:
                self._check_time(when)
                measurement = read(message, self.parameters)
        except RefusedError as reason:
            self._refused[sensor][str(reason)] += 1
            return ()
        # equal stamps are put in order by content, so that arrival does not matter
        sequence = hash(measurement) if topic == _IMU else _digest(measurement)
        if self.window.add(when, rank, sequence, measurement) is Arrival.DROPPED:
            self._late[sensor] += 1
        if topic != _IMU:
            return ()
        self.window.settle()
        self._samples += 1
        return self._outputs()

    def diagnostics(self, stamp: int) -> Sequence[Diagnostic]:  # noqa: ARG002
        """One row for the whole, one for each sensor that has said something."""
        self.window.settle()
        rows = [self._overall()]
        for _, sensor, _ in READERS.values():
            row = self._sensor(sensor)
            if row is not None:
                rows.append(row)
        return rows

    def set_parameters(self, parameters: NavigationParameters) -> None:
        """Take a new set; the state stays."""
        self.parameters = parameters
        self.model.configure(parameters)
        self._make_odometry = self._odometry_template()

    def reset(self, stamp: int) -> None:  # noqa: ARG002
        """Forget all state, the origin too."""
        self._resets += 1
        self._begin()

    # -- time --------------------------------------------------------------------------------------
    def _check_inertial_time(self, when: int) -> None:
        """Refuse lonely strange stamps; believe persistent ones.

        The IMU is the clock of this filter. A few samples from far away are faults; many that
        follow each other are a clock that was set.
        """
        _check_not_zero(when)
        newest = self._imu_stamp
        if newest is None:
            self._imu_stamp = when
            return
        ahead = when - newest
        if -self.window.length <= ahead <= seconds_ns(self.parameters.clock_jump):
            self._imu_stamp = max(newest, when)
            self._strange.clear()
            return
        if self._strange and not 0 < when - self._strange[-1] < NANOSECONDS:
            self._strange.clear()
        self._strange.append(when)
        if len(self._strange) < _PERSISTENT:
            raise RefusedError('far-future stamp' if ahead > 0 else 'stamp older than the window')
        self.clock_jumps += 1
        self._begin()
        self._imu_stamp = when

    def _check_time(self, when: int) -> None:
        _check_not_zero(when)
        if self._imu_stamp is None:
            raise RefusedError('before inertial data')
        if when > self._imu_stamp + self.window.length:
            raise RefusedError('far-future stamp')

    # -- output ------------------------------------------------------------------------------------
    def _outputs(self) -> Sequence[Output]:
        model = self.model
        outputs: list[Output] = []
        if model.frame is not None and model.frame is not self._origin:
            self._origin = model.frame
            outputs.append(Output('odometry/origin', self._origin_message()))
        f = model.filter
        if (
            f is not None
            and self._samples % self.parameters.odometry_divider == 0
            and model.time > self._published
        ):
            self._published = model.time
            outputs.append(Output('odometry', self._odometry(f)))
        return outputs

    def _origin_message(self) -> Any:
        assert self._origin is not None  # noqa: S101
        message = NavSatFix()
        set_stamp(message.header.stamp, self.model.time)
        message.header.frame_id = self.parameters.odom_frame
        message.latitude = self._origin.latitude
        message.longitude = self._origin.longitude
        message.altitude = self._origin.altitude
        return message

    def _odometry(self, f: NavigationFilter) -> Any:
        if f.covariance is not self._covariance:
            self._covariance = f.covariance
            self._pose_covariance = f.covariance[_POSE_BLOCK].ravel()
            turn = f.matrix()
            both = np.zeros((6, 6))
            both[:3, :3] = turn.T @ f.covariance[VELOCITY, VELOCITY] @ turn
            both[3:, 3:] = f.covariance[9:12, 9:12]
            self._twist_covariance = both.ravel()
        return self._make_odometry(
            *divmod(self.model.time, NANOSECONDS),
            *f.position,
            *f.attitude,
            *f.body_velocity(),
            *f.rate,
            self._pose_covariance.copy(),
            self._twist_covariance.copy(),
        )

    def _odometry_template(self) -> Template[Odometry]:
        message = Odometry()
        message.header.frame_id = self.parameters.odom_frame
        message.child_frame_id = self.parameters.base_frame
        return Template(message, *_ODOMETRY)

    # -- diagnostics -------------------------------------------------------------------------------
    def _overall(self) -> Diagnostic:
        model, window = self.model, self.window
        status, f = model.status, model.filter
        usable = model.usable_seconds()
        level, text = Level.OK, status.value
        if status is Status.ALIGNING:
            level, text = Level.WARN, f'aligning: waiting for {model.missing}'
        elif status is Status.DEAD_RECKONING:
            level = Level.WARN if usable > 0.0 else Level.ERROR
            text = f'dead reckoning, usable for {usable:.0f} s' if usable else 'no longer usable'
        values: dict[str, str | int | float | bool] = {
            'status': status.value,
            'usable_s': round(usable, 1),
            'heading_source': model.heading_source,
            'constraints': self.parameters.vehicle.constraints,
            'alignments': model.alignments,
            'inertial_gaps': model.gaps,
            'clock_jumps': self.clock_jumps,
            'resets': self._resets,
            'late': window.late,
            'dropped_late': window.dropped,
            'replayed': window.replayed,
            'duplicates': model.duplicates,
        }
        if f is not None:
            sigma = np.sqrt(np.diagonal(f.covariance))
            values['horizontal_sigma_m'] = round(float(math.hypot(sigma[0], sigma[1])), 3)
            values['vertical_sigma_m'] = round(float(sigma[2]), 3)
            values['heading_sigma_deg'] = round(math.degrees(float(sigma[8])), 3)
            values['gyro_bias_rad_s'] = ' '.join(f'{b:.5f}' for b in f.gyro_bias)
            values['accel_bias_m_s2'] = ' '.join(f'{b:.4f}' for b in f.accel_bias)
        return Diagnostic('solution', level, text, values)

    def _sensor(self, sensor: str) -> Diagnostic | None:
        refused, gate = self._refused[sensor], self.model.gates.get(sensor)
        total = sum(refused.values())
        seen = 0 if gate is None else gate.state.accepted + gate.state.rejected + gate.state.held
        silent = not (total or seen or self._passed_over[sensor] or self._late[sensor])
        if silent and sensor != 'imu':
            return None
        level, text = Level.OK, 'ok'
        values: dict[str, str | int | float | bool] = {
            'refused': total,
            'dropped_late': self._late[sensor],
        }
        passed_over = self._passed_over[sensor]
        if passed_over:
            values['passed_over'] = passed_over
        values.update({f'refused: {reason}': count for reason, count in refused.items()})
        if total:
            level, text = Level.WARN, f'refused: {refused.most_common(1)[0][0]}'
        elif self._late[sensor] and gate is not None and not seen:
            level, text = Level.WARN, 'all came later than window.length and were dropped'
        if gate is not None:
            level, text = self._gate_status(sensor, gate, level, text)
            state = gate.state
            values.update(
                accepted=state.accepted, rejected=state.rejected, held=state.held,
                gate_resets=state.resets, nis_last=_rounded(state.nis_last),
                nis_mean=_rounded(gate.nis_mean), nis_expected=gate.dof,
                age_s=_rounded(gate.since_accepted(self.model.time)),
            )  # fmt: skip
        if sensor == 'star_attitude' and self.model.time:
            values['earth_orientation'] = earth_orientation(self.model.time).source
            values['ut1_sigma_s'] = _rounded(earth_orientation_error(self.model.time).ut1)
        if sensor == 'gnss_position':
            values['drift_statistic'] = _rounded(self.model.drift.statistic)
            values['drift_threshold'] = _rounded(self.model.drift.threshold)
        return Diagnostic(sensor, level, text, values)

    def _gate_status(self, sensor: str, gate: Gate, level: Level, text: str) -> tuple[Level, str]:
        model = self.model
        if sensor in {'gnss_position', 'gnss_velocity'}:
            if model.stuck:
                return Level.ERROR, 'stuck: the fix does not change while the vehicle moves'
            if model.drift_found is not None:
                return Level.ERROR, 'drifts away from the inertial solution; refused'
        if gate.state.streak:
            hint = ': wrong time or mounting?' if sensor == 'star_attitude' else ''
            return Level.ERROR if gate.state.streak > _STREAK else Level.WARN, (
                f'disagrees: {gate.state.streak} refused in a row, '
                f'normalised innovation {gate.state.nis_last:.3g}{hint}'
            )
        if gate.state.group_count:
            return Level.WARN, 'regaining trust after an outage'
        return level, text


def _check_not_zero(when: int) -> None:
    if when <= 0:
        raise RefusedError('zero stamp')


def _digest(measurement: Any) -> int:
    # not hash(): Python salts that of bytes, and gives every NaN its own
    digest = 0
    for part in measurement:
        digest = zlib.crc32(np.asarray(part, np.float64).tobytes(), digest)
    return digest


def _rounded(value: float) -> float:
    return float(f'{value:.4g}')
