"""Packets protected and opened: the vectors of the RFCs, an implementation of our own, wraps, replay, tampering."""

from __future__ import annotations

import random

import pytest

from tests.support import srtp_reference as reference
from tests.support.srtp_reference import RTP_LABELS, SessionKeys
from voip.errors import ProtocolError
from voip.rtcp.packets import ReceiverReport
from voip.rtp import RtpPacket
from voip.session import MAX_RECEIVED_BYTES
from voip.srtp import MasterKey, Profile
from voip.srtp.context import (
    ALWAYS_TRIED,
    MAX_STREAMS,
    REPLAY_WINDOW,
    NotAuthentic,
    Opener,
    Protector,
    Replayed,
    missing,
)

MEDIA, REPAIR = 0x11111111, 0x22222222
GALLIA = bytes.fromhex(
    "8040f17b8041f8d35501a0b247616c6c696120657374206f6d6e69732064697669736120696e207061727465732074726573"
)


def master(profile: Profile, seed: int = 1) -> MasterKey:
    rng = random.Random(seed)
    return MasterKey(rng.randbytes(profile.key_length), rng.randbytes(profile.salt_length))


def packet(number: int, ssrc: int = MEDIA, payload: bytes = b"sound of 20 milliseconds") -> bytes:
    return RtpPacket(96, number & 0xFFFF, 160 * number & 0xFFFFFFFF, ssrc, payload).serialize()


def report(ssrc: int = MEDIA) -> bytes:
    return ReceiverReport(ssrc).serialize()


def both(profile: Profile = Profile.AES_CM_128_HMAC_SHA1_80) -> tuple[Protector, Opener]:
    key = master(profile)
    return Protector(profile, key), Opener(profile, key)


def test_the_library_is_here() -> None:
    assert missing() is None


# --- the vectors of the RFCs, by which the other implementation is checked --------------------------------------------


def test_keys_are_derived_as_in_appendix_b3_of_rfc_3711() -> None:
    key = MasterKey(bytes.fromhex("E1F97A0D3E018BE0D64FA32C06DE4139"), bytes.fromhex("0EC675AD498AFEEBB6960B3AABE6"))
    derived = SessionKeys.derive(key, RTP_LABELS)
    assert derived.cipher.hex().upper() == "C61E7A93744F39EE10734AFE3FF7A087"
    assert derived.salt.hex().upper() == "30CBBC08863D8C85D49DB34A9AE1"
    assert derived.authentication.hex().upper() == "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4"


def test_the_key_stream_is_that_of_appendix_b2_of_rfc_3711() -> None:
    keys = SessionKeys(
        bytes.fromhex("2B7E151628AED2A6ABF7158809CF4F3C"), b"", bytes.fromhex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD")
    )
    stream = reference.keystream(keys.cipher, reference.counter_block(keys, bytes(4), 0), 1044512)
    assert stream[:32].hex().upper() == "E03EAD0935C95E80E166B16DD92B4EB4D23513162B02D0F72A43A2FE4A5F97AB"
    assert stream[-16:].hex().upper() == "6A2CC3787889374FBEB4C81B17BA6C44"


@pytest.mark.parametrize(
    ("length", "cipher"),
    [
        (
            16,
            "f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833899d7f27beb16a9152cf765ee4390cce",
        ),
        (
            32,
            "32b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f1ba63799b87b7aa3db36dfffd6b0f9bb7878d7a76c13",
        ),
    ],
)
def test_aes_gcm_is_that_of_section_16_of_rfc_7714(length: int, cipher: str) -> None:
    keys = SessionKeys(bytes(range(length)), b"", b"Quid pro quo")
    index = bytes(4) + GALLIA[2:4]
    assert reference.gcm(keys, GALLIA[8:12], index, GALLIA[12:], GALLIA[:12]).hex() == cipher


def test_aes_gcm_of_reports_is_that_of_section_17_of_rfc_7714() -> None:
    keys = SessionKeys(bytes(range(16)), b"", b"Quid pro quo")
    plain = bytes.fromhex("4e5450314e545032525450200000042a0000e9304c756e61" + 5 * "deadbeef")
    header, index = bytes.fromhex("81c8000d4d617273"), bytes.fromhex("000005d4")
    found = reference.gcm(keys, header[4:], b"\0\0" + index, plain, header + bytes.fromhex("800005d4"))
    assert found.hex() == (
        "63e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda"
        "4ce09b4686303ded0bb9275bc84aa45896cf4d2fc5abf87245d9eade"
    )


# --- the library agrees with it ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", Profile)
def test_packets_are_protected_as_the_standards_say_over_two_wraps(profile: Profile) -> None:
    key = master(profile)
    protector, opener = Protector(profile, key), Opener(profile, key)
    for number in [*range(65530, 65542, 3), 90000, 120000, 131070, 131074]:
        expected = reference.protect_rtp(profile, key, packet(number), number >> 16)
        assert protector.rtp(packet(number)) == expected
        assert len(expected) == len(packet(number)) + profile.tag_length
        assert opener.rtp(expected) == packet(number)


@pytest.mark.parametrize("profile", Profile)
def test_reports_are_protected_as_the_standards_say(profile: Profile) -> None:
    key = master(profile)
    protector, opener = Protector(profile, key), Opener(profile, key)
    for index in (1, 2, 3):
        protected = protector.rtcp(report())
        assert protected == reference.protect_rtcp(profile, key, report(), index)
        assert opener.rtcp(protected) == report()


# --- one context, several streams -------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", Profile)
def test_media_and_repair_each_have_their_own_roll_over_counter(profile: Profile) -> None:
    protector, opener = both(profile)
    for step in range(20):
        for first, ssrc in ((65530, MEDIA), (100, REPAIR)):
            sent = packet(first + step, ssrc)
            assert opener.rtp(protector.rtp(sent)) == sent


def test_late_packets_from_before_a_wrap_are_opened() -> None:
    protector, opener = both()
    sent = [packet(number) for number in range(65500, 65600)]
    protected = [protector.rtp(each) for each in sent]
    order = list(range(len(sent)))
    random.Random(4).shuffle(order)
    order.remove(0)
    assert [opener.rtp(protected[i]) for i in [0, *order]] == [sent[i] for i in [0, *order]]


@pytest.mark.parametrize("profile", Profile)
def test_a_stream_whose_first_wrap_was_missed_is_opened(profile: Profile) -> None:
    """The key came with the answer, and sound before it: RFC 4568 section 6.4 knows the case, and forbids its cause."""
    protector, opener = both(profile)
    protected = [protector.rtp(packet(number)) for number in range(65500, 65700)]
    assert [opener.rtp(each) for each in protected[100:]] == [packet(number) for number in range(65600, 65700)]
    with pytest.raises(Replayed):
        opener.rtp(protected[150])


def test_the_same_holds_where_a_report_came_first() -> None:
    protector, opener = both()
    opener.rtcp(protector.rtcp(report()))
    protected = [protector.rtp(packet(number)) for number in (65535, 65536, 65537)]
    assert opener.rtp(protected[1]) == packet(65536)
    assert opener.rtp(protected[2]) == packet(65537)


def test_forged_packets_do_not_move_the_roll_over_counter() -> None:
    protector, opener = both()
    for number in range(50):
        with pytest.raises(NotAuthentic):
            opener.rtp(packet(number) + bytes(10))
    assert opener.rtp(protector.rtp(packet(200))) == packet(200)
    assert opener.rtp(protector.rtp(packet(40000))) == packet(40000)


def test_a_flood_of_forged_packets_soon_costs_one_try_each() -> None:
    """The second try is for a stream that has wrapped; of a flood only each hundredth packet gets one."""
    protector, opener = both()
    wrapped = [protector.rtp(packet(number)) for number in (65535, *range(65536, 65540 + ALWAYS_TRIED))][1:]
    for number in range(ALWAYS_TRIED):
        with pytest.raises(NotAuthentic):
            opener.rtp(packet(number) + bytes(10))
    refused = 0
    for each in wrapped:
        try:
            opener.rtp(each)
            break
        except NotAuthentic:
            refused += 1
    assert refused == ALWAYS_TRIED - 1


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", Profile)
def test_a_packet_is_accepted_once(profile: Profile) -> None:
    protector, opener = both(profile)
    protected, protected_report = protector.rtp(packet(7)), protector.rtcp(report())
    opener.rtp(protected)
    opener.rtcp(protected_report)
    with pytest.raises(Replayed):
        opener.rtp(protected)
    with pytest.raises(Replayed):
        opener.rtcp(protected_report)


def test_a_packet_behind_the_window_is_refused() -> None:
    protector, opener = both()
    protected = [protector.rtp(packet(number)) for number in range(REPLAY_WINDOW + 2)]
    opener.rtp(protected[-1])
    assert opener.rtp(protected[2]) == packet(2)
    with pytest.raises(Replayed):
        opener.rtp(protected[0])


@pytest.mark.parametrize("profile", Profile)
def test_a_packet_with_any_bit_changed_is_refused(profile: Profile) -> None:
    protector, opener = both(profile)
    protected, protected_report = protector.rtp(packet(7)), protector.rtcp(report())
    for at in range(8 * len(protected)):
        changed = bytearray(protected)
        changed[at // 8] ^= 1 << at % 8
        with pytest.raises(ProtocolError):
            opener.rtp(bytes(changed))
    for at in range(8 * len(protected_report)):
        changed = bytearray(protected_report)
        changed[at // 8] ^= 1 << at % 8
        with pytest.raises(ProtocolError):
            opener.rtcp(bytes(changed))
    assert opener.rtp(protected) == packet(7)
    assert opener.rtcp(protected_report) == report()


@pytest.mark.parametrize("profile", Profile)
def test_what_another_key_protects_is_refused(profile: Profile) -> None:
    opener = Opener(profile, master(profile, 2))
    protector = Protector(profile, master(profile, 1))
    with pytest.raises(NotAuthentic):
        opener.rtp(protector.rtp(packet(7)))
    with pytest.raises(NotAuthentic):
        opener.rtcp(protector.rtcp(report()))


@pytest.mark.parametrize("profile", Profile)
@pytest.mark.parametrize("length", [0, 1, 7, 8, 11, 12, 13, 22, 28, 40, 1500, 1501, 9000])
def test_no_length_of_rubbish_ends_in_another_error(profile: Profile, length: int) -> None:
    _, opener = both(profile)
    rng = random.Random(length)
    for first in (0x80, 0x90, 0xBF, 0x00, 0xFF):
        for second in (96, 0xC8, 0xFF):
            data = (bytes([first, second]) + rng.randbytes(length))[:length]
            with pytest.raises(ProtocolError):
                opener.rtp(data)
            with pytest.raises(ProtocolError):
                opener.rtcp(data)


def test_a_packet_that_is_too_long_or_none_is_not_sent() -> None:
    protector, _ = both()
    for datagram in (packet(1, payload=bytes(9000)), b"", b"\x80"):
        with pytest.raises(ProtocolError):
            protector.rtp(datagram)
        with pytest.raises(ProtocolError):
            protector.rtcp(datagram)


@pytest.mark.parametrize("profile", Profile)
def test_packets_as_long_as_a_port_accepts_pass(profile: Profile) -> None:
    """linphone fills 1764 bytes with 20 ms of L16 at 44.1 kHz."""
    protector, opener = both(profile)
    for number, size in enumerate((1140, 1488, 1764, MAX_RECEIVED_BYTES - 12 - profile.tag_length)):
        sent = packet(number, payload=bytes(size))
        assert opener.rtp(protector.rtp(sent)) == sent


def test_a_number_is_protected_once() -> None:
    """Two packets under one number would have the same key stream."""
    protector, _ = both()
    protector.rtp(packet(7))
    with pytest.raises(ProtocolError):
        protector.rtp(packet(7, payload=b"another"))


def test_a_peer_cannot_fill_the_memory_with_streams() -> None:
    protector, opener = both()
    for ssrc in range(MAX_STREAMS):
        opener.rtp(protector.rtp(packet(1, ssrc)))
    with pytest.raises(NotAuthentic, match="too many SSRCs"):
        opener.rtp(protector.rtp(packet(1, MAX_STREAMS)))
    assert opener.rtp(protector.rtp(packet(2, 0))) == packet(2, 0)


def test_a_key_opens_no_packet_beyond_its_lifetime() -> None:
    profile = Profile.AEAD_AES_128_GCM
    key = master(profile)
    protector = Protector(profile, key)
    opener = Opener(profile, MasterKey(key.key, key.salt, lifetime=3))
    for number in range(3):
        opener.rtp(protector.rtp(packet(number)))
    with pytest.raises(NotAuthentic, match="lifetime"):
        opener.rtp(protector.rtp(packet(3)))
