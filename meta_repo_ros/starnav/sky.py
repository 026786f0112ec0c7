# SPDX-License-Identifier: Apache-2.0
"""The catalogue at a date, made anew as time goes on."""

from __future__ import annotations

from meta_repo_ros.core.time import seconds_ns
from meta_repo_ros.starnav.catalogue import Catalogue
from meta_repo_ros.starnav.identification import Identifier
from meta_repo_ros.starnav.pipeline import Sky


class SkySource:
    """Moves the stars to the date where the last time is too far away.

    Used by one thread at a time: that of the tasks.

    Args:
        catalogue: the stars.
        update_interval: s.
    """

    def __init__(self, catalogue: Catalogue, update_interval: float) -> None:
        self.catalogue = catalogue
        self.update_interval = update_interval
        self._sky: Sky | None = None

    def at(self, stamp: int) -> Sky:
        """The sky at ``stamp``, ns, within the update interval."""
        sky = self._sky
        if sky is None or abs(stamp - sky.stamp) >= seconds_ns(self.update_interval):
            identifier = Identifier(self.catalogue, stamp)
            sky = self._sky = Sky(
                self.catalogue, self.catalogue.directions(stamp), identifier, stamp
            )
        return sky
