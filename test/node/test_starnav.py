# SPDX-License-Identifier: Apache-2.0
"""The node starnav live: an image over DDS gives an attitude, and the gyroscope carries it on."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from rclpy.action import ActionClient
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, Image, Imu

from meta_repo_ros.action import Calibrate
from meta_repo_ros.core.rotations import angle, from_message, normalize, to_matrix
from meta_repo_ros.core.time import set_stamp, stamp_ns
from meta_repo_ros.msg import AttitudeUpdate, IdentifiedStars
from meta_repo_ros.ros.host import ProcessorNode
from meta_repo_ros.starnav.astrometry import Observer, apparent
from meta_repo_ros.starnav.camera import camera_info_fields, from_field_of_view
from meta_repo_ros.starnav.catalogue import load
from meta_repo_ros.starnav.processor import ATTITUDE, CALIBRATE, IMAGE, IMU, INFO, STARS, StarNav

S = 1_000_000_000
SIZE = 512
CAMERA = from_field_of_view(SIZE, SIZE, 20.0)
MOUNT = to_matrix((math.sqrt(0.5), 0.0, 0.0, math.sqrt(0.5)))
ATTITUDE_TRUE = normalize((0.2, 0.7, -0.3, 0.5))
CATALOGUE = load(6.0)


def sky(stamp: int) -> Image:
    """What a camera that does not turn sees."""
    seen = apparent(CATALOGUE, None, Observer(stamp)) @ (MOUNT.T @ to_matrix(ATTITUDE_TRUE)).T
    near = seen[:, 2] > 0.95
    pixels = np.random.default_rng(1).normal(300.0, 10.0, (SIZE, SIZE))
    for (u, v), hp in zip(CAMERA.project(seen[near]), CATALOGUE.hp[near], strict=True):
        if 8 < u < SIZE - 9 and 8 < v < SIZE - 9:
            i, j = round(u), round(v)
            y, x = np.mgrid[j - 7 : j + 8, i - 7 : i + 8]
            spot = np.exp(-((x - u) ** 2 + (y - v) ** 2) / (2.0 * 1.2**2))
            pixels[j - 7 : j + 8, i - 7 : i + 8] += 2e6 * 10.0 ** (-0.4 * hp) * spot
    message = Image(height=SIZE, width=SIZE, encoding='mono16', step=2 * SIZE)
    set_stamp(message.header.stamp, stamp)
    message.header.frame_id = 'star_camera_optical_frame'
    message.data.frombytes(np.clip(pixels, 0.0, 65535.0).astype(np.uint16).tobytes())
    return message


def inertial(stamp: int) -> Imu:
    """A gyroscope at rest."""
    message = Imu()
    set_stamp(message.header.stamp, stamp)
    message.linear_acceleration_covariance[0] = -1.0
    return message


@pytest.fixture
def node(graph: Any) -> ProcessorNode:
    values = {
        'starnav_core.processing.star_detection_algorithm': 'threshold',
        'filter.gyro.grade': 'tactical',
        'identification.timeout': 20.0,
    }
    overrides = [Parameter(name, value=value) for name, value in values.items()]
    node: ProcessorNode = graph.add(ProcessorNode(StarNav, parameter_overrides=overrides))
    node.trigger_configure()
    node.trigger_activate()
    assert node.state_label == 'active'
    return node


def test_an_image_gives_an_attitude_that_the_gyroscope_carries_on(
    graph: Any, node: ProcessorNode
) -> None:
    attitudes = graph.collect(AttitudeUpdate, ATTITUDE, 'STATE')
    stars = graph.collect(IdentifiedStars, STARS, 'STATE')
    imu = graph.publisher(Imu, IMU, 'STREAM')
    image = graph.publisher(Image, IMAGE, 'BULK')
    info = graph.publisher(CameraInfo, INFO, 'BULK')
    outputs = [p for p in node._own_publishers if p.topic_name.endswith((ATTITUDE, STARS))]
    assert len(outputs) == 2
    graph.spin_until(lambda: all(p.get_subscription_count() for p in outputs), 'outputs matched')
    begin = graph.node.get_clock().now().nanoseconds - S // 2
    processor = node.processor
    for k in range(60):
        imu.publish(inertial(begin + k * S // 200))
    graph.spin_until(lambda: processor.tracker.time == begin + 59 * S // 200, 'gyroscope taken')
    message = CameraInfo()
    set_stamp(message.header.stamp, begin)
    for name, value in camera_info_fields(CAMERA).items():
        setattr(message, name, value)
    info.publish(message)
    graph.spin_until(lambda: processor.book.received, 'camera_info taken')
    image.publish(sky(begin + S // 5))
    graph.spin_until(lambda: attitudes, 'attitude by the image', 30.0)
    by_image = attitudes[0]
    assert by_image.method == AttitudeUpdate.METHOD_IMAGE
    assert stamp_ns(by_image.header.stamp) == begin + S // 5
    assert angle(from_message(by_image.orientation), ATTITUDE_TRUE) < 1e-4
    graph.spin_until(lambda: stars, 'stars')
    assert stars[0].solved
    assert len(stars[0].hip) >= 15

    for k in range(60, 80):
        imu.publish(inertial(begin + k * S // 200))
    graph.spin_until(lambda: len(attitudes) >= 11, 'filtered attitudes')
    filtered = attitudes[1:]
    assert {m.method for m in filtered} == {AttitudeUpdate.METHOD_FILTERED}
    steps = np.diff([stamp_ns(m.header.stamp) for m in filtered])
    assert set(steps.tolist()) == {S // 100}
    assert all(angle(from_message(m.orientation), ATTITUDE_TRUE) < 1e-4 for m in filtered)


def test_the_action_is_there_and_says_why_it_refuses(graph: Any, node: ProcessorNode) -> None:
    del node
    client = ActionClient(graph.node, Calibrate, CALIBRATE)
    graph.spin_until(client.server_is_ready, 'action server')
    goal = Calibrate.Goal(calibration_type='quick', duration=5.0, auto_detect_stars=True)
    future = client.send_goal_async(goal)
    graph.spin_until(future.done, 'answer')
    assert not future.result().accepted, 'there is no directory to write to'
    client.destroy()
