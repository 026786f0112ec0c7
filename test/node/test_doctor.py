# SPDX-License-Identifier: Apache-2.0
"""The doctor sees a real graph: rates, mismatches, duplicates, who stands in the way."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

import pytest
import rclpy
from click.testing import CliRunner
from rclpy.context import Context
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import Bool, Float64

from meta_repo_ros.commands import doctor
from meta_repo_ros.ros.inspection import conflicts

if TYPE_CHECKING:
    from collections.abc import Iterator

RATE = 100.0


@pytest.fixture(scope='module')
def sick_graph(own_domain: int) -> Iterator[None]:
    """Two nodes of one name, a QoS mismatch, a type mismatch, and a topic at a steady rate."""
    del own_domain
    contexts = (Context(), Context())  # DDS refuses a second type within one
    for context in contexts:
        rclpy.init(context=context)
    source, twin = (Node('twin', context=context) for context in contexts)
    steady = source.create_publisher(Float64, 'steady', 10)
    lossy = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    source.create_publisher(Float64, 'silent', lossy)
    twin.create_subscription(Float64, 'silent', print, 10)
    source.create_publisher(Float64, 'mixed', 10)
    twin.create_publisher(Bool, 'mixed', 10)
    stop = threading.Event()

    def publish() -> None:
        while not stop.wait(1.0 / RATE):
            steady.publish(Float64())

    thread = threading.Thread(target=publish)
    thread.start()
    yield
    stop.set()
    thread.join()
    for node, context in zip((source, twin), contexts, strict=True):
        node.destroy_node()
        rclpy.try_shutdown(context=context)


@pytest.mark.usefixtures('own_domain')
def test_an_empty_domain_is_no_error() -> None:
    result = CliRunner().invoke(doctor.command, ['--seconds', '0.1'])
    assert 'no nodes run in this domain' in result.stdout
    assert result.exit_code == 0


@pytest.mark.usefixtures('sick_graph')
def test_the_doctor_finds_what_is_wrong_and_measures_the_rest() -> None:
    result = CliRunner().invoke(doctor.command, ['--json', '--seconds', '1'])
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert report['nodes'].count('/twin') == 2
    found = '\n'.join(report['problems'])
    assert '2 nodes have the name /twin' in found
    assert '/mixed: endpoints of different types: std_msgs/msg/Bool, std_msgs/msg/Float64' in found
    assert '/silent: /twin to /twin: Best effort publisher and reliable subscription' in found
    assert len(report['problems']) == 3
    topics = {topic['name']: topic for topic in report['topics']}
    # a loaded machine publishes late, never more often
    assert 0.1 * RATE < topics['/steady']['rate'] < 1.5 * RATE
    assert topics['/silent']['rate'] == 0.0
    assert topics['/silent']['subscribers'] == ['/twin']
    assert report['environment']['RMW'].startswith('rmw_')


@pytest.mark.usefixtures('sick_graph')
def test_a_person_gets_one_page() -> None:
    result = CliRunner().invoke(doctor.command, ['--seconds', '0.2'])
    assert result.exit_code == 1
    for text in ('ROS_DOMAIN_ID', '/steady', 'std_msgs/Float64', 'wrong 2 nodes have the name'):
        assert text in result.stdout


def test_nodes_that_run_already_stand_in_the_way() -> None:
    context = Context()
    rclpy.init(context=context)
    node = Node('navigation_fusion', namespace='uav1', context=context)
    try:
        wanted = {'/uav1/navigation_fusion', '/uav1/other'}
        assert conflicts(wanted, clock=False, patience=15.0) == ['/uav1/navigation_fusion']
        assert conflicts({'/uav2/navigation_fusion'}, clock=False) == []
    finally:
        node.destroy_node()
        rclpy.try_shutdown(context=context)
