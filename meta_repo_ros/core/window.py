# SPDX-License-Identifier: Apache-2.0
"""Rewind and replay: late and out-of-order measurements give the state of the orderly sequence.

Measurements of the last seconds are kept in order of (stamp, rank, sequence), with snapshots of the
whole state between them. A late one goes to its place; the state is taken back to the last snapshot
before it and everything after is applied again. The state is then a function of the *set* of
measurements, not of their order of arrival, bit for bit, as long as none is older than the window.
"""

from __future__ import annotations

import enum
from bisect import bisect_right
from typing import Any, Generic, Protocol, TypeVar

M = TypeVar('M')
_M_contra = TypeVar('_M_contra', contravariant=True)
Key = tuple[int, int, int]


class Model(Protocol[_M_contra]):
    """What the window drives: a filter with everything that a measurement can change.

    Gate counters, statistics and alignment buffers belong to the state: what a snapshot leaves out
    depends on the order of arrival.
    """

    def apply(self, stamp: int, measurement: _M_contra) -> None:
        """Take one measurement with its time of validity, ns; stamps never fall."""

    def snapshot(self) -> Any:
        """The whole state, in a form that later changes of the model do not touch."""

    def restore(self, snapshot: Any) -> None:
        """Go back to a state that :meth:`snapshot` gave; the same one may come again."""


class Arrival(enum.Enum):
    """What the window did with a measurement."""

    IN_ORDER = 'in order'
    LATE = 'late'
    DROPPED = 'dropped'


class ReplayWindow(Generic[M]):
    """Bounded memory of measurements in front of a model.

    Args:
        model: the filter; from now on only this window may change it.
        length: how much older than the newest one a measurement may be, ns, > 0.
        snapshot_interval: time between snapshots, ns: shorter costs memory and copies, longer
            costs replay.

    Attributes:
        dropped: measurements refused because they were older than the window.
        late: measurements that were put before others already there.
        replayed: measurements applied again because of late ones.
    """

    def __init__(self, model: Model[M], length: int, snapshot_interval: int) -> None:
        if length <= 0 or snapshot_interval <= 0:
            raise ValueError('window length and snapshot interval must be greater than 0 ns')
        self.model = model
        self.length = length
        self.snapshot_interval = snapshot_interval
        self.dropped = self.late = self.replayed = 0
        self._keys: list[Key] = []
        self._measurements: list[M] = []
        self._applied = 0  # how many of the list the model has taken, in order
        self._high_water = 0  # how many of the list the model had taken when it was last in order
        # each: number of entries before it, stamp of the next entry, state
        self._snapshots: list[tuple[int, int, Any]] = []
        # stamps of measurements filed late and not applied yet
        self._late: set[int] = set()

    @property
    def newest(self) -> int | None:
        """Stamp of the newest measurement, ns; None while there is none."""
        return self._keys[-1][0] if self._keys else None

    @property
    def pending(self) -> bool:
        """Whether a late measurement waits for :meth:`settle`."""
        return self._applied < len(self._keys)

    def add(self, stamp: int, rank: int, sequence: int, measurement: M) -> Arrival:
        """Take one measurement.

        In order it is applied at once. A late one is only filed: :meth:`settle` replays once for
        any number of them.

        Args:
            stamp: time of validity, ns.
            rank: order among measurements of equal stamp, fixed for each sensor.
            sequence: order among measurements of equal stamp and rank. Take it from the message
                (a counter, or a checksum of the content), never from the order of arrival.
            measurement: passed to the model.
        """
        key = (stamp, rank, sequence)
        keys = self._keys
        if not keys or key >= keys[-1]:
            keys.append(key)
            self._measurements.append(measurement)
            if self._applied == len(keys) - 1:
                self._apply_next(stamp, measurement)
            return Arrival.IN_ORDER
        if stamp < keys[-1][0] - self.length:
            self.dropped += 1
            return Arrival.DROPPED
        place = bisect_right(keys, key)
        keys.insert(place, key)
        self._measurements.insert(place, measurement)
        self.late += 1
        self._late.add(stamp)
        self._rewind(place)
        return Arrival.LATE

    def settle(self) -> None:
        """Bring the model up to date with everything filed."""
        if self._applied < len(self._keys):
            self.replayed += max(self._high_water - self._applied, 0)
            self._apply_rest()
            self._trim()

    def clear(self) -> None:
        """Forget all measurements and snapshots; the model stays as it is."""
        self._keys.clear()
        self._measurements.clear()
        self._snapshots.clear()
        self._late.clear()
        self._applied = self._high_water = 0

    def _rewind(self, place: int) -> None:
        if place >= self._applied:
            return
        while self._snapshots[-1][0] > place:
            self._snapshots.pop()
        count, _, state = self._snapshots[-1]
        self.model.restore(state)
        self._applied = count

    def _apply_next(self, stamp: int, measurement: M) -> None:
        """Apply the last of the list, where all before it are applied."""
        snapshots = self._snapshots
        if not snapshots or stamp - snapshots[-1][1] >= self.snapshot_interval:
            snapshots.append((self._applied, stamp, self.model.snapshot()))
        self.model.apply(stamp, measurement)
        self._applied += 1
        self._high_water = self._applied
        if len(snapshots) > 1 and snapshots[1][1] < stamp - self.length:
            self._trim()

    def _apply_rest(self) -> None:
        keys, measurements, snapshots = self._keys, self._measurements, self._snapshots
        apply, late, interval = self.model.apply, self._late, self.snapshot_interval
        newest = snapshots[-1][1] if snapshots else None
        for i in range(self._applied, len(keys)):
            stamp = keys[i][0]
            # A sensor that was late is late again, mostly by whole periods: snapshots in step with
            # it leave nothing to be applied again but what came after its measurements
            if (
                newest is None
                or stamp - newest >= interval
                or (late and stamp > newest and stamp in late)
            ):
                snapshots.append((i, stamp, self.model.snapshot()))
                newest = stamp
            apply(stamp, measurements[i])
        late.clear()
        self._applied = self._high_water = len(keys)

    def _trim(self) -> None:
        # One snapshot must stay in front of everything that may still come in
        horizon = self._keys[-1][0] - self.length
        first = 0
        while first + 1 < len(self._snapshots) and self._snapshots[first + 1][1] < horizon:
            first += 1
        if not first:
            return
        gone = self._snapshots[first][0]
        del self._keys[:gone]
        del self._measurements[:gone]
        self._snapshots[:] = [
            (n - gone, stamp, state) for n, stamp, state in self._snapshots[first:]
        ]
        self._applied -= gone
        self._high_water -= gone
