# SPDX-License-Identifier: Apache-2.0
"""The attitude filter in time: late images, any stamp asked for, a steady output.

An image is exposed long before its attitude is known. The filter goes back to its exposure and
repeats the gyroscope since (:mod:`meta_repo_ros.core.window`), so that the state is that of the
orderly sequence. The samples are kept beside it: the attitude at a stamp of the past is the present
one turned back, which is what tracking needs before an image has been looked at.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from meta_repo_ros.core.rotations import (
    Quaternion,
    Vector,
    conjugate,
    exp,
    log,
    multiply,
    normalize,
)
from meta_repo_ros.core.time import NANOSECONDS, seconds_ns
from meta_repo_ros.core.window import Arrival, ReplayWindow
from meta_repo_ros.starnav.filter import ATTITUDE, AttitudeFilter, Gyro, StarImage
from meta_repo_ros.starnav.filter_parameters import FilterParameters

Array = NDArray[np.float64]

_GYRO, _IMAGE = 0, 1  # ranks among equal stamps


class Tick(NamedTuple):
    """Attitude ICRS to body at a stamp, with its covariance (3, 3) rad2 in body axes."""

    stamp: int
    attitude: Quaternion
    covariance: Array


class AttitudeTracker:
    """Gyroscope and images in any order in, attitude out.

    Args:
        parameters: of the filter.
        period: of the output, ns.

    Attributes:
        filter: the state at the newest sample.
        dropped: images older than the window.
    """

    def __init__(self, parameters: FilterParameters, period: int) -> None:
        self.filter = AttitudeFilter(parameters)
        self.window: ReplayWindow[Gyro | StarImage] = ReplayWindow(
            self.filter, seconds_ns(parameters.window), seconds_ns(parameters.snapshot_interval)
        )
        self.period = period
        self.dropped = 0
        self._length = seconds_ns(parameters.window)
        self._samples: deque[tuple[int, Vector]] = deque()  # newest last
        self._published = 0  # ns, newest tick given

    @property
    def time(self) -> int:
        """Newest gyroscope stamp, ns; 0 before the first."""
        return self._samples[-1][0] if self._samples else 0

    # -- measurements ------------------------------------------------------------------------------
    def add_gyro(self, stamp: int, rate: Vector) -> Sequence[Tick]:
        """Take a sample; the attitudes at the instants of the output that it completes.

        The output is bound to the stamps of the samples, not to a timer: it is as steady as they
        are, needs no extrapolation, and is the same live and offline.
        """
        samples = self._samples
        before = self.time
        if self.window.add(stamp, _GYRO, hash(rate), Gyro(rate)) is not Arrival.IN_ORDER:
            return ()
        if stamp > before:
            samples.append((stamp, rate))
            while samples[0][0] < stamp - self._length:
                samples.popleft()
        self.window.settle()
        return self._ticks(before, stamp)

    def add_image(self, stamp: int, attitude: Quaternion, covariance: Array) -> bool:
        """Take the attitude of an image; False where it is older than the window."""
        image = StarImage(attitude, covariance)
        sequence = zlib.crc32(np.array(attitude).tobytes() + covariance.tobytes())
        if self.window.add(stamp, _IMAGE, sequence, image) is Arrival.DROPPED:
            self.dropped += 1
            return False
        self.window.settle()
        return True

    def _ticks(self, before: int, stamp: int) -> Sequence[Tick]:
        f, period = self.filter, self.period
        tick = (max(before, self._published) // period + 1) * period
        if not f.aligned or not before or tick > stamp or f.time != stamp:
            return ()
        if max(f.sigma) > f.parameters.max_sigma:
            return ()
        covariance = f.covariance[ATTITUDE, ATTITUDE]
        x, y, z = f.rate
        ticks = []
        if stamp - tick > seconds_ns(f.parameters.gap_tolerance):
            tick = stamp // period * period  # after a gap the present alone matters
        while tick <= stamp:
            t = (stamp - tick) / NANOSECONDS
            ticks.append(Tick(tick, multiply(exp((x * t, y * t, z * t)), f.attitude), covariance))
            tick += period
        self._published = tick - period
        return ticks

    # -- state at a stamp --------------------------------------------------------------------------
    def attitude_at(self, stamp: int) -> Quaternion | None:
        """Attitude ICRS to body at a stamp of the window, or up to a gap's length ahead.

        None where there is no attitude, or no sample that old.
        """
        f = self.filter
        if not f.aligned or not self._samples:
            return None
        ahead = stamp - self.time
        if ahead > 0:
            if ahead > seconds_ns(f.parameters.gap_tolerance):
                return None
            x, y, z = (w * ahead / NANOSECONDS for w in f.rate)
            return multiply(exp((-x, -y, -z)), f.attitude)
        if stamp < self._samples[0][0]:
            return None
        q = f.attitude
        for dt, (x, y, z) in self._back(stamp):
            q = multiply(exp((x * dt, y * dt, z * dt)), q)
        return q

    def rate_at(self, stamp: int) -> Vector | None:
        """Angular rate without bias, rad/s, body axes; None where there is no sample near."""
        near = min(self._samples, key=lambda sample: abs(sample[0] - stamp), default=None)
        if near is None or abs(near[0] - stamp) > seconds_ns(self.filter.parameters.gap_tolerance):
            return None
        return self.filter.corrected(near[1])

    def exposure_mean(self, stamp: int, exposure: float) -> Vector:
        """How far the mean attitude over an exposure is from the attitude at its middle.

        A centroid is the mean place of its star. Where the rate changes within the exposure, the
        mean attitude is not that of the middle.

        Args:
            stamp: middle of the exposure, ns.
            exposure: s.

        Returns:
            Rotation vector from the middle's to the mean attitude, rad, body axes; zero where the
            samples do not cover the exposure.
        """
        half = seconds_ns(0.5 * exposure)
        if not self._samples or stamp + half > self.time or stamp - half < self._samples[0][0]:
            return (0.0, 0.0, 0.0)
        q: Quaternion = (1.0, 0.0, 0.0, 0.0)
        # (s from the middle, rotation from the end of the exposure)
        turned = [(0.5 * exposure, (0.0, 0.0, 0.0))]
        time = 0.5 * exposure
        for dt, (x, y, z) in self._back(stamp - half, stamp + half, stamp):
            q = multiply(exp((x * dt, y * dt, z * dt)), q)
            time -= dt
            turned.append((time, log(q)))
        times = np.array([t for t, _ in turned])[::-1]
        angles = np.array([v for _, v in turned])[::-1]
        middle = angles[int(np.argmin(np.abs(times)))]
        steps = np.diff(times)[:, None]
        mean = np.sum(0.5 * (angles[1:] + angles[:-1]) * steps, axis=0) / exposure
        x, y, z = (mean - middle).tolist()
        return (x, y, z)

    def at_middle(
        self, stamp: int, exposure: float, attitude: Quaternion, covariance: Array
    ) -> tuple[Quaternion, Array]:
        """Attitude and covariance at the middle of an exposure from those of its mean.

        The covariance grows by the gyroscope's noise: the mean of a random walk that goes both
        ways from the middle.

        Args:
            stamp: middle of the exposure, ns.
            exposure: s.
            attitude: ICRS to body, mean over the exposure.
            covariance: (3, 3) rad2, body axes.
        """
        offset = self.exposure_mean(stamp, exposure)
        if not any(offset):
            return normalize(attitude), covariance
        walk = self.filter.noise.angle_random_walk
        grown = covariance + np.eye(3) * (walk * walk * exposure / 12.0)
        return normalize(mean_to_middle(attitude, offset)), grown

    def _back(self, *stamps: int) -> Iterator[tuple[float, Vector]]:
        """Time (s) and rate of the pieces back from the second stamp (or now) to the first.

        A third stamp between them is an end of a piece as well.
        """
        end = stamps[0]
        now = stamps[1] if len(stamps) > 1 else self.time
        cut = stamps[2] if len(stamps) > 2 else end
        corrected = self.filter.corrected
        older = iter(reversed(self._samples))
        rate = next(older)[1]
        for begin, earlier in older:
            while now > max(begin, end):
                to = max(begin, end, cut if cut < now else end)
                yield (now - to) / NANOSECONDS, corrected(rate)
                now = to
            if begin <= end:
                return
            rate = earlier


def mean_to_middle(attitude: Quaternion, offset: Vector) -> Quaternion:
    """Attitude at the middle of an exposure from the mean one and :meth:`exposure_mean`."""
    return multiply(conjugate(exp(offset)), attitude)
