"""Chrome's engine (pip wrtc) without signalling: python -m tests.interop.webrtc_engine ROLE SAYS HEARD

ROLE is `offer`, `trickle` (an offer without candidates) or `answer`. Descriptions are lines of JSON: its own on
standard output, the other side's on standard input. It says SAYS once it is connected, tells so, and writes what it has
heard (WAV) when standard input ends.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.support.wav import load, save

RATE = 48_000
STEP = RATE // 100
PATIENCE = 30.0  # seconds for whatever should come soon
QUEUE = 1000  # frames of 10 ms


def say(**what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


async def read_line() -> str:
    return await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)


async def until(done: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not done():
        if time.monotonic() > end:
            raise TimeoutError
        await asyncio.sleep(0.02)


class Engine:
    """One peer connection, its generated track, and what it hears."""

    def __init__(self, webrtc: Any) -> None:  # noqa: ANN401 - it has no types
        self.webrtc = webrtc
        self.connection = webrtc.RTCPeerConnection()
        self.generator = webrtc.MediaStreamTrackGenerator("audio")
        self.heard: list[np.ndarray[Any, Any]] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.connection.add_track(getattr(self.generator, "track", self.generator))
        self.connection.on("track", lambda event: self.tasks.append(asyncio.ensure_future(self.listen(event.track))))

    async def listen(self, track: Any) -> None:  # noqa: ANN401 - it has no types
        webrtc = self.webrtc
        options = webrtc.MediaStreamTrackProcessorInit(track, max_buffer_size=QUEUE)
        async for frame in webrtc.MediaStreamTrackProcessor(options).readable:
            data = bytearray(2 * frame.number_of_frames * frame.number_of_channels)
            frame.copy_to(data, webrtc.AudioDataCopyToOptions(plane_index=0, format="s16"))
            samples = np.frombuffer(bytes(data), np.int16).reshape(-1, frame.number_of_channels)[:, :1]
            if frame.sample_rate == RATE:
                self.heard.append(samples)
            frame.close()

    async def describe(self, kind: str, *, gathered: bool) -> None:
        """Make the description of this side, and hand it out."""
        made = await (self.connection.create_offer() if kind == "offer" else self.connection.create_answer())
        own = self.webrtc.RTCSessionDescriptionInit(type=kind, sdp=made.sdp)
        await self.connection.set_local_description(own)
        if gathered:
            await until(lambda: str(self.connection.ice_gathering_state).endswith("complete"))
        say(sdp=self.connection.local_description.sdp if gathered else made.sdp)

    async def take(self, kind: str) -> None:
        """Read the other side's description."""
        sdp = json.loads(await read_line())["sdp"]
        await self.connection.set_remote_description(self.webrtc.RTCSessionDescriptionInit(type=kind, sdp=sdp))

    async def speak(self, samples: np.ndarray[Any, Any]) -> None:
        """Say this in real time."""
        webrtc, writer, start = self.webrtc, self.generator.writable.get_writer(), time.monotonic()
        for number in range(len(samples) // STEP):
            await asyncio.sleep(max(0.0, start + number * 0.01 - time.monotonic()))
            data = samples[number * STEP :][:STEP].tobytes()
            init = webrtc.AudioDataInit(
                format="s16",
                sample_rate=RATE,
                number_of_frames=STEP,
                number_of_channels=1,
                timestamp=number * 10_000,
                data=data,
            )
            await writer.write(webrtc.AudioData(init))


async def main(role: str, says: Path, heard: Path) -> None:
    import webrtc  # type: ignore[import-not-found, unused-ignore]

    engine = Engine(webrtc)
    if role == "answer":
        await engine.take("offer")
        await engine.describe("answer", gathered=True)
    else:
        await engine.describe("offer", gathered=role == "offer")
        await engine.take("answer")
    await until(lambda: str(engine.connection.connection_state).endswith("connected"))
    say(state="connected")
    samples, rate = load(says)
    assert rate == RATE
    await engine.speak(samples)
    say(state="said")
    while await read_line():
        pass
    if engine.heard:
        save(heard, np.concatenate(engine.heard), RATE)
    engine.connection.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])))
