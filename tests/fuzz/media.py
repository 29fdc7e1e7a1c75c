"""Fuzz targets of media: packets, reports, FEC of all formats, sessions, what is heard of them, native libraries."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

import numpy as np

from tests.fuzz.target import VECTORS, Target, files, hex_lines, joined, pieces, read
from tests.support.fec_packets import media as protected
from tests.support.fec_packets import new_decoder, new_ulpfec_decoder, repair_over
from tests.support.negotiated import negotiated
from tests.support.ogg import packets as ogg_packets
from tests.support.session_lab import PEER, SENDER_REPORT, STRANGER, packet, repair
from tests.support.session_lab import media as agreed
from voip import codecs
from voip.audio import AudioReceiver
from voip.audio.dtmf import TelephoneEvent
from voip.codecs import Codec
from voip.codecs.pcm import RATES
from voip.dsp import Pcm, Resampler
from voip.dsp.comfort import ComfortNoise
from voip.errors import ProtocolError
from voip.fec import RedDecoder, red
from voip.media import DTMF_EVENTS, Direction
from voip.rtcp import packets as rtcp_packets
from voip.rtp import RtpPacket
from voip.session import RtpSession
from voip.stun import binding_request, is_stun, parse_response

RATE = 8000
BLOCK = 80
"""Samples that the listener reads at a time: 10 ms."""
MOST_READS = 100
"""Blocks that are read while packets come, and after them: a second each, twice what the jitter buffer may hold. Empty
pieces could ask for 95 s of silence else."""


def rtp(data: bytes) -> None:
    """One datagram as RTP, and what events in it say; written and read again it is the same."""
    found = read(RtpPacket.parse, data)
    if found is not None:
        assert RtpPacket.parse(found.serialize()) == found
        read(TelephoneEvent.parse_all, found.payload)


def rtp_seeds() -> Sequence[bytes]:
    return [*hex_lines("rtp/pcma_30ms.txt", "aac/ffmpeg.txt")[:6], packet(1).serialize(), repair().serialize()]


def rtcp(data: bytes) -> None:
    """One datagram as RTCP, a compound and one of reduced size; written and read again it is the same."""
    for reduced in (False, True):
        found = read(rtcp_packets.parse, data, reduced_size=reduced)
        if not found:
            continue
        try:
            written = rtcp_packets.serialize(found)
        except ValueError:  # a CNAME that is no UTF-8 grows in being read, and may not fit then
            continue
        assert rtcp_packets.parse(written, reduced_size=reduced) == found


def rtcp_seeds() -> Sequence[bytes]:
    return [SENDER_REPORT, *_compounds()]


def _compounds() -> Sequence[bytes]:
    from tests.support.rtcp_lab import Call, Link

    call = Call(Link(lose=lambda index: index % 7 == 0), Link())
    call.run(20.0)
    return [datagram for _, _, datagram in call.reports][:8]


def session(data: bytes) -> None:
    """A media port with reports: datagrams of the peer and of others, with time between them."""
    here, now = RtpSession(agreed(direction=Direction.SENDRECV, rtcp_mux=True)), 100.0
    for control, piece in pieces(data):
        now += (control >> 1) / 100.0
        source = PEER if control & 1 else STRANGER
        here.receive_datagram(piece, source, now)
        here.rtcp_to_send(now)
    here.final_report(now)


def session_seeds() -> Sequence[bytes]:
    stream = [(5, packet(index).serialize()) for index in range(12)]
    return [
        joined(*stream),
        joined(*stream[:6], (5, SENDER_REPORT), (5, repair().serialize()), *stream[7:]),
        joined(*((5, each) for each in _compounds())),
    ]


def flexfec(data: bytes) -> None:
    """Repair packets between those that they are about."""
    decoder = new_decoder()
    for index, (control, piece) in enumerate(pieces(data)):
        if control & 1:
            decoder.receive(protected(index))
        with contextlib.suppress(ProtocolError):
            decoder.receive(RtpPacket.parse(piece))


def flexfec_seeds() -> Sequence[bytes]:
    found = repair_over([protected(index) for index in range(4)]).serialize()
    return [
        joined((1, found), (0, found), (1, found)),
        *(joined((1, each)) for each in hex_lines("fec/repair.txt")[:8]),
    ]


def ulpfec(data: bytes) -> None:
    """ULPFEC in the numbers of the media."""
    decoder = new_ulpfec_decoder()
    for index, (control, piece) in enumerate(pieces(data)):
        if control & 1:
            decoder.receive(protected(index))
        with contextlib.suppress(ProtocolError):
            decoder.receive(RtpPacket.parse(piece))


def ulpfec_seeds() -> Sequence[bytes]:
    return [joined(*((index & 1, each) for index, each in enumerate(hex_lines("fec/gstreamer-ulpfec.txt")[:12])))]


def redundancy(data: bytes) -> None:
    """RED, by itself and in a stream."""
    decoder = RedDecoder(media_ssrc=None, media_payload_types=frozenset({0, 96}), step=160)
    with contextlib.suppress(ProtocolError):
        red.parse(data)
    for _, piece in pieces(data):
        with contextlib.suppress(ProtocolError):
            carried, blocks = red.unwrap(RtpPacket.parse(piece))
            decoder.receive(carried, blocks)


def redundancy_seeds() -> Sequence[bytes]:
    captured = hex_lines("fec/gstreamer-red.txt")[:12]
    return [joined(*((0, each) for each in captured)), *(each[12:] for each in captured[:3])]


def stun(data: bytes) -> None:
    """A STUN response."""
    is_stun(data)
    with contextlib.suppress(ProtocolError):
        parse_response(data)


def stun_seeds() -> Sequence[bytes]:
    transaction = bytes(range(12))
    mapped = bytes.fromhex("002000080001a147e112a643")
    return [
        binding_request(transaction),
        bytes.fromhex("0101000c2112a442") + transaction + mapped,
        bytes.fromhex("011100102112a442") + transaction + bytes.fromhex("0009000c00000401") + b"try again",
    ]


def listener(data: bytes) -> None:
    """What becomes of accepted packets: FEC, jitter buffer, events, comfort noise, decoder, play-out."""
    media = negotiated(
        codec=_codec("PCMU"),
        payload_type=0,
        remote=PEER,
        ptime=0.02,
        direction=Direction.RECVONLY,
        fec="flexfec",
        fec_payload_type=97,
        telephone_event_payload_type=101,
        telephone_event_rate=RATE,
        telephone_events=DTMF_EVENTS,
        comfort_noise_payload_type=13,
    )
    receiver, now = AudioReceiver(media, sample_rate=RATE, channels=1, latency=None, latency_max=0.5), 10.0
    reads = MOST_READS
    for control, piece in pieces(data):
        for _ in range(min(control & 7, reads)):
            reads -= 1
            now += BLOCK / RATE
            receiver.read(BLOCK, now)
        with contextlib.suppress(ProtocolError):
            receiver.put(RtpPacket.parse(piece), now)
    receiver.finish(now)
    for _ in range(MOST_READS):
        if receiver.drained:
            break
        now += BLOCK / RATE
        receiver.read(BLOCK, now)


def listener_seeds() -> Sequence[bytes]:
    sound = [(2, packet(index).serialize()) for index in range(10)]
    key = RtpPacket(101, 65535, 160, 0xCAFE0001, bytes.fromhex("050a0320")).serialize()
    comfort = RtpPacket(13, 3, 320, 0xCAFE0001, bytes.fromhex("40a08060")).serialize()
    return [joined(*sound), joined(*sound[:5], (2, key), (2, comfort), *sound[7:])]


def _codec(name: str, rate: int = RATE, fmtp: str = "") -> Codec:
    found = codecs.find(name, rate, 1, fmtp)
    assert found is not None
    return found


def decoding(codec: Callable[[], Codec]) -> Callable[[bytes], None]:
    """A decoder, fed payloads and holes."""

    def run(data: bytes) -> None:
        decoder = codec().decoder()
        for control, piece in pieces(data):
            with contextlib.suppress(ProtocolError):
                if control & 1:
                    decoder.conceal(160, piece if control & 2 else None)
                else:
                    decoder.decode(piece)

    return run


def payloads(*found: bytes) -> Sequence[bytes]:
    return [joined(*((0, each) for each in found[:8])), joined((0, found[0]), (1, b""), (3, found[1]), (0, found[1]))]


def opus_seeds() -> Sequence[bytes]:
    return payloads(*ogg_packets(VECTORS / "opus" / "silk.opus")[2:])


def aac_seeds() -> Sequence[bytes]:
    return payloads(*(each[12:] for each in hex_lines("aac/ffmpeg.txt")))


def g722_seeds() -> Sequence[bytes]:
    voice = files("g722/voice.g722")[0]
    return payloads(voice[:160], voice[160:320])


AAC_FMTP = "mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;config=1188"


def comfort_noise(data: bytes) -> None:
    """A description of background noise."""
    ComfortNoise(1, RATE).sound(data, 160)


HEAD = 7
"""Octets of an input that say between which rates, and of how many channels."""
SLACK = 12
"""Samples that more or fewer may come out than went in: for each flush, which brings whole ones, and for each change of
the ratio, which takes 480 samples and is up to 2 % off meanwhile."""


def resampling(data: bytes) -> None:
    """Blocks of whatever length and whatever samples between two rates that a description may name, the ratio changed
    meanwhile. As much comes out as went in."""
    head = data[:HEAD].ljust(HEAD, b"\0")
    from_rate, other = (RATES[int.from_bytes(each, "big") % len(RATES)] for each in (head[:3], head[3:6]))
    to_rate, channels = (8000, 16000, 44100, 48000, other)[head[6] % 5], 1 + (head[6] >> 7)
    resampler, expected, made, changes = Resampler(from_rate, to_rate, channels), 0.0, 0, 1
    for control, piece in pieces(data[HEAD:]):
        if control & 3 == 3:
            resampler.set_ratio(1.0 + ((control >> 2) - 32) / 32 / 101)  # both bounds of it are within 1 / MAX_RATIO
            changes += 1
        block = np.frombuffer(piece[: len(piece) // (2 * channels) * 2 * channels], "<i2").reshape(-1, channels)
        expected += len(block) / from_rate * to_rate / resampler.ratio
        made += _whole(resampler.process(block), channels)
        if control & 3 == 2:
            made += _whole(resampler.flush(), channels)
            changes += 1
    made += _whole(resampler.flush(), channels)
    assert abs(made - expected) <= SLACK * changes


def _whole(pcm: Pcm, channels: int) -> int:
    assert pcm.dtype == np.int16
    assert pcm.shape[1:] == (channels,)
    return len(pcm)


def resampling_seeds() -> Sequence[bytes]:
    rates = [(44100, 3), (8000, 2), (48000, 3), (192000, 0), (11025, 0x83)]
    sound = [bytes(range(256)) * count for count in (1, 2, 4)]
    parts = joined((0, sound[0]), (3, sound[1]), (0, b""), (255, sound[2]), (2, b""), (1, sound[0]))
    return [(rate - RATES[0]).to_bytes(3, "big") + bytes([0, 0, 0, choice]) + parts for rate, choice in rates]


TARGETS = (
    Target("rtp", rtp, rtp_seeds, 400),
    Target("rtcp", rtcp, rtcp_seeds, 1500),
    Target("session", session, session_seeds),
    Target("flexfec", flexfec, flexfec_seeds),
    Target("ulpfec", ulpfec, ulpfec_seeds),
    Target("red", redundancy, redundancy_seeds),
    Target("stun", stun, stun_seeds, 600),
    Target("listener", listener, listener_seeds),
    Target("comfort-noise", comfort_noise, lambda: [bytes.fromhex("40a08060")], 64),
    Target("resampler", resampling, resampling_seeds),
    Target("opus", decoding(lambda: _codec("opus", 48000)), opus_seeds),
    Target("g722", decoding(lambda: _codec("G722")), g722_seeds),
    Target("aac", decoding(lambda: _codec("mpeg4-generic", 48000, AAC_FMTP)), aac_seeds),
)
