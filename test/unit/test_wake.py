# SPDX-License-Identifier: Apache-2.0
"""The simulated vortex ring: its memory, its bounds, and that twins of it agree."""

from __future__ import annotations

import dataclasses
import zlib
from typing import Any

import numpy as np
import pytest

from meta_repo_ros.core.rotorcraft import ROTORCRAFT
from meta_repo_ros.simulation.library import find_scenario
from meta_repo_ros.simulation.simulator import Simulator
from meta_repo_ros.simulation.state import VehicleState
from meta_repo_ros.simulation.wake.ring import (
    DEVELOPED,
    INCIPIENT,
    MARGIN,
    NONE,
    RotorWake,
    WakeState,
    wake_seed,
)
from meta_repo_ros.simulation.wake.shape import RANGES, WakeParameters

F450 = ROTORCRAFT['f450']
AH1S = ROTORCRAFT['ah1s']


def _fly(wake: RotorWake, descent: Any, airspeed: Any, dt: float = 0.01) -> list[WakeState]:
    """The wake along normalised descents and airspeeds."""
    craft = wake.rotorcraft
    descent, airspeed = np.broadcast_arrays(descent, airspeed)
    return [
        wake.step(
            round(k * dt * 1e9),
            dt if k else 0.0,
            descent=float(lam),
            airspeed=float(mu),
            induced=craft.hover_induced_velocity(),
            speed=craft.rotor_speed,
        )
        for k, (lam, mu) in enumerate(zip(descent, airspeed, strict=True))
    ]


@pytest.fixture(scope='module')
def state() -> VehicleState:
    scenario = find_scenario('demo').with_duration(1.0)
    return Simulator(dataclasses.replace(scenario, sensors=())).state


def _sinking(state: VehicleState, k: int, dt: float = 0.004) -> VehicleState:
    """A vehicle of 1.4 kg that comes to sink at the speed of its own wake."""
    return dataclasses.replace(
        state,
        stamp=state.stamp + round(k * dt * 1e9),
        time=k * dt,
        velocity=(state.wind[0], state.wind[1], state.wind[2] - min(6.0, k * dt * 4.0)),
        orientation=(1.0, 0.0, 0.0, 0.0),
        rotor_speed=(500.0, 505.0, 510.0, 495.0),
        mass=1.4,
    )


def test_two_plug_ins_of_one_scenario_step_the_same_wake(state: VehicleState) -> None:
    def generator(name: str, seed: int = 5) -> np.random.Generator:
        sequence = np.random.SeedSequence(seed, spawn_key=(zlib.crc32(name.encode()),))
        return np.random.default_rng(sequence)

    effect_rng, sensor_rng = generator('effect vortex_ring'), generator('sensor rotor_samples')
    sensor_rng.standard_normal(100)  # what a plug-in draws changes nothing
    effect = RotorWake(F450, WakeParameters(), wake_seed(effect_rng))
    sensor = RotorWake(F450, WakeParameters(), wake_seed(sensor_rng))
    states = [_sinking(state, k) for k in range(800)]
    of_effect = [effect.advance(s) for s in states]
    of_sensor = [sensor.advance(s) for s in states for _ in range(3)][::3]  # idempotent
    assert of_effect == of_sensor
    assert of_effect[-1].intensity > 0.5
    other = RotorWake(F450, WakeParameters(), wake_seed(generator('x', seed=6)))
    assert other.shape != effect.shape
    with pytest.raises(ValueError, match='ahead'):
        effect.advance(states[3])


def test_a_generator_without_seed_is_refused() -> None:
    class Bare:
        class bit_generator:  # noqa: N801
            seed_seq = None

    with pytest.raises(ValueError, match='seed'):
        wake_seed(Bare())  # type: ignore[arg-type]


@pytest.mark.parametrize('craft', [F450, AH1S])
@pytest.mark.parametrize('seed', range(8))
def test_levels_come_in_order_and_go(craft: Any, seed: int) -> None:
    unit = craft.radius / craft.hover_induced_velocity()
    dt = 0.5 * unit
    wake = RotorWake(craft, WakeParameters(), seed)
    hover, entry, stay, leave = 100, 400, 800, 600
    descent = np.r_[np.zeros(hover), np.linspace(0.0, 1.2, entry), np.full(stay + leave, 1.2)]
    airspeed = np.r_[np.zeros(hover + entry + stay), np.linspace(0.0, 2.0, leave)]
    states = _fly(wake, descent, airspeed, dt)
    level = np.array([s.level for s in states])
    assert (level[:hover] == NONE).all()
    first = [int(np.argmax(level == k)) for k in (MARGIN, INCIPIENT, DEVELOPED)]
    assert hover < first[0] < first[1] < first[2]
    assert level[-1] == NONE
    assert states[-1].intensity < 1e-3
    assert states[-1].deficit < 1e-3
    # the truth does not flicker while the ring stands
    assert (level[hover + entry + stay // 2 : hover + entry + stay] == DEVELOPED).mean() > 0.9


@pytest.mark.parametrize('seed', range(5))
def test_a_formed_ring_stands_more_airspeed_than_one_that_has_to_form(seed: int) -> None:
    limit = RotorWake(F450, WakeParameters(), seed).shape.airspeed_limit
    slow = np.linspace(0.0, 1.3 * limit, 4000)
    descent = np.full(len(slow), 1.2)

    def gone(speeds: Any) -> float:
        intensity = np.array([s.intensity for s in _fly(wake, descent, speeds)])
        inside = np.flatnonzero(intensity > 0.1)
        return float(speeds[inside[-1] if speeds[0] == 0.0 else inside[0]])

    wake = RotorWake(F450, WakeParameters(), seed)
    leaving = gone(slow)
    wake = RotorWake(F450, WakeParameters(), seed)
    entering = gone(slow[::-1])
    assert 1.08 < leaving / entering < 1.45


@pytest.mark.parametrize('seed', range(5))
def test_thrust_is_lost_most_at_the_peak_and_shakes_as_published(seed: int) -> None:
    wake = RotorWake(F450, WakeParameters(), seed)
    states = _fly(wake, np.full(20000, wake.shape.peak), 0.0)
    deficit = np.array([s.deficit for s in states[1000:]])
    shake = np.array([s.fluctuation for s in states[1000:]])
    assert deficit.mean() == pytest.approx(wake.shape.deficit, rel=0.02)
    assert 0.1 <= wake.shape.deficit <= 0.33
    assert shake.std() == pytest.approx(wake.shape.fluctuation, rel=0.25)
    # peak to peak up to about 95 % of the mean is published
    assert np.ptp(shake) < 2.0
    assert abs(shake.mean()) < 0.1 * wake.shape.fluctuation
    # rings go by every 20 to 50 revolutions
    turns = (states[-1].rotor_phase - states[0].rotor_phase) / (
        states[-1].ring_phase - states[0].ring_phase
    )
    assert 18.0 < turns < 55.0
    weaker = _fly(RotorWake(F450, WakeParameters(), seed), np.full(2000, 0.75), 0.0)
    assert weaker[-1].deficit < states[-1].deficit
    assert all(s.thrust_factor >= 0.0 for s in states)


@pytest.mark.parametrize(('descent', 'airspeed'), [(2.3, 0.0), (1.2, 1.4), (-0.5, 0.0), (0.2, 0.0)])
def test_no_ring_where_there_is_none(descent: float, airspeed: float) -> None:
    for seed in range(10):
        states = _fly(RotorWake(AH1S, WakeParameters(), seed), np.full(500, descent), airspeed)
        assert max(s.intensity for s in states) == 0.0
        assert max(s.level for s in states) < INCIPIENT


def test_a_ring_takes_time_to_form_and_less_to_go() -> None:
    for seed in range(10):
        wake = RotorWake(AH1S, WakeParameters(), seed)
        unit = AH1S.radius / AH1S.hover_induced_velocity()
        dt = 0.05 * unit
        grow = [s.intensity for s in _fly(wake, np.full(2000, 1.2), 0.0, dt)]
        rise = np.argmax(np.array(grow) > 0.63) * dt / unit
        assert rise == pytest.approx(wake.shape.formation, rel=0.05)
        fall = [s.intensity for s in _fly(wake, np.full(400, 0.0), 0.0, dt)]
        drop = np.argmax(np.array(fall) < 0.37) * dt / unit
        assert drop == pytest.approx(wake.shape.collapse, rel=0.1)
        assert drop < rise


def test_the_step_hardly_changes_the_mean_ring() -> None:
    for dt in (0.0025, 0.01, 0.02):
        wake = RotorWake(F450, WakeParameters(), 3)
        states = _fly(wake, np.full(round(1.0 / dt), 1.2), 0.0, dt)
        half = next(s.stamp for s in states if s.intensity > 0.5) * 1e-9
        unit = F450.radius / F450.hover_induced_velocity()
        assert half == pytest.approx(0.69 * wake.shape.formation * unit, abs=0.02)


def test_ranges_are_kept_and_checked() -> None:
    for seed in range(50):
        shape = RotorWake(F450, WakeParameters(), seed).shape
        for name in RANGES:
            low, high = getattr(WakeParameters(), name)
            assert low <= getattr(shape, name) <= high
    fixed = RotorWake(F450, WakeParameters(deficit=(0.3, 0.3)), 1).shape
    assert fixed.deficit == 0.3
    assert (
        RotorWake(F450, WakeParameters(salt=1), 1).shape
        != RotorWake(F450, WakeParameters(), 1).shape
    )
    with pytest.raises(ValueError, match='lower first'):
        WakeParameters(deficit=(0.3, 0.2))
    with pytest.raises(ValueError, match='follow'):
        WakeParameters(onset=(0.5, 1.2))
