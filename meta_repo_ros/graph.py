# SPDX-License-Identifier: Apache-2.0
"""What runs: one typed description, taken by the launch files and by ``meta-repo up``.

``NODES`` names every node; ``ARGUMENTS`` declares every argument once; ``system`` says which
processes run for a set of arguments; ``argv`` is the command line of one of them, the same for
``ros2 launch`` and for the runner, and is interpreted by rcl itself.

Composition is by rate: a path of 100 Hz or more runs in a process with at most four nodes, slow
nodes share one. Supervision is alone, so that it outlives what it supervises.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from meta_repo_ros.arguments import ARGUMENTS, Argument, ArgumentError, Settings
from meta_repo_ros.core.equipment import (
    bag_has_rotor_samples,
    bag_has_star_images,
    scenario_aircraft,
    scenario_has_rotor_samples,
    scenario_has_star_camera,
    scenario_renders_images,
    sets_parameter,
)
from meta_repo_ros.core.installation import config_directory
from meta_repo_ros.core.rotorcraft import ROTORCRAFT
from meta_repo_ros.graph_nodes import (
    NODES,
    PROCESSES,
    PROFILES,
    REALTIME,
    SUBSYSTEMS,
    NodeType,
)

__all__ = [
    'ARGUMENTS',
    'NODES',
    'PROFILES',
    'SUBSYSTEMS',
    'Argument',
    'ArgumentError',
    'NodeSpec',
    'NodeType',
    'ProcessSpec',
    'Settings',
    'argv',
    'node_class',
    'system',
]

CONTAINER = 'meta_repo_ros.ros.container'
RESPAWN_DELAY = 2.0
"""Seconds before a process that ended is started again."""


_REQUIRED = ('simulation', 'replay')


@dataclass(frozen=True)
class NodeSpec:
    """One node of a process.

    Attributes:
        type: name in ``NODES``, also the node's name.
        parameters: values that the graph itself gives, over every parameter file.
        remaps: topic names of this node alone, from and to.
    """

    type: str
    parameters: Mapping[str, object] = field(default_factory=dict)
    remaps: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ProcessSpec:
    """One process: the unit of failure.

    Attributes:
        name: unique in the system; prefixed with the vehicle where there are several.
        nodes: what the container runs; empty for a foreign program.
        namespace: absolute, '' for the root.
        parameter_files: later ones win.
        autostart: whether the container configures and activates its nodes itself, since no
            lifecycle manager is there to do it.
        respawn: whether it is started again when it ends unasked.
        respawn_delay: seconds until then.
        required: whether the system ends with it.
        command: command line of a foreign program, in place of ``nodes``.
        images: whether it publishes images, for which DDS needs more memory.
        realtime: whether it asks the kernel for real-time priority.
    """

    name: str
    nodes: tuple[NodeSpec, ...] = ()
    namespace: str = ''
    parameter_files: tuple[Path, ...] = ()
    use_sim_time: bool = False
    log_level: str = 'info'
    autostart: bool = False
    respawn: bool = False
    respawn_delay: float = RESPAWN_DELAY
    required: bool = False
    command: tuple[str, ...] = ()
    images: bool = False
    realtime: bool = False


def system(
    arguments: Mapping[str, str] | None = None,
    subsystems: Collection[str] | None = None,
) -> tuple[ProcessSpec, ...]:
    """The processes that run.

    Args:
        arguments: values of ``ARGUMENTS`` by name, as text; what is not given takes its default.
        subsystems: only these, whatever the profile; all of the profile by default.

    Raises:
        ArgumentError: unknown argument, value that it does not take, or a file that is not there.
    """
    settings = Settings.parse(arguments or {})
    chosen = _subsystems(settings, subsystems)
    vehicles = range(1, settings.vehicles + 1)
    processes = [process for vehicle in vehicles for process in _vehicle(settings, chosen, vehicle)]
    if settings.rviz:
        processes.append(_rviz(settings))
    return tuple(processes)


def node_class(name: str) -> Any:
    """The class of a node in ``NODES``: a processor or a lifecycle node, with ``Parameters``.

    Raises:
        ImportError: it cannot be imported here.
    """
    module, _, attribute = NODES[name].factory.partition(':')
    try:
        return getattr(importlib.import_module(module), attribute)
    except AttributeError as error:
        raise ImportError(f'{name}: {module} has no {attribute}') from error


def argv(process: ProcessSpec, python: str = sys.executable) -> tuple[str, ...]:
    """The command line of ``process``."""
    if process.command:
        return process.command
    line = [python, '-m', CONTAINER, *(node.type for node in process.nodes)]
    if process.autostart:
        line.append('--autostart')
    if process.realtime:
        line.append('--realtime')
    line.append('--ros-args')
    if process.namespace:
        line += ['-r', f'__ns:={process.namespace}']
    for node in process.nodes:
        for source, target in node.remaps.items():
            line += ['-r', f'{node.type}:{source}:={target}']
    for path in process.parameter_files:
        line += ['--params-file', str(path)]
    line += ['-p', f'use_sim_time:={_text(process.use_sim_time)}']
    for node in process.nodes:
        for name, value in node.parameters.items():
            line += ['-p', f'{node.type}:{name}:={_text(value)}']
    line += ['--log-level', process.log_level]
    return tuple(line)


def _subsystems(settings: Settings, chosen: Collection[str] | None) -> tuple[str, ...]:
    if chosen is not None:
        unknown = sorted(set(chosen) - set(SUBSYSTEMS))
        if unknown:
            known = ', '.join(SUBSYSTEMS)
            raise ArgumentError('subsystems', f'no subsystem {unknown[0]!r}; there are {known}')
        return tuple(chosen)
    wanted = set(PROFILES[settings.profile])
    if settings.bag is not None:
        wanted = wanted - {'simulation'} | {'replay'}
    if settings.record:
        wanted.add('recording')
    if not _starnav_runs(settings, wanted):
        wanted.discard('starnav')
    if not _vortex_shield_runs(settings, wanted):
        wanted.discard('vortex_shield')
    return tuple(name for name in SUBSYSTEMS if name in wanted)


def _starnav_runs(settings: Settings, subsystems: Collection[str]) -> bool:
    if settings.starnav is not None:
        return settings.starnav
    if settings.bag is not None:
        return bag_has_star_images(settings.bag)
    if 'simulation' in subsystems:
        return bool(settings.star_camera) or scenario_has_star_camera(
            settings.scenario, settings.params_file
        )
    return True


def _vortex_shield_runs(settings: Settings, subsystems: Collection[str]) -> bool:
    if settings.vortex_shield is not None:
        return settings.vortex_shield
    if settings.bag is not None:
        return bag_has_rotor_samples(settings.bag)
    if 'simulation' in subsystems:
        return scenario_has_rotor_samples(settings.scenario, settings.params_file)
    return True


def _star_camera_runs(settings: Settings, subsystems: Collection[str]) -> bool:
    if settings.star_camera is not None:
        return settings.star_camera
    return (
        'simulation' in subsystems
        and scenario_has_star_camera(settings.scenario, settings.params_file)
        and not scenario_renders_images(settings.scenario, settings.params_file)
    )


def _vehicle(settings: Settings, subsystems: Collection[str], vehicle: int) -> list[ProcessSpec]:
    names = _nodes(settings, subsystems, vehicle)
    managed = names
    if set(subsystems) == {'supervision'}:  # the rest is started by other launch files
        managed = _nodes(settings, _subsystems(settings, None), vehicle)
    supervised = 'lifecycle_manager' in names
    simulated = settings.use_sim_time
    if simulated is None:
        simulated = bool({'simulation', 'replay'} & set(subsystems))
    processes = []
    for title, members in PROCESSES.items():
        nodes = [name for name in members if name in names]
        if not nodes:
            continue
        # half of a shared process is named after what it does
        own = title if title in subsystems else NODES[nodes[0]].subsystem
        required = title in _REQUIRED
        namespace = settings.vehicle_namespace(vehicle)
        processes.append(
            ProcessSpec(
                name=f'uav{vehicle}/{own}' if settings.vehicles > 1 else own,
                nodes=tuple(NodeSpec(n, _given(n, managed, settings, vehicle)) for n in nodes),
                namespace=namespace,
                parameter_files=_files(nodes, settings),
                use_sim_time=simulated,
                log_level=settings.log_level,
                autostart=settings.autostart and not supervised,
                respawn=settings.respawn and not required,
                required=required,
                images=_publishes_images(nodes, settings),
                realtime=settings.realtime and title in REALTIME,
            )
        )
    return processes


def _publishes_images(nodes: Collection[str], settings: Settings) -> bool:
    return bool({'starnav', 'star_camera', 'bag_player'} & set(nodes)) or (
        'flight_simulator' in nodes
        and scenario_renders_images(settings.scenario, settings.params_file)
    )


def _nodes(settings: Settings, subsystems: Collection[str], vehicle: int) -> list[str]:
    left_out = set() if _star_camera_runs(settings, subsystems) else {'star_camera'}
    return [
        node.name
        for node in NODES.values()
        if node.subsystem in subsystems
        and node.name not in left_out
        and (vehicle == 1 or not node.shared)
        and (not node.requires or importlib.util.find_spec(node.requires) is not None)
    ]


def _files(nodes: Collection[str], settings: Settings) -> tuple[Path, ...]:
    shipped = (config_directory() / f'{name}.yaml' for name in nodes)
    user = () if settings.params_file is None else (settings.params_file,)
    return (*(path for path in shipped if path.is_file()), *user)


def _given(
    node: str, present: Collection[str], settings: Settings, vehicle: int
) -> dict[str, object]:
    """What the graph itself tells a node."""
    if node == 'lifecycle_manager':
        managed = [name for name in present if name != node]
        return {'node_names': managed, 'autostart': settings.autostart}
    if node == 'flight_simulator':
        given = _listeners(present)
        if settings.scenario:
            given['scenario'] = settings.scenario
        if vehicle > 1:  # one /clock in a system
            given['publish_clock'] = False
        return given
    if node == 'starnav':
        return {'image.annotate': True} if settings.rviz else {}
    if node == 'star_camera':
        return {'scenario': settings.scenario} if settings.scenario else {}
    if node == 'vortex_shield':
        return _rotorcraft(present, settings)
    path = {'bag_player': settings.bag, 'bag_recorder': settings.bag_path}.get(node)
    given = {} if path is None else {'path': str(path)}
    return given | (_listeners(present) if node == 'bag_player' and given else {})


def _rotorcraft(present: Collection[str], settings: Settings) -> dict[str, object]:
    """The vehicle that is simulated, unless the user's file says which one to take it for."""
    if 'flight_simulator' not in present and not settings.scenario:
        return {}
    aircraft = scenario_aircraft(settings.scenario, settings.params_file)
    told = sets_parameter(settings.params_file, 'vortex_shield', 'vehicle', 'name')
    return {'vehicle.name': aircraft} if aircraft in ROTORCRAFT and not told else {}


def _listeners(present: Collection[str]) -> dict[str, object]:
    """For whom a source of data waits: who must not miss the beginning."""
    listening = (
        *('navigation_fusion', 'attitude_fusion', 'starnav', 'vortex_shield', 'star_camera'),
        'bag_recorder',
    )
    names = [name for name in listening if name in present]
    return {'wait_for_nodes': names} if names else {}


def _rviz(settings: Settings) -> ProcessSpec:
    config = config_directory() / 'rviz' / 'meta_repo_ros.rviz'
    line = ['rviz2', '-d', str(config), '--ros-args']
    namespace = settings.vehicle_namespace(1)
    if namespace:
        line += ['-r', f'__ns:={namespace}']
    return ProcessSpec('rviz', namespace=namespace, command=tuple(line))


def _text(value: object) -> str:
    """``value`` as rcl reads it on the command line, where every value is YAML."""
    if isinstance(value, str):
        try:
            plain = yaml.safe_load(value) == value
        except yaml.YAMLError:
            plain = False
        return value if plain else json.dumps(value)
    return json.dumps(value)
