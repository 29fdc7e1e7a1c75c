"""Formats of a media line that are no audio codec: telephone events (RFC 4733) and comfort noise (RFC 3389)."""

from __future__ import annotations

from collections.abc import Sequence

from voip.codecs import Codec
from voip.media import MAX_PAYLOAD_TYPE
from voip.sdp.description import MediaDescription, parse_payload_type

TELEPHONE_EVENT = "telephone-event"
EVENTS = "0-15"
"""The DTMF events: digits, star, pound and A to D (RFC 4733 section 2.4.1)."""
TELEPHONE_RATE = 8000
"""Hz; the only clock at which many phones support events, whatever that of their audio codec."""
TELEPHONE_PAYLOAD_TYPE = 101
"""The usual payload type of telephone events; nothing else gets it, for ends that assume it unasked."""
COMFORT_NOISE = "CN"
COMFORT_PAYLOAD_TYPE = "13"
"""The static payload type of comfort noise at 8000 Hz (RFC 3551 section 6, table 4)."""
COMFORT_RATE = 8000


def offer_events(media: MediaDescription, codecs: Sequence[Codec]) -> None:
    """Add telephone events at the clock of the codec that we prefer, and at the one that all phones support.

    Not at those of all codecs, as RFC 4733 section 2.1 has it: two lines each make an INVITE too long for a datagram.
    """
    free = (
        number for number in range(TELEPHONE_PAYLOAD_TYPE, MAX_PAYLOAD_TYPE + 1) if str(number) not in media.formats
    )
    for clock_rate in dict.fromkeys((codecs[0].clock_rate, TELEPHONE_RATE)):
        add_events(media, str(next(free)), clock_rate)


def add_events(media: MediaDescription, number: str, clock_rate: int) -> None:
    """Add a format of telephone events."""
    media.formats.append(number)
    media.attributes.append(("rtpmap", f"{number} {TELEPHONE_EVENT}/{clock_rate}"))
    media.attributes.append(("fmtp", f"{number} {EVENTS}"))


def find_events(media: MediaDescription, clock_rate: int) -> tuple[str, int] | None:
    """Number and clock of telephone events for a codec of that clock; of another clock where there are none."""
    found: dict[int, str] = {}
    for number in media.formats:
        encoding = media.encoding(number)
        if (
            encoding
            and encoding[0].lower() == TELEPHONE_EVENT
            and parse_payload_type(number) is not None
            and encoding[1]
        ):
            found.setdefault(encoding[1], number)
    for wanted in (clock_rate, TELEPHONE_RATE, *found):
        if wanted in found:
            return found[wanted], wanted
    return None


def add_comfort(media: MediaDescription, number: str, clock_rate: int) -> None:
    """Add a format of comfort noise."""
    media.formats.append(number)
    media.attributes.append(("rtpmap", f"{number} {COMFORT_NOISE}/{clock_rate}"))


def find_comfort(media: MediaDescription, clock_rate: int) -> str | None:
    """The number of comfort noise for a codec of that clock."""
    for number in media.formats:
        encoding = media.encoding(number)
        if encoding is None and number == COMFORT_PAYLOAD_TYPE:
            encoding = (COMFORT_NOISE, COMFORT_RATE, 1)
        if encoding and encoding[0].upper() == COMFORT_NOISE and encoding[1] == clock_rate:
            return number if parse_payload_type(number) is not None else None
    return None


def expected_comfort(media: MediaDescription, clock_rate: int) -> int | None:
    """The payload type of comfort noise that may come: as described, or unasked, as many phones send it at 8000 Hz."""
    number = find_comfort(media, clock_rate)
    if number is None and clock_rate == COMFORT_RATE and COMFORT_PAYLOAD_TYPE not in media.formats:
        number = COMFORT_PAYLOAD_TYPE
    return None if number is None else int(number)
