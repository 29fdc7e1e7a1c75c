"""`--pcap`: what both scripts write of a call, to which files, and what becomes of the call if they cannot."""

from __future__ import annotations

import json
import os
import signal
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path

import pytest

from tests.support.certificates import make_certificates
from tests.support.pcapng import Contents, Seen, read_capture
from tests.support.peers import require
from tests.support.processes import LOOPBACK, PATIENCE, receiver, sender, until

pytestmark = pytest.mark.process

USAGE, DEVICE = 2, 3
SHORT = ("--duration", "1s")
IN_CLEAR = ("--srtp", "off")
ROOM = 12_000
"""Bytes of a file on a disk that is full then: a report has half of that, a second of a call much more."""


def rtp(contents: Contents, *, inbound: bool) -> list[Seen]:
    """Packets of RTP, by their first two bytes (RFC 5761 section 4)."""
    whole = [seen for seen in contents.packets if seen.inbound is inbound and len(seen.payload) > 12]
    return [seen for seen in whole if seen.payload[0] >> 6 == 2 and not 192 <= seen.payload[1] < 224]


def went(contents: Contents, *, inbound: bool) -> Counter[bytes]:
    """What came, or was sent, and how often."""
    return Counter(seen.payload for seen in contents.packets if seen.inbound is inbound)


def messages(contents: Contents) -> list[str]:
    """The methods of requests and the statuses of responses, in their order."""
    lines = [seen.payload.split(b"\r\n")[0].decode(errors="replace") for seen in contents.packets]
    sip = [line.split(" ") for line in lines if "SIP/2.0" in line]
    return [words[1] if words[0] == "SIP/2.0" else words[0] for words in sip]


def test_both_sides_capture_the_same_call_for_their_owner_alone(tmp_path: Path) -> None:
    """Both scripts run with a umask of 022, as most systems have it."""
    before = os.umask(0o022)
    try:
        with (
            receiver(tmp_path, "--once", "--pcap", "far.pcapng", *IN_CLEAR) as far,
            sender(tmp_path, far.target, *SHORT, *IN_CLEAR, "--pcap", "near.pcapng") as near,
        ):
            sent, heard = near.finish(), far.finish()
    finally:
        os.umask(before)
    captures = {}
    for name, outcome in (("near.pcapng", sent), ("far.pcapng", heard)):
        path, contents = tmp_path / name, read_capture(tmp_path / name)
        captures[name] = contents
        assert path.stat().st_mode & 0o777 == 0o600
        assert outcome.status == 0
        assert outcome.report is not None
        told = {"file": name, "packets": len(contents.packets), "dropped": 0, "error": None}
        assert outcome.report["capture"] == told
        assert (contents.noticed, contents.dropped) == (len(contents.packets), 0)
        assert f"capture   {name}: {len(contents.packets)} packets" in outcome.stderr
        assert messages(contents) == ["INVITE", "200", "ACK", "BYE", "200"]
        moments = [seen.at for seen in contents.packets]
        assert moments == sorted(moments)
    near_, far_ = captures["near.pcapng"], captures["far.pcapng"]
    packets, repair = sent.call["tx"]["packets"], sent.call["tx"]["fec_packets"]
    assert len(rtp(near_, inbound=False)) == packets + repair
    assert len(rtp(far_, inbound=True)) == heard.call["rx"]["received"] + heard.call["fec"]["packets"]
    assert went(near_, inbound=True) <= went(far_, inbound=False), "all that came was sent"
    assert went(far_, inbound=True) <= went(near_, inbound=False)


@pytest.mark.parametrize("protocol", ["tcp", "tls"])
def test_messages_over_a_connection_are_captured_too(tmp_path: Path, protocol: str) -> None:
    certificates = make_certificates(tmp_path)
    with receiver(tmp_path, "--once", "--pcap", "far.pcapng", *certificates.server) as far:
        port = far.sip_port + (protocol == "tls")
        target = f"sip:{LOOPBACK}:{port};transport={protocol}"
        with sender(tmp_path, target, *SHORT, "--pcap", "near.pcapng", *certificates.client) as near:
            assert near.finish().status == 0
        assert far.finish().status == 0
    for name in ("near.pcapng", "far.pcapng"):
        contents = read_capture(tmp_path / name)
        assert messages(contents) == ["INVITE", "200", "ACK", "BYE", "200"]
        stream = [seen for seen in contents.packets if seen.protocol == "tcp"]
        assert len(stream) == 5
        assert {bool(seen.comment) for seen in stream} == {protocol == "tls"}
        assert port in (stream[0].source[1], stream[0].destination[1])


def test_a_text_without_a_call_is_captured(tmp_path: Path) -> None:
    arguments = ("--message", "on my way", "--no-call", "--pcap", "near.pcapng")
    with receiver(tmp_path) as far, sender(tmp_path, far.target, *arguments) as near:
        sent = near.finish()
    assert sent.status == 0
    assert sent.report is not None
    contents = read_capture(tmp_path / "near.pcapng")
    assert messages(contents) == ["MESSAGE", "200"]
    assert contents.payloads[0].endswith(b"\r\n\r\non my way")
    assert sent.report["capture"]["packets"] == 2


def test_a_killed_program_leaves_a_capture_that_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "far.pcapng"
    with receiver(tmp_path, "--pcap", "far.pcapng") as far, sender(tmp_path, far.target):
        until(lambda: path.exists() and path.stat().st_size > ROOM, "something is captured")
        far.send_signal(signal.SIGKILL)
        far.process.wait(PATIENCE)
    contents = read_capture(path)
    assert messages(contents)[:3] == ["INVITE", "200", "ACK"]
    assert contents.noticed is None


def test_a_full_disk_ends_the_capture_and_not_the_call(tmp_path: Path) -> None:
    require("prlimit")
    full = ("prlimit", f"--fsize={ROOM}")
    with (
        receiver(tmp_path, "--once", "--pcap", "far.pcapng", "--json", through=full) as far,
        sender(tmp_path, far.target, "--duration", "3s") as near,
    ):
        sent, heard = near.finish(), far.finish()
    assert (sent.status, heard.status) == (0, DEVICE)
    assert heard.call["rx"]["received"] > 100
    said = "the capture has ended, and calls go on without it: cannot write far.pcapng: File too large"
    assert [line[-len(said) :] for line in heard.stderr.splitlines() if "the capture" in line] == [said]
    assert "receiver.py: cannot write far.pcapng: File too large" in heard.stderr.splitlines()
    assert heard.report is not None
    told, contents = heard.report["capture"], read_capture(tmp_path / "far.pcapng")
    assert told["packets"] == len(contents.packets) > 10
    assert told["dropped"] > 50
    assert told["error"] == "File too large"
    assert (tmp_path / "far.pcapng").stat().st_size <= ROOM
    events = [json.loads(line) for line in heard.stdout.splitlines()]
    assert [event["error"] for event in events if event["event"] == "capture-failed"] == ["File too large"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--pcap", os.devnull), f"cannot write {os.devnull}: it is there, and is no regular file"),
        (("--pcap", "link.pcapng"), "cannot write link.pcapng: it is there, and is no regular file"),
        (("--pcap", "nowhere/call.pcapng"), "cannot write nowhere/call.pcapng: No such file or directory"),
        (("--pcap", "call.pcapng", "--workers", "2", "--max-calls", "2"), "--workers cannot be combined with --pcap"),
    ],
)
def test_2_is_a_capture_that_cannot_be_meant(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    (tmp_path / "precious").write_bytes(b"precious")
    (tmp_path / "link.pcapng").symlink_to("precious")
    with receiver(tmp_path, *arguments, ready=None) as far:
        outcome = far.finish()
    assert outcome.status == USAGE
    complaints = [line for line in outcome.stderr.splitlines() if line.startswith("receiver.py: ")]
    assert len(complaints) == 1
    assert said in complaints[0]
    assert (tmp_path / "precious").read_bytes() == b"precious"


# --- the page ---------------------------------------------------------------------------------------------------------


def download(page: str, name: str) -> tuple[int, bytes, str]:
    """Status, content and the name under which it is saved."""
    try:
        with urllib.request.urlopen(f"{page}download/{name}", timeout=PATIENCE) as response:
            return response.status, response.read(), response.headers["Content-Disposition"] or ""
    except urllib.error.HTTPError as error:
        return error.code, error.read(), ""


def test_the_page_offers_the_capture_so_far(tmp_path: Path) -> None:
    pytest.importorskip("aiohttp")
    path = tmp_path / "far.pcapng"
    with receiver(tmp_path, "--pcap", "far.pcapng", "--web") as far:
        page = far.wait_for("page      ").split()[-1]
        status, body, _ = download(page, "capture")
        assert status == 404, "nothing has come yet"
        assert json.loads(body) == {"error": "there is no such file, or not yet"}
        with sender(tmp_path, far.target) as near:
            until(lambda: path.exists() and path.stat().st_size > ROOM, "something is captured")
            for _ in range(20):  # while it is being written
                status, body, saved = download(page, "capture")
                assert status == 200
                assert messages(read_capture(body))[:1] == ["INVITE"]
            assert saved.endswith("far.pcapng")
            near.stop()
            near.finish()
        _, report, _ = download(page, "report")
        assert json.loads(report)["capture"]["file"] == "far.pcapng"
        far.stop()
        assert far.finish().status == 0


def test_without_a_capture_there_is_none_on_the_page(tmp_path: Path) -> None:
    pytest.importorskip("aiohttp")
    with receiver(tmp_path, "--web") as far:
        page = far.wait_for("page      ").split()[-1]
        status, body, _ = download(page, "capture")
        assert (status, list(json.loads(body))) == (404, ["error"])
        _, report, _ = download(page, "report")
        assert json.loads(report)["capture"] is None
        far.stop()
        far.finish()
