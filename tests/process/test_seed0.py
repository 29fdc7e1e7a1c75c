"""`--compat seed0`: the scripts and a program of that dialect, as real processes and sockets."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from tests.support.datagrams import stream
from tests.support.plain_rtp import PATIENT, WAITS, speech
from tests.support.processes import LOOPBACK, free_ports, receiver, sender
from tests.support.small_programs import PCM_RATE, Arrival, play_seed0, seed0_datagrams
from tests.support.wav import load
from tests.support.wavdiff import compare, compare_files

OK = b"SIP/2.0 200 OK\r\n\r\n"
OPENS = 0.5
"""Seconds from the first line of a receiver to its open ports, at most."""


@dataclass
class TheirReceiver:
    """What came to it. It answers whatever contains INVITE, and ends with what contains BYE."""

    sip_port: int
    media_port: int
    answer: bytes
    messages: list[bytes] = field(default_factory=list)
    media: list[bytes] = field(default_factory=list)


@contextlib.contextmanager
def their_receiver(answer: bytes = OK) -> Iterator[TheirReceiver]:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sip,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as rtp,
    ):
        for sock in (sip, rtp):
            sock.bind((LOOPBACK, 0))
            sock.settimeout(0.2)
        it = TheirReceiver(sip.getsockname()[1], rtp.getsockname()[1], answer)
        ended = threading.Event()

        def serve() -> None:
            while not ended.is_set():
                with contextlib.suppress(TimeoutError):
                    data, source = sip.recvfrom(1024)
                    it.messages.append(data)
                    if b"INVITE" in data and it.answer:
                        sip.sendto(it.answer, source)

        def collect() -> None:
            while not ended.is_set():
                with contextlib.suppress(TimeoutError):
                    it.media.append(rtp.recv(65535))

        threads = [threading.Thread(target=each) for each in (serve, collect)]
        for thread in threads:
            thread.start()
        try:
            yield it
        finally:
            ended.set()
            for thread in threads:
                thread.join()


def request(method: str, number: int) -> bytes:
    lines = (f"{method} sip:receiver@{LOOPBACK} SIP/2.0", "Call-ID: " + "0" * 32, f"CSeq: {number} {method}", "", "")
    return "\r\n".join(lines).encode()


@pytest.mark.process
def test_their_sender_to_our_receiver(tmp_path: Path) -> None:
    sent, (sip_port, media_ports) = speech(tmp_path, PCM_RATE, 4.0), free_ports()
    whole = seed0_datagrams(load(sent)[0])
    arrivals = [each for index, each in enumerate(whole) if index % 22 != 5]
    options = ("--compat", "seed0", "-o", "heard.wav", "--once", *PATIENT)
    with (
        receiver(tmp_path, *options, ports=(sip_port, media_ports), ready=WAITS) as far,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sip,
    ):
        time.sleep(OPENS)
        sip.settimeout(5.0)
        for stray in (b"I love INVITEs", b"BYE x"):
            sip.sendto(stray, (LOOPBACK, sip_port))
        sip.sendto(request("INVITE", 1), (LOOPBACK, sip_port))
        assert sip.recv(1024) == OK
        acknowledged = stream(arrivals, media_ports[0])
        sip.sendto(request("BYE", 2), (LOOPBACK, sip_port))
        end = far.finish()
    assert (end.status, end.call["end_reason"]) == (0, "remote-bye")
    media = [each.data for each in arrivals if each.data[1] == 0]
    assert acknowledged == [b"ACK!" + data[2:4] for data in media]
    assert end.call["rx"]["recovered"] == end.call["rx"]["lost"] == 2 * len(range(5, len(whole), 22))
    found = compare_files(sent, tmp_path / "heard.wav")
    assert found.heard > 0.97
    assert found.wrong <= PCM_RATE // 20  # but for what a busy machine has brought too late


@pytest.mark.process
def test_our_sender_to_their_receiver(tmp_path: Path) -> None:
    sent = speech(tmp_path, PCM_RATE)
    with their_receiver() as far:
        target = f"seed0://{LOOPBACK}:{far.media_port}?sip={far.sip_port}"
        with sender(tmp_path, target, "-i", str(sent)) as near:
            end = near.finish()
        time.sleep(0.5)
    assert end.status == 0
    invite, bye = far.messages
    assert re.fullmatch(
        rb"INVITE sip:receiver@127\.0\.0\.1 SIP/2\.0\r\nCall-ID: [0-9a-f]{32}\r\nCSeq: 1 INVITE\r\n\r\n", invite
    )
    assert re.fullmatch(rb"BYE sip:receiver@127\.0\.0\.1 SIP/2\.0\r\nCall-ID: [0-9a-f]{32}\r\nCSeq: 2 BYE\r\n\r\n", bye)
    whole = len(far.media) // 11 * 11  # what parity is over
    lost = range(5, whole, 22)
    have, rebuilt = play_seed0([Arrival(0.0, each) for index, each in enumerate(far.media) if index not in lost])
    assert rebuilt == len(lost)
    sound = np.frombuffer(b"".join(have[number] for number in sorted(have)), "<i2")[:, None]
    assert compare(load(sent)[0], sound.astype(np.int16), PCM_RATE).exact


@pytest.mark.process
@pytest.mark.parametrize("how", ["signal", "duration"])
def test_whatever_ends_our_sender_says_bye(tmp_path: Path, how: str) -> None:
    with their_receiver() as far:
        target = f"seed0://{LOOPBACK}:{far.media_port}?sip={far.sip_port}"
        ends = () if how == "signal" else ("-t", "1s")
        with sender(tmp_path, target, "-i", "tone", *ends) as near:
            near.wait_for("stream to")
            if how == "signal":
                near.stop()
            assert near.finish().status == 0
        time.sleep(0.5)
    assert [each.partition(b" ")[0] for each in far.messages] == [b"INVITE", b"BYE"]


@pytest.mark.process
@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [(b"", 5, "does not answer"), (b"SIP/2.0 486 Busy Here\r\n\r\n", 6, "486 Busy Here")],
)
def test_a_call_that_does_not_come_about_ends_with_its_reason(
    tmp_path: Path, answer: bytes, status: int, said: str
) -> None:
    with their_receiver(answer) as far:
        target = f"seed0://{LOOPBACK}:{far.media_port}?sip={far.sip_port}"
        with sender(tmp_path, target, "-i", "tone", "--connect-timeout", "2s") as near:
            end = near.finish()
    assert (end.status, far.media) == (status, [])
    assert said in end.stderr


@pytest.mark.process
def test_both_scripts_by_the_dialect(tmp_path: Path) -> None:
    sent, (sip_port, media_ports) = speech(tmp_path, PCM_RATE), free_ports()
    options = ("--compat", "seed0", "-o", "heard.wav", "--once", *PATIENT)
    with receiver(tmp_path, *options, ports=(sip_port, media_ports), ready=WAITS) as far:
        target = f"seed0://{LOOPBACK}:{media_ports[0]}?sip={sip_port}"
        with sender(tmp_path, target, "-i", str(sent)) as near:
            assert near.finish().status == 0
        end = far.finish()
    assert (end.status, end.call["end_reason"]) == (0, "remote-bye")
    assert end.call["fec"]["scheme"] == "flexfec"
    assert compare_files(sent, tmp_path / "heard.wav").exact
