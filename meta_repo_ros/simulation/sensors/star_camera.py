# SPDX-License-Identifier: Apache-2.0
"""Star camera: what each exposure saw, and where asked for, the image of it."""

from __future__ import annotations

import dataclasses
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from meta_repo_ros.core import rotations
from meta_repo_ros.core.earth import icrs_to_itrs
from meta_repo_ros.core.parameters import parameter
from meta_repo_ros.core.processor import Topic
from meta_repo_ros.core.rotations import Quaternion
from meta_repo_ros.core.time import seconds_ns
from meta_repo_ros.simulation.sensors.base import Sample, Sensor, SensorContext
from meta_repo_ros.simulation.sky import disturbances
from meta_repo_ros.simulation.sky.exposure import Exposure
from meta_repo_ros.simulation.sky.messages import (
    CAMERA_INFO,
    EXPOSURE,
    IMAGE,
    camera_info_message,
    exposure_message,
    image_buffer,
    image_message,
)
from meta_repo_ros.simulation.sky.renderer import SkyRenderer
from meta_repo_ros.simulation.sky.settings import StarCameraParameters
from meta_repo_ros.simulation.state import VehicleState


@dataclass(frozen=True)
class StarCameraSensorParameters(StarCameraParameters):
    """Parameters of the plug-in: those of the camera, and of what it gives."""

    frame_rate: float = parameter(1.0, 'Images a second.', unit='Hz', minimum=1e-3, maximum=100.0)
    render: bool = parameter(
        default=False,
        description='Whether it gives the images itself; live, the node star_camera makes them.',
    )
    latency: float = parameter(
        0.0, 'Delivery after the end of the exposure and the read-out.', unit='s', minimum=0.0,
        maximum=60.0,
    )  # fmt: skip
    seed: int = parameter(0, 'Of the patterns and noise of the images.', minimum=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.exposure > 1.0 / self.frame_rate:
            raise ValueError(
                f'exposures of {self.exposure:g} s do not fit into {self.frame_rate:g} frames a '
                'second'
            )


class StarCameraSensor(Sensor):
    """Gives ``star_camera/exposure``, and with ``render`` the image and camera_info too.

    ``rate`` is how often the motion is noted during an exposure, ``frame_rate`` how often there
    is one. A message is given when the last row has been read out; its stamp is the middle of the
    exposure of the middle row. Faults are those of ``simulation/sky/disturbances.py``: ``clouds``
    (share, optical depth), ``glow`` (mag/arcsec2), ``streaks`` (satellites, aircraft a frame),
    ``hot_pixels`` (number), ``blackout``, ``offset`` (rad, body axes), ``defocus`` (pixels),
    ``camera_stamp`` (s).
    """

    Parameters = StarCameraSensorParameters
    topics: ClassVar[tuple[Topic, ...]] = (EXPOSURE, IMAGE, CAMERA_INFO)
    default_rate: ClassVar[float] = 50.0
    faults = disturbances.FAULTS

    def __init__(self, parameters: StarCameraSensorParameters, context: SensorContext) -> None:
        super().__init__(parameters, context)
        p = parameters
        if not p.render:
            # the node star_camera gives the others: nobody is to wait for them here
            self.topics = (EXPOSURE,)  # type: ignore[misc]
        self._renderer = SkyRenderer(p, seed=p.seed) if p.render else None
        self._half = 0.5 * (p.exposure + abs(p.readout_time))
        self._period = 1.0 / p.frame_rate
        # the first exposure begins with the scenario
        self._middle = context.initial.stamp + seconds_ns(self._half)
        self._sequence = 0
        self._knots: deque[VehicleState] = deque([context.initial])

    def sample(self, state: VehicleState, rng: np.random.Generator) -> Sequence[Sample]:
        """Note the motion; at the end of an exposure, give it."""
        del rng  # an image is made from its exposure alone, so that it can be made again
        self._knots.append(state)
        half = seconds_ns(self._half)
        samples: list[Sample] = []
        while state.stamp >= self._middle + half:
            while len(self._knots) > 2 and self._knots[1].stamp <= self._middle - half:
                self._knots.popleft()
            samples += self._frame(self._time(state))
            self._sequence += 1
            self._middle += seconds_ns(self._period)
        # what lies before the next exposure is not needed any more
        while len(self._knots) > 2 and self._knots[1].stamp <= self._middle - half:
            self._knots.popleft()
        return samples

    def _frame(self, time: float) -> Sequence[Sample]:
        """What the exposure that has just ended gives; its middle was at ``time``."""
        disturbance = disturbances.at(self.context.faults, time)
        exposure = self._exposure()
        delay = seconds_ns(self.parameters.latency)
        stamp = exposure.stamp + seconds_ns(disturbance.stamp)
        shown = dataclasses.replace(exposure, stamp=stamp)
        samples = [Sample(EXPOSURE.name, exposure_message(shown), delay)]
        if self._renderer is not None:
            memory, view = image_buffer(self._renderer.camera, self.parameters.electronics.bits)
            self._renderer.render(exposure, disturbance, out=view)
            info = camera_info_message(self.parameters.declared(), stamp)
            samples += [
                Sample(IMAGE.name, image_message(memory, view, stamp), delay),
                Sample(CAMERA_INFO.name, info, delay),
            ]
        return samples

    def _time(self, state: VehicleState) -> float:
        """Middle of the exposure, s since the start of the scenario."""
        return float(state.time - (state.stamp - self._middle) * 1e-9)

    def _exposure(self) -> Exposure:
        p: StarCameraSensorParameters = self.parameters
        knots = list(self._knots)
        time = np.array([(knot.stamp - self._middle) * 1e-9 for knot in knots])
        after = int(np.clip(np.searchsorted(time, 0.0), 1, len(knots) - 1))
        a, b = knots[after - 1], knots[after]
        share = float(-time[after - 1] / (time[after] - time[after - 1]))

        def mean(x: float, y: float) -> float:
            return x + share * (y - x)

        return Exposure(
            stamp=self._middle,
            sequence=self._sequence,
            duration=p.exposure,
            gain=p.gain,
            knot_time=time,
            knot_orientation=np.array([_icrs_to_body(knot) for knot in knots]),
            latitude=math.degrees(mean(a.latitude, b.latitude)),
            longitude=math.degrees(mean(a.longitude, b.longitude)),
            altitude=mean(a.altitude, b.altitude),
            velocity=np.array([mean(*pair) for pair in zip(a.velocity, b.velocity, strict=True)]),
            pressure=mean(a.static_pressure, b.static_pressure),
            temperature=mean(a.temperature, b.temperature),
        )


def _icrs_to_body(state: VehicleState) -> Quaternion:
    return rotations.multiply(
        rotations.conjugate(state.orientation_ecef),
        rotations.from_matrix(icrs_to_itrs(state.stamp)),
    )
