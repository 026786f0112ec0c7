# SPDX-License-Identifier: Apache-2.0
"""Inertial measurement unit at the centre of gravity, axes along the body."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from sensor_msgs.msg import Imu

from meta_repo_ros.core.parameters import group, parameter
from meta_repo_ros.core.processor import Topic
from meta_repo_ros.core.rotations import Vector
from meta_repo_ros.simulation.sensors.base import Sample, Sensor, SensorContext, diagonal, stamped
from meta_repo_ros.simulation.sensors.triaxial import Triad, TriaxialParameters
from meta_repo_ros.simulation.state import VehicleState, inertial_mean


@dataclass(frozen=True)
class GyroscopeParameters(TriaxialParameters):
    """Gyroscopes of an industrial MEMS unit, u = rad/s; range 500 deg/s in 16 bits."""

    noise_density: float = parameter(1.0e-4, 'White noise.', unit='rad/s/sqrt(Hz)', minimum=0.0)
    bias_random_walk: float = parameter(
        2.0e-6, 'Drift of the bias.', unit='rad/s/sqrt(s)', minimum=0.0
    )
    bias_sigma: float = parameter(2.0e-3, 'Spread of the turn-on bias.', unit='rad/s', minimum=0.0)
    range: float = parameter(8.7266, 'Readings saturate here.', unit='rad/s', minimum=0.0)
    resolution: float = parameter(2.6632e-4, 'Least step; 0 for none.', unit='rad/s', minimum=0.0)


@dataclass(frozen=True)
class AccelerometerParameters(TriaxialParameters):
    """Accelerometers of an industrial MEMS unit, u = m/s2; range 8 g in 16 bits."""

    noise_density: float = parameter(1.0e-3, 'White noise.', unit='m/s2/sqrt(Hz)', minimum=0.0)
    bias_random_walk: float = parameter(
        5.0e-5, 'Drift of the bias.', unit='m/s2/sqrt(s)', minimum=0.0
    )
    bias_sigma: float = parameter(3.0e-2, 'Spread of the turn-on bias.', unit='m/s2', minimum=0.0)
    range: float = parameter(78.4532, 'Readings saturate here.', unit='m/s2', minimum=0.0)
    resolution: float = parameter(2.3942e-3, 'Least step; 0 for none.', unit='m/s2', minimum=0.0)


@dataclass(frozen=True)
class ImuParameters:
    """Parameters of the inertial measurement unit."""

    gyroscope: GyroscopeParameters = group(GyroscopeParameters)
    accelerometer: AccelerometerParameters = group(AccelerometerParameters)


class ImuSensor(Sensor):
    """Gives ``imu/data_raw``: turn rate against inertial space, specific force (+g up at rest).

    A reading is the mean over the interval since the one before and is stamped at its end: held
    constant over that interval it integrates to the true attitude and velocity.

    Faults: ``gyroscope_offset`` (rad/s), ``accelerometer_offset`` (m/s2), ``nan``.
    """

    Parameters = ImuParameters
    topics = (Topic('imu/data_raw', 'sensor_msgs/msg/Imu', 'STREAM'),)
    default_rate: ClassVar[float] = 200.0
    faults = ('gyroscope_offset', 'accelerometer_offset', 'nan')

    def __init__(self, parameters: ImuParameters, context: SensorContext) -> None:
        super().__init__(parameters, context)
        self._last = context.initial
        self.gyroscope = Triad(parameters.gyroscope, context.rate)
        self.accelerometer = Triad(parameters.accelerometer, context.rate)
        self._covariances = [
            diagonal(*[max(p.noise_density**2 * context.rate, p.resolution**2 / 12.0, 1e-18)] * 3)
            for p in (parameters.gyroscope, parameters.accelerometer)
        ]
        self._no_orientation = diagonal(-1.0, 0.0, 0.0)

    def sample(self, state: VehicleState, rng: np.random.Generator) -> Sequence[Sample]:
        """Measure."""
        rate, force = inertial_mean(self._last, state)
        self._last = state
        gyro = self._with_fault('gyroscope_offset', self.gyroscope.measure(rate, rng), state)
        accel = self._with_fault(
            'accelerometer_offset', self.accelerometer.measure(force, rng), state
        )
        message = stamped(Imu(), state.stamp)
        message.orientation_covariance = self._no_orientation
        message.angular_velocity_covariance, message.linear_acceleration_covariance = (
            self._covariances
        )
        w, a = message.angular_velocity, message.linear_acceleration
        w.x, w.y, w.z = gyro
        a.x, a.y, a.z = accel
        return (Sample('imu/data_raw', message),)

    def _with_fault(self, kind: str, reading: Vector, state: VehicleState) -> Vector:
        if not self.context.faults:
            return reading
        if self.fault('nan', state.time) is not None:
            return (math.nan, math.nan, math.nan)
        offset = self.fault(kind, state.time)
        if offset is None:
            return reading
        triad = self.gyroscope if kind.startswith('gyro') else self.accelerometer
        x, y, z = (triad.converted(a + b) for a, b in zip(reading, offset, strict=True))
        return (x, y, z)
