# SPDX-License-Identifier: Apache-2.0
"""Scenario files: what is taken, and what is refused with which words."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from meta_repo_ros.core.time import stamp_ns
from meta_repo_ros.simulation.library import find_scenario, shipped
from meta_repo_ros.simulation.scenario import ScenarioError, load_scenario
from meta_repo_ros.simulation.simulator import Simulator
from meta_repo_ros.simulation.tables import written

GOOD = """\
aircraft: c172
duration: 10.0
start_time: 2026-06-21T12:00:00Z
initial:
  heading: 90.0
  airspeed: 52.0
manoeuvres:
  - {at: 0.0, course: 90.0}
  - at: 5.0
    altitude: 1600.0
sensors:
  imu:
    gyroscope: {noise_density: 0.001}
  air_data: {enabled: false}
  second_gnss: {type: gnss, rate: 5}
faults:
  - {sensor: second_gnss, type: outage, start: 3.0, duration: 2.0}
"""


def _write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / 'flight.yaml'
    path.write_text(text)
    return path


def test_scenario_says_what_flies(tmp_path: Path) -> None:
    scenario = load_scenario(_write(tmp_path, GOOD))
    assert scenario.header.name == 'flight'
    assert scenario.start == 1_782_043_200 * 10**9
    assert scenario.initial.heading == 90.0
    assert [m.given for m in scenario.manoeuvres] == [{'course'}, {'altitude'}]
    sensors = {spec.name: spec for spec in scenario.sensors}
    assert 'air_data' not in sensors
    assert sensors['imu'].parameters.gyroscope.noise_density == 0.001
    assert sensors['imu'].parameters.accelerometer.noise_density == 0.001
    assert sensors['second_gnss'].rate == 5.0
    assert scenario.with_duration(3.0).header.duration == 3.0
    with pytest.raises(ValueError, match='duration must be positive'):
        scenario.with_duration(math.inf)


@pytest.mark.parametrize(
    ('old', 'new', 'line', 'words'),
    [
        ('c172', 'concorde', 1, r"aircraft: 'concorde' does not exist; available are c172, f450"),
        ('duration: 10.0', 'duration: soon', 2, r"duration: expected float, got 'soon'"),
        ('duration: 10.0', 'duration: .nan', 2, 'duration: must be finite'),
        ('duration: 10.0', 'duratoin: 10.0', 2, "'duratoin' is unknown; did you mean 'duration'"),
        ('2026-06-21T12:00:00Z', 'noon', 3, "'noon' is no time"),
        ('airspeed: 52.0', 'speed: 52.0', 6, 'initial.speed: unknown parameter'),
        ('airspeed: 52.0', 'airspeed: -1.0', 6, 'initial.airspeed: must be at least 0'),
        ('initial:', 'wind:', 5, 'wind.heading: unknown'),
        ('at: 5.0', 'at: -5.0', 9, r'manoeuvres.1.at: must be at least'),
        ('{at: 0.0,', '{at: 6.0,', 9, 'must be in order of time'),
        ('{at: 0.0, course: 90.0}', '{course: 90.0}', 8, 'manoeuvres.0.at: missing'),
        ('altitude: 1600.0', 'heading: 10.0', 10, 'an aeroplane heads where it flies'),
        ('noise_density', 'noise', 13, 'sensors.imu.gyroscope.noise: unknown'),
        ('enabled: false', 'enabled: 0', 14, 'expected true or false'),
        ('rate: 5', 'rate: 7', 15, '7 Hz does not divide the simulator`s 200 Hz'),
        ('rate: 5', 'rate: yes', 15, 'expected a rate in Hz'),
        ('type: gnss', 'type: gps', 15, "'gps' is unknown"),
        ('type: gnss', 'type: "no.such:Thing"', 15, 'cannot be imported: No module'),
        ('type: gnss', 'type: "pathlib:Path"', 15, 'is not a Sensor'),
        ('sensor: second_gnss', 'sensor: second_gns', 17, "did you mean 'second_gnss'"),
        ('type: outage', 'type: explosion', 17, "'explosion' is unknown; known are freeze, nan"),
        ('- {sensor', '  {sensor', 16, 'faults: expected a list'),
    ],
)  # fmt: skip
def test_mistakes_are_named_with_file_and_line(
    tmp_path: Path, old: str, new: str, line: int, words: str
) -> None:
    assert old in GOOD
    path = _write(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(ScenarioError, match=words) as caught:
        load_scenario(path)
    assert abs(caught.value.line - line) <= 1, str(caught.value)
    assert str(caught.value).startswith(f'{path}:{caught.value.line}: ')


def test_what_is_no_scenario_at_all(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match='cannot be read: No such file'):
        load_scenario(tmp_path / 'absent.yaml')
    with pytest.raises(ScenarioError, match='is a mapping'):
        load_scenario(_write(tmp_path, '[1, 2]'))
    with pytest.raises(ScenarioError, match='given twice'):
        load_scenario(_write(tmp_path, GOOD + 'duration: 3.0\n'))
    with pytest.raises(ScenarioError, match=r'flight\.yaml:2'):
        load_scenario(_write(tmp_path, 'aircraft: c172\n  duration: }'))
    with pytest.raises(ScenarioError, match='no such scenario; shipped are celestial_flight, demo'):
        find_scenario('dmeo')


def test_shipped_scenarios_include_the_demonstration() -> None:
    demo = find_scenario('demo')
    assert set(shipped()) >= {'demo', 'hover', 'waypoints', 'gnss_outage', 'gnss_spoofing'}
    assert demo.header.duration == 60.0


def test_outage_is_silence_and_changes_nothing_else(tmp_path: Path) -> None:
    calm = GOOD[: GOOD.index('faults:')]
    readings = []
    for text in (GOOD, calm):
        simulator = Simulator(load_scenario(_write(tmp_path, text)).with_duration(6.0))
        second = [
            (round(stamp_ns(m.message.header.stamp) * 1e-9 % 60, 3), m.message.latitude)
            for m in simulator.run()
            if m.topic.name == 'gnss/fix'
        ]
        readings.append(second)
    gone = [r for r in readings[1] if r not in readings[0]]
    assert set(readings[0]) < set(readings[1])
    # both receivers share the topic: at 5 Hz the second one is missing from 3.0 to 4.8 s
    assert [t for t, _ in gone] == pytest.approx([3.0 + 0.2 * k for k in range(10)])


def test_frozen_sensor_repeats_itself_with_new_stamps(tmp_path: Path) -> None:
    text = GOOD.replace('sensor: second_gnss, type: outage', 'sensor: barometer, type: freeze')
    simulator = Simulator(load_scenario(_write(tmp_path, text)).with_duration(6.0))
    messages = [m.message for m in simulator.run() if m.topic.name == 'baro/pressure']
    stamps = [stamp_ns(m.header.stamp) for m in messages]
    assert len(set(stamps)) == len(stamps) == 150
    start = simulator.scenario.start
    frozen = {m.fluid_pressure for m, t in zip(messages, stamps, strict=True)
              if 3.0 <= (t - start) * 1e-9 < 5.0}  # fmt: skip
    assert len(frozen) == 1
    assert len({m.fluid_pressure for m in messages}) > 50


def test_documented_parameters_are_the_declared_ones() -> None:
    page = (Path(__file__).resolve().parents[2] / 'docs' / 'simulation.md').read_text()
    assert written(page) == page, 'python -m meta_repo_ros.simulation.tables docs/simulation.md'
