# SPDX-License-Identifier: Apache-2.0
"""Value types that several rooms share: processors, parameters, time, rotations, statistics.

Uses numpy and the standard library. May import no other room, no rclpy, no clock.
"""
