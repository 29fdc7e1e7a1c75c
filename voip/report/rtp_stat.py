"""The X-RTP-Stat header field, by which a BYE and its 200 tell exchanges how a call was: their logs hold it for free.

No RFC defines it; the names of its parameters are those of the telephones that send it. PS, PR: packets sent and
received; OS: octets of payload sent; OR: octets of RTP received; PL: packets that were sent to us and lost; JI: jitter
in ms; LA: round trip in ms; DU: seconds; EN, DE: codec that encodes and decodes; MOS: listening quality as heard here.
"""

from __future__ import annotations

from voip.report.rating import rating_of
from voip.report.record import CallRecord
from voip.stats import ReceiverStats, SenderStats, SessionStats

RTP_STAT = "X-RTP-Stat"
"""The name of the header field."""


def rtp_stat(call: CallRecord) -> str:
    """The value of the header field; what is not known is left out."""
    rx, tx, network = call.rx or ReceiverStats(), call.tx or SenderStats(), call.network or SessionStats()
    codec = call.media.audio.codec.label if call.media is not None else None
    rating = rating_of(call)
    figures = {
        "PS": tx.packets,
        "OS": tx.payload_bytes,
        "PR": rx.received,
        "OR": network.bytes,
        "PL": rx.lost,
        "JI": None if rx.jitter is None else round(rx.jitter * 1e3),
        "LA": None if network.rtt is None else round(network.rtt * 1e3),
        "DU": round(call.duration),
        "EN": codec if tx.packets else None,
        "DE": codec if rx.received else None,
        "MOS": None if rating is None else f"{rating.mos_lq:.1f}",
    }
    return ",".join(f"{name}={value}" for name, value in figures.items() if value is not None)
