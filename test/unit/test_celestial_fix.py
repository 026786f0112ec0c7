# SPDX-License-Identifier: Apache-2.0
"""The celestial fix: known places, what moves it by how much, whether its covariance is true."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import erfa
import numpy as np
import pymap3d
import pytest

from meta_repo_ros.core.earth import earth_orientation, icrs_to_enu, icrs_to_itrs, itrs_to_enu
from meta_repo_ros.core.geodesy import EARTH_RATE, LocalFrame, normal_gravity
from meta_repo_ros.core.parameters import from_mapping
from meta_repo_ros.core.rotations import conjugate, exp, from_euler, from_matrix, log, multiply
from meta_repo_ros.core.rotations import rotate as turned
from meta_repo_ros.msg import PositionUpdate
from meta_repo_ros.starnav.celestial_fix import CelestialFix, CelestialParameters, Fix, Source
from meta_repo_ros.starnav.celestial_types import ARCSEC, radii
from meta_repo_ros.starnav.cross_check import CrossCheck, CrossCheckParameters, Finding

SECOND = 1_000_000_000
START = 1_790_000_000 * SECOND
RATE = 10  # Hz, of the inertial sensor
PLACES = [(47.26, 11.34), (-33.9, 151.2), (0.0, 0.0), (78.2, 15.6), (12.0, 179.999), (-89.0, 10.0)]
QUIET = {'accel_noise': 1e-6, 'gyro_noise': 1e-9, 'accel_bias_sigma': 0.0, 'accel_bias_walk': 0.0}
STAR = np.diag([1e-6, 1e-6, 1e-6]) ** 2


def off(fix: Fix, latitude: float, longitude: float) -> np.ndarray[Any, Any]:
    """East and north of the truth, m."""
    meridian, normal = radii(latitude, 0.0)
    east = math.radians(math.remainder(fix.longitude - longitude, 360.0))
    across = normal * math.cos(math.radians(latitude))
    return np.array([east * across, math.radians(fix.latitude - latitude) * meridian])


def stand(
    place: tuple[float, float],
    seconds: int = 5,
    *,
    seed: int = 0,
    plumb: tuple[float, float] = (0.0, 0.0),
    bias: float = 0.0,
    noise: float = 0.0,
    star: float = 0.0,
    headings: int = 1,
    shift: int = 0,
    **values: Any,
) -> CelestialFix:
    """A fix made at a standstill.

    Args:
        place: deg, at the height of the ellipsoid.
        seconds: one star attitude each.
        seed: of attitude, bias and noise.
        plumb: true deflection of the vertical, east, north, rad.
        bias: standard deviation, m/s2.
        noise: of the accelerometers, m/s2/sqrt(Hz).
        star: of the star attitudes, rad.
        headings: how many, one after the other.
        shift: error of the clock, ns.
        values: parameters.
    """
    rng = np.random.default_rng(seed)
    fix = CelestialFix(from_mapping(CelestialParameters, {'motion': 'static', **QUIET, **values}))
    gravity = np.array(LocalFrame(*place, 0.0).gravity(0.0, 0.0, 0.0))
    gravity[:2] += gravity[2] * np.array(plumb)
    offset = bias * rng.standard_normal(3)
    attitude = from_euler(*(rng.uniform(-1.0, 1.0, 3) * (0.3, 0.3, 3.0)).tolist())
    spread = np.eye(3) * max(star, 1e-7) ** 2
    before = None
    count = seconds * RATE
    for i in range(count + 1):
        stamp = START + i * SECOND // RATE
        yaw = 2.0 * math.pi * (i * headings // (count + 1)) / headings
        now = multiply(exp((0.0, 0.0, yaw)), attitude)
        q = multiply(conjugate(now), from_matrix(icrs_to_enu(stamp, *place)))
        rate = (0.0, 0.0, 0.0)
        if before is not None:
            rate = tuple(RATE * c for c in log(multiply(before, conjugate(q))))  # type: ignore[assignment]
        before = q
        force = np.array(turned(conjugate(now), (-gravity).tolist())) + offset
        force += noise * math.sqrt(RATE) * rng.standard_normal(3)
        fix.add_inertial(stamp + shift, rate, tuple(force.tolist()))
        if i % RATE == 0:
            seen = multiply(exp((star * rng.standard_normal(3)).tolist()), q)
            fix.add_attitude(stamp + shift, seen, spread)
    return fix


def position(fix: CelestialFix) -> Fix:
    found = fix.solution(START)
    assert found is not None
    return found


@pytest.mark.parametrize('place', PLACES)
def test_a_still_camera_finds_its_place(place: tuple[float, float]) -> None:
    fix = position(stand(place))
    assert np.abs(off(fix, *place)).max() < 1.0
    assert fix.source_mask == Source.STARS | Source.ACCELEROMETER | Source.GYROSCOPE
    assert math.isnan(fix.altitude)
    assert not fix.covariance[2].any()


def test_the_star_in_the_zenith_tells_the_place() -> None:
    """Made from erfa and pymap3d alone: the star above stands where the place`s vertical points."""
    latitude, longitude = 52.0, 13.4
    fix = CelestialFix(from_mapping(CelestialParameters, {'motion': 'static', **QUIET}))
    high, low = (np.array(pymap3d.geodetic2ecef(latitude, longitude, h)) for h in (100.0, 0.0))
    zenith = (high - low) / 100.0
    for i in range(41):
        stamp = START + i * SECOND // 10
        days, rest = divmod(stamp, 86400 * SECOND)
        utc = (2440587.5 + days, rest / (86400 * SECOND))
        eop = earth_orientation(stamp)
        tt, ut1 = erfa.taitt(*erfa.utctai(*utc)), erfa.utcut1(*utc, eop.ut1_utc)
        to_earth = erfa.c2t06a(*tt, *ut1, eop.x_pole, eop.y_pole)
        star = to_earth.T @ zenith
        # the body keeps its axes among the stars, and sees up move among them
        up = tuple((normal_gravity(latitude, 0.0) * star).tolist())
        fix.add_inertial(stamp, (0.0, 0.0, 0.0), up)
        if i % 10 == 0:
            fix.add_attitude(stamp, (1.0, 0.0, 0.0, 0.0), STAR)
    # a sample is the mean since the one before: half a step later in the sky, 0.75 arcsec
    late = 0.05 * 15.04 * ARCSEC * 6378137.0 * math.cos(math.radians(latitude))
    error = off(position(fix), latitude, longitude)
    assert error[0] == pytest.approx(late, abs=1.0)
    assert error[1] == pytest.approx(0.0, abs=1.0)


def test_a_second_of_time_is_fifteen_arcseconds_of_longitude() -> None:
    place = (47.26, 11.34)
    right, late = position(stand(place)), position(stand(place, shift=SECOND))
    west = (right.longitude - late.longitude) * 3600.0
    assert west == pytest.approx(15.041, abs=0.002)
    assert late.latitude == pytest.approx(right.latitude, abs=1e-6)


def test_a_clock_off_by_an_hour_is_noticed_where_there_is_gnss() -> None:
    fix = stand(PLACES[0], shift=3600 * SECOND, noise=3e-4, accel_noise=3e-4)
    found = fix.solution(START)
    assert found is not None
    check = CrossCheck(CrossCheckParameters())
    for seconds in range(12):
        stamp = found.stamp + seconds * SECOND
        check.add_gnss(stamp, *PLACES[0], 600.0, np.eye(3))
        check.add_fix(dataclasses.replace(found, stamp=stamp))
    assert check.verdict.finding is Finding.TIME
    assert check.verdict.text == 'time or longitude wrong by 1 h (clock ahead)'


def test_a_known_deflection_is_taken_out() -> None:
    place, east, north = (46.0, 8.0), 12.0, -20.0
    plumb = (east * ARCSEC, north * ARCSEC)
    wrong = off(position(stand(place, plumb=plumb)), *place)
    assert wrong == pytest.approx([30.98 * east, 30.88 * north], rel=5e-3)
    known = position(stand(place, plumb=plumb, deflection=(north, east)))
    assert np.abs(off(known, *place)).max() < 1.0


def test_averaging_takes_noise_away_and_leaves_what_is_constant() -> None:
    noisy = {'accel_noise': 1e-3, 'noise': 1e-3, 'vertical_sigma': 5.0}
    short, long = (position(stand(PLACES[0], n, **noisy)) for n in (2, 60))  # type: ignore[arg-type]
    floor = 5.0 * 30.9 * math.sqrt(2.0)
    assert short.horizontal_sigma > 1.5 * floor
    assert floor < long.horizontal_sigma < 1.2 * floor
    none = {**noisy, 'vertical_sigma': 0.0}
    sigmas = [position(stand(PLACES[0], n, **none)).horizontal_sigma for n in (5, 45)]  # type: ignore[arg-type]
    assert sigmas[0] / sigmas[1] == pytest.approx(3.0, rel=0.05)


def test_turning_the_body_tells_the_bias_from_the_place() -> None:
    bias = {'bias': 1e-3, 'accel_bias_sigma': 1e-3, 'vertical_sigma': 1.0, 'accel_noise': 1e-5}
    still, turned_ = (position(stand(PLACES[0], 24, headings=n, **bias)) for n in (1, 4))  # type: ignore[arg-type]
    assert still.horizontal_sigma == pytest.approx(math.sqrt(2.0) * 650.0, rel=0.05)
    assert turned_.horizontal_sigma < 60.0
    assert np.hypot(*off(turned_, *PLACES[0])) < 3.0 * turned_.horizontal_sigma


def test_the_ellipse_holds_the_truth_as_often_as_it_says() -> None:
    """Vertical known to 5 arcsec in all: the bar is 300 m rms and 90 to 99 % in the ellipse."""
    runs, errors, inside = 150, [], 0
    for seed in range(runs):
        rng = np.random.default_rng(1000 + seed)
        fix = position(
            stand(
                PLACES[0], 4, seed=seed, plumb=tuple((5.0 * ARCSEC * rng.normal(size=2)).tolist()),
                noise=3e-4, accel_noise=3e-4, star=1.5 * ARCSEC, vertical_sigma=5.0,
            )
        )  # fmt: skip
        error = off(fix, *PLACES[0])
        errors.append(error)
        inside += bool(error @ np.linalg.solve(fix.covariance[:2, :2], error) < 5.991)
    assert math.sqrt(np.mean(np.square(errors).sum(axis=1))) < 300.0
    assert 0.90 <= inside / runs <= 0.99


def test_the_clock_s_own_doubt_is_in_the_covariance() -> None:
    sure, unsure = (position(stand(PLACES[0], clock_sigma=s)) for s in (0.0, 1.0))
    grown = unsure.covariance - sure.covariance
    east = 6378137.0 * math.cos(math.radians(PLACES[0][0])) * EARTH_RATE
    assert math.sqrt(grown[0, 0]) == pytest.approx(east, rel=1e-3)
    assert abs(grown[1, 1]) < 1e-6


def fly(
    seconds: int, *, air: bool, seed: int = 1, wrong: int = 0, **values: Any
) -> tuple[Fix, Any]:
    """An aeroplane that flies east at 120 m/s and weaves; the fix at the end, and where it is."""
    rng = np.random.default_rng(seed)
    given = {
        'accel_noise': 1e-4, 'gyro_noise': 1e-6, 'accel_bias_sigma': 3e-4, 'accel_bias_walk': 1e-7,
        'vertical_sigma': 1.0, 'wind_sigma': 5.0, 'gust_sigma': 0.5, **values,
    }  # fmt: skip
    fix = CelestialFix(from_mapping(CelestialParameters, given))
    bias = 3e-4 * rng.standard_normal(3)
    wind = 3.0 * rng.standard_normal(2)
    n = seconds * RATE
    t = np.arange(-1, n + 2) / RATE
    latitude = 47.0 + 0.0005 * np.sin(0.05 * t)
    longitude = 11.0 + 120.0 * t / (6.39e6 * math.cos(math.radians(47.0))) * 180.0 / math.pi
    height = 3000.0 + 20.0 * np.sin(0.03 * t)
    ecef = np.stack(pymap3d.geodetic2ecef(latitude, longitude, height), axis=1)
    velocity = np.gradient(ecef, t, axis=0)
    half = np.diff(ecef, axis=0) * RATE  # mean velocity of each step
    omega = np.array([0.0, 0.0, EARTH_RATE])
    before = None
    for i in range(1, n + 2):
        stamp = START + (i - 1) * SECOND // RATE
        enu = itrs_to_enu(latitude[i], longitude[i])
        gravity = enu.T @ LocalFrame(latitude[i], longitude[i], height[i]).gravity(0.0, 0.0, 0.0)
        force_e = (half[i] - half[i - 1]) * RATE + 2.0 * np.cross(omega, velocity[i]) - gravity
        to_icrs = icrs_to_itrs(stamp).T
        body = from_euler(0.1 * math.sin(0.2 * t[i]), 0.02, 0.3 * math.sin(0.05 * t[i]))
        q = multiply(conjugate(body), from_matrix(enu @ to_icrs.T))  # ICRS to body
        force = np.array(turned(q, (to_icrs @ force_e).tolist())) + bias
        force += 1e-4 * math.sqrt(RATE) * rng.standard_normal(3)
        rate = (0.0, 0.0, 0.0)
        if before is not None:
            rate = tuple(RATE * c for c in log(multiply(before, conjugate(q))))  # type: ignore[assignment]
            middle = multiply(exp([0.5 / RATE * c for c in rate]), q)
            force = np.array(turned(middle, turned(conjugate(q), force.tolist())))
        before = q
        fix.add_inertial(stamp, rate, tuple(force.tolist()))
        if i % 5 == 0 or air:
            fix.add_pressure(stamp, height[i] + 30.0, 1.0)
            ground = enu @ velocity[i] - np.append(wind, 0.0)
            x, y, z = turned(conjugate(body), ground.tolist())
            if air:
                speed = math.hypot(x, y, z)
                fix.add_air_data(stamp, speed, math.atan2(-z, x), math.asin(-y / speed))
        if (i - 1) % RATE == 0:
            bent = (0.05, 0.0, 0.0) if (i - 1) // RATE == wrong > 0 else (0.0, 0.0, 0.0)
            noise = (5e-6 * rng.standard_normal(3)).tolist()
            seen = multiply(exp(bent), multiply(exp(noise), q))
            fix.add_attitude(stamp, seen, np.eye(3) * 25e-12)
    found = fix.solution(stamp)
    assert found is not None
    return found, (latitude[-2], longitude[-2], height[-2], fix)


def test_in_flight_the_error_is_what_the_covariance_says() -> None:
    found, (latitude, longitude, height, fix) = fly(240, air=True)
    error = off(found, latitude, longitude)
    # Coriolis alone is 1.8 mg here, 11 km; an uncompensated weave would be more
    assert np.hypot(*error) < 3.0 * found.horizontal_sigma
    assert found.horizontal_sigma < 15e3
    assert found.altitude == pytest.approx(height, abs=3.0 * math.sqrt(found.covariance[2, 2]))
    assert found.source_mask & Source.BAROMETER
    assert not found.source_mask & (Source.GNSS | Source.FUSION)
    assert (fix.rejected, fix.refused) == (0, 0)


def test_without_air_data_the_position_is_worse_and_says_so() -> None:
    found, (latitude, longitude, *_) = fly(120, air=False, ground_speed_sigma=100.0)
    error = np.hypot(*off(found, latitude, longitude))
    assert error < 3.0 * found.horizontal_sigma
    assert found.horizontal_sigma > 30e3


def test_one_wrong_star_attitude_is_set_aside() -> None:
    right, (latitude, longitude, *_) = fly(60, air=True)
    found, (*_, fix) = fly(60, air=True, wrong=40)
    assert fix.refused == 1
    assert np.hypot(*(off(found, latitude, longitude) - off(right, latitude, longitude))) < 500.0


def test_gnss_is_taken_only_where_allowed_and_then_named() -> None:
    for allowed in (False, True):
        fix = stand(PLACES[0], gnss=allowed)
        spoofed = (PLACES[0][0] + 0.003, PLACES[0][1], 0.0)
        fix.add_gnss(START + 5 * SECOND, *spoofed, np.eye(3))
        found = position(fix)
        assert bool(found.source_mask & Source.GNSS) is allowed
        assert (abs(off(found, *PLACES[0])[1]) > 100.0) == allowed


def test_bad_input_is_counted_and_changes_nothing() -> None:
    fix = stand(PLACES[0])
    before = position(fix)
    late = START + 6 * SECOND
    fix.add_attitude(late, (math.nan, 0.0, 0.0, 0.0), STAR)
    fix.add_attitude(late, (1.0, 0.0, 0.0, 0.0), np.zeros((3, 3)))
    fix.add_attitude(START, (1.0, 0.0, 0.0, 0.0), STAR)
    fix.add_inertial(late, (math.nan, 0.0, 0.0), (0.0, 0.0, 9.8))
    fix.add_pressure(late, math.nan)
    fix.add_air_data(late, math.nan, 0.0, 0.0)
    fix.add_gnss(late, math.nan, 0.0, 0.0, np.eye(3))
    assert fix.refused == 7
    after = position(fix)
    assert (after.latitude, after.longitude, after.epochs) == (
        before.latitude, before.longitude, before.epochs,
    )  # fmt: skip


def test_an_old_position_is_none() -> None:
    fix = stand(PLACES[0], maximum_age=3.0)
    assert fix.solution(START + 7 * SECOND) is not None
    assert fix.solution(START + 9 * SECOND) is None
    fix.reset()
    assert fix.solution(START) is None


def test_sources_are_those_of_the_message() -> None:
    for source in Source:
        assert getattr(PositionUpdate, f'SOURCE_{source.name}') == source.value
