# SPDX-License-Identifier: Apache-2.0
"""The player on a live graph: bytes, QoS, time, and rosbag2's services."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest
from nav_msgs.msg import Odometry
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Imu, NavSatFix
from std_msgs.msg import String
from std_srvs.srv import Empty, Trigger

from meta_repo_ros.core.time import set_stamp, stamp_ns
from meta_repo_ros.replay.bag_writer import BagWriter
from meta_repo_ros.ros import qos
from meta_repo_ros.ros.bag_player import BagPlayer
from meta_repo_ros.ros.player_services import service_type
from meta_repo_ros.srv import Burst, PlayNext, Seek, SetRate

if TYPE_CHECKING:
    from pathlib import Path

START = 1_700_000_000_000_000_000
STEP = 10_000_000
COUNT = 30


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    """30 samples at 100 Hz, a latched origin before them, and a heartbeat."""
    path = tmp_path / 'bag'
    with BagWriter(path) as writer:
        writer.add_topic('imu/data_raw', 'sensor_msgs/msg/Imu', 'STREAM')
        writer.add_topic('origin', 'sensor_msgs/msg/NavSatFix', 'LATCHED')
        writer.add_topic('odometry', 'nav_msgs/msg/Odometry', 'STATE')
        writer.add_topic('lifecycle/heartbeat', 'std_msgs/msg/String')
        writer.write('origin', START, NavSatFix(altitude=7.0))
        writer.write('lifecycle/heartbeat', START, String())
        for number in range(COUNT):
            message = Imu()
            message.header.stamp.sec = number
            writer.write('imu/data_raw', START + number * STEP, message)
            writer.write('odometry', START + number * STEP, Odometry())
    return path


def play(graph: Any, path: Path, **parameters: Any) -> BagPlayer:
    """An active player in the test's own executor."""
    values = {'path': str(path), **parameters}
    overrides = [Parameter(name, value=value) for name, value in values.items()]
    node: BagPlayer = graph.add(BagPlayer(parameter_overrides=overrides))
    node.trigger_configure()
    assert node.state_label == 'inactive'
    node.trigger_activate()
    assert node.state_label == 'active'
    return node


def numbers(messages: list[Imu]) -> list[int]:
    return [message.header.stamp.sec for message in messages]


def times(clocks: list[Clock]) -> list[int]:
    return [stamp_ns(message.clock) for message in clocks]


def test_plays_all_in_order_with_clock_and_recorded_qos(graph: Any, bag: Path) -> None:
    samples = graph.collect(Imu, 'imu/data_raw', 'STREAM')
    clocks = graph.collect(Clock, '/clock', 'SENSOR')
    node = play(graph, bag, wait_for=['imu/data_raw'])
    graph.spin_until(lambda: len(samples) == COUNT and node.playback.finished, 'all samples')
    assert numbers(samples) == list(range(COUNT))
    origins = graph.collect(NavSatFix, 'origin', 'LATCHED')
    graph.spin_until(lambda: origins, 'the latched message, for a late subscriber')
    stamps = times(clocks)
    assert stamps == sorted(stamps)
    assert stamps[0] >= START
    assert max(stamps) == START + (COUNT - 1) * STEP
    (info,) = graph.node.get_publishers_info_by_topic('/imu/data_raw')
    assert info.qos_profile.reliability.name == 'RELIABLE'
    beats = graph.node.get_publishers_info_by_topic('/lifecycle/heartbeat')
    assert 'std_msgs/msg/String' not in [beat.topic_type for beat in beats]
    (row,) = node.diagnostics(0)
    assert (row.message, row.values['published']) == ('finished', 2 * COUNT + 1)


def test_services_have_rosbag2_semantics(graph: Any, bag: Path) -> None:
    samples = graph.collect(Imu, 'imu/data_raw', 'STREAM')
    clocks = graph.collect(Clock, '/clock', 'SENSOR')
    play(graph, bag, start_paused=True, topics=['imu/data_raw'], wait_for=['imu/data_raw'])

    def call(name: str, kind: str, ours: Any, **fields: Any) -> Any:
        cls = service_type(kind, ours)
        return graph.call(cls, f'bag_player/{name}', cls.Request(**fields))

    graph.spin_until(lambda: clocks, 'a clock while paused')
    assert call('is_paused', 'IsPaused', Trigger).success
    assert not samples
    assert call('play_next', 'PlayNext', PlayNext).success
    assert call('burst', 'Burst', Burst, num_messages=3).actually_burst == 3
    graph.spin_until(lambda: len(samples) == 4, 'four samples')
    assert numbers(samples) == [0, 1, 2, 3]
    graph.spin_until(lambda: times(clocks)[-1] == START + 3 * STEP, 'the time of the last')

    seek = service_type('Seek', Seek).Request()
    set_stamp(seek.time, START + 25 * STEP)
    assert graph.call(service_type('Seek', Seek), 'bag_player/seek', seek).success
    set_stamp(seek.time, START + 10**12)
    assert not graph.call(service_type('Seek', Seek), 'bag_player/seek', seek).success
    set_stamp(seek.time, START + 2 * STEP)
    assert graph.call(service_type('Seek', Seek), 'bag_player/seek', seek).success
    graph.spin_until(lambda: times(clocks)[-1] == START + 2 * STEP, 'a clock that jumped back')

    assert call('set_rate', 'SetRate', SetRate, rate=5.0).success
    assert not call('set_rate', 'SetRate', SetRate, rate=-1.0).success
    assert call('get_rate', 'GetRate', Trigger).message == '5.0'
    samples.clear()
    call('toggle_paused', 'TogglePaused', Empty)
    graph.spin_until(lambda: len(samples) == COUNT - 2, 'the rest')
    assert numbers(samples) == list(range(2, COUNT))
    call('pause', 'Pause', Empty)
    assert call('burst', 'Burst', Burst, num_messages=3).actually_burst == 0
    assert not call('play_next', 'PlayNext', PlayNext).success
    call('resume', 'Resume', Empty)
    assert not call('is_paused', 'IsPaused', Trigger).success


def test_loop_jumps_back_and_offset_keeps_what_is_latched(graph: Any, bag: Path) -> None:
    samples = graph.collect(Imu, 'imu/data_raw', 'STREAM')
    origins = graph.collect(NavSatFix, 'origin', 'LATCHED')
    clocks = graph.collect(Clock, '/clock', 'SENSOR')
    node = play(
        graph, bag, loop=True, start_offset=0.25, wait_for=['imu/data_raw', 'origin'],
        clock='message',
    )  # fmt: skip
    graph.spin_until(lambda: len(samples) >= 12, 'the third round')
    assert numbers(samples)[:10] == 2 * [25, 26, 27, 28, 29]
    assert origins[0].altitude == 7.0
    stamps = times(clocks)
    assert any(after < before for before, after in itertools.pairwise(stamps))
    node.trigger_deactivate()
    count = len(samples)
    graph.spin_for(0.1)
    assert len(samples) <= count + 1


@pytest.mark.parametrize('late', [False, True])
def test_topics_that_others_publish_are_left_out(graph: Any, bag: Path, late: bool) -> None:
    probe = graph.collect(Odometry, 'odometry')
    wanted = ['imu/data_raw', 'origin']
    if late:
        node = play(graph, bag, wait_for=wanted, wait_timeout=0.0, rate=10.0)
    ours = graph.node.create_publisher(Odometry, 'odometry', qos.profile('STATE'))
    graph.spin_until(lambda: ours.get_subscription_count() == 1, 'matched')
    if not late:
        node = play(graph, bag, wait_for=wanted, wait_timeout=0.0, rate=10.0)
    samples = graph.collect(Imu, 'imu/data_raw', 'STREAM')
    graph.spin_for(0.1)
    assert not samples
    origins = graph.collect(NavSatFix, 'origin', 'LATCHED')
    graph.spin_until(lambda: node.playback.finished and len(samples) == COUNT, 'the end')
    assert origins
    assert not probe


@pytest.mark.parametrize('name', ['wbag_0.mcap', 'wbag_0.db3'])
def test_genuine_bags_play(graph: Any, recordings: Path, name: str) -> None:
    topics = [3 * letter for letter in 'ABCDEFGH']
    received = {topic: graph.collect(String, topic, 'EVENT') for topic in topics}
    play(graph, recordings / 'rosbag2' / name, wait_for=topics)
    graph.spin_until(lambda: sum(map(len, received.values())) == 1246, 'all 1,246 messages')
    assert [len(received[topic]) for topic in topics] == [174, 145, 157, 163, 147, 171, 141, 148]


@pytest.mark.parametrize(
    ('make', 'reason'),
    [
        (lambda _: None, 'name the bag'),
        (lambda path: path / 'nothing', 'does not exist'),
        (lambda path: (path / 'empty.mcap').write_bytes(b'') or path / 'empty.mcap', 'is empty'),
        (
            lambda path: (path / 'x.mcap').write_bytes(b'no bag' * 99) and path / 'x.mcap',
            'meta-repo bag recover',
        ),
    ],
)
def test_a_bag_that_cannot_be_played_refuses_configure(
    graph: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str], make: Any, reason: str
) -> None:
    path = make(tmp_path)
    overrides = [Parameter('path', value='' if path is None else str(path))]
    node = graph.add(BagPlayer(parameter_overrides=overrides))
    node.trigger_configure()
    assert node.state_label == 'unconfigured'
    assert reason in capfd.readouterr().err
