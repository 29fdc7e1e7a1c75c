"""Telephones of other makers register at the directory, call bob's receiver.py by name, and are called by alice's
sender.py by name, over UDP, TCP and TLS, or from one of these to another; the sound of both directions is compared.

The calls run some at a time, before the first test tells how its own went.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.interop import baresip, judgement, linphone
from tests.interop.cells import THEY, WE, Cell
from tests.interop.directory import calls, contacts, directory, initiate
from tests.interop.phone import Certificates, Phone, certificates
from tests.interop.proxy import Proxy
from tests.interop.scenes import phone_scene
from tests.support.peers import require
from tests.support.processes import LOOPBACK, receiver, until

pytestmark = [pytest.mark.process, pytest.mark.interop]

CODEC = "pcmu"
RATE = 8_000
PASSWORD = "correct-horse"
AT_ONCE = 5
"""Calls that run at a time: each mostly waits for sound to pass, on two processors."""


@dataclass(frozen=True)
class Way:
    """Who calls, by which makers' telephone, and over what each side speaks with the directory."""

    who: str
    maker: str
    theirs: str
    ours: str

    @property
    def name(self) -> str:
        return f"{self.maker}-{'called' if self.who == WE else 'calls'}-{self.theirs}-{self.ours}"

    @property
    def phone(self) -> str:
        """The name of its telephone."""
        return f"phone-{self.name}"


SAME = [
    Way(who, maker, transport, transport)
    for transport in ("udp", "tcp", "tls")
    for maker in ("baresip", "linphonec")
    for who in (WE, THEY)
]
CROSSED = [
    Way(WE, "baresip", "udp", "tls"),
    Way(THEY, "baresip", "tcp", "udp"),
    Way(WE, "linphonec", "tls", "udp"),
    Way(THEY, "linphonec", "udp", "tcp"),
]
WAYS = [*SAME, *CROSSED]


@dataclass(frozen=True)
class Named(Cell):
    """A cell whose receiver.py has this name."""

    called: str

    @property
    def name(self) -> str:
        return self.called


@dataclass(frozen=True)
class Crossed(Proxy):
    """The directory as the telephone sees it, where we speak another transport with it: `ours`."""

    ours: str = "udp"

    def account(self, user: str, transport: str) -> list[str]:
        return ["--registrar", self.uri("", self.ours).replace("@", ""), "--user", user]


def phone_of(folder: Path, made: Certificates, way: Way, site: Proxy, password: str = "") -> Phone:
    account = baresip.Account(way.phone, site, password)
    says = judgement.recording(folder, CODEC, RATE, 1, 2)
    if way.maker == "baresip":
        return baresip.Baresip(folder, CODEC, way.theirs, made, says, account)
    return linphone.Linphone(folder, CODEC, way.theirs, made, says, account=account)


def play(folder: Path, made: Certificates, way: Way, site: Proxy) -> str:
    """Two calls; what was wrong with them."""
    folder.mkdir()
    says = judgement.recording(folder, CODEC, RATE)
    crossed = Crossed(site.port, site.program, way.ours)
    options = ["--tls-ca", str(made.authority)] if "tls" in (way.ours, way.theirs) else []
    try:
        with phone_of(folder, made, way, site) as phone:
            phone.target = site.uri(way.phone, way.ours)
            cell = Named(way.maker, way.who, CODEC, way.theirs, way.name)
            more = options if way.theirs != "tls" else []
            return "; ".join(phone_scene(cell, folder, made, phone, says, crossed, more).problems)
    except Exception as error:  # whatever it is: this one has failed, and the others go on
        (folder / "traceback.txt").write_text(traceback.format_exc())
        return str(error) or repr(error)


@pytest.fixture(scope="module")
def results(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Way, str]]:
    """Of all that were asked for; what fails among the others has another try alone."""
    specs = [getattr(item, "callspec", None) for item in request.session.items]
    ways = [spec.params["way"] for spec in specs if spec is not None and isinstance(spec.params.get("way"), Way)]
    require("openssl", "ffmpeg", *sorted({way.maker for way in ways}))
    folder: Path = tmp_path_factory.mktemp("directory")
    made = certificates(folder)
    names = [name for way in ways for name in (way.phone, way.name)]
    with directory(folder / "site", made, names) as site:

        def played(way: Way) -> str:
            return play(folder / way.name, made, way, site)

        with ThreadPoolExecutor(AT_ONCE) as pool:
            found = dict(zip(ways, pool.map(played, ways), strict=True))
        for way in [way for way, problem in found.items() if problem]:
            (folder / way.name).rename(folder / f"{way.name}-failed")
            found[way] = played(way)
        yield found


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_a_telephone_and_one_of_ours_call_by_name(way: Way, results: dict[Way, str]) -> None:
    assert results[way] == ""


@pytest.mark.parametrize("maker", ["baresip", "linphonec"])
def test_a_telephone_registers_with_its_password(tmp_path: Path, maker: str) -> None:
    require(maker, "openssl", "ffmpeg")
    made, way = certificates(tmp_path), Way(WE, maker, "udp", "udp")
    names = [f"{way.phone}={PASSWORD}"]
    with (
        directory(tmp_path / "site", made, names) as site,
        phone_of(tmp_path, made, way, site, PASSWORD) as phone,
    ):
        assert phone.target == site.uri(way.phone, "udp")
        assert contacts(site.port, made, way.phone)


def test_the_api_has_a_telephone_call_that_takes_refer_within_a_call_alone(tmp_path: Path) -> None:
    require("baresip", "openssl", "ffmpeg")
    made = certificates(tmp_path)
    says = judgement.recording(tmp_path, CODEC, RATE, 1, 2)
    with (
        directory(tmp_path / "site", made, ["alice", "bob"]) as site,
        receiver(tmp_path, "--registrar", f"sip:{LOOPBACK}:{site.port}", "--user", "bob", "--codec", CODEC) as bob,
        baresip.Baresip(tmp_path, CODEC, "udp", made, says, baresip.Account("alice", site)),
    ):
        for name in ("alice", "bob"):
            until(lambda name=name: bool(contacts(site.port, made, name)), f"{name} is registered")  # type: ignore[misc]
        initiate(site.port, made, "alice", "bob")
        until(lambda: calls(site.port, made) == [("alice", "bob", "incall")], "the call", 60.0)
        bob.wait_for("alice")
        until(lambda: "loss" in bob.stderr, "its sound", 60.0)
        bob.stop()
        heard = bob.finish()
        until(lambda: calls(site.port, made) == [("alice", "bob", "ended")], "its end")
    assert heard.status == 0
    assert heard.call["rx"]["received"] > 50
