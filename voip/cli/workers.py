"""--workers: the parent process, which has the SIP port, and what a worker does differently from a single receiver."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial
from typing import Any

from voip.cli.neighbours import announced
from voip.cli.options import ReceiverOptions, receiver_options
from voip.cli.running import PUMP_INTERVAL, conclude
from voip.cli.service import ServiceManager
from voip.cli.sharing import Place, port_range, share
from voip.cli.start_lines import announce
from voip.cli.wiring import make_console, make_network
from voip.engine import Shutdown, Watchdog, Worker, together
from voip.environment import system_figures
from voip.errors import EXIT_BUG, EXIT_INTERRUPTED
from voip.garbage import Garbage
from voip.net import Network, OwnHosts, SendFailed, SipTransport
from voip.report import CallRecord, Console, call_object
from voip.report.objects import figures_object
from voip.report.targets import sums_of_all
from voip.report.total import total_line
from voip.sip import Address
from voip.workers import Distributor, Merging, Placement, Supervisor, WorkerEnd

START_TIME = "%Y-%m-%dT%H:%M:%SZ"
"""How the report writes when a call began, UTC."""
GOODBYE_TIMEOUT = 20.0
"""Seconds that workers have for their goodbyes: a second for BYE, three for peers that have missed it, ten for a thread
that is stuck."""
IMPATIENT_TIMEOUT = 2.0
"""The same after a second Ctrl+C."""
START_TIMEOUT = 60.0
"""Seconds until all workers take calls."""


# --- a worker ---------------------------------------------------------------------------------------------------------


def own_options(argv: Sequence[str] | None = None) -> ReceiverOptions:
    """The options of receiver.py, or what a worker makes of its parent's."""
    place = Place.taken(os.environ)
    return receiver_options(argv) if place is None else _options_of_worker(place, argv)


def _options_of_worker(place: Place, argv: Sequence[str] | None) -> ReceiverOptions:
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):  # what there is to say of the options the parent has said
            options = receiver_options(argv)
    except SystemExit:
        sys.stderr.write(said.getvalue())  # a file that they name has changed since
        raise
    assert options.media_ports is not None
    return replace(
        options,
        place=place,
        workers=1,
        max_calls=share(options.max_calls, place.number, place.workers),
        media_ports=port_range(options.media_ports, place.number, place.workers),
        json=True,
        report=None,
        announce=None,
    )


def teller(options: ReceiverOptions, console: Console) -> Callable[[CallRecord], object]:
    """What is given the record of each call that is over: of a worker, the parent is."""
    if options.place is None:
        return lambda record: None
    return lambda record: console.event("record", None, since=record.since, **call_object(record))


# --- the parent -------------------------------------------------------------------------------------------------------


def run_workers(options: ReceiverOptions) -> int:
    """The parent: it has the SIP port, starts the workers, and tells of them all. NetworkError if the port is taken."""
    shutdown, console = Shutdown(), make_console(options)
    shutdown.catch_signals()
    network = make_network(options, console)
    sip_port = network.sip.listen(options.sip_port)
    parent = _Parent(options, network, console, shutdown)
    threads = [Worker("network", shutdown, network.loop.run, shutdown.stopped)]
    watchdog = Watchdog(threads, network.loop.now())
    with Garbage() as garbage, together(threads):
        try:
            parent.start()
            if parent.await_workers():
                announce(options, network, sip_port, (), console)
                with announced(options, network, console):
                    parent.watch(watchdog, garbage)
            parent.say_goodbye()
        finally:
            parent.supervisor.kill()
            shutdown.stop()
            network.loop.post(lambda: None)
    network.close()
    return parent.finish()


class _Parent:
    """What the parent knows. Its `on_` methods are the network thread's, the others the main thread's."""

    def __init__(self, options: ReceiverOptions, network: Network, console: Console, shutdown: Shutdown) -> None:
        self._options, self._network, self._console, self._shutdown = options, network, console, shutdown
        count = options.workers
        self._placement = Placement([share(options.max_calls, number, count) for number in range(count)])
        self._distributor = Distributor(
            self._placement,
            lambda worker, frame: self.supervisor.send(worker, frame),
            may_call=partial(options.allowed, is_own=OwnHosts(network.loop.now).has),
            trusted=options.trusted,
            now=network.loop.now,
            workers=count,
        )
        self.supervisor = Supervisor(
            network.loop,
            [sys.executable, *sys.orig_argv[1:]],
            self._environment,
            self._distributor,
            self,
            network.sip.flush,
            count,
        )
        self._merging, self._said_goodbye = Merging(), False

    def start(self) -> None:
        """Start the workers."""
        sip = self._network.sip
        assert isinstance(sip, SipTransport)
        sip.serve(self._distributor, {SendFailed: self._distributor.on_send_failed}, lambda call_id: None)
        self._network.loop.post(self.supervisor.start)

    def await_workers(self) -> bool:
        """Wait until all of them take calls; False: the program is to end."""
        deadline = self._network.loop.now() + START_TIMEOUT
        while self.supervisor.ready < self._options.workers and not self._shutdown.wait(PUMP_INTERVAL):
            self._console.pump()
            if self._network.loop.now() > deadline:
                self._shutdown.request(EXIT_BUG, f"not all workers have started within {START_TIMEOUT:.0f} s")
        return not self._shutdown.requested()

    def watch(self, watchdog: Watchdog, garbage: Garbage) -> None:
        """Show how it goes until somebody asks to stop."""
        service, now = ServiceManager(os.environ), self._network.loop.now()
        service.tell("READY=1")
        next_line = now + self._options.stats_interval
        while not self._shutdown.wait(PUMP_INTERVAL):
            now = self._network.loop.now()
            watchdog.check(now)
            garbage.look()
            service.beat(now)
            if now >= next_line:
                next_line = now + self._options.stats_interval
                self._tell_calls()
            self._console.pump()
        service.tell("STOPPING=1")

    def _tell_calls(self) -> None:
        calls = self._placement.calls
        if sum(calls):
            each = "   ".join(f"worker {number}: {count}" for number, count in enumerate(calls, start=1))
            self._console.say(0, f"calls {sum(calls)}   {each}")

    def say_goodbye(self) -> None:
        """Have the workers hang up all calls, and wait for them to end."""
        self._said_goodbye, impatient = True, False
        self.supervisor.stop()
        deadline = self._network.loop.now() + GOODBYE_TIMEOUT
        while self.supervisor.running and self._network.loop.now() < deadline:
            if impatient:
                time.sleep(PUMP_INTERVAL)  # `pause` does not, after a second Ctrl+C
            self._shutdown.pause()
            self._console.pump()
            if self._shutdown.impatient() and not impatient:
                impatient, deadline = True, self._network.loop.now() + IMPATIENT_TIMEOUT
                self.supervisor.stop()
        if left := self.supervisor.running:
            self._console.say(0, f"workers that had to be killed: {left}")
            self._shutdown.request(EXIT_BUG, "not all workers have ended")
            self.supervisor.kill()
            deadline = self._network.loop.now() + IMPATIENT_TIMEOUT
            while self.supervisor.running and self._network.loop.now() < deadline:
                time.sleep(PUMP_INTERVAL)

    def finish(self) -> int:
        """One report of all, and the exit status."""
        merging, dropped, console = self._merging, self._distributor.dropped, self._console
        for count, what in (
            (dropped.limited, "more than the rate limits allow"),
            (dropped.stray, "responses and ACKs that belong to nothing"),
            (dropped.unplaced, "for which there was no worker"),
        ):
            if count:
                console.say(1, f"SIP messages dropped, {what}: {count}")
        if self._network.failures.count:
            console.say(0, f"messages or calls that were dropped because of bugs: {self._network.failures.count}")
        if line := total_line(merging.total):
            console.say(0, line)
        more = {
            "calls": list(merging.calls),
            "total": sums_of_all((), ()) | figures_object(merging.total, merging.limited),
            "devices": merging.devices,
            "system": merging.system(system_figures()),
            "workers": merging.workers(self._options.workers, self.supervisor.starts),
        }
        shutdown = self._shutdown
        return conclude("receiver", self._options, console, shutdown.status, shutdown.error, (), more=more)

    # --- the network thread ---------------------------------------------------------------------------------------

    def on_event(self, worker: int, event: Mapping[str, Any]) -> None:
        """A worker has told something in JSON."""
        if event["event"] == "listening":
            self._console.event("worker-ready", None, worker=worker + 1)
        moment = datetime.now(timezone.utc).strftime(START_TIME)
        if self._merging.take(worker, event, self._network.loop.now(), moment):
            self._console.relay({**event, "worker": worker + 1})

    def on_talk(self, text: str) -> None:
        """A worker has written lines for people: those that it was to write, so all are shown."""
        self._console.say(-1, text)

    def on_end(self, end: WorkerEnd) -> None:
        """A worker process is gone, with its calls."""
        lost = self._merging.lost(end.worker, self._network.loop.now())
        calls = max(len(lost), len(end.lost))
        if self._said_goodbye and not calls and (end.status >= 0 or not end.ready):
            if end.status > 0 and end.status != EXIT_INTERRUPTED:  # what one of its last calls has come to
                self._shutdown.request(end.status, self._merging.error_of(end.worker))
            return
        how = f"was killed by signal {-end.status}" if end.status < 0 else f"has ended with status {end.status}"
        then = "it is started again" if end.again else "it is not started again"
        text = f"worker {end.worker + 1} {how}: calls lost {calls}; {then}"
        self._console.event("worker-ended", text, worker=end.worker + 1, status=end.status, lost=calls, again=end.again)
        for call in lost:
            ended = {"end_reason": call["end_reason"], "duration_s": call["duration_s"]}
            self._console.event("ended", None, call_id=call["call_id"], worker=end.worker + 1, **ended)
        if not end.again and not self._said_goodbye:
            self._give_up(end)

    def _give_up(self, end: WorkerEnd) -> None:
        """A worker is not coming back: the others go on, if there are any and this one ever took calls."""
        if not end.proven or not self.supervisor.running:
            status = end.status if end.status > 0 else EXIT_BUG
            text = f"worker {end.worker + 1} does not {'go on' if end.proven else 'start'}"
            self._shutdown.request(status, self._merging.error_of(end.worker) or text)

    def _environment(self, worker: int, fd: int) -> Mapping[str, str]:
        sip, workers = self._network.sip, self._options.workers
        anywhere = self._network.addresses.any_host
        ports = {protocol: sip.sip_address(Address(protocol, anywhere, 0))[1] for protocol in ("udp", "tcp", "tls")}
        return Place(worker, workers, fd, ports, tuple(sip.sip_ports)).environment(os.environ)
