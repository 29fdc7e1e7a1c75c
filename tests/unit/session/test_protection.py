"""Encrypted media at a media port: what passes, what is dropped and counted, and a change of keys (RFC 3711)."""

from __future__ import annotations

import random

import pytest

from tests.support.session_lab import (
    FIRST_NUMBER,
    MEDIA_TYPE,
    NAT,
    PEER,
    REPAIR_SSRC,
    SSRC,
    STRANGER,
    Wire,
    media,
    packet,
)
from voip.media import Direction, KeyAgreement, Security
from voip.rtcp.packets import ReceiverReport, SenderReport
from voip.rtp import RtpPacket
from voip.session import RtpSession
from voip.session.protection import Protection
from voip.srtp import MasterKey, Profile, SrtpKeys
from voip.srtp.context import Opener, Protector

AES = Profile.AES_CM_128_HMAC_SHA1_80


def key(seed: int, profile: Profile = AES) -> MasterKey:
    rng = random.Random(seed)
    return MasterKey(rng.randbytes(profile.key_length), rng.randbytes(profile.salt_length))


def security(ours: int, theirs: int, profile: Profile = AES) -> Security:
    return Security(KeyAgreement.SDES, SrtpKeys(profile, key(ours, profile), key(theirs, profile)))


class EncryptedWire(Wire):
    """A wire whose peer protects what it sends by a key of its own."""

    def __init__(self, profile: Profile = AES, **changes: object) -> None:
        agreed = media(security=security(1, 2, profile), **changes)
        self.profile, self.peer = profile, Protector(profile, key(2, profile))
        super().__init__(RtpSession(agreed, cname="here", rng=random.Random(1)))

    def protected(self, index: int) -> bytes:
        return self.peer.rtp(packet(index).serialize())


def numbers(w: Wire) -> list[int]:
    return [(each.sequence_number - FIRST_NUMBER) & 0xFFFF for each in w.passed]


@pytest.mark.parametrize("profile", Profile)
def test_a_stream_passes_over_the_wrap_of_its_numbers(profile: Profile) -> None:
    w = EncryptedWire(profile)
    for index in range(50):
        w.send(w.protected(index))
    assert numbers(w) == list(range(50))
    assert [each.payload for each in w.passed] == [packet(index).payload for index in range(50)]
    stats = w.session.stats
    assert (stats.unauthenticated, stats.replayed, stats.malformed) == (0, 0, 0)
    assert stats.bytes == 50 * (172 + profile.tag_length), "as on the wire"


def test_what_does_not_authenticate_is_counted_and_changes_nothing() -> None:
    w = EncryptedWire()
    w.send(packet(0))  # in clear
    forged = Protector(AES, key(3))
    for index in range(5):
        w.send(forged.rtp(packet(index).serialize()))
    w.send(w.protected(6)[:-1] + b"?")
    assert (w.passed, w.session.stats.unauthenticated) == ([], 7)
    assert (w.session.last_heard, w.session.latched, w.session.stats.rtcp) == (None, False, 0)
    w.send(w.protected(7))
    assert numbers(w) == [7]


def test_a_replayed_packet_is_heard_once() -> None:
    w = EncryptedWire()
    recorded = [w.protected(index) for index in range(20)]
    for data in recorded:
        w.send(data)
    for data in recorded:
        w.send(data)
    assert numbers(w) == list(range(20))
    assert w.session.stats.replayed == 20


def test_a_recorded_stream_from_elsewhere_does_not_take_the_call_over() -> None:
    """Without SRTP numbers that are copied are enough once the peer is silent."""
    w = EncryptedWire()
    recorded = [w.protected(index) for index in range(200)]
    for data in recorded[:100]:
        w.send(data)
    w.now += 5.0
    for data in recorded[:100]:
        w.send(data, STRANGER)
    for index in range(100, 200):
        w.send(packet(index), STRANGER)
    assert (w.session.remote, len(w.passed)) == (PEER, 100)
    for index in range(200, 300):
        w.send(w.protected(index), NAT)
    assert w.session.remote == NAT, "the peer itself may move"


def test_reports_are_opened_and_those_in_clear_refused() -> None:
    w = EncryptedWire()
    report = SenderReport(SSRC, 1 << 32, 0, 1, 160).serialize()
    shown: list[bytes] = []
    for data in (report, w.peer.rtcp(report)):
        w.session.receive_datagram(data, PEER, w.now, lambda opened, source: shown.append(opened))
    assert shown == [report]
    assert (w.session.stats.rtcp, w.session.stats.unauthenticated) == (1, 1)
    assert w.session.last_heard == w.now


# --- what is sent -----------------------------------------------------------------------------------------------------


def test_what_is_sent_is_opened_by_the_peer_on_both_threads() -> None:
    protection, peer = Protection(security(1, 2)), Opener(AES, key(1))
    report = ReceiverReport(5).serialize()
    alive = RtpPacket(127, 1, 0, 99, b"").serialize()
    for index in range(3):
        sent = protection.media(packet(index).serialize())
        assert sent is not None
        assert packet(index).payload not in sent
        assert peer.rtp(sent) == packet(index).serialize()
        sent = protection.rtcp(report)
        assert sent is not None
        assert peer.rtcp(sent) == report
    sent = protection.keep_alive(alive)
    assert sent is not None
    assert peer.rtp(sent) == alive


def test_without_keys_nothing_passes_where_protection_was_agreed_on() -> None:
    protection = Protection(Security(KeyAgreement.DTLS))
    data, report = packet(0).serialize(), ReceiverReport(5).serialize()
    assert protection.waits_for_keys
    assert (protection.media(data), protection.keep_alive(data), protection.rtcp(report)) == (None, None, None)
    assert (protection.open_rtp(data), protection.open_rtcp(report), protection.unauthenticated) == (None, None, 2)
    protection.use(SrtpKeys(AES, key(1), key(2)))
    assert not protection.waits_for_keys
    assert protection.open_rtp(Protector(AES, key(2)).rtp(data)) == data


def test_no_report_is_made_and_counted_before_there_are_keys() -> None:
    session = RtpSession(media(security=Security(KeyAgreement.DTLS), rtcp_mux=True), cname="x", rng=random.Random(1))
    session.start_reports(100.0)
    assert session.next_timer() is None
    assert session.keep_alive() is not None
    assert (session.rtcp_to_send(105.0), session.final_report(105.0), session.stats.rtcp_sent) == ([], [], 0)
    session.protection.use(security(1, 2).keys)
    assert session.next_timer() is not None
    assert len(session.rtcp_to_send(106.0)) == session.stats.rtcp_sent == 1


def test_without_protection_all_passes_as_it_is() -> None:
    protection = Protection()
    data = packet(0).serialize()
    assert protection.media(data) == protection.keep_alive(data) == protection.open_rtp(data) == data
    assert protection.rtcp(data) == protection.open_rtcp(data) == data


def test_what_cannot_be_protected_is_not_sent() -> None:
    protection = Protection(security(1, 2))
    assert protection.media(RtpPacket(0, 1, 0, 5, bytes(9000)).serialize()) is None
    assert protection.rtcp(b"\x80\xc9" + bytes(9000)) is None


def test_the_ssrc_of_keep_alives_is_that_of_no_stream() -> None:
    """Two contexts of one key must not protect the same SSRC."""
    first = random.Random(1).getrandbits(32)
    agreed = media(security=security(1, 2), ssrc=first, fec_ssrc=first + 1, direction=Direction.SENDRECV)
    alive = RtpSession(agreed, rng=random.Random(1)).keep_alive()
    assert alive is not None
    assert RtpPacket.parse(alive).ssrc == first + 2


# --- other keys -------------------------------------------------------------------------------------------------------


def test_new_keys_take_over_when_the_peer_uses_them() -> None:
    """The peer goes on with the old key until it has our answer (RFC 4568 section 7.1.4)."""
    w = EncryptedWire()
    for index in range(10):
        w.send(w.protected(index))
    w.session.update(media(security=security(1, 3)))
    for index in range(10, 15):
        w.send(w.protected(index))
    late = w.protected(15)
    new = Protector(AES, key(3))
    for index in range(16, 30):
        w.send(new.rtp(packet(index).serialize()))
    w.send(late)
    assert numbers(w) == [*range(15), *range(16, 30)]
    assert w.session.stats.unauthenticated == 1
    w.send(packet(30))
    assert w.session.stats.unauthenticated == 2


@pytest.mark.parametrize("first", [0, 2900, 2999, 40000])
def test_new_keys_may_come_with_numbers_that_begin_anew(first: int) -> None:
    """To the context before they are numbers that came, or are too old."""
    protection, old, new = Protection(security(1, 2)), Protector(AES, key(2)), Protector(AES, key(3))

    def data(number: int) -> bytes:
        return RtpPacket(0, number, 0, SSRC, b"sound").serialize()

    for number in range(3000):
        assert protection.open_rtp(old.rtp(data(number)))
    protection.update(security(1, 3))
    assert protection.open_rtp(old.rtp(data(3000))) == data(3000)
    for number in range(first, first + 10):
        assert protection.open_rtp(new.rtp(data(number))) == data(number)
    assert (protection.unauthenticated, protection.replayed) == (0, 0)
    protection.update(None)
    assert protection.open_rtp(new.rtp(data(first + 10))) == data(first + 10)
    assert protection.open_rtp(data(first)) == data(first)


def test_the_same_keys_go_on_where_they_were() -> None:
    """Hold and resume with the same key: the roll-over counter stays, and no index comes twice."""
    w = EncryptedWire(direction=Direction.SENDRECV)
    for index in range(20):
        w.send(w.protected(index))
    peer = Opener(AES, key(1))
    first = w.session.protection.media(packet(0).serialize())
    w.session.update(media(security=security(1, 2), direction=Direction.INACTIVE))
    w.session.update(media(security=security(1, 2), direction=Direction.SENDRECV))
    for index in range(20, 40):
        w.send(w.protected(index))
    assert numbers(w) == list(range(40))
    assert w.session.protection.media(packet(0).serialize()) is None, "that number was protected before"
    second = w.session.protection.media(packet(8).serialize())
    assert first is not None
    assert second is not None
    peer.rtp(first)
    assert peer.rtp(second) == packet(8).serialize()


def test_a_new_key_of_ours_does_not_touch_what_comes() -> None:
    protection = Protection(security(1, 2))
    peer = Protector(AES, key(2))
    assert protection.open_rtp(peer.rtp(packet(0).serialize())) == packet(0).serialize()
    protection.update(security(4, 2))
    assert protection.open_rtp(peer.rtp(packet(20).serialize())) == packet(20).serialize()
    sent = protection.media(packet(1).serialize())
    assert sent is not None
    assert Opener(AES, key(4)).rtp(sent) == packet(1).serialize()


def test_where_protection_ends_what_is_still_encrypted_is_opened_and_not_played_as_noise() -> None:
    w = EncryptedWire()
    w.send(w.protected(0))
    w.session.update(media())
    w.send(w.protected(1))
    w.send(packet(2))
    w.send(packet(3))
    assert [each.payload for each in w.passed] == [packet(index).payload for index in range(4)]


def test_a_flood_with_the_address_of_the_peer_costs_the_call_nothing() -> None:
    w = EncryptedWire()
    rng = random.Random(5)
    for index in range(100):
        for _ in range(20):
            forged = RtpPacket(
                MEDIA_TYPE, rng.getrandbits(16), rng.getrandbits(32), rng.choice([SSRC, REPAIR_SSRC]), b"x" * 170
            )
            w.send(forged, after=0.0)
        w.send(w.protected(index))
    assert numbers(w) == list(range(100))
    stats = w.session.stats
    assert (
        stats.unauthenticated + stats.replayed == 2000
    )  # a number that has come is refused before its tag is looked at


def test_the_bytes_of_reports_are_those_on_the_wire() -> None:
    counts = []
    for terms in (None, security(1, 2)):
        session = RtpSession(media(security=terms, direction=Direction.SENDRECV), cname="here", rng=random.Random(1))
        session.start_reports(100.0)
        reports = session.rtcp_to_send(110.0)
        sent = [session.protection.rtcp(report) for report in reports]
        assert sum(28 + len(each) for each in sent if each) == session.stats.rtcp_sent_ip_bytes > 0
        counts.append(session.stats.rtcp_sent_ip_bytes)
    assert counts[1] - counts[0] == 14
