# SPDX-License-Identifier: Apache-2.0
"""The live graph and the offline host agree on what was received.

A flight is recorded while it runs, and its bag goes through the offline host. The recorder is a
process of its own: it hears the same messages as the filter, but may hear a fix a few samples
earlier or later, so single samples may differ until both have fused it. Inside the fusion window
the order of arrival does not matter to the state, so after the last common fix both must agree.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from meta_repo_ros.commands._offline import chain
from meta_repo_ros.replay import offline
from meta_repo_ros.replay.bag_reader import BagReader
from meta_repo_ros.reporting.evaluation import attitude_errors, relocated, sampled
from meta_repo_ros.reporting.recorded import read_bag

CONVERGED_S = 10.0


def lost_live(bag: Path) -> int:
    """How many messages navigation_fusion missed, by its own count."""
    lost = 0
    with BagReader(bag) as reader:
        for _, _, _, array in reader.messages(['/diagnostics']):
            for row in array.status:
                if row.name == 'navigation_fusion: host':
                    lost = max(int(v.value) for v in row.values if v.key == 'messages lost')
    return lost


def test_offline_gives_what_was_published_live(demo: Any, tmp_path: Path) -> None:
    assert demo.code == 0, demo.output
    live_bag = demo.folder / 'bag'
    with BagReader(live_bag) as bag:
        processors = chain({name.lstrip('/') for name in bag.topics})
    offline.run(live_bag, processors, tmp_path / 'offline')
    live, again = read_bag(live_bag), read_bag(tmp_path / 'offline')
    assert live.estimate is not None
    assert again.estimate is not None
    assert live.estimate.origin is not None
    if lost := lost_live(live_bag):
        pytest.skip(f'too busy a machine: {lost} messages were lost live, so the sets differ')
    stamps = np.intersect1d(live.estimate.stamps, again.estimate.stamps)
    # receive times of simulated time are ticks of /clock: inside one the offline order is by topic,
    # and where a pressure sample overtakes inertial ones there is one odometry for several
    assert len(stamps) > 0.85 * len(live.estimate.stamps)
    stamps = stamps[stamps > stamps[0] + int(CONVERGED_S * 1e9)]
    assert len(stamps) > 500
    first = sampled(live.estimate, stamps)
    second = sampled(relocated(again.estimate, live.estimate.origin), stamps)
    distance = np.linalg.norm(first.position - second.position, axis=1)
    angle = attitude_errors(first.orientation, second.orientation)[0][:, 0]
    close = (distance < 0.01) & (angle < 0.01)
    report = f'{np.max(distance):.4f} m, {np.max(angle):.4f} deg, {np.mean(close):.1%} agree'
    assert np.mean(close) > 0.95, report
    assert close[-1], report
