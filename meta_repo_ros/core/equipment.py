# SPDX-License-Identifier: Apache-2.0
"""What a flight has on board, read off its scenario or bag without loading either.

The graph asks, before anything runs. A file that cannot be read gives no answer here: the node that
has to read it says what is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from meta_repo_ros.core.installation import config_directory

STAR_CAMERA = 'star_camera'
ROTOR_SAMPLES = 'rotor_samples'
_IMAGE = 'star_camera/image'
_SIMULATOR = 'flight_simulator'


def scenario_has_star_camera(scenario: str, params_file: Path | None = None) -> bool:
    """Whether the simulated flight gives exposures of a star camera.

    Args:
        scenario: shipped name or YAML file; '' for the one of the simulator's parameter files.
        params_file: read after the shipped one.
    """
    return _sensor(STAR_CAMERA, scenario, params_file) is not None


def scenario_renders_images(scenario: str, params_file: Path | None = None) -> bool:
    """Whether the simulator itself gives the images of its star camera, too."""
    return bool((_sensor(STAR_CAMERA, scenario, params_file) or {}).get('render', False))


def scenario_has_rotor_samples(scenario: str, params_file: Path | None = None) -> bool:
    """Whether the simulated flight gives samples of the rotor's sensors."""
    return _sensor(ROTOR_SAMPLES, scenario, params_file) is not None


def scenario_aircraft(scenario: str, params_file: Path | None = None) -> str:
    """Name of the simulated aircraft, '' where the scenario cannot tell."""
    return str(_scenario(scenario, params_file).get('aircraft', ''))


def sets_parameter(params_file: Path | None, node: str, *keys: str) -> bool:
    """Whether the file sets a parameter of a node; ``keys`` are its groups and its name."""
    for name, section in (_read(params_file) if params_file else {}).items():
        if str(name).endswith((node, '**')) and isinstance(section, dict):
            value: Any = section.get('ros__parameters')
            flat = value if isinstance(value, dict) else {}
            if '.'.join(keys) in flat:
                return True
            for key in keys:
                value = value.get(key) if isinstance(value, dict) else None
            if value is not None:
                return True
    return False


def bag_has_star_images(bag: Path) -> bool:
    """Whether the bag has images of a star camera; True where its metadata cannot tell."""
    return _bag_has(bag, _IMAGE)


def bag_has_rotor_samples(bag: Path) -> bool:
    """Whether the bag has samples of the rotor's sensors; True where its metadata cannot tell."""
    return _bag_has(bag, ROTOR_SAMPLES)


def _bag_has(bag: Path, topic: str) -> bool:
    metadata = _read(bag / 'metadata.yaml').get('rosbag2_bagfile_information')
    topics = metadata.get('topics_with_message_count') if isinstance(metadata, dict) else None
    if not isinstance(topics, list):
        return True
    names = [t['topic_metadata']['name'] for t in topics if isinstance(t, dict)]
    return any(str(name).endswith(f'/{topic}') for name in names)


def _sensor(kind: str, scenario: str, params_file: Path | None) -> Mapping[str, Any] | None:
    """What a scenario says of its first sensor of a kind that is switched on."""
    sensors = _scenario(scenario, params_file).get('sensors')
    for key, given in (sensors if isinstance(sensors, dict) else {}).items():
        values = given if isinstance(given, dict) else {}
        if values.get('type', key) == kind and values.get('enabled', True):
            return values
    return None


def _scenario(scenario: str, params_file: Path | None) -> dict[str, Any]:
    name = scenario or _default_scenario(params_file)
    path = Path(name)
    if path.suffix not in {'.yaml', '.yml'} and not path.is_file():
        path = config_directory() / 'scenarios' / f'{name}.yaml'
    return _read(path)


def _default_scenario(params_file: Path | None) -> str:
    found = ''
    for path in (config_directory() / f'{_SIMULATOR}.yaml', params_file):
        for node, section in (_read(path) if path else {}).items():
            if str(node).endswith((_SIMULATOR, '**')) and isinstance(section, dict):
                parameters = section.get('ros__parameters')
                if isinstance(parameters, dict):
                    found = str(parameters.get('scenario', found))
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text(encoding='utf-8'))
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return document if isinstance(document, dict) else {}
