"""Formats beside the sound of a media line: telephone events (RFC 4733) and comfort noise (RFC 3389)."""

from __future__ import annotations

from collections.abc import Sequence

from voip.codecs import Codec
from voip.media import MAX_PAYLOAD_TYPE
from voip.sdp.description import MediaDescription, parse_payload_type

TELEPHONE_EVENT = "telephone-event"
EVENTS = "0-15"
"""The keys of a telephone (RFC 4733 section 2.4.1)."""
TELEPHONE_RATE = 8000
"""Hz; the only clock at which many phones know events, whatever that of their sound."""
TELEPHONE_NUMBER = 101
"""What nearly everybody uses for them, so that it is nothing else where two ends have not talked about it."""
COMFORT_NOISE = "CN"
COMFORT_NUMBER = "13"
"""Of comfort noise at 8000 Hz (RFC 3551 section 6, table 4)."""
COMFORT_RATE = 8000


def offer_events(media: MediaDescription, codecs: Sequence[Codec]) -> None:
    """Add telephone events at the clock of the codec that we prefer, and at the one that everybody knows.

    Not at those of all codecs, as RFC 4733 section 2.1 has it: two lines each make an INVITE too long for a datagram.
    """
    free = (number for number in range(TELEPHONE_NUMBER, MAX_PAYLOAD_TYPE + 1) if str(number) not in media.formats)
    for clock_rate in dict.fromkeys((codecs[0].clock_rate, TELEPHONE_RATE)):
        add_events(media, str(next(free)), clock_rate)


def add_events(media: MediaDescription, number: str, clock_rate: int) -> None:
    """Add a format of telephone events."""
    media.formats.append(number)
    media.attributes.append(("rtpmap", f"{number} {TELEPHONE_EVENT}/{clock_rate}"))
    media.attributes.append(("fmtp", f"{number} {EVENTS}"))


def find_events(media: MediaDescription, clock_rate: int) -> tuple[str, int] | None:
    """Number and clock of telephone events beside sound of that clock; of another one where there are no others."""
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
    """The number of comfort noise beside sound of that clock."""
    for number in media.formats:
        encoding = media.encoding(number)
        if encoding is None and number == COMFORT_NUMBER:
            encoding = (COMFORT_NOISE, COMFORT_RATE, 1)
        if encoding and encoding[0].upper() == COMFORT_NOISE and encoding[1] == clock_rate:
            return number if parse_payload_type(number) is not None else None
    return None


def expected_comfort(media: MediaDescription, clock_rate: int) -> int | None:
    """The payload type of comfort noise that may come: as described, or unasked, as many phones send it at 8000 Hz."""
    number = find_comfort(media, clock_rate)
    if number is None and clock_rate == COMFORT_RATE and COMFORT_NUMBER not in media.formats:
        number = COMFORT_NUMBER
    return None if number is None else int(number)
