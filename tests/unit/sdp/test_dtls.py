"""DTLS-SRTP in offer and answer: fingerprints, roles, and when another association begins (RFC 5763, 8122, 8842)."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from voip import codecs
from voip.errors import NegotiationError
from voip.media import Direction, KeyAgreement, NegotiatedMedia
from voip.sdp import (
    Capabilities,
    Endpoint,
    OwnDtls,
    OwnKeys,
    SessionDescription,
    SrtpRule,
    accept_answer,
    make_answer,
    make_offer,
)
from voip.sdp.dtls import TLS_ID_LENGTH, reoffered
from voip.srtp.association import AssociationTerms, Fingerprint, Role

ALICE, BOB = Fingerprint.of(b"alice"), Fingerprint.of(b"bob")
OPTIONAL = Capabilities(codecs=tuple(codecs.offerable(("pcmu",), 8000, 1)), srtp=SrtpRule.OPTIONAL)
REQUIRED = replace(OPTIONAL, srtp=SrtpRule.REQUIRED)
OFF = replace(OPTIONAL, srtp=SrtpRule.OFF)


def endpoint(name: str, **changes: object) -> Endpoint:
    host = "192.0.2.1" if name == "alice" else "192.0.2.2"
    found = Endpoint(host, 4000, ssrc=1, cname=name, fec_ssrc=2, session_id=7, session_version=1)
    own = OwnDtls(ALICE if name == "alice" else BOB, name.encode())
    return replace(found, own_dtls=own, **changes)  # type: ignore[arg-type]


def association(media: NegotiatedMedia | None) -> AssociationTerms:
    assert media is not None
    assert media.security is not None
    assert media.security.agreement is KeyAgreement.DTLS
    assert media.security.keys is None
    assert media.security.association is not None
    return media.security.association


def described(
    text: str, host: str = "198.51.100.7", profile: str = "UDP/TLS/RTP/SAVP", top: str = ""
) -> SessionDescription:
    lines = (
        f"v=0\r\no=- 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n{top}m=audio 5000 {profile} 0\r\n{text}"
    )
    return SessionDescription.parse(lines.encode())


def test_two_of_us_agree_on_dtls_and_the_caller_is_the_client() -> None:
    for capabilities in (OPTIONAL, REQUIRED):
        offer = make_offer(capabilities, endpoint("alice"))
        answer, bobs = make_answer(SessionDescription.parse(offer.serialize()), capabilities, endpoint("bob"))
        alices = accept_answer(offer, SessionDescription.parse(answer.serialize()), capabilities, endpoint("alice"))
        assert association(bobs).role is Role.SERVER
        assert association(alices).role is Role.CLIENT
        assert association(bobs).fingerprints == (ALICE,)
        assert association(alices).fingerprints == (BOB,)
        line = offer.media[0]
        assert line.profile == ("RTP/AVP" if capabilities is OPTIONAL else "UDP/TLS/RTP/SAVP")
        assert (line.value("setup"), answer.media[0].value("setup")) == ("actpass", "passive")
        assert len(line.value("tls-id") or "") == TLS_ID_LENGTH
        assert line.value("tls-id") != answer.media[0].value("tls-id")
        assert answer.media[0].profile == line.profile


@pytest.mark.parametrize(
    ("theirs", "ours", "role"),
    [("actpass", "passive", Role.SERVER), ("active", "passive", Role.SERVER), ("passive", "active", Role.CLIENT)],
)
def test_roles_by_what_is_offered(theirs: str, ours: str, role: Role) -> None:
    answer, media = make_answer(described(f"a=fingerprint:{ALICE}\r\na=setup:{theirs}\r\n"), OPTIONAL, endpoint("bob"))
    assert answer.media[0].value("setup") == ours
    assert association(media).role is role
    assert answer.media[0].value("tls-id") is None, "RFC 8842 section 5.3: none where the offer has none"


@pytest.mark.parametrize("profile", ["UDP/TLS/RTP/SAVP", "UDP/TLS/RTP/SAVPF", "RTP/SAVP", "RTP/SAVPF", "RTP/AVP"])
def test_fingerprints_are_understood_in_every_profile_and_above_all_lines(profile: str) -> None:
    offer = described("", profile=profile, top=f"a=fingerprint:{ALICE}\r\na=setup:actpass\r\n")
    answer, media = make_answer(offer, OPTIONAL, endpoint("bob"))
    assert association(media).fingerprints == (ALICE,)
    assert answer.media[0].profile == profile


def test_who_is_behind_a_nat_begins_the_caller_if_that_is_not_known() -> None:
    text = f"a=fingerprint:{ALICE}\r\na=setup:actpass\r\n"
    for ours, host, sip_host, role in (
        ("9.9.9.8", "10.0.0.7", "9.9.9.9", Role.SERVER),
        ("9.9.9.8", "9.9.9.9", "9.9.9.9", Role.SERVER),
        ("10.0.0.2", "10.0.0.7", "10.0.0.7", Role.SERVER),
        ("10.0.0.2", "9.9.9.9", "9.9.9.9", Role.CLIENT),
        ("10.0.0.2", "10.0.0.7", "9.9.9.9", Role.SERVER),
        ("10.0.0.2", "9.9.9.9", None, Role.SERVER),
    ):
        bob = endpoint("bob", host=ours, peer_host=sip_host)
        _, media = make_answer(described(text, host), OPTIONAL, bob)
        assert association(media).role is role


def test_dtls_is_taken_before_keys_in_the_description() -> None:
    keys = OwnKeys.draw(random.Random(1))
    alice = endpoint("alice", own_keys=keys, sip_encrypted=True)
    offer = make_offer(OPTIONAL, alice)
    assert offer.media[0].value("crypto") is not None
    answer, media = make_answer(offer, OPTIONAL, endpoint("bob", own_keys=OwnKeys.draw(random.Random(2))))
    assert association(media)
    assert answer.media[0].value("crypto") is None
    assert association(accept_answer(offer, answer, OPTIONAL, alice))


def test_keys_in_the_description_are_not_written_in_clear_because_dtls_was_agreed_on() -> None:
    alice = endpoint("alice", own_keys=OwnKeys.draw(random.Random(1)))
    _, before = make_answer(make_offer(OPTIONAL, endpoint("bob")), OPTIONAL, alice)
    again = make_offer(OPTIONAL, alice, before=before)
    assert again.media[0].value("crypto") is None
    assert again.media[0].value("fingerprint") == str(ALICE)


@pytest.mark.parametrize("setup", ["holdconn", "both", ""])
def test_a_setup_that_dtls_must_not_have_is_refused(setup: str) -> None:
    """RFC 5763 section 5; an empty or missing one is `active` (RFC 4145 section 4)."""
    offer = described(f"a=fingerprint:{ALICE}\r\na=setup:{setup}\r\n")
    if not setup:
        assert association(make_answer(offer, OPTIONAL, endpoint("bob"))[1]).role is Role.SERVER
        return
    with pytest.raises(NegotiationError):
        make_answer(offer, OPTIONAL, endpoint("bob"))


def test_a_profile_of_dtls_is_never_answered_without_encryption() -> None:
    bare = described("a=sendrecv\r\n")
    crypto = described("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + "A" * 40 + "\r\n")
    md5 = described("a=fingerprint:md5 " + ":".join(["00"] * 16) + "\r\na=setup:actpass\r\n")
    fine = described(f"a=fingerprint:{ALICE}\r\na=setup:actpass\r\n")
    for offer, capabilities, bob in (
        (bare, OPTIONAL, endpoint("bob")),
        (crypto, OPTIONAL, endpoint("bob")),
        (md5, OPTIONAL, endpoint("bob")),
        (fine, OFF, endpoint("bob")),
        (fine, OPTIONAL, replace(endpoint("bob"), own_dtls=None)),
    ):
        with pytest.raises(NegotiationError):
            make_answer(offer, capabilities, bob)


def test_required_refuses_what_was_stripped_on_the_way() -> None:
    offer = make_offer(OPTIONAL, endpoint("alice"))
    offer.media[0].attributes = [each for each in offer.media[0].attributes if each[0] != "fingerprint"]
    assert make_answer(offer, OPTIONAL, endpoint("bob"))[1].security is None
    with pytest.raises(NegotiationError, match="not encrypted"):
        make_answer(offer, REQUIRED, endpoint("bob"))
    offer = make_offer(REQUIRED, endpoint("alice"))
    answer, _ = make_answer(offer, OPTIONAL, endpoint("bob"))
    answer.media[0].attributes = [each for each in answer.media[0].attributes if each[0] != "fingerprint"]
    with pytest.raises(NegotiationError):
        accept_answer(offer, answer, REQUIRED, endpoint("alice"))


def test_a_peer_that_does_not_know_dtls_answers_in_clear() -> None:
    offer = make_offer(OPTIONAL, endpoint("alice"))
    answer, _ = make_answer(offer, OFF, replace(endpoint("bob"), own_dtls=None))
    media = accept_answer(offer, answer, OPTIONAL, endpoint("alice"))
    assert media.security is None
    assert media.security_note


def test_an_answer_that_leaves_the_role_open_is_refused() -> None:
    offer = make_offer(REQUIRED, endpoint("alice"))
    answer, _ = make_answer(offer, REQUIRED, endpoint("bob"))
    answer.media[0].attributes = reoffered(answer.media[0].attributes)
    with pytest.raises(NegotiationError, match="role"):
        accept_answer(offer, answer, REQUIRED, endpoint("alice"))


def test_rtcp_on_a_port_of_its_own_has_no_keys() -> None:
    text = f"a=fingerprint:{ALICE}\r\na=setup:actpass\r\n"
    assert make_answer(described(text), OPTIONAL, endpoint("bob"))[1].rtcp_off
    both = described(text + "a=rtcp-mux\r\n")
    assert not make_answer(both, OPTIONAL, endpoint("bob"))[1].rtcp_off


# --- later descriptions -----------------------------------------------------------------------------------------------


def again(text: str, before: NegotiatedMedia | None, host: str = "198.51.100.7") -> tuple[AssociationTerms, str | None]:
    answer, media = make_answer(described(text, host), OPTIONAL, endpoint("bob"), before)
    return association(media), answer.media[0].value("tls-id")


def test_an_association_goes_on_until_fingerprint_or_identifier_changes() -> None:
    first = f"a=fingerprint:{ALICE}\r\na=setup:actpass\r\na=tls-id:{'x' * 20}\r\n"
    answer, before = make_answer(described(first), OPTIONAL, endpoint("bob"))
    kept, identifier = association(before), answer.media[0].value("tls-id")
    moved, same = again(first, before, "198.51.100.99")
    assert kept.continues(moved)
    assert same == identifier, "an address alone is no other association (RFC 8842 section 4)"
    for text in (first.replace("x" * 20, "y" * 20), first.replace(str(ALICE), str(Fingerprint.of(b"mallory")))):
        terms, new = again(text, before)
        assert not kept.continues(terms)
        assert new not in (None, identifier)


def test_without_identifiers_another_address_is_another_association() -> None:
    first = f"a=fingerprint:{ALICE}\r\na=setup:actpass\r\n"
    _, before = make_answer(described(first), OPTIONAL, endpoint("bob"))
    assert association(before).continues(again(first, before)[0])
    assert association(before).continues(again(first, before, "0.0.0.0")[0]), "hold is no other address"
    assert not association(before).continues(again(first, before, "198.51.100.99")[0])


def test_the_role_stays_when_the_other_side_offers_anew() -> None:
    """Bob has offered and is the client; Alice's next offer leaves the role open, and he stays it."""
    offer = make_offer(OPTIONAL, endpoint("bob"))
    answer, _ = make_answer(offer, OPTIONAL, endpoint("alice"))
    before = accept_answer(offer, answer, OPTIONAL, endpoint("bob"))
    assert association(before).role is Role.CLIENT
    second = make_offer(OPTIONAL, endpoint("alice", session_version=2), before=None)
    answer, media = make_answer(second, OPTIONAL, endpoint("bob"), before)
    assert association(media).role is Role.CLIENT
    assert answer.media[0].value("setup") == "active"
    assert media is not None
    assert media.direction is Direction.SENDRECV
