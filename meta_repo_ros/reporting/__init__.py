# SPDX-License-Identifier: Apache-2.0
"""Judging a run: errors of an estimate against truth, plots, and the HTML report.

Mathematics in ``evaluation`` (numpy in, frozen dataclasses out); ``recorded`` reads bags through
``replay``. Uses core and replay; may not import rclpy.
"""
