# SPDX-License-Identifier: Apache-2.0
"""GNSS against the celestial fix: false alarms as often as stated, spoofers and wrong clocks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from meta_repo_ros.core.parameters import from_mapping
from meta_repo_ros.starnav.celestial_types import Fix, Source, radii
from meta_repo_ros.starnav.cross_check import CrossCheck, CrossCheckParameters, Finding

SECOND = 1_000_000_000
START = 1_790_000_000 * SECOND
PLACE = (47.26, 11.34)
STARS = Source.STARS | Source.ACCELEROMETER | Source.GYROSCOPE


def moved(east: float, north: float) -> tuple[float, float]:
    """Degrees of the place so far from ``PLACE``, m."""
    meridian, normal = radii(PLACE[0], 0.0)
    across = normal * math.cos(math.radians(PLACE[0]))
    return PLACE[0] + math.degrees(north / meridian), PLACE[1] + math.degrees(east / across)


def feed(
    check: CrossCheck,
    seconds: int,
    *,
    start: int = 0,
    gnss: tuple[float, float] = (0.0, 0.0),
    star: tuple[float, float] = (0.0, 0.0),
    sigma: float = 160.0,
    mask: Source = STARS,
) -> None:
    """Both positions at 1 Hz, so far from the place (m, east north)."""
    covariance = np.diag([sigma**2, sigma**2, 0.0])
    for i in range(start, start + seconds):
        stamp = START + i * SECOND
        check.add_gnss(stamp, *moved(*gnss), 600.0, np.eye(3))
        check.add_fix(Fix(stamp, *moved(*star), math.nan, covariance, mask))


def make(**values: Any) -> CrossCheck:
    return CrossCheck(from_mapping(CrossCheckParameters, values))


def test_false_alarms_come_as_often_as_stated() -> None:
    """The celestial error is constant within a run, as deflection and bias are."""
    rng, alarms, runs = np.random.default_rng(1), 0, 1500
    for _ in range(runs):
        check = make(false_alarm_probability=0.02)
        feed(check, 12, star=tuple((160.0 * rng.standard_normal(2)).tolist()))
        alarms += check.verdict.spoofing_suspected
    assert alarms / runs == pytest.approx(0.02, abs=0.012)


def test_a_spoofer_is_suspected_and_cleared_with_hysteresis() -> None:
    check = make()
    feed(check, 30)
    first = check.verdict
    assert first.finding is Finding.AGREE
    feed(check, 30, start=30, gnss=(700.0, 900.0))
    verdict = check.verdict
    assert verdict.spoofing_suspected
    assert verdict.finding is Finding.SPOOFING
    assert '1140 m from the celestial fix' in verdict.text
    assert verdict.statistic > verdict.threshold
    assert (verdict.east, verdict.north) == pytest.approx((700.0, 900.0), abs=5.0)
    # near enough not to raise suspicion, too far to end it; then three decisions of agreement
    course = []
    for start, north in ((60, 500.0), (90, 500.0), (120, 0.0), (150, 0.0)):
        feed(check, 20, start=start, gnss=(0.0, north))
        course.append(check.verdict.spoofing_suspected)
    assert course == [True, True, True, False]
    assert check.verdict.text == 'GNSS and celestial fix agree within 0 m'


@pytest.mark.parametrize(
    ('seconds', 'words'),
    [
        (3600.0, '1 h (clock ahead)'),
        (-3600.0, '1 h (clock behind)'),
        (-7260.0, '2 h 1 min (clock behind)'),
        (18.0, '18 s (clock ahead: GPS time instead of UTC)'),
        (60.0, '1 min (clock ahead)'),
    ],
)
def test_a_wrong_clock_is_told_from_a_spoofer(seconds: float, words: str) -> None:
    _, normal = radii(PLACE[0], 0.0)
    west = -7.292115e-5 * seconds * normal * math.cos(math.radians(PLACE[0]))
    check = make()
    feed(check, 30, star=(west + 40.0, -90.0))
    verdict = check.verdict
    assert verdict.finding is Finding.TIME
    assert verdict.spoofing_suspected  # the check failed, whoever is to blame
    assert verdict.text == f'time or longitude wrong by {words}'
    assert verdict.time_error == seconds
    check = make()
    feed(check, 30, star=(west, -3000.0))
    assert check.verdict.finding is Finding.SPOOFING


def test_in_flight_only_half_hours_can_be_told() -> None:
    _, normal = radii(PLACE[0], 0.0)
    for seconds, finding in ((3600.0, Finding.TIME), (2700.0, Finding.SPOOFING)):
        west = -7.292115e-5 * seconds * normal * math.cos(math.radians(PLACE[0]))
        check = make()
        feed(check, 30, star=(west + 15e3, 10e3), sigma=20e3)
        assert check.verdict.finding is finding


def test_a_fix_that_holds_gnss_does_not_judge_it() -> None:
    check = make()
    feed(check, 30, star=(9000.0, 0.0), mask=STARS | Source.GNSS)
    assert check.verdict.finding is Finding.NOTHING
    assert check.verdict.decisions == 0


def test_nothing_is_compared_with_old_bad_or_unwanted_gnss() -> None:
    for check in (make(), make(enabled=False)):
        if check.parameters.enabled:
            check.add_gnss(START - 10 * SECOND, *PLACE, 600.0, np.eye(3))
            check.add_gnss(START, math.nan, 11.0, 600.0, np.eye(3))
            check.add_gnss(START, *PLACE, 600.0, np.zeros((3, 3)))
        else:
            check.add_gnss(START, *PLACE, 600.0, np.eye(3))
        fix = Fix(START, *moved(9000.0, 0.0), math.nan, np.diag([1.0, 1.0, 0.0]), STARS)
        assert check.add_fix(fix).finding is Finding.NOTHING


def test_a_moving_fix_is_compared_at_the_same_time() -> None:
    check = make()
    covariance = np.diag([4.0, 4.0, 0.0])
    for i in range(20):
        stamp = START + i * SECOND
        check.add_gnss(stamp + SECOND, *moved(250.0 * (i + 1), 0.0), 600.0, np.eye(3))
        velocity = np.array([250.0, 0.0, 0.0])
        fix = Fix(stamp, *moved(250.0 * i, 0.0), math.nan, covariance, STARS, velocity)
        check.add_fix(fix)
    assert check.verdict.finding is Finding.AGREE


def test_gnss_is_the_backup_and_says_so() -> None:
    check = make()
    assert check.backup(START) is None
    check.add_gnss(START, *PLACE, math.nan, np.eye(3))
    backup = check.backup(START + SECOND)
    assert backup is not None
    assert (backup.latitude, backup.longitude) == PLACE
    assert backup.source_mask == Source.GNSS
    assert not backup.covariance[2].any()
    assert check.backup(START + 5 * SECOND) is None
    check.reset()
    assert check.backup(START) is None
