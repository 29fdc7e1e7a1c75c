"""Fuzz targets of SDP: descriptions as offers and answers, and the parts that have parsers of their own."""

from __future__ import annotations

import contextlib

from tests.fuzz.target import Target, files
from tests.support.descriptions import ALL, BOB
from voip.errors import NegotiationError, ProtocolError
from voip.media import Direction
from voip.sdp import Capabilities, SessionDescription, accept_answer, make_answer, make_offer
from voip.sdp.reports import parse_extended_reports

ABLE = Capabilities(tuple(ALL), Direction.SENDRECV)
OFFER = make_offer(ABLE, BOB)


def description(data: bytes) -> None:
    """A description: as an offer to us or, where its length is odd, as the answer to ours; written and read again."""
    with contextlib.suppress(ProtocolError):
        found = SessionDescription.parse(data)
        SessionDescription.parse(found.serialize())
        with contextlib.suppress(NegotiationError, ProtocolError):
            if len(data) % 2:
                accept_answer(OFFER, found, ABLE, BOB)
            else:
                make_answer(found, ABLE, BOB)
        parse_extended_reports([data.decode("utf-8", "replace")])


TARGETS = (Target("sdp", description, lambda: files("sdp/*.sdp")),)
