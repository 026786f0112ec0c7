# SPDX-License-Identifier: Apache-2.0
"""The live graph and the offline host agree on what was received.

A flight is recorded while it runs, and its bag goes through the offline host. The recorder is a
process of its own: a fix that the filter fused before an inertial sample may stand after it in the
bag, or the other way round. Inside the fusion window the order does not matter to the state: soon
after each fix both have fused the same, and from there to the next fix they must agree.
"""

from collections.abc import Callable
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
FLIGHTS = 4
SETTLED_NS = 60_000_000  # three ticks of /clock
TWO_FIXES_NS = 200_000_000


def lost_live(bag: Path) -> int:
    """How many messages navigation_fusion missed, by its own count."""
    lost = 0
    with BagReader(bag) as reader:
        for _, _, _, array in reader.messages(['/diagnostics']):
            for row in array.status:
                if row.name == 'navigation_fusion: host':
                    lost = max(int(v.value) for v in row.values if v.key == 'messages lost')
    return lost


def whole_flight(demo: Any, fly: Callable[[], Any]) -> Path:
    """The bag of a flight of which nothing was lost live, else the received sets differ."""
    for attempt in range(FLIGHTS):
        flight = fly() if attempt else demo
        assert flight.code == 0, flight.output
        if not (lost := lost_live(flight.folder / 'bag')):
            return flight.folder / 'bag'
    pytest.skip(f'too busy a machine: messages were lost in {FLIGHTS} flights, {lost} in the last')


@pytest.mark.timeout(300)
def test_offline_gives_what_was_published_live(
    demo: Any, fly: Callable[[], Any], tmp_path: Path
) -> None:
    live_bag = whole_flight(demo, fly)
    with BagReader(live_bag) as bag:
        processors = chain({name.lstrip('/') for name in bag.topics})
    offline.run(live_bag, processors, tmp_path / 'offline')
    live, again = read_bag(live_bag), read_bag(tmp_path / 'offline')
    assert live.estimate is not None
    assert again.estimate is not None
    assert live.estimate.origin is not None
    stamps = np.intersect1d(live.estimate.stamps, again.estimate.stamps)
    # where a pressure sample overtakes inertial ones there is one odometry for several
    assert len(stamps) > 0.85 * len(live.estimate.stamps)
    stamps = stamps[stamps > stamps[0] + int(CONVERGED_S * 1e9)]
    assert len(stamps) > 500
    first = sampled(live.estimate, stamps)
    second = sampled(relocated(again.estimate, live.estimate.origin), stamps)
    distance = np.linalg.norm(first.position - second.position, axis=1)
    angle = attitude_errors(first.orientation, second.orientation)[0][:, 0]
    with BagReader(live_bag) as bag:
        fixes = np.sort([item.receive_ns for item in bag.raw(['/gnss/fix'])])
    since = stamps - fixes[np.searchsorted(fixes, stamps, side='right') - 1]
    settled = since > SETTLED_NS
    assert np.count_nonzero(settled) > 300
    close = ((distance < 0.01) & (angle < 0.01))[settled]
    worst = f'{distance[settled].max():.4f} m, {angle[settled].max():.4f} deg'
    assert close.mean() > 0.98, f'{worst}; {close.mean():.1%} agree'
    # a fix that was long under way to the filter: they agree again once it is there
    apart = stamps[settled][~close]
    groups = np.split(apart, np.flatnonzero(np.diff(apart) > TWO_FIXES_NS) + 1)
    lasting = [(group[-1] - group[0]) * 1e-9 for group in groups if len(group)]
    assert all(seconds * 1e9 < TWO_FIXES_NS for seconds in lasting), f'{worst}; s apart: {lasting}'
