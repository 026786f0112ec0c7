# SPDX-License-Identifier: Apache-2.0
"""Renders what a star camera sees: the sky of the catalogue, its light, its errors.

The same settings, seed and exposure give the same image.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from meta_repo_ros.core import rotations
from meta_repo_ros.simulation.sky.atmosphere import Air, horizon_dip, light
from meta_repo_ros.simulation.sky.clouds import Clouds
from meta_repo_ros.simulation.sky.disturbances import NONE, Disturbance
from meta_repo_ros.simulation.sky.electronics import Image, ReadOut
from meta_repo_ros.simulation.sky.exposure import Exposure
from meta_repo_ros.simulation.sky.moon import add_disc, glare
from meta_repo_ros.simulation.sky.optics import add_points, radius_squared, width_at
from meta_repo_ros.simulation.sky.settings import Optics, Sky, StarCameraParameters
from meta_repo_ros.simulation.sky.streaks import streaks
from meta_repo_ros.simulation.sky.view import View
from meta_repo_ros.starnav.astrometry import Observer, apparent
from meta_repo_ros.starnav.camera import Camera
from meta_repo_ros.starnav.catalogue import Catalogue, load
from meta_repo_ros.starnav.planets import Body, planets
from meta_repo_ros.starnav.types import Array, Ints

_CELLS = 256  # at most along a side, of the grid on which the sky's light is found
_CELL = 4  # pixels of the image in one of them, at least
_ARCSEC = math.degrees(1.0) * 3600.0
_WIDEST = 75.0  # pixels outside of the image from which a bright star still reaches in


@dataclass(frozen=True)
class TrueStars:
    """Stars in an image, brightest first, as they truly are.

    Attributes:
        star: (n,) indices into the catalogue.
        hip: (n,) Hipparcos numbers.
        magnitude: (n,) Hp.
        position: (n, 2) u, v, pixels: mean of the trail during the exposure of the star's row.
        direction: (n, 3) apparent, GCRS axes.
        electrons: (n,) expected in the whole image of the star.
        icrs_to_camera: (3, 3) at the stamp.
    """

    star: Ints
    hip: Ints
    magnitude: Array
    position: Array
    direction: Array
    electrons: Array
    icrs_to_camera: Array

    def __len__(self) -> int:
        return len(self.star)


@dataclass(frozen=True)
class _Scene:
    """What one exposure looks at.

    Attributes:
        to_enu: rotation (3, 3) from GCRS to local axes; without a place, nothing.
    """

    view: View
    observer: Observer
    to_enu: Array
    air: Air
    sky: Sky
    optics: Optics


class SkyRenderer:
    """One star camera under the sky.

    Args:
        parameters: what it is like.
        catalogue: the stars, of which those to ``sky.magnitude_limit`` are drawn; without one,
            the shipped catalogue to that limit.
        seed: of its patterns, of the noise and of all else that is random.
    """

    def __init__(
        self, parameters: StarCameraParameters, catalogue: Catalogue | None = None, seed: int = 0
    ) -> None:
        self.parameters = parameters
        self.camera: Camera = parameters.camera()
        self.seed = seed
        limit = parameters.sky.magnitude_limit
        self.catalogue = load(limit) if catalogue is None else catalogue.brighter_than(limit)
        camera = self.camera
        self._read_out = ReadOut(parameters.electronics, camera.width, camera.height, seed)
        self._clouds = Clouds(seed)
        self._body_to_camera = rotations.conjugate(parameters.mounting())
        self._grid_uv = _grid(camera)
        rows, columns, _ = self._grid_uv.shape
        self._grid = camera.directions(self._grid_uv.reshape(-1, 2)).reshape(rows, columns, 3)
        self._day = 0
        self._catalogue_directions: Array = np.zeros((0, 3))

    def render(
        self, exposure: Exposure, disturbance: Disturbance = NONE, out: NDArray[Any] | None = None
    ) -> NDArray[Any]:
        """The image of an exposure.

        Args:
            exposure: when, where, how turned.
            disturbance: what is wrong meanwhile.
            out: array (h, w) to write into, else a new one is made.

        Returns:
            (h, w) counts, uint8 for up to 8 bits, else uint16.
        """
        electrons = self.light(exposure, disturbance)
        e = self.parameters.electronics
        electrons += np.float32(e.dark_current * exposure.duration)
        where, current = self._read_out.hot(disturbance.hot_pixels)
        np.add.at(electrons.reshape(-1), where, current * np.float32(exposure.duration))
        if e.blooming:
            self._read_out.bloom(electrons, np.flatnonzero(electrons.max(axis=0) > e.full_well))
        rng = np.random.default_rng((self.seed, 0x5EED, exposure.sequence))
        return self._read_out.counts(electrons, exposure.gain, rng, out)

    def light(self, exposure: Exposure, disturbance: Disturbance = NONE) -> Image:
        """Electrons (h, w) that light makes in each pixel, expected, before all noise."""
        size = (self.camera.width, self.camera.height)
        if disturbance.blackout:
            return np.zeros(size[::-1], np.float32)
        scene = self._scene(exposure, disturbance)
        bodies = planets(scene.observer)
        low = self._background(scene, bodies, disturbance.glow)
        image: Image = cv2.resize(low, size, interpolation=cv2.INTER_LINEAR)
        stars, sigma, tracks = self._stars(scene)
        add_points(image, tracks, _even(stars.electrons, tracks), sigma, scene.optics)
        self._add_bodies(image, scene, bodies)
        rate = self.electrons_per_second(0.0) * exposure.duration
        width = scene.optics.psf_sigma
        # which frame, not which run: the image can be made again from its exposure alone
        rng = np.random.default_rng((self.seed, 0x57AEA, exposure.sequence))
        for streak in streaks(scene.sky, self.camera, exposure.duration, width, rng):
            trail = streak.light[np.newaxis] * rate
            add_points(image, streak.track[np.newaxis], trail, np.array([width]), scene.optics)
        return image

    def truth(self, exposure: Exposure, disturbance: Disturbance = NONE) -> TrueStars:
        """The stars within the image, above the ground."""
        scene = self._scene(exposure, disturbance)
        stars, _, tracks = self._stars(scene)
        middle = _middle(tracks)
        inside = self.camera.contains(middle) & (stars.electrons > 0.0)
        return TrueStars(
            stars.star[inside], stars.hip[inside], stars.magnitude[inside], middle[inside],
            stars.direction[inside], stars.electrons[inside], stars.icrs_to_camera,
        )  # fmt: skip

    def electrons_per_second(self, magnitude: float) -> float:
        """What a star of ``magnitude`` gives above the air, on the optical axis."""
        o = self.parameters.optics
        area = 0.25 * math.pi * o.aperture**2
        efficiency = o.transmission * self.parameters.electronics.quantum_efficiency
        return float(o.zero_point * area * efficiency * 10.0 ** (-0.4 * magnitude))

    # -- light ----------------------------------------------------------------------------------

    def _scene(self, exposure: Exposure, disturbance: Disturbance) -> _Scene:
        p = self.parameters
        place: dict[str, Any] = {}
        if exposure.on_earth:
            vx, vy, vz = np.asarray(exposure.velocity, dtype=float).tolist()
            place = {
                'latitude': exposure.latitude,
                'longitude': exposure.longitude,
                'altitude': exposure.altitude,
                'velocity_enu': (vx, vy, vz),
                'pressure': exposure.pressure if p.sky.refraction else 0.0,
                'temperature': exposure.temperature,
            }
        observer = Observer(exposure.stamp, **place)
        turned = rotations.conjugate(rotations.exp(disturbance.offset))
        sky = disturbance.sky(p.sky)
        if not exposure.on_earth:
            sky = dataclasses.replace(sky, ground=False, twilight=False)
        return _Scene(
            view=View(self.camera, rotations.multiply(self._body_to_camera, turned), exposure),
            observer=observer,
            to_enu=observer.icrs_to_enu if exposure.on_earth else np.eye(3),
            air=Air(
                sky,
                exposure.pressure if exposure.on_earth else 0.0,
                horizon_dip(exposure.altitude),
            ),
            sky=sky,
            optics=disturbance.optics(p.optics),
        )

    def _background(
        self, scene: _Scene, bodies: tuple[Body, ...], glow: float
    ) -> NDArray[np.float32]:
        """Electrons of the sky's light (rows, columns) on the grid."""
        exposure, air, sky = scene.view.exposure, scene.air, scene.sky
        to_icrs = scene.view.at_stamp().T
        directions = self._grid @ (scene.to_enu @ to_icrs).T
        up = directions[..., 2]
        by_name = {body.name: body for body in bodies}
        sun = light(by_name['Sun'], scene.to_enu) if sky.twilight else None
        moon = light(by_name['Moon'], scene.to_enu) if sky.moon else None
        glow_of_air, scattered = air.brightness(up, sun, moon, directions)
        gone = np.exp(-self._clouds.depth(sky, exposure, directions))
        # a cloud hides the air glow, throws back light from below, and scatters as much of the
        # Moon's and the Sun's light as the clear air does
        brightness = (
            glow_of_air * gone
            + scattered * (2.0 - gone)
            + 10.0 ** (-0.4 * sky.cloud_brightness) * (1.0 - gone)
        )
        visible = air.visible(up)
        brightness = brightness * visible
        if glow > 0.0:
            brightness = brightness + 10.0 ** (-0.4 * glow)
        rate = self.electrons_per_second(0.0) * exposure.duration
        electrons = rate * brightness * _ARCSEC**2 / (self.camera.fx * self.camera.fy)
        for wanted, source in ((sky.moon, 'Moon'), (sky.twilight, 'Sun')):
            body = by_name[source]
            if wanted and self._seen(scene, body.direction) > 0.0:
                shine = rate * 10.0 ** (-0.4 * body.magnitude) * scene.optics.stray_light
                electrons = electrons + shine * glare(directions, scene.to_enu @ body.direction)
        return np.asarray(electrons * self._vignette(self._grid_uv), dtype=np.float32)

    def _stars(self, scene: _Scene) -> tuple[TrueStars, Array, Array]:
        """Stars that may be in the image, the widths (n,) of theirs, and their trails (n, k, 2)."""
        camera, exposure, view = self.camera, scene.view.exposure, scene.view
        rotation = view.at_stamp()
        margin = view.swept() + _WIDEST * camera.pixel_angle + math.radians(1.0)
        limit = math.cos(min(camera.radius + margin, math.pi))
        near = np.flatnonzero(self._directions(exposure.stamp) @ rotation[2] > limit)
        directions = apparent(self.catalogue, near, scene.observer)
        width = scene.optics.psf_sigma
        tracks = view.tracks(directions, width)
        middle = _middle(tracks)
        # a comparison with NaN is false: points that were not seen do not count
        inside = (tracks > -_WIDEST) & (tracks < np.array((camera.width, camera.height)) + _WIDEST)
        kept = np.all(np.any(inside, axis=1), axis=1)
        near, directions, tracks, middle = near[kept], directions[kept], tracks[kept], middle[kept]
        magnitude = self.catalogue.hp[near]
        rate = self.electrons_per_second(0.0) * exposure.duration
        electrons = rate * 10.0 ** (-0.4 * magnitude) * self._through(scene, directions)
        electrons *= self._vignette(middle)
        stars = TrueStars(
            near, self.catalogue.hip[near], magnitude, middle, directions, electrons, rotation
        )
        return stars, width_at(scene.optics, camera, middle), tracks

    def _add_bodies(self, image: Image, scene: _Scene, bodies: tuple[Body, ...]) -> None:
        sky, view = scene.sky, scene.view
        wanted = [
            body for body in bodies
            if (sky.moon if body.name == 'Moon' else sky.planets and body.name != 'Sun')
        ]  # fmt: skip
        if not wanted:
            return
        directions = np.array([body.direction for body in wanted])
        tracks = view.tracks(directions, scene.optics.psf_sigma)
        middle = _middle(tracks)
        rate = self.electrons_per_second(0.0) * view.exposure.duration
        through = self._through(scene, directions)
        for index, body in enumerate(wanted):
            electrons = rate * 10.0 ** (-0.4 * body.magnitude) * float(through[index])
            if body.name == 'Moon':
                add_disc(image, self.camera, body, view.at_stamp(), electrons)
            elif np.isfinite(middle[index]).all():
                at = middle[index : index + 1]
                track = tracks[index : index + 1]
                width = width_at(scene.optics, self.camera, at)
                point = _even(electrons * self._vignette(at), track)
                add_points(image, track, point, width, scene.optics)

    def _through(self, scene: _Scene, directions: Array) -> Array:
        """Share (n,) of the light from ``directions`` (n, 3), GCRS, that reaches the camera."""
        local = directions @ scene.to_enu.T
        up = local[:, 2]
        share = scene.air.transmission(up) * scene.air.visible(up)
        if scene.sky.clouds > 0.0:
            share = share * np.exp(-self._clouds.depth(scene.sky, scene.view.exposure, local))
        return np.asarray(share)

    def _seen(self, scene: _Scene, direction: Array) -> float:
        return float(scene.air.visible(np.asarray((scene.to_enu @ direction)[2])))

    def _vignette(self, uv: Array) -> Array:
        loss = self.parameters.optics.vignetting * radius_squared(self.camera, uv)
        return np.asarray(np.clip(1.0 - loss, 0.0, 1.0))

    def _directions(self, stamp: int) -> Array:
        """Places of the catalogue on that day, to find the stars of a field."""
        day = stamp // 86_400_000_000_000
        if day != self._day or not len(self._catalogue_directions):
            self._day, self._catalogue_directions = day, self.catalogue.directions(stamp)
        return self._catalogue_directions


def _middle(tracks: Array) -> Array:
    """Mean (n, 2) of the points of ``tracks`` (n, k, 2) that were seen; NaN without any."""
    seen = np.isfinite(tracks)
    count = seen.sum(axis=1)
    total = np.where(seen, tracks, 0.0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), math.nan)


def _even(electrons: Array, tracks: Array) -> Array:
    """``electrons`` (n,) spread evenly along ``tracks`` (n, k, 2)."""
    k = tracks.shape[1]
    return np.repeat(electrons[:, np.newaxis] / k, k, axis=1)


def _grid(camera: Camera) -> Array:
    """Centres (rows, columns, 2) of the cells of the grid, as ``cv2.resize`` lays them."""
    cell = max(_CELL, math.ceil(max(camera.width, camera.height) / _CELLS))
    columns, rows = (max(2, math.ceil(n / cell)) for n in (camera.width, camera.height))
    u = (np.arange(columns) + 0.5) * camera.width / columns - 0.5
    v = (np.arange(rows) + 0.5) * camera.height / rows - 0.5
    return np.stack(np.meshgrid(u, v), axis=-1)
