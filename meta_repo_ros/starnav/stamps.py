# SPDX-License-Identifier: Apache-2.0
"""Whether a stamp can be believed."""

from __future__ import annotations

from meta_repo_ros.core.time import NANOSECONDS

# Samples in a row whose stamps disagree with all before: then the clock was set
_PERSISTENT = 20


class StampGuard:
    """Refuses lonely strange stamps of a fast sensor, believes persistent ones.

    Args:
        window: how far behind the newest one a stamp may be, ns.
        jump: how far ahead, ns.

    Attributes:
        newest: newest stamp believed, ns; 0 before the first.
        jumps: how often persistent strange stamps were believed.
    """

    def __init__(self, window: int, jump: int) -> None:
        self.window, self.jump = window, jump
        self.newest = self.jumps = 0
        self._strange: list[int] = []

    def check(self, stamp: int) -> tuple[str, bool]:
        """Why a stamp is refused ('' where it is not), and whether the clock has just jumped."""
        if not self.newest or -self.window <= stamp - self.newest <= self.jump:
            self.newest = max(self.newest, stamp)
            self._strange.clear()
            return '', False
        if self._strange and not 0 < stamp - self._strange[-1] < NANOSECONDS:
            self._strange.clear()
        self._strange.append(stamp)
        if len(self._strange) < _PERSISTENT:
            late = stamp < self.newest
            return 'stamp older than the window' if late else 'far-future stamp', False
        self._strange.clear()
        self.jumps += 1
        self.newest = stamp
        return '', True


def check_image_stamp(
    stamp: int, received: int, newest: int, *, max_delay: int, tolerance: int
) -> str:
    """Why an image's stamp cannot be right, '' where it can.

    Args:
        stamp: of the image, ns.
        received: by the host's clock, ns.
        newest: stamp of the image before, ns; 0 for none.
        max_delay: ns.
        tolerance: how far it may be ahead of the host's clock, ns.
    """
    if stamp > received + tolerance:
        return 'stamp in the future'
    if stamp < received - max_delay:
        return 'stamp too old'
    if newest and stamp <= newest:
        return 'stamp not after the image before'
    return ''
