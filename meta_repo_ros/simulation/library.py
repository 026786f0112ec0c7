# SPDX-License-Identifier: Apache-2.0
"""The shipped scenarios, found by name."""

from __future__ import annotations

from pathlib import Path

from meta_repo_ros.core.installation import config_directory
from meta_repo_ros.simulation.scenario import Scenario, load_scenario
from meta_repo_ros.simulation.yaml_file import ScenarioError


def shipped() -> dict[str, Path]:
    """Shipped scenarios by name."""
    return {path.stem: path for path in sorted((config_directory() / 'scenarios').glob('*.yaml'))}


def find_scenario(name: str) -> Scenario:
    """The scenario of a shipped name, or of a YAML file.

    Raises:
        ScenarioError: there is none such, or it cannot be flown.
    """
    path = Path(name)
    if path.suffix in {'.yaml', '.yml'} or path.is_file():
        return load_scenario(path)
    known = shipped()
    if name not in known:
        raise ScenarioError(
            name, 0, f'no such scenario; shipped are {", ".join(known)}; or give a YAML file'
        )
    return load_scenario(known[name])
