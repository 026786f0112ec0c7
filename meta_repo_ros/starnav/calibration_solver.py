# SPDX-License-Identifier: Apache-2.0
"""Robust Gauss-Newton for the small, ill-conditioned problems of calibration.

``scipy.optimize.least_squares`` stalls on them: its robust losses flatten the Hessian while all
residuals are large, and its trust region creeps where an attitude and a principal point nearly
make up for each other. Weights that are computed anew each time (Huber's) have neither trouble.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from meta_repo_ros.starnav.types import Array

Equations = Callable[[Array], tuple[Array, Array]]
"""Residuals (r,) over their standard deviations at x (n,), and their derivatives (r, n)."""

_ROBUST = 3.0  # spreads up to which a residual counts in full
_PLAIN = 2  # first iterations without weights: nothing is an outlier yet
_SETTLED = 1e-4  # of a standard deviation


class Solution(NamedTuple):
    """What was found.

    Attributes:
        x: (n,).
        covariance: (n, n), widened where residuals are larger than they should be.
        scale: spread of the residuals, by their median; 1 where they are as large as declared.
    """

    x: Array
    covariance: Array
    scale: float


def solve(equations: Equations, x: Array, measured: int, iterations: int = 30) -> Solution:
    """Minimize the sum of squares, robustly.

    Args:
        equations: the problem.
        x: (n,) start.
        measured: the first so many residuals are measurements, the others what is known before.
        iterations: at most.
    """
    covariance = np.zeros((len(x), len(x)))
    scale = 1.0
    for number in range(iterations):
        residuals, jacobian = equations(x)
        size = np.abs(residuals[:measured])
        scale = max(1.4826 * float(np.median(size)), 1e-3)
        weight = np.ones(len(residuals))
        if number >= _PLAIN:
            weight[:measured] = np.minimum(1.0, _ROBUST * max(scale, 1.0) / np.maximum(size, 1e-12))
        weighted = jacobian * weight[:, np.newaxis]
        # scaled to a diagonal of ones: unknowns of all sizes
        normal = weighted.T @ jacobian
        unit = 1.0 / np.sqrt(np.maximum(np.diag(normal), 1e-300))
        inverse = np.linalg.pinv(normal * np.outer(unit, unit), rcond=1e-13, hermitian=True)
        covariance = inverse * np.outer(unit, unit)
        step = -covariance @ (weighted.T @ residuals)
        x = x + step
        deviation = np.sqrt(np.maximum(np.diag(covariance), 1e-300))
        if number > _PLAIN and float(np.max(np.abs(step) / deviation)) < _SETTLED:
            break
    return Solution(x, covariance * max(scale, 1.0) ** 2, scale)
