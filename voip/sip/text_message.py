"""Texts of peers (MESSAGE, RFC 3428): which are taken, and each only once.

A text is shown, and nothing else is ever done with it. One is plain text in UTF-8, up to LONGEST_TEXT bytes; anything
else is refused with what would have been taken.
"""

from __future__ import annotations

from collections import OrderedDict
from email.utils import mktime_tz, parsedate_tz

from voip.sip.bodies import PLAIN_ENCODINGS
from voip.sip.grammar import LWS, Parameters, SipParseError, read_parameters
from voip.sip.message import Request
from voip.sip.methods import TEXT, Refusal
from voip.sip.transaction import merge_key

LONGEST_TEXT = 1300
"""Bytes of a text that is taken: no whole MESSAGE outside of a call may be longer (RFC 3428 section 8)."""
CHARSETS = ("utf-8", "us-ascii")
"""What texts are read as: the charset that RFC 3261 demands, and its subset, the default of text/plain in mail."""
REMEMBERED = 512
"""Texts, the newest, of which a copy is known: those of half a minute at the rate at which one host is responded to."""
_MAX_DIGITS = 10  # of a number of seconds: 32 bits


def objection_to_text(request: Request) -> Refusal | None:
    """What is against showing this text; None if it is taken."""
    kind, _, rest = _value(request, "Content-Type").partition(";")
    kind = kind.strip(LWS).replace(" ", "").lower()
    if not request.body:
        return Refusal(400, why="a MESSAGE without a text")
    if kind != TEXT:
        return Refusal(415, [("Accept", TEXT)], f"body is {kind or 'of no type'}")
    charset = _parameters(rest).get("charset") or CHARSETS[0]
    if charset.lower() not in CHARSETS:
        return Refusal(415, [("Accept", f"{TEXT};charset={CHARSETS[0]}")], f"text is in {charset[:40]}")
    encodings = [value.strip(LWS).lower() for value in request.headers.get_all("Content-Encoding")]
    transfer = _value(request, "Content-Transfer-Encoding").lower()
    if any(encoding not in ("", "identity") for encoding in encodings) or transfer not in PLAIN_ENCODINGS:
        return Refusal(415, [("Accept-Encoding", "identity")], "text is encoded")
    if len(request.body) > LONGEST_TEXT:
        return Refusal(413, why=f"text of {len(request.body)} bytes: {LONGEST_TEXT} are taken")
    return None


def text_of(request: Request) -> str:
    r"""The text, with LF at the end of lines; bytes that are not UTF-8 are shown as `\xff`."""
    return request.body.decode("utf-8", "backslashreplace").replace("\r\n", "\n")


def expiry_of(request: Request) -> float | None:
    """When the time that its sender gave it is over (section 7), in seconds since 1970 by the sender's clock; None
    where it says nothing, or only how long it is from the moment that it comes."""
    lifetime, date = _value(request, "Expires"), parsedate_tz(_value(request, "Date"))
    if date is None or not (lifetime.isascii() and lifetime.isdigit() and len(lifetime) <= _MAX_DIGITS):
        return None
    try:
        return float(mktime_tz(date) + int(lifetime))
    except (ValueError, OverflowError):
        return None


class SeenTexts:
    """Which texts were shown already: a copy that comes after its transaction was forgotten is not another text.

    A transaction over UDP lasts for 32 s, over TCP none at all (RFC 3261 section 17.2.2), and all of them make room
    for others when there are many.
    """

    def __init__(self) -> None:
        self._keys: OrderedDict[object, None] = OrderedDict()

    def is_new(self, request: Request) -> bool:
        """Whether it is the first with its Call-ID, CSeq and From tag; it is remembered."""
        key = merge_key(request)
        new = key not in self._keys
        self._keys[key] = None
        self._keys.move_to_end(key)
        if len(self._keys) > REMEMBERED:
            self._keys.popitem(last=False)
        return new


def _value(request: Request, name: str) -> str:
    return (request.headers.get(name) or "").strip(LWS)


def _parameters(text: str) -> Parameters:
    try:
        return read_parameters(f";{text}" if text else "")
    except SipParseError:
        return {}
