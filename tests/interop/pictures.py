"""The pictures of the page in the documents: python -m tests.interop.pictures

A call over a line that loses packets, as a sender sees it: light, dark, and on a phone.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from tests.interop.browser import browser
from tests.interop.pages import page_of, sender_without_target
from tests.support.processes import ROOT, free_ports, receiver
from tests.support.relay import RECEIVER_ALIAS, SENDER_ALIAS, relay

TALK = 50.0
"""Seconds of the call before its pictures."""
PICTURES = (("light", False, (1120, 880)), ("dark", True, (1120, 880)), ("phone", False, (360, 740)))


def main() -> None:
    ports = free_ports()
    wire = ("--impair", "media", "--loss", "0.08", "--jitter-ms", "12", "--delay-ms", "20", "--seed", "3")
    heard = ("--two-way", "--input", "demo", "--loop", "--public-address", RECEIVER_ALIAS)
    said = ("--two-way", "--input", "demo", "--loop", "--output", "null", "--public-address", SENDER_ALIAS)
    with (
        tempfile.TemporaryDirectory(prefix="pictures-") as name,
        relay((ports[0], *ports[1]), *wire),
        receiver(Path(name), *heard, ports=ports) as listening,
        sender_without_target(Path(name), "--web", "0", *said) as calling,
    ):
        url, folder = page_of(calling), Path(name)
        with browser(folder) as window:
            window.open(url)
            window.find("#target").send_keys(f"sip:kitchen@{RECEIVER_ALIAS}:{ports[0]}")
            window.press("Start")
            window.wait_for_text(".phase", "outgoing")
            time.sleep(TALK)
        for kind, dark, size in PICTURES:
            with browser(folder / kind, dark=dark, size=size) as window:
                window.open(url)
                window.wait_for_text(".charts", "Sent: ")
                time.sleep(1.5)
                window.picture(ROOT / "docs" / f"page-{kind}.png")
        calling.stop()
        calling.finish()
        listening.stop()
        listening.finish()


if __name__ == "__main__":
    main()
