# SPDX-License-Identifier: Apache-2.0
"""Receive times on a simulated clock that stands still between its ticks.

``/clock`` comes at 50 Hz; stamped with it alone, what arrives between two ticks would lose its
order, and a replay in order of receive time would differ from what the live graph saw.
"""

from __future__ import annotations


class ReceiveTime:
    """Continues a ticking clock between its ticks, strictly increasing.

    The pace is that of the last whole tick; a clock that stops is followed for one tick at most.
    """

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self._tick = self._steady = self._last = self._interval = 0
        self._pace = 0.0

    def stamp(self, clock: int, steady: int) -> int:
        """The receive time, ns.

        Args:
            clock: the simulated clock now, ns; a fall begins anew.
            steady: a steady clock now, ns.
        """
        if clock < self._tick:
            self._reset()
        if clock != self._tick:
            passed = steady - self._steady
            if self._tick and passed > 0:
                self._interval = clock - self._tick
                self._pace = self._interval / passed
            self._tick, self._steady = clock, steady
        ahead = min(round((steady - self._steady) * self._pace), self._interval)
        self._last = max(clock + ahead, self._last + 1)
        return self._last
