# SPDX-License-Identifier: Apache-2.0
"""Any photograph of the night sky, by an unknown camera: where does it point, what is in it?"""

from __future__ import annotations

import dataclasses
import math
import time
from dataclasses import dataclass, field

import numpy as np

from meta_repo_ros.starnav import attitude
from meta_repo_ros.starnav.astrometry import apparent
from meta_repo_ros.starnav.camera import Camera, from_field_of_view
from meta_repo_ros.starnav.detection import Detector
from meta_repo_ros.starnav.identification.identifier import Identifier
from meta_repo_ros.starnav.image import Image
from meta_repo_ros.starnav.observer import Observer
from meta_repo_ros.starnav.pointing import Horizontal, Pointing, horizontal, pointing
from meta_repo_ros.starnav.types import Array, Centroids, Match

_UNKNOWN = 20.0  # deg, a name for a field of which nothing is known


@dataclass(frozen=True)
class Star:
    """A star in a photograph.

    Attributes:
        hip: Hipparcos number.
        name: proper name, or designation.
        magnitude: Hp.
        u, v: measured place, pixels.
        residual: distance from where it is expected, pixels.
    """

    hip: int
    name: str
    magnitude: float
    u: float
    v: float
    residual: float


@dataclass(frozen=True)
class Photo:
    """What is known of a photograph.

    Attributes:
        centroids: found stars.
        match: by the catalogue's places; solved, or the reason why not.
        camera: None where not solved.
        pointing: among the stars; None where not solved.
        horizontal: above the horizon, by apparent places; None without a date and a place.
        stars: identified, brightest first.
        seconds: wall time by step: detection, identification.
    """

    centroids: Centroids
    match: Match
    camera: Camera | None = None
    pointing: Pointing | None = None
    horizontal: Horizontal | None = None
    stars: tuple[Star, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)


def solve(
    image: Image,
    detector: Detector,
    identifier: Identifier,
    *,
    field_of_view: float | None = None,
    observer: Observer | None = None,
    timeout: float = 10.0,
) -> Photo:
    """Find out what a photograph shows.

    Args:
        image: (h, w) uint8 or uint16.
        detector: finds the stars.
        identifier: says which ones they are.
        field_of_view: horizontal, deg, to 3 %; None where unknown.
        observer: when and where it was taken; None where unknown.
        timeout: of identification, s.
    """
    height, width = image.shape
    start = time.perf_counter()
    centroids = detector.detect(image)
    middle = time.perf_counter()
    sigma = math.inf if field_of_view is None else 0.03
    camera = from_field_of_view(width, height, field_of_view or _UNKNOWN, focal_sigma=sigma)
    match = identifier.solve(centroids, camera, timeout=timeout)
    seconds = {'detection': middle - start, 'identification': time.perf_counter() - middle}
    if not match.solved:
        return Photo(centroids, match, seconds=seconds)
    camera = camera.with_focal_length(match.focal_length)
    return Photo(
        centroids,
        match,
        camera,
        pointing(match.icrs_to_camera),
        _above_horizon(centroids, match, camera, identifier, observer),
        _stars(centroids, match, identifier),
        seconds,
    )


def _stars(centroids: Centroids, match: Match, identifier: Identifier) -> tuple[Star, ...]:
    catalogue = identifier.catalogue
    stars = [
        Star(
            int(hip),
            catalogue.name(int(hip)),
            float(catalogue.hp[star]),
            float(centroids.position[centroid, 0]),
            float(centroids.position[centroid, 1]),
            float(np.hypot(*residual)),
        )
        for centroid, star, hip, residual in zip(
            match.centroid, match.star, match.hip, match.residual, strict=True
        )
    ]
    return tuple(sorted(stars, key=lambda star: star.magnitude))


def _above_horizon(
    centroids: Centroids,
    match: Match,
    camera: Camera,
    identifier: Identifier,
    observer: Observer | None,
) -> Horizontal | None:
    """By the places where stars are seen, refraction and all: the axis itself is not refracted."""
    if observer is None or observer.latitude is None or observer.longitude is None:
        return None
    place = centroids.position[match.centroid]
    seen = camera.directions(place)
    covariance = camera.direction_covariance(place, centroids.covariance[match.centroid])
    stars: Array = apparent(identifier.catalogue, match.star, observer)
    try:
        fit = attitude.solve(
            seen, covariance, stars, initial=match.icrs_to_camera, focal_sigma=0.01
        )
    except attitude.AttitudeError:
        rotation = match.icrs_to_camera
    else:
        rotation = fit.rotation
    return horizontal(rotation, observer.stamp_ns, observer.latitude, observer.longitude)


def as_values(photo: Photo) -> dict[str, object]:
    """Plain values by name, for JSON; angles in degrees unless named otherwise."""
    match = photo.match
    found: dict[str, object] = {
        'solved': match.solved,
        'reason': match.failure.value,
        'detail': match.detail,
        'centroids': len(photo.centroids),
        'rejected': dict(photo.centroids.rejected),
        'seconds': {name: round(value, 4) for name, value in photo.seconds.items()},
    }
    if photo.pointing is None or photo.camera is None:
        return found
    arcsec = math.degrees(match.residual_rms) * 3600.0
    found |= {
        'right_ascension': photo.pointing.right_ascension,
        'declination': photo.pointing.declination,
        'roll': photo.pointing.roll,
        'field_of_view': math.degrees(photo.camera.field_of_view),
        'field_of_view_vertical': math.degrees(photo.camera.vertical_field_of_view),
        'focal_length_px': match.focal_length,
        'residual_rms_arcsec': arcsec,
        'false_alarm_probability': match.false_alarm_probability,
        'horizontal': photo.horizontal and dataclasses.asdict(photo.horizontal),
        'stars': [dataclasses.asdict(star) for star in photo.stars],
    }
    return found
