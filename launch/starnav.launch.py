# SPDX-License-Identifier: Apache-2.0
"""The star navigator."""

from launch import LaunchDescription
from meta_repo_ros.launching import subsystem


def generate_launch_description() -> LaunchDescription:
    return subsystem('starnav')
