"""One media port under friendly, odd and hostile traffic: which packets are the call's."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.session_lab import (
    MEDIA_TYPE,
    NAT,
    PEER,
    REPAIR_SSRC,
    REPAIR_TYPE,
    SENDER_REPORT,
    SSRC,
    STRANGER,
    Wire,
    media,
    packet,
    repair,
    wire,
)
from voip import codecs
from voip.media import Direction
from voip.rtcp.packets import ReceiverReport, SourceDescription, parse
from voip.rtp import RtpPacket
from voip.session import CONFIRM_HELD, LATCH_HELD, MAX_RECEIVED_BYTES, Address, RtpSession

# -- what belongs to the call -------------------------------------------------------------------------------------


def test_a_stream_from_the_signalled_address_passes_at_once_and_whole() -> None:
    w = wire()
    assert not w.session.latched
    assert w.stream(range(50)) == list(range(50))
    assert (w.session.remote, w.session.latched, w.session.ssrc) == (PEER, True, SSRC)
    assert (w.session.reception.received, w.session.reception.lost) == (50, 0)
    assert w.session.last_heard == w.now


def test_bytes_are_those_of_accepted_datagrams_with_ip_headers_by_family() -> None:
    w = wire()
    w.stream(range(10))
    w.stream(range(10), STRANGER)
    assert (w.session.stats.bytes, w.session.stats.ip_bytes) == (10 * 172, 10 * 200)
    v6 = ("2001:db8::5", 5004)
    w = wire(remote=("2001:0DB8:0:0::5", 5004))
    assert w.stream(range(10), v6) == list(range(10))
    assert (w.session.stats.bytes, w.session.stats.ip_bytes) == (10 * 172, 10 * 220)


def test_an_ipv4_peer_on_a_dual_stack_socket_is_the_signalled_one() -> None:
    w = wire()
    assert w.stream(range(3), ("::ffff:192.0.2.10", 5004)) == [0, 1, 2]
    assert w.session.stats.ip_bytes == 3 * 200


def test_a07_a_sender_report_on_the_media_port_is_rtcp_and_a_sign_of_life() -> None:
    w = wire()
    w.stream(range(3))
    assert w.send(SENDER_REPORT, after=5.0) == []
    assert (w.session.stats.rtcp, w.session.stats.malformed, w.session.last_heard) == (1, 0, w.now)
    assert w.stream(range(3, 6)) == [3, 4, 5]


def test_other_payload_types_are_counted_and_harmless() -> None:
    w = wire()
    w.stream(range(3))
    for payload_type in (101, 13, 8, 127):
        (kept,) = w.send(replace(packet(3), payload_type=payload_type))  # for its number alone
        assert kept.payload_type == payload_type
    assert (w.session.stats.unknown_payload_type, w.session.last_heard) == (4, w.now)
    assert w.stream(range(3, 6)) == [3, 4, 5]


@pytest.mark.parametrize("other", [13, 19, 72, 126])  # comfort noise, that of old, a keep-alive, events
def test_packets_of_other_payload_types_in_the_streams_numbers_are_received_and_not_lost(other: int) -> None:
    w = wire()
    for index in range(100):
        w.send(replace(packet(index), payload_type=other if index % 10 == 9 else MEDIA_TYPE))
    assert (w.session.reception.received, w.session.reception.lost) == (100, 0)
    assert w.session.stats.unknown_payload_type == 10
    assert w.session.stats.bytes == 100 * 172


def test_packets_of_other_payload_types_begin_no_stream_and_move_none() -> None:
    w = wire()
    assert w.send(replace(packet(0), payload_type=126)) == []
    assert not w.session.latched
    w.stream(range(3))
    assert w.send(replace(packet(3, ssrc=0xBAD), payload_type=126)) == []
    for ahead in (101, 2000, 30000, -200):
        assert w.send(replace(packet(3, ahead=ahead), payload_type=126)) == []
        assert w.send(replace(packet(4, ahead=ahead), payload_type=126)) == []
    assert w.send(replace(packet(3), payload_type=126), STRANGER) == []
    assert w.session.reception.received == 3
    assert w.stream(range(3, 6)) == [3, 4, 5]


def test_repair_packets_of_a_call_without_fec_are_an_unknown_payload_type() -> None:
    w = wire(fec=None, fec_payload_type=None)
    w.stream(range(3))
    assert w.send(repair()) == []
    assert w.session.stats.unknown_payload_type == 1


def test_a16_header_extension_padding_and_csrcs_do_not_reach_the_payload() -> None:
    w = wire()
    odd = replace(packet(0), csrcs=(1, 2), extension=(0xBEDE, b"\x10\xff\0\0"), padding=b"\0\0\0\x04")
    (passed,) = w.send(odd)
    assert passed.payload == packet(0).payload


@pytest.mark.parametrize(
    "data", [b"", b"\x80", b"\x80" * 7, bytes(12), b"\x81" + bytes(11), b"\x80" * (MAX_RECEIVED_BYTES + 1)]
)
def test_datagrams_that_are_no_packet_are_malformed(data: bytes) -> None:
    w = wire()
    w.stream(range(3))
    heard = w.session.last_heard
    assert w.send(data) == []
    assert (w.session.stats.malformed, w.session.last_heard) == (1, heard)


# -- repair packets -----------------------------------------------------------------------------------------------


def test_repair_packets_that_name_the_media_pass() -> None:
    w = wire()
    w.stream(range(3))
    assert w.send(repair()) == [repair()]
    assert w.session.reception.received == 3
    assert w.session.stats.bytes == 3 * 172 + 22


def test_an_announced_repair_stream_is_the_only_one() -> None:
    w = wire(remote_ssrc=SSRC, remote_fec_ssrc=REPAIR_SSRC)
    assert w.send(repair(csrcs=())) == [repair(csrcs=())]  # even before the first media packet
    w.stream(range(3))
    assert w.send(repair()) == [repair()]
    assert w.send(repair(ssrc=5)) == []
    w = wire(remote_fec_ssrc=REPAIR_SSRC)
    w.stream(range(3))
    assert w.send(repair(ssrc=5)) == []
    assert w.send(repair()) == [repair()]


def test_repair_packets_for_something_else_do_not_pass() -> None:
    w = wire()
    assert w.send(repair()) == []  # for a stream that nobody has seen or announced
    w.stream(range(3))
    assert w.send(repair(csrcs=(5,))) == []
    assert w.send(repair(ssrc=SSRC)) == []
    assert w.session.stray == w.session.stats.stray == 3


def test_a_repair_stream_without_csrcs_is_learnt_once() -> None:
    w = wire()
    w.stream(range(3))
    assert len(w.send(repair(csrcs=()))) == 1
    assert w.send(repair(ssrc=5, csrcs=())) == []
    assert len(w.send(repair(csrcs=()))) == 1


def test_a_restarted_sender_brings_its_own_repair_stream() -> None:
    w = wire(remote_ssrc=SSRC, remote_fec_ssrc=REPAIR_SSRC)
    w.stream(range(3))
    w.stream(range(3, 8), ssrc=9)
    assert w.send(repair()) == []
    assert len(w.send(repair(ssrc=10, csrcs=(9,)))) == 1


# -- restarts and jumps -------------------------------------------------------------------------------------------


def test_a09_a_restarted_sender_is_heard_from_its_first_packet() -> None:
    w = wire()
    w.stream(range(20))
    w.now += 2.0
    assert w.send(packet(0, ssrc=9, ahead=5000)) == []
    assert [p.payload[0] for p in w.send(packet(1, ssrc=9, ahead=5000))] == [0, 1]
    assert w.stream(range(2, 10), ssrc=9, ahead=5000) == list(range(2, 10))
    assert (w.session.ssrc, w.session.reception.lost, w.session.stray) == (9, 0, 0)


def test_a_new_ssrc_without_a_pause_is_heard_from_its_first_packet() -> None:
    w = wire()
    w.stream(range(20))
    assert w.stream(range(20, 30), ssrc=9) == list(range(20, 30))
    assert w.session.reception.lost == 0


def test_single_packets_of_another_ssrc_never_pass() -> None:
    w = wire(remote_ssrc=SSRC)
    for index in range(50):
        assert w.stream([index]) == [index]
        assert w.send(packet(index, ssrc=9), after=0.0) == []
    assert w.session.stray == 49  # the last is still waiting
    w.stream([50])
    assert w.session.stray == 50


def test_another_ssrc_in_sequence_cannot_displace_one_that_speaks() -> None:
    w = wire()
    heard = []
    for index in range(50):
        heard += w.stream([index])
        for fast in range(20):
            w.send(packet(20 * index + fast, ssrc=9), after=0.0)
    assert heard == list(range(50))
    assert {p.ssrc for p in w.passed} == {SSRC}


def test_another_ssrc_than_announced_is_believed_at_its_second_packet() -> None:
    w = wire(remote_ssrc=SSRC)
    assert w.stream([0], ssrc=9) == []
    assert w.stream([1], ssrc=9) == [0, 1]


def test_the_announced_ssrc_takes_its_place_back_at_once() -> None:
    w = wire(remote_ssrc=SSRC)
    w.stream(range(5), ssrc=9)
    assert w.stream([5]) == [5]


def test_a08_a_jump_by_500_passes_without_delay() -> None:
    w = wire()
    w.stream(range(5))
    assert w.stream(range(5, 10), ahead=500) == [5, 6, 7, 8, 9]
    assert w.session.reception.lost == 500


def test_a_far_jump_passes_whole_once_it_is_confirmed() -> None:
    w = wire()
    w.stream(range(5))
    assert w.stream([5], ahead=20000) == []
    assert w.stream([6], ahead=20000) == [5, 6]
    assert w.stream(range(7, 10), ahead=20000) == [7, 8, 9]
    assert w.session.reception.lost == 0


@pytest.mark.parametrize("ahead", [40000, 32768, 3100, -200])
def test_one_stray_sequence_number_changes_nothing(ahead: int) -> None:
    w = wire()
    w.stream(range(5))
    assert w.stream([5], ahead=ahead) == []
    assert w.stream(range(5, 10)) == [5, 6, 7, 8, 9]
    assert (w.session.stray, w.session.reception.lost) == (1, 0)


def test_sequence_numbers_that_alternate_far_apart_do_not_pass() -> None:
    w = wire()
    w.stream(range(5))
    for index in range(5, 55):
        assert w.stream([index], ahead=10000 + 30000 * (index % 2)) == []
    assert w.session.reception.expected == 5


def test_reordered_and_repeated_packets_are_left_to_the_jitter_buffer() -> None:
    w = wire()
    assert w.stream([0, 2, 1, 1, 4, 3]) == [0, 2, 1, 1, 4, 3]
    reception = w.session.reception
    assert (reception.received, reception.duplicate, reception.reordered, reception.lost) == (5, 1, 2, 0)


def test_timestamps_are_not_judged_here() -> None:
    w = wire()
    w.stream(range(5))
    for index in range(5, 25):
        assert len(w.send(replace(packet(index), timestamp=index % 2 << 31))) == 1


# -- re-INVITE ----------------------------------------------------------------------------------------------------


def test_hold_and_resume_keep_the_latch() -> None:
    w = wire()
    w.stream(range(10), NAT)
    w.session.update(media(remote=("0.0.0.0", 5004), direction=Direction.INACTIVE))
    assert w.session.remote == NAT
    w.now += 30.0
    w.session.update(media())
    assert w.session.remote == NAT
    assert w.stream(range(10, 15), NAT) == list(range(10, 15))


def test_a_new_signalled_address_is_taken_at_once_and_the_old_one_is_foreign() -> None:
    w = wire()
    w.stream(range(10))
    new = ("192.0.2.99", 7000)
    w.session.update(media(remote=new))
    assert w.session.remote == new
    assert w.stream(range(10, 15), new) == list(range(10, 15))
    assert w.stream(range(15, 20)) == []
    assert w.session.remote == new


def test_a_peer_behind_a_nat_that_signals_a_new_address_earns_its_place_again() -> None:
    w = wire()
    w.stream(range(10), NAT)
    w.session.update(media(remote=("10.0.0.9", 7000)))
    assert w.stream(range(10, 16), NAT) == list(range(10, 16))
    w.session.update(media(remote=NAT))
    assert w.stream(range(16, 20), NAT) == list(range(16, 20))


def test_a_new_codec_goes_on_with_the_same_stream() -> None:
    w = wire()
    w.stream(range(10))
    w.session.update(media(codec=codecs.find("L16", 16000, 1), payload_type=96, remote_fec_ssrc=REPAIR_SSRC))
    assert [kept.payload_type for kept in w.send(packet(10))] == [MEDIA_TYPE]  # for its number alone
    assert len(w.send(replace(packet(11), payload_type=96))) == 1
    assert w.session.reception.lost == 0
    assert w.session.stats.unknown_payload_type == 1
    assert w.session.reception.clock_rate == 16000
    assert len(w.send(repair(csrcs=()))) == 1


# -- anything at all ----------------------------------------------------------------------------------------------

SOURCES = [PEER, NAT, STRANGER, ("fe80::1%eth0", 1), ("not:an:address", 2), ("::ffff:192.0.2.10", 5004)]


def assert_bounded(session: RtpSession) -> None:
    for run in (session._latch._candidate, session._validator._pending):
        assert run is None or len(run.held) <= max(LATCH_HELD, CONFIRM_HELD)
    assert session.reception._window.bit_length() < 70000
    reception = session.reception
    assert reception.expected == reception.received + reception.lost


@given(st.lists(st.tuples(st.binary(max_size=60), st.sampled_from(SOURCES), st.floats(0, 2)), max_size=40))
@settings(deadline=None)
def test_any_bytes_from_anywhere_raise_nothing(datagrams: list[tuple[bytes, Address, float]]) -> None:
    w = wire()
    for data, source, after in datagrams:
        w.send(data, source, after=after)
    assert_bounded(w.session)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 40),  # index
            st.sampled_from([0, 0, 0, 1, 500, 3000, 32768, -100]),  # ahead
            st.sampled_from([SSRC, SSRC, 9, REPAIR_SSRC]),
            st.sampled_from([MEDIA_TYPE, MEDIA_TYPE, REPAIR_TYPE, 101]),
            st.sampled_from(SOURCES),
            st.sampled_from([0.0, 0.02, 0.02, 0.6, 1.5]),
        ),
        max_size=80,
    ),
    st.sampled_from([None, SSRC]),
)
@settings(deadline=None)
def test_any_packets_from_anywhere_leave_a_session_that_works(
    items: list[tuple[int, int, int, int, Address, float]], announced: int | None
) -> None:
    w = wire(remote_ssrc=announced)
    for index, ahead, ssrc, payload_type, source, after in items:
        w.send(replace(packet(index, ssrc=ssrc, ahead=ahead), payload_type=payload_type), source, after=after)
        assert_bounded(w.session)
    w.now += 0.1
    heard = w.stream(range(100, 120), ssrc=0xABCD)
    assert heard == list(range(100, 120))


def test_a04_floods_of_random_and_mutated_datagrams_leave_the_call_alone() -> None:
    w, rng = wire(remote_ssrc=SSRC), random.Random(4)
    heard = []
    for index in range(200):
        heard += [p.payload[0] for p in w.send(packet(index)) if p.ssrc == SSRC]
        for _ in range(20):
            forged = bytearray(packet(index).serialize())
            for _ in range(rng.randint(1, 4)):
                forged[rng.randrange(12)] ^= 1 << rng.randrange(8)
            w.send(bytes(forged[: rng.choice([5, 11, 12, 40, 172])]), STRANGER, after=0.0)
            w.send(rng.randbytes(rng.choice([0, 1, 8, 11, 12, 200, 1500])), rng.choice([PEER, STRANGER]), after=0.0)
    assert heard == list(range(200))
    assert w.session.reception.lost == 0
    assert_bounded(w.session)


def test_forgeries_under_the_peers_own_address_and_ssrc_do_no_lasting_harm() -> None:
    w, rng = wire(remote_ssrc=SSRC), random.Random(5)
    for index in range(250):
        w.send(packet(index))
        for _ in range(10):
            forged = bytearray(packet(index).serialize())
            forged[rng.randrange(12)] ^= 1 << rng.randrange(8)
            w.send(bytes(forged), after=0.0)
        assert_bounded(w.session)
    assert w.stream(range(250, 256)) == list(range(250, 256))


def test_a_packet_that_keeps_the_way_open_is_dropped_by_whoever_gets_it() -> None:
    session, other = RtpSession(media()), RtpSession(media())
    packets = [RtpPacket.parse(session.keep_alive() or b"") for _ in range(3)]
    assert [kept.payload for kept in packets] == [b""] * 3
    assert len({kept.ssrc for kept in packets}) == 1
    source = other.media.remote
    for kept in packets:
        assert other.receive_datagram(kept.serialize(), source, 1.0) == []
    assert other.unknown_payload_type == 3
    assert other.last_heard == 1.0  # a sign of life all the same
    session.update(replace(session.media, remote=("0.0.0.0", 0)))
    assert session.keep_alive() is None


def test_a_peer_that_switches_rtcp_off_gets_none() -> None:
    """RFC 3556: b=RS:0 and b=RR:0."""
    for off in (False, True):
        session = RtpSession(media(remote_rtcp=PEER, rtcp_off=off), cname="x", rng=random.Random(1))
        session.start_reports(100.0)
        sent = [data for now in range(100, 130) for data in session.rtcp_to_send(float(now))]
        assert bool(sent) is not off
        assert (session.next_timer() is None) is off
        assert bool(session.final_report(131.0)) is not off


def test_where_rtcp_has_the_same_port_it_keeps_the_way_open() -> None:
    session = RtpSession(media(rtcp_mux=True), cname="here", rng=random.Random(1))
    kept = session.keep_alive()
    assert kept is not None
    assert parse(kept) == [ReceiverReport(session.media.ssrc, ()), SourceDescription(((session.media.ssrc, "here"),))]
    assert (session.stats.rtcp_sent, session.next_timer()) == (1, None)
    session.start_reports(10.0)
    assert session.keep_alive() is None
    assert session.rtcp_to_send(20.0)
    assert session.keep_alive() is None
    other = RtpSession(media(rtcp_mux=True), cname="there", rng=random.Random(2))
    assert other.receive_datagram(kept, PEER, 1.0) == []
    assert (other.stats.rtcp, other.stats.malformed, other.last_heard) == (1, 0, 1.0)


def test_our_own_packets_sent_back_are_heard_counted_and_not_reported_about() -> None:
    agreed = media(ssrc=SSRC, rtcp_mux=True, remote_ssrc=None)
    w = Wire(RtpSession(agreed, cname="here", rng=random.Random(1)))
    assert w.stream(range(100)) == list(range(100))  # an echo test
    assert (w.session.stats.looped, w.session.stats.stray) == (100, 0)
    (compound,) = w.session.rtcp_to_send(w.now + 5)
    assert parse(compound)[0] == ReceiverReport(SSRC, ())
    assert parse(w.session.final_report(w.now + 6)[0])[0] == ReceiverReport(SSRC, ())
