# SPDX-License-Identifier: Apache-2.0
"""The whole graph of a profile."""

from launch import LaunchDescription
from meta_repo_ros.launching import description


def generate_launch_description() -> LaunchDescription:
    return description()
