# SPDX-License-Identifier: Apache-2.0
"""What starnav says of the Earth's orientation, inside the shipped table and past its end."""

from __future__ import annotations

import dataclasses
import re
from types import SimpleNamespace
from typing import Any

import pytest

from meta_repo_ros.core import earth
from meta_repo_ros.core.processor import Level
from meta_repo_ros.starnav import report
from meta_repo_ros.starnav.parameters import StarNavParameters
from meta_repo_ros.starnav.processor import StarNav

DAY = 86_400 * 10**9


@pytest.fixture
def node() -> StarNav:
    parameters = StarNavParameters()
    core = parameters.starnav_core
    processing = dataclasses.replace(core.processing, star_detection_algorithm='threshold')
    return StarNav(
        dataclasses.replace(
            parameters, starnav_core=dataclasses.replace(core, processing=processing)
        )
    )


def row(node: StarNav, stamp: int) -> Any:
    frame: Any = SimpleNamespace(stamp=stamp, sky_stamp=stamp)
    return report._astronomy(node, frame)


def test_inside_the_table_all_is_well(node: StarNav) -> None:
    got = row(node, earth.table_end_ns() - 500 * DAY)
    assert got.level is Level.OK
    assert got.values['longitude_sigma_m'] < 0.1


def test_past_the_table_it_says_how_much_worse(node: StarNav) -> None:
    metres = []
    for days in (10, 365, 3650):
        got = row(node, earth.table_end_ns() + days * DAY)
        assert got.level is Level.WARN
        assert got.values['earth_orientation'] == 'extrapolated'
        said = re.match(r'(\d+) days past .*: longitude errs by (\d+) m; update', got.message)
        assert said, got.message
        assert int(said[1]) == days
        metres.append(int(said[2]))
        assert metres[-1] == pytest.approx(got.values['longitude_sigma_m'], abs=0.51)
        assert metres[-1] == pytest.approx(465.1 * got.values['ut1_sigma_s'], abs=0.6)
    assert metres == sorted(metres)
    assert metres[-1] > 500


def test_the_attitude_works_past_the_table(node: StarNav) -> None:
    late = earth.table_end_ns() + 3650 * DAY
    observer = node.environment.observer(late)
    assert observer.barycentric[1].any()
    sky = node.sky.at(late)
    assert sky.stamp == late
    assert len(sky.directions) == len(node.catalogue)
