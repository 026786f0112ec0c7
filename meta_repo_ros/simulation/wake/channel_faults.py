# SPDX-License-Identifier: Apache-2.0
"""What becomes of the counts of a channel that fails."""

from __future__ import annotations

import enum

import numpy as np

from meta_repo_ros.core.samples import ChannelGroup, Counts


class ChannelFault(str, enum.Enum):
    """Ways in which a channel fails."""

    STUCK = 'stuck'  # the last count again and again
    DEAD = 'dead'  # count 0
    SATURATED = 'saturated'  # the greatest count
    DRIFT = 'drift'  # a ramp is added
    SWAPPED = 'swapped'  # it shows what its neighbour should, and the other way round


def spoil(
    counts: Counts,
    group: ChannelGroup,
    fault: ChannelFault,
    channel: int,
    *,
    held: int = 0,
    drift: tuple[float, float] = (0.0, 0.0),
) -> None:
    """Change the counts in place.

    Args:
        counts: (n, c) of the time in which the fault lasts.
        group: theirs.
        fault: which.
        channel: number of the channel; :attr:`ChannelFault.SWAPPED` takes the next one too.
        held: the count that it sticks at.
        drift: what is added to the first and to the last sample, unit of the kind.
    """
    channel %= group.channels
    column = counts[:, channel]
    if fault is ChannelFault.STUCK:
        column[:] = held
    elif fault is ChannelFault.DEAD:
        column[:] = 0
    elif fault is ChannelFault.SATURATED:
        column[:] = group.full_scale
    elif fault is ChannelFault.DRIFT:
        ramp = np.linspace(*drift, len(counts)) / group.resolution
        column[:] = np.clip(np.rint(column + ramp), 0, group.full_scale).astype(np.int32)
    else:
        other = (channel + 1) % group.channels
        counts[:, [channel, other]] = counts[:, [other, channel]]
