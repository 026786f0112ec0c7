# SPDX-License-Identifier: Apache-2.0
"""The simulator's sensor ``rotor_samples``: blocks, faults, the truth of the wake."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest

from meta_repo_ros.core.parameters import ParameterError, from_mapping
from meta_repo_ros.core.sample_message import read
from meta_repo_ros.core.samples import Block, Kind
from meta_repo_ros.core.time import stamp_ns
from meta_repo_ros.simulation.faults import Fault
from meta_repo_ros.simulation.library import find_scenario
from meta_repo_ros.simulation.scenario import EffectSpec, SensorSpec
from meta_repo_ros.simulation.sensors.base import SensorContext
from meta_repo_ros.simulation.sensors.rotor_samples import BLOCKS, TRUTH, RotorSamplesSensor
from meta_repo_ros.simulation.simulator import Simulator
from meta_repo_ros.simulation.state import VehicleState
from meta_repo_ros.simulation.wake.effect import VortexRing

SEED = 11


@pytest.fixture(scope='module')
def state() -> VehicleState:
    """A quadrotor of 1.4 kg in the air of the demonstration flight, in a hover."""
    scenario = find_scenario('demo').with_duration(1.0)
    flying = Simulator(dataclasses.replace(scenario, sensors=())).state
    return dataclasses.replace(
        flying,
        velocity=flying.wind,
        orientation=(1.0, 0.0, 0.0, 0.0),
        rotor_speed=(500.0, 500.0, 510.0, 510.0),
        mass=1.4,
        thrust=1.4 * 9.8,
    )


def _run(
    state: VehicleState,
    seconds: float,
    *faults: Fault,
    rate: float = 250.0,
    sink: float = 0.0,
    **values: Any,
) -> tuple[list[Any], list[Any]]:
    """Messages of the two topics of a vehicle that sinks (m/s)."""
    parameters = from_mapping(RotorSamplesSensor.Parameters, values)
    sensor = RotorSamplesSensor(parameters, SensorContext('s', rate, faults, state))
    rng = np.random.default_rng(np.random.SeedSequence(SEED, spawn_key=(77,)))
    east, north, up = state.wind
    samples = []
    for k in range(1, round(seconds * rate) + 1):
        time = k / rate
        now = dataclasses.replace(
            state,
            stamp=state.stamp + round(time * 1e9),
            time=time,
            velocity=(east, north, up - sink),
        )
        samples += sensor.sample(now, rng)
    return (
        [s.message for s in samples if s.topic == BLOCKS],
        [s.message for s in samples if s.topic == TRUTH],
    )


def _fault(kind: str, start: float, duration: float, *value: float, rate: float = 0.0) -> Fault:
    return Fault(
        sensor='s', type=kind, start=start, duration=duration,
        value=(*value, 0.0, 0.0, 0.0)[:3], rate=(0.0, 0.0, rate),
    )  # fmt: skip


def _blocks(messages: list[Any]) -> list[Block]:
    return [read(m) for m in messages]


@pytest.mark.parametrize('length', [2.0, 4.0, 10.0])
@pytest.mark.parametrize('rate', [200.0, 400.0])
def test_blocks_follow_each_other_without_a_gap(
    state: VehicleState, length: float, rate: float
) -> None:
    blocks = _blocks(_run(state, 0.2, rate=rate, block=length)[0])
    assert len(blocks) == 200 / length
    assert [b.sequence for b in blocks] == list(range(len(blocks)))
    assert blocks[0].start == state.stamp
    for before, after in itertools.pairwise(blocks):
        assert after.start == before.end
    for block in blocks:
        assert [s.group.kind for s in block.groups] == [Kind.PRESSURE, Kind.FLOW, Kind.ACOUSTIC]
        assert [s.counts.shape for s in block.groups] == [
            (length, 8), (0.5 * length, 4), (2 * length, 2),
        ]  # fmt: skip
        assert [s.group.bits for s in block.groups] == [16, 12, 24]
        assert block.notes == ()  # the band that is claimed can be had


def test_blocks_of_other_length_hold_the_same_samples(state: VehicleState) -> None:
    streams = []
    for length in (2.0, 4.0, 10.0):
        blocks = _blocks(_run(state, 0.4, sink=4.0, block=length)[0])
        streams.append([np.concatenate([b.groups[i].counts for b in blocks]) for i in range(3)])
    for other in streams[1:]:
        for a, b in zip(streams[0], other, strict=True):
            assert np.abs(a - b).max() <= 1


def test_pressure_is_that_of_the_vehicle_s_height(state: VehicleState) -> None:
    high = dataclasses.replace(state, static_pressure=state.static_pressure - 5000.0)
    means = []
    for s in (state, high):
        pressure = _blocks(_run(s, 0.2)[0])[-1].groups[0]
        means.append(pressure.group.values(pressure.counts).mean())
    assert means[0] - means[1] == pytest.approx(5000.0, abs=5.0)
    assert means[0] == pytest.approx(state.static_pressure, abs=100.0)


def test_the_truth_comes_at_50_hz_and_says_when_the_ring_is_there(state: VehicleState) -> None:
    _, hover = _run(state, 1.0)
    blocks, ring = _run(state, 4.0, sink=6.0)
    assert len(hover) == pytest.approx(50, abs=1)
    assert len(ring) == pytest.approx(200, abs=1)
    assert {m.level for m in hover} == {1}
    assert ring[-1].level == 4
    levels = [m.level for m in ring]
    assert max(levels) == 4
    assert ring[0].probability < 0.1
    assert ring[-1].probability > 0.5
    last = ring[-1]
    assert last.note == 'truth of the simulated wake'
    assert last.normalised_descent == pytest.approx(6.0 / last.hover_induced_velocity)
    assert last.block_sequence <= blocks[-1].sequence
    assert stamp_ns(last.header.stamp) <= state.stamp + 4_000_000_000


def test_the_wake_is_the_twin_of_the_one_that_acts_on_the_aircraft() -> None:
    scenario = find_scenario('demo').with_duration(1.5)
    parameters = from_mapping(VortexRing.Parameters, {'rotorcraft': 'f450'})
    header = dataclasses.replace(scenario.header, aircraft='f450')
    scenario = dataclasses.replace(
        scenario,
        header=header,
        initial=dataclasses.replace(scenario.initial, airspeed=0.0),
        manoeuvres=(),
        effects=(EffectSpec('ring', VortexRing, parameters),),
        sensors=(
            SensorSpec(
                'rotor_samples',
                RotorSamplesSensor,
                float(header.rate),
                from_mapping(RotorSamplesSensor.Parameters, {'rotorcraft': 'f450'}),
            ),
        ),
        faults=(),
    )
    simulator = Simulator(scenario)
    effect = simulator._effects[0]
    sensor = simulator._sensors[0].sensor
    assert isinstance(effect, VortexRing)
    assert isinstance(sensor, RotorSamplesSensor)
    before = None
    compared = 0
    while not simulator.finished:
        simulator.step()
        # the effect acts on the state before the step, the sensor measures the one after it
        if before is not None:
            assert effect.wake == before
            compared += 1
        assert sensor._wake is not None
        before = sensor._wake.advance(simulator.state)
    assert compared > 200


@pytest.mark.parametrize(('kind', 'expected'), [('stuck', None), ('dead', 0), ('saturated', 4095)])
def test_a_channel_fails_from_then_on(state: VehicleState, kind: str, expected: int | None) -> None:
    fault = _fault(kind, 0.1, 0.2, float(Kind.FLOW), 2.0)
    blocks = _blocks(_run(state, 0.4, fault)[0])
    sound = _blocks(_run(state, 0.4)[0])
    counts, well = (np.concatenate([b.groups[1].counts for b in bs]) for bs in (blocks, sound))
    bad = counts[50:150, 2]
    assert np.ptp(bad) == 0
    assert bad[0] == (well[50, 2] if expected is None else expected)
    counts[50:150, 2] = well[50:150, 2]
    assert (counts == well).all()  # nothing else changed, not even the noise


def test_drifting_and_swapped_channels(state: VehicleState) -> None:
    sound = np.concatenate([b.groups[0].counts for b in _blocks(_run(state, 0.4)[0])])
    drift = _fault('drift', 0.2, 1.0, float(Kind.PRESSURE), 0.0, 30.0, rate=1000.0)
    counts = np.concatenate([b.groups[0].counts for b in _blocks(_run(state, 0.4, drift)[0])])
    resolution = 200_000.0 / 65535
    assert (counts[-1, 0] - sound[-1, 0]) * resolution == pytest.approx(230.0, abs=8.0)
    assert (counts[:, 1:] == sound[:, 1:]).all()
    swap = _fault('swapped', 0.2, 1.0, float(Kind.PRESSURE), 3.0)
    counts = np.concatenate([b.groups[0].counts for b in _blocks(_run(state, 0.4, swap)[0])])
    assert (counts[200:, 3] == sound[200:, 4]).all()
    assert (counts[200:, 4] == sound[200:, 3]).all()


def test_blocks_are_lost_and_repeated(state: VehicleState) -> None:
    lost = _fault('missing_block', 0.1, 0.008)
    sequence = [m.sequence for m in _run(state, 0.2, lost)[0]]
    assert sequence == [*range(25), *range(27, 50)]
    again = _fault('repeated_block', 0.1, 0.004)
    messages = _run(state, 0.2, again)[0]
    assert [m.sequence for m in messages] == [*range(26), *range(25, 50)]
    assert messages[25].counts == messages[26].counts


@pytest.mark.parametrize(
    ('values', 'reason'),
    [
        ({'block': 3.0}, 'one of'),
        ({'flow.rate': 333.0}, 'whole number'),
        ({'pressure.channels': 0, 'flow.channels': 0, 'acoustic.channels': 0}, 'no channels'),
        ({'rotorcraft': 'zeppelin'}, 'one of'),
    ],
)
def test_what_cannot_be_is_refused(values: dict[str, Any], reason: str) -> None:
    with pytest.raises(ParameterError, match=reason):
        from_mapping(RotorSamplesSensor.Parameters, values)


def test_kinds_can_be_left_out(state: VehicleState) -> None:
    message = _run(state, 0.1, **{'flow.channels': 0, 'acoustic.channels': 1})[0][0]
    assert [s.group.kind for s in read(message).groups] == [Kind.PRESSURE, Kind.ACOUSTIC]
