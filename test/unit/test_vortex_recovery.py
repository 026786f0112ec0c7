# SPDX-License-Identifier: Apache-2.0
"""The recovery: what it predicts, which way it takes, what it never does, what it does blind."""

from __future__ import annotations

import dataclasses
import itertools
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meta_repo_ros.core import rotations
from meta_repo_ros.core.rotations import IDENTITY, rotate, yaw
from meta_repo_ros.core.rotorcraft import ROTORCRAFT, STANDARD_GRAVITY, Rotorcraft
from meta_repo_ros.vortex_shield.recovery import Recovery, RecoveryParameters, RecoverySettings
from meta_repo_ros.vortex_shield.recovery_choice import attitude, tilt_towards
from meta_repo_ros.vortex_shield.recovery_prediction import (
    NEVER,
    Start,
    Way,
    predict,
    ring_shape,
    upflow,
)
from meta_repo_ros.vortex_shield.recovery_state import FlightView
from meta_repo_ros.vortex_shield.recovery_thrust import ThrustLaw
from meta_repo_ros.vortex_shield.types import (
    Detection,
    FlightState,
    Level,
    Phase,
    RecoveryPlan,
    Variant,
    Voice,
)

if TYPE_CHECKING:
    from collections.abc import Callable

MS = 1_000_000
STEP = 4 * MS
T0 = 1_790_000_000_000_000_000
G = STANDARD_GRAVITY
F450, AH1S = ROTORCRAFT['f450'], ROTORCRAFT['ah1s']
NAN = math.nan
LIMIT = math.radians(15.0)
RPM_200 = 200.0 * math.pi / 30.0
WAY = Way(
    hover_induced_velocity=6.0, tilt=LIMIT, lag=0.0, drag=0.0, most=1.3, clear=4.8, after=1.3,
    raise_from=-1.0, rise=1e9, gain=1e9, acceleration=2.0, end_sink=0.0, ring=0.0,
)  # fmt: skip


def detection(stamp: int, level: Level, craft: Rotorcraft = F450, **changes: float) -> Detection:
    v_h = craft.hover_induced_velocity()
    found = Detection(
        stamp, stamp // STEP, stamp - STEP, level, 0.9, 0.9, 0.9, 0.0, 0.9, 0.1, v_h, Voice.STATE
    )
    return dataclasses.replace(found, **changes)


def flight(stamp: int, craft: Rotorcraft = F450, **changes: object) -> FlightState:
    v_h = craft.hover_induced_velocity()
    base = FlightState(
        stamp, 0.9 * v_h, 0.1 * v_h, height=40.0 * v_h, rotor_speed=craft.rotor_speed,
        thrust=craft.weight, sink_sigma=0.3, airspeed_sigma=0.3, velocity=(0.1 * v_h, 0.0, -v_h),
        wind=(0.0, 0.0, 0.0), orientation=IDENTITY, thrust_fraction=craft.hover_fraction,
    )  # fmt: skip
    return dataclasses.replace(base, **changes)


@dataclass
class Plant:
    """A point mass with a tilting disk, flown by the plans; the ring goes as airspeed comes."""

    craft: Rotorcraft
    sink: float
    deficit: float = 0.25
    stamp: int = T0
    east: float = 0.0
    north: float = 0.0
    height: float = 400.0
    tilt: tuple[float, float] = (0.0, 0.0)
    fraction: float = 0.0
    wind: tuple[float, float] = (0.0, 0.0)
    plans: list[RecoveryPlan] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.v_h = self.craft.hover_induced_velocity()
        # a steady descent: thrust makes up for what the ring takes
        ratio = (1.0 - self.ring()) ** (-1.0 / self.craft.thrust_exponent)
        self.fraction = self.fraction or self.craft.hover_fraction * ratio

    def ring(self) -> float:
        depth = max(0.0, min((self.sink / self.v_h - 0.4) / 0.7, 1.0))
        return self.deficit * depth * max(0.0, 1.0 - self.airspeed / (0.85 * self.v_h))

    @property
    def airspeed(self) -> float:
        return math.hypot(self.east, self.north)

    def level(self) -> Level:
        if self.airspeed > 0.85 * self.v_h or self.sink < 0.3 * self.v_h:
            return Level.NONE
        return Level.DEVELOPED if self.airspeed < 0.6 * self.v_h else Level.INCIPIENT

    def orientation(self) -> rotations.Quaternion:
        x, y = self.tilt
        return attitude(0.0, math.atan2(y, x), math.hypot(x, y))

    def state(self) -> FlightState:
        speed = self.craft.rotor_speed
        if self.craft.fixed_pitch:
            ratio = self.fraction / self.craft.hover_fraction
            speed *= ratio ** (0.5 * self.craft.thrust_exponent)
        return FlightState(
            self.stamp, self.sink, self.airspeed, height=self.height, rotor_speed=speed,
            sink_sigma=0.1, airspeed_sigma=0.1, wind=(*self.wind, 0.0),
            velocity=(self.east + self.wind[0], self.north + self.wind[1], -self.sink),
            orientation=self.orientation(), thrust_fraction=self.fraction,
        )  # fmt: skip

    def step(self, recovery: Recovery, change: Callable[[FlightState], FlightState | None]) -> None:
        plan = recovery.update(
            detection(self.stamp, self.level(), self.craft), change(self.state())
        )
        self.plans.append(plan)
        dt = STEP * 1e-9
        goal = (0.0, 0.0)
        if plan.orientation is not None:
            x, y, z = rotate(plan.orientation, (0.0, 0.0, 1.0))
            size = math.hypot(x, y)
            goal = (x / size * math.acos(z), y / size * math.acos(z)) if size > 1e-9 else goal
        follow = dt / self.craft.tilt_time
        self.tilt = tuple(a + follow * (b - a) for a, b in zip(self.tilt, goal, strict=True))
        if plan.thrust is not None:
            self.fraction = plan.thrust
        force = (self.fraction / self.craft.hover_fraction) ** self.craft.thrust_exponent
        up = rotate(self.orientation(), (0.0, 0.0, 1.0))
        lift = G * force * (1.0 - self.ring())
        self.east += lift * up[0] * dt
        self.north += lift * up[1] * dt
        self.sink += (G - lift * up[2]) * dt
        self.height -= self.sink * dt
        self.stamp += STEP

    def fly(
        self,
        recovery: Recovery,
        seconds: float = 30.0,
        change: Callable[[FlightState], FlightState | None] = lambda state: state,
    ) -> RecoveryPlan:
        """Until it ends; the last plan."""
        for _ in range(round(seconds * 250)):
            self.step(recovery, change)
            if self.plans[-1].phase in (Phase.COMPLETE, Phase.ABORTED):
                break
        return self.plans[-1]


# -- prediction ------------------------------------------------------------------------------------
def test_prediction_without_ring_is_the_parabola_of_a_constant_deceleration() -> None:
    v_h, sink = 6.0, 5.0
    found = predict(Start(sink, 0.0, 0.0, 0.0, 1.0, 0.0), WAY)
    assert found.duration == pytest.approx(sink / 2.0, rel=0.05)
    assert found.loss == pytest.approx(sink**2 / (2.0 * 2.0), rel=0.06)
    assert v_h == WAY.hover_induced_velocity


def test_prediction_of_an_exit_that_holds_thrust_contains_the_kinematic_budget() -> None:
    # thrust W / cos(tilt) keeps the sink rate; the airspeed comes with g tan(tilt)
    start = Start(5.0, 0.0, 0.0, LIMIT, 1.0 / math.cos(LIMIT), 0.0)
    held = predict(start, WAY._replace(raise_from=5.7, clear=5.7))
    budget = 5.0 * 0.95 * 6.0 / (G * math.tan(LIMIT))
    assert held.loss == pytest.approx(budget + 5.0**2 / 4.0, rel=0.1)


@pytest.mark.parametrize(
    ('better', 'worse'),
    [
        (WAY, WAY._replace(lag=0.8, raise_from=3.0)),
        (WAY._replace(raise_from=3.0), WAY._replace(raise_from=3.0, ring=0.3)),
        (WAY._replace(raise_from=3.0), WAY._replace(raise_from=3.0, tilt=0.6 * LIMIT)),
        (WAY._replace(damping=0.3), WAY),
    ],
)
def test_prediction_knows_what_costs_altitude(better: Way, worse: Way) -> None:
    start = Start(5.0, 0.0, 0.0, 0.0, 1.0, 0.1)
    assert predict(start, better).loss < predict(start, worse).loss


def test_prediction_says_never_where_thrust_does_not_stop_the_descent() -> None:
    start = Start(5.0, 0.0, 0.0, 0.0, 0.8, 0.0)
    assert predict(start, WAY._replace(most=0.9, after=0.9)) == NEVER


@given(
    st.lists(st.floats(-50.0, 50.0), min_size=4, max_size=4),
    st.floats(0.0, 3.0),
    st.floats(-0.2, 1.0),
)
@settings(max_examples=60, deadline=None)
def test_prediction_is_never_negative_and_never_fails(
    values: list[float], thrust: float, deficit: float
) -> None:
    sink, along, across, tilt = values
    found = predict(
        Start(sink, along, across, 0.02 * tilt, thrust, deficit), WAY._replace(ring=0.3)
    )
    assert found.loss >= 0.0
    assert found.duration >= 0.0


@pytest.mark.parametrize('index', range(6))
def test_prediction_from_an_unknown_start_is_never(index: int) -> None:
    start = [5.0, 0.0, 0.0, 0.0, 1.0, 0.1]
    start[index] = NAN
    assert predict(Start(*start), WAY) == NEVER


def test_ring_is_where_it_was_measured_and_goes_with_airspeed() -> None:
    assert ring_shape(1.25, 0.0) == 1.0
    assert ring_shape(0.3, 0.0) == ring_shape(2.0, 0.0) == ring_shape(1.25, 1.0) == 0.0
    assert 0.0 < ring_shape(0.8, 0.5) < ring_shape(0.8, 0.0) < 1.0


def test_upflow_is_momentum_theory() -> None:
    # v (V^2 + v^2)^(1/2) = v_h^2 in level flight
    v_h, speed = 10.0, 12.0
    induced = v_h - upflow(0.0, speed, v_h)
    assert induced * math.hypot(speed, induced) == pytest.approx(v_h**2)
    assert upflow(3.0, 0.0, v_h) == pytest.approx(3.0)


# -- attitude --------------------------------------------------------------------------------------
@given(st.floats(-3.0, 3.0), st.integers(0, 3), st.floats(0.0, 0.5))
def test_attitude_tilts_where_it_says_and_keeps_the_heading(
    heading: float, quarter: int, tilt: float
) -> None:
    direction = heading + quarter * 0.5 * math.pi
    q = attitude(heading, direction, tilt)
    assert math.remainder(yaw(q) - heading, 2.0 * math.pi) == pytest.approx(0.0, abs=1e-9)
    up = rotate(q, (0.0, 0.0, 1.0))
    assert math.acos(min(up[2], 1.0)) == pytest.approx(tilt, abs=1e-6)
    assert tilt_towards(q, direction) == pytest.approx(tilt, abs=1e-6)


# -- the manoeuvre ---------------------------------------------------------------------------------
@pytest.mark.parametrize('craft', [F450, AH1S], ids=lambda c: c.name)
@pytest.mark.parametrize('depth', [0.6, 1.0, 1.3])
def test_recovery_flies_out_within_its_limits_and_as_predicted(
    craft: Rotorcraft, depth: float
) -> None:
    plant = Plant(craft, depth * craft.hover_induced_velocity())
    craft_without = dataclasses.replace(craft, heave_damping=0.0)  # the plant has none
    last = plant.fly(Recovery(craft_without))
    assert last.phase == Phase.COMPLETE
    assert plant.sink <= 0.11 * plant.v_h
    assert plant.airspeed > 0.5 * plant.v_h
    phases = [p.phase for p in plant.plans]
    assert phases.index(Phase.EXIT) < phases.index(Phase.CLIMB_OUT)
    flown = [p for p in plant.plans if p.orientation is not None]
    first = flown[0]
    assert first.assured
    assert first.height_margin == pytest.approx(first.height_available / first.predicted_loss)
    lost = first.height_available - plant.height
    assert 0.6 < first.predicted_loss / lost < 1.6
    least, most = craft.rotor_speed_band
    for plan in flown:
        up = rotate(plan.orientation, (0.0, 0.0, 1.0))[2]
        assert math.acos(up) <= LIMIT + 1e-9
        assert plan.tilt <= LIMIT
        assert abs(plan.rotor_speed_change) <= RPM_200
        assert 0.0 <= plan.thrust <= plan.collective_limit <= 1.0
        assert plan.rotor_speed is None or least <= plan.rotor_speed <= most


@pytest.mark.parametrize('craft', [F450, AH1S], ids=lambda c: c.name)
def test_thrust_never_rises_deep_in_the_ring(craft: Rotorcraft) -> None:
    plant = Plant(craft, 1.1 * craft.hover_induced_velocity(), deficit=0.3)
    recovery = Recovery(craft)
    start = plant.fraction
    deep = []
    for _ in range(2000):
        inside = plant.level() == Level.DEVELOPED and plant.airspeed < 0.5 * plant.v_h
        plant.step(recovery, lambda state: state)
        plan = plant.plans[-1]
        if inside and plan.thrust is not None:
            assert plan.collective_limit == plan.thrust
            deep.append(plan.thrust)
    assert len(deep) > 50
    assert max(deep) <= start + 1e-9
    assert all(b <= a + 1e-9 for a, b in itertools.pairwise(deep))


@given(st.floats(200.0, 900.0), st.floats(0.05, 1.0), st.floats(-5.0, 20.0))
@settings(max_examples=60, deadline=None)
def test_rotor_speed_of_fixed_pitch_keeps_its_limits(
    speed: float, fraction: float, sink: float
) -> None:
    law = ThrustLaw(F450, RecoveryParameters())
    law.begin(fraction, speed, 1.1)
    for _ in range(300):
        law.step(sink, 0.2, 0.004, deep=False)
        assert abs(law.rotor_speed() - speed) <= RPM_200 + 1e-6
    # clear of the wake every command stays near the speed that is there
    present = speed
    for _ in range(300):
        law.step(sink, 0.2, 0.004, deep=False, present=present)
        assert abs(law.rotor_speed() - present) <= RPM_200 + 1e-6
        assert 150.0 - 1e-6 <= law.rotor_speed() <= 1000.0 + 1e-6
        present += 0.1 * (law.rotor_speed() - present)


def test_governed_rotor_is_kept_in_its_band_although_200_rpm_would_leave_it() -> None:
    slow = dataclasses.replace(AH1S, rotor_speed=35.4)
    law = ThrustLaw(slow, RecoveryParameters())
    law.begin(0.5, 30.9, 1.2)
    assert 30.8 <= law.rotor_speed() <= 35.5
    narrow = ThrustLaw(slow, RecoveryParameters(max_rotor_speed_change=1.0))
    narrow.begin(0.5, 33.0, 1.2)
    assert narrow.rotor_speed() <= 34.0


# -- which way -------------------------------------------------------------------------------------
def first_exit(craft: Rotorcraft = F450, **changes: object) -> RecoveryPlan:
    recovery = Recovery(craft)
    return recovery.update(detection(T0, Level.DEVELOPED, craft), flight(T0, craft, **changes))


@pytest.mark.parametrize(
    ('wind', 'velocity', 'direction', 'variant'),
    [
        ((5.0, 0.0, 0.0), (5.0, 0.0, -5.0), 1.0, Variant.VUICHARD),  # heading north, wind from west
        ((-5.0, 0.0, 0.0), (-5.0, 0.0, -5.0), 0.0, Variant.VUICHARD),
        ((0.0, -5.0, 0.0), (0.0, -5.0, -5.0), 0.5, Variant.FORWARD),
    ],
)
def test_exit_is_upwind_where_wind_is_known(
    wind: tuple[float, ...], velocity: tuple[float, ...], direction: float, variant: Variant
) -> None:
    north = (math.sqrt(0.5), 0.0, 0.0, math.sqrt(0.5))
    plan = first_exit(wind=wind, velocity=velocity, airspeed=0.0, orientation=north)
    assert plan.variant == variant
    assert math.cos(plan.direction - direction * math.pi) == pytest.approx(1.0)
    assert 'upwind' in plan.reason


def test_airspeed_that_is_there_counts_for_more_than_the_wind() -> None:
    # drifting left through the air, wind from the right
    plan = first_exit(wind=(0.0, 1.0, 0.0), velocity=(0.0, 4.0, -5.0), airspeed=3.0)
    assert plan.variant == Variant.VUICHARD
    assert math.sin(plan.direction) == pytest.approx(1.0)


def test_helicopter_in_still_air_goes_sideways_as_it_rolls_quicker_than_it_pitches() -> None:
    plan = first_exit(AH1S, airspeed=0.0, velocity=(0.0, 0.0, -9.0))
    assert plan.variant == Variant.VUICHARD
    assert 'forward' in plan.reason


# -- when ------------------------------------------------------------------------------------------
def run(
    recovery: Recovery, levels: list[Level], start: int = T0, **changes: object
) -> list[RecoveryPlan]:
    return [
        recovery.update(
            detection(start + k * STEP, level), flight(start + k * STEP, F450, **changes)
        )
        for k, level in enumerate(levels)
    ]


def test_margin_is_prepared_and_not_flown() -> None:
    plans = run(Recovery(F450), [Level.NONE] * 3 + [Level.MARGIN] * 50)
    assert [p.phase for p in plans[:3]] == [Phase.NONE] * 3
    assert {p.phase for p in plans[3:]} == {Phase.PREPARE}
    assert all(p.orientation is None and p.thrust is None for p in plans)
    assert plans[-1].predicted_loss > 0.0
    assert plans[-1].variant != Variant.NONE


def test_incipient_is_flown_when_it_lasts_and_developed_at_once() -> None:
    plans = run(Recovery(F450), [Level.INCIPIENT] * 30)
    flown = next(k for k, p in enumerate(plans) if p.phase == Phase.EXIT)
    assert flown == math.ceil(RecoverySettings().persistence / 0.004)
    assert run(Recovery(F450), [Level.DEVELOPED])[0].phase == Phase.EXIT


@pytest.mark.parametrize(
    ('fly_from', 'level', 'flown'),
    [
        ('developed', Level.INCIPIENT, False),
        ('developed', Level.DEVELOPED, True),
        ('never', Level.DEVELOPED, False),
    ],
)
def test_level_from_which_it_is_flown_is_a_setting(
    fly_from: str, level: Level, *, flown: bool
) -> None:
    parameters = RecoveryParameters(settings=RecoverySettings(fly_from=fly_from))
    plans = run(Recovery(F450, parameters), [level] * 100)
    assert (plans[-1].phase == Phase.EXIT) is flown


def test_warning_that_passes_is_completed_without_flying() -> None:
    plans = run(Recovery(F450), [Level.MARGIN] * 5 + [Level.NONE] * 200)
    ended = [p for p in plans if p.phase == Phase.COMPLETE]
    assert len(ended) == 1
    assert 'nothing was flown' in ended[0].reason
    assert plans[-1].phase == Phase.NONE


def test_exit_is_aborted_when_the_state_returns_and_is_quickly_taken_up_again() -> None:
    recovery = Recovery(F450)
    plans = run(recovery, [Level.DEVELOPED] * 10)
    plans += run(recovery, [Level.NONE] * 130, T0 + 10 * STEP, sink_rate=1.0)
    assert plans[9].phase == Phase.EXIT
    aborted = next(k for k, p in enumerate(plans) if p.phase == Phase.ABORTED)
    assert aborted == pytest.approx(10 + 0.5 / 0.004, abs=2)
    assert 'normal again' in plans[aborted].reason
    assert plans[aborted].orientation is None
    again = run(recovery, [Level.INCIPIENT], T0 + len(plans) * STEP)
    assert again[0].phase == Phase.EXIT


def test_sink_that_is_left_when_the_level_has_gone_is_stopped_first() -> None:
    plans = run(Recovery(F450), [Level.DEVELOPED] * 10 + [Level.NONE] * 130)
    assert plans[-1].phase == Phase.CLIMB_OUT
    assert plans[-1].thrust > plans[0].thrust


def test_short_gaps_of_the_level_do_not_end_an_exit() -> None:
    plans = run(Recovery(F450), [Level.DEVELOPED] * 10 + [Level.NONE] * 50 + [Level.DEVELOPED] * 10)
    assert {p.phase for p in plans} == {Phase.EXIT}


def test_stood_down_it_stays_down_until_the_warning_has_gone() -> None:
    recovery = Recovery(F450)
    run(recovery, [Level.DEVELOPED] * 5)
    last = recovery.stand_down(T0 + 5 * STEP, 'operator took over')
    assert last is not None
    assert last.phase == Phase.ABORTED
    assert last.reason == 'operator took over'
    plans = run(recovery, [Level.DEVELOPED] * 100, T0 + 6 * STEP)
    assert {p.phase for p in plans} == {Phase.NONE}
    plans = run(recovery, [Level.NONE, Level.DEVELOPED, Level.DEVELOPED], T0 + 200 * STEP)
    assert plans[-1].phase == Phase.EXIT
    assert Recovery(F450).stand_down(T0) is None


def test_exit_that_never_succeeds_is_given_up() -> None:
    recovery = Recovery(F450)
    plans = run(recovery, [Level.DEVELOPED] * 8000)
    ended = next(p for p in plans if p.phase == Phase.ABORTED)
    assert 'not out of it' in ended.reason


def test_reset_forgets() -> None:
    recovery = Recovery(F450)
    run(recovery, [Level.DEVELOPED] * 5)
    recovery.reset()
    assert run(recovery, [Level.NONE])[0].phase == Phase.NONE


# -- what is not known -----------------------------------------------------------------------------
def test_height_below_the_margin_is_said_and_flown_all_the_same() -> None:
    plan = first_exit(height=12.0)
    assert plan.phase == Phase.EXIT
    assert not plan.assured
    assert plan.height_margin < 2.0
    assert plan.reason.startswith('recovery not assured: 12 m is')
    assert first_exit(height=400.0).assured


def test_safety_margin_is_a_parameter() -> None:
    height = 3.0 * first_exit().predicted_loss
    assert first_exit(height=height).assured
    strict = Recovery(F450, RecoveryParameters(safety_margin=4.0))
    plan = strict.update(detection(T0, Level.DEVELOPED), flight(T0, height=height))
    assert not plan.assured


@pytest.mark.parametrize(
    ('changes', 'word'),
    [
        ({'height': NAN}, 'height unknown'),
        ({'sink_rate': NAN}, 'sink rate unknown'),
        ({'airspeed': NAN}, 'airspeed unknown'),
        ({'airspeed': -3.0}, 'airspeed'),
        ({'height': math.inf}, 'height unknown'),
    ],
)
def test_what_is_missing_is_said_and_nothing_is_assured(
    changes: dict[str, float], word: str
) -> None:
    plan = first_exit(**changes)
    assert plan.phase == Phase.EXIT
    assert not plan.assured
    assert 'recovery not assured' in plan.reason
    assert word in plan.reason
    assert plan.orientation is not None


@pytest.mark.parametrize(
    'orientation', [None, (NAN, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 0.0), (2.0, 0.0, 0.0, 0.0)]
)
def test_without_attitude_it_is_planned_and_not_flown(orientation: object) -> None:
    plans = run(Recovery(F450), [Level.DEVELOPED] * 100, orientation=orientation)
    assert {p.phase for p in plans} == {Phase.PREPARE}
    assert 'attitude' in plans[-1].reason
    assert not plans[-1].assured


def test_without_state_or_with_an_old_one_it_says_so() -> None:
    recovery = Recovery(F450)
    none = recovery.update(detection(T0, Level.DEVELOPED), None)
    assert none.phase == Phase.PREPARE
    assert 'no flight state' in none.reason
    old = recovery.update(detection(T0 + STEP, Level.DEVELOPED), flight(T0 - 2_000 * MS))
    assert old.phase == Phase.PREPARE
    assert '2.00 s old' in old.reason


def test_near_the_ground_it_does_not_tilt() -> None:
    plan = first_exit(AH1S, height=8.0)
    assert plan.phase == Phase.PREPARE
    assert plan.orientation is None
    assert 'too low to tilt' in plan.reason


def test_state_lost_in_the_exit_is_flown_on_for_a_while_then_given_up() -> None:
    recovery = Recovery(F450)
    run(recovery, [Level.DEVELOPED] * 10)
    start = T0 + 10 * STEP
    plans = [
        recovery.update(detection(start + k * STEP, Level.DEVELOPED), None) for k in range(900)
    ]
    assert plans[0].phase == plans[600].phase == Phase.EXIT
    assert plans[600].orientation is not None
    assert plans[600].thrust == pytest.approx(F450.hover_fraction)
    assert not plans[600].assured
    ended = next(p for p in plans if p.phase == Phase.ABORTED)
    assert 'flight state lost' in ended.reason


def test_airspeed_unknown_is_reckoned_from_the_tilt() -> None:
    plant = Plant(F450, 0.9 * F450.hover_induced_velocity())
    last = plant.fly(Recovery(F450), change=lambda s: dataclasses.replace(s, airspeed=NAN))
    assert last.phase == Phase.COMPLETE
    assert any('airspeed reckoned' in p.reason for p in plant.plans)


def test_thrust_unknown_takes_the_nominal_one_and_says_so() -> None:
    plan = first_exit(thrust=NAN, thrust_fraction=NAN)
    assert plan.thrust == pytest.approx(F450.hover_fraction)
    assert 'nominal' in plan.reason


def test_detection_lost_in_the_exit_ends_it() -> None:
    recovery = Recovery(F450)
    run(recovery, [Level.DEVELOPED] * 10)
    plans = run(recovery, [Level.UNKNOWN] * 900, T0 + 10 * STEP)
    assert any(p.phase == Phase.ABORTED and 'no detection' in p.reason for p in plans)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(list(Level)),
            *(st.one_of(st.floats(-100.0, 100.0), st.just(NAN)) for _ in range(3)),
            st.booleans(),
        ),
        min_size=5,
        max_size=40,
    )
)
@settings(max_examples=60, deadline=None)
def test_whatever_comes_in_what_goes_out_is_within_limits(rows: list[tuple[object, ...]]) -> None:
    recovery = Recovery(F450)
    for k, (level, sink, airspeed, height, attitude_known) in enumerate(rows):
        stamp = T0 + 40 * k * MS
        state = flight(
            stamp, sink_rate=sink, airspeed=airspeed, height=height,
            orientation=IDENTITY if attitude_known else None,
        )  # fmt: skip
        plan = recovery.update(detection(stamp, level), state)
        assert 0.0 <= plan.tilt <= LIMIT
        assert abs(plan.rotor_speed_change) <= RPM_200 + 1e-6
        assert 0.0 <= plan.collective_limit <= 1.0
        assert len(plan.reason.encode()) <= 256
        assert plan.predicted_loss >= 0.0
        if plan.orientation is not None:
            assert math.hypot(*plan.orientation) == pytest.approx(1.0)
            assert plan.thrust is not None
            assert 0.0 <= plan.thrust <= 1.0
        if plan.assured:
            assert plan.height_margin >= 2.0


def test_vertical_acceleration_is_seen_through_noise() -> None:
    view = FlightView(F450, RecoverySettings())
    for k in range(500):
        stamp = T0 + k * STEP
        sink = 3.0 + 2.0 * k * 0.004 + (0.1 if k % 2 else -0.1)
        view.look(flight(stamp, sink_rate=sink), stamp)
    assert view.lift == pytest.approx(1.0 - 2.0 / G, abs=0.03)


@pytest.mark.parametrize(
    'limits',
    [
        {'max_tilt': 0.0}, {'max_tilt': NAN}, {'max_rotor_speed_change': -1.0},
        {'safety_margin': 0.5},
    ],
)  # fmt: skip
def test_limits_that_are_none_are_refused(limits: dict[str, float]) -> None:
    with pytest.raises(ValueError, match='|'.join(limits)):
        RecoveryParameters(**limits)
