# SPDX-License-Identifier: Apache-2.0
"""The simulated star camera: the sensor in a scenario, and the node that renders its exposures."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from meta_repo_ros.core import rotations
from meta_repo_ros.core.processor import Level, Output, Task
from meta_repo_ros.core.time import stamp_ns
from meta_repo_ros.simulation.library import find_scenario
from meta_repo_ros.simulation.simulator import Message, Simulator
from meta_repo_ros.simulation.sky.exposure import Exposure
from meta_repo_ros.simulation.sky.messages import (
    camera_info_message,
    exposure_from,
    exposure_message,
    image_buffer,
    image_message,
)
from meta_repo_ros.simulation.sky_camera import SkyCamera, SkyCameraParameters
from meta_repo_ros.simulation.yaml_file import ScenarioError
from meta_repo_ros.starnav.camera import from_camera_info, from_field_of_view

FLIGHT = """
aircraft: c172
duration: 3.5
seed: 4
start_time: 2026-12-01T19:00:00Z
initial: {latitude: 47.26, longitude: 11.34, altitude: 1800.0, heading: 90.0, airspeed: 52.0}
manoeuvres:
  - {at: 0.0, course: 180.0, altitude: 1800.0, airspeed: 52.0}
sensors:
  star_attitude: {rate: 10, sigma: [0.0, 0.0, 0.0]}
  star_camera: {width: 96, height: 64, frame_rate: 2, exposure: 0.1, seed: 8, SENSOR}
faults:
  - {sensor: star_camera, type: outage, start: 1.4, duration: 0.3}
  - {sensor: star_camera, type: blackout, start: 2.5}
"""


@pytest.fixture
def flight(tmp_path: Path) -> Any:
    """Messages of the camera and of the true attitude, by topic, of a short flight."""

    def fly(sensor: str = 'render: true') -> tuple[Path, dict[str, list[Message]]]:
        path = tmp_path / 'flight.yaml'
        path.write_text(FLIGHT.replace('SENSOR', sensor))
        found: dict[str, list[Message]] = {}
        for message in Simulator(find_scenario(str(path))).run():
            found.setdefault(message.topic.name, []).append(message)
        return path, found

    return fly


def test_an_exposure_tells_how_the_camera_turned(flight: Any) -> None:
    _, found = flight('render: false')
    assert 'star_camera/image' not in found
    exposures = [exposure_from(m.message) for m in found['star_camera/exposure']]
    start = exposures[0].stamp - 50_000_000
    # one frame is lost to the outage, and is counted all the same
    assert [e.sequence for e in exposures] == [0, 1, 2, 4, 5, 6]
    assert [e.stamp - start for e in exposures] == [
        50_000_000 + n * 500_000_000 for n in (0, 1, 2, 4, 5, 6)
    ]
    truth = {stamp_ns(m.message.header.stamp): m.message for m in found['attitude_update']}
    for message, seen in zip(found['star_camera/exposure'], exposures, strict=True):
        # given at the end of the exposure
        assert 50_000_000 <= message.stamp - seen.stamp <= 70_000_000
        assert seen.knot_time[0] <= -0.05
        assert seen.knot_time[-1] >= 0.05
        assert (seen.latitude, seen.longitude) == pytest.approx((47.26, 11.34), abs=0.01)
        assert 70e3 < seen.pressure < 90e3
        assert np.linalg.norm(seen.velocity) == pytest.approx(52.0, abs=5.0)
        for stamp, attitude in truth.items():
            time = (stamp - seen.stamp) * 1e-9
            if seen.knot_time[0] <= time <= seen.knot_time[-1]:
                q = rotations.from_message(attitude.orientation)
                assert rotations.angle(seen.orientation(time), q) < 1e-5
    assert sum(len(e.knot_time) for e in exposures) > 30


def test_the_node_makes_the_images_of_the_sensor(flight: Any) -> None:
    path, found = flight()
    node = SkyCamera(SkyCameraParameters(scenario=str(path)))
    images = found['star_camera/image']
    infos = found['star_camera/camera_info']
    assert len(images) == len(infos) == len(found['star_camera/exposure']) == 6
    for message, image, info in zip(found['star_camera/exposure'], images, infos, strict=True):
        (task,) = node.on_message('star_camera/exposure', message.message, message.stamp)
        assert isinstance(task, Task)
        outputs = node.on_result(task.name, task.run(), message.stamp)
        assert [type(o) for o in outputs] == [Output, Output]
        made, told = (o.message for o in outputs)
        assert made == image.message
        assert told == info.message
        assert made.encoding == 'mono16'
        assert made.header.frame_id == 'star_camera_optical_frame'
        camera = from_camera_info(told, (made.width, made.height))
        assert math.degrees(camera.field_of_view) == pytest.approx(20.0)
    pixels = np.frombuffer(images[0].message.data, np.uint16)
    dark = np.frombuffer(images[-1].message.data, np.uint16)
    assert pixels.max() > dark.max() + 100
    (row,) = node.diagnostics(0)
    assert (row.level, row.values['frames'], row.values['simulated']) == (Level.OK, 6, True)
    assert row.values['exposures_not_received'] == 1


def test_bad_exposures_are_refused_and_told(flight: Any) -> None:
    _, found = flight('render: false')
    node = SkyCamera(SkyCameraParameters(width=64, height=64))
    good = found['star_camera/exposure'][0].message
    for change, text in (
        ({'knot_time': []}, '0 knot times'),
        ({'knot_orientation': [1.0, 0.0]}, 'four belong to each time'),
        ({'knot_time': list(good.knot_time)[::-1]}, 'do not ascend'),
        ({'knot_orientation': [0.0] * len(good.knot_orientation)}, 'unit quaternion'),
        ({'exposure': 0.0}, 'cannot be'),
        ({'gain': math.nan}, 'cannot be'),
    ):
        names = [f.lstrip('_') for f in good.__slots__ if f != '_check_fields']
        fields = {name: getattr(good, name) for name in names}
        message = SimpleNamespace(**{**fields, **change})
        assert node.on_message('star_camera/exposure', message, 0) == ()
        (row,) = node.diagnostics(0)
        assert row.level is Level.WARN
        assert text in row.message
    assert node.on_result('render', ValueError('no memory'), 0) == ()
    assert 'no memory' in node.diagnostics(0)[0].message
    assert node.diagnostics(0)[0].level is Level.OK


def test_parameters_of_a_running_node_change_from_the_next_frame_on(flight: Any) -> None:
    _, found = flight('render: false')
    message = found['star_camera/exposure'][0].message
    node = SkyCamera(SkyCameraParameters(width=64, height=48))
    (before,) = node.on_message('star_camera/exposure', message, 0)
    bits = dataclasses.replace(node.parameters.electronics, bits=8)
    node.set_parameters(dataclasses.replace(node.parameters, electronics=bits))
    (after,) = node.on_message('star_camera/exposure', message, 0)
    encodings = [node.on_result('render', task.run(), 0)[0].message.encoding
                 for task in (before, after)]  # fmt: skip
    assert encodings == ['mono16', 'mono8']


def test_more_frames_than_notes_of_the_motion_are_all_given(flight: Any) -> None:
    _, found = flight('rate: 1, render: false')
    # the last note is at 3 s: exposures that ended later are not complete
    sequences = [m.message.sequence for m in found['star_camera/exposure']]
    assert sequences == [0, 1, 2, 3, 4, 5]


def test_a_scenario_without_camera_has_no_images(flight: Any) -> None:
    with pytest.raises(ValueError, match='has no star_camera'):
        SkyCamera(SkyCameraParameters(scenario='demo'))
    with pytest.raises(ScenarioError, match='do not fit'):
        flight('render: true, rate: 50}\n  other: {type: star_camera, exposure: 0.9, frame_rate: 3')


def test_exposure_there_and_back() -> None:
    seen = Exposure(
        10**18, 7, 0.25, 4.0, np.array((-0.1, 0.1)),
        np.array([(1.0, 0.0, 0.0, 0.0), (0.6, 0.8, 0.0, 0.0)]), 10.0, -20.0, 300.0,
        np.array((1.0, 2.0, 3.0)), 9e4, 280.0,
    )  # fmt: skip
    again = exposure_from(exposure_message(seen))
    for item in dataclasses.fields(Exposure):
        np.testing.assert_array_equal(getattr(again, item.name), getattr(seen, item.name))


def test_attitude_between_knots_turns_evenly() -> None:
    rate = np.array((0.3, -0.2, 0.5))
    time = np.array((-0.2, 0.0, 0.3))
    start = rotations.normalize((0.2, -0.5, 0.7, 0.1))
    knots = np.array([rotations.multiply(rotations.exp(-rate * t), start) for t in time])
    knots[1] *= -1.0  # the same attitude
    seen = Exposure(0, knot_time=time, knot_orientation=knots)
    for t in (-0.3, -0.2, -0.05, 0.1, 0.3, 0.35):
        expected = rotations.multiply(rotations.exp(-rate * t), start)
        assert rotations.angle(seen.orientation(t), expected) < 1e-7
    assert seen.orientation(np.zeros((2, 3))).shape == (2, 3, 4)


def test_image_messages_take_the_memory_and_do_not_copy_it() -> None:
    camera = from_field_of_view(30, 20, 10.0)
    memory, view = image_buffer(camera, 12)
    view[3, 4] = 0x1234
    message = image_message(memory, view, 5)
    assert message.data is memory
    assert (message.step, message.height, message.width) == (60, 20, 30)
    assert (message.data[3 * 60 + 8], message.data[3 * 60 + 9]) == (0x34, 0x12)
    assert camera_info_message(camera, 5).width == 30
