# SPDX-License-Identifier: Apache-2.0
"""Sun, Moon and planets: where they stand, how bright and how large they are.

ERFA ``plan94`` (Simon et al. 1994) and ``moon98`` (Meeus 1998). Errors of the directions seen from
the Earth, from the errors in longitude that ERFA quotes for 1800 to 2100: Sun 9 arcsec, Mercury
15, Venus 60, Mars 90, Jupiter 100, Saturn 100, Uranus 90, Neptune 11, Moon 18. Enough to tell
a planet from a star and to draw the sky, not to measure by them.

Magnitudes: Mallama and Hilton 2018, Astronomy and Computing 25, 10 (Mars without its rotation,
0.1; Uranus without its latitude, 0.05; Saturn with its rings); the Moon's by Allen,
Astrophysical Quantities.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import erfa
import numpy as np

from meta_repo_ros.starnav.observer import Observer, aberrate, terrestrial_time
from meta_repo_ros.starnav.refraction import refract
from meta_repo_ros.starnav.types import Array

_C_AU_DAY = 173.144632674  # speed of light, au a day
_AU_KM = 149_597_870.7
# Volumetric or equatorial radii, km: IAU Working Group on Cartographic Coordinates 2015
_PLANETS = {'Mercury': (1, 2_440.5), 'Venus': (2, 6_051.8), 'Mars': (4, 3_396.2),
            'Jupiter': (5, 71_492.0), 'Saturn': (6, 60_268.0), 'Uranus': (7, 25_559.0),
            'Neptune': (8, 24_764.0)}  # fmt: skip
_SUN_KM = 695_700.0
_MOON_KM = 1_737.4
_MOON_DISTANCE = 0.002_569_56  # mean, au
_SATURN_POLE = (math.radians(40.589), math.radians(83.537))  # right ascension, declination, J2000


@dataclass(frozen=True)
class Body:
    """A body of the solar system as seen.

    Attributes:
        name: ``Sun``, ``Moon``, ``Mercury`` to ``Neptune``.
        direction: (3,) unit vector in the axes of GCRS, with refraction where there is air.
        magnitude: V.
        angular_diameter: rad.
        distance: au.
        illuminated: lit fraction of the disc, 0 to 1.
        sun: (3,) unit vector across the line of sight, from the body's disc towards the Sun: where
            its bright limb is.
    """

    name: str
    direction: Array
    magnitude: float
    angular_diameter: float
    distance: float
    illuminated: float
    sun: Array


def planets(observer: Observer | int) -> tuple[Body, ...]:
    """Sun, Moon and the planets to Neptune.

    Args:
        observer: with a position, the Moon's parallax of up to a degree is in; or a stamp alone
            (UTC, ns of the Unix epoch): seen from the centre of the Earth, in vacuum.
    """
    if isinstance(observer, int):
        observer = Observer(observer)
    tt1, tt2 = terrestrial_time(observer.stamp_ns)
    here = observer.heliocentric  # au
    own = observer.geocentric[0] / (_AU_KM * 1e3)
    # seen where it was when the light left it, in the frame of the barycentre: 20 arcsec for the
    # Moon, which moves with the Earth; the Sun hardly moves there
    _, velocity = observer.barycentric
    delay = _MOON_DISTANCE / _C_AU_DAY
    moon = np.asarray(erfa.moon98(tt1, tt2 - delay)['p']) - velocity * _MOON_DISTANCE - own
    positions = {'Sun': -here, 'Moon': moon}
    for name, (number, _) in _PLANETS.items():
        delay = 0.0
        for _ in range(3):
            vector = np.asarray(erfa.plan94(tt1, tt2 - delay, number)['p']) - here
            delay = float(np.linalg.norm(vector)) / _C_AU_DAY
        positions[name] = vector
    vectors = np.array(list(positions.values()))
    distances = np.linalg.norm(vectors, axis=1)
    seen = refract(aberrate(vectors / distances[:, None], observer), observer)
    bodies = []
    for index, name in enumerate(positions):
        bodies.append(_body(name, seen[index], vectors[index], here, seen[0]))
    return tuple(bodies)


def _body(name: str, seen: Array, vector: Array, here: Array, sun_seen: Array) -> Body:
    distance = float(np.linalg.norm(vector))
    from_sun = vector + here
    sun_distance = float(np.linalg.norm(from_sun))
    if name == 'Sun':
        return Body(name, seen, -26.74 + 5.0 * math.log10(distance),
                    2.0 * math.asin(_SUN_KM / _AU_KM / distance), distance, 1.0, seen)  # fmt: skip
    phase = math.acos(
        float(np.clip(vector @ from_sun / (distance * sun_distance), -1.0, 1.0))
    )  # angle Sun, body, observer
    radius = _MOON_KM if name == 'Moon' else _PLANETS[name][1]
    across = sun_seen - (sun_seen @ seen) * seen
    return Body(
        name=name,
        direction=seen,
        magnitude=_magnitude(name, phase, vector, from_sun),
        angular_diameter=2.0 * math.asin(radius / _AU_KM / distance),
        distance=distance,
        illuminated=(1.0 + math.cos(phase)) / 2.0,
        sun=across / max(float(np.linalg.norm(across)), 1e-12),
    )


def _magnitude(name: str, phase: float, vector: Array, from_sun: Array) -> float:
    i = math.degrees(phase)
    distance, sun_distance = float(np.linalg.norm(vector)), float(np.linalg.norm(from_sun))
    spread = 5.0 * math.log10(sun_distance * distance)
    if name == 'Moon':
        mean = 5.0 * math.log10(distance / _MOON_DISTANCE * sun_distance)
        return -12.73 + 0.026 * i + 4e-9 * i**4 + mean
    if name == 'Saturn':
        return spread + _saturn(i, vector, from_sun)
    return spread + _PHASE[name](i)


def _mercury(i: float) -> float:
    terms = (6.3280e-02, -1.6336e-03, 3.3644e-05, -3.4265e-07, 1.6893e-09, -3.0334e-12)
    return -0.613 + sum(term * i ** (n + 1) for n, term in enumerate(terms))


def _venus(i: float) -> float:
    if i <= 163.7:
        return -4.384 - 1.044e-03 * i + 3.687e-04 * i**2 - 2.814e-06 * i**3 + 8.938e-09 * i**4
    return 236.05828 - 2.81914 * i + 8.39034e-03 * i**2


def _mars(i: float) -> float:
    if i <= 50.0:
        return -1.601 + 0.02267 * i - 0.0001302 * i**2
    return -0.367 - 0.02573 * i + 0.0003445 * i**2


def _jupiter(i: float) -> float:
    return -9.395 - 3.7e-04 * i + 6.16e-04 * i**2


def _saturn(i: float, vector: Array, from_sun: Array) -> float:
    """Globe and rings: the ring's tilt is the mean of those to the Earth and to the Sun."""
    ra, dec = _SATURN_POLE
    pole = np.array([math.cos(dec) * math.cos(ra), math.cos(dec) * math.sin(ra), math.sin(dec)])
    to_earth = math.asin(float(-vector @ pole / np.linalg.norm(vector)))
    to_sun = math.asin(float(-from_sun @ pole / np.linalg.norm(from_sun)))
    product = to_earth * to_sun
    beta = math.sin(math.sqrt(product)) if product > 0.0 else 0.0
    return -8.914 - 1.825 * beta + 0.026 * i - 0.378 * beta * math.exp(-2.25 * i)


def _uranus(i: float) -> float:
    return -7.110 + 6.587e-03 * i + 1.045e-04 * i**2


def _neptune(_i: float) -> float:
    return -7.00


_PHASE = {'Mercury': _mercury, 'Venus': _venus, 'Mars': _mars, 'Jupiter': _jupiter,
          'Uranus': _uranus, 'Neptune': _neptune}  # fmt: skip
