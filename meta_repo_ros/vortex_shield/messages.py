# SPDX-License-Identifier: Apache-2.0
"""ROS messages of the node vortex_shield: read into checked values, made from decisions."""

from __future__ import annotations

import array
import math
from typing import Any, NamedTuple

from meta_repo_ros.control.processor import to_message
from meta_repo_ros.control.setpoints import Command, Setpoint, Source
from meta_repo_ros.core.messages import Template
from meta_repo_ros.core.rotations import Quaternion, Vector, rotate
from meta_repo_ros.core.time import NANOSECONDS, stamp_ns
from meta_repo_ros.msg import RecoveryCommand, VortexDetection
from meta_repo_ros.vortex_shield.types import Detection, Phase, RecoveryPlan

GAS_CONSTANT = 287.05287  # J/(kg K), dry air (ISO 2533)
LONGEST_NOTE = 256
MOST_FEATURES = 16
_UNIT_TOLERANCE = 1e-3
_FASTEST = 500.0  # m/s, no rotorcraft comes near
_FASTEST_ROTOR = 1e4  # rad/s
_PRESSURES = (1.0e3, 1.2e5)  # Pa
_TEMPERATURES = (150.0, 350.0)  # K
_HEIGHTS = (-100.0, 3.0e4)  # m
_ALTITUDES = (-1.0e3, 1.0e5)  # m
_DETECTION = (
    'header.stamp.sec', 'header.stamp.nanosec', 'block_sequence', 'oldest_sample.sec',
    'oldest_sample.nanosec', 'level', 'probability', 'risk', 'evidence', 'time_to_onset',
    'normalised_descent', 'normalised_airspeed', 'hover_induced_velocity', 'voices', 'features',
    'feature_scores', 'note',
)  # fmt: skip
_COMMAND = (
    'header.stamp.sec', 'header.stamp.nanosec', 'block_sequence', 'oldest_sample.sec',
    'oldest_sample.nanosec', 'phase', 'variant', 'tilt', 'direction', 'rotor_speed_change',
    'collective_limit', 'predicted_altitude_loss', 'predicted_duration', 'height_available',
    'height_margin', 'assured', 'reason',
)  # fmt: skip


class RefusedError(ValueError):
    """A message that cannot be used; the text is a short reason, used as a counter's key."""


class Motion(NamedTuple):
    """Of ``odometry``: stamp ns, body to ENU, velocity over ground m/s ENU, height over origin m.

    ``vertical_sigma`` and ``horizontal_sigma`` are standard deviations of the velocity, m/s; NaN
    where the covariance is unknown.
    """

    stamp: int
    orientation: Quaternion
    velocity: Vector
    up: float
    vertical_sigma: float
    horizontal_sigma: float


class Air(NamedTuple):
    """Of ``air_data``: NaN (``wind``: None) where it is not measured.

    Attributes:
        stamp: ns.
        airspeed: true, m/s; ``airspeed_variance`` m2/s2.
        density: kg/m3.
        wind: m/s ENU; ``wind_vertical_sigma``, ``wind_horizontal_sigma`` m/s, NaN if unknown.
        height: above ground, m.
    """

    stamp: int
    airspeed: float
    airspeed_variance: float
    density: float
    wind: Vector | None
    wind_vertical_sigma: float
    wind_horizontal_sigma: float
    height: float


class Rotors(NamedTuple):
    """Of ``rotor_state``: stamp ns, mean speed rad/s, thrust command N, collective rad; or NaN."""

    stamp: int
    speed: float
    thrust: float
    collective: float


# -- reading ---------------------------------------------------------------------------------------
def valid_stamp(message: Any) -> int:
    """Stamp of the header, ns.

    Raises:
        RefusedError: it is zero.
    """
    stamp = stamp_ns(message.header.stamp)
    if stamp <= 0:
        raise RefusedError('no stamp')
    return stamp


def check_frame(given: str, frame: str) -> None:
    """Refuse another frame; an empty one passes, the prefix of a vehicle does not count."""
    if given not in {'', frame} and not given.endswith('/' + frame):
        raise RefusedError('wrong frame')


def read_motion(message: Any, base_frame: str) -> Motion:
    """``nav_msgs/Odometry``, whose twist is in the body frame.

    Raises:
        RefusedError: no stamp, another frame, not finite, out of range, no unit quaternion.
    """
    stamp = valid_stamp(message)
    check_frame(message.child_frame_id, base_frame)
    pose, twist = message.pose.pose, message.twist.twist
    o, v = pose.orientation, twist.linear
    up = float(pose.position.z)
    q = (float(o.w), float(o.x), float(o.y), float(o.z))
    body = (float(v.x), float(v.y), float(v.z))
    if not math.isfinite(sum(q) + sum(body) + up):
        raise RefusedError('not finite')
    if abs(math.hypot(*q) - 1.0) > _UNIT_TOLERANCE:
        raise RefusedError('not a unit quaternion')
    if max(map(abs, body)) > _FASTEST:
        raise RefusedError('out of range')
    c = message.twist.covariance
    # body axes lie near enough to level for a standard deviation
    vertical, across = float(c[14]), max(float(c[0]), float(c[7]))
    known = vertical > 0.0 and across > 0.0 and math.isfinite(vertical + across)
    if not known and (vertical < 0.0 or across < 0.0 or not math.isfinite(vertical + across)):
        raise RefusedError('bad covariance')
    return Motion(
        stamp,
        q,
        rotate(q, body),
        up,
        math.sqrt(vertical) if known else math.nan,
        math.sqrt(across) if known else math.nan,
    )


def read_air(message: Any, base_frame: str) -> Air:
    """``AirData``; single values that cannot be are NaN, so that the others can still be used.

    Raises:
        RefusedError: no stamp, another frame, or nothing in it can be used.
    """
    stamp = valid_stamp(message)
    check_frame(message.header.frame_id, base_frame)
    airspeed = _within(message.true_airspeed, 0.0, _FASTEST)
    variance = _within(message.airspeed_variance, 0.0, _FASTEST**2)
    pressure = _within(message.static_pressure, *_PRESSURES)
    temperature = _within(message.temperature, *_TEMPERATURES)
    height = _within(message.height_above_ground, *_HEIGHTS)
    w = message.wind
    wind: Vector | None = (float(w.x), float(w.y), float(w.z))
    if not math.hypot(w.x, w.y, w.z) < _FASTEST:  # NaN is not, either
        wind = None
    c = message.wind_covariance
    across, vertical = max(float(c[0]), float(c[4])), float(c[8])
    if wind is None and all(map(math.isnan, (airspeed, pressure, height))):
        raise RefusedError('nothing measured')
    return Air(
        stamp,
        airspeed,
        variance if variance > 0.0 else math.nan,
        pressure / (GAS_CONSTANT * temperature),
        wind,
        math.sqrt(vertical) if vertical > 0.0 else math.nan,
        math.sqrt(across) if across > 0.0 else math.nan,
        height,
    )


def read_rotors(message: Any, base_frame: str) -> Rotors:
    """``RotorState``; a rotor whose speed cannot be is left out of the mean.

    Raises:
        RefusedError: no stamp, another frame, or nothing in it can be used.
    """
    stamp = valid_stamp(message)
    check_frame(message.header.frame_id, base_frame)
    speeds = [s for s in map(float, message.speed) if 0.0 <= s < _FASTEST_ROTOR]
    thrust = float(message.thrust_command)
    thrust = thrust if 0.0 <= thrust < math.inf else math.nan
    if not speeds and math.isnan(thrust):
        raise RefusedError('nothing measured')
    speed = sum(speeds) / len(speeds) if speeds else math.nan
    return Rotors(stamp, speed, thrust, float(message.collective))


def read_origin(message: Any) -> float:
    """Altitude of the origin of ``odometry`` above the ellipsoid, m.

    Raises:
        RefusedError: it is none.
    """
    altitude = _within(message.altitude, *_ALTITUDES)
    if math.isnan(altitude):
        raise RefusedError('not finite')
    return altitude


def _within(value: Any, low: float, high: float) -> float:
    number = float(value)
    return number if low <= number <= high else math.nan


# -- making ----------------------------------------------------------------------------------------
class DetectionTemplate:
    """Makes ``VortexDetection`` of a :class:`Detection`, hundreds a second.

    Args:
        frame: of the rotor hub.
    """

    def __init__(self, frame: str) -> None:
        message = VortexDetection()
        message.header.frame_id = frame
        self._make = Template(message, *_DETECTION)

    def __call__(self, d: Detection) -> Any:
        """The message of one decision."""
        sec, nanosec = divmod(d.stamp, NANOSECONDS)
        oldest_sec, oldest_nanosec = divmod(d.oldest, NANOSECONDS)
        return self._make(
            sec, nanosec, d.sequence, oldest_sec, oldest_nanosec, int(d.level),
            float(d.probability), float(d.risk), float(d.evidence), float(d.time_to_onset),
            float(d.normalised_descent), float(d.normalised_airspeed),
            float(d.hover_induced_velocity), int(d.voices), list(d.features[:MOST_FEATURES]),
            array.array('d', d.scores[:MOST_FEATURES]), _short(d.note),
        )  # fmt: skip


class CommandTemplate:
    """Makes ``RecoveryCommand`` of a :class:`RecoveryPlan`, hundreds a second.

    Args:
        frame: body frame.
    """

    def __init__(self, frame: str) -> None:
        message = RecoveryCommand()
        message.header.frame_id = frame
        self._make = Template(message, *_COMMAND)

    def __call__(self, p: RecoveryPlan) -> Any:
        """The message of one plan."""
        sec, nanosec = divmod(p.stamp, NANOSECONDS)
        oldest_sec, oldest_nanosec = divmod(p.oldest, NANOSECONDS)
        return self._make(
            sec, nanosec, p.sequence, oldest_sec, oldest_nanosec, int(p.phase), int(p.variant),
            float(p.tilt), float(p.direction), float(p.rotor_speed_change),
            float(p.collective_limit), float(p.predicted_loss), float(p.predicted_duration),
            float(p.height_available), float(p.height_margin), bool(p.assured), _short(p.reason),
        )  # fmt: skip


def setpoint_message(
    plan: RecoveryPlan, stamp: int, *, validity: int, sender: str, rotors: int, frame: str
) -> Any | None:
    """What of a plan is to be flown now as ``Setpoint`` of the highest priority; None for nothing.

    Args:
        plan: in a phase that is flown.
        stamp: of issue, ns of the host's clock, by which the arbiter judges the age.
        validity: ns.
        sender: name of the node.
        rotors: number of rotors, which all get the plan's speed.
        frame: Earth-fixed frame of the orientation.
    """
    if plan.phase not in (Phase.EXIT, Phase.CLIMB_OUT):
        return None
    speed = None if plan.rotor_speed is None else (float(plan.rotor_speed),) * rotors
    command = Command(attitude=plan.orientation, thrust=plan.thrust, rotor_speed=speed)
    if not command.fields:
        return None
    message = to_message(Setpoint(stamp, validity, Source.RECOVERY, sender, command))
    message.header.frame_id = frame
    return message


def _short(text: str) -> str:
    """Within the bound of the message, which counts bytes."""
    if len(text) <= LONGEST_NOTE and text.isascii():
        return text
    return text.encode()[:LONGEST_NOTE].decode(errors='ignore')
