# SPDX-License-Identifier: Apache-2.0
"""Counts of the pressure, flow and sound sensors at a rotor.

What lies in the band of a converter is made at its own rate, free of aliases by construction:
tones above the band are left out (or leak by a drawn -40 to -60 dB), noise is drawn at the rate.
What is above it goes through ``core/converter.py`` instead: see ``whine`` of the sensor.

The same code makes a live block of some milliseconds and hours at once, and the counts do not
depend on how the time was cut.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import signal

from meta_repo_ros.core.converter import Decimator, quantise
from meta_repo_ros.core.rotorcraft import Rotorcraft
from meta_repo_ros.core.samples import Array, ChannelGroup, Counts, Kind
from meta_repo_ros.simulation.wake.drive import COLUMNS, Column
from meta_repo_ros.simulation.wake.inflow import mean_inflow
from meta_repo_ros.simulation.wake.response import BLADE_HARMONICS, Response, draw_responses
from meta_repo_ros.simulation.wake.shape import WakeShape

_STREAMS_KEY = 0x53545245
_FAST = 48000.0  # Hz, least rate at which a whine is made
_SHORT = 10  # samples up to which a loop is quicker than a call of lfilter
_INFLOW = COLUMNS  # further columns: inflow in m/s, then the ring as each group sees it


@dataclass(frozen=True)
class Whine:
    """A tone of gears or motor controllers, far above what the converters can carry.

    Attributes:
        frequency: Hz.
        amplitude: Pa.
        anti_alias: whether it is filtered before it is sampled.
    """

    frequency: float
    amplitude: float
    anti_alias: bool = True


class Streams:
    """Makes the streams of one vehicle, in order of time.

    Args:
        groups: the sensors.
        rotorcraft: that carries them.
        shape: of its wake.
        seed: of the responses and of all noise.
        interval: between two knots of the drive, s.
        whine: a tone that every microphone hears, None for none.

    Attributes:
        groups, responses: what was given and drawn.
    """

    def __init__(
        self,
        groups: tuple[ChannelGroup, ...],
        rotorcraft: Rotorcraft,
        shape: WakeShape,
        seed: int,
        *,
        interval: float,
        whine: Whine | None = None,
    ) -> None:
        sequence = np.random.SeedSequence(seed, spawn_key=(_STREAMS_KEY,))
        drawn, *noise = sequence.spawn(1 + len(groups))
        self.groups = groups
        self.responses = draw_responses(groups, rotorcraft, shape, np.random.default_rng(drawn))
        self._interval = interval
        self._knots = np.empty((0, COLUMNS + 1 + len(groups)))
        self._first = 0  # number of the first knot that is kept
        unit = rotorcraft.radius / rotorcraft.hover_induced_velocity()
        self._keep = [
            math.exp(-interval / (r.lag * unit)) if r.lag > 0.0 else 0.0 for r in self.responses
        ]
        self._lagged = [np.zeros(1) for _ in groups]
        self._makers = [
            _MAKERS[group.kind](group, rotorcraft, response, seeds, whine)
            for group, response, seeds in zip(groups, self.responses, noise, strict=True)
        ]

    def feed(self, drive: Array) -> None:
        """Append knots, (k, COLUMNS); the first ever is at time 0."""
        induced = drive[:, Column.INDUCED]
        knots = np.empty((len(drive), self._knots.shape[1]))
        knots[:, :COLUMNS] = drive
        inflow = mean_inflow(
            drive[:, Column.DESCENT] / induced, drive[:, Column.AIRSPEED] / induced
        )
        near = 0.25 / drive[:, Column.HEIGHT]
        knots[:, _INFLOW] = inflow * induced * (1.0 - near * near)
        intensity = drive[:, Column.INTENSITY]
        for i, (response, keep) in enumerate(zip(self.responses, self._keep, strict=True)):
            if len(intensity) == 1:  # live: much quicker so
                seen = (1.0 - keep) * intensity + self._lagged[i]
                self._lagged[i] = keep * seen
            else:
                seen, self._lagged[i] = signal.lfilter(
                    (1.0 - keep,), (1.0, -keep), intensity, zi=self._lagged[i]
                )
            knots[:, _INFLOW + 1 + i] = response.gain * np.abs(seen) ** response.growth
        self._knots = np.concatenate((self._knots, knots))

    def take(self, duration: float) -> list[Counts]:
        """Counts (n, c) of each group over the next ``duration`` (s); the knots must cover it."""
        result = []
        needed = math.inf
        for i, maker in enumerate(self._makers):
            end = maker.at + round(duration * maker.group.rate)
            time = np.arange(maker.at, end) / (maker.group.rate * self._interval)
            result.append(maker.make(self._at(time - self._first), _INFLOW + 1 + i))
            maker.at = end
            needed = min(needed, end / (maker.group.rate * self._interval))
        drop = int(needed) - self._first
        if drop > 0:
            self._knots = self._knots[drop:]
            self._first += drop
        return result

    def _at(self, place: Array) -> Array:
        """Rows of the drive at fractional numbers of kept knots."""
        # the last sample of a block may stand on the last knot, or after it by a rounding error
        index = np.minimum(place.astype(np.intp), len(self._knots) - 2)
        before = self._knots[index]
        rows: Array = before + (self._knots[index + 1] - before) * (place - index)[:, None]
        return rows


@dataclass
class _Maker:
    """Makes the samples of one group; ``at`` is the number of the next."""

    group: ChannelGroup
    craft: Rotorcraft
    response: Response
    seeds: np.random.SeedSequence
    whine: Whine | None = None
    at: int = 0

    def __post_init__(self) -> None:
        channels = self.group.channels
        # a generator for each, so that cutting time otherwise draws the same
        self._white, self._coloured, self._wander = (
            np.random.default_rng(s) for s in self.seeds.spawn(3)
        )
        self._colour = math.exp(-2.0 * math.pi * self.response.corner / self.group.rate)
        self._colour_state = np.zeros((1, channels))
        self._walked = np.zeros((1, channels))
        self._ring = np.ascontiguousarray(self.response.ring)

    def make(self, rows: Array, seen: int) -> Counts:
        """Counts at the rows of the drive; ``seen`` is the column of the ring as seen."""
        response = self.response
        values = self._values(rows, rows[:, seen])
        values *= response.scale
        values += response.offset
        if response.drift > 0.0 or response.ramp.any():
            values += self._drift(len(rows))
        values += response.noise * self._white.standard_normal(values.shape)
        return quantise(values, self.group)

    def _values(self, rows: Array, ring: Array) -> Array:
        raise NotImplementedError

    def _turbulence(self, count: int) -> Array:
        """Noise of unit variance with a corner, (count, c)."""
        keep = self._colour
        drawn = self._coloured.standard_normal((count, self.group.channels))
        drawn *= math.sqrt(1.0 - keep * keep)
        if count > _SHORT:
            result, self._colour_state = signal.lfilter(
                (1.0,), (1.0, -keep), drawn, axis=0, zi=self._colour_state
            )
            return result  # type: ignore[no-any-return]
        carried = self._colour_state[0]
        for k in range(count):
            drawn[k] += carried
            carried = keep * drawn[k]
        self._colour_state[0] = carried
        return drawn

    def _drift(self, count: int) -> Array:
        step = 1.0 / self.group.rate
        walk = self._wander.standard_normal((count, self.group.channels))
        walk *= self.response.drift * math.sqrt(step)
        walk += self.response.ramp * step
        walk[0] += self._walked[0]
        np.cumsum(walk, axis=0, out=walk)
        self._walked = walk[-1:].copy()
        return walk

    def _rings(self, rows: Array) -> Array:
        """The ring's wave at each channel for a full ring, (n, c)."""
        turn = np.exp(1j * rows[:, Column.RING_PHASE])
        twice = turn * turn
        basis = np.empty((len(rows), 3, 7))
        for k, z in enumerate((turn, twice, twice * turn)):
            basis[:, 0, 2 * k] = z.imag
            basis[:, 0, 2 * k + 1] = z.real
        basis[:, 0, 6] = rows[:, Column.BUFFET]
        basis[:, 0] *= rows[:, Column.RING_STRENGTH, None]
        basis[:, 1] = basis[:, 0] * rows[:, Column.TILT_COS, None]
        basis[:, 2] = basis[:, 0] * rows[:, Column.TILT_SIN, None]
        result: Array = basis.reshape(len(rows), 21) @ self._ring
        return result

    def _tones(self, rows: Array, ring: Array) -> Array:
        """1P and the blade passing at each channel, over the scale of the kind, (n, c)."""
        turn = np.exp(1j * rows[:, Column.ROTOR_PHASE])
        basis = np.empty((len(rows), 2 + 2 * BLADE_HARMONICS))
        imbalance = rows[:, Column.IMBALANCE]
        basis[:, 0] = turn.imag * imbalance
        basis[:, 1] = turn.real * imbalance
        blade = turn**self.craft.blades
        loud = 1.0 + self.response.modulation * ring * rows[:, Column.FLUCTUATION] * 3.0
        wave = blade * loud
        for m in range(BLADE_HARMONICS):
            basis[:, 2 + 2 * m] = wave.imag
            basis[:, 3 + 2 * m] = wave.real
            wave = wave * blade
        result: Array = basis @ self.response.tones
        return result


class _Pressure(_Maker):
    """Static pressure, half the jump over the disk on each side, the ring, the wake."""

    def _values(self, rows: Array, ring: Array) -> Array:
        response = self.response
        loading = rows[:, Column.LOADING]
        share = response.gain * (rows[:, Column.DEFICIT] - rows[:, Column.FLUCTUATION])
        values: Array = np.outer(loading * (1.0 - share), response.level)
        unsteady = self._rings(rows)
        unsteady *= ring[:, None]
        unsteady += self._tones(rows, ring)
        rough = response.turbulence + response.turbulence_rise * ring
        rough += 0.3 * np.exp(-rows[:, Column.HEIGHT]) * response.turbulence
        unsteady += self._turbulence(len(rows)) * rough[:, None]
        values += unsteady * loading[:, None]
        speed = rows[:, Column.DESCENT] ** 2 + rows[:, Column.AIRSPEED] ** 2
        # a tap sees part of the dynamic pressure of the oncoming air
        felt = 0.5 * rows[:, Column.DENSITY] * (speed + 2.0 * rows[:, Column.GUST] ** 2)
        values += np.outer(felt, 0.05 * self.group.station_side)
        values += rows[:, Column.PRESSURE, None]
        return values


class _Flow(_Maker):
    """Speed at stations from the root to the tip."""

    def _values(self, rows: Array, ring: Array) -> Array:
        response = self.response
        induced = rows[:, Column.INDUCED]
        axial: Array = np.outer(rows[:, _INFLOW], response.level)
        axial *= 1.0 - np.outer(np.minimum(ring, 1.0), response.reversal)
        axial -= rows[:, Column.DESCENT, None]
        unsteady = self._rings(rows)
        unsteady *= ring[:, None]
        unsteady += self._tones(rows, ring)
        rough = response.turbulence + response.turbulence_rise * ring
        rough += 0.15 * np.exp(-rows[:, Column.HEIGHT])
        rough = rough * induced + rows[:, Column.GUST]
        unsteady *= induced[:, None]
        unsteady += self._turbulence(len(rows)) * rough[:, None]
        axial += unsteady
        across = rows[:, Column.AIRSPEED, None] + 0.3 * rough[:, None]
        result: Array = np.sqrt(axial * axial + across * across)
        return result


class _Acoustic(_Maker):
    """Blade passing tones over broadband noise."""

    def __post_init__(self) -> None:
        super().__post_init__()
        low, high = self.group.band
        nyquist = 0.5 * self.group.rate
        high = min(high, 0.95 * nyquist)
        self._band = signal.butter(1, (max(low, 0.5), high), 'bandpass', fs=self.group.rate)
        self._band_state = np.zeros((2, self.group.channels))
        self._decimator: Decimator | None = None
        self._hiss = np.random.default_rng(self.seeds.spawn(1)[0])

    def _values(self, rows: Array, ring: Array) -> Array:
        response = self.response
        loading = rows[:, Column.LOADING]
        turn = np.sin(rows[:, Column.ROTOR_PHASE])
        wide = 10.0 ** (response.turbulence_rise / 20.0 * ring)
        wide *= 1.0 + response.turbulence * turn
        deep = 10.0 ** (response.loudness / 20.0 * ring)
        wind = rows[:, Column.AIRSPEED] ** 2 + rows[:, Column.GUST] ** 2
        deep += 0.05 * wind / rows[:, Column.INDUCED] ** 2
        noise = self._hiss.standard_normal((len(rows), self.group.channels))
        noise *= wide[:, None]
        noise += 1.5 * deep[:, None] * self._turbulence(len(rows))
        noise *= response.level
        noise, self._band_state = signal.lfilter(*self._band, noise, axis=0, zi=self._band_state)
        noise += self._tones(rows, ring)
        result: Array = noise * loading[:, None]
        if self.whine is not None:
            result += self._whine(self.whine, len(rows))
        return result

    def _whine(self, whine: Whine, count: int) -> Array:
        factor = math.ceil(_FAST / self.group.rate)
        rate = factor * self.group.rate
        if self._decimator is None:
            self._decimator = Decimator(rate, self.group.rate, anti_alias=whine.anti_alias)
        time = np.arange(self.at * factor, (self.at + count) * factor) / rate
        tone = whine.amplitude * np.sin(2.0 * math.pi * whine.frequency * time)
        return self._decimator.push(tone[:, None])


_MAKERS: dict[Kind, Any] = {Kind.PRESSURE: _Pressure, Kind.FLOW: _Flow, Kind.ACOUSTIC: _Acoustic}
