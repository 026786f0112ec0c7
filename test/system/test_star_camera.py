# SPDX-License-Identifier: Apache-2.0
"""A simulated night flight with a star camera, as a user starts it."""

from __future__ import annotations

import signal
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rclpy
from rclpy.context import Context
from rclpy.node import Node

from meta_repo_ros.core.time import stamp_ns
from meta_repo_ros.msg import AttitudeUpdate, SkyExposure
from meta_repo_ros.ros import qos
from meta_repo_ros.ros.executor import DataExecutor

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.usefixtures('own_domain')
SCENARIO = """
aircraft: c172
description: straight flight by night in still air
duration: 120.0
seed: 7
start_time: 2026-12-01T19:00:00Z
initial: {latitude: 47.26, longitude: 11.34, altitude: 1800.0, height: 1200.0, heading: 90.0,
          airspeed: 52.0}
manoeuvres:
  - {at: 0.0, altitude: 1800.0, airspeed: 52.0, course: 90.0}
sensors:
  star_camera: {width: 1024, height: 1024, field_of_view: 20.0, exposure: 0.1, sky: {moon: false}}
"""
PARAMETERS = """
/**/starnav:
  ros__parameters:
    starnav_core: {processing: {star_detection_algorithm: threshold}}
"""
IMAGES = 3
LIMIT = np.radians(0.1)


def test_images_of_the_simulated_sky_give_the_attitude(
    start: Callable[..., Any], tmp_path: Path
) -> None:
    scenario, parameters = tmp_path / 'night.yaml', tmp_path / 'own.yaml'
    scenario.write_text(SCENARIO)
    parameters.write_text(PARAMETERS)
    options = ('--scenario', scenario, '--params-file', parameters, '--log-dir', tmp_path / 'logs')
    up = (sys.executable, '-u', '-m', 'meta_repo_ros.cli', 'up', '--no-check')
    program = start(*up, *map(str, options))

    truth: dict[int, Any] = {}
    images: dict[int, Any] = {}
    filtered: list[int] = []

    def on_exposure(message: SkyExposure) -> None:
        knots = np.asarray(message.knot_orientation).reshape(-1, 4)
        nearest = int(np.argmin(np.abs(np.asarray(message.knot_time))))
        truth[stamp_ns(message.header.stamp)] = knots[nearest]

    def on_attitude(message: AttitudeUpdate) -> None:
        if message.method == AttitudeUpdate.METHOD_IMAGE:
            images[stamp_ns(message.header.stamp)] = message
        elif message.method == AttitudeUpdate.METHOD_FILTERED:
            filtered.append(stamp_ns(message.header.stamp))

    context = Context()
    rclpy.init(context=context)
    node = Node('observer', context=context)
    executor = DataExecutor(context=context)
    executor.add_node(node)
    profile = qos.profile('STATE')
    node.create_subscription(SkyExposure, 'star_camera/exposure', on_exposure, profile)
    node.create_subscription(AttitudeUpdate, 'attitude_update', on_attitude, profile)
    end = time.monotonic() + 80.0
    try:
        while len(images.keys() & truth.keys()) < IMAGES or len(filtered) < 50:
            assert time.monotonic() < end, (len(images), len(truth), len(filtered), program.output)
            executor.spin_once(timeout_sec=0.1)
        # whole images, handed over inside the process: other processes see no subscriber
        assert node.count_publishers('star_camera/image') == 1
        assert node.count_subscribers('star_camera/image') == 0
    finally:
        node.destroy_node()
        executor.shutdown()
        rclpy.shutdown(context=context)
    for stamp in images.keys() & truth.keys():
        q = images[stamp].orientation
        cosine = abs(np.dot((q.x, q.y, q.z, q.w), truth[stamp]))
        assert 2 * np.arccos(min(cosine, 1.0)) < LIMIT
        assert images[stamp].stars_matched >= 4
    assert np.all(np.diff(filtered) > 0)
    assert program.stop(signal.SIGINT, 10.0) == 0
    assert 'Traceback' not in program.output
    assert 'is killed' not in program.output
