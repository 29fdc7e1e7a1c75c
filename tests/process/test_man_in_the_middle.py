"""Calls through somebody who changes bytes of their SIP, RTP and RTCP: nothing but the call may suffer.

VOIP_MITM: seconds of it.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.processes import LOOPBACK, Outcome, free_ports, receiver, sender
from tests.support.relay import RECEIVER_ALIAS, SENDER_ALIAS, relay

pytestmark = pytest.mark.process

SECONDS = float(os.environ.get("VOIP_MITM", "15"))
BUG = 1
"""The exit status of a program with a fault of its own."""
SHARE = "0.1"


@pytest.mark.parametrize(("two_way", "srtp"), [(False, "off"), (True, "off"), (True, "optional")])
def test_no_thread_dies_of_changed_bytes_and_no_fault_is_told(tmp_path: Path, two_way: bool, srtp: str) -> None:
    """A request or handshake of which bytes are changed may end a call, and the sender with it, which is then started
    anew; but by no bug."""
    sip_port, media = free_ports()
    both = ("--two-way", "--input", "tone") if two_way else ()
    common = ("--media-timeout", "5s", "-v", "--srtp", srtp)
    far_side = ("--public-address", RECEIVER_ALIAS, "--max-calls", "4", *common, *both)
    near_side: tuple[str, ...] = ("--public-address", SENDER_ALIAS, "--retry", "forever", *common)
    near_side += ("--two-way", "--output", "null") if two_way else ()
    end, sent = time.monotonic() + SECONDS, list[Outcome]()
    with (
        relay([sip_port, *media], "--mutate", SHARE) as between,
        receiver(tmp_path, *far_side, ports=(sip_port, media)) as far,
    ):
        while (left := end - time.monotonic()) > 0:
            target, name = f"{RECEIVER_ALIAS}:{sip_port}", f"sender{len(sent)}"
            with sender(tmp_path, target, *near_side, host=LOOPBACK, name=name) as near:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    near.process.wait(left)
                assert far.process.poll() is None, far.stderr
                near.stop()
                sent.append(near.finish())
        far.stop()
        heard = far.finish()
        counts = between.counts()
    said = "".join(each.stderr for each in [*sent, heard])
    if srtp == "off":
        assert sum(count["delivered"] for count in counts["forward"].values()) > 20 * SECONDS
    assert BUG not in [each.status for each in [*sent, heard]], said
    assert "bug" not in said
    assert heard.report is not None
    assert srtp != "off" or max(call["rx"]["received"] for call in heard.report["calls"] if call["rx"]) > 0
