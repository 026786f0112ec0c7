# SPDX-License-Identifier: Apache-2.0
"""Tracks and markers, tf where tf2_msgs is installed."""

from launch import LaunchDescription
from meta_repo_ros.launching import subsystem


def generate_launch_description() -> LaunchDescription:
    return subsystem('visualization')
