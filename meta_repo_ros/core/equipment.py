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
_IMAGE = 'star_camera/image'
_SIMULATOR = 'flight_simulator'


def scenario_has_star_camera(scenario: str, params_file: Path | None = None) -> bool:
    """Whether the simulated flight gives exposures of a star camera.

    Args:
        scenario: shipped name or YAML file; '' for the one of the simulator's parameter files.
        params_file: read after the shipped one.
    """
    return _star_camera(scenario, params_file) is not None


def scenario_renders_images(scenario: str, params_file: Path | None = None) -> bool:
    """Whether the simulator itself gives the images of its star camera, too."""
    return bool((_star_camera(scenario, params_file) or {}).get('render', False))


def bag_has_star_images(bag: Path) -> bool:
    """Whether the bag has images of a star camera; True where its metadata cannot tell."""
    metadata = _read(bag / 'metadata.yaml').get('rosbag2_bagfile_information')
    topics = metadata.get('topics_with_message_count') if isinstance(metadata, dict) else None
    if not isinstance(topics, list):
        return True
    names = [t['topic_metadata']['name'] for t in topics if isinstance(t, dict)]
    return any(str(name).endswith(f'/{_IMAGE}') for name in names)


def _star_camera(scenario: str, params_file: Path | None) -> Mapping[str, Any] | None:
    name = scenario or _default_scenario(params_file)
    path = Path(name)
    if path.suffix not in {'.yaml', '.yml'} and not path.is_file():
        path = config_directory() / 'scenarios' / f'{name}.yaml'
    sensors = _read(path).get('sensors')
    for key, given in (sensors if isinstance(sensors, dict) else {}).items():
        values = given if isinstance(given, dict) else {}
        if values.get('type', key) == STAR_CAMERA and values.get('enabled', True):
            return values
    return None


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
