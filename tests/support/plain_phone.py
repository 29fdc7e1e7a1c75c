"""A telephone made by hand, of a few lines: it takes or makes one call and writes down what comes, and when.

It knows just enough of SIP (RFC 3261) and SDP for the two scripts to talk to it, so that a test sees their side on the
wire: the moment of a BYE, the first media packet. What it must not do right, it can do wrong: refuse, ring for ever,
or fall silent.
"""

import contextlib
import selectors
import socket
import struct
import threading
import time
from collections.abc import Iterator

from tests.support.processes import LOOPBACK, PATIENCE
from tests.support.text_phone import TextPhone, first_format, is_final, media_port, rtpmap, token, value

_PCMU_SILENCE = b"\xff" * 160
_REPEAT = 0.5  # seconds, RFC 3261 timer A
_LARGEST = 65535


class Phone:
    """It listens from the start on; `target` is where it is called, `seen` all SIP and `media` all RTP that came."""

    def __init__(self, *, status: int = 200, mute_after: str = "", fmtp: str = "") -> None:
        """`status`: what an INVITE is answered with (180: it rings for ever); after a request of the method
        `mute_after` came, that and all others stay unanswered. `fmtp`: format parameters in its SDP."""
        self.seen: list[tuple[float, str]] = []
        self.media: list[tuple[float, bytes]] = []
        self._status, self._mute_after, self._muted = status, mute_after, False
        self._fmtp = fmtp
        self._sip, self._rtp = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        for opened in (self._sip, self._rtp):
            opened.bind((LOOPBACK, 0))
        self.port: int = self._sip.getsockname()[1]
        self.target = f"{LOOPBACK}:{self.port}"
        self._text = TextPhone("phone", LOOPBACK, self.port, token())
        self._news = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="plain phone", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stopping = True
        self._sip.sendto(b"", self._sip.getsockname())
        self._thread.join()
        for opened in (self._sip, self._rtp):
            opened.close()

    def wait_for(self, start: str, timeout: float = PATIENCE) -> tuple[float, str]:
        """The first SIP message that begins like that, with its moment; AssertionError if none comes."""
        with self._news:
            found = self._news.wait_for(lambda: self._find(start), timeout)
        assert found is not None, f"no {start!r} among {[text.splitlines()[0] for _, text in self.seen]}"
        return found

    def wait_for_media(self, packets: int = 1, timeout: float = PATIENCE) -> float:
        """The moment of the n-th RTP packet."""
        with self._news:
            assert self._news.wait_for(lambda: len(self.media) >= packets, timeout), "no media came"
            return self.media[packets - 1][0]

    def requests(self, method: str) -> list[float]:
        """When requests of that method came."""
        with self._news:
            return [moment for moment, text in self.seen if text.startswith(f"{method} ")]

    def call(self, target: str, *, encoding: str = "PCMU/8000") -> str:
        """INVITE `target` and acknowledge the final answer, which is returned."""
        host, _, port = target.partition(":")
        payload_type = 0 if encoding == "PCMU/8000" else 96
        body = self._description(payload_type, f"a=rtpmap:{payload_type} {encoding}").encode()
        call_id, uri = token(), f"sip:{target}"
        invite = self._text.request("INVITE", uri, call_id=call_id, body=body)
        found = None
        for _ in range(round(PATIENCE / _REPEAT)):  # whoever is called may still be starting up
            self._send(invite, (host, int(port)))
            with self._news:
                found = self._news.wait_for(lambda: self._answer_to(call_id), _REPEAT)
            if found is not None:
                break
        assert found is not None, "the INVITE was not answered"
        acknowledgement = self._text.request("ACK", uri, call_id=call_id, to=value(found, "To"))
        self._send(acknowledgement, (host, int(port)))
        return found

    def hold(self, answer: str, target: str) -> None:
        """Put the call of this answer on hold, without music: neither side is to send."""
        host, _, port = target.partition(":")
        call_id, to = value(answer, "Call-ID"), value(answer, "To")
        body = self._description(0, "a=rtpmap:0 PCMU/8000", "a=inactive").encode()
        invite = self._text.request("INVITE", f"sip:{target}", call_id=call_id, to=to, number=2, body=body)
        self._send(invite, (host, int(port)))
        with self._news:
            found = self._news.wait_for(lambda: self._answer_to(call_id, "2 INVITE"), PATIENCE)
        assert found is not None, "the INVITE was not answered"
        assert "a=inactive" in found
        acknowledgement = self._text.request("ACK", f"sip:{target}", call_id=call_id, to=to, number=2)
        self._send(acknowledgement, (host, int(port)))

    def talk(self, answer: str, packets: int) -> None:
        """Send so many packets of silence, without waiting, to where this 200 says."""
        port = media_port(answer)
        for number in range(packets):
            header = struct.pack("!BBHII", 0x80, 0, number, 160 * number, 0x1234)
            self._rtp.sendto(header + _PCMU_SILENCE, (LOOPBACK, port))

    # --- inside ---------------------------------------------------------------------------------------------------

    def _find(self, start: str) -> tuple[float, str] | None:
        return next((entry for entry in self.seen if entry[1].startswith(start)), None)

    def _answer_to(self, call_id: str, number: str = "") -> str | None:
        return next((text for _, text in self.seen if is_final(text, call_id, number)), None)

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            for opened in (self._sip, self._rtp):
                selector.register(opened, selectors.EVENT_READ)
            while not self._stopping:
                for key, _ in selector.select():
                    data, source = (self._sip if key.fileobj is self._sip else self._rtp).recvfrom(_LARGEST)
                    self._take(data, source, time.monotonic(), key.fileobj is self._sip)

    def _take(self, data: bytes, source: tuple[str, int], now: float, is_sip: bool) -> None:
        if not data:
            return
        with self._news:
            if is_sip:
                self.seen.append((now, data.decode()))
            else:
                self.media.append((now, data))
            self._news.notify_all()
        if is_sip:
            self._respond(data.decode(), source)

    def _respond(self, text: str, source: tuple[str, int]) -> None:
        method = text.partition(" ")[0]
        self._muted = self._muted or method == self._mute_after
        if self._muted or method in ("SIP/2.0", "ACK"):
            return
        status = self._status if method == "INVITE" else 200
        takes = method == "INVITE" and status == 200
        body = self._answer_body(text).encode() if takes else b""
        self._send(self._text.response(text, status, "As told", contact=takes, body=body), source)

    def _answer_body(self, offer: str) -> str:
        first = first_format(offer)
        return self._description(first, *rtpmap(offer, first))

    def _description(self, payload_type: int, *attributes: str) -> str:
        more = [f"a=fmtp:{payload_type} {self._fmtp}"] if self._fmtp else []
        port: int = self._rtp.getsockname()[1]
        return self._text.description(port, [payload_type], *attributes, *more)

    def _send(self, data: bytes, destination: tuple[str, int]) -> None:
        self._sip.sendto(data, destination)


@contextlib.contextmanager
def phone(*, status: int = 200, mute_after: str = "", fmtp: str = "") -> Iterator[Phone]:
    """A phone for the time of a test."""
    made = Phone(status=status, mute_after=mute_after, fmtp=fmtp)
    try:
        yield made
    finally:
        made.close()
