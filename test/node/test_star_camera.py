# SPDX-License-Identifier: Apache-2.0
"""The node star_camera live: an exposure over DDS gives its image and camera_info."""

from __future__ import annotations

from typing import Any

import numpy as np
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, Image

from meta_repo_ros.core.time import stamp_ns
from meta_repo_ros.msg import SkyExposure
from meta_repo_ros.ros.host import ProcessorNode
from meta_repo_ros.simulation.sky.exposure import Exposure
from meta_repo_ros.simulation.sky.messages import exposure_message
from meta_repo_ros.simulation.sky.renderer import SkyRenderer
from meta_repo_ros.simulation.sky_camera import SkyCamera
from meta_repo_ros.starnav.camera import from_camera_info

NIGHT = 1_796_151_600_000_000_000


def test_an_exposure_gives_its_image(graph: Any) -> None:
    values = {'width': 320, 'height': 200, 'electronics.bits': 12, 'seed': 3}
    node = graph.add(
        ProcessorNode(
            SkyCamera, parameter_overrides=[Parameter(k, value=v) for k, v in values.items()]
        )
    )
    node.trigger_configure()
    node.trigger_activate()
    assert node.state_label == 'active'
    images = graph.collect(Image, 'star_camera/image', 'BULK')
    infos = graph.collect(CameraInfo, 'star_camera/camera_info', 'BULK')
    source = graph.publisher(SkyExposure, 'star_camera/exposure', 'STATE')
    graph.spin_until(
        lambda: all(p.get_subscription_count() for p in node._own_publishers
                    if 'star_camera/' in p.topic_name),
        'outputs matched',
    )  # fmt: skip
    seen = Exposure(NIGHT, 12, latitude=47.26, longitude=11.34, altitude=1e4, pressure=26500.0)
    source.publish(exposure_message(seen))
    graph.spin_until(lambda: images and infos, 'image', 30.0)
    (image,), (info,) = images, infos
    assert stamp_ns(image.header.stamp) == stamp_ns(info.header.stamp) == NIGHT
    camera = from_camera_info(info, (image.width, image.height))
    assert (camera.width, camera.height) == (320, 200)
    # the bytes are those that the renderer makes without a node
    expected = SkyRenderer(node.processor.parameters, seed=3).render(seen)
    assert np.array_equal(np.frombuffer(image.data, np.uint16).reshape(200, 320), expected)
    assert expected.max() > 500
