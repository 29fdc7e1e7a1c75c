"""The engine of Chrome's calls (package `wrtc`) over a wire, as one of the programs of `tests.bench.others`.

    python -m tests.bench.libwebrtc hear [--red N] &        # in a folder that both share; raw samples on stdout
    python -m tests.bench.libwebrtc speak [--red N]         # plays speech48.wav of that folder

Offer and answer are exchanged as files. Opus alone, at the bit rate of the other programs, with in-band FEC as browsers
have it; `--red N`: with N older packets in each (RFC 2198), which a browser does not do by itself.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
import wave
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from webrtc import MediaStreamTrack, RTCPeerConnection

OFFER, ANSWER = Path("offer.sdp"), Path("answer.sdp")
SPEECH = Path("speech48.wav")
READY = "waiting for an offer"
RATE = 48000
"""Samples per second of what is spoken and heard."""
BITRATE = 24000
"""Bits per second that the answer allows Opus."""
_PIECE = 0.01  # seconds of sound that the engine takes at a time
_POLL, _PATIENCE = 0.02, 20.0
_LEAD = 0.3  # seconds from the connection to the first sound
_TAIL = 1.0  # seconds for the last packets


def only_opus(sdp: str, red: bool) -> str:
    """An offer of Opus alone, or of RED with Opus in it."""
    lines = sdp.split("\r\n")
    maps = [line.removeprefix("a=rtpmap:").split() for line in lines if line.startswith("a=rtpmap:")]
    names = {coding.split("/")[0].lower(): number for number, coding in maps}
    kept = [names["red"], names["opus"]] if red else [names["opus"]]

    def wanted(line: str) -> bool:
        attribute, _, rest = line.partition(":")
        return attribute not in ("a=rtpmap", "a=fmtp", "a=rtcp-fb") or rest.split()[0] in kept

    def shown(line: str) -> str:
        return " ".join([*line.split()[:3], *kept]) if line.startswith("m=audio") else line

    return "\r\n".join(shown(line) for line in lines if wanted(line))


def limited(sdp: str) -> str:
    """An answer that allows Opus `BITRATE`."""
    lines = sdp.split("\r\n")
    opus = next(line[9:].split()[0] for line in lines if line.startswith("a=rtpmap:") and " opus/" in line)
    prefix = f"a=fmtp:{opus} "
    limit = f"{prefix}minptime=10;useinbandfec=1;maxaveragebitrate={BITRATE}"
    return "\r\n".join(limit if line.startswith(prefix) else line for line in lines)


def publish(path: Path, sdp: str) -> None:
    """Write a description so that it is there at once and whole."""
    temporary = path.with_suffix(".new")
    temporary.write_bytes(sdp.encode())
    temporary.replace(path)


async def until(condition: Callable[[], bool], what: str) -> None:
    """Wait; SystemExit if it takes too long."""
    end = time.monotonic() + _PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"no {what} within {_PATIENCE:.0f} s")
        await asyncio.sleep(_POLL)


async def described(connection: RTCPeerConnection, path: Path, change: Callable[[str], str]) -> None:
    """Tell the other side what this one has to say, once all its addresses are known."""
    await until(lambda: str(connection.ice_gathering_state).endswith("complete"), "addresses")
    local = connection.local_description
    if local is None:
        raise SystemExit("no description of this side")
    publish(path, change(local.sdp))


async def speak(webrtc: ModuleType, red: int) -> None:
    """Offer a call, and play the file into it in real time."""
    connection = webrtc.RTCPeerConnection()
    track = webrtc.MediaStreamTrackGenerator("audio")
    connection.add_track(track)
    offer = only_opus((await connection.create_offer()).sdp, bool(red))
    await connection.set_local_description(webrtc.RTCSessionDescriptionInit(type="offer", sdp=offer))
    await described(connection, OFFER, lambda sdp: sdp)
    await until(ANSWER.exists, "answer")
    answer = ANSWER.read_bytes().decode()
    await connection.set_remote_description(webrtc.RTCSessionDescriptionInit(type="answer", sdp=answer))
    await until(lambda: str(connection.connection_state).endswith("connected"), "connection")
    with wave.open(str(SPEECH)) as file:
        sound = file.readframes(file.getnframes())
    writer = track.writable.get_writer()
    count = round(RATE * _PIECE)
    begin = time.monotonic() + _LEAD
    for number, at in enumerate(range(0, len(sound) - 2 * count + 1, 2 * count)):
        await asyncio.sleep(max(0.0, begin + (number + 1) * _PIECE - time.monotonic()))
        piece = webrtc.AudioDataInit(
            format="s16",
            sample_rate=RATE,
            number_of_frames=count,
            number_of_channels=1,
            timestamp=round(1e6 * number * _PIECE),
            data=sound[at : at + 2 * count],
        )
        await writer.write(webrtc.AudioData(piece))
    await asyncio.sleep(_TAIL)
    connection.close()


async def hear(webrtc: ModuleType) -> None:
    """Answer the call, and write what is played until told to end."""
    connection = webrtc.RTCPeerConnection()
    tasks: list[asyncio.Task[None]] = []
    connection.on("track", lambda event: tasks.append(asyncio.ensure_future(_write(webrtc, event.track))))
    sys.stderr.write(READY + "\n")
    sys.stderr.flush()
    await until(OFFER.exists, "offer")
    offer = OFFER.read_bytes().decode()
    await connection.set_remote_description(webrtc.RTCSessionDescriptionInit(type="offer", sdp=offer))
    await connection.set_local_description(await connection.create_answer())
    await described(connection, ANSWER, limited)
    await asyncio.Event().wait()


async def _write(webrtc: ModuleType, track: MediaStreamTrack) -> None:
    """Each piece that is played, mono, on stdout."""
    processor = webrtc.MediaStreamTrackProcessor(webrtc.MediaStreamTrackProcessorInit(track, max_buffer_size=1000))
    options = webrtc.AudioDataCopyToOptions(plane_index=0, format="s16")
    async for piece in processor.readable:
        if int(piece.sample_rate) != RATE:
            raise SystemExit(f"{piece.sample_rate} samples a second")
        channels = int(piece.number_of_channels)
        data = bytearray(2 * piece.number_of_frames * channels)
        piece.copy_to(data, options)
        piece.close()
        first = memoryview(data).cast("h")[::channels]
        os.write(sys.stdout.fileno(), first.tobytes())


def main() -> int:
    import webrtc

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["speak", "hear"])
    parser.add_argument("--red", type=int, default=0)
    options = parser.parse_args()
    if options.red:
        webrtc.field_trials["WebRTC-Audio-Red-For-Opus"] = f"Enabled-{options.red}"
    asyncio.run(speak(webrtc, options.red) if options.command == "speak" else hear(webrtc))
    return 0


if __name__ == "__main__":
    sys.exit(main())
