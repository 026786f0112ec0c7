# SPDX-License-Identifier: Apache-2.0
"""The live view of Vortex Shield: what a terminal shows for what came."""

from __future__ import annotations

import array
import math

from click.testing import CliRunner
from rich.console import Console

from meta_repo_ros.cli import main
from meta_repo_ros.commands._vortex_watch import Seen, bar, line, picture, sparkline
from meta_repo_ros.msg import RecoveryCommand, VortexDetection


def detection(sequence: int, **values: object) -> VortexDetection:
    message = VortexDetection(
        block_sequence=sequence, level=VortexDetection.LEVEL_INCIPIENT, probability=0.87,
        risk=0.6, evidence=math.nan, time_to_onset=math.inf, normalised_descent=0.71,
        normalised_airspeed=0.12, hover_induced_velocity=5.65, voices=1 | 2,
        features=['pressure_ring', 'flow_reversal'], note='no usable acoustic channel',
    )  # fmt: skip
    message.feature_scores = array.array('d', [6.2, 3.1])
    for name, value in values.items():
        setattr(message, name, value)
    return message


def command() -> RecoveryCommand:
    return RecoveryCommand(
        phase=RecoveryCommand.PHASE_EXIT, variant=RecoveryCommand.VARIANT_VUICHARD,
        tilt=math.radians(13.5), direction=math.radians(180.0), collective_limit=0.41,
        predicted_altitude_loss=12.4, predicted_duration=2.2, height_available=20.0,
        height_margin=1.6, assured=False, reason='right: 12.4 m',
    )  # fmt: skip


def shown(seen: Seen, now: float) -> str:
    console = Console(width=110, record=True, force_terminal=False)
    with console.capture() as captured:
        console.print(picture(seen, now))
    return captured.get()


def test_all_that_is_known_is_shown() -> None:
    seen = Seen()
    assert 'waits for vortex_detection' in shown(seen, 0.0)
    seen.take_detection(detection(1))
    seen.take_detection(detection(5))
    seen.take_command(command())
    text = shown(seen, seen.arrived)
    for expected in (
        'INCIPIENT', '0.87', '0.60', 'unknown', 'receding', '0.71, 0.12 v_h', 'state, pressure',
        '2 blocks, 3 not seen here', 'pressure ring', '6.2 sigma', 'no usable acoustic channel',
        'EXIT: lateral (Vuichard)', 'tilt 14 deg towards 270 deg', 'at most 41 %',
        '12.4 m in 2.2 s', 'margin 1.60', 'RECOVERY NOT ASSURED', 'right: 12.4 m',
    ):  # fmt: skip
        assert expected in text, text
    ended = command()
    ended.phase, ended.reason = RecoveryCommand.PHASE_COMPLETE, 'out of the ring after 5.1 s'
    seen.take_command(ended)
    text = shown(seen, seen.arrived)
    assert 'COMPLETE: out of the ring after 5.1 s' in text
    assert 'ASSURED' not in text
    assert 'no detection for 3.0 s' in shown(seen, seen.arrived + 3.0)


def test_logs_get_lines() -> None:
    seen = Seen()
    seen.take_detection(detection(1))
    text = line(seen, seen.arrived)
    assert text.startswith('INCIPIENT p 0.87 risk 0.60 evidence unknown')
    assert text.endswith('no usable acoustic channel')
    seen.take_command(command())
    assert '| EXIT lateral (Vuichard)' in line(seen, seen.arrived)
    assert line(seen, seen.arrived + 2.0) == 'no detection for 2.0 s'


def test_bars_take_any_number() -> None:
    assert bar(0.5).count('█') == bar(0.5).count('░')
    assert bar(7.0).count('░') == bar(-1.0).count('█') == 0
    assert set(bar(math.nan)) == {'.'}
    assert sparkline([0.0, 0.5, 1.0, 2.0]) == ' ▄██'


def test_silence_is_told() -> None:
    result = CliRunner().invoke(
        main, ['vortex', 'watch', '--namespace', 'uav7', '--duration', '0.2']
    )
    assert result.exit_code == 1
    assert 'nothing came on /uav7/vortex_detection' in ' '.join(result.output.split())
