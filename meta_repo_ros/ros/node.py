# SPDX-License-Identifier: Apache-2.0
"""The lifecycle node that all nodes of the project are.

A derived class says what to do in each step; this class turns errors into reasons:

- ``configure``: read ``self.parameters``, then ``advertise`` and ``listen``. Publishers and
  subscriptions are matched from here on; input is ignored (and counted) until active.
- ``activate``: start what must run; timers made with ``every`` run only while active.
- ``deactivate``: publish safe outputs. An error here is logged and never keeps the node active.
- ``cleanup``: release what ``configure`` took; publishers, subscriptions and timers go by
  themselves. Shutdown is deactivate (if active) and cleanup.
"""

from __future__ import annotations

import functools
import time
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from rcl_interfaces.msg import ParameterDescriptor
from rclpy.clock import JumpThreshold
from rclpy.duration import Duration
from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.parameter_service import ParameterService
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.time_source import TimeSource

from meta_repo_ros.core.processor import Diagnostic, Level, Topic
from meta_repo_ros.ros import clock, diagnostics, qos
from meta_repo_ros.ros.exchange import BulkPublisher, BulkSubscription
from meta_repo_ros.ros.heartbeat import Reporter
from meta_repo_ros.ros.mailbox import Mailbox
from meta_repo_ros.ros.parameters import START_SERVICES, NodeParameters
from meta_repo_ros.ros.statistics import NodeStatistics
from meta_repo_ros.ros.types import message_class

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from diagnostic_msgs.msg import DiagnosticStatus
    from rclpy.clock import TimeJump
    from rclpy.publisher import Publisher
    from rclpy.subscription import Subscription
    from rclpy.timer import Timer

_SUCCESS = TransitionCallbackReturn.SUCCESS
_FAILURE = TransitionCallbackReturn.FAILURE
_ARRIVE_NS = 300_000_000
_START_SERVICES_DESCRIPTOR = ParameterDescriptor(
    description='Whether parameters can be read and changed from outside.', read_only=True
)


class ManagedNode(LifecycleNode):
    """Base of all nodes.

    Class attributes:
        name: default node name.
        Parameters: frozen dataclass of :func:`core.parameters.parameter` fields.
        self_starting: configured and activated by its process, not by the lifecycle manager.

    Args:
        name: node name, the class's own by default; ``-r __node:=`` renames as usual.
        parameters: parameter dataclass, the class's own by default.
        **options: passed to ``rclpy.lifecycle.LifecycleNode``.

    Attributes:
        parameters: the snapshot in force (None only where the start values are refused, and then
            ``configure`` is not called).
        active: whether the node is active.
        statistics: counters shown in the node's ``host`` row.
    """

    name: ClassVar[str]
    Parameters: ClassVar[type]
    self_starting: ClassVar[bool] = False

    def __init__(
        self, name: str | None = None, *, parameters: type | None = None, **options: Any
    ) -> None:
        self.active = False
        self.statistics = NodeStatistics()
        overrides = list(options.pop('parameter_overrides', None) or ())
        # one service per node that nobody calls, unless a parameter file asks for it
        default_off = Parameter('start_type_description_service', value=False)
        super().__init__(
            name or self.name,
            start_parameter_services=False,
            parameter_overrides=[default_off, *overrides],
            **options,
        )
        self.full_name: str = self.get_fully_qualified_name()
        self._own_publishers: list[Publisher[Any] | BulkPublisher] = []
        self._own_subscriptions: list[Subscription[Any] | BulkSubscription] = []
        self._own_timers: list[Timer] = []
        self._services_wanted = self.declare_parameter(
            START_SERVICES, True, _START_SERVICES_DESCRIPTOR
        ).value
        if self._services_wanted:
            self._parameter_services = ParameterService(self)
        self._node_parameters = NodeParameters(
            self, parameters or self.Parameters, self._apply_parameters
        )
        for key in self._node_parameters.unknown:
            self.get_logger().warning(f'unknown parameter {key!r} is ignored')
        self._jump_handle = self.get_clock().create_jump_callback(
            JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-1)),
            post_callback=self._on_time_jump,
        )
        Reporter.of(self.context).add(self)

    # -- what a derived class fills in ----------------------------------------------------------

    def configure(self) -> None:
        """Make publishers and subscriptions; a ValueError, OSError or RuntimeError refuses."""

    def activate(self) -> None:
        """Start; an error refuses."""

    def deactivate(self) -> None:
        """Publish safe outputs and stop."""

    def cleanup(self) -> None:
        """Release what :meth:`configure` took."""

    def apply_parameters(self, parameters: Any) -> None:
        """Take a whole new set between two events; a ValueError rejects it with its reason."""

    def on_clock_reset(self, stamp: int) -> None:
        """The clock jumped back to ``stamp`` (ns), or simulated time was switched on or off."""

    def diagnostics(self, stamp: int) -> Sequence[Diagnostic]:  # noqa: ARG002
        """Rows for ``/diagnostics`` at ``stamp`` (ns); called at 1 Hz while configured."""
        return ()

    # -- what a derived class uses --------------------------------------------------------------

    @property
    def parameters(self) -> Any:
        """The parameter snapshot in force."""
        return self._node_parameters.value

    @property
    def state_label(self) -> str:
        """Lifecycle state: unconfigured, inactive, active, finalized (or a transition)."""
        label: str = self._state_machine.current_state[1]
        return label

    @functools.cached_property
    def mailbox(self) -> Mailbox:
        """The way into the executor's thread; asked for there, before other threads use it."""
        return Mailbox(self)

    def now_ns(self) -> int:
        """The node's clock, ns; simulated where ``use_sim_time`` is set."""
        if self._time_source.ros_time_is_active:
            return int(self.get_clock().now().nanoseconds)
        return time.time_ns()

    def advertise(self, topic: Topic) -> Publisher[Any] | BulkPublisher:
        """A publisher of ``topic`` that lives until cleanup; of preset BULK, by reference too."""
        resolved = self.resolve_topic_name(topic.name)
        events = PublisherEventCallbacks(
            incompatible_qos=partial(self._on_incompatible_qos, resolved, True)
        )
        publisher: Publisher[Any] | BulkPublisher = self.create_publisher(
            message_class(topic.type),
            topic.name,
            qos.profile(topic.qos),
            event_callbacks=events,
            qos_overriding_options=self._qos_overrides(resolved),
        )
        if topic.qos == 'BULK':
            publisher = BulkPublisher(self, resolved, topic.type, publisher)
        self._own_publishers.append(publisher)
        return publisher

    def listen(
        self, topic: Topic, handler: Callable[[Any], object], *, raw: bool = False
    ) -> Subscription[Any] | BulkSubscription:
        """A subscription to ``topic`` that lives until cleanup.

        ``handler(message)`` is called while active. What it raises is caught, counted and shown.
        """
        statistics, failed = self.statistics, partial(self._on_exception, topic.name)
        node = self

        def callback(message: Any) -> None:
            if not node.active:
                statistics.ignored += 1
                return
            statistics.received += 1
            try:
                handler(message)
            except Exception as error:  # noqa: BLE001 (input must never end the process)
                failed(error)

        return self.subscribe_raw_callback(topic, callback, raw=raw)

    def subscribe_raw_callback(
        self, topic: Topic, callback: Callable[..., None], *, raw: bool = False
    ) -> Subscription[Any] | BulkSubscription:
        """As :meth:`listen`, with neither state check nor exception guard around ``callback``."""
        resolved = self.resolve_topic_name(topic.name)

        def subscribe(taker: Callable[..., None]) -> Subscription[Any]:
            return self.create_subscription(
                message_class(topic.type),
                topic.name,
                taker,
                qos.profile(topic.qos),
                event_callbacks=SubscriptionEventCallbacks(
                    incompatible_qos=partial(self._on_incompatible_qos, resolved, False)
                ),
                qos_overriding_options=self._qos_overrides(resolved),
                raw=raw,
            )

        subscription: Subscription[Any] | BulkSubscription
        if topic.qos == 'BULK' and not raw:
            subscription = BulkSubscription(
                self,
                resolved,
                topic.type,
                callback,
                subscribe=subscribe,
                unsubscribe=self.destroy_subscription,
            )
        else:
            subscription = subscribe(callback)
        self._own_subscriptions.append(subscription)
        return subscription

    def every(self, period_ns: int, handler: Callable[[], object], **options: Any) -> Timer:
        """A timer of the node's clock that runs while active and lives until cleanup."""
        failed = partial(self._on_exception, 'timer')

        def callback() -> None:
            try:
                handler()
            except Exception as error:  # noqa: BLE001 (as in listen)
                failed(error)

        timer = self.create_timer(period_ns / 1e9, callback, autostart=self.active, **options)
        self._own_timers.append(timer)
        return timer

    # -- transitions ----------------------------------------------------------------------------

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Check the parameters, call :meth:`configure`."""
        del state
        problem = self._node_parameters.problem
        if problem:
            self.get_logger().error(f'configure refused: parameter {problem}')
            return _FAILURE
        result = self._lifecycle_step('configure', self.configure)
        if result is not _SUCCESS:
            self._lifecycle_release()
        return result

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Call :meth:`activate`, start the timers, take input."""
        del state
        result = self._lifecycle_step('activate', self.activate)
        if result is _SUCCESS:
            self.active = True
            for timer in self._own_timers:
                timer.reset()
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop timers and input, call :meth:`deactivate`; always succeeds."""
        del state
        self._lifecycle_stop()
        return _SUCCESS

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Call :meth:`cleanup`, destroy what the node made since configure."""
        del state
        self._lifecycle_step('cleanup', self.cleanup)
        self._lifecycle_release()
        return _SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Deactivate if active, clean up if configured."""
        if self.active:
            self._lifecycle_stop()
        if state.label != 'unconfigured':
            self._lifecycle_step('cleanup', self.cleanup)
            self._lifecycle_release()
        return _SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """An unexpected error in a transition: stop, release, and allow a new configure."""
        del state
        if self.active:
            self._lifecycle_stop()
        self._lifecycle_release()
        return _SUCCESS

    def destroy_node(self) -> None:
        """Hand over what this node carries for its process, then destroy it."""
        self._jump_handle.unregister()
        Reporter.of(self.context).remove(self)
        for bulk in (*self._own_subscriptions, *self._own_publishers):
            if isinstance(bulk, BulkSubscription):
                self.destroy_subscription(bulk)
            elif isinstance(bulk, BulkPublisher):
                self.destroy_publisher(bulk)
        if self._time_source.ros_time_is_active:
            self._time_source.detach_node()
        super().destroy_node()

    def _lifecycle_step(self, name: str, action: Callable[[], None]) -> TransitionCallbackReturn:
        try:
            action()
        except (ValueError, RuntimeError, OSError) as error:
            self.get_logger().error(f'{name} refused: {error}')
            return _FAILURE
        except Exception as error:  # noqa: BLE001 (rclpy would swallow it without a word)
            self.get_logger().error(f'{name} failed: {type(error).__name__}: {error}')
            return TransitionCallbackReturn.ERROR
        return _SUCCESS

    def _lifecycle_stop(self) -> None:
        self.active = False
        for timer in self._own_timers:
            timer.cancel()
        self._lifecycle_step('deactivate', self.deactivate)

    def _lifecycle_release(self) -> None:
        for timer in self._own_timers:
            self.destroy_timer(timer)
        for subscription in self._own_subscriptions:
            self.destroy_subscription(subscription)
        # safe outputs were published a moment ago and must arrive before their publisher goes
        end = time.monotonic_ns() + _ARRIVE_NS
        for publisher in self._own_publishers:
            left = max(0, end - time.monotonic_ns())
            publisher.wait_for_all_acked(Duration(nanoseconds=left))
            self.destroy_publisher(publisher)
        self._own_timers.clear()
        self._own_subscriptions.clear()
        self._own_publishers.clear()

    # -- events ---------------------------------------------------------------------------------

    def status_rows(self) -> Iterable[DiagnosticStatus]:
        """All rows of this node, as messages."""
        stamp = self.now_ns()
        rows = [self.statistics.row(self.state_label, self._node_parameters)]
        if self.state_label in ('inactive', 'active'):
            try:
                rows.extend(self.diagnostics(stamp))
            except Exception as error:  # noqa: BLE001 (a broken row must not end the process)
                self._on_exception('diagnostics', error)
        hardware_id = self.get_namespace().strip('/') or 'vehicle'
        return [diagnostics.status(self.full_name, hardware_id, row) for row in rows]

    def _apply_parameters(self, parameters: Any) -> None:
        if self.state_label in ('inactive', 'active'):
            self.apply_parameters(parameters)

    def _on_exception(self, where: str, error: Exception) -> None:
        if self.statistics.exception(where, error):
            self.get_logger().error(f'{where}: {self.statistics.last_exception}')

    def _on_incompatible_qos(self, topic: str, offered: bool, event: Any) -> None:  # noqa: FBT001
        reason = qos.incompatible_reason(topic, offered=offered, policy_kind=event.last_policy_kind)
        self.statistics.incompatible[topic] = reason
        self.get_logger().warning(reason)

    def _on_time_jump(self, jump: TimeJump) -> None:
        del jump
        if self.state_label not in ('inactive', 'active'):
            return
        stamp = self.now_ns()
        self.statistics.clock_resets += 1
        self.get_logger().warning(f'the clock jumped back to {stamp / 1e9:.3f} s: state is reset')
        try:
            self.on_clock_reset(stamp)
        except Exception as error:  # noqa: BLE001 (runs inside rcl's clock callback)
            self._on_exception('clock reset', error)

    def _qos_overrides(self, resolved: str) -> QoSOverridingOptions | None:
        # declaring them always would add six parameters per topic
        prefix = f'qos_overrides.{resolved}.'
        if any(name.startswith(prefix) for name in self._parameter_overrides):
            return QoSOverridingOptions.with_default_policies()
        return None

    # -- one /clock subscription per process ----------------------------------------------------

    def create_subscription(
        self, msg_type: Any, topic: str, callback: Any, *args: Any, **kw: Any
    ) -> Any:
        """As rclpy's; the time source's own ``/clock`` subscription goes to the shared feed."""
        if topic == clock.TOPIC and getattr(callback, '__self__', None).__class__ is TimeSource:
            listener = clock.ClockListener(self, super().create_subscription, callback)
            clock.ClockFeed.of(self.context).add(listener)
            return listener
        return super().create_subscription(msg_type, topic, callback, *args, **kw)

    def destroy_subscription(self, subscription: Any) -> bool:
        """As rclpy's."""
        if isinstance(subscription, clock.ClockListener):
            clock.ClockFeed.of(self.context).remove(subscription)
            return True
        if isinstance(subscription, BulkSubscription):
            subscription.destroy()
            return True
        return bool(super().destroy_subscription(subscription))

    def destroy_publisher(self, publisher: Any) -> bool:
        """As rclpy's."""
        if isinstance(publisher, BulkPublisher):
            publisher.withdraw()
            publisher = publisher.dds
        return bool(super().destroy_publisher(publisher))


__all__ = ['Diagnostic', 'Level', 'ManagedNode', 'Topic']
