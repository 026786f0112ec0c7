# SPDX-License-Identifier: Apache-2.0
"""Rotor speed sensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from meta_repo_ros.core.parameters import parameter
from meta_repo_ros.core.processor import Topic
from meta_repo_ros.msg import RotorState
from meta_repo_ros.simulation.sensors.base import Sample, Sensor, stamped
from meta_repo_ros.simulation.state import VehicleState


@dataclass(frozen=True)
class RotorParameters:
    """Parameters of the rotor speed sensors."""

    speed_sigma: float = parameter(0.5, 'Noise of a reading.', unit='rad/s', minimum=0.0)


class RotorSensor(Sensor):
    """Gives ``rotor_state``: speed of each rotor or propeller, commanded thrust, collective.

    Commanded thrust is NaN where the controls command a throttle (c172) or a blade pitch (ah1s),
    collective is NaN for fixed pitch.
    """

    Parameters = RotorParameters
    topics = (Topic('rotor_state', 'meta_repo_ros/msg/RotorState', 'SENSOR'),)
    default_rate: ClassVar[float] = 50.0

    def sample(self, state: VehicleState, rng: np.random.Generator) -> Sequence[Sample]:
        """Measure."""
        noise = rng.standard_normal(len(state.rotor_speed)) * self.parameters.speed_sigma
        message = stamped(RotorState(), state.stamp)
        message.speed = [
            max(0.0, s + n) for s, n in zip(state.rotor_speed, noise.tolist(), strict=True)
        ]
        message.thrust_command = state.thrust_command
        message.collective = state.collective
        return (Sample('rotor_state', message),)
