# SPDX-License-Identifier: Apache-2.0
"""Who commands the vehicle: one setpoint of several, by priority and validity.

Rules, in this order:

1. A setpoint is refused that is expired, stamped ahead of the clock beyond a tolerance, valid for
   too long, or malformed.
2. The live setpoint of the highest priority commands: recovery, traffic, operator, mission.
3. Of equal priority the first one holds until it expires; its own sender may replace it by one
   that was issued later.
4. Setpoints of lower priority are kept while they live and take over when the higher ones expire.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from meta_repo_ros.control.setpoints import Setpoint, SetpointError, Source, check_age


@dataclass
class Arbiter:
    """Chooses the commanding setpoint.

    Attributes:
        future_tolerance: how far ahead of the clock a stamp may be, ns.
        max_validity: longest validity taken, ns: a commander that dies must not hold for long.
        refused: count of refused setpoints by kind of refusal.
        accepted: count of accepted setpoints by source.
    """

    future_tolerance: int
    max_validity: int
    refused: Counter[str] = field(default_factory=Counter)
    accepted: Counter[Source] = field(default_factory=Counter)
    _live: dict[Source, Setpoint] = field(default_factory=dict)

    def offer(self, setpoint: Setpoint, now: int) -> None:
        """Take a setpoint at time ``now`` (ns).

        Raises:
            SetpointError: refused, with the reason.
        """
        try:
            self._take(setpoint, now)
        except SetpointError as error:
            self.refuse(error)
            raise
        self.accepted[setpoint.source] += 1

    def refuse(self, error: SetpointError) -> None:
        """Count a refusal, also of a message that could not even be parsed."""
        self.refused[error.kind] += 1

    def active(self, now: int) -> Setpoint | None:
        """The commanding setpoint at ``now`` (ns), None where nobody commands."""
        self._expire(now)
        return self._live[max(self._live)] if self._live else None

    def live(self, now: int) -> tuple[Setpoint, ...]:
        """All live holders of a priority, highest first."""
        self._expire(now)
        return tuple(self._live[source] for source in sorted(self._live, reverse=True))

    def reset(self) -> None:
        """Forget all setpoints (the clock jumped, or the node was deactivated); keep the counts."""
        self._live.clear()

    def _take(self, setpoint: Setpoint, now: int) -> None:
        check_age(setpoint, now, self.future_tolerance)
        if setpoint.validity > self.max_validity:
            raise SetpointError(
                'validity too long',
                f'valid for {setpoint.validity / 1e9} s; at most {self.max_validity / 1e9} s goes',
            )
        self._expire(now)
        holder = self._live.get(setpoint.source)
        if holder is not None:
            if holder.sender != setpoint.sender:
                left = (holder.expires - now) / 1e9
                raise SetpointError(
                    'priority held',
                    f'{holder.sender!r} holds {holder.source.name.lower()} for {left:.3f} s more',
                )
            if setpoint.stamp < holder.stamp:
                raise SetpointError('out of order', 'older than the one in force of this sender')
        self._live[setpoint.source] = setpoint

    def _expire(self, now: int) -> None:
        for source in [s for s, held in self._live.items() if held.expires <= now]:
            del self._live[source]
