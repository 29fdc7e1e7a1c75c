"""What tshark makes of the captures of `--pcap`: the packets that we count, SIP at any port, no error in anything."""

from __future__ import annotations

import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.support.certificates import make_certificates
from tests.support.peers import Capture, require
from tests.support.processes import LOOPBACK, PATIENCE, receiver, sender

pytestmark = [pytest.mark.process, pytest.mark.interop]
CHECKED = ("-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE")
WRONG = "ip.checksum.status == 0 || udp.checksum.status == 0 || tcp.checksum.status == 0 || (_ws.malformed && !srtcp)"
"""Encrypted RTCP is left out: tshark, which has no keys, reads some of it as if it were in clear. With AES-GCM the word
with the E flag comes last (RFC 7714 section 9.2), not before the tag (RFC 3711 section 3.4)."""


class Written(Capture):
    """A capture of ours. tshark is told nothing of our ports: it has to find SIP by itself."""

    def read(self, *arguments: str) -> list[str]:
        """Lines that tshark prints of it."""
        command = ["tshark", "-n", "-r", str(self.file), *CHECKED, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE * 3)
        assert "cut short" not in done.stderr
        return done.stdout.splitlines()

    def sip(self) -> list[str]:
        """Methods of requests and statuses of responses."""
        rows = self.read("-Y", "sip", "-T", "fields", "-e", "sip.Method", "-e", "sip.Status-Code")
        return [row.strip() for row in rows]

    def assert_flawless(self) -> None:
        """Every checksum is right, every packet can be read, and none is before the one before it."""
        require("capinfos")
        assert self.read("-Y", WRONG) == []
        told = subprocess.run(["capinfos", "-o", "-M", str(self.file)], capture_output=True, text=True, check=True)
        assert "Strict time order:   True" in told.stdout


def test_tshark_counts_the_packets_of_a_call_as_the_report_does(tmp_path: Path) -> None:
    require("tshark")
    options = ("--srtp", "off", "--pcap")
    with (
        receiver(tmp_path, "--once", *options, "far.pcapng") as far,
        sender(
            tmp_path, far.target, "--codec", "pcmu", "--fec", "4", "--duration", "4s", *options, "near.pcapng"
        ) as near,
    ):
        sent, heard = near.finish().call, far.finish().call
    for name in ("near.pcapng", "far.pcapng"):
        written = Written(tmp_path / name, far.sip_port)
        written.assert_flawless()
        assert written.sip() == ["INVITE", "200", "ACK", "BYE", "200"]
        protocols = written.protocols()
        assert protocols["RTCP"] >= 2
        media, repair, *_ = sorted(written.streams(), key=lambda stream: -stream.packets)
        assert media.packets == sent["tx"]["packets"] == heard["rx"]["received"]
        assert repair.packets == sent["tx"]["fec_packets"]
        assert (media.lost, repair.lost) == (0, 0)
        assert media.payload == "g711U"


@pytest.mark.parametrize("protocol", ["tcp", "tls"])
def test_sip_over_a_connection_is_shown_as_messages(tmp_path: Path, protocol: str) -> None:
    require("tshark")
    certificates = make_certificates(tmp_path)
    with receiver(tmp_path, "--once", "--pcap", "far.pcapng", *certificates.server) as far:
        target = f"sip:{LOOPBACK}:{far.sip_port + (protocol == 'tls')};transport={protocol}"
        with sender(tmp_path, target, "--duration", "1s", "--pcap", "near.pcapng", *certificates.client) as near:
            near.finish()
        far.finish()
    for name in ("near.pcapng", "far.pcapng"):
        written = Written(tmp_path / name, far.sip_port)
        written.assert_flawless()
        assert written.sip() == ["INVITE", "200", "ACK", "BYE", "200"]
        assert len(written.frames("sip && tcp")) == 5
        assert len(written.frames("frame.comment")) == (5 if protocol == "tls" else 0)
        assert written.frames("tcp.analysis.flags") == [], "numbers run on, nothing seems lost or repeated"
        assert Counter(written.read("-Y", "dtls.handshake", "-T", "fields", "-e", "_ws.col.Protocol")), "keys by DTLS"
