# SPDX-License-Identifier: Apache-2.0
"""Bags that are not what they should be: each gives a reason, none a traceback."""

from __future__ import annotations

import contextlib
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcap.reader import make_reader
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from sensor_msgs.msg import Imu
from std_msgs.msg import String

from meta_repo_ros.replay.bag_reader import BagReader
from meta_repo_ros.replay.bag_writer import BagWriter
from meta_repo_ros.replay.definitions import Definition
from meta_repo_ros.replay.errors import BagError
from meta_repo_ros.replay.recover import recover

if TYPE_CHECKING:
    from pathlib import Path

COUNT = 400


@pytest.fixture(scope='module', params=['mcap', 'sqlite3'])
def bag(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bag of 400 messages in several chunks."""
    path = tmp_path_factory.mktemp('bags') / 'bag'
    with BagWriter(path, storage=request.param, chunk_bytes=20_000) as writer:
        writer.add_topic('imu', 'sensor_msgs/msg/Imu', 'STREAM')
        for number in range(COUNT):
            message = Imu()
            message.header.stamp.sec = number
            writer.write('imu', number, message)
    return path


def storage_file(path: Path) -> Path:
    return next(file for file in path.iterdir() if file.suffix in {'.mcap', '.db3'})


def read_all(path: Path) -> list[int]:
    with BagReader(path) as bag:
        return [message.header.stamp.sec for _, _, _, message in bag.messages()]


def test_truncated_bag_says_recover_and_recovers(bag: Path, tmp_path: Path) -> None:
    cut = tmp_path / 'cut'
    shutil.copytree(bag, cut)
    file = storage_file(cut)
    file.write_bytes(file.read_bytes()[:60_000])
    with pytest.raises(BagError, match='meta-repo bag recover'):
        read_all(cut)
    result = recover(cut)
    numbers = read_all(result.path)
    assert numbers == list(range(len(numbers)))
    assert 50 < len(numbers) == result.message_count < COUNT
    assert result.lost
    assert result.path == tmp_path / 'cut_recovered'


def test_missing_metadata_says_recover(bag: Path, tmp_path: Path) -> None:
    killed = tmp_path / 'killed'
    shutil.copytree(bag, killed)
    (killed / 'metadata.yaml').unlink()
    with pytest.raises(BagError, match=r'no metadata.yaml.*meta-repo bag recover'):
        BagReader(killed)
    result = recover(killed, tmp_path / 'out')
    assert read_all(result.path) == list(range(COUNT))
    assert result.lost == ()
    with BagReader(result.path) as again:
        assert again.topics['/imu'].qos[0].depth == 200


@pytest.mark.parametrize('where', ['content', 'length'])
def test_a_broken_chunk_costs_itself_alone(tmp_path: Path, where: str) -> None:
    path = tmp_path / 'bag'
    with BagWriter(path, compression='zstd') as writer:
        writer.add_topic('text', 'std_msgs/msg/String')
        for number in range(10):
            writer.write('text', number, String(data=f'{number:04d}' * 500))
            writer.flush()
    file = path / 'bag_0.mcap'
    with file.open('rb') as stream:
        summary = make_reader(stream).get_summary()
    assert summary is not None
    chunk = summary.chunk_indexes[4]
    data = bytearray(file.read_bytes())
    if where == 'content':
        data[chunk.chunk_start_offset + chunk.chunk_length - 20] ^= 0xFF
    else:
        data[chunk.chunk_start_offset + 6] = 0xFF
    file.write_bytes(data)
    if where == 'content':
        with pytest.raises(BagError, match='meta-repo bag recover'):
            list(BagReader(path).raw())
    result = recover(path)
    with BagReader(result.path) as bag:
        numbers = [message.data[:4] for _, _, _, message in bag.messages()]
    assert numbers == [f'{number:04d}' for number in range(10) if number != 4]
    assert len(result.lost) == 1


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_no_damage_gives_anything_but_a_bag_error(bag: Path, data: st.DataObject) -> None:
    place = bag.parent / 'damaged'
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(bag, place)
    file = storage_file(place)
    content = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    file.write_bytes(content[: data.draw(st.sampled_from([len(content), len(content) // 2]))])
    with contextlib.suppress(BagError):
        read_all(place)
    shutil.rmtree(bag.parent / 'out', ignore_errors=True)
    with contextlib.suppress(BagError):
        result = recover(place, bag.parent / 'out')
        with BagReader(result.path) as recovered:
            assert sum(1 for _ in recovered.raw()) == result.message_count


@pytest.mark.parametrize(
    ('content', 'reason'),
    [
        ({}, 'is not a bag'),
        ({'bag_0.mcap': b''}, 'no metadata.yaml'),
        ({'bag_0.mcap': b'', 'metadata.yaml': b'{}'}, 'truncated or corrupt'),
        ({'metadata.yaml': b'\xff\xfe: ['}, 'truncated or corrupt'),
        ({'metadata.yaml': b'a: 1'}, 'truncated or corrupt'),
    ],
)
def test_what_is_no_bag(tmp_path: Path, content: dict[str, bytes], reason: str) -> None:
    for name, data in content.items():
        (tmp_path / name).write_bytes(data)
    with pytest.raises(BagError, match=reason):
        BagReader(tmp_path)
    with pytest.raises(BagError):
        recover(tmp_path, tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_empty_and_missing_files_are_said(tmp_path: Path) -> None:
    (tmp_path / 'x.mcap').write_bytes(b'')
    (tmp_path / 'x.txt').write_bytes(b'text')
    for name, reason in (('x.mcap', 'is empty'), ('x.txt', 'is not a bag'), ('y', 'not exist')):
        with pytest.raises(BagError, match=reason):
            BagReader(tmp_path / name)


def test_foreign_types_are_passed_over_and_counted(tmp_path: Path) -> None:
    path = tmp_path / 'bag'
    with BagWriter(path) as writer:
        broken = Definition('foreign_msgs/msg/Thing', 'ros2msg', 'what is this ???\n')
        writer.add_topic('thing', 'foreign_msgs/msg/Thing', definition=broken)
        writer.add_topic('nothing', 'foreign_msgs/msg/Nothing')
        own = Definition('foreign_msgs/msg/Own', 'ros2msg', 'int32 x\n')
        writer.add_topic('own', 'foreign_msgs/msg/Own', definition=own)
        writer.add_topic('text', 'std_msgs/msg/String')
        for name in ('thing', 'nothing', 'own'):
            writer.write(name, 1, b'\0\1\0\0\x07\0\0\0')
        writer.write('text', 2, String(data='x'))
    with BagReader(path) as bag:
        found = {topic: message for _, topic, _, message in bag.messages()}
        assert found['/own'].x == 7
        assert set(found) == {'/own', '/text'}
        assert dict(bag.skipped) == {'/thing': 1, '/nothing': 1}
        assert bag.topics['/thing'].reason


def changed(text: str) -> Definition:
    """A MagneticField of another time: ``text`` in place of the installed definition."""
    name = 'sensor_msgs/msg/MagneticField'
    store = get_typestore(Stores.EMPTY)
    store.register(get_types_from_msg(text, name))
    return Definition(name, 'ros2msg', text, store.hash_rihs01(name))


HEADER = (
    f'{"=" * 80}\nMSG: std_msgs/Header\nbuiltin_interfaces/Time stamp\nstring frame_id\n'
    f'{"=" * 80}\nMSG: builtin_interfaces/Time\nint32 sec\nuint32 nanosec\n'
    f'{"=" * 80}\nMSG: geometry_msgs/Vector3\n'
)
VECTOR = 'float64 x\nfloat64 y\nfloat64 z\n'
FIELDS = 'std_msgs/Header header\ngeometry_msgs/Vector3 magnetic_field\n'
COVARIANCE = 'float64[9] magnetic_field_covariance\n'


@pytest.mark.parametrize(
    ('text', 'reason'),
    [
        (FIELDS + HEADER + VECTOR, 'magnetic_field_covariance is missing in the bag'),
        (
            FIELDS + 'float32[9] magnetic_field_covariance\n' + HEADER + VECTOR,
            r'magnetic_field_covariance is float32\[9\] in the bag, float64\[9\] here',
        ),
        (
            FIELDS + COVARIANCE + HEADER + 'float64 x\nfloat64 y\n',
            'magnetic_field.z is missing in the bag',
        ),
        (FIELDS + COVARIANCE + 'uint8 quality\n' + HEADER + VECTOR, ''),
    ],
)
def test_another_definition_is_named(tmp_path: Path, text: str, reason: str) -> None:
    path, name = tmp_path / 'bag', 'sensor_msgs/msg/MagneticField'
    with BagWriter(path) as writer:
        writer.add_topic('imu/mag', name, definition=changed(text))
    with BagReader(path) as bag:
        if not reason:
            (warning,) = bag.check({'/imu/mag': name})
            assert 'quality is only in the bag' in warning
            return
        with pytest.raises(BagError, match=rf'/imu/mag.*{name}.*{reason}'):
            bag.check({'/imu/mag': name})
        with pytest.raises(BagError, match='expected sensor_msgs/msg/Imu'):
            bag.check({'/imu/mag': 'sensor_msgs/msg/Imu'})
        assert bag.check({'/other': name}) == []


def test_files_that_overlap_in_time_are_merged(tmp_path: Path) -> None:
    path = tmp_path / 'bag'
    stamps = [1, 5, 9, 2, 6, 7]
    with BagWriter(path) as writer:
        writer.add_topic('text', 'std_msgs/msg/String')
        for number, stamp in enumerate(stamps):
            if number == 3:
                writer.split()
            writer.write('text', stamp, String(data=str(stamp)))
    with BagReader(path) as bag:
        rows: list[Any] = list(bag.messages())
    assert [row[0] for row in rows] == sorted(stamps)
    assert [row[3].data for row in rows] == list(map(str, sorted(stamps)))
