# SPDX-License-Identifier: Apache-2.0
"""Errors against truth: analytic answers, and properties that hold for any trajectory."""

from typing import Any

import numpy as np
import pymap3d
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from meta_repo_ros.reporting.evaluation import (
    Origin,
    Trajectory,
    attitude_errors,
    consistency,
    errors,
    nees_band,
    outage_ends,
    relocated,
    sampled,
    statistics,
    trajectory,
)

SECOND = 1_000_000_000
HERE = Origin(47.4, 8.5, 500.0)
angles = st.floats(-3.1, 3.1)


def line(
    count: int = 11,
    *,
    speed: float = 10.0,
    rate: float = 1.0,
    **columns: Any,
) -> Trajectory:
    """Straight east at ``speed`` m/s, turning about up with 0.1 rad/s."""
    stamps = 1_700_000_000 * SECOND + (np.arange(count) * SECOND / rate).astype(np.int64)
    time = np.arange(count) / rate
    position = np.stack([speed * time, np.zeros(count), np.zeros(count)], axis=1)
    orientation = Rotation.from_rotvec(np.outer(0.1 * time, [0, 0, 1])).as_quat()
    return Trajectory(stamps, origin=HERE, position=position, orientation=orientation, **columns)


def test_heading_and_inclination_of_known_rotations() -> None:
    truth = Rotation.from_euler('ZYX', [[30, 10, -20]] * 3, degrees=True)
    tilt = Rotation.from_rotvec(np.deg2rad([[0, 0, 5], [3, 0, 0], [0, -4, 0]]))
    degrees, vectors = attitude_errors((tilt * truth).as_quat(), truth.as_quat())
    np.testing.assert_allclose(degrees, [[5, 5, 0], [3, 0, 3], [4, 0, 4]], atol=1e-9)
    np.testing.assert_allclose(np.rad2deg(vectors), [[0, 0, 5], [3, 0, 0], [0, -4, 0]], atol=1e-9)


@given(angles, angles, angles, angles)
def test_total_error_is_the_angle_between(x: float, y: float, z: float, sign: float) -> None:
    truth = Rotation.from_rotvec([[0.3, -0.2, 1.0]])
    turned = Rotation.from_rotvec([[x, y, z]]) * truth
    quaternion = turned.as_quat() * np.copysign(1, sign)
    degrees, _ = attitude_errors(quaternion, truth.as_quat())
    total, heading, inclination = degrees[0]
    assert total == pytest.approx(np.rad2deg((turned * truth.inv()).magnitude()[0]), abs=1e-6)
    # cos(total/2) = cos(heading/2) cos(inclination/2): the split is complete
    product = np.cos(np.deg2rad(heading) / 2) * np.cos(np.deg2rad(inclination) / 2)
    assert product == pytest.approx(np.cos(np.deg2rad(total) / 2), abs=1e-9)


def test_unknown_orientation_is_no_error_of_zero() -> None:
    known = np.array([[0, 0, 0, 1.0]])
    for unknown in (np.zeros((1, 4)), np.full((1, 4), np.nan)):
        degrees, vectors = attitude_errors(known, unknown)
        assert np.isnan(degrees).all()
        assert np.isnan(vectors).all()


def test_interpolation_is_exact_for_steady_motion() -> None:
    path = line()
    stamps = path.stamps[0] + np.array([0, SECOND // 4, 5 * SECOND // 2, 10 * SECOND])
    found = sampled(path, stamps)
    np.testing.assert_allclose(found.position[:, 0], [0, 2.5, 25, 100], atol=1e-6)
    heading = Rotation.from_quat(found.orientation).as_euler('ZYX')[:, 0]
    np.testing.assert_allclose(heading, [0, 0.025, 0.25, 1.0], atol=1e-7)


def test_outside_and_inside_long_gaps_nothing_is_invented() -> None:
    path = line()
    rows = [0, 1, 2, 8, 9]
    gappy = trajectory(
        path.stamps[rows], origin=HERE, position=path.position[rows],
        orientation=path.orientation[rows],
    )  # fmt: skip
    wanted = path.stamps[0] + np.array([-1, 3 * SECOND // 2, 5 * SECOND, 8 * SECOND, 10 * SECOND])
    found = sampled(gappy, wanted)
    assert np.isnan(found.position[:, 0]).tolist() == [True, False, True, False, True]
    assert np.isnan(found.orientation[:, 0]).tolist() == [True, False, True, False, True]


def test_rows_are_sorted_and_the_last_of_equal_stamps_counts() -> None:
    path = trajectory([3, 1, 3], origin=HERE, position=[[1, 0, 0], [2, 0, 0], [3, 0, 0]])
    assert path.stamps.tolist() == [1, 3]
    assert path.position[:, 0].tolist() == [2, 3]


@given(st.floats(-89, 89), st.floats(-180, 180), st.floats(-3000, 3000), st.floats(-3000, 3000))
def test_other_origin_is_the_same_place(
    latitude: float, longitude: float, north: float, east: float
) -> None:
    first = Origin(latitude, longitude, 100.0)
    second = Origin(*map(float, pymap3d.enu2geodetic(east, north, 50, latitude, longitude, 100.0)))
    path = Trajectory(
        np.array([0]), origin=first, position=np.array([[12.0, -7, 3]]),
        velocity=np.array([[1.0, 2, 3]]), orientation=np.array([[0.1, 0.2, 0.3, 0.9273618]]),
        position_covariance=np.diag([1.0, 4, 9])[None],
    )  # fmt: skip
    there = relocated(path, second)
    geodetic = [
        pymap3d.enu2geodetic(*p.position[0], o.latitude, o.longitude, o.altitude)
        for p, o in ((path, first), (there, second))
    ]
    ecef = [np.array(pymap3d.geodetic2ecef(*point)) for point in geodetic]
    np.testing.assert_allclose(*ecef, atol=1e-6)
    assert np.linalg.norm(there.velocity) == pytest.approx(np.sqrt(14))
    assert np.trace(there.position_covariance[0]) == pytest.approx(14)
    back = relocated(there, first)
    for name in ('position', 'velocity', 'orientation', 'position_covariance'):
        np.testing.assert_allclose(getattr(back, name), getattr(path, name), atol=1e-6)


def test_errors_with_two_origins_and_two_rates() -> None:
    spread = np.tile(np.diag([4.0, 4.0, 1.0]), (101, 1, 1))
    estimate = line(101, rate=10.0, position_covariance=spread)
    shifted = Trajectory(
        estimate.stamps, origin=HERE, position=estimate.position + np.array([3.0, -4.0, 1.0]),
        orientation=estimate.orientation, position_covariance=spread,
    )  # fmt: skip
    truth = relocated(line(11), Origin(47.41, 8.52, 480.0))
    found = errors(shifted, truth)
    assert len(found.stamps) == 11
    np.testing.assert_allclose(found.position, np.tile([3.0, -4, 1], (11, 1)), atol=2e-5)
    np.testing.assert_allclose(found.attitude, 0, atol=1e-4)
    np.testing.assert_allclose(found.position_sigma, np.tile([2.0, 2, 1], (11, 1)))
    # 9/4 + 16/4 = 6.25 lies just outside the 95 % ellipse (5.99)
    assert found.horizontal_consistency.mean == pytest.approx(6.25, abs=1e-3)
    assert found.horizontal_consistency.inside_95 == 0
    assert found.position_consistency.mean == pytest.approx(7.25, abs=1e-3)
    late = found.after(int(found.stamps[6]))
    assert len(late.stamps) == len(late.position) == len(late.position_consistency.nees) == 5


def test_nothing_in_common_is_no_error() -> None:
    early, late = line(), line()
    later = Trajectory(late.stamps + 100 * SECOND, origin=HERE, position=late.position)
    assert len(errors(early, later).stamps) == 0
    empty = Trajectory(np.empty(0, dtype=np.int64))
    assert len(errors(early, empty).stamps) == 0


def test_consistent_errors_are_called_consistent() -> None:
    rng = np.random.default_rng(3)
    root = np.array([[2.0, 0, 0], [0.5, 1, 0], [-0.3, 0.2, 0.1]])
    error = rng.standard_normal((4000, 3)) @ root.T
    covariance = np.tile(root @ root.T, (4000, 1, 1))
    found = consistency(error, covariance)
    low, high = nees_band(3, 4000)
    assert low < found.mean < high
    assert found.inside_95 == pytest.approx(0.95, abs=0.015)
    assert consistency(error, covariance / 4).mean > high


def test_unusable_covariance_is_left_out() -> None:
    covariance = np.stack([np.eye(3), np.zeros((3, 3)), np.full((3, 3), np.nan)])
    found = consistency(np.ones((3, 3)), covariance)
    assert found.nees[0] == pytest.approx(3)
    assert np.isnan(found.nees[1:]).all()
    assert found.mean == pytest.approx(3)


def test_nees_band_matches_published_values() -> None:
    # 95 % points of chi-square with 150 and 750 degrees of freedom, over 50 runs
    assert nees_band(3, 50) == pytest.approx((2.36, 3.72), abs=0.005)
    assert nees_band(15, 50) == pytest.approx((13.52, 16.56), abs=0.005)


def test_statistics_of_vectors_ignore_unknown_rows() -> None:
    found = statistics(np.array([[3.0, 4.0], [np.nan, 1.0], [0.0, 0.0]]))
    assert (found.count, found.max, found.median) == (2, 5.0, 2.5)
    assert found.rms == pytest.approx(np.sqrt(12.5))
    assert statistics(np.array([np.nan])).count == 0


def test_outage_is_scored_at_its_last_fix() -> None:
    spread = np.tile(np.eye(3), (101, 1, 1))
    truth = line(41, rate=4.0)
    estimate = line(101, rate=10.0, speed=11.0, position_covariance=spread)
    start = truth.stamps[0]
    outages = [(start, start + 5 * SECOND), (start + 500 * SECOND, start + 510 * SECOND)]
    (end,) = outage_ends(estimate, truth, outages)
    # the fix at 5 s is the last one inside; 1 m/s too fast
    assert end.stamp == start + 5 * SECOND
    assert end.horizontal == pytest.approx(5.0, abs=1e-4)
    assert end.inside_95 is False
    fixed = Trajectory(
        truth.stamps, origin=HERE, position=truth.position,
        position_covariance=np.tile(9 * np.eye(3), (41, 1, 1)),
    )  # fmt: skip
    assert outage_ends(estimate, fixed, outages)[0].inside_95 is True


@pytest.mark.parametrize('stamps', [[1, 1], [2, 1]])
def test_unordered_stamps_are_refused(stamps: list[int]) -> None:
    with pytest.raises(ValueError, match='increasing'):
        Trajectory(np.array(stamps))
