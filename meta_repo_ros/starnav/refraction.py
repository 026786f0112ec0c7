# SPDX-License-Identifier: Apache-2.0
"""Refraction by the air above the camera, at its own pressure and temperature."""

from __future__ import annotations

import numpy as np

from meta_repo_ros.starnav.observer import Observer
from meta_repo_ros.starnav.types import Array

_LOWEST = 0.05  # sine of the altitude below which refraction grows no more (ERFA atioq)


def refract(directions: Array, observer: Observer) -> Array:
    """Directions (k, 3) raised towards the zenith by the air; the same array in vacuum.

    ``A tan z + B tan^3 z`` as ERFA ``atioq`` has it: within 0.1 arcsec of a full integration above
    15 deg of altitude, some arcseconds at 5 deg (ERFA ``refco``). Below 3 deg of altitude the
    refraction is held near its value there: do not measure with such stars.
    """
    a, b = observer.refraction_constants
    if a == 0.0:
        return directions
    zenith = observer.zenith
    sine, cosine, up = _vertical(directions, zenith)
    tangent = cosine / np.maximum(sine, _LOWEST)
    z = np.maximum(sine, _LOWEST)
    slope = b * tangent**2
    angle = (a + slope) * tangent / (1.0 + (a + 3.0 * slope) / z**2)
    return _raise(directions, up, angle)


def unrefract(directions: Array, observer: Observer) -> Array:
    """Directions (k, 3) in vacuum of directions seen through the air: :func:`refract` undone."""
    if observer.refraction_constants[0] == 0.0:
        return directions
    zenith = observer.zenith
    _, _, up = _vertical(directions, zenith)
    lowered = np.zeros(len(directions))
    for _ in range(8):
        guess = _raise(directions, up, -lowered)
        seen = refract(guess, observer)
        lowered = lowered + np.arcsin(np.clip(_altitude_step(directions, seen, up), -0.1, 0.1))
    return _raise(directions, up, -lowered)


def _vertical(directions: Array, zenith: Array) -> tuple[Array, Array, Array]:
    """Sine and cosine (k,) of the altitude, and the unit vectors (k, 3) that lead up."""
    sine = directions @ zenith
    up = zenith - sine[:, None] * directions
    cosine = np.linalg.norm(up, axis=1)
    return sine, cosine, up / np.maximum(cosine, 1e-12)[:, None]


def _raise(directions: Array, up: Array, angle: Array) -> Array:
    return np.asarray(directions * np.cos(angle)[:, None] + up * np.sin(angle)[:, None])


def _altitude_step(wanted: Array, got: Array, up: Array) -> Array:
    """Sine (k,) of the angle by which ``got`` lies above ``wanted`` in the vertical plane."""
    return np.asarray(np.einsum('ij,ij->i', got - wanted, up))
