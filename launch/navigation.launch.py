# SPDX-License-Identifier: Apache-2.0
"""Navigation and attitude fusion."""

from launch import LaunchDescription
from meta_repo_ros.launching import subsystem


def generate_launch_description() -> LaunchDescription:
    return subsystem('navigation')
