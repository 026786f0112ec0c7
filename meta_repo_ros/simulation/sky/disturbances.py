# SPDX-License-Identifier: Apache-2.0
"""What goes wrong with sky and camera when a scenario says so: faults of ``star_camera``."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from meta_repo_ros.core.rotations import Vector
from meta_repo_ros.simulation.faults import Fault
from meta_repo_ros.simulation.sky.settings import Optics, Sky

FAULTS = (
    'clouds', 'glow', 'streaks', 'hot_pixels', 'blackout', 'offset', 'defocus', 'camera_stamp',
)  # fmt: skip
"""Kinds of fault; what their values are is in :class:`Disturbance`."""


@dataclass(frozen=True)
class Disturbance:
    """What is wrong at one instant.

    Attributes:
        clouds: fault ``clouds``: share of the sky, optical depth (0 for the setting's).
        glow: fault ``glow``: brightness of a uniform glow, mag/arcsec2; 0 for none.
        streaks: fault ``streaks``: mean number of satellites and of aircraft in a frame, more.
        hot_pixels: fault ``hot_pixels``: so many more.
        blackout: fault ``blackout``: no light reaches the sensor.
        offset: fault ``offset``: the camera has been turned in its mount, rad, body axes.
        defocus: fault ``defocus``: radius of the disc of a point, pixels, more.
        stamp: fault ``camera_stamp``: the stamp of the image is so much too late, s.
    """

    clouds: tuple[float, float] = (0.0, 0.0)
    glow: float = 0.0
    streaks: tuple[float, float] = (0.0, 0.0)
    hot_pixels: int = 0
    blackout: bool = False
    offset: Vector = (0.0, 0.0, 0.0)
    defocus: float = 0.0
    stamp: float = 0.0

    def sky(self, sky: Sky) -> Sky:
        """``sky`` as disturbed."""
        cover, depth = self.clouds
        return dataclasses.replace(
            sky,
            clouds=max(sky.clouds, min(max(cover, 0.0), 1.0)),
            cloud_depth=depth if depth > 0.0 else sky.cloud_depth,
            satellites=sky.satellites + max(self.streaks[0], 0.0),
            aircraft=sky.aircraft + max(self.streaks[1], 0.0),
        )

    def optics(self, optics: Optics) -> Optics:
        """``optics`` as disturbed."""
        return dataclasses.replace(optics, defocus=optics.defocus + max(self.defocus, 0.0))


NONE = Disturbance()


def at(faults: Sequence[Fault], time: float) -> Disturbance:
    """The disturbance that ``faults`` of the camera make at ``time``, s from the start."""
    found: dict[str, Vector] = {}
    for fault in faults:
        if fault.type in FAULTS and fault.active(time):
            x, y, z = found.get(fault.type, (0.0, 0.0, 0.0))
            a, b, c = fault.at(time)
            found[fault.type] = (x + a, y + b, z + c)
    if not found:
        return NONE
    zero = (0.0, 0.0, 0.0)
    return Disturbance(
        clouds=found.get('clouds', zero)[:2],
        glow=found.get('glow', zero)[0],
        streaks=found.get('streaks', zero)[:2],
        hot_pixels=max(round(found.get('hot_pixels', zero)[0]), 0),
        blackout='blackout' in found,
        offset=found.get('offset', zero),
        defocus=found.get('defocus', zero)[0],
        stamp=found.get('camera_stamp', zero)[0],
    )
