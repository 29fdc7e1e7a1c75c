"""The report as a contract: every field of the JSON layout, text within 80 columns, unknown is null and not 0."""

from __future__ import annotations

import io
import json
import os
from dataclasses import replace
from typing import Any

from tests.support.negotiated import negotiated
from voip import codecs
from voip.media import Direction, NegotiatedMedia
from voip.report import CallRecord, Console, call_object, final_report, status_line, text_report
from voip.stats import PathReport, PlayoutStats, ReceiverStats, SenderStats, SessionStats

CALL_FIELDS = {
    "call_id", "peer", "codec", "clock_rate", "channels", "ptime_ms", "encrypted", "start", "duration_s", "end_reason",
    "setup_ms", "first_audio_ms", "rx", "heard", "loss_runs", "timing", "fec", "tx", "remote", "rtcp", "quality",
}  # fmt: skip
RX_FIELDS = {
    "received", "expected", "lost", "recovered", "lost_after_fec", "late", "duplicate", "reordered", "malformed",
    "foreign", "bytes", "ip_bytes",
}  # fmt: skip


def media() -> NegotiatedMedia:
    codec = codecs.find("L16", 48000, 1)
    assert codec is not None
    return negotiated(
        codec=codec,
        payload_type=96,
        remote=("127.0.0.1", 6000),
        remote_rtcp=None,
        rtcp_mux=True,
        ptime=0.01,
        direction=Direction.RECVONLY,
        fec="flexfec",
        fec_payload_type=97,
        repair_window=0.03,
        ssrc=1,
        fec_ssrc=2,
        remote_ssrc=3,
        remote_fec_ssrc=4,
    )


def received() -> CallRecord:
    playout = PlayoutStats(
        played=124_800, concealed=135, played_seconds=1248.0, concealed_seconds=1.35, longest_gap=0.06, late=26,
        underruns=0, resyncs=1, delay=0.048, delay_min=0.02, delay_mean=0.05, delay_max=0.2, target=0.06,
    )  # fmt: skip
    rx = ReceiverStats(
        received=123_456, expected=124_956, recovered=1391, duplicate=3, reordered=1140, playout=playout,
        loss_runs={"1": 1371, "2": 57, "3+": 12}, jitter=0.0079, jitter_max=0.0312, fec_packets=31_000,
    )  # fmt: skip
    return CallRecord(
        call_id="a@b", peer="sip:kitchen-loudspeaker@192.168.100.131:5060", incoming=True, media=media(),
        start="2026-01-31T12:00:00Z", setup=0.0031, duration=1250.0, end_reason="remote-bye", rx=rx,
        network=SessionStats(bytes=120_000_000, ip_bytes=124_000_000, foreign=2),
    )  # fmt: skip


def test_whatever_was_dropped_is_told_with_its_reason() -> None:
    call = received()
    assert call.rx is not None
    assert text_report(call).splitlines()[-1] == "  dropped   foreign 2"
    one = replace(call, network=SessionStats(unknown_payload_type=1))
    assert text_report(one).splitlines()[-1] == "  dropped   unknown type 1"
    network = SessionStats(malformed=123_456, foreign=234_567, unknown_payload_type=345_678)
    lines = text_report(replace(call, network=network, rx=replace(call.rx, fec_rejected=456_789))).splitlines()
    assert lines[-2:] == [
        "  dropped   malformed 123456   foreign 234567   unknown type 345678",
        "            FEC rejected 456789",
    ]
    assert "dropped" not in text_report(replace(call, network=SessionStats()))


def test_the_json_report_has_every_field_and_both_identities_hold() -> None:
    report = final_report("receiver", "0.1.0", 0, None, (received(),))
    assert set(report) == {"schema", "program", "version", "exit", "error", "calls"}
    call: dict[str, Any] = json.loads(json.dumps(report))["calls"][0]
    assert set(call) == CALL_FIELDS
    rx = call["rx"]
    assert set(rx) == RX_FIELDS
    assert rx["expected"] == rx["received"] + rx["lost"]
    assert rx["lost"] == rx["recovered"] + rx["lost_after_fec"]
    assert call["timing"]["buffer_ms"] == {"min": 20.0, "mean": 50.0, "max": 200.0, "target": 60.0}


def test_what_is_not_known_is_null_and_left_out_of_the_text() -> None:
    call = call_object(CallRecord(call_id="x", peer="sip:a", incoming=False))
    assert set(call) == CALL_FIELDS
    assert call["codec"] is None
    assert call["rx"] is None
    assert call["timing"]["jitter_ms"] is None
    bare = replace(received(), rx=ReceiverStats(), network=None)
    assert "jitter" not in text_report(bare)
    assert "buffer" not in text_report(bare)


def test_what_the_other_side_reports_is_told_in_both_forms() -> None:
    path = PathReport(at=1.0, fraction_lost=0.5, cumulative_lost=412, highest=70_000, jitter=0.0031)
    network = SessionStats(
        rtt=0.0244, rtt_min=0.0239, path=path, path_packets=36_350, rtcp=60, rtcp_ip_bytes=9000, rtcp_sent=61,
        rtcp_sent_ip_bytes=12_000,
    )  # fmt: skip
    tx = SenderStats(packets=36_352, seconds=727.0)
    sent = CallRecord(call_id="x", peer="sip:a", incoming=False, duration=727.0, tx=tx, network=network)
    call = call_object(sent)
    assert call["remote"] == {"fraction_lost": 0.01133, "cumulative_lost": 412, "jitter_ms": 3.1}
    assert (call["timing"]["rtt_ms"], call["timing"]["rtt_min_ms"]) == (24.4, 23.9)
    assert call["rtcp"] == {"sent": 61, "sent_ip_bytes": 12_000, "received": 60, "received_ip_bytes": 9000}
    lines = text_report(sent).splitlines()
    assert "  arrived   the other side lost 412 (1.13 %)   jitter 3.1 ms" in lines
    assert "  network   round trip 24.4 ms" in lines
    heard = text_report(replace(received(), network=network)).splitlines()
    assert "  delay     buffer 50 ms on average (max 200)   round trip 24.4 ms" in heard
    more = replace(network, path=replace(path, cumulative_lost=-3))  # copies: more came than was sent
    assert call_object(replace(sent, network=more))["remote"]["fraction_lost"] == 0.0
    silent = call_object(replace(sent, network=SessionStats()))
    assert silent["remote"] == {"fraction_lost": None, "cumulative_lost": None, "jitter_ms": None}
    assert silent["timing"]["rtt_ms"] is None


def test_the_text_fits_80_columns_and_uses_the_words_people_know() -> None:
    sent = CallRecord(
        call_id="x", peer="sip:10.0.0.9", incoming=False, media=media(), duration=60.0, end_reason="local-bye",
        tx=SenderStats(packets=6000, fec_packets=1500, bytes=7_300_000, ip_bytes=7_500_000, seconds=60.0),
    )  # fmt: skip
    for call in (received(), sent):
        for line in [*text_report(call).splitlines(), status_line(call)]:
            assert len(line) < 80, line
    text = text_report(received())
    for word in ("received", "lost", "recovered", "underruns"):
        assert word in text
    assert "1000 kbit/s" in text_report(sent)


def test_the_console_writes_only_when_pumped_and_json_lines_to_stdout() -> None:
    talk, data = io.StringIO(), io.StringIO()
    console = Console(lambda: 5.0, as_json=True, talk=talk, data=data)
    console.say(0, "shown")
    console.say(1, "only with -v")
    console.event("listening", None, uri="sip:x")
    assert talk.getvalue() == data.getvalue() == ""
    console.pump()
    assert talk.getvalue() == "shown\n"
    assert json.loads(data.getvalue()) == {"schema": 1, "t": 0.0, "event": "listening", "call_id": None, "uri": "sip:x"}


def test_quiet_keeps_errors() -> None:
    talk = io.StringIO()
    console = Console(lambda: 0.0, verbosity=-1, talk=talk, data=io.StringIO())
    console.say(0, "hidden")
    console.error("shown")
    console.pump()
    assert talk.getvalue() == "shown\n"


def test_talk_whose_reader_has_gone_is_dropped_and_nothing_fails() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w", encoding="utf-8") as talk:  # closing it would raise if anything were left in it
        console = Console(lambda: 0.0, talk=talk, data=io.StringIO())
        console.say(0, "call ended")
        console.error("and more")
        console.pump()


def test_the_text_report_counts_as_people_do() -> None:
    call = received()
    assert call.rx is not None
    heard = replace(call.rx.playout, concealed=1, skipped=1)
    text = text_report(replace(call, rx=replace(call.rx, playout=heard)))
    assert "concealed 1 packet   longest gap 60 ms" in text
    assert "skipped 1 packet   underruns 0" in text
    assert "concealed 135 packets   " in text_report(call)
    assert "            loss bursts of 1: 1371   of 2: 57   of 3 or more: 12" in text_report(call).splitlines()


def test_a_port_that_is_closed_there_is_told_in_the_words_of_icmp() -> None:
    network = SessionStats(icmp_errors=3)
    sent = CallRecord("x", "sip:a", incoming=False, end_reason="cancelled", tx=SenderStats(), network=network)
    assert text_report(sent).splitlines()[0] == "call cancelled after 0.0 s"
    assert "  network   ICMP port unreachable: 3" in text_report(sent).splitlines()
