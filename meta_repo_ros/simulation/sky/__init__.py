# SPDX-License-Identifier: Apache-2.0
"""Synthetic sky camera: images of the night sky as a star camera would take them."""
