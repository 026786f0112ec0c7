# SPDX-License-Identifier: Apache-2.0
"""What the lifecycle manager knows and decides, free of ROS: heartbeats in, next transition out.

Times are steady, in nanoseconds.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SETTLE_NS = 500_000_000
_LOST_CALL_NS = 1_000_000_000


class Target(enum.Enum):
    """Where all managed nodes shall be."""

    ACTIVE = 'active'
    INACTIVE = 'inactive'
    UNCONFIGURED = 'unconfigured'
    FINALIZED = 'finalized'


class Step(enum.IntEnum):
    """Transitions; the values are those of ``lifecycle_msgs/Transition``."""

    CONFIGURE = 1
    CLEANUP = 2
    ACTIVATE = 3
    DEACTIVATE = 4
    SHUTDOWN = 5


_RESULT = {
    Step.CONFIGURE: 'inactive',
    Step.CLEANUP: 'unconfigured',
    Step.ACTIVATE: 'active',
    Step.DEACTIVATE: 'inactive',
    Step.SHUTDOWN: 'finalized',
}
# what to do with nodes in which state, stage by stage; up in order, down in reverse
_STAGES: Mapping[Target, tuple[tuple[str, Step, bool], ...]] = {
    Target.ACTIVE: (
        ('unconfigured', Step.CONFIGURE, True),
        ('inactive', Step.ACTIVATE, True),
    ),
    Target.INACTIVE: (
        ('active', Step.DEACTIVATE, False),
        ('unconfigured', Step.CONFIGURE, True),
    ),
    Target.UNCONFIGURED: (
        ('active', Step.DEACTIVATE, False),
        ('inactive', Step.CLEANUP, False),
    ),
    Target.FINALIZED: (
        ('active', Step.DEACTIVATE, False),
        ('inactive', Step.CLEANUP, False),
        ('unconfigured', Step.SHUTDOWN, False),
    ),
}


@dataclass
class ManagedState:
    """One managed node as seen from outside.

    Attributes:
        state: lifecycle label, '' while never seen or lost.
        incarnation: process identity of the last heartbeat.
        last_beat_ns: when the last heartbeat came (or when waiting began).
        lost: whether heartbeats stopped.
        left_out: lost once and not to be reconnected.
        by_hand: somebody else changed its state; it is left as it is.
        refused: the transition that it refused, None if it did not.
    """

    state: str = ''
    incarnation: str = ''
    last_beat_ns: int = 0
    lost: bool = False
    left_out: bool = False
    by_hand: bool = False
    refused: Step | None = None
    settle_until_ns: int = 0


@dataclass
class Call:
    """A transition under way."""

    name: str
    step: Step
    since_ns: int
    incarnation: str
    beats: int = 0


class Supervision:
    """Bookkeeping of the managed nodes.

    Args:
        names: fully qualified names, in the order of bring-up.
        bond_timeout_ns: heartbeats missing for so long mean lost; 0 never.
        service_timeout_ns: the same, while a transition of that node is under way.
        respawn_ns: how long an absent node holds up those after it.
        reconnect: whether a node that comes back is brought up again.
    """

    def __init__(
        self,
        names: Sequence[str],
        *,
        bond_timeout_ns: int,
        service_timeout_ns: int,
        respawn_ns: int,
        reconnect: bool,
        now_ns: int,
    ) -> None:
        self.nodes = {name: ManagedState(last_beat_ns=now_ns) for name in names}
        self.call: Call | None = None
        self._bond_timeout_ns = bond_timeout_ns
        self._service_timeout_ns = service_timeout_ns
        self._respawn_ns = respawn_ns
        self._reconnect = reconnect

    def beat(self, incarnation: str, states: Mapping[str, str], now_ns: int) -> list[str]:
        """Take a process's heartbeat; returns what people should know."""
        events = []
        for name, label in states.items():
            node = self.nodes.get(name)
            if node is None or _older(incarnation, node.incarnation):
                continue
            if node.incarnation and incarnation != node.incarnation:
                events.append(f'{name}: its process was started anew')
                node.settle_until_ns = 0
                node.refused, node.by_hand, node.state = None, False, ''
                self._drop_call(name)
            elif node.lost:
                events.append(f'{name}: heartbeat is back')
            if node.lost and not self._reconnect:
                node.left_out = True
            node.incarnation, node.last_beat_ns, node.lost = incarnation, now_ns, False
            asked = self.call is not None and self.call.name == name
            if self.call is not None and asked:
                self.call.beats += 1
            if now_ns >= node.settle_until_ns:
                if node.state not in ('', label) and not asked and not node.by_hand:
                    node.by_hand = True
                    events.append(f'{name}: somebody else made it {label}; it is left alone')
                node.state = label
            if node.refused is not None and label == _RESULT[node.refused]:
                node.refused = None  # it was asked twice, and had agreed the first time
        return events

    def check(self, now_ns: int) -> list[str]:
        """Find lost nodes and lost calls; returns what people should know."""
        events = []
        for name, node in self.nodes.items():
            calling = self.call is not None and self.call.name == name
            limit = self._service_timeout_ns if calling else self._bond_timeout_ns
            silent = now_ns - node.last_beat_ns
            if not node.incarnation or node.lost or not self._bond_timeout_ns or silent <= limit:
                continue
            node.lost, node.state = True, ''
            self._drop_call(name)
            events.append(
                f'{name}: no heartbeat for {silent / 1e9:.1f} s, its process is dead or hung'
            )
        call = self.call
        # one thread serves the call and beats: beats without an answer mean the call got lost
        if call is not None and call.beats >= 3 and now_ns - call.since_ns > _LOST_CALL_NS:
            self.call = None
        return events

    def shift(self, late_ns: int) -> None:
        """The manager itself slept for ``late_ns``: nobody is to blame for beats in that time."""
        for node in self.nodes.values():
            node.last_beat_ns += late_ns

    def next_step(self, target: Target, now_ns: int) -> tuple[str, Step] | None:
        """The next transition towards ``target``, None while there is nothing to do but wait."""
        if self.call is not None:
            return None
        for label, step, forward in _STAGES[target]:
            names = list(self.nodes) if forward else list(reversed(self.nodes))
            for name in names:
                node = self.nodes[name]
                if node.refused is not None or node.left_out or node.by_hand:
                    continue
                if node.state == label:
                    return name, step
                absent = not node.state and now_ns - node.last_beat_ns < self._respawn_ns
                if forward and absent:
                    return None
        return None

    def begin(self, name: str, step: Step, now_ns: int) -> Call:
        """The transition was asked for."""
        self.call = Call(name, step, now_ns, self.nodes[name].incarnation)
        return self.call

    def finish(self, call: Call, *, success: bool, now_ns: int) -> str:
        """The answer to ``call`` came; returns the reason where it was a refusal."""
        node = self.nodes[call.name]
        if call.incarnation != node.incarnation:
            return ''
        if success:  # even the late answer to a call that was given up
            self._drop_call(call.name)
            node.state = _RESULT[call.step]
            node.settle_until_ns = now_ns + _SETTLE_NS
        elif call is self.call:
            self.call = None
            node.refused = call.step
            return f'{call.name}: {_refusal(call.step)}; its own log says why'
        return ''

    def retry(self) -> None:
        """Take refused, left-out and changed nodes in hand again."""
        for node in self.nodes.values():
            node.refused, node.left_out, node.by_hand = None, False, False

    def reached(self, target: Target) -> bool:
        """Whether every node is at ``target``."""
        return all(node.state == target.value for node in self.nodes.values())

    def settled(self, target: Target, now_ns: int) -> bool:
        """Whether nothing more will happen by itself."""
        if self.call is not None or self.next_step(target, now_ns) is not None:
            return False
        return not any(
            not node.state and not node.left_out and now_ns - node.last_beat_ns < self._respawn_ns
            for node in self.nodes.values()
        )

    def changed_by_hand(self) -> list[str]:
        """Nodes that somebody else took to another state."""
        return [name for name, node in self.nodes.items() if node.by_hand]

    def problems(self) -> list[str]:
        """One line per node that is lost, absent, left out or refused."""
        lines = []
        for name, node in self.nodes.items():
            if node.lost:
                lines.append(f'{name} lost')
            elif not node.incarnation:
                lines.append(f'{name} not seen')
            elif node.refused is not None:
                lines.append(f'{name} {_refusal(node.refused)}')
            elif node.left_out:
                lines.append(f'{name} came back and is left out')
        return lines

    def _drop_call(self, name: str) -> None:
        if self.call is not None and self.call.name == name:
            self.call = None


def _refusal(step: Step) -> str:
    return f'{step.name.lower()} refused'


def _older(incarnation: str, known: str) -> bool:
    """Whether ``incarnation`` (``pid.start_ns``) started before ``known``."""
    return bool(known) and int(incarnation.rpartition('.')[2]) < int(known.rpartition('.')[2])
