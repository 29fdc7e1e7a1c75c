"""A real receiver.py under floods, stray packets, pauses and freezes. VOIP_FUZZ: datagrams of each kind and port.

Delay is measured from outside: from when a packet is sent to when its samples come out of the receiver's pipe.
"""

import itertools
import os
import random
import signal
import statistics
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tests.support.mutation import mutated
from tests.support.processes import Outcome, Program, Receiver, receiver, sender
from tests.support.raw_peer import PACKET, RATE, Address, Pace, RawPeer, Samples, Stream, big_endian, raw_peer, rtp
from tests.support.raw_scene import GOOD, PATIENT, Scene, different_ports, finish, scene, together
from tests.support.text_phone import status
from tests.support.wav import save

pytestmark = pytest.mark.process

FUZZ = int(os.environ.get("VOIP_FUZZ", "10000"))
PER_PACKET = 150  # datagrams of the flood between two packets of the call: 7500 a second
MOST_GROWTH = 10 << 20  # bytes
MOST_UNREAD = 20_000  # bytes that may wait in the sockets before the next part of the flood
FREEZE = 3.0
SILENCE = 1.0  # seconds from the death of a sender to its next call
AFTERWARDS = 3.5  # seconds until the delay must be back: less than the 5 promised
SOME_DELAY = 0.12  # seconds that the delay may be off: blocks, pipes, a busy machine
TO_PIPE = ("sh", "-c", 'exec "$@" >pipe', "sh")


# --- floods -----------------------------------------------------------------------------------------------------------


def sip_samples(peer: RawPeer, target: Address) -> list[bytes]:
    """Messages of every kind, none of them of the call that is up."""
    requests = [
        peer.request(method, target, "Allow: INVITE, BYE", "Supported: timer", body=body)
        for method in ("INVITE", "OPTIONS", "BYE", "CANCEL", "ACK", "REGISTER", "UPDATE", "INFO")
        for body in ("", peer.description())
    ]
    answers = [request.replace(request.split(b"\r\n")[0], b"SIP/2.0 200 OK") for request in requests]
    return requests + answers


def rtp_samples(rng: random.Random, stream: Stream) -> list[bytes]:
    """Packets that look like the stream's own, and RTCP."""
    numbers = [(stream.sequence + ahead, stream.timestamp + ahead * PACKET) for ahead in range(0, 50, 2)]
    packets = [
        rtp(sequence, moment, rng.randbytes(320), ssrc=stream.ssrc, csrcs=(1, 2), extension=(0xBEDE, bytes(8)))
        for sequence, moment in numbers
    ]
    return [*packets, *(rtp(n, t, rng.randbytes(320), ssrc=stream.ssrc, padding=4) for n, t in numbers)]


def resident(program: Program) -> int:
    """Bytes of memory that a program has."""
    pages = int(Path(f"/proc/{program.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def unread(call: Scene) -> int:
    """Bytes that wait in the sockets of the call, as the system counts them; on other systems nobody knows: 0."""
    table = Path("/proc/net/udp")
    rows = [row.split() for row in table.read_text().splitlines()[1:]] if table.exists() else []
    ports = {call.target[1], call.stream.dialog.media[1]}
    return sum(int(row[4].partition(":")[2], 16) for row in rows if int(row[1].partition(":")[2], 16) in ports)


def flood(call: Scene, stranger: RawPeer) -> Iterator[tuple[bytes, Address]]:
    """Random and mutated datagrams for both ports, FUZZ of each."""
    rng = random.Random(11)
    sip, media = call.target, call.stream.dialog.media
    messages, packets = sip_samples(stranger, sip), rtp_samples(rng, call.stream)
    for _ in range(FUZZ):
        yield rng.randbytes(rng.choice((1, 11, 12, 40, 200, 1400))), sip
        yield rng.randbytes(rng.choice((1, 11, 12, 40, 200, 1400))), media
        yield mutated(rng, rng.choice(messages)), sip
        yield mutated(rng, rng.choice(packets)), media


def test_floods_of_garbage_on_both_ports_leave_the_call_as_it_is(tmp_path: Path) -> None:
    with scene(tmp_path) as call, raw_peer() as stranger:
        call.stream.send(25)
        datagrams = flood(call, stranger)
        for data, target in (next(datagrams) for _ in range(400)):
            stranger.send(data, target)
        call.stream.send(10)
        before = resident(call.far)

        while batch := list(itertools.islice(datagrams, PER_PACKET)):
            call.stream.send(1)
            while unread(call) > MOST_UNREAD:  # what the system throws away shows nothing of the program
                call.stream.send(1)
            for data, target in batch:
                stranger.send(data, target)
        call.stream.send(25)
        growth = resident(call.far) - before
        heard = call.end()
    rx = heard.outcome.call["rx"]
    assert growth < MOST_GROWTH
    assert rx["lost"] <= 0.01 * len(call.stream.sent)
    assert rx["received"] + rx["lost"] == len(call.stream.sent)
    assert rx["foreign"] >= 0.5 * FUZZ
    assert heard.share() >= GOOD


def test_garbage_from_the_callers_own_ports_is_forgotten_within_a_second(tmp_path: Path) -> None:
    rng = random.Random(12)
    with scene(tmp_path) as call:
        stream = call.stream
        stream.send(20)
        messages, packets = sip_samples(call.peer, call.target), rtp_samples(rng, stream)

        def throw_some(number: int) -> None:
            for _ in range(10):
                stream.throw(rng.randbytes(rng.choice((11, 12, 40, 200))))
                stream.throw(mutated(rng, rng.choice(packets)))
                call.peer.send(mutated(rng, rng.choice(messages)), call.target)

        stream.between = throw_some
        stream.send(50)
        stream.between = lambda number: None
        stream.send(100)
        call.peer.unread()
        assert stream.dialog.bye() == 200
        call.far.stop()
        finish(call.far)
    assert_order_apart_from_garbage(stream.sent[-50:], tmp_path / "heard.wav")


def assert_order_apart_from_garbage(sent: list[Samples], recording: Path) -> None:
    raw = recording.read_bytes()
    found = [samples[PACKET // 2 :].astype("<i2").tobytes() in raw for samples in sent]
    assert sum(found) >= GOOD * len(sent)


# --- delay ------------------------------------------------------------------------------------------------------------


class Listener(threading.Thread):
    """Reads a receiver's pipe and writes down when what came out."""

    def __init__(self, pipe: Path) -> None:
        super().__init__(name="listener", daemon=True)
        os.mkfifo(pipe)
        self._pipe = pipe
        self._data = bytearray()
        self._ends: list[tuple[int, float]] = []
        self.start()

    def run(self) -> None:
        with self._pipe.open("rb", buffering=0) as pipe:
            while data := pipe.read(4096):
                self._data += data
                self._ends.append((len(self._data), time.monotonic()))

    def heard_at(self, samples: Samples) -> float | None:
        """When the end of a packet came out; None: never."""
        half = samples[PACKET // 2 :].astype("<i2").tobytes()
        place = self._data.find(half)
        if place < 0:
            return None
        return next(moment for end, moment in self._ends if end >= place + len(half))


@dataclass(frozen=True)
class Delays:
    """What came of a call: for each packet sent when that was, and how much later it was heard (None: never)."""

    moments: list[float]
    delays: list[float | None]
    outcome: Outcome
    growth: int = 0

    def typical(self, start: int, end: int | None = None) -> float:
        """The median of these packets."""
        heard = [delay for delay in self.delays[start:end] if delay is not None]
        assert len(heard) >= 0.8 * len(self.delays[start:end]), self.delays[start:end]
        return statistics.median(heard)


def delays_of(far: Receiver, ears: Listener, sent: list[Samples], moments: list[float], growth: int = 0) -> Delays:
    far.stop()
    outcome = finish(far)
    ears.join()
    heard = [ears.heard_at(samples) for samples in sent]
    delays = [None if end is None else end - start for start, end in zip(moments, heard, strict=True)]
    return Delays(moments, delays, outcome, growth)


@dataclass
class Talk:
    """A receiver that plays into a pipe, and a stream to it."""

    far: Receiver
    stream: Stream


def measured(folder: Path, name: str, ports: tuple[int, range]) -> Delays:
    """A call of that name, from its beginning to its end."""
    folder = folder / name
    folder.mkdir()
    ears = Listener(folder / "pipe")
    options = ("--output", "-", "--format", f"{RATE}/1", "--latency", PATIENT)
    with receiver(folder, *options, ports=ports, through=TO_PIPE) as far, raw_peer() as peer:
        if name == "frozen sender":
            sent, moments = relayed_with_a_freeze(folder, far, peer)
            return delays_of(far, ears, sent, moments)
        stream = Stream(peer.call((far.host, far.sip_port)))
        stream.send(50)
        before = resident(far)
        CALLS[name](Talk(far, stream))
        growth = resident(far) - before
        assert stream.dialog.bye() == 200
        return delays_of(far, ears, stream.sent, stream.moments, growth)


def stray(talk: Talk) -> None:
    """One packet whose number is 40000 ahead, and silence in it."""
    stream = talk.stream
    for clock in (0, 40000 * PACKET):
        number, moment = stream.sequence + 40000, stream.timestamp + clock
        stream.throw(rtp(number, moment, bytes(320), ssrc=stream.ssrc))
        stream.send(75)


def alternating(talk: Talk) -> None:
    """Two seconds of packets that are numbered 1 and 65535 by turns; then the stream goes on."""
    stream = talk.stream
    pace = Pace()
    for count in range(100):
        pace.wait()
        stream.throw(rtp((1, 65535)[count % 2], stream.timestamp + count * PACKET, bytes(320), ssrc=stream.ssrc))
    stream.timestamp += 100 * PACKET
    stream.pace = Pace()
    stream.send(150)


def short_pause(talk: Talk) -> None:
    pause(talk, 0.5)


def long_pause(talk: Talk) -> None:
    pause(talk, 3.0)


def pause(talk: Talk, seconds: float) -> None:
    talk.stream.pace.wait(seconds)
    talk.stream.send(150)


def frozen_receiver(talk: Talk) -> None:
    talk.far.send_signal(signal.SIGSTOP)
    talk.stream.send(round(FREEZE / 0.02))
    talk.far.send_signal(signal.SIGCONT)
    talk.stream.send(round(AFTERWARDS / 0.02))


CALLS = {
    "stray": stray,
    "alternating": alternating,
    "short pause": short_pause,
    "long pause": long_pause,
    "frozen receiver": frozen_receiver,
}


def relayed_with_a_freeze(folder: Path, far: Receiver, out: RawPeer) -> tuple[list[Samples], list[float]]:
    """The packets of a sender.py that is frozen after a second, handed on to the receiver, and when."""
    options = ("--input", "said.wav", "--codec", "l16", "--fec", "off")
    said = np.random.default_rng(13).integers(1, 12000, 20 * RATE).astype(np.int16)
    save(folder / "said.wav", said, RATE)
    sent: list[Samples] = []
    moments: list[float] = []
    with raw_peer() as near, sender(folder, near.target, *options) as program:
        near.take_call()
        dialog = out.call((far.host, far.sip_port))
        steps = [(1.0, signal.SIGSTOP), (1.0 + FREEZE, signal.SIGCONT), (1.0 + FREEZE + AFTERWARDS, signal.SIGINT)]
        start = time.monotonic()
        while steps:
            near.rtp.settimeout(max(0.001, start + steps[0][0] - time.monotonic()))
            try:
                data = near.rtp.recv(65535)
            except TimeoutError:
                data = b""
            if data:
                out.rtp.sendto(data, dialog.media)
                sent.append(np.frombuffer(data[12:], ">i2").astype(np.int16))
                moments.append(time.monotonic())
            if time.monotonic() >= start + steps[0][0]:
                program.send_signal(steps.pop(0)[1])
        near.answer(near.wait("BYE "), 200, "OK")
        assert program.finish().status == 0
        assert dialog.bye() == 200
    assert big_endian(sent[0]) == big_endian(said[:PACKET])
    return sent, moments


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Delays]:
    """All these calls, which go on at the same time because they mostly wait."""
    folder = tmp_path_factory.mktemp("calls")
    names = [*CALLS, "frozen sender"]
    ports = different_ports(len(names))
    jobs = [partial(measured, folder, name, own) for name, own in zip(names, ports, strict=True)]
    return dict(zip(names, together(*jobs), strict=True))


def assert_back(call: Delays, limit: float = SOME_DELAY) -> None:
    """The delay of the last half second is that of the first second."""
    assert call.typical(-25) <= call.typical(0, 40) + limit


def test_one_stray_packet_40000_ahead_changes_nothing(calls: dict[str, Delays]) -> None:
    call = calls["stray"]
    assert_back(call)
    assert call.growth < MOST_GROWTH
    assert sum(delay is not None for delay in call.delays) >= GOOD * len(call.delays)
    assert call.outcome.call["rx"]["lost"] == 0
    assert call.outcome.call["rx"]["received"] == 200


def test_numbers_that_alternate_between_1_and_65535_leave_no_delay_behind(calls: dict[str, Delays]) -> None:
    call = calls["alternating"]
    assert_back(call)
    assert call.growth < MOST_GROWTH
    after = call.delays[50 + 50 :]  # a second after that
    assert sum(delay is not None for delay in after) >= GOOD * len(after)


@pytest.mark.parametrize("name", ["short pause", "long pause"])
def test_after_a_pause_the_stream_is_heard_at_its_delay(calls: dict[str, Delays], name: str) -> None:
    call = calls[name]
    assert_back(call)
    after = call.delays[50 + 10 :]  # 200 ms after the pause
    assert sum(delay is not None for delay in after) >= GOOD * len(after)
    assert call.outcome.call["rx"]["lost"] == 0


def test_after_a_freeze_of_the_receiver_the_delay_comes_back(calls: dict[str, Delays]) -> None:
    assert_back(calls["frozen receiver"])


def test_after_a_freeze_of_the_sender_the_delay_comes_back(calls: dict[str, Delays]) -> None:
    call = calls["frozen sender"]
    gaps = [after - before for before, after in zip(call.moments, call.moments[1:], strict=False)]
    assert max(gaps) > FREEZE - 0.5
    assert_back(call)


# --- restarts ---------------------------------------------------------------------------------------------------------


def test_a_sender_that_is_killed_and_started_again_gets_through(tmp_path: Path) -> None:
    with receiver(tmp_path) as far:
        with sender(tmp_path, far.target) as near:
            far.wait_for("call from")
            near.wait_for("call to")
            near.send_signal(signal.SIGKILL)
            near.finish()
        pace = Pace()
        pace.wait()
        pace.wait(SILENCE)
        with sender(tmp_path, far.target, "--duration", "500ms", name="again") as again:
            outcome = again.finish()
        assert outcome.status == 0, outcome.stderr
        far.wait_for("ended by the other side")
        far.stop()
        heard = finish(far)
    assert heard.report is not None
    assert len(heard.report["calls"]) == 2
    assert heard.report["calls"][1]["rx"]["received"] >= 20


def test_a_call_whose_caller_still_speaks_is_not_replaced(tmp_path: Path) -> None:
    with scene(tmp_path) as call, raw_peer() as other:
        call.stream.send(30)
        answer, _ = other.invite(call.target)
        assert status(answer) == 486
        call.stream.send(30)
        assert call.end().share() >= GOOD
