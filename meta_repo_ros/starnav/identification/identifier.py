# SPDX-License-Identifier: Apache-2.0
"""Which stars are these? The way in for all who have centroids."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from meta_repo_ros.starnav.camera import Camera
from meta_repo_ros.starnav.catalogue import Catalogue
from meta_repo_ros.starnav.identification.levels import Levels
from meta_repo_ros.starnav.identification.search import Hypotheses, Search
from meta_repo_ros.starnav.identification.tracking import WIDEST, track
from meta_repo_ros.starnav.identification.verification import Fit, Sky, Solution, Verifier
from meta_repo_ros.starnav.identification.view import View, prepare
from meta_repo_ros.starnav.types import Array, Centroids, Failure, Match

FEWEST = 4  # stars for a solution
_REACH = 3.0  # standard deviations of a focal length
_SLACK = 1e-3  # relative error of angles that an unknown camera may have
_COARSE = 0.25  # greatest half step of the logarithm of an unknown focal length
_BEND, _BEND_UNKNOWN = 5e-3, 2e-3  # error of a shape by a wrong focal length that is allowed for
_CONTRADICTION = 6.0  # standard deviations of a hint
_USUAL = 0.05  # sr
_DELAY = 2  # batches before the next index is tried
_PATIENCE = 3  # turns in which a better solution than a weak one is looked for
_TURNS = 6  # batches before a mirrored sky is looked at, and so on
_LIKELY = 0.3  # number of chance hypotheses as good from which one is doubtful
_DOUBTFUL = 2  # doubtful hypotheses of a batch that are looked at closely
_SKEW = 1e-3  # of the product of a rotation and its transpose from one
_SETTLINGS, _SETTLED = 12, 1e-4  # rounds, and change of the focal length
_SAME = 0.03  # rad between two attitudes that count as one
_MOST = 300  # centroids


@dataclass
class _Progress:
    """What was tried, until when to try."""

    begin: float
    deadline: float
    trials: int = 0
    patterns: int = 0

    @property
    def over(self) -> bool:
        return time.perf_counter() > self.deadline


@dataclass(frozen=True)
class _Plan:
    """One focal length at one index.

    Attributes:
        view: by this focal length.
        focal: over the stated one.
        half_range: of the logarithm of the focal length.
        slack: relative error of an angle by distortion.
        level: number of the index.
        rank: 0 for the index that fits best.
    """

    view: View
    focal: float
    half_range: float
    slack: float
    level: int
    rank: int


class _Sweep:
    """How far a search over several plans has come."""

    def __init__(self, plans: list[_Plan]) -> None:
        self.plans = plans
        self.turn = 0
        self.done = False
        self._searches: dict[int, tuple[Search, Iterator[Hypotheses]]] = {}

    def search(self, plan: _Plan, levels: Levels) -> tuple[Search, Iterator[Hypotheses]]:
        """The search of a plan and its batches, prepared at first use."""
        key = id(plan)
        if key not in self._searches:
            level = levels.level(plan.level)
            search = Search(plan.view, level, plan.half_range, slack=plan.slack)
            self._searches[key] = search, search.run()
        return self._searches[key]


class Identifier:
    """Identification of stars of one catalogue at one date."""

    def __init__(
        self,
        catalogue: Catalogue,
        stamp_ns: int,
        *,
        false_alarm_probability: float = 1e-7,
        field_of_view: tuple[float, float] = (math.radians(4.5), math.radians(45.0)),
        model_error: float = 0.05,
    ) -> None:
        """Take the catalogue to the date.

        Args:
            catalogue: brightest first.
            stamp_ns: UTC, ns; the result holds for some weeks about it.
            false_alarm_probability: greatest probability of a wrong match per call.
            field_of_view: least and greatest one, of the longer side, that is tried where the
                camera's is not known, rad.
            model_error: standard deviation of what the camera model leaves, per axis, pixels.
        """
        self.catalogue = catalogue
        self.levels = Levels(catalogue, stamp_ns)
        self.accept = false_alarm_probability
        self.field_of_view = field_of_view
        self.model_error = model_error
        self._sky = Sky(self.levels.directions)

    def prepare(self, camera: Camera) -> None:
        """Build or read the indices that a camera needs, seconds at most, ahead of the first frame.

        :meth:`solve` does so itself where needed, and its time for that counts.

        Args:
            camera: ``focal_sigma`` and size count.
        """
        nothing = Centroids(
            position=np.zeros((0, 2)), covariance=np.zeros((0, 2, 2)), flux=np.zeros(0),
            snr=np.zeros(0), saturated=np.zeros(0, bool), width=camera.width, height=camera.height,
        )  # fmt: skip
        for plan in self._plans(prepare(nothing, camera, self.model_error)):
            self.levels.level(plan.level)

    def solve(
        self,
        centroids: Centroids,
        camera: Camera,
        hint: Array | None = None,
        hint_sigma: float = math.radians(0.5),
        timeout: float = 1.0,
        *,
        fallback: bool = True,
    ) -> Match:
        """Identify the stars of a frame.

        Args:
            centroids: of the frame.
            camera: that took it; ``focal_sigma`` says how well its focal length is known.
            hint: (3, 3) icrs_to_camera expected, by a filter for instance.
            hint_sigma: standard deviation of the hint about each axis, rad.
            timeout: s.
            fallback: whether a hint that leads to nothing is forgotten and all the sky searched;
                otherwise such a frame is refused.

        Returns:
            The match, or the reason why there is none; nothing is raised for bad input.
        """
        begin = time.perf_counter()
        progress = _Progress(begin, begin + timeout)
        if centroids.problem:
            return self._failed(Failure.BAD_IMAGE, f'the image is {centroids.problem}', progress)
        view = prepare(centroids, camera, self.model_error)
        if len(view) < FEWEST:
            detail = f'{len(view)} usable centroids, at least {FEWEST} are needed'
            return self._failed(Failure.TOO_FEW_STARS, detail, progress)
        view = view.first(_MOST)
        if hint is None:
            return self._lost_in_space(view, progress)
        return self._tracked(view, np.asarray(hint, float), hint_sigma, progress, fallback=fallback)

    # -- tracking -------------------------------------------------------------------------------

    def _tracked(
        self, view: View, hint: Array, sigma: float, progress: _Progress, *, fallback: bool
    ) -> Match:
        expected = _rotation(hint)
        usable = expected is not None and sigma > 0.0
        quick = usable and sigma <= WIDEST and not math.isinf(view.focal_sigma)
        if expected is not None and quick:
            verifier = Verifier(view, self._sky)
            found, trials = track(verifier, expected, sigma, self.accept)
            progress.trials += trials
            settled = None if found is None else self._settled(view, found, progress)
            if settled is not None:
                return self._solved(*settled, progress, tracked=True)
        if not fallback and (quick or not usable):
            detail = f'no stars within {math.degrees(sigma):.2f} deg of the expected attitude'
            detail = detail if usable else 'the expected attitude is no rotation'
            return self._failed(Failure.NO_MATCH, detail, progress)
        match = self._lost_in_space(view, progress)
        angle = _angle(match.icrs_to_camera, hint) if match.solved and usable else math.inf
        if angle <= _CONTRADICTION * sigma:
            return replace(match, tracked=True)
        if fallback or not match.solved:
            return match
        detail = f'the stars contradict the expected attitude by {math.degrees(angle):.2f} deg'
        return self._failed(Failure.NO_MATCH, detail, progress)

    # -- lost in space --------------------------------------------------------------------------

    def _lost_in_space(self, view: View, progress: _Progress) -> Match:
        """Search all the sky, and between times a mirrored one, to be able to say so."""
        straight = _Sweep(self._plans(view))
        reversed_view = view.mirrored()
        mirrored = _Sweep(self._plans(reversed_view))
        while not (straight.done and mirrored.done) and not progress.over:
            found = self._search(straight, view, progress)
            if isinstance(found, Match):
                return found
            if found is not None:
                if math.isinf(view.focal_sigma) and view.camera.model == 'none':
                    verifier = Verifier(view, self._sky)
                    found = verifier.straighten(found, progress.trials, self.accept)
                settled = self._settled(view, found, progress)
                if settled is None:
                    detail = 'what stars match contradict the camera model'
                    return self._failed(Failure.NO_MATCH, detail, progress)
                return self._solved(*settled, progress)
            if isinstance(self._search(mirrored, reversed_view, progress), Solution):
                detail = 'the stars match a mirrored sky: the image is exchanged left and right'
                return self._failed(Failure.MIRRORED, detail, progress)
        if progress.over:
            return self._failed(Failure.TIMEOUT, 'no pattern was found before the time was up',
                                progress)  # fmt: skip
        detail = f'no star pattern of {len(view)} centroids was found in the catalogue'
        return self._failed(Failure.NO_MATCH, detail, progress)

    def _search(self, sweep: _Sweep, view: View, progress: _Progress) -> Solution | Match | None:
        """An accepted solution in some turns over all focal lengths and levels, if there is one.

        The first strong one, else the best until some turns after the first.
        """
        best: Solution | None = None
        patience = _PATIENCE
        for _ in range(_TURNS):
            idle = True
            for plan in sweep.plans:
                if sweep.turn < _DELAY * plan.rank:
                    idle = False
                    continue
                search, run = sweep.search(plan, self.levels)
                batch = next(run, None)
                if batch is None:
                    continue
                idle = False
                progress.trials += batch.tried
                progress.patterns += batch.patterns
                found = self._verified(search, view, plan, batch, progress)
                if isinstance(found, Match):
                    return found
                best = _better(best, found)
                if (best is not None and best.strong) or progress.over:
                    return best
            sweep.turn += 1
            if idle:
                sweep.done = True
                break
            patience -= best is not None
            if not patience:
                break
        return best

    def _plans(self, view: View) -> list[_Plan]:
        """Focal lengths that are possible, each with the indices that fit."""
        if math.isinf(view.focal_sigma):
            stated = view.camera
            half = 0.5 * max(stated.width, stated.height) / stated.fx
            low = math.log(half / math.tan(0.5 * self.field_of_view[1]))
            high = math.log(half / math.tan(0.5 * self.field_of_view[0]))
            bend, slack = _BEND_UNKNOWN, _SLACK
        else:
            high = _REACH * view.focal_sigma
            low, bend, slack = -high, _BEND, 0.0
        plans: list[_Plan] = []
        edge = low
        while edge < high or not plans:
            # beyond this step shapes near a corner change by more than is allowed for
            corner = math.tan(view.radius) / math.exp(edge)
            step = min(_COARSE, max(0.004, bend / corner**2), 0.5 * (high - edge))
            focal = math.exp(edge + step)
            scaled = view.rescaled(focal)
            plans += [
                _Plan(scaled, focal, step, slack, level, rank)
                for rank, level in enumerate(self.levels.order(scaled.extent))
            ]
            edge += 2.0 * step + 1e-9
        # most cameras for stars have some 15 degrees
        return sorted(plans, key=lambda plan: abs(math.log(plan.view.extent / _USUAL)))

    def _verified(
        self, search: Search, view: View, plan: _Plan, batch: Hypotheses, progress: _Progress
    ) -> Solution | Match | None:
        """The first of the most voted hypotheses that holds."""
        if not len(batch.votes):
            return None
        verifier = Verifier(view, self._sky)
        # the map's own radius, and something for what the triangle got wrong
        tolerance = 1.5 * search.level.map.radius
        best: Solution | None = None
        rest = _DOUBTFUL
        least = verifier.least(self.accept)
        for rotation, scale, votes, surprise in zip(
            batch.rotation, batch.scale, batch.votes, batch.surprise, strict=True
        ):
            if surprise > _LIKELY:
                rest -= 1
            if votes < least or rest < 0 or progress.over:
                break
            if best is not None and best.strong:
                if 2 * votes < len(best.pairs.star):
                    break
                if _angle(best.fit.rotation, rotation) < _SAME:
                    continue
            focal = plan.focal * float(scale)
            found = verifier.verify(
                Fit(rotation, focal), tolerance * focal, progress.trials, self.accept
            )
            if found is None:
                continue
            if best and best.strong and found.strong and _apart(best, found):
                detail = 'two attitudes explain the stars'
                return self._failed(Failure.AMBIGUOUS, detail, progress)
            best = _better(best, found)
        return best

    def _settled(
        self, view: View, found: Solution, progress: _Progress
    ) -> tuple[View, Solution] | None:
        """The solution by the exact camera model; None where that does not confirm it.

        In the plane another focal length is another scale. With distortion that holds near the
        axis only, so the places are taken anew by the focal length found, until it stays.
        """
        if view.camera.model == 'none' or view.focal_sigma == 0.0:
            return view, found
        for _ in range(_SETTLINGS):
            change = found.fit.scale
            view = view.rescaled(change)
            tolerance = 0.01 * math.tan(view.radius)
            again = Verifier(view, self._sky).verify(
                Fit(found.fit.rotation), tolerance, progress.trials, self.accept
            )
            if again is None:
                return None
            found = again
            if abs(math.log(change)) < _SETTLED:
                return view, found
        return None

    # -- results --------------------------------------------------------------------------------

    def _solved(
        self, view: View, found: Solution, progress: _Progress, *, tracked: bool = False
    ) -> Match:
        fit, pairs = found.fit, found.pairs
        camera = view.camera
        if fit.scale != 1.0:
            camera = camera.with_focal_length(camera.fx * fit.scale)
        residual = pairs.error * (view.camera.fx, view.camera.fy)
        return Match(
            failure=Failure.NONE,
            detail=f'{len(pairs.star)} of {len(view)} centroids are stars',
            icrs_to_camera=_orthogonal(fit.rotation),
            covariance=fit.covariance,
            centroid=view.centroid[pairs.row],
            star=pairs.star,
            hip=self.catalogue.hip[pairs.star],
            residual=residual,
            residual_rms=math.sqrt(float(np.mean(residual**2))) / camera.fx,
            focal_length=camera.fx,
            field_of_view=_field_of_view(camera),
            radial=fit.radial,
            false_alarm_probability=min(found.expected, 1.0),
            elapsed=time.perf_counter() - progress.begin,
            attempts=progress.patterns,
            tracked=tracked,
        )

    @staticmethod
    def _failed(failure: Failure, detail: str, progress: _Progress) -> Match:
        return Match(
            failure=failure,
            detail=detail,
            elapsed=time.perf_counter() - progress.begin,
            attempts=progress.patterns,
        )


def _better(a: Solution | None, b: Solution | None) -> Solution | None:
    """The one that chance would less likely give."""
    if a is None or b is None:
        return b if a is None else a
    return b if b.expected < a.expected else a


def _apart(a: Solution, b: Solution) -> bool:
    return _angle(a.fit.rotation, b.fit.rotation) > _SAME


def _angle(a: Array, b: Array) -> float:
    """Angle between two rotations, rad."""
    return math.acos(max(-1.0, min(1.0, 0.5 * (float(np.sum(a * b)) - 1.0))))


def _orthogonal(rotation: Array) -> Array:
    """The nearest rotation to one that is nearly one already: a step of Newton and Schulz."""
    return np.asarray(1.5 * rotation - 0.5 * (rotation @ rotation.T @ rotation))


def _rotation(hint: Array) -> Array | None:
    """A hint as a rotation; None where it is none."""
    if hint.shape != (3, 3) or not np.isfinite(hint).all():
        return None
    if float(np.abs(hint @ hint.T - np.eye(3)).max()) > _SKEW or np.linalg.det(hint) < 0.0:
        return None
    return _orthogonal(hint)


@lru_cache(maxsize=16)
def _field_of_view(camera: Camera) -> float:
    return camera.field_of_view
