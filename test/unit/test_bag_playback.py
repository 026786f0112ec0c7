# SPDX-License-Identifier: Apache-2.0
"""When the player's messages are due; QoS in bags and in the live graph are the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meta_repo_ros.replay import qos as bag_presets
from meta_repo_ros.replay.bag_reader import BagReader
from meta_repo_ros.replay.bag_writer import BagWriter
from meta_repo_ros.replay.playback import Playback
from meta_repo_ros.ros import bag_qos
from meta_repo_ros.ros import qos as live_presets

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STAMPS = [1000, 1100, 1100, 1500, 2000]


class Clock:
    """A steady clock that the test moves."""

    now = 10_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture(scope='module')
def bag(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BagReader]:
    path: Path = tmp_path_factory.mktemp('playback') / 'bag'
    with BagWriter(path) as writer:
        writer.add_topic('/a', 'std_msgs/msg/String', 'LATCHED')
        writer.add_topic('/b', 'std_msgs/msg/String')
        for number, stamp in enumerate(STAMPS):
            writer.write('/a' if number < 2 else '/b', stamp, bytes([number]))
    with BagReader(path) as reader:
        yield reader


def start(bag: BagReader, clock: Clock, **how: object) -> Playback:
    playback = Playback(bag, {'/a', '/b'}, now_ns=clock, **how)  # type: ignore[arg-type]
    playback.release()
    return playback


def due(playback: Playback) -> list[int]:
    taken = []
    while (message := playback.take_due()) is not None:
        taken.append(message[0].receive_ns)
    return taken


@settings(max_examples=50, deadline=None)
@given(rate=st.sampled_from([0.5, 1.0, 4.0]), steps=st.lists(st.integers(1, 700), max_size=12))
def test_each_message_is_due_at_its_time(bag: BagReader, rate: float, steps: list[int]) -> None:
    clock = Clock()
    playback = start(bag, clock, rate=rate)
    begin, taken = clock.now, due(playback)
    for step in steps:
        wait = playback.until_next_ns()
        clock.now += step
        taken += due(playback)
        position = STAMPS[0] + (clock.now - begin) * rate
        assert taken == [stamp for stamp in STAMPS if stamp <= position]
        assert wait <= step or taken == STAMPS[: len(taken)]
        assert playback.bag_time_ns() == min(int(position), STAMPS[-1])
    assert playback.finished == (len(taken) == len(STAMPS))


def test_pause_rate_and_hold_never_move_the_time(bag: BagReader) -> None:
    clock = Clock()
    playback = start(bag, clock)
    clock.now += 300
    for change in (playback.pause, playback.resume, playback.hold, playback.release):
        before = playback.bag_time_ns()
        change()
        assert playback.bag_time_ns() == before == 1300
    playback.pause()
    clock.now += 10_000
    assert due(playback) == []
    playback.set_rate(2.0)
    playback.resume()
    assert due(playback) == [1000, 1100, 1100]
    clock.now += 100
    assert due(playback) == [1500]


def test_loop_waits_for_the_end_of_the_bag(bag: BagReader) -> None:
    clock = Clock()
    playback = Playback(bag, {'/a'}, now_ns=clock, loop=True)
    playback.release()
    clock.now += 100
    assert due(playback) == [1000, 1100]
    # The bag ends at 2000, though the last message that is played is earlier.
    assert playback.until_next_ns() == 900
    clock.now += 899
    assert due(playback) == []
    clock.now += 1
    assert due(playback) == [1000]
    assert playback.bag_time_ns() == 1000


def test_seek_and_single_steps(bag: BagReader) -> None:
    playback = start(bag, Clock())
    playback.pause()
    assert not playback.seek(999)
    assert not playback.seek(2001)
    assert playback.seek(1100)
    assert [message.data for message in playback.latched()] == [b'\0']
    assert playback.seek(1101)
    assert [message.data for message in playback.latched()] == [b'\1']
    stepped = [playback.take_next() for _ in range(3)]
    assert [message.receive_ns for message in stepped if message is not None] == [1500, 2000]
    assert playback.finished
    assert playback.bag_time_ns() == 2000


def test_presets_in_bags_are_those_of_the_live_graph() -> None:
    live = {**live_presets.PRESETS, 'CLOCK': live_presets.CLOCK}
    assert set(live) == set(bag_presets.PRESETS)
    for name, profile in live.items():
        in_bag = bag_qos.to_bag(profile)._replace(liveliness=bag_presets.PRESETS[name].liveliness)
        assert in_bag == bag_presets.PRESETS[name]
        played = bag_qos.offer([bag_presets.PRESETS[name]])
        assert (played.reliability, played.durability, played.depth) == (
            profile.reliability, profile.durability, profile.depth,
        )  # fmt: skip
        assert played.lifespan.nanoseconds in {0, profile.lifespan.nanoseconds}
