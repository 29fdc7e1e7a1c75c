"""Many receivers behind a proxy: the configuration of deploy/, run by Kamailio and rtpengine themselves."""

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.peers import require
from tests.support.processes import LOOPBACK, ROOT, Outcome, Program, Receiver, free_ports, receiver, sender, until
from tests.support.proxy_lab import DEPLOY, PASSWORD, Proxy, proxy
from tests.support.raw_peer import raw_peer
from tests.support.sipp import PCMU, Scenario, Sipp, audio
from tests.support.text_phone import media_port

pytestmark = [pytest.mark.process, pytest.mark.interop]

POOL = ("kitchen", "hall", "attic")
CALLER = "bob"
TOGETHER = 8  # callers at a time


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """One proxy for all tests: each leaves the pool empty."""
    with proxy(tmp_path_factory.mktemp("site"), pool=POOL, names=[CALLER]) as running:
        yield running
        assert running.kamailio.process.poll() is None, running.kamailio.stderr
        assert running.rtpengine.process.poll() is None, running.rtpengine.stderr
        complaints = [line for line in running.kamailio.stderr.splitlines() if "ERROR" in line or "CRITICAL" in line]
        assert complaints == [], running.kamailio.stderr


class Pool:
    """The receivers behind a proxy, by the names of their accounts."""

    def __init__(self, site: Proxy, folder: Path, stack: contextlib.ExitStack) -> None:
        self.site, self.running = site, dict[str, Receiver]()
        self._folder, self._stack, self._started = folder, stack, 0

    def start(self, name: str, *arguments: str) -> Receiver:
        """A receiver that registers as `name`, from an address of its own."""
        self._started += 1
        folder = self._folder / f"{name}{self._started}"
        folder.mkdir()
        host = f"127.0.0.{10 + POOL.index(name)}"
        arguments = (*self.site.account(name), *arguments)
        program = self._stack.enter_context(receiver(folder, *arguments, name=name, host=host))
        program.wait_for("registered as")
        self.running[name] = program
        return program

    def leave(self, name: str) -> Outcome:
        """What Ctrl+C does: it unregisters and ends."""
        program = self.running.pop(name)
        program.stop()
        return program.finish()

    def kill(self, name: str) -> None:
        self.running.pop(name).process.kill()

    def taken(self) -> dict[str, int]:
        """How many calls each has taken so far."""
        return {name: program.stderr.count("call from") for name, program in self.running.items()}


@pytest.fixture
def pool(site: Proxy, tmp_path: Path) -> Iterator[Pool]:
    with contextlib.ExitStack() as stack:
        pool = Pool(site, tmp_path, stack)
        yield pool
        for name in POOL:
            site.forget(name)


def dials(calls: int) -> Scenario:
    """A caller of sipp's: challenged, it comes back with credentials, stays half a second, and hangs up."""
    scenario = Scenario(calls=calls).send("INVITE", 1, transaction="first", body=audio(PCMU))
    scenario.receive(100, transaction="first", optional=True).receive(407, transaction="first", challenge=True)
    scenario.send("ACK", 1, transaction="first")
    credentials = f"[authentication username={CALLER} password={PASSWORD}]"
    scenario.send("INVITE", 2, transaction="call", headers=[credentials], body=audio(PCMU)).ringing("call")
    scenario.receive(200, transaction="call", routes=True)
    scenario.send("ACK", 2, transaction="call", inside=True).pause(500)
    scenario.send("BYE", 3, transaction="bye", inside=True)
    return scenario.receive(200, transaction="bye")


def call_often(site: Proxy, folder: Path, calls: int) -> int:
    """So many calls to the pool, some at a time, and how many; AssertionError if one of them fails."""
    require("sipp")
    folder.mkdir()
    port, _ = free_ports()
    arguments = [f"{site.host}:{site.port}", "-s", "speaker", "-p", str(port), "-r", "20", "-l", str(TOGETHER)]
    with Sipp(dials(calls), folder, *arguments, host=LOOPBACK, seconds=30) as running:
        verdict = running.finish()
    assert verdict.passed, f"{verdict}\n{site.kamailio.stderr}"
    return calls


@contextlib.contextmanager
def speaking(site: Proxy, folder: Path, *arguments: str, name: str = "sender") -> Iterator[Program]:
    """A sender.py in a call with the pool."""
    with sender(folder, site.target, *site.credentials(CALLER), *arguments, name=name) as near:
        near.wait_for("call to")
        yield near


def speak(site: Proxy, folder: Path, *, name: str = "sender") -> Outcome:
    with speaking(site, folder, "--duration", "1s", name=name) as near:
        outcome = near.finish()
    assert outcome.status == 0, outcome.stderr + site.kamailio.stderr
    return outcome


def test_calls_are_spread_over_the_receivers_that_are_there(site: Proxy, pool: Pool, tmp_path: Path) -> None:
    for name in POOL:
        pool.start(name, "--max-calls", "20")
    site.wait_for_pool(*POOL)
    call_often(site, tmp_path / "all", 27)
    sent = [speak(site, tmp_path, name=f"sender{number}") for number in range(3)]
    until(lambda: sum(pool.taken().values()) == 30, "all calls are taken")
    shares = pool.taken()
    assert min(shares.values()) >= 8, shares

    pool.kill("hall")  # nobody tells the proxy: the first call that would have gone there goes on to the next
    assert_shared(pool, call_often(site, tmp_path / "killed", 10), "kitchen", "attic", before=shares)
    site.wait_for_pool("kitchen", "attic")

    shares = pool.taken()
    heard = pool.leave("attic").report
    assert_shared(pool, call_often(site, tmp_path / "left", 4), "kitchen", before=shares)

    pool.start("hall", "--max-calls", "20")
    site.wait_for_pool("kitchen", "hall")
    shares = pool.taken()
    assert_shared(pool, call_often(site, tmp_path / "back", 8), "kitchen", "hall", before=shares)

    assert heard is not None
    for call in heard["calls"]:
        assert call["rx"]["received"] in (0, *(outcome.call["tx"]["packets"] for outcome in sent))
        assert call["rx"]["lost"] == 0
    assert any(call["rx"]["received"] for call in heard["calls"])


def assert_shared(pool: Pool, calls: int, *names: str, before: dict[str, int]) -> None:
    """So many calls more than before, and each of the names took its part of them, nearly."""
    assert set(pool.running) == set(names)
    until(lambda: sum(pool.taken().values()) == sum(before[name] for name in names) + calls, f"{calls} calls are taken")
    more = {name: count - before[name] for name, count in pool.taken().items()}
    assert min(more.values()) >= calls // len(names) - 2, more


def test_a_receiver_that_is_busy_is_passed_over_until_all_are(site: Proxy, pool: Pool, tmp_path: Path) -> None:
    for name in POOL[:2]:
        pool.start(name)  # one call each
    site.wait_for_pool(*POOL[:2])
    with speaking(site, tmp_path, name="first") as first, speaking(site, tmp_path, name="second") as second:
        until(lambda: pool.taken() == dict.fromkeys(POOL[:2], 1), "each has a call")
        with sender(tmp_path, site.target, *site.credentials(CALLER), name="third") as third:
            refused = third.finish()
        assert refused.status == 6
        assert "486" in refused.stderr
        first.stop()
        assert first.finish().status == 0
        speak(site, tmp_path, name="fourth")
        second.stop()
        assert second.finish().status == 0


def test_a_call_by_name_goes_to_that_account_and_its_sound_through_the_relay(site: Proxy, tmp_path: Path) -> None:
    with raw_peer() as phone:
        site.register("attic", phone.target)
        target = f"sip:attic@{site.host}:{site.port}"
        arguments = ("--codec", "pcmu", "--fec", "off", "--duration", "1s")
        with sender(tmp_path, target, *site.credentials(CALLER), *arguments) as near:
            invite, source = phone.wait("INVITE")
            phone.answer((invite, source), 200, "OK", body=phone.answer_to(invite))
            phone.wait("ACK")
            packets = phone.media(20)
            bye = phone.wait("BYE")
            phone.answer(bye, 200, "OK")
            sent = near.finish()
        site.forget("attic")
    assert sent.status == 0
    assert sent.call["tx"]["packets"] == 50
    assert media_port(invite) in site.media_ports
    assert source == bye[1] == (site.host, site.port)
    assert all(len(packet) == 12 + 160 for packet in packets if packet[1] & 0x7F == 0)  # PCMU, 20 ms


def test_a_caller_that_gives_up_stops_the_ringing(site: Proxy, tmp_path: Path) -> None:
    with raw_peer() as phone:
        site.register("attic", phone.target)
        with sender(tmp_path, f"sip:attic@{site.host}:{site.port}", *site.credentials(CALLER)) as near:
            invite = phone.wait("INVITE")
            phone.answer(invite, 180, "Ringing")
            phone.read(lambda text: False, 0.3)  # until the 180 is there
            near.stop()
            phone.answer(phone.wait("CANCEL"), 200, "OK")
            phone.answer(invite, 487, "Request Terminated")
            phone.wait("ACK")
            near.finish()
        site.forget("attic")


def test_strangers_neither_call_nor_register(site: Proxy, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("guessed\n")
    guesses = {"nameless": (), "guessing": ("--user", CALLER, "--password-file", str(wrong))}
    for name, arguments in guesses.items():
        with sender(tmp_path, site.target, *arguments, name=name) as near:
            assert near.finish().status == 7
    assert " 401 " in site.register("hall", f"{LOOPBACK}:9", password="guessed")
    assert " 401 " in site.register("nobody", f"{LOOPBACK}:9")
    assert " 403 " in site.register("hall", f"{LOOPBACK}:9", user=CALLER)
    for name in (CALLER, "hall", "nobody"):
        site.kamailio.wait_for(f"by {name} from {LOOPBACK}: wrong password or unknown name")
    assert site.registered() == set()
    for target, status in ((site.target, 480), (f"sip:nobody@{site.host}:{site.port}", 404)):
        with sender(tmp_path, target, *site.credentials(CALLER), name=str(status)) as near:
            assert str(status) in near.finish().stderr


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_both_sides_may_come_by_a_connection(site: Proxy, pool: Pool, tmp_path: Path, transport: str) -> None:
    port = {"tcp": site.port, "tls": site.tls_port}[transport]
    place = f"{site.host}:{port};transport={transport}"
    trust = ("--tls-ca", str(site.certificate))
    pool.start("attic", *trust, "--registrar", f"sip:{place}")
    site.wait_for_pool("attic")
    with sender(tmp_path, f"sip:speaker@{place}", *site.credentials(CALLER), *trust, "--duration", "1s") as near:
        sent = near.finish()
    assert sent.status == 0, sent.stderr
    heard = pool.leave("attic")
    assert heard.status == 0
    assert site.registered() == set()
    assert heard.call["rx"]["received"] == sent.call["tx"]["packets"]
    assert heard.call["end_reason"] == "remote-bye"


def test_accounts_pool_and_trusted_addresses_change_while_it_runs(site: Proxy, tmp_path: Path) -> None:
    assert " 401 " in site.register("cellar", f"{LOOPBACK}:9")
    site.add_account("cellar")
    site.add_to_pool("cellar")
    site.trust("127.0.0.50")
    with receiver(tmp_path, *site.account("cellar"), host="127.0.0.14"):
        site.wait_for_pool("cellar")
        with sender(tmp_path, site.target, "--duration", "500ms", host="127.0.0.50") as near:
            assert near.finish().status == 0


def test_who_floods_is_ignored_and_nobody_else(site: Proxy) -> None:
    with raw_peer("127.0.0.66") as flooder, raw_peer() as other:
        address = site.host, site.port
        for _ in range(400):
            flooder.send(flooder.request("OPTIONS", address), address)
        assert flooder.ask(flooder.request("OPTIONS", address), address, timeout=1.0) is None
        assert other.ask(other.request("OPTIONS", address), address) is not None


def test_the_files_as_shipped_are_taken_as_they_are(tmp_path: Path) -> None:
    require("kamailio", "systemd-analyze")
    for file in (DEPLOY / "kamailio").iterdir():
        shutil.copy(file, tmp_path)
    paths = {name: f'"{tmp_path}/{name.lower()}"' for name in ("TRUSTED", "POOL")}
    defines = [word for name, value in paths.items() for word in ("-A", f"{name}={value}")]
    for more in ([], ["-A", "WITH_TLS"], ["-A", "PUBLIC_ADDRESS=203.0.113.10"]):
        command = ["kamailio", "-c", "-f", str(tmp_path / "kamailio.cfg"), *defines, *more]
        checked = subprocess.run(command, capture_output=True, text=True, timeout=20)
        assert checked.returncode == 0, checked.stderr


def unit_file(folder: Path) -> Path:
    """The unit with the paths of this checkout."""
    unit = (DEPLOY / "systemd" / "voip-receiver@.service").read_text()
    file = folder / "voip-receiver@kitchen.service"
    file.write_text(unit.replace("/opt/voip/.venv/bin/python", sys.executable).replace("/opt/voip", str(ROOT)))
    return file


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    require("systemd-analyze")
    command = ["systemd-analyze", "verify", str(unit_file(tmp_path))]
    checked = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_the_unit_gives_the_program_little_more_than_network_and_sound(tmp_path: Path) -> None:
    """20 is an exposure of 2.0, of 10.0 for a unit without any of its limits."""
    require("systemd-analyze")
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(unit_file(tmp_path))]
    checked = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert checked.returncode == 0, checked.stdout
