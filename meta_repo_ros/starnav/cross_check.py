# SPDX-License-Identifier: Apache-2.0
"""Cross-check of GNSS by the celestial fix: spoofing, a wrong clock, and GNSS as the backup.

Both give a place; their difference has a known covariance, so its normalised square is a chi-square
variable of two degrees of freedom while all is well. Successive celestial fixes err alike (bias,
deflection of the vertical), so tests closer together than ``spacing`` are one test, and their mean
is tested, not their number: the celestial covariance counts in full, that of GNSS divided by the
number of fixes. One decision is false with ``false_alarm_probability`` at most; with one decision
in ``spacing`` seconds that is the rate of false alarms.

A clock that is wrong moves the celestial longitude alone, by 15.04 arcsec each second, and leaves
the latitude where it was. Such a difference is told apart: it may be the clock or the longitude.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

import numpy as np

from meta_repo_ros.core.geodesy import EARTH_RATE
from meta_repo_ros.core.parameters import parameter
from meta_repo_ros.core.statistics import chi2_quantile, is_covariance
from meta_repo_ros.core.time import NANOSECONDS
from meta_repo_ros.starnav.celestial_types import Array, Fix, Source, radii

_PAIRED = 2.0  # s, a GNSS fix so near to a celestial one is compared with it
_KNOWN_OFFSETS = {18: 'GPS time instead of UTC', 37: 'TAI instead of UTC'}  # s
_STEPS = ((10.0, 60.0), (150.0, 1800.0))
# s: a sigma up to the first tells multiples of the second apart: minutes, half hours (time zones)


@dataclass(frozen=True)
class CrossCheckParameters:
    """Cross-check between GNSS and the celestial fix."""

    enabled: bool = parameter(True, 'Compare GNSS with the celestial fix.')
    false_alarm_probability: float = parameter(
        1e-6, 'Probability that one decision raises suspicion wrongly.', minimum=1e-12, maximum=0.1
    )
    clear_probability: float = parameter(
        0.05, 'Suspicion ends below the bound that good data exceed with this probability.',
        minimum=1e-3, maximum=0.5,
    )  # fmt: skip
    spacing: float = parameter(
        10.0, 'Time of comparisons that make one decision.', unit='s', minimum=0.1, maximum=3600.0
    )
    raise_count: int = parameter(1, 'Decisions in a row that raise suspicion.', minimum=1)
    clear_count: int = parameter(3, 'Decisions in a row that end it.', minimum=1)


class Finding(enum.Enum):
    """What the comparison says."""

    NOTHING = 'not compared'
    AGREE = 'agree'
    SPOOFING = 'spoofing suspected'
    TIME = 'time or longitude wrong'


@dataclass(frozen=True)
class Verdict:
    """Result of the comparison so far.

    Attributes:
        finding: what it says.
        text: for people.
        spoofing_suspected: the cross-check failed, of either kind.
        statistic: last normalised square of the mean difference; NaN before the first decision.
        threshold: above it suspicion is raised.
        east: GNSS minus celestial, m.
        north: m.
        time_error: clock ahead of UTC, s, if the clock is to blame; NaN otherwise.
        decisions: made so far.
        stamp: of the last one, ns.
    """

    finding: Finding = Finding.NOTHING
    text: str = 'GNSS and celestial fix not compared yet'
    spoofing_suspected: bool = False
    statistic: float = math.nan
    threshold: float = math.nan
    east: float = math.nan
    north: float = math.nan
    time_error: float = math.nan
    decisions: int = 0
    stamp: int = 0


class CrossCheck:
    """Takes both positions as they come.

    Args:
        parameters: of the check.

    Attributes:
        verdict: the result so far.
    """

    def __init__(self, parameters: CrossCheckParameters) -> None:
        self.parameters = parameters
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.verdict = Verdict(threshold=self._threshold(self.parameters.false_alarm_probability))
        self._gnss: tuple[int, float, float, float, Array] | None = None
        self._rows: list[tuple[float, float, Array, Array]] = []
        self._began = 0
        self._against = self._for = 0

    def add_gnss(
        self, stamp: int, latitude: float, longitude: float, altitude: float, covariance: Array
    ) -> None:
        """Take a GNSS fix: ns, deg, deg, m, (3, 3) m2 east north up; a bad one is passed over."""
        matrix = np.asarray(covariance, np.float64).reshape(3, 3)
        if is_covariance(matrix) and math.isfinite(latitude + longitude):
            self._gnss = (stamp, latitude, longitude, altitude, np.array(matrix))

    def add_fix(self, fix: Fix) -> Verdict:
        """Take a celestial fix; one that contains GNSS cannot judge it and is passed over."""
        gnss = self._gnss
        if (
            not self.parameters.enabled
            or gnss is None
            or fix.source_mask & Source.GNSS
            or abs(gnss[0] - fix.stamp) > _PAIRED * NANOSECONDS
        ):
            return self.verdict
        _, latitude, longitude, _, covariance = gnss
        meridian, normal = radii(fix.latitude, 0.0)
        across = normal * math.cos(math.radians(fix.latitude))
        between = (gnss[0] - fix.stamp) / NANOSECONDS
        east, north = (0.0, 0.0)
        if np.isfinite(fix.velocity).all():
            east, north = (between * fix.velocity[:2]).tolist()
        east = math.radians(math.remainder(longitude - fix.longitude, 360.0)) * across - east
        north = math.radians(latitude - fix.latitude) * meridian - north
        if not self._rows:
            self._began = fix.stamp
        self._rows.append((east, north, fix.covariance[:2, :2], covariance[:2, :2]))
        if fix.stamp - self._began >= self.parameters.spacing * NANOSECONDS or (
            self.verdict.decisions == 0 and len(self._rows) > 1
        ):
            self._decide(fix, across)
        return self.verdict

    def backup(self, stamp: int, maximum_age: float = 2.0) -> Fix | None:
        """The last GNSS fix as a position that says it is one, None where it is too old."""
        gnss = self._gnss
        if gnss is None or stamp - gnss[0] > maximum_age * NANOSECONDS:
            return None
        when, latitude, longitude, altitude, covariance = gnss
        if not math.isfinite(altitude):
            altitude, covariance = math.nan, covariance.copy()
            covariance[2, :] = covariance[:, 2] = 0.0
        return Fix(when, latitude, longitude, altitude, covariance, Source.GNSS)

    def _threshold(self, probability: float) -> float:
        return chi2_quantile(1.0 - probability, 2)

    def _decide(self, fix: Fix, across: float) -> None:
        p, rows = self.parameters, self._rows
        off = np.mean([row[:2] for row in rows], axis=0)
        celestial = rows[-1][2]
        gnss = np.mean([row[3] for row in rows], axis=0) / len(rows)
        s = celestial + gnss
        self._rows = []
        statistic = float(off @ np.linalg.solve(s, off))
        high = self._threshold(p.false_alarm_probability)
        self._against = self._against + 1 if statistic > high else 0
        self._for = self._for + 1 if statistic < self._threshold(p.clear_probability) else 0
        suspected = self.verdict.spoofing_suspected
        suspected = (suspected and self._for < p.clear_count) or self._against >= p.raise_count
        east, north = off.tolist()
        error = _time_error(east, north, s, across) if suspected else math.nan
        if not suspected:
            finding = Finding.AGREE
            text = f'GNSS and celestial fix agree within {math.hypot(east, north):.0f} m'
        elif math.isfinite(error):
            finding, text = Finding.TIME, f'time or longitude wrong by {_spoken(error)}'
        else:
            finding = Finding.SPOOFING
            text = (
                f'GNSS is {math.hypot(east, north):.0f} m from the celestial fix, whose horizontal '
                f'sigma is {fix.horizontal_sigma:.0f} m: spoofing suspected'
            )
        self.verdict = Verdict(
            finding, text, suspected, statistic, high, east, north, error,
            self.verdict.decisions + 1, fix.stamp,
        )  # fmt: skip


def _time_error(east: float, north: float, covariance: Array, across: float) -> float:
    """Error of the clock, s ahead, that explains the difference; NaN where none does.

    The Earth turns east: a clock ahead by t puts the celestial fix west by the angle of t, and
    GNSS east of it.
    """
    turned = east / across / EARTH_RATE  # sidereal rate: the stars, not the Sun
    sigma = math.sqrt(float(covariance[0, 0])) / across / EARTH_RATE
    if abs(north) > 3.0 * math.sqrt(float(covariance[1, 1])):
        return math.nan
    step = next((step for limit, step in _STEPS if sigma <= limit), None)
    if step is None:
        return math.nan
    whole = [step * round(turned / step)]
    if step == _STEPS[0][1]:
        whole += [*_KNOWN_OFFSETS, *(-k for k in _KNOWN_OFFSETS)]
    for seconds in whole:
        # refraction, precession and the like change a little with so wrong a time
        tolerance = 3.0 * sigma + 1e-4 * abs(seconds)
        if seconds and abs(turned - seconds) <= tolerance:
            return float(seconds)
    return math.nan


def _spoken(seconds: float) -> str:
    """Seconds as hours, minutes and seconds, for people."""
    size = round(abs(seconds))
    hours, rest = divmod(size, 3600)
    minutes, rest = divmod(rest, 60)
    parts = [f'{n} {unit}' for n, unit in ((hours, 'h'), (minutes, 'min'), (rest, 's')) if n]
    hint = _KNOWN_OFFSETS.get(size, '')
    way = 'clock ahead' if seconds > 0.0 else 'clock behind'
    return ' '.join(parts) + f' ({way}{": " + hint if hint else ""})'
