# SPDX-License-Identifier: Apache-2.0
"""Vortex Shield."""

from launch import LaunchDescription
from meta_repo_ros.launching import subsystem


def generate_launch_description() -> LaunchDescription:
    return subsystem('vortex_shield')
