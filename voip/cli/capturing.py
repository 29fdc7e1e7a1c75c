"""The option --pcap: a capture of all packets of calls, and what is told of it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import voip
from voip.cli.parser import Group
from voip.cli.values import file_to_write
from voip.errors import EXIT_DEVICE, EXIT_OK
from voip.net import PacketCapture, Tap
from voip.private import check_regular
from voip.report import Console
from voip.stats import CaptureStats

if TYPE_CHECKING:  # it has our option
    from voip.cli.options import CommonOptions


def add_pcap(group: Group) -> None:
    """The option of both scripts."""
    group.add_argument(
        "--pcap",
        metavar="FILE",
        type=pcap_file,
        help="Capture all packets of calls, SIP and media, to this file in the format pcapng, for Wireshark. Passwords "
        "and keys are overwritten; sound is in it as it is sent. A file that is there is replaced.",
    )


def pcap_file(text: str) -> str:
    """A file that is written later: as for --report, but no device, pipe or link."""
    try:
        check_regular(text)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"cannot write {text}: {error.strerror}") from error
    return file_to_write(text)


def make_tap(options: CommonOptions, console: Console) -> Tap:
    """What notes packets for the capture of the options, if there is one."""
    path = options.pcap
    if path is None:
        return Tap()

    def failed(reason: str) -> None:
        text = f"the capture has ended, and calls go on without it: cannot write {path}: {reason}"
        console.event("capture-failed", text, file=path, error=reason)

    return Tap(PacketCapture(path, f"voip {voip.__version__}", failed))


def tell_capture(capture: CaptureStats | None, console: Console) -> None:
    """What has become of it, for people."""
    if capture is None:
        return
    missing = f", and {capture.dropped} more that are not in it" if capture.dropped else ""
    packets = f"{capture.packets} packets" if capture.packets else "no packets"
    console.say(0, f"capture   {capture.file}: {packets}{missing}")


def with_capture(capture: CaptureStats | None, status: int, error: str | None) -> tuple[int, str | None]:
    """The exit status and the error of a run that came to these: a capture that could not be written is one, if nothing
    else is."""
    if capture is None or capture.error is None or status != EXIT_OK:
        return status, error
    return EXIT_DEVICE, f"cannot write {capture.file}: {capture.error}"
