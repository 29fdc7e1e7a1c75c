"""GStreamer's SRTP elements: its packets opened by us, ours by it, sample by sample, over the wrap of the numbers."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.support.encrypted import master
from tests.support.peers import require
from voip.dsp import Pcm
from voip.rtp import RtpPacket
from voip.srtp import MasterKey, Profile
from voip.srtp.context import Opener, Protector

pytestmark = [pytest.mark.process, pytest.mark.interop]

RATE, STEP, SSRC = 8000, 160, 0x11223344
PACKETS = 150
FIRST = 65500
CIPHERS = {
    Profile.AES_CM_128_HMAC_SHA1_80: ("aes-128-icm", "hmac-sha1-80"),
    Profile.AEAD_AES_128_GCM: ("aes-128-gcm", "null"),
    Profile.AEAD_AES_256_GCM: ("aes-256-gcm", "null"),
}


def noise() -> Pcm:
    return np.random.default_rng(4).integers(-9000, 9000, (PACKETS * STEP, 1)).astype(np.int16)


def launch(pipeline: str) -> None:
    require("gst-launch-1.0")
    done = subprocess.run(["gst-launch-1.0", "-q", *pipeline.split()], capture_output=True, timeout=60, check=False)
    if b"no element" in done.stderr:
        pytest.skip("GStreamer has no SRTP here")
    assert done.returncode == 0, done.stderr.decode()


def hexadecimal(key: MasterKey) -> str:
    return (key.key + key.salt).hex()


@pytest.mark.parametrize("profile", Profile)
def test_what_gstreamer_protects_is_opened(profile: Profile, tmp_path: Path) -> None:
    sound, key = noise(), master(profile, 7)
    (tmp_path / "sound").write_bytes(sound.astype("<i2").tobytes())
    cipher, tag = CIPHERS[profile]
    launch(
        f"filesrc location={tmp_path}/sound blocksize={2 * STEP} ! rawaudioparse format=pcm pcm-format=s16le "
        f"sample-rate={RATE} num-channels=1 ! audioconvert ! rtpL16pay pt=96 ssrc={SSRC} seqnum-offset={FIRST} "
        f"min-ptime=20000000 max-ptime=20000000 ! srtpenc key={hexadecimal(key)} "
        f"rtp-cipher={cipher} rtcp-cipher={cipher} rtp-auth={tag} rtcp-auth={tag} ! rtpstreampay ! "
        f"filesink location={tmp_path}/packets"
    )
    data, opener, heard = (tmp_path / "packets").read_bytes(), Opener(profile, key), []
    while data:
        size = 2 + int.from_bytes(data[:2], "big")
        packet, data = RtpPacket.parse(opener.rtp(data[2:size])), data[size:]
        heard.append(np.frombuffer(packet.payload, ">i2"))
    assert np.array_equal(np.concatenate(heard), sound[:, 0])


@pytest.mark.parametrize("profile", Profile)
def test_what_we_protect_is_opened_by_gstreamer(profile: Profile, tmp_path: Path) -> None:
    sound, key = noise(), master(profile, 8)
    protector, stream = Protector(profile, key), b""
    for index in range(PACKETS):
        payload = sound[index * STEP : (index + 1) * STEP, 0].astype(">i2").tobytes()
        number = (FIRST + index) & 0xFFFF
        protected = protector.rtp(RtpPacket(96, number, index * STEP, SSRC, payload).serialize())
        stream += len(protected).to_bytes(2, "big") + protected
    (tmp_path / "packets").write_bytes(stream)
    cipher, tag = CIPHERS[profile]
    caps = (
        f"application/x-srtp-stream,media=audio,clock-rate={RATE},encoding-name=L16,channels=1,payload=96,"
        f"ssrc=(uint){SSRC},roc=(uint)0,srtp-key=(buffer){hexadecimal(key)},srtp-cipher={cipher},srtp-auth={tag},"
        f"srtcp-cipher={cipher},srtcp-auth={tag}"
    )
    launch(
        f"filesrc location={tmp_path}/packets ! {caps} ! rtpstreamdepay ! srtpdec ! rtpL16depay ! audioconvert ! "
        f"audio/x-raw,format=S16LE ! filesink location={tmp_path}/heard"
    )
    heard = np.frombuffer((tmp_path / "heard").read_bytes(), "<i2")
    assert np.array_equal(heard, sound[:, 0])
