# SPDX-License-Identifier: Apache-2.0
"""The live host: a thin lifecycle node around one processor.

Per message: one lookup of the time, the processor, one publish per output. Messages are handed
over as they are, without copies.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

from meta_repo_ros.ros.node import ManagedNode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rclpy.subscription import Subscription

    from meta_repo_ros.core.processor import Diagnostic, Output, Processor, Topic


class ProcessorNode(ManagedNode):
    """Runs a processor live.

    Args:
        processor: the processor's class; it is built anew by each configure.
        name: node name, the processor's own by default.
        seed: seed of the processor's randomness.
        **options: as for :class:`ManagedNode`.
    """

    def __init__(
        self, processor: type[Processor], name: str | None = None, *, seed: int = 0, **options: Any
    ) -> None:
        self._class = processor
        self._seed = seed
        self._processor: Processor | None = None
        self._publish: dict[str, Callable[[Any], None]] = {}
        self._was_active = False
        self._latched: dict[str, Any] = {}
        super().__init__(name or processor.name, parameters=processor.Parameters, **options)

    @property
    def processor(self) -> Processor:
        """The processor; there is none while unconfigured.

        Raises:
            RuntimeError: while unconfigured.
        """
        if self._processor is None:
            raise RuntimeError(f'{self.full_name} is not configured')
        return self._processor

    def configure(self) -> None:
        """Build the processor, its publishers, subscriptions and timer."""
        processor = self._processor = self._class(self.parameters, seed=self._seed)
        self._was_active = False
        self._publish = {t.name: self.advertise(t).publish for t in processor.outputs}
        for topic in processor.inputs:
            self._subscribe(topic, processor.on_message)
        period = processor.timer_period_ns
        if period is not None:
            self.every(period, self._on_timer)

    def activate(self) -> None:
        """Start; after a pause the processor starts from nothing but the latched inputs."""
        if self._was_active:
            self.processor.reset(self.now_ns())
        self._was_active = True
        for topic, message in self._latched.items():
            self._take(topic, message)

    def deactivate(self) -> None:
        """Publish the processor's safe outputs."""
        self._emit(self.processor.safe_outputs(self.now_ns()))

    def cleanup(self) -> None:
        """Drop the processor."""
        self._processor = None
        self._publish = {}
        self._latched.clear()

    def apply_parameters(self, parameters: Any) -> None:
        """Hand the new set to the processor."""
        self.processor.set_parameters(parameters)

    def on_clock_reset(self, stamp: int) -> None:
        """Reset the processor."""
        self.processor.reset(stamp)

    def diagnostics(self, stamp: int) -> Sequence[Diagnostic]:
        """The processor's rows."""
        return self.processor.diagnostics(stamp)

    def _emit(self, outputs: Sequence[Output]) -> None:
        publish = self._publish
        for topic, message in outputs:
            publish[topic](message)

    def _take(self, topic: str, message: Any) -> None:
        try:
            self._emit(self.processor.on_message(topic, message, self.now_ns()))
        except Exception as error:  # noqa: BLE001 (input must never keep a node inactive)
            self._on_exception(topic, error)

    def _on_timer(self) -> None:
        self._emit(self.processor.on_timer(self.now_ns()))

    def _subscribe(
        self, topic: Topic, on_message: Callable[[str, Any, int], Sequence[Output]]
    ) -> None:
        node, name, statistics = self, topic.name, self.statistics
        publish, failed = self._publish, partial(self._on_exception, topic.name)
        time_source, now_ns, wall_ns = self._time_source, self.now_ns, time.time_ns
        last_sequence = 0
        latched = self._latched if topic.qos == 'LATCHED' else None  # comes once
        subscription: Subscription[Any]

        def callback(message: Any, info: Any) -> None:
            nonlocal last_sequence
            sequence = info['publication_sequence_number']
            if sequence is not None:  # some middleware does not tell
                # one publisher numbers its messages without holes; several cannot be told apart
                lost = sequence - last_sequence - 1
                if lost > 0 and last_sequence and subscription.get_publisher_count() == 1:
                    statistics.gaps += lost
                last_sequence = sequence
            if latched is not None:
                latched[name] = message
            if not node.active:
                statistics.ignored += latched is None
                return
            statistics.received += 1
            stamp = now_ns() if time_source.ros_time_is_active else wall_ns()
            try:
                for output, result in on_message(name, message, stamp):
                    publish[output](result)
            except Exception as error:  # noqa: BLE001 (input must never end the process)
                failed(error)

        subscription = self.subscribe_raw_callback(topic, callback)
