# SPDX-License-Identifier: Apache-2.0
"""Recordings of simulated flights into, near and far from the vortex ring, made fast.

The flights are kinematic: a path of descent and airspeed, gusts, and the sink that lost thrust
adds. The wake's own state is the truth. The flight state beside the streams is as wrong as that
of a vehicle: mass, thrust, wind and sink rate each have an error.
"""

from __future__ import annotations

import dataclasses
import math
import zlib
from typing import Any

import numpy as np
from scipy import signal

from meta_repo_ros.core.rotorcraft import STANDARD_GRAVITY, Rotorcraft
from meta_repo_ros.core.samples import Array, Counts, Health, Kind, Recording, Samples
from meta_repo_ros.simulation.wake.channel_faults import ChannelFault, spoil
from meta_repo_ros.simulation.wake.drive import COLUMNS, Column
from meta_repo_ros.simulation.wake.fleet import vehicle
from meta_repo_ros.simulation.wake.layout import (
    AcousticConverter,
    FlowConverter,
    PressureConverter,
    lay_out,
)
from meta_repo_ros.simulation.wake.paths import MANOEUVRES, Path
from meta_repo_ros.simulation.wake.ring import GAS_CONSTANT, RotorWake
from meta_repo_ros.simulation.wake.shape import WakeParameters
from meta_repo_ros.simulation.wake.streams import Streams

KNOT_RATE = 100  # Hz, of the wake and of the flight
STATE_RATE = 50  # Hz, of flight state and truth
START = 10.0  # s, of all streams
_PIECE = 4.0  # s, synthesised at once: what fits into the cache


def episode(
    kind: str,
    rotorcraft: Rotorcraft | None = None,
    seed: int = 0,
    duration: float = 60.0,
    parameters: WakeParameters | None = None,
) -> Recording:
    """One flight.

    Args:
        kind: a name in :data:`paths.MANOEUVRES`; it is flown again and again until the end.
        rotorcraft: that flies; None draws one from the seed.
        seed: of everything; from :data:`fleet.HELD_OUT` on for judging only.
        duration: s.
        parameters: ranges of the wake.

    Returns:
        Streams, noisy state (50 Hz), truth (50 Hz). ``extra`` holds ``kind``, ``seed``,
        ``vehicle`` (:class:`Rotorcraft`), ``hover_induced_velocity`` (m/s, true), ``time_unit``
        (R / v_h, s), ``ring_period`` (s), ``turbulence`` (m/s), ``shape`` (WakeShape),
        ``intensity`` (of the ring, at the times of the truth) and ``faults``.

    Raises:
        ValueError: no such kind, or too short.
    """
    manoeuvre = MANOEUVRES.get(kind)
    if manoeuvre is None:
        raise ValueError(f'no episode {kind!r}; there are {", ".join(MANOEUVRES)}')
    if not duration >= 1.0:
        raise ValueError(f'an episode of {duration:g} s is too short, give at least 1 s')
    craft = rotorcraft or vehicle(seed)
    key = zlib.crc32(kind.encode())
    sequence = np.random.SeedSequence(seed, spawn_key=(key,))
    wake_seed, path_seed, air_seed, sensor_seed = (
        int(s.generate_state(1, np.uint64)[0]) for s in sequence.spawn(4)
    )
    rng = np.random.default_rng(path_seed)
    wake = RotorWake(craft, parameters or WakeParameters(), wake_seed)
    mass = craft.mass * rng.uniform(0.85, 1.15)
    altitude = rng.uniform(0.0, 2500.0)
    temperature = 288.15 - 0.0065 * altitude + rng.normal(0.0, 8.0)
    pressure = 101325.0 * (1.0 - 2.25577e-5 * altitude) ** 5.25588
    density = pressure / (GAS_CONSTANT * temperature)
    induced = craft.hover_induced_velocity(density, mass * STANDARD_GRAVITY)
    period = 2.0 * math.pi * wake.shape.period / craft.rotor_speed
    path = Path(
        rng,
        wake.shape,
        pace=rng.uniform(1.5, 4.0) / induced,
        unit=max(1.0, 0.6 * period, 3.0 * craft.radius / induced),
        height=rng.uniform(15.0, 100.0),
        turbulence=rng.uniform(0.0, 0.1) * induced,
        induced=induced,
    )
    path.stay(2.0, 4.0)
    while path.end < duration:
        manoeuvre(path)
    flight = _Flight(
        wake, path, mass=mass, density=density, induced=induced, duration=duration,
        rng=np.random.default_rng(air_seed),
    )  # fmt: skip
    drive = flight.drive(pressure)
    groups = lay_out(
        (
            (Kind.PRESSURE, PressureConverter(channels=int(rng.choice((4, 6, 8))))),
            (Kind.FLOW, FlowConverter(channels=int(rng.choice((2, 3, 4, 6))))),
            (Kind.ACOUSTIC, AcousticConverter(channels=int(rng.choice((1, 2))))),
        ),
        rng,
    )
    streams = Streams(groups, craft, wake.shape, sensor_seed, interval=1.0 / KNOT_RATE)
    streams.feed(drive)
    pieces = []
    left = duration
    while left > 1e-9:
        pieces.append(streams.take(min(_PIECE, left)))
        left -= _PIECE
    start = round(START * 1e9)
    samples = [
        Samples(g, start, np.concatenate(p), np.zeros(g.channels, np.uint8))
        for g, p in zip(groups, zip(*pieces, strict=True), strict=True)
    ]
    faults: list[dict[str, Any]] = []
    if path.dropout:
        samples = [_drop(s, rng, faults) for s in samples]
    every = KNOT_RATE // STATE_RATE
    time = START + np.arange(0, len(drive), every) / KNOT_RATE
    return Recording(
        groups=tuple(samples),
        state_time=time,
        state=flight.measured(rng)[::every],
        rotorcraft={
            'rotor_radius_m': craft.radius,
            'rotors': craft.rotors,
            'mass_kg': craft.mass,
            'blades': craft.blades,
        },
        truth_time=time,
        truth_level=flight.level[::every],
        name=f'{kind} {craft.name} seed {seed}',
        extra={
            'kind': kind,
            'seed': seed,
            'vehicle': craft,
            'hover_induced_velocity': induced,
            'time_unit': craft.radius / induced,
            'ring_period': period,
            'turbulence': path.turbulence,
            'shape': wake.shape,
            'intensity': drive[::every, Column.INTENSITY],
            'faults': faults,
        },
    )


class _Flight:
    """A path flown: the wake along it, and what the vehicle believes of it."""

    def __init__(
        self,
        wake: RotorWake,
        path: Path,
        *,
        mass: float,
        density: float,
        induced: float,
        duration: float,
        rng: np.random.Generator,
    ) -> None:
        self._wake, self._path = wake, path
        self._weight = mass * STANDARD_GRAVITY
        self._density, self._induced = density, induced
        count = round(duration * KNOT_RATE) + 2
        time = np.arange(count) / KNOT_RATE
        corners = np.array(path.time)
        # nobody turns a corner at once
        soft = math.exp(-1.0 / (KNOT_RATE * (0.1 + wake.rotorcraft.tilt_time)))
        self._descent, airspeed, self._load = (
            _lag(_lag(np.interp(time, corners, values), soft), soft)
            for values in (path.descent, path.airspeed, path.load)
        )
        self._airspeed = np.maximum(airspeed, 0.0)
        mean_speed = 5.0 + float(self._airspeed.mean()) * induced
        self._gusts = _dryden(rng, count, path.turbulence, mean_speed)
        self._rng = rng
        self.level = np.zeros(count)
        self._speed = np.full(count, wake.rotorcraft.rotor_speed)

    def drive(self, pressure: float) -> Array:
        """Knots for the streams; fills ``level``."""
        wake, path, craft, induced = self._wake, self._path, self._wake.rotorcraft, self._induced
        count, dt, rng = len(self._descent), 1.0 / KNOT_RATE, self._rng
        along, across, vertical = (g / induced for g in self._gusts)
        thrust = self._weight * (1.0 + self._load)
        if craft.fixed_pitch:
            self._speed = craft.rotor_speed * np.sqrt(thrust / craft.weight)
        governor = rng.uniform(0.001, 0.008) * _wander(rng, 1, count, 0.5)[0]
        self._speed = self._speed * (1.0 + governor)
        airspeed = np.hypot(self._airspeed + along, across)
        # lost thrust sinks the vehicle, shaking thrust shakes it; the autopilot holds against it
        follow, relax = rng.uniform(0.0, 1.0), rng.uniform(0.4, 1.2)
        pull = STANDARD_GRAVITY / induced * dt * follow
        knots = np.zeros((count, COLUMNS))
        extra = 0.0
        columns = []
        descents = (self._descent + vertical).tolist()
        airspeeds, speeds = airspeed.tolist(), self._speed.tolist()
        sink = []
        for k in range(count):
            now = wake.step(
                k * 10_000_000,
                dt if k else 0.0,
                descent=descents[k] + extra,
                airspeed=airspeeds[k],
                induced=induced,
                speed=speeds[k],
            )
            sink.append(extra)
            extra += pull * (now.deficit - now.fluctuation) - extra * dt / relax
            columns.append((
                now.intensity, now.ring_phase, now.ring_strength, now.tilt_direction, now.deficit,
                now.fluctuation, now.rotor_phase, now.normalised_descent, now.level, now.buffet,
            ))  # fmt: skip
        (
            knots[:, Column.INTENSITY], knots[:, Column.RING_PHASE],
            knots[:, Column.RING_STRENGTH], tilt, knots[:, Column.DEFICIT],
            knots[:, Column.FLUCTUATION], knots[:, Column.ROTOR_PHASE], descent, self.level,
            knots[:, Column.BUFFET],
        ) = np.array(columns).T  # fmt: skip
        self._descent += sink
        knots[:, Column.TILT_COS], knots[:, Column.TILT_SIN] = np.cos(tilt), np.sin(tilt)
        knots[:, Column.IMBALANCE] = (
            wake.shape.imbalance + path.imbalance
            + wake.shape.one_per_rev * knots[:, Column.INTENSITY]
        )  # fmt: skip
        knots[:, Column.DESCENT] = descent * induced
        knots[:, Column.AIRSPEED] = airspeed * induced
        knots[:, Column.INDUCED] = induced
        knots[:, Column.LOADING] = thrust / craft.disk_area
        sunk = np.cumsum(self._descent) * dt * induced
        self._height = path.height * craft.radius + sunk.max() - sunk
        knots[:, Column.HEIGHT] = self._height / craft.radius + 0.6
        knots[:, Column.PRESSURE] = pressure + self._density * STANDARD_GRAVITY * sunk
        knots[:, Column.DENSITY] = self._density
        knots[:, Column.GUST] = 0.2 * path.turbulence
        self._thrust = thrust * (1.0 + rng.uniform(0.0, 0.8) * knots[:, Column.DEFICIT])
        return knots

    def measured(self, rng: np.random.Generator) -> Array:
        """The state as the vehicle knows it, a row per knot."""
        count, induced = len(self._descent), self._induced
        keep = math.exp(-1.0 / (KNOT_RATE * rng.uniform(0.02, 0.3)))
        # air that rises or sinks as a whole, and what a barometer makes of its noise
        sink = _lag(self._descent * induced, keep) + rng.normal(0.0, 0.15)
        sink += rng.uniform(0.03, 0.25) * rng.standard_normal(count)
        error = rng.normal(0.0, 2.5 / math.sqrt(2.0), 2)
        wander = 0.5 * _wander(rng, 2, count, 10.0)
        airspeed = np.hypot(self._airspeed * induced + error[0] + wander[0], error[1] + wander[1])
        height = self._height + rng.normal(0.0, 0.3)
        speed = self._speed * (1.0 + 0.002 * rng.standard_normal(count))
        thrust = self._thrust * rng.uniform(0.9, 1.1)
        return np.column_stack((sink, airspeed, np.maximum(height, 0.0), speed, thrust))


def _lag(values: Array, keep: float) -> Array:
    """First-order lag along the last axis, starting where it stands."""
    state = keep * values[..., :1]
    result, _ = signal.lfilter((1.0 - keep,), (1.0, -keep), values, zi=state)
    return result  # type: ignore[no-any-return]


def _wander(rng: np.random.Generator, rows: int, count: int, time: float) -> Array:
    """Noise of unit variance and a correlation time (s), (rows, count), one column per knot."""
    keep = math.exp(-1.0 / (KNOT_RATE * time))
    drawn = rng.standard_normal((rows, count))
    drawn[:, 1:] *= math.sqrt(1.0 - keep * keep)
    result: Array = signal.lfilter((1.0,), (1.0, -keep), drawn)
    return result


def _dryden(rng: np.random.Generator, count: int, sigma: float, speed: float) -> Array:
    """Gusts along, across and vertical, (3, count), m/s: MIL-F-8785C forms at medium height.

    Args:
        rng: what draws them.
        count: number of knots.
        sigma: rms, m/s.
        speed: at which the field is flown through, m/s.
    """
    length = 60.0
    lag = length / speed
    white = rng.standard_normal((3, count)) * math.sqrt(KNOT_RATE)
    longitudinal = signal.bilinear((math.sqrt(2.0 * lag),), (lag, 1.0), KNOT_RATE)
    lateral = signal.bilinear(
        (math.sqrt(3.0 * lag) * lag, math.sqrt(lag)), (lag * lag, 2.0 * lag, 1.0), KNOT_RATE
    )
    gusts = np.vstack((
        signal.lfilter(*longitudinal, white[0]), signal.lfilter(*lateral, white[1:]),
    ))  # fmt: skip
    result: Array = sigma * gusts
    return result


def _drop(samples: Samples, rng: np.random.Generator, faults: list[dict[str, Any]]) -> Samples:
    """Let up to half of the channels fail, each once or for good."""
    group, counts = samples.group, samples.counts
    health = samples.health.copy()
    for channel in rng.permutation(group.channels)[: int(rng.integers(0, group.channels // 2 + 1))]:
        fault = list(ChannelFault)[int(rng.integers(len(ChannelFault)))]
        begin = int(rng.uniform(0.05, 0.9) * len(counts))
        lasts = int(rng.uniform(0.5, 10.0) * group.rate)
        end = len(counts) if rng.random() < 0.5 else min(begin + lasts, len(counts))
        part: Counts = counts[begin:end]
        rise = rng.choice((-1.0, 1.0)) * rng.uniform(5.0, 200.0) * len(part) / group.rate
        if group.kind is not Kind.PRESSURE:
            rise *= 0.02
        spoil(part, group, fault, int(channel), held=int(part[0, channel]), drift=(0.0, rise))
        if rng.random() < 0.3:
            health[channel] = Health.FAILED
        faults.append({
            'kind': group.kind, 'channel': int(channel), 'fault': fault.value,
            'start': START + begin / group.rate, 'end': START + end / group.rate,
        })  # fmt: skip
    return dataclasses.replace(samples, health=health)
