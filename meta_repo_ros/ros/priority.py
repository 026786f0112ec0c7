# SPDX-License-Identifier: Apache-2.0
"""Real-time priority for a process whose answer is waited for.

An ordinary process waits its turn behind whatever else computes: with a whole graph on two cores
that is a few milliseconds now and then, more than all that a block of samples costs.
"""

from __future__ import annotations

import os
from pathlib import Path

PRIORITY = 10
"""Of SCHED_RR: above every ordinary process, below the kernel's own threads."""


def take_realtime(priority: int = PRIORITY) -> str:
    """Ask the kernel for SCHED_RR, for all threads that there are; later ones inherit it.

    Returns:
        '' where it was given, else why not, for people. Nothing but latency depends on it.
    """
    try:
        for thread in Path('/proc/self/task').iterdir():
            os.sched_setscheduler(int(thread.name), os.SCHED_RR, os.sched_param(priority))
    except AttributeError:
        return 'this system has no real-time scheduling'
    except OSError as error:
        return (
            f'no real-time priority ({error.strerror}): allow it with `ulimit -r {priority}`, '
            'rtprio in limits.conf, or CAP_SYS_NICE; until then others may hold this process up'
        )
    return ''
