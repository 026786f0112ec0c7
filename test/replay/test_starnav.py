# SPDX-License-Identifier: Apache-2.0
"""Star images in a bag: the same bytes each time, attitude and position within tolerances."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from meta_repo_ros.core.earth import icrs_to_enu
from meta_repo_ros.core.parameters import from_mapping
from meta_repo_ros.core.rotations import (
    conjugate,
    exp,
    from_matrix,
    from_message,
    log,
    multiply,
)
from meta_repo_ros.core.time import stamp_ns
from meta_repo_ros.msg import AttitudeUpdate
from meta_repo_ros.replay import offline
from meta_repo_ros.replay.bag_reader import BagReader
from meta_repo_ros.replay.bag_writer import BagWriter
from meta_repo_ros.simulation.scenario import load_scenario
from meta_repo_ros.simulation.simulator import Simulator
from meta_repo_ros.starnav.parameters import StarNavParameters
from meta_repo_ros.starnav.processor import StarNav

if TYPE_CHECKING:
    from pathlib import Path

SCENARIO = """
aircraft: c172
description: straight flight by night with a star camera
duration: 12.0
seed: 3
start_time: 2026-12-01T19:00:00Z
initial: {latitude: 47.26, longitude: 11.34, altitude: 1500.0, height: 900.0, heading: 90.0,
          airspeed: 52.0}
manoeuvres:
  - {at: 0.0, altitude: 1500.0, airspeed: 52.0, course: 90.0}
sensors:
  star_camera: {rate: 50, frame_rate: 1.0, exposure: 0.1, field_of_view: 20.0, width: 512,
                height: 512, render: true}
"""
TAKEN = {topic.name for topic in StarNav.inputs} | {'ground_truth/odometry', 'ground_truth/origin'}


@pytest.fixture(scope='module')
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A flight with its star images."""
    folder = tmp_path_factory.mktemp('stars')
    (folder / 'flight.yaml').write_text(SCENARIO)
    simulator = Simulator(load_scenario(folder / 'flight.yaml'), 1)
    with BagWriter(folder / 'bag') as writer:
        topics = [topic for topic in simulator.topics if topic.name in TAKEN]
        for topic in topics:
            writer.add_topic(topic.name, topic.type, topic.qos)
        while not simulator.finished:
            for message in simulator.step():
                if message.topic in topics:
                    writer.write(message.topic.name, message.stamp, message.message)
    return folder / 'bag'


def starnav(**values: Any) -> StarNav:
    given = {
        'starnav_core.processing.star_detection_algorithm': 'threshold',
        'identification.timeout': 20.0,
        **values,
    }
    return StarNav(from_mapping(StarNavParameters, given))


def test_a_bag_gives_the_same_bytes(bag: Path) -> None:
    first, second = (offline.run(bag, [starnav()]) for _ in range(2))
    assert first.raw_digest == second.raw_digest
    assert first.counts_out['/starnav/stars'] == first.counts_in['/star_camera/image'] >= 10
    assert first.counts_out['/attitude_update'] > 900


class Truth:
    """Attitude of the flight between its truths."""

    def __init__(self, bag: Path) -> None:
        self.stamps: list[int] = []
        self.body: list[Any] = []
        with BagReader(bag) as reader:
            for _, topic, _, message in reader.messages():
                if topic.endswith('ground_truth/odometry'):
                    self.stamps.append(stamp_ns(message.header.stamp))
                    self.body.append(from_message(message.pose.pose.orientation))
                elif topic.endswith('ground_truth/origin'):
                    self.origin = (message.latitude, message.longitude)

    def icrs_to_body(self, stamp: int) -> Any:
        """None outside of the flight."""
        after = bisect_left(self.stamps, stamp)
        if not 0 < after < len(self.stamps):
            return None
        begin, end = self.stamps[after - 1], self.stamps[after]
        before = self.body[after - 1]
        turn = log(multiply(conjugate(before), self.body[after]))
        share = (stamp - begin) / (end - begin)
        body = multiply(before, exp([share * c for c in turn]))
        return multiply(conjugate(body), from_matrix(icrs_to_enu(stamp, *self.origin)))


def test_attitudes_agree_with_the_truth_of_the_flight(bag: Path, tmp_path: Path) -> None:
    offline.run(bag, [starnav()], tmp_path / 'out')
    truth = Truth(bag)
    errors: dict[int, list[Any]] = {
        AttitudeUpdate.METHOD_IMAGE: [],
        AttitudeUpdate.METHOD_FILTERED: [],
    }
    with BagReader(tmp_path / 'out') as reader:
        for _, topic, _, message in reader.messages():
            if topic == '/attitude_update':
                expected = truth.icrs_to_body(stamp_ns(message.header.stamp))
                if expected is not None:
                    found = from_message(message.orientation)
                    errors[message.method].append(log(multiply(expected, conjugate(found))))
    images, filtered = (np.degrees(errors[method]) for method in errors)
    assert len(images) >= 10
    assert len(filtered) >= 900
    # 512 pixels over 20 deg: 140 arcsec a pixel
    assert np.sqrt(np.mean(images**2)) < 0.01
    # an industrial gyroscope
    assert np.sqrt(np.mean(filtered[200:] ** 2)) < 0.02
