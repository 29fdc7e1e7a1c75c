"""Datagrams of small programs (`pcm://`, `seq16://`), to and from the scripts as real processes."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.support.datagrams import collecting, stream
from tests.support.plain_rtp import PATIENT, WAITS, listener, speech
from tests.support.processes import LOOPBACK, ROOT, Program, free_ports, receiver, sender
from tests.support.small_programs import (
    FILE_RATE,
    PCM_RATE,
    SEQ_RATE,
    Arrival,
    adts_files,
    pcm_datagrams,
    play_queue,
    seq16_datagrams,
)
from tests.support.sound import sine
from tests.support.wav import Samples, load
from tests.support.wavdiff import compare, compare_files

RATES = {"pcm": PCM_RATE, "seq16": SEQ_RATE}
OPENS = 0.5
"""Seconds from the first line of a receiver to its open port, at most."""
SILENT = ("--media-timeout", "2s")


def arrivals_of(scheme: str, sound: Samples) -> list[Arrival]:
    return pcm_datagrams(sound) if scheme == "pcm" else seq16_datagrams(sound)


@pytest.mark.process
@pytest.mark.parametrize("scheme", ["pcm", "seq16"])
def test_their_sender_to_our_receiver(tmp_path: Path, scheme: str) -> None:
    sent, port = speech(tmp_path, RATES[scheme], 4.0), free_ports()[0]
    with listener(tmp_path, f"{scheme}://:{port}", *PATIENT, *SILENT, "-o", "heard.wav") as far:
        time.sleep(OPENS)
        stream(arrivals_of(scheme, load(sent)[0]), port)
        end = far.finish()
    assert end.status == 0
    assert end.call["end_reason"] == "remote-bye"
    assert end.call["peer"].startswith(f"{scheme}://{LOOPBACK}:")
    found = compare_files(sent, tmp_path / "heard.wav")
    assert end.call["rx"]["received"] == len(arrivals_of(scheme, load(sent)[0]))
    assert found.heard > 0.97
    assert found.exact or scheme == "pcm"  # a busy machine may send so late that it looks like loss


@pytest.mark.process
@pytest.mark.parametrize("scheme", ["pcm", "seq16"])
def test_our_sender_to_their_receiver(tmp_path: Path, scheme: str) -> None:
    sent = speech(tmp_path, RATES[scheme])
    with collecting() as (port, datagrams):
        with sender(tmp_path, f"{scheme}://{LOOPBACK}:{port}", "-i", str(sent)) as near:
            end = near.finish()
        time.sleep(0.3)
    assert end.status == 0
    assert end.stderr.count("fragments") == 1  # said once
    assert end.call["tx"]["bytes"] == sum(map(len, datagrams))
    header = 0 if scheme == "pcm" else 2
    sound = np.frombuffer(b"".join(data[header:] for data in datagrams), "<i2")[:, None]
    assert compare(load(sent)[0], sound.astype(np.int16), RATES[scheme]).exact
    if scheme == "seq16":
        assert [int.from_bytes(data[:2], "little") for data in datagrams] == list(range(1, len(datagrams) + 1))
        even = [Arrival(1000.0 + index / 50, data) for index, data in enumerate(datagrams)]
        heard = play_queue(even, 1.9).pcm[SEQ_RATE // 5 :]  # it begins with a hole of its own
        assert compare(load(sent)[0], heard, SEQ_RATE).exact


@pytest.mark.process
@pytest.mark.parametrize("scheme", ["pcm", "seq16"])
def test_both_scripts_in_both_directions(tmp_path: Path, scheme: str) -> None:
    sent, port = speech(tmp_path, RATES[scheme]), free_ports()[0]
    both = ("--two-way", "-i", str(sent), *PATIENT, *SILENT)
    with (
        listener(tmp_path, f"{scheme}://:{port}", *both, "-o", "there.wav") as far,
        sender(tmp_path, f"{scheme}://{LOOPBACK}:{port}", *both, "-o", "back.wav") as near,
    ):
        assert [near.finish().status, far.finish().status] == [0, 0]
    for heard in ("there.wav", "back.wav"):
        found = compare_files(sent, tmp_path / heard)
        assert found.exact or scheme == "pcm"
        assert found.heard > 0.9


@pytest.mark.process
def test_a_port_of_bare_samples_that_is_taken_is_one_line(tmp_path: Path) -> None:
    port = free_ports()[0] + 1  # an odd one
    with (
        receiver(tmp_path, f"pcm://:{port}", ready=WAITS) as far,
        receiver(tmp_path, f"pcm://:{port}", name="late", ready=None) as late,
    ):
        end = late.finish()
        assert f"pcm://{far.host}:{port}" in far.wait_for("on the other machine")
    assert end.status == 4
    assert f"UDP port {port} is in use, or needs root; listen at another: pcm://:PORT" in end.stderr


@pytest.mark.process
def test_files_of_aac_to_our_receiver(tmp_path: Path) -> None:
    port = free_ports()[0]
    files = adts_files(sine(FILE_RATE, 6.0))
    with listener(tmp_path, f"adts://:{port}", "--latency", "300ms", *SILENT, "-o", "heard.wav") as far:
        time.sleep(OPENS)
        stream(files, port)
        end = far.finish()
    assert (end.status, end.call["end_reason"], end.call["codec"]) == (0, "remote-bye", "aac")
    heard, rate = load(tmp_path / "heard.wav")
    assert rate == FILE_RATE
    level = np.abs(heard.astype(float)).reshape(-1)[: len(heard) // 120 * 120].reshape(-1, 120).max(axis=1)
    assert (level > 6000).sum() * 0.01 == pytest.approx(6.0, abs=0.2)


@pytest.mark.process
def test_the_two_programs_by_address_and_port(tmp_path: Path) -> None:
    """`voip-udp-receiver [PORT]` and `voip-udp-test [IP [PORT]]`, as modules."""
    sent, port = speech(tmp_path, SEQ_RATE), str(free_ports()[0])
    receive = ("-m", "voip.udp_receiver", port, "--output", "heard.wav", "--once", *PATIENT, *SILENT)
    send = ("-m", "voip.udp_test", LOOPBACK, port, "--input", str(sent))
    here = {"PYTHONPATH": str(ROOT)}
    with Program([sys.executable, *receive], folder=tmp_path, name="udp-receiver", environment=here) as far:
        far.wait_for(WAITS)
        with Program([sys.executable, *send], folder=tmp_path, name="udp-test", environment=here) as near:
            assert near.finish().status == 0
        assert far.finish().status == 0
    assert compare_files(sent, tmp_path / "heard.wav").exact


@pytest.mark.process
@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("udp_test", "--help"), 0, "[IP [PORT]]"),
        (("udp_receiver", "-h"), 0, "[PORT]"),
        (("udp_test", LOOPBACK, "x"), 2, "write seq16://HOST:PORT"),
        (("udp_test", LOOPBACK, "0"), 2, "write seq16://HOST:PORT"),
        (("udp_test", LOOPBACK, "40000", "more"), 2, "more"),
        (("udp_receiver", "99999"), 2, "write seq16://HOST:PORT"),
        (("udp_receiver", "--outptu", "x"), 2, "--output"),
    ],
)
def test_the_arguments_of_the_two_programs(tmp_path: Path, arguments: tuple[str, ...], status: int, said: str) -> None:
    command = [sys.executable, "-m", f"voip.{arguments[0]}", *arguments[1:]]
    with Program(command, folder=tmp_path, name="it", environment={"PYTHONPATH": str(ROOT)}, merged=True) as program:
        end = program.finish()
    assert end.status == status
    assert said in end.stderr
    assert "Traceback" not in end.stderr
