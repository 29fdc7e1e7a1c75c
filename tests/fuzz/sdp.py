"""Fuzz targets of SDP: descriptions as offers and answers, and the parts that have parsers of their own."""

from __future__ import annotations

import contextlib

from tests.fuzz.target import Target, files, read
from tests.support.descriptions import ALL, BOB
from voip.errors import NegotiationError, ProtocolError
from voip.media import Direction
from voip.sdp import Capabilities, SessionDescription, accept_answer, make_answer, make_offer
from voip.sdp.reports import parse_extended_reports

ABLE = Capabilities(tuple(ALL), Direction.SENDRECV)
OFFER = make_offer(ABLE, BOB)


def description(data: bytes) -> None:
    """A description: as an offer to us or, where its length is odd, as the answer to ours. Written and read again it is
    the same."""
    parse_extended_reports([data.decode("utf-8", "replace")])
    found = read(SessionDescription.parse, data)
    if found is None:
        return
    assert SessionDescription.parse(found.serialize()) == found
    if len(data) % 2:
        with contextlib.suppress(NegotiationError, ProtocolError):
            accept_answer(OFFER, found, ABLE, BOB)
    else:
        check_answer(found)


def check_answer(offer: SessionDescription) -> None:
    """RFC 3264 section 6: the answer has the media lines of the offer in their order, each with formats of its own."""
    try:
        answer, _ = make_answer(offer, ABLE, BOB)
    except (NegotiationError, ProtocolError):
        return
    assert SessionDescription.parse(answer.serialize()) == answer
    assert [(line.kind, line.profile) for line in answer.media] == [(line.kind, line.profile) for line in offer.media]
    assert all({*ours.formats} <= {*theirs.formats} for ours, theirs in zip(answer.media, offer.media, strict=True))


TARGETS = (Target("sdp", description, lambda: files("sdp/*.sdp")),)
