"""The main job, to be heard: both scripts call each other on this machine over a network that loses packets.

    python -m tools.demo [--loss 0.1] [--jitter-ms 10] [--fec SPEC] [--no-play]        (make demo)

receiver.py and sender.py run as two processes; tests/support/relay.py stands between them. What arrived is left in
heard.wav and, where there is a speaker, played.
"""

import argparse
import contextlib
import subprocess
import sys
import tempfile
import threading
import wave
from pathlib import Path

from tests.support.processes import LOOPBACK, Json, Outcome, Program, free_ports, receiver, sender
from tests.support.relay import RECEIVER_ALIAS, SENDER_ALIAS, relay

WIDTH = 80
LONGEST = 60.0  # seconds that a call and its end may take
PLAY_BLOCK = 2048  # samples
_GRACE = 10.0  # seconds on top of its length for a file to be played


def say(text: str = "") -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def heading(text: str) -> None:
    say()
    say(f"--- {text} ".ljust(WIDTH - 1, "-"))


def main(argv: list[str] | None = None) -> int:
    options = _options(argv)
    if options.play_file is not None:
        return play(options.play_file)
    lossy = sys.platform == "linux"  # elsewhere there is but one loopback address, and no place for a relay
    if lossy:
        say(f"A call between two programs, over a network that loses {options.loss:.0%} of all packets")
        say(f"and delays the others by {options.jitter_ms:g} ms on average.")
    else:
        say("A call between two programs (a lossy network between them is only there on Linux).")
    try:
        with tempfile.TemporaryDirectory() as folder:
            sent, heard, dropped = call(options, Path(folder), lossy=lossy)
    except AssertionError as problem:
        say(f"The call failed: {problem}")
        return 1
    for name, outcome in (("receiver.py", heard), ("sender.py", sent)):
        heading(f"{name} says")
        say(outcome.stderr.rstrip())
    if sent.status or heard.status or not heard.report or not heard.report["calls"]:
        say()
        say(f"The call failed: sender.py ended with {sent.status}, receiver.py with {heard.status}.")
        return 1
    conclude(options.output, heard.call["rx"], dropped)
    if options.play:
        play_elsewhere(options.output)
    return 0


def call(options: argparse.Namespace, folder: Path, *, lossy: bool) -> tuple[Outcome, Outcome, int | None]:
    """One call from beginning to end: what became of sender and receiver, and how many media packets were dropped."""
    ports = free_ports()
    sip_port, media_ports = ports
    target = f"{RECEIVER_ALIAS if lossy else LOOPBACK}:{sip_port}"
    fec = ["--fec", options.fec]
    far_address, near_address = (
        (["--public-address", alias] if lossy else []) for alias in (RECEIVER_ALIAS, SENDER_ALIAS)
    )
    heading("the commands")
    say(f"python receiver.py --bind {LOOPBACK} {' '.join(far_address)} \\")
    say(f"    --sip-port {sip_port} --output {options.output.name} --once")
    say(f"python sender.py {target} --bind {LOOPBACK} {' '.join(near_address)} \\")
    say(f"    --input demo {' '.join(fec)}".rstrip())
    say()
    with contextlib.ExitStack() as stack:
        between = None
        if lossy:
            bad = ["--loss", str(options.loss), "--jitter-ms", str(options.jitter_ms), "--seed", str(options.seed)]
            between = stack.enter_context(relay([sip_port, *media_ports], *bad))
        output = ["--output", str(options.output.resolve()), "--once"]
        far = stack.enter_context(receiver(folder, *output, *far_address, ports=ports))
        near = stack.enter_context(sender(folder, target, "--input", "demo", *fec, *near_address))
        watch(near)
        sent, heard = near.finish(LONGEST), far.finish(LONGEST)
        dropped = None if between is None else media_dropped(between.counts())
    return sent, heard, dropped


def watch(near: Program) -> None:
    """On a terminal, count the seconds while the call goes on."""
    pause = threading.Event()
    seconds = 0
    while near.process.poll() is None and seconds < LONGEST:
        if sys.stdout.isatty():
            sys.stdout.write(f"\rcalling ... {seconds} s ")
            sys.stdout.flush()
        seconds += 1
        pause.wait(1)
    say("\rthe call is over" if sys.stdout.isatty() else "the call is over")


def media_dropped(counts: dict[str, dict[str, dict[str, int]]]) -> int:
    """Media packets, without signalling and repair packets, that the network dropped on their way to the receiver."""
    return sum(count["dropped"] for kind, count in counts["forward"].items() if kind not in ("sip", "rtcp", "flexfec"))


def conclude(output: Path, rx: Json, dropped: int | None) -> None:
    heading("what came of it")
    if dropped is not None:
        say(f"The network dropped {dropped} media packets.")
    say(f"Of {rx['expected']} packets {rx['lost']} were lost; {rx['recovered']} of these were rebuilt from the others.")
    if rx["lost_after_fec"]:
        say(f"{rx['lost_after_fec']} could not be: there you hear the sound before, carried on.")
    else:
        say("Nothing is missing from what you hear.")
    say(f"Listen to it: {output.name}")


def play_elsewhere(file: Path) -> None:
    """Play the file in a process of its own, whose audio library may say what it likes; quiet where there is no way."""
    with wave.open(str(file)) as recording:
        seconds = recording.getnframes() / recording.getframerate()
    command = [sys.executable, "-m", "tools.demo", "--play-file", str(file)]
    with contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run(command, stderr=subprocess.DEVNULL, timeout=seconds + _GRACE, check=False)


def play(file: Path) -> int:
    """Play a WAV on the default speaker; 1 if there is none, or no PyAudio."""
    try:
        import pyaudio

        audio = pyaudio.PyAudio()
        with wave.open(str(file)) as recording:
            stream = audio.open(
                rate=recording.getframerate(),
                channels=recording.getnchannels(),
                format=pyaudio.paInt16,
                output=True,
            )
            say("(playing it)")
            while block := recording.readframes(PLAY_BLOCK):
                stream.write(block)
        stream.stop_stream()
        stream.close()
        audio.terminate()
    except (ImportError, OSError):
        return 1
    return 0


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tools.demo", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--loss", type=float, default=0.1, help="share of packets lost, 0..1")
    parser.add_argument("--jitter-ms", type=float, default=10.0, help="mean of the random delay")
    parser.add_argument("--seed", type=int, default=1, help="of the network's dice")
    parser.add_argument("--fec", default="sliding:0,1,3/1", help="as sender.py takes it  [%(default)s]")
    parser.add_argument("--output", type=Path, default=Path("heard.wav"))
    parser.add_argument("--play", action=argparse.BooleanOptionalAction, default=True, help="on the speaker, if any")
    parser.add_argument("--play-file", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
