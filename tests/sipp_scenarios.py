"""SIP situations for sipp, written as steps; and runners that play them against a program.

A scenario is built step by step: `send` and `reply` write messages, `receive` and `asked` wait for them. Caller's
scenarios (UAC) go against receiver.py, callee's (UAS) are called by sender.py. sipp's keywords are in [brackets].
"""

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

PCMU_AND_EVENTS = ("0 101", ("rtpmap:0 PCMU/8000", "rtpmap:101 telephone-event/8000", "fmtp:101 0-15"))
PCMU = ("0", ("rtpmap:0 PCMU/8000",))
PCMA = ("8", ("rtpmap:8 PCMA/8000",))
UNKNOWN = ("18 99", ("rtpmap:18 G729/8000", "rtpmap:99 X-UNHEARD-OF/8000"))
Formats = tuple[str, tuple[str, ...]]

MEDIA_PORT = "[auto_media_port]"
STREAM_PORT = "[rtpstream_audio_port]"  # of the stream that sipp sends itself
RECORDED_PCMA = "/usr/share/sip-tester/g711a.pcap"  # comes with Debian's sip-tester
TONE_FILE = "tone.ul"
USER, PASSWORD = "alice", "secret"

_TONE = bytes([0x90] * 4 + [0x10] * 4) * 4000  # 4 s of 1 kHz, a square wave in G.711 mu-law
_LOG_TAIL = 40  # lines of sipp's message log in a failure
_SIPP_TRANSPORT = {"udp": "u1", "tcp": "t1"}
_GRACE = 10.0  # seconds for sipp to end by itself after its own time-out

_ELSEWHERE = "sip:[service]@[remote_ip]:[remote_port]"
_OURSELVES = "sip:sipp@[local_ip]:[local_port];transport=[transport]"


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
        sender, recipient = from_to or (f"<{_OURSELVES}>;tag=from[pid]n[call_number]", f"<{_ELSEWHERE}>{peer_tag}")
        lines = [
            f"{method} {'[next_url]' if inside else _ELSEWHERE} SIP/2.0",
            f"Via: SIP/2.0/[transport] [local_ip]:[local_port];rport;branch={branch}",
            "Max-Forwards: 70",
            f"From: {sender}",
            f"To: {recipient}",
            "Call-ID: [call_id]",
            f"CSeq: {number} {method}",
            f"Contact: <{_OURSELVES}>",
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
            checks += self._check(".*", 'search_in="hdr" header="From:"', keep_from)
        if keep_via:
            checks += self._check(".*", 'search_in="hdr" header="Via:"', keep_via)
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
            *(headers or [f"Contact: <{_OURSELVES}>"]),
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
            lines = [*lines, "Content-Type: application/sdp", "Content-Length: [len]", "", body]
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

    def _check(self, pattern: str, where: str, variable: str = "") -> str:
        variable = variable or f"found{len(self._variables)}"
        self._variables.append(variable)
        return f'<ereg regexp="{pattern}" {where} check_it="true" assign_to="{variable}"/>'


AUDIO_IN_ANSWER = "m=audio [1-9][0-9]* RTP/AVP[ 0-9]* {}"


def _invite(scenario: Scenario, body: str = "", *, accepts: str = "0") -> Scenario:
    """INVITE, and the 200 whose body must take the payload type `accepts`."""
    scenario.send("INVITE", 1, transaction="call", body=body).ringing("call")
    return scenario.receive(200, transaction="call", routes=True, body=AUDIO_IN_ANSWER.format(accepts))


def _acknowledge(scenario: Scenario, number: int = 1, transaction: str = "call", body: str = "") -> Scenario:
    return scenario.send("ACK", number, transaction=transaction, inside=True, body=body)


def _bye(scenario: Scenario, number: int = 2) -> Scenario:
    scenario.send("BYE", number, transaction="bye", inside=True)
    return scenario.receive(200, transaction="bye")


def _options() -> Scenario:
    scenario = Scenario().send("OPTIONS", 1, headers=["Accept: application/sdp"])
    return scenario.receive(200, header=("Allow", "INVITE"))


def _basic() -> Scenario:
    scenario = _acknowledge(_invite(Scenario(), audio(port=STREAM_PORT)))
    scenario.action(f'<exec rtp_stream="{TONE_FILE},1,0,PCMU/8000"/>')
    return _bye(scenario.pause(3000))


def _recorded() -> Scenario:
    scenario = _acknowledge(_invite(Scenario(), audio(PCMA), accepts="8"))
    scenario.action(f'<exec play_pcap_audio="{RECORDED_PCMA}"/>')
    return _bye(scenario.pause(3000))


def _late_offer() -> Scenario:
    scenario = _acknowledge(_invite(Scenario()), body=audio(PCMU))
    return _bye(scenario.pause(1000))


def _hold() -> Scenario:
    scenario = _acknowledge(_invite(Scenario(), audio())).pause(500)
    for number, way, answer in ((2, "sendonly", "a=(recvonly|inactive)"), (3, "sendrecv", "m=audio [1-9]")):
        transaction = f"again{number}"
        body = audio(way=way, version=number)
        scenario.send("INVITE", number, transaction=transaction, inside=True, body=body).ringing(transaction)
        scenario.receive(200, transaction=transaction, body=answer)
        _acknowledge(scenario, number, transaction).pause(500)
    return _bye(scenario, 4)


def _cancel() -> Scenario:
    """CANCEL of what still rings is answered 200 and 487; of what was answered at once, 200 or 481, and BYE follows."""
    branch = "z9hG4bKcancel[pid]n[call_number]"
    scenario = Scenario().send("INVITE", 1, branch=branch, body=audio()).ringing(goto="rings")
    scenario.receive(200, routes=True, goto="answered")
    scenario.label("rings").receive(200, routes=True, timeout=700, after_timeout="cancel", goto="answered")
    scenario.label("cancel").send("CANCEL", 1, branch=branch)
    scenario.receive(487, optional=True, goto="over").receive(200).receive(487)
    scenario.send("ACK", 1, branch=branch, goto="end")
    scenario.label("over").receive(200).send("ACK", 1, branch=branch, goto="end")
    scenario.label("answered").send("ACK", 1, inside=True).send("CANCEL", 1, branch=branch)
    scenario.receive(481, optional=True, goto="bye").receive(200)
    scenario.label("bye").pause(300).send("BYE", 2, inside=True).receive(200)
    return scenario.label("end")


def _two_calls() -> Scenario:
    """Two at once: each is answered, or told that the line is taken; neither is left without an answer."""
    scenario = Scenario(calls=2).send("INVITE", 1, transaction="call", body=audio()).ringing("call")
    for status in (480, 486, 503, 600):
        scenario.receive(status, transaction="call", optional=True, goto="busy")
    scenario.receive(200, transaction="call", routes=True)
    _bye(_acknowledge(scenario).pause(2000)).goto("end")
    return scenario.label("busy").send("ACK", 1, transaction="call").label("end")


def _refused(body: str, *statuses: int, headers: Sequence[str] = (), header: tuple[str, str] | None = None) -> Scenario:
    scenario = Scenario().send("INVITE", 1, transaction="call", body=body, headers=headers).ringing("call")
    *others, last = statuses
    for status in others:
        scenario.receive(status, transaction="call", optional=True, goto="refused")
    scenario.receive(last, transaction="call", header=header)
    return scenario.label("refused").send("ACK", 1, transaction="call")


def _no_audio() -> Scenario:
    """Only video is offered: refused whole, or accepted with that stream refused."""
    body = description("m=video 40000 RTP/AVP 31", ["rtpmap:31 H261/90000", "sendrecv"])
    scenario = Scenario().send("INVITE", 1, transaction="call", body=body).ringing("call")
    scenario.receive(200, transaction="call", optional=True, routes=True, goto="accepted", body="m=video 0 ")
    scenario.receive(488, transaction="call").send("ACK", 1, transaction="call", goto="end")
    _bye(_acknowledge(scenario.label("accepted")).pause(300))
    return scenario.label("end")


def _unknown_extension() -> Scenario:
    headers = ["Require: unheard-of, unheard-of-too"]
    return _refused(audio(), 420, headers=headers, header=("Unsupported", "unheard-of"))


def _unknown_method() -> Scenario:
    scenario = Scenario().send("FOO", 1, transaction="foo").receive(501, transaction="foo", optional=True, goto="alive")
    scenario.receive(405, transaction="foo").label("alive").send("OPTIONS", 2, transaction="options")
    return scenario.receive(200, transaction="options")


def _session_timer() -> Scenario:
    """A session that would expire too soon is refused; one that is refreshed by UPDATE goes on (RFC 4028, 3311)."""
    timed = "Session-Expires: {};refresher=uac"
    branch = "z9hG4bKshort[pid]n[call_number]"  # of the ACK as well, which belongs to the INVITE that is refused
    headers = ["Supported: timer", timed.format(60)]
    scenario = Scenario().send("INVITE", 1, transaction="call1", branch=branch, body=audio(), headers=headers)
    scenario.ringing("call1").receive(422, transaction="call1", header=("Min-SE", "90"))
    scenario.send("ACK", 1, transaction="call1", branch=branch)
    headers = ["Supported: timer", timed.format(90)]
    scenario.send("INVITE", 2, transaction="call2", body=audio(), headers=headers).ringing("call2")
    scenario.receive(200, transaction="call2", routes=True, header=("Session-Expires", "90;refresher=uac"))
    _acknowledge(scenario, 2, "call2").pause(300)
    scenario.send("UPDATE", 3, transaction="refresh", inside=True, headers=headers)
    scenario.receive(200, transaction="refresh", header=("Session-Expires", "90;refresher=uac"))
    body = audio(way="sendonly", version=2)
    scenario.send("UPDATE", 4, transaction="hold", inside=True, body=body, headers=headers)
    scenario.receive(200, transaction="hold", body="a=(recvonly|inactive)")
    return _bye(scenario.pause(300), 5)


def _reliable_required() -> Scenario:
    """Who insists on reliable provisional responses gets none, or reliable ones, and the call (RFC 3262)."""
    scenario = Scenario().send("INVITE", 1, transaction="call", body=audio(), headers=["Require: 100rel"])
    scenario.receive(100, transaction="call", optional=True).receive(200, transaction="call", routes=True)
    return _bye(_acknowledge(scenario).pause(300))


def _called(*, routes: bool = False, keep_from: str = "") -> Scenario:
    return Scenario().asked("INVITE", routes=routes, body="m=audio [1-9][0-9]* RTP/AVP", keep_from=keep_from)


def _until_bye(scenario: Scenario) -> Scenario:
    """Answer with PCMU and wait for the caller to hang up."""
    scenario.reply("200 OK", body=audio(PCMU)).asked("ACK")
    scenario.label("up").asked("ACK", optional_goto="up").asked("BYE")
    return scenario.reply("200 OK", tag=False, again=False)


def _answers_after(*provisional: str, early: str = "") -> Scenario:
    scenario = _called()
    for status in provisional:
        scenario.reply(status, body=early, tag=not status.startswith("100"))
    return _until_bye(scenario.pause(1500))


def _rejects(status: str, *headers: str) -> Scenario:
    return _called().reply(status, headers=headers).asked("ACK")


def _asked_anew(scenario: Scenario, *, line: str, timeout: int = 0, authorized: str = "") -> Scenario:
    """The INVITE that follows a final response: the ACK of that one comes before it, or later if it was lost first."""
    scenario.label("refused").asked("ACK", optional_goto="refused")
    return scenario.asked("INVITE", line=line, timeout=timeout, authorized=authorized)


def _redirects() -> Scenario:
    scenario = _called().reply(
        "302 Moved Temporarily", headers=["Contact: <sip:moved@[local_ip]:[local_port];transport=[transport]>"]
    )
    return _until_bye(_asked_anew(scenario, line="INVITE sip:moved@", timeout=3000))


def _challenges() -> Scenario:
    challenge = 'WWW-Authenticate: Digest realm="here",nonce="8f2d61a95c04",qop="auth",algorithm=MD5'
    scenario = _called().reply("401 Unauthorized", headers=[challenge])
    _asked_anew(scenario, line="CSeq: [2-9]", authorized="right")
    scenario.goto("right", if_set="right")
    scenario.reply("403 Forbidden").asked("ACK").action('<error message="the digest response is wrong or missing"/>')
    return _until_bye(scenario.label("right"))


def _hangs_up() -> Scenario:
    scenario = _called(routes=True, keep_from="caller").reply("200 OK", body=audio(PCMU)).asked("ACK").pause(2000)
    scenario.send("BYE", 1, inside=True, from_to=(f"<{_OURSELVES}>;tag=to[pid]n[call_number]", "[$caller]"))
    return scenario.receive(200)


def _rings_for_ever() -> Scenario:
    scenario = _called().reply("180 Ringing").asked("CANCEL", timeout=30_000).reply("200 OK", again=False)
    scenario.reply("487 Request Terminated", sequence="CSeq: [last_cseq_number] INVITE")
    return scenario.asked("ACK")


_INVITED = "CSeq: 1 INVITE"
_CALLEE = f"<{_OURSELVES}>;tag=to[pid]n[call_number]"


def _reliable(*, update: bool = False) -> Scenario:
    """A 183 that wants a PRACK and holds the answer, so that the 200 holds none (RFC 3262); meanwhile, perhaps, an
    UPDATE that changes the session before it begins (RFC 3311)."""
    waits: list[str] = []
    scenario = Scenario().asked("INVITE", line="Supported: .*100rel", routes=True, keep_from="caller", keep_via="via")

    def pracked_again_before(place: str) -> Scenario:
        """The 200 to PRACK may be lost: sipp would take one that comes after other messages for an unexpected one."""
        waits.append(place)
        return scenario.label(place).asked("PRACK", optional_goto=f"pracked again before {place}")

    early = ["Require: 100rel", "RSeq: 4711", "Allow: INVITE, ACK, BYE, PRACK, UPDATE", f"Contact: <{_OURSELVES}>"]
    scenario.reply("183 Session Progress", body=audio(PCMU), headers=early, again=True)
    scenario.asked("PRACK", line="RAck: 4711 1 INVITE").reply("200 OK", tag=False, again=False)
    if update:
        from_to = (_CALLEE, "[$caller]")
        body = audio(PCMU, version=2)
        scenario.send("UPDATE", 1, transaction="change", inside=True, body=body, from_to=from_to)
        pracked_again_before("change").receive(200, transaction="change", body=AUDIO_IN_ANSWER.format(0))
    final = ["SIP/2.0 200 OK", "Via: [$via]", "From: [$caller]", f"To: {_CALLEE}"]
    final += ["Call-ID: [call_id]", _INVITED, f"Contact: <{_OURSELVES}>"]
    scenario._message(final, "", {"retrans": "500"})
    pracked_again_before("ack").asked("ACK")
    pracked_again_before("bye").asked("BYE").reply("200 OK", tag=False, again=False, goto="end")
    for place in waits:
        scenario.label(f"pracked again before {place}").reply("200 OK", tag=False, again=False, goto=place)
    return scenario.label("end")


def _wants_refreshes() -> Scenario:
    """An interval of 10 s is less than the standard allows: else this would take a minute."""
    timed = ["Require: timer", "Session-Expires: 10;refresher=uac", "Allow: INVITE, ACK, BYE, UPDATE"]
    timed.append(f"Contact: <{_OURSELVES}>")
    scenario = _called().reply("200 OK", body=audio(PCMU), headers=timed).asked("ACK")
    scenario.asked("UPDATE", line="Session-Expires: 10;refresher=uac", timeout=8000)
    return (
        scenario.reply("200 OK", tag=False, again=False, headers=timed)
        .asked("BYE")
        .reply("200 OK", tag=False, again=False)
    )


UAC: dict[str, Callable[[], Scenario]] = {
    "options": _options,
    "basic": _basic,
    "recorded": _recorded,
    "late offer": _late_offer,
    "hold": _hold,
    "cancel": _cancel,
    "two calls": _two_calls,
    "unknown codec": lambda: _refused(audio(UNKNOWN), 606, 415, 488),
    "no audio": _no_audio,
    "unknown extension": _unknown_extension,
    "unknown method": _unknown_method,
    "session timer": _session_timer,
    "reliable required": _reliable_required,
}
UAS: dict[str, Callable[[], Scenario]] = {
    "basic": lambda: _until_bye(_called()),
    "ringing": lambda: _answers_after("100 Trying", "180 Ringing"),
    "early media": lambda: _answers_after("183 Session Progress", early=audio(PCMU)),
    "busy": lambda: _rejects("486 Busy Here"),
    "not found": lambda: _rejects("404 Not Found"),
    "unavailable": lambda: _rejects("503 Service Unavailable", "Retry-After: 5"),
    "redirect": _redirects,
    "digest": _challenges,
    "hangs up": _hangs_up,
    "rings for ever": _rings_for_ever,
    "silent": lambda: _called().pause(6000),
    "reliable": _reliable,
    "early update": lambda: _reliable(update=True),
    "wants refreshes": _wants_refreshes,
}


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
            xml = xml.replace(_OURSELVES, _OURSELVES.replace("[local_ip]", known_as))
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


def run_uac(
    name: str,
    folder: Path,
    target: str,
    *,
    host: str,
    port: int,
    seconds: float = 20.0,
    protocol: str = "udp",
    known_as: str = "",
) -> Verdict:
    """Call `target` (host:port) as the scenario says."""
    scenario = UAC[name]()
    rate = ["-r", str(scenario.calls), "-l", str(scenario.calls)]
    arguments = [
        target,
        "-s",
        "receiver",
        "-p",
        str(port),
        "-mp",
        str(port + 2),
        "-t",
        _SIPP_TRANSPORT[protocol],
        *rate,
    ]
    with Sipp(scenario, folder, *arguments, host=host, seconds=seconds, known_as=known_as) as running:
        return running.finish()


def run_uas(
    name: str,
    folder: Path,
    *,
    host: str,
    port: int,
    seconds: float = 40.0,
    protocol: str = "udp",
    known_as: str = "",
) -> Sipp:
    """Wait to be called at `port` and answer as the scenario says; RTP is echoed."""
    arguments = ["-p", str(port), "-mp", str(port + 2), "-t", _SIPP_TRANSPORT[protocol], "-rtp_echo"]
    return Sipp(UAS[name](), folder, *arguments, host=host, seconds=seconds, known_as=known_as)
