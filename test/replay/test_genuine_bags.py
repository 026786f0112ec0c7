# SPDX-License-Identifier: Apache-2.0
"""Bags that rosbag2 itself wrote: read, converted, recovered; ours have the same structure."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
import yaml
from click.testing import CliRunner

from meta_repo_ros.commands.bag import command
from meta_repo_ros.replay.bag_reader import BagReader
from meta_repo_ros.replay.bag_writer import BagWriter
from meta_repo_ros.replay.convert import convert
from meta_repo_ros.replay.recover import recover

if TYPE_CHECKING:
    from pathlib import Path

COUNTS = [174, 145, 157, 163, 147, 171, 141, 148]
NAMES = [3 * letter for letter in 'ABCDEFGH']


@pytest.fixture
def genuine(recordings: Path) -> Path:
    return recordings / 'rosbag2'


@pytest.mark.parametrize('name', ['wbag_0.mcap', 'wbag_0.db3'])
def test_reads_all_messages_in_order(genuine: Path, name: str) -> None:
    with BagReader(genuine / name) as bag:
        assert {t.name: t.count for t in bag.topics.values()} == dict(
            zip(NAMES, COUNTS, strict=True)
        )
        assert (bag.start_ns, bag.end_ns, bag.message_count) == (1000, 1408, 1246)
        rows = list(bag.messages())
    assert len(rows) == 1246
    assert [row[0] for row in rows] == sorted(row[0] for row in rows)
    assert {row[2] for row in rows} == {'std_msgs/msg/String'}
    assert all(isinstance(row[3].data, str) for row in rows)


def test_both_storages_hold_the_same(genuine: Path) -> None:
    held = []
    for name in ('wbag_0.mcap', 'wbag_0.db3'):
        with BagReader(genuine / name) as bag:
            held.append(sorted((m.receive_ns, m.topic, m.data) for m in bag.raw()))
    assert held[0] == held[1]


def test_service_events_are_kept_though_not_read(genuine: Path, tmp_path: Path) -> None:
    source = genuine / 'topics_and_services.mcap'
    with BagReader(source) as bag:
        read = [topic for _, topic, _, _ in bag.messages()]
        raw = [(m.receive_ns, m.topic, m.data) for m in bag.raw()]
        assert read == ['/parameter_events'] * 7
        assert dict(bag.skipped) == {'/add_two_ints/_service_event': 6}
        hashes = {t.name: t.definition.hash for t in bag.topics.values() if t.readable}
        assert hashes['/parameter_events'].startswith('RIHS01_043e6277')
    convert(source, tmp_path / 'copy', storage='sqlite3')
    with BagReader(tmp_path / 'copy') as bag:
        assert [(m.receive_ns, m.topic, m.data) for m in bag.raw()] == raw
        assert len(bag.topics['/parameter_events'].qos) == 3


@pytest.mark.parametrize('name', ['wbag_0.mcap', 'wbag_0.db3'])
def test_what_is_cut_off_is_recovered(genuine: Path, tmp_path: Path, name: str) -> None:
    cut = tmp_path / name
    data = (genuine / name).read_bytes()
    # The footer of MCAP, the last pages of SQLite.
    cut.write_bytes(data[:-200] if name.endswith('mcap') else data[:-20_000])
    result = recover(cut)
    with BagReader(result.path) as bag:
        assert bag.message_count == result.message_count
        assert sum(1 for _ in bag.messages()) > 400
    if name.endswith('mcap'):
        assert result.message_count == 1246


def test_sqlite_schema_is_that_of_rosbag2(genuine: Path, tmp_path: Path) -> None:
    """Ours has what the genuine one (schema 3) has, and what schema 4 added."""
    with BagWriter(tmp_path / 'bag', storage='sqlite3') as writer:
        writer.add_topic('text', 'std_msgs/msg/String', 'STATE')
    columns = []
    for path in (genuine / 'wbag_0.db3', tmp_path / 'bag' / 'bag_0.db3'):
        with closing(sqlite3.connect(f'file:{path}?immutable=1', uri=True)) as connection:
            found = {}
            for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type='table'"):
                rows = connection.execute(f'PRAGMA table_info({table})')
                found[table] = [(row[1], row[2]) for row in rows]
            columns.append(found)
            indexes = connection.execute("SELECT name FROM sqlite_master WHERE type='index'")
            assert indexes.fetchall() == [('timestamp_idx',)]
    theirs, ours = columns
    assert ours['messages'] == theirs['messages']
    assert ours['topics'] == [*theirs['topics'], ('type_description_hash', 'TEXT')]
    assert set(ours) == {*theirs, 'schema', 'metadata', 'message_definitions'}


def test_command_line_describes_recovers_and_converts(genuine: Path, tmp_path: Path) -> None:
    runner = CliRunner()
    shown = runner.invoke(command, ['info', str(genuine / 'wbag_0.mcap')])
    assert shown.exit_code == 0
    assert 'messages       1246' in shown.output
    target = tmp_path / 'converted'
    arguments = ['convert', str(genuine / 'wbag_0.db3'), '-o', str(target), '--topic', 'AAA']
    done = runner.invoke(command, [*arguments, '--compression', 'zstd'])
    assert done.exit_code == 0, done.output
    metadata = yaml.safe_load((target / 'metadata.yaml').read_text())
    assert metadata['rosbag2_bagfile_information']['message_count'] == COUNTS[0]
    again = runner.invoke(command, arguments)
    assert again.exit_code == 1
    assert 'exists already' in again.output
    wrong = runner.invoke(
        command, ['convert', str(target), '-o', str(tmp_path / 'x'), '--topic', '/none']
    )
    assert wrong.exit_code == 1
    assert 'has no topic /none' in wrong.output
    assert runner.invoke(command, ['info', str(tmp_path)]).exit_code == 1
    repaired = runner.invoke(command, ['recover', str(target / 'converted_0.mcap')])
    assert repaired.exit_code == 0
    assert f'{COUNTS[0]} messages' in repaired.output
