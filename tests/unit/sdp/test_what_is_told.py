"""What a description tells of its side beyond codecs: directions, whether it plays, extended reports, clocks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.descriptions import ALICE, BOB, DUPLEX, RECEIVER, SENDER, negotiate, offer
from voip import cli
from voip.media import Direction, ExtendedReports, NegotiatedMedia
from voip.sdp import Capabilities, accept_answer, make_answer, make_offer

PLAIN = "m=audio 4000 RTP/AVP 0"


def answered(*lines: str, ours: Capabilities = DUPLEX) -> NegotiatedMedia:
    """What an offer with these lines comes to."""
    return make_answer(offer(*lines), ours, BOB)[1]


@pytest.mark.parametrize("said", list(Direction))
def test_what_the_peer_says_of_its_direction_is_kept_beside_what_was_agreed(said: Direction) -> None:
    media = answered(PLAIN, f"a={said.value}")
    assert (media.remote_direction, media.local_direction) == (said, Direction.SENDRECV)
    media = accept_answer(make_offer(DUPLEX, ALICE), offer(PLAIN, f"a={said.value}"), DUPLEX, ALICE)
    assert (media.remote_direction, media.local_direction) == (said, Direction.SENDRECV)


def test_a_side_that_plays_nothing_says_so_and_is_believed() -> None:
    mute = replace(DUPLEX, plays=False)
    ours, theirs = negotiate(mute, DUPLEX)
    assert (ours.remote_plays, theirs.remote_plays) == (True, False)
    ours, theirs = negotiate(DUPLEX, mute)
    assert (ours.remote_plays, theirs.remote_plays) == (False, True)
    assert ours.direction is Direction.SENDRECV
    assert answered("a=x-plays:NO", PLAIN).remote_plays is False
    assert answered(PLAIN, "a=x-plays:yes").remote_plays is True


@pytest.mark.parametrize(("arguments", "plays"), [([], False), (["--two-way"], True)])
def test_a_plain_sender_says_that_it_plays_nothing(arguments: list[str], plays: bool) -> None:
    sender = cli.make_call_settings(cli.sender_options(["sip:x@192.0.2.1", *arguments]), Direction.SENDRECV)
    assert sender.capabilities.plays is plays
    receiver = cli.make_call_settings(cli.receiver_options(arguments), Direction.RECVONLY)
    assert receiver.capabilities.plays


@pytest.mark.parametrize(
    ("asked", "reports"),
    [
        ("", ExtendedReports()),
        ("voip-metrics", ExtendedReports(metrics=True)),
        ("pkt-loss-rle=400", ExtendedReports(loss_rle=True, loss_rle_bytes=400)),
        ("pkt-loss-rle=x9", ExtendedReports(loss_rle=True)),
        ("pkt-loss-rle=99999999999999999999", ExtendedReports(loss_rle=True)),
        ("rcvr-rtt=sender", ExtendedReports(round_trip="sender")),
        ("rcvr-rtt=all:36", ExtendedReports(round_trip="all", round_trip_bytes=36)),
        ("stat-summary", ExtendedReports(summary=frozenset({"loss", "dup", "jitt"}))),
        ("stat-summary=loss,HL,beauty", ExtendedReports(summary=frozenset({"loss", "HL"}))),
        ("pkt-dup-rle grmpf=1 =", ExtendedReports()),
    ],
)
def test_extended_reports_are_asked_for_by_name_and_size(asked: str, reports: ExtendedReports) -> None:
    assert answered(PLAIN, f"a=rtcp-xr:{asked}").rtcp_xr == reports
    assert answered(f"a=rtcp-xr:{asked}", PLAIN).rtcp_xr == reports  # of the session: for all its lines


def test_extended_reports_of_a_line_replace_those_of_the_session() -> None:
    media = answered("a=rtcp-xr:voip-metrics", PLAIN, "a=rtcp-xr:rcvr-rtt=all")
    assert media.rtcp_xr == ExtendedReports(round_trip="all")
    assert ["rcvr-rtt" in media.rtcp_xr, "voip-metrics" in media.rtcp_xr, "what" in media.rtcp_xr] == [
        True,
        False,
        False,
    ]
    answer, _ = make_answer(offer("a=rtcp-xr:voip-metrics", PLAIN), DUPLEX, BOB)
    assert answer.media[0].value("rtcp-xr") == "pkt-loss-rle pkt-rcpt-times rcvr-rtt=all voip-metrics"


def test_the_clock_of_repair_packets_is_the_one_they_are_described_with() -> None:
    sent = make_offer(SENDER, ALICE)
    number = next(n for n in sent.media[0].formats if (sent.media[0].encoding(n) or ("",))[0] == "flexfec")
    answer = offer(f"m=audio 4000 RTP/AVP 0 {number}", f"a=rtpmap:{number} flexfec/48000")
    media = accept_answer(sent, answer, SENDER, ALICE)
    assert (media.clock_rate, media.repair_clock_rate) == (8000, 48000)
    assert answered(PLAIN, ours=RECEIVER).repair_clock_rate == 8000
