# SPDX-License-Identifier: Apache-2.0
"""State of the vortex ring of a rotor: phenomenological, with memory, truth for all who ask.

Two plug-ins of one simulation that cannot see each other, the force on the airframe and the
sensors at the rotor, each step a twin of the same wake: same seed, same states, same ring.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from meta_repo_ros.core.rotations import conjugate, rotate
from meta_repo_ros.core.rotorcraft import STANDARD_GRAVITY, Rotorcraft
from meta_repo_ros.simulation.state import VehicleState
from meta_repo_ros.simulation.wake.shape import WakeParameters, WakeShape, draw_shape

GAS_CONSTANT = 287.05287  # J/(kg K), dry air
NONE, MARGIN, INCIPIENT, DEVELOPED = range(4)
"""Levels of the truth, as ``truth_level`` of a recording has them."""

_WAKE_KEY = 0x57414B45
# of the ring's own state, not of the descent
_FIRST_SIGNS = 0.1
_BEGINNING = 0.02
_ESTABLISHED, _LOST = 0.5, 0.35
_MARGIN = 0.12


@dataclass(frozen=True, slots=True)
class WakeState:
    """The wake at one instant.

    Attributes:
        stamp: ns.
        level: 0 none; 1 margin: the ring is about to begin, or receding; 2 incipient: its first
            signs; 3 developed: its oscillation is established.
        intensity: of the ring, 0 to 1.
        deficit: mean part of the thrust that is lost, 0 to 1.
        fluctuation: of the thrust about that mean, part of the thrust, signed; without 1P.
        roll, pitch: moments about body x (forward) and y (left) over thrust times radius, signed.
        one_per_rev: force along the shaft at rotor frequency, part of the thrust, signed.
        ring_phase: of the shedding, rad, unwrapped.
        ring_strength: of the present ring against the mean one.
        tilt_direction: azimuth of the m = 1 mode from body x, rad.
        buffet: broadband part of the fluctuation, unit variance.
        rotor_phase: azimuth of the first blade, rad, unwrapped.
        normalised_descent: along the shaft through the air over v_h, positive down.
        normalised_airspeed: in the plane of the disk over v_h.
        hover_induced_velocity: m/s.
    """

    stamp: int
    level: int
    intensity: float
    deficit: float
    fluctuation: float
    roll: float
    pitch: float
    one_per_rev: float
    ring_phase: float
    ring_strength: float
    tilt_direction: float
    buffet: float
    rotor_phase: float
    normalised_descent: float
    normalised_airspeed: float
    hover_induced_velocity: float

    @property
    def thrust_factor(self) -> float:
        """Thrust over what it would be without a ring, without 1P, >= 0."""
        return max(0.0, 1.0 - self.deficit + self.fluctuation)


def wake_seed(rng: np.random.Generator) -> int:
    """Seed of the wake, the same for every plug-in of one scenario.

    Args:
        rng: the plug-in's own generator, as the simulator gave it: its entropy is the scenario's
            seed whatever the plug-in is called.
    """
    sequence = rng.bit_generator.seed_seq
    entropy = getattr(sequence, 'entropy', None)
    if entropy is None:
        raise ValueError('this generator was not made from a seed, so no twin of it can be')
    own = np.random.SeedSequence(entropy, spawn_key=(_WAKE_KEY,))
    return int(own.generate_state(1, np.uint64)[0])


class RotorWake:
    """The wake of one rotorcraft; equal rotors are taken to share one ring.

    Args:
        rotorcraft: whose.
        parameters: ranges that it is drawn from.
        seed: what it is drawn with; see :func:`wake_seed`.

    Attributes:
        shape: what was drawn.
    """

    def __init__(self, rotorcraft: Rotorcraft, parameters: WakeParameters, seed: int) -> None:
        self.rotorcraft = rotorcraft
        sequence = np.random.SeedSequence(seed, spawn_key=(parameters.salt,))
        shape_rng, self._rng = (np.random.default_rng(s) for s in sequence.spawn(2))
        self.shape: WakeShape = draw_shape(parameters, shape_rng)
        self._state: WakeState | None = None
        self._normals: list[float] = []
        self._intensity = 0.0
        self._target = 0.0
        self._formed = False
        self._level = NONE
        self._energy = 0.0  # mean square of the realised fluctuation
        self._slow_descent = self._slow_airspeed = 0.0
        self._log_period = 0.0
        self._phase, self._rotor_phase = self._rng.uniform(0.0, 2.0 * math.pi, 2).tolist()
        self._strength = self._next_strength = 1.0
        self._buffet = self._normal()
        self._direction = float(self._rng.uniform(0.0, 2.0 * math.pi))

    def advance(self, state: VehicleState) -> WakeState:
        """The wake at the time of ``state``.

        Asked again for the same stamp it gives the same answer, and steps once only. The steps
        between two stamps hold what the newer state says.

        Raises:
            ValueError: ``state`` is older than the one before.
        """
        last = self._state
        if last is not None and state.stamp == last.stamp:
            return last
        dt = 0.0 if last is None else (state.stamp - last.stamp) * 1e-9
        if dt < 0.0:
            raise ValueError(f'the wake is {-dt:g} s ahead of the state that it was given')
        density = state.static_pressure / (GAS_CONSTANT * state.temperature)
        induced = self.rotorcraft.hover_induced_velocity(density, state.mass * STANDARD_GRAVITY)
        vx, vy, vz = state.velocity
        wx, wy, wz = state.wind
        x, y, z = rotate(conjugate(state.orientation), (vx - wx, vy - wy, vz - wz))
        speeds = state.rotor_speed
        speed = sum(speeds) / len(speeds) if speeds else 0.0
        return self.step(
            state.stamp,
            dt,
            descent=-z / induced,
            airspeed=math.hypot(x, y) / induced,
            induced=induced,
            speed=speed,
        )

    def step(
        self,
        stamp: int,
        dt: float,
        *,
        descent: float,
        airspeed: float,
        induced: float,
        speed: float,
    ) -> WakeState:
        """One step of the ring, of any length.

        Args:
            stamp: at its end, ns.
            dt: its length, s.
            descent: along the shaft through the air over v_h, positive down.
            airspeed: in the plane of the disk over v_h.
            induced: v_h, m/s.
            speed: of the rotor, rad/s.
        """
        shape = self.shape
        time_unit = self.rotorcraft.radius / induced
        target = self._target = self._quasi_steady(descent, airspeed)
        s = self._intensity
        lag = (shape.formation if target > s else shape.collapse) * time_unit
        s += (target - s) * (1.0 - math.exp(-dt / lag))
        self._intensity = s
        self._formed = s > 0.5 or (self._formed and s > 0.15)
        period = self._shed(dt, speed)
        depth = (descent - shape.peak) / shape.width
        near = math.exp(-depth * depth)
        grown = s**shape.growth if s > 1e-6 else 0.0
        swing = grown * (0.4 + 0.6 * near)
        ring = self._strength * shape.wave(self._phase)
        mixed = math.sqrt(1.0 - shape.buffet) * ring + math.sqrt(shape.buffet) * self._buffet
        fluctuation = min(0.9, max(-0.9, swing * shape.fluctuation * mixed))
        self._energy += (fluctuation * fluctuation - self._energy) * (
            1.0 - math.exp(-4.0 * dt / period)
        )
        tilt = swing * shape.moment * self._strength * shape.wave(self._phase + shape.tilt_phase)
        slow = 1.0 - math.exp(-dt / max(0.5, 5.0 * time_unit))
        self._slow_descent += slow * (descent - self._slow_descent)
        self._slow_airspeed += slow * (airspeed - self._slow_airspeed)
        self._level = self._judge()
        self._state = WakeState(
            stamp,
            self._level,
            s,
            shape.deficit * s * (0.25 + 0.75 * near),
            fluctuation,
            tilt * math.cos(self._direction),
            tilt * math.sin(self._direction),
            (shape.imbalance + s * shape.one_per_rev) * math.sin(self._rotor_phase),
            self._phase,
            self._strength,
            self._direction,
            self._buffet,
            self._rotor_phase,
            descent,
            airspeed,
            induced,
        )
        return self._state

    def _quasi_steady(self, descent: float, airspeed: float) -> float:
        """Intensity that the ring tends to."""
        shape = self.shape
        held = shape.hysteresis if self._formed else 0.0
        limit = shape.airspeed_limit * (1.0 + held)
        onset = shape.onset * (1.0 - 0.5 * held)
        end = shape.end * (1.0 + 0.25 * held)
        return (
            _smooth((descent - onset) / shape.rise)
            * _smooth((end - descent) / shape.fall)
            * _smooth((limit - airspeed) / (shape.softness * limit))
        )

    def _shed(self, dt: float, speed: float) -> float:
        """Let rings go by; the present period, s."""
        shape = self.shape
        revolutions = shape.period * math.exp(self._log_period)
        period = 2.0 * math.pi * revolutions / max(speed, 1.0)
        before = self._phase
        self._phase = before + 2.0 * math.pi * dt / period
        self._rotor_phase += speed * dt
        if dt <= 0.0:
            return period
        cycles = dt / period
        keep = math.exp(-cycles / 3.0)
        self._log_period = keep * self._log_period + (
            shape.wander * math.sqrt(1.0 - keep * keep) * self._normal()
        )
        if self._phase // (2.0 * math.pi) > before // (2.0 * math.pi):
            spread = shape.irregularity
            self._next_strength = math.exp(spread * self._normal() - spread * spread)
        # the strength changes smoothly from ring to ring
        self._strength += (self._next_strength - self._strength) * (1.0 - math.exp(-8.0 * cycles))
        keep = math.exp(-cycles / shape.buffet_time)
        self._buffet = keep * self._buffet + math.sqrt(1.0 - keep * keep) * self._normal()
        self._direction += 0.6 * math.sqrt(cycles) * self._normal()
        return period

    def _judge(self) -> int:
        """Level of the truth."""
        s, shape = self._intensity, self.shape
        realised = math.sqrt(self._energy)
        if self._level == DEVELOPED:
            developed = s >= _LOST and realised >= 0.15 * shape.fluctuation
        else:
            developed = s >= _ESTABLISHED and realised >= 0.3 * shape.fluctuation
        if developed:
            return DEVELOPED
        if s > _FIRST_SIGNS:
            return INCIPIENT
        near = (
            shape.onset - _MARGIN < self._slow_descent < shape.end + _MARGIN
            and self._slow_airspeed < shape.airspeed_limit
        )
        if near or s > _BEGINNING or self._target > _BEGINNING:
            return MARGIN
        return NONE

    def _normal(self) -> float:
        if not self._normals:
            self._normals = self._rng.standard_normal(2048).tolist()
        return self._normals.pop()


def _smooth(x: float) -> float:
    """0 below 0, 1 above 1, smooth between."""
    if x <= 0.0:
        return 0.0
    return 1.0 if x >= 1.0 else x * x * (3.0 - 2.0 * x)
