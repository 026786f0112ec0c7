# SPDX-License-Identifier: Apache-2.0
"""Control: the setpoint arbiter and the plain autopilots.

Uses core; may not import rclpy, hosts, or read a clock.
"""
