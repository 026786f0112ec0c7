# SPDX-License-Identifier: Apache-2.0
"""What starnav says where its data have ended or are damaged: IERS table, star catalogue."""

from __future__ import annotations

import dataclasses
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from meta_repo_ros.cli import main
from meta_repo_ros.core import earth
from meta_repo_ros.core.processor import Level
from meta_repo_ros.starnav import catalogue, report
from meta_repo_ros.starnav.parameters import StarNavParameters
from meta_repo_ros.starnav.processor import StarNav

DAY = 86_400 * 10**9


def make() -> StarNav:
    parameters = StarNavParameters()
    core = parameters.starnav_core
    processing = dataclasses.replace(core.processing, star_detection_algorithm='threshold')
    return StarNav(
        dataclasses.replace(
            parameters, starnav_core=dataclasses.replace(core, processing=processing)
        )
    )


@pytest.fixture
def node() -> StarNav:
    return make()


@pytest.fixture
def _damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for path in catalogue.FILE.parent.glob('hipparcos.npz*'):
        shutil.copy(path, tmp_path)
    path = tmp_path / 'hipparcos.npz'
    content = bytearray(path.read_bytes())
    content[700_000] ^= 1
    path.write_bytes(content)
    monkeypatch.setattr(catalogue, 'FILE', path)
    for cached in (catalogue._whole, catalogue._limited):
        cached.cache_clear()
    yield
    for cached in (catalogue._whole, catalogue._limited):
        cached.cache_clear()


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


@pytest.mark.usefixtures('_damaged')
def test_no_node_with_a_damaged_catalogue() -> None:
    with pytest.raises(catalogue.CatalogueError, match=r'damaged: .*install meta_repo_ros again'):
        make()


@pytest.mark.usefixtures('_damaged')
def test_the_command_line_says_that_the_catalogue_is_damaged(tmp_path: Path) -> None:
    picture = tmp_path / 'sky.png'
    cv2.imwrite(str(picture), np.zeros((100, 100), np.uint8))
    done = CliRunner().invoke(main, ['starnav', 'solve', str(picture)])
    assert done.exit_code != 0
    assert 'hipparcos.npz is damaged' in ' '.join(done.output.split())
    assert 'Traceback' not in done.output
