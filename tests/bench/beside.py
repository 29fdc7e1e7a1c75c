"""A TCP connection beside the calls on a wire: the processes of `tests.bench.bulk` on both hosts."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
from pathlib import Path

from tests.bench import bulk
from tests.bench.running import ROOT, BenchError, Job, WireJob

_MODULE = (sys.executable, "-m", "tests.bench.bulk")
_END = 40.0  # seconds in which the end of the connection gets through the fullest queue
_ENVIRONMENT = {"PYTHONPATH": str(ROOT)}


class Bulk:
    """Starts listening when it is made; both processes end with `stack`."""

    def __init__(self, wire: WireJob, folder: Path, stack: contextlib.ExitStack) -> None:
        self._wire, self._folder, self._stack = wire, folder, stack
        command = [*wire.far, *_MODULE, "serve"]
        self._server = stack.enter_context(Job("bulk-far", command, folder, listen=True, environment=_ENVIRONMENT))
        self._server.wait_for(bulk.READY)
        self._client: Job | None = None

    def start(self) -> None:
        """Begin to send."""
        command = [*self._wire.near, *_MODULE, "send", self._wire.far_address]
        self._client = self._stack.enter_context(Job("bulk-near", command, self._folder, environment=_ENVIRONMENT))

    def finish(self) -> list[bulk.Sample]:
        """End the connection: what has arrived. BenchError if it had ended before."""
        client = self._client
        if client is None:
            raise BenchError("the TCP connection was never started")
        if (ended := client.poll()) is not None:
            raise BenchError(f"the TCP connection ended with {ended.status}:\n{client.talk[-1000:]}")
        client.stop(signal.SIGTERM)
        self._server.finish(_END)
        assert self._server.stdout is not None
        return [(at, total) for at, total in json.loads(self._server.stdout.read())]
