# SPDX-License-Identifier: Apache-2.0
"""The one place that knows of tf: ``tf2_msgs`` is on full ROS 2 installs only.

A message type of our own under the topic ``/tf`` would be another type to every tf listener, so
where the package is missing there is no live tf.
"""

from __future__ import annotations

import importlib.util
from typing import Any

from geometry_msgs.msg import TransformStamped

from meta_repo_ros.core.processor import Topic

PACKAGE = 'tf2_msgs'
# tf listeners subscribe reliably, depth 100; `tf` is relative so that a vehicle is a namespace
TOPIC = Topic('tf', 'tf2_msgs/msg/TFMessage', 'STREAM')


def available() -> bool:
    """Whether tf messages are installed here."""
    return importlib.util.find_spec(PACKAGE) is not None


def from_odometry(odometry: Any) -> TransformStamped:
    """``header.frame_id`` to ``child_frame_id`` (REP-105: odom to base_link) of an odometry."""
    transform = TransformStamped(header=odometry.header, child_frame_id=odometry.child_frame_id)
    position = odometry.pose.pose.position
    transform.transform.translation.x = position.x
    transform.transform.translation.y = position.y
    transform.transform.translation.z = position.z
    transform.transform.rotation = odometry.pose.pose.orientation
    return transform
