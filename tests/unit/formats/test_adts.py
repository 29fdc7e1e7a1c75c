"""AAC in ADTS frames: headers, files and streams in datagrams, and what is heard of them."""

from __future__ import annotations

import random

import numpy as np
import pytest

from tests.fuzz.target import VECTORS
from tests.support.network import Impairment
from tests.support.small_programs import BEGIN, FILE_RATE, Arrival, adts_file, adts_files, carried, heard
from tests.support.sound import sine
from voip.audio import AudioSender
from voip.codecs.aac import RATES
from voip.dsp import Pcm
from voip.errors import ProtocolError
from voip.formats import DatagramFormat, Framing, find_format, media_for
from voip.formats.adts import AdtsReader, Frame, FrameStream, codec_of, serialize
from voip.media import Direction

pytest.importorskip("av")
FILE = (VECTORS / "adts" / "sine.aac").read_bytes()
SINE = sine(FILE_RATE, 16384 / FILE_RATE, 440.0, peak=4096)


def form(rate: int | None = None, channels: int = 1) -> DatagramFormat:
    found = find_format("adts", rate, channels)
    assert found is not None
    return found


def closeness(sent: Pcm, found: Pcm) -> float:
    """Signal to noise in dB."""
    a, b = sent[:, 0].astype(float), found[: len(sent), 0].astype(float)
    return float(10 * np.log10((a @ a) / ((a - b) @ (a - b))))


def decoded(reader: AdtsReader, data: bytes, arrival: float = 1.0) -> Pcm:
    codec = codec_of(FILE_RATE, 1)
    assert codec is not None
    decoder = codec.decoder()
    return np.concatenate([decoder.decode(each.packet.payload) for each in reader.read(data, arrival)])


def test_a_file_of_ffmpeg_is_read_frame_by_frame_and_written_again_to_the_same_bytes() -> None:
    frames, is_file = FrameStream().read(FILE)
    assert (len(frames), is_file) == (17, True)
    assert {(frame.rate, frame.channels) for frame in frames} == {(12000, 1)}
    written = b"".join(map(serialize, frames))
    assert len(written) == len(FILE)
    assert written[1000:] == FILE[1000:]


def test_the_first_frame_of_a_file_is_not_heard_and_the_others_are_the_sound_it_was_made_of() -> None:
    found = decoded(AdtsReader(0), FILE)
    assert len(found) == 16384
    assert closeness(SINE[100:16000], found[100:16000]) > 25.0


def test_the_frames_of_a_datagram_count_as_arrived_one_after_the_other() -> None:
    placed = AdtsReader(5).read(FILE, 1.0)
    assert [each.packet.sequence_number for each in placed] == list(range(5, 22))
    assert [each.packet.timestamp for each in placed] == [0, *(index * 1024 for index in range(16))]
    assert placed[-1].arrival == pytest.approx(1.0 + 15 * 1024 / 12000)


def test_a_stream_that_is_cut_anywhere_is_put_together() -> None:
    whole, _ = FrameStream().read(FILE)
    for size in (10, 100, 1472, 5000):
        stream, frames = FrameStream(), []
        for start in range(0, len(FILE), size):
            frames += stream.read(FILE[start : start + size])[0]
        assert frames == whole


def test_after_a_loss_the_stream_goes_on_with_the_next_whole_frame() -> None:
    whole, _ = FrameStream().read(FILE)
    stream = FrameStream()
    first = stream.read(FILE[:1472])[0]
    later = [frame for start in (2944, 4416, 5888) for frame in stream.read(FILE[start : start + 1472])[0]]
    assert first == whole[: len(first)]
    begin = whole.index(later[0])
    assert later == whole[begin : begin + len(later)]
    assert len(later) > 7


@pytest.mark.parametrize("data", [b"", b"hello, world", bytes(100), b"\xff" * 100, FILE[:6], FILE[:1] + bytes(2000)])
def test_what_is_no_frame_is_malformed(data: bytes) -> None:
    assert Framing(form()).read(data, ("192.0.2.1", 5), 1.0) == [(b"", 1.0)]


def test_other_kinds_of_aac_and_more_channels_are_malformed() -> None:
    main = bytearray(FILE)
    main[2] &= 0x3F  # profile Main
    many = bytearray(FILE)
    many[3] = many[3] & 0x3F | 0xC0  # with the bit before: 3 channels
    for data in (bytes(main), bytes(many)):
        with pytest.raises(ProtocolError):
            FrameStream().read(data)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", RATES)
def test_headers_of_every_rate(rate: int, channels: int) -> None:
    frame = Frame(rate, channels, bytes(range(100)))
    assert FrameStream().read(serialize(frame))[0] == [frame]


# --- whole streams ------------------------------------------------------------------------------------------------


def test_files_are_played_one_after_the_other_with_a_delay_far_below_their_length() -> None:
    sound = sine(FILE_RATE, 20.0)
    found = heard(form(), carried(adts_files(sound), Impairment(delay=0.02, jitter=0.02)), 21.0)
    assert found.stats.lost == 0
    assert found.delays[-1] < 0.4
    level = np.abs(found.pcm[3 * FILE_RATE : 19 * FILE_RATE].astype(float)).reshape(-1, 120).max(axis=1)
    assert (level > 6000).mean() > 0.99  # a sine has no holes


def test_a_lost_file_is_a_hole_of_its_length() -> None:
    sound = sine(FILE_RATE, 20.0)
    arrivals = adts_files(sound)
    found = heard(form(), [*arrivals[:6], *arrivals[7:]], 21.0)
    assert found.stats.lost == 17
    assert found.delays[-1] < 0.4
    level = np.abs(found.pcm[3 * FILE_RATE : 19 * FILE_RATE].astype(float)).reshape(-1, 120).max(axis=1)
    assert (level < 400).mean() * 16.0 == pytest.approx(16384 / FILE_RATE, abs=0.3)


def test_the_rate_of_the_frames_counts_and_not_that_of_the_target() -> None:
    sound = sine(48000, 5.0)
    files: list[Arrival] = []
    for start in range(0, len(sound), 8 * 1024):
        file = adts_file(sound[start : start + 8 * 1024], 48000)
        files.append(Arrival(BEGIN + (start + 8 * 1024) / 48000, file))
    found = heard(form(), files, 5.5)
    spectrum = np.abs(np.fft.rfft(found.pcm[FILE_RATE * 2 : FILE_RATE * 4, 0]))
    assert int(np.argmax(spectrum)) / 2.0 == pytest.approx(440.0, abs=1.0)


def test_ours_is_one_frame_in_a_datagram_and_played_by_us() -> None:
    sound, found = sine(FILE_RATE, 10.0), form()
    media = media_for(found, ("192.0.2.7", 5000), direction=Direction.SENDONLY)
    sender, framing = AudioSender(media, sample_rate=FILE_RATE, channels=1, rng=random.Random(1)), Framing(found)
    sent = []
    for start in range(0, len(sound), 120):
        now = BEGIN + (start + 120) / FILE_RATE
        written = sender.write(sound[start : start + 120], now)
        sent += [Arrival(now, data) for each in written for data in framing.write(each)]
    assert all(FrameStream().read(each.data) for each in sent)
    assert max(len(each.data) for each in sent) <= 1400
    assert found.fragments == 1
    assert sender.stats.bytes == sum(len(each.data) for each in sent)
    played = heard(found, sent, 10.5)
    level = np.abs(played.pcm[2 * FILE_RATE : 9 * FILE_RATE].astype(float)).reshape(-1, 120).max(axis=1)
    assert played.stats.lost == 0
    assert (level > 6000).mean() > 0.99
