# SPDX-License-Identifier: Apache-2.0
"""Where in a bag playing is, and which message is due: the player without publishers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rosbags.interfaces import QosDurability

from meta_repo_ros.replay.errors import BagError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from meta_repo_ros.replay.bag_reader import BagReader, RawMessage

_FAR_NS = 1 << 60


class Playback:
    """Bag time that runs at a rate, stops, and jumps.

    Args:
        bag: open bag.
        topics: names, as the bag has them, of what is played.
        start_offset_ns: where to begin after the first message, ns.
        rate: bag time over real time.
        loop: whether to begin again at the end.
        now_ns: steady clock, ns.

    Attributes:
        paused: whether the bag's time stands by request.
        finished: whether the end is reached.
        error: why the bag could not be read further, '' if it could.
        jumps: how often the time jumped.
    """

    def __init__(
        self,
        bag: BagReader,
        topics: Collection[str],
        *,
        start_offset_ns: int = 0,
        rate: float = 1.0,
        loop: bool = False,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._bag = bag
        self._topics = frozenset(topics)
        self._begin = bag.start_ns + start_offset_ns
        self._now = now_ns
        self.rate = rate
        self.loop = loop
        self.paused = False
        self.finished = False
        self.error = ''
        self.jumps = 0
        self._held = True
        self._anchor_bag = self._begin
        self._anchor_real = now_ns()
        self._messages: Iterator[RawMessage] = iter(())
        self._next: RawMessage | None = None
        self._go_to(self._begin)

    @property
    def duration_ns(self) -> int:
        """Time that the bag spans."""
        return self._bag.duration_ns

    @property
    def position_ns(self) -> int:
        """Bag time since the first message."""
        return self.bag_time_ns() - self._bag.start_ns

    def bag_time_ns(self) -> int:
        """Receive time at which playing is; never beyond the end of the bag."""
        if self._held or self.paused:
            return self._anchor_bag
        passed = int((self._now() - self._anchor_real) * self.rate)
        return min(self._anchor_bag + passed, max(self._bag.end_ns, self._anchor_bag))

    def hold(self) -> None:
        """Stand until :meth:`release`, whether paused or not."""
        self._anchor(self.bag_time_ns())
        self._held = True

    def release(self) -> None:
        """End :meth:`hold`."""
        self._held = False
        self._anchor(self._anchor_bag)

    def pause(self) -> None:
        """Stop the bag's time."""
        self._anchor(self.bag_time_ns())
        self.paused = True

    def resume(self) -> None:
        """Let the bag's time run."""
        self._anchor(self.bag_time_ns())
        self.paused = False

    def set_rate(self, rate: float) -> None:
        """Play at ``rate`` (> 0) from here on."""
        self._anchor(self.bag_time_ns())
        self.rate = rate

    def leave_out(self, topic: str) -> None:
        """Play ``topic`` no more; for a playback that has not begun, or stands."""
        self._topics -= {topic}
        self._go_to(self._anchor_bag)

    def rewind(self) -> None:
        """Go to where playing began."""
        self._go_to(self._begin)

    def seek(self, stamp: int) -> bool:
        """Go to receive time ``stamp``, ns; False where the bag does not hold it."""
        if not self._bag.start_ns <= stamp <= self._bag.end_ns:
            return False
        self._go_to(stamp)
        return True

    def take_due(self) -> tuple[RawMessage, int] | None:
        """The next message if its time has come, and how late it is in real time, ns."""
        if self._held or self.paused:
            return None
        if self._next is None:
            # The next round begins when this one's time is over.
            if not self.loop or self.error or self.bag_time_ns() < self._bag.end_ns:
                return None
            self._go_to(self._begin)
        message = self._next
        if message is None:
            return None
        real = self._anchor_real + int((message.receive_ns - self._anchor_bag) / self.rate)
        late = self._now() - real
        if late < 0:
            return None
        self._advance()
        return message, late

    def take_next(self) -> RawMessage | None:
        """The next message, due or not; the bag's time goes to it. For a paused bag."""
        message = self._next
        if message is not None:
            self._advance()
            self._anchor(message.receive_ns)
        return message

    def until_next_ns(self) -> int:
        """Real time until something is due, ns."""
        if self._held or self.paused:
            return _FAR_NS
        if self._next is None and (self.error or not self.loop):
            return _FAR_NS
        due = self._bag.end_ns if self._next is None else self._next.receive_ns
        wait = (due - self._anchor_bag) / self.rate
        return max(0, self._anchor_real + int(wait) - self._now())

    def latched(self) -> list[RawMessage]:
        """The last message of each latched topic before the position, in order of time."""
        names = {
            topic.name
            for topic in self._bag.topics.values()
            if topic.name in self._topics
            and any(q.durability == QosDurability.TRANSIENT_LOCAL for q in topic.qos)
        }
        last: dict[str, RawMessage] = {}
        if names and self._anchor_bag > self._bag.start_ns:
            for message in self._bag.raw(names, stop_ns=self._anchor_bag):
                last[message.topic] = message
        return sorted(last.values(), key=lambda message: message.receive_ns)

    def _anchor(self, bag_time: int) -> None:
        self._anchor_bag = bag_time
        self._anchor_real = self._now()

    def _go_to(self, stamp: int) -> None:
        self._messages = self._bag.raw(self._topics, start_ns=stamp)
        self._anchor(stamp)
        self.finished = False
        self.error = ''
        self.jumps += 1
        self._advance()

    def _advance(self) -> None:
        try:
            self._next = next(self._messages, None)
        except BagError as error:
            self._next = None
            self.error = str(error)
        if self._next is None:
            self.finished = True
