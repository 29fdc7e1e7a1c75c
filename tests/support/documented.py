"""The commands that the documentation shows, and a laboratory in which they run as they are written.

A command runs under bash in a folder of its own, where `./sender.py` and `./receiver.py` start the real scripts with
options that keep them on the loopback interface, on ports of their own, and short. What cannot be the same here as at
the reader's is replaced in the text first:

    192.168.1.20, with any port      a receiver on the loopback interface: 127.0.0.1:PORT
    rtp://:5004, rtp://HOST:5004     a free port, and so for the other formats of streams
    *.example, *.example.org, *.lan  localhost; after --registrar it is Kamailio, where `bob` is registered
    --directory URL                  a directory on the loopback interface, where `bob` is registered
    mic:usb, speaker:usb             the virtual sound card, which is also the default one; where there is none, a tone
                                     and `null` (in CI there has to be one)

Files that a command reads are there before: any .wav and .mp3 is a second of sound (four that ffmpeg reads in real
time), .sdp a description of a stream, .pem a certificate for localhost; what --password-file names holds the password,
what --targets-file names one receiver. With --answer ask there is a terminal, at which `y` is pressed.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import pty
import re
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tests.support.peers import require
from tests.support.processes import LOOPBACK, PATIENCE, Program, Receiver, free_ports, receiver, sender, until
from tests.support.registrar_lab import PASSWORD, registrar
from tests.support.virtual_sound import VirtualSound
from tests.support.wav import save

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ("./receiver.py", "./sender.py", "git", "make", "ffmpeg", "openssl", "python", "python3", "pip", "apt-get")
"""What a code block of commands begins with; other blocks show what is printed, or a picture."""
OTHER_PROGRAMS = ("voip-directory", "sipp", "baresip", "gst-launch-1.0", "systemctl")
MORE_PROGRAMS = (".ci/run", "sudo", "nc", "export", "VOIP_PASSWORD=", *OTHER_PROGRAMS)
WAITING = "receiver  waiting for a"
ASKS = "--answer ask"
"""How the first line of a receiver begins: a call, or a stream."""
SECONDS = "1.2s"
"""How long a call lasts that would go on for ever."""
PEER = re.compile(r"\b(?:192\.168|10\.\d+)\.\d+\.\d+(?::\d+)?\b")
NAME = re.compile(r"\b[\w-]+(?:\.[\w-]+)*\.(?:example(?:\.(?:org|com|net))?|lan)\b(?::\d+)?")
STREAM = re.compile(r"\b(rtp|pcm|seq16|adts|seed0)://([\w.\[\]]*):\d+")
WRITING = ("--report", "--pcap", "--sdp", "-sdp_file", "--output", "-o", "-out", "-keyout")
"""Options whose file is written, not read."""
STAYS = {"--web": "page      http", "--name": "knows us as"}
"""Options with which a sender goes on until it is told to end, and what it says when it is ready."""
FILE = re.compile(r"[\w.-]+\.(?:wav|mp3|sdp|pem)\b")


@dataclass(frozen=True)
class Command:
    """A command of a code block: the file and line where it begins, and its text on one line."""

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {self.text}"

    @property
    def script(self) -> str:
        """`receiver` or `sender`, or empty: neither is run."""
        found = re.search(r"\./(receiver|sender)\.py\b", self.text)
        return found[1] if found else ""

    @property
    def words(self) -> list[str]:
        return shlex.split(self.text, comments=True)


def blocks(text: str) -> Iterator[list[tuple[int, str]]]:
    """Paragraphs of code in Markdown, fenced or indented by four spaces: their lines with numbers."""
    block: list[tuple[int, str]] = []
    fenced, before = False, ""
    for number, line in enumerate([*text.splitlines(), ""], 1):
        fence = line.startswith("```")
        if not fence and line.strip() and (fenced or (line.startswith("    ") and (block or not before.strip()))):
            block.append((number, line if fenced else line[4:]))
        elif block:
            yield block
            block = []
        fenced, before = fenced != fence, line


def is_command(line: str) -> bool:
    first = line.split(maxsplit=1)[0] if line.strip() else ""
    return first in PROGRAMS or first.startswith(MORE_PROGRAMS)


def commands(file: Path) -> list[Command]:
    """All commands of a file's code blocks, without a prompt, continued lines joined."""
    found = []
    for block in blocks(file.read_text(encoding="utf-8")):
        lines = [(number, line.removeprefix("$ ")) for number, line in block]
        if not is_command(next((line for _, line in lines if not line.startswith("#")), "")):
            continue
        text, begin = "", 0
        for number, line in lines:
            begin = begin if text else number
            text += line.removesuffix("\\")
            if not line.endswith("\\") and text.strip() and not text.startswith("#"):
                found.append(Command(file.relative_to(ROOT).as_posix(), begin, " ".join(text.split())))
            text = text if line.endswith("\\") else ""
    return found


# --- running them -----------------------------------------------------------------------------------------------------


@dataclass
class Laboratory:
    """Where one command runs. `card`: the virtual sound card, if there can be one."""

    folder: Path
    card: VirtualSound | None
    certificate: Path
    key: Path
    environment: dict[str, str] = field(default_factory=dict)
    stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    person: int = -1
    """Who sits at the terminal of a command that asks."""

    def run(self, command: Command) -> None:
        """Run it, with whom it needs; AssertionError if anything is not as it should be."""
        if "ffmpeg" in command.text or ".mp3" in command.text:
            require("ffmpeg")
        self.folder.mkdir(parents=True)
        self.environment = dict(self.card.environment) if self.card else {}
        self.environment["SSL_CERT_FILE"] = str(self.certificate)
        self.environment["BROWSER"] = "true"  # --web open: there is no screen
        if "--registrar" in command.text or "--user" in command.text:
            self.environment["VOIP_PASSWORD"] = PASSWORD
        self.environment["PATH"] = f"{self.folder}:{os.environ['PATH']}"
        text = self._localised(command.text)
        self._lay_out(text, command)
        with self.stack:
            if command.script == "receiver":
                self._run_receiver(text, command)
            elif command.script == "sender":
                self._run_sender(text, command)
            else:
                self._run_other(text)

    # --- text and files ---

    def _localised(self, text: str) -> str:
        self.port, self.media_ports = free_ports()
        text = re.sub(r"(--bind|--public-address) \S+", rf"\1 {LOOPBACK}", text)
        text = STREAM.sub(lambda found: f"{found[1]}://{found[2] and LOOPBACK}:{self.media_ports[0]}", text)
        text = re.sub(r"\?sip=\d+", f"?sip={self.port}", text)
        text = PEER.sub(lambda found: f"{LOOPBACK}:{self.port}", text)
        if not self.card:
            text = re.sub(r"\bmic(:\w+)?\b", "tone", re.sub(r"\bspeaker(:\w+)?\b", "null", text))
        text = text.replace("mic:usb", "mic:virtual_microphone").replace("speaker:usb", "speaker:virtual_speaker")
        return text.replace(f"://{LOOPBACK}:{self.port}:", f"://{LOOPBACK}:")

    def _lay_out(self, text: str, command: Command) -> None:
        words = shlex.split(text, comments=True)
        for before, word in itertools.pairwise(words):
            if before == "--password-file":
                (self.folder / word).write_text(PASSWORD + "\n")
            if before == "--targets-file":
                (self.folder / word).write_text(f"{LOOPBACK}:{self.port}\n")
        written = {word for before, word in itertools.pairwise(words) if before in WRITING}
        for name in {*FILE.findall(text)} - written:
            self._make_file(self.folder / name, 4.0 if " -re " in text else 1.0)
        options = ["--bind", LOOPBACK]
        if command.script == "receiver":
            options += ["--sip-port", str(self.port), "--rtp-port", f"{self.media_ports[2]}-{self.media_ports[-1]}"]
            options += [] if self.card or "--output" in text else ["--output", "null"]
        else:
            options += ["--duration", SECONDS]
        if not self.card and "--input" not in text and (command.script == "sender" or "--two-way" in text):
            options += ["--input", "tone"]
        for script in ("receiver", "sender"):
            start = shlex.join([sys.executable, str(ROOT / f"{script}.py")])
            self._write_program(f"{script}.py", f'echo $$ >{script}.pid; exec {start} "$@" {shlex.join(options)}')
        if self.card is None or shutil.which("aplay") is None:
            self._write_program("aplay", "exec cat >/dev/null")

    def _make_file(self, file: Path, seconds: float) -> None:
        if file.suffix in (".wav", ".mp3"):
            sound = np.random.default_rng(1).integers(-8000, 8000, (round(48000 * seconds), 1)).astype(np.int16)
            written = save(file.with_suffix(".wav"), sound)
            if file.suffix == ".mp3":
                subprocess.run(["ffmpeg", "-v", "error", "-i", written, file], check=True, timeout=PATIENCE)
        elif file.suffix == ".pem":
            shutil.copy(self.key if "key" in file.name else self.certificate, file)
        elif file.suffix == ".sdp":
            lines = ["v=0", f"o=- 1 1 IN IP4 {LOOPBACK}", "s=-", f"c=IN IP4 {LOOPBACK}", "t=0 0"]
            file.write_text("\r\n".join([*lines, f"m=audio {self.media_ports[0]} RTP/AVP 0", ""]))

    def _write_program(self, name: str, text: str) -> None:
        file = self.folder / name
        file.write_text(f"#!/bin/bash\n{text}\n")
        file.chmod(0o755)

    # --- a receiver ---

    def _run_receiver(self, text: str, command: Command) -> None:
        if "--list-devices" in text:
            self._run_other(text)
            return
        text = self._with_directory(self._with_registrar(text))
        with self._start(text) as program:
            program.wait_for(WAITING)
            if "--directory" in text:
                program.wait_for("knows this receiver as")
            if "--registrar" in text:
                program.wait_for("registered")
            shared = "--password-file" in text and "--user" not in text
            if "--password-file" not in text or "--registrar" in text or shared:
                if ASKS in text:
                    self._answer(program)
                self._call(command, *(self._password(text) if shared else ()))
            if "--once" not in command.words:
                os.kill(int((self.folder / "receiver.pid").read_text()), 2)
            end = program.finish()
        assert end.status == 0, end.stderr

    def _answer(self, program: Program) -> None:
        """Press the key as soon as a call rings."""

        def press() -> None:
            program.wait_for("is calling")
            os.write(self.person, b"y")

        threading.Thread(target=press, name="who answers", daemon=True).start()

    def _password(self, text: str) -> tuple[str, str]:
        """The option of the other side, where both share a password."""
        return "--password-file", text.split("--password-file ", 1)[1].split()[0]

    def _call(self, command: Command, *options: str) -> None:
        """Somebody calls, or sends a stream, and is heard."""
        scheme = _scheme(command.words) or ("rtp" if any(word.endswith(".sdp") for word in command.words) else "")
        target = f"{scheme}://{LOOPBACK}:{self.media_ports[0]}" if scheme else f"{LOOPBACK}:{self.port}"
        if "--compat" in command.words:
            target = f"seed0://{LOOPBACK}:{self.media_ports[2]}?sip={self.port}"
        codec = ("--codec", "pcmu") if scheme == "rtp" else ()
        with sender(self.folder, target, *codec, *options, "--duration", "0.6s", name="peer") as peer:
            end = peer.finish()
        assert end.status == 0, end.stderr
        assert end.call["tx"]["packets"] > 5

    # --- a sender ---

    def _run_sender(self, text: str, command: Command) -> None:
        text, peer = self._with_peer(text, command)
        with self._start(text) as program:
            stays = next((line for option, line in STAYS.items() if option in text), None)
            if stays is not None:
                program.wait_for(stays)
                if "--web" in text and LOOPBACK in text:
                    peer.wait_for("call from")
                os.kill(int((self.folder / "sender.pid").read_text()), 2)
            end = program.finish()
        assert end.status == 0, f"{end.stderr}\n{peer.stderr}"
        if "--no-call" in text:
            peer.wait_for("text from")
            return
        if stays is not None:
            return
        peer.wait_for("call ended")
        peer.stop()
        heard = peer.finish()
        assert heard.call["rx"]["received"] > 10, heard.stderr

    def _with_peer(self, text: str, command: Command) -> tuple[str, Receiver]:
        """The command with addresses as they are here, and whom it calls, or sends a stream to."""
        if scheme := _scheme(shlex.split(text, comments=True)):
            codec = ("--codec", "pcmu") if scheme == "rtp" else ()
            stream = (f"{scheme}://:{self.media_ports[0]}", *codec, "--media-timeout", "3s")  # silence may be its end
            ports = (self.port if scheme == "seed0" else free_ports()[0]), free_ports()[1]
            peer = self._peer(*stream, ports=ports, ready="waiting for a stream")
        else:
            secure: tuple[str, ...]
            secure, ready = ("--tls-cert", str(self.certificate), "--tls-key", str(self.key)), "waiting for a call"
            if "--registrar" in text:
                text, ready = self._with_registrar(text), "registered"
                secure = ("--registrar", text.split("--registrar ", 1)[1].split()[0], "--user", command.words[-1])
            elif "--directory" in text:
                text, ready = self._with_directory(text), "knows this receiver as bob"
                secure = ("--directory", text.split("--directory ", 1)[1].split()[0], "--name", "bob")
            elif "--password-file" in text and "--user" not in text:  # what both sides share
                secure = self._password(text)
            elif "sips:" not in text:
                secure = ()
            peer = self._peer(*secure, ports=(self.port, self.media_ports), ready=ready)
        tls = f"localhost:{self.port + 1}" if "sips:" in text else f"localhost:{self.port}"
        return NAME.sub(tls, text), peer

    def _peer(self, *options: str, ports: tuple[int, range], ready: str) -> Receiver:
        environment = {"VOIP_PASSWORD": PASSWORD} if "--user" in options else None
        started = receiver(self.folder, *options, name="peer", ports=ports, ready=ready, environment=environment)
        return self.stack.enter_context(started)

    # --- others ---

    def _run_other(self, text: str) -> None:
        """A command that ends by itself; what it describes by SDP is listened to while it goes on."""
        described = re.search(r"-sdp_file (\S+)", text)
        with self._start(text) as program:
            heard = self._listen(self.folder / described[1]) if described else None
            end = program.finish()
        assert end.status == 0, end.stderr
        if heard is not None:
            heard.stop()
            assert heard.finish().call["rx"]["received"] > 10

    def _listen(self, description: Path) -> Receiver:
        until(lambda: description.exists() and b"m=audio" in description.read_bytes(), "it is described")
        return self._peer(str(description), ports=free_ports(), ready="waiting for a stream")

    def _with_registrar(self, text: str) -> str:
        """The command with a registrar of our own, which is up."""
        if "--registrar" not in text:
            return text
        port = free_ports()[0]
        self.stack.enter_context(registrar(self.folder / "registrar", port))
        return re.sub(r"--registrar \S+", f"--registrar {LOOPBACK}:{port}", text)

    def _with_directory(self, text: str) -> str:
        """The same with a directory."""
        if "--directory" not in text:
            return text
        from tests.support.directory_site import DirectorySite  # needs aiohttp

        site = self.stack.enter_context(DirectorySite())
        return text.replace("--directory URL", f"--directory {site.url}")

    def _start(self, text: str) -> Program:
        command = ["bash", "-c", f"set -o pipefail; {text}"]
        stdin = subprocess.DEVNULL
        if ASKS in text:
            self.person, stdin = pty.openpty()
            self.stack.callback(os.close, self.person)
            self.stack.callback(os.close, stdin)
        return Program(command, folder=self.folder, name="command", environment=self.environment, stdin=stdin)


def _scheme(words: Iterable[str]) -> str:
    """How the target of a command without signalling begins; "" for a call."""
    return next((found[1] for word in words if (found := STREAM.match(word))), "")
