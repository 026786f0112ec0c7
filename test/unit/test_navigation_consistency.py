# SPDX-License-Identifier: Apache-2.0
"""Mean NEES of a few simulated flights; the full figure is in ``benchmarks.navigation``."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[2]


def _consistency() -> Any:
    sys.path.append(str(_ROOT))
    try:
        return importlib.import_module('benchmarks.consistency')
    finally:
        sys.path[:] = [entry for entry in sys.path if entry != str(_ROOT)]


def test_covariance_is_honest_where_all_errors_are_modelled() -> None:
    consistency = _consistency()
    found = consistency.row(10, 15.0, consistency.MODELLED, 0.0)
    for name in ('attitude', 'motion', 'full_state'):
        assert found[name]['inside'] >= 0.9, found


def test_an_unmodelled_error_shows() -> None:
    found = _consistency().row(6, 15.0, _consistency().MODELLED, 0.005)
    assert found['full_state']['above'] > 0.5, found
