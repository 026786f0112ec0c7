# SPDX-License-Identifier: Apache-2.0
"""A picture for people of what was found in an image: stars by name, the grid of the sky."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from meta_repo_ros.starnav.camera import Camera
from meta_repo_ros.starnav.pointing import pointing
from meta_repo_ros.starnav.types import Array, Centroids, Match

Picture = NDArray[np.uint8]

WIDEST = 1024
_STAR = (120, 255, 120)  # blue, green, red
_OTHER = (80, 80, 255)
_NAME = (255, 230, 160)
_GRID = (110, 80, 40)
_TEXT = (255, 255, 255)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_STEPS = (0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0)  # deg
_BAR = 22  # height of the line of text, pixels


def annotate(
    image: NDArray[np.uint8] | NDArray[np.uint16],
    centroids: Centroids,
    match: Match,
    camera: Camera | None,
    name: Callable[[int], str],
    *,
    grid: bool = True,
    widest: int = WIDEST,
) -> Picture:
    """Draw what is known of an image.

    Matched stars have circles and, where they have one, a name; other centroids have crosses.

    Args:
        image: (h, w), 8 or 16 bits.
        centroids: of the image.
        match: of the image, solved or not.
        camera: of the image; without one there is no grid.
        name: of a star by its Hipparcos number.
        grid: whether lines of right ascension and declination are drawn.
        widest: greatest width of the picture, pixels.

    Returns:
        (h', w', 3) uint8, blue green red, at most ``widest`` wide.
    """
    gray, scale = shrink(stretch(image), widest)
    picture = np.asarray(cv2.cvtColor(gray, cv2.COLOR_GRAY2BGR), np.uint8)
    if match.solved and camera is not None and grid:
        _draw_grid(picture, camera, match.icrs_to_camera, scale)
    matched = set(match.centroid.tolist())
    for i, (u, v) in enumerate(centroids.position.tolist()):
        x, y = _pixel(u, scale), _pixel(v, scale)
        if i not in matched:
            cv2.drawMarker(picture, (x, y), _OTHER, cv2.MARKER_TILTED_CROSS, 9, 1, cv2.LINE_AA)
    for i, hip in zip(match.centroid.tolist(), match.hip.tolist(), strict=True):
        x, y = (_pixel(c, scale) for c in centroids.position[i].tolist())
        cv2.circle(picture, (x, y), 8, _STAR, 1, cv2.LINE_AA)
        label = name(hip)
        if not label.startswith('HIP '):
            place = (x + 11, y + 4)
            cv2.putText(picture, _ascii(label), place, _FONT, 0.38, _NAME, 1, cv2.LINE_AA)
    return _with_text(picture, summary(centroids, match))


def summary(centroids: Centroids, match: Match) -> str:
    """One line about an image."""
    if not match.solved:
        reason = match.detail or match.failure.value
        return f'not solved: {reason}; {len(centroids)} centroids'
    where = pointing(match.icrs_to_camera)
    roll = round(where.roll, 2) % 360.0
    return (
        f'RA {where.right_ascension:.3f}  Dec {where.declination:+.3f}  roll {roll:.2f}  '
        f'field {math.degrees(match.field_of_view):.2f} deg   {len(match.star)} of '
        f'{len(centroids)} stars, rms {math.degrees(match.residual_rms) * 3600.0:.1f} arcsec'
    )


def stretch(image: NDArray[np.uint8] | NDArray[np.uint16]) -> Picture:
    """Grays in which faint stars show beside bright ones: an inverse hyperbolic sine."""
    step = max(1, round(math.sqrt(image.size / 250_000)))
    sample = image[::step, ::step].astype(np.float32)
    level = float(np.median(sample))
    noise = 1.4826 * float(np.median(np.abs(sample - level))) or 1.0
    top = max(float(sample.max()), level + 50.0 * noise)
    counts = np.arange(np.iinfo(image.dtype).max + 1, dtype=np.float64)
    unit = 4.0 * noise
    curve = np.arcsinh((counts - level) / unit) / math.asinh((top - level) / unit)
    table = np.clip(18.0 + 237.0 * curve, 0.0, 255.0).astype(np.uint8)
    return np.asarray(table[image])


def shrink(gray: Picture, widest: int) -> tuple[Picture, float]:
    """The picture at most ``widest`` wide, and its scale; the brightest of joined pixels stays."""
    height, width = gray.shape
    scale = min(1.0, widest / width)
    if scale == 1.0:
        return gray, scale
    block = math.ceil(1.0 / scale)
    gray = np.asarray(cv2.dilate(gray, np.ones((block, block), np.uint8), anchor=(0, 0)))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(gray, size, interpolation=cv2.INTER_NEAREST)), scale


def _draw_grid(picture: Picture, camera: Camera, icrs_to_camera: Array, scale: float) -> None:
    height, width = picture.shape[:2]
    for line, label in _lines(camera, icrs_to_camera):
        place = camera.project(line @ icrs_to_camera.T)
        good = np.asarray(np.isfinite(place).all(axis=1))
        points = np.where(good[:, None], (place + 0.5) * scale - 0.5, -1e4)
        points = np.clip(points, -1e4, 1e4).round().astype(np.int32)
        inside = (
            good
            & (points[:, 0] >= 0) & (points[:, 0] < width)
            & (points[:, 1] >= 0) & (points[:, 1] < height)
        )  # fmt: skip
        near = np.convolve(inside, np.ones(3), 'same') > 0
        for begin, end in _runs(near & good):
            cv2.polylines(
                picture, [points[begin:end].reshape(-1, 1, 2)], False, _GRID, 1, cv2.LINE_AA
            )
        visible = np.flatnonzero(inside)
        if visible.size:
            # away from the middle, where labels of both kinds would meet
            x, y = points[visible[visible.size // 4]].tolist()
            cv2.putText(picture, label, (x + 2, y - 3), _FONT, 0.34, (190, 150, 90), 1, cv2.LINE_AA)


def _lines(camera: Camera, icrs_to_camera: Array) -> Iterator[tuple[Array, str]]:
    """Directions (n, 3) along lines of the grid that may cross the field, each with its label."""
    centre = pointing(icrs_to_camera)
    half = 0.75 * math.degrees(math.hypot(camera.field_of_view, camera.vertical_field_of_view))
    step = next((s for s in _STEPS if s >= half / 5.0), _STEPS[-1])
    lowest = max(-90.0, centre.declination - half)
    highest = min(90.0, centre.declination + half)
    pole = highest > 89.0 or lowest < -89.0
    flattest = math.cos(math.radians(max(abs(lowest), abs(highest))))
    reach = 180.0 if pole else min(180.0, half / max(flattest, 1e-3))
    east = step
    while east * math.cos(math.radians(centre.declination)) < 0.7 * step and east < 30.0:
        east = next((s for s in _STEPS if s > east), 30.0)
    along = np.linspace(lowest, highest, 121)
    count = math.floor(reach / east)
    middle = round(centre.right_ascension / east)
    for k in range(middle - count, middle + count + (count * east * 2 < 359.0)):
        ra = (k * east) % 360.0
        hours, minutes = divmod(round(ra * 4.0) % 1440, 60)
        yield _directions(np.full(121, ra), along), f'{hours}h{minutes:02d}'
    around = centre.right_ascension + np.linspace(-reach, reach, 241)
    for k in range(math.ceil(lowest / step), math.floor(highest / step) + 1):
        if abs(k * step) < 90.0:
            yield _directions(around, np.full(241, k * step)), f'{k * step:+g}'


def _directions(ra: Array, dec: Array) -> Array:
    a, d = np.radians(ra), np.radians(dec)
    return np.column_stack((np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)))


def _runs(mask: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Begin and end of the pieces of a mask that are true, two and longer."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], mask.astype(np.int8), [0]))))
    for begin, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if end - begin > 1:
            yield begin, end


def _with_text(picture: Picture, text: str) -> Picture:
    bar = np.zeros((_BAR, picture.shape[1], 3), np.uint8)
    size = min(0.45, 0.45 * (picture.shape[1] - 12) / max(8 * len(text), 1))
    cv2.putText(bar, _ascii(text), (6, 15), _FONT, max(size, 0.2), _TEXT, 1, cv2.LINE_AA)
    return np.vstack((picture, bar))


def _pixel(coordinate: float, scale: float) -> int:
    return round((coordinate + 0.5) * scale - 0.5)


def _ascii(text: str) -> str:
    """What OpenCV's font has."""
    return text.encode('ascii', 'replace').decode('ascii')
