# SPDX-License-Identifier: Apache-2.0
"""Gates and bands against the published tables."""

from __future__ import annotations

import numpy as np
import pytest

from meta_repo_ros.core.statistics import (
    RunningNis,
    chi2_quantile,
    is_covariance,
    mean_band,
    normalised_squared,
)


@pytest.mark.parametrize(
    ('probability', 'dof', 'expected'),
    [(0.99, 1, 6.63), (0.999, 1, 10.83), (0.99, 3, 11.34), (0.999, 3, 16.27), (0.999, 6, 22.46)],
)
def test_quantiles_match_the_table(probability: float, dof: int, expected: float) -> None:
    assert chi2_quantile(probability, dof) == pytest.approx(expected, abs=0.006)


@pytest.mark.parametrize(('dof', 'low', 'high'), [(3, 2.36, 3.72), (15, 13.52, 16.56)])
def test_band_of_fifty_runs(dof: int, low: float, high: float) -> None:
    assert mean_band(dof, 50) == pytest.approx((low, high), abs=0.006)


def test_quantile_refuses_nonsense() -> None:
    with pytest.raises(ValueError, match='between 0 and 1'):
        chi2_quantile(1.0, 3)
    with pytest.raises(ValueError, match='at least 1'):
        chi2_quantile(0.9, 0)


def test_normalised_squared_is_the_mahalanobis_distance_squared() -> None:
    assert normalised_squared(np.array([2.0, 3.0]), np.diag([4.0, 9.0])) == pytest.approx(2.0)


@pytest.mark.parametrize(
    ('matrix', 'good'),
    [
        (np.diag([1.0, 2.0, 3.0]), True),
        (np.zeros((3, 3)), False),
        (np.diag([1.0, 0.0, 1.0]), False),
        (np.diag([1.0, -1.0, 1.0]), False),
        (np.diag([1.0, np.nan, 1.0]), False),
        (np.array([[1.0, 0.5], [0.0, 1.0]]), False),
        (np.array([[1.0, 2.0], [2.0, 1.0]]), False),
    ],
)
def test_what_is_a_covariance(matrix: np.ndarray, good: bool) -> None:
    assert is_covariance(matrix) is good


def test_running_nis_goes_back() -> None:
    nis = RunningNis(3)
    assert np.isnan(nis.mean)
    nis.add(2.0)
    state = nis.state()
    nis.add(4.0)
    assert (nis.mean, nis.last, nis.count) == (3.0, 4.0, 2)
    nis.restore(state)
    assert (nis.mean, nis.last, nis.count) == (2.0, 2.0, 1)
