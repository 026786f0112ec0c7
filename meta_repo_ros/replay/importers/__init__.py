# SPDX-License-Identifier: Apache-2.0
"""Recordings of others, read into arrays and turned into bags with standard messages.

Each module offers ``read_...`` (arrays in SI units, frozen dataclass) and a source for
:func:`meta_repo_ros.replay.importers.convert.import_recording`. Uses ``core`` and the message
packages, never rclpy.
"""


class RecordingError(ValueError):
    """A recording that cannot be read; the text names the file, what is wrong and what to do."""
