"""Other people's programs as peers: baresip, a SIP phone; tshark, which reads what went over the wire."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import wave
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.processes import LOOPBACK, PATIENCE, Outcome, Program, free_ports, until

_BARESIP_MODULES = ("/usr/lib/baresip/modules", "/usr/local/lib/baresip/modules", "/usr/lib64/baresip/modules")
_BARESIP_READY = "baresip is ready"
_BARESIP_MODULE_NAMES = (
    "opus.so",
    "l16.so",
    "g711.so",
    "g722.so",
    "sndfile.so",
    "ctrl_tcp.so",
)  # sndfile records what was heard
_CAPTURE_ENDS = b"the capture ends here"
_LIFETIME = 60  # seconds after which a forgotten phone ends by itself


def require(*programs: str) -> None:
    """Skip the test where a program that it needs is missing; in CI that is a failure."""
    missing = [program for program in programs if shutil.which(program) is None]
    if not missing:
        return
    reason = f"needs {', '.join(missing)}: apt-get install sip-tester baresip tshark"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


class Baresip(Program):
    """A running phone: call it at `target`; afterwards `heard` is the recording and `trace` all SIP, both ways."""

    folder: Path
    target: str
    media_ports: range

    def command(self, name: str, parameters: str = "") -> None:
        """What its user could type: `sndcode 1` presses a key."""
        text = json.dumps({"command": name, "params": parameters})
        with socket.create_connection((LOOPBACK, self.media_ports[0]), PATIENCE) as control:  # UDP goes there beside it
            control.settimeout(PATIENCE)
            control.sendall(f"{len(text)}:{text},".encode())  # a netstring
            assert b'"ok":true' in control.recv(4096)

    @property
    def heard(self) -> Path:
        """The WAV of what came out of its decoder."""
        (recording,) = (self.folder / "recordings").glob("*-dec.wav")
        return recording

    @property
    def trace(self) -> str:
        return self.stderr

    def hang_up(self) -> None:
        """End its call as a user who quits the program does."""
        self.stop()

    def finish_quietly(self) -> Outcome:
        """Make it end, if it does not by itself, and give its outcome."""
        self.stop()
        return self.finish()


@contextlib.contextmanager
def baresip(folder: Path, codec: str, *, dial: str = "", plays: Path | None = None) -> Iterator[Baresip]:
    """A phone that knows one codec ("PCMU/8000/1"): it answers by itself, or dials and plays a WAV to its end."""
    require("baresip")
    home = folder / "baresip"
    (home / "recordings").mkdir(parents=True)
    (home / "contacts").touch()
    sip_port, media_ports = free_ports()
    (home / "config").write_text(_configuration(home, sip_port, media_ports, plays))
    account = f"<sip:peer@{LOOPBACK}:{sip_port}>;regint=0;answermode=auto;audio_codecs={codec}"
    (home / "accounts").write_text(account + "\n")
    command = ["baresip", "-4", "-s", "-f", str(home), "-t", str(_LIFETIME)]
    command += ["-e", f"d {dial}"] if dial else []
    if shutil.which("stdbuf"):
        command = ["stdbuf", "-oL", *command]
    environment = {"HOME": str(home)}
    with Baresip(command, folder=home, name="baresip", environment=environment, merged=True) as phone:
        phone.media_ports = media_ports
        phone.folder, phone.target = home, f"sip:peer@{LOOPBACK}:{sip_port}"
        phone.wait_for(_BARESIP_READY)
        yield phone


def _configuration(home: Path, sip_port: int, media_ports: range, plays: Path | None) -> str:
    modules = next((path for path in _BARESIP_MODULES if Path(path).is_dir()), _BARESIP_MODULES[0])
    lines = [
        f"sip_listen {LOOPBACK}:{sip_port}",
        f"net_interface {LOOPBACK}",
        f"ctrl_tcp_listen {LOOPBACK}:{media_ports[0]}",
        f"rtp_ports {media_ports[0]}-{media_ports[-1]}",
        "jitter_buffer_delay 5-10",
        "audio_alert none",
        f"module_path {modules}",
        *(f"module {name}" for name in _BARESIP_MODULE_NAMES),
        "module_tmp account.so",
        "module_app menu.so",
        f"snd_path {home / 'recordings'}",
        "menu_bell no",
        "statmode_default off",
        "opus_inbandfec yes",
    ]
    if plays is not None:
        with wave.open(str(plays)) as file:
            lines += [f"ausrc_srate {file.getframerate()}", f"ausrc_channels {file.getnchannels()}"]
        lines += ["module aufile.so", f"audio_source aufile,{plays}"]
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Stream:
    """One row of tshark's table of RTP streams."""

    source: str
    port: int
    ssrc: int
    payload: str
    packets: int
    lost: int


@dataclass(frozen=True)
class Capture:
    """A finished capture of the loopback interface."""

    file: Path
    sip_port: int

    def read(self, *arguments: str) -> list[str]:
        """Lines that tshark prints of the capture, SIP decoded at our port."""
        command = ["tshark", "-n", "-r", str(self.file), "-d", f"udp.port=={self.sip_port},sip", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE * 3)
        return done.stdout.splitlines()

    def malformed(self) -> list[str]:
        """Every packet that tshark finds malformed or in error."""
        return self.read("-Y", "_ws.malformed || _ws.expert.severity == error")

    def protocols(self) -> Counter[str]:
        """How many packets of each kind, by the name of the topmost protocol."""
        return Counter(self.read("-T", "fields", "-e", "_ws.col.Protocol"))

    def streams(self) -> list[Stream]:
        """RTP streams as tshark counts them."""
        rows = [line.split() for line in self.read("-q", "-z", "rtp,streams")]
        return [_stream(row) for row in rows if len(row) > 10 and row[6].startswith("0x")]


def _stream(row: list[str]) -> Stream:
    """Columns: start and end, source and its port, destination and its port, SSRC, payload, packets, lost (share)..."""
    payload_end = next(index for index in range(8, len(row)) if row[index].isdigit())
    return Stream(
        source=row[2],
        port=int(row[3]),
        ssrc=int(row[6], 16),
        payload=" ".join(row[7:payload_end]),
        packets=int(row[payload_end]),
        lost=int(row[payload_end + 1]),
    )


@contextlib.contextmanager
def capture(folder: Path, sip_port: int, media_ports: range) -> Iterator[Capture]:
    """Capture what these ports send and receive on the loopback interface while the block runs."""
    require("tshark")
    file = folder / "call.pcapng"
    wanted = f"udp and (port {sip_port} or portrange {media_ports[0]}-{media_ports[-1]})"
    command = ["tshark", "-q", "-i", "lo", "-f", wanted, "-w", str(file)]
    with Program(command, folder=folder, name="tshark") as program:
        until(
            lambda: program.process.poll() is not None or (file.exists() and file.stat().st_size > 0), "capture begins"
        )
        if program.process.poll() is not None:
            raise AssertionError(f"tshark cannot capture:\n{program.stderr}")
        yield Capture(file, sip_port)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as marker:
            marker.sendto(_CAPTURE_ENDS, (LOOPBACK, media_ports[-1]))
        until(lambda: _CAPTURE_ENDS in file.read_bytes(), "everything captured is written")
        program.stop()
        program.finish()
