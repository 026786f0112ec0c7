# SPDX-License-Identifier: Apache-2.0
"""What a commander wants of a vehicle, and the reasons to refuse it.

The message is ``meta_repo_ros/msg/Setpoint``; this is its checked form, free of ROS. Angles in
rad, SI units, earth frame ENU, body x forward y left z up, quaternions w first.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from meta_repo_ros.core.rotations import Quaternion, Vector
from meta_repo_ros.core.time import NANOSECONDS, stamp_ns

MAX_ROTORS = 16
_UNIT_TOLERANCE = 1e-3


class Source(enum.IntEnum):
    """Who commands; the value is the priority and the message's constant."""

    MISSION = 10
    OPERATOR = 20
    TRAFFIC = 30
    RECOVERY = 40


class Field(enum.IntFlag):
    """Which values are commanded; the values are the message's constants."""

    ATTITUDE = 1
    BODY_RATE = 2
    THRUST = 4
    ROTOR_SPEED = 8
    COLLECTIVE = 16
    ALTITUDE = 32
    AIRSPEED = 64
    COURSE = 128
    VELOCITY = 256


class SetpointError(ValueError):
    """A setpoint that is refused; the text says why, ``kind`` is the name to count it under."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Command:
    """Values to reach; None is not commanded.

    Attributes:
        attitude: body to ENU.
        body_rate: rad/s, body axes.
        thrust: fraction of the greatest thrust or throttle, 0 to 1.
        rotor_speed: rad/s, one per rotor.
        collective: rad.
        altitude: m above the WGS84 ellipsoid.
        airspeed: m/s, true.
        course: rad over ground, counter-clockwise from east.
        velocity: m/s over ground, ENU.
    """

    attitude: Quaternion | None = None
    body_rate: Vector | None = None
    thrust: float | None = None
    rotor_speed: tuple[float, ...] | None = None
    collective: float | None = None
    altitude: float | None = None
    airspeed: float | None = None
    course: float | None = None
    velocity: Vector | None = None

    @property
    def fields(self) -> Field:
        """Mask of what is commanded."""
        mask = Field(0)
        for name, field in _NAMES:
            if getattr(self, name) is not None:
                mask |= field
        return mask


_NAMES = tuple((field.name.lower(), field) for field in Field if field.name)


@dataclass(frozen=True, slots=True)
class Setpoint:
    """A checked setpoint.

    Attributes:
        stamp: time of issue, ns.
        validity: ns, > 0.
        source: who commands; the priority.
        sender: name of the commanding node.
        command: what it wants.
    """

    stamp: int
    validity: int
    source: Source
    sender: str
    command: Command

    @property
    def expires(self) -> int:
        """Time from which on it is void, ns."""
        return self.stamp + self.validity


def parse(message: Any) -> Setpoint:
    """Check a ``Setpoint`` message by itself (not against a clock: see :func:`check_age`).

    Raises:
        SetpointError: unknown source, zero stamp, validity not positive, nothing or something
            unknown commanded, a value that is not finite, not of unit norm or out of range.
    """
    try:
        source = Source(int(message.source))
    except ValueError:
        known = ', '.join(f'{s.value} {s.name}' for s in Source)
        raise SetpointError(
            'unknown source', f'source {message.source} is unknown; known are {known}'
        ) from None
    stamp = stamp_ns(message.header.stamp)
    if stamp <= 0:
        raise SetpointError('zero stamp', 'header.stamp is zero: the time of issue is needed')
    validity = int(message.validity.sec) * NANOSECONDS + int(message.validity.nanosec)
    if validity <= 0:
        raise SetpointError('no validity', f'validity must be positive, got {validity / 1e9} s')
    return Setpoint(stamp, validity, source, str(message.sender), _command(message))


def check_age(setpoint: Setpoint, now: int, future_tolerance: int) -> None:
    """Check a setpoint against the clock.

    Args:
        setpoint: what to check.
        now: ns.
        future_tolerance: how far ahead of ``now`` a stamp may be (clocks differ), ns.

    Raises:
        SetpointError: expired, or issued in the future.
    """
    if setpoint.expires <= now:
        late = (now - setpoint.expires) / 1e9
        raise SetpointError('expired', f'expired {late:.3f} s ago: send it sooner or valid longer')
    if setpoint.stamp > now + future_tolerance:
        ahead = (setpoint.stamp - now) / 1e9
        raise SetpointError(
            'future stamp', f'stamped {ahead:.3f} s ahead of the clock: are clocks synchronised?'
        )


def _command(message: Any) -> Command:
    mask = int(message.fields)
    unknown = mask & ~int(sum(Field))
    if unknown:
        raise SetpointError('bad fields', f'fields has unknown bits {unknown:#x}')
    if not mask:
        raise SetpointError('bad fields', 'fields is 0: nothing is commanded')
    return Command(**{name: _READ[field](message) for name, field in _NAMES if mask & field})


def _number(name: str, value: Any, low: float = -math.inf, high: float = math.inf) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise SetpointError('not finite', f'{name} is {number}')
    if not low <= number <= high:
        raise SetpointError('out of range', f'{name} is {number}, allowed is {low} to {high}')
    return number


def _vector(name: str, value: Any) -> Vector:
    return (
        _number(f'{name}.x', value.x),
        _number(f'{name}.y', value.y),
        _number(f'{name}.z', value.z),
    )


def _rotor_speed(values: Sequence[Any]) -> tuple[float, ...]:
    if not 0 < len(values) <= MAX_ROTORS:
        raise SetpointError('bad fields', f'rotor_speed has {len(values)} values')
    return tuple(_number(f'rotor_speed[{i}]', v, 0.0) for i, v in enumerate(values))


def _unit(value: Any) -> Quaternion:
    w, x, y, z = (_number(f'orientation.{c}', getattr(value, c)) for c in 'wxyz')
    norm = math.sqrt(w * w + x * x + y * y + z * z)
    if abs(norm - 1.0) > _UNIT_TOLERANCE:
        raise SetpointError('not a rotation', f'orientation has norm {norm:.6g}, must be 1')
    return (w / norm, x / norm, y / norm, z / norm)


_READ: dict[Field, Callable[[Any], Any]] = {
    Field.ATTITUDE: lambda m: _unit(m.orientation),
    Field.BODY_RATE: lambda m: _vector('body_rate', m.body_rate),
    Field.THRUST: lambda m: _number('thrust', m.thrust, 0.0, 1.0),
    Field.ROTOR_SPEED: lambda m: _rotor_speed(m.rotor_speed),
    Field.COLLECTIVE: lambda m: _number('collective', m.collective),
    Field.ALTITUDE: lambda m: _number('altitude', m.altitude),
    Field.AIRSPEED: lambda m: _number('airspeed', m.airspeed, 0.0),
    Field.COURSE: lambda m: _number('course', m.course),
    Field.VELOCITY: lambda m: _vector('velocity', m.velocity),
}
