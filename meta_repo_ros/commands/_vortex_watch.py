# SPDX-License-Identifier: Apache-2.0
"""``meta-repo vortex watch``: level, probability, both voices and the plan, live on a terminal."""

from __future__ import annotations

import contextlib
import math
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console, Group
    from rich.table import Table
    from rich.text import Text

LEVELS = ('UNKNOWN', 'NONE', 'MARGIN', 'INCIPIENT', 'DEVELOPED')
PHASES = ('NONE', 'PREPARE', 'EXIT', 'CLIMB_OUT', 'COMPLETE', 'ABORTED')
_ALIVE = (1, 2, 3)  # phases
_VARIANTS = ('no way', 'forward', 'lateral (Vuichard)')
_VOICES = {1: 'state', 2: 'pressure', 4: 'flow', 8: 'sound'}
_COLOURS = ('white', 'green', 'yellow', 'dark_orange', 'red')
_SPARKS = ' ▁▂▃▄▅▆▇█'
_REFRESH_S = 0.25
_LINE_S = 1.0
_HISTORY = 60
_BAR = 24
_STALE_S = 1.0


@dataclass
class Seen:
    """The newest of what came.

    Attributes:
        detection, command: messages, None before the first.
        blocks: detections that came.
        lost: blocks that no detection came of, by their sequence.
        arrived: monotonic time of the newest detection, s.
        history: probabilities, one each refresh.
    """

    detection: Any = None
    command: Any = None
    blocks: int = 0
    lost: int = 0
    arrived: float = 0.0
    history: deque[float] = field(default_factory=lambda: deque(maxlen=_HISTORY))

    def take_detection(self, message: Any) -> None:
        """A ``VortexDetection``."""
        before, self.detection = self.detection, message
        if before is not None and message.block_sequence > before.block_sequence + 1:
            self.lost += message.block_sequence - before.block_sequence - 1
        self.blocks += 1
        self.arrived = time.monotonic()

    def take_command(self, message: Any) -> None:
        """A ``RecoveryCommand``."""
        self.command = message


@click.command('watch')
@click.option('--namespace', default='', help='Namespace of the vehicle, such as uav1.')
@click.option(
    '--duration', type=click.FloatRange(min=0.1), help='End after so many seconds; else by Ctrl-C.'
)
@click.pass_context
def command(context: click.Context, namespace: str, duration: float | None) -> None:
    """Watch a running vortex_shield: level, probability, risk, evidence, features, recovery.

    On a terminal a picture is kept up to date, elsewhere a line is printed each second. Exit code
    1: nothing came.
    """
    from meta_repo_ros.commands import _runs

    seen = Seen()
    console = _runs.console()
    with contextlib.suppress(KeyboardInterrupt):
        _observe(console, seen, namespace, duration)
    if not seen.blocks:
        topic = '/'.join(['', *filter(None, [namespace.strip('/')]), 'vortex_detection'])
        console.print(
            f'nothing came on {topic}: is vortex_shield active, in this ROS_DOMAIN_ID?',
            highlight=False,
        )
        context.exit(1)


def _observe(console: Console, seen: Seen, namespace: str, duration: float | None) -> None:
    import rclpy
    from rclpy.context import Context
    from rclpy.node import Node
    from rclpy.signals import SignalHandlerOptions
    from rich.live import Live

    from meta_repo_ros.msg import RecoveryCommand, VortexDetection
    from meta_repo_ros.ros import qos
    from meta_repo_ros.ros.executor import DataExecutor

    context = Context()
    rclpy.init(context=context, signal_handler_options=SignalHandlerOptions.NO)
    own = f'/{namespace.strip("/")}' if namespace.strip('/') else ''
    node = Node(
        f'vortex_watch_{time.time_ns() % 1_000_000}', context=context, enable_rosout=False,
        use_global_arguments=False, start_parameter_services=False,
    )  # fmt: skip
    stream = qos.profile('STREAM')
    for kind, topic, take in (
        (VortexDetection, 'vortex_detection', seen.take_detection),
        (RecoveryCommand, 'recovery_command', seen.take_command),
    ):
        node.create_subscription(kind, f'{own}/{topic}', take, stream)
    executor = DataExecutor(context=context)
    executor.add_node(node)
    live = Live(console=console, auto_refresh=False, transient=False)
    begin = time.monotonic()
    try:
        if console.is_terminal:
            live.start()
        due = begin
        while duration is None or time.monotonic() - begin < duration:
            executor.spin_once(timeout_sec=0.05)
            now = time.monotonic()
            if now < due:
                continue
            if console.is_terminal:
                due = now + _REFRESH_S
                live.update(picture(seen, now), refresh=True)
            else:
                due = now + _LINE_S
                if seen.detection is not None:
                    console.print(line(seen, now), highlight=False, markup=False)
    finally:
        live.stop()
        node.destroy_node()
        executor.shutdown()
        context.try_shutdown()


def line(seen: Seen, now: float) -> str:
    """One line of what is known, for logs; ``now`` is monotonic time, s."""
    d, c = seen.detection, seen.command
    old = now - seen.arrived
    if old > _STALE_S:
        return f'no detection for {old:.1f} s'
    text = (
        f'{LEVELS[d.level]:9s} p {_number(d.probability)} risk {_number(d.risk)} '
        f'evidence {_number(d.evidence)} descent {_number(d.normalised_descent)} '
        f'airspeed {_number(d.normalised_airspeed)}'
    )
    if c is not None and c.phase:
        text += f' | {PHASES[c.phase]} {_VARIANTS[c.variant]}'
    return f'{text} | {d.note}' if d.note else text


def picture(seen: Seen, now: float) -> Group:
    """All of it; ``now`` is monotonic time, s."""
    from rich.console import Group
    from rich.panel import Panel
    from rich.text import Text

    d = seen.detection
    if d is None:
        return Group(Panel(Text('waits for vortex_detection'), title='Vortex Shield'))
    seen.history.append(d.probability if math.isfinite(d.probability) else 0.0)
    old = now - seen.arrived
    colour = _COLOURS[d.level]
    title = Text(f' {LEVELS[d.level]} ', style=f'bold {colour} reverse')
    if old > _STALE_S:
        title.append(f'  no detection for {old:.1f} s', style='bold red')
    parts: list[Any] = [title, _voices(seen), _features(d)]
    if d.note:
        parts.append(Text(d.note, style='yellow'))
    if seen.command is not None and seen.command.phase:
        parts.append(_plan(seen.command))
    return Group(Panel(Group(*parts), title='Vortex Shield', border_style=colour))


def _voices(seen: Seen) -> Table:
    from rich.table import Table

    d = seen.detection
    table = Table.grid(padding=(0, 2))
    for name, value in (('probability', d.probability), ('risk (descent)', d.risk),
                        ('evidence (streams)', d.evidence)):  # fmt: skip
        table.add_row(name, bar(value), _number(value))
    table.add_row('', sparkline(seen.history), 'probability before')
    onset = 'receding' if math.isinf(d.time_to_onset) else f'{_number(d.time_to_onset)} s'
    table.add_row('time to onset', onset, '')
    table.add_row(
        'descent, airspeed',
        f'{_number(d.normalised_descent)}, {_number(d.normalised_airspeed)} v_h',
        f'v_h {_number(d.hover_induced_velocity)} m/s',
    )
    heard = ', '.join(name for bit, name in _VOICES.items() if d.voices & bit) or 'none'
    table.add_row('voices', heard, f'{seen.blocks} blocks, {seen.lost} not seen here')
    return table


def _features(d: Any) -> Table:
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    for name, score in list(zip(d.features, d.feature_scores, strict=False))[:6]:
        table.add_row(name.replace('_', ' '), bar(score / 10.0), f'{score:.1f} sigma')
    return table


def _plan(c: Any) -> Text:
    from rich.text import Text

    text = Text()
    if c.phase not in _ALIVE:
        text.append(f'{PHASES[c.phase]}: ', style='bold')
        return text.append(c.reason)
    style = 'bold green' if c.assured else 'bold red'
    text.append(f'{PHASES[c.phase]}: {_VARIANTS[c.variant]}', style='bold')
    compass = (90.0 - math.degrees(c.direction)) % 360.0
    text.append(f', tilt {math.degrees(c.tilt):.0f} deg towards {compass:.0f} deg')
    text.append(f', collective at most {100.0 * c.collective_limit:.0f} %\n')
    text.append(
        f'altitude to lose {c.predicted_altitude_loss:.1f} m in {c.predicted_duration:.1f} s, '
        f'height {_number(c.height_available)} m, margin {_number(c.height_margin)} '
    )
    text.append('assured' if c.assured else 'RECOVERY NOT ASSURED', style=style)
    if c.reason:
        text.append(f'\n{c.reason}')
    return text


def bar(share: float) -> str:
    """A bar of a share of one; of what is no number, dots."""
    if not math.isfinite(share):
        return '.' * _BAR
    filled = round(min(max(share, 0.0), 1.0) * _BAR)
    return '█' * filled + '░' * (_BAR - filled)


def sparkline(values: Sequence[float]) -> str:
    """Shares of one as a line of blocks."""
    top = len(_SPARKS) - 1
    return ''.join(_SPARKS[round(min(max(v, 0.0), 1.0) * top)] for v in values)


def _number(value: float) -> str:
    return f'{value:.2f}' if math.isfinite(value) else 'unknown' if math.isnan(value) else 'inf'
