# SPDX-License-Identifier: Apache-2.0
"""Keeps the memory of large messages in the process.

glibc gives each block of 32 MiB or more back to the kernel as soon as it is free, and takes it
anew for the next one: 8,192 page faults for each copy of a 4096 x 4096 image of 16 bits, more than
the copying itself takes. Of all this Python waits, since rclpy takes and publishes messages with
the interpreter's lock held.
"""

from __future__ import annotations

import ctypes
import functools

# <malloc.h>
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX, _ARENA_MAX = -1, -2, -4, -8
_KEPT = 512 << 20
_PAD = 1 << 20


@functools.cache
def keep_large_blocks() -> bool:
    """Have the allocator keep up to 512 MB that are free; whether it can be told to."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # no glibc
        return False
    options = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, _KEPT), (_TOP_PAD, _PAD), (_ARENA_MAX, 1))
    return all(mallopt(option, value) for option, value in options)
