"""Start sender.py and receiver.py as real processes and collect what they leave behind.

    with receiver(tmp_path, "--once") as far, sender(tmp_path, far.target, "--duration", "2s") as near:
        sent, heard = near.finish(), far.finish()
    assert sent.status == heard.status == 0 and heard.call["rx"]["lost"] == 0

Nothing here knows the program's modules: only its options, exit codes, terminal lines and report file.
"""

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar

ROOT = Path(__file__).resolve().parents[2]
LOOPBACK = "127.0.0.1"
READY = "receiver  waiting for a call"  # how the receiver's first line begins, once its ports are open
PATIENCE = 20.0  # seconds for anything that should take one or two: the machine may be busy
Json = dict[str, Any]
AnyProgram = TypeVar("AnyProgram", bound="Program")

_PORT_BLOCKS = range(20_000, 31_000, 40)  # below the range from which Linux hands out ports by itself (32768)
_MEDIA_PORTS = 20
_given: dict[int, None] = {}  # the blocks that this process has given out, the newest last


@dataclass(frozen=True)
class Outcome:
    """What a program left behind: exit status, everything it said, its report (None: it wrote none)."""

    status: int
    stderr: str
    stdout: bytes
    report: Json | None

    @property
    def call(self) -> Json:
        """The only call of the report."""
        assert self.report is not None, self.stderr
        calls: list[Json] = self.report["calls"]
        assert len(calls) == 1, self.report
        return calls[0]


class Program:
    """A running program whose stderr is read line by line; leaving the `with` block kills it if it is still there."""

    def __init__(
        self,
        command: list[str],
        *,
        folder: Path,
        name: str,
        report: Path | None = None,
        environment: dict[str, str] | None = None,
        stdin: int | IO[bytes] = subprocess.DEVNULL,
        merged: bool = False,
    ) -> None:
        """`merged`: lines of stdout are taken for lines of stderr."""
        self.name = name
        self.report_file = report
        self.lines: list[tuple[float, str]] = []  # (monotonic second, line of stderr)
        self._output = folder / f"{name}.stdout"
        self._news = threading.Condition()
        self._open = True
        with self._output.open("wb") as output:
            self.started = time.monotonic()
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                stdin=stdin,
                stdout=subprocess.PIPE if merged else output,
                stderr=subprocess.STDOUT if merged else subprocess.PIPE,
                env=_environment(environment),
            )
        talk = self.process.stdout if merged else self.process.stderr
        assert talk is not None
        self._talk = talk
        self._reader = threading.Thread(target=self._read, name=f"stderr of {name}", daemon=True)
        self._reader.start()

    def __enter__(self: AnyProgram) -> AnyProgram:
        return self

    def __exit__(self, *error: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._close()

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def stderr(self) -> str:
        """What was said on stderr so far."""
        with self._news:
            return "".join(f"{line}\n" for _, line in self.lines)

    def wait_for(self, text: str, timeout: float = PATIENCE) -> str:
        """The first line of stderr that holds `text`, said already or yet to come; AssertionError if none comes."""
        end = time.monotonic() + timeout
        with self._news:
            while True:
                for _, line in self.lines:
                    if text in line:
                        return line
                left = end - time.monotonic()
                if left <= 0 or not self._open:
                    break
                self._news.wait(left)
        raise AssertionError(f"{self.name} did not say {text!r}:\n{self.stderr}")

    def send_signal(self, number: signal.Signals) -> None:
        """Deliver a signal; quiet if the program has just ended by itself."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)

    def stop(self) -> None:
        """What Ctrl+C does."""
        self.send_signal(signal.SIGINT)

    def finish(self, timeout: float = PATIENCE) -> Outcome:
        """Wait for the end and return what is left; a program that does not end is killed: AssertionError."""
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            self._close()
            raise AssertionError(f"{self.name} did not end within {timeout} s:\n{self.stderr}") from None
        self._close()
        report = None
        if self.report_file is not None and self.report_file.exists():
            report = json.loads(self.report_file.read_text())
            assert_sound(report, status)
        return Outcome(status, self.stderr, self._output.read_bytes(), report)

    def _read(self) -> None:
        for raw in self._talk:
            with self._news:
                self.lines.append((time.monotonic(), raw.decode(errors="replace").rstrip("\n")))
                self._news.notify_all()
        with self._news:
            self._open = False
            self._news.notify_all()

    def _close(self) -> None:
        self._reader.join()
        self._talk.close()
        if self.process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()


class Receiver(Program):
    """A running receiver.py: `host`, `sip_port`, first of its `media_ports`, and the `target` to call it by."""

    host: str
    sip_port: int
    media_ports: range

    @property
    def target(self) -> str:
        return f"[{self.host}]:{self.sip_port}" if ":" in self.host else f"{self.host}:{self.sip_port}"


@contextlib.contextmanager
def receiver(
    folder: Path,
    *arguments: str,
    name: str = "receiver",
    host: str = LOOPBACK,
    ready: str | None = READY,
    environment: dict[str, str] | None = None,
    ports: tuple[int, range] | None = None,
    stdin: int | IO[bytes] = subprocess.DEVNULL,
    through: tuple[str, ...] = (),
    root: Path = ROOT,
) -> Iterator[Receiver]:
    """receiver.py on free ports, started up unless `ready` is None. Output is `null` unless an option says more.

    `through`: the program that starts it, such as `nohup`, with its arguments. `root`: the folder of the script.
    """
    report = folder / f"{name}.json"
    sip_port, media_ports = ports or free_ports(host)
    given = list(arguments)
    if not _has(given, "-o", "--output"):
        given += ["--output", "null"]
    command = [*through, sys.executable, str(root / "receiver.py"), "--bind", host, "--sip-port", str(sip_port)]
    command += ["--rtp-port", f"{media_ports[0]}-{media_ports[-1]}", "--report", str(report), *given]
    with Receiver(command, folder=folder, name=name, report=report, environment=environment, stdin=stdin) as program:
        program.host, program.sip_port, program.media_ports = host, sip_port, media_ports
        if ready is not None:
            program.wait_for(ready)
        yield program


@contextlib.contextmanager
def sender(
    folder: Path,
    target: str,
    *arguments: str,
    name: str = "sender",
    host: str | None = LOOPBACK,
    environment: dict[str, str] | None = None,
    stdin: int | IO[bytes] = subprocess.DEVNULL,
    through: tuple[str, ...] = (),
) -> Iterator[Program]:
    """sender.py calling `target`. Input is a tone unless an option says more. `through` as for `receiver`."""
    report = folder / f"{name}.json"
    given = list(arguments)
    if not _has(given, "-i", "--input"):
        given += ["--input", "tone"]
    command = [*through, sys.executable, str(ROOT / "sender.py"), target]
    command += [*(["--bind", host] if host is not None else []), "--report", str(report), *given]
    with Program(command, folder=folder, name=name, report=report, environment=environment, stdin=stdin) as program:
        yield program


def free_ports(host: str = LOOPBACK) -> tuple[int, range]:
    """A free UDP port for SIP and an even-numbered range of free ones for media, that were given out long ago if ever:
    who got them may not have opened them yet."""
    blocks = _own_blocks()
    never = [base for base in random.SystemRandom().sample(blocks, len(blocks)) if base not in _given]
    for base in [*never, *_given]:
        if all(_is_free(host, port) for port in range(base, base + 1 + _MEDIA_PORTS + 1)):
            _given.pop(base, None)
            _given[base] = None
            return base, range(base + 2, base + 2 + _MEDIA_PORTS)
    raise AssertionError("no free UDP ports")


def _own_blocks() -> Sequence[int]:
    """Those of this test process: between the look at a port and its use another must not take it.

    PORTS_OF_TEST_RUN is the number of this run, and of how many at the same time: `0/2`.
    """
    run, _, runs = os.environ.get("PORTS_OF_TEST_RUN", "0/1").partition("/")
    blocks = _PORT_BLOCKS[int(run) :: int(runs)]
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    count = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    return blocks[number % count :: count]


def until(condition: Callable[[], bool], what: str, timeout: float = PATIENCE) -> None:
    """Wait until `condition` holds; AssertionError naming `what` otherwise."""
    end = time.monotonic() + timeout
    pause = threading.Event()
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not within {timeout} s: {what}")
        pause.wait(0.02)


def heard_calls(output: Path) -> set[str]:
    """The calls of which sound has arrived, by the statistics that a receiver has printed."""
    lines = [json.loads(line) for line in output.read_text().splitlines(keepends=True) if line.endswith("\n")]
    return {line["call_id"] for line in lines if line["event"] == "stats" and line["rx"] and line["rx"]["received"]}


def assert_identities(call: Json) -> None:
    """The two sums that hold in every report: nothing is lost between the lines."""
    rx = call["rx"]
    assert rx["expected"] == rx["received"] + rx["lost"], rx
    assert rx["lost"] == rx["recovered"] + rx["lost_after_fec"], rx


def assert_sound(report: Json, status: int) -> None:
    """What holds in every report, whatever happened."""
    assert report["exit"] == status, report
    assert (report["error"] is None) == (status in (0, 130)), report
    for call in report["calls"]:
        if call["rx"] is not None:
            assert_identities(call)


def _has(arguments: list[str], *names: str) -> bool:
    return any(word == name or word.startswith(f"{name}=") for word in arguments for name in names)


def _environment(more: dict[str, str] | None) -> dict[str, str]:
    """This process's, without the program's own variables and what makes Python or a terminal behave differently."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("VOIP_", "PYTHON"))}
    return {**kept, **(more or {})}


def _is_free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
