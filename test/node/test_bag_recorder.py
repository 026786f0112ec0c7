# SPDX-License-Identifier: Apache-2.0
"""The recorder on a live graph: what it keeps, through kills, full disks and clock jumps."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from nav_msgs.msg import Odometry
from rclpy.parameter import Parameter
from rclpy.serialization import serialize_message
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Imu, NavSatFix
from std_msgs.msg import String

from meta_repo_ros.core.processor import Level
from meta_repo_ros.replay.bag_reader import BagReader
from meta_repo_ros.replay.errors import BagError
from meta_repo_ros.replay.recover import recover
from meta_repo_ros.ros import qos
from meta_repo_ros.ros.bag_recorder import BagRecorder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def recorder(graph: Any, **parameters: Any) -> BagRecorder:
    """An active recorder in the test's own executor."""
    overrides = [Parameter(name, value=value) for name, value in parameters.items()]
    node: BagRecorder = graph.add(BagRecorder(parameter_overrides=overrides))
    node.trigger_configure()
    node.trigger_activate()
    assert node.state_label == 'active'
    return node


def imu(number: int) -> Imu:
    message = Imu()
    message.header.stamp.sec = number
    message.angular_velocity.x = number / 7
    return message


def received(node: BagRecorder) -> dict[str, int]:
    return {} if node._bag is None else node._bag.counts


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_bytes_types_and_qos_are_kept(graph: Any, tmp_path: Path, storage: str) -> None:
    path = tmp_path / 'bag'
    node = recorder(graph, path=str(path), storage=storage, regex='^/(imu|gnss|origin)')
    samples = graph.publisher(Imu, 'imu/data_raw', 'STREAM')
    fixes = graph.publisher(NavSatFix, 'gnss/fix', 'SENSOR')
    other = graph.node.create_publisher(Odometry, 'odometry', 10)
    latched = graph.node.create_publisher(NavSatFix, 'origin', qos.profile('LATCHED'))
    latched.publish(NavSatFix(altitude=7.0))
    sent = [serialize_message(imu(number)) for number in range(50)]
    for data in sent:
        samples.publish(data)
        other.publish(Odometry())
    fixes.publish(NavSatFix(latitude=1.5))
    expected = {'/imu/data_raw': 50, '/gnss/fix': 1, '/origin': 1}
    graph.spin_until(lambda: received(node) == expected, f'{expected}')
    node.trigger_deactivate()
    with BagReader(path) as bag:
        assert {name: topic.count for name, topic in bag.topics.items()} == expected
        assert [item.data for item in bag.raw({'/imu/data_raw'})] == sent
        topic = bag.topics['/imu/data_raw']
        assert topic.qos[0].reliability.name == 'RELIABLE'
        assert topic.definition.hash.startswith('RIHS01_7d9a00ff')
        assert bag.topics['/gnss/fix'].qos[0].reliability.name == 'BEST_EFFORT'
        assert bag.topics['/origin'].qos[0].durability.name == 'TRANSIENT_LOCAL'
        times = [item.receive_ns for item in bag.raw()]
        assert times == sorted(times)


def test_a_publisher_that_offers_less_comes_later(graph: Any, tmp_path: Path) -> None:
    node = recorder(graph, path=str(tmp_path / 'bag'), topics=['fix'])
    strong = graph.publisher(NavSatFix, 'fix', 'STATE')
    weak = graph.node.create_publisher(NavSatFix, 'fix', qos.profile('SENSOR'))
    graph.spin_until(lambda: weak.get_subscription_count() == 1, 'a request that both satisfy')
    graph.spin_until(lambda: strong.get_subscription_count() == 1, 'the same for the first')
    weak.publish(NavSatFix())
    graph.spin_until(lambda: received(node).get('/fix') == 1, 'a message of the weaker one')


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_kill_keeps_what_was_flushed(
    graph: Any, container: Callable[..., Any], tmp_path: Path, storage: str
) -> None:
    path = tmp_path / 'bag'
    program = container(
        'bag_recorder', '--autostart',
        ros=[
            '-p', f'path:={path}', '-p', f'storage:={storage}', '-p', 'flush_period:=0.2',
            '-p', 'topics:=[imu/data_raw]',
        ],
    )  # fmt: skip
    program.wait_for('recording to')
    samples = graph.publisher(Imu, 'imu/data_raw', 'STREAM')
    sent = 0
    commits: list[int] = []

    def flushed(times: int) -> bool:
        nonlocal sent
        samples.publish(imu(sent))
        sent += 1
        size = sum(file.stat().st_size for file in path.glob('bag_0.*'))
        if not commits or size != commits[-1]:
            commits.append(size)
        return len(commits) > times

    graph.spin_until(lambda: flushed(2) and sent > 50, 'the first data on disk')
    # The commit after the next one holds all that was sent before.
    durable = sent
    commits.clear()
    graph.spin_until(lambda: flushed(2), 'two more commits')
    program.process.send_signal(signal.SIGKILL)
    assert program.wait() == -signal.SIGKILL
    with pytest.raises(BagError, match='meta-repo bag recover'):
        BagReader(path)
    result = recover(path)
    with BagReader(result.path) as bag:
        numbers = [message.header.stamp.sec for _, _, _, message in bag.messages()]
    assert numbers == list(range(numbers[0], numbers[-1] + 1))
    assert numbers[-1] >= durable - 1
    assert (result.path / 'metadata.yaml').exists()


def test_interrupt_completes_the_bag(
    graph: Any, container: Callable[..., Any], tmp_path: Path
) -> None:
    path = tmp_path / 'bag'
    program = container('bag_recorder', '--autostart', ros=['-p', f'path:={path}'])
    program.wait_for('recording to')
    samples = graph.publisher(Imu, 'imu/data_raw', 'STREAM')
    for number in range(20):
        samples.publish(imu(number))
    samples.wait_for_all_acked()
    assert program.stop() == 0
    assert 'Traceback' not in program.output
    with BagReader(path) as bag:
        assert bag.topics['/imu/data_raw'].count == 20
    assert not (path / '.reserve').exists()


def test_simulated_time_stamps_and_a_jump_back_begins_a_new_bag(graph: Any, tmp_path: Path) -> None:
    path = tmp_path / 'bag'
    node = recorder(graph, path=str(path), use_sim_time=True, topics=['imu/data_raw'])
    samples = graph.publisher(Imu, 'imu/data_raw', 'STREAM')
    samples.publish(imu(0))
    graph.spin_until(lambda: node._early == 1, 'a message before the first clock')
    clock = graph.node.create_publisher(Clock, '/clock', qos.profile('SENSOR'))

    def at(second: int) -> None:
        message = Clock()
        message.clock.sec = second
        graph.spin_until(
            lambda: clock.publish(message) or node.now_ns() == second * 10**9, f'clock at {second}'
        )

    at(100)
    samples.publish(imu(1))
    graph.spin_until(lambda: received(node).get('/imu/data_raw') == 1, 'a message')
    at(50)
    samples.publish(imu(2))
    graph.spin_until(lambda: received(node).get('/imu/data_raw') == 1, 'a message in the new bag')
    node.trigger_deactivate()
    for folder, second in ((path, 100), (tmp_path / 'bag-2', 50)):
        with BagReader(folder) as bag:
            assert bag.start_ns == bag.end_ns == second * 10**9


def test_what_cannot_be_written_refuses_activation(graph: Any, tmp_path: Path) -> None:
    (tmp_path / 'file').write_text('')
    overrides = [Parameter('path', value=str(tmp_path / 'file' / 'bag'))]
    node = graph.add(BagRecorder(parameter_overrides=overrides))
    node.trigger_configure()
    node.trigger_activate()
    assert node.state_label == 'inactive'
    (row,) = node.diagnostics(0)
    assert 'cannot create the bag' in row.message


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 5 MB."""
    place = tmp_path / 'disk'
    place.mkdir()
    command = ['mount', '-t', 'tmpfs', '-o', 'size=5m', 'none', str(place)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip('no right to mount a small file system')
    yield place
    subprocess.run(['umount', str(place)], check=True)


def test_a_full_disk_is_said_and_the_bag_is_complete(
    graph: Any, small_disk: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    node = recorder(graph, path=str(small_disk / 'bag'), topics=['text'])
    texts = graph.publisher(String, 'text', 'STATE')
    message = String(data=100_000 * 'x')

    def stopped() -> bool:
        texts.publish(message)
        return node.bag_path is None

    graph.spin_until(stopped, 'the end of recording')
    (row,) = node.diagnostics(0)
    assert row.level == Level.ERROR
    assert 'the disk is full; recording stopped after' in row.message
    assert 'the disk is full' in capfd.readouterr().err
    assert node.state_label == 'active'
    with BagReader(small_disk / 'bag') as bag:
        assert bag.message_count > 10
        assert all(m.data == message.data for _, _, _, m in bag.messages())


def test_parameter_file_has_the_defaults(pytestconfig: pytest.Config) -> None:
    for name in ('bag_recorder', 'bag_player'):
        text = (pytestconfig.rootpath / 'config' / f'{name}.yaml').read_text()
        assert yaml.safe_load(text)[f'/**/{name}']['ros__parameters']
