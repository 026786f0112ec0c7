# SPDX-License-Identifier: Apache-2.0
"""Figures of navigation and attitude fusion: ``python -m benchmarks.navigation``."""

from __future__ import annotations

import argparse
import importlib
import os
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import consistency, drive, machine
from meta_repo_ros.core.parameters import parameter_hash
from meta_repo_ros.fusion.navigation_parameters import NavigationParameters

_ROOT = Path(__file__).resolve().parents[1]
REPLAY_BAR = 10.0
REPLAY_S = 600.0


def data_directory() -> Path:
    """Where the recordings lie."""
    return Path(os.environ.get('META_REPO_DATA', _ROOT.parent / 'shared' / 'data'))


def replay_row(seconds: float) -> dict[str, Any]:
    """Offline replay of a simulated flight through attitude and navigation fusion."""
    from meta_repo_ros.commands._offline import chain  # noqa: PLC0415
    from meta_repo_ros.replay import offline  # noqa: PLC0415
    from meta_repo_ros.replay.bag_reader import BagReader  # noqa: PLC0415
    from meta_repo_ros.replay.bag_writer import BagWriter  # noqa: PLC0415
    from meta_repo_ros.simulation.library import find_scenario  # noqa: PLC0415
    from meta_repo_ros.simulation.simulator import Simulator  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        bag = Path(folder) / 'flight'
        simulator = Simulator(find_scenario('demo').with_duration(seconds), 1)
        with BagWriter(bag) as writer:
            for topic in simulator.topics:
                writer.add_topic(topic.name, topic.type, topic.qos)
            while not simulator.finished:
                for message in simulator.step():
                    writer.write(message.topic.name, message.stamp, message.message)
        with BagReader(bag) as reader:
            topics = {name.lstrip('/') for name in reader.topics}
        processors = chain(topics)
        result = offline.run(bag, processors, Path(folder) / 'out')
    return {
        'figure': 'offline replay of a simulated flight, bag to bag, over real time',
        'bar': f'>= {REPLAY_BAR:.0f}',
        'flight_s': seconds,
        'processors': [processor.name for processor in processors],
        'wall_s': round(result.wall_s, 2),
        'real_time_factor': round(result.real_time_factor, 1),
        'messages': sum(result.counts_in.values()),
    }


def collect(*, quick: bool) -> dict[str, Any]:
    """All rows with what they were made from."""
    folder = data_directory() / 'gnss_imu'
    rows: list[dict[str, Any]] = []
    missing: list[str] = []
    if folder.is_dir():
        rows += drive.rows(folder, quick=quick)
    else:
        missing.append(f'{folder}: not there, no drive')
    rows += consistency.rows(quick=quick)
    try:
        attitude = importlib.import_module('benchmarks.attitude')
        rows += attitude.rows(data_directory(), seeds=5 if quick else 50)
    except (OSError, ValueError) as error:
        missing.append(f'attitude: {error}')
    rows.append(replay_row(60.0 if quick else REPLAY_S))
    return {
        **machine.provenance(),
        'data': 'shared/data/gnss_imu, shared/data/attitude_broad, simulated flights',
        'parameters': {
            'navigation_fusion': parameter_hash(NavigationParameters()),
            'navigation_fusion, car': parameter_hash(drive.parameters(constraints=True)),
        },
        'missing': missing,
        'rows': rows,
    }


def main() -> None:
    """Print the figures, or write them to a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the figures to FILE')
    parser.add_argument('--quick', action='store_true', help='fewer and shorter runs, no bars')
    arguments = parser.parse_args()
    machine.hand_out(collect(quick=arguments.quick), arguments.json)


if __name__ == '__main__':
    main()
