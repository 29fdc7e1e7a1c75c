"""Writing on a thread of its own: disks stall, cards of small machines for seconds, and sound cannot wait for them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

MAX_WAITING_JOBS = 120
"""Jobs that may wait: a minute of a recording. A source faster than the disk then has to wait."""

Job = Callable[[], object]


class Writer:
    """Does jobs in their order. One that fails with OSError is the last; `close` raises that error."""

    def __init__(self, name: str) -> None:
        self._jobs: queue.Queue[Job | None] = queue.Queue(MAX_WAITING_JOBS)
        self.error: OSError | None = None
        """What a job has failed with. Any thread may read it."""
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, job: Job) -> None:
        """Have this done soon, unless a job has failed."""
        self._jobs.put(job)

    @property
    def ended(self) -> bool:
        """All is done, and the thread is gone."""
        return not self._thread.is_alive()

    def end(self) -> None:
        """Do what waits, and end; nothing more comes."""
        self._jobs.put(None)

    def close(self) -> None:
        """Wait until all is done, and end."""
        self.end()
        self._thread.join()
        if self.error is not None:
            raise self.error

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            if self.error is None:
                self._do(job)

    def _do(self, job: Job) -> None:
        try:
            job()
        except OSError as error:
            self.error = error
