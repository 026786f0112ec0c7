# SPDX-License-Identifier: Apache-2.0
"""Is this attitude right? Least squares on all stars, and the probability that it is chance.

The acceptance is the a-contrario test of Moisan and Stival (2004), "A probabilistic criterion to
detect rigid point matches between two images", IJCV 57(3): with ``n`` centroids anywhere in the
image, how many of all the trials made would by chance put as many centroids as near to stars? The
bound on the distance is not given but the one that makes the match most significant, which is paid
for by one more trial for each bound. Where only windows were searched, a centroid lies anywhere in
those. So one test serves sharp cameras and distorted photos.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.special import betainc

from meta_repo_ros.core.rotations import exp, to_matrix
from meta_repo_ros.core.statistics import chi2_quantile
from meta_repo_ros.starnav.identification.view import View
from meta_repo_ros.starnav.types import Array, Bools, Ints

SAMPLE = 3  # stars that a hypothesis takes up and that prove nothing
GATE = chi2_quantile(0.9995, 2)
MEDIAN = chi2_quantile(0.5, 2)
STRONG = 1e-15  # expected false alarms
_HOPELESS = 1e3
_ROUNDS = 8
_UNDERSTATED = 1.3  # residuals over what the centroids claim, from where it is believed
_STRAIGHTEN = 12  # fewest stars from which a distortion is fitted
_CERTAIN = 5.0  # standard deviations of a distortion that is taken for real


@dataclass(frozen=True)
class Fit:
    """An attitude, right or not.

    Attributes:
        rotation: (3, 3) icrs_to_camera.
        scale: true focal length over the stated one.
        radial: coefficient of radial distortion k1, in OpenCV's sense.
        radial_sigma: its standard deviation by the residuals; 0 where it was not fitted.
        covariance: (3, 3) of the small rotation about the camera's axes, rad2.
    """

    rotation: Array
    scale: float = 1.0
    radial: float = 0.0
    radial_sigma: float = 0.0
    covariance: Array = field(default_factory=lambda: np.full((3, 3), math.nan))


@dataclass(frozen=True)
class Pairs:
    """Centroids and stars, the least probable by chance first.

    Attributes:
        row: (k,) centroids.
        star: (k,) stars.
        place: (k, 2) of the stars.
        error: (k, 2) measured minus predicted.
        squared: (k,) the same normalised.
        chance: (k,) probability that a centroid is by chance as near to any star.
    """

    row: Ints
    star: Ints
    place: Array
    error: Array
    squared: Array
    chance: Array

    def take(self, which: Ints) -> Pairs:
        """Some of the pairs."""
        return Pairs(
            self.row[which], self.star[which], self.place[which],
            self.error[which], self.squared[which], self.chance[which],
        )  # fmt: skip

    def identity(self) -> bytes:
        """Equal for the same pairs."""
        return np.sort(self.row * 65536 + self.star).tobytes()


@dataclass(frozen=True)
class Solution:
    """An attitude that was accepted.

    Attributes:
        fit: the attitude.
        pairs: the centroids and stars that belong together.
        expected: expected number of as good matches by chance, over all trials.
    """

    fit: Fit
    pairs: Pairs
    expected: float

    @property
    def strong(self) -> bool:
        """Whether it is beyond all doubt, so that no better one needs to be looked for."""
        return self.expected < STRONG


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
        return np.asarray((self.directions @ axis > math.cos(radius)).nonzero()[0])


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
        self._rows = np.arange(len(view))
        self._per_area = math.pi / (view.extent * view.searched)
        self._smallest = 8.0 * math.sqrt(float(view.area.max())) if len(view) else 0.0
        self.most = 3 * len(view) + 20 if most_stars is None else most_stars

    def least(self, accept: float) -> int:
        """Fewest matches beyond the sample by which the sharpest of matches can be accepted."""
        others = len(self.view) - SAMPLE
        # as many stars as centroids, and all of them within one standard deviation
        chance = self._per_area * len(self.view) * float(np.median(self.view.area))
        k = np.arange(1, others + 1)
        tail = betainc(k, others - k + 1, min(chance, 1.0)) * others
        return int(k[np.argmax(tail <= accept)]) if (tail <= accept).any() else others + 1

    def stars(self, fit: Fit, margin: float) -> tuple[Ints, Array]:
        """Stars in the image and their places in the plane of the view."""
        radius = math.atan(math.tan(self.view.radius) / fit.scale) + margin
        near = self.sky.near(fit.rotation[2], min(radius, 1.4))
        place = self.places(fit, near)
        inside = self.inside(place, margin).nonzero()[0][: self.most]
        return near[inside], place[inside]

    def inside(self, place: Array, margin: float) -> Bools:
        """Whether places (n, 2) are in the image."""
        x, y = place[:, 0], place[:, 1]
        low, high = self.view.low, self.view.high
        inside = (x > low[0] - margin) & (x < high[0] + margin)
        inside &= (y > low[1] - margin) & (y < high[1] + margin)
        return np.asarray(inside)

    def places(self, fit: Fit, star: Ints) -> Array:
        """Where stars are in the plane of the view."""
        p = self.sky.directions[star] @ fit.rotation.T
        place = p[:, :2] * (fit.scale / p[:, 2:])
        if fit.radial:
            r2 = np.einsum('ij,ij->i', place, place) / fit.scale**2
            place *= (1.0 + fit.radial * r2)[:, np.newaxis]
        return np.asarray(place)

    def match(self, fit: Fit, near: Ints, tolerance: float) -> Pairs | None:
        """Centroids and their nearest stars, one to one; None where too few to prove anything.

        Args:
            fit: attitude.
            near: stars among which to look.
            tolerance: in the plane.
        """
        view = self.view
        place = self.places(fit, near)
        inside = self.inside(place, 0.0)
        stars = int(np.count_nonzero(inside))
        if not stars:
            return None
        dx = view.plane[:, 0, None] - place[:, 0]
        dy = view.plane[:, 1, None] - place[:, 1]
        distance = dx * dx + dy * dy
        nearest = distance.argmin(axis=1)
        row = (distance[self._rows, nearest] < tolerance**2).nonzero()[0]
        if len(row) <= SAMPLE:
            return None
        nearest = nearest[row]
        ex, ey = dx[row, nearest], dy[row, nearest]
        w = view.weight[row]
        squared = w[:, 0, 0] * ex * ex + w[:, 1, 1] * ey * ey + 2.0 * w[:, 0, 1] * ex * ey
        chance = squared * view.area[row] * (self._per_area * stars)
        # of several centroids at one star the most probable counts: it is written last
        order = np.argsort(-chance)
        owner = np.full(len(near), -1)
        owner[nearest[order]] = order
        kept = owner[owner >= 0]
        kept = kept[np.argsort(chance[kept])]
        nearest = nearest[kept]
        error = np.empty((len(kept), 2))
        error[:, 0], error[:, 1] = ex[kept], ey[kept]
        return Pairs(row[kept], near[nearest], place[nearest], error, squared[kept], chance[kept])

    def verify(
        self,
        start: Fit,
        tolerance: float,
        trials: int,
        accept: float,
        *,
        radial: bool = False,
        near: Ints | None = None,
    ) -> Solution | None:
        """Refine a hypothesis and judge it.

        Args:
            start: the hypothesis.
            tolerance: distance in the plane within which stars are looked for.
            trials: attitudes tried so far.
            accept: greatest expected number of false alarms.
            radial: whether to fit a radial distortion too.
            near: stars among which to look, where they are known already.

        Returns:
            The solution where it is accepted.
        """
        fit = start
        if near is None:
            near, _ = self.stars(fit, tolerance)
        bound = tolerance
        before = b''
        for i in range(_ROUNDS):
            pairs = self.match(fit, near, bound)
            if pairs is None:
                return None
            expected, count = false_alarms(pairs.chance, len(self.view), trials)
            if i and expected > (_HOPELESS if i < 2 else accept):
                return None
            good = np.arange(count)
            if i:
                spread = max(1.0, float(np.sort(pairs.squared[:count])[count // 2]) / MEDIAN)
                good = (pairs.squared <= GATE * spread).nonzero()[0]
            if len(good) <= SAMPLE + radial:
                return None
            pairs = pairs.take(good)
            same = pairs.identity()
            if i > 1 and (same == before or i == _ROUNDS - 1):
                found = Solution(fit, pairs, expected)
                return found if found.strong or self._sharp(pairs) else None
            before = same
            try:
                fit = self.improve(fit, pairs, radial=radial)
            except np.linalg.LinAlgError:
                return None
            farthest = math.sqrt(float((pairs.error**2).sum(axis=1).max()))
            bound = min(tolerance, max(3.0 * farthest, self._smallest))
        return None

    def _sharp(self, pairs: Pairs) -> bool:
        """Whether residuals are as small as the centroids say, or below a pixel.

        A few stars close together, rightly identified, fit many attitudes badly: without the rest
        of the stars to decide, a large residual means a wrong one.
        """
        camera = self.view.camera
        limit = max(9.0 * float(np.median(self.view.area)), 1.0 / (camera.fx * camera.fy))
        return 0.5 * float((pairs.error**2).sum(axis=1).mean()) <= limit

    def straighten(self, found: Solution, trials: int, accept: float) -> Solution:
        """The solution with a radial distortion, where the stars show one beyond doubt."""
        if len(found.pairs.row) < _STRAIGHTEN:
            return found
        tolerance = 6.0 * math.sqrt(float((found.pairs.error**2).sum(axis=1).max()))
        bent = found
        for _ in range(3):  # each time more of the stars near the corners fit
            better = self.verify(bent.fit, tolerance, trials, accept, radial=True)
            if better is None:
                return found
            grown = len(better.pairs.row) > len(bent.pairs.row)
            bent = better
            if not grown:
                break
        certain = abs(bent.fit.radial) > _CERTAIN * bent.fit.radial_sigma
        return bent if certain and len(bent.pairs.row) >= len(found.pairs.row) else found

    def improve(self, fit: Fit, pairs: Pairs, *, radial: bool = False) -> Fit:
        """One step of Gauss-Newton on rotation and, where it is free, on focal length."""
        view = self.view
        free = view.focal_sigma > 0.0
        place, error = pairs.place, pairs.error
        x, y = place[:, 0] / fit.scale, place[:, 1] / fit.scale
        jacobian = np.empty((len(place), 2, 3 + free + radial))
        jacobian[:, 0, 0], jacobian[:, 0, 1], jacobian[:, 0, 2] = -x * y, 1.0 + x * x, -y
        jacobian[:, 1, 0], jacobian[:, 1, 1], jacobian[:, 1, 2] = -1.0 - y * y, x * y, x
        jacobian *= fit.scale
        if free:
            jacobian[:, :, 3] = place
        if radial:
            jacobian[:, :, -1] = place * (x * x + y * y)[:, np.newaxis]
        weighted = (view.weight[pairs.row] @ jacobian).reshape(-1, jacobian.shape[2])
        normal = weighted.T @ jacobian.reshape(weighted.shape)
        right = weighted.T @ error.ravel()
        if free:
            information = view.focal_sigma**-2
            normal[3, 3] += information
            right[3] -= information * (math.log(fit.scale) + view.moved)
        covariance = np.linalg.inv(normal)
        spread = float(np.mean(pairs.squared)) / 2.0
        spread = spread if spread > _UNDERSTATED else 1.0
        step = covariance @ right
        turn = to_matrix(exp(step[:3].tolist()))
        return replace(
            fit,
            rotation=turn @ fit.rotation,
            scale=fit.scale * math.exp(max(-0.1, min(0.1, step[3]))) if free else fit.scale,
            radial=fit.radial + float(step[-1]) if radial else fit.radial,
            radial_sigma=math.sqrt(float(covariance[-1, -1]) * spread) if radial else 0.0,
            covariance=covariance[:3, :3] * spread,
        )
