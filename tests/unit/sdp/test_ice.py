"""ICE in offer and answer (RFC 8839): as Chrome writes it, with all that may be missing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from voip import codecs
from voip.calls.negotiation import Negotiation
from voip.media import Direction
from voip.sdp import (
    Capabilities,
    Endpoint,
    OwnIce,
    SessionDescription,
    accept_answer,
    make_answer,
    make_offer,
)
from voip.sdp.description import CANDIDATE, FRAGMENT, PASSWORD

CAPABILITIES = Capabilities(codecs=tuple(codecs.offerable(("opus", "pcmu"), 48000, 1)), repair_packets=4)
OFFERS = replace(CAPABILITIES, ice=True)
OURS = Endpoint("198.51.100.1", 4000, 1, 2, "us", 7, own_ice=OwnIce(b"secret"))
SESSION = ("v=0", "o=- 1 2 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE 0", "a=msid-semantic: WMS")
LINE = (
    "a=rtcp:9 IN IP4 0.0.0.0",
    "a=ice-ufrag:s5f9",
    "a=ice-pwd:Q7Zlh1kPcYqqVR8juH9IvGCM",
    "a=ice-options:trickle",
    "a=mid:0",
    "a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level",
    "a=sendrecv",
    "a=rtcp-mux",
    "a=rtpmap:111 opus/48000/2",
    "a=rtcp-fb:111 transport-cc",
    "a=fmtp:111 minptime=10;useinbandfec=1",
    "a=ssrc:4262733370 msid:- 777e6a95",
)
HOST = "a=candidate:1 1 udp 2122194687 192.0.2.2 45431 typ host generation 0"
TCP = "a=candidate:2 1 tcp 1518214911 192.0.2.2 9 typ host tcptype active"
HIDDEN = "a=candidate:1 1 udp 2122194687 4fc1d3a0-8f5e.local 45431 typ host"


def offered(
    *candidates: str, place: tuple[str, int] = ("0.0.0.0", 9), without: str = "-", top: tuple[str, ...] = ()
) -> SessionDescription:
    lines = [*SESSION, *top, f"m=audio {place[1]} RTP/AVPF 111", f"c=IN IP4 {place[0]}", *LINE, *candidates]
    return SessionDescription.parse("\r\n".join(line for line in lines if not line.startswith(without)).encode())


@pytest.mark.parametrize(
    ("candidates", "place"),
    [((), ("0.0.0.0", 9)), ((HIDDEN,), ("0.0.0.0", 9)), ((HOST, TCP), ("192.0.2.2", 45431))],
    ids=["trickle", "mdns", "gathered"],
)
def test_an_offer_of_a_browser_is_answered_as_a_lite_agent(candidates: tuple[str, ...], place: tuple[str, int]) -> None:
    answer, media = make_answer(offered(*candidates, place=place), CAPABILITIES, OURS)
    text = answer.serialize().decode()
    top, line = text.split("m=audio", 1)
    assert "a=ice-lite\r\n" in top
    assert "a=group:BUNDLE 0\r\n" in top
    assert line.startswith(" 4000 RTP/AVPF 111\r\n")
    assert "a=mid:0\r\n" in line
    assert "a=rtcp-mux\r\n" in line
    assert "a=candidate:1 1 udp 2130706431 198.51.100.1 4000 typ host\r\n" in line
    assert media.ice is not None
    assert f"a=ice-ufrag:{media.ice.own.fragment}\r\na=ice-pwd:{media.ice.own.password}\r\n" in line
    assert (len(media.ice.own.fragment), len(media.ice.own.password)) == (8, 24)
    assert (media.ice.remote.fragment, media.ice.remote.password) == ("s5f9", "Q7Zlh1kPcYqqVR8juH9IvGCM")
    assert (media.direction, media.remote_direction) == (Direction.SENDRECV, Direction.SENDRECV)


@pytest.mark.parametrize("missing", ["a=ice-ufrag", "a=ice-pwd", "a=rtcp-mux"])
def test_without_all_that_it_takes_there_is_no_ice_and_nothing_goes_nowhere(missing: str) -> None:
    answer, media = make_answer(offered(without=missing), CAPABILITIES, OURS)
    assert media.ice is None
    assert not media.direction.sends
    assert b"ice-" not in answer.serialize()
    assert b"a=mid" not in answer.serialize()


def test_a_lite_peer_sends_no_checks_and_is_taken_by_its_address() -> None:
    answer, media = make_answer(offered(HOST, place=("192.0.2.2", 45431), top=("a=ice-lite",)), CAPABILITIES, OURS)
    assert (media.ice, media.remote) == (None, ("192.0.2.2", 45431))
    assert b"ice-" not in answer.serialize()


def test_an_address_that_something_has_changed_on_the_way_is_believed_and_said_so() -> None:
    answer, media = make_answer(offered(HOST, place=("203.0.113.1", 7000)), CAPABILITIES, OURS)
    assert (media.ice, media.remote) == (None, ("203.0.113.1", 7000))
    assert b"a=ice-mismatch\r\n" in answer.serialize()


def test_our_credentials_stay_with_those_of_the_peer() -> None:
    _, first = make_answer(offered(), CAPABILITIES, OURS)
    _, same = make_answer(offered(HOST, place=("192.0.2.2", 45431)), CAPABILITIES, OURS, first)
    assert first.ice is not None
    assert same.ice == first.ice
    other = SessionDescription.parse(offered().serialize().replace(b"s5f9", b"other"))
    _, restarted = make_answer(other, CAPABILITIES, OURS, first)
    assert restarted.ice is not None
    assert restarted.ice.own != first.ice.own


def test_an_offer_has_ice_only_if_that_is_wanted() -> None:
    plain = make_offer(CAPABILITIES, OURS).serialize()
    assert plain == make_offer(CAPABILITIES, replace(OURS, own_ice=None)).serialize()
    assert b"ice" not in plain
    assert b"FEC-FR" in plain
    wanted = make_offer(OFFERS, OURS)
    text = wanted.serialize()
    assert b"a=ice-lite\r\na=group:BUNDLE 0\r\nm=audio" in text
    assert b"FEC-FR" not in text  # Chrome refuses sound that has it
    answer = offered(HOST, place=("192.0.2.2", 45431))
    media = accept_answer(wanted, answer, OFFERS, OURS)
    assert media.ice is not None
    assert media.ice.own.fragment == wanted.media[0].value(FRAGMENT)
    assert media.ice.remote.fragment == "s5f9"
    assert accept_answer(wanted, offered(HOST, without="a=ice"), OFFERS, OURS).ice is None


def test_a_later_offer_of_ours_goes_on_with_the_session_and_one_from_another_address_begins_anew() -> None:
    side = Negotiation(CAPABILITIES, OURS)
    _, media = side.answer(offered().serialize())
    assert media is not None
    assert media.ice is not None
    again, _ = side.answer(b"")
    kept = SessionDescription.parse(again).media[0]
    assert (kept.value(FRAGMENT), kept.value(PASSWORD)) == (media.ice.own.fragment, media.ice.own.password)
    side.accept(offered().serialize())
    side.move("198.51.100.77", 4100)
    moved = side.offer_address()
    assert moved is not None
    line = SessionDescription.parse(moved).media[0]
    assert line.value(CANDIDATE) == "1 1 udp 2130706431 198.51.100.77 4100 typ host"
    assert line.value(FRAGMENT) != media.ice.own.fragment
    assert b"a=ice-lite" in moved
    agreed = side.accept(offered().serialize())
    assert agreed.ice is not None
    assert agreed.ice.own.fragment == line.value(FRAGMENT)


def test_lines_that_are_refused_keep_their_names() -> None:
    text = offered().serialize() + b"m=video 9 RTP/AVPF 96\r\na=mid:1\r\na=rtpmap:96 VP8/90000\r\n"
    answer, _ = make_answer(SessionDescription.parse(text.replace(b"BUNDLE 0", b"BUNDLE 0 1")), CAPABILITIES, OURS)
    assert answer.media[1].port == 0
    assert answer.media[1].value("mid") == "1"
    assert ("group", "BUNDLE 0") in answer.attributes


def test_two_of_us_need_no_ice_between_them() -> None:
    """Both are lite: no side would check, so that the addresses of the descriptions count (RFC 8445 section 6.1.1)."""
    offer = make_offer(OFFERS, OURS)
    them = replace(OURS, host="198.51.100.2", own_ice=OwnIce(b"other"))
    answer, theirs = make_answer(offer, CAPABILITIES, them)
    ours = accept_answer(offer, answer, OFFERS, OURS)
    assert (ours.ice, theirs.ice) == (None, None)
    assert (ours.remote, theirs.remote) == (("198.51.100.2", 4000), ("198.51.100.1", 4000))
    assert ours.direction is theirs.direction is Direction.SENDRECV
    assert ours.fec == theirs.fec == "flexfec"
