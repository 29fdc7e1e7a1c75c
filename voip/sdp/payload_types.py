"""What the payload types of one session mean: numbers keep their meaning while it lasts (RFC 3264 section 8.3.2)."""

from __future__ import annotations

from collections.abc import Iterator

from voip.media import FIRST_DYNAMIC, MAX_PAYLOAD_TYPE
from voip.sdp.description import MediaDescription, SessionDescription, parse_payload_type
from voip.sdp.events import TELEPHONE_EVENT, TELEPHONE_PAYLOAD_TYPE

UNASSIGNED = range(35, 64)
"""Payload types that RFC 3551 section 6 leaves free, for when all dynamic ones are taken; 64 to 95 would be mistaken
for RTCP on the same port (RFC 5761 section 4)."""

Encoding = tuple[str, int, int]
"""Encoding name, clock rate and channels, as a=rtpmap has them."""


class PayloadTypes:
    """Number -> meaning of all descriptions of a session, ours and the peer's; the newest meaning counts."""

    def __init__(self) -> None:
        self._meanings: dict[int, Encoding] = {}

    def remember(self, description: SessionDescription) -> None:
        """A description was sent or received."""
        for media in description.media:
            for text in media.formats if media.kind == "audio" else ():
                number, encoding = parse_payload_type(text), media.encoding(text)
                if number is not None and encoding is not None:
                    self._meanings[number] = _normal(encoding)

    def numbers(self, media: MediaDescription) -> Numbering:
        """What gives out the numbers of a media line that we describe."""
        return Numbering(media, dict(self._meanings))


class Numbering:
    """Gives formats of one media line their numbers: those that they had, else ones that never meant anything else."""

    def __init__(self, media: MediaDescription, meanings: dict[int, Encoding]) -> None:
        self._media, self._meanings = media, meanings

    def number(self, encoding: Encoding) -> int:
        """The number of a format that has no static one."""
        wanted, used = _normal(encoding), set(self._media.formats)
        for number, meaning in self._meanings.items():
            if meaning == wanted and str(number) not in used:
                return number
        return next(number for number in self._free(wanted) if str(number) not in used)

    def _free(self, wanted: Encoding) -> Iterator[int]:
        """Numbers to choose from, the best first. That of telephone events is for them: some peers assume it."""
        dynamic = range(FIRST_DYNAMIC, MAX_PAYLOAD_TYPE + 1)
        events = wanted[0] == TELEPHONE_EVENT
        ordered = [number for number in dynamic if (number >= TELEPHONE_PAYLOAD_TYPE if events else True)]
        for number in (*ordered, *UNASSIGNED):
            if number not in self._meanings and (events or number != TELEPHONE_PAYLOAD_TYPE):
                yield number
        yield from dynamic  # a peer that has named all of them must bear with a change


def _normal(encoding: Encoding) -> Encoding:
    return encoding[0].lower(), encoding[1], encoding[2]
