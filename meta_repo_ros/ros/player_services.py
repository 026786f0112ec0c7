# SPDX-License-Identifier: Apache-2.0
"""The services of the player: rosbag2's names; its types where they are installed, else ours."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from std_srvs.srv import Empty, Trigger

from meta_repo_ros.core.time import stamp_ns
from meta_repo_ros.srv import Burst, PlayNext, Seek, SetRate

if TYPE_CHECKING:
    from meta_repo_ros.ros.bag_player import BagPlayer


def service_type(name: str, ours: Any) -> Any:
    """``rosbag2_interfaces/srv/<name>``, or ``ours`` where that package is missing."""
    try:
        return getattr(importlib.import_module('rosbag2_interfaces.srv'), name)
    except (ImportError, AttributeError):
        return ours


class PlayerServices:
    """All services of one player, until :meth:`destroy`."""

    def __init__(self, player: BagPlayer) -> None:
        self._player = player
        table = (
            ('pause', 'Pause', Empty, self._pause),
            ('resume', 'Resume', Empty, self._resume),
            ('toggle_paused', 'TogglePaused', Empty, self._toggle_paused),
            ('is_paused', 'IsPaused', Trigger, self._is_paused),
            ('get_rate', 'GetRate', Trigger, self._get_rate),
            ('set_rate', 'SetRate', SetRate, self._set_rate),
            ('play_next', 'PlayNext', PlayNext, self._play_next),
            ('seek', 'Seek', Seek, self._seek),
            ('burst', 'Burst', Burst, self._burst),
        )
        self._services = [
            player.create_service(service_type(type_name, ours), f'~/{name}', callback)
            for name, type_name, ours, callback in table
        ]

    def destroy(self) -> None:
        """Withdraw the services."""
        for service in self._services:
            self._player.destroy_service(service)
        self._services = []

    def _pause(self, _: Any, response: Any) -> Any:
        self._player.pause()
        return response

    def _resume(self, _: Any, response: Any) -> Any:
        self._player.resume()
        return response

    def _toggle_paused(self, _: Any, response: Any) -> Any:
        if self._player.playback.paused:
            self._player.resume()
        else:
            self._player.pause()
        return response

    def _is_paused(self, _: Any, response: Any) -> Any:
        paused = self._player.playback.paused
        if hasattr(response, 'paused'):
            response.paused = paused
        else:
            response.success, response.message = paused, 'paused' if paused else 'playing'
        return response

    def _get_rate(self, _: Any, response: Any) -> Any:
        rate = self._player.playback.rate
        if hasattr(response, 'rate'):
            response.rate = rate
        else:
            response.success, response.message = True, repr(rate)
        return response

    def _set_rate(self, request: Any, response: Any) -> Any:
        response.success = self._player.set_rate(request.rate)
        return response

    def _play_next(self, _: Any, response: Any) -> Any:
        response.success = self._player.play_next()
        return response

    def _seek(self, request: Any, response: Any) -> Any:
        response.success = self._player.seek(stamp_ns(request.time))
        return response

    def _burst(self, request: Any, response: Any) -> Any:
        response.actually_burst = self._player.burst(request.num_messages)
        return response
