# SPDX-License-Identifier: Apache-2.0
"""What the simulated rotor sensors cost, live and offline; each beside a raw baseline."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import numpy as np

from meta_repo_ros.simulation.library import find_scenario
from meta_repo_ros.simulation.sensors.base import SensorContext
from meta_repo_ros.simulation.sensors.rotor_samples import (
    RotorSamplesParameters,
    RotorSamplesSensor,
)
from meta_repo_ros.simulation.simulator import Simulator
from meta_repo_ros.simulation.wake.episodes import episode
from meta_repo_ros.simulation.wake.paths import HARD_NEGATIVES

BLOCK_BAR_MS = 0.6
SPEED_BAR = 100.0
_TICK = 4_000_000  # ns
_WARM = 500


def rows(*, quick: bool) -> list[dict[str, Any]]:
    """The figures, as rows."""
    return [
        _live(2000 if quick else 10_000, quick=quick),
        _offline(20.0 if quick else 120.0, quick=quick),
    ]


def _live(count: int, *, quick: bool) -> dict[str, Any]:
    scenario = find_scenario('demo').with_duration(1.0)
    still = Simulator(dataclasses.replace(scenario, sensors=())).state
    east, north, up = still.wind
    still = dataclasses.replace(
        still,
        mass=1.4,
        thrust=13.7,
        rotor_speed=(500.0,) * 4,
        orientation=(1.0, 0.0, 0.0, 0.0),
        velocity=(east, north, up - 6.0),
    )
    sensor = RotorSamplesSensor(RotorSamplesParameters(), SensorContext('s', 250.0, (), still))
    rng = np.random.default_rng(np.random.SeedSequence(1, spawn_key=(1,)))
    taken, raw = np.empty(count), np.empty(count)
    for k in range(count):
        state = dataclasses.replace(
            still, stamp=still.stamp + (k + 1) * _TICK, time=(k + 1) * _TICK * 1e-9
        )
        start = time.perf_counter_ns()
        sensor.sample(state, rng)
        middle = time.perf_counter_ns()
        _draw(rng)
        taken[k] = middle - start
        raw[k] = time.perf_counter_ns() - middle
    median, bare = (float(np.median(x[_WARM:])) * 1e-6 for x in (taken, raw))
    return {
        'figure': 'simulated rotor sensors, block of 4 ms with its message, median, ms',
        'value': round(median, 4),
        'bar': f'<= {BLOCK_BAR_MS}',
        'met': None if quick else median <= BLOCK_BAR_MS,
        'p99': round(float(np.percentile(taken[_WARM:], 99)) * 1e-6, 4),
        'baseline': f'drawing as many random numbers: {bare:.4f} ms',
        'data': f'{count} blocks in a ring: 8 pressure, 4 flow, 2 acoustic channels',
    }


def _draw(rng: np.random.Generator) -> None:
    for shape in ((4, 8), (2, 4), (8, 2)):
        for _ in range(2):
            rng.standard_normal(shape)


def _offline(seconds: float, *, quick: bool) -> dict[str, Any]:
    start = time.perf_counter()
    for seed, kind in enumerate(HARD_NEGATIVES):
        episode(kind, seed=seed, duration=seconds)
    flown = seconds * len(HARD_NEGATIVES)
    speed = flown / (time.perf_counter() - start)
    start = time.perf_counter()
    rng = np.random.default_rng(1)
    for _ in range(round(flown / 4.0)):
        for shape in ((4000, 8), (2000, 4), (8000, 2)):
            for _ in range(2):
                rng.standard_normal(shape)
    raw = flown / (time.perf_counter() - start)
    return {
        'figure': 'recordings without JSBSim, times real time',
        'value': round(speed, 1),
        'bar': f'>= {SPEED_BAR:g}',
        'met': None if quick else speed >= SPEED_BAR,
        'baseline': f'drawing as many random numbers: {raw:.0f} times',
        'data': f'{flown:g} s of hard negatives, one process',
    }
