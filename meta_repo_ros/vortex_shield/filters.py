# SPDX-License-Identifier: Apache-2.0
"""Filters that carry their memory from call to call, vectorised over time and channels."""

from __future__ import annotations

import math

import numpy as np
from scipy import signal

from meta_repo_ros.core.samples import Array

_SHORT = 24  # samples


class Band:
    """Linear filter of columns; the same output however the input is cut.

    Args:
        numerator, denominator: of the transfer function in z^-1, monic denominator.
    """

    def __init__(self, numerator: Array, denominator: Array) -> None:
        self._b = np.asarray(numerator, dtype=np.float64)
        self._a = np.asarray(denominator, dtype=np.float64)
        self._rest = signal.lfilter_zi(self._b, self._a)[:, np.newaxis]
        self._state: Array | None = None
        self._matrices: dict[int, Array] = {}

    def run(self, x: Array, *, restart: bool = False) -> Array:
        """Filter (n, c) samples; ``restart``: begin at rest at the first of them."""
        if self._state is None or restart or self._state.shape[1] != x.shape[1]:
            self._state = self._rest * x[:1]
        n = len(x)
        if n <= _SHORT:  # a matrix costs a fraction of a call of lfilter
            both = self._matrix(n) @ np.concatenate((self._state, x))
            self._state = both[n:]
            return np.asarray(both[:n])
        y, self._state = signal.lfilter(self._b, self._a, x, axis=0, zi=self._state)
        return np.asarray(y)

    def _matrix(self, n: int) -> Array:
        """Outputs and next memory, (n + order) rows, of memory and n inputs."""
        matrix = self._matrices.get(n)
        if matrix is None:
            order = len(self._rest)
            each = np.eye(order + n)
            y, end = signal.lfilter(self._b, self._a, each[order:], axis=0, zi=each[:order])
            matrix = self._matrices[n] = np.concatenate((y, end))
        return matrix


class Smoother:
    """Exponential averages of columns.

    Args:
        gain: of one step, 0 to 1.
    """

    def __init__(self, gain: float) -> None:
        self.gain = gain
        self._b = np.array([gain])
        self._a = np.array([1.0, gain - 1.0])

    def run(self, x: Array, state: Array) -> Array:
        """Averages after each of (n, c) samples, from ``state`` (c,) before the first."""
        if len(x) == 1:
            return np.asarray(state + self.gain * (x - state))
        y, _ = signal.lfilter(self._b, self._a, x, axis=0, zi=(1.0 - self.gain) * state[None, :])
        return np.asarray(y)


class Window:
    """Moving averages of columns, over a finite time: what is over is forgotten.

    Args:
        length: number of samples.
        start: (c,) taken for all before the first.
    """

    def __init__(self, length: int, start: Array) -> None:
        self.length = max(length, 1)
        self._past = np.tile(start, (self.length, 1))
        self._sum = self._past.sum(axis=0)
        self._at = 0  # of the oldest row

    def run(self, x: Array) -> Array:
        """Averages after each of (n, c) samples."""
        n, length = len(x), self.length
        if n == 1:
            past, at = self._past, self._at
            self._sum += x[0] - past[at]
            past[at] = x[0]
            self._at = (at + 1) % length
            if self._at == 0:  # rounding errors do not live longer than the window
                self._sum = past.sum(axis=0)
            return np.asarray(np.maximum(self._sum, 0.0)[np.newaxis] / length)
        whole = np.concatenate((self._past[self._at :], self._past[: self._at], x))
        total = np.cumsum(whole, axis=0)
        result = (total[length:] - total[:-length]) / length
        self._past, self._at = whole[n:].copy(), 0
        self._sum = self._past.sum(axis=0)
        return np.asarray(np.maximum(result, 0.0))


def smoother(steps: float) -> Smoother:
    """Exponential average with a time constant of that many samples."""
    return Smoother(-math.expm1(-1.0 / max(steps, 1e-3)))


def band_pass(low: float, high: float, rate: float, order: int = 2) -> Band:
    """Butterworth high pass of ``order`` and first-order low pass, all in Hz.

    With order 2 a ramp of the input, as static pressure in a steady descent, leaves nothing.
    """
    b_high, a_high = signal.butter(order, low, 'highpass', fs=rate)
    b_low, a_low = signal.butter(1 if order > 1 else 2, high, 'lowpass', fs=rate)
    return Band(np.convolve(b_high, b_low), np.convolve(a_high, a_low))
