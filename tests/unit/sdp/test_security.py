"""Encryption in offer and answer: what is offered where, what is understood, what is refused (RFC 4568, RFC 8643)."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from tests.support.descriptions import vector
from voip import codecs
from voip.codecs.aac import EXCESS
from voip.errors import NegotiationError
from voip.media import KeyAgreement, NegotiatedMedia
from voip.sdp import Capabilities, Endpoint, SessionDescription, SrtpRule, accept_answer, make_answer, make_offer
from voip.sdp.crypto import CRYPTO, OwnKeys, parse_lines
from voip.srtp import OFFERED, Profile

ALICE = Endpoint("192.0.2.1", 4000, 1, 2, "a", 7, own_keys=OwnKeys.draw(random.Random(1)), sip_encrypted=True)
BOB = Endpoint("192.0.2.2", 5000, 3, 4, "b", 8, own_keys=OwnKeys.draw(random.Random(2)), sip_encrypted=True)
AES, GCM_128, GCM_256 = Profile.AES_CM_128_HMAC_SHA1_80, Profile.AEAD_AES_128_GCM, Profile.AEAD_AES_256_GCM


def able(rule: SrtpRule = SrtpRule.OPTIONAL, **changes: bool) -> Capabilities:
    offered = tuple(codecs.offerable(("pcmu", "pcma"), 8000, 1))
    return replace(Capabilities(offered, srtp=rule), **changes)  # type: ignore[arg-type]


def lines(description: SessionDescription) -> list[str]:
    return description.media[0].values(CRYPTO)


def suites(description: SessionDescription) -> list[Profile]:
    return [line.profile for line in parse_lines(lines(description))[0]]


def stripped(description: SessionDescription) -> SessionDescription:
    """As a proxy passes it on that takes keys out."""
    for media in description.media:
        media.attributes = [(name, value) for name, value in media.attributes if name != CRYPTO]
    return description


def agree(
    offerer: Capabilities, answerer: Capabilities
) -> tuple[SessionDescription, SessionDescription, NegotiatedMedia]:
    """Offer, answer and what the offerer makes of it; both sides must make the same of the keys."""
    offer = make_offer(offerer, ALICE)
    answer, theirs = make_answer(SessionDescription.parse(offer.serialize()), answerer, BOB)
    ours = accept_answer(offer, SessionDescription.parse(answer.serialize()), offerer, ALICE)
    assert (ours.security is None) == (theirs.security is None)
    if ours.security is not None and theirs.security is not None:
        assert ours.security.keys is not None
        assert theirs.security.keys is not None
        assert ours.security.keys.local == theirs.security.keys.remote
        assert ours.security.keys.remote == theirs.security.keys.local
        assert ours.security.keys.profile is theirs.security.keys.profile
    return offer, answer, ours


# --- what is offered --------------------------------------------------------------------------------------------------


def test_all_suites_are_offered_where_sip_is_encrypted_and_the_line_stays_one_for_any_phone() -> None:
    offer = make_offer(able(), ALICE)
    assert (offer.media[0].profile, suites(offer)) == ("RTP/AVP", list(OFFERED))


def test_no_key_is_written_into_sip_in_clear_unless_the_user_says_so() -> None:
    clear = replace(ALICE, sip_encrypted=False)
    assert not lines(make_offer(able(), clear))
    assert suites(make_offer(able(sdes_in_clear=True), clear)) == list(OFFERED)
    assert not lines(make_offer(able(SrtpRule.OFF, sdes_in_clear=True), ALICE))
    assert not lines(make_offer(able(sdes_in_clear=True), replace(ALICE, own_keys=None)))


def test_required_encryption_is_offered_as_such() -> None:
    offer = make_offer(able(SrtpRule.REQUIRED), ALICE)
    assert (offer.media[0].profile, suites(offer)) == ("RTP/SAVP", list(OFFERED))


# --- both sides -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("offerer", [SrtpRule.OPTIONAL, SrtpRule.REQUIRED])
@pytest.mark.parametrize("answerer", [SrtpRule.OPTIONAL, SrtpRule.REQUIRED])
def test_both_sides_come_to_the_same_keys(offerer: SrtpRule, answerer: SrtpRule) -> None:
    offer, answer, media = agree(able(offerer), able(answerer))
    assert media.security is not None
    assert (media.security.agreement, media.security.readable) == (KeyAgreement.SDES, False)
    assert suites(answer) == [AES]
    assert answer.media[0].profile == offer.media[0].profile == media.profile


def test_where_one_side_does_not_want_it_the_call_is_not_encrypted() -> None:
    for offerer, answerer in ((SrtpRule.OPTIONAL, SrtpRule.OFF), (SrtpRule.OFF, SrtpRule.OPTIONAL)):
        _, answer, media = agree(able(offerer), able(answerer))
        assert (media.security, lines(answer)) == (None, [])
        assert ("none of the keys" in media.security_note) == (offerer is SrtpRule.OPTIONAL)


@pytest.mark.parametrize(
    ("offerer", "answerer"), [(SrtpRule.REQUIRED, SrtpRule.OFF), (SrtpRule.OFF, SrtpRule.REQUIRED)]
)
def test_required_encryption_never_falls_back(offerer: SrtpRule, answerer: SrtpRule) -> None:
    with pytest.raises(NegotiationError, match="--srtp") as refusal:
        agree(able(offerer), able(answerer))
    assert refusal.value.status == 488


def test_keys_that_travel_in_clear_are_said_to_be_readable() -> None:
    bob = replace(BOB, sip_encrypted=False)
    _, media = make_answer(make_offer(able(), ALICE), able(), bob)
    assert media.security is not None
    assert media.security.readable


def test_the_suite_that_the_offerer_prefers_is_taken_of_those_we_have() -> None:
    offer = make_offer(able(), ALICE)
    ours = ALICE.own_keys
    assert ours is not None
    for first, *others in ((GCM_128, AES), (AES, GCM_256)):
        values = [line.serialize() for profile in (first, *others) for line in ours.lines() if line.profile is profile]
        chosen = stripped(SessionDescription.parse(offer.serialize()))
        chosen.media[0].attributes += [(CRYPTO, f"9 AES_CM_128_HMAC_SHA1_32 inline:{40 * 'A'}")]
        chosen.media[0].attributes += [(CRYPTO, value) for value in values]
        answer, media = make_answer(chosen, able(), BOB)
        assert media.security is not None
        assert suites(answer) == [first]
        assert lines(answer)[0].split()[0] == values[0].split()[0], "with the tag of the offer"


# --- a proxy takes the keys out ---------------------------------------------------------------------------------------


def test_keys_taken_out_of_the_offer_end_in_clear_or_in_a_refusal() -> None:
    without = stripped(make_offer(able(), ALICE))
    _, media = make_answer(without, able(), BOB)
    assert media.security is None
    with pytest.raises(NegotiationError, match="not encrypted, and --srtp required"):
        make_answer(without, able(SrtpRule.REQUIRED), BOB)
    with pytest.raises(NegotiationError, match="without keys"):
        make_answer(stripped(make_offer(able(SrtpRule.REQUIRED), ALICE)), able(), BOB)


def test_keys_taken_out_of_the_answer_end_in_clear_or_in_a_refusal() -> None:
    offer = make_offer(able(), ALICE)
    answer, _ = make_answer(offer, able(), BOB)
    media = accept_answer(offer, stripped(answer), able(), ALICE)
    assert (media.security, media.security_note) == (None, "the other side took none of the keys offered")
    offer = make_offer(able(SrtpRule.REQUIRED), ALICE)
    answer, _ = make_answer(offer, able(), BOB)
    with pytest.raises(NegotiationError, match="gives no key"):
        accept_answer(offer, stripped(answer), able(SrtpRule.REQUIRED), ALICE)
    answer.media[0].profile = "RTP/AVP"
    with pytest.raises(NegotiationError, match="--srtp required"):
        accept_answer(offer, answer, able(SrtpRule.REQUIRED), ALICE)


@pytest.mark.parametrize(
    "line",
    [
        f"7 AES_CM_128_HMAC_SHA1_80 inline:{40 * 'A'}",
        f"1 AEAD_AES_128_GCM inline:{38 * 'A'}==",
        f"1 AES_CM_128_HMAC_SHA1_80 inline:{36 * 'A'}",
        f"1 AES_CM_128_HMAC_SHA1_80 inline:{40 * 'A'} UNENCRYPTED_SRTP",
    ],
)
def test_keys_in_the_answer_that_were_not_offered_end_the_call(line: str) -> None:
    offer = make_offer(able(), ALICE)
    answer = stripped(make_answer(offer, able(), BOB)[0])
    answer.media[0].attributes.append((CRYPTO, line))
    with pytest.raises(NegotiationError, match="keys that cannot be used"):
        accept_answer(offer, answer, able(), ALICE)


def test_our_own_key_coming_back_is_refused() -> None:
    """Both directions under one key: what we send could be sent back to us, and be taken for the peer's."""
    offer = make_offer(able(), ALICE)
    answer = stripped(make_answer(offer, able(), BOB)[0])
    answer.media[0].attributes.append((CRYPTO, lines(offer)[0]))
    with pytest.raises(NegotiationError, match="own key"):
        accept_answer(offer, answer, able(), ALICE)


# --- what others offer ------------------------------------------------------------------------------------------------


def test_of_two_lines_for_the_same_sound_the_encrypted_one_is_taken() -> None:
    offer = vector("polycom-srtp-optional")
    for rule in (SrtpRule.OPTIONAL, SrtpRule.REQUIRED):
        answer, media = make_answer(offer, able(rule), BOB)
        assert [(line.profile, bool(line.port)) for line in answer.media] == [("RTP/SAVP", True), ("RTP/AVP", False)]
        assert media.security is not None
        assert (media.profile, media.remote[1]) == ("RTP/SAVP", 2230)
    answer, media = make_answer(offer, able(SrtpRule.OFF), BOB)
    assert [bool(line.port) for line in answer.media] == [False, True]
    assert media.security is None


def test_the_encrypted_line_is_taken_also_where_it_comes_second() -> None:
    offer = vector("polycom-srtp-optional")
    offer.media.reverse()
    answer, media = make_answer(offer, able(), BOB)
    assert [bool(line.port) for line in answer.media] == [False, True]
    assert media.security is not None


def test_an_encrypted_line_that_cannot_be_used_leaves_the_other() -> None:
    offer = vector("polycom-srtp-optional")
    offer.media[0].attributes = [
        (name, f"{value} UNENCRYPTED_SRTP" if name == CRYPTO else value) for name, value in offer.media[0].attributes
    ]
    answer, media = make_answer(offer, able(), BOB)
    assert [bool(line.port) for line in answer.media] == [False, True]
    assert media.security is None
    with pytest.raises(NegotiationError, match="UNENCRYPTED_SRTP"):
        make_answer(offer, able(SrtpRule.REQUIRED), BOB)


def test_savpf_with_a_key_is_understood() -> None:
    offer = make_offer(able(SrtpRule.REQUIRED), ALICE)
    offer.media[0].profile = "RTP/SAVPF"
    answer, media = make_answer(offer, able(), BOB)
    assert (answer.media[0].profile, media.profile) == ("RTP/SAVPF", "RTP/SAVPF")
    assert media.security is not None


def test_an_offer_whose_keys_cannot_be_used_says_so_and_goes_on_in_clear() -> None:
    offer = stripped(make_offer(able(), ALICE))
    offer.media[0].attributes.append((CRYPTO, f"1 AES_CM_128_HMAC_SHA1_32 inline:{40 * 'A'}"))
    _, media = make_answer(offer, able(), BOB)
    assert media.security is None
    assert "AES_CM_128_HMAC_SHA1_32" in media.security_note


def test_where_encryption_is_off_an_encrypted_offer_is_refused_with_the_reason() -> None:
    with pytest.raises(NegotiationError, match="encryption is off here"):
        make_answer(make_offer(able(SrtpRule.REQUIRED), ALICE), able(SrtpRule.OFF), BOB)


# --- later offers -----------------------------------------------------------------------------------------------------


def test_an_encrypted_session_is_offered_encrypted_again() -> None:
    clear = replace(BOB, sip_encrypted=False)
    _, media = make_answer(make_offer(able(SrtpRule.REQUIRED), ALICE), able(), clear)
    again = make_offer(able(), clear, before=media)
    assert (again.media[0].profile, suites(again)) == ("RTP/SAVP", list(OFFERED))
    _, media = make_answer(make_offer(able(), ALICE), able(), clear)
    assert make_offer(able(), clear, before=media).media[0].profile == "RTP/AVP"


@pytest.mark.skipif(codecs.missing("aac") is not None, reason="only the bit rate of AAC has to be chosen beforehand")
def test_a_limit_of_the_bit_rate_counts_the_tags_of_encryption() -> None:
    aac = replace(able(), codecs=tuple(codecs.offerable(("aac",), 48000, 1, 64_000)))
    clear = replace(aac, srtp=SrtpRule.OFF)
    offer = make_offer(aac, ALICE)
    offer.media[0].bandwidths["AS"] = 50
    found = [make_answer(offer, capabilities, BOB)[1].audio for capabilities in (clear, aac)]
    rates = [audio.codec.bitrate for audio in found]
    assert rates[0] is not None
    assert rates[1] is not None
    assert rates[0] - rates[1] == pytest.approx(8 * AES.tag_length / found[0].ptime / EXCESS, abs=1)
