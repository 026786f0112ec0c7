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
from meta_repo_ros.graph import NODES

# node -> a topic without which it has nothing to work on
CHAIN = {'attitude_fusion': 'imu/mag', 'navigation_fusion': 'gnss/fix'}


def chain(topics: Collection[str], params_file: Path | None = None) -> list[Processor]:
    """The filters for a bag with these relative topics.

    Raises:
        ValueError: a parameter file that a processor refuses.
        OSError: a parameter file that cannot be read.
    """
    return [
        make(node, params_file)
        for node, needed in CHAIN.items()
        if needed in topics and 'imu/data_raw' in topics
    ]


def make(node: str, params_file: Path | None = None) -> Processor:
    """The processor ``node`` with its shipped parameters and those of ``params_file`` over them."""
    module, _, name = NODES[node].factory.partition(':')
    factory: Any = getattr(importlib.import_module(module), name)
    shipped = config_directory() / f'{node}.yaml'
    files = [path for path in (shipped, params_file) if path is not None and path.is_file()]
    processor: Processor = factory(from_mapping(factory.Parameters, parameters(node, files)))
    return processor


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
