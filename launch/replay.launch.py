# SPDX-License-Identifier: Apache-2.0
"""The graph of a profile on a recorded bag."""

from launch import LaunchDescription
from meta_repo_ros.launching import description


def generate_launch_description() -> LaunchDescription:
    return description(required=('bag',))
