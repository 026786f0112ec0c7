# SPDX-License-Identifier: Apache-2.0
"""The demonstration as a user starts it: flight, bag, report, and nothing left behind."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from nav_msgs.msg import Odometry
from rclpy.context import Context
from rclpy.node import Node

from meta_repo_ros.replay.bag_reader import BagReader
from meta_repo_ros.reporting import recorded, report

COMMAND = (sys.executable, '-m', 'meta_repo_ros.cli', 'demo')


def test_flight_ends_well_and_says_where_things_are(demo: Any) -> None:
    assert demo.code == 0, demo.output
    for name in ('bag', 'report.html'):
        assert str(demo.folder / name) in demo.output
    assert 'position, horizontal' in demo.output
    assert 'Traceback' not in demo.output


def test_bag_holds_the_whole_flight(demo: Any) -> None:
    with BagReader(demo.folder / 'bag') as bag:
        counts = {name: topic.count for name, topic in bag.topics.items()}
        assert bag.duration_ns > 15e9
    for topic in ('/imu/data_raw', '/odometry', '/imu/data'):
        assert counts[topic] > 0.9 * 200 * 15, counts
    for topic in ('/gnss/fix', '/ground_truth/odometry', '/ground_truth/origin', '/diagnostics'):
        assert counts[topic] > 0, counts


def test_navigation_follows_truth(demo: Any) -> None:
    recording = recorded.read_bag(demo.folder / 'bag')
    found = report.judge(recording, settle=10.0).navigation
    assert found is not None
    assert found.position is not None
    assert np.sqrt(np.mean(found.position[:, 0] ** 2 + found.position[:, 1] ** 2)) < 5.0
    assert np.nanmax(found.attitude[:, 0]) < 5.0


def test_report_stands_alone(demo: Any) -> None:
    text = (demo.folder / 'report.html').read_text(encoding='utf-8')
    for title in ('Errors against truth', 'Track', 'Position errors', 'Innovations', 'Latency'):
        assert f'<h2>{title}</h2>' in text
    assert '<script' not in text


def test_nothing_is_left_running(demo: Any, orphans: Callable[[str], list[str]]) -> None:
    assert orphans(demo.mark) == []


def test_one_interrupt_ends_it_with_bag_and_report(
    start: Callable[..., Any], mark: Any, orphans: Callable[[str], list[str]], tmp_path: Path
) -> None:
    folder = tmp_path / 'flight'
    program = start(*COMMAND, '--output', str(folder), env={**mark[1], 'PYTHONUNBUFFERED': '1'})
    program.wait_for('position error', deadline=60)
    program.stop(signal.SIGINT, deadline=30)
    assert 'stopped before its time' in program.output
    assert 'Traceback' not in program.output
    assert (folder / 'report.html').is_file()
    with BagReader(folder / 'bag') as bag:
        assert bag.message_count > 0
    assert orphans(mark[0]) == []


def test_another_graph_in_the_domain_is_told(start: Callable[..., Any], tmp_path: Path) -> None:
    context = Context()
    rclpy.init(context=context)
    node = Node('other', context=context, use_global_arguments=False)
    node.create_publisher(Odometry, 'odometry', 10)
    try:
        domain = os.environ['ROS_DOMAIN_ID']
        program = start(*COMMAND, '--output', str(tmp_path / 'x'), env={'ROS_DOMAIN_ID': domain})
        assert program.wait(deadline=40) != 0
    finally:
        node.destroy_node()
        context.try_shutdown()
    assert f'another graph publishes odometry in ROS domain {domain}' in program.output
    assert 'Traceback' not in program.output


def test_folder_that_cannot_be_written_is_told(start: Callable[..., Any], tmp_path: Path) -> None:
    blocked = tmp_path / 'file'
    blocked.write_text('')
    program = start(*COMMAND, '--output', str(blocked / 'x'))
    assert program.wait() != 0
    assert f'cannot write to {blocked / "x"}' in program.output
    assert 'Traceback' not in program.output


def test_a_flight_with_a_star_camera_shows_what_the_stars_are_worth(
    start: Callable[..., Any], tmp_path: Path
) -> None:
    folder = tmp_path / 'night'
    options = ('--scenario', 'star_navigation', '--duration', '18', '--output', str(folder))
    program = start(*COMMAND, *options)
    assert program.wait(deadline=240) == 0, program.output
    with BagReader(folder / 'bag') as bag:
        counts = {name: topic.count for name, topic in bag.topics.items()}
    for topic in ('/star_camera/image', '/starnav/stars', '/attitude_update', '/position_update'):
        assert counts[topic] > 0, counts
    assert 'with and without attitude_update' in program.output
    (line,) = [row for row in program.output.splitlines() if 'attitude, total' in row]
    assert all(0.0 < float(number) < 5.0 for number in line.split()[3:5])
    text = (folder / 'report.html').read_text(encoding='utf-8')
    assert '<h2>With and without attitude_update</h2>' in text
