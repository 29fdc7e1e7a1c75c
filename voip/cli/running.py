"""What both scripts do around their threads: watch, say goodbye, report; which exit status an error has."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import voip
from voip.calls import CallManager
from voip.cli.capturing import tell_capture, with_capture
from voip.cli.keys import CallKeys
from voip.cli.options import CommonOptions, ReceiverOptions
from voip.cli.service import ServiceManager
from voip.cli.wiring import make_console
from voip.devices import Device, is_card, library_noise_kept_away
from voip.engine import Shutdown, Watchdog, fill_standard_streams
from voip.environment import program_name, system_figures
from voip.errors import EXIT_DEVICE, EXIT_NETWORK, EXIT_OK, EXIT_USAGE, DeviceError, NetworkError, Stopped, VoipError
from voip.net import Network
from voip.private import private
from voip.report import CallRecord, Console, TargetRecord, final_report, targets_text, total_text
from voip.stats import CaptureStats

GOODBYE_TIMEOUT = 1.0
"""Seconds that the answer to our BYE may take once the program was told to stop."""
LINGER_AT_MOST = 3.0
"""Seconds that a peer who has missed our last answer may keep the program from ending by itself."""
PUMP_INTERVAL = 0.1
"""Seconds until a line that another thread has handed over is on the terminal."""
STATUS_INTERVAL = 1.0

AnyOptions = TypeVar("AnyOptions", bound=CommonOptions)


def watch(
    options: CommonOptions,
    network: Network,
    manager: CallManager,
    devices: Sequence[Device],
    console: Console,
    shutdown: Shutdown,
    watchdog: Watchdog,
    keys: CallKeys,
) -> None:
    """The main thread's part of a run: shows how it goes until somebody asks to stop, then says goodbye."""
    for device in devices:
        console.event("device", None, description=device.description, rate=device.sample_rate, channels=device.channels)
    service, now = ServiceManager(os.environ), network.loop.now()
    service.tell("READY=1")
    next_status, next_statistics = now, now + options.stats_interval
    available = [device.available for device in devices]
    while not shutdown.wait(PUMP_INTERVAL):
        now = network.loop.now()
        watchdog.check(now)
        service.beat(now)
        keys.poll()
        _tell_of_devices(devices, available, console)
        if now >= next_statistics:
            next_statistics += options.stats_interval
            network.loop.post(manager.statistics.tell)
        console.pump()
        if now >= next_status:
            next_status += STATUS_INTERVAL
            console.status(manager.records, keys.selected)
    service.tell("STOPPING=1")
    _say_goodbye(network, manager, shutdown)
    shutdown.stop()
    network.loop.post(lambda: None)


def _say_goodbye(network: Network, manager: CallManager, shutdown: Shutdown) -> None:
    """Hang up every call, and wait a little for what peers have to say to that."""
    asked: list[bool] = []  # not idle before the network thread has done what was posted, calls and all
    network.loop.post(manager.hang_up_all)
    network.loop.post(asked.append, True)
    deadline = network.loop.now() + GOODBYE_TIMEOUT
    while not (asked and manager.idle) and network.loop.now() < deadline and not shutdown.impatient():
        shutdown.pause()
    if not manager.idle:
        network.loop.post(manager.close_all)
        shutdown.pause()
    deadline += 0.0 if shutdown.signalled() else LINGER_AT_MOST - GOODBYE_TIMEOUT
    while network.loop.now() < min(manager.linger_until, deadline) and not shutdown.impatient():
        shutdown.pause()


def _tell_of_devices(devices: Sequence[Device], available: list[bool], console: Console) -> None:
    """Say which device is gone, or back; `available` holds how each was before, and is brought up to date."""
    for number, device in enumerate(devices):
        if device.available != available[number]:
            available[number] = device.available
            news = "back" if device.available else "unavailable: silence until it is back"
            console.say(0, f"{device.description} is {news}")


def finish(
    program: str,
    options: CommonOptions,
    network: Network,
    manager: CallManager,
    devices: Sequence[Device],
    console: Console,
    shutdown: Shutdown,
    watchdog: Watchdog,
    targets: Sequence[TargetRecord] = (),
) -> int:
    """After every thread has ended: the final report, and the exit status. With a thread that is stuck, the end."""
    for device in devices:
        if trouble := device.faults():
            console.say(0, f"{device.description}: {trouble}")
    if manager.dropped:
        console.say(0, f"messages or calls that were dropped because of bugs: {manager.dropped}")
    together = targets_text(targets, manager.records) if len(targets) > 1 else total_text(manager.records)
    if together and not _is_worker(options):
        console.say(0, together)
    capture = network.tap.stats
    tell_capture(capture, console)
    status = conclude(
        program,
        options,
        console,
        *with_capture(capture, shutdown.status, shutdown.error),
        manager.records,
        [_device_object(device) for device in devices],
        targets=targets,
        limited=manager.limited,
        capture=capture,
    )
    shutdown.ignore_signals()
    if watchdog.left_behind:  # the interpreter would wait for it
        _leave(status)
    return status


def _leave(status: int) -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, AttributeError):
            stream.flush()
    os._exit(status)


def _is_worker(options: CommonOptions) -> bool:
    """Whether another process tells people of all, what this one has come to included."""
    return isinstance(options, ReceiverOptions) and options.place is not None


def _device_object(device: Device) -> dict[str, object]:
    """A device in the JSON report; only a sound card knows its latency, and how often samples were lost."""
    latency = getattr(device, "latency", None)
    return {
        "description": device.description,
        "rate": device.sample_rate,
        "channels": device.channels,
        "latency_ms": None if latency is None else round(1e3 * latency, 1),
        "xruns": None if latency is None else device.xruns,
        "faults": device.faults() or None,
    }


def run(program: str, parse: Callable[[], AnyOptions], main: Callable[[AnyOptions], int]) -> int:
    """Run a script: its options, then `main`. Errors that a user can act on are one line and an exit status."""
    fill_standard_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # what a terminal cannot show is no reason to end
    options = parse()
    main_device = options.output if isinstance(options, ReceiverOptions) else options.input
    devices = (options.input, options.output) if options.two_way else (main_device,)
    hidden = options.hides_library_noise and any(map(is_card, devices))
    noise = library_noise_kept_away() if hidden else contextlib.nullcontext()
    with noise:
        return _run(program, options, main)


def _run(program: str, options: AnyOptions, main: Callable[[AnyOptions], int]) -> int:
    status: int
    text: str | None
    try:
        return main(options)
    except Stopped:
        status, text = EXIT_OK, None
    except DeviceError as error:
        status, text = EXIT_DEVICE, str(error)
    except NetworkError as error:
        status, text = EXIT_NETWORK, str(error)
    except VoipError as error:
        status, text = EXIT_USAGE, str(error)
    return conclude(program, options, make_console(options), status, text, ())


def conclude(
    program: str,
    options: CommonOptions,
    console: Console,
    status: int,
    error: str | None,
    calls: tuple[CallRecord, ...],
    devices: Sequence[Mapping[str, object]] = (),
    *,
    targets: Sequence[TargetRecord] = (),
    limited: int | None = None,
    capture: CaptureStats | None = None,
    more: Mapping[str, Any] | None = None,
) -> int:
    """Tell what has become of it all; the exit status, which is not 0 if the report cannot be written. `more`: what the
    report has in place of, and besides, what this process knows."""
    report = final_report(
        program,
        voip.__version__,
        status,
        error,
        calls,
        devices=devices,
        system=system_figures(),
        targets=targets,
        limited=limited,
        capture=capture,
    ) | dict(more or {})
    problem = _write_report(options.report, report)
    if problem is not None and status == EXIT_OK:
        status, error = EXIT_DEVICE, problem
    elif problem is not None:
        console.error(f"{program_name(program)}: {problem}")
    if error and not _is_worker(options):
        console.error(f"{program_name(program)}: {error}")
        console.event("error", None, error=error, exit=status)
    console.event("report", None, **(report | {"exit": status, "error": error}))
    console.pump()
    return status


def _write_report(path: str | None, report: dict[str, Any]) -> str | None:
    """Write the report; if that fails, why."""
    if path is None:
        return None
    try:
        with open(path, "w", encoding="utf-8", opener=private) as file:
            file.write(json.dumps(report, indent=1) + "\n")
    except OSError as error:
        return f"cannot write {path}: {error.strerror}"
    return None
