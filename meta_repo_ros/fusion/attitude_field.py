# SPDX-License-Identifier: Apache-2.0
"""Magnetic field: what it should look like here, how disturbed it is, and where north is.

Norm and dip show a disturbance, heading does not: without knowing the heading, a deviation of the
field to east or west looks like none. But a disturbance has no favourite direction, so what is
seen of it along the two visible directions tells how much to expect along the hidden one.
"""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

from pygeomag import GeoMag

from meta_repo_ros.core.rotations import Vector
from meta_repo_ros.fusion.attitude_parameters import Magnetometer

S = TypeVar('S')

_DAY = 86_400_000_000_000  # ns

# The Earth's field at its surface lies within 22 and 67 microtesla; steel nearby widens that.
WEAKEST, STRONGEST = 1.0e-5, 1.0e-4


@dataclass(frozen=True)
class WorldField:
    """Field of the World Magnetic Model.

    Attributes:
        declination: east of true north, rad.
        horizontal: horizontal part, T.
        up: upward part, T (negative on the northern hemisphere).
    """

    declination: float
    horizontal: float
    up: float


@lru_cache(maxsize=64)
def _world_field(latitude: float, longitude: float, kilometres: float, year: float) -> WorldField:
    model = _model(2025 if year >= 2025.0 else 2020)
    r = model.calculate(
        glat=latitude, glon=longitude, alt=kilometres, time=year, allow_date_outside_lifespan=True
    )
    return WorldField(math.radians(r.d), r.h * 1e-9, -r.z * 1e-9)


@lru_cache(maxsize=2)
def _model(epoch: int) -> GeoMag:
    return GeoMag(base_year=epoch)


def world_field(latitude: float, longitude: float, altitude: float, stamp: int) -> WorldField:
    """World Magnetic Model near a place (deg, m; rounded to 0.1 deg and 1 km) at ``stamp``, ns."""
    return _world_field(
        round(latitude, 1),
        round(longitude, 1),
        float(round(altitude * 1e-3)),
        _year(stamp // _DAY),
    )


@lru_cache(maxsize=8)
def _year(day: int) -> float:
    """Year, rounded to 0.1, of a day after the epoch of Unix."""
    date = dt.datetime.fromtimestamp(day * _DAY * 1e-9, tz=dt.timezone.utc)
    return round(date.year + date.timetuple().tm_yday / 365.25, 1)


def copy_slots(thing: S) -> S:
    """Shallow copy of an object with ``__slots__``, three times as fast as :func:`copy.copy`."""
    cls: Any = type(thing)
    other: S = object.__new__(cls)
    for name in cls.__slots__:
        setattr(other, name, getattr(thing, name))
    return other


class FieldReference:
    """Horizontal and upward part that the undisturbed field has here, and how far it is from it.

    Attributes:
        variance: variance of the deviation of the field in the directions where it shows, as an
            angle of the horizontal part, rad2; smoothed.
        accepted: whether the last field passed the gates.
    """

    __slots__ = (
        '_candidate',
        '_candidate_time',
        '_reference',
        'accepted',
        'adoptions',
        'count',
        'declination',
        'norm',
        'parameters',
        'sum',
        'sum_variance',
        'variance',
        'world',
    )  # fmt: skip

    def __init__(self, parameters: Magnetometer) -> None:
        self.parameters = parameters
        self._reference: tuple[float, float] | None = None
        self._candidate: tuple[float, float] | None = None
        self._candidate_time = 0.0
        self.world: WorldField | None = None
        self.declination = parameters.declination
        self.variance = 0.0
        self.accepted = False
        self.norm = math.nan
        self.adoptions = 0
        # samples since the last update, turned to the earth frame
        self.sum: Vector = (0.0, 0.0, 0.0)
        self.sum_variance = 0.0
        self.count = 0

    def copy(self) -> FieldReference:
        """Independent copy."""
        return copy_slots(self)

    def add(self, field: Vector, variance: float) -> None:
        """Take one sample in the earth frame, T, with its variance per axis, T2."""
        x, y, z = self.sum
        self.sum = (x + field[0], y + field[1], z + field[2])
        self.sum_variance += variance
        self.count += 1

    def take(self) -> tuple[Vector, float, int]:
        """Mean field since the last call, its variance per axis, number of samples (> 0)."""
        n = self.count
        mean = (self.sum[0] / n, self.sum[1] / n, self.sum[2] / n)
        variance = self.sum_variance / (n * n)
        self.sum, self.sum_variance, self.count = (0.0, 0.0, 0.0), 0.0, 0
        return mean, variance, n

    def set_world(self, world: WorldField) -> None:
        """Use the field of the World Magnetic Model as the reference from now on."""
        if world is not self.world:
            self.world, self.declination = world, world.declination
            self._reference = (world.horizontal, world.up)

    def judge(self, dt: float, field: Vector, variance: float, *, moving: bool) -> bool:
        """Whether the field (earth frame, T; variance per axis) may give heading.

        Args:
            dt: time since the last field, s.
            field: mean field.
            variance: of ``field``, per axis.
            moving: only in motion a steady field tells more than one place.
        """
        p = self.parameters
        h, up = math.hypot(field[0], field[1]), field[2]
        self.norm = math.hypot(h, up)
        if self._reference is None:
            if not WEAKEST < self.norm < STRONGEST:
                self.accepted = False
                return False
            self._reference = (h, up)
        ref_h, ref_up = self._reference
        dh, du = h - ref_h, up - ref_up
        k = dt / (p.disturbance_memory + dt)
        now = max(0.5 * (dh * dh + du * du) - variance, 0.0) / (ref_h * ref_h + 1e-14)
        self.variance += k * (min(now, 10.0) - self.variance)
        self.accepted = self._near(h, up, self._reference)
        if self.accepted:
            self._candidate_time = 0.0
            if self.world is None:
                k = dt / (p.reference_memory + dt)
                self._reference = (ref_h + k * dh, ref_up + k * du)
        else:
            self._consider(dt, h, up, moving=moving)
        return self.accepted

    def _near(self, h: float, up: float, reference: tuple[float, float]) -> bool:
        p = self.parameters
        norm = math.hypot(*reference)
        dip = math.atan2(-reference[1], reference[0])
        return (
            abs(math.hypot(h, up) - norm) < p.norm_gate * norm
            and abs(math.atan2(-up, h) - dip) < p.dip_gate
        )

    def _consider(self, dt: float, h: float, up: float, *, moving: bool) -> None:
        p = self.parameters
        if self._candidate is None or not self._near(h, up, self._candidate):
            self._candidate, self._candidate_time = (h, up), 0.0
            return
        c_h, c_up = self._candidate
        k = dt / (p.reference_memory + dt)
        self._candidate = (c_h + k * (h - c_h), c_up + k * (up - c_up))
        if moving:
            self._candidate_time += dt
        plausible = WEAKEST < math.hypot(*self._candidate) < STRONGEST
        if self._candidate_time >= p.new_reference_time and plausible:
            self._reference, self._candidate, self._candidate_time = self._candidate, None, 0.0
            self.variance = 0.0
            self.adoptions += 1
