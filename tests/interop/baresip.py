"""baresip without a sound card: plays a WAV, records what it decodes, is told what to do over its control port."""

from __future__ import annotations

import json
import re
import shutil
import socket
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

from tests.interop import judgement
from tests.interop.phone import PORT_BLOCKS, Certificates, Phone, uri
from tests.interop.proxy import Proxy
from tests.support.baresip import READY, Setup, controlled, netstring, on_loopback, plays
from tests.support.processes import LOOPBACK, PATIENCE, Outcome, Program, until

FORMATS = {  # its name of the format; rate and channels of what it plays, so that it need not resample
    "opus": ("opus/48000/2", 48_000, 1),
    "l16": ("L16/16000/1", 16_000, 1),
    "g722": ("G722/16000/1", 16_000, 1),
    "pcmu": ("PCMU/8000/1", 8_000, 1),
    "pcma": ("PCMA/8000/1", 8_000, 1),
}
_CONTROL = 38  # of its block of ports
_UNDERWAY = 25  # packets on their way as it listens no more or not yet, or rtpengine; after hold come more
_LIFETIME = 900  # seconds after which a forgotten phone ends by itself


@dataclass(frozen=True)
class Account:
    """Who it is at which proxy."""

    user: str
    site: Proxy
    password: str = ""


class Baresip(Phone):
    """A running baresip that knows one codec."""

    def __init__(
        self,
        folder: Path,
        codec: str,
        transport: str,
        certificates: Certificates,
        says: Path,
        account: Account | None = None,
        *,
        lifetime: int = _LIFETIME,
        encryption: str = "",
    ) -> None:
        """`account`: where it registers, and is called by way of. `encryption`: of media, as "srtp"."""
        self._home = folder / "baresip"
        self._home.mkdir()
        self._recordings = Path(tempfile.mkdtemp(prefix="baresip"))  # it cuts names off after 127 characters
        base = PORT_BLOCKS.block()
        name, rate, channels = FORMATS[codec]
        self.says = says
        # rtpengine drops what a callee sends before it has keys with a caller that offers them: the first packets.
        self.moves = account is not None
        self.target = uri("peer", base, transport)
        suffix = "" if transport == "udp" else f";transport={transport}"
        address, more = f"peer@{LOOPBACK}:{base}{suffix}", "regint=0"
        if account is not None:
            self.target = account.site.uri(account.user, transport)
            server = account.site.server(transport)
            address, more = f"{account.user}@{server.partition(':')[2]}", f'regint=600;outbound="{server}"'
            more += f";auth_pass={account.password}" if account.password else ""
        self._registers = account is not None
        setup = Setup(
            listen=f"{LOOPBACK}:{base}",
            address=address,
            parameters=f"{more};audio_codecs={name}" + (f";mediaenc={encryption}" if encryption else ""),
            modules=("opus", "l16", "g722", "g711", "sndfile", "dtls_srtp" if encryption == "dtls_srtp" else "srtp"),
            jitter_buffer="20-30",
            recordings=self._recordings,
            more=(
                f"sip_certificate {certificates.both}",
                f"sip_cafile {certificates.authority}",
                *on_loopback(range(base + 2, base + 22)),
                *controlled(base + _CONTROL),
                *plays(says, rate, channels),
                "rtp_stats yes",
                f"rtcp_mux {'yes' if encryption == 'dtls_srtp' else 'no'}",
                "opus_bitrate 48000",
            ),
        )
        command = [*setup.write(self._home), "-s", "-t", str(lifetime)]
        self._program = Program(
            command, folder=self._home, name="baresip", environment={"HOME": str(self._home)}, merged=True
        )
        self._control: _Control | None = None
        self._port = base + _CONTROL
        self._earlier: set[Path] = set()

    def __enter__(self) -> Baresip:
        self._program.wait_for(READY)
        self._control = _Control(self._port)
        if self._registers:
            self._program.wait_for("200 OK")
        return self

    def __exit__(self, *error: object) -> None:
        if self._control is not None:
            self._control.close()
        self._program.__exit__(*error)
        shutil.copytree(self._recordings, self._home / "recordings")
        shutil.rmtree(self._recordings)

    def listen(self) -> None:
        self._earlier = self._decoded()
        self._told.forget()

    def call(self, target: str) -> None:
        self.listen()
        self._told.command("dial", target)

    def wait_up(self) -> None:
        self._told.wait_for("CALL_ESTABLISHED")

    def hang_up(self) -> None:
        self._told.command("hangup")

    def wait_over(self) -> None:
        self._told.wait_for("CALL_CLOSED")

    def hold(self) -> None:
        self._again("hold")

    def resume(self) -> None:
        self._again("resume")

    def heard_seconds(self) -> float:
        return max((judgement.length(file) for file in self._decoded() - self._earlier), default=0.0)

    def heard(self) -> Path:
        return max(self._decoded() - self._earlier, key=judgement.length)

    def judge_resumed(self, codec: str, says: Path, outcome: Outcome) -> str:
        """It stops recording when it puts a call on hold: its count of packets must do (X-RTP-Stat in its messages)."""
        del codec, says
        counts = re.findall(r"X-RTP-Stat: .*PR=(\d+)", self.log())
        sent, arrived = outcome.call["tx"]["packets"], int(counts[-1]) if counts else 0
        return "" if arrived >= sent - _UNDERWAY else f"of {sent} packets it received {arrived}"

    def log(self) -> str:
        return self._program.stderr

    def _again(self, command: str) -> None:
        """Send a command that leads to a re-INVITE, and wait until that is answered."""
        before = self._told.count("CALL_REMOTE_SDP")
        self._told.command(command)
        until(lambda: self._told.count("CALL_REMOTE_SDP") > before, f"baresip's {command} is answered")

    @property
    def _told(self) -> _Control:
        assert self._control is not None, "baresip is not running"
        return self._control

    def _decoded(self) -> set[Path]:
        return set(self._recordings.glob("*-dec.wav"))


class _Control:
    """Its control port: commands and events as JSON, each in a netstring."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection((LOOPBACK, port), PATIENCE)
        self._socket.settimeout(None)
        self._events: list[str] = []
        self._lock = threading.Lock()
        threading.Thread(target=self._read, name="baresip's events", daemon=True).start()

    def close(self) -> None:
        self._socket.close()

    def command(self, name: str, parameters: str = "") -> None:
        self._socket.sendall(netstring(name, parameters))

    def forget(self) -> None:
        """What was told so far: only what comes from now on counts."""
        with self._lock:
            self._events.clear()

    def count(self, event: str) -> int:
        with self._lock:
            return self._events.count(event)

    def wait_for(self, event: str) -> None:
        until(lambda: self.count(event) > 0, f"baresip tells {event}")

    def _read(self) -> None:
        data = b""
        while True:
            try:
                chunk = self._socket.recv(65536)
            except OSError:
                return
            if not chunk:
                return
            data += chunk
            while b":" in data:
                size, _, rest = data.partition(b":")
                if len(rest) <= int(size):
                    break
                self._take(rest[: int(size)])
                data = rest[int(size) + 1 :]

    def _take(self, message: bytes) -> None:
        told = json.loads(message)
        if told.get("event"):
            with self._lock:
                self._events.append(told.get("type", ""))
