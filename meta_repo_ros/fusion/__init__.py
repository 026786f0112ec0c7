# SPDX-License-Identifier: Apache-2.0
"""Navigation filters: attitude, position/velocity/attitude/biases, and their processors.

The mathematics (numpy in, frozen dataclasses out) knows no message; processors only route.
Uses core; may not import rclpy, hosts, or read a clock.
"""
