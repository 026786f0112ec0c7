# SPDX-License-Identifier: Apache-2.0
"""Flight simulation: JSBSim flies, sensor models and effects are plug-ins named by a scenario.

Uses core and control; may not import rclpy, hosts, or read a clock.
"""
