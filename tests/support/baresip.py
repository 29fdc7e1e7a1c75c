"""baresip, a SIP phone: its configuration, and a phone for one test.

The matrix (`tests.interop.baresip`) and the benchmarks (`tests.bench.others`) run phones of their own with the same
`Setup`; the matrix also tells its phone what to do by the control port.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import wave
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.peers import require
from tests.support.processes import LOOPBACK, PATIENCE, Outcome, Program, free_ports

READY = "baresip is ready"
"""What it says when it can be called."""
_MODULE_FOLDERS = ("/usr/lib/baresip/modules", "/usr/local/lib/baresip/modules", "/usr/lib64/baresip/modules")
_LIFETIME = 60  # seconds after which a forgotten phone ends by itself


@dataclass(frozen=True)
class Setup:
    """What every phone here has in common, and what differs.

    `listen`: ADDRESS:PORT of SIP. `address` and `parameters` of its account. `modules`: codecs, and where sound comes
    from and goes to. `jitter_buffer`: packets, at least and at most. `recordings`: the folder to which the module
    sndfile writes. `more`: lines of the configuration.
    """

    listen: str
    address: str
    parameters: str
    modules: Sequence[str]
    jitter_buffer: str
    recordings: Path
    more: Sequence[str] = ()

    def write(self, home: Path) -> list[str]:
        """Put the configuration into this folder, which exists; the command that starts the phone."""
        (home / "contacts").touch()
        folder = next((path for path in _MODULE_FOLDERS if Path(path).is_dir()), _MODULE_FOLDERS[0])
        lines = [
            f"sip_listen {self.listen}",
            f"jitter_buffer_delay {self.jitter_buffer}",
            "audio_alert none",
            f"module_path {folder}",
            *(f"module {name}.so" for name in self.modules),
            "module_tmp account.so",
            "module_app menu.so",
            f"snd_path {self.recordings}",
            "menu_bell no",
            "statmode_default off",
            *self.more,
        ]
        (home / "config").write_text("\n".join(lines) + "\n")
        (home / "accounts").write_text(f"<sip:{self.address}>;{self.parameters};answermode=auto\n")
        command = ["baresip", "-4", "-f", str(home)]
        return ["stdbuf", "-oL", *command] if shutil.which("stdbuf") else command


def on_loopback(ports: range) -> list[str]:
    """Lines for a phone that uses these ports for media."""
    return [f"net_interface {LOOPBACK}", f"rtp_ports {ports[0]}-{ports[-1]}"]


def controlled(port: int) -> list[str]:
    """Lines for a phone that takes commands at this TCP port."""
    return ["module_app ctrl_tcp.so", f"ctrl_tcp_listen {LOOPBACK}:{port}"]


def plays(wav: Path, rate: int, channels: int) -> list[str]:
    """Lines for a phone that says what is in a file, at this rate."""
    return [
        f"ausrc_srate {rate}",
        f"ausrc_channels {channels}",
        "module aufile.so",
        f"audio_source aufile,{wav}",
    ]


def netstring(command: str, parameters: str = "") -> bytes:
    """A command for the control port."""
    message = json.dumps({"command": command, "params": parameters}).encode()
    return b"%d:%s," % (len(message), message)


class Baresip(Program):
    """A running phone: call it at `target`; afterwards `heard` is the recording and `trace` all SIP, both ways."""

    folder: Path
    target: str
    media_ports: range

    def command(self, name: str, parameters: str = "") -> None:
        """What its user could type: `sndcode 1` presses a key."""
        with socket.create_connection((LOOPBACK, self.media_ports[0]), PATIENCE) as control:  # UDP goes there beside it
            control.settimeout(PATIENCE)
            control.sendall(netstring(name, parameters))
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
def baresip(
    folder: Path,
    codec: str,
    *,
    dial: str = "",
    says: Path | None = None,
    encryption: str = "",
    certificate: Path | None = None,
) -> Iterator[Baresip]:
    """A phone that knows one codec ("PCMU/8000/1"): it answers by itself, or dials and plays a WAV to its end.

    `encryption`: what it calls a kind of it, as "srtp" or "srtp-mand". `certificate`: of SIP over TLS, key included,
    which it speaks then and no other.
    """
    require("baresip")
    home = folder / "baresip"
    (home / "recordings").mkdir(parents=True)
    sip_port, media_ports = free_ports()
    more = [*on_loopback(media_ports), *controlled(media_ports[0]), "opus_inbandfec yes"]
    if encryption == "dtls_srtp":
        more.append("rtcp_mux yes")
    if says is not None:
        with wave.open(str(says)) as file:
            more += plays(says, file.getframerate(), file.getnchannels())
    tls = certificate is not None
    if tls:
        more += [f"sip_certificate {certificate}", f"sip_cafile {certificate}"]
    setup = Setup(
        listen=f"{LOOPBACK}:{sip_port}",
        address=f"peer@{LOOPBACK}:{sip_port}{';transport=tls' if tls else ''}",
        parameters=f"regint=0;audio_codecs={codec}" + (f";mediaenc={encryption}" if encryption else ""),
        modules=("opus", "l16", "g711", "g722", "sndfile", "dtls_srtp" if encryption == "dtls_srtp" else "srtp"),
        jitter_buffer="5-10",
        recordings=home / "recordings",
        more=more,
    )
    command = [*setup.write(home), "-s", "-t", str(_LIFETIME), *(["-e", f"d {dial}"] if dial else [])]
    with Baresip(command, folder=home, name="baresip", environment={"HOME": str(home)}, merged=True) as phone:
        phone.media_ports = media_ports
        phone.folder, phone.target = home, f"sip:{setup.address}"
        if tls:
            phone.target = f"sip:peer@{LOOPBACK}:{sip_port + 1};transport=tls"
        phone.wait_for(READY)
        yield phone
