# SPDX-License-Identifier: Apache-2.0
"""Vortex Shield: sees a vortex ring state coming, proves it, and plans the way out of it.

Uses core, control; may not import rclpy, hosts, simulation, or read a clock. The wake of the
simulator is another model on purpose: nothing here is shared with it.
"""
