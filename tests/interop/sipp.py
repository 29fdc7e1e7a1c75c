"""sipp: SIP written step by step, and an echo of every RTP packet, so that what it hears comes back to us."""

from __future__ import annotations

import re
from pathlib import Path

from tests.interop.phone import PORT_BLOCKS, Phone
from tests.interop.phone import uri as phone_uri
from tests.support.processes import LOOPBACK, until
from tests.support.sipp import Formats, Scenario, Sipp, audio

FORMATS: dict[str, Formats] = {  # dynamic numbers as ours, since the echo comes back with the number it went with
    "opus": ("96", ("rtpmap:96 opus/48000/2",)),
    "l16": ("96", ("rtpmap:96 L16/16000",)),
    "g722": ("9", ("rtpmap:9 G722/8000",)),
    "pcmu": ("0", ("rtpmap:0 PCMU/8000",)),
    "pcma": ("8", ("rtpmap:8 PCMA/8000",)),
    "aac": (
        "96",
        (
            "rtpmap:96 mpeg4-generic/48000",
            "fmtp:96 streamtype=5;profile-level-id=41;mode=AAC-hbr;config=1188;sizelength=13;indexlength=3;"
            "indexdeltalength=3",
        ),
    ),
}
_SECONDS = 60.0  # after which a forgotten one ends by itself
_BEFORE_HOLD, _ON_HOLD = 2000, 600  # milliseconds
_OURSELVES = "<sip:sipp@[local_ip]:[local_port];transport=[transport]>;tag=to[pid]n[call_number]"


class SippPhone(Phone):
    """A sipp for each call: in the first it hangs up, in the second it holds and resumes, and waits for our BYE."""

    says_back = True

    def __init__(self, folder: Path, codec: str, transport: str, says: Path, *, length: float = 0.0) -> None:
        """`length`: seconds after which it hangs up in its first call; as long as a cell needs by itself."""
        self._folder, self._codec, self._transport = folder, codec, transport
        self._base = PORT_BLOCKS.block()
        self.says = says
        self.target = phone_uri("sipp", self._base, transport)
        self._running: Sipp | None = None
        self._calls = 0
        self._length = round(length * 1000) or _call_length(FORMATS[codec])
        self._log = folder / "messages.log"

    def __enter__(self) -> SippPhone:
        return self

    def __exit__(self, *error: object) -> None:
        if self._running is not None:
            self._running.__exit__(*error)

    def listen(self) -> None:
        """Start the one that is to be called; the caller is started by `call` over it."""
        self._calls += 1
        self._start(_callee(FORMATS[self._codec], self._length if self._calls == 1 else None))

    def call(self, target: str) -> None:
        self._start(
            _caller(FORMATS[self._codec], self._length if self._calls == 1 else None),
            target.partition("@")[2].split(";")[0],
        )

    def wait_up(self) -> None:
        self._wait_for("ACK")

    def hang_up(self) -> None:
        """It does by itself, some seconds after the call began."""
        self._wait_for("BYE")

    def wait_over(self) -> None:
        assert self._running is not None
        verdict = self._running.finish()
        assert verdict.passed, str(verdict)

    def hold(self) -> None:
        """Also by itself."""
        self._wait_for("ACK", 2)

    def resume(self) -> None:
        self._wait_for("ACK", 3)

    def heard_seconds(self) -> float:
        return 0.0

    def heard(self) -> Path:
        raise NotImplementedError("it says back what it hears and records nothing")

    def log(self) -> str:
        return self._messages()

    def _start(self, scenario: Scenario, target: str = "") -> None:
        if self._running is not None:
            self._running.__exit__()
        folder = self._folder / f"sipp-{self._calls}-{'caller' if target else 'callee'}"
        folder.mkdir()
        self._log = folder / "messages.log"
        transport = {"udp": "u1", "tcp": "t1"}[self._transport]
        arguments = [target] if target else []
        arguments += ["-t", transport, "-s", "receiver", "-p", str(self._base), "-mp", str(self._base + 2), "-rtp_echo"]
        self._running = Sipp(scenario, folder, *arguments, host=LOOPBACK, seconds=_SECONDS + self._length / 1000)

    def _messages(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def _wait_for(self, method: str, count: int = 1) -> None:
        """Until that many requests of this method went either way."""
        pattern = re.compile(rf"^{method} sip:", re.MULTILINE)
        until(lambda: len(pattern.findall(self._messages())) >= count, f"sipp: {method} number {count}")


def _caller(formats: Formats, length: int | None) -> Scenario:
    """It hangs up after so many milliseconds; None: it holds, resumes, and waits for the BYE."""
    scenario = Scenario().send("INVITE", 1, transaction="call", body=audio(formats)).ringing("call")
    scenario.receive(200, transaction="call", routes=True).send("ACK", 1, transaction="call", inside=True)
    if length is not None:
        scenario.pause(length).send("BYE", 2, transaction="bye", inside=True)
        return scenario.receive(200, transaction="bye")
    scenario.pause(_BEFORE_HOLD)
    for number, way in ((2, "sendonly"), (3, "sendrecv")):
        transaction, body = f"again{number}", audio(formats, way=way, version=number)
        scenario.send("INVITE", number, transaction=transaction, inside=True, body=body).ringing(transaction)
        scenario.receive(200, transaction=transaction).send("ACK", number, transaction=transaction, inside=True)
        scenario.pause(_ON_HOLD if number == 2 else 0)
    return _until_bye(scenario)


def _callee(formats: Formats, length: int | None) -> Scenario:
    scenario = Scenario().asked("INVITE", routes=True, keep_from="caller")
    scenario.reply("200 OK", body=audio(formats)).asked("ACK")
    caller = (_OURSELVES, "[$caller]")
    if length is not None:
        scenario.pause(length).send("BYE", 1, transaction="bye", inside=True, from_to=caller)
        return scenario.receive(200, transaction="bye")
    scenario.pause(_BEFORE_HOLD)
    for number, way in ((1, "sendonly"), (2, "sendrecv")):
        transaction, body = f"again{number}", audio(formats, way=way, version=number + 1)
        scenario.send("INVITE", number, transaction=transaction, inside=True, body=body, from_to=caller)
        scenario.ringing(transaction).receive(200, transaction=transaction)
        scenario.send("ACK", number, transaction=transaction, inside=True, from_to=caller)
        scenario.pause(_ON_HOLD if number == 1 else 0)
    return _until_bye(scenario)


def _until_bye(scenario: Scenario) -> Scenario:
    return scenario.asked("BYE").reply("200 OK", tag=False, again=False)


def _call_length(formats: Formats) -> int:
    """Milliseconds: what is to be compared, the play-out delay, and what a busy machine takes to begin."""
    return 5800 if formats[0] == "96" else 4200
