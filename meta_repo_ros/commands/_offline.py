# SPDX-License-Identifier: Apache-2.0
"""Which processors a bag can feed, with their shipped parameters."""

from __future__ import annotations

import importlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from meta_repo_ros.core.installation import config_directory
from meta_repo_ros.core.parameters import from_mapping
from meta_repo_ros.core.processor import Processor
from meta_repo_ros.core.rotorcraft import ROTORCRAFT
from meta_repo_ros.graph import NODES

# node -> a topic without which it has nothing to work on
CHAIN = {
    'starnav': 'star_camera/image',
    'attitude_fusion': 'imu/mag',
    'navigation_fusion': 'gnss/fix',
    'vortex_shield': 'rotor_samples',
}
# kind of an imported recording -> the vehicle profile that it needs
PROFILES = {'drive': 'car'}


def with_aircraft(
    custom_data: Mapping[str, str],
    files: Sequence[Path],
    given: Mapping[str, Mapping[str, Any]],
) -> dict[str, Mapping[str, Any]]:
    """``given`` and what a bag of a simulated flight says of its aircraft, unless a file does."""
    name, node, key = custom_data.get('aircraft', ''), 'vortex_shield', 'vehicle.name'
    if name not in ROTORCRAFT or key in parameters(node, files):
        return dict(given)
    return {**given, node: {key: name, **given.get(node, {})}}


def profile_file(name: str) -> Path:
    """The parameter file of the vehicle profile ``name``.

    Raises:
        ValueError: there is none.
    """
    folder = config_directory() / 'profiles'
    path = folder / f'{name}.yaml'
    if not path.is_file():
        known = ', '.join(sorted(p.stem for p in folder.glob('*.yaml'))) or 'none'
        raise ValueError(f'no vehicle profile {name!r}; there are {known}')
    return path


def chain(
    topics: Collection[str],
    files: Sequence[Path] = (),
    given: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[Processor]:
    """The filters for a bag with these relative topics.

    Args:
        topics: relative names.
        files: parameter files over the shipped ones, later ones win.
        given: values by node and dotted name, over all files.

    Raises:
        ValueError: a parameter file that a processor refuses.
        OSError: a parameter file that cannot be read.
    """
    return [
        make(node, files, (given or {}).get(node, {}))
        for node, needed in CHAIN.items()
        if needed in topics and 'imu/data_raw' in topics
    ]


def make(
    node: str, files: Sequence[Path] = (), given: Mapping[str, Any] | None = None
) -> Processor:
    """The processor ``node`` with its shipped parameters, those of ``files`` and ``given``."""
    module, _, name = NODES[node].factory.partition(':')
    factory: Any = getattr(importlib.import_module(module), name)
    shipped = config_directory() / f'{node}.yaml'
    every = [path for path in (shipped, *files) if path.is_file()]
    values = {**parameters(node, every), **(given or {})}
    processor: Processor = factory(from_mapping(factory.Parameters, values))
    return processor


def assignment(text: str) -> tuple[str, str, Any]:
    """Node, parameter and value of ``NODE:PARAMETER=VALUE``; the value is YAML.

    Raises:
        ValueError: not of this form, or no such node.
    """
    name, equals, value = text.partition('=')
    node, colon, parameter = name.partition(':')
    if not (equals and colon and parameter) or node not in CHAIN:
        raise ValueError(
            f'expected NODE:PARAMETER=VALUE with one of {", ".join(CHAIN)}; got {text!r}'
        )
    read = yaml.safe_load(value)
    return node, parameter, tuple(read) if isinstance(read, list) else read


def parameters(node: str, files: Sequence[Path]) -> dict[str, Any]:
    """Values for ``node`` by dotted name; later files win, as in rcl."""
    values: dict[str, Any] = {}
    for path in files:
        text = yaml.safe_load(path.read_text(encoding='utf-8')) or {}
        for key, block in text.items():
            if key.rsplit('/', 1)[-1] in {node, '**'}:
                values.update(_flat(block.get('ros__parameters') or {}))
    return values


def _flat(block: Mapping[str, Any], prefix: str = '') -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in block.items():
        if isinstance(value, Mapping):
            values.update(_flat(value, f'{prefix}{key}.'))
        else:
            values[f'{prefix}{key}'] = value
    return values
