"""Both scripts on a network that loses SIP messages, and with peers that die, fall silent or stop to respond."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tests.support.outcomes import PROMISED_END, REPEAT, SIDES, assert_clean, assert_one_complaint, gone, tell
from tests.support.plain_phone import phone
from tests.support.processes import free_ports, receiver, sender, until
from tests.support.relay import RECEIVER_ALIAS, SENDER_ALIAS, relay

pytestmark = pytest.mark.process


@pytest.mark.parametrize("side", SIDES)
def test_with_a_fifth_of_sip_lost_both_end_all_the_same(tmp_path: Path, side: str) -> None:
    apart, time_outs = [], 0
    for seed in range(REPEAT):
        ports = free_ports()
        with (
            relay((ports[0], *ports[1]), "--impair", "sip", "--loss", "0.2", "--seed", str(seed)),
            receiver(
                tmp_path, "--once", "--public-address", RECEIVER_ALIAS, "--media-timeout", "3s", ports=ports
            ) as far,
            sender(
                tmp_path,
                f"{RECEIVER_ALIAS}:{ports[0]}",
                *("--public-address", SENDER_ALIAS, "--media-timeout", "3s"),
            ) as near,
        ):
            far.wait_for("call from")
            near.wait_for("call to")
            (near if side == "sender" else far).stop()
            until(lambda: near.process.poll() is not None or far.process.poll() is not None, "one has gone")
            first = time.monotonic()
            until(lambda: gone(near, far), "both are gone")
            apart.append(time.monotonic() - first)
            for outcome in (near.finish(), far.finish()):
                by_time_out = outcome.report is not None and outcome.call["end_reason"] == "media-timeout"
                time_outs += by_time_out
                heard = outcome.call["rx"]
                silent = heard is not None and not heard["received"]  # the 200 to the INVITE was lost for so long
                assert_clean(outcome, status=8 if by_time_out or silent else 0)
    tell(f"apart ({time_outs} by the media time-out)", apart, PROMISED_END)
    assert sum(seconds <= PROMISED_END for seconds in apart) >= 0.8 * REPEAT - 1


KILL = signal.SIGKILL
SOON = ("--media-timeout", "2s")


def test_a_killed_sender_is_missed_and_the_receiver_takes_the_next_call(tmp_path: Path) -> None:
    with receiver(tmp_path, *SOON) as far:
        with sender(tmp_path, far.target) as near:
            far.wait_for("call from")
            near.send_signal(KILL)
            assert near.finish().report is None
        far.wait_for("no more media from the other side")
        with sender(tmp_path, far.target, "--duration", "300ms") as near:
            assert_clean(near.finish())
        far.wait_for("ended by the other side")
        far.stop()
        heard = far.finish()
    assert_clean(heard)
    assert heard.report is not None
    assert [call["end_reason"] for call in heard.report["calls"]] == ["media-timeout", "remote-bye"]


def test_a_receiver_for_one_call_whose_sender_was_killed_exits_with_8(tmp_path: Path) -> None:
    with receiver(tmp_path, "--once", *SOON) as far, sender(tmp_path, far.target) as near:
        far.wait_for("call from")
        near.send_signal(KILL)
        heard = far.finish()
    assert_clean(heard, status=8)
    assert heard.call["end_reason"] == "media-timeout"
    assert_one_complaint(heard, "receiver.py: ")


def test_a_sender_whose_receiver_was_killed_exits_with_8(tmp_path: Path) -> None:
    with receiver(tmp_path) as far, sender(tmp_path, far.target, *SOON, "--retry", "off") as near:
        near.wait_for("call to")
        far.send_signal(KILL)
        sent = near.finish()
    assert_clean(sent, status=8)
    assert sent.call["end_reason"] == "media-timeout"
    assert sent.call["tx"]["packets"] > 0
    assert_one_complaint(sent, "lost contact")


@pytest.mark.parametrize(
    ("how", "seconds", "options"),
    [
        ("muted", 6.0, SOON),
        ("on hold", 6.0, SOON),
        pytest.param("muted", 90.0, (), marks=pytest.mark.slow),
        pytest.param("on hold", 90.0, (), marks=pytest.mark.slow),
    ],
)
def test_a_peer_that_is_silent_and_responds_stays(
    tmp_path: Path, how: str, seconds: float, options: tuple[str, ...]
) -> None:
    """For three times the media time-out and more; on hold without music."""
    with phone() as other, receiver(tmp_path, *options) as far:
        answer = other.call(far.target)
        other.talk(answer, 10)
        if how == "on hold":
            other.hold(answer, far.target)
        since = time.monotonic()
        until(lambda: time.monotonic() - since > seconds, "the silence is over", 2 * seconds)
        assert len(other.requests("OPTIONS")) >= 6  # in 6 s one each 0.5 to 0.75 s, later fewer
        assert other.requests("BYE") == []
        far.stop()
        heard = far.finish()
    assert_clean(heard)
    assert heard.call["end_reason"] == "local-bye"
    assert heard.call["duration_s"] > seconds - 1.0


def test_a_muted_peer_that_does_not_respond_is_hung_up_on_as_a_media_time_out(tmp_path: Path) -> None:
    with phone(mute_after="OPTIONS") as other, receiver(tmp_path, "--once", *SOON) as far:
        other.talk(other.call(far.target), 10)
        heard = far.finish()
        other.wait_for("BYE")
    assert_clean(heard, status=8)
    assert heard.call["end_reason"] == "media-timeout"
