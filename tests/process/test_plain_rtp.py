"""RTP without signalling: `rtp://` on both scripts, between real processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.plain_rtp import PATIENT, WAITS, listener, speech
from tests.support.processes import LOOPBACK, free_ports, receiver, sender
from tests.support.wav import load
from tests.support.wavdiff import compare_files
from voip.calls.watch import LEFT_AFTER
from voip.errors import EXIT_NO_MEDIA


@pytest.mark.process
@pytest.mark.parametrize("fec", [(), ("--fec", "4")])
def test_a_stream_without_signalling_is_exact_and_ends_with_its_goodbye(tmp_path: Path, fec: tuple[str, ...]) -> None:
    sent, port = speech(tmp_path, 48000), free_ports()[0]
    with (
        listener(tmp_path, f"rtp://:{port}", "-c", "l16", "-o", "heard.wav", *PATIENT, *fec) as far,
        sender(tmp_path, f"rtp://{LOOPBACK}:{port}", "-c", "l16", "-i", str(sent), *fec) as near,
    ):
        ends = near.finish(), far.finish()
    assert [end.status for end in ends] == [0, 0]
    assert [end.call["end_reason"] for end in ends] == ["local-bye", "remote-bye"]
    found = compare_files(sent, tmp_path / "heard.wav")
    assert (found.exact, found.heard) == (True, 1.0)
    assert ends[1].call["fec"]["packets"] == ends[0].call["tx"]["fec_packets"]
    assert (ends[0].call["tx"]["fec_packets"] > 0) is bool(fec)
    assert ends[1].call["duration_s"] == pytest.approx(2.0, abs=0.5)


@pytest.mark.process
def test_both_ways_without_signalling(tmp_path: Path) -> None:
    sent, port = speech(tmp_path, 48000), free_ports()[0]
    both = ("--two-way", "-c", "l16", "-i", str(sent), *PATIENT)
    with (
        listener(tmp_path, f"rtp://:{port}", *both, "-o", "there.wav") as far,
        sender(tmp_path, f"rtp://{LOOPBACK}:{port}", *both, "-o", "back.wav") as near,
    ):
        assert [near.finish().status, far.finish().status] == [0, 0]
    for heard in ("there.wav", "back.wav"):
        found = compare_files(sent, tmp_path / heard)
        assert found.exact
        assert found.heard > 0.9


@pytest.mark.process
def test_a_receiver_without_a_stream_waits_and_then_plays_one_after_the_other(tmp_path: Path) -> None:
    port = free_ports()[0]
    with receiver(tmp_path, f"rtp://:{port}", "-c", "pcmu", "-o", "heard.wav", ready=WAITS) as far:
        for name in ("first", "second"):
            arguments = ("-c", "pcmu", "-i", "tone", "-t", "0.4s")
            with sender(tmp_path, f"rtp://{LOOPBACK}:{port}", *arguments, name=name) as near:
                assert near.finish().status == 0
            assert f" stream from rtp://{LOOPBACK}:" in far.wait_for("stream from")
            far.wait_for("call ended")
            if name == "first":
                far.lines.clear()
        far.stop()
        calls = (far.finish().report or {})["calls"]
    assert [call["end_reason"] for call in calls] == ["remote-bye"] * 2
    assert all(call["peer"].startswith(f"rtp://{LOOPBACK}:") for call in calls)
    assert not any(call["peer"].endswith(f":{port}") for call in calls)
    # What was sent, and the silence in which the end of each was waited for; nothing of the time before and between.
    assert len(load(tmp_path / "heard.wav")[0]) < 2 * (0.4 + LEFT_AFTER + 0.75) * 8000


@pytest.mark.process
def test_a_port_that_is_taken_is_one_line(tmp_path: Path) -> None:
    port = free_ports()[0]
    with listener(tmp_path, f"rtp://:{port}"), receiver(tmp_path, f"rtp://:{port}", name="late", ready=None) as late:
        end = late.finish()
    assert end.status == 4
    assert f"UDP port {port} is in use, or needs root; listen at another: rtp://:PORT" in end.stderr
    assert "Traceback" not in end.stderr


@pytest.mark.process
def test_a_stream_that_never_came_is_no_success(tmp_path: Path) -> None:
    port = free_ports()[0]
    with listener(tmp_path, f"rtp://:{port}", "-o", "null") as far:
        far.stop()
        outcome = far.finish()
    assert outcome.status == EXIT_NO_MEDIA
    assert "no stream came" in outcome.stderr
