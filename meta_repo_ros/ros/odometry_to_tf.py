# SPDX-License-Identifier: Apache-2.0
"""``odometry`` as tf, for rviz2 and other tools; runs only where tf2_msgs is installed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from meta_repo_ros.core.parameters import parameter
from meta_repo_ros.core.processor import Topic
from meta_repo_ros.core.time import seconds_ns, stamp_ns
from meta_repo_ros.ros import tf
from meta_repo_ros.ros.node import ManagedNode
from meta_repo_ros.ros.types import message_class

if TYPE_CHECKING:
    from rclpy.publisher import Publisher


@dataclass(frozen=True)
class OdometryToTfParameters:
    """Parameters of ``odometry_to_tf``."""

    rate: float = parameter(
        50.0,
        'Greatest rate of transforms; odometry in between is passed over.',
        unit='Hz', minimum=1.0, maximum=1000.0,
    )  # fmt: skip


class OdometryToTf(ManagedNode):
    """Publishes one transform per odometry message, at a bounded rate.

    Raises:
        ValueError: tf2_msgs is not installed.
    """

    name = 'odometry_to_tf'
    Parameters = OdometryToTfParameters

    def __init__(self, name: str | None = None, **options: Any) -> None:
        if not tf.available():
            raise ValueError(
                f'odometry_to_tf needs the package {tf.PACKAGE}, which full ROS 2 installs have '
                '(ros-<distribution>-tf2-msgs); leave the node out here'
            )
        super().__init__(name, **options)

    def configure(self) -> None:
        """Make the publisher and the subscription."""
        self._last_ns = -(1 << 62)
        self._publisher: Publisher[Any] = self.advertise(tf.TOPIC)
        self._message = message_class(tf.TOPIC.type)
        self.listen(Topic('odometry', 'nav_msgs/msg/Odometry', 'STREAM'), self._on_odometry)

    def on_clock_reset(self, stamp: int) -> None:
        """Odometry starts anew."""
        del stamp
        self._last_ns = -(1 << 62)

    def _on_odometry(self, odometry: Any) -> None:
        stamp = stamp_ns(odometry.header.stamp)
        # a tenth of slack: the rate is often an exact multiple, and stamps have jitter
        if 0 <= stamp - self._last_ns < 0.9 * seconds_ns(1.0 / self.parameters.rate):
            return
        self._last_ns = stamp
        self._publisher.publish(self._message(transforms=[tf.from_odometry(odometry)]))
