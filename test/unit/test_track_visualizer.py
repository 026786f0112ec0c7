# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from typing import Any

import numpy as np
import pymap3d
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nav_msgs.msg import Odometry
from sensor_msgs.msg import NavSatFix

from meta_repo_ros.core.time import set_stamp
from meta_repo_ros.visualization.processor import TrackVisualizer, TrackVisualizerParameters
from meta_repo_ros.visualization.track import CHI2_2_95, Track, ellipse, interpolate

SECOND = 1_000_000_000
Place = tuple[float, float, float]
ORIGIN = (52.0, 8.0, 100.0)
FAR_ORIGIN = (52.001, 8.002, 95.0)


def fix(place: Place = ORIGIN, stamp: int = 0, status: int = 0) -> Any:
    message = NavSatFix(latitude=place[0], longitude=place[1], altitude=place[2])
    message.status.status = status
    set_stamp(message.header.stamp, stamp)
    return message


def odometry(position: Place, stamp: int, covariance: tuple[float, float] = (4.0, 1.0)) -> Any:
    message = Odometry()
    message.header.frame_id = 'odom'
    set_stamp(message.header.stamp, stamp)
    p = message.pose.pose.position
    p.x, p.y, p.z = map(float, position)
    message.pose.covariance[0], message.pose.covariance[7] = covariance
    return message


def visualizer() -> TrackVisualizer:
    processor = TrackVisualizer(TrackVisualizerParameters())
    processor.on_message('odometry/origin', fix(), 0)
    processor.on_message('ground_truth/origin', fix(FAR_ORIGIN), 0)
    return processor


def outputs(processor: TrackVisualizer) -> dict[str, Any]:
    return {output.topic: output.message for output in processor.on_timer(0)}


def places(path: Any) -> Any:
    return np.array([[p.pose.position.x, p.pose.position.y, p.pose.position.z] for p in path.poses])


def truth_place(position: Place) -> Any:
    """What the truth at ``position`` about its own origin is about the estimate's origin."""
    fixed = pymap3d.enu2ecef(*position, *FAR_ORIGIN)
    return np.array(pymap3d.ecef2enu(*fixed, *ORIGIN))


def test_all_tracks_are_drawn_about_the_origin_of_the_estimate() -> None:
    processor = visualizer()
    processor.on_message('odometry', odometry((1, 2, 3), SECOND), 0)
    processor.on_message('ground_truth/odometry', odometry((10, 20, 30), SECOND), 0)
    processor.on_message('gnss/fix', fix(FAR_ORIGIN, SECOND), 0)
    drawn = outputs(processor)
    assert places(drawn['track/estimate']) == pytest.approx(np.array([[1, 2, 3]]), abs=1e-6)
    assert places(drawn['track/truth'])[0] == pytest.approx(truth_place((10, 20, 30)), abs=1e-6)
    assert places(drawn['track/gnss'])[0] == pytest.approx(truth_place((0, 0, 0)), abs=1e-6)
    assert {drawn[name].header.frame_id for name in drawn if name != 'track/markers'} == {'odom'}
    assert drawn['track/gnss'].poses[0].header.stamp.sec == 1


def test_nothing_is_drawn_before_the_origin_and_nothing_twice() -> None:
    processor = TrackVisualizer(TrackVisualizerParameters())
    processor.on_message('gnss/fix', fix(stamp=SECOND), 0)
    assert outputs(processor) == {}
    assert processor.diagnostics(0)[0].message == 'waits for odometry/origin'
    processor.on_message('odometry/origin', fix(), 0)
    assert list(outputs(processor)) == ['track/gnss']
    assert outputs(processor) == {}


def test_tracks_stay_where_they_are_when_the_origin_moves() -> None:
    processor = visualizer()
    processor.on_message('odometry', odometry((1, 2, 3), SECOND), 0)
    before = places(outputs(processor)['track/estimate'])[0]
    processor.on_message('odometry/origin', fix(FAR_ORIGIN), 0)
    after = places(outputs(processor)['track/estimate'])[0]
    fixed = pymap3d.enu2ecef(*before, *ORIGIN)
    assert after == pytest.approx(np.array(pymap3d.ecef2enu(*fixed, *FAR_ORIGIN)), abs=1e-6)


def test_the_markers_show_the_ellipse_and_the_error_against_truth_of_the_same_time() -> None:
    processor = visualizer()
    for second, x in ((1, 0.0), (3, 20.0)):
        processor.on_message('ground_truth/odometry', odometry((x, 0, 0), second * SECOND), 0)
    east, north, up = truth_place((10.0, 0.0, 0.0))  # half way
    processor.on_message('odometry', odometry((east + 3, north + 4, up), 2 * SECOND), 0)
    markers = {marker.ns: marker for marker in outputs(processor)['track/markers'].markers}
    assert markers['error'].text.startswith('5.00 m off')
    assert markers['covariance'].scale.x == pytest.approx(4 * math.sqrt(CHI2_2_95))
    assert markers['covariance'].scale.y == pytest.approx(2 * math.sqrt(CHI2_2_95))
    assert processor.diagnostics(0)[0].values['horizontal_error_m'] == pytest.approx(5.0, abs=1e-3)


def test_positions_that_are_no_places_are_refused_and_reported() -> None:
    processor = visualizer()
    processor.on_message('odometry', odometry((math.nan, 0, 0), SECOND), 0)
    processor.on_message('gnss/fix', fix((math.nan, 0, 0), SECOND), 0)
    processor.on_message('gnss/fix', fix((95.0, 0, 0), SECOND), 0)
    processor.on_message('odometry/origin', fix((0, math.inf, 0)), 0)
    processor.on_message('gnss/fix', fix(stamp=SECOND, status=-1), 0)  # no fix: not an error
    assert outputs(processor) == {}
    row = processor.diagnostics(0)[0]
    assert (row.level, row.values['refused']) == (1, 5)
    processor.on_message('odometry', odometry((0, 0, 0), SECOND, (math.nan, 1.0)), 0)
    assert list(outputs(processor)) == ['track/estimate']


def test_a_jump_back_of_the_clock_forgets_points_but_not_origins() -> None:
    processor = visualizer()
    processor.on_message('odometry', odometry((1, 2, 3), 100 * SECOND), 0)
    processor.reset(0)
    assert outputs(processor) == {}
    processor.on_message('odometry', odometry((4, 5, 6), SECOND), 0)
    assert places(outputs(processor)['track/estimate']) == pytest.approx(np.array([[4, 5, 6]]))


@given(st.integers(2, 50), st.lists(st.integers(0, 400), min_size=1, max_size=300))
def test_a_track_is_bounded_ordered_and_keeps_its_first_point(size: int, steps: list[int]) -> None:
    track, stamps = Track(100, size), np.cumsum(steps).tolist()
    for stamp in stamps:
        track.add(stamp, (float(stamp), 0.0, 0.0))
    assert len(track) <= size
    assert track.stamps[0] == stamps[0]
    assert all(b - a >= 100 for a, b in zip(track.stamps, track.stamps[1:], strict=False))
    assert [point[0] for point in track.points] == track.stamps


@given(st.floats(-1.5, 1.5), st.floats(0.1, 10.0), st.floats(1.01, 5.0))
def test_the_ellipse_has_the_axes_of_the_covariance(
    direction: float, minor: float, ratio: float
) -> None:
    c, s = math.cos(direction), math.sin(direction)
    rotation = np.array([[c, -s], [s, c]])
    covariance = rotation @ np.diag([(ratio * minor) ** 2, minor**2]) @ rotation.T
    found = ellipse(covariance)
    assert found.major == pytest.approx(ratio * minor * math.sqrt(CHI2_2_95), rel=1e-6)
    assert found.minor == pytest.approx(minor * math.sqrt(CHI2_2_95), rel=1e-6)
    assert math.sin(found.direction - direction) == pytest.approx(0.0, abs=1e-6)


def test_the_ellipse_holds_95_percent_of_the_draws() -> None:
    covariance = np.array([[4.0, 1.5], [1.5, 2.0]])
    draws = np.random.default_rng(1).multivariate_normal([0, 0], covariance, 20000)
    area = ellipse(covariance)
    c, s = math.cos(area.direction), math.sin(area.direction)
    across = draws @ np.array([-s, c])
    along = draws @ np.array([c, s])
    inside = (along / area.major) ** 2 + (across / area.minor) ** 2 <= 1.0
    assert inside.mean() == pytest.approx(0.95, abs=0.005)


def test_no_ellipse_of_what_is_no_covariance() -> None:
    for bad in (np.diag([1.0, -1.0]), np.diag([math.inf, 1.0])):
        with pytest.raises(ValueError, match='covariance'):
            ellipse(bad)


def test_interpolation_does_not_reach_beyond_the_ends() -> None:
    points = [(0.0, 0.0, 0.0), (10.0, 0.0, 4.0)]
    assert interpolate([0, 10], points, 5) == (5.0, 0.0, 2.0)
    assert interpolate([0, 10], points, 10) == points[1]
    assert interpolate([0, 10], points, 11) is None
    assert interpolate([], [], 0) is None
