# SPDX-License-Identifier: Apache-2.0
"""Solve star fields with the peers; runs in their own Python, which need not have this package.

``python starnav_peers.py FIELDS.npz`` prints JSON: for each peer that is installed a list with one
entry a field: milliseconds, and the direction of the optical axis or null.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import time
from typing import Any, Protocol

import numpy as np

TIMEOUT_MS = 1000
MATCH_RADIUS = 0.003  # of cedar-solve: its default takes wrong stars too


class Solver(Protocol):
    """A peer."""

    def __call__(self, uv: Any, flux: Any, size: int, fov: float) -> Any:
        """Direction of the optical axis (3,), or None."""
        ...


def cedar(bound: float) -> Solver | None:
    """cedar-solve with its default database, None where it is not installed."""
    try:
        module = importlib.import_module('tetra3')
    except ImportError:
        return None
    solver = module.Tetra3()

    def solve(uv: Any, flux: Any, size: int, fov: float) -> Any:
        del flux  # the order says it
        found = solver.solve_from_centroids(
            uv[:, ::-1] + 0.5, (size, size), fov_estimate=fov, fov_max_error=bound * fov,
            match_radius=MATCH_RADIUS, solve_timeout=TIMEOUT_MS,
        )  # fmt: skip
        if found['RA'] is None:
            return None
        ra, dec = math.radians(found['RA']), math.radians(found['Dec'])
        return [math.cos(dec) * math.cos(ra), math.cos(dec) * math.sin(ra), math.sin(dec)]

    return solve


def tetra3rs(bound: float) -> Solver | None:
    """tetra3rs with a database to G 7 for 10 to 30 deg, None where it is not installed."""
    try:
        module = importlib.import_module('tetra3rs')
    except ImportError:
        return None
    database = module.SolverDatabase.generate_from_gaia(
        max_fov_deg=30.0, min_fov_deg=10.0, star_max_magnitude=7.0, epoch_proper_motion_year=2026
    )

    def solve(uv: Any, flux: Any, size: int, fov: float) -> Any:
        stars = np.column_stack((uv - 0.5 * (size - 1), flux))
        found = database.solve_from_centroids(
            stars, fov_estimate_deg=fov, fov_max_error_deg=bound * fov, image_width=size,
            image_height=size, solve_timeout_ms=TIMEOUT_MS,
        )  # fmt: skip
        return [float(x) for x in found.rotation_matrix_icrs_to_camera[2]] if found else None

    return solve


def main() -> None:
    """Solve all fields of a file with every peer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('fields', help='npz file: uv, flux, edge, size, fov (deg), bound')
    file = np.load(parser.parse_args().fields)
    bound, size = float(file['bound']), int(file['size'])
    fields = list(zip(file['edge'][:-1], file['edge'][1:], file['fov'], strict=True))
    result = {}
    for name, make in (('cedar-solve', cedar), ('tetra3rs', tetra3rs)):
        solver = make(bound)
        if solver is None:
            continue
        rows = []
        for begin, end, fov in [fields[0], *fields]:  # the first one warms up
            start = time.perf_counter()
            axis = solver(file['uv'][begin:end], file['flux'][begin:end], size, float(fov))
            rows.append({'ms': 1e3 * (time.perf_counter() - start), 'axis': axis})
        result[name] = rows[1:]
    print(json.dumps(result))


if __name__ == '__main__':
    main()
