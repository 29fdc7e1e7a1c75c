"""Secrets in SIP messages, overwritten by as many `x`, so that lengths and all that is around them stay as they were.

What a password, a key or a token can be made or guessed of: credentials (RFC 3261 section 22, RFC 7616, RFC 8898), the
parameters of a challenge and of its response, passwords in URIs (RFC 3261 section 19.1.1), keys of media (RFC 4568,
RFC 4567, `k=` of RFC 8866 section 5.12), and the password of ICE (RFC 8839). Patterns, not parsers: what is malformed,
or stands in a body of any type, is found as well. Rather too much is overwritten than too little.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_FOLD = rb"(?:[ \t]|\r?\n[ \t])*"
"""White space that may go on in the next line (RFC 3261 section 25.1, LWS)."""
_LINE = rb"(?:[^\n]|\n[ \t])*"
"""The rest of a header field, continued lines included."""
_QUOTED = rb'"(?P<secret>(?:[^"\\\r\n]|\\[^\r\n]|\r?\n[ \t])*)'
"""What is in quotes, or in those that do not end (RFC 3261 section 25.1, quoted-string)."""
_DESCRIBED, _SPACE = rb"(?:^|(?<=\r))[^\w\r\n]*", rb"[^\w\r\n:]*"
"""Where a line of a description begins, and what may be around a name in it: as our own parser reads them, lines may
end with CR alone, and there may be space of any kind."""
SECRETS = tuple(
    re.compile(pattern, re.IGNORECASE | re.MULTILINE)
    for pattern in (
        # all that follows the scheme
        rb"^(?:proxy-)?authorization[ \t]*:" + _FOLD + rb"(?:(?:digest|basic|bearer)(?=[ \t\r\n])" + _FOLD + rb")?"
        rb"(?P<secret>" + _LINE + rb")",
        rb"[?&](?:proxy-)?authorization=(?P<secret>[^&\s>]*)",
        rb"\b(?:response|c?nonce|nextnonce|rspauth|opaque)\s*=\s*(?:" + _QUOTED + rb'|(?P<token>[^\s,;"]+))',
        rb"\binline:(?P<secret>\S+)",
        _DESCRIBED + rb"k=\w+:(?P<secret>[^\r\n]*)",
        _DESCRIBED + rb"a=" + _SPACE + rb"key-mgmt" + _SPACE + rb":[ \t]*\S+[ \t]+(?P<secret>[^\r\n]*)",
        _DESCRIBED + rb"a=" + _SPACE + rb"ice-pwd" + _SPACE + rb":(?P<secret>[^\r\n]*)",
    )
)
"""Each with a group `secret`, or `token`, that is to be overwritten. None takes longer than a few passes."""
_WORD = re.compile(rb'[^\s@<>"]+@?')
_PASSWORD_OF_URI = re.compile(rb"(?i)\bsips?:[^:]*:(?P<secret>.*)@")
"""In a word that ends with `@`: to look for URIs in all of a message at once would take the square of its length."""
_WRITTEN = re.compile(rb"[^ \t\r\n]")


def masked(message: bytes) -> bytes:
    """The message without its secrets, as long as before.

    All are looked for in the message as it was: what one pattern overwrites may be what another is known by.
    """
    found = bytearray(message)
    for begin, end in _places(message):
        found[begin:end] = _WRITTEN.sub(b"x", message[begin:end])  # white space stays: lines end, or go on, as before
    return bytes(found)


def _places(message: bytes) -> Iterator[tuple[int, int]]:
    for pattern in SECRETS:
        for match in pattern.finditer(message):
            yield match.span(match.lastgroup or "secret")
    for word in _WORD.finditer(message) if b"@" in message else ():
        if uri := word[0].endswith(b"@") and _PASSWORD_OF_URI.search(word[0]):
            yield word.start() + uri.start("secret"), word.start() + uri.end("secret")
