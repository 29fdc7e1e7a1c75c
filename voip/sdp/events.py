"""Formats of a media line that are no audio codec: telephone events (RFC 4733) and comfort noise (RFC 3389)."""

from __future__ import annotations

from collections.abc import Sequence

from voip.codecs import Codec
from voip.media import DTMF_EVENTS
from voip.sdp.description import MediaDescription, parse_number, parse_payload_type

TELEPHONE_EVENT = "telephone-event"
EVENTS = "0-15"
"""The DTMF events: digits, star, pound and A to D (RFC 4733 section 2.4.1)."""
MAX_EVENT = 255
"""The last code of an event: the field has eight bits (RFC 4733 section 2.3.1)."""
TELEPHONE_RATE = 8000
"""Hz; the only clock at which many phones support events, whatever that of their audio codec."""
TELEPHONE_PAYLOAD_TYPE = 101
"""The usual payload type of telephone events; nothing else gets it, for ends that assume it unasked."""
COMFORT_NOISE = "CN"
COMFORT_PAYLOAD_TYPE = "13"
"""The static payload type of comfort noise at 8000 Hz (RFC 3551 section 6, table 4)."""
COMFORT_RATE = 8000


def offered_event_rates(codecs: Sequence[Codec]) -> tuple[int, ...]:
    """Clock rates of the telephone events to offer: that of the codec that we prefer, and the one that phones support.

    Not those of all codecs, as RFC 4733 section 2.1 has it: two lines each make an INVITE too long for a datagram.
    """
    return tuple(dict.fromkeys((codecs[0].clock_rate, TELEPHONE_RATE)))


def add_events(media: MediaDescription, number: str, clock_rate: int) -> None:
    """Add a format of telephone events; a second one without the list, which it has by default (RFC 4733 section
    2.4.1): an INVITE is to fit into a datagram."""
    first = not all_events(media)
    media.formats.append(number)
    media.attributes.append(("rtpmap", f"{number} {TELEPHONE_EVENT}/{clock_rate}"))
    if first:
        media.attributes.append(("fmtp", f"{number} {EVENTS}"))


def all_events(media: MediaDescription) -> dict[int, str]:
    """The first number of telephone events of each clock rate."""
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
    return found


def find_events(media: MediaDescription, clock_rate: int) -> tuple[str, int] | None:
    """Number and clock of telephone events for a codec of that clock; of another clock where there are none."""
    found = all_events(media)
    for wanted in (clock_rate, TELEPHONE_RATE, *found):
        if wanted in found:
            return found[wanted], wanted
    return None


def taken_events(media: MediaDescription, number: str) -> frozenset[int]:
    """The codes of the events that a side takes by the fmtp of its format (RFC 4733 section 2.4.1), or DTMF without."""
    listed = media.parameters(number)
    if not listed:
        return DTMF_EVENTS
    codes: set[int] = set()
    for item in listed.removeprefix("events=").split(","):
        first, dash, last = (part.strip() for part in item.partition("-"))
        low, high = parse_number(first, MAX_EVENT), parse_number(last if dash else first, MAX_EVENT)
        if low is not None and high is not None:
            codes.update(range(low, high + 1))
    return frozenset(codes)


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
