"""Calls with addresses that the programs' sockets cannot send to, and with a bug of ours: no program ends by them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support.descriptions import CONNECTIONS, ZONES
from tests.support.processes import LOOPBACK, READY, ROOT, Program, Receiver, free_ports, receiver, sender
from tests.support.raw_peer import L16, PCMU, Stream, raw_peer
from tests.support.raw_scene import finish
from tests.support.text_phone import CRLF, status, token, value


def with_connection(description: str, connection: str, *lines: str) -> str:
    """A description with another c= line, and more lines at its end."""
    kept = [f"c={connection}" if line.startswith("c=") else line for line in description.split(CRLF) if line]
    return CRLF.join([*kept, *lines, ""])


@pytest.mark.process
def test_no_invite_with_an_impossible_address_ends_a_receiver(tmp_path: Path) -> None:
    with receiver(tmp_path, "--two-way", "--input", "tone") as far, raw_peer() as peer:
        target = far.host, far.sip_port
        for connection in CONNECTIONS:
            answer, dialog = peer.invite(target, with_connection(peer.description(), connection))
            if "%" in connection:
                assert status(answer) == 488, connection
            else:  # it sends to us, and we to where that comes from
                assert dialog is not None, answer
                assert dialog.bye() == 200
        for host in ("fe80::1", *ZONES):
            dialog = peer.call(target, peer.description() + f"a=rtcp:9 IN IP6 {host}{CRLF}")
            assert dialog.bye() == 200
        # A late offer, then an answer that cannot be used: it hangs up.
        request = peer.request("INVITE", target, call_id="late")
        offered = peer.ask(request, target)
        assert offered is not None
        body = with_connection(peer.answer_to(offered.partition(CRLF * 2)[2], (L16,)), "IN IP6 fe80::1")
        peer.send(peer.request("ACK", target, call_id="late", to=value(offered, "To"), body=body), target)
        peer.answer(peer.wait("BYE "), 200, "OK")
        call_with_contact(far, "<sip:raw@127.0.0.1;maddr=fe80::1%25ab>")
        alive(far, tmp_path)
        far.stop()
        finish(far)


@pytest.mark.process
def test_media_goes_to_where_the_peer_sends_from_if_its_offer_names_another_ip_version(tmp_path: Path) -> None:
    """As linphone 5 does on a machine that has IPv6."""
    with receiver(tmp_path, "--two-way", "--input", "tone") as far, raw_peer() as peer:
        dialog = peer.call((far.host, far.sip_port), with_connection(peer.description(), "IN IP6 2001:db8::1"))
        Stream(dialog).send(30)
        assert len(peer.media(10)) == 10
        assert dialog.bye() == 200
        far.wait_for("call ended")
        far.stop()
        heard = far.finish()
    assert heard.call["rx"]["received"] == 30, heard.report


def call_with_contact(far: Receiver, contact: str) -> None:
    """An INVITE whose Contact leads nowhere: whatever becomes of it."""
    with raw_peer() as peer:
        target, call_id = (far.host, far.sip_port), token()
        request = peer.request("INVITE", target, call_id=call_id, body=peer.description()).decode()
        lines = [f"Contact: {contact}" if line.startswith("Contact:") else line for line in request.split(CRLF)]
        answer = peer.ask(CRLF.join(lines).encode(), target)
        if status(answer) == 200:
            assert answer is not None
            peer.send(peer.request("ACK", target, call_id=call_id, to=value(answer, "To")), target)
            peer.ask(peer.request("BYE", target, call_id=call_id, to=value(answer, "To"), number=2), target)


def alive(far: Receiver, folder: Path) -> None:
    """It runs, and an ordinary call works."""
    assert far.process.poll() is None, far.stderr
    with sender(folder, far.target, "--duration", "500ms") as near:
        outcome = near.finish()
    assert outcome.status == 0, outcome.stderr


@pytest.mark.process
@pytest.mark.parametrize("connection", ["IN IP6 fe80::1", "IN IP6 fe80::1%\0", "IN IP6 ::1"])
def test_an_answer_with_an_impossible_address_ends_a_sender_in_good_order(tmp_path: Path, connection: str) -> None:
    with raw_peer() as peer, sender(tmp_path, peer.target, "--codec", "pcmu") as near:
        invite = peer.wait("INVITE ")
        answer = with_connection(peer.answer_to(invite[0], (PCMU,)), connection)
        peer.answer(invite, 200, "OK", body=answer)
        peer.wait("ACK ")
        peer.answer(peer.wait("BYE "), 200, "OK")
        outcome = near.finish()
    assert outcome.status == 6, outcome.stderr
    assert "sent an unusable SDP answer" in outcome.stderr
    assert "Traceback" not in outcome.stderr


BROKEN = """
import sys
sys.path.insert(0, sys.argv.pop(1))
from voip.calls import call_media
made, real = [], call_media.RtpSession
def broken(*args, **named):
    made.append(args)
    if len(made) == 1:
        raise TypeError("surprise")
    return real(*args, **named)
call_media.RtpSession = broken
import receiver
sys.exit(receiver.command())
"""


@pytest.mark.process
def test_a_bug_costs_the_call_that_meets_it_and_no_other(tmp_path: Path) -> None:
    port, media = free_ports()
    options = ["--bind", LOOPBACK, "--sip-port", str(port), "--rtp-port", f"{media[0]}-{media[-1]}", "--output", "null"]
    command = [sys.executable, "-c", BROKEN, str(ROOT), *options, "-v", "--report", str(tmp_path / "far.json")]
    with Program(command, folder=tmp_path, name="far", report=tmp_path / "far.json") as far:
        far.wait_for(READY)
        outcomes = []
        for name in ("first", "second"):
            with sender(tmp_path, f"{LOOPBACK}:{port}", "--duration", "500ms", name=name) as near:
                outcomes.append(near.finish())
        far.wait_for("call ended")
        far.stop()
        heard = far.finish()
    assert [outcome.status for outcome in outcomes] == [6, 0], outcomes
    assert "500" in outcomes[0].stderr
    assert heard.status == 0, heard.stderr
    assert "a call (IncomingCall) was dropped: TypeError (a bug; -v shows where): surprise" in heard.stderr
    assert heard.stderr.count("Traceback") == 1
    assert "messages or calls that were dropped because of bugs: 1" in heard.stderr
    assert heard.report is not None
    assert [call["end_reason"] for call in heard.report["calls"]] == ["internal-error", "remote-bye"]
