# SPDX-License-Identifier: Apache-2.0
"""An avionics node graph for ROS 2.

Kept empty on purpose: importing ``meta_repo_ros.msg`` runs this file in every process.
"""
