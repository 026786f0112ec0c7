# SPDX-License-Identifier: Apache-2.0
"""Magnetometer in the field of the World Magnetic Model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import ClassVar

import numpy as np
from pygeomag import GeoMag
from sensor_msgs.msg import MagneticField

from meta_repo_ros.core import rotations
from meta_repo_ros.core.parameters import parameter
from meta_repo_ros.core.processor import Topic
from meta_repo_ros.core.rotations import Vector
from meta_repo_ros.simulation.sensors.base import Sample, Sensor, SensorContext, diagonal, stamped
from meta_repo_ros.simulation.state import VehicleState

_REFRESH_NS = 1_000_000_000  # the model is evaluated again after this time
_YEAR_S = 31556952.0  # mean Gregorian year


@dataclass(frozen=True)
class MagnetometerParameters:
    """Parameters of the magnetometer."""

    noise_sigma: float = parameter(2.0e-7, 'Noise of a reading.', unit='T', minimum=0.0)
    hard_iron: tuple[float, ...] = parameter(
        (0.0, 0.0, 0.0), 'Field of the vehicle`s own magnets, body axes.', unit='T', size=3
    )
    soft_iron: tuple[float, ...] = parameter(
        (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0),
        'Matrix, row by row, by which the iron of the vehicle distorts the field.',
        size=9,
    )
    hard_iron_sigma: float = parameter(0.0, 'Spread of the hard iron.', unit='T', minimum=0.0)
    range: float = parameter(8.0e-4, 'Readings saturate here.', unit='T', minimum=0.0)
    resolution: float = parameter(1.5e-8, 'Least step; 0 for none.', unit='T', minimum=0.0)


class MagnetometerSensor(Sensor):
    """Gives ``imu/mag``: the Earth's field by WMM in body axes, distorted by the vehicle.

    Faults: ``offset`` (T, body axes) adds a disturbance, saturated as any field; ``nan``.
    """

    Parameters = MagnetometerParameters
    topics = (Topic('imu/mag', 'sensor_msgs/msg/MagneticField', 'STREAM'),)
    default_rate: ClassVar[float] = 50.0
    faults = ('offset', 'nan')

    def __init__(self, parameters: MagnetometerParameters, context: SensorContext) -> None:
        super().__init__(parameters, context)
        self._year = _decimal_year(context.initial.stamp)
        self._model = GeoMag(base_year=self._year)
        self._field: Vector = (0.0, 0.0, 0.0)
        self._field_stamp = -_REFRESH_NS
        self._hard: Vector | None = None
        sigma = max(parameters.noise_sigma, parameters.resolution / math.sqrt(12.0), 1e-12)
        self._covariance = diagonal(sigma**2, sigma**2, sigma**2)

    def sample(self, state: VehicleState, rng: np.random.Generator) -> Sequence[Sample]:
        """Measure."""
        p: MagnetometerParameters = self.parameters
        if self._hard is None:
            extra = (p.hard_iron_sigma * rng.standard_normal(3)).tolist()
            x, y, z = (h + e for h, e in zip(p.hard_iron, extra, strict=True))
            self._hard = (x, y, z)
        if state.stamp - self._field_stamp >= _REFRESH_NS:
            self._field, self._field_stamp = self.earth_field(state), state.stamp
        x, y, z = rotations.rotate(rotations.conjugate(state.orientation), self._field)
        s, h, n = p.soft_iron, self._hard, rng.standard_normal(3).tolist()
        reading = [
            s[3 * i] * x + s[3 * i + 1] * y + s[3 * i + 2] * z + h[i] + p.noise_sigma * n[i]
            for i in range(3)
        ]
        if self.context.faults:
            offset = self.fault('offset', state.time) or (0.0, 0.0, 0.0)
            reading = [a + b for a, b in zip(reading, offset, strict=True)]
            if self.fault('nan', state.time) is not None:
                reading = [math.nan] * 3
        message = stamped(MagneticField(), state.stamp)
        field = message.magnetic_field
        field.x, field.y, field.z = (self._converted(value) for value in reading)
        message.magnetic_field_covariance = self._covariance
        return (Sample('imu/mag', message),)

    def earth_field(self, state: VehicleState) -> Vector:
        """The undistorted field at a state, T, ENU."""
        field = self._model.calculate(
            glat=math.degrees(state.latitude),
            glon=math.degrees(state.longitude),
            alt=state.altitude * 1e-3,
            time=self._year,
        )
        # the model gives north, east, down in nT
        return (field.y * 1e-9, field.x * 1e-9, -field.z * 1e-9)

    def _converted(self, value: float) -> float:
        p: MagnetometerParameters = self.parameters
        if math.isnan(value):
            return value
        value = max(-p.range, min(p.range, value))
        step = p.resolution
        return step * math.floor(value / step + 0.5) if step > 0.0 else value


def _decimal_year(stamp: int) -> float:
    moment = datetime.fromtimestamp(stamp * 1e-9, tz=timezone.utc)
    start = datetime(moment.year, 1, 1, tzinfo=timezone.utc)
    return moment.year + (moment - start).total_seconds() / _YEAR_S
