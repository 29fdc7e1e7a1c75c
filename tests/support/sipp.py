"""sipp: scenarios written as steps, and a runner that plays them against a program.

A scenario is built step by step: `send` and `reply` write messages, `receive` and `asked` wait for them. sipp's
keywords are in [brackets].
"""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PCMU_AND_EVENTS = ("0 101", ("rtpmap:0 PCMU/8000", "rtpmap:101 telephone-event/8000", "fmtp:101 0-15"))
PCMU = ("0", ("rtpmap:0 PCMU/8000",))
Formats = tuple[str, tuple[str, ...]]

MEDIA_PORT = "[auto_media_port]"
TONE_FILE = "tone.ul"
USER, PASSWORD = "alice", "secret"

_TONE = bytes([0x90] * 4 + [0x10] * 4) * 4000  # 4 s of 1 kHz, a square wave in G.711 mu-law
_LOG_TAIL = 40  # lines of sipp's message log in a failure
_GRACE = 10.0  # seconds for sipp to end by itself after its own time-out

_ELSEWHERE = "sip:[service]@[remote_ip]:[remote_port]"
OURSELVES = "sip:sipp@[local_ip]:[local_port];transport=[transport]"


def audio(
    formats: Formats = PCMU_AND_EVENTS, *, port: str = MEDIA_PORT, way: str = "sendrecv", version: int = 1
) -> str:
    """A session description with one audio stream."""
    numbers, attributes = formats
    return description(f"m=audio {port} RTP/AVP {numbers}", (*attributes, "ptime:20", way), version=version)


def description(media: str, attributes: Sequence[str], *, version: int = 1) -> str:
    lines = [
        "v=0",
        f"o=- 1 {version} IN IP[local_ip_type] [local_ip]",
        "s=-",
        "c=IN IP[media_ip_type] [media_ip]",
        "t=0 0",
        media,
        *(f"a={attribute}" for attribute in attributes),
    ]
    return "\n".join(lines)


class Scenario:
    """The steps of one situation; every method adds one. `xml` is what sipp reads."""

    def __init__(self, *, calls: int = 1) -> None:
        self.calls = calls
        self._steps: list[str] = []
        self._variables: list[str] = []

    def send(
        self,
        method: str,
        number: int,
        *,
        transaction: str = "",
        inside: bool = False,
        headers: Sequence[str] = (),
        body: str = "",
        branch: str = "[branch]",
        goto: str = "",
        again: bool = True,
        from_to: tuple[str, str] | None = None,
    ) -> "Scenario":
        """A request; `inside` a dialog it goes to the peer's Contact. An ACK belongs to the transaction it names."""
        acknowledges = method == "ACK"
        peer_tag = "[peer_tag_param]" if inside or acknowledges else ""
        sender, recipient = from_to or (f"<{OURSELVES}>;tag=from[pid]n[call_number]", f"<{_ELSEWHERE}>{peer_tag}")
        lines = [
            f"{method} {'[next_url]' if inside else _ELSEWHERE} SIP/2.0",
            f"Via: SIP/2.0/[transport] [local_ip]:[local_port];rport;branch={branch}",
            "Max-Forwards: 70",
            f"From: {sender}",
            f"To: {recipient}",
            "Call-ID: [call_id]",
            f"CSeq: {number} {method}",
            f"Contact: <{OURSELVES}>",
            *(["[routes]"] if inside else []),
            *headers,
        ]
        attributes = {
            "retrans": "500" if again and not acknowledges else "",
            "ack_txn" if acknowledges else "start_txn": transaction,
            "next": goto,
        }
        return self._message(lines, body, attributes)

    def receive(
        self,
        status: int,
        *,
        transaction: str = "",
        optional: bool = False,
        routes: bool = False,
        goto: str = "",
        timeout: int = 0,
        after_timeout: str = "",
        body: str = "",
        header: tuple[str, str] | None = None,
        challenge: bool = False,
    ) -> "Scenario":
        """A response; `body` and `header` (name, pattern) are patterns that it must show; a `challenge` is kept."""
        return self._step(
            "recv",
            {
                "response": str(status),
                "response_txn": transaction,
                "optional": "true" if optional else "",
                "rrs": "true" if routes else "",
                "auth": "true" if challenge else "",
                "next": goto,
                "timeout": str(timeout or ""),
                "ontimeout": after_timeout,
            },
            self._checks(body, header),
        )

    def ringing(self, transaction: str = "", *, goto: str = "") -> "Scenario":
        """The provisional responses that may come first."""
        self.receive(100, transaction=transaction, optional=True)
        for status in (180, 183):
            self.receive(status, transaction=transaction, optional=True, goto=goto)
        return self

    def asked(
        self,
        method: str,
        *,
        routes: bool = False,
        body: str = "",
        line: str = "",
        timeout: int = 0,
        keep_from: str = "",
        keep_via: str = "",
        authorized: str = "",
        optional_goto: str = "",
    ) -> "Scenario":
        """A request comes in, with patterns that its body and its text must show. With `optional_goto` it may also not
        come, or come again.

        Variables: those that keep its From and its Via, one that tells whether USER gave PASSWORD."""
        checks = self._checks(body, None) + (self._check(line, 'search_in="msg"') if line else "")
        if authorized:
            self._variables.append(authorized)
            checks += f'<verifyauth assign_to="{authorized}" username="{USER}" password="{PASSWORD}"/>'
        if keep_from:
            checks += self._kept("From", "f", keep_from)
        if keep_via:
            checks += self._kept("Via", "v", keep_via)
        attributes = {
            "request": method,
            "rrs": "true" if routes else "",
            "timeout": str(timeout or ""),
            "optional": "true" if optional_goto else "",
            "next": optional_goto,
        }
        return self._step("recv", attributes, checks)

    def reply(
        self,
        status: str,
        *,
        body: str = "",
        headers: Sequence[str] = (),
        tag: bool = True,
        sequence: str = "[last_CSeq:]",
        via: str = "[last_Via:]",
        again: bool | None = None,
        goto: str = "",
    ) -> "Scenario":
        """A response such as "486 Busy Here" to the last request; final ones to INVITE are repeated until the ACK.

        `headers` stand in place of our Contact."""
        lines = [
            f"SIP/2.0 {status}",
            via,
            "[last_From:]",
            "[last_To:]" + (";tag=to[pid]n[call_number]" if tag else ""),
            "[last_Call-ID:]",
            sequence,
            *(headers or [f"Contact: <{OURSELVES}>"]),
        ]
        repeated = status[0] != "1" if again is None else again
        return self._message(lines, body, {"retrans": "500" if repeated else "", "next": goto})

    def pause(self, milliseconds: int) -> "Scenario":
        return self._step("pause", {"milliseconds": str(milliseconds)})

    def label(self, name: str) -> "Scenario":
        return self._step("label", {"id": name})

    def goto(self, name: str, *, if_set: str = "") -> "Scenario":
        return self._step("nop", {"next": name, "test": if_set})

    def action(self, xml: str) -> "Scenario":
        """Something that sipp does by itself."""
        return self._step("nop", {}, xml)

    @property
    def xml(self) -> str:
        used = f'<Reference variables="{",".join(self._variables)}"/>' if self._variables else ""
        return "\n".join(
            ['<?xml version="1.0" encoding="UTF-8"?>', "<scenario>", *self._steps, used, "</scenario>", ""]
        )

    def _message(self, lines: Sequence[str], body: str, attributes: dict[str, str]) -> "Scenario":
        if body:
            typed = [] if any(line.startswith("Content-Type:") for line in lines) else ["Content-Type: application/sdp"]
            lines = [*lines, *typed, "Content-Length: [len]", "", body]
        else:
            lines = [*lines, "Content-Length: 0", "", ""]
        return self._step("send", attributes, "<![CDATA[\n" + "\n".join(lines) + "\n]]>", plain=True)

    def _step(self, tag: str, attributes: dict[str, str], inner: str = "", *, plain: bool = False) -> "Scenario":
        words = "".join(f' {name}="{value}"' for name, value in attributes.items() if value)
        if inner and not plain:
            inner = f"<action>{inner}</action>"
        self._steps.append(f"<{tag}{words}>{inner}</{tag}>" if inner else f"<{tag}{words}/>")
        return self

    def _checks(self, body: str, header: tuple[str, str] | None) -> str:
        checks = self._check(body, 'search_in="body"') if body else ""
        if header:
            name, pattern = header
            checks += self._check(pattern, f'search_in="hdr" header="{name}:"')
        return checks

    def _kept(self, name: str, short: str, variable: str) -> str:
        """The value of a header field, whose name may be short, goes to a variable."""
        others = [f"{variable}_whole", f"{variable}_name"]
        self._variables += [*others, variable]
        assigned = ",".join([*others, variable])
        pattern = f"({name}|{short}): *([^[:cntrl:]]*)"
        return f'<ereg regexp="{pattern}" search_in="msg" check_it="true" assign_to="{assigned}"/>'

    def _check(self, pattern: str, where: str, variable: str = "") -> str:
        variable = variable or f"found{len(self._variables)}"
        self._variables.append(variable)
        return f'<ereg regexp="{pattern}" {where} check_it="true" assign_to="{variable}"/>'


@dataclass(frozen=True)
class Verdict:
    """How it went: `problem` is empty or says what sipp found wrong; `messages` is all SIP that went either way."""

    problem: str
    messages: str

    @property
    def passed(self) -> bool:
        return not self.problem

    def __str__(self) -> str:
        return f"{self.problem or 'passed'}\n...\n" + "\n".join(self.messages.splitlines()[-_LOG_TAIL:])


class Sipp:
    """A running sipp; `finish` waits for its verdict, leaving the `with` block ends it in any case."""

    def __init__(
        self, scenario: Scenario, folder: Path, *arguments: str, host: str, seconds: float, known_as: str = ""
    ) -> None:
        """`known_as`: the address that its Contact shows, in place of its own."""
        xml = scenario.xml
        if known_as:
            xml = xml.replace(OURSELVES, OURSELVES.replace("[local_ip]", known_as))
        (folder / "scenario.xml").write_text(xml)
        (folder / TONE_FILE).write_bytes(_TONE)
        self._folder, self._seconds = folder, seconds
        self._screen = (folder / "screen.log").open("wb")
        command = ["sipp", "-sf", "scenario.xml", "-i", host, "-mi", host, "-m", str(scenario.calls), *arguments]
        command += ["-timeout", f"{seconds:.0f}s", "-timeout_error", "-nostdin", "-skip_rlimit"]
        command += ["-trace_msg", "-message_file", "messages.log", "-trace_err", "-error_file", "errors.log"]
        self.process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=self._screen, stderr=subprocess.STDOUT
        )

    def __enter__(self) -> "Sipp":
        return self

    def __exit__(self, *error: object) -> None:
        self._close()

    def finish(self) -> Verdict:
        try:
            status = self.process.wait(self._seconds + _GRACE)
        except subprocess.TimeoutExpired:
            status = -1
        self._close()
        errors = self._log("errors.log") or self._log("screen.log")[-500:]
        return Verdict("" if status == 0 else f"sipp ended with {status}: {errors}", self._log("messages.log"))

    def _close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._screen.close()

    def _log(self, name: str) -> str:
        path = self._folder / name
        return path.read_text(errors="replace") if path.exists() else ""
