# SPDX-License-Identifier: Apache-2.0
"""What a block of samples costs the detector, by its length; each beside a raw baseline."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from benchmarks.vortex_blocks import blocks
from benchmarks.vortex_episodes import Flight, held_out, newest_states
from meta_repo_ros.core.samples import Block
from meta_repo_ros.vortex_shield.detector import Detector

BAR_MS = 0.5
_DEFAULT_MS = 4
_LENGTHS_MS = (2, _DEFAULT_MS, 10)
_WARM = 500


def rows(*, quick: bool) -> list[dict[str, Any]]:
    """The figures, as rows."""
    seconds = 8.0 if quick else 40.0
    return [_row(length, seconds, quick=quick) for length in _LENGTHS_MS]


def _row(milliseconds: int, seconds: float, *, quick: bool) -> dict[str, Any]:
    recording = held_out(Flight('fast_entry', 5, seconds))
    detector = Detector(recording.extra['vehicle'])
    cut = blocks(recording, milliseconds * 1_000_000)
    taken, raw = np.empty(len(cut)), np.empty(len(cut))
    for i, (block, state) in enumerate(zip(cut, newest_states(recording, cut), strict=True)):
        start = time.perf_counter_ns()
        detector.block(block, state)
        middle = time.perf_counter_ns()
        _transform(block)
        taken[i] = middle - start
        raw[i] = time.perf_counter_ns() - middle
    taken, raw = taken[_WARM:] * 1e-6, raw[_WARM:] * 1e-6
    median = float(np.median(taken))
    judged = milliseconds == _DEFAULT_MS
    return {
        'figure': f'detection in one block of {milliseconds} ms, in process, median, ms',
        'value': round(median, 4),
        'bar': f'<= {BAR_MS}' if judged else None,
        'met': median <= BAR_MS if judged and not quick else None,
        'p99': round(float(np.percentile(taken, 99)), 4),
        'baseline': f'counts to floats and one FFT of each group: {np.median(raw):.4f} ms',
        'data': f'{len(taken)} blocks of a generated flight into the ring; the whole node with '
        'messages and a recovery is in the part live',
    }


def _transform(block: Block) -> None:
    for samples in block.groups:
        np.fft.rfft(samples.group.values(samples.counts), axis=0)
