# SPDX-License-Identifier: Apache-2.0
"""Processor ``vortex_shield``: rotor samples and flight state in, warning and way out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from meta_repo_ros.core.processor import Diagnostic, Output, Processor, Topic
from meta_repo_ros.core.sample_message import SampleError, read
from meta_repo_ros.core.time import NANOSECONDS, seconds_ns
from meta_repo_ros.vortex_shield import messages as ros
from meta_repo_ros.vortex_shield import status
from meta_repo_ros.vortex_shield.flight_state import FlightStates
from meta_repo_ros.vortex_shield.markers import Markers
from meta_repo_ros.vortex_shield.messages import CommandTemplate, DetectionTemplate, RefusedError
from meta_repo_ros.vortex_shield.parameters import VortexShieldParameters
from meta_repo_ros.vortex_shield.shield import Shield
from meta_repo_ros.vortex_shield.types import Phase, RecoveryPlan

SAMPLES, ROTORS, AIR, ODOMETRY = 'rotor_samples', 'rotor_state', 'air_data', 'odometry'
ORIGIN = 'odometry/origin'
DETECTION, COMMAND, REQUEST = 'vortex_detection', 'recovery_command', 'setpoint/request'
MARKERS = 'vortex_shield/markers'
MAX_AGE = 0.5
"""Age of odometry, air data or rotor state from which on it is not used, s."""
VALIDITY = 0.5
"""Of a setpoint, s: who flies takes over by itself this long after the last one; a machine under
load must not hand the vehicle back in the middle of the ring."""
REISSUE = 0.02
"""Between two setpoints of one phase, s."""
_MARKER_PERIOD = NANOSECONDS // 5


class VortexShield(Processor):
    """Warns of the vortex ring state by each block of rotor samples, and flies out of it.

    Each block is decided on as it comes, with the flight state known then. The command is the first
    output of a block, since somebody waits for it.
    """

    name: ClassVar[str] = 'vortex_shield'
    Parameters: ClassVar[type] = VortexShieldParameters
    inputs: ClassVar[tuple[Topic, ...]] = (
        Topic(SAMPLES, 'meta_repo_ros/msg/SampleBlock', 'STREAM'),
        Topic(ODOMETRY, 'nav_msgs/msg/Odometry', 'STREAM'),
        Topic(AIR, 'meta_repo_ros/msg/AirData', 'SENSOR'),
        Topic(ROTORS, 'meta_repo_ros/msg/RotorState', 'SENSOR'),
        Topic(ORIGIN, 'sensor_msgs/msg/NavSatFix', 'LATCHED'),
    )
    outputs: ClassVar[tuple[Topic, ...]] = (
        Topic(COMMAND, 'meta_repo_ros/msg/RecoveryCommand', 'STREAM'),
        Topic(REQUEST, 'meta_repo_ros/msg/Setpoint', 'EVENT'),
        Topic(DETECTION, 'meta_repo_ros/msg/VortexDetection', 'STREAM'),
        Topic(MARKERS, 'visualization_msgs/msg/MarkerArray', 'STATE'),
    )

    def __init__(self, parameters: VortexShieldParameters, seed: int = 0) -> None:
        super().__init__(parameters, seed)
        self.parameters: VortexShieldParameters
        self.shield = Shield(parameters)
        self.states = FlightStates(seconds_ns(MAX_AGE), self.shield.rotorcraft)
        self.refused: dict[str, Counter[str]] = {topic.name: Counter() for topic in self.inputs}
        self.last_refusal = ''
        self.reported: dict[str, int] = {}  # counts at the last report
        self.resets = 0
        self.received = 0  # receive stamp of the newest block that was used, ns
        self.age = 0  # of its oldest sample then, ns
        self._body = parameters.frames.body
        self._earth = 'odom'
        self._hub = self._body
        self._detection_message = DetectionTemplate(self._hub)
        self._command_message = CommandTemplate(self._body)
        self._markers = Markers(self.shield.rotorcraft, self._body)
        self._issued = 0  # ns of the block
        self._issued_phase = Phase.NONE
        self.setpoints = 0
        self._readers: dict[str, Callable[[Any], None]] = {
            ODOMETRY: self._take_odometry,
            AIR: self._take_air,
            ROTORS: self._take_rotors,
            ORIGIN: self._take_origin,
        }

    @property
    def timer_period_ns(self) -> int:
        """Of the markers."""
        return _MARKER_PERIOD

    def on_message(self, topic: str, message: Any, stamp: int) -> Sequence[Output]:
        """Take one message; what cannot be used is counted by its reason."""
        if topic == SAMPLES:
            return self._take_samples(message, stamp)
        try:
            self._readers[topic](message)
        except RefusedError as reason:
            self._refuse(topic, str(reason), str(reason))
        return ()

    def on_timer(self, stamp: int) -> Sequence[Output]:
        """Show what is known."""
        shield = self.shield
        message = self._markers.draw(stamp, shield.detection, shield.plan, self.states.orientation)
        return (Output(MARKERS, message),)

    def diagnostics(self, stamp: int) -> Sequence[Diagnostic]:
        """Rows for people."""
        return status.rows(self, stamp)

    def set_parameters(self, parameters: VortexShieldParameters) -> None:
        """Take a new set; what depends on a changed one begins anew."""
        self.shield.configure(parameters)
        self.parameters = parameters

    def reset(self, stamp: int) -> None:  # noqa: ARG002
        """Forget the flight."""
        self.resets += 1
        self.received = 0
        self._issued = 0
        self._issued_phase = Phase.NONE
        self.shield.reset()
        self.states.clear()

    def safe_outputs(self, stamp: int) -> Sequence[Output]:
        """Say that a recovery under way has ended here; its setpoint expires by itself."""
        plan = self.shield.abort('the node was deactivated')
        self.reset(stamp)
        return () if plan is None else (Output(COMMAND, self._command_message(plan)),)

    # -- one block ---------------------------------------------------------------------------------
    def _take_samples(self, message: Any, stamp: int) -> Sequence[Output]:
        try:
            block = read(message)
        except (SampleError, ValueError, TypeError, OverflowError) as error:
            self._refuse(SAMPLES, 'malformed', str(error))
            return ()
        states = self.states
        state = states.at(block.end)
        decision = self.shield.take(block, state, states.note)
        if decision.reason:
            self.last_refusal = decision.reason
        detection, plan = decision.detection, decision.plan
        if detection is None:
            return ()
        self.received, self.age = stamp, stamp - block.start
        hub = message.header.frame_id or self._body
        if hub != self._hub:
            self._hub = str(hub)
            self._detection_message = DetectionTemplate(self._hub)
        outputs = []
        if plan is not None:
            outputs.append(Output(COMMAND, self._command_message(plan)))
            request = self._request(plan, block.start, stamp)
            if request is not None:
                outputs.append(Output(REQUEST, request))
        outputs.append(Output(DETECTION, self._detection_message(detection)))
        return outputs

    def _request(self, plan: RecoveryPlan, now: int, stamp: int) -> Any | None:
        """A setpoint where one is due, ``now`` by the samples and ``stamp`` by the host's clock."""
        same = plan.phase is self._issued_phase
        if same and 0 <= now - self._issued < seconds_ns(REISSUE):
            return None
        message = ros.setpoint_message(
            plan, stamp, validity=seconds_ns(VALIDITY), sender=self.name,
            rotors=self.shield.rotorcraft.rotors, frame=self._earth,
        )  # fmt: skip
        self._issued, self._issued_phase = now, plan.phase
        self.setpoints += message is not None
        return message

    # -- flight state ------------------------------------------------------------------------------
    def _take_odometry(self, message: Any) -> None:
        self.states.take_motion(ros.read_motion(message, self._body))
        self._earth = str(message.header.frame_id) or self._earth

    def _take_air(self, message: Any) -> None:
        self.states.take_air(ros.read_air(message, self._body))

    def _take_rotors(self, message: Any) -> None:
        self.states.take_rotors(ros.read_rotors(message, self._body))

    def _take_origin(self, message: Any) -> None:
        self.states.altitude = ros.read_origin(message)

    def _refuse(self, topic: str, kind: str, text: str) -> None:
        self.refused[topic][kind] += 1
        self.last_refusal = f'{topic}: {text}'
