# SPDX-License-Identifier: Apache-2.0
"""Small processors that show what their host does with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sensor_msgs.msg import Imu

from meta_repo_ros.core.parameters import parameter
from meta_repo_ros.core.processor import Diagnostic, Level, Output, Processor, Topic
from meta_repo_ros.core.time import set_stamp

if TYPE_CHECKING:
    from collections.abc import Sequence

INPUT = Topic('imu/data_raw', 'sensor_msgs/msg/Imu', 'STREAM')
OUTPUT = Topic('imu/data', 'sensor_msgs/msg/Imu', 'STREAM')


@dataclass(frozen=True)
class ProbeParameters:
    gain: float = parameter(1.0, 'Factor.', unit='m', minimum=0.0, maximum=10.0)
    low: float = parameter(0.0, 'Lower limit.')
    high: float = parameter(1.0, 'Upper limit.')
    mode: str = parameter('plain', 'Behaviour.', choices=('plain', 'raise', 'refuse', 'break'))
    weights: tuple[float, ...] = parameter((), 'Weights.')
    rate: int = parameter(0, 'Timer rate, 0 for none.', unit='Hz', minimum=0, read_only=True)

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError(f'low ({self.low}) must not exceed high ({self.high})')


class Probe(Processor):
    """Output: ``linear_acceleration`` = (input number, gain, timer ticks), stamp = receive time."""

    name = 'probe'
    Parameters = ProbeParameters
    inputs = (INPUT,)
    outputs = (OUTPUT,)

    def __init__(self, parameters: ProbeParameters, seed: int = 0) -> None:
        super().__init__(parameters, seed)
        if parameters.mode == 'refuse':
            raise ValueError('mode refuse refuses')
        if parameters.mode == 'break':
            raise KeyError('mode break breaks')
        self.count = 0
        self.ticks = 0
        self.resets: list[int] = []

    @property
    def timer_period_ns(self) -> int | None:
        return 1_000_000_000 // self.parameters.rate if self.parameters.rate else None

    def on_message(self, topic: str, message: Any, stamp: int) -> Sequence[Output]:
        del message
        if self.parameters.mode == 'raise':
            raise ArithmeticError('mode raise raises')
        self.count += 1
        return (Output(OUTPUT.name, self._output(stamp)),) if topic == INPUT.name else ()

    def on_timer(self, stamp: int) -> Sequence[Output]:
        self.ticks += 1
        return (Output(OUTPUT.name, self._output(stamp)),)

    def diagnostics(self, stamp: int) -> Sequence[Diagnostic]:
        return (Diagnostic('input', Level.OK, 'counting', {'count': self.count, 'stamp': stamp}),)

    def set_parameters(self, parameters: ProbeParameters) -> None:
        if parameters.gain == 7.0:
            raise ValueError('gain 7 cannot be taken in flight')
        super().set_parameters(parameters)

    def reset(self, stamp: int) -> None:
        self.count = 0
        self.resets.append(stamp)

    def safe_outputs(self, stamp: int) -> Sequence[Output]:
        message = self._output(stamp)
        message.header.frame_id = 'safe'
        return (Output(OUTPUT.name, message),)

    def _output(self, stamp: int) -> Imu:
        message = Imu()
        set_stamp(message.header.stamp, stamp)
        message.linear_acceleration.x = float(self.count)
        message.linear_acceleration.y = self.parameters.gain
        message.linear_acceleration.z = float(self.ticks)
        return message


class First(Probe):
    name = 'first'


class Second(Probe):
    name = 'second'


class Third(Probe):
    name = 'third'


class LatchedProbe(Processor):
    """Keeps the frames of what came on a latched topic."""

    name = 'latched_probe'
    Parameters = ProbeParameters
    inputs = (Topic('odometry/origin', 'sensor_msgs/msg/Imu', 'LATCHED'),)

    def __init__(self, parameters: ProbeParameters, seed: int = 0) -> None:
        super().__init__(parameters, seed)
        self.frames: list[str] = []

    def on_message(self, topic: str, message: Any, stamp: int) -> Sequence[Output]:
        del topic, stamp
        self.frames.append(message.header.frame_id)
        return ()

    def reset(self, stamp: int) -> None:
        del stamp
        self.frames.clear()
