# SPDX-License-Identifier: Apache-2.0
"""Satellite navigation receiver with its antenna at the centre of gravity."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from geometry_msgs.msg import TwistWithCovarianceStamped
from sensor_msgs.msg import NavSatFix, NavSatStatus

from meta_repo_ros.core.geodesy import FLATTENING, SEMI_MAJOR
from meta_repo_ros.core.parameters import parameter
from meta_repo_ros.core.processor import Topic
from meta_repo_ros.core.rotations import Vector
from meta_repo_ros.core.time import seconds_ns
from meta_repo_ros.simulation.sensors.base import Sample, Sensor, SensorContext, diagonal, stamped
from meta_repo_ros.simulation.state import VehicleState

_E2 = FLATTENING * (2.0 - FLATTENING)


@dataclass(frozen=True)
class GnssParameters:
    """Parameters of the satellite navigation receiver."""

    horizontal_sigma: float = parameter(0.5, 'Error of east and of north.', unit='m', minimum=0.0)
    vertical_sigma: float = parameter(1.0, 'Error of height.', unit='m', minimum=0.0)
    correlation_time: float = parameter(
        0.0, 'Time constant of the position error; 0 for white noise.', unit='s', minimum=0.0
    )
    horizontal_velocity_sigma: float = parameter(
        0.05, 'Error of east and of north velocity.', unit='m/s', minimum=0.0
    )
    vertical_velocity_sigma: float = parameter(
        0.08, 'Error of up velocity.', unit='m/s', minimum=0.0
    )
    latency: float = parameter(
        0.1, 'Delivery after the time of validity.', unit='s', minimum=0.0, maximum=10.0
    )
    declared_scale: float = parameter(
        1.0, 'Declared over true standard deviation; below 1 the receiver boasts.', minimum=0.01
    )


class GnssSensor(Sensor):
    """Gives ``gnss/fix`` and ``gnss/velocity`` (ENU), with covariance, after the latency.

    Faults: ``offset`` adds ``value + rate * t`` (m, east north up) to the position and ``rate`` to
    the velocity: a jump, or a spoofer that drags the fix away consistently; ``position_offset``
    the same without touching the velocity; ``nan``. An outage is silence, as of a receiver that
    has lost its signals.
    """

    Parameters = GnssParameters
    topics = (
        Topic('gnss/fix', 'sensor_msgs/msg/NavSatFix', 'SENSOR'),
        Topic('gnss/velocity', 'geometry_msgs/msg/TwistWithCovarianceStamped', 'SENSOR'),
    )
    default_rate: ClassVar[float] = 10.0
    faults = ('offset', 'position_offset', 'nan')

    def __init__(self, parameters: GnssParameters, context: SensorContext) -> None:
        super().__init__(parameters, context)
        p = parameters
        self._sigma = (p.horizontal_sigma, p.horizontal_sigma, p.vertical_sigma)
        self._velocity_sigma = (
            p.horizontal_velocity_sigma, p.horizontal_velocity_sigma, p.vertical_velocity_sigma,
        )  # fmt: skip
        # first-order Gauss-Markov process, exact for this step
        self._keep = (
            math.exp(-1.0 / (context.rate * p.correlation_time))
            if (p.correlation_time > 0.0)
            else 0.0
        )
        self._error: list[float] | None = None
        declared = [max((s * p.declared_scale) ** 2, 1e-12) for s in self._sigma]
        self._position_covariance = diagonal(*declared)
        self._velocity_covariance = np.zeros(36)
        self._velocity_covariance[[0, 7, 14]] = [
            max((s * p.declared_scale) ** 2, 1e-12) for s in self._velocity_sigma
        ]
        self._delay = seconds_ns(p.latency)

    def sample(self, state: VehicleState, rng: np.random.Generator) -> Sequence[Sample]:
        """Measure."""
        noise = rng.standard_normal(6).tolist()
        east, north, up = self._position_error(noise[:3])
        velocity = [
            v + s * n
            for v, s, n in zip(state.velocity, self._velocity_sigma, noise[3:], strict=True)
        ]
        spoofed, pulled = self._spoofing(state)
        velocity = [v + s for v, s in zip(velocity, pulled, strict=True)]
        east, north, up = east + spoofed[0], north + spoofed[1], up + spoofed[2]
        if self.fault('nan', state.time) is not None:
            east = north = up = math.nan
            velocity = [math.nan] * 3
        fix = stamped(NavSatFix(), state.stamp)
        fix.latitude, fix.longitude = _moved(state, east, north)
        fix.altitude = state.altitude + up
        fix.status.status = NavSatStatus.STATUS_FIX
        fix.status.service = NavSatStatus.SERVICE_GPS
        fix.position_covariance = self._position_covariance
        fix.position_covariance_type = NavSatFix.COVARIANCE_TYPE_DIAGONAL_KNOWN
        twist = stamped(TwistWithCovarianceStamped(), state.stamp, 'enu')
        linear = twist.twist.twist.linear
        linear.x, linear.y, linear.z = velocity
        twist.twist.covariance = self._velocity_covariance
        return (
            Sample('gnss/fix', fix, self._delay),
            Sample('gnss/velocity', twist, self._delay),
        )

    def _position_error(self, noise: list[float]) -> list[float]:
        fresh = [s * n for s, n in zip(self._sigma, noise, strict=True)]
        if self._error is None:
            self._error = fresh
        else:
            drive = math.sqrt(1.0 - self._keep * self._keep)
            self._error = [
                self._keep * e + drive * f for e, f in zip(self._error, fresh, strict=True)
            ]
        return self._error

    def _spoofing(self, state: VehicleState) -> tuple[Vector, Vector]:
        x = y = z = u = v = w = 0.0
        for fault in self.context.faults:
            if fault.type in {'offset', 'position_offset'} and fault.active(state.time):
                a, b, c = fault.at(state.time)
                x, y, z = x + a, y + b, z + c
                if fault.type == 'offset':
                    a, b, c = fault.rate
                    u, v, w = u + a, v + b, w + c
        return (x, y, z), (u, v, w)


def _moved(state: VehicleState, east: float, north: float) -> tuple[float, float]:
    """Latitude and longitude, deg, after a move (m) along the ellipsoid's principal curvatures."""
    sine = math.sin(state.latitude)
    w = math.sqrt(1.0 - _E2 * sine * sine)
    across = SEMI_MAJOR / w
    along = SEMI_MAJOR * (1.0 - _E2) / (w * w * w)
    latitude = state.latitude + north / (along + state.altitude)
    longitude = state.longitude + east / ((across + state.altitude) * math.cos(state.latitude))
    return math.degrees(latitude), math.degrees(longitude)
