# SPDX-License-Identifier: Apache-2.0
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transforms3d import euler, quaternions

from meta_repo_ros.core import rotations as rot
from meta_repo_ros.core.rotations import Quaternion, Vector

unit = st.floats(-1.0, 1.0)
vectors = st.tuples(unit, unit, unit)
quats = st.tuples(unit, unit, unit, unit).filter(lambda q: math.hypot(*q) > 0.1).map(rot.normalize)


@given(quats, quats, vectors)
def test_against_transforms3d(p: Quaternion, q: Quaternion, v: Vector) -> None:
    np.testing.assert_allclose(rot.multiply(p, q), quaternions.qmult(p, q), atol=1e-14)
    np.testing.assert_allclose(rot.to_matrix(q), quaternions.quat2mat(q), atol=1e-14)
    np.testing.assert_allclose(rot.rotate(q, v), quaternions.rotate_vector(v, q), atol=1e-14)
    np.testing.assert_allclose(rot.to_matrix(q) @ v, rot.rotate(q, v), atol=1e-14)
    np.testing.assert_allclose(rot.skew(v) @ np.array((1, 2, 3)), np.cross(v, (1, 2, 3)))


@given(quats)
def test_matrix_and_back(q: Quaternion) -> None:
    assert rot.angle(rot.from_matrix(rot.to_matrix(q)), q) < 1e-7


@pytest.mark.parametrize('axis', [(1, 0, 0), (0, 1, 0), (0, 0, 1)])
def test_half_turns_survive_the_matrix(axis: Vector) -> None:
    q = (0.0, *map(float, axis))
    assert rot.angle(rot.from_matrix(rot.to_matrix(q)), q) == pytest.approx(0.0, abs=1e-12)


@given(st.tuples(*[st.floats(-1.8, 1.8)] * 3), st.floats(-12, 0))
def test_log_inverts_exp_at_all_magnitudes(v: Vector, magnitude: float) -> None:
    small = [x * 10**magnitude for x in v]
    np.testing.assert_allclose(rot.log(rot.exp(small)), small, rtol=1e-9, atol=1e-20)
    np.testing.assert_allclose(rot.log_array(rot.exp_array(small)), small, rtol=1e-9, atol=1e-20)
    assert math.hypot(*rot.exp(small)) == pytest.approx(1.0, abs=1e-15)


@given(quats)
def test_log_takes_the_short_way(q: Quaternion) -> None:
    assert math.hypot(*rot.log(q)) <= math.pi + 1e-12
    assert rot.angle(rot.exp(rot.log(q)), q) < 1e-7


@given(vectors, vectors)
def test_between_takes_one_direction_to_the_other(u: Vector, v: Vector) -> None:
    if min(math.hypot(*u), math.hypot(*v)) < 0.01:
        return
    got = np.array(rot.rotate(rot.between(u, v), u)) / math.hypot(*u)
    np.testing.assert_allclose(got, np.array(v) / math.hypot(*v), atol=1e-6)


@pytest.mark.parametrize('u', [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1), (0.1, 0, 5)])
def test_between_opposite_directions(u: Vector) -> None:
    np.testing.assert_allclose(rot.rotate(rot.between(u, [-x for x in u]), u), -np.array(u))


@given(st.floats(-3.1, 3.1), st.floats(-1.5, 1.5), st.floats(-3.1, 3.1))
def test_euler_angles(roll: float, pitch: float, yaw: float) -> None:
    q = rot.from_euler(roll, pitch, yaw)
    np.testing.assert_allclose(q, euler.euler2quat(roll, pitch, yaw), atol=1e-14)
    np.testing.assert_allclose(rot.to_euler(q), (roll, pitch, yaw), atol=1e-9)
    assert rot.yaw(q) == pytest.approx(yaw, abs=1e-9)


def test_arrays_agree_with_tuples() -> None:
    rng = np.random.default_rng(1)
    p, q = (rng.standard_normal((2, 5, 4)) for _ in range(2))
    p, q = p / np.linalg.norm(p, axis=-1, keepdims=True), q / np.linalg.norm(q, axis=-1)[..., None]
    v = rng.standard_normal((2, 5, 3))
    cell = (1, 3)
    assert rot.multiply_array(p, q).shape == (2, 5, 4)
    np.testing.assert_allclose(rot.multiply_array(p, q)[cell], rot.multiply(p[cell], q[cell]))
    np.testing.assert_allclose(rot.rotate_array(q, v)[cell], rot.rotate(q[cell], v[cell]))
    np.testing.assert_allclose(rot.conjugate_array(q)[cell], rot.conjugate(q[cell]))
    np.testing.assert_allclose(rot.exp_array(v)[cell], rot.exp(v[cell]))
    np.testing.assert_allclose(rot.log_array(q)[cell], rot.log(q[cell]))


@pytest.mark.parametrize('q', [(0, 0, 0, 0), (math.nan, 0, 0, 1), (math.inf, 0, 0, 1)])
def test_a_quaternion_without_direction_is_refused(q: Quaternion) -> None:
    with pytest.raises(ValueError, match='no direction'):
        rot.normalize(q)
