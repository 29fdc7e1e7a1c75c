"""What encryption costs: processor seconds of each side for a minute of a call, by profile.

    python -m tools.measure_srtp

The packets of a minute go through the contexts of a media port as in a call: media every 20 ms, two repair packets for
each, RTCP every second. `tools.measure_cost --srtp required` shows the same within whole processes.
"""

import argparse
import sys
import time
from typing import NamedTuple

from voip.media import KeyAgreement, Security
from voip.rtcp.packets import ReceiverReport
from voip.rtp import RtpPacket
from voip.session.protection import Protection
from voip.srtp import MasterKey, Profile, SrtpKeys

MINUTE = 60
PTIME = 0.02
REPAIRS = 2
"""Repair packets for each media packet: the most that `--fec auto` sends."""
PAYLOAD = 80
"""Bytes: Opus at 24 kbit/s has 60, a repair packet some more."""
MEDIA, REPAIR = 1, 2


class Cost(NamedTuple):
    """Processor seconds for so many seconds of a call."""

    protect: float
    open: float


def keys(profile: Profile, *, swapped: bool = False) -> Security:
    ours, theirs = (MasterKey(bytes([seed]) * profile.key_length, bytes(profile.salt_length)) for seed in (1, 2))
    both = (theirs, ours) if swapped else (ours, theirs)
    return Security(KeyAgreement.SDES, SrtpKeys(profile, *both))


def measure(profile: Profile, seconds: float = MINUTE) -> Cost:
    """The cost of what one side sends, to it and to the other; ValueError if a packet is not opened."""
    near, far = Protection(keys(profile)), Protection(keys(profile, swapped=True))
    packets, reports = [], []
    for index in range(round(seconds / PTIME)):
        packets.append(RtpPacket(96, index & 0xFFFF, 960 * index, MEDIA, bytes(PAYLOAD)).serialize())
        for repair in range(REPAIRS):
            number = REPAIRS * index + repair & 0xFFFF
            packets.append(RtpPacket(97, number, 960 * index, REPAIR, bytes(PAYLOAD)).serialize())
    reports = [ReceiverReport(MEDIA).serialize()] * round(seconds)
    begun = time.process_time()
    sent = [near.media(packet) for packet in packets]
    told = [near.rtcp(report) for report in reports]
    between = time.process_time()
    opened = [far.open_rtp(packet) for packet in sent if packet is not None]
    heard = [far.open_rtcp(report) for report in told if report is not None]
    ended = time.process_time()
    if opened != packets or heard != reports:
        raise ValueError("a packet was not opened")
    return Cost(between - begun, ended - between)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.measure_srtp", description=(__doc__ or "").splitlines()[0])
    parser.parse_args(argv)
    for profile in Profile:
        cost = measure(profile)
        sys.stdout.write(
            f"{profile.sdes:24} who sends {cost.protect:.3f} s, who hears {cost.open:.3f} s, both ways "
            f"{cost.protect + cost.open:.3f} s a minute\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
