"""SIP situations for sipp. Callers' scenarios (UAC) go against receiver.py, callees' (UAS) are called by sender.py."""

from collections.abc import Callable, Sequence
from pathlib import Path

from tests.support.sipp import OURSELVES, PCMU, TONE_FILE, Scenario, Sipp, Verdict, audio, description

PCMA = ("8", ("rtpmap:8 PCMA/8000",))
UNKNOWN = ("18 99", ("rtpmap:18 G729/8000", "rtpmap:99 X-UNHEARD-OF/8000"))
STREAM_PORT = "[rtpstream_audio_port]"  # of the stream that sipp sends itself
RECORDED_PCMA = "/usr/share/sip-tester/g711a.pcap"  # comes with Debian's sip-tester
_SIPP_TRANSPORT = {"udp": "u1", "tcp": "t1"}

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


def _text(scenario: Scenario, number: int, *, inside: bool) -> Scenario:
    """A MESSAGE, and one of a kind that is refused."""
    for more, kind, status in ((0, "text/plain", 200), (1, "text/html", 415)):
        headers, transaction = [f"Content-Type: {kind}"], f"text{more}"
        scenario.send(
            "MESSAGE", number + more, transaction=transaction, inside=inside, headers=headers, body="hello from sipp"
        )
        scenario.receive(status, transaction=transaction)
    return scenario


def _text_in_call() -> Scenario:
    return _bye(_text(_acknowledge(_invite(Scenario(), audio())).pause(300), 2, inside=True), 4)


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
    scenario.send("BYE", 1, inside=True, from_to=(f"<{OURSELVES}>;tag=to[pid]n[call_number]", "[$caller]"))
    return scenario.receive(200)


def _rings_for_ever() -> Scenario:
    scenario = _called().reply("180 Ringing").asked("CANCEL", timeout=30_000).reply("200 OK", again=False)
    scenario.reply("487 Request Terminated", sequence="CSeq: [last_cseq_number] INVITE")
    return scenario.asked("ACK")


_INVITED = "CSeq: 1 INVITE"
_CALLEE = f"<{OURSELVES}>;tag=to[pid]n[call_number]"


def _reliable(*, update: bool = False) -> Scenario:
    """A 183 that wants a PRACK and holds the answer, so that the 200 holds none (RFC 3262); meanwhile, perhaps, an
    UPDATE that changes the session before it begins (RFC 3311)."""
    waits: list[str] = []
    scenario = Scenario().asked(
        "INVITE", line="(Supported|k): .*100rel", routes=True, keep_from="caller", keep_via="via"
    )

    def pracked_again_before(place: str) -> Scenario:
        """The 200 to PRACK may be lost: sipp would take one that comes after other messages for an unexpected one."""
        waits.append(place)
        return scenario.label(place).asked("PRACK", optional_goto=f"pracked again before {place}")

    early = ["Require: 100rel", "RSeq: 4711", "Allow: INVITE, ACK, BYE, PRACK, UPDATE", f"Contact: <{OURSELVES}>"]
    scenario.reply("183 Session Progress", body=audio(PCMU), headers=early, again=True)
    scenario.asked("PRACK", line="RAck: 4711 1 INVITE").reply("200 OK", tag=False, again=False)
    if update:
        from_to = (_CALLEE, "[$caller]")
        body = audio(PCMU, version=2)
        scenario.send("UPDATE", 1, transaction="change", inside=True, body=body, from_to=from_to)
        pracked_again_before("change").receive(200, transaction="change", body=AUDIO_IN_ANSWER.format(0))
    final = ["SIP/2.0 200 OK", "Via: [$via]", "From: [$caller]", f"To: {_CALLEE}"]
    final += ["Call-ID: [call_id]", _INVITED, f"Contact: <{OURSELVES}>"]
    scenario._message(final, "", {"retrans": "500"})
    pracked_again_before("ack").asked("ACK")
    pracked_again_before("bye").asked("BYE").reply("200 OK", tag=False, again=False, goto="end")
    for place in waits:
        scenario.label(f"pracked again before {place}").reply("200 OK", tag=False, again=False, goto=place)
    return scenario.label("end")


def _wants_refreshes() -> Scenario:
    """An interval of 10 s is less than the standard allows: else this would take a minute."""
    timed = ["Require: timer", "Session-Expires: 10;refresher=uac", "Allow: INVITE, ACK, BYE, UPDATE"]
    timed.append(f"Contact: <{OURSELVES}>")
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
    "text": lambda: _text(Scenario(), 1, inside=False),
    "text in call": _text_in_call,
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
        "-aa",  # a peer whose media port is closed is asked by OPTIONS whether it is there, at any time
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
