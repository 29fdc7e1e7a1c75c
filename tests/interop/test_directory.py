"""Telephones of other makers register at the directory, call bob's receiver.py by name, and are called by alice's
sender.py by name, over UDP, TCP and TLS; the sound of both directions is compared."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interop import baresip, judgement, linphone
from tests.interop.cells import THEY, WE, Cell
from tests.interop.directory import directory
from tests.interop.phone import Certificates, Phone, certificates
from tests.interop.proxy import Proxy
from tests.interop.scenes import phone_scene
from tests.support.peers import require

pytestmark = [pytest.mark.process, pytest.mark.interop]

CODEC = "pcmu"
RATE = 8_000
PASSWORD = "correct-horse"


def phone_of(folder: Path, made: Certificates, maker: str, transport: str, site: Proxy, password: str = "") -> Phone:
    account = baresip.Account("phone", site, password)
    says = judgement.recording(folder, CODEC, RATE, 1, 2)
    if maker == "baresip":
        return baresip.Baresip(folder, CODEC, transport, made, says, account)
    return linphone.Linphone(folder, CODEC, transport, made, says, account=account)


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
@pytest.mark.parametrize("maker", ["baresip", "linphonec"])
@pytest.mark.parametrize("who", [WE, THEY])
def test_a_telephone_and_one_of_ours_call_by_name(tmp_path: Path, maker: str, transport: str, who: str) -> None:
    require(maker, "openssl", "ffmpeg")
    made = certificates(tmp_path)
    cell = Cell(maker, who, CODEC, transport)
    says = judgement.recording(tmp_path, CODEC, RATE)
    with directory(tmp_path / "site", made) as site:
        try:
            with phone_of(tmp_path, made, maker, transport, site) as phone:
                findings = phone_scene(cell, tmp_path, made, phone, says, site)
        except AssertionError as error:
            raise AssertionError(f"{error}\nthe directory said:\n{site.program.stderr}") from error
    assert findings.problems == [], site.program.stderr


@pytest.mark.parametrize("maker", ["baresip", "linphonec"])
def test_a_telephone_registers_with_its_password(tmp_path: Path, maker: str) -> None:
    require(maker, "openssl", "ffmpeg")
    made = certificates(tmp_path)
    names = [f"phone={PASSWORD}", "ours"]
    with (
        directory(tmp_path / "site", made, names) as site,
        phone_of(tmp_path, made, maker, "udp", site, PASSWORD) as phone,
    ):
        assert phone.target
        site.program.wait_for("SIP/2.0 401 Unauthorized")
        site.program.wait_for("SIP/2.0 200 OK")
