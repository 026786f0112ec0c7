# SPDX-License-Identifier: Apache-2.0
"""The flight state through the air, from odometry, air data and rotor state."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meta_repo_ros.core.rotations import IDENTITY, from_euler
from meta_repo_ros.core.time import NANOSECONDS
from meta_repo_ros.vortex_shield.flight_state import FlightStates
from meta_repo_ros.vortex_shield.messages import Air, Motion, RefusedError, Rotors

NAN = math.nan
S = NANOSECONDS
speeds = st.floats(-15.0, 15.0)


def motion(stamp: int = S, velocity: Any = (3.0, 0.0, -4.0), **values: Any) -> Motion:
    given = Motion(stamp, IDENTITY, velocity, 50.0, 0.1, 0.2)
    return given._replace(**values)


def air(stamp: int = S, **values: Any) -> Air:
    return Air(stamp, NAN, NAN, 1.1, None, NAN, NAN, 80.0)._replace(**values)


def states() -> FlightStates:
    return FlightStates(S // 2)


def test_nothing_is_known_without_odometry() -> None:
    s = states()
    s.take_air(air(airspeed=5.0))
    s.take_rotors(Rotors(S, 500.0, 14.0, NAN))
    assert s.at(S) is None
    assert s.note == 'no odometry'


@given(speeds, speeds, speeds, speeds, speeds)
def test_with_wind_the_motion_is_that_through_the_air(
    east: float, north: float, up: float, wind_east: float, wind_up: float
) -> None:
    s = states()
    s.take_motion(motion(velocity=(east, north, up)))
    s.take_air(air(wind=(wind_east, 1.0, wind_up), wind_vertical_sigma=0.3,
                   wind_horizontal_sigma=NAN))  # fmt: skip
    state = s.at(S)
    assert state is not None
    assert state.sink_rate == pytest.approx(wind_up - up)
    assert state.airspeed == pytest.approx(math.hypot(east - wind_east, north - 1.0))
    assert state.sink_sigma == pytest.approx(math.hypot(0.1, 0.3))
    assert math.isnan(state.airspeed_sigma), 'the configured uncertainty holds'
    assert (state.density, state.height, state.wind) == (1.1, 80.0, (wind_east, 1.0, wind_up))
    assert s.note == 'no rotor state: nominal thrust'


@pytest.mark.parametrize('horizontal', [0.0, 1.0, 3.0, 8.0])
def test_noise_of_a_true_airspeed_is_no_airspeed(horizontal: float) -> None:
    """The mean over runs of the square is the square: noise of 0.5 m/s in 4 m/s of descent."""
    rng = np.random.default_rng(1)
    squares, sigmas, errors = [], [], []
    for _ in range(200):
        s = states()
        for k in range(1, 41):
            s.take_motion(motion(k * S // 20))
            speed = math.hypot(horizontal, 4.0) + 0.5 * rng.standard_normal()
            s.take_air(air(k * S // 20, airspeed=speed, airspeed_variance=0.25))
        state = s.at(2 * S)
        assert state is not None
        squares.append(s._square)
        sigmas.append(state.airspeed_sigma)
        errors.append(state.airspeed - horizontal)
    assert np.mean(squares) == pytest.approx(horizontal**2, abs=0.5 + 0.05 * horizontal**2)
    assert np.sqrt(np.mean(np.square(errors))) < 2.0 * np.mean(sigmas)


def test_without_an_airspeed_the_ground_speed_stands_in_and_it_says_so() -> None:
    s = states()
    s.take_motion(motion(velocity=(3.0, 4.0, -2.0)))
    state = s.at(S)
    assert state is not None
    assert (state.sink_rate, state.airspeed) == (2.0, 5.0)
    assert math.isnan(state.airspeed_sigma + state.sink_sigma)
    assert s.note.startswith('no airspeed: ground speed stands for it')


def test_old_sources_are_left_out_one_by_one() -> None:
    s = states()
    s.altitude = 600.0
    s.take_motion(motion())
    s.take_air(air(airspeed=5.0))
    s.take_rotors(Rotors(S, 500.0, 14.0, NAN))
    known = s.at(S)
    assert known is not None
    assert (known.rotor_speed, known.thrust, known.altitude) == (500.0, 14.0, 650.0)
    assert s.note == ''
    assert s.at(S + 1) is known, 'nothing new, nothing to do'
    later = S + 6 * S // 10
    s.take_motion(motion(later))
    state = s.at(later)
    assert state is not None
    assert math.isnan(state.height + state.thrust)
    assert 'no airspeed' in s.note
    assert 'no rotor state' in s.note
    assert s.at(later + S) is None
    assert s.note == 'odometry is 1.0 s old'


def test_a_source_that_ages_between_two_odometries_is_noticed() -> None:
    s = states()
    s.take_rotors(Rotors(S, 500.0, 14.0, NAN))
    s.take_motion(motion(S + S // 4))
    state = s.at(S + S // 4)
    assert state is not None
    assert state.thrust == 14.0
    state = s.at(S + 6 * S // 10)
    assert state is not None
    assert math.isnan(state.thrust)


def test_height_follows_the_descent_since_it_was_measured() -> None:
    s = states()
    s.take_air(air(S - S // 10))
    s.take_motion(motion(velocity=(0.0, 0.0, -5.0)))
    state = s.at(S)
    assert state is not None
    assert state.height == pytest.approx(79.5)


def test_late_messages_are_refused_and_a_new_clock_is_not() -> None:
    s = states()
    s.take_motion(motion(10 * S))
    with pytest.raises(RefusedError, match='out of order'):
        s.take_motion(motion(10 * S - 1))
    s.take_motion(motion(2 * S, orientation=from_euler(0.1, 0.0, 0.0)))
    assert s.at(2 * S) is not None
    s.clear()
    assert s.orientation is None
    assert s.at(2 * S) is None
