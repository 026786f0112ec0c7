# SPDX-License-Identifier: Apache-2.0
"""Hipparcos stars from the file that the package ships, and their places at a date.

The source is Hipparcos, the New Reduction (van Leeuwen 2007, CDS I/311), epoch J1991.25, ICRS;
``scripts/build_star_catalogue.py`` makes the file, ``data/hipparcos.txt`` tells of it.
"""

from __future__ import annotations

import hashlib
import io
import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property, lru_cache
from pathlib import Path
from types import MappingProxyType

import numpy as np
from scipy.spatial import cKDTree

from meta_repo_ros.starnav.types import Array, Bools, Ints

FILE = Path(__file__).parent / 'data' / 'hipparcos.npz'
FAINTEST = 8.0  # Hp of the faintest star in the file
EPOCH_NS = 670_598_941_816_000_000  # J1991.25 = JD 2448349.0625 TT = 1991-04-02T13:29:01.816 UTC
_YEAR_NS = 31_557_600_000_000_000  # Julian year
_TURN = 2.0 * math.pi / 2.0**32
_MAS = math.pi / (180.0 * 3600.0 * 1000.0)
_REPAIR = 'install meta_repo_ros again, or build the file with scripts/build_star_catalogue.py'


class CatalogueError(ValueError):
    """The star catalogue cannot be used; the message says why and what to do."""


@dataclass(frozen=True, eq=False)
class Catalogue:
    """Stars, brightest first. Arrays are read-only.

    Attributes:
        hip: (n,) Hipparcos numbers.
        ra: (n,) right ascension, ICRS at J1991.25, rad.
        dec: (n,) declination, ICRS at J1991.25, rad.
        pm_ra: (n,) proper motion in right ascension times cos(dec), rad a Julian year.
        pm_dec: (n,) proper motion in declination, rad a year.
        parallax: (n,) rad.
        error: (n,) standard error of the place at J1991.25, the worse axis, rad.
        pm_error: (n,) standard error of the proper motion over decades, the worse axis, rad a
            year; larger where the star is known to be double and not to move straight.
        hp: (n,) Hipparcos magnitude.
        v: (n,) Johnson magnitude, derived from Hp and B-V.
        b_v: (n,) Johnson colour.
        solution: (n,) type of solution of I/311: 10 d + s. s: 5 standard, 1 stochastic, 3 with a
            variable, 7 and 9 accelerated, 0 other; d: 1 double, 2 variable, 4 photocentre,
            8 secondary, and sums of them.
        names: by Hipparcos number: name of the IAU, else the designation of Bayer or Flamsteed.
    """

    hip: Ints
    ra: Array
    dec: Array
    pm_ra: Array
    pm_dec: Array
    parallax: Array
    error: Array
    pm_error: Array
    hp: Array
    v: Array
    b_v: Array
    solution: Ints
    names: Mapping[int, str]

    def __len__(self) -> int:
        return len(self.hip)

    @property
    def double(self) -> Bools:
        """Known doubles (n,): the middle of the image can lie an arcsecond off the place."""
        return np.asarray(self.solution // 10 % 2 == 1)

    @cached_property
    def epoch_vectors(self) -> tuple[Array, Array]:
        """Unit vectors (n, 3) at J1991.25, and their change a year."""
        sin_ra, cos_ra = np.sin(self.ra), np.cos(self.ra)
        sin_dec, cos_dec = np.sin(self.dec), np.cos(self.dec)
        p = np.column_stack([cos_dec * cos_ra, cos_dec * sin_ra, sin_dec])
        east = np.column_stack([-sin_ra, cos_ra, np.zeros_like(sin_ra)])
        north = np.column_stack([-sin_dec * cos_ra, -sin_dec * sin_ra, cos_dec])
        return p, east * self.pm_ra[:, None] + north * self.pm_dec[:, None]

    def directions(self, stamp_ns: int) -> Array:
        """Barycentric ICRS unit vectors (n, 3) at ``stamp_ns`` (UTC, ns of the Unix epoch).

        Uniform space motion without radial velocity (ESA 1997, Hipparcos vol. 1, section 1.5.5,
        with zeta = 0). Parallax and aberration are in :func:`.astrometry.apparent`.
        """
        p, motion = self.epoch_vectors
        moved = p + motion * years(stamp_ns)
        return np.asarray(moved / np.linalg.norm(moved, axis=1, keepdims=True))

    def position_error(self, stamp_ns: int) -> Array:
        """Standard error (n,) of the places at ``stamp_ns``, the worse axis, rad."""
        return np.asarray(np.hypot(self.error, self.pm_error * years(stamp_ns)))

    def brighter_than(self, magnitude: float) -> Catalogue:
        """The stars of ``magnitude`` (Hp) and brighter; their indices stay the same."""
        n = int(np.searchsorted(self.hp, magnitude, side='right'))
        return self if n == len(self) else self.take(slice(n))

    def take(self, which: slice | Ints | Bools) -> Catalogue:
        """A catalogue of some of the stars, for instance ``catalogue.take(mask)``."""
        columns = {f.name: getattr(self, f.name)[which] for f in fields(self) if f.name != 'names'}
        return Catalogue(
            **{name: _frozen(value) for name, value in columns.items()}, names=self.names
        )

    def index_of(self, hip: int) -> int:
        """Index of a Hipparcos number.

        Raises:
            KeyError: the star is not in this catalogue.
        """
        try:
            return self._index[hip]
        except KeyError:
            raise KeyError(
                f'HIP {hip} is not among the {len(self)} stars to Hp '
                f'{self.hp[-1] if len(self) else math.nan:.2f}'
            ) from None

    @cached_property
    def _index(self) -> dict[int, int]:
        return {int(hip): i for i, hip in enumerate(self.hip)}

    def name(self, hip: int) -> str:
        """Name for people: ``Sirius``, ``beta Tri``, ``61 Cyg``, or ``HIP 12345``."""
        return self.names.get(int(hip), f'HIP {hip}')

    def crowded(self, radius: float, fainter_by: float = 3.0) -> Bools:
        """Stars (n,) whose image a neighbour of this catalogue within ``radius`` (rad) disturbs.

        Args:
            radius: of the star images, rad.
            fainter_by: neighbours fainter than the star by more magnitudes do not count.
        """
        disturbed = np.zeros(len(self), dtype=bool)
        tree = cKDTree(self.epoch_vectors[0])
        pairs = tree.query_pairs(2.0 * math.sin(radius / 2.0), output_type='ndarray')
        bright, faint = pairs.min(axis=1), pairs.max(axis=1)  # the brightest stand first
        disturbed[faint] = True
        disturbed[bright[self.hp[faint] - self.hp[bright] <= fainter_by]] = True
        return disturbed


def years(stamp_ns: int) -> float:
    """Julian years from J1991.25 to ``stamp_ns``; leap seconds since then count for nothing."""
    return (stamp_ns - EPOCH_NS) / _YEAR_NS


def load(magnitude_limit: float = 6.0) -> Catalogue:
    """The shipped catalogue to ``magnitude_limit`` (Hp), read and checked once a process.

    Raises:
        CatalogueError: the file is missing or damaged, or the limit is not from 0 to 8.
    """
    if not 0.0 <= magnitude_limit <= FAINTEST:
        raise CatalogueError(
            f'magnitude limit {magnitude_limit} is not between 0 and {FAINTEST:g}: '
            f'the shipped catalogue has the stars to Hp {FAINTEST:g}'
        )
    return _limited(float(magnitude_limit))


@lru_cache(maxsize=8)
def _limited(magnitude_limit: float) -> Catalogue:
    return _whole().brighter_than(magnitude_limit)


@lru_cache(maxsize=1)
def _whole() -> Catalogue:
    return read(FILE)


def read(path: Path) -> Catalogue:
    """A catalogue file of ``scripts/build_star_catalogue.py``, checked by ``<path>.sha256``.

    Raises:
        CatalogueError: the file or its checksum is missing, or the file is damaged.
    """
    checksum = path.with_name(path.name + '.sha256')
    try:
        content = path.read_bytes()
        expected = checksum.read_text(encoding='ascii').split()
    except (OSError, UnicodeDecodeError) as error:
        raise CatalogueError(f'star catalogue {path} cannot be read: {error}; {_REPAIR}') from error
    found = hashlib.sha256(content).hexdigest()
    if found not in expected[:1]:
        raise CatalogueError(
            f'star catalogue {path} is damaged: its sha256 is {found[:16]}..., {checksum.name} '
            f'asks for {"".join(expected[:1])[:16] or "nothing"}...; {_REPAIR}'
        )
    try:
        return _decode(content)
    except (KeyError, ValueError, zipfile.BadZipFile, EOFError) as error:
        raise CatalogueError(
            f'star catalogue {path} is of another version of meta_repo_ros: {error}; {_REPAIR}'
        ) from error


def _decode(content: bytes) -> Catalogue:
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        names = dict(zip(file['name_hip'].tolist(), file['name'].astype(str).tolist(), strict=True))
        mas = {key: _frozen(file[key] * (0.01 * _MAS))
               for key in ('pm_ra', 'pm_dec', 'parallax', 'error', 'pm_error')}  # fmt: skip
        return Catalogue(
            hip=_frozen(file['hip'].astype(np.int64)),
            ra=_frozen(file['ra'] * _TURN),
            dec=_frozen(file['dec'] * _TURN),
            hp=_frozen(file['hp'] * 1e-4),
            v=_frozen(file['v'] * 1e-3),
            b_v=_frozen(file['b_v'] * 1e-3),
            solution=_frozen(file['solution'].astype(np.int64)),
            names=MappingProxyType(names),
            **mas,
        )


def _frozen(values: np.ndarray) -> np.ndarray:
    values = np.ascontiguousarray(values)
    values.flags.writeable = False
    return values
