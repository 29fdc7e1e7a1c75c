"""A small registrar and proxy of somebody else's: Kamailio with a configuration that asks everybody for a password."""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

from tests.support.peers import require
from tests.support.processes import LOOPBACK, PATIENCE, Program, until

PASSWORD = "s3cret"
_MODULES = ":".join(str(path) for path in Path("/usr/lib").glob("**/kamailio/modules"))
_CONFIGURATION = """#!KAMAILIO
debug=2
log_stderror=yes
children=2
tcp_children=2
auto_aliases=no
mpath="{modules}"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "auth.so"
modparam("usrloc", "timer_interval", 1)
modparam("registrar", "min_expires", 2)
modparam("registrar", "max_expires", {expires})
modparam("auth", "algorithm", "{algorithm}")
modparam("auth", "nonce_count", 1)
modparam("auth", "qop", "auth")

request_route {{
    if (!mf_process_maxfwd_header("10")) {{ sl_send_reply("483", "Too Many Hops"); exit; }}
    if (is_method("CANCEL")) {{ if (t_check_trans()) t_relay(); exit; }}
    if (has_totag()) {{
        if (loose_route()) t_relay();
        else if (is_method("ACK")) {{ if (t_check_trans()) t_relay(); }}
        else sl_send_reply("404", "Not Here");
        exit;
    }}
    loose_route();  # a caller may have been told to come by way of us
    if (is_method("REGISTER")) {{
        if (!pv_www_authenticate("lab", "{password}", "0")) {{ www_challenge("lab", "1"); exit; }}
        save("location");
        exit;
    }}
    if (!pv_proxy_authenticate("lab", "{password}", "0")) {{ proxy_challenge("lab", "1"); exit; }}
    consume_credentials();
    record_route();
    if (!lookup("location")) {{ sl_send_reply("404", "Not Found"); exit; }}
    t_relay();
}}
"""


@contextlib.contextmanager
def registrar(folder: Path, port: int, *, algorithm: str = "SHA-256", expires: int = 4) -> Iterator[Program]:
    """Kamailio at this port of the loopback interface, by UDP and TCP. It forgets everything at its end.

    All users have PASSWORD; registrations last `expires` seconds at most.
    """
    require("kamailio")
    folder.mkdir(exist_ok=True)
    configuration = folder / "kamailio.cfg"
    configuration.write_text(
        _CONFIGURATION.format(modules=_MODULES, algorithm=algorithm, expires=expires, password=PASSWORD)
    )
    command = ["kamailio", "-f", str(configuration), "-DD", "-E", "-m", "32", "-M", "4", "-Y", str(folder)]
    command += [word for protocol in ("udp", "tcp") for word in ("-l", f"{protocol}:{LOOPBACK}:{port}")]
    with Program(command, folder=folder, name="kamailio") as program:
        try:
            until(lambda: _listens(port) or program.process.poll() is not None, "Kamailio is up")
            assert program.process.poll() is None, program.stderr
            yield program
        finally:
            program.send_signal(signal.SIGTERM)  # its children end with it, but not if it is killed
            program.process.wait(PATIENCE)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0
