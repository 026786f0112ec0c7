# SPDX-License-Identifier: Apache-2.0
"""Processors with work, services, goals and images."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from sensor_msgs.msg import Image
from std_msgs.msg import String

from meta_repo_ros.action import Calibrate
from meta_repo_ros.core.processor import (
    Action,
    Diagnostic,
    Feedback,
    Finished,
    GoalStatus,
    Level,
    Output,
    Processor,
    Service,
    Task,
    Topic,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meta_repo_ros.core.processor import Event

ORDER = Topic('order', 'std_msgs/msg/String', 'EVENT')
DONE = Topic('done', 'std_msgs/msg/String', 'EVENT')
IMAGE = Topic('camera/image', 'sensor_msgs/msg/Image', 'BULK')


@dataclass(frozen=True)
class NoParameters:
    """None."""


class Worker(Processor):
    """An order ``NAME:WHAT`` begins a task that waits for its gate, then gives or raises WHAT."""

    name = 'worker'
    Parameters = NoParameters
    inputs = (ORDER,)
    outputs = (DONE,)

    def __init__(self, parameters: Any, seed: int = 0) -> None:
        super().__init__(parameters, seed)
        self.gate = threading.Event()
        self.begun: list[str] = []
        self.threads: set[int] = set()
        self.results: list[Any] = []

    def on_message(self, topic: str, message: Any, stamp: int) -> Sequence[Event]:
        del topic, stamp
        name, _, what = message.data.partition(':')
        return (Task(name, partial(self._work, what)),)

    def on_result(self, name: str, result: Any, stamp: int) -> Sequence[Event]:
        del stamp
        self.results.append(result)
        if result == 'fail late':
            raise ArithmeticError('the result cannot be used')
        return (Output(DONE.name, String(data=f'{name}:{result}')),)

    def diagnostics(self, stamp: int) -> Sequence[Diagnostic]:
        del stamp
        return (Diagnostic('worker', Level.OK, ''),)

    def _work(self, what: str) -> str:
        self.begun.append(what)
        self.threads.add(threading.get_ident())
        self.gate.wait(10.0)
        if what == 'raise':
            raise ArithmeticError('on purpose')
        return what


class Server(Processor):
    """Answers a service, and works on a goal at each order."""

    name = 'server'
    Parameters = NoParameters
    inputs = (ORDER,)
    services = (Service('answer', 'std_srvs/srv/Trigger'),)
    actions = (Action('calibrate', 'meta_repo_ros/action/Calibrate'),)

    def __init__(self, parameters: Any, seed: int = 0) -> None:
        super().__init__(parameters, seed)
        self.goal: Any = None
        self.cancelled = 0
        self.patient = False

    def on_message(self, topic: str, message: Any, stamp: int) -> Sequence[Event]:
        del topic, stamp
        if message.data == 'feedback':
            return (Feedback('calibrate', Calibrate.Feedback(state='collecting', frames=3)),)
        if message.data == 'wrong':
            return (Finished('calibrate', GoalStatus.SUCCEEDED, String()),)
        return (self._finished(GoalStatus(message.data)),)

    def on_request(self, service: str, request: Any, response: Any, stamp: int) -> Sequence[Event]:
        del request, stamp
        response.message = f'{service} asked'
        if self.goal is not None:
            raise ArithmeticError('busy')
        response.success = True
        return ()

    def on_goal(self, action: str, goal: Any, stamp: int) -> str:
        del action, stamp
        if goal.calibration_type == 'break':
            raise ArithmeticError('broken goal')
        if goal.calibration_type != 'full':
            return f'no calibration {goal.calibration_type!r}'
        self.goal = goal
        return ''

    def on_cancel(self, action: str, stamp: int) -> Sequence[Event]:
        del action, stamp
        self.cancelled += 1
        return () if self.patient else (self._finished(GoalStatus.CANCELED),)

    def reset(self, stamp: int) -> None:
        del stamp
        self.goal = None

    def _finished(self, status: GoalStatus) -> Finished:
        self.goal = None
        result = Calibrate.Result(success=status is GoalStatus.SUCCEEDED, message='at the end')
        return Finished('calibrate', status, result)


class Camera(Processor):
    """Publishes ``image`` at each order, as it is."""

    name = 'camera'
    Parameters = NoParameters
    inputs = (ORDER,)
    outputs = (IMAGE,)

    def __init__(self, parameters: Any, seed: int = 0) -> None:
        super().__init__(parameters, seed)
        self.image = Image()

    def on_message(self, topic: str, message: Any, stamp: int) -> Sequence[Event]:
        del topic, stamp
        self.image = Image()
        self.image.header.frame_id = message.data
        return (Output(IMAGE.name, self.image),)


class Viewer(Processor):
    """Keeps the images that it gets."""

    name = 'viewer'
    Parameters = NoParameters
    inputs = (IMAGE,)

    def __init__(self, parameters: Any, seed: int = 0) -> None:
        super().__init__(parameters, seed)
        self.images: list[Any] = []

    @property
    def frames(self) -> list[str]:
        return [image.header.frame_id for image in self.images]

    def on_message(self, topic: str, message: Any, stamp: int) -> Sequence[Event]:
        del topic, stamp
        self.images.append(message)
        return ()
