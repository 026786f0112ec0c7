# SPDX-License-Identifier: Apache-2.0
"""Flies a rotorcraft out of its vortex ring: when, which way, how long, and what it will cost.

The manoeuvre: tilt the disk within its limit, sideways (Vuichard) or forward, whichever loses less
altitude; do not raise thrust while deep in the ring, which only feeds it; once the airspeed has
blown the ring away, stop the descent; hand back. Every decision is made anew at every block.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from meta_repo_ros.core import rotations
from meta_repo_ros.core.rotations import Quaternion
from meta_repo_ros.core.rotorcraft import STANDARD_GRAVITY, Rotorcraft
from meta_repo_ros.vortex_shield.recovery_choice import (
    SURE,
    Choice,
    Chooser,
    Situation,
    attitude,
    tilt_towards,
)
from meta_repo_ros.vortex_shield.recovery_parameters import RecoveryParameters, RecoverySettings
from meta_repo_ros.vortex_shield.recovery_prediction import NEVER, Prediction
from meta_repo_ros.vortex_shield.recovery_state import FlightView, View
from meta_repo_ros.vortex_shield.recovery_thrust import ThrustLaw
from meta_repo_ros.vortex_shield.types import (
    Detection,
    FlightState,
    Level,
    Phase,
    RecoveryPlan,
    Variant,
)

__all__ = ['Recovery', 'RecoveryParameters', 'RecoverySettings']

_FLOWN = (Phase.EXIT, Phase.CLIMB_OUT)
_NO_CHOICE = Choice(Variant.NONE, 0.0, NEVER, NEVER, '')
_LONGEST_STEP = 0.1  # s
_CALM = 50_000_000  # ns
_FADING = 0.6  # airspeed over v_h that surely ends a ring which is not full
_GENTLE = 0.3  # sink rate over v_h that no boundary lies below
_LONGEST_REASON = 256


class _Fly(NamedTuple):
    """What is commanded now."""

    tilt: float = 0.0
    orientation: Quaternion | None = None
    thrust: float | None = None
    rotor_speed: float | None = None
    rotor_speed_change: float = 0.0


class Recovery:
    """The recovery of one rotorcraft.

    Args:
        rotorcraft: which.
        parameters: limits and settings.

    Attributes:
        phase: where it is.
    """

    def __init__(
        self, rotorcraft: Rotorcraft, parameters: RecoveryParameters | None = None
    ) -> None:
        self._rotorcraft = rotorcraft
        self._parameters = parameters or RecoveryParameters()
        self._chooser = Chooser(rotorcraft, self._parameters)
        self._view = FlightView(rotorcraft, self._parameters.settings)
        self._law = ThrustLaw(rotorcraft, self._parameters)
        self.reset()

    def reset(self) -> None:
        """Forget the past: the clock jumped, or the node starts again."""
        self.phase = Phase.NONE
        self._view.reset()
        self._choice = _NO_CHOICE
        self._stamp = self._warned = self._clear = self._seen = self._sighted = 0
        self._ended = -(1 << 62)
        self._began = 0
        self._stood_down = False
        self._turn = 0
        self._heading = 0.0
        self._gained = 0.0  # airspeed by dead reckoning since the exit began, m/s
        self._reason = ''

    def update(self, detection: Detection, flight: FlightState | None) -> RecoveryPlan:
        """Decide at one block.

        Args:
            detection: of this block.
            flight: the newest flight state; None where there is none.
        """
        now = detection.stamp
        dt = min(max((now - self._stamp) * 1e-9, 0.0), _LONGEST_STEP) if self._stamp else 0.0
        self._stamp = now
        if self.phase in (Phase.COMPLETE, Phase.ABORTED):
            self.phase = Phase.NONE
        view = self._view.look(flight, now)
        level = detection.level
        warned = level >= Level.INCIPIENT
        self._count(level, now)
        if self._stood_down:
            self._stood_down = warned
        elif self.phase == Phase.NONE and level >= Level.MARGIN:
            self.phase = Phase.PREPARE
            self._reason = ''
            self._turn = 0
        if self.phase == Phase.PREPARE:
            return self._prepare(detection, view)
        if self.phase in _FLOWN:
            return self._fly(detection, view, dt)
        return self._plan(detection, view, _Fly(), 'stood down' if self._stood_down else '')

    def stand_down(self, stamp: int, reason: str = 'stood down') -> RecoveryPlan | None:
        """Give up now; nothing is flown again before the warning has gone.

        Args:
            stamp: ns.
            reason: for people.

        Returns:
            The last plan, ABORTED; None where none was active.
        """
        active = self.phase in (Phase.PREPARE, *_FLOWN)
        self._stood_down = True
        if not active:
            return None
        self.phase = Phase.ABORTED
        self._ended = -(1 << 62)
        return RecoveryPlan(
            stamp, 0, stamp, Phase.ABORTED, self._choice.variant, 0.0, self._choice.direction, 0.0,
            self._law.limit(deep=False), 0.0, 0.0, math.nan, math.nan, assured=False,
            reason=reason[:_LONGEST_REASON],
        )  # fmt: skip

    # -- phases ------------------------------------------------------------------------------------
    def _count(self, level: Level, now: int) -> None:
        """Keep since when the level warns, or is clear."""
        if level >= Level.INCIPIENT:
            self._warned = self._warned or now
            self._clear = 0
        elif level != Level.UNKNOWN:
            self._clear = self._clear or now
            self._warned = 0
        if level != Level.UNKNOWN:
            self._seen = now

    def _prepare(self, detection: Detection, view: View) -> RecoveryPlan:
        now, s = detection.stamp, self._parameters.settings
        self._law.begin(self._view.thrust_fraction, self._view.rotor_speed, view.density)
        ready = self._flyable(view)
        must = self._must_fly(detection, now)
        if ready and (must or self._turn % 4 == 0) and view.orientation is not None:
            situation = self._situation(detection, view, view.orientation)
            self._choice = self._chooser.choose(situation)
        elif not ready:
            self._choice = _NO_CHOICE
        self._turn += 1
        if must and ready:
            self.phase = Phase.EXIT
            self._began, self._gained, self._turn = now, 0.0, 0
            self._heading = rotations.yaw(view.orientation or rotations.IDENTITY)
            self._reason = self._choice.why
            return self._fly(detection, view, 0.0)
        gone = self._clear and (
            detection.level <= Level.NONE and now - self._clear >= s.clear_time * 1e9
        )
        lost = detection.level == Level.UNKNOWN and now - self._seen > s.blind_time * 1e9
        if gone or lost:
            self.phase = Phase.COMPLETE
            self._ended = now
            return self._plan(detection, view, _Fly(), 'warning over, nothing was flown')
        why = self._choice.why
        if must:
            why = f'cannot fly it: {self._obstacle(view)}'
        elif not ready:
            why = self._obstacle(view)
        return self._plan(detection, view, _Fly(), why)

    def _must_fly(self, detection: Detection, now: int) -> bool:
        s = self._parameters.settings
        if s.fly_from == 'never' or detection.level < Level.INCIPIENT:
            return False
        if detection.level == Level.DEVELOPED:
            return True
        if s.fly_from == 'developed':
            return False
        again = now - self._ended <= s.return_time * 1e9
        return again or now - self._warned >= s.persistence * 1e9

    def _flyable(self, view: View) -> bool:
        low = self._parameters.settings.lowest_height * self._rotorcraft.radius
        return view.orientation is not None and not view.height < low

    def _obstacle(self, view: View) -> str:
        if view.orientation is None:
            return view.missing or 'attitude unknown'
        return f'too low to tilt, {view.height:.1f} m'

    def _fly(self, detection: Detection, view: View, dt: float) -> RecoveryPlan:
        now, s = detection.stamp, self._parameters.settings
        v_h = self._v_h(detection, view)
        airspeed, sure = self._airspeed(view, dt)
        deep = self._deep(detection, view, v_h)
        sure_speed = view.airspeed - view.airspeed_sigma
        full = detection.level == Level.DEVELOPED
        fast = sure_speed >= (s.exit_airspeed if full else _FADING) * v_h
        clear = self._clear and now - self._clear >= _CALM
        if self.phase == Phase.EXIT:
            calm = self._clear and now - self._clear >= s.clear_time * 1e9
            gentle = view.sink < _GENTLE * v_h and airspeed < s.hold_airspeed * v_h
            if calm and gentle and self._tilted(view) < 0.5:
                return self._end(Phase.ABORTED, detection, view, 'the descent is normal again')
            if fast or calm or (clear and sure_speed >= s.hold_airspeed * v_h):
                self.phase = Phase.CLIMB_OUT
        elif detection.level == Level.DEVELOPED and deep and not fast:
            # back inside: what is flown now is what must not be raised
            self.phase = Phase.EXIT
            self._law.begin(self._law.fraction, view.rotor_speed, view.density)
        end = self._over(detection, view, v_h, airspeed)
        if end is not None:
            return self._end(end[0], detection, view, end[1])
        tilt = self._parameters.max_tilt * (1.0 - s.tilt_reserve)
        # before the ring is gone the airspeed is not enough, whatever it reads
        if self.phase == Phase.CLIMB_OUT and airspeed > 0.9 * v_h:
            tilt *= max(0.3, min(1.0, (1.25 * v_h - airspeed) / (0.25 * v_h)))
        climbing = self.phase == Phase.CLIMB_OUT
        present = view.rotor_speed if climbing else math.nan
        thrust = self._law.step(view.sink, tilt, dt, deep=deep, present=present)
        self._foresee(detection, view, deep=deep)
        speed = self._law.rotor_speed()
        fly = _Fly(
            tilt, attitude(self._heading, self._choice.direction, tilt), thrust,
            # thrust makes the speed of rotors of fixed pitch: one of the two is to be commanded
            None if self._rotorcraft.fixed_pitch else speed,
            self._law.change(present),
        )  # fmt: skip
        reason = self._reason
        if deep:
            reason += '; deep in the ring: thrust held'
        if not sure:
            reason += '; airspeed reckoned'
        if not self._law.known:
            reason += '; thrust flown unknown, nominal taken'
        return self._plan(detection, view, fly, reason)

    def _over(
        self, detection: Detection, view: View, v_h: float, airspeed: float
    ) -> tuple[Phase, str] | None:
        """How it ends now, and why; None while it goes on."""
        now, s = detection.stamp, self._parameters.settings
        elapsed = (now - self._began) * 1e-9
        scale = v_h / (STANDARD_GRAVITY * math.tan(self._parameters.max_tilt))
        calm = detection.level < Level.INCIPIENT
        if self.phase == Phase.CLIMB_OUT and calm and view.sink <= s.end_sink * v_h:
            return Phase.COMPLETE, f'out of the ring after {elapsed:.1f} s'
        if self.phase == Phase.CLIMB_OUT and math.isnan(view.sink) and elapsed > 3.0 * scale:
            return Phase.COMPLETE, f'airspeed {airspeed:.1f} m/s; sink rate unknown'
        if not view.blind:
            self._sighted = now
        blind = (now - max(self._sighted, self._began)) * 1e-9
        if blind > s.blind_time:
            return Phase.ABORTED, f'flight state lost for {blind:.1f} s: {view.missing}'
        if now - self._seen > s.blind_time * 1e9 and detection.level == Level.UNKNOWN:
            return Phase.ABORTED, 'no detection any longer'
        if elapsed > s.longest * scale:
            return Phase.ABORTED, f'not out of it after {elapsed:.0f} s'
        return None

    def _end(self, phase: Phase, detection: Detection, view: View, reason: str) -> RecoveryPlan:
        self.phase = phase
        self._ended = detection.stamp
        return self._plan(detection, view, _Fly(), reason)

    # -- what they need ----------------------------------------------------------------------------
    def _v_h(self, detection: Detection, view: View) -> float:
        told = float(detection.hover_induced_velocity)
        if 0.1 < told < 100.0:
            return told
        return self._rotorcraft.hover_induced_velocity(view.density)

    def _deep(self, detection: Detection, view: View, v_h: float) -> bool:
        """Whether more thrust would only feed the ring."""
        s = self._parameters.settings
        descent = view.sink / v_h
        if detection.level < Level.INCIPIENT:
            return False
        if detection.level == Level.INCIPIENT and not descent >= s.deep_descent:
            return False
        sigmas = SURE if detection.level == Level.DEVELOPED else 1.0
        # an airspeed that is not known has not been reached
        return not view.airspeed - sigmas * view.airspeed_sigma >= s.hold_airspeed * v_h

    def _airspeed(self, view: View, dt: float) -> tuple[float, bool]:
        """Airspeed, m/s, and whether it is measured and not reckoned from the tilt."""
        goal = self._parameters.max_tilt
        tilt = goal if view.orientation is None else (
            tilt_towards(view.orientation, self._choice.direction)
        )  # fmt: skip
        self._gained += STANDARD_GRAVITY * math.tan(max(-goal, min(tilt, goal))) * dt
        if math.isfinite(view.airspeed):
            return view.airspeed, True
        return max(0.8 * self._gained, 0.0), False

    def _tilted(self, view: View) -> float:
        """Tilt reached over the tilt commanded."""
        if view.orientation is None:
            return 1.0
        return tilt_towards(view.orientation, self._choice.direction) / self._parameters.max_tilt

    def _situation(self, detection: Detection, view: View, orientation: Quaternion) -> Situation:
        v_h = self._v_h(detection, view)
        thrust = self._law.ratio(self._law.fraction) if self._law.known else math.nan
        # what a prediction starts from: a warning that has not become a ring yet will not wait
        deep = self._deep(detection, view, v_h)
        return Situation(
            view.sink, view.airspeed, view.sink_sigma, view.airspeed_sigma, view.air, view.wind,
            orientation, self._view.lift, thrust, self._law.most, view.density, v_h, deep,
        )  # fmt: skip

    def _foresee(self, detection: Detection, view: View, *, deep: bool) -> None:
        """Predict the rest of it, nominal and adverse in turn."""
        self._turn += 1
        if view.orientation is None or self._turn % 2:
            return
        situation = self._situation(detection, view, view.orientation)._replace(deep=deep)
        choice = self._choice
        adverse = self._turn % 4 == 0
        found: Prediction = self._chooser.predict(
            situation, choice.variant, choice.direction, adverse=adverse
        )
        if adverse:
            self._choice = choice._replace(adverse=found)
        else:
            self._choice = choice._replace(prediction=found)

    def _plan(self, detection: Detection, view: View, fly: _Fly, reason: str) -> RecoveryPlan:
        active = self.phase in (Phase.PREPARE, *_FLOWN)
        choice = self._choice if active else _NO_CHOICE
        loss, duration = choice.prediction if active else (0.0, 0.0)
        margin, assured = math.nan, False
        if active:
            if math.isfinite(view.height):
                margin = view.height / max(loss, 0.1)
            assured = bool(
                margin >= self._parameters.safety_margin
                and choice.adverse.loss <= view.height
                and math.isfinite(view.sink + view.airspeed)
            )
            if not assured:
                reason = f'recovery not assured: {self._doubt(view, choice, margin)}; {reason}'
        deep = self.phase == Phase.EXIT and self._deep(detection, view, self._v_h(detection, view))
        limit = self._law.limit(deep=deep) if active else 1.0
        return RecoveryPlan(
            detection.stamp, detection.sequence, detection.oldest, self.phase, choice.variant,
            fly.tilt, choice.direction, fly.rotor_speed_change, limit, loss, duration, view.height,
            margin, assured, reason[:_LONGEST_REASON], fly.orientation, fly.thrust,
            fly.rotor_speed,
        )  # fmt: skip

    def _doubt(self, view: View, choice: Choice, margin: float) -> str:
        if view.missing:
            return f'{view.missing}' if 'state' in view.missing else f'{view.missing} unknown'
        if math.isinf(choice.prediction.loss):
            return 'thrust within the limits does not stop the descent'
        if not margin >= self._parameters.safety_margin:
            return (
                f'{view.height:.0f} m is {margin:.1f} times the {choice.prediction.loss:.0f} m '
                f'needed, not {self._parameters.safety_margin:g}'
            )
        return f'may lose {choice.adverse.loss:.0f} m, has {view.height:.0f} m'
