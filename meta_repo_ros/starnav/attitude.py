# SPDX-License-Identifier: Apache-2.0
"""Attitude from directions: Wahba's problem, then weighted least squares with covariance.

The start is the singular value decomposition of Markley (1988), "Attitude determination using
vector observations and the singular value decomposition", J. Astronaut. Sci. 36(3); the refinement
takes the full covariance of each direction and is the maximum-likelihood estimate of Shuster
(1989), "Maximum likelihood estimation of spacecraft attitude", J. Astronaut. Sci. 37(1), extended
by the focal length and one coefficient of radial distortion.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from meta_repo_ros.core.rotations import exp, to_matrix
from meta_repo_ros.core.statistics import chi2_quantile
from meta_repo_ros.starnav.types import Array, Bools

GATE = chi2_quantile(0.9997, 2)
MEDIAN = chi2_quantile(0.5, 2)
_ITERATIONS = 12


class AttitudeError(ValueError):
    """Directions that fix no attitude; the message says why."""


@dataclass(frozen=True)
class Attitude:
    """Result of :func:`solve`.

    Attributes:
        rotation: (3, 3), reference to camera.
        covariance: (3, 3) of the small rotation of the camera about its own axes, rad2.
        residual: (n, 2) predicted minus measured direction, radial and tangential about the
            optical axis, rad; also of the directions that were not used.
        used: (n,) which directions were used.
        chi_square: sum of the normalised squared residuals of the used ones.
        degrees_of_freedom: of ``chi_square``.
        scale: true focal length over that of the given directions; 1 where not fitted.
        scale_sigma: its standard deviation.
        radial: coefficient k1 of radial distortion by which the normalised coordinates of the
            given directions have to be multiplied: ``x (1 + k1 r2)``; 0 where not fitted.
    """

    rotation: Array
    covariance: Array
    residual: Array
    used: Bools
    chi_square: float
    degrees_of_freedom: int
    scale: float = 1.0
    scale_sigma: float = 0.0
    radial: float = 0.0

    @property
    def residual_rms(self) -> float:
        """Of the used directions, per axis, rad."""
        return math.sqrt(float(np.mean(self.residual[self.used] ** 2)))


def wahba(camera: Array, reference: Array, weight: Array | None = None) -> Array:
    """Rotation that takes reference directions to those of the camera, by least squares.

    Args:
        camera: (..., n, 3) unit vectors.
        reference: (..., n, 3) unit vectors.
        weight: (..., n) inverse variances; equal ones where left out.

    Returns:
        (..., 3, 3), always a proper rotation.
    """
    weighted = camera if weight is None else camera * weight[..., np.newaxis]
    u, _, vt = np.linalg.svd(np.swapaxes(weighted, -1, -2) @ reference)
    u[..., :, 2] *= np.linalg.det(u @ vt)[..., np.newaxis]
    return np.asarray(u @ vt)


def tangent(directions: Array) -> Array:
    """Unit vectors (n, 2, 3) across directions (n, 3): away from the z axis, and around it."""
    x, y, z = directions.T
    r = np.hypot(x, y)
    far = r > 1e-12
    safe = np.where(far, r, 1.0)
    cos, sin = np.where(far, x / safe, 1.0), y / safe
    basis = np.zeros((len(directions), 2, 3))
    basis[:, 0, 0], basis[:, 0, 1], basis[:, 0, 2] = z * cos, z * sin, -r
    basis[:, 1, 0], basis[:, 1, 1] = -sin, cos
    return basis


def solve(
    directions_camera: ArrayLike,
    covariances: ArrayLike,
    directions_reference: ArrayLike,
    *,
    initial: Array | None = None,
    gate: float = GATE,
    robust: bool = True,
    focal_sigma: float = 0.0,
    radial: bool = False,
) -> Attitude:
    """The most likely attitude, wrong matches left out one after the other.

    Args:
        directions_camera: (n, 3) unit vectors as measured.
        covariances: (n, 3, 3) of them (rank 2, as ``Camera.direction_covariance`` gives), or (n,)
            variances that hold across the direction, rad2.
        directions_reference: (n, 3) unit vectors of the same stars, apparent where exact.
        initial: (3, 3) start; by :func:`wahba` where left out.
        gate: normalised squared residual above which a direction is not used.
        robust: whether to look for wrong matches at all.
        focal_sigma: relative; where above 0 the focal length is fitted too, from that knowledge
            (``inf``: from none).
        radial: whether to fit a coefficient of radial distortion.

    Raises:
        AttitudeError: fewer than two distinct directions, or values that are not finite.
    """
    given = np.asarray(directions_camera, dtype=float).reshape(-1, 3)
    reference = np.asarray(directions_reference, dtype=float).reshape(-1, 3)
    if len(given) != len(reference):
        raise AttitudeError(f'{len(given)} measured directions, {len(reference)} of the catalogue')
    if len(given) < 2:
        raise AttitudeError(f'an attitude needs two directions, got {len(given)}')
    weight = _weights(given, np.asarray(covariances, dtype=float))
    if not (np.isfinite(given).all() and np.isfinite(reference).all()):
        raise AttitudeError('a direction is not finite')
    fit = _Fit(given, reference, weight, focal_sigma, radial=radial)
    if initial is None:
        fit.rotation = wahba(given, reference, 0.5 * (weight[:, 0, 0] + weight[:, 1, 1]))
        if robust and float(fit.normalised_squared().max()) > gate:
            _restart(fit)
    else:
        fit.rotation = initial
    used = fit.fitting(gate) if robust else np.ones(len(given), dtype=bool)
    for _ in range(_ITERATIONS):
        fit.refine(used)
        if not robust:
            break
        now = fit.fitting(gate, used)
        if now.sum() < max(3, len(used) // 2) or np.array_equal(now, used):
            break
        used = now
    return fit.result(used)


def _weights(directions: Array, covariances: Array) -> Array:
    """Inverse covariances (n, 2, 2) in the tangent basis of each direction."""
    if covariances.ndim == 1:
        return np.asarray(np.eye(2) / covariances[:, np.newaxis, np.newaxis])
    basis = tangent(directions)
    c = basis @ covariances @ np.swapaxes(basis, -1, -2)
    determinant = c[:, 0, 0] * c[:, 1, 1] - c[:, 0, 1] * c[:, 1, 0]
    if not (determinant > 0.0).all():
        raise AttitudeError('the covariance of a direction is not positive definite')
    inverse = np.empty_like(c)
    inverse[:, 0, 0], inverse[:, 1, 1] = c[:, 1, 1], c[:, 0, 0]
    inverse[:, 0, 1], inverse[:, 1, 0] = -c[:, 0, 1], -c[:, 1, 0]
    return np.asarray(inverse / determinant[:, np.newaxis, np.newaxis])


def _restart(fit: _Fit) -> None:
    """Start from the pair of directions with the least median residual, where that is less.

    Rousseeuw (1984), "Least median of squares regression", JASA 79(388). The pairs are each
    direction with those some places on: they need not be random to be many.
    """
    n = len(fit.given)
    first = np.tile(np.arange(n), 3)
    second = (first + np.repeat((1, n // 3 + 1, n // 2 + 1), n)) % n
    distinct = first != second
    pairs = np.stack((first[distinct], second[distinct]), axis=1)
    # the sum and the difference of a pair are across each other: Wahba's problem by two axes
    frames = [_axes(v[pairs[:, 0]], v[pairs[:, 1]]) for v in (fit.given, fit.reference)]
    rotations = frames[0] @ np.swapaxes(frames[1], -1, -2)
    rotations = np.concatenate((fit.rotation[np.newaxis], rotations))
    rotations = rotations[np.isfinite(rotations).all(axis=(1, 2))]
    apart = fit.given - fit.reference @ np.swapaxes(rotations, -1, -2)
    weight = 0.5 * (fit.weight[:, 0, 0] + fit.weight[:, 1, 1])
    squared = np.einsum('rni,rni->rn', apart, apart) * weight
    fit.rotation = rotations[int(np.median(squared, axis=1).argmin())]


def _axes(a: Array, b: Array) -> Array:
    """Right-handed axes (n, 3, 3), in columns, of pairs of unit vectors (n, 3)."""
    with np.errstate(invalid='ignore', divide='ignore'):
        x = a + b
        y = a - b
        x = x / np.linalg.norm(x, axis=1, keepdims=True)
        y = y / np.linalg.norm(y, axis=1, keepdims=True)
    return np.stack((x, y, np.cross(x, y)), axis=-1)


class _Fit:
    """Gauss-Newton on the rotation and, where asked for, the scale and the radial distortion."""

    def __init__(
        self, given: Array, reference: Array, weight: Array, focal_sigma: float, *, radial: bool
    ) -> None:
        self.given, self.reference, self.weight = given, reference, weight
        self.information = 0.0 if math.isinf(focal_sigma) else 1.0 / max(focal_sigma, 1e-12) ** 2
        self.fit_scale, self.fit_radial = focal_sigma > 0.0, radial
        self.rotation = np.eye(3)
        self.scale, self.radial = 1.0, 0.0
        self.measured = given
        self.basis = tangent(given)
        self.covariance = np.full((5, 5), math.nan)

    @property
    def parameters(self) -> int:
        return 3 + self.fit_scale + self.fit_radial

    def _move(self) -> None:
        """Directions by the present focal length and distortion."""
        plane = self.given[:, :2] / self.given[:, 2:]
        squared = np.einsum('ij,ij->i', plane, plane)
        rays = np.ones_like(self.given)
        rays[:, :2] = plane * ((1.0 + self.radial * squared) / self.scale)[:, np.newaxis]
        self.measured = rays / np.linalg.norm(rays, axis=1, keepdims=True)
        self.basis = tangent(self.measured)

    def residual(self) -> Array:
        """Predicted minus measured (n, 2), rad."""
        predicted = self.reference @ self.rotation.T
        return np.asarray(self.basis @ predicted[:, :, np.newaxis])[:, :, 0]

    def normalised_squared(self) -> Array:
        e = self.residual()
        ahead = np.einsum('ij,ij->i', self.measured, self.reference @ self.rotation.T) > 0.0
        squared = np.einsum('ni,nij,nj->n', e, self.weight, e)
        return np.where(ahead, squared, math.inf)

    def fitting(self, gate: float, used: Bools | None = None) -> Bools:
        """Which directions are within the gate, which widens where the noise is understated."""
        squared = self.normalised_squared()
        median = float(np.median(squared if used is None else squared[used]))
        return np.asarray(squared <= gate * max(1.0, median / MEDIAN))

    def refine(self, used: Bools) -> None:
        """Iterate to convergence on the used directions."""
        weight, reference = self.weight[used], self.reference[used]
        for _ in range(_ITERATIONS):
            predicted = reference @ self.rotation.T
            basis = self.basis[used]
            e = (basis @ predicted[:, :, np.newaxis])[:, :, 0]
            jacobian = np.zeros((len(predicted), 2, self.parameters))
            # e . (phi x p) = phi . (p x e)
            jacobian[:, :, 0] = predicted[:, 1, None] * basis[:, :, 2]
            jacobian[:, :, 0] -= predicted[:, 2, None] * basis[:, :, 1]
            jacobian[:, :, 1] = predicted[:, 2, None] * basis[:, :, 0]
            jacobian[:, :, 1] -= predicted[:, 0, None] * basis[:, :, 2]
            jacobian[:, :, 2] = predicted[:, 0, None] * basis[:, :, 1]
            jacobian[:, :, 2] -= predicted[:, 1, None] * basis[:, :, 0]
            column = 3
            if self.fit_scale or self.fit_radial:
                m = self.measured[used]
                sin = np.hypot(m[:, 0], m[:, 1])
                slope = sin * m[:, 2]  # d theta / d log tan(theta)
                if self.fit_scale:
                    jacobian[:, 0, column] = slope
                    column += 1
                if self.fit_radial:
                    jacobian[:, 0, column] = -slope * (sin / m[:, 2]) ** 2 * self.scale**2
            weighted = np.swapaxes(jacobian, -1, -2) @ weight
            normal = (weighted @ jacobian).sum(axis=0)
            right = -(weighted @ e[:, :, np.newaxis]).sum(axis=0)[:, 0]
            if self.fit_scale:
                normal[3, 3] += self.information
                right[3] -= self.information * math.log(self.scale)
            step = self._step(normal, right)
            self.rotation = to_matrix(exp(step[:3].tolist())) @ self.rotation
            if self.fit_scale:
                self.scale *= math.exp(max(-0.2, min(0.2, float(step[3]))))
            if self.fit_radial:
                self.radial += float(step[-1])
            if self.parameters > 3:
                self._move()
            if float(np.abs(step).max()) < 1e-9:
                break

    def _step(self, normal: Array, right: Array) -> Array:
        try:
            self.covariance = np.linalg.inv(normal)
        except np.linalg.LinAlgError:
            raise AttitudeError('the directions are all the same: no attitude') from None
        spread = np.sqrt(np.diag(normal)[:3].max() * np.diag(self.covariance)[:3].max())
        if not spread < 1e7:
            raise AttitudeError('the directions are all the same: no attitude')
        return np.asarray(self.covariance @ right)

    def result(self, used: Bools) -> Attitude:
        squared = self.normalised_squared()
        free = self.parameters - int(self.fit_scale and self.information > 0.0)
        return Attitude(
            rotation=self.rotation,
            covariance=0.5 * (self.covariance[:3, :3] + self.covariance[:3, :3].T),
            residual=self.residual(),
            used=used,
            chi_square=float(squared[used].sum()),
            degrees_of_freedom=2 * int(used.sum()) - free,
            scale=self.scale,
            scale_sigma=math.sqrt(float(self.covariance[3, 3])) if self.fit_scale else 0.0,
            radial=self.radial,
        )
