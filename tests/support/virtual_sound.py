"""A virtual microphone and a virtual speaker for programs under test, on machines without any sound device.

A private PulseAudio server with two null sinks: what is played to the first is what its monitor, the microphone,
hears; the monitor of the second hears what a program plays. Nothing of the machine's own sound set-up is touched.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

import pytest

RATE = 48000
PROGRAMS = ("pulseaudio", "pactl", "paplay", "parec")
HINT = "apt-get install pulseaudio pulseaudio-utils libasound2-plugins portaudio19-dev gcc python3-dev"
PATIENCE = 10.0
SINKS = ("heard_by_microphone", "played_by_speaker")
"""Such a sink works in blocks of 2 s until a client asks for less, and finishes its running block before it obeys:
hence a standing listener that asks for 5 ms, and no use before it has heard something."""

SERVER = """
load-module module-null-sink sink_name=heard_by_microphone rate={rate} channels=1
load-module module-null-sink sink_name=played_by_speaker rate={rate} channels=1
load-module module-native-protocol-unix socket={socket} auth-anonymous=1
set-default-source heard_by_microphone.monitor
set-default-sink played_by_speaker
"""
ALSA = """
pcm.virtual_microphone { type pulse device "heard_by_microphone.monitor" }
pcm.virtual_speaker { type pulse device "played_by_speaker" }
pcm.!default { type pulse }
ctl.!default { type pulse }
"""
"""All that ALSA, and so PortAudio, gets to know."""


def require() -> None:
    """Skip the test if something it needs is missing; in CI that is a failure."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if importlib.util.find_spec("pyaudio") is None:
        missing.append("PyAudio")
    if not any(Path("/usr/lib").glob("**/alsa-lib/libasound_module_pcm_pulse.so")):
        missing.append("ALSA's pulse plugin")
    if missing:
        text = f"a virtual sound card needs {', '.join(missing)}: {HINT}; pip install PyAudio"
        if os.environ.get("CI") == "true":
            pytest.fail(text)
        pytest.skip(text)


class VirtualSound:
    """A context: `environment` is for the processes that shall find the two devices."""

    def __enter__(self) -> VirtualSound:
        self._home = Path(tempfile.mkdtemp(prefix="virtual_sound."))
        socket, alsa, client = (self._home / name for name in ("native", "alsa.conf", "client.conf"))
        (self._home / "server.pa").write_text(SERVER.format(rate=RATE, socket=socket))
        alsa.write_text(ALSA)
        client.write_text("autospawn = no\nenable-shm = no\n")
        ours = {
            "HOME": self._home,
            "XDG_RUNTIME_DIR": self._home,
            "XDG_CONFIG_HOME": self._home,
            "PULSE_RUNTIME_PATH": self._home,
            "PULSE_STATE_PATH": self._home,
            "PULSE_SERVER": f"unix:{socket}",
            "PULSE_COOKIE": self._home / "cookie",
            "PULSE_CLIENTCONFIG": client,
            "ALSA_CONFIG_PATH": alsa,
        }
        theirs = {
            name: value for name, value in os.environ.items() if name not in ("DISPLAY", "DBUS_SESSION_BUS_ADDRESS")
        }
        self.environment = theirs | {name: str(value) for name, value in ours.items()}
        self._processes: list[subprocess.Popen[bytes]] = []
        try:
            self.start_server()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.kill_server()
        shutil.rmtree(self._home, ignore_errors=True)

    def start_server(self) -> None:
        """Start the sound server; returns when both devices work without delay."""
        options = ["--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1", "--log-level=error"]
        self._start("pulseaudio", "-n", "-F", str(self._home / "server.pa"), *options)
        self._listen()

    def unplug(self) -> None:
        """Both devices disappear, as a USB headset does; the sound server goes on."""
        for sink in SINKS:
            modules = self._ask("list", "short", "modules").splitlines()
            self._ask("unload-module", next(line.split()[0] for line in modules if f"sink_name={sink} " in line))

    def plug(self) -> None:
        """They are back; returns when they work without delay."""
        for sink in SINKS:
            self._ask("load-module", "module-null-sink", f"sink_name={sink}", f"rate={RATE}", "channels=1")
        self._ask("set-default-source", f"{SINKS[0]}.monitor")
        self._ask("set-default-sink", SINKS[1])
        self._listen()

    def _listen(self) -> None:
        """Keep both devices quick."""
        self._wait_until(lambda: "heard_by_microphone.monitor" in self._ask("list", "short", "sources"))
        heard = [self._home / sink for sink in SINKS]
        for file in heard:
            file.unlink(missing_ok=True)
        for file, sink in zip(heard, SINKS, strict=True):
            form = ["--raw", "--format=u8", "--rate=8000", "--channels=1"]
            self._start("parec", f"--device={sink}.monitor", "--latency-msec=5", *form, str(file))
        self._wait_until(lambda: all(file.exists() and file.stat().st_size > 0 for file in heard))

    def kill_server(self) -> None:
        """The sound server dies without a word."""
        while self._processes:
            process = self._processes.pop()
            process.kill()
            process.wait()

    @contextlib.contextmanager
    def speaking(self, wav: Path) -> Iterator[None]:
        """Meanwhile the microphone hears this file."""
        command = ["paplay", "--device=heard_by_microphone", "--latency-msec=20", str(wav)]
        with subprocess.Popen(command, env=self.environment) as player:
            try:
                yield
            finally:
                player.kill()

    @contextlib.contextmanager
    def recording(self, raw: Path) -> Iterator[None]:
        """Meanwhile what the speaker plays goes to a file: 16-bit samples, RATE, mono."""
        form = ["--format=s16le", f"--rate={RATE}", "--channels=1", "--raw"]
        command = ["parec", "--device=played_by_speaker.monitor", "--latency-msec=20", *form]
        with raw.open("wb") as file, subprocess.Popen(command, env=self.environment, stdout=file) as recorder:
            try:
                self._wait_until(lambda: raw.stat().st_size > 0)
                yield
            finally:
                recorder.terminate()

    def recorder(self, sink: str, output: int) -> subprocess.Popen[bytes]:
        """Write what a sink plays to a file descriptor, as soon as it does: 16-bit samples, RATE, mono."""
        form = ["--format=s16le", f"--rate={RATE}", "--channels=1", "--raw"]
        command = ["parec", f"--device={sink}.monitor", "--latency-msec=5", *form]
        return subprocess.Popen(command, env=self.environment, stdout=output)

    def _start(self, *command: str) -> None:
        null = subprocess.DEVNULL
        self._processes.append(subprocess.Popen(command, env=self.environment, stdin=null, stdout=null, stderr=null))

    def _ask(self, *command: str) -> str:
        return subprocess.run(["pactl", *command], env=self.environment, capture_output=True, text=True).stdout

    def _wait_until(self, true: Callable[[], bool]) -> None:
        limit = time.monotonic() + PATIENCE
        while not true():
            if time.monotonic() > limit:
                pytest.fail("the virtual sound card does not come up")
            time.sleep(0.05)
