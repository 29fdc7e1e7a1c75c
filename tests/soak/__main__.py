"""Half an hour of a call under attack and fault:  python -m tests.soak [--minutes 30] [--only NAME] [--floods]

Three hosts in namespaces: one plays (receiver.py), one sends (sender.py), strangers are the third. Each phase prints
what the call lost in it, what the process used, and what the strangers did. Exit status 1 if a process ended by itself.
Needs root, iproute2, openssl and gcc.

With --floods each flood lasts ten minutes, and status 1 also says that the process has grown by more than 5 MB in one.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.soak.observed import MOST_GROWTH, Row, Sample, watched
from tests.support.certificates import make_certificates
from tests.support.namespaces import Host, Hosts
from tests.support.processes import ROOT, Program, Receiver, receiver, sender

ROOM, PEER, ROOM_OUTSIDE, STRANGER = "10.66.1.1", "10.66.1.2", "10.66.2.1", "10.66.2.2"
SIP_PORT, TLS_PORT, MEDIA = 5060, 5061, range(7000, 7040)
SETTLE = 3.0
"""Seconds after a phase in which its end is still seen."""
MIN_PHASE = 5.0
"""Seconds of a phase at least."""
SMALL_DISK = 300_000
"""Bytes: three seconds of 16 bit at 48 kHz."""


@dataclass
class Scene:
    """The call that goes on, and what may be done to it."""

    folder: Path
    room: Host
    peer: Host
    stranger: Host
    far: Receiver
    near: Program
    cable: str
    """The interface of the room towards its peer."""
    unit: float
    """Seconds of a phase of the usual length."""
    clock: Path

    def sample(self) -> Sample:
        return Sample.of(self.far, self.folder, time.monotonic())

    def traffic(self, kind: str, rate: int, *, port: int = SIP_PORT, source: str = STRANGER) -> str:
        """Have strangers send for a phase; what they did."""
        command = [sys.executable, "-m", "tests.soak.traffic", kind, ROOM_OUTSIDE if source == STRANGER else ROOM]
        command += [str(port), f"{self.unit}", str(rate), source]
        done = subprocess.run([*self.stranger.through, *command], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return f"{kind} {done.stdout.strip()}"

    def media_port(self) -> int:
        """Where the call's packets come in: the lowest port that is open."""
        shown = self.room.run("ss -Hunlp")
        ports = [int(line.split()[3].rpartition(":")[2]) for line in shown.splitlines()]
        return min(port for port in ports if port in MEDIA)

    def peer_source(self) -> str:
        """Where the call's packets come from."""
        shown = self.peer.run("ss -Hunlp")
        ports = [int(line.split()[3].rpartition(":")[2]) for line in shown.splitlines()]
        return f"{PEER}:{min(port for port in ports if port % 2 == 0 and port != SIP_PORT)}"


Phase = Callable[[Scene], str]


def nothing(scene: Scene) -> str:
    """The call alone, for comparison."""
    time.sleep(scene.unit)
    return ""


def calls(scene: Scene) -> str:
    """Calls that are set up and hung up."""
    return scene.traffic("calls", 12)


def garbage(scene: Scene) -> str:
    """50,000 datagrams a second at the media port, from elsewhere."""
    return scene.traffic("garbage", 50_000, port=scene.media_port())


def junk(scene: Scene) -> str:
    """50,000 datagrams a second that are no SIP, at the port of SIP."""
    return scene.traffic("garbage", 50_000)


def rtp(scene: Scene) -> str:
    """20,000 packets of RTP a second at the media port, from elsewhere."""
    return scene.traffic("rtp", 20_000, port=scene.media_port())


def spoofed(scene: Scene) -> str:
    """20,000 datagrams a second with the peer's source address."""
    return scene.traffic("spoofed", 20_000, port=scene.media_port(), source=scene.peer_source())


def invites(scene: Scene) -> str:
    """1000 INVITEs a second."""
    return scene.traffic("INVITE", 1000)


def registers(scene: Scene) -> str:
    """1000 REGISTERs a second."""
    return scene.traffic("REGISTER", 1000)


def options(scene: Scene) -> str:
    """1000 OPTIONS a second."""
    return scene.traffic("OPTIONS", 1000)


def tcp(scene: Scene) -> str:
    """500 TCP connections that say nothing."""
    return scene.traffic("tcp", 500)


def tls(scene: Scene) -> str:
    """500 TLS connections that say nothing."""
    return scene.traffic("tls", 500, port=TLS_PORT)


def frozen(scene: Scene) -> str:
    """The process stops for five seconds."""
    scene.far.send_signal(signal.SIGSTOP)
    time.sleep(5.0)
    scene.far.send_signal(signal.SIGCONT)
    time.sleep(scene.unit / 2)
    return "5 s of SIGSTOP"


def clock(scene: Scene) -> str:
    """The wall clock jumps by two hours, and back."""
    for offset in ("7200", "0"):
        scene.clock.write_text(offset + "\n")
        time.sleep(scene.unit / 2)
    return "+2 h and back"


def unplugged(scene: Scene) -> str:
    """The interface is down for ten seconds."""
    scene.room.run(f"ip link set {scene.cable} down")
    time.sleep(10.0)
    scene.room.run(f"ip link set {scene.cable} up")
    time.sleep(scene.unit / 2)
    return "10 s of link down"


def disk(scene: Scene) -> str:
    """Another receiver records to a disk that is full after three seconds."""
    disk = scene.folder / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK}", "soak", str(disk)], check=True)
    try:
        with receiver(disk.parent, "--once", "--output", str(disk / "call.wav"), name="recorder") as other:
            arguments = ("--retry", "off", "--duration", f"{scene.unit}s")
            with sender(disk.parent, other.target, *arguments, name="recorded") as near:
                sent, heard = near.finish(scene.unit + 30.0), other.finish()
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    return f"recorder exits {heard.status}: {heard.stderr.splitlines()[-1]}; its sender {sent.status}"


PHASES: tuple[Phase, ...] = (
    nothing,
    *(calls, garbage, spoofed, invites, registers, options, tcp, tls),
    *(frozen, clock, unplugged, disk, nothing),
)
FLOODS: tuple[Phase, ...] = (nothing, invites, registers, options, junk, garbage, rtp, spoofed, tcp, tls)
FLOOD_MINUTES = 10.0
"""Of each, with --floods."""


@contextlib.contextmanager
def scene(folder: Path, unit: float) -> Iterator[Scene]:
    """The hosts, and a call between two of them."""
    files = make_certificates(folder, f"IP:{ROOM},IP:{ROOM_OUTSIDE}")
    clock, library = folder / "clock", folder / "clock.so"
    clock.write_text("0\n")
    source = str(Path(__file__).parent / "clock.c")
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", str(library), source], check=True)
    environment = {"LD_PRELOAD": str(library), "SOAK_CLOCK": str(clock)}
    with Hosts() as hosts:
        room, peer, stranger = (hosts.add(name) for name in ("room", "peer", "stranger"))
        cable, _ = hosts.cable(room, ROOM, peer, PEER)
        hosts.cable(room, ROOM_OUTSIDE, stranger, STRANGER)
        stranger.run(f"ip route add default via {ROOM_OUTSIDE}")
        for name in ("all", "default"):
            room.run(f"sysctl -qw net.ipv4.conf.{name}.rp_filter=0")
        arguments = ("--max-calls", "4", "--json", "--stats-interval", "1s", "--media-timeout", "60s", *files.server)
        with (
            receiver(
                folder,
                *arguments,
                host="0.0.0.0",
                ports=(SIP_PORT, MEDIA),
                through=room.through,
                environment=environment,
                ready="sip:",
            ) as far,
            sender(folder, f"{ROOM}:{SIP_PORT}", "--codec", "pcmu", host=PEER, through=peer.through) as near,
        ):
            near.wait_for("FEC")
            time.sleep(SETTLE)
            yield Scene(folder, room, peer, stranger, far, near, cable, unit, clock)
            near.stop()
            far.stop()
            statuses = near.finish().status, far.finish().status
            print(f"exit statuses: sender {statuses[0]}, receiver {statuses[1]}", flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description="A call under attack and fault.")
    parser.add_argument("--minutes", type=float, default=30.0, help="How long it all takes.  [%(default)s]")
    parser.add_argument(
        "--floods", action="store_true", help="Floods alone, with the memory that they take; --each long."
    )
    parser.add_argument(
        "--each", type=float, metavar="MINUTES", help=f"How long each phase takes.  [--floods: {FLOOD_MINUTES:g}]"
    )
    names = dict.fromkeys(phase.__name__ for phase in (*PHASES, *FLOODS))
    parser.add_argument("--only", metavar="NAME", nargs="+", choices=names, help=f"Of {', '.join(names)}.")
    found = parser.parse_args(argv)
    phases = FLOODS if found.floods else PHASES
    if found.only is not None:
        phases = tuple(phase for phase in dict.fromkeys((*PHASES, *FLOODS)) if phase.__name__ in found.only)
    each = found.each or (FLOOD_MINUTES if found.floods else found.minutes / len(phases))
    folder = Path(tempfile.mkdtemp(prefix="voip-soak."))
    try:
        with scene(folder, max(MIN_PHASE, 60.0 * each - SETTLE)) as here:
            print(Row.HEAD, flush=True)
            return max(_run(phase, here, bounded=found.floods) for phase in phases)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(phase: Phase, here: Scene, *, bounded: bool) -> int:
    """One phase, and its row; 1 if a process has ended, or if it has grown by too much while it is `bounded`."""
    if any(each.process.poll() is not None for each in (here.far, here.near)):
        return 1
    before = here.sample()
    with watched(here.far) as memory:
        did = phase(here)
        time.sleep(SETTLE)
    ended = [each.name for each in (here.far, here.near) if each.process.poll() is not None]
    if ended:
        print(f"{phase.__name__}: {', '.join(ended)} has ended", flush=True)
        return 1
    row = Row(phase.__name__, did, before, here.sample(), memory)
    print(row.line, flush=True)
    return int(bounded and row.growth > MOST_GROWTH)


if __name__ == "__main__":
    sys.exit(main())
