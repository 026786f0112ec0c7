# SPDX-License-Identifier: Apache-2.0
"""Sensors of the air: barometer and air data computer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from sensor_msgs.msg import FluidPressure

from meta_repo_ros.core.parameters import parameter
from meta_repo_ros.core.processor import Topic
from meta_repo_ros.msg import AirData
from meta_repo_ros.simulation.sensors.base import Sample, Sensor, SensorContext, stamped
from meta_repo_ros.simulation.state import VehicleState


@dataclass(frozen=True)
class BarometerParameters:
    """Parameters of the barometer."""

    noise_sigma: float = parameter(3.0, 'Noise of a reading.', unit='Pa', minimum=0.0)
    bias_sigma: float = parameter(50.0, 'Spread of the constant error.', unit='Pa', minimum=0.0)
    bias_random_walk: float = parameter(0.2, 'Drift.', unit='Pa/sqrt(s)', minimum=0.0)
    resolution: float = parameter(0.1, 'Least step; 0 for none.', unit='Pa', minimum=0.0)


class BarometerSensor(Sensor):
    """Gives ``baro/pressure``: static pressure of JSBSim's standard atmosphere with errors.

    The simulated world has no geoid: its sea level is the WGS84 ellipsoid.

    Faults: ``offset`` (Pa, first component), ``nan``.
    """

    Parameters = BarometerParameters
    topics = (Topic('baro/pressure', 'sensor_msgs/msg/FluidPressure', 'SENSOR'),)
    default_rate: ClassVar[float] = 25.0
    faults = ('offset', 'nan')

    def __init__(self, parameters: BarometerParameters, context: SensorContext) -> None:
        super().__init__(parameters, context)
        self._bias: float | None = None
        self._walk = parameters.bias_random_walk / math.sqrt(context.rate)

    def sample(self, state: VehicleState, rng: np.random.Generator) -> Sequence[Sample]:
        """Measure."""
        p: BarometerParameters = self.parameters
        if self._bias is None:
            self._bias = p.bias_sigma * float(rng.standard_normal())
        walk, noise = rng.standard_normal(2).tolist()
        self._bias += self._walk * walk
        pressure = state.static_pressure + self._bias + p.noise_sigma * noise
        offset = self.fault('offset', state.time)
        if offset is not None:
            pressure += offset[0]
        if p.resolution > 0.0:
            pressure = p.resolution * math.floor(pressure / p.resolution + 0.5)
        if self.fault('nan', state.time) is not None:
            pressure = math.nan
        message = stamped(FluidPressure(), state.stamp)
        message.fluid_pressure = pressure
        message.variance = max(p.noise_sigma**2, p.resolution**2 / 12.0, 1e-12)
        return (Sample('baro/pressure', message),)


@dataclass(frozen=True)
class AirDataParameters:
    """Parameters of the air data computer."""

    airspeed_sigma: float = parameter(0.5, 'Error of true airspeed.', unit='m/s', minimum=0.0)
    angle_sigma: float = parameter(0.005, 'Error of the flow angles.', unit='rad', minimum=0.0)
    minimum_airspeed: float = parameter(
        10.0, 'Flow angles are not measured below this airspeed.', unit='m/s', minimum=0.0
    )
    temperature_sigma: float = parameter(0.5, 'Error of temperature.', unit='K', minimum=0.0)
    height_sigma: float = parameter(0.3, 'Error of the height above ground.', unit='m', minimum=0.0)
    height_range: float = parameter(
        750.0, 'The radio altimeter measures up to this height.', unit='m', minimum=0.0
    )


class AirDataSensor(Sensor):
    """Gives ``air_data``: airspeed, flow angles, pressures, temperature, height above ground.

    It does not estimate the wind. Faults: ``offset`` (m/s of airspeed, first component), ``nan``.
    """

    Parameters = AirDataParameters
    topics = (Topic('air_data', 'meta_repo_ros/msg/AirData', 'SENSOR'),)
    default_rate: ClassVar[float] = 20.0
    faults = ('offset', 'nan')

    def sample(self, state: VehicleState, rng: np.random.Generator) -> Sequence[Sample]:
        """Measure."""
        p: AirDataParameters = self.parameters
        speed, alpha, beta, temperature, height = rng.standard_normal(5).tolist()
        airspeed = state.airspeed + p.airspeed_sigma * speed
        offset = self.fault('offset', state.time)
        if offset is not None:
            airspeed += offset[0]
        airspeed = max(0.0, airspeed)
        if self.fault('nan', state.time) is not None:
            airspeed = math.nan
        message = stamped(AirData(), state.stamp)
        message.true_airspeed = airspeed
        message.airspeed_variance = p.airspeed_sigma**2
        measured = airspeed >= p.minimum_airspeed
        message.angle_of_attack = (
            state.angle_of_attack + p.angle_sigma * alpha if measured else math.nan
        )
        message.sideslip = state.sideslip + p.angle_sigma * beta if measured else math.nan
        message.static_pressure = state.static_pressure
        message.temperature = state.temperature + p.temperature_sigma * temperature
        # what a pitot tube would have to read for this airspeed
        density = state.static_pressure / (287.05287 * state.temperature)
        message.dynamic_pressure = 0.5 * density * airspeed * airspeed
        wind = message.wind
        wind.x = wind.y = wind.z = math.nan
        low = state.height_above_ground <= p.height_range
        message.height_above_ground = (
            state.height_above_ground + p.height_sigma * height if low else math.nan
        )
        message.height_variance = p.height_sigma**2 if low else 0.0
        return (Sample('air_data', message),)
