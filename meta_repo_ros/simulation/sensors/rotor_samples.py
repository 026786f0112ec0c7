# SPDX-License-Identifier: Apache-2.0
"""Pressure, flow and sound sensors at the rotor, in blocks of raw counts; and the wake's truth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from meta_repo_ros.core.messages import Template
from meta_repo_ros.core.parameters import group, parameter
from meta_repo_ros.core.processor import Topic
from meta_repo_ros.core.rotorcraft import ROTORCRAFT
from meta_repo_ros.core.sample_message import fill
from meta_repo_ros.core.samples import Block, Counts, Kind, Samples
from meta_repo_ros.core.time import NANOSECONDS
from meta_repo_ros.msg import SampleBlock, VortexDetection
from meta_repo_ros.simulation.faults import Fault
from meta_repo_ros.simulation.sensors.base import BODY_FRAME, Sample, Sensor, SensorContext, stamped
from meta_repo_ros.simulation.state import VehicleState
from meta_repo_ros.simulation.wake.channel_faults import ChannelFault, spoil
from meta_repo_ros.simulation.wake.drive import row
from meta_repo_ros.simulation.wake.layout import (
    AcousticConverter,
    Converter,
    FlowConverter,
    PressureConverter,
    lay_out,
)
from meta_repo_ros.simulation.wake.ring import RotorWake, WakeState, wake_seed
from meta_repo_ros.simulation.wake.shape import WakeParameters
from meta_repo_ros.simulation.wake.streams import Streams, Whine

BLOCKS = 'rotor_samples'
TRUTH = 'ground_truth/wake'
_TRUTH_INTERVAL = 20_000_000  # ns
_LAYOUT_KEY = 0x4C41
_CHANNEL_FAULTS = tuple(fault.value for fault in ChannelFault)


@dataclass(frozen=True)
class WhineParameters:
    """A tone of motor controllers or gears at the microphones."""

    frequency: float = parameter(1500.0, 'Of the tone.', unit='Hz', minimum=1.0, maximum=24000.0)
    amplitude: float = parameter(0.0, 'Of the tone; 0 for none.', unit='Pa', minimum=0.0)
    anti_alias: bool = parameter(
        default=True, description='Whether it is filtered before it is sampled.'
    )


@dataclass(frozen=True)
class RotorSamplesParameters:
    """Of the sensors and of the wake that they see."""

    rotorcraft: str = parameter('f450', 'Whose rotors.', choices=tuple(ROTORCRAFT))
    block: float = parameter(4.0, 'Length of a block.', unit='ms', choices=(2.0, 4.0, 10.0))
    gust: float = parameter(
        0.0, 'rms of gusts shorter than a step.', unit='m/s', minimum=0.0, maximum=20.0
    )
    pressure: PressureConverter = group(PressureConverter)
    flow: FlowConverter = group(FlowConverter)
    acoustic: AcousticConverter = group(AcousticConverter)
    whine: WhineParameters = group(WhineParameters)
    wake: WakeParameters = group(WakeParameters)

    def __post_init__(self) -> None:
        converters: dict[str, Converter] = {
            'pressure': self.pressure,
            'flow': self.flow,
            'acoustic': self.acoustic,
        }
        for name, converter in converters.items():
            samples = converter.rate * self.block * 1e-3
            if converter.channels and abs(samples - round(samples)) > 1e-9:
                raise ValueError(
                    f'{name}.rate: {converter.rate:g} Hz gives {samples:g} samples in a block of '
                    f'{self.block:g} ms, must be a whole number'
                )
        if not any(c.channels for c in converters.values()):
            raise ValueError('no channels at all: give pressure, flow or acoustic some')


class RotorSamplesSensor(Sensor):
    """Gives ``rotor_samples`` in blocks, and ``ground_truth/wake`` at 50 Hz.

    The wake is the twin of the one in the effect ``vortex_ring``: where both have the same
    ``rotorcraft`` and ``wake``, and this sensor's rate is the simulator's, they are equal.
    A block is given at the first step after its end. Places of the sensors, strength of their
    response and the wake itself are drawn from the scenario's seed.

    Faults: ``stuck``, ``dead``, ``saturated``, ``drift``, ``swapped`` of one channel, the value
    being (kind 1 to 3 as in ``SampleBlock``, number of the channel, drift in the unit of the
    kind); ``missing_block``, ``repeated_block``.
    """

    Parameters = RotorSamplesParameters
    topics: ClassVar[tuple[Topic, ...]] = (
        Topic(BLOCKS, 'meta_repo_ros/msg/SampleBlock', 'STREAM'),
        Topic(TRUTH, 'meta_repo_ros/msg/VortexDetection', 'STATE'),
    )
    default_rate: ClassVar[float] = 200.0
    faults = (*_CHANNEL_FAULTS, 'missing_block', 'repeated_block')

    def __init__(self, parameters: RotorSamplesParameters, context: SensorContext) -> None:
        super().__init__(parameters, context)
        self._craft = ROTORCRAFT[parameters.rotorcraft]
        self._length = round(parameters.block * 1e6)  # ns
        self._start = context.initial.stamp
        self._sequence = 0
        self._next_truth = self._start
        self._wake: RotorWake | None = None
        self._streams: Streams | None = None
        self._held: dict[Fault, int] = {}
        truth = stamped(VortexDetection(), 1)
        truth.risk = truth.evidence = truth.time_to_onset = math.nan
        truth.note = 'truth of the simulated wake'
        self._truth = Template(
            truth, 'header.stamp.sec', 'header.stamp.nanosec', 'block_sequence', 'level',
            'probability', 'normalised_descent', 'normalised_airspeed', 'hover_induced_velocity',
        )  # fmt: skip

    def sample(self, state: VehicleState, rng: np.random.Generator) -> Sequence[Sample]:
        """Let the wake go on; give the blocks that have ended, and the truth when it is due."""
        if self._wake is None or self._streams is None:
            self._begin(wake_seed(rng))
        assert self._wake is not None  # noqa: S101  as begun
        assert self._streams is not None  # noqa: S101
        now = self._wake.advance(state)
        self._streams.feed(np.array((row(self._wake, now, state, self.parameters.gust),)))
        samples: list[Sample] = []
        while state.stamp >= self._start + self._length:
            samples += self._block(self._streams, state)
        if state.stamp >= self._next_truth:
            self._next_truth += _TRUTH_INTERVAL
            samples.append(Sample(TRUTH, self._truth_message(now)))
        return samples

    def _begin(self, seed: int) -> None:
        p: RotorSamplesParameters = self.parameters
        initial = self.context.initial
        self._wake = RotorWake(self._craft, p.wake, seed)
        places = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_LAYOUT_KEY,)))
        converters = (
            (Kind.PRESSURE, p.pressure), (Kind.FLOW, p.flow), (Kind.ACOUSTIC, p.acoustic),
        )  # fmt: skip
        whine = Whine(p.whine.frequency, p.whine.amplitude, p.whine.anti_alias)
        self._streams = Streams(
            lay_out(converters, places),
            self._craft,
            self._wake.shape,
            seed,
            interval=1.0 / self.context.rate,
            whine=whine if whine.amplitude > 0.0 else None,
        )
        now = self._wake.advance(initial)
        self._streams.feed(np.array((row(self._wake, now, initial, p.gust),)))
        self._healths = [np.zeros(g.channels, np.uint8) for g in self._streams.groups]

    def _block(self, streams: Streams, state: VehicleState) -> Sequence[Sample]:
        """The block that starts at ``_start``."""
        counts = streams.take(self._length * 1e-9)
        start, sequence = self._start, self._sequence
        self._start += self._length
        self._sequence += 1
        # a fault has those blocks whose middle it has
        time = state.time - (state.stamp - start - 0.5 * self._length) * 1e-9
        active = [f for f in self.context.faults if f.active(time)]
        repeats = 1
        for fault in active:
            if fault.type == 'missing_block':
                repeats = 0
            elif fault.type == 'repeated_block':
                repeats = 2
            elif fault.type in _CHANNEL_FAULTS:
                self._spoil(fault, counts, streams, time)
        samples = tuple(
            Samples(g, start, c, h)
            for g, c, h in zip(streams.groups, counts, self._healths, strict=True)
        )
        block = Block(sequence, start, self._length, samples)
        return [self._sample(block) for _ in range(repeats)]

    def _sample(self, block: Block) -> Sample:
        message = SampleBlock()
        message.header.frame_id = BODY_FRAME
        fill(message, block)
        return Sample(BLOCKS, message)

    def _spoil(self, fault: Fault, counts: list[Counts], streams: Streams, time: float) -> None:
        kind, channel = round(fault.value[0]), round(fault.value[1])
        for sensors, part in zip(streams.groups, counts, strict=True):
            if sensors.kind == kind:
                held = self._held.setdefault(fault, int(part[0, channel % sensors.channels]))
                half = 0.5e-9 * self._length
                drift = fault.at(time - half)[2], fault.at(time + half)[2]
                spoil(part, sensors, ChannelFault(fault.type), channel, held=held, drift=drift)

    def _truth_message(self, now: WakeState) -> VortexDetection:
        seconds, nanoseconds = divmod(now.stamp, NANOSECONDS)
        return self._truth(
            seconds, nanoseconds, max(self._sequence - 1, 0), now.level + 1, now.intensity,
            now.normalised_descent, now.normalised_airspeed, now.hover_induced_velocity,
        )  # fmt: skip
