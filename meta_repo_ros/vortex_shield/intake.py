# SPDX-License-Identifier: Apache-2.0
"""Order of the sample blocks: what is missing, repeated, late, restarted or not as configured."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from meta_repo_ros.core.parameters import parameter
from meta_repo_ros.core.samples import Block, ChannelGroup, Kind
from meta_repo_ros.core.time import seconds_ns
from meta_repo_ros.vortex_shield.interface_keys import SensorKeys

_PACE_BLOCKS = 250  # consecutive blocks over which the pace of the stamps is measured
_PACE_ERROR = 0.02


@dataclass(frozen=True)
class StreamParameters:
    """Blocks of samples."""

    block_length: float = parameter(
        0.004, 'Duration of the blocks that the source sends; others are taken too.', unit='s',
        minimum=0.0005, maximum=1.0,
    )  # fmt: skip
    stamp_tolerance: float = parameter(
        0.0015, 'A block that follows the last one may be stamped so much early or late.',
        unit='s', minimum=0.0, maximum=0.1,
    )  # fmt: skip
    restart_gap: float = parameter(
        1.0, 'After a longer gap detection begins anew.', unit='s', minimum=0.01, maximum=60.0
    )
    pressure_channels: int = parameter(0, 'Number expected; 0: any.', minimum=0, maximum=1000)
    flow_channels: int = parameter(0, 'Number expected; 0: any.', minimum=0, maximum=1000)
    acoustic_channels: int = parameter(0, 'Number expected; 0: any.', minimum=0, maximum=1000)


class Action(enum.Enum):
    """What to do with a block."""

    TAKE = 'take'
    AFTER_GAP = 'take after a gap'
    RESTART = 'forget what was before and take'
    DROP = 'drop'


@dataclass(frozen=True, slots=True)
class Verdict:
    """On one block.

    Attributes:
        action: what to do with it.
        missing: blocks that are missing before it, by sequence.
        gap: time without samples before it, ns.
        reason: for people; '' for a block that simply follows.
    """

    action: Action
    missing: int = 0
    gap: int = 0
    reason: str = ''


@dataclass
class IntakeCounts:
    """Since the start.

    Attributes:
        taken: blocks used.
        missing: blocks that never came, by sequence; late ones are among them.
        gaps: how often samples were missing.
        repeated, late: blocks dropped because they, or newer ones, were there before.
        restarts: how often detection began anew: source restarted, clock set, long gap.
        refused: blocks dropped because they are not as configured, in strict mode.
        changes: how often the description of the channels changed.
    """

    taken: int = 0
    missing: int = 0
    gaps: int = 0
    repeated: int = 0
    late: int = 0
    restarts: int = 0
    refused: int = 0
    changes: int = 0


class Intake:
    """Judges each block by those before it and by the configuration.

    What a block says of its channels is believed where it disagrees with the configuration, as its
    source knows them; notes say so. In strict mode the block is dropped.

    Args:
        sensors: the users' keys.
        streams: our own.
        strict: whether blocks that are not as configured are dropped.

    Attributes:
        counts: of what came, for diagnostics.
        notes: for people: what is not as configured, now.
    """

    def __init__(
        self, sensors: SensorKeys, streams: StreamParameters, *, strict: bool = False
    ) -> None:
        self.counts = IntakeCounts()
        self.notes: tuple[str, ...] = ()
        self._sensors, self._streams, self._strict = sensors, streams, strict
        self._tolerance = seconds_ns(streams.stamp_tolerance)
        self._restart = seconds_ns(streams.restart_gap)
        self._last: Block | None = None
        self._groups: tuple[ChannelGroup, ...] = ()
        self._disagreements: tuple[str, ...] = ()
        self._pace: list[int] = [0, 0, 0]  # blocks, time by stamps, time by samples
        self._pace_note = ''

    def reset(self) -> None:
        """Forget the last block; counts stay."""
        self._last = None
        self._pace = [0, 0, 0]
        self._pace_note = ''

    def take(self, block: Block) -> Verdict:
        """Judge the next block that arrived."""
        groups = tuple(samples.group for samples in block.groups)
        if groups != self._groups:
            self._describe(groups)
        if block.notes or self._pace_note or self._disagreements or self.notes:
            self.notes = (*block.notes, *self._disagreements, *filter(None, (self._pace_note,)))
        if self._strict and self.notes:
            self.counts.refused += 1
            return Verdict(Action.DROP, reason=f'{self.notes[0]}; strict is set')
        verdict = self._order(block, self._last)
        if verdict.action is not Action.DROP:
            self._measure(block, verdict)
            self._last = block
            self.counts.taken += 1
            self.counts.missing += verdict.missing
            self.counts.gaps += verdict.action is Action.AFTER_GAP
            self.counts.restarts += verdict.action is Action.RESTART
        return verdict

    def _order(self, block: Block, last: Block | None) -> Verdict:
        if last is None:
            return Verdict(Action.TAKE)
        step, gap = block.sequence - last.sequence, block.start - last.end
        if gap < -self._tolerance:
            return self._back_in_time(block, last, step)
        if gap > self._restart or step < 0:
            reason = f'nothing came for {gap * 1e-9:.3g} s'
            if step < 0:
                reason = f'the source began anew: block {block.sequence} after {last.sequence}'
            return Verdict(Action.RESTART, max(step - 1, 0), max(gap, 0), reason)
        if gap <= self._tolerance:
            reason = f'the sequence went on by {step}, no time is missing' if step != 1 else ''
            return Verdict(Action.TAKE, reason=reason)
        if step > 1:
            return Verdict(Action.AFTER_GAP, step - 1, gap, f'{step - 1} blocks are missing')
        reason = f'{gap * 1e-6:.3g} ms are missing between blocks that follow each other'
        return Verdict(Action.AFTER_GAP, 0, gap, reason)

    def _back_in_time(self, block: Block, last: Block, step: int) -> Verdict:
        """A block that begins before the last one ends."""
        back = last.start - block.start
        if step == 0 and back == 0:
            self.counts.repeated += 1
            return Verdict(Action.DROP, reason=f'block {block.sequence} came again')
        if step <= 0 and 0 <= back <= self._restart:
            self.counts.late += 1
            reason = f'block {block.sequence} came after block {last.sequence}'
            return Verdict(Action.DROP, reason=reason)
        # its number is higher, or it is far in the past: not a late block, but another time axis
        reason = f'the stamps went back by {(last.end - block.start) * 1e-9:.3g} s'
        return Verdict(Action.RESTART, 0, 0, reason)

    def _measure(self, block: Block, verdict: Verdict) -> None:
        """Compare the pace of the stamps with that of the samples."""
        last = self._last
        if last is None or verdict.action is not Action.TAKE or verdict.reason:
            self._pace = [0, 0, 0]
            return
        pace = self._pace
        pace[0] += 1
        pace[1] += block.start - last.start
        pace[2] += last.duration
        if pace[0] < _PACE_BLOCKS:
            return
        ratio = pace[2] / max(pace[1], 1)
        self._pace = [0, 0, 0]
        self._pace_note = ''
        if abs(ratio - 1.0) > _PACE_ERROR:
            self._pace_note = (
                f'by its stamps the source samples at {ratio:.3g} of the rates that it states'
            )

    def _describe(self, groups: tuple[ChannelGroup, ...]) -> None:
        self.counts.changes += bool(self._groups)
        self._groups = groups
        found = [reason for group in groups for reason in self._compare(group)]
        kinds = {group.kind for group in groups}
        found += [f'no {kind.name.lower()} channels' for kind in Kind if kind not in kinds]
        self._disagreements = tuple(found)

    def _compare(self, group: ChannelGroup) -> list[str]:
        """What a group is and should not be."""
        name = group.kind.name.lower()
        keys = getattr(self._sensors, name)
        expected = getattr(self._streams, f'{name}_channels')
        found = []
        if abs(group.rate - keys.sampling_rate) > 1e-3 * keys.sampling_rate:
            found.append(
                f'{name}: blocks hold {group.rate:g} Hz, configured are {keys.sampling_rate:g} Hz'
            )
        if group.bits != keys.bits:
            found.append(f'{name}: blocks hold {group.bits} bits, configured are {keys.bits}')
        if group.kind != Kind.ACOUSTIC:
            low, high = keys.limits
            slack = 1e-6 * (high - low)
            if abs(group.range_low - low) > slack or abs(group.range_high - high) > slack:
                found.append(
                    f'{name}: range of the blocks is {group.range_low:g} to {group.range_high:g}, '
                    f'configured is {low:g} to {high:g} (SI)'
                )
        if expected and group.channels != expected:
            found.append(f'{name}: {group.channels} channels, configured are {expected}')
        return found
