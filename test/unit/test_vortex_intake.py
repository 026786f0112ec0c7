# SPDX-License-Identifier: Apache-2.0
"""Order of sample blocks: missing, repeated, late, restarted; descriptions that disagree."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from meta_repo_ros.core.samples import Block, ChannelGroup, Kind, Samples
from meta_repo_ros.vortex_shield.intake import Action, Intake, StreamParameters
from meta_repo_ros.vortex_shield.interface_keys import SensorKeys

START = 1_000_000_000
LENGTH = 4_000_000
RANGE = {Kind.PRESSURE: (0.0, 2e5), Kind.FLOW: (0.0, 100.0), Kind.ACOUSTIC: (-200.0, 200.0)}


def group(kind: Kind, rate: float, bits: int, channels: int) -> ChannelGroup:
    zero = np.zeros(channels)
    return ChannelGroup(kind, rate, bits, *RANGE[kind], (0.0, 0.45 * rate), zero, zero, zero)


GROUPS = (
    group(Kind.PRESSURE, 1000.0, 16, 4),
    group(Kind.FLOW, 500.0, 12, 2),
    group(Kind.ACOUSTIC, 2000.0, 24, 2),
)


def block(
    sequence: int, start: int | None = None, groups: tuple[ChannelGroup, ...] = GROUPS
) -> Block:
    """Block number ``sequence`` of a source that has run without a break."""
    begin = START + sequence * LENGTH if start is None else start
    samples = tuple(
        Samples(
            g, begin, np.zeros((round(g.rate * 0.004), g.channels), np.int32),
            np.zeros(g.channels, np.uint8),
        )
        for g in groups
    )  # fmt: skip
    return Block(sequence, begin, LENGTH, samples)


def intake(*, strict: bool = False, **streams: Any) -> Intake:
    return Intake(SensorKeys(), StreamParameters(**streams), strict=strict)


def actions(judge: Intake, *blocks: Block) -> list[Action]:
    return [judge.take(one).action for one in blocks]


def test_blocks_that_follow_each_other_are_taken() -> None:
    judge = intake()
    assert set(actions(judge, *map(block, range(20)))) == {Action.TAKE}
    assert dataclasses.astuple(judge.counts) == (20, 0, 0, 0, 0, 0, 0, 0)
    assert judge.notes == ()


def test_a_missing_block_is_a_gap_of_its_length() -> None:
    judge = intake()
    actions(judge, block(0), block(1))
    verdict = judge.take(block(5))
    assert (verdict.action, verdict.missing, verdict.gap) == (Action.AFTER_GAP, 3, 3 * LENGTH)
    assert '3 blocks are missing' in verdict.reason
    assert judge.take(block(6)).action is Action.TAKE
    assert (judge.counts.missing, judge.counts.gaps, judge.counts.taken) == (3, 1, 4)


def test_a_repeated_block_is_dropped() -> None:
    judge = intake()
    assert actions(judge, block(0), block(1), block(1), block(1), block(2)) == [
        Action.TAKE, Action.TAKE, Action.DROP, Action.DROP, Action.TAKE,
    ]  # fmt: skip
    assert judge.counts.repeated == 2


def test_a_block_out_of_order_is_dropped_when_it_comes() -> None:
    judge = intake()
    assert actions(judge, block(0), block(2), block(1), block(3)) == [
        Action.TAKE, Action.AFTER_GAP, Action.DROP, Action.TAKE,
    ]  # fmt: skip
    assert (judge.counts.late, judge.counts.missing) == (1, 1)


def test_a_source_that_begins_anew_is_followed() -> None:
    judge = intake()
    actions(judge, *map(block, range(100)))
    verdict = judge.take(block(0, START + 150 * LENGTH))
    assert verdict.action is Action.RESTART
    assert 'began anew' in verdict.reason
    assert judge.take(block(1, START + 151 * LENGTH)).action is Action.TAKE


@pytest.mark.parametrize(
    ('start', 'reason'),
    [
        (START + 3_600 * 10**9, 'nothing came for'),
        (START - 10 * 10**9, 'the stamps went back'),
        (START + 90 * LENGTH, 'the stamps went back'),
    ],
)
def test_a_jump_of_time_begins_anew(start: int, reason: str) -> None:
    judge = intake()
    actions(judge, *map(block, range(100)))
    verdict = judge.take(block(100, start))
    assert verdict.action is Action.RESTART
    assert reason in verdict.reason
    assert judge.take(block(101, start + LENGTH)).action is Action.TAKE
    assert judge.counts.restarts == 1


def test_a_bag_that_is_played_again_begins_anew() -> None:
    judge = intake()
    actions(judge, *map(block, range(1000)))
    assert actions(judge, block(0), block(1)) == [Action.RESTART, Action.TAKE]


def test_a_stamp_may_jitter_within_the_tolerance_and_time_may_be_lost_without_a_number() -> None:
    judge = intake()
    jitter = [0, 1_400_000, 0, 500_000, 0]
    blocks = [block(i, START + i * LENGTH + j) for i, j in enumerate(jitter)]
    assert set(actions(judge, *blocks)) == {Action.TAKE}
    verdict = judge.take(block(5, START + 8 * LENGTH))
    assert (verdict.action, verdict.missing, verdict.gap) == (Action.AFTER_GAP, 0, 3 * LENGTH)


def test_numbers_may_be_left_out_where_no_time_is() -> None:
    judge = intake()
    judge.take(block(0))
    verdict = judge.take(block(10**12, START + LENGTH))
    assert verdict.action is Action.TAKE
    assert judge.counts.missing == 0


def test_a_source_that_does_not_count_its_blocks_is_judged_by_time() -> None:
    judge = intake()
    still = [dataclasses.replace(block(i), sequence=0) for i in range(4)]
    assert set(actions(judge, *still)) == {Action.TAKE}
    assert 'went on by 0' in judge.take(dataclasses.replace(block(4), sequence=0)).reason
    assert judge.take(dataclasses.replace(block(6), sequence=0)).action is Action.AFTER_GAP


@pytest.mark.parametrize(
    ('change', 'note'),
    [
        ({'rate': 2000.0}, 'flow: blocks hold 2000 Hz, configured are 500 Hz'),
        ({'bits': 14}, 'flow: blocks hold 14 bits, configured are 12'),
        ({'range_high': 50.0}, 'flow: range of the blocks is 0 to 50, configured is 0 to 100'),
    ],
)
def test_a_description_that_disagrees_is_believed_and_said(
    change: dict[str, Any], note: str
) -> None:
    groups = (GROUPS[0], dataclasses.replace(GROUPS[1], **change), GROUPS[2])
    judge = intake()
    assert judge.take(block(0, groups=groups)).action is Action.TAKE
    (found,) = judge.notes
    assert note in found
    judge.take(block(1))
    assert judge.notes == ()
    assert judge.counts.changes == 1
    verdict = intake(strict=True).take(block(0, groups=groups))
    assert verdict.action is Action.DROP
    assert 'strict is set' in verdict.reason


def test_channels_are_counted_and_kinds_missed() -> None:
    judge = intake(pressure_channels=8)
    judge.take(block(0, groups=GROUPS[:2]))
    assert judge.notes == ('pressure: 4 channels, configured are 8', 'no acoustic channels')


def test_stamps_that_run_at_another_pace_than_the_samples_are_noticed() -> None:
    judge = intake()
    for i in range(300):
        judge.take(block(i, START + round(i * LENGTH * 0.9)))
    assert judge.counts.restarts == 0
    (note,) = judge.notes
    assert '1.11 of the rates' in note
