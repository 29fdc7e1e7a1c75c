"""Messages out of a stream of bytes (RFC 3261 sections 7.5 and 18.3), and the keep-alives between them (RFC 5626
sections 3.5.1 and 4.4.1). Content-Length says where a message ends; nothing else does."""

from __future__ import annotations

import re

from voip.sip.grammar import MESSAGE_TOO_LARGE, SipParseError
from voip.sip.message import MAX_HEADER_SECTION, MAX_MESSAGE

MAX_START_LINE = 8192
"""Bytes of a start line that are looked at to tell SIP from something else."""
PING = b"\r\n\r\n"
PONG = b"\r\n"

_HEADER_END = re.compile(rb"\r?\n\r?\n")
_HEADER_END_LENGTH = 4
_LINE_END = re.compile(rb"(?:\r?\n)+")
_FOLD = re.compile(rb"\r?\n[ \t]+")
# None of these looks at a byte more than once or twice: what a stranger sends must cost no more than its length.
_NOT_IN_START_LINE = re.compile(rb"[\0-\x1f]")
_CONTENT_LENGTH = re.compile(rb"^(?:content-length|l)[ \t]*:([^\n]*)$", re.IGNORECASE | re.MULTILINE)
_LWS = b" \t\r"
_NUMBER = re.compile(rb"[0-9]{1,10}")


class StreamError(SipParseError):
    """No message can be found in this stream any more; `head` is the one that breaks it, as far as it has come, for
    the one who refuses it."""

    def __init__(self, text: str, head: bytes, status: int = 400) -> None:
        super().__init__(text, status)
        self.head = head


class StreamFramer:
    """`feed` it what comes, and take `next_message` until there is none."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0
        self._start_is_good = False
        self._blank_lines = 0
        self._length: int | None = None
        self._broken: StreamError | None = None
        self.pongs_owed = 0
        """Pings that had no PONG yet: the owner of the connection sends one for each."""
        self.pong_awaited = False
        """A ping of ours is on its way: the next blank line that comes alone is its PONG."""

    @property
    def unfinished(self) -> bool:
        """A message has begun, and its end has not come."""
        return bool(self._buffer)

    def await_pong(self) -> None:
        """A ping of ours is being sent."""
        self.pong_awaited = True

    def take_pongs_owed(self) -> int:
        """How many pings have had no PONG yet; they count as answered now."""
        owed, self.pongs_owed = self.pongs_owed, 0
        return owed

    def feed(self, data: bytes) -> None:
        """Bytes of the stream. Less is kept of them than a message may be long, plus one such piece."""
        if self._broken is None:
            self._buffer += data

    def next_message(self) -> bytes | None:
        """The next whole message; None: more must come first. StreamError: the stream is good for nothing any more."""
        if self._broken is not None:
            raise self._broken
        try:
            return self._cut()
        except StreamError as error:
            self._broken = error
            self._buffer.clear()
            raise

    def _cut(self) -> bytes | None:
        if self._length is None:
            self._skip_blank_lines()
            self._length = self._find_length()
        if self._length is None or len(self._buffer) < self._length:
            return None
        message = bytes(self._buffer[: self._length])
        del self._buffer[: self._length]
        self._searched, self._length, self._blank_lines = 0, None, 0
        self._start_is_good = False
        return message

    def _skip_blank_lines(self) -> None:
        """7.5: CRLF before a message means nothing; two of them are a ping."""
        found = _LINE_END.match(self._buffer)
        if found is None or self._searched:
            return
        self._blank_lines += found[0].count(b"\n")
        del self._buffer[: found.end()]
        if self._blank_lines == 1 and self.pong_awaited:
            self._blank_lines, self.pong_awaited = 0, False
        self.pongs_owed += self._blank_lines // 2
        self._blank_lines %= 2

    def _find_length(self) -> int | None:
        """The length of the message that begins the buffer, None before the end of its headers has come."""
        if self._buffer == b"\r":  # perhaps half of a blank line
            return None
        self._check_start()
        found = _HEADER_END.search(self._buffer, max(0, self._searched - _HEADER_END_LENGTH))
        end = len(self._buffer) if found is None else found.start()
        if end > MAX_HEADER_SECTION:
            text = f"no end of the headers within {MAX_HEADER_SECTION} bytes"
            raise StreamError(text, bytes(self._buffer[: MAX_HEADER_SECTION + 1]), MESSAGE_TOO_LARGE)
        self._searched = len(self._buffer)
        if found is None:
            return None
        head = bytes(self._buffer[: found.end()])
        return len(head) + _content_length(head)

    def _check_start(self) -> None:
        """What is not SIP is not waited for: TLS on a plain connection, a browser."""
        buffer = self._buffer
        if self._start_is_good or not buffer:
            return
        if not 0x21 <= buffer[0] <= 0x7E and buffer[:2] != b"\r\n":
            raise StreamError("no start of a message", b"")
        end = buffer.find(b"\n", self._searched, MAX_START_LINE)
        if end < 0:
            return
        line = bytes(buffer[:end]).removesuffix(b"\r")
        if not line or _NOT_IN_START_LINE.search(line) or b"SIP/" not in line.upper():
            raise StreamError("no start line", b"")
        self._start_is_good = True


def _content_length(head: bytes) -> int:
    """What the headers say of the body's length (the compact form is `l`); StreamError unless they say it, once."""
    lines = _FOLD.sub(b" ", head).replace(b"\r\n", b"\n")
    values = [value.strip(_LWS) for value in _CONTENT_LENGTH.findall(lines)]
    if len(values) != 1 or _NUMBER.fullmatch(values[0]) is None:
        raise StreamError(f"{'no' if not values else 'no usable'} Content-Length", head)
    length = int(values[0])
    if length > MAX_MESSAGE - len(head):
        raise StreamError(f"a message of more than {MAX_MESSAGE} bytes", head, MESSAGE_TOO_LARGE)
    return length
