"""The bridge's thread and the host's microphone by themselves."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

import numpy as np

from tests.support.call import l16, media, noise
from voip.audio import AudioSender, Mixture
from voip.conference import BLOCKS_BEHIND, HOST, Bridge, HostMicrophone
from voip.devices import generate
from voip.devices.paced import PacedSource
from voip.dsp import Pcm
from voip.rtp import RtpPacket

RATE, BLOCK = 8000, 80
PATIENCE = 20.0


def mixture(**streams: Pcm) -> Mixture:
    return Mixture(BLOCK, 1, streams, streams)


def party(bridge: Bridge, key: str, sent: list[Pcm]) -> None:
    """Someone who is sent the others, in packets of one block."""
    agreed = media(l16(RATE), ptime=0.01)
    sender = AudioSender(agreed, sample_rate=RATE, channels=1, rng=random.Random(1))
    decoder = agreed.audio.codec.decoder()
    bridge.fanout.add(key, sender, lambda data: sent.append(decoder.decode(RtpPacket.parse(data).payload)))


def stop_after(turns: int) -> Callable[[], bool]:
    left = iter(range(turns))
    return lambda: next(left, None) is None


def test_blocks_and_what_is_posted_are_done_in_order_on_the_bridge_thread() -> None:
    bridge, sent, other = Bridge(RATE, 1), list[Pcm](), noise(0.01)
    threads: list[str] = []
    bridge.post(party, bridge, "a", sent)
    bridge.forward(mixture(a=noise(0.01, seed=1), b=other))
    bridge.post(lambda: threads.append(threading.current_thread().name))
    thread = threading.Thread(target=bridge.run, args=(lambda: len(threads) > 0, lambda: True), name="bridge")
    thread.start()
    thread.join(PATIENCE)
    assert threads == ["bridge"]
    assert np.array_equal(sent[0], other)  # and not its own
    assert bridge.fanout.stats["a"].packets == 1
    assert bridge.dropped == 0


def test_after_the_end_nothing_is_sent_but_figures_are_still_given() -> None:
    bridge, sent, figures = Bridge(RATE, 1), list[Pcm](), list[object]()
    party(bridge, "a", sent)
    bridge.run(stop_after(0), stop_after(0))
    bridge.forward(mixture(b=noise(0.01)))
    bridge.post(lambda: figures.append(bridge.fanout.remove("a")))
    bridge.run(stop_after(0), stop_after(3))
    assert sent == []
    assert len(figures) == 1


def test_a_bridge_that_is_far_behind_drops_blocks_and_counts_them_but_no_command() -> None:
    bridge, done = Bridge(RATE, 1), list[int]()
    for _ in range(BLOCKS_BEHIND + 20):
        bridge.forward(mixture(a=noise(0.01)))
    bridge.post(done.append, 1)
    assert bridge.dropped == 19
    bridge.run(stop_after(BLOCKS_BEHIND + 5), stop_after(1))
    assert done == [1]


def test_unknown_parties_are_ignored() -> None:
    bridge = Bridge(RATE, 1)
    bridge.fanout.update("x", media())
    assert bridge.fanout.remove("x") is None
    assert bridge.fanout.stats == {}


def test_the_host_is_a_part_of_the_mixture_while_there_are_parties() -> None:
    """Its source is started with the first of them, and runs no longer than there are some."""
    source = PacedSource(lambda: generate.tone(440.0), rate=48000, channels=1, description="", endless=True)
    host, ended = HostMicrophone(source, RATE, 1), threading.Event()
    thread = threading.Thread(target=host.run, args=(ended.is_set, ended.is_set))
    thread.start()
    try:
        heard, deadline = np.zeros((BLOCK, 1), np.int16), time.monotonic() + PATIENCE
        while not heard.any() and time.monotonic() < deadline:
            with_host = host.add_to(mixture(a=noise(0.01)))
            assert set(with_host.parts) == {"a", HOST}
            assert set(with_host.streams) == {"a"}
            heard = np.asarray(with_host.parts[HOST], np.int16)
            time.sleep(0.01)
        assert heard.any()
        assert heard.shape == (BLOCK, 1)
    finally:
        ended.set()
        thread.join(PATIENCE)
    assert not thread.is_alive()
