# SPDX-License-Identifier: Apache-2.0
"""A vehicle flown by JSBSim: the only module that knows JSBSim, its units and its axes.

The aircraft comes from the files inside the ``jsbsim`` package. At run time a copy of its top
file is written to a temporary folder with one addition, an ``external_reactions`` section, which
JSBSim needs to take forces from outside and which no property can add later; all other files are
loaded from where they are.
"""

from __future__ import annotations

import math
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

import jsbsim

from meta_repo_ros.control.setpoints import Command
from meta_repo_ros.core import rotations
from meta_repo_ros.core.rotations import Vector
from meta_repo_ros.simulation.aircraft import AIRCRAFT, Aircraft, Trim
from meta_repo_ros.simulation.effects import Wrench
from meta_repo_ros.simulation.scenario import Initial, Turbulence, Wind
from meta_repo_ros.simulation.state import VehicleState, ecef_from_enu

_FT = 0.3048
_LB = 4.4482216152605  # N per pound-force
_PSF = 47.880258980336  # Pa per lbf/ft2
_SLUG = 14.593902937206
_LBFT = _LB * _FT  # N m
_RANKINE = 1.0 / 1.8
_RPM = math.pi / 30.0
_ADRIFT = 1.0  # m/s, fastest that still counts as a hover
_HOLD = 0.05  # s between returns to where an aircraft starts while its rotor spins up
_TURBULENCE_TYPES = {'none': 0, 'milspec': 3, 'tustin': 4}

_EXTERNAL = """<external_reactions>
<force name="effects" frame="BODY"><location unit="IN"><x>0</x><y>0</y><z>0</z></location>
<direction><x>0</x><y>0</y><z>0</z></direction></force>
<moment name="effects_moment" frame="BODY"><direction><x>0</x><y>0</y><z>0</z></direction></moment>
</external_reactions>"""

_STATE_PROPERTIES = (
    'position/lat-geod-rad', 'position/long-gc-rad', 'position/geod-alt-ft', 'position/h-agl-ft',
    'position/ecef-x-ft', 'position/ecef-y-ft', 'position/ecef-z-ft',
    'velocities/v-north-fps', 'velocities/v-east-fps', 'velocities/v-down-fps',
    'attitude/phi-rad', 'attitude/theta-rad', 'attitude/psi-rad',
    'velocities/p-rad_sec', 'velocities/q-rad_sec', 'velocities/r-rad_sec',
    'velocities/vt-fps', 'aero/alpha-rad', 'aero/beta-rad',
    'atmosphere/P-psf', 'aero/qbar-psf', 'atmosphere/T-R',
    'atmosphere/total-wind-north-fps', 'atmosphere/total-wind-east-fps',
    'atmosphere/total-wind-down-fps', 'inertia/mass-slugs',
)  # fmt: skip


class VehicleError(RuntimeError):
    """The flight dynamics cannot start or go on; the text says why."""


def find_aircraft(name: str) -> Aircraft:
    """The aircraft of that name.

    Raises:
        VehicleError: there is none; the text lists those available.
    """
    found = AIRCRAFT.get(name.lower())
    if found is None:
        available = ', '.join(AIRCRAFT)
        raise VehicleError(f'aircraft {name!r} does not exist; available are {available}')
    return found


class Vehicle:
    """One JSBSim vehicle, stepped at a fixed rate.

    Args:
        aircraft: what flies.
        initial: where and how it starts.
        wind: steady wind.
        turbulence: turbulence of the air.
        tick_rate: rate at which :meth:`step` is called, Hz; the flight dynamics step a whole
            number of times in between.
        seed: of the turbulence.
        start: stamp of the initial state, ns.

    Raises:
        VehicleError: the model cannot be loaded, started or trimmed, or the rates do not fit.
    """

    def __init__(
        self,
        aircraft: Aircraft,
        initial: Initial,
        wind: Wind,
        turbulence: Turbulence,
        *,
        tick_rate: int,
        seed: int,
        start: int,
    ) -> None:
        self.aircraft = aircraft
        self._substeps = max(1, aircraft.step_rate // tick_rate)
        self._tick_ns = 1_000_000_000 // tick_rate
        self._start, self._ticks = start, 0
        self._fdm = _load(aircraft)
        self._fdm.set_dt(1.0 / (tick_rate * self._substeps))
        self._manager = self._fdm.get_property_manager()
        self._set('simulation/randomseed', seed % 2**31)
        self._set('atmosphere/randomseed', seed % 2**31)
        self._set('simulation/gravity-model', 1)
        self.trim = self._initialise(initial, wind)
        self._set('atmosphere/wind-down-fps', -wind.up / _FT)
        self._read = [self._node(name).get_double_value for name in _STATE_PROPERTIES]
        engines = [f'propulsion/engine[{i}]' for i in range(aircraft.rotors)]
        self._rpm = [self._node(f'{e}/{aircraft.rotor_speed}').get_double_value for e in engines]
        self._thrust = [self._node(f'{e}/thrust-lbs').get_double_value for e in engines]
        self._collective = (
            self._node(aircraft.collective).get_double_value if aircraft.collective else None
        )
        self._actuators = [self._node(name).set_double_value for name in aircraft.actuators]
        self._force = [
            self._node(f'external_reactions/effects/{c}').set_double_value for c in 'xyz'
        ]
        self._moment = [
            self._node(f'external_reactions/effects_moment/{c}').set_double_value for c in 'lmn'
        ]
        self._centre = [
            (
                self._node(f'inertia/cg-{c}-in').get_double_value,
                self._node(f'external_reactions/effects/location-{c}-in').set_double_value,
            )
            for c in 'xyz'
        ]
        self._set('external_reactions/effects/magnitude', 1.0)
        self._set('external_reactions/effects_moment/magnitude-lbsft', 1.0)
        self._thrust_command = math.nan
        self._origin: tuple[Vector, rotations.Quaternion] | None = None
        if aircraft.settle:
            self.trim = self._settle()
        self._stir(turbulence)
        self.state = self._sense()

    def _stir(self, turbulence: Turbulence) -> None:
        kind = _TURBULENCE_TYPES[turbulence.model]
        self._set('atmosphere/turb-type', kind)
        if kind:
            speed = turbulence.wind_at_6m / _FT
            self._set('atmosphere/turbulence/milspec/windspeed_at_20ft_AGL-fps', speed)
            self._set('atmosphere/turbulence/milspec/severity', turbulence.severity)

    def step(self, actuators: Sequence[float], wrenches: Sequence[Wrench] = ()) -> VehicleState:
        """Advance one tick.

        Args:
            actuators: the autopilot's output, in the order of the aircraft.
            wrenches: forces and moments of the effects, constant over the tick.

        Raises:
            VehicleError: JSBSim gave up, or its state is no longer finite.
        """
        self._actuate(actuators)
        if self.aircraft.thrust is not None:
            self._thrust_command = self.aircraft.thrust(actuators)
        if wrenches:
            self._apply(wrenches)
        for _ in range(self._substeps):
            if not self._fdm.run():
                raise VehicleError(f'JSBSim stopped at {self.state.time:.3f} s')
        self._ticks += 1
        self.state = self._sense()
        return self.state

    def _actuate(self, positions: Sequence[float]) -> None:
        for setter, value, sign in zip(
            self._actuators, positions, self.aircraft.signs, strict=True
        ):
            setter(sign * value)

    def _apply(self, wrenches: Sequence[Wrench]) -> None:
        # body x forward y left z up to JSBSim's x forward y right z down
        for read, write in self._centre:
            write(read())
        for setters, unit, part in ((self._force, _LB, 0), (self._moment, _LBFT, 1)):
            x, y, z = (sum(w[part][axis] for w in wrenches) / unit for axis in range(3))
            for setter, value in zip(setters, (x, -y, -z), strict=True):
                setter(value)

    def _sense(self) -> VehicleState:
        (
            lat, lon, alt, agl, x, y, z, north, east, down, phi, theta, psi, p, q, r,
            airspeed, alpha, beta, pressure, qbar, temperature, wind_n, wind_e, wind_d, mass,
        ) = (read() for read in self._read)  # fmt: skip
        position = (x * _FT, y * _FT, z * _FT)
        if not math.isfinite(sum(position) + phi + theta + psi):
            raise VehicleError(f'the flight dynamics diverged at tick {self._ticks}')
        velocity = (east * _FT, north * _FT, -down * _FT)
        orientation = rotations.from_euler(phi, -theta, 0.5 * math.pi - psi)
        to_ecef = ecef_from_enu(lat, lon)
        orientation_ecef = rotations.multiply(to_ecef, orientation)
        if self._origin is None:
            self._origin = (position, rotations.conjugate(to_ecef))
        (x0, y0, z0), to_local = self._origin
        offset = (position[0] - x0, position[1] - y0, position[2] - z0)
        elapsed = self._ticks * self._tick_ns
        return VehicleState(
            stamp=self._start + elapsed,
            time=elapsed * 1e-9,
            latitude=lat,
            longitude=lon,
            altitude=alt * _FT,
            height_above_ground=agl * _FT,
            position_ecef=position,
            velocity_ecef=rotations.rotate(to_ecef, velocity),
            local_position=rotations.rotate(to_local, offset),
            velocity=velocity,
            orientation=orientation,
            orientation_ecef=orientation_ecef,
            orientation_local=rotations.multiply(to_local, orientation_ecef),
            body_rate=(p, -q, -r),
            airspeed=airspeed * _FT,
            angle_of_attack=alpha,
            sideslip=beta,
            static_pressure=pressure * _PSF,
            dynamic_pressure=qbar * _PSF,
            temperature=temperature * _RANKINE,
            wind=(wind_e * _FT, wind_n * _FT, -wind_d * _FT),
            rotor_speed=tuple(abs(read()) * _RPM for read in self._rpm),
            thrust=sum(read() for read in self._thrust) * _LB,
            thrust_command=self._thrust_command,
            collective=math.nan if self._collective is None else self._collective(),
            mass=mass * _SLUG,
        )

    def _initialise(self, initial: Initial, wind: Wind) -> Trim:
        fdm, kind = self._fdm, self.aircraft
        self._set('ic/terrain-elevation-ft', (initial.altitude - initial.height) / _FT)
        self._set('ic/lat-geod-deg', initial.latitude)
        self._set('ic/long-gc-deg', initial.longitude)
        self._set('ic/h-sl-ft', initial.altitude / _FT)
        self._set('ic/psi-true-deg', initial.heading)
        self._set('ic/theta-deg', 0.0)
        self._set('ic/phi-deg', 0.0)
        if initial.airspeed and not kind.trimmed:
            raise VehicleError('this aircraft starts in a hover: initial.airspeed must be 0')
        # JSBSim's own conversion from airspeed with wind errs: give it the velocity over ground
        towards, heading = math.radians(wind.direction + 180.0), math.radians(initial.heading)
        self._set('ic/vw-mag-fps', wind.speed / _FT)
        self._set('ic/vw-dir-deg', wind.direction + 180.0)
        carried = wind.speed if kind.trimmed else 0.0
        north = initial.airspeed * math.cos(heading) + carried * math.cos(towards)
        east = initial.airspeed * math.sin(heading) + carried * math.sin(towards)
        for axis, value in (('n', north), ('e', east), ('d', 0.0)):
            self._set(f'ic/v{axis}-fps', value / _FT)
        for name, value in kind.properties.items():
            self._set(name, value)
        self._start_engines()
        if kind.hover:
            return self._spin_up()
        try:
            fdm.do_trim(0)
        except jsbsim.TrimFailureError as error:
            raise VehicleError(
                f'cannot trim {kind.model} at {initial.airspeed} m/s and {initial.altitude} m: '
                'choose an airspeed and altitude at which it can fly level'
            ) from error
        return Trim(fdm['fcs/throttle-cmd-norm'], fdm['attitude/theta-rad'])

    def _start_engines(self) -> None:
        if not self._fdm.run_ic():
            raise VehicleError(f'JSBSim cannot start {self.aircraft.model} from this initial state')
        for name, value in self.aircraft.running.items():
            self._set(name, value)

    def _spin_up(self) -> Trim:
        """Let the rotors reach hover speed, then put the vehicle back to where it starts."""
        kind = self.aircraft
        controls = kind.controls or (kind.hover,) * len(kind.actuators)
        for name, sign, value in zip(kind.actuators, kind.signs, controls, strict=True):
            self._set(name, sign * value)
        hold = round(_HOLD / self._fdm.get_delta_t()) if kind.settle else 0
        for step in range(round(kind.spin_up / self._fdm.get_delta_t())):
            self._fdm.run()
            if hold and step % hold == 0:
                # a rotor that takes long would let it fall from the sky
                self._fdm.run_ic()
        self._return()
        return Trim(kind.hover, 0.0, controls=controls)

    def _settle(self) -> Trim:
        """Hover under the autopilot, then put the vehicle back to where it starts, trimmed."""
        autopilot = self.aircraft.autopilot(self.trim)
        still = Command(velocity=(0.0, 0.0, 0.0))
        dt = self._tick_ns * 1e-9
        controls = self.trim.controls
        for _ in range(round(self.aircraft.settle / dt)):
            controls = autopilot.control(self._sense(), still, dt)
            self._actuate(controls)
            for _ in range(self._substeps):
                self._fdm.run()
        adrift = math.hypot(*self._sense().velocity)
        if adrift > _ADRIFT:
            raise VehicleError(
                f'{self.aircraft.model} cannot hover here, it drifts at {adrift:.1f} m/s after '
                f'{self.aircraft.settle:g} s: start lower, or in less wind'
            )
        roll, pitch = self._fdm['attitude/phi-rad'], self._fdm['attitude/theta-rad']
        self._set('ic/phi-deg', math.degrees(roll))
        self._set('ic/theta-deg', math.degrees(pitch))
        self._return()
        self._origin = None
        return Trim(self.trim.throttle, pitch, roll, controls)

    def _return(self) -> None:
        if not self._fdm.run_ic():
            raise VehicleError('JSBSim cannot return to the initial state')

    def _node(self, name: str) -> jsbsim.FGPropertyNode:
        node = self._manager.get_node(name)
        if node is None:
            raise VehicleError(f'{self.aircraft.model} has no JSBSim property {name!r}')
        return node

    def _set(self, name: str, value: float) -> None:
        self._fdm.set_property_value(name, value)


def _load(aircraft: Aircraft) -> jsbsim.FGFDMExec:
    jsbsim.set_logger(jsbsim.DefaultLogger(jsbsim.LogLevel.FATAL))
    root = Path(jsbsim.get_default_root_dir())
    folder = root / 'aircraft' / aircraft.model
    source = folder / f'{aircraft.model}.xml'
    if not source.is_file():
        raise VehicleError(f'the installed jsbsim has no aircraft {aircraft.model!r} ({source})')
    tree = ET.parse(source)  # noqa: S314  the file is part of an installed package
    top = tree.getroot()
    # the oldest version that JSBSim takes without a warning on every start
    top.set('version', '2.0')
    for child in list(top):
        name = child.get('file')
        if name in aircraft.removed or child.tag == 'output':
            top.remove(child)
        elif name and (folder / name).is_file():
            child.set('file', str(folder / name))
    before = [child.tag for child in top].index('aerodynamics')
    top.insert(before, ET.fromstring(_EXTERNAL))  # noqa: S314  our own text
    fdm = jsbsim.FGFDMExec(str(root))
    fdm.set_debug_level(0)
    with tempfile.TemporaryDirectory(prefix='meta_repo_aircraft_') as scratch:
        copy = Path(scratch) / aircraft.model / source.name
        copy.parent.mkdir()
        tree.write(copy)
        for inner in folder.iterdir():
            if inner.is_dir():  # its engines and systems, looked for beside the top file
                (copy.parent / inner.name).symlink_to(inner)
        fdm.set_aircraft_path(scratch)
        if not fdm.load_model(aircraft.model):
            raise VehicleError(f'JSBSim cannot load {aircraft.model!r} from {source}')
    return fdm
