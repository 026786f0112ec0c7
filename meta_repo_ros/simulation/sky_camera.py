# SPDX-License-Identifier: Apache-2.0
"""The node ``star_camera`` of a simulated flight: makes the images of the exposures.

The simulator gives what each exposure saw, which is small; here, beside it, the image is rendered
in a worker thread. Everything that this node gives is simulated.
"""

from __future__ import annotations

import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from numpy.typing import NDArray

from meta_repo_ros.core.parameters import parameter
from meta_repo_ros.core.processor import Diagnostic, Event, Level, Output, Processor, Task
from meta_repo_ros.core.time import seconds_ns
from meta_repo_ros.simulation.faults import Fault
from meta_repo_ros.simulation.library import find_scenario
from meta_repo_ros.simulation.sensors.star_camera import StarCameraSensor
from meta_repo_ros.simulation.sky import disturbances
from meta_repo_ros.simulation.sky.exposure import Exposure
from meta_repo_ros.simulation.sky.messages import (
    CAMERA_INFO,
    EXPOSURE,
    IMAGE,
    camera_info_message,
    exposure_from,
    image_buffer,
    image_message,
)
from meta_repo_ros.simulation.sky.renderer import SkyRenderer
from meta_repo_ros.simulation.sky.settings import StarCameraParameters

_RENDER = 'render'


@dataclass(frozen=True)
class SkyCameraParameters(StarCameraParameters):
    """Parameters of the node: those of the camera, and where else they may stand."""

    scenario: str = parameter(
        '',
        'Scenario, shipped or a YAML file, whose star camera with its parameters, seed and faults '
        'is this one; empty for the parameters given here.',
        read_only=True,
    )
    seed: int = parameter(0, 'Of the patterns and noise of the images.', minimum=0, read_only=True)
    latency: float = parameter(
        0.2, 'Time that an image takes, where a bag is worked on offline.', unit='s', minimum=0.0,
        maximum=60.0,
    )  # fmt: skip


class _Frame(NamedTuple):
    """A rendered image: its memory, the array that it is, the stamp."""

    memory: array.array[int]
    view: NDArray[Any]
    stamp: int


class SkyCamera(Processor):
    """Gives ``star_camera/image`` and ``camera_info`` for each ``star_camera/exposure``."""

    name = 'star_camera'
    Parameters = SkyCameraParameters
    inputs = (EXPOSURE,)
    outputs = (IMAGE, CAMERA_INFO)

    def __init__(self, parameters: SkyCameraParameters, seed: int = 0) -> None:
        super().__init__(parameters, seed)
        self._frames, self._refused, self._problem = 0, 0, ''
        self._newest = -1
        self._skipped = 0
        self._setup(parameters)

    def _setup(self, parameters: SkyCameraParameters) -> None:
        self._camera: StarCameraParameters = parameters
        self._faults: tuple[Fault, ...] = ()
        self._start = 0
        noise = parameters.seed
        if parameters.scenario:
            scenario = find_scenario(parameters.scenario)
            spec = next((s for s in scenario.sensors if issubclass(s.cls, StarCameraSensor)), None)
            if spec is None:
                raise ValueError(f'scenario {parameters.scenario!r} has no star_camera')
            self._camera, noise = spec.parameters, spec.parameters.seed
            self._faults = tuple(f for f in scenario.faults if f.sensor == spec.name)
            self._start = scenario.start
        self._renderer = SkyRenderer(self._camera, seed=noise)
        self._declared = self._camera.declared()

    def set_parameters(self, parameters: SkyCameraParameters) -> None:
        """Take new parameters; a frame being rendered keeps the old ones."""
        self._setup(parameters)
        super().set_parameters(parameters)

    def reset(self, stamp: int) -> None:
        """The clock jumped back."""
        del stamp
        self._newest = -1

    def on_message(self, topic: str, message: Any, stamp: int) -> Sequence[Event]:
        """Begin to render an exposure."""
        del topic, stamp
        try:
            exposure = exposure_from(message)
        except ValueError as error:
            self._refused += 1
            self._problem = str(error)
            return ()
        self._skipped += max(exposure.sequence - self._newest - 1, 0) if self._newest >= 0 else 0
        self._newest = exposure.sequence
        renderer, bits = self._renderer, self._camera.electronics.bits
        time = (exposure.stamp - self._start) * 1e-9
        disturbance = disturbances.at(self._faults, time)

        def run() -> _Frame:
            return _render(renderer, bits, exposure, disturbance)

        return (Task(_RENDER, run, seconds_ns(self.parameters.latency)),)

    def on_result(self, name: str, result: Any, stamp: int) -> Sequence[Event]:
        """Give the image."""
        del name, stamp
        if isinstance(result, Exception):
            self._refused += 1
            self._problem = f'cannot be rendered: {result}'
            return ()
        self._frames += 1
        return (
            Output(IMAGE.name, image_message(result.memory, result.view, result.stamp)),
            Output(CAMERA_INFO.name, camera_info_message(self._declared, result.stamp)),
        )

    def diagnostics(self, stamp: int) -> Sequence[Diagnostic]:
        """How many frames were made."""
        del stamp
        camera = self._renderer.camera
        values: dict[str, str | int | float | bool] = {
            'simulated': True,
            'width': camera.width,
            'height': camera.height,
            'bits': self._camera.electronics.bits,
            'frames': self._frames,
            'exposures_refused': self._refused,
            'exposures_not_received': self._skipped,
            'scenario': self.parameters.scenario,
        }
        if self._problem:
            text, self._problem = self._problem, ''
            return (Diagnostic('camera', Level.WARN, text, values),)
        text = f'simulated sky, {self._frames} frames'
        return (Diagnostic('camera', Level.OK, text, values),)


def _render(
    renderer: SkyRenderer,
    bits: int,
    exposure: Exposure,
    disturbance: disturbances.Disturbance,
) -> _Frame:
    memory, view = image_buffer(renderer.camera, bits)
    renderer.render(exposure, disturbance, out=view)
    return _Frame(memory, view, exposure.stamp)
