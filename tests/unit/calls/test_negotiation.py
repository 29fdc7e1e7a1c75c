"""Offers and answers of one call: what the two sides agree on, and when a description gets another version."""

from __future__ import annotations

import pytest

from voip import codecs
from voip.calls.negotiation import Negotiation
from voip.errors import NegotiationError, ProtocolError
from voip.sdp import Capabilities, Endpoint, SessionDescription


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
