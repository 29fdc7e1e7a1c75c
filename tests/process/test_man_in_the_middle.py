"""Calls through somebody who changes bytes of their SIP, RTP and RTCP: nothing but the call may suffer.

VOIP_MITM: seconds of it.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.support.processes import LOOPBACK, free_ports, receiver, sender
from tests.support.relay import RECEIVER_ALIAS, SENDER_ALIAS, relay

pytestmark = pytest.mark.process

SECONDS = float(os.environ.get("VOIP_MITM", "15"))
BUG = 1
"""The exit status of a program with a fault of its own."""
SHARE = "0.1"


@pytest.mark.parametrize(("two_way", "srtp"), [(False, "off"), (True, "off"), (True, "optional")])
def test_no_thread_dies_of_changed_bytes_and_no_fault_is_told(tmp_path: Path, two_way: bool, srtp: str) -> None:
    """A handshake of which bytes are changed fails, and its call with it: then the sender may end, but not by a bug."""
    sip_port, media = free_ports()
    both = ("--two-way", "--input", "tone") if two_way else ()
    common = ("--media-timeout", "5s", "-v", "--srtp", srtp)
    far_side = ("--public-address", RECEIVER_ALIAS, "--max-calls", "4", *common, *both)
    near_side: tuple[str, ...] = ("--public-address", SENDER_ALIAS, "--retry", "forever", *common)
    near_side += ("--two-way", "--output", "null") if two_way else ()
    with (
        relay([sip_port, *media], "--mutate", SHARE) as between,
        receiver(tmp_path, *far_side, ports=(sip_port, media)) as far,
        sender(tmp_path, f"{RECEIVER_ALIAS}:{sip_port}", *near_side, host=LOOPBACK) as near,
    ):
        time.sleep(SECONDS)
        assert far.process.poll() is None, far.stderr
        assert near.process.poll() is None or srtp != "off", near.stderr
        near.stop()
        sent = near.finish()
        far.stop()
        heard = far.finish()
        counts = between.counts()
    said = sent.stderr + heard.stderr
    if srtp == "off":
        assert sum(count["delivered"] for count in counts["forward"].values()) > 20 * SECONDS
    assert BUG not in (sent.status, heard.status), said
    assert "bug" not in said
    assert heard.report is not None
    assert srtp != "off" or max(call["rx"]["received"] for call in heard.report["calls"] if call["rx"]) > 0
