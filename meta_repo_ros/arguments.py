# SPDX-License-Identifier: Apache-2.0
"""The arguments of the graph, declared once for ``ros2 launch`` and for ``meta-repo up``."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_BOOL = ('true', 'false')
_SEGMENT = re.compile(r'[A-Za-z_][A-Za-z0-9_]*')
_MAX_VEHICLES = 100


class ArgumentError(ValueError):
    """An argument that the graph cannot take.

    Attributes:
        name: the argument.
        reason: what is wrong and what would be right.
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f'{name}: {reason}')
        self.name = name
        self.reason = reason


@dataclass(frozen=True)
class Argument:
    """One argument of the graph.

    Attributes:
        name: name on every command line.
        description: one sentence for people.
        default: value as text; '' means not given.
        choices: the only allowed values, where there are few.
    """

    name: str
    description: str
    default: str = ''
    choices: tuple[str, ...] = ()


ARGUMENTS: tuple[Argument, ...] = (
    Argument(
        'profile',
        'What runs: stand_alone (navigation), modular (navigation, control, visualization), '
        'full (modular and the simulator), cloud (full without visualization), '
        'hybrid (what flies on board).',
        'full',
        ('stand_alone', 'modular', 'full', 'cloud', 'hybrid'),
    ),
    Argument(
        'vehicles',
        f'Number of vehicles, 1 to {_MAX_VEHICLES}; two or more live in namespaces uav1, uav2, ...',
        '1',
    ),
    Argument('namespace', 'Namespace of the whole graph.'),
    Argument(
        'use_sim_time',
        'Whether nodes take their time from /clock; auto: where a simulator or a bag gives it.',
        'auto',
        ('auto', *_BOOL),
    ),
    Argument('params_file', 'Parameter file that is read after the shipped ones and wins.'),
    Argument(
        'log_level',
        'Least severity that nodes log.',
        'info',
        ('debug', 'info', 'warn', 'error', 'fatal'),
    ),
    Argument(
        'autostart',
        'Whether nodes are configured and activated without being asked.',
        'true',
        _BOOL,
    ),
    Argument('respawn', 'Whether a process that ends unasked is started again.', 'true', _BOOL),
    Argument('record', 'Whether a bag is recorded.', 'false', _BOOL),
    Argument('bag_path', 'Directory of the recorded bag; a new one under runs/ by default.'),
    Argument('rviz', 'Whether rviz2 is started too.', 'false', _BOOL),
    Argument('scenario', 'Scenario of the simulated flight: a shipped name or a YAML file.'),
    Argument(
        'starnav',
        'Whether the star navigator runs; auto: where the profile has it and a star camera is '
        'there: of a driver, of the scenario, or in the bag.',
        'auto',
        ('auto', *_BOOL),
    ),
    Argument(
        'vortex_shield',
        'Whether Vortex Shield runs; auto: where the profile has it and rotor samples are there: '
        'of a driver, of the scenario, or in the bag.',
        'auto',
        ('auto', *_BOOL),
    ),
    Argument(
        'star_camera',
        'Whether images of a simulated star camera are rendered beside the star navigator; '
        'auto: where the scenario has one and the simulator does not render them itself.',
        'auto',
        ('auto', *_BOOL),
    ),
    Argument(
        'realtime',
        'Whether vortex_shield, whose commands are waited for, asks the kernel for real-time '
        'priority; where that is not allowed it says so and runs without.',
        'true',
        _BOOL,
    ),
    Argument('bag', 'Bag that is played in the place of the simulator.'),
)


@dataclass(frozen=True)
class Settings:
    """Checked values of ``ARGUMENTS``; the fields bear their names.

    ``use_sim_time``, ``starnav``, ``vortex_shield`` and ``star_camera`` are None for auto, a path
    is None where it is not given.
    """

    profile: str
    vehicles: int
    namespace: str
    use_sim_time: bool | None
    params_file: Path | None
    log_level: str
    autostart: bool
    respawn: bool
    record: bool
    bag_path: Path | None
    rviz: bool
    scenario: str
    starnav: bool | None
    vortex_shield: bool | None
    star_camera: bool | None
    realtime: bool
    bag: Path | None

    @classmethod
    def parse(cls, values: Mapping[str, str]) -> Settings:
        """Check ``values`` (text by name; what is not given takes its default).

        Raises:
            ArgumentError: unknown name, value out of its choices, or a file that is not there.
        """
        known = {argument.name: argument for argument in ARGUMENTS}
        for name in values:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                hint = f'did you mean {near[0]!r}?' if near else f'there are {", ".join(known)}'
                raise ArgumentError(name, f'unknown argument; {hint}')
        text = {name: values.get(name, item.default) for name, item in known.items()}
        for name, item in known.items():
            if set(_BOOL) <= set(item.choices):
                text[name] = text[name].lower()  # launch files of others write True
            if item.choices and text[name] not in item.choices:
                allowed = ', '.join(item.choices)
                raise ArgumentError(name, f'must be one of {allowed}; got {text[name]!r}')
        return cls(
            profile=text['profile'],
            vehicles=_vehicles(text['vehicles']),
            namespace=_namespace(text['namespace']),
            use_sim_time=_automatic(text['use_sim_time']),
            params_file=_existing('params_file', text['params_file']),
            log_level=text['log_level'],
            autostart=text['autostart'] == 'true',
            respawn=text['respawn'] == 'true',
            record=text['record'] == 'true',
            bag_path=Path(text['bag_path']).expanduser() if text['bag_path'] else None,
            rviz=text['rviz'] == 'true',
            scenario=text['scenario'],
            starnav=_automatic(text['starnav']),
            vortex_shield=_automatic(text['vortex_shield']),
            star_camera=_automatic(text['star_camera']),
            realtime=text['realtime'] == 'true',
            bag=_existing('bag', text['bag']),
        )

    def vehicle_namespace(self, vehicle: int) -> str:
        """Absolute namespace of ``vehicle`` (from 1), '' for the root."""
        return f'{self.namespace}/uav{vehicle}' if self.vehicles > 1 else self.namespace


def _automatic(text: str) -> bool | None:
    return None if text == 'auto' else text == 'true'


def _vehicles(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if not 1 <= number <= _MAX_VEHICLES:
        raise ArgumentError('vehicles', f'must be a number from 1 to {_MAX_VEHICLES}; got {text!r}')
    return number


def _namespace(text: str) -> str:
    segments = [segment for segment in text.split('/') if segment]
    for segment in segments:
        if not _SEGMENT.fullmatch(segment):
            reason = f'{segment!r} is no name: letters, digits and _ only, no digit first'
            raise ArgumentError('namespace', reason)
    return ''.join(f'/{segment}' for segment in segments)


def _existing(name: str, text: str) -> Path | None:
    if not text:
        return None
    path = Path(text).expanduser().absolute()
    if not path.exists():
        raise ArgumentError(name, f'{path} does not exist')
    return path
