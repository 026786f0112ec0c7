# SPDX-License-Identifier: Apache-2.0
"""Indices for narrow and wide fields of view, built when first needed and kept on disk."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import tempfile
import threading
import zipfile
from pathlib import Path

import numpy as np

from meta_repo_ros.starnav.catalogue import Catalogue
from meta_repo_ros.starnav.identification import index
from meta_repo_ros.starnav.identification.search import Level
from meta_repo_ros.starnav.types import Array

# brightest stars, and mean number of neighbours that a triangle's corner may have
SIZES = ((1500, 44), (4600, 44), (14000, 18), (38000, 14))
IDEAL, FEWEST, MOST = 32.0, 7.0, 130.0  # stars of a level in the image
_VERSION = 1
_YEAR_NS = 31_557_600_000_000_000
_lock = threading.Lock()
_memory: dict[str, Level] = {}


def cache_directory() -> Path:
    """Where indices are kept: ``$XDG_CACHE_HOME/meta_repo_ros``, by default in ``~/.cache``."""
    base = os.environ.get('XDG_CACHE_HOME', '')
    root = Path(base) if base else Path('~/.cache').expanduser()
    return root / 'meta_repo_ros' / 'star_index'


class Levels:
    """The indices of one catalogue at a date."""

    def __init__(self, catalogue: Catalogue, stamp_ns: int) -> None:
        """Remember what is needed; nothing is built yet.

        Args:
            catalogue: brightest first.
            stamp_ns: UTC, ns. Shapes of triangles are those of the middle of its year: no star's
                motion within half a year changes one.
        """
        self.catalogue = catalogue
        self.directions = catalogue.directions(stamp_ns)
        year = stamp_ns // _YEAR_NS
        self._stamp = year * _YEAR_NS + _YEAR_NS // 2
        self._levels: dict[int, Level] = {}
        self.sizes = []
        for count, neighbours in SIZES:
            whole = min(count, len(catalogue))
            self.sizes.append((whole, neighbours))
            if whole == len(catalogue):
                break

    def order(self, solid_angle: float) -> list[int]:
        """Levels that suit a field of view (sr), the best first."""
        expected = [count * solid_angle / (4.0 * math.pi) for count, _ in self.sizes]
        fits = [i for i, stars in enumerate(expected) if FEWEST <= stars <= MOST]
        fits = fits or [min(range(len(expected)), key=lambda i: abs(math.log(expected[i] / IDEAL)))]
        return sorted(fits, key=lambda i: abs(math.log(expected[i] / IDEAL)))

    def level(self, number: int) -> Level:
        """An index, built or read at first use."""
        if number not in self._levels:
            self._levels[number] = self._find(number)
        return self._levels[number]

    def _find(self, number: int) -> Level:
        count, neighbours = self.sizes[number]
        radius = math.acos(max(-1.0, 1.0 - 2.0 * min(neighbours / count, 0.45)))
        directions = self.catalogue.take(slice(count)).directions(self._stamp)
        key = _key(directions, radius)
        with _lock:
            if key not in _memory:
                _memory[key] = _load_or_build(key, directions, radius)
            return _memory[key]


def _key(directions: Array, radius: float) -> str:
    content = hashlib.sha256(np.ascontiguousarray(directions).tobytes())
    content.update(f'{_VERSION} {radius:.9f} {index.STRIP} {index.FLATTEST}'.encode())
    return content.hexdigest()[:24]


def _load_or_build(key: str, directions: Array, radius: float) -> Level:
    path = cache_directory() / f'{key}.npz'
    triangles = _read(path, radius, len(directions))
    if triangles is None:
        triangles = index.build(directions, radius)
        _write(path, triangles)
    return Level(triangles, index.SkyMap(directions, radius / 120.0), directions)


def _read(path: Path, radius: float, count: int) -> index.Triangles | None:
    """The index of a file; None where there is none or it is damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in ('key', 'ratio', 'size', 'star')}
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
        return None
    if len({len(values) for values in arrays.values()}) != 1 or arrays['star'].max() >= count:
        return None
    return index.Triangles(**arrays, radius=radius, count=count)


def _write(path: Path, triangles: index.Triangles) -> None:
    """Write all or nothing; where the directory cannot be written the index stays in memory."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix='.part', delete=False) as file:
            temporary = Path(file.name)
            try:
                np.savez(
                    file,
                    key=triangles.key,
                    ratio=triangles.ratio,
                    size=triangles.size,
                    star=triangles.star,
                )
                file.close()
                temporary.replace(path)
            except OSError:
                temporary.unlink(missing_ok=True)
                raise
