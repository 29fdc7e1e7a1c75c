"""Fuzz targets of the formats of datagrams that are not RTP: a port of each, with its playback's session."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from tests.fuzz.target import VECTORS, Target, joined, pieces
from tests.support.session_lab import PEER, STRANGER
from tests.support.small_programs import pcm_datagrams, seed0_datagrams, seq16_datagrams
from tests.support.sound import noise
from voip.formats import SCHEMES, Framing, find_format, media_for
from voip.formats.bare_sip import OK, BareCallee, BareCaller
from voip.media import Direction
from voip.session import RtpSession


def port(scheme: str) -> Callable[[bytes], None]:
    """Datagrams of a peer and of others, with time between them; what is accepted is written again."""

    def run(data: bytes) -> None:
        form = find_format(scheme)
        assert form is not None
        framing = Framing(form)
        session = RtpSession(media_for(form, ("0.0.0.0", 0), direction=Direction.SENDRECV))
        now = 100.0
        for control, piece in pieces(data):
            now += (control >> 1) / 100.0
            source = PEER if control & 1 else STRANGER
            for datagram, at in framing.read(piece, source, now):
                for packet in session.receive_datagram(datagram, source, at):
                    framing.write(packet.serialize())

    return run


def seeds(scheme: str) -> Callable[[], Sequence[bytes]]:
    def found() -> Sequence[bytes]:
        sound = noise(4 * 1024)
        if scheme == "adts":
            file = (VECTORS / "adts" / "sine.aac").read_bytes()
            sent = [file, file[:1472], file[1472:2944]]
        elif scheme == "seed0":
            sent = [each.data for each in seed0_datagrams(noise(12 * 1024))]
        elif scheme == "pcm":
            sent = [each.data for each in pcm_datagrams(sound)]
        else:
            sent = [each.data for each in seq16_datagrams(sound, first=65534)]
        return [joined(*((5, each) for each in sent)), joined((5, b"TEST_MESSAGE"), (4, b"\0\0"), (5, sent[0]))]

    return found


def bare_sip(data: bytes) -> None:
    """Messages of the signalling of start lines alone, to both sides of it."""
    callee, caller = BareCallee(), BareCaller("192.0.2.2", random.Random(1), 100.0, 10.0)
    for control, piece in pieces(data):
        callee.receive(piece, PEER, (None, PEER[0], STRANGER[0])[control % 3])
        caller.receive(piece)
    caller.invite(101.0)


def bare_sip_seeds() -> Sequence[bytes]:
    caller = BareCaller("192.0.2.2", random.Random(1), 100.0, 10.0)
    return [joined((0, caller.invite(100.0) or b""), (1, caller.bye()), (2, OK), (0, b"SIP/2.0 486 Busy Here\r\n\r\n"))]


TARGETS = (
    *(Target(f"datagrams-{scheme}", port(scheme), seeds(scheme), 32768) for scheme in SCHEMES),
    Target("bare-sip", bare_sip, bare_sip_seeds),
)
