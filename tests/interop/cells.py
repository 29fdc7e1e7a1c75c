"""The cells of the matrix, and why those that cannot be are empty."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

CODECS = ("opus", "l16", "g722", "pcmu", "pcma", "aac")
TRANSPORTS = ("udp", "tcp", "tls")
THEY, WE = "they call", "we call"
PHONES = ("baresip", "linphonec", "sipp")
TOOLS = ("ffmpeg", "gstreamer")
PROXIED = ("kamailio", "kamailio+baresip")
PEERS = (*PHONES, *PROXIED, *TOOLS)
TITLES = {
    "baresip": "baresip",
    "linphonec": "linphonec",
    "sipp": "sipp",
    "kamailio": "Kamailio and rtpengine between sender.py and receiver.py",
    "kamailio+baresip": "Kamailio and rtpengine between us and baresip",
    "ffmpeg": "ffmpeg",
    "gstreamer": "GStreamer",
}


@dataclass(frozen=True)
class Cell:
    """One place in the matrix: peer, codec, who calls, over what. `transport` is "rtp" where there is no SIP."""

    peer: str
    who: str
    codec: str
    transport: str

    @property
    def name(self) -> str:
        """As in a test's name."""
        who = {THEY: "calls-us", WE: "called"}[self.who]
        return f"{self.peer}-{who}-{self.codec}-{self.transport}"

    @property
    def empty(self) -> str | None:
        """Why there can be no call here; None: there has to be one."""
        return _no_codec(self) or _no_transport(self) or _no_way(self)


def all_cells() -> Iterator[Cell]:
    """Every cell, the empty ones too, in the order of the tables."""
    for peer in PEERS:
        for codec in CODECS:
            for transport in ("rtp",) if peer in TOOLS else TRANSPORTS:
                for who in (WE,) if peer == "kamailio" else (WE, THEY):
                    yield Cell(peer, who, codec, transport)


def _no_codec(cell: Cell) -> str | None:
    if cell.codec != "aac":
        return None
    return {
        "baresip": "baresip has no module for AAC-LC over RTP",
        "kamailio+baresip": "baresip has no module for AAC-LC over RTP",
        "linphonec": "linphonec knows no mpeg4-generic",
    }.get(cell.peer)


def _no_transport(cell: Cell) -> str | None:
    if cell.peer == "sipp" and cell.transport == "tls":
        return "Debian's sipp is built without TLS"
    return None


def _no_way(cell: Cell) -> str | None:
    if (cell.peer, cell.who, cell.transport) == ("linphonec", WE, "tls"):
        return "linphonec accepts no TLS connections: over TLS it is called through a registrar alone"
    return None
