"""Offers and answers of one call: what the two sides agree on, and when a description gets another version."""

from __future__ import annotations

import random

import pytest

from voip import codecs
from voip.calls.negotiation import Negotiation
from voip.errors import NegotiationError, ProtocolError
from voip.media import Direction, NegotiatedMedia
from voip.sdp import Capabilities, Endpoint, SessionDescription, SrtpRule
from voip.srtp import SrtpKeys


def side(host: str, *names: str) -> Negotiation:
    offered = tuple(codecs.offerable(names or ("pcmu", "pcma"), 8000, 1))
    return Negotiation(Capabilities(offered), Endpoint(host, 5000, 1, 2, "x", 7))


def version(description: bytes) -> str:
    return SessionDescription.parse(description).session_version


def host_of(description: bytes) -> str | None:
    parsed = SessionDescription.parse(description)
    return parsed.host(parsed.media[0])


def test_offer_and_answer_agree() -> None:
    ours, theirs = side("192.0.2.1"), side("192.0.2.2", "pcma")
    answer, media = theirs.answer(ours.offer())
    assert ours.awaits_answer
    agreed = ours.accept(answer)
    assert not ours.awaits_answer
    assert media is not None
    assert agreed.audio.codec.name == media.audio.codec.name == "PCMA"
    assert (agreed.remote, media.remote) == (("192.0.2.2", 5000), ("192.0.2.1", 5000))


def test_an_empty_offer_is_answered_with_ours() -> None:
    ours, theirs = side("192.0.2.1"), side("192.0.2.2")
    offer, media = ours.answer(b"")
    assert media is None
    assert ours.awaits_answer
    assert ours.accept(theirs.answer(offer)[0]).audio.codec.name == "PCMU"


def test_the_version_rises_only_with_what_is_described() -> None:
    ours, theirs = side("192.0.2.1"), side("192.0.2.2")
    offer = ours.offer()
    answers = [theirs.answer(offer)[0] for _ in range(3)]
    assert [version(answer) for answer in answers] == ["1"] * 3
    on_hold = offer.replace(b"a=sendrecv", b"a=sendonly")
    assert [version(theirs.answer(which)[0]) for which in (on_hold, on_hold, offer)] == ["2", "2", "3"]


def test_another_address_is_offered_as_a_new_version() -> None:
    ours, theirs = side("192.0.2.1"), side("192.0.2.2")
    assert ours.offer_address() is None
    ours.accept(theirs.answer(ours.offer())[0])
    ours.move("192.0.2.9", 7000)
    offer = ours.offer_address()
    assert offer is not None
    assert (version(offer), host_of(offer)) == ("2", "192.0.2.9")
    assert ours.awaits_answer


def test_every_refresh_of_our_offer_may_be_answered_anew() -> None:
    """A session timer repeats the offer; each answer to it may name another address (RFC 4028 section 7.4)."""
    ours, theirs = side("192.0.2.1"), side("192.0.2.2")
    offer = ours.offer()
    ours.accept(theirs.answer(offer)[0])
    for number in (3, 4):
        theirs.move(f"192.0.2.{number}", 5000)
        assert ours.has_offered
        assert ours.accept(theirs.answer(offer)[0]).remote[0] == f"192.0.2.{number}"
    ours.answer(theirs.offer())
    assert not ours.has_offered  # what would be refreshed now is our answer


def test_what_was_agreed_on_before_the_call_was_answered_holds() -> None:
    ours, theirs = side("192.0.2.1"), side("192.0.2.2")
    ours.offer()
    _, early = ours.answer(theirs.offer())
    assert early is not None
    ours.keep_early(early)
    assert ours.awaits_answer
    assert ours.accept(b"") is early


def test_what_is_of_no_use_is_an_error_and_changes_nothing() -> None:
    ours, theirs = side("192.0.2.1", "pcmu"), side("192.0.2.2", "pcma")
    first, _ = theirs.answer(side("192.0.2.3").offer())
    with pytest.raises(NegotiationError):
        theirs.answer(ours.offer())
    with pytest.raises(ProtocolError):
        theirs.answer(b"v=1")
    assert theirs.answer(side("192.0.2.3").offer())[0] == first
    with pytest.raises(ProtocolError):
        ours.accept(b"")
    with pytest.raises(NegotiationError):
        theirs.accept(first)  # it has offered nothing


# Numbers, and the name of the session --------------------------------------------------------------------------------

THEIRS = (
    b"v=0\r\no=- 9 1 IN IP4 192.0.2.2\r\ns=-\r\nc=IN IP4 192.0.2.2\r\nt=0 0\r\nm=audio 5000 RTP/AVP 111 96\r\n"
    b"a=rtpmap:111 opus/48000/2\r\na=rtpmap:96 telephone-event/48000\r\n"
)


def meanings(description: bytes) -> dict[str, str]:
    """What each number of the audio line means, but for the static ones."""
    pairs = (value.split() for value in SessionDescription.parse(description).media[0].values("rtpmap"))
    return {number: meaning for number, meaning in pairs if int(number) >= 96}


def test_an_offer_within_a_session_uses_its_numbers_for_what_they_mean() -> None:
    """A re-INVITE without SDP gets an offer of ours; the peer may hold on to what was agreed on before."""
    ours = side("192.0.2.1", "opus", "l16", "pcmu")
    answer, _ = ours.answer(THEIRS)
    assert meanings(answer) == {"111": "opus/48000/2", "96": "telephone-event/48000"}
    offered = meanings(ours.answer(b"")[0])
    assert offered["111"] == "opus/48000/2"
    assert offered["96"] == "telephone-event/48000"
    assert [number for number, meaning in offered.items() if meaning == "opus/48000/2"] == ["111"]
    assert meanings(ours.answer(b"")[0]) == offered


def test_a_number_of_the_peer_never_comes_to_mean_something_else() -> None:
    ours, theirs = side("192.0.2.1", "opus", "pcmu"), side("192.0.2.2", "pcmu")
    before = meanings(ours.offer())
    taken = "97 98 99 100 101 102 103"
    assert set(before) & set(taken.split())
    rtpmaps = "".join(f"a=rtpmap:{number} G7221/16000\r\n" for number in taken.split() if number not in before)
    answer = theirs.answer(ours.offer())[0].replace(b"a=sendrecv", rtpmaps.encode() + b"a=sendrecv")
    answer = answer.replace(b"RTP/AVP", b"RTP/AVP " + taken.encode())
    ours.accept(answer)
    assert meanings(ours.answer(b"")[0]) == before


def test_a_peer_that_takes_all_numbers_still_gets_an_offer() -> None:
    ours = side("192.0.2.1", "opus", "l16")
    numbers = range(97, 128)
    rtpmaps = "".join(f"a=rtpmap:{number} x{number}/8000\r\n" for number in numbers).encode()
    formats = " ".join(map(str, numbers)).encode()
    ours.answer(
        THEIRS.replace(b"111 96", b"96 " + formats).replace(b"rtpmap:96 telephone-event", b"rtpmap:96 L16") + rtpmaps
    )
    line = SessionDescription.parse(ours.answer(b"")[0]).media[0]
    assert len(set(line.formats)) == len(line.formats)
    assert all(line.encoding(number) for number in line.formats if number not in ("10", "11"))
    assert set(line.formats) & {str(number) for number in numbers} == {"111"}  # which is Opus, as it was


def test_the_name_of_the_session_stays_when_its_address_moves() -> None:
    """RFC 3264 section 8: o= of a changed description is that of the one before but for the version."""
    ours, theirs = side("192.0.2.1"), side("192.0.2.2")
    first = SessionDescription.parse(ours.offer())
    ours.accept(theirs.answer(first.serialize())[0])
    ours.move("192.0.2.9", 7000)
    moved = SessionDescription.parse(ours.offer_address() or b"")
    later = SessionDescription.parse(ours.answer(theirs.offer())[0])
    for each in (moved, later):
        assert (each.username, each.session_id, each.origin) == (first.username, first.session_id, first.origin)
        assert each.connection == "192.0.2.9"
    assert [each.session_version for each in (first, moved, later)] == ["1", "2", "3"]


def test_audio_that_is_switched_off_is_answered_in_kind_and_comes_back() -> None:
    """RFC 3264 section 8.2: a stream that is offered with port 0 must be answered with port 0."""
    ours, theirs = side("192.0.2.1"), side("192.0.2.2")
    offer = theirs.offer()
    off = offer.replace(b"m=audio 5000", b"m=audio 0")
    with pytest.raises(NegotiationError):
        ours.answer(off)  # as a first offer there is nothing in it
    _, before = ours.answer(offer)
    answer, media = ours.answer(off)
    assert before is not None
    assert media is not None
    assert [line.port for line in SessionDescription.parse(answer).media] == [0]
    assert (media.direction, media.remote, media.audio) == (Direction.INACTIVE, before.remote, before.audio)
    assert ours.answer(offer)[1] == before


def test_lines_that_are_passed_over_are_told() -> None:
    told: list[str] = []
    offered = tuple(codecs.offerable(["opus"], 48000, 1))
    ours = Negotiation(Capabilities(offered), Endpoint("192.0.2.1", 5000, 1, 2, "x", 7), told.append)
    ours.answer(THEIRS)
    assert told == []
    ours.answer(THEIRS + b"gr\x1bmpf\r\n" * 12)
    assert told == ["SDP lines passed over: " + "; ".join(["gr?mpf"] * 10) + "; and 2 more"]


# --- keys of SRTP -----------------------------------------------------------------------------------------------------


def encrypted_side(host: str, seed: int, rule: SrtpRule = SrtpRule.OPTIONAL) -> Negotiation:
    offered = tuple(codecs.offerable(("pcmu", "pcma"), 8000, 1))
    side = Negotiation(Capabilities(offered, srtp=rule), Endpoint(host, 5000, 1, 2, "x", 7), rng=random.Random(seed))
    side.protect(sip_encrypted=True)
    return side


def keys(media: NegotiatedMedia | None) -> SrtpKeys:
    assert media is not None
    assert media.security is not None
    assert media.security.keys is not None
    return media.security.keys


def test_refreshes_of_a_session_keep_keys_and_version() -> None:
    ours, theirs = encrypted_side("192.0.2.1", 1), encrypted_side("192.0.2.2", 2)
    offer = ours.offer()
    answers = [theirs.answer(offer) for _ in range(3)]
    assert len({answer for answer, _ in answers}) == 1
    agreed = [keys(ours.accept(answer)) for answer, _ in answers]
    assert agreed[0] == agreed[1] == agreed[2]
    assert agreed[0].remote == keys(answers[0][1]).local


def test_hold_and_resume_keep_the_keys() -> None:
    ours, theirs = encrypted_side("192.0.2.1", 1), encrypted_side("192.0.2.2", 2)
    offer = ours.offer()
    first = keys(theirs.answer(offer)[1])
    for which in (offer.replace(b"a=sendrecv", b"a=sendonly"), offer):
        assert keys(theirs.answer(which)[1]) == first


def test_a_peer_may_change_its_key_and_ours_stays() -> None:
    ours, theirs = encrypted_side("192.0.2.1", 1), encrypted_side("192.0.2.2", 2)
    first = keys(theirs.answer(ours.offer())[1])
    second = keys(theirs.answer(ours.offer())[1])
    assert first.remote != second.remote
    assert first.local == second.local


def test_each_new_offer_has_new_keys() -> None:
    """A call that goes to the next address of its target, or forks, gives none of them a key of another."""
    ours, theirs = encrypted_side("192.0.2.1", 1), encrypted_side("192.0.2.2", 2)
    first, second = ours.offer(), ours.offer()
    assert keys(theirs.answer(first)[1]).remote != keys(theirs.answer(second)[1]).remote


def test_another_address_goes_with_another_key() -> None:
    """RFC 4568 section 7.1.4: whoever is there now may not know how far the counters are."""
    ours, theirs = encrypted_side("192.0.2.1", 1), encrypted_side("192.0.2.2", 2)
    first = keys(ours.accept(theirs.answer(ours.offer())[0]))
    ours.move("192.0.2.9", 7000)
    offer = ours.offer_address()
    assert offer is not None
    answer, media = theirs.answer(offer)
    second = keys(ours.accept(answer))
    assert second.local != first.local
    assert second.local == keys(media).remote
    assert second.remote == first.remote == keys(media).local


def test_a_key_that_was_in_use_does_not_come_back() -> None:
    """Its packet indices would begin anew: encrypted, in clear, and encrypted again."""
    ours, theirs = encrypted_side("192.0.2.1", 1), encrypted_side("192.0.2.2", 2)
    offer = ours.offer()
    first = keys(theirs.answer(offer)[1])
    plain = b"".join(line for line in offer.splitlines(keepends=True) if not line.startswith(b"a=crypto"))
    _, media = theirs.answer(plain)
    assert media is not None
    assert media.security is None
    assert keys(theirs.answer(offer)[1]).local != first.local


def test_another_suite_and_back_is_another_key() -> None:
    ours, theirs = encrypted_side("192.0.2.1", 1), encrypted_side("192.0.2.2", 2)
    offer = ours.offer()
    without_first = b"".join(line for line in offer.splitlines(keepends=True) if not line.startswith(b"a=crypto:1 "))
    used = [keys(theirs.answer(which)[1]) for which in (offer, without_first, offer)]
    assert used[0].profile is used[2].profile is not used[1].profile
    assert len({each.local for each in used}) == 3


def test_early_media_and_the_answer_of_another_fork_each_have_the_key_of_their_peer() -> None:
    ours = encrypted_side("192.0.2.1", 1)
    one, other = encrypted_side("192.0.2.2", 2), encrypted_side("192.0.2.3", 3)
    offer = ours.offer()
    (early, heard), (answer, media) = one.answer(offer), other.answer(offer)
    assert keys(ours.preview(early)).remote == keys(heard).local
    agreed = keys(ours.accept(answer))
    assert agreed.remote == keys(media).local != keys(heard).local
    assert agreed.local == keys(media).remote


def test_an_offer_that_is_asked_for_in_an_encrypted_session_is_encrypted() -> None:
    ours, theirs = encrypted_side("192.0.2.1", 1, SrtpRule.REQUIRED), encrypted_side("192.0.2.2", 2)
    first = keys(theirs.answer(ours.offer())[1])
    theirs.protect(sip_encrypted=False)
    offer, _ = theirs.answer(b"")
    assert b" RTP/SAVP " in offer
    answer, media = ours.answer(offer)
    assert keys(theirs.accept(answer)).remote == keys(media).local
    assert keys(media).remote == first.local


def test_a_re_invite_in_clear_is_refused_where_encryption_is_required() -> None:
    ours, theirs = encrypted_side("192.0.2.1", 1, SrtpRule.REQUIRED), encrypted_side("192.0.2.2", 2, SrtpRule.REQUIRED)
    offer = ours.offer()
    answer, media = theirs.answer(offer)
    plain = b"".join(line for line in offer.splitlines(keepends=True) if not line.startswith(b"a=crypto"))
    for which in (plain, plain.replace(b"RTP/SAVP", b"RTP/AVP")):
        with pytest.raises(NegotiationError, match="--srtp required"):
            theirs.answer(which)
    assert theirs.answer(offer) == (answer, media)


# --- hold by our user -------------------------------------------------------------------------------------------------


def directions(ours: Negotiation, theirs: Negotiation, offer: bytes | None) -> tuple[Direction, Direction]:
    """What both sides do after this offer of ours."""
    assert offer is not None
    answer, media = theirs.answer(offer)
    assert media is not None
    return ours.accept(answer).direction, media.direction


def test_hold_stops_both_directions_and_resume_brings_them_back() -> None:
    ours, theirs = side("192.0.2.1"), side("192.0.2.2")
    assert ours.hold(True) is None  # nothing was described yet
    ours.accept(theirs.answer(ours.offer())[0])
    still, flowing = Direction.INACTIVE, Direction.SENDRECV
    assert not ours.held
    assert directions(ours, theirs, ours.hold(True)) == (still, still)
    assert ours.held
    assert directions(ours, theirs, ours.hold(False)) == (flowing, flowing)
    assert not ours.held


def test_a_call_that_came_in_can_be_held_too() -> None:
    ours, theirs = side("192.0.2.1"), side("192.0.2.2")
    theirs.accept(ours.answer(theirs.offer())[0])
    assert directions(ours, theirs, ours.hold(True)) == (Direction.INACTIVE, Direction.INACTIVE)
    assert directions(ours, theirs, ours.hold(False)) == (Direction.SENDRECV, Direction.SENDRECV)


def test_what_is_negotiated_meanwhile_ends_no_hold() -> None:
    """A refresh by the peer, a change of our address."""
    ours, theirs = side("192.0.2.1"), side("192.0.2.2")
    ours.accept(theirs.answer(ours.offer())[0])
    directions(ours, theirs, ours.hold(True))
    answer, media = ours.answer(theirs.offer())
    assert media is not None
    assert media.direction is theirs.accept(answer).direction is Direction.INACTIVE
    ours.move("192.0.2.9", 7000)
    assert directions(ours, theirs, ours.offer_address()) == (Direction.INACTIVE, Direction.INACTIVE)
    assert directions(ours, theirs, ours.hold(False)) == (Direction.SENDRECV, Direction.SENDRECV)


def test_a_sender_that_only_sends_goes_on_sending_after_a_hold() -> None:
    ours = side("192.0.2.1")
    theirs = Negotiation(
        Capabilities(tuple(codecs.offerable(("pcmu",), 8000, 1)), direction=Direction.RECVONLY),
        Endpoint("192.0.2.2", 5000, 1, 2, "x", 7),
    )
    ours.accept(theirs.answer(ours.offer())[0])
    directions(ours, theirs, ours.hold(True))
    assert directions(ours, theirs, ours.hold(False)) == (Direction.SENDONLY, Direction.RECVONLY)
