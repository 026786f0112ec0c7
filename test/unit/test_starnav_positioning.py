# SPDX-License-Identifier: Apache-2.0
"""Which position goes out: the celestial fix, or GNSS as its backup."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from meta_repo_ros.core.time import NANOSECONDS
from meta_repo_ros.starnav.celestial_types import CelestialParameters, Fix, Source
from meta_repo_ros.starnav.cross_check import CrossCheckParameters
from meta_repo_ros.starnav.positioning import Positioning

START = 1_790_000_000 * NANOSECONDS
LEVEL = (1.0, 0.0, 0.0, 0.0)
SMALL = np.eye(3) * 1e-10


@pytest.fixture
def positioning(monkeypatch: pytest.MonkeyPatch) -> Positioning:
    """Its celestial fix lies where GNSS says, with a sigma that the test sets."""
    made = Positioning(CelestialParameters(), CrossCheckParameters())
    made.sigma = 100.0  # type: ignore[attr-defined]

    def solution(stamp: int) -> Fix:
        covariance = np.diag([1.0, 1.0, 0.0]) * made.sigma**2 / 2.0  # type: ignore[attr-defined]
        return Fix(stamp, 47.0, 11.0, float('nan'), covariance, Source.STARS)

    monkeypatch.setattr(made.celestial, 'solution', solution)
    return made


def image(positioning: Positioning, second: float) -> list[Source]:
    stamp = START + round(second * NANOSECONDS)
    return [fix.source_mask for fix in positioning.add_image(stamp, LEVEL, SMALL)]


def gnss(positioning: Positioning, second: float) -> list[Source]:
    stamp = START + round(second * NANOSECONDS)
    return [f.source_mask for f in positioning.add_gnss(stamp, 47.0, 11.0, 500.0, np.eye(3))]


def test_gnss_goes_out_until_there_are_stars(positioning: Positioning) -> None:
    assert gnss(positioning, 0.0) == [Source.GNSS]
    assert image(positioning, 0.5) == [Source.STARS]
    assert gnss(positioning, 1.0) == []
    later = positioning.celestial.parameters.maximum_age + 2.0
    assert gnss(positioning, later) == [Source.GNSS], 'no image for a while'


def test_useless_fix_leaves_the_topic_to_gnss(positioning: Positioning) -> None:
    positioning.sigma = 50_000.0  # type: ignore[attr-defined]
    assert image(positioning, 0.0) == [Source.STARS], 'better than nothing'
    assert gnss(positioning, 0.5) == [Source.GNSS]
    assert image(positioning, 1.0) == []
    assert gnss(positioning, 1.5) == [Source.GNSS]
    assert image(positioning, 9.0) == [Source.STARS], 'GNSS has gone'


def test_suspected_gnss_never_goes_out(
    positioning: Positioning, monkeypatch: pytest.MonkeyPatch
) -> None:
    positioning.sigma = 50_000.0  # type: ignore[attr-defined]
    suspected = dataclasses.replace(positioning.verdict, spoofing_suspected=True)
    monkeypatch.setattr(type(positioning), 'verdict', property(lambda _: suspected))
    assert image(positioning, 0.0) == [Source.STARS]
    assert gnss(positioning, 0.5) == []
    assert image(positioning, 1.0) == [Source.STARS]
