"""What goes to an address that has not proved itself: a few keep-alives, whatever is asked for."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import cast

import pytest

from tests.support.session_lab import NAT, PEER, SENDER_REPORT, STRANGER, Wire, media, packet
from voip.calls.line import MediaLine
from voip.calls.streams import SendStream, Transmit
from voip.media import Direction, NegotiatedMedia
from voip.net import MediaTransport
from voip.session import RtpSession
from voip.session.proof import UNPROVEN_KEEP_ALIVES

SHORTEST_INVITE = 400
"""Bytes of an INVITE that is answered: see tests/support/raw_peer.py."""


def called(**changes: object) -> Wire:
    """The session of a call that came in."""
    terms = media(direction=Direction.SENDRECV, **changes)
    return Wire(RtpSession(terms, cname="x", rng=random.Random(1), invited=False))


def asked_for(session: RtpSession) -> list[bytes]:
    """What a session of 20 s sends of itself to an address that says nothing."""
    session.start_reports(100.0)
    reports = [datagram for tick in range(2000) for datagram in session.rtcp_to_send(100.0 + tick / 100)]
    assert session.final_report(120.0) == []
    keep_alives = [session.keep_alive() for _ in range(100)]
    return reports + [datagram for datagram in keep_alives if datagram is not None]


@pytest.mark.parametrize("rtcp_mux", [False, True])
def test_s9_an_address_that_says_nothing_gets_less_than_the_invite_had(rtcp_mux: bool) -> None:
    session = called(rtcp_mux=rtcp_mux).session
    sent = asked_for(session)
    assert not session.may_send
    assert len(sent) == UNPROVEN_KEEP_ALIVES
    assert sum(map(len, sent)) < SHORTEST_INVITE
    assert session.proof.withheld == 95


def test_s9_the_host_of_the_ack_gets_media_and_no_other_does() -> None:
    w = called()
    w.session.proof.add(STRANGER[0])
    assert not w.session.may_send
    w.session.proof.add(PEER[0])
    assert w.session.may_send
    assert w.session.rtcp_destination == (PEER[0], PEER[1] + 1)


def test_s9_rtcp_that_is_wanted_elsewhere_waits_for_a_proof_of_its_own() -> None:
    w = called(remote_rtcp=(STRANGER[0], 7000))
    w.session.proof.add(PEER[0])
    assert w.session.may_send
    assert w.session.rtcp_destination is None
    w.send(SENDER_REPORT, (STRANGER[0], 7000))
    assert w.session.rtcp_destination == (STRANGER[0], 7000)


def test_s9_the_first_packet_of_the_peer_is_a_proof_and_so_is_its_rtcp() -> None:
    w = called()
    w.stream([0])
    assert w.session.may_send
    w = called()
    w.send(b"\x80\xc9", PEER)  # too short to be anything
    w.send(SENDER_REPORT, STRANGER)
    assert not w.session.may_send
    w.send(SENDER_REPORT, PEER)
    assert w.session.may_send


def test_s9_a_peer_behind_a_nat_has_proved_the_address_that_it_is_heard_from() -> None:
    w = called()
    w.stream(range(100), NAT)
    assert w.session.remote == NAT
    assert w.session.may_send


def test_s9_a_re_invite_to_a_third_address_moves_nothing_there() -> None:
    w = called()
    w.stream(range(10))
    w.session.update(media(direction=Direction.SENDRECV, remote=STRANGER))
    assert w.session.remote == STRANGER
    assert not w.session.may_send
    w.send(packet(10), STRANGER)
    assert w.session.may_send


def test_whom_we_call_is_believed_where_it_wants_its_media() -> None:
    assert RtpSession(media(direction=Direction.SENDRECV)).may_send


class Sending:
    """A stream that is sent, as far as a line asks for it."""

    def __init__(self) -> None:
        self.started: list[NegotiatedMedia] = []

    def start(self, terms: NegotiatedMedia, transmit: Transmit) -> None:
        self.started.append(terms)

    def renegotiate(self, terms: NegotiatedMedia) -> None:
        pass


def line_of(session: RtpSession, opened: list[bool]) -> tuple[MediaLine, Sending]:
    sending = Sending()
    port = SimpleNamespace(send_rtp=lambda datagram: True, open_path=lambda: opened.append(True))
    line = MediaLine(session.media, cast(MediaTransport, port), session, None, cast(SendStream, sending))
    return line, sending


def test_s9_what_is_captured_is_not_even_coded_before_the_address_is_proved() -> None:
    """So no packet is missing at the peer, and a file begins at its beginning."""
    w = called()
    line, sending = line_of(w.session, [])
    line.send_when_ready()
    line.start(100.0)
    line.send_when_ready()
    assert sending.started == []
    for received in w.send(packet(0)):
        line.packet_sink(received, w.now)
        line.packet_sink(received, w.now)
    assert len(sending.started) == 1


def test_a_stream_that_waits_begins_with_what_was_agreed_last_and_opens_the_way() -> None:
    w, opened = called(), list[bool]()
    line, sending = line_of(w.session, opened)
    line.start(100.0)
    changed = media(direction=Direction.SENDRECV, remote=NAT)
    line.renegotiate(changed)
    w.session.proof.add(NAT[0])
    line.send_when_ready()
    assert sending.started == [changed]
    assert opened == [True]
