# SPDX-License-Identifier: Apache-2.0
"""Errors of an estimated trajectory against truth: alignment, statistics, consistency, outages.

Pure functions: numpy in, frozen dataclasses out. Positions are metres east, north, up about an
origin on the WGS84 ellipsoid; estimate and truth may have different origins. Quaternions are
``x y z w``, body to ENU. Attitude errors follow the definitions of the BROAD benchmark (Laidig,
Caruso, Cereatti, Seel: BROAD - A Benchmark for Robust Inertial Orientation Estimation, Data 6(7),
2021): the error quaternion is taken in the earth frame and split into heading and inclination.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pymap3d
from scipy.spatial.transform import Rotation, Slerp
from scipy.stats import chi2

Array = npt.NDArray[np.float64]
Stamps = npt.NDArray[np.int64]
Rows = npt.NDArray[np.bool_]

MAX_GAP_NS = 1_000_000_000


@dataclass(frozen=True)
class Origin:
    """Origin of an east-north-up frame on WGS84: degrees, degrees, metres above the ellipsoid."""

    latitude: float
    longitude: float
    altitude: float


@dataclass(frozen=True)
class Trajectory:
    """A trajectory over time; what is not known is None (whole column) or NaN (single rows).

    Attributes:
        stamps: (n,) int64, ns, strictly increasing.
        origin: origin of the ENU frame, None where there is no position.
        position: (n, 3) m, east north up about ``origin``.
        velocity: (n, 3) m/s, east north up.
        orientation: (n, 4) x y z w, body to ENU.
        position_covariance: (n, 3, 3) m2, ENU.
        velocity_covariance: (n, 3, 3) m2/s2, ENU.
        attitude_covariance: (n, 3, 3) rad2, small rotation about the ENU axes.
    """

    stamps: Stamps
    origin: Origin | None = None
    position: Array | None = None
    velocity: Array | None = None
    orientation: Array | None = None
    position_covariance: Array | None = None
    velocity_covariance: Array | None = None
    attitude_covariance: Array | None = None

    def __post_init__(self) -> None:
        if self.stamps.ndim != 1 or np.any(np.diff(self.stamps) <= 0):
            raise ValueError('stamps must be one strictly increasing row of nanoseconds')
        for name in _COLUMNS:
            column = getattr(self, name)
            if column is not None and len(column) != len(self.stamps):
                raise ValueError(f'{name} has {len(column)} rows, stamps {len(self.stamps)}')
        if self.position is not None and self.origin is None:
            raise ValueError('positions need the origin of their ENU frame')

    def __len__(self) -> int:
        return len(self.stamps)


_VECTORS = ('position', 'velocity')
_COVARIANCES = ('position_covariance', 'velocity_covariance', 'attitude_covariance')
_COLUMNS = (*_VECTORS, 'orientation', *_COVARIANCES)


@dataclass(frozen=True)
class Statistics:
    """Root mean square, median, 95th percentile and maximum of ``count`` magnitudes."""

    count: int
    rms: float
    median: float
    p95: float
    max: float


@dataclass(frozen=True)
class Consistency:
    """How far a filter's own covariance explains its errors.

    Attributes:
        dimension: number of error components n.
        nees: (m,) normalised estimation error squared; its mean is n for a consistent filter.
        mean: mean NEES.
        inside_95: fraction of the instants whose NEES is below the 95 % quantile of chi2(n).
    """

    dimension: int
    nees: Array
    mean: float
    inside_95: float


@dataclass(frozen=True)
class Errors:
    """Errors, estimate minus truth, at common instants; NaN where either is unknown.

    Attributes:
        stamps: (m,) ns.
        position: (m, 3) m ENU, or None.
        velocity: (m, 3) m/s ENU, or None.
        rotation: (m, 3) rad, rotation vector about ENU of the attitude error, or None.
        attitude: (m, 3) deg, total, heading, inclination (>= 0), or None.
        position_sigma: (m, 3) m; velocity_sigma: m/s; rotation_sigma: rad; or None.
        position_consistency: three-dimensional NEES; velocity_, attitude_ alike; or None.
        horizontal_consistency: two-dimensional NEES east and north: its ``inside_95`` is the
            fraction of errors inside their 95 % ellipse; or None.
    """

    stamps: Stamps
    position: Array | None = None
    velocity: Array | None = None
    rotation: Array | None = None
    attitude: Array | None = None
    position_sigma: Array | None = None
    velocity_sigma: Array | None = None
    rotation_sigma: Array | None = None
    position_consistency: Consistency | None = None
    velocity_consistency: Consistency | None = None
    attitude_consistency: Consistency | None = None
    horizontal_consistency: Consistency | None = None

    def after(self, stamp: int) -> Errors:
        """The errors from ``stamp`` (ns) on."""
        rows = self.stamps >= stamp
        changed: dict[str, Any] = {'stamps': self.stamps[rows]}
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, Consistency):
                changed[item.name] = summary(value.nees[rows], value.dimension)
            elif isinstance(value, np.ndarray):
                changed[item.name] = value[rows]
        return replace(self, **changed)


@dataclass(frozen=True)
class OutageEnd:
    """Error at the last withheld fix of an outage.

    Attributes:
        start, end: the outage, ns.
        stamp: of the withheld fix that is compared, ns.
        horizontal, vertical: m, magnitudes.
        inside_95: whether the fix lies inside the estimate's horizontal 95 % ellipse (with the
            fix's own covariance added where it was given); None without covariance.
    """

    start: int
    end: int
    stamp: int
    horizontal: float
    vertical: float
    inside_95: bool | None


def trajectory(stamps: Any, **columns: Any) -> Trajectory:
    """A :class:`Trajectory` from rows in any order; of equal stamps the last row counts."""
    stamps = np.asarray(stamps, dtype=np.int64)
    # np.unique keeps the first of equals: reversed, that is the last that was written
    unique, index = np.unique(stamps[::-1], return_index=True)
    rows = len(stamps) - 1 - index
    origin = columns.pop('origin', None)
    chosen = {
        name: None if column is None else np.asarray(column, dtype=float)[rows]
        for name, column in columns.items()
    }
    return Trajectory(unique, origin=origin, **chosen)


def relocated(path: Trajectory, origin: Origin) -> Trajectory:
    """``path`` expressed in the ENU frame about ``origin``: positions, axes and covariances."""
    if path.origin is None or path.origin == origin:
        return path if path.position is None else replace(path, origin=origin)
    turn = _enu_to_ecef(origin).T @ _enu_to_ecef(path.origin)
    changed: dict[str, Any] = {'origin': origin}
    if path.position is not None:
        old, new = path.origin, origin
        ecef = pymap3d.enu2ecef(
            *path.position.T, old.latitude, old.longitude, old.altitude, deg=True
        )
        enu = pymap3d.ecef2enu(*ecef, new.latitude, new.longitude, new.altitude, deg=True)
        changed['position'] = np.stack(enu, axis=1)
    if path.velocity is not None:
        changed['velocity'] = path.velocity @ turn.T
    if path.orientation is not None:
        changed['orientation'] = _compose(Rotation.from_matrix(turn), path.orientation)
    for name in _COVARIANCES:
        covariance = getattr(path, name)
        if covariance is not None:
            changed[name] = turn @ covariance @ turn.T
    return replace(path, **changed)


def sampled(path: Trajectory, stamps: Stamps, max_gap_ns: int = MAX_GAP_NS) -> Trajectory:
    """``path`` at ``stamps``: vectors and covariances linearly, orientations along the great arc.

    Rows outside ``path``, or inside a gap of more than ``max_gap_ns``, are NaN.
    """
    if len(path) == 0:
        raise ValueError('an empty trajectory cannot be sampled')
    right = np.clip(np.searchsorted(path.stamps, stamps), 0, len(path) - 1)
    exact = path.stamps[right] == stamps
    left = np.where(exact, right, np.clip(right - 1, 0, None))
    span = path.stamps[right] - path.stamps[left]
    known = exact | ((stamps > path.stamps[0]) & (stamps < path.stamps[-1]) & (span <= max_gap_ns))
    fraction = np.where(span > 0, (stamps - path.stamps[left]) / np.maximum(span, 1), 0.0)
    changed: dict[str, Any] = {'stamps': np.asarray(stamps, dtype=np.int64)}
    for name in (*_VECTORS, *_COVARIANCES):
        column = getattr(path, name)
        if column is not None:
            weight = fraction.reshape(-1, *(1,) * (column.ndim - 1))
            # an exact row must not become NaN by a neighbour with weight zero
            value = np.where(weight > 0, column[left] * (1 - weight) + column[right] * weight,
                             column[left])  # fmt: skip
            value[~known] = np.nan
            changed[name] = value
    if path.orientation is not None:
        known &= (valid := _known_orientations(path.orientation))[left] & valid[right]
        changed['orientation'] = _slerp(path, path.orientation, stamps, known)
    return replace(path, **changed)


def attitude_errors(estimate: Array, truth: Array) -> tuple[Array, Array]:
    """BROAD's attitude errors and the signed rotation vector.

    With the earth-frame error q = estimate * conj(truth) = (w, x, y, z): total 2 acos|w|, heading
    2 atan|z / w|, inclination 2 acos sqrt(w2 + z2).

    Args:
        estimate: (n, 4) x y z w, body to ENU.
        truth: (n, 4), the same.

    Returns:
        (n, 3) deg total, heading, inclination; and (n, 3) rad rotation vector about ENU that turns
        truth into the estimate. NaN rows where either is unknown.
    """
    known = _known_orientations(estimate) & _known_orientations(truth)
    degrees, vectors = np.full((len(estimate), 3), np.nan), np.full((len(estimate), 3), np.nan)
    if known.any():
        error = Rotation.from_quat(estimate[known]) * Rotation.from_quat(truth[known]).inv()
        x, y, z, w = error.as_quat().T
        total = 2 * np.arctan2(np.sqrt(x**2 + y**2 + z**2), np.abs(w))
        heading = 2 * np.arctan2(np.abs(z), np.abs(w))
        inclination = 2 * np.arctan2(np.hypot(x, y), np.hypot(w, z))
        degrees[known] = np.rad2deg(np.stack([total, heading, inclination], axis=1))
        vectors[known] = error.as_rotvec()
    return degrees, vectors


def errors(estimate: Trajectory, truth: Trajectory, max_gap_ns: int = MAX_GAP_NS) -> Errors:
    """Errors of ``estimate`` against ``truth``, at the instants of the sparser of the two.

    The truth is first brought into the estimate's ENU frame (pymap3d, through ECEF). The denser
    trajectory is interpolated, so that the sparse one (RTK fixes at 4 Hz, say) is used as it is.
    """
    if len(estimate) == 0 or len(truth) == 0:
        return Errors(np.empty(0, dtype=np.int64))
    if estimate.origin is not None and truth.origin is not None:
        truth = relocated(truth, estimate.origin)
    first, last = (f(estimate.stamps[i], truth.stamps[i]) for f, i in ((max, 0), (min, -1)))
    common = [p.stamps[(p.stamps >= first) & (p.stamps <= last)] for p in (estimate, truth)]
    stamps = min(common, key=len)
    estimate, truth = (sampled(path, stamps, max_gap_ns) for path in (estimate, truth))
    result = Errors(stamps)
    for name in _VECTORS:
        found, reference = getattr(estimate, name), getattr(truth, name)
        if found is not None and reference is not None:
            error = found - reference
            result = replace(result, **{name: error})
            covariance = getattr(estimate, f'{name}_covariance')
            if covariance is not None:
                changed: dict[str, Any] = {
                    f'{name}_sigma': sigmas(covariance),
                    f'{name}_consistency': consistency(error, covariance),
                }
                result = replace(result, **changed)
    if result.position is not None and estimate.position_covariance is not None:
        flat = consistency(result.position[:, :2], estimate.position_covariance[:, :2, :2])
        result = replace(result, horizontal_consistency=flat)
    if estimate.orientation is not None and truth.orientation is not None:
        degrees, vectors = attitude_errors(estimate.orientation, truth.orientation)
        result = replace(result, attitude=degrees, rotation=vectors)
        if estimate.attitude_covariance is not None:
            result = replace(
                result,
                rotation_sigma=sigmas(estimate.attitude_covariance),
                attitude_consistency=consistency(vectors, estimate.attitude_covariance),
            )
    return result


def sigmas(covariance: Array) -> Array:
    """(n, k) standard deviations of (n, k, k) covariances; NaN where a variance is not positive."""
    diagonal = np.diagonal(covariance, axis1=1, axis2=2)
    return np.sqrt(np.where(diagonal > 0, diagonal, np.nan))


def consistency(error: Array, covariance: Array) -> Consistency:
    """NEES of (n, k) errors with (n, k, k) covariances; rows that cannot be weighed are NaN."""
    dimension = error.shape[1]
    columns = np.column_stack([error, covariance.reshape(len(error), dimension**2)])
    finite: Rows = np.asarray(np.isfinite(columns).all(axis=1))
    determinants = np.asarray(np.linalg.det(np.where(finite[:, None, None], covariance, 0.0)))
    usable: Rows = np.asarray(determinants > 0)
    nees = np.full(len(error), np.nan)
    if usable.any():
        weighed = np.linalg.solve(covariance[usable], error[usable][:, :, None])[:, :, 0]
        nees[usable] = np.einsum('ij,ij->i', error[usable], weighed)
    return summary(nees, dimension)


def summary(nees: Array, dimension: int) -> Consistency:
    """Mean and share below the 95 % bound of NEES values; NaN rows are left out."""
    values = nees[np.isfinite(nees)]
    if len(values) == 0:
        return Consistency(dimension, nees, np.nan, np.nan)
    below = values <= chi2.ppf(0.95, dimension)
    return Consistency(dimension, nees, float(values.mean()), float(below.mean()))


def nees_band(dimension: int, runs: int = 1, probability: float = 0.95) -> tuple[float, float]:
    """Two-sided band of the mean NEES of ``runs`` independent runs (Bar-Shalom, 2001, sec. 5.4)."""
    tail = (1 - probability) / 2
    low, high = chi2.ppf([tail, 1 - tail], dimension * runs) / runs
    return float(low), float(high)


def statistics(values: Array) -> Statistics:
    """Statistics of magnitudes, or of the norms of (n, k) rows; rows with NaN are left out."""
    magnitude = np.abs(values) if values.ndim == 1 else np.linalg.norm(values, axis=1)
    magnitude = magnitude[np.isfinite(magnitude)]
    if len(magnitude) == 0:
        return Statistics(0, np.nan, np.nan, np.nan, np.nan)
    return Statistics(
        count=len(magnitude),
        rms=float(np.sqrt(np.mean(magnitude**2))),
        median=float(np.median(magnitude)),
        p95=float(np.percentile(magnitude, 95)),
        max=float(magnitude.max()),
    )


def outage_ends(
    estimate: Trajectory,
    truth: Trajectory,
    outages: Sequence[tuple[int, int]],
    max_gap_ns: int = MAX_GAP_NS,
) -> tuple[OutageEnd, ...]:
    """Errors at the last fix of ``truth`` inside each outage [start, end], ns.

    Outages that hold no fix or no estimate are left out.
    """
    if estimate.position is None or truth.position is None or estimate.origin is None:
        return ()
    truth = relocated(truth, estimate.origin)
    ends = []
    for start, end in outages:
        inside = np.flatnonzero((truth.stamps >= start) & (truth.stamps <= end))
        if len(inside) == 0:
            continue
        row = inside[-1:]
        found = sampled(estimate, truth.stamps[row], max_gap_ns)
        if found.position is None or truth.position is None or np.isnan(found.position).any():
            continue
        error = (found.position - truth.position[row])[0]
        covariance = found.position_covariance
        if covariance is not None and truth.position_covariance is not None:
            covariance = covariance + np.nan_to_num(truth.position_covariance[row])
        within = None
        if covariance is not None:
            weight = consistency(error[None, :2], covariance[:, :2, :2])
            within = None if np.isnan(weight.mean) else bool(weight.inside_95)
        ends.append(
            OutageEnd(
                start, end, int(truth.stamps[row[0]]), float(np.hypot(*error[:2])),
                float(abs(error[2])), within,
            )
        )  # fmt: skip
    return tuple(ends)


def _enu_to_ecef(origin: Origin) -> Array:
    """Rotation matrix from ENU about ``origin`` to ECEF."""
    rows = pymap3d.enu2uvw(*np.eye(3), origin.latitude, origin.longitude, deg=True)
    return np.stack(rows)


def _known_orientations(quaternions: Array) -> Rows:
    norm = np.linalg.norm(quaternions, axis=1)
    return np.asarray(np.isfinite(norm) & (norm > 0.5))


def _compose(turn: Rotation, quaternions: Array) -> Array:
    result = np.full_like(quaternions, np.nan)
    known = _known_orientations(quaternions)
    if known.any():
        result[known] = (turn * Rotation.from_quat(quaternions[known])).as_quat()
    return result


def _slerp(path: Trajectory, orientation: Array, stamps: Stamps, rows: Rows) -> Array:
    """Orientations at ``stamps``, where ``rows`` says that both neighbours are near enough."""
    result = np.full((len(stamps), 4), np.nan)
    valid = _known_orientations(orientation)
    if not rows.any():
        return result
    kept = np.flatnonzero(valid)
    if len(kept) == 1:
        result[rows] = orientation[kept[0]] / np.linalg.norm(orientation[kept[0]])
        return result
    # seconds since the first row: int64 nanoseconds of an epoch do not fit a float exactly
    base = path.stamps[kept[0]]
    slerp = Slerp((path.stamps[kept] - base) * 1e-9, Rotation.from_quat(orientation[kept]))
    result[rows] = slerp((stamps[rows] - base) * 1e-9).as_quat()
    return result
