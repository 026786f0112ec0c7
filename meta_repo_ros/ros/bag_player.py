# SPDX-License-Identifier: Apache-2.0
"""Plays a bag into the live graph: recorded bytes with recorded QoS, and ``/clock``.

Services have rosbag2's names and, where ``rosbag2_interfaces`` is installed, its types. Playing
begins with activate; a jump back (loop, seek) shows in ``/clock``.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rosgraph_msgs.msg import Clock as ClockMessage

from meta_repo_ros.core.parameters import parameter
from meta_repo_ros.core.processor import Diagnostic, Level
from meta_repo_ros.core.time import NANOSECONDS, seconds_ns, set_stamp
from meta_repo_ros.replay import definitions
from meta_repo_ros.replay.bag_reader import BagReader
from meta_repo_ros.replay.bag_writer import absolute
from meta_repo_ros.replay.errors import BagError
from meta_repo_ros.replay.playback import Playback
from meta_repo_ros.ros import bag_qos, qos
from meta_repo_ros.ros.bag_recorder import HEARTBEATS, check_expression
from meta_repo_ros.ros.node import ManagedNode
from meta_repo_ros.ros.player_services import PlayerServices
from meta_repo_ros.ros.start_gate import StartGate
from meta_repo_ros.ros.types import message_class

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rclpy.publisher import Publisher
    from rclpy.timer import Timer

    from meta_repo_ros.replay.bag_reader import RawMessage

_IDLE_NS = NANOSECONDS
_POLL_NS = 20_000_000


@dataclass(frozen=True)
class Parameters:
    """Parameters of the player."""

    path: str = parameter('', 'Bag to play: directory, .mcap or .db3.', read_only=True)
    rate: float = parameter(1.0, 'Speed.', unit='times real time', minimum=0.001, maximum=1000.0)
    loop: bool = parameter(False, 'Whether to begin again at the end.')
    start_offset: float = parameter(
        0.0, 'Where to begin, after the first message.', unit='s', minimum=0.0, read_only=True
    )
    start_paused: bool = parameter(False, 'Whether to wait for ~/resume.', read_only=True)
    start_delay: float = parameter(
        0.0, 'Time between activate and the first message.', unit='s', minimum=0.0, read_only=True
    )
    wait_for: tuple[str, ...] = parameter(
        (), 'Topics that must have a subscriber before playing begins.', read_only=True
    )
    wait_for_nodes: tuple[str, ...] = parameter(
        (), 'Nodes of this vehicle that must listen before playing begins.', read_only=True
    )
    wait_timeout: float = parameter(
        10.0, 'Play nevertheless after this time; 0 to wait for ever.', unit='s', minimum=0.0,
        read_only=True,
    )  # fmt: skip
    topics: tuple[str, ...] = parameter((), 'Topics to play; all if empty.', read_only=True)
    exclude: str = parameter(
        f'{HEARTBEATS}|^/(rosout|parameter_events|diagnostics)$',
        'Never play topics in whose name this expression is found.',
        read_only=True,
    )
    skip_published: bool = parameter(
        True, 'Whether topics that another node publishes already are left out.', read_only=True
    )
    clock: str = parameter(
        'rate',
        'When /clock is published: at a fixed rate, before each message, or never.',
        choices=('rate', 'message', 'off'),
        read_only=True,
    )
    clock_rate: float = parameter(
        50.0, 'Rate of /clock.', unit='Hz', minimum=1.0, maximum=1000.0, read_only=True
    )

    def __post_init__(self) -> None:
        check_expression('exclude', self.exclude)


class BagPlayer(ManagedNode):
    """The player node."""

    name = 'bag_player'
    Parameters = Parameters

    def __init__(self, name: str | None = None, **options: Any) -> None:
        self._bag: BagReader | None = None
        self._playback: Playback | None = None
        self._publishers_by_topic: dict[str, Publisher[Any]] = {}
        self._clock_publisher: Publisher[Any] | None = None
        self._timer: Timer | None = None
        self._player_services: PlayerServices | None = None
        self._left_out: dict[str, str] = {}
        self._begin_by = 0
        self._started = False
        self._published = 0
        self._lag_ns = 0
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        super().__init__(name, **options)

    @property
    def playback(self) -> Playback:
        """The state of playing.

        Raises:
            RuntimeError: while unconfigured.
        """
        if self._playback is None:
            raise RuntimeError(f'{self.full_name} is not configured')
        return self._playback

    def configure(self) -> None:
        """Open the bag, make publishers, services and timers."""
        p = self.parameters
        if not p.path:
            raise ValueError('parameter path: name the bag to play')
        try:
            self._bag = BagReader(p.path)
        except BagError as error:
            raise RuntimeError(str(error)) from error
        self._left_out = {}
        self._advertise_topics(self._bag)
        names = set(self._publishers_by_topic)
        if not names:
            reasons = '; '.join(f'{t}: {why}' for t, why in self._left_out.items())
            self._bag.close()
            raise RuntimeError(f'{p.path}: nothing to play ({reasons or "the bag is empty"})')
        self._playback = Playback(
            self._bag, names, start_offset_ns=seconds_ns(p.start_offset), rate=p.rate, loop=p.loop
        )
        if p.clock != 'off':
            self._clock_publisher = self.create_publisher(ClockMessage, '/clock', qos.CLOCK)
            self._own_publishers.append(self._clock_publisher)
            self.every(seconds_ns(1.0 / p.clock_rate), self._tick_clock, clock=self._steady)
        self._timer = self.every(_POLL_NS, self._turn, clock=self._steady)
        self._player_services = PlayerServices(self)

    def activate(self) -> None:
        """Begin to play, as soon as those are there for whom the parameters say to wait."""
        p = self.parameters
        self._started = False
        self._published = 0
        self._begin_by = time.monotonic_ns() + seconds_ns(p.start_delay)
        self._gate = StartGate(
            self, self._publishers_by_topic.values(), p.wait_for_nodes, p.wait_timeout
        )
        if self._timer is not None:
            self._timer.timer_period_ns = _POLL_NS
        self.playback.rewind()
        if p.start_paused:
            self.playback.pause()
        else:
            self.playback.resume()
        self.playback.hold()

    def deactivate(self) -> None:
        """Stop."""
        self.playback.hold()

    def cleanup(self) -> None:
        """Close the bag."""
        if self._player_services is not None:
            self._player_services.destroy()
            self._player_services = None
        self._publishers_by_topic = {}
        self._clock_publisher = self._timer = self._playback = None
        if self._bag is not None:
            self._bag.close()
            self._bag = None

    def apply_parameters(self, parameters: Any) -> None:
        """Take a new rate, and whether to loop."""
        self.playback.loop = parameters.loop
        if parameters.rate != self.parameters.rate:
            self.playback.set_rate(parameters.rate)
            self._wake()

    def diagnostics(self, stamp: int) -> Sequence[Diagnostic]:
        """One row: where playing is, and how late."""
        del stamp
        playback = self.playback
        values: dict[str, str | int | float | bool] = {
            'position': playback.position_ns * 1e-9,
            'duration': playback.duration_ns * 1e-9,
            'rate': playback.rate,
            'paused': playback.paused,
            'published': self._published,
            'lag_ms': self._lag_ns * 1e-6,
            'left_out': len(self._left_out),
        }
        self._lag_ns = 0
        if playback.error:
            return (Diagnostic('playback', Level.ERROR, playback.error, values),)
        if playback.finished:
            text = 'finished'
        elif not self._started:
            text = 'waiting for subscribers'
        else:
            text = 'paused' if playback.paused else 'playing'
        return (Diagnostic('playback', Level.OK, text, values),)

    # -- what the services do --------------------------------------------------------------------

    def pause(self) -> None:
        """Stop the bag's time."""
        self.playback.pause()

    def resume(self) -> None:
        """Let the bag's time run."""
        self.playback.resume()
        self._wake()

    def set_rate(self, rate: float) -> bool:
        """Play at ``rate`` times real time; False where that is not positive."""
        if not 0.0 < rate < float('inf'):
            return False
        self.playback.set_rate(rate)
        self._wake()
        return True

    def play_next(self) -> bool:
        """Publish the next message while paused; False where there is none."""
        return self.burst(1) == 1

    def burst(self, count: int) -> int:
        """Publish ``count`` messages at once while paused (0 for all); how many there were."""
        if not (self.active and self._started and self.playback.paused):
            return 0
        done = 0
        while count == 0 or done < count:
            message = self.playback.take_next()
            if message is None:
                break
            self._publish(message)
            done += 1
        self._tick_clock()
        return done

    def seek(self, stamp: int) -> bool:
        """Go to receive time ``stamp`` (ns); False where the bag does not hold it."""
        if not self.playback.seek(stamp):
            return False
        self._publish_latched()
        self._tick_clock()
        self._wake()
        return True

    # -- playing ---------------------------------------------------------------------------------

    def _advertise_topics(self, bag: BagReader) -> None:
        p = self.parameters
        chosen = {self.resolve_topic_name(name) for name in p.topics}
        for topic in bag.topics.values():
            name = absolute(topic.name)
            if (chosen and name not in chosen) or (p.exclude and re.search(p.exclude, name)):
                continue
            if name == '/clock' and p.clock != 'off':
                continue
            try:
                cls = message_class(topic.type)
            except ValueError as error:
                self._leave_out(topic.name, str(error))
                continue
            known = definitions.installed(topic.type)
            if known is not None and topic.definition.hash not in {'', known.hash}:
                self._leave_out(topic.name, f'its definition of {topic.type} differs from ours')
                continue
            if p.skip_published and self.get_publishers_info_by_topic(name):
                self._leave_out(topic.name, 'another node publishes it')
                continue
            publisher = self.create_publisher(cls, name, bag_qos.offer(topic.qos))
            self._own_publishers.append(publisher)
            self._publishers_by_topic[topic.name] = publisher

    def _leave_out(self, topic: str, reason: str) -> None:
        self._left_out[topic] = reason
        self.get_logger().warning(f'{topic} is not played: {reason}')

    def _wake(self) -> None:
        """Let the timer look at once."""
        self._arm(0)

    def _arm(self, delay_ns: int) -> None:
        if self._timer is not None and self.active:
            self._timer.timer_period_ns = max(1, delay_ns)
            self._timer.reset()

    def _turn(self) -> None:
        if not self._started and not self._begin():
            self._arm(_POLL_NS)
            return
        playback = self.playback
        was_finished = playback.finished
        jumped = playback.jumps
        while True:
            due = playback.take_due()
            if due is None:
                break
            message, late = due
            self._lag_ns = max(self._lag_ns, late)
            self._publish(message)
        if playback.jumps != jumped:
            self._tick_clock()
        if playback.finished and not was_finished:
            self._tick_clock()
            self.get_logger().info(playback.error or 'the bag is at its end')
        self._arm(min(playback.until_next_ns(), _IDLE_NS))

    def _begin(self) -> bool:
        now = time.monotonic_ns()
        if now < self._begin_by or not self._gate.check():
            return False
        p = self.parameters
        wanted = {self.resolve_topic_name(name) for name in p.wait_for}
        missing = [
            topic
            for topic, publisher in self._publishers_by_topic.items()
            if absolute(topic) in wanted and publisher.get_subscription_count() == 0
        ]
        if missing:
            if p.wait_timeout == 0 or now < self._begin_by + seconds_ns(p.wait_timeout):
                return False
            self.get_logger().warning(
                f'nobody listens to {", ".join(missing)}; playing nevertheless'
            )
        self._yield_topics()
        self._started = True
        self.playback.release()
        self._tick_clock()
        self._publish_latched()
        return True

    def _yield_topics(self) -> None:
        """Leave out what another node has begun to publish since configure."""
        if not self.parameters.skip_published:
            return
        for topic in list(self._publishers_by_topic):
            if self.count_publishers(absolute(topic)) > 1:
                publisher = self._publishers_by_topic.pop(topic)
                self._own_publishers.remove(publisher)
                self.destroy_publisher(publisher)
                self.playback.leave_out(topic)
                self._leave_out(topic, 'another node publishes it')

    def _publish(self, message: RawMessage) -> None:
        if self._clock_publisher is not None and self.parameters.clock == 'message':
            self._publish_clock(message.receive_ns)
        self._publishers_by_topic[message.topic].publish(message.data)
        self._published += 1

    def _publish_latched(self) -> None:
        """What a late subscriber would have got: last latched messages before the position."""
        for message in self.playback.latched():
            self._publishers_by_topic[message.topic].publish(message.data)

    def _tick_clock(self) -> None:
        if self._clock_publisher is not None and self._started:
            self._publish_clock(self.playback.bag_time_ns())

    def _publish_clock(self, stamp: int) -> None:
        message = ClockMessage()
        set_stamp(message.clock, stamp)
        if self._clock_publisher is not None:
            self._clock_publisher.publish(message)
