# SPDX-License-Identifier: Apache-2.0
"""Bags without a ROS graph: writing, reading, recovery, import, and the offline host.

Uses core and rosbags; runs processors of any room; may not import rclpy.
"""
