# SPDX-License-Identifier: Apache-2.0
"""Sensor models, by the names that scenarios use."""

from __future__ import annotations

from meta_repo_ros.simulation.sensors.base import Sample, Sensor, SensorContext

_HERE = __name__

STANDARD: tuple[str, ...] = (
    'ground_truth', 'imu', 'magnetometer', 'barometer', 'gnss', 'air_data', 'rotor_state',
)  # fmt: skip
"""Sensors that every scenario has unless it says ``enabled: false``."""

SENSORS: dict[str, str] = {
    'ground_truth': f'{_HERE}.truth:GroundTruthSensor',
    'imu': f'{_HERE}.imu:ImuSensor',
    'magnetometer': f'{_HERE}.magnetometer:MagnetometerSensor',
    'barometer': f'{_HERE}.air:BarometerSensor',
    'gnss': f'{_HERE}.gnss:GnssSensor',
    'air_data': f'{_HERE}.air:AirDataSensor',
    'rotor_state': f'{_HERE}.rotor:RotorSensor',
    'rotor_samples': f'{_HERE}.rotor_samples:RotorSamplesSensor',
    'star_attitude': f'{_HERE}.star_attitude:SimulatedStarAttitude',
    'star_camera': f'{_HERE}.star_camera:StarCameraSensor',
    'horizon_camera': f'{_HERE}.horizon_camera:HorizonCameraSensor',
}
"""Registered sensors as ``package.module:Class``: imported only where a scenario has them."""

__all__ = ['SENSORS', 'STANDARD', 'Sample', 'Sensor', 'SensorContext']
