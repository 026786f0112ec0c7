# SPDX-License-Identifier: Apache-2.0
"""The action starnav/calibrate: refused, cancelled, better, not better."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from meta_repo_ros.action import Calibrate
from meta_repo_ros.core.parameters import from_mapping
from meta_repo_ros.core.processor import Feedback, Finished, GoalStatus, Task
from meta_repo_ros.core.rotations import exp, normalize, to_matrix
from meta_repo_ros.starnav import calibration_file
from meta_repo_ros.starnav.astrometry import Observer, apparent
from meta_repo_ros.starnav.attitude import solve
from meta_repo_ros.starnav.calibrating import usual_directory
from meta_repo_ros.starnav.camera import Camera, from_field_of_view
from meta_repo_ros.starnav.catalogue import load
from meta_repo_ros.starnav.parameters import StarNavParameters
from meta_repo_ros.starnav.pipeline import Frame
from meta_repo_ros.starnav.processor import CALIBRATE, StarNav
from meta_repo_ros.starnav.types import Centroids, Failure, Match

if TYPE_CHECKING:
    from collections.abc import Callable

S = 1_000_000_000
START = 1_790_000_000 * S
SIZE = 1024
TRUE = from_field_of_view(SIZE, SIZE, 20.0)
CATALOGUE = load(6.0)


def goal(kind: str = 'quick', duration: float = 10.0) -> Any:
    message = Calibrate.Goal()
    message.calibration_type, message.duration = kind, duration
    message.auto_detect_stars = True
    return message


def frame(stamp: int, seed: int, in_use: Camera) -> Frame:
    """A solved frame: centroids by the true camera, the attitude by the one in use."""
    rng = np.random.default_rng(seed)
    turn = to_matrix(exp((0.0, 0.0, 0.4 * seed))) @ to_matrix(normalize(rng.normal(size=4)))
    seen = apparent(CATALOGUE, None, Observer(stamp))
    index = np.flatnonzero(seen @ turn[2] > 0.98)
    place = TRUE.project(seen[index] @ turn.T)
    inside = ((place > 5) & (place < SIZE - 6)).all(axis=1)
    index, place = index[inside], place[inside] + rng.normal(0.0, 0.05, (inside.sum(), 2))
    n = len(index)
    covariance = np.tile(np.eye(2) * 0.05**2, (n, 1, 1))
    centroids = Centroids(
        place, covariance, np.ones(n), np.full(n, 50.0), np.zeros(n, bool), SIZE, SIZE
    )
    fit = solve(in_use.directions(place), np.full(n, 1e-8), seen[index])
    match = Match(
        Failure.NONE, icrs_to_camera=fit.rotation, covariance=fit.covariance,
        centroid=np.arange(n), star=index, hip=CATALOGUE.hip[index],
        residual=np.zeros((n, 2)), residual_rms=1e-5, focal_length=in_use.fx,
        field_of_view=in_use.field_of_view, false_alarm_probability=1e-12, elapsed=0.01,
    )  # fmt: skip
    return Frame(
        header=_header(stamp), stamp=stamp, centroids=centroids, match=match, camera=in_use,
        camera_known=True, magnitude=CATALOGUE.hp[index], directions=seen[index], bit_depth=16,
    )  # fmt: skip


def _header(stamp: int) -> Any:
    from std_msgs.msg import Header  # noqa: PLC0415

    header = Header()
    header.stamp.sec, header.stamp.nanosec = divmod(stamp, S)
    return header


class Session:
    """A node that calibrates."""

    def __init__(self, folder: Path | None, in_use: Camera) -> None:
        self.in_use = in_use
        values = {
            'starnav_core.processing.star_detection_algorithm': 'threshold',
            'starnav_core.camera.resolution': f'{SIZE}x{SIZE}',
            'camera.field_of_view': float(np.degrees(in_use.field_of_view)),
            'camera.calibration_directory': '' if folder is None else str(folder),
        }
        self.node = StarNav(from_mapping(StarNavParameters, values))
        self.now = START
        self.feedback: list[Any] = []
        self.finished: list[Finished] = []

    def run(self, seconds: int, make: Callable[..., Frame] = frame) -> None:
        for _ in range(seconds):
            self.now += S
            solved = make(self.now, self.now // S % 1000, self.in_use)
            self._take(self.node.on_result('image', (self.node._generation, solved), self.now))
            self._take(self.node.on_timer(self.now))

    def _take(self, events: Any) -> None:
        for event in events:
            if isinstance(event, Feedback):
                self.feedback.append(event.message)
            elif isinstance(event, Finished):
                self.finished.append(event)
            elif isinstance(event, Task):
                self._take(self.node.on_result(event.name, event.run(), self.now))


WRONG = TRUE.with_focal_length(TRUE.fx * 1.01)


def test_a_better_camera_is_written_and_used(tmp_path: Path) -> None:
    session = Session(tmp_path, WRONG)
    assert session.node.on_goal(CALIBRATE, goal(), session.now) == ''
    assert session.node.calibration.run.anew
    session.run(11)
    progress = [message.progress for message in session.feedback]
    assert progress == sorted(progress)
    assert 0.0 < progress[0] <= 0.2
    assert progress[-1] == 1.0
    assert session.feedback[-1].frames >= 9
    assert session.feedback[0].state == 'collecting'
    (end,) = session.finished
    assert end.status is GoalStatus.SUCCEEDED
    result = end.result
    assert result.success
    assert result.focal_length_x == pytest.approx(TRUE.fx, rel=1e-4)
    assert result.residual_after < 0.1 < result.residual_before
    assert result.frames >= 8
    assert result.stars > 100
    written = calibration_file.read(Path(result.path))
    assert Path(result.path).parent == tmp_path
    assert written.camera.fx == pytest.approx(result.focal_length_x)
    assert session.node.book.current(SIZE, SIZE) == (written.camera, 'calibration file')
    assert not session.node.calibration.run.active
    # and a node that is started with the file has it too
    values = {
        'starnav_core.processing.star_detection_algorithm': 'threshold',
        'camera.calibration_file': result.path,
    }
    again = StarNav(from_mapping(StarNavParameters, values))
    assert again.book.current(SIZE, SIZE)[0] == written.camera


def test_a_camera_that_is_not_bettered_stays(tmp_path: Path) -> None:
    session = Session(tmp_path, TRUE)
    assert session.node.on_goal(CALIBRATE, goal(), session.now) == ''
    session.run(11)
    (end,) = session.finished
    assert end.status is GoalStatus.ABORTED
    assert not end.result.success
    assert end.result.message
    assert not end.result.path
    assert not list(tmp_path.iterdir())
    assert session.node.book.current(SIZE, SIZE)[1] == 'parameters'


def test_too_few_frames_are_refused(tmp_path: Path) -> None:
    session = Session(tmp_path, WRONG)
    session.node.on_goal(CALIBRATE, goal(duration=5.0), session.now)

    def unsolved(stamp: int, seed: int, in_use: Camera) -> Frame:
        return dataclasses.replace(
            frame(stamp, seed, in_use), match=Match(Failure.NO_MATCH, 'no match')
        )

    session.run(6, unsolved)
    (end,) = session.finished
    assert end.status is GoalStatus.ABORTED
    assert 'frames' in end.result.message
    assert not list(tmp_path.iterdir())


def test_cancel_ends_it_at_once(tmp_path: Path) -> None:
    session = Session(tmp_path, WRONG)
    session.node.on_goal(CALIBRATE, goal(), session.now)
    session.run(4)
    (end,) = session.node.on_cancel(CALIBRATE, session.now)
    assert end.status is GoalStatus.CANCELED
    assert not end.result.success
    session.run(10)
    assert not session.finished
    assert not list(tmp_path.iterdir())
    assert session.node.on_goal(CALIBRATE, goal(), session.now) == '', 'another one may follow'


def test_file_goes_where_ros_keeps_calibrations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('ROS_HOME', str(tmp_path / 'ros'))
    assert usual_directory() == tmp_path / 'ros' / 'camera_info'
    monkeypatch.delenv('ROS_HOME')
    monkeypatch.setenv('HOME', str(tmp_path))
    assert usual_directory() == tmp_path / '.ros' / 'camera_info'


def test_goals_that_cannot_be_are_refused_with_a_reason(tmp_path: Path) -> None:
    node = Session(tmp_path / 'nowhere', TRUE).node
    assert 'no directory' in node.on_goal(CALIBRATE, goal(), START)
    node = Session(tmp_path, TRUE).node
    assert 'calibration_type' in node.on_goal(CALIBRATE, goal('everything'), START)
    assert 'duration' in node.on_goal(CALIBRATE, goal(duration=-1.0), START)
    assert 'duration' in node.on_goal(CALIBRATE, goal(duration=float('nan')), START)
    values = {
        'starnav_core.processing.star_detection_algorithm': 'threshold',
        'camera.calibration_directory': str(tmp_path),
    }
    blind = StarNav(from_mapping(StarNavParameters, values))
    assert 'no camera yet' in blind.on_goal(CALIBRATE, goal(), START)
    assert not blind.calibration.run.active
