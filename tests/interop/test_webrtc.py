"""Encrypted calls with Chrome's engine (pip wrtc): ICE, DTLS-SRTP, BUNDLE and rtcp-mux, in both directions.

SIP is written by hand and carries its descriptions as they are; the sound of both sides is compared.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.processes import LOOPBACK, PATIENCE, ROOT, assert_identities, receiver, sender
from tests.support.raw_peer import raw_peer
from tests.support.sound import speechlike
from tests.support.text_phone import CRLF
from tests.support.wav import load, save
from tests.support.wavdiff import compare

pytestmark = [pytest.mark.process, pytest.mark.interop]

SECONDS = 5.0
RATE = 48_000
SPEECH = ("--codec", "opus", "--two-way", "--latency", "200ms")


class Engine:
    """The running engine: what it says of itself, and its two files."""

    def __init__(self, folder: Path, role: str) -> None:
        self.says, self.heard = folder / "engine-says.wav", folder / "engine-heard.wav"
        save(self.says, speechlike(RATE, SECONDS + 2.0, seed=2), RATE)
        self.log = (folder / "engine.log").open("w+b")
        command = [sys.executable, "-m", "tests.interop.webrtc_engine", role, str(self.says), str(self.heard)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=self.log)
        self.lines: queue.Queue[bytes] = queue.Queue()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(line)

    def next(self) -> dict[str, str]:
        """The next thing that it says of itself."""
        try:
            found: dict[str, str] = json.loads(self.lines.get(timeout=2 * PATIENCE))
        except queue.Empty:
            self.log.seek(0)
            raise AssertionError(self.log.read().decode()[-3000:]) from None
        return found

    def give(self, description: str) -> None:
        """The other side's description."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"sdp": description}).encode() + b"\n")
        self.process.stdin.flush()

    def finish(self) -> None:
        """Have it write what it has heard."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(PATIENCE)

    def close(self) -> None:
        """Gone, whatever it does."""
        self.process.kill()
        self.process.wait()
        self.reader.join(PATIENCE)
        for stream in (self.process.stdin, self.process.stdout, self.log):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()


@contextlib.contextmanager
def engine(folder: Path, role: str) -> Iterator[Engine]:
    if find_spec("webrtc") is None:
        reason = "needs wrtc: pip install -r tests/requirements.txt"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    running = Engine(folder, role)
    try:
        yield running
    finally:
        running.close()


def body(message: str) -> str:
    return message.split(CRLF * 2, 1)[1]


def hidden(description: str) -> str:
    """With the addresses of its candidates as a browser writes them without a microphone's permission (mDNS)."""
    text = re.sub(r"(a=candidate:\S+ 1 udp \d+) \S+", r"\1 4fc1d3a0-8f5e-4b1c-9a77-0c1e2d3f4a5b.local", description)
    return re.sub(r"(m=audio) \d+", r"\1 9", re.sub(r"c=IN IP4 \S+", "c=IN IP4 0.0.0.0", text))


def assert_heard(said: Path, heard: Path) -> None:
    """What was said has arrived: Opus leaves no sample as it was, and a browser stretches time, but sound of the same
    levels at the same moments it is, and not noise of another."""
    (ours, rate), (theirs, heard_rate) = load(said), load(heard)
    assert rate == heard_rate == RATE
    difference = compare(ours, theirs[:, :1], RATE)
    assert difference.compared >= SECONDS - 1.0, difference
    assert difference.heard > 0.8, difference
    assert difference.gain > 0.1, difference


def assert_encrypted(call: dict[str, Any]) -> None:
    assert call["encryption"]["keys"] == "dtls", call["encryption"]
    assert call["encryption"]["proved"] == "certificate"
    assert call["rx"]["unauthenticated"] == 0
    assert call["rx"]["lost"] == 0
    assert_identities(call)


@pytest.mark.parametrize("kind", ["offer", "trickle", "hidden"])
def test_the_engine_calls(kind: str, tmp_path: Path) -> None:
    says = save(tmp_path / "says.wav", speechlike(RATE, SECONDS, seed=1), RATE)
    heard = tmp_path / "heard.wav"
    role = "trickle" if kind == "trickle" else "offer"
    told = ("--input", str(says), "--output", str(heard), "--once", "-v", *SPEECH)
    with receiver(tmp_path, *told) as far, raw_peer() as phone, engine(tmp_path, role) as chrome:
        offer = chrome.next()["sdp"]
        offer = hidden(offer) if kind == "hidden" else offer
        dialog = phone.call((LOOPBACK, far.sip_port), offer)
        chrome.give(body(dialog.opening))
        assert chrome.next() == {"state": "connected"}
        assert chrome.next() == {"state": "said"}
        assert dialog.bye() == 200
        chrome.finish()
        outcome = far.finish()
    answer = body(dialog.opening)
    for line in ("a=ice-lite", "a=group:BUNDLE 0", "a=mid:0", "a=rtcp-mux", "a=setup:passive"):
        assert f"{line}{CRLF}" in answer, answer
    assert outcome.status == 0, outcome.stderr
    assert_encrypted(outcome.call)
    assert_heard(chrome.says, heard)
    assert_heard(says, chrome.heard)


@pytest.mark.parametrize("rule", ["optional", "required"])
def test_the_engine_is_called(rule: str, tmp_path: Path) -> None:
    """With --ice our offer has all that it wants."""
    says = save(tmp_path / "says.wav", speechlike(RATE, SECONDS, seed=1), RATE)
    heard = tmp_path / "heard.wav"
    told = ("--input", str(says), "--output", str(heard), "--ice", "--srtp", rule, "-v", *SPEECH)
    with raw_peer() as phone, engine(tmp_path, "answer") as chrome:
        with sender(tmp_path, phone.target, *told) as near:
            invite = phone.wait("INVITE ")
            phone.answer(invite, 180, "Ringing")
            chrome.give(body(invite[0]))
            phone.answer(invite, 200, "OK", body=chrome.next()["sdp"])
            phone.wait("ACK ")
            assert chrome.next() == {"state": "connected"}
            bye = phone.wait("BYE ")
            phone.answer(bye, 200, "OK")
            outcome = near.finish()
        assert chrome.next() == {"state": "said"}
        chrome.finish()
    assert outcome.status == 0, outcome.stderr
    assert_encrypted(outcome.call)
    assert_heard(says, chrome.heard)
    assert np.any(load(heard)[0])
