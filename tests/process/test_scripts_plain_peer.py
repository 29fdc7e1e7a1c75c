"""sender.py with a peer that knows neither FlexFEC nor RTCP: it is served with fixed settings."""

from pathlib import Path

import pytest

from tests.support.plain_phone import phone
from tests.support.processes import sender
from tests.support.voice import voice
from tests.support.wav import save
from voip import codecs
from voip.codecs import libopus
from voip.rtp import RtpPacket

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(codecs.missing("opus") is not None, reason=str(codecs.missing("opus"))),
]

RATE = 16000
SECONDS = 4.0


@pytest.mark.parametrize("fmtp", ["useinbandfec=1", ""])
def test_it_gets_opus_with_in_band_fec_if_it_makes_use_of_that(fmtp: str, tmp_path: Path) -> None:
    save(tmp_path / "said.wav", voice(RATE, SECONDS), RATE)
    with phone(fmtp=fmtp) as far:
        with sender(tmp_path, far.target, "--input", "said.wav", "--codec", "opus") as near:
            outcome = near.finish()
        far.wait_for("BYE")
        packets = [RtpPacket.parse(datagram) for _, datagram in far.media]
    assert outcome.status == 0, outcome.stderr
    assert outcome.call["rtcp"]["received"] == 0
    assert outcome.call["tx"]["fec_packets"] == 0
    assert len({packet.payload_type for packet in packets}) == 1
    assert len(packets) == outcome.call["tx"]["packets"] >= 50 * SECONDS
    repeating = sum(libopus.has_in_band_fec(packet.payload) for packet in packets) / len(packets)
    assert repeating > 0.5 if fmtp else repeating == 0.0
