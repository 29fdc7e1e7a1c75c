"""Formats of FEC in a media line: FlexFEC (RFC 8627 section 5), ULPFEC (RFC 5109 section 14), RED (RFC 2198 section 5).

RED alone repeats packets; with ULPFEC beside it RED carries both, as WebRTC has it; beside FlexFEC it carries media.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from voip.codecs import Codec
from voip.media import FLEXFEC, RED, ULPFEC
from voip.sdp.description import MAX_DIGITS, MediaDescription, parse_payload_type
from voip.sdp.media import Capabilities
from voip.sdp.payload_types import Numbering

ACCEPTED_REPAIR_WINDOW = 0.26
"""Seconds of repair window that a side announces that only receives: RFC 8627 section 5.1 requires one of every side,
and 13 packets of 20 ms are what our own strongest pattern needs."""
REMEMBERED_PACKETS = 256
"""Packets that a receiver of FlexFEC keeps on either side of a repair packet: no longer window is of use."""


@dataclass(frozen=True)
class FecFormats:
    """A scheme, and its formats in one media line: that of the repair packets, and that of RED."""

    scheme: str
    repair: str | None
    red: str | None

    def carried_by_red(self, number: str) -> tuple[str, str]:
        """The formats of the newest and of the older packets in RED for media of this format (RFC 2198 section 5)."""
        return number, self.repair if self.scheme == ULPFEC and self.repair is not None else number


def find_fec(media: MediaDescription, codec: Codec, number: str, schemes: Iterable[str]) -> FecFormats | None:
    """The first of the schemes that a media line has for its format `number`, which is this codec."""
    red = next((found for found in _named(media, RED) if _carries(media, found, codec, number)), None)
    for scheme in schemes:
        repair = next(_named(media, scheme), None) if scheme != RED else None
        if scheme == RED and red is not None:
            return FecFormats(RED, None, red)
        if repair is not None:
            return FecFormats(scheme, repair, red)
    return None


def offer_fec(media: MediaDescription, capabilities: Capabilities, numbering: Numbering, window: float) -> None:
    """Add what our scheme needs behind our codecs: one format, or for RED one for each clock rate.

    With FlexFEC comes RED for the codec that has copies at a lower bit rate, if there is one.
    """
    scheme, codecs = capabilities.fec_scheme, capabilities.codecs
    rates = dict.fromkeys(codec.clock_rate for codec in codecs)
    if scheme != RED:
        rate = next(iter(rates))
        add_repair(media, scheme, str(numbering.number((scheme, rate, 1))), rate, window)
        if scheme != FLEXFEC or not capabilities.copies:
            return
    known = [(number, codec) for number in media.formats if (codec := media.codec(number)) is not None]
    for rate in rates:
        of_rate = [(number, codec) for number, codec in known if codec.clock_rate == rate]
        carried = [number for number, codec in of_rate if scheme == RED or codec.implementation.makes_copies]
        if not carried:
            continue
        channels = (media.encoding(carried[0]) or ("", rate, 1))[2]
        add_red(media, str(numbering.number((RED, rate, channels))), carried[0], [carried[0], *carried])


def add_repair(media: MediaDescription, scheme: str, number: str, clock_rate: int, window: float) -> None:
    """Add the format of repair packets; FlexFEC says how many seconds they span."""
    media.formats.append(number)
    media.attributes.append(("rtpmap", f"{number} {scheme}/{clock_rate}"))
    if scheme == FLEXFEC:
        media.attributes.append(("fmtp", f"{number} repair-window={round(window * 1e6)}"))


def add_red(media: MediaDescription, number: str, like: str, carried: Iterable[str]) -> None:
    """Add RED with clock rate and channels of another format, and what it may carry, the packet's own first."""
    codec = media.codec(like)
    _, clock_rate, channels = media.encoding(like) or ("", codec.clock_rate if codec else 8000, 1)
    media.formats.append(number)
    suffix = "" if channels == 1 else f"/{channels}"
    media.attributes.append(("rtpmap", f"{number} {RED}/{clock_rate}{suffix}"))
    media.attributes.append(("fmtp", f"{number} {'/'.join(carried)}"))


def repair_window(media: MediaDescription) -> float:
    """Seconds that the repair packets of a peer's FlexFEC span, from its microseconds; 0 if it does not say."""
    text = media.parameter(next(_named(media, FLEXFEC), ""), "repair-window") or ""
    return int(text) / 1e6 if text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS else 0.0


def is_usable(window: float, ptime: float) -> bool:
    """Whether a receiver keeps packets for as long as a repair window, in seconds, for packets of `ptime`.

    If not, FlexFEC must not be agreed on (RFC 8627 section 5.2.1).
    """
    return window <= REMEMBERED_PACKETS * ptime


def without_flexfec(schemes: Iterable[str]) -> tuple[str, ...]:
    """The other schemes."""
    return tuple(scheme for scheme in schemes if scheme != FLEXFEC)


def _named(media: MediaDescription, name: str) -> Iterator[str]:
    """The formats of this encoding name."""
    for number in media.formats:
        encoding = media.encoding(number)
        if encoding and encoding[0].lower() == name and parse_payload_type(number) is not None:
            yield number


def _carries(media: MediaDescription, red: str, codec: Codec, number: str) -> bool:
    """Whether RED of this format is for that codec: by its clock, and by its list where it has one."""
    encoding, listed = media.encoding(red), media.parameters(red)
    if encoding is None or encoding[1] != codec.clock_rate:
        return False
    return not listed or number in (item.strip() for item in listed.split("/"))
