# SPDX-License-Identifier: Apache-2.0
"""The observer measures a graph from outside: real DDS, another context."""

import time
from collections.abc import Iterator

import pytest
import rclpy
from nav_msgs.msg import Odometry
from rclpy.context import Context
from rclpy.node import Node
from sensor_msgs.msg import Imu, NavSatFix

from meta_repo_ros.core.time import set_stamp
from meta_repo_ros.ros import qos
from meta_repo_ros.ros.observer import Observer

PERIOD_NS = 5_000_000
START_NS = 1_700_000_000_000_000_000


@pytest.fixture
def node() -> Iterator[Node]:
    context = Context()
    rclpy.init(context=context)
    made = Node('source', namespace='/uav1', context=context, use_global_arguments=False)
    yield made
    made.destroy_node()
    context.try_shutdown()


def odometry(stamp: int, east: float) -> Odometry:
    message = Odometry()
    set_stamp(message.header.stamp, stamp)
    message.pose.pose.position.x = east
    message.pose.covariance = [4.0 if i % 7 == 0 else 0.0 for i in range(36)]
    return message


def test_rates_latency_losses_and_error_are_seen(node: Node) -> None:
    imu = node.create_publisher(Imu, 'imu/data_raw', qos.profile('STREAM'))
    estimate = node.create_publisher(Odometry, 'odometry', qos.profile('STREAM'))
    truth = node.create_publisher(Odometry, 'ground_truth/odometry', qos.profile('STATE'))
    latched = [
        node.create_publisher(NavSatFix, f'{name}/origin', qos.profile('LATCHED'))
        for name in ('odometry', 'ground_truth')
    ]
    for publisher in latched:
        publisher.publish(NavSatFix(latitude=47.0, longitude=8.0, altitude=400.0))
    with Observer('/uav1') as observer:
        deadline = time.monotonic() + 20
        count = 0
        while time.monotonic() < deadline:
            stamp = START_NS + count * PERIOD_NS
            sample = Imu()
            set_stamp(sample.header.stamp, stamp)
            imu.publish(sample)
            truth.publish(odometry(stamp, 10.0))
            estimate.publish(odometry(stamp, 13.0))
            count += 1
            found = observer.snapshot()
            placed = found.errors is not None and found.errors.position is not None
            if placed and found.latency is not None and count > 50:
                break
        else:
            pytest.fail(f'no errors or no latency within 20 s: {observer.snapshot()}')
    states = {state.topic: state for state in found.streams}
    assert states['odometry'].count > 2
    assert states['odometry'].rate > 0
    assert states['odometry'].lost == 0
    assert states['gnss/fix'].age is None
    assert found.errors.position[0] == pytest.approx([3.0, 0.0, 0.0], abs=1e-6)
    assert found.errors.position_sigma[0] == pytest.approx([2.0, 2.0, 2.0])
    # measured in the middleware: the odometry is never received before the sample was published
    assert found.latency[0] > 0
    assert len(observer.latencies) > 0
