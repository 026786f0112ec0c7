# SPDX-License-Identifier: Apache-2.0
"""Specific force between two star images, in the axes of the stars.

Between images the gyroscopes carry the attitude; the difference that is left when the next image
arrives is spread evenly over the interval, which removes their bias. What remains is the noise of
the star attitudes and of the accelerometers.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from meta_repo_ros.core.rotations import (
    IDENTITY,
    Quaternion,
    Vector,
    conjugate,
    exp,
    log,
    multiply,
    rotate,
    skew,
    to_matrix,
)
from meta_repo_ros.core.time import NANOSECONDS

Array = NDArray[np.float64]

_WORST_BIAS = 0.03  # rad/s, of a gyroscope before its bias is learnt
_PERSISTENT = 3


@dataclass(frozen=True)
class Attitude:
    """One star attitude: ICRS to body, covariance (3, 3) rad2 about the body axes."""

    stamp: int
    icrs_to_body: Quaternion
    covariance: Array


@dataclass(frozen=True)
class Interval:
    """What the inertial sensor felt between two star attitudes.

    Attributes:
        start: ns.
        end: ns.
        impulse: (3,) integral of the specific force, m/s, ICRS axes.
        covariance: (3, 3) of ``impulse``, from star attitudes and gyroscopes, without the
            accelerometers.
        body_to_icrs: (3, 3) in the middle, for the bias of the accelerometers.
        first: the star attitude at its start.
        last: the star attitude at its end.
        turned: rad, what the gyroscopes missed over the interval.
    """

    start: int
    end: int
    impulse: Array
    covariance: Array
    body_to_icrs: Array
    first: Attitude
    last: Attitude
    turned: float

    @property
    def seconds(self) -> float:
        """Length, s."""
        return (self.end - self.start) / NANOSECONDS

    @property
    def middle(self) -> int:
        """Stamp of the middle, ns."""
        return (self.start + self.end) // 2


class Inertial:
    """Holds inertial samples until a star attitude closes the interval that they lie in.

    A sample is the mean since the one before and is stamped at its end.

    Args:
        gyro_noise: rad/s/sqrt(Hz).
        maximum_gap: longest interval that is bridged, s.

    Attributes:
        doubtful: whether the last attitude was set aside.
    """

    def __init__(self, gyro_noise: float, maximum_gap: float) -> None:
        self._noise = gyro_noise
        self._longest = round(maximum_gap * NANOSECONDS)
        self._samples: deque[tuple[int, Vector, Vector]] = deque()
        self._first: Attitude | None = None
        self._bias: Vector = (0.0, 0.0, 0.0)
        self._streak = 0
        self.doubtful = False

    @property
    def newest(self) -> int | None:
        """Stamp of the newest sample."""
        return self._samples[-1][0] if self._samples else None

    def add(self, stamp: int, rate: Vector, force: Vector) -> None:
        """Take one sample; older and repeated stamps are passed over."""
        samples = self._samples
        if samples and stamp <= samples[-1][0]:
            return
        samples.append((stamp, rate, force))
        while stamp - samples[0][0] > 2 * self._longest:
            samples.popleft()

    def close(self, attitude: Attitude) -> Interval | None:
        """End the interval at a star attitude; None where the samples do not cover it.

        The attitude starts the next interval in any case, except a doubtful one: it is farther
        from what the gyroscopes say than any of them errs, and counts once others agree with it.
        """
        first, self.doubtful = self._first, False
        found = None
        if first is not None and attitude.stamp - first.stamp <= self._longest:
            found = self._between(first, attitude)
            if found is not None and found.turned > _WORST_BIAS * found.seconds + _sigmas(found):
                self._streak += 1
                if self._streak < _PERSISTENT:
                    self.doubtful = True
                    return None
                found = None
        self._first, self._streak = attitude, 0
        self._drop(attitude.stamp)
        return found

    def ready(self, stamp: int) -> bool:
        """Whether the samples reach ``stamp``."""
        return bool(self._samples) and self._samples[-1][0] >= stamp

    def _drop(self, stamp: int) -> None:
        samples = self._samples
        while len(samples) > 1 and samples[1][0] <= stamp:
            samples.popleft()

    def _between(self, first: Attitude, last: Attitude) -> Interval | None:
        begin, end = first.stamp, last.stamp
        samples = self._samples
        if len(samples) < 2 or samples[0][0] > begin or samples[-1][0] < end:
            return None
        span = (end - begin) / NANOSECONDS
        bx, by, bz = self._bias
        q = IDENTITY  # body now to body at the start
        jx = jy = jz = kx = ky = kz = 0.0
        middle, before, done, widest = q, samples[0][0], 0.0, 0
        for stamp, (wx, wy, wz), force in samples:
            low, high = max(before, begin), min(stamp, end)
            widest = max(widest, stamp - before)
            before = stamp
            if high <= low:
                continue
            dt = (high - low) / NANOSECONDS
            half = exp(((wx - bx) * 0.5 * dt, (wy - by) * 0.5 * dt, (wz - bz) * 0.5 * dt))
            inside = multiply(q, half)
            x, y, z = rotate(inside, force)
            x, y, z = x * dt, y * dt, z * dt
            share = (done + 0.5 * dt) / span
            jx, jy, jz = jx + x, jy + y, jz + z
            kx, ky, kz = kx + share * x, ky + share * y, kz + share * z
            if share <= 0.5:
                middle = inside
            q = multiply(inside, half)
            done += dt
        if widest > max(0.25 * (end - begin), 0.1 * NANOSECONDS):
            return None  # the inertial sensor itself was silent
        relative = multiply(first.icrs_to_body, conjugate(last.icrs_to_body))
        missed = log(multiply(relative, conjugate(q)))
        impulse = np.array((jx, jy, jz)) + np.cross(missed, (kx, ky, kz))
        self._learn(missed, q, span)
        to_icrs = to_matrix(conjugate(first.icrs_to_body))
        spread = 0.5 * (
            to_icrs @ first.covariance @ to_icrs.T
            + to_matrix(conjugate(last.icrs_to_body))
            @ last.covariance
            @ to_matrix(last.icrs_to_body)
        )
        spread += np.eye(3) * (self._noise**2 * span / 12.0)
        impulse = to_icrs @ impulse
        lever = skew(impulse.tolist())
        return Interval(
            begin, end, impulse, lever @ spread @ lever.T,
            to_icrs @ to_matrix(multiply(exp([0.5 * c for c in missed]), middle)),
            first, last, float(np.linalg.norm(missed)),
        )  # fmt: skip

    def _learn(self, missed: Vector, q: Quaternion, span: float) -> None:
        """Follow the bias of the gyroscopes, so that little is left to spread."""
        x, y, z = rotate(conjugate(q), missed)
        k = min(0.05 * span, 0.5) / span
        bx, by, bz = self._bias
        self._bias = (bx - k * x, by - k * y, bz - k * z)


def _sigmas(interval: Interval) -> float:
    """Five standard deviations of the difference of both star attitudes, rad."""
    trace = np.trace(interval.first.covariance) + np.trace(interval.last.covariance)
    return 5.0 * float(np.sqrt(trace))
