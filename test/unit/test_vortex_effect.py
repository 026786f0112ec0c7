# SPDX-License-Identifier: Apache-2.0
"""The vortex ring in the closed loop: it takes thrust, shakes, and lets go in forward flight."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from meta_repo_ros.control.processor import to_message
from meta_repo_ros.control.setpoints import Command, Setpoint, Source
from meta_repo_ros.core.rotorcraft import ROTORCRAFT
from meta_repo_ros.core.time import stamp_ns
from meta_repo_ros.simulation.library import find_scenario
from meta_repo_ros.simulation.scenario import ScenarioError, load_scenario
from meta_repo_ros.simulation.simulator import Simulator
from meta_repo_ros.simulation.vehicle import VehicleError
from meta_repo_ros.simulation.wake.effect import VortexRing

_WAKE = (
    'wake: {onset: [0.45, 0.45], peak: [1.2, 1.2], end: [1.9, 1.9], airspeed_limit: [0.8, 0.8], '
    'deficit: [0.25, 0.25], fluctuation: [0.12, 0.12], moment: [0.04, 0.04], '
    'formation: [5.0, 5.0], collapse: [2.0, 2.0]}'
)


class _Flight:
    """One aircraft with the ring's forces at a share of their strength."""

    def __init__(self, folder: Path, name: str, strength: float) -> None:
        path = folder / f'{name}_{strength}.yaml'
        path.write_text(
            f'aircraft: {name}\nduration: 300.0\nseed: 3\n'
            'initial: {altitude: 600.0, height: 600.0, heading: 90.0}\n'
            f'effects: {{vortex_ring: {{rotorcraft: {name}, strength: {strength}, {_WAKE}}}}}\n'
        )
        scenario = dataclasses.replace(load_scenario(path), sensors=())
        self.simulator = Simulator(scenario)
        effect = self.simulator._effects[0]
        assert isinstance(effect, VortexRing)
        self.effect = effect
        density = self.simulator.state.static_pressure / (
            287.053 * self.simulator.state.temperature
        )
        self.v_h = ROTORCRAFT[name].hover_induced_velocity(density)

    def fly(self, seconds: float, forward: float, sink: float) -> dict[str, np.ndarray]:
        """Rows over time at a forward speed and a sink rate, both over v_h."""
        simulator = self.simulator
        stamp = simulator.state.stamp
        command = Command(velocity=(forward * self.v_h, 0.0, -sink * self.v_h))
        validity = round((seconds + 1.0) * 1e9)
        simulator.set_setpoint(
            to_message(Setpoint(stamp, validity, Source.OPERATOR, 'test', command))
        )
        rows = []
        while simulator.state.stamp < stamp + seconds * 1e9:
            simulator.step()
            state, wake = simulator.state, self.effect.wake
            assert wake is not None
            rows.append(
                (-state.velocity[2] / self.v_h, np.mean(state.rotor_speed), state.collective,
                 wake.intensity, wake.deficit, math.hypot(*state.velocity[:2]) / self.v_h)
            )  # fmt: skip
        names = ('sink', 'rotor', 'collective', 'intensity', 'deficit', 'forward')
        return dict(zip(names, np.array(rows).T, strict=True))


def _shake(rows: dict[str, np.ndarray]) -> float:
    """Heave acceleration at the end, rms, any unit."""
    return float(np.std(np.diff(rows['sink'][-200:])))


def test_quadrotor_falls_through_its_ring_and_needs_more_rotor_speed(tmp_path: Path) -> None:
    ringed, calm = _Flight(tmp_path, 'f450', 1.0), _Flight(tmp_path, 'f450', 0.0)
    with_ring, without = ringed.fly(14.0, 0.0, 1.0), calm.fly(14.0, 0.0, 1.0)
    assert np.max(with_ring['intensity']) > 0.9
    # it sinks faster than it is told, until the autopilot has found the thrust that is missing
    assert np.max(with_ring['sink']) > np.max(without['sink']) + 0.1
    ratio = np.mean(with_ring['rotor'][-400:]) / np.mean(without['rotor'][-400:])
    assert ratio == pytest.approx(
        1.0 / math.sqrt(1.0 - np.mean(with_ring['deficit'][-400:])), rel=0.03
    )
    assert ratio > 1.1
    # and its heave is not steady
    assert _shake(with_ring) > 10.0 * _shake(without)
    # forward, faster than v_h, it leaves the ring, and the rotors slow down again
    out = ringed.fly(7.0, 1.4, 1.0)
    assert out['intensity'][-1] < 0.01
    assert np.mean(out['rotor'][-200:]) < 1.03 * np.mean(without['rotor'][-400:])
    assert _shake(out) < 0.1 * _shake(with_ring)


def test_helicopter_gets_into_its_ring_on_its_own_time_scale(tmp_path: Path) -> None:
    ringed, calm = _Flight(tmp_path, 'ah1s', 1.0), _Flight(tmp_path, 'ah1s', 0.0)
    with_ring, without = ringed.fly(30.0, 0.0, 1.0), calm.fly(30.0, 0.0, 1.0)
    assert np.max(with_ring['intensity']) > 0.9
    assert np.max(with_ring['sink']) > np.max(without['sink']) + 0.03
    settled = slice(-1000, None)
    assert (
        np.mean(with_ring['collective'][settled]) > np.mean(without['collective'][settled]) + 0.01
    )
    assert _shake(with_ring) > 5.0 * _shake(without)
    low, high = ROTORCRAFT['ah1s'].rotor_speed_band
    assert low < np.min(with_ring['rotor']) <= np.max(with_ring['rotor']) < high
    # from a tenth to three quarters of the ring: formation 5 R/v_h and the descent's own growth
    risen = [np.argmax(with_ring['intensity'] > level) / 200.0 for level in (0.1, 0.75)]
    unit = ROTORCRAFT['ah1s'].radius / ringed.v_h
    assert unit == pytest.approx(0.62, abs=0.03)
    assert 5.0 * unit < risen[1] - risen[0] < 15.0 * unit
    out = ringed.fly(20.0, 1.4, 0.9)
    assert out['forward'][-1] > 1.2
    assert out['intensity'][-1] < 0.05


@pytest.mark.parametrize(('name', 'seconds', 'hub'), [('f450', 7.0, 1.0), ('ah1s', 18.0, 0.3)])
def test_force_is_along_the_shaft_and_in_proportion_to_the_thrust(
    tmp_path: Path, name: str, seconds: float, hub: float
) -> None:
    ringed = _Flight(tmp_path, name, 1.0)
    ringed.fly(seconds, 0.0, 1.1)
    state = ringed.simulator.state
    wrench, wake = ringed.effect.force(state), ringed.effect.wake
    assert wake is not None
    assert wake.intensity > 0.5
    x, y, z = wrench.force
    assert (x, y) == (0.0, 0.0)
    lost = wake.fluctuation - wake.deficit + wake.one_per_rev
    assert z == pytest.approx(state.thrust * lost)
    arm = hub * state.thrust * ROTORCRAFT[name].radius
    assert wrench.moment == pytest.approx((arm * wake.roll, arm * wake.pitch, 0.0))
    # the same instant again, with half the thrust: the ring stands still, the force halves
    halved = ringed.effect.force(dataclasses.replace(state, thrust=0.5 * state.thrust))
    assert halved.force[2] == pytest.approx(0.5 * z)


def test_without_strength_it_is_there_and_does_nothing(tmp_path: Path) -> None:
    calm = _Flight(tmp_path, 'f450', 0.0)
    rows = calm.fly(7.0, 0.0, 1.1)
    assert rows['intensity'][-1] > 0.5
    assert calm.effect.force(calm.simulator.state) == ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0))


def test_same_seed_flies_the_same_and_another_seed_otherwise() -> None:
    scenario = dataclasses.replace(find_scenario('vortex_recovery').with_duration(13.5), sensors=())
    ends = []
    for seed in (1, 1, 2):
        simulator = Simulator(scenario, seed)
        while not simulator.finished:
            simulator.step()
        ends.append(simulator.state.local_position)
    assert ends[0] == ends[1]
    assert ends[0] != ends[2]


@pytest.mark.parametrize(
    ('name', 'until', 'height'),
    [('vortex_recovery', 26.0, 40.0), ('vortex_recovery_ah1s', 48.0, 150.0)],
)
def test_scenario_flies_into_the_ring_and_on(name: str, until: float, height: float) -> None:
    scenario = dataclasses.replace(find_scenario(name).with_duration(until), sensors=())
    simulator = Simulator(scenario)
    effect = simulator._effects[0]
    assert isinstance(effect, VortexRing)
    levels, deepest = [], 1e9
    while not simulator.finished:
        simulator.step()
        assert effect.wake is not None
        levels.append(effect.wake.level)
        deepest = min(deepest, simulator.state.height_above_ground)
    assert levels[0] == 0
    assert max(levels) == 3
    # the mission's waypoint leads out of it
    assert levels[-1] == 0
    assert deepest > height


def test_ring_of_another_vehicle_stops_the_flight_and_says_why(tmp_path: Path) -> None:
    path = tmp_path / 'scenario.yaml'
    path.write_text('aircraft: f450\nduration: 1.0\neffects:\n  vortex_ring: {rotorcraft: ah1s}\n')
    with pytest.raises(VehicleError, match=r'vortex_ring.*1 rotor.*has 4.*rotorcraft'):
        Simulator(load_scenario(path)).step()


def test_sensors_and_aircraft_are_in_the_same_ring() -> None:
    scenario = find_scenario('vortex_recovery').with_duration(13.0)
    wanted = [spec for spec in scenario.sensors if spec.name == 'rotor_samples']
    simulator = Simulator(dataclasses.replace(scenario, sensors=tuple(wanted)))
    effect = simulator._effects[0]
    assert isinstance(effect, VortexRing)
    felt = {}
    told: dict[int, Any] = {}
    while not simulator.finished:
        messages = simulator.step()
        assert effect.wake is not None
        felt[effect.wake.stamp] = effect.wake
        told.update(
            (stamp_ns(m.message.header.stamp), m.message)
            for m in messages if m.topic.name == 'ground_truth/wake'
        )  # fmt: skip
    both = sorted(set(felt) & set(told))
    assert len(both) > 600
    assert max(felt[stamp].intensity for stamp in both) > 0.1
    for stamp in both:
        assert told[stamp].probability == pytest.approx(felt[stamp].intensity, abs=1e-12)
        assert told[stamp].level == felt[stamp].level + 1


def test_unknown_rotorcraft_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / 'scenario.yaml'
    path.write_text(
        'aircraft: f450\nduration: 1.0\neffects:\n  vortex_ring:\n    rotorcraft: balloon\n'
    )
    with pytest.raises(
        ScenarioError, match=r'scenario.yaml:5: .*rotorcraft: must be one of f450, ah1s'
    ):
        load_scenario(path)
