"""What broke the programs that came before, done to a real sender.py: b01 to b09, one situation each."""

import random
import time
from pathlib import Path

import numpy as np
import pytest

from tests.support.processes import LOOPBACK, Outcome, Program, free_ports, receiver, sender, until
from tests.support.raw_peer import PCMU, RATE, Dialog, RawPeer, from_mulaw, raw_peer
from tests.support.raw_scene import complaint, finish, load, without_devices, without_pyaudio
from tests.support.text_phone import CRLF, value
from tests.support.wav import save
from voip.sip import Address, CallEnded, MessageUnreadable, UserAgent

pytestmark = pytest.mark.process

TIMER_B = 32.0  # seconds: 64 * T1 (RFC 3261 section 17.1.1.2)
SLOW = 4.0  # seconds that a busy machine may add to what takes one
SOON = ("--media-timeout", "2s")


def ended(program: Program, code: int = 0) -> Outcome:
    outcome = program.finish()
    assert outcome.status == code, outcome.stderr
    assert "Traceback" not in outcome.stderr
    return outcome


def hung_up(near: Program, peer: RawPeer, dialog: Dialog) -> Outcome:
    """The outcome of a sender that was stopped and said BYE within its call."""
    near.stop()
    bye = peer.wait("BYE ")
    assert value(bye[0], "Call-ID") == dialog.call_id
    peer.answer(bye, 200, "OK")
    return ended(near)


# --- the end of a call ------------------------------------------------------------------------------------------------


def test_b01_ctrl_c_says_bye_every_time(tmp_path: Path) -> None:
    for number in range(3):
        with raw_peer() as peer, sender(tmp_path, peer.target, name=f"sender{number}") as near:
            dialog = peer.take_call()
            peer.media(5)
            start = time.monotonic()
            outcome = hung_up(near, peer, dialog)
            assert time.monotonic() - start < SLOW
        assert outcome.call["end_reason"] == "local-bye"


def test_b06_a_peer_that_is_gone_ends_the_call(tmp_path: Path) -> None:
    with raw_peer() as peer, sender(tmp_path, peer.target, *SOON, "--retry", "off") as near:
        peer.take_call()
        peer.media(5)
        peer.close()  # from here on the system answers with ICMP
        outcome = ended(near, 8)
    assert outcome.call["end_reason"] == "media-timeout"
    assert "lost contact" in outcome.stderr


def test_b06_a_peer_that_is_silent_is_asked_and_then_hung_up_on(tmp_path: Path) -> None:
    with raw_peer() as peer, sender(tmp_path, peer.target, *SOON, "--retry", "off") as near:
        dialog = peer.take_call()
        peer.media(5)
        asked = peer.wait("OPTIONS ")
        assert value(asked[0], "Call-ID") == dialog.call_id
        peer.answer(asked, 200, "OK")
        peer.wait("OPTIONS ")  # and from here on, silence
        bye = peer.wait("BYE ")
        peer.answer(bye, 200, "OK")
        outcome = ended(near, 8)
    assert outcome.call["end_reason"] == "media-timeout"


def test_b07_a_bye_that_is_lost_is_repeated(tmp_path: Path) -> None:
    with raw_peer() as peer, sender(tmp_path, peer.target) as near:
        peer.take_call()
        peer.media(5)
        near.stop()
        lost = peer.wait("BYE ")
        again = peer.wait("BYE ", 2.0 + SLOW)
        assert again[0] == lost[0]
        peer.answer(again, 200, "OK")
        assert ended(near).call["end_reason"] == "local-bye"


def test_b07_when_every_bye_is_lost_both_sides_end_all_the_same(tmp_path: Path) -> None:
    with raw_peer() as peer, sender(tmp_path, peer.target) as near:
        peer.take_call()
        peer.media(5)
        start = time.monotonic()
        near.stop()
        ended(near)
        assert time.monotonic() - start < 1.5 + SLOW
    with receiver(tmp_path, *SOON, "--once") as far, raw_peer() as peer:
        peer.call((far.host, far.sip_port))  # that is all that ever comes from there
        bye = peer.wait("BYE ", 2.0 + SLOW)
        peer.answer(bye, 200, "OK")
        outcome = ended(far, 8)
    assert outcome.call["end_reason"] == "media-timeout"


def test_b07_a_sender_that_is_through_does_not_wait_long_for_one_who_has_left(tmp_path: Path) -> None:
    start = time.monotonic()
    with raw_peer() as peer, sender(tmp_path, peer.target, "--duration", "1s") as near:
        peer.take_call()
        peer.wait("BYE ")  # unanswered
        outcome = ended(near)
    assert outcome.call["end_reason"] == "local-bye"
    assert time.monotonic() - start < 1.0 + 4.0 + 2.0 + SLOW


# --- the beginning ----------------------------------------------------------------------------------------------------


def test_b02_a_call_is_taken_by_a_peer_that_answers_as_sipp_does(tmp_path: Path) -> None:
    with raw_peer() as peer, sender(tmp_path, peer.target) as near:
        invite = peer.wait("INVITE ")
        for name in ("Via", "From", "To", "Call-ID", "CSeq", "Contact", "Max-Forwards", "Content-Length"):
            assert value(invite[0], name)
        assert value(invite[0], "Content-Type") == "application/sdp"
        assert value(invite[0], "CSeq").endswith(" INVITE")
        peer.answer(invite, 180, "Ringing")
        lines = ["v=0", f"o=user1 53655765 2353687637 IN IP4 {LOOPBACK}", "s=-", f"c=IN IP4 {LOOPBACK}", "t=0 0"]
        lines += [f"m=audio {peer.rtp.getsockname()[1]} RTP/AVP 0", "a=rtpmap:0 PCMU/8000", ""]
        peer.answer(invite, 200, "OK", body=CRLF.join(lines))
        ack = peer.wait("ACK ")
        assert ";tag=" in value(ack[0], "To")
        assert value(ack[0], "CSeq") == value(invite[0], "CSeq").replace("INVITE", "ACK")
        assert all(packet[1] & 0x7F == PCMU and len(packet) == 12 + 160 for packet in peer.media(5))
        dialog = Dialog(peer, invite[1], value(invite[0], "Call-ID"), "", invite[0])
        assert hung_up(near, peer, dialog).call["codec"] == "pcmu"


def refused(folder: Path, code: int, reason: str) -> Outcome:
    """What a sender says of an answer."""
    with raw_peer() as peer, sender(folder, peer.target) as near:
        invite = peer.wait("INVITE ")
        peer.answer(invite, code, reason)
        ack = peer.wait("ACK ")
        assert ";tag=" in value(ack[0], "To")
        outcome = near.finish()
        assert not [text for text in peer.unread() if text.startswith("INVITE ")]  # it does not try for ever
    return outcome


@pytest.mark.parametrize(("code", "reason"), [(404, "Not Found"), (500, "Call Error")])
def test_b03_404_and_500_end_the_sender_with_the_status(tmp_path: Path, code: int, reason: str) -> None:
    outcome = refused(tmp_path, code, reason)
    assert outcome.status == 6, outcome.stderr
    assert f"{code} {reason}" in outcome.stderr


@pytest.mark.parametrize(
    ("code", "reason", "status"),
    [(486, "Busy Here", 6), (503, "Service Unavailable", 6), (603, "Decline", 6), (480, "Temporarily Unavailable", 5)],
)
def test_b04_a_refusal_ends_the_sender(tmp_path: Path, code: int, reason: str, status: int) -> None:
    outcome = refused(tmp_path, code, reason)
    assert outcome.status == status, outcome.stderr
    assert f"{code} {reason}" in outcome.stderr
    assert outcome.call["end_reason"] == "rejected"


def test_b04_provisional_answers_are_waited_on_and_a_late_200_has_sound(tmp_path: Path) -> None:
    with raw_peer() as peer, sender(tmp_path, peer.target, "--connect-timeout", "1s") as near:
        invite = peer.wait("INVITE ")
        for code, reason in ((100, "Trying"), (180, "Ringing"), (183, "Session Progress")):
            peer.answer(invite, code, reason)
        near.wait_for("180 Ringing")
        assert peer.read(lambda text: text.startswith("INVITE "), 2.0) is None  # nor is it sent again
        peer.answer(invite, 200, "OK", body=peer.answer_to(invite[0]))
        peer.wait("ACK ")
        peer.media(20)
        dialog = Dialog(peer, invite[1], value(invite[0], "Call-ID"), "", invite[0])
        assert hung_up(near, peer, dialog).call["tx"]["packets"] >= 20


def test_b04_no_answer_is_given_up_after_the_connect_timeout(tmp_path: Path) -> None:
    with raw_peer() as peer, sender(tmp_path, peer.target, "--connect-timeout", "2s") as near:
        outcome = ended(near, 5)
        invites = [text for text in peer.unread() if text.startswith("INVITE ")]
    assert 2 <= len(invites) <= 4  # at 0, 0.5 and 1.5 s
    assert len(set(invites)) == 1
    assert "does not respond" in outcome.stderr
    assert outcome.call["end_reason"] == "no-answer"


def test_b04_timer_b_gives_an_invite_up_after_32_seconds() -> None:
    agent = UserAgent(rng=random.Random(4), local=lambda remote: ("192.0.2.1", 5060))
    started = now = 1000.0
    call_id = agent.invite("sip:x@192.0.2.2", b"v=0", now, timeout=600.0)
    invites = []
    event = None
    while event is None and now < started + 60:
        agent.handle_timer(now)
        invites += [now - started for data, _ in agent.messages_to_send(now) if data.startswith(b"INVITE ")]
        event = agent.next_event()
        now = min(agent.next_timer() or now + 1.0, now + 1.0)
    assert isinstance(event, CallEnded)
    assert (event.call_id, event.reason) == (call_id, "no-answer")
    assert now - started == pytest.approx(TIMER_B, abs=1.1)
    assert invites == pytest.approx([0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5])
    agent.receive(b"SIP/2.0 200 OK\r\n\r\n", Address("udp", "192.0.2.2", 5060), now)
    assert isinstance(agent.next_event(), MessageUnreadable)
    assert agent.next_event() is None


@pytest.mark.parametrize("missing", ["device", "pyaudio"])
def test_b05_without_a_microphone_the_sender_ends_with_one_line_and_calls_nobody(tmp_path: Path, missing: str) -> None:
    environment = without_devices(tmp_path) if missing == "device" else without_pyaudio(tmp_path)
    with raw_peer() as peer, sender(tmp_path, peer.target, "--input", "mic", environment=environment) as near:
        line = complaint(near.finish(), 3)
        assert peer.unread() == []
    assert "--input" in line or "install" in line


# --- what is sent -----------------------------------------------------------------------------------------------------


def test_b08_ssrc_sequence_number_and_timestamp_begin_at_random(tmp_path: Path) -> None:
    first = []
    for number in range(3):
        with raw_peer() as peer, sender(tmp_path, peer.target, name=f"sender{number}") as near:
            dialog = peer.take_call((PCMU,))
            packet = peer.media(1)[0]
            first.append(tuple(int.from_bytes(packet[a:b], "big") for a, b in ((2, 4), (4, 8), (8, 12))))
            hung_up(near, peer, dialog)
    sequences, timestamps, ssrcs = zip(*first, strict=True)
    for values in (sequences, timestamps, ssrcs):
        assert len(set(values)) == 3
        assert 0 not in values
    assert all(abs(ssrc - time.time()) > 1000 for ssrc in ssrcs)


def test_b09_payload_type_0_is_mulaw_and_l16_is_big_endian(tmp_path: Path) -> None:
    levels = np.array([from_mulaw(code) for code in range(256)], np.int16)
    said = np.random.default_rng(9).choice(levels, RATE)
    save(tmp_path / "said.wav", said, RATE)
    heard, options = {}, ("--input", "said.wav", "--codec", "l16,pcmu", "--fec", "off")
    for payload_type in (PCMU, None):
        with raw_peer() as peer, sender(tmp_path, peer.target, *options) as near:
            peer.take_call(None if payload_type is None else (payload_type,))
            packets = peer.media(50)
            peer.answer(peer.wait("BYE "), 200, "OK")
            outcome = ended(near)
        heard[outcome.call["codec"]] = b"".join(packet[12:] for packet in packets)
    assert np.array_equal(levels[np.frombuffer(heard["pcmu"], np.uint8)], said)
    assert np.array_equal(np.frombuffer(heard["l16"], ">i2"), said)


def test_b09_what_a_sender_says_is_what_a_receiver_plays(tmp_path: Path) -> None:
    said = np.random.default_rng(10).integers(1, 12000, RATE).astype(np.int16)
    save(tmp_path / "said.wav", said, RATE)
    with (
        receiver(tmp_path, "--once", "--output", "heard.wav", "--latency", "200ms", ports=free_ports()) as far,
        sender(tmp_path, far.target, "--input", "said.wav", "--codec", "l16") as near,
    ):
        ended(near)
        finish(far)
    until(lambda: (tmp_path / "heard.wav").exists(), "the recording is there")
    heard = load(tmp_path / "heard.wav")
    assert said[: RATE // 2].tobytes() in heard.tobytes()
