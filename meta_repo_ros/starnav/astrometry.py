# SPDX-License-Identifier: Apache-2.0
"""From catalogue places to the directions in which a camera sees the stars, and back.

What is accounted for, in this order (Explanatory Supplement to the Astronomical Almanac, 3rd ed.,
chapter 7; ERFA ``atciq`` and ``atioq``): space motion, parallax, deflection of light by the Sun,
aberration by the whole velocity (annual, of the Earth's rotation, of the vehicle over ground),
refraction of the air. Directions are unit vectors in the axes of GCRS, so an attitude found with
them is the one from GCRS to the camera; precession and nutation are in ``core.earth``.
"""

from __future__ import annotations

import erfa
import numpy as np

from meta_repo_ros.starnav.catalogue import Catalogue, years
from meta_repo_ros.starnav.observer import Observer, aberrate, standard_atmosphere
from meta_repo_ros.starnav.planets import Body, planets
from meta_repo_ros.starnav.refraction import refract, unrefract
from meta_repo_ros.starnav.types import Array, Bools, Ints

__all__ = [
    'Body', 'Observer', 'aberrate', 'apparent', 'astrometric', 'planets', 'refract',
    'standard_atmosphere', 'unrefract',
]  # fmt: skip

_LIGHT_YEARS_PER_AU = 1.0 / 63_241.077  # Julian years that light takes for one au


def apparent(
    catalogue: Catalogue,
    indices: Ints | Bools | slice | None,
    observer: Observer,
) -> Array:
    """Directions (k, 3) in which the observer's camera sees the stars, GCRS axes.

    Args:
        catalogue: the stars.
        indices: which of them, None for all.
        observer: when and where; with ``pressure`` above zero refraction is in.
    """
    which = slice(None) if indices is None else indices
    place, motion = catalogue.epoch_vectors
    place, motion = place[which], motion[which]
    position, _ = observer.barycentric
    # the epoch is that of the light's arrival at the barycentre (Roemer's delay)
    elapsed = years(observer.stamp_ns) + (place @ position) * _LIGHT_YEARS_PER_AU
    parallax = np.maximum(catalogue.parallax[which], 0.0)  # of far stars, noise about zero
    place = place + motion * elapsed[:, None] - parallax[:, None] * position
    place /= np.linalg.norm(place, axis=1, keepdims=True)
    return refract(aberrate(_deflect(place, observer), observer), observer)


def astrometric(directions: Array, observer: Observer) -> Array:
    """Directions (k, 3) in the catalogue's sense of directions seen: :func:`apparent` undone.

    Refraction, aberration and deflection are taken off; space motion and parallax have no meaning
    for a direction without a star. This is what other star maps call the place of a picture.
    """
    seen = unrefract(np.atleast_2d(directions), observer)
    guess = seen
    for _ in range(4):  # each step leaves a ten-thousandth of the error
        guess = guess + seen - aberrate(_deflect(guess, observer), observer)
        guess = guess / np.linalg.norm(guess, axis=1, keepdims=True)
    return np.asarray(guess).reshape(np.shape(directions))


def _deflect(directions: Array, observer: Observer) -> Array:
    sun = observer.heliocentric
    distance = float(np.linalg.norm(sun))
    return np.asarray(erfa.ldsun(directions, sun / distance, distance))
