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
    with contextlib.suppress(NegotiationError, ProtocolError):
        if len(data) % 2:
            accept_answer(OFFER, found, ABLE, BOB)
        else:
            make_answer(found, ABLE, BOB)


TARGETS = (Target("sdp", description, lambda: files("sdp/*.sdp")),)
