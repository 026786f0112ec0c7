# SPDX-License-Identifier: Apache-2.0
"""The runner for synchronous programs: it turns in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from meta_repo_ros.graph import ProcessSpec
from meta_repo_ros.run import OutputCallback, Runner

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self


class BackgroundRunner:
    """A :class:`Runner` in a thread of its own, as a context manager for synchronous programs.

    Args:
        processes: as for :class:`Runner`.
        log_directory: as for :class:`Runner`.
        on_output: as for :class:`Runner`; called in the runner's thread.
    """

    def __init__(
        self,
        processes: Sequence[ProcessSpec],
        *,
        log_directory: Path | None = None,
        on_output: OutputCallback | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._options = (processes, log_directory, on_output, environment)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._runner: Runner | None = None
        self._error: BaseException | None = None
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._main, name='runner')

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start all processes.

        Raises:
            RunError: as :meth:`Runner.start`.
        """
        self._thread.start()
        self._started.wait()
        if self._error is not None:
            self._thread.join()
            raise self._error

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait until everything has ended; the exit code, None after ``timeout`` (s)."""
        self._thread.join(timeout)
        return None if self._thread.is_alive() or self._runner is None else self._runner.exit_code

    def stop(self) -> int:
        """Stop everything within 5 s; returns the exit code."""
        if self._loop is not None and self._runner is not None and self._thread.is_alive():
            with contextlib.suppress(RuntimeError):  # it has just ended by itself
                self._loop.call_soon_threadsafe(self._runner.request_stop)
        self._thread.join()
        return 0 if self._runner is None else self._runner.exit_code

    @property
    def pids(self) -> dict[str, int]:
        """Process ids of what runs now, by name."""
        return {} if self._runner is None else self._runner.pids

    def _main(self) -> None:
        try:
            asyncio.run(self._run())
        except BaseException as error:  # noqa: BLE001 (handed to the thread that asked)
            self._error = error
        finally:
            self._started.set()

    async def _run(self) -> None:
        processes, log_directory, on_output, environment = self._options
        self._runner = Runner(
            processes, log_directory=log_directory, on_output=on_output, environment=environment
        )
        self._loop = asyncio.get_running_loop()
        await self._runner.start()
        self._started.set()
        await self._runner.wait()
