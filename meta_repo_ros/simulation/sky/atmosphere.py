# SPDX-License-Identifier: Apache-2.0
"""Light of the sky: air glow, Moon, twilight and day; and what the air takes from the stars.

Brightness is the flux of a square arc second over that of magnitude 0, in V.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from meta_repo_ros.core.geodesy import SEMI_MAJOR
from meta_repo_ros.simulation.sky.settings import Sky
from meta_repo_ros.starnav.planets import Body
from meta_repo_ros.starnav.types import Array

_SEA_LEVEL = 101325.0
# sky over the zenith distance of the Sun in deg, V per square arc second: day and dusk from
# measured illuminance, from 95 deg on Patat et al. 2006, A&A 455, 385, table 2 (V)
_SUN = np.array((0.0, 80.0, 85.0, 90.0, *np.arange(95.0, 108.1, 1.0)))
_SUN_V = np.concatenate((
    (2.5, 3.3, 4.0, 6.5),
    11.84 + 1.518 * (_SUN[4:] - 95.0) - 0.057 * (_SUN[4:] - 95.0) ** 2,
))  # fmt: skip


@dataclass(frozen=True)
class Light:
    """Sun or Moon as seen from the camera.

    Attributes:
        direction: (3,) east north up, unit.
        phase_angle: Sun, body, observer, rad; 0 when full.
    """

    direction: Array
    phase_angle: float = 0.0


def light(body: Body, to_enu: Array) -> Light:
    """The source of light that ``body`` is; ``to_enu`` turns GCRS axes into east north up."""
    phase = math.acos(max(-1.0, min(1.0, 2.0 * body.illuminated - 1.0)))
    return Light(to_enu @ body.direction, phase)


@dataclass(frozen=True)
class Air:
    """The air above the camera.

    Attributes:
        sky: settings.
        pressure: Pa; 0 above the air.
        dip: the horizon lies so far below the horizontal, rad.
    """

    sky: Sky
    pressure: float
    dip: float

    @property
    def column(self) -> float:
        """Air above the camera over that at sea level."""
        return min(max(self.pressure / _SEA_LEVEL, 0.0), 1.2)

    def transmission(self, sine: Array) -> Array:
        """Share (...) of starlight that arrives from apparent elevations of sine ``sine``."""
        k = self.sky.extinction * self.column
        return np.asarray(10.0 ** (-0.4 * k * airmass(sine)))

    def visible(self, sine: Array) -> Array:
        """Share (...) of directions above the horizon: 0 or 1, soft over 0.05 deg."""
        if not self.sky.ground:
            return np.ones_like(sine)
        above = np.arcsin(np.clip(sine, -1.0, 1.0)) + self.dip
        return np.asarray(np.clip(above / math.radians(0.05) + 0.5, 0.0, 1.0))

    def brightness(
        self, up: Array, sun: Light | None, moon: Light | None, dirs: Array
    ) -> tuple[Array, Array]:
        """Brightness (...) of the sky towards ``dirs`` (..., 3), whose sine is ``up`` (...).

        Returns:
            From beyond the clouds (air glow), and of the Moon and the Sun scattered by the air.
        """
        k = self.sky.extinction * self.column
        longer = (1.0 - 0.96 * (1.0 - np.clip(up, 0.0, 1.0) ** 2)) ** -0.5
        dark = 10.0 ** (-0.4 * self.sky.brightness)
        glow = np.asarray(dark * longer * 10.0 ** (-0.4 * k * (longer - 1.0)))
        scattered = np.zeros_like(glow)
        if moon is not None:
            scattered = scattered + self._moonlight(k, longer, moon, dirs)
        if sun is not None:
            scattered = scattered + self._sunlight(up, sun, dirs)
        return glow, scattered

    def _moonlight(self, k: float, longer: Array, moon: Light, dirs: Array) -> Array:
        """Scattered moonlight: Krisciunas & Schaefer 1991, PASP 103, 1033, eq. 3, 15 to 21."""
        height = float(moon.direction[2])
        if height <= 0.0 or k <= 0.0:
            return np.zeros_like(longer)
        rho = np.degrees(np.arccos(np.clip(dirs @ moon.direction, -1.0, 1.0)))
        phase = math.degrees(moon.phase_angle)
        illuminance = 10.0 ** (-0.4 * (3.84 + 0.026 * phase + 4e-9 * phase**4))
        haze = np.maximum(6.2e7 / np.maximum(rho, 0.5) ** 2, 10.0 ** (6.15 - rho / 40.0))
        scatter = 10.0**5.36 * (1.06 + np.cos(np.radians(rho)) ** 2) + haze
        way = (1.0 - 0.96 * (1.0 - height**2)) ** -0.5
        nanolamberts = (
            scatter * illuminance * 10.0 ** (-0.4 * k * way) * (1.0 - 10.0 ** (-0.4 * k * longer))
        )
        magnitude = (20.7233 - np.log(np.maximum(nanolamberts, 1e-9) / 34.08)) / 0.92104
        return np.asarray(10.0 ** (-0.4 * magnitude))

    def _sunlight(self, up: Array, sun: Light, dirs: Array) -> Array:
        """Twilight and day: the zenith's, brighter towards the Sun and down to the horizon."""
        zenith_distance = math.degrees(math.acos(max(-1.0, min(1.0, float(sun.direction[2])))))
        if zenith_distance > _SUN[-1]:
            return np.zeros_like(up)
        zenith = 10.0 ** (-0.4 * float(np.interp(zenith_distance, _SUN, _SUN_V)))
        horizontal = np.asarray(sun.direction[:2])
        length = float(np.hypot(*horizontal))
        towards = dirs[..., :2] @ (horizontal / length) if length > 1e-6 else np.zeros_like(up)
        # about 2 mag from the zenith to the horizon on the side of the Sun
        return np.asarray(zenith * self.column * 10.0 ** (0.4 * (towards + 1.0 - np.abs(up))))


def airmass(sine: Array) -> Array:
    """Air mass by Kasten & Young 1989 for sines of apparent elevations; 40 below the horizon."""
    elevation = np.degrees(np.arcsin(np.clip(sine, 0.0, 1.0)))
    return np.asarray(1.0 / (np.clip(sine, 0.0, 1.0) + 0.50572 * (elevation + 6.07995) ** -1.6364))


def horizon_dip(altitude: float) -> float:
    """How far the horizon lies below the horizontal, rad, at ``altitude`` m, without refraction."""
    return math.acos(SEMI_MAJOR / (SEMI_MAJOR + max(altitude, 0.0)))
