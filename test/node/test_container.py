# SPDX-License-Identifier: Apache-2.0
"""The container as a user or the launch system starts it."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from action_msgs.msg import GoalStatus
from diagnostic_msgs.msg import DiagnosticArray
from nav_msgs.msg import Odometry
from rclpy.action import ActionClient
from sensor_msgs.msg import Imu
from std_msgs.msg import String

from meta_repo_ros.action import Calibrate
from meta_repo_ros.environment import process_environment
from meta_repo_ros.ros import tf

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_safe_outputs_and_without_a_trace(
    graph: Any, container: Callable[..., Any], number: int
) -> None:
    received = graph.collect(Imu, '/uav1/imu/data', 'STREAM')
    program = container(
        'node_probes:First', 'node_probes:Second', '--autostart', ros=['-r', '__ns:=/uav1']
    )
    publisher = graph.publisher(Imu, '/uav1/imu/data_raw', 'STREAM', subscribers=2)

    def running() -> bool:
        publisher.publish(Imu())
        graph.executor.spin_once(timeout_sec=0.05)
        return len(received) >= 2

    graph.spin_until(running, 'both nodes running')
    graph.spin_until(
        lambda: {'first', 'second'} <= set(graph.node.get_node_names()), 'both names known'
    )
    assert program.stop(number) == 0
    assert 'Traceback' not in program.output
    graph.spin_until(
        lambda: sum(m.header.frame_id == 'safe' for m in received) == 2, 'two safe outputs'
    )


def test_realtime_priority_holds_for_every_thread_or_is_said_to_be_refused(
    graph: Any, container: Callable[..., Any]
) -> None:
    received = graph.collect(Imu, 'imu/data', 'STREAM')
    program = container('node_probes:First', '--autostart', '--realtime')
    publisher = graph.publisher(Imu, 'imu/data_raw', 'STREAM')

    def running() -> bool:
        publisher.publish(Imu())
        graph.executor.spin_once(timeout_sec=0.05)
        return bool(received)

    graph.spin_until(running, 'the node running')
    threads = [int(p.name) for p in Path(f'/proc/{program.process.pid}/task').iterdir()]
    policies = {os.sched_getscheduler(thread) for thread in threads}
    assert program.stop() == 0
    if 'no real-time priority' in program.output:
        assert policies == {os.SCHED_OTHER}
    else:
        assert policies == {os.SCHED_RR}


def test_a_signal_ends_it_while_a_task_runs(graph: Any, container: Callable[..., Any]) -> None:
    rows = graph.collect(DiagnosticArray, '/diagnostics')
    program = container('node_workers:Worker', '--autostart')
    publisher = graph.publisher(String, 'order', 'EVENT')
    publisher.publish(String(data='a:1'))

    def working() -> bool:
        found = [row.message for m in rows for row in m.status if row.name == 'worker: tasks']
        return 'working' in found

    graph.spin_until(working, 'task begun')
    assert program.stop() == 0
    assert 'a task runs on' in program.output
    assert 'Traceback' not in program.output
    assert 'terminate called' not in program.output


def test_nothing_stays_in_shared_memory(
    graph: Any, container: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = 'FASTDDS_DEFAULT_PROFILES_FILE'
    monkeypatch.setenv(name, process_environment({}, images=True)[name])
    received = graph.collect(Imu, 'imu/data', 'STREAM')
    program = container('node_probes:First', '--autostart')
    publisher = graph.publisher(Imu, 'imu/data_raw', 'STREAM')

    def running() -> bool:
        publisher.publish(Imu())
        graph.executor.spin_once(timeout_sec=0.05)
        return bool(received)

    graph.spin_until(running, 'node running')
    maps = Path(f'/proc/{program.process.pid}/maps').read_text().splitlines()
    paths = {Path(line.split()[-1]) for line in maps if '/fastdds_' in line}
    own = [path for path in paths if path.stat().st_size > 40 << 20]
    assert own, 'the segment for images'
    assert program.stop() == 0
    assert not any(path.exists() for path in own)


def test_who_waits_for_a_goal_is_told_when_the_process_ends(
    graph: Any, container: Callable[..., Any]
) -> None:
    # DDS may lose an answer where only half of a service is matched yet: then all anew
    for attempt in range(3):
        program = container('node_workers:Server', '--autostart')
        client = ActionClient(graph.node, Calibrate, 'calibrate')
        graph.spin_until(client.server_is_ready, 'action server')
        try:
            handle = accepted_goal(graph, client)
            break
        except pytest.fail.Exception:
            if attempt == 2:
                raise
            client.destroy()
            program.stop()
    result = handle.get_result_async()
    graph.spin_for(0.2)  # the request for the result is there
    assert program.stop() == 0
    graph.spin_until(result.done, 'result')
    assert result.result().status == GoalStatus.STATUS_ABORTED
    assert result.result().result.message == 'the node was deactivated'
    client.destroy()


def accepted_goal(graph: Any, client: Any) -> Any:
    """The handle of a goal that was taken; it is refused until the node is active."""
    goals: list[Any] = []

    def accepted() -> bool:
        if not goals or (goals[-1].done() and not goals[-1].result().accepted):
            goals.append(client.send_goal_async(Calibrate.Goal(calibration_type='full')))
        return goals[-1].done() and goals[-1].result().accepted

    graph.spin_until(accepted, 'goal accepted')
    return goals[-1].result()


def test_a_signal_while_starting_leaves_no_trace(container: Callable[..., Any]) -> None:
    program = container('node_probes:First', ros=['--log-level', 'debug'])
    program.wait_for('rcl')
    assert program.stop() == 0
    assert 'Traceback' not in program.output


@pytest.mark.parametrize(
    ('arguments', 'ros', 'code', 'said'),
    [
        ([], [], 2, 'name at least one node'),
        (['navigation_fusoin'], [], 1, "did you mean 'navigation_fusion'?"),
        (['no_such_package:Node'], [], 1, "No module named 'no_such_package'"),
        (['node_probes:Nothing'], [], 1, "no attribute 'Nothing'"),
        (['node_probes:First'], ['--params-file', '/no/such.yaml'], 2, '/no/such.yaml'),
        (['node_probes:First', 'node_probes:Second'], ['-r', '__node:=x'], 2, 'OLD:__node:=NEW'),
    ],
)
def test_a_wrong_command_line_is_explained(
    container: Callable[..., Any], arguments: list[str], ros: list[str], code: int, said: str
) -> None:
    program = container(*arguments, ros=ros)
    assert program.wait() == code
    assert said in program.output
    assert 'Traceback' not in program.output


@pytest.mark.skipif(tf.available(), reason='tf2_msgs is installed here')
def test_tf_says_what_it_needs_where_it_cannot_run(container: Callable[..., Any]) -> None:
    program = container('odometry_to_tf')
    assert program.wait() == 1
    assert 'odometry_to_tf needs the package tf2_msgs' in program.output
    assert 'Traceback' not in program.output


def test_odometry_becomes_the_transform_of_its_frames() -> None:
    odometry = Odometry(child_frame_id='base_link')
    odometry.header.frame_id = 'odom'
    odometry.header.stamp.sec = 3
    odometry.pose.pose.position.x, odometry.pose.pose.position.z = 1.0, 2.0
    odometry.pose.pose.orientation.z, odometry.pose.pose.orientation.w = 0.6, 0.8
    transform = tf.from_odometry(odometry)
    assert (transform.header.frame_id, transform.child_frame_id) == ('odom', 'base_link')
    assert transform.header.stamp.sec == 3
    assert transform.transform.translation.x == 1.0
    assert transform.transform.translation.z == 2.0
    assert transform.transform.rotation == odometry.pose.pose.orientation


def test_list_names_the_registered_nodes(container: Callable[..., Any]) -> None:
    program = container('--list')
    assert program.wait() == 0
    assert {'navigation_fusion', 'lifecycle_manager'} <= set(program.output.split())


def test_a_bad_parameter_file_is_named_at_configure(
    container: Callable[..., Any], tmp_path: Path
) -> None:
    path = tmp_path / 'first.yaml'
    path.write_text('/**/first:\n  ros__parameters:\n    gain: [1.0, 2.0]\n')
    program = container('node_probes:First', '--autostart', ros=['--params-file', str(path)])
    program.wait_for('configure refused: parameter gain: expected float')
    assert program.stop() == 0
