"""Secrets in SIP messages, overwritten by as many `x`, so that lengths and all that is around them stay as they were.

What a password, a key or a token can be made or guessed of: credentials (RFC 3261 section 22, RFC 7616, RFC 8898), the
parameters of a challenge and of its response, passwords in URIs (RFC 3261 section 19.1.1), keys of media (RFC 4568,
RFC 4567, `k=` of RFC 8866 section 5.12), and the password of ICE (RFC 8839). Patterns, not parsers: what is malformed,
or stands in a body of any type, is found as well. Rather too much is overwritten than too little.
"""

from __future__ import annotations

import re

_FOLD = rb"(?:[ \t]|\r?\n[ \t])*"
"""White space that may go on in the next line (RFC 3261 section 25.1, LWS)."""
_LINE = rb"(?:[^\n]|\n[ \t])*"
"""The rest of a header field, continued lines included."""
SECRETS = tuple(
    re.compile(pattern, re.IGNORECASE | re.MULTILINE)
    for pattern in (
        # all that follows the scheme
        rb"^(?:proxy-)?authorization[ \t]*:" + _FOLD + rb"(?:(?:digest|basic|bearer)(?=[ \t\r\n])" + _FOLD + rb")?"
        rb"(?P<secret>" + _LINE + rb")",
        rb"[?&](?:proxy-)?authorization=(?P<secret>[^&\s>]*)",
        rb'\b(?:response|c?nonce|nextnonce|rspauth|opaque)\s*=\s*(?:"(?P<secret>(?:[^"\\\r\n]|\\.)*)|(?P<token>[^\s,;"]+))',
        rb"\binline:(?P<secret>\S+)",
        rb"^k=\w+:(?P<secret>.*)",
        rb"^a=key-mgmt:\s*\S+[ \t]+(?P<secret>\S+)",
        rb"^a=ice-pwd:\s*(?P<secret>\S+)",
    )
)
"""Each with a group `secret`, or `token`, that is to be overwritten. None takes longer than a few passes."""
_WORD = re.compile(rb'[^\s@<>"]+@?')
_PASSWORD_OF_URI = re.compile(rb"(?i)\bsips?:[^:]*:(?P<secret>.*)@")
"""In a word that ends with `@`."""
_WRITTEN = re.compile(rb"[^ \t\r\n]")


def masked(message: bytes) -> bytes:
    """The message without its secrets, as long as before."""
    for pattern in SECRETS:
        message = pattern.sub(_overwritten, message)
    return _WORD.sub(_without_password, message) if b"@" in message else message


def _without_password(found: re.Match[bytes]) -> bytes:
    """A word of a message; to look for URIs in all of it at once would take the square of its length."""
    word = found[0]
    return _PASSWORD_OF_URI.sub(_overwritten, word, count=1) if word.endswith(b"@") else word


def _overwritten(found: re.Match[bytes]) -> bytes:
    """White space stays: lines still end, or go on, where they did."""
    name = found.lastgroup or "secret"
    before, after = found.start(name) - found.start(), found.end(name) - found.start()
    whole = found[0]
    return whole[:before] + _WRITTEN.sub(b"x", found[name]) + whole[after:]
