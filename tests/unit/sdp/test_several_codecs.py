"""An answer with several codecs, and what else of an answer limits us: events, bandwidth, the repair window."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.descriptions import ALICE, BOB, DUPLEX, RECEIVER, SENDER, offer
from voip import codecs
from voip.media import DTMF_EVENTS, Direction, NegotiatedMedia
from voip.sdp import Capabilities, SessionDescription, accept_answer, make_answer, make_offer

PHONE = Capabilities(tuple(codecs.offerable(["opus", "g722", "pcmu", "pcma"], 48000, 1)), repair_packets=13)
PLAIN = "m=audio 4000 RTP/AVP 0"


def taken(*lines: str, ours: Capabilities = PHONE) -> NegotiatedMedia:
    """What an answer with these lines to our offer comes to."""
    return accept_answer(make_offer(ours, ALICE), offer(*lines), ours, ALICE)


def number_of(name: str, ours: Capabilities = PHONE) -> str:
    """The number of a format in our offer."""
    (line,) = make_offer(ours, ALICE).media
    return next(number for number in line.formats if (line.encoding(number) or ("",))[0] == name)


# Codecs --------------------------------------------------------------------------------------------------------------


def test_all_codecs_of_an_answer_that_were_offered_may_come() -> None:
    media = taken("m=audio 4000 RTP/AVP 0 18 8 101", "a=rtpmap:101 telephone-event/8000")
    assert str(media.audio.codec) == "PCMU/8000/1"
    assert {number: str(codec) for number, codec in media.arriving_formats.items()} == {
        0: "PCMU/8000/1",
        8: "PCMA/8000/1",
    }


def test_what_comes_has_our_numbers_and_what_we_send_theirs() -> None:
    media = taken("m=audio 4000 RTP/AVP 120 9", "a=rtpmap:120 opus/48000/2", "a=fmtp:120 useinbandfec=1")
    assert media.payload_type == 120
    assert list(media.arriving_formats) == [int(number_of("opus")), 9]
    assert media.arriving_formats[media.arriving_payload_type] == media.audio.codec


def test_our_own_answer_names_one_codec_which_alone_may_come() -> None:
    _, media = make_answer(offer("m=audio 4000 RTP/AVP 8 0"), PHONE, BOB)
    assert list(media.arriving_formats) == [8]


def test_the_same_media_can_be_seen_from_another_of_its_formats() -> None:
    media = taken("m=audio 4000 RTP/AVP 0 8 9")
    other = media.received_as(9)
    assert (str(other.audio.codec), other.arriving_payload_type, other.payload_type) == ("G722/8000/1", 9, 0)
    assert other.arriving_formats == media.arriving_formats


def test_telephone_events_of_every_rate_that_both_have_may_come() -> None:
    lines = ["m=audio 4000 RTP/AVP 0 101 102 103", "a=rtpmap:101 telephone-event/48000"]
    media = taken(*lines, "a=rtpmap:102 telephone-event/8000", "a=rtpmap:103 telephone-event/16000")
    assert media.audio.arriving_telephone_events == {101: 48000, 102: 8000}
    assert {101, 102} <= media.shared_payload_types


# Events --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fmtp", "events"),
    [
        ([], DTMF_EVENTS),
        (["a=fmtp:101 0-15"], DTMF_EVENTS),
        (["a=fmtp:101 0-9"], frozenset(range(10))),
        (["a=fmtp:101 0-11,66, 70 - 71"], frozenset({*range(12), 66, 70, 71})),
        (["a=fmtp:101 events=0-3"], frozenset(range(4))),
        (["a=fmtp:101 9-3,-,x,300,0-99999999999"], frozenset()),
    ],
)
def test_the_events_that_the_peer_takes_are_those_that_it_lists(fmtp: list[str], events: frozenset[int]) -> None:
    lines = ["m=audio 4000 RTP/AVP 0 101", "a=rtpmap:101 telephone-event/8000", *fmtp]
    assert taken(*lines).audio.telephone_events == events
    assert make_answer(offer(*lines), PHONE, BOB)[1].audio.telephone_events == events


# Bandwidth -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("session", "line", "limit", "silent"),
    [
        ([], [], None, False),
        (["b=AS:80"], [], 80_000, False),
        (["b=AS:80"], ["b=AS:64"], 64_000, False),
        ([], ["b=TIAS:64000"], 80_000, False),  # 50 packets a second of 40 bytes of headers
        ([], ["b=AS:70", "b=TIAS:64000"], 70_000, False),
        ([], ["b=as:70"], 70_000, False),
        ([], ["b=CT:1"], None, False),
        ([], ["b=RR:0", "b=RS:0"], None, True),
        ([], ["b=RR:0"], None, False),
        (["b=RS:0"], ["b=RR:0"], None, True),
        ([], ["b=RR:0", "b=RS:600"], None, False),
        ([], ["b=AS:0"], 0, True),
        ([], ["b=AS:x", "b=AS", "b=AS:-5", "b=AS:99999999999"], None, False),
    ],
)
def test_what_the_peer_wants_to_receive_is_known(
    session: list[str], line: list[str], limit: int | None, silent: bool
) -> None:
    for media in (taken(*session, PLAIN, *line), make_answer(offer(*session, PLAIN, *line), PHONE, BOB)[1]):
        assert (media.bandwidth, media.rtcp_off) == (limit, silent)
        assert media.direction.sends is (limit != 0)
        assert media.direction.receives


@pytest.mark.parametrize(
    ("line", "bitrate"), [("b=TIAS:12000", 12_000), ("b=TIAS:3000", 6_000), ("b=TIAS:500000", 24_000)]
)
def test_opus_keeps_to_the_bandwidth_of_the_payload_as_far_as_it_can(line: str, bitrate: int) -> None:
    """With the headers it is the sender's to keep, which may make packets longer for it."""
    media = make_answer(offer("m=audio 4000 RTP/AVP 96", "a=rtpmap:96 opus/48000/2", line), PHONE, BOB)[1]
    assert media.audio.codec.bitrate == bitrate


# The repair window ---------------------------------------------------------------------------------------------------


def repair(window: str, *more: str) -> list[str]:
    """A media line with FlexFEC, by the numbers of our offer."""
    opus, flexfec = number_of("opus"), number_of("flexfec")
    lines = [
        f"m=audio 4000 RTP/AVP {opus} {flexfec}",
        f"a=rtpmap:{opus} opus/48000/2",
        f"a=rtpmap:{flexfec} flexfec/48000",
    ]
    return [*lines, *([f"a=fmtp:{flexfec} repair-window={window}"] if window else []), *more]


def announced(description: SessionDescription) -> float | None:
    """Seconds of repair window that a description names."""
    (line,) = description.media
    numbers = (number for number in line.formats if (line.encoding(number) or ("",))[0] == "flexfec")
    text = next((line.parameter(number, "repair-window") for number in numbers), None)
    return None if text is None else int(text) / 1e6


@pytest.mark.parametrize(
    ("window", "attributes", "limit"),
    [
        ("260000", [], 0.26),
        ("60000", [], 0.06),  # what the peer can use
        ("900000", [], 0.26),  # what we have announced
        ("900000", ["a=ptime:60"], 0.26),  # also where packets become longer than those that we offered
        ("", [], 0.26),
    ],
)
def test_our_repair_spans_no_more_than_both_have_named(window: str, attributes: list[str], limit: float) -> None:
    media = taken(*repair(window, *attributes))
    assert announced(make_offer(PHONE, ALICE)) == 0.26
    assert media.send_repair_window == pytest.approx(limit)


@pytest.mark.parametrize(("ptime", "window"), [(20, 0.26), (40, 0.52), (60, 0.78)])
def test_an_answer_names_what_its_own_side_sends(ptime: int, window: float) -> None:
    answer, media = make_answer(offer(*repair("40000", f"a=ptime:{ptime}")), PHONE, BOB)
    assert announced(answer) == pytest.approx(window)
    assert (media.repair_window, media.send_repair_window) == (0.04, 0.04)


def test_a_side_that_only_receives_names_what_it_can_wait_for() -> None:
    listener = replace(PHONE, direction=Direction.RECVONLY, repair_packets=0, max_repair_window=0.1)
    assert announced(make_answer(offer(*repair("260000")), listener, BOB)[0]) == 0.1
    assert announced(make_answer(offer(*repair("60000")), listener, BOB)[0]) == 0.06
    assert announced(make_offer(listener, ALICE)) == 0.1
    assert announced(make_offer(replace(listener, max_repair_window=0.5), ALICE)) == 0.26


@pytest.mark.parametrize(("window", "fec"), [("5120000", "flexfec"), ("5120001", None), ("10000000", None)])
def test_a_window_beyond_what_is_remembered_is_refused(window: str, fec: str | None) -> None:
    """RFC 8627 section 5.2.1: a receiver that cannot support the window must not agree to it."""
    for ours in (RECEIVER, DUPLEX):
        lines = ["m=audio 4000 RTP/AVP 0 99", "a=rtpmap:99 flexfec/8000", f"a=fmtp:99 repair-window={window}"]
        answer, media = make_answer(offer(*lines), ours, BOB)
        assert (media.fec, "99" in answer.media[0].formats) == (fec, fec is not None)
    assert make_answer(offer(*lines), SENDER, BOB)[1].fec == "flexfec"  # who sends may send less
