# SPDX-License-Identifier: Apache-2.0
"""What a processor is: declared inputs, outputs and parameters; events in, outputs out.

A processor holds no clock, thread, socket or rclpy object: time comes in as stamps (integer
nanoseconds), randomness as a seed. A live host and an offline host run the same processor.

Input messages are read by their ROS field names only: the live host hands over ``rosidl``
objects, the offline host ``rosbags`` objects with the same fields; array fields may be
``numpy.ndarray`` or ``array.array``, so read them through ``numpy.asarray``. Output messages are
``rosidl`` objects, made from the generated message packages, which need no rclpy.
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple


@dataclass(frozen=True)
class Topic:
    """A topic that a processor takes or gives.

    Attributes:
        name: relative name, such as ``imu/data_raw``.
        type: full type name, such as ``sensor_msgs/msg/Imu``.
        qos: name of a preset in ``ros/qos.py``: SENSOR, STREAM, COMMAND, STATE, LATCHED,
            EVENT or BULK.
    """

    name: str
    type: str
    qos: str


class Output(NamedTuple):
    """One message to publish; ``topic`` is a declared output's name."""

    topic: str
    message: Any


class Task(NamedTuple):
    """Work too long for an event; returned among the outputs.

    The live host runs it in a worker thread of the node and hands what it returned to
    :meth:`Processor.on_result` in the event loop; one task at a time, and one that has not begun
    is dropped for a newer one of the same name. The offline host runs it at once and delivers the
    result ``latency`` later than the event, in the order of all other events.

    Attributes:
        name: what kind of work; also the key of :meth:`Processor.on_result`.
        run: called without arguments, once, in another thread: it must touch nothing that the
            processor changes later. An exception it raises goes to ``on_result`` as the result.
        latency: ns after the event at which an offline run delivers the result, >= 0.
    """

    name: str
    run: Callable[[], Any]
    latency: int = 0


@dataclass(frozen=True)
class Service:
    """A service that a processor offers.

    Attributes:
        name: relative name.
        type: full type name, such as ``std_srvs/srv/Trigger``.
    """

    name: str
    type: str


@dataclass(frozen=True)
class Action:
    """An action that a processor offers; one goal at a time.

    Attributes:
        name: relative name.
        type: full type name, such as ``meta_repo_ros/action/Calibrate``.
    """

    name: str
    type: str


class Feedback(NamedTuple):
    """Feedback of the running goal of ``action``; returned among the outputs."""

    action: str
    message: Any


class GoalStatus(enum.Enum):
    """How a goal ended."""

    SUCCEEDED = 'succeeded'
    ABORTED = 'aborted'
    CANCELED = 'canceled'


class Finished(NamedTuple):
    """The running goal of ``action`` has ended; returned among the outputs."""

    action: str
    status: GoalStatus
    result: Any


class Level(enum.IntEnum):
    """Levels of ``diagnostic_msgs/DiagnosticStatus`` (REP-107)."""

    OK = 0
    WARN = 1
    ERROR = 2
    STALE = 3


Event = Output | Task | Feedback | Finished
"""What a processor gives back for an event."""


@dataclass(frozen=True)
class Diagnostic:
    """One status row; the host prefixes ``name`` with the node's name and publishes at 1 Hz."""

    name: str
    level: Level
    message: str
    values: Mapping[str, str | int | float | bool] = field(default_factory=dict)


class Processor(ABC):
    """Base of all processors.

    Class attributes:
        name: default node name, lower_snake.
        Parameters: frozen dataclass, its fields made by :func:`core.parameters.parameter`.
        inputs, outputs: declared topics.
        services, actions: declared services and actions.

    Args:
        parameters: an instance of ``Parameters``.
        seed: seed of all randomness in here.
    """

    name: ClassVar[str]
    Parameters: ClassVar[type]
    inputs: ClassVar[tuple[Topic, ...]] = ()
    outputs: ClassVar[tuple[Topic, ...]] = ()
    services: ClassVar[tuple[Service, ...]] = ()
    actions: ClassVar[tuple[Action, ...]] = ()

    def __init__(self, parameters: Any, seed: int = 0) -> None:
        self.parameters = parameters
        self.seed = seed

    @property
    def timer_period_ns(self) -> int | None:
        """Period of :meth:`on_timer` in nanoseconds, None for no timer."""
        return None

    @abstractmethod
    def on_message(self, topic: str, message: Any, stamp: int) -> Sequence[Event]:
        """Take one message of the declared input ``topic``.

        Args:
            topic: the declared (unremapped) name.
            message: object with ROS field names.
            stamp: receive time, ns, of the host's clock (recorded receive time offline).
        """

    def on_timer(self, stamp: int) -> Sequence[Event]:  # noqa: ARG002
        """Timer tick at ``stamp``, ns of the host's clock."""
        return ()

    def on_result(self, name: str, result: Any, stamp: int) -> Sequence[Event]:  # noqa: ARG002
        """Take what the task ``name`` returned, or the exception that it raised."""
        return ()

    def on_request(self, service: str, request: Any, response: Any, stamp: int) -> Sequence[Event]:
        """Answer a request of the declared ``service``.

        Args:
            service: the declared name.
            request: object with ROS field names.
            response: the response to fill in.
            stamp: ns of the host's clock.
        """
        raise NotImplementedError(f'{self.name} declares {service} and does not answer it')

    def on_goal(self, action: str, goal: Any, stamp: int) -> str:  # noqa: ARG002
        """Take or refuse a goal of the declared ``action``; no other one is running.

        What a taken goal does, later events do; its end is a :class:`Finished` among their outputs.

        Returns:
            '' where it is taken, else why it is refused.
        """
        return f'{self.name} takes no goals'

    def on_cancel(self, action: str, stamp: int) -> Sequence[Event]:  # noqa: ARG002
        """Asked to end the running goal early; answer with :class:`Finished`, now or later."""
        return ()

    def diagnostics(self, stamp: int) -> Sequence[Diagnostic]:  # noqa: ARG002
        """Rows for ``/diagnostics``; called at 1 Hz."""
        return ()

    def set_parameters(self, parameters: Any) -> None:
        """Take a whole new parameter set between two events.

        Raises:
            ValueError: with the reason, where this set cannot be taken now; nothing changes then.
        """
        self.parameters = parameters

    def reset(self, stamp: int) -> None:  # noqa: B027
        """Forget all state: the clock jumped back to ``stamp``."""

    def safe_outputs(self, stamp: int) -> Sequence[Output]:  # noqa: ARG002
        """Last outputs before deactivation (a commanding processor releases its actuators here)."""
        return ()
