# SPDX-License-Identifier: Apache-2.0
"""Processor of the setpoint arbiter: ``setpoint/request`` in, the winner out on ``setpoint``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from meta_repo_ros.control.arbiter import Arbiter
from meta_repo_ros.control.setpoints import Setpoint, SetpointError, parse
from meta_repo_ros.core.parameters import parameter
from meta_repo_ros.core.processor import Diagnostic, Level, Output, Processor, Topic
from meta_repo_ros.core.time import seconds_ns, set_stamp
from meta_repo_ros.msg import Setpoint as Message

_TYPE = 'meta_repo_ros/msg/Setpoint'


@dataclass(frozen=True)
class SetpointArbiterParameters:
    """Parameters of the setpoint arbiter."""

    rate: float = parameter(
        50.0,
        'How often the commanding setpoint is repeated and expiry is looked at.',
        unit='Hz', minimum=1.0, maximum=500.0, read_only=True,
    )  # fmt: skip
    future_tolerance: float = parameter(
        0.1,
        'How far ahead of the clock a stamp may be, for clocks that differ.',
        unit='s', minimum=0.0, maximum=1.0,
    )  # fmt: skip
    max_validity: float = parameter(
        60.0,
        'Longest validity taken: a commander that dies holds its priority no longer than this.',
        unit='s', minimum=0.1, maximum=3600.0,
    )  # fmt: skip


class SetpointArbiter(Processor):
    """Chooses who commands: recovery > traffic > operator > mission; stale setpoints expire.

    The winner is published as soon as it changes or is renewed, and repeated at ``rate`` while it
    lives, with its own stamp, so that whoever flies can tell by itself when it is void. Nothing is
    published when nobody commands.
    """

    name = 'setpoint_arbiter'
    Parameters = SetpointArbiterParameters
    inputs = (Topic('setpoint/request', _TYPE, 'EVENT'),)
    outputs = (Topic('setpoint', _TYPE, 'COMMAND'),)

    def __init__(self, parameters: SetpointArbiterParameters, seed: int = 0) -> None:
        super().__init__(parameters, seed)
        self.parameters: SetpointArbiterParameters
        self._arbiter = Arbiter(
            seconds_ns(parameters.future_tolerance), seconds_ns(parameters.max_validity)
        )
        self._last_refusal = ''
        self._refused_before = 0
        self._published: Setpoint | None = None

    @property
    def timer_period_ns(self) -> int:
        """Period of repetition, ns."""
        return seconds_ns(1.0 / self.parameters.rate)

    def on_message(self, topic: str, message: Any, stamp: int) -> Sequence[Output]:  # noqa: ARG002
        """Take a request; publish at once where it changes who or what commands."""
        try:
            setpoint = parse(message)
        except SetpointError as error:
            self._arbiter.refuse(error)
            self._last_refusal = f'{message.sender!r}: {error}'
            return ()
        try:
            self._arbiter.offer(setpoint, stamp)
        except SetpointError as error:
            self._last_refusal = f'{setpoint.sender!r}: {error}'
            return ()
        active = self._arbiter.active(stamp)
        return self._publish(active) if active is not self._published else ()

    def on_timer(self, stamp: int) -> Sequence[Output]:
        """Drop what expired, repeat what lives."""
        return self._publish(self._arbiter.active(stamp))

    def diagnostics(self, stamp: int) -> Sequence[Diagnostic]:
        """Who commands, who waits, what was refused."""
        active, refused = self._arbiter.active(stamp), self._arbiter.refused
        total = sum(refused.values())
        news, self._refused_before = total - self._refused_before, total
        values: dict[str, str | int | float | bool] = {
            'commanding': f'{active.source.name.lower()}: {active.sender}' if active else 'nobody',
            'expires_in_s': (active.expires - stamp) / 1e9 if active else 0.0,
            'waiting': ', '.join(
                f'{s.source.name.lower()}: {s.sender}' for s in self._arbiter.live(stamp)[1:]
            ),
            'refused': total,
            'last_refusal': self._last_refusal,
        }
        values.update({f'accepted {s.name.lower()}': n for s, n in self._arbiter.accepted.items()})
        values.update({f'refused {kind}': n for kind, n in refused.items()})
        text = f'{values["commanding"]} commands'
        if news:
            text += f'; {news} refused since the last report, newest: {self._last_refusal}'
        return (Diagnostic('arbitration', Level.WARN if news else Level.OK, text, values),)

    def set_parameters(self, parameters: SetpointArbiterParameters) -> None:
        """Take a new parameter set; live setpoints stay."""
        super().set_parameters(parameters)
        self._arbiter.future_tolerance = seconds_ns(parameters.future_tolerance)
        self._arbiter.max_validity = seconds_ns(parameters.max_validity)

    def reset(self, stamp: int) -> None:  # noqa: ARG002
        """Forget all setpoints: the clock jumped back."""
        self._arbiter.reset()
        self._published = None

    def safe_outputs(self, stamp: int) -> Sequence[Output]:
        """Command nothing any more: silence, and whoever flies falls back by itself."""
        self.reset(stamp)
        return ()

    def _publish(self, active: Setpoint | None) -> Sequence[Output]:
        self._published = active
        return (Output('setpoint', to_message(active)),) if active else ()


def to_message(setpoint: Setpoint) -> Any:
    """The ``meta_repo_ros/msg/Setpoint`` of a checked setpoint."""
    message, command = Message(), setpoint.command
    set_stamp(message.header.stamp, setpoint.stamp)
    set_stamp(message.validity, setpoint.validity)
    message.source, message.sender = int(setpoint.source), setpoint.sender
    message.fields = int(command.fields)
    if command.attitude is not None:
        q = message.orientation
        q.w, q.x, q.y, q.z = command.attitude
    for vector, target in (
        (command.body_rate, message.body_rate), (command.velocity, message.velocity)
    ):  # fmt: skip
        if vector is not None:
            target.x, target.y, target.z = vector
    if command.rotor_speed is not None:
        message.rotor_speed = list(command.rotor_speed)
    for name in ('thrust', 'collective', 'altitude', 'airspeed', 'course'):
        value = getattr(command, name)
        if value is not None:
            setattr(message, name, float(value))
    return message
