"""The proxy of deploy/ at work: Kamailio and rtpengine, started with the files that are shipped, on loopback addresses.

    with proxy(tmp_path, pool=["kitchen", "hall"], names=["bob"]) as site:
        with receiver(tmp_path, *site.account("kitchen")):
            site.wait_for_pool("kitchen")
            with sender(tmp_path, site.target, *site.credentials("bob")) as near: ...

What a site has to set is set here as a site does it: in local.cfg and rtpengine's options.
"""

import contextlib
import hashlib
import itertools
import os
import random
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.peers import require
from tests.support.processes import LOOPBACK, ROOT, Program, free_ports, until
from tests.support.raw_peer import raw_peer
from tests.support.text_phone import CRLF, token

DEPLOY = ROOT / "deploy"
DOMAIN = "voip.example.org"
PASSWORD = "correct-horse"
_MEDIA_PORTS = 400  # from 11000 on, below those of free_ports: four for each of a hundred calls
_GRACE = 5.0  # seconds that a program gets for its end before it is killed with all its children


@dataclass
class Proxy:
    """A running Kamailio with its rtpengine. `host`:`port` takes SIP, by UDP and TCP; `ping_port` is its own.

    `tls_port` shows `certificate`, which is to be trusted by itself."""

    folder: Path
    host: str
    port: int
    tls_port: int
    ping_port: int
    media_ports: range
    kamailio: Program
    rtpengine: Program

    @property
    def target(self) -> str:
        """What reaches any receiver of the pool."""
        return f"sip:speaker@{self.host}:{self.port}"

    @property
    def certificate(self) -> Path:
        return self.folder / "tls" / "fullchain.pem"

    def credentials(self, name: str) -> tuple[str, ...]:
        """Options with which sender.py calls as `name`."""
        return "--user", name, "--password-file", str(self.folder / "password")

    def account(self, name: str) -> tuple[str, ...]:
        """Options with which receiver.py registers as `name`."""
        return "--registrar", f"{self.host}:{self.port}", *self.credentials(name)

    def register(self, name: str, contact: str, *, seconds: int = 60, user: str = "", password: str = PASSWORD) -> str:
        """The answer to a REGISTER of `name` at `contact` (host:port), which `user`, else itself, authenticates."""
        with raw_peer() as peer:
            call_id, credentials, answer = token(), "", ""
            for number in (1, 2):
                lines = [
                    f"REGISTER sip:{DOMAIN} SIP/2.0",
                    f"Via: SIP/2.0/UDP {peer.target};rport;branch=z9hG4bK{token()}",
                    "Max-Forwards: 70",
                    f"From: <sip:{name}@{DOMAIN}>;tag={peer.tag}",
                    f"To: <sip:{name}@{DOMAIN}>",
                    f"Call-ID: {call_id}",
                    f"CSeq: {number} REGISTER",
                    f"Contact: <sip:{name}@{contact}>;expires={seconds}",
                    *([credentials] if credentials else []),
                    "Content-Length: 0",
                ]
                request = CRLF.join([*lines, "", ""]).encode()
                answer = peer.ask(request, (self.host, self.port)) or ""
                assert answer, "no answer to REGISTER"
                nonce = re.search(r'nonce="(.*?)"', answer)
                if nonce is None:
                    break
                credentials = _authorization("REGISTER", user or name, password, nonce[1])
            return answer

    def command(self, *words: str) -> str:
        """What kamcmd answers; AssertionError if Kamailio does not like it."""
        done = subprocess.run(
            ["kamcmd", "-s", f"unixs:{self.folder}/control", *words], capture_output=True, text=True, timeout=10
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def states(self) -> dict[str, str]:
        """The pool: dispatcher's flags of each account: A active, I inactive; P probed, X not probed."""
        words = self.command("dispatcher.list").split()
        found = [word.partition(":")[2].partition("@")[0] for word in words if word.startswith("sip:")]
        flags = [word for before, word in itertools.pairwise(words) if before == "FLAGS:"]
        return dict(zip(found, flags, strict=True))

    def there(self) -> set[str]:
        """Accounts of the pool that answer."""
        return {name for name, flags in self.states().items() if flags.startswith("A")}

    def wait_for_pool(self, *names: str, timeout: float = 15.0) -> None:
        try:
            until(lambda: self.there() == set(names), f"only {', '.join(names)} answer", timeout)
        except AssertionError:
            raise AssertionError(f"{names} should answer: {self.states()}, registered {self.registered()}") from None

    def add_account(self, name: str) -> None:
        with (self.folder / "accounts").open("a") as file:
            file.write(_account_line(name, self.folder / "password"))

    def add_to_pool(self, name: str) -> None:
        with (self.folder / "pool").open("a") as file:
            file.write(f"1 sip:{name}@{LOOPBACK}:{self.ping_port}\n")
        self.command("dispatcher.reload")

    def trust(self, host: str) -> None:
        """Let an address call without a password."""
        with (self.folder / "trusted").open("a") as file:
            file.write(f"1 {host} 32 0 test\n")
        self.command("permissions.addressReload")

    def forget(self, name: str) -> None:
        """Make it look unregistered, whether it is registered or not."""
        if name in self.registered():
            self.command("ul.rm", "location", name)

    def registered(self) -> set[str]:
        """Accounts that are registered."""
        return {line.split()[-1] for line in self.command("ul.dump").splitlines() if "AoR:" in line}


@contextlib.contextmanager
def proxy(folder: Path, *, pool: Sequence[str], names: Sequence[str] = ()) -> Iterator[Proxy]:
    """Both programs, ready. Accounts of `pool` and `names`, all with PASSWORD."""
    require("kamailio", "kamcmd", "rtpengine", "openssl")
    port, tls_port, ping_port, command_port = _site_ports()
    ports = {"PORT": port, "TLS_PORT": tls_port, "PING_PORT": ping_port}
    _write_site(folder, ports, command_port, pool, names)
    first = random.SystemRandom().randrange(11_000, 19_000, _MEDIA_PORTS)
    media_ports = range(first, first + _MEDIA_PORTS)
    with _relay(folder, command_port, media_ports) as rtpengine, _server(folder) as kamailio:
        site = Proxy(folder, LOOPBACK, port, tls_port, ping_port, media_ports, kamailio, rtpengine)
        until(lambda: (folder / "control").exists(), f"Kamailio is up:\n{kamailio.stderr}")
        yield site


def _write_site(
    folder: Path, ports: dict[str, int], command_port: int, pool: Sequence[str], names: Sequence[str]
) -> None:
    """The files as README.md has them placed, with this site's values."""
    for name in ("kamailio.cfg", "accounts", "trusted", "pool", "tls.cfg"):
        shutil.copy(DEPLOY / "kamailio" / name, folder)
    (folder / "password").write_text(f"{PASSWORD}\n")
    with (folder / "accounts").open("a") as accounts:
        accounts.writelines(_account_line(name, folder / "password") for name in (*pool, *names))
    ping = f"{LOOPBACK}:{ports['PING_PORT']}"
    with (folder / "pool").open("a") as file:
        file.writelines(f"1 sip:{name}@{ping}\n" for name in pool)
    _write_certificate(folder)
    values = {
        "ADDRESS": LOOPBACK,
        "DOMAIN": f'"{DOMAIN}"',
        **ports,
        "PING_SOCKET": f'"udp:{ping}"',
        "ACCOUNTS": f'"text://{folder}"',
        "TRUSTED": f'"{folder}/trusted"',
        "POOL": f'"{folder}/pool"',
        "TLS_CFG": f'"{folder}/tls.cfg"',
        "CONTROL": f'"unixs:{folder}/control"',
        "RTPENGINE": f'"udp:{LOOPBACK}:{command_port}"',
        "CHILDREN": 2,
    }
    lines = ["#!define WITH_TLS", *(f"#!define {name} {value}" for name, value in values.items())]
    (folder / "local.cfg").write_text("\n".join(lines) + "\n")


def _write_certificate(folder: Path) -> None:
    """One that is valid for LOOPBACK, signed by itself."""
    place = folder / "tls"
    place.mkdir()
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-subj", f"/CN={DOMAIN}", "-addext", f"subjectAltName=IP:{LOOPBACK},DNS:{DOMAIN}", "-days", "2"]
    command += ["-keyout", str(place / "privkey.pem"), "-out", str(place / "fullchain.pem")]
    subprocess.run(command, check=True, capture_output=True, timeout=20)
    configuration = folder / "tls.cfg"
    configuration.write_text(configuration.read_text().replace("/etc/kamailio", str(folder)))


def _authorization(method: str, user: str, password: str, nonce: str) -> str:
    """RFC 7616 section 3.4.1, with MD5 and qop=auth."""

    def md5(text: str) -> str:
        return hashlib.md5(text.encode()).hexdigest()

    uri, count, cnonce = f"sip:{DOMAIN}", "00000001", token()
    secret, what = md5(f"{user}:{DOMAIN}:{password}"), md5(f"{method}:{uri}")
    response = md5(f"{secret}:{nonce}:{count}:{cnonce}:auth:{what}")
    return (
        f'Authorization: Digest username="{user}", realm="{DOMAIN}", nonce="{nonce}", uri="{uri}", '
        f'response="{response}", algorithm=MD5, qop=auth, nc={count}, cnonce="{cnonce}"'
    )


def _account_line(name: str, password: Path) -> str:
    command = [str(DEPLOY / "kamailio" / "account"), name, DOMAIN, str(password)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@contextlib.contextmanager
def _relay(folder: Path, command_port: int, media_ports: range) -> Iterator[Program]:
    options = {
        "config-file": DEPLOY / "rtpengine" / "rtpengine.conf",
        "interface": LOOPBACK,
        "listen-ng": f"{LOOPBACK}:{command_port}",
        "listen-cli": f"{LOOPBACK}:{command_port + 1}",
        "port-min": media_ports[0],
        "port-max": media_ports[-1],
        "pidfile": folder / "rtpengine.pid",
    }
    command = ["rtpengine", "--foreground", "--log-stderr", *(f"--{name}={value}" for name, value in options.items())]
    with daemon(command, folder, "rtpengine") as program:
        until(lambda: not _udp_is_free(command_port), f"rtpengine is up:\n{program.stderr}")
        yield program


@contextlib.contextmanager
def _server(folder: Path) -> Iterator[Program]:
    """In the foreground, with its words on stderr; little memory, since many tests run at a time."""
    command = ["kamailio", "-f", str(folder / "kamailio.cfg"), "-DD", "-E", "-m", "32", "-M", "8"]
    command += ["-Y", str(folder), "-P", str(folder / "kamailio.pid")]
    with daemon(command, folder, "kamailio") as program:
        yield program


@contextlib.contextmanager
def daemon(command: list[str], folder: Path, name: str) -> Iterator[Program]:
    """A program with children of its own. All of them end with the block, and with the process that runs the tests."""
    through = ["setpriv", "--pdeathsig", "TERM", "setsid"]
    with Program([*through, *command], folder=folder, name=name, merged=True) as program:
        try:
            yield program
        finally:
            program.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                program.process.wait(_GRACE)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(program.pid, signal.SIGKILL)
            program.process.wait()


def _site_ports() -> range:
    """Four ports in a row that are free for UDP and for TCP."""
    for _ in range(50):
        first = free_ports()[0]
        ports = range(first, first + 4)
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for port in ports:
                stack.enter_context(socket.socket()).bind((LOOPBACK, port))
            return ports
    raise AssertionError("no ports that are free for UDP and TCP")


def _udp_is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
