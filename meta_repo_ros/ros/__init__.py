# SPDX-License-Identifier: Apache-2.0
"""The live host: lifecycle nodes around processors, QoS names, parameters, diagnostics, bags.

The only room besides the entry points that imports rclpy.
"""
