"""A format by its name, with a rate and channels of its own; and what stands for offer and answer with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from voip import codecs
from voip.codecs import Codec
from voip.formats import adts, pcm, seed0, seq16
from voip.formats.datagrams import DatagramFormat
from voip.media import FLEXFEC, AudioFormat, Direction, NegotiatedMedia


class _Kind(NamedTuple):
    """A format before its rate (Hz) and channels are chosen, with the usual ones."""

    make: Callable[[Codec], DatagramFormat]
    codec: Callable[[int, int], Codec | None]
    rate: int
    port: int


def _l16(rate: int, channels: int) -> Codec | None:
    return codecs.find("L16", rate, channels)


_KINDS = {
    "pcm": _Kind(pcm.pcm, _l16, pcm.RATE, pcm.PORT),
    "seq16": _Kind(seq16.seq16, _l16, seq16.RATE, seq16.PORT),
    "seed0": _Kind(seed0.seed0, _l16, seed0.RATE, seed0.PORT),
    "adts": _Kind(adts.adts, adts.codec_of, adts.RATE, adts.PORT),
}
SCHEMES = tuple(_KINDS)
"""The names of the formats, as they begin a target."""


def usual_port(scheme: str) -> int:
    """The UDP port where programs of this format listen. KeyError for a name that is unknown."""
    return _KINDS[scheme].port


def find_format(scheme: str, rate: int | None = None, channels: int = 1) -> DatagramFormat | None:
    """The format of this name; `rate` in Hz, None: the usual one. None if it has no such rate or channels.

    KeyError for a name that is unknown.
    """
    kind = _KINDS[scheme]
    codec = kind.codec(rate or kind.rate, channels)
    return None if codec is None else kind.make(codec)


def media_for(form: DatagramFormat, remote: tuple[str, int], *, direction: Direction, ssrc: int = 0) -> NegotiatedMedia:
    """What both sides know beforehand: `remote` is where we send to, port 0: wherever we hear from. There is no RTCP.

    `ssrc` of ours: none is sent.
    """
    waits = not remote[1]
    comes = form.receive_samples if waits and not direction.sends else None
    time, fec = (comes or form.samples) / form.codec.sample_rate, form.fec_payload_type if waits else None
    return NegotiatedMedia(
        audio=AudioFormat(form.codec, time),
        payload_type=form.payload_type,
        receive_formats=form.receive_formats,
        remote=remote,
        direction=direction,
        local_direction=direction,
        remote_direction=direction.reversed(),
        ssrc=ssrc,
        rtcp_off=True,
        fec=None if fec is None else FLEXFEC,
        fec_payload_type=fec,
        header_change=form.header_change,
    )
