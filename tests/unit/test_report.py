"""The report as a contract: every field of the JSON layout, whole texts in 79 columns; unknown is null, not 0."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.support.records import media, perfect, received, sent, with_playout, with_rx
from voip.media import Direction, KeyAgreement, Security
from voip.quality import TrendFigures
from voip.report import CallRecord, call_object, final_report, rtp_stat, text_report
from voip.report.objects import interval_object
from voip.srtp import MasterKey, Profile, SrtpKeys
from voip.stats import Levels, PathReport, PlayoutStats, ReceiverStats, SenderStats, SessionStats

CALL_FIELDS = {
    "call_id", "peer", "direction", "media_address", "codec", "clock_rate", "channels", "ptime_ms", "encrypted",
    "encryption", "start", "duration_s", "end_reason", "setup_ms", "first_audio_ms", "rx", "heard", "loss_runs", "loss",
    "timing", "fec", "tx", "unplayed_here", "remote", "rtcp", "levels", "quality",
}  # fmt: skip
RX_FIELDS = {
    "received", "expected", "lost", "recovered", "lost_after_fec", "lost_pct", "lost_after_fec_pct", "late",
    "duplicate", "reordered", "malformed", "foreign", "unknown_pt", "stray", "unauthenticated",
    "replayed", "overruns", "bytes", "ip_bytes",
}  # fmt: skip
TIMING_FIELDS = {
    "jitter_ms", "jitter_max_ms", "jitter_mean_ms", "ipdv_ms", "rtt_ms", "rtt_min_ms", "rtt_mean_ms", "rtt_max_ms",
    "buffer_ms", "one_way_ms", "clock_ppm",
}  # fmt: skip
QUALITY_FIELDS = {
    "r", "r_lq", "r_cq", "r_max", "mos_lq", "mos_cq", "mos_without_fec", "worst_10s_mos", "method",
}  # fmt: skip
REMOTE_FIELDS = {
    "fraction_lost", "cumulative_lost", "jitter_ms", "rtt_ms", "discarded", "buffer_ms", "r", "mos_lq", "mos_cq",
}  # fmt: skip


# --- whole texts ------------------------------------------------------------------------------------------------------


def test_a_perfect_call_has_little_to_say() -> None:
    assert text_report(perfect()).splitlines() == [
        "call ended by the other side after 11.3 s",
        "  excellent: MOS 4.4",
        "  peer      sip:kitchen@192.168.1.20",
        "  heard     100 % as sent",
        "  packets   received 565   lost 0 (0.00 %)",
        "  delay     mouth to ear about 62 ms   (packet 20 + network 1 + buffer 41)",
        "  network   jitter 0.3 ms (max 1.0)   round trip 1.2 ms",
    ]


def test_a_call_over_a_bad_network_says_what_was_lost_and_what_fec_gave_back() -> None:
    call = replace(received(), trend=TrendFigures(worst_mos=3.21))
    assert text_report(call).splitlines() == [
        "call ended by the other side after 20m50s",
        "  excellent: MOS 4.4   worst 10 s 3.2   without FEC 4.0",
        "  peer      sip:kitchen-loudspeaker@192.168.100.131:5060",
        "  heard     99.89 % as sent   concealed 135 packets   longest gap 60 ms",
        "            1 resync",
        "  packets   received 123456   lost 1500 (1.20 %)   recovered by FEC 1391",
        "            lost after FEC 109 (0.09 %)   late 26   duplicate 3",
        "            reordered 1140",
        "  lost in   1371 runs of 1   57 of 2   12 of 3 or more",
        "  delay     mouth to ear about 70 ms   (packet 20 + buffer 50)",
        "  network   jitter 7.9 ms (max 31.2)",
        "  dropped   foreign 2",
    ]


def test_a_sender_tells_what_the_other_side_heard() -> None:
    assert text_report(sent()).splitlines() == [
        "call ended by this side after 12m07s",
        "  excellent at the other side: MOS 4.4 by its own figures",
        "  peer      sip:10.0.0.9",
        "  sent      36352 packets + 9088 FEC (25 %)   132 kbit/s with all headers",
        "  arrived   the other side lost 412 (1.13 %)   jitter 3.1 ms",
        "            in conversation, with the delay, MOS 4.3",
        "  network   round trip 24.4 ms",
    ]


def arrived(packets: int, network: SessionStats) -> list[str]:
    """What the report of 10 s of sending tells under `arrived`."""
    call = replace(sent(), tx=SenderStats(packets=packets, seconds=10.0), network=network)
    return [line for line in text_report(call).splitlines() if line.startswith("  arrived   ")]


def test_a_report_that_does_not_cover_the_end_says_what_it_covers() -> None:
    path = PathReport(at=1.0, fraction_lost=0.0, cumulative_lost=0, highest=300, jitter=0.001)
    (line,) = arrived(500, SessionStats(rtcp=3, path=path, path_packets=300))
    assert line.startswith("  arrived   reported on 300 of 500 packets")
    (line,) = arrived(500, SessionStats(rtcp=3, path=path, path_packets=460))  # the last report is 0.8 s old
    assert "reported on" not in line


def last_verdict(call: CallRecord) -> str:
    return text_report(call).splitlines()[1].strip()


def test_what_the_other_side_heard_is_no_verdict_on_what_it_never_told_of() -> None:
    call = sent()
    assert call.tx is not None
    assert call.network is not None
    whole = call.tx._replace(packets=3000, seconds=60.0)
    told = replace(call, tx=whole, network=replace(call.network, path_packets=2800))
    assert last_verdict(told) == "excellent there until 4 s before the end: MOS 4.4 by its own figures"
    gone = "excellent there, but unknown for the last 4 s: MOS 4.4 by its own figures"
    assert last_verdict(replace(told, end_reason="media-timeout")) == gone
    killed = replace(told, network=replace(call.network, path_packets=2000))
    assert last_verdict(killed) == gone.replace("4 s", "20 s")


def test_a_few_packets_are_no_call_to_judge() -> None:
    few = with_playout(received(), played=3, played_seconds=0.06, concealed=0, concealed_seconds=0.0)
    assert last_verdict(few) == "too short to judge: 0.1 s of sound"
    call = sent()
    assert call.tx is not None
    short = replace(call, tx=call.tx._replace(packets=3, seconds=0.06))
    assert last_verdict(short) == "too short to judge at the other side: 0.1 s of sound"


def test_media_that_is_not_played_is_told_by_both_sides() -> None:
    call = replace(sent(), tx=SenderStats(packets=500, unplayed=400, seconds=10.0), network=SessionStats(unplayed=7))
    assert "not played there 400" in text_report(call)
    assert "received but not played here 7" in text_report(call)
    told = call_object(call)
    assert told["tx"]["unplayed"] == 400
    assert told["unplayed_here"] == 7


def test_datagrams_that_did_not_leave_are_in_json() -> None:
    told = call_object(replace(sent(), network=SessionStats(icmp_errors=5, unsent=2)))["tx"]
    assert told["icmp_errors"] == 5
    assert told["unsent"] == 2


def test_both_directions_of_a_call_are_judged_apart() -> None:
    both = replace(perfect(), media=media(direction=Direction.SENDRECV), tx=sent().tx, network=sent().network)
    lines = text_report(both).splitlines()
    assert lines[1:3] == [
        "  excellent here: MOS 4.4",
        "  excellent at the other side: MOS 4.4 by its own figures",
    ]
    assert "  sent      36352 packets + 9088 FEC (25 %)   132 kbit/s with all headers" in lines


def test_verbose_shows_every_row_good_or_not() -> None:
    lines = text_report(with_rx(perfect(), clock_ppm=-3.2), every=True).splitlines()
    assert lines == [
        "call ended by the other side after 11.3 s",
        "  excellent: MOS 4.4",
        "  peer      sip:kitchen@192.168.1.20",
        "  security  not encrypted",
        "  heard     100 % as sent   concealed 0 packets   longest gap 0 ms",
        "            nothing came for 0.0 s   not played for 0.0 s   skipped 0 packets",
        "            0 underruns   0 resyncs",
        "  quality   in conversation, with the delay, MOS 4.4   R 123",
        "            by G.107.1 estimate Ie=6 Bpl=6.1",
        "  packets   received 565   lost 0 (0.00 %)   recovered by FEC 0   late 0",
        "            duplicate 0   reordered 0",
        "  lost in   0 runs of 1   0 of 2   0 of 3 or more",
        "  level     peak -8.0 dBFS   RMS -20.0 dBFS   digital silence 0 %",
        "            clipped 0 samples",
        "  delay     mouth to ear about 62 ms   (packet 20 + network 1 + buffer 41)",
        "            buffer at most 60 ms",
        "  clock     the other side's runs 3 ppm slower than ours",
        "  network   jitter 0.3 ms (max 1.0)   round trip 1.2 ms",
        "  dropped   malformed 0   foreign 0   unknown type 0   stray 0   excess 0",
        "            not authentic 0   replayed 0   overruns 0",
        "            not taken by the system 0   withheld 0   FEC rejected 0",
    ]


# --- encryption -------------------------------------------------------------------------------------------------------


def encrypted(*, readable: bool = False) -> CallRecord:
    profile = Profile.AEAD_AES_256_GCM
    master = MasterKey(b"k" * profile.key_length, b"s" * profile.salt_length)
    security = Security(KeyAgreement.SDES, SrtpKeys(profile, master, master), readable)
    return replace(perfect(), media=replace(media(), security=security))


def test_what_encrypts_and_how_the_keys_were_agreed_on_is_told() -> None:
    assert "  security  encrypted by AEAD_AES_256_GCM   keys by SDES" in text_report(encrypted()).splitlines()
    assert (
        "            keys by SDES, readable by whoever reads SIP" in text_report(encrypted(readable=True)).splitlines()
    )
    told = call_object(encrypted(readable=True))
    assert told["encrypted"] is True
    assert told["encryption"] == {"profile": "AEAD_AES_256_GCM", "keys": "sdes", "readable": True}
    assert "kkkk" not in json.dumps(told)


def test_why_a_call_is_not_encrypted_is_told_where_that_was_wanted() -> None:
    call = replace(perfect(), media=replace(media(), security_note="the other side took none of the keys offered"))
    lines = text_report(call).splitlines()
    assert "  security  not encrypted: the other side took none of the keys offered" in lines
    assert call_object(call)["encryption"] is None
    assert not [line for line in text_report(perfect()).splitlines() if "encrypted" in line]


def test_dropped_packets_that_are_not_the_peers_are_told() -> None:
    call = replace(perfect(), network=SessionStats(unauthenticated=7, replayed=3))
    assert "  dropped   not authentic 7   replayed 3" in text_report(call).splitlines()
    rx = call_object(call)["rx"]
    assert (rx["unauthenticated"], rx["replayed"]) == (7, 3)


# --- calls without sound ----------------------------------------------------------------------------------------------


def test_a_call_in_which_not_one_packet_arrived_says_so_first() -> None:
    lines = text_report(with_rx(replace(perfect(), network=None), received=0, expected=0, playout=PlayoutStats()))
    assert lines.splitlines() == [
        "call ended by the other side after 11.3 s",
        "  no sound: not one packet arrived",
        "  peer      sip:kitchen@192.168.1.20",
        "  network   jitter 0.3 ms (max 1.0)",
    ]
    assert "100" not in lines


def test_packets_that_could_not_be_played_are_no_sound() -> None:
    lines = text_report(with_rx(perfect(), playout=PlayoutStats())).splitlines()
    assert lines[1] == "  no sound: packets arrived, none of them could be played"
    assert "  heard     nothing" in lines


def test_digital_silence_is_told_from_sound_in_both_directions() -> None:
    silence = Levels(samples=1000, silent=1000)
    assert text_report(with_rx(perfect(), levels=silence)).splitlines()[1].startswith("  silence: all that arrived is")
    call = sent()
    assert call.tx is not None
    lines = text_report(replace(call, tx=call.tx._replace(levels=silence))).splitlines()
    assert lines[1] == "  silence sent: the input gave digital silence; is it muted?"
    assert "  input     nothing but digital silence" in lines


def test_a_sender_without_a_report_claims_nothing() -> None:
    call = replace(sent(), network=SessionStats())
    assert text_report(call).splitlines()[1] == "  unknown at the other side: it reported nothing"
    older = replace(call, network=SessionStats(rtcp=1, empty_reports=1))  # perhaps older than what we sent
    assert text_report(older).splitlines()[1] == "  unknown at the other side: it reported nothing"
    told_of_nothing = replace(call, network=SessionStats(rtcp=3, empty_reports=3))
    assert text_report(told_of_nothing).splitlines()[1] == "  nothing arrived at the other side, by its own reports"
    unsent = replace(call, tx=SenderStats())
    assert text_report(unsent).splitlines()[1] == "  no sound sent: not one packet left"


def test_a_report_without_metrics_gives_the_loss_and_no_mos() -> None:
    call = sent()
    assert call.network is not None
    assert call.network.path is not None
    path = replace(call.network.path, mos_lq=None, mos_cq=None)
    line = text_report(replace(call, network=replace(call.network, path=path))).splitlines()[1]
    assert line == "  arrived at the other side: 1.1 % lost on the way, before any repair"


def test_time_in_which_nothing_came_or_was_played_is_not_heard_as_sent() -> None:
    lines = text_report(with_playout(perfect(), silent_seconds=3.0, unheard_seconds=0.7)).splitlines()
    assert lines[1] == "  bad: MOS 1.2"
    assert lines[3] == "  heard     75.33 % as sent   nothing came for 3.0 s   not played for 0.7 s"


def test_nearly_all_is_not_all() -> None:
    lines = text_report(with_playout(perfect(), played_seconds=1e6, concealed=1, concealed_seconds=0.001)).splitlines()
    assert lines[3] == "  heard     99.99 % as sent   concealed 1 packet   longest gap 0 ms"


# --- rows -------------------------------------------------------------------------------------------------------------


def test_no_line_is_wider_than_79_columns_whatever_the_figures_are() -> None:
    huge = 10**12
    network = SessionStats(malformed=huge, foreign=huge, unknown_payload_type=huge, stray=huge, overruns=huge, rtt=1e3)
    busy = with_rx(received(), received=huge, expected=2 * huge, recovered=huge // 2, duplicate=huge, reordered=huge)
    both = replace(busy, peer="sip:" + "x" * 200, network=network, tx=sent().tx, output_latency=100.0)
    for call in (received(), perfect(), sent(), both):
        for every in (False, True):
            for line in text_report(call, every=every).splitlines():
                assert len(line) <= 79, line


def test_whatever_was_dropped_is_told_with_its_reason() -> None:
    assert text_report(received()).splitlines()[-1] == "  dropped   foreign 2"
    network = SessionStats(malformed=123_456, foreign=234_567, unknown_payload_type=345_678)
    call = with_rx(replace(received(), network=network), fec_rejected=456_789)
    assert text_report(call).splitlines()[-2:] == [
        "  dropped   malformed 123456   foreign 234567   unknown type 345678",
        "            FEC rejected 456789",
    ]
    assert "dropped" not in text_report(replace(received(), network=SessionStats()))


def test_the_text_report_counts_as_people_do() -> None:
    text = text_report(with_playout(received(), concealed=1, skipped=1, underruns=2))
    assert "concealed 1 packet   " in text
    assert "skipped 1 packet   2 underruns   1 resync" in text
    assert "lost in   1 run of 1   57 of 2" in text_report(with_rx(received(), loss_runs={"1": 1, "2": 57, "3+": 0}))


def test_levels_are_told_when_something_is_wrong_with_them() -> None:
    loud = Levels(samples=1000, energy=500.0, peak=1.0, clipped=1)
    assert "  level     peak 0.0 dBFS   RMS -3.0 dBFS   clipped 1 sample" in text_report(
        with_rx(perfect(), levels=loud)
    )
    quiet = Levels(samples=1000, energy=10**-5.5 * 1000, peak=0.01)
    assert "  level     peak -40.0 dBFS   RMS -55.0 dBFS" in text_report(with_rx(perfect(), levels=quiet))
    assert "level" not in text_report(perfect())


def test_a_clock_that_is_far_off_is_told_unasked() -> None:
    assert "  clock     the other side's runs 180 ppm faster than ours" in text_report(
        with_rx(perfect(), clock_ppm=180.2)
    )
    assert "clock" not in text_report(with_rx(perfect(), clock_ppm=-20.0))


def test_the_delay_is_made_of_what_is_known() -> None:
    text = text_report(replace(perfect(), output_latency=0.0235))
    assert "            (packet 20 + network 1 + buffer 41 + device 24)" in text.splitlines()


def test_a_port_that_is_closed_there_is_told_in_the_words_of_icmp() -> None:
    network = SessionStats(icmp_errors=3)
    call = CallRecord("x", "sip:a", incoming=False, end_reason="cancelled", tx=SenderStats(), network=network)
    assert text_report(call).splitlines()[0] == "call cancelled after 0.0 s"
    assert "  network   ICMP port unreachable: 3" in text_report(call).splitlines()


# --- JSON -------------------------------------------------------------------------------------------------------------


def test_the_json_report_has_every_field_and_both_identities_hold() -> None:
    report = final_report("receiver", "0.1.0", 0, None, (received(),), system={"cpu_s": 1.5})
    of_all = {"calls", "targets", "total", "devices", "system", "capture"}
    assert set(report) == {"schema", "program", "version", "exit", "error", *of_all}
    assert report["system"] == {"cpu_s": 1.5, "max_rss_kb": None}
    call: dict[str, Any] = json.loads(json.dumps(report))["calls"][0]
    assert set(call) == CALL_FIELDS
    rx = call["rx"]
    assert set(rx) == RX_FIELDS
    assert rx["expected"] == rx["received"] + rx["lost"]
    assert rx["lost"] == rx["recovered"] + rx["lost_after_fec"]
    assert set(call["timing"]) == TIMING_FIELDS
    assert call["timing"]["buffer_ms"] == {"min": 20.0, "mean": 50.0, "max": 200.0, "target": 60.0}
    assert set(call["quality"]) == QUALITY_FIELDS
    assert set(call["remote"]) == REMOTE_FIELDS


def test_the_quality_of_a_call_in_json() -> None:
    quality = call_object(replace(received(), trend=TrendFigures(worst_mos=3.214)))["quality"]
    assert quality["method"] == "G.107.1 estimate Ie=6 Bpl=6.1"
    assert quality["r"] == quality["r_cq"] == pytest.approx(120.9, abs=0.2)
    assert quality["r_max"] == 129.0
    assert quality["mos_lq"] == pytest.approx(4.42, abs=0.01)
    assert quality["mos_without_fec"] < quality["mos_lq"]
    assert quality["worst_10s_mos"] == 3.21


def test_levels_shape_of_loss_and_delay_in_json() -> None:
    call = call_object(received())
    assert call["levels"]["rx"] == {"peak_dbfs": -6.0, "rms_dbfs": -21.0, "silence_pct": 2.0, "clipped": 0}
    assert call["levels"]["tx"] == {"peak_dbfs": None, "rms_dbfs": None, "silence_pct": None, "clipped": None}
    assert call["loss"]["burst_ratio"] == pytest.approx(1500 / 1440 * 0.988, abs=0.01)
    one_way = call["timing"]["one_way_ms"]
    assert (one_way["total"], one_way["buffer"], one_way["network"]) == (70.0, 50.0, None)


def test_what_is_not_known_is_null_and_left_out_of_the_text() -> None:
    call = call_object(CallRecord(call_id="x", peer="sip:a", incoming=False))
    assert set(call) == CALL_FIELDS
    assert call["codec"] is None
    assert call["rx"] is None
    assert call["timing"]["jitter_ms"] is None
    assert call["timing"]["one_way_ms"]["total"] is None
    assert set(call["quality"].values()) == {None}
    assert set(call["remote"].values()) == {None}
    bare = replace(received(), rx=ReceiverStats(), network=None)
    assert "jitter" not in text_report(bare)
    assert "buffer" not in text_report(bare)


def test_what_the_other_side_reports_is_apart_from_our_own_figures() -> None:
    call = call_object(sent())
    assert call["remote"] == {
        "fraction_lost": 0.01133, "cumulative_lost": 412, "jitter_ms": 3.1, "rtt_ms": 24.4, "discarded": 0.0,
        "buffer_ms": 60.0, "r": 92.0, "mos_lq": 4.4, "mos_cq": 4.3,
    }  # fmt: skip
    assert set(call["quality"].values()) == {None}
    assert (call["timing"]["rtt_ms"], call["timing"]["rtt_min_ms"]) == (24.4, 23.9)
    assert call["rtcp"] == {"sent": 61, "sent_ip_bytes": 12_000, "received": 60, "received_ip_bytes": 9000}
    network = sent().network
    assert network is not None
    assert network.path is not None
    more = replace(network, path=replace(network.path, cumulative_lost=-3))  # copies: more came than was sent
    assert call_object(replace(sent(), network=more))["remote"]["fraction_lost"] == 0.0


def test_an_interval_holds_what_is_new_since_the_last_one() -> None:
    before = received()
    assert before.rx is not None
    assert before.network is not None
    playout = replace(before.rx.playout, played_seconds=1252.0, concealed_seconds=2.35)
    rx = replace(before.rx, received=123_856, expected=125_456, recovered=1441, playout=playout, jitter=0.02)
    network = replace(before.network, ip_bytes=before.network.ip_bytes + 62_500)
    interval = interval_object(replace(before, duration=1255.0, rx=rx, network=network), before)
    assert (interval["seconds"], interval["received"], interval["lost"]) == (5.0, 400, 100)
    assert (interval["lost_pct"], interval["lost_after_fec_pct"]) == (20.0, 10.0)
    assert (interval["jitter_ms"], interval["rx_kbps"], interval["tx_kbps"]) == (20.0, 100.0, None)
    assert interval["mos_lq"] < 2.0
    assert interval_object(before, None)["received"] == 123_456


def test_the_header_field_for_exchanges() -> None:
    assert rtp_stat(sent()) == "PS=36352,OS=9000000,PR=0,OR=0,PL=0,LA=24,DU=727,EN=l16"
    assert rtp_stat(received()) == "PS=0,OS=0,PR=123456,OR=120000000,PL=1500,JI=8,DU=1250,DE=l16,MOS=4.4"
    assert rtp_stat(CallRecord("x", "sip:a", incoming=False)) == "PS=0,OS=0,PR=0,OR=0,PL=0,DU=0"
