# SPDX-License-Identifier: Apache-2.0
"""Identification of stars: lost in space and with a hint."""

from meta_repo_ros.starnav.identification.identifier import Identifier

__all__ = ['Identifier']
