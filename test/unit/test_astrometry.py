# SPDX-License-Identifier: Apache-2.0
"""Directions as the camera sees them against ERFA's own chain, and against printed examples."""

from __future__ import annotations

import datetime as dt

import erfa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meta_repo_ros.commands._sky import observer as ground_observer
from meta_repo_ros.core import earth
from meta_repo_ros.starnav import astrometry, catalogue
from meta_repo_ros.starnav.astrometry import Observer
from meta_repo_ros.starnav.observer import terrestrial_time

MAS = np.pi / (180 * 3600e3)
ARCSEC = 1e3 * MAS
STARS = catalogue.load(6.0)
T0 = int(dt.datetime(2026, 11, 23, 22, 10, 13, tzinfo=dt.timezone.utc).timestamp()) * 10**9
SITE = {'latitude': 48.0, 'longitude': 11.0, 'altitude': 520.0}
stamps = st.integers(T0 - 10 * 31_557_600 * 10**9, T0 + 10 * 31_557_600 * 10**9)
pytestmark = pytest.mark.filterwarnings('ignore:ERFA function')


def erfa_stars() -> tuple[np.ndarray, ...]:
    """The catalogue as ERFA wants it: at J2000.0, motion in right ascension itself."""
    parallax = np.maximum(STARS.parallax, 1e-7 * ARCSEC) / ARCSEC
    return erfa.pmsafe(
        STARS.ra, STARS.dec, STARS.pm_ra / np.cos(STARS.dec), STARS.pm_dec, parallax,
        np.zeros(len(STARS)), 2448349.0625, 0.0, 2451545.0, 0.0,
    )  # fmt: skip


def vertical(zenith_distance: np.ndarray, azimuth: np.ndarray) -> np.ndarray:
    sine = np.sin(zenith_distance)
    return np.column_stack(
        [sine * np.sin(azimuth), sine * np.cos(azimuth), np.cos(zenith_distance)]
    )


def utc(stamp_ns: int) -> tuple[float, float]:
    days, rest = divmod(stamp_ns, 86_400 * 10**9)
    return 2440587.5 + days, rest / 86400e9


@settings(max_examples=10, deadline=None)
@given(stamp=stamps)
def test_seen_from_the_centre_of_the_earth_as_erfa_does(stamp: int) -> None:
    tt = terrestrial_time(stamp)
    context, _ = erfa.apci13(*tt)
    ra, dec, pm_ra, pm_dec, parallax, rv = erfa_stars()
    alpha, delta = erfa.atciq(ra, dec, pm_ra, pm_dec, parallax, rv, context)
    want = erfa.s2c(alpha, delta) @ context['bpn']  # from the axes of date back to those of GCRS
    got = astrometry.apparent(STARS, None, Observer(stamp))
    real = STARS.parallax > 0  # ERFA makes up a distance for the others
    assert np.abs(got - want)[real].max() / MAS < 0.05
    assert np.abs(got - want).max() / MAS < 2
    assert np.abs(np.linalg.norm(got, axis=1) - 1).max() < 1e-12


@settings(max_examples=5, deadline=None)
@given(
    stamp=stamps,
    latitude=st.floats(-89, 89),
    longitude=st.floats(-180, 180),
    altitude=st.floats(0, 12_000),
)
def test_seen_from_the_ground_through_air_as_erfa_does(
    stamp: int, latitude: float, longitude: float, altitude: float
) -> None:
    pressure, kelvin = astrometry.standard_atmosphere(altitude)
    eop = earth.earth_orientation(stamp)
    azimuth, distance, *_ = erfa.atco13(
        *erfa_stars(), *utc(stamp), eop.ut1_utc, np.radians(longitude), np.radians(latitude),
        altitude, eop.x_pole, eop.y_pole, pressure / 100, kelvin - 273.15, 0.3, 0.6,
    )  # fmt: skip
    observer = Observer(
        stamp, latitude, longitude, altitude, pressure=pressure, temperature=kelvin, humidity=0.3
    )
    got = astrometry.apparent(STARS, None, observer) @ observer.icrs_to_enu.T
    error = np.linalg.norm(got - vertical(distance, azimuth), axis=1) / MAS
    assert error[(distance < np.radians(80)) & (STARS.parallax > 0)].max() < 1.0


def test_some_of_the_stars() -> None:
    observer = Observer(T0, **SITE, pressure=95_000.0)
    every = astrometry.apparent(STARS, None, observer)
    some = np.array([40, 3, 1000])
    assert np.array_equal(astrometry.apparent(STARS, some, observer), every[some])
    mask = STARS.hp < 2
    assert np.array_equal(astrometry.apparent(STARS, mask, observer), every[mask])


def test_aberration_of_the_vehicle_is_towards_its_velocity() -> None:
    resting, flying = (Observer(T0, **SITE, velocity_enu=v) for v in ((0, 0, 0), (250.0, 0, 0)))
    east, north, up = resting.icrs_to_enu
    directions = np.array([up, north, east, -east])
    shift = (astrometry.aberrate(directions, flying) - astrometry.aberrate(directions, resting)) @ (
        resting.icrs_to_enu.T
    )
    want = 250.0 / 299_792_458.0  # 0.172 arcsec
    assert shift[:2, 0] == pytest.approx(want, rel=2e-3)
    assert np.abs(shift[2:]).max() < 2e-3 * want
    assert np.abs(shift[:, 1:]).max() < 2e-3 * want


def test_aberration_of_the_earth_s_motion() -> None:
    """Towards the apex of 2026-11-23, 90 deg west of the Sun: kappa = 20.5 arcsec."""
    observer = Observer(T0)
    sun = -observer.heliocentric / np.linalg.norm(observer.heliocentric)
    pole = np.array([0.0, -np.sin(np.radians(23.4364)), np.cos(np.radians(23.4364))])
    apex = np.cross(sun, pole)
    seen = astrometry.aberrate(np.array([pole, apex, sun]), observer)
    assert seen[0] @ apex / ARCSEC == pytest.approx(20.5, abs=0.4)
    assert np.linalg.norm(seen[1] - apex) / ARCSEC < 0.5
    assert seen[2] @ apex / ARCSEC == pytest.approx(20.5, abs=0.4)


def test_parallax_of_alpha_centauri_goes_round_in_a_year() -> None:
    i = STARS.index_of(71683)
    year = int(365.25 * 86400e9)
    offsets = []
    for part in np.arange(0.0, 1.0, 1 / 24):
        observer = Observer(T0 + int(part * year))
        seen = astrometry.astrometric(astrometry.apparent(STARS, np.array([i]), observer), observer)
        offsets.append(seen[0] - STARS.directions(observer.stamp_ns)[i])
    size = np.linalg.norm(offsets, axis=1).max() / ARCSEC
    assert size == pytest.approx(0.7548, rel=0.02)  # arcsec; van Leeuwen 2007
    assert np.linalg.norm(np.mean(offsets, axis=0)) / ARCSEC < 0.02


@settings(max_examples=50, deadline=None)
@given(
    stamp=stamps,
    pressure=st.floats(0, 110_000),
    seed=st.integers(0, 2**32 - 1),
    speed=st.floats(-400, 400),
)
def test_there_and_back(stamp: int, pressure: float, seed: int, speed: float) -> None:
    observer = Observer(stamp, **SITE, pressure=pressure, velocity_enu=(speed, -speed, 0.0))
    directions = np.random.default_rng(seed).normal(size=(20, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    raised = astrometry.refract(directions, observer)
    assert np.abs(np.linalg.norm(raised, axis=1) - 1).max() < 1e-12
    assert ((raised - directions) @ observer.zenith >= -1e-15).all()
    high = directions @ observer.zenith > 0.06
    back = astrometry.unrefract(raised, observer)
    assert np.abs(back - directions)[high].max(initial=0.0) / MAS < 0.01
    # what is seen of a direction at rest in vacuum, and that taken back
    sun = -observer.heliocentric / np.linalg.norm(observer.heliocentric)
    fair = high & (directions @ sun < 0.99)
    seen = astrometry.refract(astrometry.aberrate(directions, observer), observer)
    again = astrometry.astrometric(seen, observer)
    difference = np.linalg.norm(again - directions, axis=1)[fair] / MAS
    # deflection by the Sun is not in `seen`: 4.07 mas cot(elongation / 2)
    assert difference.max(initial=0.0) < 4.07 / np.tan(np.arccos(0.99) / 2) * 1.01


def test_apparent_and_astrometric_of_stars_differ_by_parallax_alone() -> None:
    observer = Observer(T0, **SITE, pressure=90_000.0)
    seen = astrometry.apparent(STARS, None, observer)
    back = astrometry.astrometric(seen, observer)
    high = seen @ observer.zenith > 0.1
    offset = np.linalg.norm(back - STARS.directions(T0), axis=1)
    assert (offset < np.abs(STARS.parallax) * 1.02 + 1.0 * MAS)[high].all()
    one = astrometry.astrometric(seen[high][0], observer)
    assert one.shape == (3,)
    assert np.allclose(one, back[high][0], atol=1e-15)


@pytest.mark.parametrize('altitude', [15, 20, 30, 45, 60, 80])
def test_refraction_at_sea_level_as_bennett_has_it(altitude: float) -> None:
    """G. G. Bennett 1982, J. Navigation 35, 255: arcmin at 1010 hPa, 10 C, apparent altitude."""
    observer = Observer(T0, **SITE, pressure=101_000.0, temperature=283.15)
    h = np.radians(altitude)
    apparent = vertical(np.array([np.pi / 2 - h]), np.array([0.7])) @ observer.icrs_to_enu
    true = astrometry.unrefract(apparent, observer)
    got = np.degrees(np.arccos(np.clip(apparent[0] @ true[0], -1, 1))) * 60
    bennett = 1 / np.tan(np.radians(altitude + 7.31 / (altitude + 4.4)))
    assert got == pytest.approx(bennett, abs=0.1)


def test_refraction_fades_with_the_air_and_ends_with_it() -> None:
    low = vertical(np.radians([45.0]), np.array([1.0]))
    angle = []
    for altitude in (0.0, 5_000.0, 10_000.0, 30_000.0):
        pressure, _ = astrometry.standard_atmosphere(altitude)
        observer = Observer(T0, 48.0, 11.0, altitude, pressure=pressure)
        direction = low @ observer.icrs_to_enu
        angle.append(np.linalg.norm(astrometry.refract(direction, observer) - direction) / ARCSEC)
    assert angle == sorted(angle, reverse=True)
    assert angle[0] == pytest.approx(57.1, abs=0.6)  # Allen: 58.2 arcsec at 0 C, 1013 hPa, dry
    assert angle[2] / angle[0] == pytest.approx(0.34, abs=0.02)  # as the density
    assert angle[3] < 1.0
    space = Observer(T0, 48.0, 11.0, 400e3)
    assert astrometry.refract(low, space) is low
    assert astrometry.refract(low, Observer(T0, pressure=101_325.0)) is low  # no known zenith


def test_refraction_near_and_below_the_horizon_stays_bounded() -> None:
    observer = Observer(T0, **SITE, pressure=101_325.0)
    distance = np.radians(np.linspace(60, 180, 2001))
    directions = vertical(distance, np.full(2001, 0.3)) @ observer.icrs_to_enu
    raised = astrometry.refract(directions, observer)
    assert np.isfinite(raised).all()
    angle = np.degrees(distance - np.arccos(raised @ observer.zenith)) * 60
    assert (angle > -1e-9).all()
    assert angle.max() < 20  # arcmin
    assert (np.diff(np.arccos(raised @ observer.zenith)) > 0).all()  # order is kept


@pytest.mark.parametrize(
    ('altitude', 'pressure', 'temperature'),
    [  # US Standard Atmosphere 1976, table I, by geometric altitude
        (0, 101325, 288.150), (5_000, 54048, 255.676), (11_000, 22700, 216.774),
        (20_000, 5529.3, 216.650), (30_000, 1197.0, 226.509), (50_000, 79.779, 270.650),
        (80_000, 1.0524, 198.639),
    ],
)  # fmt: skip
def test_standard_atmosphere(altitude: float, pressure: float, temperature: float) -> None:
    got = astrometry.standard_atmosphere(altitude)
    assert got[0] == pytest.approx(pressure, rel=3e-4)
    assert got[1] == pytest.approx(temperature, abs=0.02)
    assert astrometry.standard_atmosphere(400e3).pressure < 1e-3
    assert astrometry.standard_atmosphere(-1e7) == astrometry.standard_atmosphere(-5e3)


def test_somebody_on_the_ground_looks_through_the_standard_atmosphere() -> None:
    observer = ground_observer(T0, 48.0, 11.0, 0.0)
    assert observer.pressure == 101_325.0
    a, _ = observer.refraction_constants
    assert a / ARCSEC == pytest.approx(57.1, abs=0.6)
    assert ground_observer(T0, None, None, 0.0) == Observer(T0)


@pytest.mark.parametrize(
    ('values', 'text'),
    [
        ({'latitude': 90.1}, 'latitude 90.1 deg'),
        ({'latitude': float('nan')}, 'latitude nan'),
        ({'pressure': -1.0}, 'pressure -1.0 Pa'),
        ({'pressure': 1013.25e3}, 'pressure'),
        ({'temperature': 15.0}, r'temperature 15.0 K'),
        ({'pressure': 288.15, 'temperature': 101_325.0}, 'temperature 101325.0 K'),
    ],
)
def test_observer_refuses_what_cannot_be(values: dict[str, float], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Observer(T0, **values)


def test_observer_without_a_position() -> None:
    observer = Observer(T0, latitude=48.0)
    assert not observer.has_position
    with pytest.raises(ValueError, match='no local frame'):
        _ = observer.zenith
    position, velocity = observer.geocentric
    assert not position.any()
    assert not velocity.any()


@settings(max_examples=20, deadline=None)
@given(stamp=stamps)
def test_earth_between_the_minutes(stamp: int) -> None:
    _, exact = erfa.epv00(*terrestrial_time(stamp))
    position, velocity = Observer(stamp).barycentric
    assert np.abs(position - exact['p']).max() < 1e-10  # au
    speed = exact['v'] * 149_597_870_700.0 / 86_400 / 299_792_458.0
    assert np.abs(velocity - speed).max() / MAS < 0.001


def test_the_ground_turns_east() -> None:
    observer = Observer(T0, **SITE)
    velocity = observer.icrs_to_enu @ observer.geocentric[1]
    assert velocity == pytest.approx([465.1 * np.cos(np.radians(48.0)), 0, 0], abs=1.5)


def tt_stamp(year: int, month: int, day: int, tt_utc: float) -> int:
    moment = dt.datetime(year, month, day, tzinfo=dt.timezone.utc)
    return int(moment.timestamp()) * 10**9 - round(tt_utc * 1e9)


@pytest.mark.parametrize(
    ('name', 'stamp', 'ra', 'dec', 'tolerance'),
    [  # Meeus, Astronomical Algorithms, examples 47.a, 33.a, 25.b: true equator of date
        ('Moon', tt_stamp(1992, 4, 12, 58.184), 134.688470, 13.768368, 18.0),
        ('Venus', tt_stamp(1992, 12, 20, 59.184), 316.17291, -18.88801, 30.0),
        ('Sun', tt_stamp(1992, 10, 13, 59.184), 198.378178, -7.783871, 9.0),
    ],
)
def test_bodies_where_the_almanac_has_them(
    name: str, stamp: int, ra: float, dec: float, tolerance: float
) -> None:
    body = next(one for one in astrometry.planets(stamp) if one.name == name)
    of_date = erfa.pnm06a(*terrestrial_time(stamp)) @ body.direction
    want = erfa.s2c(np.radians(ra), np.radians(dec))
    assert np.linalg.norm(of_date - want) / ARCSEC < tolerance
    if name == 'Moon':
        assert body.distance * 149_597_870.7 == pytest.approx(368_409.7, abs=60)
        assert body.illuminated == pytest.approx(0.6786, abs=0.001)  # example 48.a


@pytest.mark.parametrize(
    ('name', 'date', 'magnitude'),
    [  # Mallama and Hilton 2018, the dates of their test cases
        ('Mercury', (2006, 5, 19), -2.477), ('Mercury', (2006, 6, 15), 0.181),
        ('Venus', (2006, 10, 28), -3.917), ('Venus', (2005, 12, 14), -4.916),
        ('Jupiter', (2004, 9, 21), -1.667), ('Jupiter', (2010, 9, 21), -2.934),
    ],
)  # fmt: skip
def test_magnitudes_of_planets(name: str, date: tuple[int, int, int], magnitude: float) -> None:
    stamp = tt_stamp(*date, 0.0)
    body = next(one for one in astrometry.planets(stamp) if one.name == name)
    assert body.magnitude == pytest.approx(magnitude, abs=0.01)


def test_the_moon_s_parallax_and_phase() -> None:
    """Full Moon on 2026-11-24, 14:53 UTC; half a degree wide; a degree lower from the ground."""
    full = int(dt.datetime(2026, 11, 24, 14, 53, tzinfo=dt.timezone.utc).timestamp()) * 10**9
    centre = {one.name: one for one in astrometry.planets(full)}
    assert centre['Moon'].illuminated > 0.995
    assert centre['Moon'].magnitude == pytest.approx(-12.7, abs=0.3)
    assert np.degrees(centre['Moon'].angular_diameter) == pytest.approx(0.53, abs=0.04)
    assert np.degrees(centre['Sun'].angular_diameter) == pytest.approx(0.54, abs=0.01)
    assert centre['Sun'].direction @ centre['Moon'].direction < -0.99
    for latitude in (-60.0, 0.0, 60.0):
        observer = Observer(full, latitude, 150.0)
        ground = {one.name: one for one in astrometry.planets(observer)}
        up = observer.zenith @ centre['Moon'].direction
        lower = np.degrees(np.arcsin(up) - np.arcsin(observer.zenith @ ground['Moon'].direction))
        assert lower == pytest.approx(0.95 * np.sqrt(1 - up**2), abs=0.08)
        assert abs(centre['Moon'].sun @ centre['Moon'].direction) < 1e-9
