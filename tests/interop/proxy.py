"""Kamailio, a registrar and proxy here, and rtpengine, through which all sound goes: between our programs, or us and
baresip. deploy/ has a configuration for the world; this one asks nobody for passwords and speaks UDP, TCP and TLS."""

from __future__ import annotations

import contextlib
import random
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.interop import judgement
from tests.interop.phone import PORT_BLOCKS, Certificates, Phone, uri
from tests.support.processes import LOOPBACK, Outcome, Program, Receiver, receiver, until
from tests.support.proxy_lab import daemon

REGISTERED = "registered"
"""What receiver.py says once it is known to its registrar."""
_MEDIA_PORTS, _MEDIA = range(31_000, 32_600, 400), 400  # of rtpengine: where it may begin, how many
_COMMANDS, _CONSOLE = 30, 32  # of the block of ports
_MODULES = [
    "tm",
    "sl",
    "rr",
    "pv",
    "maxfwd",
    "siputils",
    "sanity",
    "textops",
    "usrloc",
    "registrar",
    "rtpengine",
    "tls",
]
_CONFIGURATION = """#!KAMAILIO
log_stderror=yes
children=2
tcp_children=2
auto_aliases=no
enable_tls=yes
listen=udp:{host}:{port}
listen=tcp:{host}:{port}
listen=tls:{host}:{tls_port}
{modules}
modparam("rtpengine", "rtpengine_sock", "udp:{host}:{commands}")
modparam("tls", "config", "{folder}/tls.cfg")
modparam("usrloc", "db_mode", 0)
modparam("rr", "enable_double_rr", 1)

request_route {{
    if (!mf_process_maxfwd_header("20")) {{ sl_send_reply("483", "Too Many Hops"); exit; }}
    if (is_method("CANCEL")) {{ if (t_check_trans()) t_relay(); exit; }}
    if (has_totag()) {{
        if (!loose_route() && !is_method("ACK")) {{ sl_send_reply("404", "Not Here"); exit; }}
        route(ONWARD);
    }}
    if (is_method("REGISTER")) {{ if (!save("location")) sl_reply_error(); exit; }}
    record_route();
    if (!lookup("location")) {{ sl_send_reply("404", "Not Found"); exit; }}
    route(ONWARD);
}}

route[ONWARD] {{
    if (is_method("BYE")) rtpengine_delete();
    else if (has_body("application/sdp")) rtpengine_manage("replace-origin OSRTP-accept SDES-pad");
    t_on_reply("BACK");
    if (!t_relay()) sl_reply_error();
    exit;
}}

onreply_route[BACK] {{
    if (has_body("application/sdp")) rtpengine_manage("replace-origin OSRTP-accept SDES-pad");
}}
"""
_TLS = """[server:default]
method = TLSv1.2+
verify_certificate = no
private_key = {key}
certificate = {certificate}

[client:default]
method = TLSv1.2+
verify_certificate = yes
ca_list = {authority}
"""


@dataclass(frozen=True)
class Proxy:
    """A registrar and proxy, running: Kamailio, or a directory of ours."""

    port: int
    program: Program

    def uri(self, user: str, transport: str) -> str:
        """Where a user is called, over that transport as far as here."""
        return uri(user, self.port, transport)

    def server(self, transport: str) -> str:
        """The URI of the registrar itself."""
        return self.uri("", transport).replace("@", "")

    def account(self, user: str, transport: str) -> list[str]:
        """Options of our programs with which they are found here as `user`."""
        return ["--registrar", self.server(transport), "--user", user]


@contextlib.contextmanager
def proxy(folder: Path, certificates: Certificates) -> Iterator[Proxy]:
    """Start both; they end with the block."""
    folder.mkdir()
    port = PORT_BLOCKS.block()
    commands = port + _COMMANDS
    (folder / "tls.cfg").write_text(
        _TLS.format(key=certificates.key, certificate=certificates.certificate, authority=certificates.authority)
    )
    (folder / "kamailio.cfg").write_text(
        _CONFIGURATION.format(
            host=LOOPBACK,
            port=port,
            tls_port=port + 1,
            commands=commands,
            folder=folder,
            modules="\n".join(f'loadmodule "{name}.so"' for name in _MODULES),
        )
    )
    relay = ["rtpengine", "--config-file=none", "--foreground", "--log-stderr", "--table=-1", "--log-level=5"]
    relay += [f"--interface={LOOPBACK}", f"--listen-ng={LOOPBACK}:{commands}", "--num-threads=2"]
    relay += [f"--listen-cli={LOOPBACK}:{port + _CONSOLE}", f"--pidfile={folder}/rtpengine.pid"]
    media = random.SystemRandom().choice(_MEDIA_PORTS)
    relay += [f"--port-min={media}", f"--port-max={media + _MEDIA - 1}"]
    server = ["kamailio", "-f", str(folder / "kamailio.cfg"), "-DD", "-E", "-m", "64", "-M", "8"]
    server += ["-Y", str(folder), "-P", str(folder / "kamailio.pid")]
    with daemon(relay, folder, "rtpengine"), daemon(server, folder, "kamailio") as kamailio:
        until(lambda: _answers(port), f"Kamailio is up:\n{kamailio.stderr}")
        yield Proxy(port, kamailio)


class OurReceiver(Phone):
    """receiver.py behind the proxy, as the peer of sender.py: a new one for each call, registered by its name."""

    cannot_hold = "neither sender.py nor receiver.py has a command to put a call on hold"

    def __init__(self, folder: Path, name: str, transport: str, site: Proxy, says: Path, options: list[str]) -> None:
        self._folder, self._name, self._transport = folder, name, transport
        self._site, self._options = site, options
        self.says, self.target = says, site.uri(name, transport)
        self._stack = contextlib.ExitStack()
        self._calls = 0
        self._running: Receiver | None = None
        self._outcome: Outcome | None = None

    def __enter__(self) -> OurReceiver:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def listen(self) -> None:
        self._calls += 1
        folder = self._folder / f"receiver-{self._calls}"
        folder.mkdir()
        base = PORT_BLOCKS.block()
        account = self._site.account(self._name, self._transport)
        options = [*self._options, *account, "--input", str(self.says), "--output", str(self._recording), "--once"]
        ports = base, range(base + 2, base + 22)
        self._running = self._stack.enter_context(receiver(folder, *options, ports=ports))
        self._running.wait_for(REGISTERED)

    def call(self, target: str) -> None:
        raise NotImplementedError("the other one is sender.py")

    def wait_up(self) -> None:
        self._program.wait_for("call from")

    def hang_up(self) -> None:
        self._program.stop()

    def wait_over(self) -> None:
        outcome = self._program.finish()
        assert outcome.status == 0, outcome.stderr
        assert not judgement.losses(outcome.call, relayed=True), outcome.stderr

    def heard_seconds(self) -> float:
        return judgement.length(self._recording)

    def heard(self) -> Path:
        return self._recording

    def log(self) -> str:
        return self._site.program.stderr

    @property
    def _program(self) -> Receiver:
        assert self._running is not None, "no receiver runs"
        return self._running

    @property
    def _recording(self) -> Path:
        return self._folder / f"receiver-{self._calls}" / "heard.wav"


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0
