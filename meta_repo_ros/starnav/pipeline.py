# SPDX-License-Identifier: Apache-2.0
"""From an image to the attitude of the camera: detection, identification, exact attitude.

:func:`process` is what a task of the processor runs: it takes values that nothing changes later,
and never raises for what an image may hold.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from meta_repo_ros.starnav import attitude as least_squares
from meta_repo_ros.starnav.astrometry import Observer, apparent
from meta_repo_ros.starnav.camera import Camera, from_field_of_view
from meta_repo_ros.starnav.catalogue import Catalogue
from meta_repo_ros.starnav.detection import Detector
from meta_repo_ros.starnav.image import ImageError, decode
from meta_repo_ros.starnav.types import Array, Centroids, Failure, Ints, Match

_BLIND_FOV = 20.0  # deg, a name for a camera of which nothing is known
_EDGE = 4.0  # pixels: predicted stars this near to the edge are not looked for
_SHARP = 3.0  # pixels: a shorter smear does not move centroids
_ENOUGH = 5  # stars that a windowed search must find, else the whole image is searched


class Solver(Protocol):
    """What identifies stars."""

    def solve(  # noqa: D102
        self,
        centroids: Centroids,
        camera: Camera,
        *,
        hint: Array | None = None,
        hint_sigma: float = math.nan,
        timeout: float = 1.0,
        fallback: bool = True,
    ) -> Match: ...


@dataclass(frozen=True)
class Sky:
    """The catalogue at a date.

    Attributes:
        catalogue: the stars.
        directions: (n, 3) barycentric ICRS at ``stamp``.
        identifier: made of both.
        stamp: ns.
    """

    catalogue: Catalogue
    directions: Array
    identifier: Solver
    stamp: int


@dataclass(frozen=True)
class Job:
    """All that the work on one image needs.

    Attributes:
        message: with the fields of ``sensor_msgs/Image``.
        stamp: middle of the exposure, ns.
        detector: finds the stars.
        method: its name.
        camera: None where nothing is known of it.
        observer: place, velocity and air of the camera.
        hint: (3, 3) predicted ICRS to camera, None for none.
        hint_sigma: its standard deviation, rad, the worst axis.
        rate: of the camera, rad/s, camera axes, for smear and rolling shutter; None where unknown.
        exposure: s.
        smear_error: standard deviation of a centroid along its smear, share of the length.
        windows: whether to search around predicted stars alone.
        max_windows: how many.
        timeout: of identification, s.
        picture: makes the annotated picture, None for none.
    """

    message: Any
    stamp: int
    detector: Detector
    method: str
    camera: Camera | None
    observer: Observer
    hint: Array | None = None
    hint_sigma: float = math.inf
    rate: Array | None = None
    exposure: float = 0.0
    smear_error: float = 0.0
    windows: bool = False
    max_windows: int = 60
    timeout: float = 1.0
    picture: Callable[[Any, Frame], NDArray[np.uint8]] | None = None


@dataclass(frozen=True)
class Frame:
    """What became of one image.

    Attributes:
        header: of the message.
        stamp: middle of the exposure, ns.
        centroids: found stars, as measured; empty where the image could not be read.
        match: solved, with the exact attitude, or the reason why not.
        camera: as it was known, or as it was found out.
        camera_known: whether it was known before, and of images of this size.
        windowed: whether windows alone were searched.
        sky_stamp: date of the catalogue, ns.
        method: of detection.
        note: what was odd about the image and was mended ('' for nothing).
        magnitude: (k,) Hp of the matched stars.
        directions: (k, 3) where the telescope sees them, GCRS axes.
        elapsed: s by step: detect, identify, attitude, total.
        picture: annotated, or None.
        bit_depth: bits of a sample, 0 where the image could not be read.
    """

    header: Any
    stamp: int
    centroids: Centroids
    match: Match
    camera: Camera | None
    camera_known: bool = False
    windowed: bool = False
    sky_stamp: int = 0
    method: str = ''
    note: str = ''
    magnitude: Array = field(default_factory=lambda: np.zeros(0))
    directions: Array = field(default_factory=lambda: np.zeros((0, 3)))
    elapsed: dict[str, float] = field(default_factory=dict)
    picture: NDArray[np.uint8] | None = None
    bit_depth: int = 0


def empty(width: int = 0, height: int = 0, problem: str = '') -> Centroids:
    """No stars."""
    none = np.zeros(0)
    return Centroids(
        np.zeros((0, 2)), np.zeros((0, 2, 2)), none, none, np.zeros(0, np.bool_), width, height,
        problem=problem,
    )  # fmt: skip


def process(job: Job, sky: Sky) -> Frame:
    """Solve one image with the catalogue near to its date."""
    begin = time.perf_counter()
    try:
        decoded = decode(job.message)
    except ImageError as error:
        match = Match(Failure.BAD_IMAGE, str(error))
        return Frame(job.message.header, job.stamp, empty(problem='unreadable'), match, None)
    image = decoded.pixels
    height, width = image.shape
    camera, note = _fitting(job.camera, width, height, decoded.note)
    known = camera is not None
    centroids, match, windowed, elapsed = _solve(job, sky, image, camera)
    match, camera, directions = _exact(job, sky, centroids, match, camera)
    elapsed['total'] = time.perf_counter() - begin
    frame = Frame(
        header=job.message.header,
        stamp=job.stamp,
        centroids=centroids,
        match=match,
        camera=camera,
        camera_known=known,
        windowed=windowed,
        sky_stamp=sky.stamp,
        method=job.method,
        note=note,
        magnitude=sky.catalogue.hp[match.star],
        directions=directions,
        elapsed=elapsed,
        bit_depth=8 * image.itemsize,
    )
    if job.picture is not None:
        frame = dataclasses.replace(frame, picture=job.picture(image, frame))
    return frame


def _fitting(
    camera: Camera | None, width: int, height: int, note: str
) -> tuple[Camera | None, str]:
    """The camera, if it is of images of this size."""
    if camera is None or (camera.width, camera.height) == (width, height):
        return camera, note
    odd = f'camera of {camera.width}x{camera.height} px, image of {width}x{height} px'
    return None, f'{note}; {odd}' if note else odd


def _solve(
    job: Job, sky: Sky, image: Any, camera: Camera | None
) -> tuple[Centroids, Match, bool, dict[str, float]]:
    """Stars and who they are: around predictions first, then in the whole image."""
    elapsed = {'detect': 0.0, 'identify': 0.0}
    height, width = image.shape
    model = camera or from_field_of_view(width, height, _BLIND_FOV, focal_sigma=math.inf)

    def attempt(windows: Array | None, *, fallback: bool) -> tuple[Centroids, Match]:
        start = time.perf_counter()
        centroids = job.detector.detect(image, windows)
        middle = time.perf_counter()
        if centroids.problem:
            match = Match(Failure.BAD_IMAGE, centroids.problem)
        else:
            match = sky.identifier.solve(
                _moving(job, centroids, model),
                model,
                hint=None if camera is None else job.hint,
                hint_sigma=job.hint_sigma,
                timeout=job.timeout,
                fallback=fallback,
            )
        elapsed['detect'] += middle - start
        elapsed['identify'] += time.perf_counter() - middle
        return centroids, match

    if job.windows and camera is not None and job.hint is not None:
        windows = predicted(job, sky, camera)
        if len(windows) >= _ENOUGH:
            centroids, match = attempt(windows, fallback=False)
            if match.solved and len(match.star) >= _ENOUGH:
                return centroids, match, True, elapsed
    return *attempt(None, fallback=True), False, elapsed


def predicted(job: Job, sky: Sky, camera: Camera) -> Array:
    """Pixels (n, 2) where the brightest stars of the catalogue should be, by the hint."""
    if job.hint is None:
        return np.zeros((0, 2))
    axis, directions = job.hint[2], sky.directions
    corner = camera.directions([[0.0, 0.0]])[0]
    cosine = min(float(corner[2]) if math.isfinite(float(corner[2])) else 0.0, 0.999)
    near = np.flatnonzero(directions @ axis > cosine)
    place = camera.project(directions[near] @ job.hint.T)
    inside = (
        (place > _EDGE).all(axis=1)
        & (place[:, 0] < camera.width - 1 - _EDGE)
        & (place[:, 1] < camera.height - 1 - _EDGE)
    )
    return np.asarray(place[inside][: job.max_windows])  # the catalogue is sorted by brightness


def _at_middle(centroids: Centroids, camera: Camera, rate: Array | None) -> Centroids:
    """Centroids of a rolling shutter where they would be at the middle row's time."""
    if rate is None or not camera.readout_time or not len(centroids):
        return centroids
    place = centroids.position
    moved = camera.project(camera.at_middle_row(camera.directions(place), place[:, 1], rate))
    good = np.asarray(np.isfinite(moved).all(axis=1))
    return dataclasses.replace(centroids, position=np.where(good[:, None], moved, place))


def _moving(job: Job, centroids: Centroids, camera: Camera) -> Centroids:
    """Centroids of a turning camera: at the middle row's time, and less certain along the smear."""
    centroids = _at_middle(centroids, camera, job.rate)
    if job.rate is None or not job.exposure * job.smear_error or not len(centroids):
        return centroids
    seen = camera.directions(centroids.position)
    ahead = camera.project(seen - job.exposure * np.cross(job.rate, seen))
    smear = np.nan_to_num(ahead - centroids.position)
    length = np.linalg.norm(smear, axis=1)
    sigma = job.smear_error * np.maximum(length - _SHARP, 0.0) / np.maximum(length, 1e-9)
    error = sigma[:, None] * smear
    covariance = centroids.covariance + error[:, :, None] * error[:, None, :]
    return dataclasses.replace(centroids, covariance=covariance)


def _smear_covariance(job: Job, camera: Camera) -> Array:
    """What an uneven smear does to all stars alike: a rotation about the axis of the motion."""
    if job.rate is None or not job.exposure:
        return np.zeros((3, 3))
    turned = job.exposure * job.rate
    # about the optical axis, stars at the typical distance from it
    length = camera.fx * float(np.linalg.norm(turned * (1.0, 1.0, 0.25 * camera.width / camera.fx)))
    error = job.smear_error * max(1.0 - _SHARP / max(length, 1e-9), 0.0) * turned
    return np.asarray(np.outer(error, error))


def _exact(
    job: Job, sky: Sky, centroids: Centroids, match: Match, camera: Camera | None
) -> tuple[Match, Camera | None, Array]:
    """The attitude by the places where the telescope sees the stars now, and those places."""
    if not match.solved:
        return match, camera, np.zeros((0, 3))
    model = camera
    if model is None:
        blind = from_field_of_view(
            centroids.width, centroids.height, _BLIND_FOV, focal_sigma=math.inf
        )
        model = blind.with_focal_length(match.focal_length)
    moving = _moving(job, centroids, model)
    place = moving.position[match.centroid]
    seen = model.directions(place)
    covariance = model.direction_covariance(place, moving.covariance[match.centroid])
    stars = apparent(sky.catalogue, match.star, job.observer)
    try:
        fit = least_squares.solve(
            seen, covariance, stars, initial=match.icrs_to_camera, focal_sigma=model.focal_sigma
        )
    except least_squares.AttitudeError as error:
        return Match(Failure.NO_MATCH, str(error), elapsed=match.elapsed), camera, stars[:0]
    spread = max(1.0, fit.chi_square / max(fit.degrees_of_freedom, 1))
    if camera is None or math.isinf(camera.focal_sigma):
        camera = dataclasses.replace(
            model.with_focal_length(model.fx * fit.scale),
            focal_sigma=max(fit.scale_sigma * math.sqrt(spread), 1e-5),
        )
    used = fit.used
    shown = model.with_focal_length(model.fx * fit.scale)
    expected = shown.project(stars @ fit.rotation.T)
    refined = dataclasses.replace(
        match,
        icrs_to_camera=fit.rotation,
        covariance=fit.covariance * spread + _smear_covariance(job, model),
        centroid=_kept(match.centroid, used),
        star=_kept(match.star, used),
        hip=_kept(match.hip, used),
        residual=(place - expected)[used],
        residual_rms=fit.residual_rms,
        focal_length=shown.fx,
        field_of_view=shown.field_of_view,
    )
    return refined, camera, stars[used]


def _kept(indices: Ints, used: NDArray[np.bool_]) -> Ints:
    return np.asarray(indices[used])
