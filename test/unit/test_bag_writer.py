# SPDX-License-Identifier: Apache-2.0
"""Bags written here: read back by rosbags and mcap, byte-identical, complete on a full disk."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from mcap.reader import make_reader
from nav_msgs.msg import Odometry
from rosbags.highlevel import AnyReader
from sensor_msgs.msg import Imu, NavSatFix

from meta_repo_ros.replay.bag_reader import BagReader
from meta_repo_ros.replay.bag_writer import BagWriter
from meta_repo_ros.replay.errors import BagError, BagFullError
from meta_repo_ros.replay.qos import PRESETS
from meta_repo_ros.replay.recover import recover

if TYPE_CHECKING:
    from collections.abc import Iterator

HOW: list[dict[str, Any]] = [
    {},
    {'compression': 'zstd'},
    {'compression': 'lz4'},
    {'storage': 'sqlite3'},
    {'storage': 'sqlite3', 'compression': 'zstd'},
    {'storage': 'sqlite3', 'compression': 'zstd', 'compression_mode': 'message'},
    {'max_file_bytes': 20_000},
    {'storage': 'sqlite3', 'max_file_ns': 400_000_000},
]
IMU = 'sensor_msgs/msg/Imu'


def named(how: dict[str, Any]) -> str:
    return ' '.join(map(str, how.values())) or 'plain'


def fill(path: Path, **how: Any) -> None:
    with BagWriter(path, **how) as writer:
        writer.add_topic('imu/data_raw', IMU, 'STREAM')
        writer.add_topic('/odometry', 'nav_msgs/msg/Odometry', 'STATE')
        writer.add_topic('silent', 'std_msgs/msg/Empty')
        for number in range(100):
            message = Imu()
            message.header.stamp.sec = number
            message.header.frame_id = f'é{number}'
            writer.write('imu/data_raw', 10**18 + number * 10**7, message)
            if number % 10 == 0:
                writer.write('odometry', 10**18 + number * 10**7, Odometry())


@pytest.mark.parametrize('how', HOW, ids=named)
def test_rosbags_reads_it_unchanged(tmp_path: Path, how: dict[str, Any]) -> None:
    fill(tmp_path / 'bag', **how)
    with AnyReader([tmp_path / 'bag']) as bag:
        # AnyReader compares the type hashes with those of the definitions.
        connections = {connection.topic: connection for connection in bag.connections}
        assert {t: c.msgcount for t, c in connections.items()} == {
            '/imu/data_raw': 100, '/odometry': 10, '/silent': 0,
        }  # fmt: skip
        assert connections['/imu/data_raw'].digest.startswith('RIHS01_7d9a00ff')
        assert connections['/imu/data_raw'].ext.offered_qos_profiles == [PRESETS['STREAM']]
        rows = list(bag.messages())
        frames = [
            bag.deserialize(raw, connection.msgtype).header.frame_id
            for connection, _, raw in rows
            if connection.msgtype == IMU
        ]
    assert frames == [f'é{number}' for number in range(100)]
    assert [stamp for _, stamp, _ in rows] == sorted(stamp for _, stamp, _ in rows)


@pytest.mark.parametrize('how', HOW, ids=named)
def test_the_same_input_gives_the_same_bytes(tmp_path: Path, how: dict[str, Any]) -> None:
    written = []
    for folder in ('a', 'b'):
        fill(tmp_path / folder / 'bag', **how)
        files = sorted((tmp_path / folder / 'bag').iterdir())
        written.append({file.name: file.read_bytes() for file in files})
    assert written[0] == written[1]
    assert len(written[0]) > (2 if 'max_file_bytes' in how or 'max_file_ns' in how else 1)


def test_metadata_has_the_keys_of_rosbag2(tmp_path: Path, recordings: Path) -> None:
    fill(tmp_path / 'bag')
    with (recordings / 'rosbag2' / 'topics_and_services.mcap').open('rb') as file:
        embedded = [record.metadata for record in make_reader(file).iter_metadata()][-1]
    genuine = yaml.safe_load(embedded['serialized_metadata'])
    text = (tmp_path / 'bag' / 'metadata.yaml').read_text()
    ours = yaml.safe_load(text)['rosbag2_bagfile_information']
    assert set(ours) == set(genuine)
    assert set(ours['files'][0]) == set(genuine['files'][0])
    theirs = genuine['topics_with_message_count'][0]['topic_metadata']
    topic = ours['topics_with_message_count'][0]['topic_metadata']
    assert set(topic) == set(theirs)
    profile = yaml.safe_load(theirs['offered_qos_profiles'])[0]
    assert set(topic['offered_qos_profiles'][0]) == set(profile)


def test_mcap_has_profile_schemas_and_index(tmp_path: Path) -> None:
    fill(tmp_path / 'bag', compression='zstd')
    with (tmp_path / 'bag' / 'bag_0.mcap').open('rb') as file:
        reader = make_reader(file, validate_crcs=True)
        assert reader.get_header().profile == 'ros2'
        summary = reader.get_summary()
        assert summary is not None
        schema = next(s for s in summary.schemas.values() if s.name == IMU)
        assert schema.encoding == 'ros2msg'
        assert b'MSG: builtin_interfaces/Time' in schema.data
        assert {index.compression for index in summary.chunk_indexes} == {'zstd'}
        assert sum(1 for _ in reader.iter_messages()) == 110


@settings(max_examples=30, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 5), st.sampled_from(['/a', '/b']), st.binary(max_size=9))
    ),
    storage=st.sampled_from(['mcap', 'sqlite3']),
    limit=st.sampled_from([0, 1, 500]),
)
def test_round_trip(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[int, str, bytes]],
    storage: str,
    limit: int,
) -> None:
    path = tmp_path_factory.mktemp('round') / 'bag'
    # As a recorder writes them: in order of receive time.
    rows = sorted(rows, key=lambda row: row[0])
    with BagWriter(path, storage=storage, max_file_bytes=limit) as writer:
        for topic in ('/a', '/b'):
            writer.add_topic(topic, 'std_msgs/msg/String')
        for stamp, topic, data in rows:
            writer.write(topic, stamp, data)
    with BagReader(path) as bag:
        assert [(m.receive_ns, m.topic, m.data) for m in bag.raw()] == rows
        assert bag.message_count == len(rows)


def test_wrong_use_is_refused_with_a_reason(tmp_path: Path) -> None:
    path = tmp_path / 'bag'
    with BagWriter(path) as writer:
        writer.add_topic('fix', 'sensor_msgs/msg/NavSatFix')
        with pytest.raises(BagError, match='/fix has type sensor_msgs/msg/NavSatFix'):
            writer.add_topic('/fix', IMU)
        with pytest.raises(BagError, match='not declared'):
            writer.write('other', 0, NavSatFix())
        with pytest.raises(TypeError, match='takes sensor_msgs/msg/NavSatFix'):
            writer.write('fix', 0, Imu())
        with pytest.raises(BagError, match='out of range'):
            writer.write('fix', -1, NavSatFix())
        writer.write('fix', 0, NavSatFix())
    with pytest.raises(BagError, match='is closed'):
        writer.write('fix', 0, NavSatFix())
    with pytest.raises(BagError, match='exists already'):
        BagWriter(path)
    for wrong in ({'storage': 'tape'}, {'storage': 'sqlite3', 'compression': 'lz4'}):
        with pytest.raises(BagError):
            BagWriter(tmp_path / 'other', **wrong)
    with BagReader(path) as bag:
        assert bag.message_count == 1


def test_an_error_while_recording_loses_nothing(tmp_path: Path) -> None:
    def record() -> None:
        with BagWriter(tmp_path / 'bag') as writer:
            writer.add_topic('imu', IMU)
            writer.write('imu', 1, Imu())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        record()
    with BagReader(tmp_path / 'bag') as bag:
        assert bag.message_count == 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 6 MB."""
    place = tmp_path / 'disk'
    place.mkdir()
    command = ['mount', '-t', 'tmpfs', '-o', 'size=6m', 'none', str(place)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip('no right to mount a small file system')
    yield place
    subprocess.run(['umount', str(place)], check=True)


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_a_full_disk_stops_with_a_readable_bag(small_disk: Path, storage: str) -> None:
    written = record_until_full(small_disk / 'bag', storage)
    assert not (small_disk / 'bag' / '.reserve').exists()
    with BagReader(small_disk / 'bag') as bag:
        numbers = [int.from_bytes(item.data[:8], 'little') for item in bag.raw()]
        # What was pending when the disk was found full is in the bag, too.
        assert numbers == list(range(written))
        assert bag.message_count == written


def record_until_full(path: Path, storage: str) -> int:
    """Messages that the writer took, until it says that the disk is full."""
    with BagWriter(path, storage=storage) as writer:
        writer.add_topic('noise', 'std_msgs/msg/String')

        def write_on() -> None:
            for number in range(100_000):
                writer.write('noise', number, number.to_bytes(8, 'little') + bytes(2000))

        with pytest.raises(BagFullError, match='the disk is full; recording stopped after'):
            write_on()
        with pytest.raises(BagError, match='is closed'):
            writer.write('noise', 0, b'')
        return writer.message_count


def test_a_read_only_disk_is_said(small_disk: Path) -> None:
    subprocess.run(['mount', '-o', 'remount,ro', str(small_disk)], check=True)
    with pytest.raises(BagError, match=r'cannot create the bag: Read-only file system; choose'):
        BagWriter(small_disk / 'bag')


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_a_file_size_limit_leaves_a_bag_to_recover(tmp_path: Path, storage: str) -> None:
    code = f"""
import resource, signal
from meta_repo_ros.replay.bag_writer import BagWriter
from meta_repo_ros.replay.errors import BagFullError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (3_500_000, 3_500_000))
writer = BagWriter({str(tmp_path / 'bag')!r}, storage={storage!r})
writer.add_topic('noise', 'std_msgs/msg/String')
try:
    for number in range(100_000):
        writer.write('noise', number, bytes(2000))
except BagFullError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert 'recording stopped' in done.stdout
    if 'meta-repo bag recover' in done.stdout:
        assert recover(tmp_path / 'bag').message_count > 500
    else:
        with BagReader(tmp_path / 'bag') as bag:
            assert bag.message_count > 500
