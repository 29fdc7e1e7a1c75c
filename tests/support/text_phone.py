"""What a telephone writes: requests and responses of SIP (RFC 3261), descriptions by SDP (RFC 8866), as plain text.

It shares no code with the program under test, does no I/O, and checks nothing: what a test wants to be wrong, is. Built
on it are `raw_peer` (real sockets, read by the test itself), `plain_phone` (real sockets, answers by itself) and
`sip_lab.TextPeer` (a user agent in virtual time).
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

CRLF = "\r\n"
SDP_TYPE = "application/sdp"
_LONG = {
    "v": "Via",
    "f": "From",
    "t": "To",
    "i": "Call-ID",
    "m": "Contact",
    "k": "Supported",
    "c": "Content-Type",
    "l": "Content-Length",
}
_COPIED = ("Via", "Record-Route", "From", "To", "Call-ID", "CSeq")  # RFC 3261 sections 8.2.6.2 and 12.1.1


def token() -> str:
    """16 random hexadecimal digits."""
    return f"{random.getrandbits(64):016x}"


def long_names(text: str) -> str:
    """A message with the long names of its header fields, where it has short ones (RFC 3261 section 7.3.3)."""
    head, end, body = text.partition(CRLF * 2)
    lines = (line.partition(":") for line in head.split(CRLF))
    return CRLF.join(_LONG.get(name.lower(), name) + colon + rest for name, colon, rest in lines) + end + body


def value(text: str, name: str) -> str:
    """The first header field of that name; AssertionError if there is none."""
    match = re.search(rf"^{name}: *(.*?)\r?$", long_names(text), re.MULTILINE | re.IGNORECASE)
    assert match is not None, f"no {name} in {text}"
    return match[1]


def status(text: str | None) -> int | None:
    """The status code of a response; None if there is none."""
    return None if text is None else int(text.split(" ", 2)[1])


def is_final(text: str, call_id: str, number: str = "") -> bool:
    """Whether this is the final response of a call; `number`: to the request with this CSeq."""
    lines = text.split(CRLF)
    final = text.startswith("SIP/2.0 ") and not text.startswith("SIP/2.0 1")
    return final and f"Call-ID: {call_id}" in lines and (not number or f"CSeq: {number}" in lines)


def media_port(text: str) -> int:
    """Where a description says that it wants its audio."""
    match = re.search(r"^m=audio (\d+) ", text, re.MULTILINE)
    assert match is not None, text
    return int(match[1])


def first_format(offer: str) -> int:
    """The first payload type of a description."""
    match = re.search(r"^m=audio \d+ \S+ (\d+)", offer, re.MULTILINE)
    assert match is not None, offer
    return int(match[1])


def rtpmap(offer: str, payload_type: int) -> list[str]:
    """The offer's own line on what a payload type means; none if it has none."""
    return [line for line in offer.split(CRLF) if line.startswith(f"a=rtpmap:{payload_type} ")]


@dataclass(frozen=True)
class TextPhone:
    """A telephone as its messages show it: user, address, the tag of its side of a dialog, transport."""

    user: str
    host: str
    port: int
    tag: str
    protocol: str = "udp"

    @property
    def address(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def contact(self) -> str:
        transport = f";transport={self.protocol}" if self.protocol != "udp" else ""
        return f"Contact: <sip:{self.user}@{self.address}{transport}>"

    def request(
        self,
        method: str,
        uri: str,
        *headers: str,
        call_id: str = "",
        to: str = "",
        number: int = 1,
        branch: str = "",
        contact: bool = True,
        cseq: str = "",
        body: bytes = b"",
    ) -> bytes:
        """A request as RFC 3261 section 8.1.1 wants it, with these header fields on top.

        `to`: the whole value of To, where it is not just the URI; `cseq`: another method than that of the request.
        """
        lines = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/{self.protocol.upper()} {self.address};branch={branch or 'z9hG4bK' + token()};rport",
            "Max-Forwards: 70",
            f"From: <sip:{self.user}@{self.address}>;tag={self.tag}",
            f"To: {to or f'<{uri}>'}",
            f"Call-ID: {call_id or token()}",
            f"CSeq: {number} {cseq or method}",
            *([self.contact] if contact else []),
            *headers,
        ]
        return _message(lines, body)

    def response(
        self,
        request: str,
        code: int,
        reason: str,
        *headers: str,
        tag: str | None = None,
        contact: bool = True,
        body: bytes = b"",
    ) -> bytes:
        """A response to a request. To gets our tag, or `tag`, unless it has one or the response is 100."""
        fields = [line for line in long_names(request).split(CRLF) if line.partition(":")[0] in _COPIED]
        if code > 100 and ";tag=" not in value(request, "To"):
            fields = [line + f";tag={tag or self.tag}" * line.startswith("To:") for line in fields]
        return _message(
            [f"SIP/2.0 {code} {reason}", *fields, *([self.contact] if contact else []), *headers],
            body,
        )

    def description(self, port: int, formats: Sequence[int], *attributes: str) -> str:
        """SDP that wants audio of these payload types at this port, with these lines below."""
        listed = " ".join(map(str, formats))
        lines = ["v=0", f"o=- 1 1 IN IP4 {self.host}", "s=-", f"c=IN IP4 {self.host}", "t=0 0"]
        return CRLF.join([*lines, f"m=audio {port} RTP/AVP {listed}", *attributes, ""])


def _message(lines: list[str], body: bytes) -> bytes:
    named = any(line.lower().startswith(("content-type:", "c:")) for line in lines)
    typed = [f"Content-Type: {SDP_TYPE}"] if body and not named else []
    return CRLF.join([*lines, *typed, f"Content-Length: {len(body)}", "", ""]).encode() + body
