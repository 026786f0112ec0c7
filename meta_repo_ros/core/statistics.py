# SPDX-License-Identifier: Apache-2.0
"""Chi-square gates, consistency bands, and the two consistency figures NIS and NEES.

Source: Bar-Shalom, Li, Kirubarajan, Estimation with Applications to Tracking and Navigation (2001),
section 5.4.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv

Array = NDArray[np.float64]


@lru_cache(maxsize=256)
def chi2_quantile(probability: float, dof: int) -> float:
    """Value that a chi-square variable of ``dof`` degrees of freedom stays below.

    Raises:
        ValueError: probability outside (0, 1), or dof below 1.
    """
    if not 0.0 < probability < 1.0:
        raise ValueError(f'probability must lie between 0 and 1, got {probability}')
    if dof < 1:
        raise ValueError(f'degrees of freedom must be at least 1, got {dof}')
    return float(2.0 * gammaincinv(0.5 * dof, probability))


def mean_band(dof: int, runs: int, probability: float = 0.95) -> tuple[float, float]:
    """Two-sided band of the mean of ``runs`` independent chi-square values of ``dof`` each."""
    tail = 0.5 * (1.0 - probability)
    low = chi2_quantile(tail, dof * runs) / runs
    return low, chi2_quantile(1.0 - tail, dof * runs) / runs


def normalised_squared(vector: Array, covariance: Array) -> float:
    """``vector' inv(covariance) vector``: NIS of an innovation, NEES of an estimation error.

    Args:
        vector: shape (n,).
        covariance: shape (n, n), symmetric and positive definite.

    Raises:
        numpy.linalg.LinAlgError: the covariance is singular.
    """
    return float(vector @ np.linalg.solve(covariance, vector))


def is_covariance(matrix: Array) -> bool:
    """Whether ``matrix`` (n, n) is finite, symmetric and positive definite.

    All zeros, which ROS messages use for *unknown*, is therefore no covariance.
    """
    # drivers repeat theirs: the answer is remembered
    return _is_covariance(np.asarray(matrix, np.float64).tobytes(), len(matrix))


@lru_cache(maxsize=256)
def _is_covariance(values: bytes, size: int) -> bool:
    matrix = np.frombuffer(values).reshape(size, size)
    if not np.isfinite(matrix).all():
        return False
    scale = float(np.abs(matrix).max())
    if scale == 0.0 or float(np.abs(matrix - matrix.T).max()) > 1e-6 * scale:
        return False
    try:
        np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        return False
    return True


class RunningNis:
    """Count, last value and mean of a sensor's normalised innovation squared."""

    __slots__ = ('count', 'dof', 'last', 'total')

    def __init__(self, dof: int) -> None:
        self.dof, self.count, self.last, self.total = dof, 0, float('nan'), 0.0

    def add(self, nis: float) -> None:
        """Take one value."""
        self.count += 1
        self.last = nis
        self.total += nis

    @property
    def mean(self) -> float:
        """Mean of all values, NaN before the first; ``dof`` is what it should be."""
        return self.total / self.count if self.count else float('nan')

    def state(self) -> tuple[int, float, float]:
        """What :meth:`restore` takes."""
        return self.count, self.last, self.total

    def restore(self, state: tuple[int, float, float]) -> None:
        """Go back to an earlier :meth:`state`."""
        self.count, self.last, self.total = state
