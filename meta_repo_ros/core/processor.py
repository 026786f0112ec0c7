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
from collections.abc import Mapping, Sequence
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


class Level(enum.IntEnum):
    """Levels of ``diagnostic_msgs/DiagnosticStatus`` (REP-107)."""

    OK = 0
    WARN = 1
    ERROR = 2
    STALE = 3


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

    Args:
        parameters: an instance of ``Parameters``.
        seed: seed of all randomness in here.
    """

    name: ClassVar[str]
    Parameters: ClassVar[type]
    inputs: ClassVar[tuple[Topic, ...]] = ()
    outputs: ClassVar[tuple[Topic, ...]] = ()

    def __init__(self, parameters: Any, seed: int = 0) -> None:
        self.parameters = parameters
        self.seed = seed

    @property
    def timer_period_ns(self) -> int | None:
        """Period of :meth:`on_timer` in nanoseconds, None for no timer."""
        return None

    @abstractmethod
    def on_message(self, topic: str, message: Any, stamp: int) -> Sequence[Output]:
        """Take one message of the declared input ``topic``.

        Args:
            topic: the declared (unremapped) name.
            message: object with ROS field names.
            stamp: receive time, ns, of the host's clock (recorded receive time offline).
        """

    def on_timer(self, stamp: int) -> Sequence[Output]:  # noqa: ARG002
        """Timer tick at ``stamp``, ns of the host's clock."""
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
