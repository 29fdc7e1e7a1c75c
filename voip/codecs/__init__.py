"""Audio codecs and their names on the wire (RFC 3551 sections 4.5 and 6, RFC 8866 section 6.6).

codec     Codec, Encoder, Decoder, Implementation: what all of them share
opus      Opus (RFC 7587), by libopus
pcm       L16, PCMU and PCMA (RFC 3551)
g722      G.722 (RFC 3551)
aac       AAC-LC as mpeg4-generic (RFC 3640), by FFmpeg

To add one:

1. Write `voip/codecs/x.py` with an `Implementation`. Five methods have no default: `complete` (from a=rtpmap to a
   `Codec`), `formats` (what to offer), `encoder`, `decoder`, and `encoded_size` (so that packets fit a datagram).
   Static payload types go into `static`. A format with parameters also has `offered`, `understands` and `negotiated`.
2. Its encoder is an `Encoder`, its decoder has `decode` and `conceal`: `voip.dsp.Concealer` fills the gaps of a format
   that has no concealment of its own. A payload that cannot be decoded raises ProtocolError, nothing else.
3. Import a library only when it is needed, say in `missing` how to install it, and name it in pyproject.toml.
4. Put the implementation into IMPLEMENTATIONS, at its place in the order of preference, and write
   `tests/unit/codecs/test_x.py`.

Nothing else knows the codecs by name: SDP, the sender, the receiver and the options follow from this.
"""

from __future__ import annotations

from collections.abc import Sequence

from voip.codecs.aac import Aac
from voip.codecs.codec import Codec, Decoder, Encoder, Implementation
from voip.codecs.g722 import G722
from voip.codecs.opus import Opus
from voip.codecs.pcm import G711, L16
from voip.dsp import Pcm

__all__ = [
    "DEFAULT",
    "NAMES",
    "Codec",
    "Decoder",
    "Encoder",
    "Implementation",
    "Pcm",
    "find",
    "missing",
    "offerable",
    "static",
]

IMPLEMENTATIONS: tuple[Implementation, ...] = (Opus(), G722(), G711("PCMU"), G711("PCMA"), L16(), Aac())
"""In order of preference: what sounds best for its bit rate first. L16 at 48 kHz takes 963 kbit/s with all headers,
more than the networks that this is made for have: without Opus it would be what is used. No phone knows AAC."""

NAMES = tuple(implementation.label for implementation in IMPLEMENTATIONS)
"""The common names of the codecs, in order of preference."""
DEFAULT = tuple(name for name in NAMES if name != "aac")
"""Those that are offered and accepted unless others are asked for. No phone speaks AAC in a call, its lines would make
an INVITE longer than the 1300 bytes up to which it may go over UDP (RFC 3261 section 18.1.1), and its decoder is a
large native library: what strangers send reaches it only where the user wants that."""


def find(name: str, clock_rate: int, channels: int, fmtp: str = "") -> Codec | None:
    """The codec with this encoding name (in any case), clock rate and channels; None if it is unknown.

    `fmtp`: format parameters of the peer's; None too if they ask for a kind of it that is unknown.
    """
    known = next((known for known in IMPLEMENTATIONS if known.name.lower() == name.lower()), None)
    if known is None:
        return None
    number = next((number for number, form in known.static.items() if form == (clock_rate, channels)), None)
    codec = known.complete(Codec(known.name, clock_rate, clock_rate, channels, number, implementation=known))
    return codec if codec is not None and known.understands(codec, fmtp) else None


def static(payload_type: int) -> Codec | None:
    """The codec with this static payload type (RFC 3551 section 6); None if it is unknown."""
    for known in IMPLEMENTATIONS:
        if payload_type in known.static:
            return find(known.name, *known.static[payload_type])
    return None


def missing(name: str) -> str | None:
    """None if the codec of this name works here, else a line that says what to install. May load a library."""
    known = _named(name)
    return f"unknown codec {name!r}" if known is None else known.missing()


def offerable(names: Sequence[str], sample_rate: int, channels: int, bitrate: int | None = None) -> list[Codec]:
    """What to offer for these codec names, in their order, when the device has this rate and these channels.

    `bitrate` (bit/s) is for those that leave a choice. ValueError for an unknown name.
    """
    found: list[Codec] = []
    for name in names:
        known = _named(name)
        if known is None:
            raise ValueError(f"unknown codec {name!r}; known: {', '.join(NAMES)}")
        for clock_rate, count in known.formats(sample_rate, channels):
            codec = find(known.name, clock_rate, count)
            if codec is None:
                continue
            codec = known.offered(codec, sample_rate, channels, bitrate)
            if codec not in found:
                found.append(codec)
    return found


def _named(name: str) -> Implementation | None:
    """What is commonly called so, or in SDP."""
    wanted = name.lower()
    return next((known for known in IMPLEMENTATIONS if wanted in (known.label, known.name.lower())), None)
