"""linphonec in its file mode: plays and records WAVs instead of a sound card; commands are lines on its stdin."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import numpy as np

from tests.interop.baresip import Account
from tests.interop.phone import PORT_BLOCKS, Certificates, Phone, uri
from tests.support.processes import LOOPBACK, PATIENCE, Program, until
from tests.support.wav import Samples, load, save

FORMATS = {  # its name, rate and channels of the format; rate and channels of what it plays
    "opus": ("opus", 48_000, 2, 48_000, 1),
    "l16": ("L16", 44_100, 1, 44_100, 1),
    "g722": ("G722", 8_000, 1, 16_000, 1),
    "pcmu": ("PCMU", 8_000, 1, 8_000, 1),
    "pcma": ("PCMA", 8_000, 1, 8_000, 1),
}
_SAID = "said.wav"
_LOOK = 0.5  # seconds between questions whether it is registered
_ALL = (
    "opus/48000/2 speex/16000/1 speex/8000/1 speex/32000/1 PCMU/8000/1 PCMA/8000/1 GSM/8000/1 G722/8000/1 "
    "G729/8000/1 L16/44100/2 L16/44100/1"
)


class Linphone(Phone):
    """A running linphonec that knows one codec."""

    moves = True

    def __init__(
        self,
        folder: Path,
        codec: str,
        transport: str,
        certificates: Certificates,
        says: Path,
        *,
        encryption: str = "none",
        account: Account | None = None,
    ) -> None:
        """`encryption`: of media, "none" or "srtp", which it insists on then. `account`: where it registers, and is
        called by way of."""
        home = folder / "linphonec"
        (home / ".local/share/linphone").mkdir(parents=True)
        base = PORT_BLOCKS.block()
        name, rate, channels, played, _ = FORMATS[codec]
        self._codec, self._transport, self._folder, self._calls = codec, transport, home, 0
        self.says = says
        self._rate = played
        self.target = uri("linphone", base, transport) if account is None else account.site.uri(account.user, transport)
        self._registers = account is not None
        (home / _SAID).symlink_to(says)
        (home / "rc").write_text(
            _configuration(base, transport, (name, rate, channels), certificates, encryption, account)
        )
        self._program = Program(
            ["stdbuf", "-oL", "linphonec", "-a", "-c", "rc"],
            folder=home,
            name="linphonec",
            environment={"HOME": str(home)},
            stdin=subprocess.PIPE,
            merged=True,
        )
        self._seen = 0

    def __enter__(self) -> Linphone:
        try:
            self._begin()
        except BaseException:  # it would run for ever
            self.__exit__()
            raise
        return self

    def _begin(self) -> None:
        self._program.wait_for("video is disabled")
        self._command("soundcard use files")
        self._program.wait_for("Using wav files")
        if self._registers:
            until(self._is_registered, "linphonec is registered", PATIENCE)
        self.listen()

    def __exit__(self, *error: object) -> None:
        self._program.__exit__(*error)

    def listen(self) -> None:
        self._calls += 1
        self._command(f"play {_SAID}")
        self._command(f"record {self._recording.name}")
        self._seen = len(self._program.lines)

    def call(self, target: str) -> None:
        self.listen()
        if self._transport == "tls":  # its TLS library finds no addresses among a certificate's names
            target = target.replace(LOOPBACK, "localhost")
        self._command(f"call {target}")

    def wait_up(self) -> None:
        self._wait_for("Media streams established")

    def hang_up(self) -> None:
        self._command("terminate")

    def wait_over(self) -> None:
        self._wait_for("ended (")

    def hold(self) -> None:
        self._command("pause")
        self._wait_for("is now paused")

    def resume(self) -> None:
        self._seen = len(self._program.lines)
        self._command("resume")
        self._wait_for("Media streams established")

    def heard_seconds(self) -> float:
        """Its recordings have no header before they are closed."""
        return max(0, self._recording.stat().st_size - 44) / 2 / self._rate if self._recording.exists() else 0.0

    def heard(self) -> Path:
        """A recording of L16 may be one byte out of step; of the two ways to read it, sound is the smoother."""
        file = self._recording
        samples, rate = load(file)
        shifted = np.frombuffer(samples.tobytes()[1:-1], "<i2").astype(np.int16).reshape(-1, 1)
        if self._codec == "l16" and samples.shape[1] == 1 and _roughness(shifted) < _roughness(samples):
            file = file.with_suffix(".aligned.wav")
            save(file, shifted, rate)
        return file

    def log(self) -> str:
        ended = self._program.process.poll()
        return self._program.stderr + ("" if ended is None else f"it ended by itself: {ended}\n")

    @property
    def _recording(self) -> Path:
        return self._folder / f"heard-{self._calls}.wav"

    def _is_registered(self) -> bool:
        """It does not say so by itself."""
        self._command("status register")
        time.sleep(_LOOK)
        return any(line.strip().startswith("registered,") for _, line in self._program.lines)

    def _command(self, line: str) -> None:
        stdin = self._program.process.stdin
        assert stdin is not None
        stdin.write(f"{line}\n".encode())
        stdin.flush()

    def _wait_for(self, text: str) -> None:
        """Until it says so in this call."""
        lines = self._program.lines
        until(lambda: any(text in line for _, line in lines[self._seen :]), f"linphonec says {text!r}", PATIENCE)


def _roughness(samples: Samples) -> float:
    wave = samples.astype(np.float64)
    return float(np.mean(np.diff(wave, axis=0) ** 2))


def _configuration(
    base: int,
    transport: str,
    codec: tuple[str, int, int],
    certificates: Certificates,
    encryption: str,
    account: Account | None = None,
) -> str:
    ports = {"udp": 0, "tcp": 0, "tls": 0, transport: base + 1 if transport == "tls" else base}
    name, rate, channels = codec
    wanted = f"{name}/{rate}/{channels}"
    formats = [wanted, *(known for known in _ALL.split() if known != wanted)]
    lines = [
        "[sip]",
        f"sip_port={ports['udp']}",
        f"sip_tcp_port={ports['tcp']}",
        f"sip_tls_port={ports['tls']}",
        f"contact=sip:linphone@{LOOPBACK}",
        f"bind_address={LOOPBACK}",
        "use_ipv6=0",  # else it prefers an address that nobody here calls it by
        f"default_proxy={-1 if account is None else 0}",
        f"media_encryption={encryption}",
        f"media_encryption_mandatory={int(encryption != 'none')}",
        f"root_ca={certificates.authority}",
        "verify_server_certs=1",
        "[net]",
        "firewall_policy=none",
        "[rtp]",
        f"audio_rtp_port={base + 2}",
        "audio_adaptive_jitt_comp_enabled=0",
        "audio_jitt_comp=400",
        "[sound]",
        "echocancellation=0",
    ]
    for number, known in enumerate(formats):
        name, rate_text, channels_text = known.split("/")
        lines += [f"[audio_codec_{number}]", f"mime={name}", f"rate={rate_text}", f"channels={channels_text}"]
        lines += [f"enabled={int(number == 0)}"]
    if account is not None:
        lines += _registration(account, transport)
    return "\n".join(lines) + "\n"


def _registration(account: Account, transport: str) -> list[str]:
    """Lines that make it register."""
    server = account.site.server(transport)
    if transport == "tls":  # as in `call`
        server = server.replace(LOOPBACK, "localhost")
    lines = ["[proxy_0]", f"reg_proxy=<{server}>", f"reg_identity=sip:{account.user}@{server.split(':')[1]}"]
    lines += ["reg_expires=600", "reg_sendregister=1", "publish=0", "quality_reporting_enabled=0"]
    if account.password:
        lines += ["[auth_info_0]", f"username={account.user}", f"passwd={account.password}"]
    return lines
