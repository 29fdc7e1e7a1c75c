"""The signalling of start lines alone: what is a request, who may end a call, when a caller gives up."""

from __future__ import annotations

import random

import pytest

from voip.formats.bare_sip import BUSY, OK, BareCallee, BareCaller, Heard, method_of, status_of

CALLER, STRANGER = ("192.0.2.1", 40000), ("192.0.2.66", 40000)
INVITE = b"INVITE sip:receiver@192.0.2.2 SIP/2.0\r\nCall-ID: 0123456789abcdef\r\nCSeq: 1 INVITE\r\n\r\n"
BYE = b"BYE sip:receiver@192.0.2.2 SIP/2.0\r\nCall-ID: fedcba9876543210\r\nCSeq: 2 BYE\r\n\r\n"
NO_INVITES = [
    b"OPTIONS sip:a@b SIP/2.0\r\nAllow: INVITE\r\n\r\n",
    b"CANCEL sip:a@b SIP/2.0\r\nCSeq: 1 INVITE\r\n\r\n",
    b"I love INVITEs",
    b"INVITE is what I say",
    b"REGISTER sip:b SIP/2.0\r\n\r\n",
    b"",
    bytes(range(256)),
]


def test_an_invite_is_answered_by_18_bytes_and_a_second_host_is_told_that_we_are_busy() -> None:
    callee = BareCallee()
    assert callee.receive(INVITE, CALLER, None) == Heard(OK)
    assert OK == b"SIP/2.0 200 OK\r\n\r\n"
    assert callee.receive(INVITE, (CALLER[0], 40001), CALLER[0]) == Heard(OK)  # it was started again
    assert callee.receive(INVITE, STRANGER, CALLER[0]) == Heard(BUSY)


def test_bye_ends_the_stream_of_its_own_host_alone() -> None:
    callee = BareCallee()
    assert callee.receive(BYE, CALLER, CALLER[0]) == Heard(is_over=True)
    assert callee.receive(BYE, STRANGER, CALLER[0]) == Heard()
    assert callee.receive(b"BYE x", CALLER, CALLER[0]) == Heard()
    assert callee.receive(BYE, CALLER, None) == Heard()
    with_invite = b"BYE sip:a@b SIP/2.0\r\nAllow: INVITE, BYE\r\n\r\n"
    assert callee.receive(with_invite, CALLER, CALLER[0]) == Heard(is_over=True)


@pytest.mark.parametrize("data", NO_INVITES)
def test_words_in_a_message_are_no_request(data: bytes) -> None:
    assert method_of(data) not in ("INVITE", "BYE")
    assert BareCallee().receive(data, CALLER, None) == Heard()


def test_an_invite_of_sip_proper_gets_no_answer_of_18_bytes() -> None:
    for via in (b"Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n", b"v : SIP/2.0/UDP 192.0.2.1\r\n"):
        head, rest = INVITE.split(b"\r\n", 1)
        assert BareCallee().receive(head + b"\r\n" + via + rest, CALLER, None) == Heard()


def test_a_caller_asks_every_five_seconds_and_gives_up() -> None:
    caller = BareCaller("192.0.2.2", random.Random(1), 100.0, 12.0)
    sent = [(at, data) for at in range(100, 120) if (data := caller.invite(float(at))) is not None]
    assert [at for at, _ in sent] == [100, 105, 110]
    assert len({data for _, data in sent}) == 1
    first, call_id, number, *rest = sent[0][1].split(b"\r\n")
    assert (first, number, rest) == (b"INVITE sip:receiver@192.0.2.2 SIP/2.0", b"CSeq: 1 INVITE", [b"", b""])
    assert len(call_id) == len("Call-ID: ") + 32
    assert (caller.answered, caller.failed) == (False, "")


def test_a_bare_200_is_an_answer_and_what_is_no_response_is_none() -> None:
    caller = BareCaller("192.0.2.2", random.Random(1), 100.0, 12.0)
    for data in (b"200 OK", b"say 200 OK to me", b"SIP/2.0 180 Ringing\r\n\r\n", b"", INVITE):
        caller.receive(data)
        assert not caller.answered
    caller.receive(OK)
    assert caller.answered
    assert caller.invite(105.0) is None
    assert caller.bye().startswith(b"BYE sip:receiver@192.0.2.2 SIP/2.0\r\nCall-ID: ")
    assert caller.bye().endswith(b"CSeq: 2 BYE\r\n\r\n")


def test_a_refusal_ends_the_try_with_its_reason() -> None:
    caller = BareCaller("192.0.2.2", random.Random(1), 100.0, 12.0)
    caller.receive(b"SIP/2.0 486 Busy Here\r\n\r\n")
    assert (caller.failed, caller.invite(105.0)) == ("486 Busy Here", None)
    assert status_of(b"SIP/2.0 999 No\r\n") is None
