# SPDX-License-Identifier: Apache-2.0
"""Pictures for rviz2 and other viewers: tracks, covariance ellipses, texts.

Uses core; may not import rclpy, hosts, or read a clock.
"""
