# SPDX-License-Identifier: Apache-2.0
"""What runs for which arguments; the command lines that rcl gets."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from meta_repo_ros.arguments import ARGUMENTS, ArgumentError, Settings
from meta_repo_ros.core.installation import config_directory
from meta_repo_ros.core.parameters import describe
from meta_repo_ros.core.processor import Processor
from meta_repo_ros.graph import (
    NODES,
    PROFILES,
    SUBSYSTEMS,
    NodeSpec,
    ProcessSpec,
    argv,
    node_class,
    system,
)

FAST_NODES = 4


def names(processes: tuple[ProcessSpec, ...]) -> dict[str, list[str]]:
    return {process.name: [node.type for node in process.nodes] for process in processes}


def given(processes: tuple[ProcessSpec, ...], node: str) -> dict[str, object]:
    found = [n for process in processes for n in process.nodes if n.type == node]
    return dict(found[0].parameters)


@pytest.mark.parametrize('name', NODES)
def test_every_node_can_be_imported_and_has_a_parameter_file(name: str) -> None:
    cls = node_class(name)
    assert cls.name == name
    assert describe(cls.Parameters) is not None
    assert issubclass(cls, Processor) == (NODES[name].kind == 'processor')
    assert NODES[name].subsystem in SUBSYSTEMS
    assert (config_directory() / f'{name}.yaml').is_file()


def test_the_full_profile_simulates_navigates_controls_and_supervises() -> None:
    found = names(system())
    found['navigation'] = [node for node in found['navigation'] if node != 'odometry_to_tf']
    assert found == {
        'simulation': ['flight_simulator'],
        'navigation': ['navigation_fusion', 'attitude_fusion'],
        'control': ['setpoint_arbiter', 'track_visualizer'],
        'supervision': ['lifecycle_manager'],
    }


@pytest.mark.parametrize('profile', PROFILES)
def test_every_profile_starts_each_node_once_and_fast_ones_in_small_processes(profile: str) -> None:
    processes = system({'profile': profile, 'record': 'true'})
    nodes = [node.type for process in processes for node in process.nodes]
    assert len(set(nodes)) == len(nodes)
    assert all(len(process.nodes) <= FAST_NODES for process in processes)
    assert 'bag_recorder' in nodes


def test_the_profiles_of_the_arguments_are_those_of_the_graph() -> None:
    (profile,) = (argument for argument in ARGUMENTS if argument.name == 'profile')
    assert profile.choices == tuple(PROFILES)
    assert set(itertools.chain(*PROFILES.values())) <= set(SUBSYSTEMS)


def test_the_manager_is_told_all_nodes_and_brings_up_the_source_last(tmp_path: Path) -> None:
    processes = system({'record': 'true', 'autostart': 'false'})
    managed = given(processes, 'lifecycle_manager')
    nodes = {node.type for process in processes for node in process.nodes}
    order = managed['node_names']
    assert isinstance(order, list)
    assert set(order) == nodes - {'lifecycle_manager'}
    assert order[-2:] == ['bag_recorder', 'flight_simulator']
    assert managed['autostart'] is False
    assert not any(process.autostart for process in processes)
    replayed = given(system({'bag': str(tmp_path)}), 'lifecycle_manager')['node_names']
    assert isinstance(replayed, list)
    assert replayed[-1] == 'bag_player'


def test_a_bag_takes_the_place_of_the_simulator(tmp_path: Path) -> None:
    for profile in PROFILES:
        processes = system({'bag': str(tmp_path), 'profile': profile})
        assert 'simulation' not in names(processes)
        assert names(processes)['replay'] == ['bag_player']
        assert given(processes, 'bag_player') == {
            'path': str(tmp_path),
            'wait_for_nodes': ['navigation_fusion', 'attitude_fusion']
            + ['starnav', 'vortex_shield'] * ('starnav' in PROFILES[profile]),
        }
        assert all(process.use_sim_time for process in processes)


@pytest.fixture
def scenario(tmp_path: Path) -> Callable[[str], str]:
    """``scenario(sensors)``: path of a file that a simulator could be told to fly."""

    def write(sensors: str) -> str:
        path = tmp_path / 'flight.yaml'
        path.write_text(f'aircraft: c172\nsensors: {sensors}\n')
        return str(path)

    return write


def test_the_star_navigator_runs_where_there_is_a_star_camera(
    tmp_path: Path, scenario: Callable[[str], str]
) -> None:
    def process(arguments: dict[str, str]) -> list[str]:
        return names(system(arguments)).get('starnav', [])

    assert process({}) == process({'scenario': 'demo'}) == []
    assert process({'profile': 'modular'}) == process({'profile': 'hybrid'}) == ['starnav']
    assert process({'profile': 'modular', 'starnav': 'false'}) == []
    assert process({'profile': 'stand_alone'}) == []
    assert process({'starnav': 'true'}) == ['starnav']
    assert process({'star_camera': 'true'}) == ['starnav', 'star_camera']
    flight = scenario('{star_camera: {rate: 1}}')
    assert process({'scenario': flight}) == ['starnav', 'star_camera']
    assert process({'scenario': flight, 'star_camera': 'false'}) == ['starnav']
    assert process({'scenario': flight, 'starnav': 'false'}) == []
    assert process({'scenario': scenario('{eye: {type: star_camera}}')}) == [
        'starnav',
        'star_camera',
    ]
    assert process({'scenario': scenario('{star_camera: {render: true}}')}) == ['starnav']
    assert process({'scenario': scenario('{star_camera: {enabled: false}}')}) == []
    assert process({'scenario': scenario('[broken')}) == []
    own = tmp_path / 'own.yaml'
    own.write_text(f"/**/flight_simulator: {{ros__parameters: {{scenario: '{flight}'}}}}\n")
    scenario('{star_camera: }')
    assert process({'params_file': str(own)}) == ['starnav', 'star_camera']


def test_a_bag_without_star_images_needs_no_star_navigator(tmp_path: Path) -> None:
    def process(*topics: str) -> bool:
        rows = [{'topic_metadata': {'name': name}, 'message_count': 1} for name in topics]
        content = {'rosbag2_bagfile_information': {'topics_with_message_count': rows}}
        (tmp_path / 'metadata.yaml').write_text(yaml.safe_dump(content))
        return 'starnav' in names(system({'bag': str(tmp_path)}))

    assert process('/imu/data_raw', '/uav1/star_camera/image')
    assert not process('/imu/data_raw')


def test_vortex_shield_runs_where_there_are_rotor_samples(
    tmp_path: Path, scenario: Callable[[str], str]
) -> None:
    def process(arguments: dict[str, str]) -> list[str]:
        return names(system(arguments)).get('vortex_shield', [])

    for arguments in ({}, {'scenario': 'hover'}, {'profile': 'stand_alone'}):
        assert process(arguments) == []
    assert process({'profile': 'modular'}) == process({'profile': 'hybrid'}) == ['vortex_shield']
    assert process({'profile': 'hybrid', 'vortex_shield': 'false'}) == []
    assert process({'vortex_shield': 'True'}) == ['vortex_shield']
    flight = scenario('{rotor_samples: }')
    assert process({'scenario': flight}) == ['vortex_shield']
    assert process({'scenario': flight, 'vortex_shield': 'false'}) == []
    assert process({'scenario': scenario('{rotor_samples: {enabled: false}}')}) == []
    rows = [{'topic_metadata': {'name': '/uav1/rotor_samples'}, 'message_count': 1}]
    content = {'rosbag2_bagfile_information': {'topics_with_message_count': rows}}
    (tmp_path / 'metadata.yaml').write_text(yaml.safe_dump(content))
    assert process({'bag': str(tmp_path)}) == ['vortex_shield']


def test_vortex_shield_is_told_the_vehicle_and_waited_for(tmp_path: Path) -> None:
    path, own = tmp_path / 'flight.yaml', tmp_path / 'own.yaml'
    path.write_text('aircraft: ah1s\nsensors: {rotor_samples: }\n')
    arguments = {'scenario': str(path)}
    processes = system(arguments)
    assert given(processes, 'vortex_shield') == {'vehicle.name': 'ah1s'}
    waited = given(processes, 'flight_simulator')['wait_for_nodes']
    assert waited == ['navigation_fusion', 'attitude_fusion', 'vortex_shield']
    path.write_text('aircraft: c172\nsensors: {rotor_samples: }\n')
    assert given(system(arguments), 'vortex_shield') == {}, 'no rotorcraft'
    path.write_text('aircraft: ah1s\nsensors: {rotor_samples: }\n')
    for text in ('vehicle: {name: custom}', 'vehicle.name: custom'):
        own.write_text(f'/**/vortex_shield: {{ros__parameters: {{{text}}}}}\n')
        told = system({**arguments, 'params_file': str(own)})
        assert given(told, 'vortex_shield') == {}, 'the user knows better'
    own.write_text('/**/vortex_shield: {ros__parameters: {strict: true}}\n')
    assert given(system({**arguments, 'params_file': str(own)}), 'vortex_shield') == {
        'vehicle.name': 'ah1s'
    }


def test_the_star_camera_and_its_listeners_are_told_of_each_other(
    scenario: Callable[[str], str],
) -> None:
    flight = scenario('{star_camera: }')
    processes = system({'scenario': flight})
    assert given(processes, 'star_camera') == {'scenario': flight}
    waited = given(processes, 'flight_simulator')['wait_for_nodes']
    assert waited == ['navigation_fusion', 'attitude_fusion', 'starnav', 'star_camera']
    order = given(processes, 'lifecycle_manager')['node_names']
    assert isinstance(order, list)
    assert order.index('starnav') < order.index('star_camera') < order.index('flight_simulator')
    assert {p.name for p in processes if p.images} == {'starnav'}
    rendered = system({'scenario': scenario('{star_camera: {render: true}}')})
    assert {p.name for p in rendered if p.images} == {'starnav', 'simulation'}


def test_drivers_run_on_the_wall_clock_unless_told_otherwise() -> None:
    assert not any(p.use_sim_time for p in system({'profile': 'modular'}))
    forced = system({'profile': 'modular', 'use_sim_time': 'True'})
    assert all(p.use_sim_time for p in forced)


def test_a_subsystem_alone_starts_itself_and_the_manager_alone_knows_the_profile() -> None:
    (navigation,) = system({}, ['navigation'])
    assert navigation.autostart
    assert not system({'autostart': 'false'}, ['navigation'])[0].autostart
    (supervision,) = system({'profile': 'hybrid'}, ['supervision'])
    assert not supervision.autostart
    assert supervision.nodes[0].parameters['node_names'] == [
        'navigation_fusion', 'attitude_fusion', 'starnav', 'vortex_shield', 'setpoint_arbiter',
    ]  # fmt: skip
    (visualization,) = system({}, ['visualization'])[-1:]
    assert (visualization.name, visualization.nodes[0].type) == (
        'visualization',
        'track_visualizer',
    )
    with pytest.raises(ArgumentError, match='no subsystem'):
        system({}, ['navigatoin'])


def test_vehicles_live_in_namespaces_with_one_clock_and_one_recorder() -> None:
    processes = system({'vehicles': '3', 'namespace': '/fleet/', 'record': 'true'})
    by_name = {process.name: process for process in processes}
    assert by_name['uav3/navigation'].namespace == '/fleet/uav3'
    recorders = [name for name, nodes in names(processes).items() if 'bag_recorder' in nodes]
    assert recorders == ['uav1/recording']
    simulators = [p.nodes[0].parameters for n, p in by_name.items() if n.endswith('simulation')]
    assert [item.get('publish_clock', True) for item in simulators] == [True, False, False]
    (alone,) = {process.namespace for process in system({'namespace': 'a/b'})}
    assert alone == '/a/b'


def test_what_gives_the_data_is_required_and_the_rest_comes_back() -> None:
    for process in system():
        assert process.required == (process.name == 'simulation')
        assert process.respawn != process.required
    assert not any(process.respawn for process in system({'respawn': 'false'}))


def test_the_parameter_file_of_the_user_comes_last(tmp_path: Path) -> None:
    own = tmp_path / 'own.yaml'
    own.touch()
    for process in system({'params_file': str(own)}):
        shipped = [config_directory() / f'{node.type}.yaml' for node in process.nodes]
        assert process.parameter_files == (*shipped, own)


def test_the_command_line_is_what_rcl_reads() -> None:
    process = ProcessSpec(
        'navigation',
        (
            NodeSpec('a', {'list': ['x', 'y'], 'on': True, 'text': 'true', 'path': 'b c: d'}),
            NodeSpec('b', {'number': 1.5}, {'odometry': 'other/odometry'}),
        ),
        namespace='/uav1',
        parameter_files=(Path('/p/a.yaml'), Path('/p/own.yaml')),
        use_sim_time=True,
        log_level='debug',
        autostart=True,
    )
    line = argv(process, 'python')
    assert line == (
        'python', '-m', 'meta_repo_ros.ros.container', 'a', 'b', '--autostart', '--ros-args',
        '-r', '__ns:=/uav1', '-r', 'b:odometry:=other/odometry',
        '--params-file', '/p/a.yaml', '--params-file', '/p/own.yaml',
        '-p', 'use_sim_time:=true',
        '-p', 'a:list:=["x", "y"]', '-p', 'a:on:=true', '-p', 'a:text:="true"',
        '-p', 'a:path:="b c: d"', '-p', 'b:number:=1.5', '--log-level', 'debug',
    )  # fmt: skip
    for rule in line[line.index('-p') + 3 : -2 : 2]:
        yaml.safe_load(rule.partition(':=')[2])


def test_who_is_waited_for_asks_for_realtime_priority() -> None:
    def asking(**arguments: str) -> set[str]:
        return {p.name for p in system({'profile': 'modular', **arguments}) if p.realtime}

    assert asking() == {'vortex_shield'}
    assert asking(realtime='false') == set()
    process = next(p for p in system({'profile': 'modular'}) if p.realtime)
    line = argv(process, 'python')
    assert '--realtime' in line[: line.index('--ros-args')]


def test_rviz_is_a_process_of_its_own_in_the_namespace_of_the_vehicle() -> None:
    rviz = system({'rviz': 'true', 'namespace': 'uav'})[-1]
    assert argv(rviz)[:2] == ('rviz2', '-d')
    assert Path(argv(rviz)[2]).is_file()
    assert '__ns:=/uav' in argv(rviz)
    assert not rviz.required


def test_stars_are_drawn_where_rviz_shows_them() -> None:
    def drawn(**arguments: str) -> bool:
        nodes = [node for one in system({'starnav': 'true', **arguments}) for node in one.nodes]
        (starnav,) = (node for node in nodes if node.type == 'starnav')
        return bool(starnav.parameters.get('image.annotate', False))

    assert drawn(rviz='true')
    assert not drawn()


@pytest.mark.parametrize(
    ('values', 'reason'),
    [
        ({'profil': 'full'}, "did you mean 'profile'"),
        ({'profile': 'small'}, 'must be one of stand_alone'),
        ({'vehicles': '0'}, 'from 1 to 100'),
        ({'vehicles': 'two'}, 'from 1 to 100'),
        ({'namespace': '1st'}, 'no digit first'),
        ({'respawn': 'maybe'}, 'must be one of true, false'),
        ({'params_file': '/nowhere/own.yaml'}, '/nowhere/own.yaml does not exist'),
        ({'bag': '/nowhere/bag'}, 'does not exist'),
    ],
)
def test_bad_arguments_are_refused_with_the_reason(values: dict[str, str], reason: str) -> None:
    with pytest.raises(ArgumentError, match=reason) as caught:
        Settings.parse(values)
    assert caught.value.name in values
