"""Session descriptions as they come from the field, and what real programs make of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.processes import LOOPBACK, receiver, sender
from tests.support.raw_peer import L16, PCMU, Dialog, Stream, raw_peer, rtp
from tests.support.raw_scene import PATIENT, finish
from tests.support.text_phone import status, value

pytestmark = pytest.mark.process

PCMA = 8
GOOD = 0.95  # share of the packets heard, on a machine that has other things to do
BY_NAME = (f"c=IN IP4 {LOOPBACK}", "c=IN IP4 localhost")


def test_a_host_name_is_looked_up_in_an_offer_and_in_an_answer(tmp_path: Path) -> None:
    with receiver(tmp_path, "--output", "null") as far, raw_peer() as phone:
        offer = phone.description((L16,)).replace(*BY_NAME)
        assert "localhost" in offer
        dialog = phone.call((far.host, far.sip_port), offer)
        Stream(dialog).send(5)
        assert dialog.bye() == 200
        far.stop()
        finish(far)
    with raw_peer() as phone, sender(tmp_path, phone.target, "--duration", "20s"):
        invite = phone.wait("INVITE ")
        phone.answer(invite, 200, "OK", body=phone.answer_to(invite[0]).replace(*BY_NAME))
        phone.wait("ACK ")
        assert len(phone.media(20)) == 20


def test_a_host_that_does_not_exist_ends_the_call_with_its_name(tmp_path: Path) -> None:
    with receiver(tmp_path, "--output", "null") as far, raw_peer() as phone:
        offer = phone.description((L16,)).replace(BY_NAME[0], "c=IN IP4 no-such-host.invalid")
        answer, dialog = phone.invite((far.host, far.sip_port), offer)
        assert (status(answer), dialog) == (488, None)
        far.stop()
        outcome = finish(far)
    assert "cannot find the host no-such-host.invalid" in outcome.stderr


@pytest.mark.parametrize("order", [(PCMU, PCMA), (PCMA, PCMU)])
def test_all_codecs_that_the_ack_takes_of_our_offer_are_heard(tmp_path: Path, order: tuple[int, int]) -> None:
    """INVITE without SDP: our offer is in the 200, the peer's answer, with two codecs, in its ACK."""
    options = ("--output", "heard.wav", "--latency", PATIENT, "--codec", "pcmu,pcma", "--once")
    with receiver(tmp_path, *options) as far, raw_peer() as phone:
        target = (far.host, far.sip_port)
        known = {"call_id": "late-offer", "branch": "z9hG4bKlate"}
        answer = phone.ask(phone.request("INVITE", target, **known), target)  # type: ignore[arg-type]
        assert answer is not None
        assert status(answer) == 200
        body = phone.text.description(phone.rtp.getsockname()[1], order, "a=rtpmap:0 PCMU/8000", "a=rtpmap:8 PCMA/8000")
        to = value(answer, "To")
        phone.send(phone.request("ACK", target, call_id="late-offer", to=to, body=body), target)
        stream = Stream(Dialog(phone, target, "late-offer", to, answer))
        for payload_type in (order[1], order[0], order[1]):
            for _ in range(25):
                stream.pace.wait()
                silence = {PCMU: b"\xff", PCMA: b"\xd5"}[payload_type]
                stream.throw(
                    rtp(stream.sequence, stream.timestamp, silence * 160, ssrc=stream.ssrc, payload_type=payload_type)
                )
                stream.sequence, stream.timestamp = stream.sequence + 1, stream.timestamp + 160
        assert stream.dialog.bye() == 200
        outcome = finish(far)
    rx = outcome.call["rx"]
    assert (rx["received"], rx["lost"]) == (75, 0)
    assert outcome.call["heard"]["frames_played"] >= GOOD * 75
