# SPDX-License-Identifier: Apache-2.0
"""Which measurements a filter believes: a chi-square gate with recovery.

A chi-square gate alone fails both ways: an overconfident filter shuts it for ever, and a filter
that has coasted opens it to anything. So refused measurements are followed as a group: when they
agree with each other and with the inertial increments for long enough, the filter is reset to them;
and after an outage a measurement must belong to such a group before it is believed at all.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from meta_repo_ros.core.statistics import chi2_quantile, normalised_squared
from meta_repo_ros.core.time import NANOSECONDS

Array = NDArray[np.float64]


class Verdict(enum.Enum):
    """What to do with a measurement."""

    ACCEPT = 'accepted'
    REJECT = 'rejected'
    HOLD = 'held'  # plausible, but trust is not back yet
    RESET = 'reset'  # the group of refused measurements wins


@dataclass(frozen=True)
class GateLimits:
    """Thresholds of one sensor's gate.

    Attributes:
        probability: of a good measurement to pass the ordinary test.
        outage: time without an accepted one after which trust must be regained, s.
        reacquire_count: consistent measurements in a row that regain it.
        reacquire_probability: of a good measurement to pass the stricter test.
        recovery_after: how long a consistent group must be refused before it wins, s; 0 = never.
        recovery_count: and how many measurements it must have.
    """

    probability: float
    outage: float
    reacquire_count: int
    reacquire_probability: float
    recovery_after: float
    recovery_count: int


@dataclass
class GateState:
    """Everything of a gate that a measurement changes; arrays in it are never written to."""

    accepted: int = 0
    rejected: int = 0
    held: int = 0
    resets: int = 0
    streak: int = 0  # refused in a row
    nis_last: float = math.nan
    nis_total: float = 0.0
    last_accepted: int | None = None  # ns
    group_count: int = 0
    group_start: int = 0  # ns
    group_stamp: int = 0  # ns, of its last member
    group_first: Array | None = None
    group_last: Array | None = None


class Gate:
    """Chi-square gate of one sensor with outage test, recovery and counters.

    Args:
        dof: size of the innovation.
        limits: thresholds.
    """

    def __init__(self, dof: int, limits: GateLimits) -> None:
        self.dof = dof
        self.state = GateState()
        self._group = chi2_quantile(0.999, dof)
        self.configure(limits)

    def configure(self, limits: GateLimits) -> None:
        """Take other thresholds; the state stays."""
        self.limits = limits
        self._ordinary = chi2_quantile(limits.probability, self.dof)
        self._strict = chi2_quantile(limits.reacquire_probability, self.dof)

    def open(self, stamp: int) -> None:
        """Trust this sensor as of ``stamp``: it just took part in the alignment."""
        state = self._own()
        state.last_accepted = stamp
        state.group_count = state.streak = 0

    def since_accepted(self, stamp: int) -> float:
        """Seconds since the last accepted measurement, infinite before the first."""
        if self.state.last_accepted is None:
            return math.inf
        return (stamp - self.state.last_accepted) / NANOSECONDS

    @property
    def nis_mean(self) -> float:
        """Mean NIS of the accepted ones; NaN before the first."""
        return self.state.nis_total / self.state.accepted if self.state.accepted else math.nan

    def judge(
        self,
        stamp: int,
        innovation: Array,
        s: Array,
        noise: Array,
        growth: Array,
        *,
        distrust: bool,
    ) -> Verdict:
        """Judge one measurement and count it.

        Args:
            stamp: its time, ns.
            innovation: measured minus predicted, (dof,).
            s: innovation covariance.
            noise: measurement covariance.
            growth: covariance of the innovation's rate of change, per s2: how fast the inertial
                prediction may walk away by itself.
            distrust: the stricter test is due although there was no outage.
        """
        state, limits = self._own(), self.limits
        nis = normalised_squared(innovation, s)
        state.nis_last = nis
        strict = state.last_accepted is not None and (
            distrust or self.since_accepted(stamp) > limits.outage
        )
        passed = nis <= (self._strict if strict else self._ordinary)
        if passed and not strict:
            return self._accept(stamp, nis)
        self._follow(stamp, innovation, noise, growth)
        if passed:
            if state.group_count >= limits.reacquire_count:
                return self._accept(stamp, nis)
            state.held += 1
            return Verdict.HOLD
        state.rejected += 1
        state.streak += 1
        if (
            limits.recovery_after > 0.0
            and stamp - state.group_start >= limits.recovery_after * NANOSECONDS
            and state.group_count >= limits.recovery_count
        ):
            state.resets += 1
            self.open(stamp)
            return Verdict.RESET
        return Verdict.REJECT

    def refuse(self) -> None:
        """Count a measurement that other evidence refused."""
        state = self._own()
        state.rejected += 1
        state.streak += 1
        state.group_count = 0

    def snapshot(self) -> GateState:
        """State to go back to."""
        return self.state

    def restore(self, snapshot: GateState) -> None:
        """Back to :meth:`snapshot`."""
        self.state = snapshot

    def _own(self) -> GateState:
        """A state that no snapshot holds: copied on change, because changes are rarer."""
        fresh = object.__new__(GateState)
        fresh.__dict__.update(self.state.__dict__)
        self.state = fresh
        return fresh

    def _accept(self, stamp: int, nis: float) -> Verdict:
        state = self.state
        state.accepted += 1
        state.nis_total += nis
        self.open(stamp)
        return Verdict.ACCEPT

    def _follow(self, stamp: int, innovation: Array, noise: Array, growth: Array) -> None:
        state = self.state
        if (
            state.group_count
            and self._agree(innovation, state.group_last, noise, growth, stamp - state.group_stamp)
            and self._agree(innovation, state.group_first, noise, growth, stamp - state.group_start)
        ):
            state.group_count += 1
        else:
            state.group_count, state.group_start, state.group_first = 1, stamp, innovation
        state.group_last, state.group_stamp = innovation, stamp

    def _agree(
        self, one: Array, other: Array | None, noise: Array, growth: Array, elapsed: int
    ) -> bool:
        if other is None:
            return False
        seconds = elapsed / NANOSECONDS
        spread = 2.0 * noise + growth * (seconds * seconds)
        return normalised_squared(one - other, spread) <= self._group
