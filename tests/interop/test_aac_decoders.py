"""What we send as AAC, heard by ffmpeg and by GStreamer."""

from __future__ import annotations

import random
import socket
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.support.call import media
from tests.support.peers import require
from tests.support.processes import LOOPBACK, PATIENCE, free_ports, until
from tests.support.voice import speech
from tests.support.wav import load
from tests.support.wavdiff import compare
from voip import codecs
from voip.audio import AudioSender
from voip.codecs import Codec, Pcm, aac
from voip.sdp import Capabilities, Endpoint, effective_ptime
from voip.sdp.plain import describe

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(codecs.missing("aac") is not None, reason=str(codecs.missing("aac"))),
]

RATE = 48000
SECONDS = 2.0
SNR = 20.0  # dB


def known(channels: int) -> Codec:
    (codec,) = codecs.offerable(["aac"], RATE, channels)
    return codec


def datagrams(said: Pcm, ptime: float) -> list[bytes]:
    codec = known(said.shape[1])
    agreed = media(codec, ptime=effective_ptime(codec, ptime))
    sender = AudioSender(agreed, sample_rate=RATE, channels=said.shape[1], rng=random.Random(1))
    return sender.write(said, 0.0)


def said(channels: int) -> Pcm:
    mono = speech(RATE, SECONDS)
    return mono if channels == 1 else np.concatenate((mono, np.roll(mono, 4800, 0)), 1)


def assert_heard(sound: Pcm, heard: Path) -> None:
    samples, rate = load(heard)
    difference = compare(sound, samples, rate)
    assert rate == RATE
    assert samples.shape[1] == sound.shape[1]
    assert difference.compared >= SECONDS - 0.3, difference
    assert difference.snr >= SNR, difference


@pytest.mark.parametrize(("channels", "ptime"), [(1, 0.02), (2, 0.06)])
def test_gstreamer_takes_our_packets_apart(channels: int, ptime: float, tmp_path: Path) -> None:
    require("gst-launch-1.0", "ffmpeg")
    sound = said(channels)
    framed = b"".join(struct.pack("!H", len(data)) + data for data in datagrams(sound, ptime))  # RFC 4571
    (tmp_path / "sent.rtp").write_bytes(framed)
    config = aac.Config(RATE, channels).serialize().hex()
    caps = (
        "application/x-rtp-stream,media=audio,clock-rate=48000,encoding-name=MPEG4-GENERIC,mode=AAC-hbr,payload=96,"
        f"config=(string){config},sizelength=(string)13,indexlength=(string)3,indexdeltalength=(string)3"
    )
    pipeline = f"filesrc location={tmp_path}/sent.rtp ! {caps} ! rtpstreamdepay ! rtpmp4gdepay ! aacparse"
    pipeline += f" ! audio/mpeg,stream-format=adts ! filesink location={tmp_path}/heard.aac"
    subprocess.run(["gst-launch-1.0", "-q", *pipeline.split()], check=True, timeout=PATIENCE)
    decode = ["ffmpeg", "-v", "error", "-i", f"{tmp_path}/heard.aac", "-c:a", "pcm_s16le", f"{tmp_path}/heard.wav"]
    subprocess.run(decode, check=True, timeout=PATIENCE)
    assert_heard(sound, tmp_path / "heard.wav")


def test_ffmpeg_plays_our_stream_by_the_sdp_that_we_write(tmp_path: Path) -> None:
    require("ffmpeg")
    _, ports = free_ports()
    port = ports.start
    description = describe(Capabilities((known(1),), fec=False), Endpoint(LOOPBACK, port, 0x11111111, 0, "a", 1))
    (tmp_path / "us.sdp").write_bytes(description.serialize())
    command = ["ffmpeg", "-v", "error", "-protocol_whitelist", "file,udp,rtp", "-i", f"{tmp_path}/us.sdp"]
    command += ["-t", "1.8", "-c:a", "pcm_s16le", f"{tmp_path}/heard.wav"]
    sound = said(1)
    with (
        subprocess.Popen(command, stdin=subprocess.DEVNULL) as player,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours,
    ):
        until(lambda: f":{port:04X} " in Path("/proc/net/udp").read_text(), "ffmpeg listens")
        for data in datagrams(sound, 0.02):
            ours.sendto(data, (LOOPBACK, port))
        assert player.wait(PATIENCE) == 0
    assert_heard(sound, tmp_path / "heard.wav")
