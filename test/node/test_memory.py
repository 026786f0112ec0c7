# SPDX-License-Identifier: Apache-2.0
"""The memory of large messages."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import array, resource
from meta_repo_ros.ros.memory import keep_large_blocks
kept = keep_large_blocks()
def copy():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    array.array('B', bytes(40 << 20))
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
for _ in range(3):
    copy()
print(kept, max(copy() for _ in range(3)))
"""


@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='glibc is asked for')
def test_large_blocks_are_not_fetched_anew_from_the_kernel() -> None:
    done = subprocess.run(
        [sys.executable, '-c', PROGRAM], capture_output=True, text=True, check=True
    )
    kept, faults = done.stdout.split()
    assert kept == 'True'
    assert int(faults) < 100  # of the 20,480 pages of the two copies
