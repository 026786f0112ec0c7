# SPDX-License-Identifier: Apache-2.0
"""Identification from an attitude that is nearly known."""

from __future__ import annotations

import math

import numpy as np

from meta_repo_ros.core.rotations import exp, to_matrix
from meta_repo_ros.starnav.identification.verification import Fit, Solution, Verifier
from meta_repo_ros.starnav.types import Array

WIDEST = math.radians(2.0)  # of a hint's standard deviation; beyond, triangles are faster
_REACH = 3.5  # standard deviations
_MOST = 4000  # pairs of a centroid and a star that are compared with each other


def track(
    verifier: Verifier, hint: Array, sigma: float, accept: float
) -> tuple[Solution | None, int]:
    """Find the small rotation on which most pairs of a centroid and a near star agree.

    Args:
        verifier: of the view.
        hint: (3, 3) icrs_to_camera.
        sigma: standard deviation of the hint about each axis, rad.
        accept: greatest expected number of false alarms.

    Returns:
        The solution where it is accepted, and the number of rotations compared.
    """
    view = verifier.view
    reach = math.tan(min(_REACH * sigma, 1.0)) + 4.0 * math.sqrt(float(view.area.max()))
    corner = math.tan(view.radius)
    near, place = verifier.stars(Fit(hint), reach)
    if not len(place):
        return None, 0
    turns: Array = np.zeros(1)
    spread = reach * corner
    # one turn about the axis serves as far as it moves a corner by less than a quarter of it
    window = min(reach, max(0.15 * reach, 6.0 * math.sqrt(float(view.area.max()))))
    if spread > window:
        half = math.ceil(spread / window)
        turns = np.linspace(-_REACH * sigma, _REACH * sigma, 2 * half + 1)
    dx = view.plane[:, 0, None] - place[:, 0]
    dy = view.plane[:, 1, None] - place[:, 1]
    limit = reach * (1.0 + corner)
    row, star = np.nonzero((np.abs(dx) < limit) & (np.abs(dy) < limit))
    if len(row) > _MOST:
        row, star = row[:_MOST], star[:_MOST]
    if not len(row):
        return None, 0
    x, y = place[star].T
    dx, dy = dx[row, star], dy[row, star]
    # a turn t about the axis moves a star by t (-y, x)
    u = dx + turns[:, None] * y
    v = dy - turns[:, None] * x
    side = 2 * math.ceil(limit * (1.0 + abs(float(turns[-1]))) / window) + 4
    column = (u / window + 0.5 * side).astype(np.int64)
    line = (v / window + 0.5 * side).astype(np.int64)
    np.clip(column, 0, side - 1, out=column)
    np.clip(line, 0, side - 1, out=line)
    cell = (np.arange(len(turns))[:, None] * side + line) * side + column
    votes = np.bincount(cell.ravel(), minlength=len(turns) * side * side)
    votes = votes.reshape(len(turns), side, side)
    votes = votes[:, 1:] + votes[:, :-1]
    votes = votes[:, :, 1:] + votes[:, :, :-1]
    turn, low, left = np.unravel_index(int(votes.argmax()), votes.shape)
    agree = (line[turn] - low < 2) & (line[turn] >= low)
    agree &= (column[turn] - left < 2) & (column[turn] >= left)
    rotation = _moved(hint, float(turns[turn]), float(np.median(u[turn, agree])),
                      float(np.median(v[turn, agree])))  # fmt: skip
    trials = cell.size
    found = verifier.verify(Fit(rotation), 2.0 * window, trials, accept, near=near)
    return found, trials


def _moved(rotation: Array, turn: float, x: float, y: float) -> Array:
    """Rotate the camera so that what was on its axis comes to (x, y), after a turn about it."""
    # the image of the axis moves by (phi_y, -phi_x)
    small = to_matrix(exp((-math.atan(y), math.atan(x), turn)))
    return np.asarray(small @ rotation)
