# SPDX-License-Identifier: Apache-2.0
"""Images by reference inside a process, and whole between processes."""

from __future__ import annotations

import array
import subprocess
import sys
import textwrap
from typing import Any

import pytest
from node_workers import IMAGE, ORDER, Camera, Viewer
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image
from std_msgs.msg import String

from meta_repo_ros.environment import process_environment
from meta_repo_ros.ros import qos
from meta_repo_ros.ros.host import ProcessorNode

_OUTSIDER = """
    import sys
    import rclpy
    from rclpy.node import Node
    from sensor_msgs.msg import Image
    from meta_repo_ros.ros import qos
    from meta_repo_ros.ros.memory import keep_large_blocks
    keep_large_blocks()
    rclpy.init()
    node = Node('outsider')
    publisher = node.create_publisher(Image, 'camera/image', qos.profile('BULK'))
    size = int(sys.argv[1])
    image = Image(height=1, width=size, step=size)
    image.header.frame_id = 'outside'
    image.data.frombytes(bytes(range(256)) * (size // 256))
    for _line in sys.stdin:
        publisher.publish(image)
    rclpy.shutdown()
"""


def _node(graph: Any, processor: Any) -> ProcessorNode:
    node: ProcessorNode = graph.add(ProcessorNode(processor))
    node.trigger_configure()
    node.trigger_activate()
    return node


@pytest.fixture
def order(graph: Any) -> Any:
    """``order(camera, text)``: have the camera publish an image with that frame."""
    publishers: list[Any] = []

    def give(camera: ProcessorNode, text: str) -> None:
        if not publishers:
            publishers.append(graph.publisher(String, ORDER.name, ORDER.qos))
        before = camera.statistics.received
        publishers[0].publish(String(data=text))
        graph.spin_until(lambda: camera.statistics.received == before + 1, 'order taken')

    return give


def test_nodes_of_a_process_share_the_object(graph: Any, order: Any) -> None:
    first, second, camera = (_node(graph, p) for p in (Viewer, _Second, Camera))
    sent = []
    for number in range(3):
        order(camera, str(number))
        sent.append(camera.processor.image)
        graph.spin_until(lambda: len(second.processor.images) == len(sent), 'image')
    assert [id(image) for image in first.processor.images] == [id(image) for image in sent]
    assert [id(image) for image in second.processor.images] == [id(image) for image in sent]
    assert first._own_subscriptions[0]._dds is None, 'nothing is decoded once more'
    assert camera._own_publishers[0].get_subscription_count() == 2
    assert first._own_subscriptions[0].get_publisher_count() == 1
    assert first.statistics.gaps == 0


class _Second(Viewer):
    name = 'second'


def test_an_outsider_gets_the_image_over_dds_and_nobody_gets_it_twice(
    graph: Any, order: Any
) -> None:
    viewer, camera = _node(graph, Viewer), _node(graph, Camera)
    outside = graph.collect(Image, IMAGE.name, IMAGE.qos)
    publisher = camera._own_publishers[0]
    graph.spin_until(lambda: publisher.get_subscription_count() == 2, 'outsider matched')
    order(camera, 'a')
    graph.spin_until(lambda: outside and viewer.processor.images, 'image inside and outside')
    assert viewer.processor.images == [camera.processor.image]
    assert outside[0] is not camera.processor.image

    # somebody outside publishes, too: the viewer listens, and ours come by reference alone
    other = graph.node.create_publisher(Image, IMAGE.name, qos.profile(IMAGE.qos))
    graph.spin_until(lambda: viewer._own_subscriptions[0]._dds is not None, 'viewer listens')
    graph.spin_until(lambda: other.get_subscription_count() == 2, 'viewer matched')
    order(camera, 'b')
    graph.spin_until(lambda: len(outside) == 2, 'image outside')
    other.publish(Image())
    graph.spin_until(lambda: len(outside) == 3, 'image from outside to outside')
    graph.spin_until(lambda: len(viewer.processor.images) == 3, 'both inside')
    assert viewer.processor.frames == ['a', 'b', '']

    graph.node.destroy_publisher(other)
    graph.spin_until(lambda: viewer._own_subscriptions[0]._dds is None, 'viewer needs no DDS')


def test_a_viewer_listens_outside_while_no_camera_is_inside(graph: Any, order: Any) -> None:
    viewer = _node(graph, Viewer)
    other = graph.publisher(Image, IMAGE.name, IMAGE.qos)
    other.publish(Image())
    graph.spin_until(lambda: viewer.processor.frames == [''], 'image from outside')
    graph.node.destroy_publisher(other)
    camera = _node(graph, Camera)
    order(camera, 'a')
    graph.spin_until(lambda: viewer.processor.frames == ['', 'a'], 'image from inside')
    graph.spin_until(lambda: viewer._own_subscriptions[0]._dds is None, 'viewer needs no DDS')
    camera.trigger_shutdown()
    assert viewer._own_subscriptions[0]._dds is not None
    graph.remove(camera)
    last = graph.publisher(Image, IMAGE.name, IMAGE.qos)
    last.publish(Image())
    graph.spin_until(lambda: viewer.processor.frames == ['', 'a', ''], 'image from outside again')


def test_the_newest_waiting_image_is_taken_and_ends_with_the_node(graph: Any) -> None:
    viewer, camera = _node(graph, Viewer), _node(graph, Camera)
    publisher = camera._own_publishers[0]
    images = [Image() for _ in range(3)]
    for image in images:
        publisher.publish(image)
    graph.spin_until(lambda: viewer.processor.images, 'image')
    graph.spin_for(0.05)
    assert viewer.processor.images == images[2:]
    # numbered as over DDS: the two are counted once there was one before
    for image in images:
        publisher.publish(image)
    graph.spin_until(lambda: viewer.statistics.gaps == 2, 'gaps counted')
    publisher.publish(Image())
    processor = viewer.processor
    viewer.trigger_shutdown()
    graph.remove(viewer)
    publisher.publish(Image())
    graph.spin_for(0.05)
    assert len(processor.images) == 2


def test_remapped_topics_meet_by_their_resolved_names(graph: Any) -> None:
    remap = ['--ros-args', '-r', 'camera/image:=/left/image']
    camera = graph.add(ProcessorNode(Camera, cli_args=remap))
    near = graph.add(ProcessorNode(Viewer, cli_args=remap))
    far = graph.add(ProcessorNode(_Second))
    for node in (camera, near, far):
        node.trigger_configure()
        node.trigger_activate()
    image = Image()
    camera._own_publishers[0].publish(image)
    graph.spin_until(lambda: near.processor.images == [image], 'image')
    assert far.processor.images == []


def test_an_image_of_4096_by_4096_arrives_from_another_process(graph: Any) -> None:
    viewer = graph.add(
        ProcessorNode(Viewer, parameter_overrides=[Parameter('use_sim_time', value=False)])
    )
    viewer.trigger_configure()
    viewer.trigger_activate()
    size = 4096 * 4096 * 2
    program = subprocess.Popen(
        [sys.executable, '-c', textwrap.dedent(_OUTSIDER), str(size)],
        stdin=subprocess.PIPE,
        text=True,
        env=process_environment(images=True),
    )
    assert program.stdin is not None
    try:
        subscription = viewer._own_subscriptions[0]
        graph.spin_until(subscription.get_publisher_count, 'publisher', 30.0)
        for _ in range(20):  # best effort: one may be lost, not all
            program.stdin.write('\n')
            program.stdin.flush()
            graph.spin_for(0.25)
            if viewer.processor.images:
                break
        (image, *_) = viewer.processor.images
        assert image.header.frame_id == 'outside'
        assert len(image.data) == size
        assert image.data[-512:] == array.array('B', bytes(range(256)) * 2)
    finally:
        program.stdin.close()
        program.wait(20.0)
