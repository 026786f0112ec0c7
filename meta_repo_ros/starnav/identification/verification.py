# SPDX-License-Identifier: Apache-2.0
"""Is this attitude right? Least squares on all stars, and the probability that it is chance.

The acceptance is the a-contrario test of Moisan and Stival (2004), "A probabilistic criterion to
detect rigid point matches between two images", IJCV 57(3): with ``n`` centroids anywhere in the
image, how many of all the trials made would by chance put as many centroids as near to stars? The
bound on the distance is not given but the one that makes the match most significant, which is paid
for by one more trial for each bound. So one test serves sharp cameras and distorted photos.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import betainc

from meta_repo_ros.core.rotations import exp, to_matrix
from meta_repo_ros.core.statistics import chi2_quantile
from meta_repo_ros.starnav.identification.view import View
from meta_repo_ros.starnav.types import Array, Ints

SAMPLE = 3  # stars that a hypothesis takes up and that prove nothing
GATE = chi2_quantile(0.9995, 2)
MEDIAN = chi2_quantile(0.5, 2)
_HOPELESS = 1e3
_REFITS = 4


@dataclass(frozen=True)
class Fit:
    """An attitude with its matches.

    Attributes:
        rotation: (3, 3) icrs_to_camera.
        scale: true focal length over the stated one.
        radial: coefficient of radial distortion k1, in OpenCV's sense.
        covariance: (3, 3) of the small rotation about the camera's axes, rad2.
        row: (k,) matched centroids, rows of the view.
        star: (k,) matched stars.
        error: (k, 2) measured minus predicted in the plane of the view.
        squared: (k,) normalised.
        expected: expected number of accepted matches as good by chance.
    """

    rotation: Array
    scale: float
    radial: float = 0.0
    covariance: Array | None = None
    row: Ints | None = None
    star: Ints | None = None
    error: Array | None = None
    squared: Array | None = None
    expected: float = math.inf


def false_alarms(chance: Array, centroids: int, trials: int) -> tuple[float, int]:
    """Expected number of chance matches as good as the best of a set of bounds.

    Args:
        chance: (k,) ascending: probability that a centroid lies by chance as near to a star.
        centroids: number in the image.
        trials: attitudes tried, before that one and with it.

    Returns:
        The number, and how many of the matches are within the bound that gives it.
    """
    k = np.arange(SAMPLE + 1, len(chance) + 1)
    if not len(k):
        return math.inf, 0
    # binomial tail: at least k - SAMPLE of the others
    tail = betainc(k - SAMPLE, centroids - k + 1, np.minimum(chance[SAMPLE:], 1.0))
    best = int(np.argmin(tail))
    return float(tail[best]) * trials * (centroids - SAMPLE), int(k[best])


class Sky:
    """Catalogue stars near a direction."""

    def __init__(self, directions: Array) -> None:
        """Take the directions (n, 3) of the stars, brightest first."""
        self.directions = directions

    def near(self, axis: Array, radius: float) -> Ints:
        """Stars within ``radius`` (rad) of ``axis``."""
        return np.flatnonzero(self.directions @ axis > math.cos(radius))


class Verifier:
    """Verification of hypotheses about one view."""

    def __init__(self, view: View, sky: Sky, *, most_stars: int | None = None) -> None:
        """Prepare.

        Args:
            view: the centroids.
            sky: the catalogue.
            most_stars: of the catalogue in the image, the brightest ones; by default some times
                the number of centroids.
        """
        self.view, self.sky = view, sky
        self.most = 3 * len(view) + 20 if most_stars is None else most_stars

    def least(self, accept: float) -> int:
        """Fewest matches beyond the sample by which the sharpest of matches can be accepted."""
        others = len(self.view) - SAMPLE
        # as many stars as centroids, and all of them within one standard deviation
        chance = math.pi * len(self.view) * float(np.median(self.view.area)) / self.view.extent
        k = np.arange(1, others + 1)
        tail = betainc(k, others - k + 1, min(chance, 1.0)) * others
        return int(k[np.argmax(tail <= accept)]) if (tail <= accept).any() else others + 1

    def stars(self, fit: Fit, margin: float) -> tuple[Ints, Array]:
        """Stars in the image and their places in the plane of the view."""
        view = self.view
        radius = math.atan(math.tan(view.radius) / fit.scale) + margin
        near = self.sky.near(fit.rotation[2], min(radius, 1.4))
        p = self.sky.directions[near] @ fit.rotation.T
        plane = p[:, :2] * (fit.scale / p[:, 2:])
        if fit.radial:
            r2 = np.einsum('ij,ij->i', plane, plane) / fit.scale**2
            plane *= (1.0 + fit.radial * r2)[:, np.newaxis]
        inside = ((plane > view.low - margin) & (plane < view.high + margin)).all(axis=1)
        near, plane = near[inside][: self.most], plane[inside][: self.most]
        return near, plane

    def match(self, fit: Fit, tolerance: float) -> tuple[Ints, Ints, Array, Array, Array, int]:
        """Centroids and their nearest stars, one to one, the most probable first.

        Returns:
            Rows of the view, stars, places of the stars in the plane, errors, normalised squared
            distances, and the number of stars in the image.
        """
        view = self.view
        star, place = self.stars(fit, tolerance)
        if not len(star):
            none = np.zeros(0, np.int64)
            return none, none, np.zeros((0, 2)), np.zeros((0, 2)), np.zeros(0), 0
        dx = view.plane[:, 0, None] - place[:, 0]
        dy = view.plane[:, 1, None] - place[:, 1]
        distance = dx * dx + dy * dy
        nearest = distance.argmin(axis=1)
        row = np.flatnonzero(distance[np.arange(len(nearest)), nearest] < tolerance**2)
        nearest = nearest[row]
        error = view.plane[row] - place[nearest]
        w = view.weight[row]
        squared = w[:, 0, 0] * error[:, 0] ** 2 + w[:, 1, 1] * error[:, 1] ** 2
        squared += 2.0 * w[:, 0, 1] * error[:, 0] * error[:, 1]
        order = np.argsort(squared * view.area[row], kind='stable')
        # of several centroids at one star the nearest counts
        _, first = np.unique(nearest[order], return_index=True)
        order = order[np.sort(first)]
        nearest = nearest[order]
        return row[order], star[nearest], place[nearest], error[order], squared[order], len(star)

    def verify(
        self, rotation: Array, scale: float, tolerance: float, trials: int, accept: float
    ) -> Fit | None:
        """Refine a hypothesis and judge it.

        Args:
            rotation: (3, 3) icrs_to_camera.
            scale: true focal length over the stated one.
            tolerance: distance in the plane within which stars are looked for.
            trials: attitudes tried so far.
            accept: greatest expected number of false alarms.

        Returns:
            The fit where it is accepted.
        """
        view = self.view
        fit = Fit(rotation, scale)
        n = len(view)
        bound = tolerance
        kept = 0
        for i in range(_REFITS):
            row, star, place, error, squared, stars = self.match(fit, bound)
            if len(row) <= SAMPLE:
                return None
            chance = squared * view.area[row] * (math.pi * stars / view.extent)
            expected, count = false_alarms(chance, n, trials)
            if i and expected > _HOPELESS:
                return None
            settled = i > 1 and count == kept
            kept = count
            fit = self.improve(fit, row[:count], place[:count], error[:count])
            if settled:
                break
            distance = np.sqrt((error[:count] ** 2).sum(axis=1).max())
            bound = min(tolerance, max(3.0 * distance, 8.0 * math.sqrt(view.area.max())))
        return self.judge(fit, bound, trials, accept)

    def judge(self, fit: Fit, bound: float, trials: int, accept: float) -> Fit | None:
        """Settle the set of matches, and accept or not."""
        n, view = len(self.view), self.view
        before = np.zeros(0, np.int64)
        for last in range(4):
            row, star, place, error, squared, stars = self.match(fit, bound)
            if len(row) <= SAMPLE:
                return None
            chance = squared * view.area[row] * (math.pi * stars / view.extent)
            expected, count = false_alarms(chance, n, trials)
            if expected > accept:
                return None
            spread = max(1.0, float(np.median(squared[:count])) / MEDIAN)
            good = squared <= GATE * spread
            row, star, place, error, squared = (
                values[good] for values in (row, star, place, error, squared)
            )
            if last and np.array_equal(np.sort(star), np.sort(before)):
                break
            before = star
            fit = self.improve(fit, row, place, error)
        return replace(fit, row=row, star=star, error=error, squared=squared, expected=expected)

    def improve(
        self, fit: Fit, row: Ints, place: Array, error: Array, *, radial: bool = False
    ) -> Fit:
        """One step of Gauss-Newton on rotation and, where it is free, on focal length."""
        view = self.view
        free = view.focal_sigma > 0.0
        if len(row) < SAMPLE:
            return fit
        x, y = place[:, 0] / fit.scale, place[:, 1] / fit.scale
        jacobian = np.empty((len(row), 2, 3 + free + radial))
        jacobian[:, 0, 0], jacobian[:, 0, 1], jacobian[:, 0, 2] = -x * y, 1.0 + x * x, -y
        jacobian[:, 1, 0], jacobian[:, 1, 1], jacobian[:, 1, 2] = -1.0 - y * y, x * y, x
        jacobian *= fit.scale
        if free:
            jacobian[:, :, 3] = place
        if radial:
            jacobian[:, :, -1] = place * (x * x + y * y)[:, np.newaxis]
        weighted = np.swapaxes(jacobian, -1, -2) @ view.weight[row]
        normal = (weighted @ jacobian).sum(axis=0)
        right = (weighted @ error[:, :, np.newaxis]).sum(axis=0)[:, 0]
        if free:
            information = view.focal_sigma**-2
            normal[3, 3] += information
            right[3] -= information * math.log(fit.scale)
        covariance = np.linalg.inv(normal)
        step = covariance @ right
        turn = to_matrix(exp(step[:3].tolist()))
        return replace(
            fit,
            rotation=turn @ fit.rotation,
            scale=fit.scale * math.exp(max(-0.1, min(0.1, step[3]))) if free else fit.scale,
            radial=fit.radial + float(step[-1]) if radial else fit.radial,
            covariance=covariance[:3, :3],
        )
