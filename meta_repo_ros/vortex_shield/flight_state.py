# SPDX-License-Identifier: Apache-2.0
"""The flight state through the air, put together from what odometry, air data and rotors say."""

from __future__ import annotations

import math

from meta_repo_ros.core.rotations import Quaternion
from meta_repo_ros.core.rotorcraft import SEA_LEVEL_DENSITY, Rotorcraft
from meta_repo_ros.core.time import NANOSECONDS
from meta_repo_ros.vortex_shield.messages import Air, Motion, RefusedError, Rotors
from meta_repo_ros.vortex_shield.types import FlightState

AIRSPEED_TIME = 0.4
"""Time constant over which squared airspeeds are averaged where the wind is unknown, s."""
# a jump back by more than this is a new clock, not a late message
_JUMP = NANOSECONDS


class FlightStates:
    """Newest of each source; together they are a :class:`FlightState`, or a reason why not.

    Motion over ground is needed. Where the air data know the wind, motion through the air is that
    over ground less the wind. Where they know the true airspeed alone, its horizontal part is what
    the sink rate leaves of it, squares averaged and freed of the noise's own square, since near
    hover the noise of an airspeed is most of it. Where there is neither, the ground speed stands
    in and the configured uncertainty of the wind has to hold.

    Args:
        max_age: a source older than this against the sample block is not used, ns.
        rotorcraft: whose; without it the thrust fraction stays unknown.
    """

    def __init__(self, max_age: int, rotorcraft: Rotorcraft | None = None) -> None:
        self.max_age = max_age
        self._rotorcraft = rotorcraft
        self.altitude = math.nan  # of the odometry's origin, m
        self.clear()

    def clear(self) -> None:
        """Forget all but the origin, which comes only once."""
        self._motion: Motion | None = None
        self._air: Air | None = None
        self._rotors: Rotors | None = None
        self._square = math.nan  # horizontal airspeed squared, averaged
        self._squared_at = 0
        self._state: FlightState | None = None
        self.note = ''

    @property
    def orientation(self) -> Quaternion | None:
        """Newest, body to ENU; None where there is none."""
        return None if self._motion is None else self._motion.orientation

    def take_motion(self, motion: Motion) -> None:
        """New motion.

        Raises:
            RefusedError: older than the one before.
        """
        _check_order(self._motion, motion)
        self._motion, self._state = motion, None

    def take_air(self, air: Air) -> None:
        """New air data.

        Raises:
            RefusedError: older than the ones before.
        """
        _check_order(self._air, air)
        self._air, self._state = air, None
        self._average(air)

    def take_rotors(self, rotors: Rotors) -> None:
        """New rotor state.

        Raises:
            RefusedError: older than the one before.
        """
        _check_order(self._rotors, rotors)
        self._rotors, self._state = rotors, None

    def at(self, stamp: int) -> FlightState | None:
        """The state for a block that ends at ``stamp`` (ns), None where there is none.

        ``note`` says afterwards what is missing of it.
        """
        motion = self._motion
        if motion is None:
            self.note = 'no odometry'
            return None
        if abs(stamp - motion.stamp) > self.max_age:
            self.note = f'odometry is {(stamp - motion.stamp) / 1e9:.1f} s old'
            return None
        if self._state is None or not self._fresh(stamp):
            self._state = self._combine(motion, stamp)
        return self._state

    def _fresh(self, stamp: int) -> bool:
        """Whether what the kept state was made of is still young enough at ``stamp``."""
        return all(
            source is None or used == (abs(stamp - source.stamp) <= self.max_age)
            for source, used in ((self._air, self._air_used), (self._rotors, self._rotors_used))
        )

    def _combine(self, motion: Motion, stamp: int) -> FlightState:
        air, rotors, notes = self._air, self._rotors, []
        if air is not None and abs(stamp - air.stamp) > self.max_age:
            air = None
        if rotors is not None and abs(stamp - rotors.stamp) > self.max_age:
            rotors = None
        self._air_used, self._rotors_used = air is not None, rotors is not None
        east, north, up = motion.velocity
        wind = None if air is None else air.wind
        sink_sigma = airspeed_sigma = math.nan
        if wind is not None and air is not None:
            east, north, up = east - wind[0], north - wind[1], up - wind[2]
            airspeed = math.hypot(east, north)
            sink_sigma = math.hypot(motion.vertical_sigma, air.wind_vertical_sigma)
            airspeed_sigma = math.hypot(motion.horizontal_sigma, air.wind_horizontal_sigma)
        elif air is not None and not math.isnan(self._square):
            airspeed = math.sqrt(max(self._square, 0.0))
            airspeed_sigma = self._airspeed_sigma(air, airspeed)
        else:
            airspeed = math.hypot(east, north)
            notes.append('no airspeed: ground speed stands for it')
        if rotors is None:
            notes.append('no rotor state: nominal thrust')
        density = SEA_LEVEL_DENSITY
        height = math.nan
        if air is not None:
            density = density if math.isnan(air.density) else air.density
            height = air.height + motion.velocity[2] * (motion.stamp - air.stamp) / NANOSECONDS
        self.note = '; '.join(notes)
        return FlightState(
            stamp=motion.stamp,
            sink_rate=-up,
            airspeed=airspeed,
            height=height,
            rotor_speed=math.nan if rotors is None else rotors.speed,
            thrust=math.nan if rotors is None else rotors.thrust,
            density=density,
            sink_sigma=sink_sigma,
            airspeed_sigma=airspeed_sigma,
            altitude=self.altitude + motion.up,
            velocity=motion.velocity,
            wind=wind,
            orientation=motion.orientation,
            thrust_fraction=self._fraction(rotors),
        )

    def _fraction(self, rotors: Rotors | None) -> float:
        if rotors is None or self._rotorcraft is None:
            return math.nan
        return self._rotorcraft.thrust_fraction(rotors.thrust, rotors.collective)

    def _average(self, air: Air) -> None:
        """Take the true airspeed into the mean of squares."""
        if math.isnan(air.airspeed) or self._motion is None:
            return
        if abs(air.stamp - self._motion.stamp) > self.max_age:
            return
        noise = 0.0 if math.isnan(air.airspeed_variance) else air.airspeed_variance
        square = air.airspeed**2 - self._motion.velocity[2] ** 2 - noise
        elapsed = (air.stamp - self._squared_at) / NANOSECONDS
        self._squared_at = air.stamp
        if math.isnan(self._square) or elapsed > self.max_age / NANOSECONDS:
            self._square = square
        else:
            self._square += (1.0 - math.exp(-elapsed / AIRSPEED_TIME)) * (square - self._square)

    def _airspeed_sigma(self, air: Air, airspeed: float) -> float:
        """Standard deviation of the horizontal airspeed from the mean of squares, m/s.

        Of a square it is 2 v sigma; ten samples in the mean make a third of it. Near zero the
        root of it is what the speed itself may be.
        """
        if math.isnan(air.airspeed_variance):
            return math.nan
        of_square = 0.6 * air.airspeed * math.sqrt(air.airspeed_variance)
        return min(of_square / max(airspeed, 1e-3), math.sqrt(of_square)) + 1e-3


def _check_order(before: Motion | Air | Rotors | None, new: Motion | Air | Rotors) -> None:
    if before is not None and before.stamp - _JUMP < new.stamp < before.stamp:
        raise RefusedError('out of order')
