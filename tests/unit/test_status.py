"""The status line: what it says, what gives way in a narrow terminal, and dead air."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.negotiated import negotiated
from voip import codecs
from voip.media import Direction
from voip.report import CallRecord
from voip.report.live import LiveCalls, Recent
from voip.report.status import Part, chosen, clock_time, fit, log_line, meter, plain, short_name, status_line
from voip.stats import InMix, Levels, PathReport, PlayoutStats, ReceiverStats, SenderStats, SessionStats

RATE = 50
"""Packets per second."""


def record(second: int, *, came: int | None = None, lost: int = 0, recovered: int = 0, **changes: object) -> CallRecord:
    """A receiver's call after so many seconds, of which `came` (all of them) brought packets."""
    packets = RATE * (second if came is None else came)
    rms = 10**-2.0
    rx = ReceiverStats(
        received=packets - lost, expected=packets, recovered=recovered, jitter=0.0123,
        playout=PlayoutStats(
            played=packets, played_seconds=packets / RATE - (lost - recovered) / RATE,
            concealed_seconds=(lost - recovered) / RATE, delay=0.081,
        ),
        levels=Levels(samples=packets, energy=packets * rms),
    )  # fmt: skip
    codec = codecs.static(0)
    media = negotiated(codec=codec, payload_type=0, remote=("192.0.2.1", 5000), direction=Direction.RECVONLY, fec="red")
    call = CallRecord("a", "sip:kitchen@192.0.2.1", incoming=True, media=media, duration=float(second), rx=rx)
    return replace(call, **changes)  # type: ignore[arg-type]


def sent(second: int, **changes: object) -> CallRecord:
    path = PathReport(at=1.0, fraction_lost=0.098, cumulative_lost=412, highest=9000, jitter=0.0031, mos_lq=4.3)
    packets = RATE * second
    tx = SenderStats(packets=packets, ip_bytes=140 * packets, levels=Levels(samples=packets, energy=packets * 0.01))
    network = SessionStats(path=path, path_packets=9000, rtt=0.0244)
    call = replace(record(second), rx=None, tx=tx, network=network)
    return replace(call, **changes)  # type: ignore[arg-type]


def looks(live: LiveCalls, *calls: CallRecord) -> Recent:
    """Take a look a second; the last one."""
    found = [live.look([call], call.duration)[0] for call in calls]
    return found[-1]


def line(recent: Recent, width: int) -> str:
    text = plain(status_line([recent], width))
    assert len(text) <= width
    return text


def test_a_receiver_at_any_width() -> None:
    recent = looks(LiveCalls(), record(10), record(11, lost=5, recovered=4), record(12, lost=10, recovered=9))
    assert (
        line(recent, 120) == "  00:00:12  MOS 3.8  [=====   ]  loss 10.0 %  after FEC 1.0 %  jitter 12 ms  delay 81 ms"
    )
    assert line(recent, 66) == "  00:00:12  MOS 3.8  [=====   ]  loss 10.0 %  after FEC 1.0 %"
    assert line(recent, 40) == "  00:00:12  MOS 3.8  loss 10.0 %"
    assert line(recent, 20) == "  00:00:12  MOS 3.8"
    assert line(recent, 6) == "  00:0"
    for width in range(2, 130):
        line(recent, width)


def test_a_log_has_no_meter_and_no_second_clock() -> None:
    recent = looks(LiveCalls(), record(10), record(11, lost=5, recovered=4), record(12, lost=10, recovered=9))
    assert log_line(recent, 70, named=False) == "MOS 3.8  loss 10.0 %  after FEC 1.0 %  jitter 12 ms  delay 81 ms"
    assert log_line(recent, 70, named=True) == "kitchen  MOS 3.8  loss 10.0 %  after FEC 1.0 %  delay 81 ms"
    assert log_line(replace(recent, quiet=3.0), 70, named=False) == "NO SOUND for 3 s"


def test_a_sender_tells_what_arrives_there() -> None:
    recent = looks(LiveCalls(), sent(10), sent(11))
    whole = "  00:00:11  [=====   ]  there loss 9.8 %  there MOS 4.3  jitter 3 ms  round trip 24 ms  56 kbit/s"
    assert line(recent, 120) == whole
    assert line(recent, 30) == "  00:00:11  there MOS 4.3"


def test_both_directions_in_one_line() -> None:
    calls = [replace(record(second), tx=sent(second).tx, network=sent(second).network) for second in (10, 11)]
    assert line(looks(LiveCalls(), *calls), 160) == (
        "  00:00:11  MOS 4.1  in [=====   ]  no loss  jitter 12 ms  delay 81 ms"
        "  out [=====   ]  out loss 9.8 %  out MOS 4.3  56 kbit/s"
    )


def test_dead_air_is_seen_at_once_and_gone_when_sound_comes() -> None:
    live = LiveCalls()
    recent = looks(live, record(10), record(11), record(12, came=11), record(13, came=11), record(14, came=11))
    assert line(recent, 79) == "  00:00:14  NO SOUND for 3 s"
    assert status_line([recent], 79)[1].alarm
    assert line(recent, 40) == "  00:00:14  NO SOUND for 3 s"
    assert "NO SOUND" not in line(looks(live, record(15, came=12)), 79)


def test_a_call_that_never_brought_a_packet_is_dead_air_from_its_start() -> None:
    recent = looks(LiveCalls(), record(0), record(1, came=0), record(2, came=0))
    assert line(recent, 79) == "  00:00:02  NO SOUND for 2 s"


def test_on_hold_no_sound_is_expected() -> None:
    held = record(10)
    assert held.media is not None
    held = replace(held, media=replace(held.media, direction=Direction.INACTIVE))
    recent = looks(LiveCalls(), held, replace(held, duration=14.0))
    assert recent.quiet == 0.0


def test_a_mute_microphone_is_told() -> None:
    def mute(second: int) -> CallRecord:
        call = sent(second)
        assert call.tx is not None
        silence = Levels(samples=RATE * second, silent=RATE * second)
        return replace(call, tx=call.tx._replace(levels=silence))

    recent = looks(LiveCalls(), mute(10), mute(11), mute(12), mute(13))
    assert "MIC SILENT for 3 s" in line(recent, 79)


def test_sound_that_came_too_late_is_told_though_nothing_is_lost() -> None:
    call = record(12)
    assert call.rx is not None
    late = replace(call.rx.playout, played_seconds=11.8, concealed_seconds=0.2)
    recent = looks(LiveCalls(), record(10), record(11), replace(call, rx=replace(call.rx, playout=late)))
    assert line(recent, 79) == "  00:00:12  MOS 2.2  [=====   ]  no loss  not heard 10.0 %  delay 81 ms"


def test_old_losses_are_no_news() -> None:
    live = LiveCalls()
    losses = [record(second, lost=100) for second in range(10, 22)]
    assert looks(live, record(9), *losses).loss == 0.0


def test_several_calls_take_turns_and_dead_air_has_the_first() -> None:
    names = ("kitchen", "hall", "attic")
    calls = [
        looks(
            LiveCalls(), record(10, call_id=name, peer=f"sip:{name}@h"), record(11, call_id=name, peer=f"sip:{name}@h")
        )
        for name in names
    ]
    assert [chosen(calls, turn) for turn in range(0, 12, 3)] == [0, 1, 2, 0]
    assert plain(status_line(calls, 60, turn=3)).startswith("  2/3 hall  00:00:11  MOS 4.1")
    dead = [calls[0], replace(calls[1], quiet=3.0), replace(calls[2], quiet=5.0)]
    assert [chosen(dead, turn) for turn in range(0, 9, 3)] == [1, 2, 1]
    assert plain(status_line(dead, 79)) == "  2/3 hall  2 calls without sound  00:00:11  NO SOUND for 3 s"


def test_calls_that_are_over_are_forgotten() -> None:
    live = LiveCalls()
    live.look([record(10)], 10.0)
    assert live.look([record(11, end_reason="remote-bye")], 11.0) == []
    assert live.look([record(12, came=10)], 12.0)[0].quiet == 0.0


def test_what_matters_least_gives_way_first() -> None:
    parts = [Part("time", 0), Part("least", 9), Part("most", 1)]
    assert plain(fit(parts, 100)) == "  time  least  most"
    assert plain(fit(parts, 14)) == "  time  most"
    assert plain(fit(parts, 8)) == "  time"


@pytest.mark.parametrize(
    ("level", "bar"),
    [(-99.0, "[        ]"), (-48.0, "[        ]"), (-24.0, "[====    ]"), (0.0, "[========]"), (6.0, "[========]")],
)
def test_the_level_meter(level: float, bar: str) -> None:
    assert meter(level) == bar


@pytest.mark.parametrize(
    ("peer", "name"),
    [
        ("sip:bob@h:5060", "bob"),
        ("sip:voip@10.0.0.9:41000", "10.0.0.9:41000"),
        ("sip:10.0.0.9", "10.0.0.9"),
        ("rtp://:5004", "rtp://:5004"),
    ],
)
def test_what_a_call_is_called(peer: str, name: str) -> None:
    assert short_name(peer) == name


def test_clock_time() -> None:
    assert clock_time(3661.9) == "01:01:01"


def _named(name: str, *, speaking: bool = False, muted: bool = False, gain_db: float = 0.0) -> Recent:
    calls = [replace(record(second), call_id=name, peer=f"sip:{name}@192.0.2.2") for second in (10, 11)]
    mix = InMix(gain_db=gain_db, muted=muted, speaking=speaking)
    return looks(LiveCalls(), *(replace(each, rx=replace(each.rx, in_mix=mix)) for each in calls if each.rx))


def test_of_several_calls_the_one_that_was_chosen_is_shown_and_who_speaks_is_told() -> None:
    calls = [_named("alice", speaking=True), _named("bob", muted=True), _named("carol", gain_db=-6.0)]
    shown = [plain(status_line(calls, 160, 0, selected)) for selected in ("bob", "carol", None)]
    assert "2/3 bob" in shown[0]
    assert "muted" in shown[0]
    assert "3/3 carol" in shown[1]
    assert "-6 dB" in shown[1]
    assert "1/3 alice" in shown[2]
    assert all("speaking alice" in each for each in shown)
    assert "muted" not in shown[2]
    assert "1/3 alice" in plain(status_line(calls, 160, 0, "who has left"))
