# SPDX-License-Identifier: Apache-2.0
"""From candidates to stars: what all three methods share.

A candidate becomes a star if the light under the shape of a star image stands out of the noise by
more than false alarms are allowed to, and if no test of :mod:`.artefacts` calls it something else.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from meta_repo_ros.starnav.detection import artefacts
from meta_repo_ros.starnav.detection.background import Background
from meta_repo_ros.starnav.detection.candidates import ROUGH
from meta_repo_ros.starnav.detection.centroid import (
    LEAST_WEIGHT,
    Cutouts,
    Measured,
    centroid,
    cut,
    sampling_floor,
)
from meta_repo_ros.starnav.detection.parameters import DetectionParameters
from meta_repo_ros.starnav.detection.survey import Survey
from meta_repo_ros.starnav.image import Image
from meta_repo_ros.starnav.types import Array, Bools, Centroids, Ints

STRUCTURE = 0.4  # share of a tile's structure that counts as noise of a star
ROUGH_TILE = 1.25  # a rim that much noisier than its tile has structure of its own
EDGE = 1.5  # star images nearer to the edge than so many sigma are cut
MOST_LONG = 30  # candidates looked at from far away, for the time it takes
FEW = 4  # stars that an identification needs
BLACK = 0.05  # of the scale


def least_snr(pixels: float, sigma: float, false_per_image: float) -> float:
    """Signal to noise of the star filter that noise alone exceeds so often in an image.

    Expected Euler characteristic of a smoothed Gaussian random field above a level t, R. Adler,
    The Geometry of Random Fields (1981), theorem 5.3.1: ``A / (2 sigma^2) (2 pi)^-1.5 t
    exp(-t^2 / 2)``; sigma is the star's, whose filter gives noise a correlation of exp(-r^2 / 4
    sigma^2).

    Args:
        pixels: area searched.
        sigma: of a star image, pixels.
        false_per_image: expected number.
    """
    density = pixels / (2.0 * max(sigma, 0.5) ** 2) * (2.0 * math.pi) ** -1.5
    t = 5.0
    for _ in range(30):
        t = math.sqrt(max(2.0 * math.log(max(density * t / false_per_image, 1.0001)), 1.0))
    return max(t, 3.0)


def empty(image: Image, background: Background, problem: str = '') -> Centroids:
    """No stars."""
    return Centroids(
        position=np.zeros((0, 2)),
        covariance=np.zeros((0, 2, 2)),
        flux=np.zeros(0),
        snr=np.zeros(0),
        saturated=np.zeros(0, bool),
        width=image.shape[1],
        height=image.shape[0],
        background=background.median_level,
        noise=background.median_noise,
        problem=problem,
    )


def stars(look: Survey, parameters: DetectionParameters, more: Array | None = None) -> Centroids:
    """Measure the candidates of a survey, and more that a method found, and keep the stars.

    Args:
        look: of the image.
        parameters: what counts as a star.
        more: (n, 2) u, v of further candidates, best first, within a pixel or two; those already
            in the survey may be among them.
    """
    if look.problem:
        return empty(look.image, look.background, look.problem)
    reasons = dict(look.rejected)
    position, saturated, radius = look.position, look.saturated > 0, np.sqrt(look.area / np.pi)
    if more is not None and len(more):
        on, covered = look.regions.contain(more)
        more = more[~on & ~covered]
        position = np.concatenate([position, more])
        saturated = np.concatenate([saturated, np.zeros(len(more), bool)])
        radius = np.concatenate([radius, np.zeros(len(more))])
    first = apart(position, max(look.sigma, 1.0))
    position, saturated, radius = position[first], saturated[first], radius[first]
    rough = _Rough(position, saturated, radius)
    least = least_snr(look.image.size, look.sigma, parameters.false_per_image)
    result = judge(look, parameters, rough, least, reasons)
    return result if len(result) >= FEW else _why_few(look, result)


def judge(
    look: Survey,
    parameters: DetectionParameters,
    rough: _Rough,
    least: float,
    reasons: dict[str, int],
) -> Centroids:
    """Measure candidates, drop what is no star, sort by brightness."""
    image, background, sigma = look.image, look.background, look.sigma
    position = rough.position
    if not len(position):
        return dataclasses.replace(empty(image, background), rejected=counted(reasons))
    cutouts, found = _fit(look, rough)
    inside = within(found.position, image, EDGE * sigma)
    keep = found.converged & (found.snr >= least) & inside
    reasons['edge'] = int((found.converged & ~inside).sum())
    reasons['faint'] = int((~keep).sum()) - reasons['edge']
    if parameters.reject_artefacts:
        lined = _lined(look, found, cutouts, keep & ~rough.saturated, least)
        verdicts = artefacts.shapes(cutouts, found, sigma, rough.saturated, lined)
        for reason, verdict in verdicts.items():
            reasons[reason] = reasons.get(reason, 0) + int((verdict & keep).sum())
            keep &= ~verdict
    result = brightest(
        image, found, keep, saturated=rough.saturated, sigma=sigma, parameters=parameters
    )
    return dataclasses.replace(
        result,
        covariance=result.covariance + _pulled(result.position, result.flux, sigma),
        background=background.median_level,
        noise=background.median_noise,
        rejected=counted(reasons),
    )


def brightest(
    image: Image,
    found: Measured,
    keep: Bools,
    *,
    saturated: Bools,
    sigma: float,
    parameters: DetectionParameters,
) -> Centroids:
    """The brightest of what was found, each once, with what no noise explains.

    Args:
        image: of them.
        found: centroids (n,).
        keep: (n,) which of them are stars.
        saturated: (n,) whether a pixel of them is.
        sigma: of a star image, pixels.
        parameters: how many, and the least standard deviation.
    """
    chosen = np.flatnonzero(keep)
    chosen = chosen[np.argsort(-found.flux[chosen], kind='stable')]
    chosen = chosen[apart(found.position[chosen], max(1.5 * sigma, 1.0))][: parameters.max_stars]
    floor = parameters.centroid_floor**2 + sampling_floor(sigma) ** 2
    return Centroids(
        position=found.position[chosen],
        covariance=found.covariance[chosen] + np.eye(2) * floor,
        flux=found.flux[chosen],
        snr=(found.flux / found.flux_sigma)[chosen],
        saturated=saturated[chosen],
        width=image.shape[1],
        height=image.shape[0],
    )


@dataclass(frozen=True)
class _Rough:
    """Candidates: position (n, 2), whether saturated (n,), radius of the bright part (n,)."""

    position: Array
    saturated: Bools
    radius: Array


def _fit(look: Survey, rough: _Rough) -> tuple[Cutouts, Measured]:
    """Centroids of all candidates; saturated ones by a weight as wide as their bright part."""
    _, noise, fine = look.background.all_at(rough.position[:, 0], rough.position[:, 1])
    known = np.minimum(noise, ROUGH * fine).astype(float)
    # Glow is smooth across a star, clouds are not quite.
    structure = STRUCTURE * np.sqrt(np.maximum(noise**2 - (ROUGH * fine) ** 2, 0.0))
    tile_noise = look.roughness * np.hypot(known, structure)
    cutouts = cut(look.image, rough.position, look.sigma, tile_noise, rough=ROUGH_TILE)
    whole = artefacts.mended(cutouts.pixels, cutouts.noise, look.sigma)
    cutouts = dataclasses.replace(cutouts, pixels=whole)
    found = centroid(cutouts, rough.position, max(look.sigma, LEAST_WEIGHT), look.photon)
    wide = np.flatnonzero(rough.saturated & (rough.radius > 1.5 * look.sigma))
    for star in wide:
        width = float(min(max(look.sigma, 0.6 * rough.radius[star]), 12.0))
        one = rough.position[star : star + 1]
        window = cut(look.image, one, width, tile_noise[star : star + 1])
        again = centroid(window, one, width, look.photon)
        if again.converged[0]:
            for name in ('position', 'covariance', 'snr'):
                getattr(found, name)[star] = getattr(again, name)[0]
            light = window.pixels[0]
            bright = float(light[light > 3.0 * window.noise[0]].sum())
            found.flux[star] = max(bright, float(again.flux[0]))
            found.flux_sigma[star] = found.flux[star] / found.snr[star]
            found.converged[star] = True
    # The lost peak hides how far the light leans: a tenth of the bright part is not known.
    lost = (0.05 * rough.radius[rough.saturated]) ** 2
    found.covariance[rough.saturated] += lost[:, None, None] * np.eye(2)
    return cutouts, found


def _lined(
    look: Survey, found: Measured, cutouts: Cutouts, candidates: Bools, least: float
) -> Bools:
    """Which candidates lie on a line of light; faint ones are looked at from farther away."""
    lined = np.zeros(len(found.snr), bool)
    height = found.flux / (2.0 * np.pi * look.sigma**2)
    for reach, brightest in ((artefacts.RAY, np.inf), (artefacts.LONG_RAY, 2.0 * least)):
        chosen = np.flatnonzero(candidates & ~lined & (found.snr < brightest))
        if reach > artefacts.RAY:
            chosen = chosen[np.argsort(-found.snr[chosen], kind='stable')][:MOST_LONG]
        lined[chosen] = artefacts.on_rays(
            look, found.position[chosen], height[chosen], cutouts.noise[chosen], reach=reach
        )
    return lined


def _why_few(look: Survey, result: Centroids) -> Centroids:
    """An image with hardly a star: what kind of image it is."""
    level = look.background.median_level / look.saturation
    problem = ''
    if level > artefacts.DAYLIGHT:
        problem = 'daylight'
    elif not len(result) and not len(look.position) and level < BLACK and not result.rejected:
        problem = 'black'
    if not problem:
        return result
    nothing = empty(look.image, look.background, problem)
    return dataclasses.replace(nothing, rejected=result.rejected)


def within(position: Array, image: Image, margin: float) -> Bools:
    """Which positions (n, 2) are farther than ``margin`` pixels from the edge."""
    limit = np.array([image.shape[1], image.shape[0]]) - 1.0 - margin
    return np.asarray(((position >= margin) & (position <= limit)).all(axis=1))


def counted(reasons: dict[str, int]) -> dict[str, int]:
    """Reasons that were given at all."""
    return {reason: count for reason, count in reasons.items() if count}


def _near(position: Array, distance: float) -> tuple[Ints, Ints]:
    """Pairs of indices of positions nearer than ``distance`` to each other, the lesser first."""
    order = np.argsort(position[:, 0], kind='stable')
    x = position[order, 0]
    first, second = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for shift in range(1, len(position)):
        close = x[shift:] - x[:-shift] < distance
        if not close.any():
            break
        a, b = order[:-shift][close], order[shift:][close]
        near = np.hypot(*(position[a] - position[b]).T) < distance
        first.append(np.minimum(a, b)[near])
        second.append(np.maximum(a, b)[near])
    return np.concatenate(first), np.concatenate(second)


def apart(position: Array, distance: float) -> Ints:
    """Indices of positions that are not near an earlier one."""
    keep = np.ones(len(position), bool)
    keep[_near(position, distance)[1]] = False
    return np.flatnonzero(keep)


def _pulled(position: Array, flux: Array, sigma: float) -> Array:
    """Covariance (n, 2, 2) for the pull of near neighbours on a windowed centroid.

    Through the weight of one star, the other's light at distance d counts exp(-d^2 / 4 sigma^2)
    at half the distance.
    """
    result = np.zeros((len(position), 2, 2))
    for a, b in zip(*_near(position, 8.0 * sigma), strict=True):
        offset = position[b] - position[a]
        reach = math.exp(-float(offset @ offset) / (4.0 * sigma**2))
        outer = np.outer(offset, offset) * reach**2
        result[a] += outer * (flux[b] / flux[a]) ** 2
        result[b] += outer * (flux[a] / flux[b]) ** 2
    return result
