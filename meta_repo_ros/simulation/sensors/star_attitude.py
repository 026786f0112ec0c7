# SPDX-License-Identifier: Apache-2.0
"""Attitude as a star tracker would give it, made from the truth: no image, no stars, no sky."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from meta_repo_ros.core import rotations
from meta_repo_ros.core.earth import icrs_to_itrs
from meta_repo_ros.core.parameters import parameter
from meta_repo_ros.core.processor import Topic
from meta_repo_ros.core.time import seconds_ns
from meta_repo_ros.msg import AttitudeUpdate
from meta_repo_ros.simulation.sensors.base import Sample, Sensor, SensorContext, diagonal, stamped
from meta_repo_ros.simulation.state import VehicleState


@dataclass(frozen=True)
class StarAttitudeParameters:
    """Parameters of the simulated star attitude."""

    sigma: tuple[float, ...] = parameter(
        (1.745e-4, 1.745e-4, 1.745e-4),
        'Error about body x, y, z (0.01 deg).', unit='rad', size=3, minimum=0.0,
    )  # fmt: skip
    latency: float = parameter(
        0.2, 'Delivery after the time of validity.', unit='s', minimum=0.0, maximum=10.0
    )


class SimulatedStarAttitude(Sensor):
    """Gives ``attitude_update``: true attitude against ICRS with noise, as of one star image.

    It stands in for the star tracker so that fusion can be flown and tested; it knows no clouds,
    no daylight and no wrong identification, except by its faults: ``offset`` (rad, body axes)
    turns the result away without widening its covariance; ``nan``.
    """

    Parameters = StarAttitudeParameters
    topics = (Topic('attitude_update', 'meta_repo_ros/msg/AttitudeUpdate', 'STATE'),)
    default_rate: ClassVar[float] = 1.0
    faults = ('offset', 'nan')

    def __init__(self, parameters: StarAttitudeParameters, context: SensorContext) -> None:
        super().__init__(parameters, context)
        self._covariance = diagonal(*(max(s * s, 1e-16) for s in parameters.sigma))
        self._delay = seconds_ns(parameters.latency)

    def sample(self, state: VehicleState, rng: np.random.Generator) -> Sequence[Sample]:
        """Measure."""
        noise = rng.standard_normal(3).tolist()
        x, y, z = (s * n for s, n in zip(self.parameters.sigma, noise, strict=True))
        offset = self.fault('offset', state.time)
        if offset is not None:
            x, y, z = x + offset[0], y + offset[1], z + offset[2]
        truth = rotations.multiply(
            rotations.conjugate(state.orientation_ecef),
            rotations.from_matrix(icrs_to_itrs(state.stamp)),
        )
        q = rotations.multiply(rotations.exp((x, y, z)), truth)
        if self.fault('nan', state.time) is not None:
            q = (math.nan, math.nan, math.nan, math.nan)
        message = stamped(AttitudeUpdate(), state.stamp)
        rotations.set_message(message.orientation, q)
        message.covariance = self._covariance
        message.source_mask = AttitudeUpdate.SOURCE_STARS
        message.method = AttitudeUpdate.METHOD_IMAGE
        message.residual_rms = math.nan
        message.false_alarm_probability = math.nan
        return (Sample('attitude_update', message, self._delay),)
