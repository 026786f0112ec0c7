# SPDX-License-Identifier: Apache-2.0
"""Ground truth as messages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from nav_msgs.msg import Odometry
from sensor_msgs.msg import NavSatFix

from meta_repo_ros.core import rotations
from meta_repo_ros.core.processor import Topic
from meta_repo_ros.simulation.sensors.base import BODY_FRAME, Sample, Sensor, SensorContext, stamped
from meta_repo_ros.simulation.state import VehicleState


@dataclass(frozen=True)
class TruthParameters:
    """Ground truth has no parameters."""


class GroundTruthSensor(Sensor):
    """Gives ``ground_truth/odometry``, and once ``ground_truth/origin``.

    Position and orientation are those in the ENU tangent plane at the origin, which is where the
    scenario starts; the twist is in body axes. Covariances are zero: it is the truth.
    """

    Parameters = TruthParameters
    topics = (
        Topic('ground_truth/odometry', 'nav_msgs/msg/Odometry', 'STATE'),
        Topic('ground_truth/origin', 'sensor_msgs/msg/NavSatFix', 'LATCHED'),
    )
    default_rate: ClassVar[float] = 50.0

    def __init__(self, parameters: TruthParameters, context: SensorContext) -> None:
        super().__init__(parameters, context)
        self._told_origin = False

    def sample(self, state: VehicleState, rng: np.random.Generator) -> Sequence[Sample]:  # noqa: ARG002
        """Give the truth."""
        message = stamped(Odometry(), state.stamp, 'odom')
        message.child_frame_id = BODY_FRAME
        pose, twist = message.pose.pose, message.twist.twist
        pose.position.x, pose.position.y, pose.position.z = state.local_position
        rotations.set_message(pose.orientation, state.orientation_local)
        velocity = rotations.rotate(rotations.conjugate(state.orientation), state.velocity)
        twist.linear.x, twist.linear.y, twist.linear.z = velocity
        twist.angular.x, twist.angular.y, twist.angular.z = state.body_rate
        sample = Sample('ground_truth/odometry', message)
        if self._told_origin:
            return (sample,)
        self._told_origin = True
        return (Sample('ground_truth/origin', self._origin(state.stamp)), sample)

    def _origin(self, stamp: int) -> NavSatFix:
        start = self.context.initial
        origin = stamped(NavSatFix(), stamp, 'odom')
        origin.latitude = math.degrees(start.latitude)
        origin.longitude = math.degrees(start.longitude)
        origin.altitude = start.altitude
        origin.position_covariance_type = NavSatFix.COVARIANCE_TYPE_KNOWN
        return origin
