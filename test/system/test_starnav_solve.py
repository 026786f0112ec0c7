# SPDX-License-Identifier: Apache-2.0
"""``meta-repo starnav solve`` on photographs, on pictures without stars, on bad files."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

COMMAND = (sys.executable, '-m', 'meta_repo_ros.cli', 'starnav', 'solve')
ARCSEC = 3600.0


def solve(folder: Path, *arguments: object) -> tuple[int, str, str]:
    line = [*COMMAND, *map(str, arguments), '--output', str(folder / 'out')]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def separation(a: dict[str, Any], ra: float, dec: float) -> float:
    """Angle between two directions, arcsec."""
    u, v = (
        np.array([math.cos(d) * math.cos(r), math.cos(d) * math.sin(r), math.sin(d)])
        for r, d in np.radians([[a['right_ascension'], a['declination']], [ra, dec]])
    )
    return math.degrees(math.atan2(float(np.linalg.norm(np.cross(u, v))), float(u @ v))) * ARCSEC


@pytest.fixture(scope='module')
def photographs(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What the command says of all photographs at once, by file name."""
    folder = tmp_path_factory.mktemp('photographs')
    code, output, _ = solve(folder, *sorted((recordings / 'star_images').iterdir()), '--json')
    return code, {Path(one['file']).name: one for one in json.loads(output)}


def test_photographs_are_solved_blind(recordings: Path, photographs: Any) -> None:
    code, found = photographs
    assert code == 0
    index = json.loads((recordings / 'star_images' / 'index.json').read_text())
    assert len(found) == len(index) == 10
    for entry in index:
        one = found[entry['file']]
        assert one['solved'], entry['file']
        assert Path(one['picture']).is_file()
        if 'cedar_solve' in entry:
            truth = entry['cedar_solve']
            bar = 15.0 if entry['file'].endswith('.tiff') else 60.0
            assert separation(one, truth['ra'], truth['dec']) < bar, entry['file']
            assert one['field_of_view'] == pytest.approx(truth['fov'], rel=0.015)
            turned = (one['roll'] + truth['roll'] + 180.0) % 360.0 - 180.0
            assert abs(turned) < 0.1


def test_stars_beside_a_roof_are_those_that_two_solvers_see(photographs: Any) -> None:
    # half of this picture is a roof; cedar-solve, given the same centroids, agrees
    one = photographs[1]['roof.jpg']
    assert separation(one, 60.0439, 60.4761) < 60.0
    assert one['field_of_view'] == pytest.approx(10.170, abs=0.05)
    assert len(one['stars']) >= 25


def test_picture_without_sky_is_refused(recordings: Path, tmp_path: Path) -> None:
    picture = cv2.imread(str(recordings / 'star_images' / 'roof.jpg'), cv2.IMREAD_GRAYSCALE)
    path = tmp_path / 'only_roof.png'
    cv2.imwrite(str(path), picture[:, 250:])
    code, output, _ = solve(tmp_path, path)
    assert code == 1
    assert 'not solved' in output


def test_mirrored_photograph_is_refused(recordings: Path, tmp_path: Path) -> None:
    path = tmp_path / 'mirrored.png'
    name = 'pleiades.jpg'
    picture = cv2.imread(str(recordings / 'star_images' / name), cv2.IMREAD_GRAYSCALE)
    cv2.imwrite(str(path), picture[:, ::-1])
    code, output, _ = solve(tmp_path, path, '--fov', 10.17)
    assert code == 1
    assert 'not solved' in output


def test_table_names_stars_and_the_horizon(recordings: Path, tmp_path: Path) -> None:
    (path,) = (recordings / 'star_images').glob('*Azi135_*.tiff')
    # the file's name gives time (local), altitude 40 deg and azimuth 135 deg
    code, output, _ = solve(
        tmp_path, path, '--time', '2019-07-29T20:47:26Z', '--lat', 47, '--lon', 11, '--stars', -1
    )
    assert code == 0
    for text in ('Altair', 'Tarazed', 'right ascension', 'arcsec rms', 'azimuth', 'elevation'):
        assert text in output


@pytest.mark.parametrize(
    ('content', 'says'),
    [(b'', 'empty'), (b'no picture', 'not a picture'), (None, 'no such file')],
)
def test_bad_file_is_named_and_the_rest_is_solved(
    recordings: Path, tmp_path: Path, content: bytes | None, says: str
) -> None:
    bad = tmp_path / 'bad.png'
    if content is not None:
        bad.write_bytes(content)
    code, output, _ = solve(tmp_path, bad, recordings / 'star_images' / 'pleiades.jpg')
    assert code == 1
    assert str(bad) in output
    assert says in output
    assert '1 of 2 solved' in output


@pytest.mark.parametrize(
    ('arguments', 'says'),
    [
        (('--time', 'yesterday'), 'give a date such as'),
        (('--lat', 47), 'need all of'),
        (('--fov', 0), '--fov'),
    ],
)  # fmt: skip
def test_wrong_command_line(tmp_path: Path, arguments: tuple[object, ...], says: str) -> None:
    code, _, error = solve(tmp_path, 'x.png', *arguments)
    assert code == 2
    assert says in ' '.join(error.split())
