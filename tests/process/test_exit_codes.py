"""How sender.py ends when a peer does not take the call: exit status, and one line that says what to do (cli.md)."""

import contextlib
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.processes import LOOPBACK, Outcome, free_ports, sender
from tests.support.raw_peer import RawPeer, raw_peer
from tests.support.text_phone import long_names, value
from voip.sip.uac import MAX_TARGETS

pytestmark = pytest.mark.process

NETWORK, NO_ANSWER, REJECTED, AUTHENTICATION = 4, 5, 6, 7
AT_ONCE = 4  # senders beside each other
ALICE = ("--user", "alice", "--password-file", "password")
SOON = ("--connect-timeout", "1s")
CHALLENGE = 'WWW-Authenticate: Digest realm="here",nonce="{}",qop="auth",algorithm={}'


class Situation:
    """A peer, what the sender is called with, and how it has to end."""

    def __init__(
        self, peer: Callable[[RawPeer], object], code: int, said: str, *arguments: str, reason: str = "rejected"
    ) -> None:
        self.peer, self.code, self.said, self.arguments, self.reason = peer, code, said, arguments, reason


def refuses(status: int, phrase: str, *headers: str) -> Callable[[RawPeer], object]:
    def peer(raw: RawPeer) -> None:
        raw.answer(raw.wait("INVITE "), status, phrase, *headers)
        raw.wait("ACK ")

    return peer


def redirects_for_ever(raw: RawPeer) -> None:
    for number in range(MAX_TARGETS + 1):
        raw.answer(raw.wait("INVITE "), 302, "Moved Temporarily", f"Contact: <sip:hop{number}@{raw.target}>")
        raw.wait("ACK ")


def redirects_to_who_is_busy(raw: RawPeer) -> None:
    with raw_peer() as other:
        text, source = raw.wait("INVITE ")
        raw.send(bare(text, "302 Moved Temporarily", f"Contact: <sip:there@{other.target}>"), source)
        raw.wait("ACK ")
        moved = other.wait("INVITE sip:there@")
        assert value(moved[0], "Call-ID") == value(text, "Call-ID")
        other.answer(moved, 486, "Busy Here")
        other.wait("ACK ")


def bare(request: str, status: str, *headers: str) -> bytes:
    """An answer with these fields and no Contact but theirs: the first one of a redirect counts."""
    copied = [
        line
        for line in long_names(request).split("\r\n")
        if line.split(":")[0] in ("Via", "From", "To", "Call-ID", "CSeq")
    ]
    copied = [line + ";tag=bare" * line.startswith("To:") for line in copied]
    return "\r\n".join([f"SIP/2.0 {status}", *copied, *headers, "Content-Length: 0", "", ""]).encode()


def challenges(algorithm: str, times: int) -> Callable[[RawPeer], object]:
    """Asks for a password as often as that, and believes none."""

    def peer(raw: RawPeer) -> None:
        for number in range(times):
            invite = raw.wait("INVITE ")
            assert ("Authorization:" in invite[0]) == (number > 0)
            raw.answer(invite, 401, "Unauthorized", CHALLENGE.format(f"nonce{number}", algorithm))
            raw.wait("ACK ")

    return peer


def rings_for_ever(raw: RawPeer) -> None:
    """Until the phone gives up; that we do so after 30 s is shown in virtual time."""
    invite = raw.wait("INVITE ")
    raw.answer(invite, 180, "Ringing")
    raw.answer(invite, 480, "No Answer")
    raw.wait("ACK ")


def says_only_100(raw: RawPeer) -> None:
    invite = raw.wait("INVITE ")
    raw.answer(invite, 100, "Trying")
    cancel = raw.wait("CANCEL ")
    raw.answer(cancel, 200, "OK")
    raw.answer(invite, 487, "Request Terminated")
    raw.wait("ACK ")


def is_silent(raw: RawPeer) -> None:
    raw.wait("INVITE ")
    assert not any(text.startswith("CANCEL") for text in raw.unread())


def is_closed(raw: RawPeer) -> None:
    """From now on the system answers by ICMP that the port is closed."""
    raw.close()


SITUATIONS = {
    "busy": Situation(refuses(486, "Busy Here"), REJECTED, "in another call"),
    "busy everywhere": Situation(refuses(600, "Busy Everywhere"), REJECTED, "in another call"),
    "not found": Situation(refuses(404, "Not Found"), REJECTED, "before the @"),
    "declined": Situation(refuses(603, "Decline"), REJECTED, "declined the call"),
    "forbidden": Situation(refuses(403, "Forbidden"), REJECTED, "--allow"),
    "no codec": Situation(refuses(488, "Not Acceptable Here"), REJECTED, "--codec"),
    "overloaded": Situation(refuses(503, "Service Unavailable", "Retry-After: 5"), REJECTED, "try again later"),
    "unheard-of": Situation(refuses(599, "Whatever"), REJECTED, "599 Whatever"),
    "loop": Situation(redirects_for_ever, REJECTED, "call the final address directly", reason="redirect-loop"),
    "redirected": Situation(redirects_to_who_is_busy, REJECTED, "486 Busy Here"),
    "unavailable": Situation(refuses(480, "Temporarily Unavailable"), NO_ANSWER, "offline or unavailable"),
    "timed out": Situation(refuses(408, "Request Timeout"), NO_ANSWER, "408 Request Timeout"),
    "rings": Situation(rings_for_ever, NO_ANSWER, "480 No Answer"),
    "only 100": Situation(says_only_100, NO_ANSWER, "does not respond", *SOON, reason="no-answer"),
    "silent": Situation(is_silent, NO_ANSWER, "does not respond", *SOON, reason="no-answer"),
    "port closed": Situation(is_closed, NETWORK, "nothing listens at its UDP port", *SOON, reason="network"),
    "no password": Situation(challenges("MD5", 1), AUTHENTICATION, "--password-file"),
    "wrong password": Situation(challenges("MD5", 2), AUTHENTICATION, "--password-file", *ALICE),
    "wrong SHA-256": Situation(challenges("SHA-256", 2), AUTHENTICATION, "--password-file", *ALICE),
    "strange scheme": Situation(challenges("ROT13", 1), AUTHENTICATION, "401 Unauthorized", *ALICE),
}


def play(name: str, folder: Path) -> Outcome:
    """The sender in this situation; the peer's own complaint, if it has one, comes first."""
    situation, trouble = SITUATIONS[name], []
    (folder / "password").write_text("not this one\n")

    def run(raw: RawPeer) -> None:
        try:
            situation.peer(raw)
        except AssertionError as error:
            trouble.append(error)

    with raw_peer() as raw:
        target = f"sip:someone@{raw.target}"
        if situation.peer is is_closed:
            run(raw)
        with sender(folder, target, *situation.arguments) as near:
            thread = threading.Thread(target=run, args=(raw,))
            if situation.peer is not is_closed:
                thread.start()
            outcome = near.finish()
            if situation.peer is not is_closed:
                thread.join()
    assert not trouble, f"{name}: {trouble[0]}\n{outcome.stderr}"
    return outcome


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    """All situations, some beside each other: each is short, but for the start of a program."""
    folders = {name: tmp_path_factory.mktemp("peer") for name in SITUATIONS}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = {name: pool.submit(play, name, folder) for name, folder in folders.items()}
    return {name: future.result() for name, future in found.items()}


@pytest.mark.parametrize("name", SITUATIONS)
def test_a_call_that_is_not_taken_ends_with_its_code_and_one_line(name: str, outcomes: dict[str, Outcome]) -> None:
    situation, outcome = SITUATIONS[name], outcomes[name]
    assert outcome.status == situation.code, outcome.stderr
    complaints = [line for line in outcome.stderr.splitlines() if line.startswith("sender.py: ")]
    assert len(complaints) == 1, outcome.stderr
    assert situation.said in complaints[0]
    assert "Traceback" not in outcome.stderr
    assert "not this one" not in outcome.stderr
    assert outcome.call["end_reason"] == situation.reason
    assert outcome.report is not None
    assert f"sender.py: {outcome.report['error']}" == complaints[0]


def test_4_is_a_connection_that_is_refused(tmp_path: Path) -> None:
    port, _ = free_ports()
    with sender(tmp_path, f"sip:someone@{LOOPBACK}:{port};transport=tcp", *SOON) as near:
        outcome = near.finish()
    assert outcome.status == NETWORK, outcome.stderr
    assert outcome.call["end_reason"] == "network"
    assert f"{LOOPBACK}:{port}" in outcome.stderr


def test_5_is_a_connection_on_which_nobody_says_a_word(tmp_path: Path) -> None:
    with contextlib.closing(socket.create_server((LOOPBACK, 0))) as server:
        port = server.getsockname()[1]
        with sender(tmp_path, f"sip:someone@{LOOPBACK}:{port};transport=tcp", *SOON) as near:
            outcome = near.finish()
    assert outcome.status == NO_ANSWER, outcome.stderr
    assert "does not respond" in outcome.stderr
