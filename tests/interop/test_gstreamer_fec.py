"""GStreamer's ULPFEC and RED: its streams repaired by us, ours by it, with the same packets lost on the way.

What GStreamer sends is taken from a file, RFC 4571 framed, and heard in virtual time. What it receives has to come over
UDP in real time: its jitter buffer runs on a clock. All these streams run beside each other, for a few seconds.
"""

from __future__ import annotations

import random
import select
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.support.call import (
    FEC_PAYLOAD_TYPE,
    RED_PAYLOAD_TYPE,
    SENDER,
    check,
    intact,
    is_media,
    media,
    noise,
)
from tests.support.fec_packets import new_ulpfec_decoder
from voip.audio import AudioReceiver, AudioSender
from voip.dsp import Pcm
from voip.fec import parse_pattern, red
from voip.rtp import RtpPacket
from voip.session import RtpSession
from voip.stats import ReceiverStats

pytestmark = [pytest.mark.process, pytest.mark.interop]

RATE, STEP = 8000, 160
LOSS = 0.1
SPARED = 5
"""Packets at the start that are never lost, like the last one: both sides must agree on where the stream is."""
PAY = "rtpL16pay pt=96 min-ptime=20000000 max-ptime=20000000"
COPY_ALL = f"rtpulpfecenc pt={FEC_PAYLOAD_TYPE} percentage=100 multipacket=false"
COPY_HALF = f"rtpulpfecenc pt={FEC_PAYLOAD_TYPE} percentage=50 multipacket=false"
WRAP = f"rtpredenc pt={RED_PAYLOAD_TYPE} allow-no-red-blocks=true"
REPEAT = f"rtpredenc pt={RED_PAYLOAD_TYPE} distance=1"


# -- GStreamer sends --------------------------------------------------------------------------------------


def sent_by_gstreamer(pipeline: str, folder: Path) -> list[bytes]:
    """The RTP packets that a pipeline makes."""
    out = folder / "packets"
    command = f"{pipeline} ! rtpstreampay ! filesink location={out}"
    subprocess.run(["gst-launch-1.0", "-q", *command.split()], check=True, timeout=30)
    data, packets = out.read_bytes(), []
    while data:
        size = int.from_bytes(data[:2], "big")
        packets.append(data[2 : 2 + size])
        data = data[2 + size :]
    return packets


def survivors(packets: list[bytes], seed: int) -> list[bytes]:
    rng = random.Random(seed)
    return [data for i, data in enumerate(packets) if i < SPARED or rng.random() >= LOSS]


def is_sound(data: bytes) -> bool:
    """Whether a packet has sound of its own: RED may carry blocks before that, too."""
    packet = RtpPacket.parse(data)
    if packet.payload_type == RED_PAYLOAD_TYPE:
        packet, _ = red.unwrap(packet)
    return packet.payload_type != FEC_PAYLOAD_TYPE


def hear(packets: list[bytes], scheme: str, seconds: float) -> tuple[Pcm, ReceiverStats]:
    """What our receiver makes of packets that arrive when their timestamps say."""
    agreed = media(fec="4", scheme=scheme, repair_window=0.0, remote_ssrc=None, remote_fec_ssrc=None)
    session = RtpSession(agreed)
    receiver = AudioReceiver(agreed, sample_rate=RATE, channels=1, latency=0.08, latency_max=0.5)
    first = RtpPacket.parse(packets[0]).timestamp
    due = [(1000.0 + ((RtpPacket.parse(data).timestamp - first) & 0xFFFFFFFF) / RATE, data) for data in packets]
    heard = []
    for block in range(round((seconds + 0.5) * 100)):
        now = 1000.0 + block / 100
        while due and due[0][0] <= now:
            arrival, data = due.pop(0)
            for packet in session.receive_datagram(data, SENDER, arrival):
                receiver.put(packet, arrival)
        heard.append(receiver.read(RATE // 100, now))
    stats = receiver.snapshot()
    check(stats)
    assert (session.malformed, session.unknown_payload_type, session.stray) == (0, 0, 0)
    return np.concatenate(heard), stats


@pytest.mark.parametrize(
    ("scheme", "elements", "residual"),
    [
        pytest.param("ulpfec", COPY_ALL, LOSS**2, id="a copy of each packet"),
        pytest.param("ulpfec", COPY_HALF, (LOSS + LOSS**2) / 2, id="a copy of every other packet"),
        pytest.param("ulpfec red", f"{COPY_ALL} ! {WRAP}", LOSS**2, id="carried by RED"),
        pytest.param("red", REPEAT, LOSS**2, id="RED that repeats"),
        pytest.param("ulpfec red", f"{COPY_HALF} ! {REPEAT}", LOSS**2, id="RED that carries and repeats"),
    ],
)
def test_a_stream_of_gstreamer_is_repaired(scheme: str, elements: str, residual: float, tmp_path: Path) -> None:
    seconds = 15.0
    sound = noise(seconds)
    source = tmp_path / "sound"
    source.write_bytes(sound.astype("<i2").tobytes())
    parse = f"rawaudioparse format=pcm pcm-format=s16le sample-rate={RATE} num-channels=1"
    pipeline = f"filesrc location={source} blocksize={2 * STEP} ! {parse} ! audioconvert ! {PAY} ! {elements}"
    packets = sent_by_gstreamer(pipeline, tmp_path)
    clean, stats = hear(packets, scheme, seconds)
    assert intact(sound, clean) == len(sound)
    assert (stats.expected, stats.lost, stats.playout.concealed, stats.fec_rejected) == (750, 0, 0, 0)
    left = survivors(packets, seed=7)
    heard, stats = hear(left, scheme, seconds)
    assert stats.expected == 750
    assert stats.lost == sum(map(is_sound, packets)) - sum(map(is_sound, left)) > 50
    assert stats.fec_rejected == 0
    assert stats.lost_after_fec <= 750 * residual + 3 * (750 * residual) ** 0.5
    assert 1.0 - intact(sound, heard) / len(sound) <= 1.3 * stats.lost_after_fec / 750  # cross-fades beside a hole


def test_parity_of_gstreamer_over_several_packets_rebuilds_them(tmp_path: Path) -> None:
    """Of sound GStreamer protects packet by packet, as it looks for the marker bits of video frames."""
    picture = "videotestsrc num-buffers=150 pattern=snow ! video/x-raw,format=I420,width=64,height=48"
    pay = "jpegenc ! rtpjpegpay pt=26 mtu=300"
    protect = f"rtpulpfecenc pt={FEC_PAYLOAD_TYPE} percentage=50 multipacket=true"
    packets = sent_by_gstreamer(f"{picture} ! {pay} ! {protect}", tmp_path)
    left = survivors(packets, seed=3)
    lost = {data for data in packets if is_sound(data)} - set(left)
    decoder = new_ulpfec_decoder(26, FEC_PAYLOAD_TYPE, 3000)
    found = [out for data in left for out in decoder.receive(RtpPacket.parse(data))]
    rebuilt = {packet.serialize() for packet in found if packet.recovered}
    assert rebuilt <= lost
    assert len(rebuilt) > 0.7 * len(lost) > 70
    assert decoder.rejected == 0


# -- GStreamer receives -----------------------------------------------------------------------------------


@dataclass
class Listener:
    """A stream of ours, what of it comes through, and where GStreamer writes what it makes of that."""

    scheme: str
    sound: Pcm
    datagrams: list[tuple[float, bytes]]
    """Seconds since the start, and what is sent then."""
    port: int
    out: Path
    process: subprocess.Popen[bytes]

    def heard(self) -> Pcm:
        return np.fromfile(self.out, ">i2").astype(np.int16).reshape(-1, 1)


@contextmanager
def gstreamer_listening(scheme: str, fec: str, seconds: float, folder: Path) -> Iterator[Listener]:
    agreed = media(fec=fec, scheme=scheme)
    caps = f"application/x-rtp,media=audio,clock-rate={RATE},encoding-name=L16,channels=1,payload=96"
    unwrap = f"rtpreddec pt={RED_PAYLOAD_TYPE} !" if "red" in scheme else ""
    repair = f"rtpulpfecdec pt={FEC_PAYLOAD_TYPE} ! rtpptdemux ignored-payload-types=<{FEC_PAYLOAD_TYPE}> ! {caps} !"
    storage = "rtpstorage size-time=2000000000 !"
    if "ulpfec" not in scheme:
        repair = storage = ""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    out = folder / f"{scheme.replace(' ', '-')}-{fec.replace(':', '-').replace('/', '-')}"
    buffer = "rtpjitterbuffer do-lost=true latency=400"
    source = f"udpsrc address=127.0.0.1 port={port} caps={caps},ssrc=(uint){agreed.ssrc}"
    command = f"{source} ! {unwrap} {storage} {buffer} ! {repair} rtpL16depay ! filesink location={out}"
    with subprocess.Popen(["gst-launch-1.0", "-e", *command.split()], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert any(b"to PLAYING" in line for line in process.stdout)
            sound, datagrams = what_we_send(scheme, fec, seconds)
            yield Listener(scheme, sound, datagrams, port, out, process)
        finally:
            process.kill()


def what_we_send(scheme: str, fec: str, seconds: float) -> tuple[Pcm, list[tuple[float, bytes]]]:
    """Sound, and of its packets those that are not lost, with their moments."""
    sound = noise(seconds)
    agreed, rng = media(fec=fec, scheme=scheme), random.Random(11)
    source = AudioSender(agreed, sample_rate=RATE, channels=1, rng=random.Random(5), pattern=parse_pattern(fec))
    datagrams: list[tuple[float, bytes]] = []
    last = len(sound) - STEP
    for start in range(0, len(sound), STEP):
        spared = start < SPARED * STEP or start == last
        sent = source.write(sound[start : start + STEP], start / RATE)
        datagrams += [(start / RATE, data) for data in sent if spared or rng.random() >= LOSS]
    return sound, datagrams


def send_in_time(listeners: list[Listener]) -> None:
    due = sorted((at, i, data) for i, one in enumerate(listeners) for at, data in one.datagrams)
    start = time.monotonic()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        for at, i, data in due:
            select.select([], [], [], max(0.0, start + at - time.monotonic()))
            out.sendto(data, ("127.0.0.1", listeners[i].port))
    select.select([], [], [], 0.8)  # twice what its jitter buffer holds


def test_streams_of_ours_are_repaired_by_gstreamer_as_by_us(tmp_path: Path) -> None:
    seconds = 4.0
    wanted = [("ulpfec", "4"), ("ulpfec", "1"), ("ulpfec red", "4"), ("red", "sliding:1/1"), ("red", "sliding:1+2/1")]
    with ExitStack() as stack:
        listeners = [stack.enter_context(gstreamer_listening(*what, seconds, tmp_path)) for what in wanted]
        send_in_time(listeners)
        for one in listeners:
            one.process.send_signal(signal.SIGINT)
        for one in listeners:
            one.process.wait(10)
    for one in listeners:
        lost = len(one.sound) // STEP - sum(is_media(RtpPacket.parse(data)) for _, data in one.datagrams)
        ours, stats = hear([data for _, data in one.datagrams], one.scheme, seconds)
        repaired = packets_in(one.sound, one.heard())
        assert stats.lost == lost >= 10
        assert stats.recovered >= lost / 2
        assert len(repaired) == stats.received + stats.recovered, (one.scheme, stats)
        assert packets_in(one.sound, ours) <= repaired  # cross-fades beside a hole cost us a packet that is here


def packets_in(sound: Pcm, heard: Pcm) -> set[int]:
    """Which packets of the sound are heard as they were."""
    places = {heard[i : i + STEP].tobytes() for i in range(len(heard) - STEP + 1)}
    return {start // STEP for start in range(0, len(sound), STEP) if sound[start : start + STEP].tobytes() in places}
