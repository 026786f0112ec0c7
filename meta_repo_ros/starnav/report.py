# SPDX-License-Identifier: Apache-2.0
"""Diagnostics of starnav: what came, what was refused and why, how good the result is."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from meta_repo_ros.core.earth import earth_orientation, earth_orientation_error
from meta_repo_ros.core.processor import Diagnostic, Level
from meta_repo_ros.core.time import NANOSECONDS
from meta_repo_ros.starnav.catalogue import years
from meta_repo_ros.starnav.pipeline import Frame
from meta_repo_ros.starnav.types import Failure

if TYPE_CHECKING:
    from meta_repo_ros.starnav.processor import StarNav

Values = dict[str, str | int | float | bool]
_STALE = 30.0  # s without a solved image
_IMAGE, _IMU = 'star_camera/image', 'imu/data_raw'


class ImageCounts:
    """What became of the images.

    Attributes:
        received: all.
        solved: with an attitude.
        tracked: of those, with a hint.
        windowed: of those, by windows alone.
        failed: without, by reason.
        notes: oddities that were mended, by text.
        streak: not solved in a row.
        last_solved: ns, 0 for none.
        first: ns, the first result.
    """

    def __init__(self) -> None:
        self.received = self.solved = self.tracked = self.windowed = self.streak = 0
        self.last_solved = self.first = 0
        self.failed: Counter[str] = Counter()
        self.notes: Counter[str] = Counter()
        self.detail = ''

    def take(self, frame: Frame) -> None:
        """Count one."""
        match = frame.match
        self.first = self.first or frame.stamp
        if frame.note:
            self.notes[frame.note] += 1
        if match.solved:
            self.solved += 1
            self.tracked += match.tracked
            self.windowed += frame.windowed
            self.streak = 0
            self.last_solved = frame.stamp
            return
        self.streak += 1
        self.detail = match.detail or match.failure.value
        problem = frame.centroids.problem
        self.failed[problem if match.failure is Failure.BAD_IMAGE else match.failure.value] += 1

    def broken(self, error: Exception) -> None:
        """Count one whose work ended by an exception."""
        self.streak += 1
        self.detail = f'{type(error).__name__}: {error}'
        self.failed[type(error).__name__] += 1


def rows(node: StarNav, stamp: int) -> Sequence[Diagnostic]:
    """All rows."""
    return list(_rows(node, stamp))


def _rows(node: StarNav, stamp: int) -> Iterator[Diagnostic]:
    yield _images(node, stamp)
    yield _camera(node)
    yield _filter(node)
    yield _clock(node)
    yield _position(node)
    yield _accuracy(node)
    if node.last_frame is not None:
        yield _astronomy(node, node.last_frame)


def _images(node: StarNav, stamp: int) -> Diagnostic:
    images, refused = node.images, node.refused[_IMAGE]
    values: Values = {
        'received': images.received,
        'solved': images.solved,
        'tracked': images.tracked,
        'by_windows': images.windowed,
        'refused': refused.total(),
        'not_solved': images.failed.total(),
        'method': node.method,
    }
    values.update({f'refused: {reason}': n for reason, n in refused.items()})
    values.update({f'not solved: {reason}': n for reason, n in images.failed.items()})
    values.update({f'note: {note}': n for note, n in images.notes.items()})
    level, text = Level.OK, 'ok'
    frame = node.last_frame
    if frame is not None:
        values['centroids'] = len(frame.centroids)
        values['stars'] = len(frame.match.star)
        values.update({f'{k}_ms': round(1e3 * v, 1) for k, v in frame.elapsed.items()})
        values.update({f'rejected: {k}': n for k, n in frame.centroids.rejected.items()})
        keys = node.parameters.starnav_core.camera
        size = (frame.centroids.width, frame.centroids.height)
        if frame.bit_depth and (size != keys.size or frame.bit_depth < keys.bit_depth):
            values['image'] = f'{size[0]}x{size[1]}, {frame.bit_depth} bit'
            values['expected'] = f'{keys.resolution}, {keys.bit_depth} bit'
    since = (stamp - (images.last_solved or images.first or stamp)) / NANOSECONDS
    if not images.received:
        level, text = Level.STALE, 'no images'
    elif images.streak or (refused and images.solved == 0):
        level = Level.ERROR if since > _STALE else Level.WARN
        text = images.detail or refused.most_common(1)[0][0]
        text = (
            f'no attitude from the last {images.streak} images: {text}' if images.streak else text
        )
    elif since > _STALE:
        level, text = Level.WARN, f'no solved image for {since:.0f} s'
    elif refused:
        text = f'ok; refused before: {refused.most_common(1)[0][0]}'
    return Diagnostic('images', level, text, values)


def _camera(node: StarNav) -> Diagnostic:
    frame, book = node.last_frame, node.book
    values: Values = {'camera_info': book.received, 'camera_info_refused': book.refused}
    level, text = Level.OK, 'waiting for an image'
    if frame is not None:
        camera, source = book.current(frame.centroids.width, frame.centroids.height)
        text = source
        values['source'] = source
        if camera is not None:
            values['focal_length_px'] = round(camera.fx, 3)
            values['field_of_view_deg'] = round(math.degrees(camera.field_of_view), 4)
            values['distortion_model'] = camera.model
        if source in {'unknown', 'found by itself'}:
            level = Level.WARN
            text = f'{source}: no camera_info, field of view or calibration file'
        problem = book.mismatch(frame.centroids.width, frame.centroids.height)
        level, text = (Level.WARN, problem) if problem else (level, text)
    elif book.problem:
        level, text = Level.WARN, book.problem
    return Diagnostic('camera', level, text, values)


def _filter(node: StarNav) -> Diagnostic:
    f, tracker = node.tracker.filter, node.tracker
    refused = node.refused[_IMU]
    state = f.gate.state
    values: Values = {
        'aligned': f.aligned,
        'images_used': f.images,
        'images_refused': state.rejected,
        'resets': state.resets,
        'alignments': f.alignments,
        'gyroscope_gaps': f.gaps,
        'late_images_dropped': tracker.dropped,
        'replayed': tracker.window.replayed,
        'nis_last': _rounded(state.nis_last),
        'nis_mean': _rounded(f.gate.nis_mean),
        'grade': f.parameters.gyro.grade,
        'refused': refused.total(),
    }
    values.update({f'refused: {reason}': n for reason, n in refused.items()})
    if not node.filtered:
        return Diagnostic('filter', Level.OK, 'off: each image by itself', values)
    if not tracker.time:
        return Diagnostic('filter', Level.WARN, 'no gyroscope', values)
    if not f.aligned:
        return Diagnostic('filter', Level.WARN, 'waiting for a solved image', values)
    values['sigma_deg'] = ' '.join(f'{math.degrees(s):.5f}' for s in f.sigma)
    values['gyro_bias_rad_s'] = ' '.join(f'{b:.3e}' for b in f.bias)
    if state.streak:
        text = f'the last {state.streak} images disagree with the gyroscope'
        return Diagnostic('filter', Level.WARN, text, values)
    if refused:
        return Diagnostic('filter', Level.WARN, f'refused: {refused.most_common(1)[0][0]}', values)
    return Diagnostic('filter', Level.OK, 'ok', values)


def _clock(node: StarNav) -> Diagnostic:
    """Stamps that are not believed, from whatever sensor, and what the sky says of the time."""
    values: Values = {'clock_jumps': node.guard.jumps, 'resets': node.resets}
    total = 0
    for topic, refused in node.refused.items():
        for reason, n in refused.items():
            if 'stamp' in reason:
                values[f'{topic}: {reason}'] = n
                total += n
    verdict = node.positioning.verdict
    if math.isfinite(verdict.time_error):
        values['time_error_s'] = round(verdict.time_error, 1)
        return Diagnostic('clock', Level.ERROR, verdict.text, values)
    if total:
        return Diagnostic('clock', Level.WARN, f'{total} messages with unusable stamps', values)
    return Diagnostic('clock', Level.OK, 'ok', values)


def _position(node: StarNav) -> Diagnostic:
    positioning = node.positioning
    fix, verdict = positioning.last, positioning.verdict
    values: Values = {
        'epochs': positioning.celestial.epochs,
        'rejected': positioning.celestial.rejected,
        'cross_check': verdict.text,
        'comparisons': verdict.decisions,
    }
    values.update({
        f'refused: {topic}: {reason}': n
        for topic, refused in node.refused.items() if topic.startswith(('gnss', 'baro', 'air'))
        for reason, n in refused.items()
    })  # fmt: skip
    if verdict.decisions:
        values['cross_check_statistic'] = _rounded(verdict.statistic)
        values['cross_check_threshold'] = _rounded(verdict.threshold)
    if fix is not None:
        values['horizontal_sigma_m'] = round(fix.horizontal_sigma, 1)
    if verdict.spoofing_suspected:
        return Diagnostic('position', Level.ERROR, verdict.text, values)
    if fix is None:
        return Diagnostic('position', Level.OK, 'no celestial fix yet', values)
    return Diagnostic('position', Level.OK, 'celestial fix', values)


def _accuracy(node: StarNav) -> Diagnostic:
    """What is asked for, and what the covariances say is reached."""
    asked = node.parameters.starnav_core.accuracy
    values: Values = {
        'attitude_asked_deg': asked.attitude_accuracy,
        'position_asked_m': asked.position_accuracy,
        'rate_hz': asked.update_rate,
    }
    short = []
    f, fix = node.tracker.filter, node.positioning.last
    if f.aligned:
        reached = math.degrees(3.0 * max(f.sigma))
        values['attitude_reached_deg'] = _rounded(reached)
        if reached > asked.attitude_accuracy:
            short.append(f'attitude {reached:.3g} deg (3 sigma)')
    if fix is not None:
        values['position_reached_m'] = round(fix.horizontal_sigma, 1)
        if fix.horizontal_sigma > asked.position_accuracy:
            short.append(f'position {fix.horizontal_sigma:.0f} m')
    text = 'reached' if f.aligned else 'no attitude yet'
    if short:
        text = f'asked for more than is reached: {", ".join(short)}'
    # position by stars cannot reach a metre: said here, warned of nowhere
    level = Level.WARN if any(text.startswith('attitude') for text in short) else Level.OK
    return Diagnostic('accuracy', level, text, values)


def _astronomy(node: StarNav, frame: Frame) -> Diagnostic:
    orientation = earth_orientation(frame.stamp)
    error = earth_orientation_error(frame.stamp)
    place, source = node.environment.place(frame.stamp)
    values: Values = {
        'earth_orientation': orientation.source,
        'ut1_sigma_s': _rounded(error.ut1),
        'longitude_sigma_m': _rounded(error.longitude(place[0] if place else 0.0)),
        'catalogue': node.parameters.starnav_core.star_database.catalog,
        'catalogue_stars': len(node.catalogue),
        'catalogue_epoch': round(1991.25 + years(frame.sky_stamp), 3)
        if frame.sky_stamp
        else 'none',
        'place': source,
        'aberration_of_own_motion': place is not None,
        'refraction': node.environment.observer(frame.stamp).pressure > 0.0,
    }
    if orientation.source == 'extrapolated':
        text = (
            f'{error.days_outside:.0f} days past the shipped table of Earth orientation: longitude '
            f'errs by {error.longitude(place[0] if place else 0.0):.0f} m; update astropy-iers-data'
        )
        return Diagnostic('astronomy', Level.WARN, text, values)
    return Diagnostic('astronomy', Level.OK, 'ok', values)


def _epoch(stamp: int) -> str:
    """Year to which the stars are moved."""
    return f'{1991.25 + years(stamp):.3f}' if stamp else 'none'


def _rounded(value: float) -> float:
    return float(f'{value:.4g}')
