# SPDX-License-Identifier: Apache-2.0
"""Scenarios: what flies where, how long, with which sensors, faults and weather; from YAML.

Angles in a scenario are in degrees, headings and courses clockwise from true north, as people
give them; everything inside of the simulator is in rad and ENU.
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from meta_repo_ros.core.parameters import ParameterError, describe, from_mapping, parameter
from meta_repo_ros.core.time import NANOSECONDS
from meta_repo_ros.simulation.aircraft import AIRCRAFT
from meta_repo_ros.simulation.effects import EFFECTS, Effect
from meta_repo_ros.simulation.faults import GENERIC, Fault
from meta_repo_ros.simulation.sensors import SENSORS, STANDARD
from meta_repo_ros.simulation.sensors.base import Sensor
from meta_repo_ros.simulation.yaml_file import Document, Key, ScenarioError, load

__all__ = ['Scenario', 'ScenarioError', 'load_scenario']


@dataclass(frozen=True)
class Initial:
    """Where and how the flight starts: level, at the trimmed airspeed, or in a hover."""

    latitude: float = parameter(47.26, 'Geodetic.', unit='deg', minimum=-89.0, maximum=89.0)
    longitude: float = parameter(11.34, 'East positive.', unit='deg', minimum=-180.0, maximum=180.0)
    altitude: float = parameter(
        1500.0, 'Above the WGS84 ellipsoid.', unit='m', minimum=-100.0, maximum=20000.0
    )
    height: float = parameter(900.0, 'Above the (flat) ground.', unit='m', minimum=0.0)
    heading: float = parameter(0.0, 'Clockwise from north.', unit='deg')
    airspeed: float = parameter(0.0, 'True airspeed; 0 for a hover.', unit='m/s', minimum=0.0)


@dataclass(frozen=True)
class Wind:
    """Steady wind."""

    speed: float = parameter(0.0, 'Horizontal speed.', unit='m/s', minimum=0.0, maximum=60.0)
    direction: float = parameter(0.0, 'Where it comes from, clockwise from north.', unit='deg')
    up: float = parameter(0.0, 'Vertical speed.', unit='m/s', minimum=-20.0, maximum=20.0)


@dataclass(frozen=True)
class Turbulence:
    """Turbulence by JSBSim: Dryden spectra of MIL-F-8785C, or the same by Tustin's method."""

    model: str = parameter('none', 'Which model.', choices=('none', 'milspec', 'tustin'))
    wind_at_6m: float = parameter(
        7.7, 'Wind 6 m above ground, which scales low-altitude turbulence.', unit='m/s', minimum=0.0
    )
    severity: int = parameter(
        3, 'Index of probability of exceedance, 1 light to 7 severe.', minimum=1, maximum=7
    )


@dataclass(frozen=True)
class ManoeuvreValues:
    """What to fly from a time on; what is not given stays as it was commanded last."""

    at: float = parameter(description='When it begins.', unit='s', minimum=0.0)
    altitude: float = parameter(0.0, 'Above the WGS84 ellipsoid.', unit='m')
    airspeed: float = parameter(0.0, 'True airspeed.', unit='m/s', minimum=0.0)
    course: float = parameter(0.0, 'Over ground, clockwise from north.', unit='deg')
    heading: float = parameter(0.0, 'Of a rotorcraft, clockwise from north.', unit='deg')
    velocity: tuple[float, ...] = parameter(
        (0.0, 0.0, 0.0), 'Over ground, east north up.', unit='m/s', size=3
    )
    waypoint: tuple[float, ...] = parameter(
        (0.0, 0.0, 0.0), 'Point to fly to, east north up of the start.', unit='m', size=3
    )
    attitude: tuple[float, ...] = parameter(
        (0.0, 0.0, 0.0), 'Roll right, pitch up, heading from north.', unit='deg', size=3
    )
    thrust: float = parameter(0.0, 'Throttle.', unit='1', minimum=0.0, maximum=1.0)


@dataclass(frozen=True)
class Manoeuvre:
    """One manoeuvre: its values and the names of those that were given."""

    values: ManoeuvreValues
    given: frozenset[str]


@dataclass(frozen=True)
class SensorSpec:
    """One sensor of a scenario.

    Attributes:
        name: its name here.
        cls: its class.
        rate: Hz.
        parameters: instance of the class's ``Parameters``.
    """

    name: str
    cls: type[Sensor]
    rate: float
    parameters: Any


@dataclass(frozen=True)
class EffectSpec:
    """One effect of a scenario, as :class:`SensorSpec`."""

    name: str
    cls: type[Effect]
    parameters: Any


@dataclass(frozen=True)
class Header:
    """Plain values at the top of a scenario."""

    aircraft: str = parameter(description='Which aircraft flies.')
    duration: float = parameter(description='Length.', unit='s', minimum=0.01, maximum=86400.0)
    name: str = parameter('', 'Name; the file`s without one.')
    description: str = parameter('', 'What it shows.')
    seed: int = parameter(0, 'Of all randomness.', minimum=0)
    rate: int = parameter(200, 'Steps of the simulator.', unit='Hz', minimum=10, maximum=1000)


@dataclass(frozen=True)
class Scenario:
    """A checked scenario.

    Attributes:
        header: its plain values.
        start: UTC stamp of the start, ns.
    """

    header: Header
    start: int
    initial: Initial = field(default_factory=Initial)
    wind: Wind = field(default_factory=Wind)
    turbulence: Turbulence = field(default_factory=Turbulence)
    manoeuvres: tuple[Manoeuvre, ...] = ()
    sensors: tuple[SensorSpec, ...] = ()
    effects: tuple[EffectSpec, ...] = ()
    faults: tuple[Fault, ...] = ()

    def with_duration(self, duration: float) -> Scenario:
        """The same flight, of another length, s.

        Raises:
            ValueError: the duration is not positive.
        """
        if not 0.0 < duration < math.inf:
            raise ValueError(f'duration must be positive, got {duration} s')
        return dataclasses.replace(
            self, header=dataclasses.replace(self.header, duration=float(duration))
        )


DEFAULT_START = '2026-06-21T12:00:00Z'
_SECTIONS = (
    'start_time', 'initial', 'wind', 'turbulence', 'manoeuvres', 'sensors', 'effects', 'faults',
)  # fmt: skip


def load_scenario(path: Path | str) -> Scenario:
    """Read and check a scenario file.

    Raises:
        ScenarioError: with file, line and reason.
    """
    document = load(Path(path))
    if not isinstance(document.value, Mapping):
        raise document.error((), 'a scenario is a mapping of keys to values')
    values = dict(document.value)
    header_keys = set(describe(Header))
    known = header_keys | set(_SECTIONS)
    for key in values:
        if key not in known:
            raise document.error((str(key),), _unknown(str(key), known))
    header = _parsed(document, (), Header, {k: v for k, v in values.items() if k in header_keys})
    if header.aircraft.lower() not in AIRCRAFT:
        raise document.error(
            ('aircraft',),
            f'{header.aircraft!r} does not exist; available are {", ".join(AIRCRAFT)}',
        )
    kind = AIRCRAFT[header.aircraft.lower()]
    if kind.step_rate % header.rate:
        raise document.error(
            ('rate',), f'must divide the {kind.step_rate} Hz of the flight dynamics'
        )
    if not header.name:
        header = dataclasses.replace(header, name=document.path.stem)
    sensors = _sensors(document, values.get('sensors'), header.rate)
    manoeuvres = _manoeuvres(document, values.get('manoeuvres'))
    for index, manoeuvre in enumerate(manoeuvres):
        if 'heading' in manoeuvre.given and not kind.hover:
            raise document.error(
                ('manoeuvres', index, 'heading'), 'an aeroplane heads where it flies: give course'
            )
    return Scenario(
        header=header,
        start=_start(document, values.get('start_time', DEFAULT_START)),
        initial=_section(document, 'initial', Initial, values),
        wind=_section(document, 'wind', Wind, values),
        turbulence=_section(document, 'turbulence', Turbulence, values),
        manoeuvres=manoeuvres,
        sensors=sensors,
        effects=_effects(document, values.get('effects')),
        faults=_faults(document, values.get('faults'), sensors),
    )


def _section(document: Document, name: str, cls: type, values: Mapping[str, Any]) -> Any:
    return _parsed(document, (name,), cls, _mapping(document, (name,), values.get(name)))


def _parsed(document: Document, key: Key, cls: type, values: Mapping[str, Any]) -> Any:
    """Instance of the parameter dataclass ``cls`` from nested ``values``."""
    flat = dict(_flat(values, ''))
    try:
        return from_mapping(cls, flat)
    except ParameterError as error:
        inner = tuple(error.key.split('.')) if error.key else ()
        raise document.error((*key, *inner), error.reason) from error


def _flat(values: Mapping[str, Any], prefix: str) -> list[tuple[str, Any]]:
    items: list[tuple[str, Any]] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            items.extend(_flat(value, f'{prefix}{name}.'))
        else:
            items.append((f'{prefix}{name}', value))
    return items


def _mapping(document: Document, key: Key, value: Any) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise document.error(key, f'expected keys and values, got {value!r}')
    return value


def _list(document: Document, key: Key, value: Any) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise document.error(key, f'expected a list, got {value!r}')
    return value


def _start(document: Document, value: Any) -> int:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.replace('Z', '+00:00'))
        except ValueError:
            raise document.error(
                ('start_time',), f'{value!r} is no time; write it as {DEFAULT_START}'
            ) from None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=timezone.utc)
    if not isinstance(value, datetime):
        raise document.error(('start_time',), f'{value!r} is no time')
    if value.tzinfo is None:
        value = value.replace(tzinfo=timezone.utc)
    since: timedelta = value - datetime(1970, 1, 1, tzinfo=timezone.utc)
    whole = since.days * 86400 + since.seconds
    if whole <= 0:
        raise document.error(('start_time',), 'must be after 1970')
    return whole * NANOSECONDS + since.microseconds * 1000


def _manoeuvres(document: Document, value: Any) -> tuple[Manoeuvre, ...]:
    result: list[Manoeuvre] = []
    for index, item in enumerate(_list(document, ('manoeuvres',), value)):
        key = ('manoeuvres', index)
        values = _mapping(document, key, item)
        parsed = _parsed(document, key, ManoeuvreValues, values)
        if result and parsed.at < result[-1].values.at:
            raise document.error((*key, 'at'), 'manoeuvres must be in order of time')
        result.append(Manoeuvre(parsed, frozenset(values) - {'at'}))
    return tuple(result)


def _sensors(document: Document, value: Any, tick_rate: int) -> tuple[SensorSpec, ...]:
    given = _mapping(document, ('sensors',), value)
    specs = []
    for name in (*STANDARD, *(n for n in given if n not in STANDARD)):
        key: Key = ('sensors', str(name))
        values = dict(_mapping(document, key, given.get(name)))
        enabled = values.pop('enabled', True)
        if not isinstance(enabled, bool):
            raise document.error((*key, 'enabled'), f'expected true or false, got {enabled!r}')
        if not enabled:
            continue
        cls = _plugin(document, key, values.pop('type', name), SENSORS, Sensor)
        rate = values.pop('rate', cls.default_rate)
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0.0 < rate < 1e4:
            raise document.error((*key, 'rate'), f'expected a rate in Hz, got {rate!r}')
        if abs(tick_rate / rate - round(tick_rate / rate)) > 1e-9 or rate > tick_rate:
            raise document.error(
                (*key, 'rate'), f'{rate} Hz does not divide the simulator`s {tick_rate} Hz'
            )
        parameters = _parsed(document, key, cls.Parameters, values)
        specs.append(SensorSpec(str(name), cls, float(rate), parameters))
    return tuple(specs)


def _effects(document: Document, value: Any) -> tuple[EffectSpec, ...]:
    specs = []
    for name, item in _mapping(document, ('effects',), value).items():
        key: Key = ('effects', str(name))
        values = dict(_mapping(document, key, item))
        cls = _plugin(document, key, values.pop('type', name), EFFECTS, Effect)
        specs.append(EffectSpec(str(name), cls, _parsed(document, key, cls.Parameters, values)))
    return tuple(specs)


def _faults(document: Document, value: Any, sensors: tuple[SensorSpec, ...]) -> tuple[Fault, ...]:
    by_name = {spec.name: spec for spec in sensors}
    faults = []
    for index, item in enumerate(_list(document, ('faults',), value)):
        key = ('faults', index)
        fault = _parsed(document, key, Fault, _mapping(document, key, item))
        spec = by_name.get(fault.sensor)
        if spec is None:
            raise document.error((*key, 'sensor'), _unknown(fault.sensor, set(by_name)))
        allowed = {*GENERIC, *spec.cls.faults}
        if fault.type not in allowed:
            raise document.error((*key, 'type'), _unknown(fault.type, allowed))
        faults.append(fault)
    return tuple(faults)


def _plugin(
    document: Document, key: Key, name: Any, registry: Mapping[str, str], base: type
) -> Any:
    """Class of a registered name or of ``package.module:Class``."""
    target = registry.get(str(name), str(name))
    if ':' not in target:
        raise document.error(
            key, _unknown(str(name), set(registry)) + '; or give package.module:Class as its type'
        )
    module, _, attribute = target.partition(':')
    try:
        cls = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise document.error(key, f'{target} cannot be imported: {error}') from error
    if not (isinstance(cls, type) and issubclass(cls, base)):
        raise document.error(key, f'{target} is not a {base.__name__}')
    return cls


def _unknown(name: str, known: set[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f'; did you mean {near[0]!r}?' if near else f'; known are {", ".join(sorted(known))}'
    return f'{name!r} is unknown{hint}'
