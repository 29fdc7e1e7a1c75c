"""Who is at the other end of a DTLS association, without an authority: by a shared password, or by a short string that
two people compare.

Both go as application data of the association (RFC 5764 section 3 leaves that free), after its handshake, and are bound
to it: to secrets that only its two ends can derive (RFC 5705) and to both certificates. Messages may be lost or come
twice; whoever waits repeats its own.

Password: SPAKE2 (the construction of RFC 9382, in the Ed25519 group, by the library `spake2`), then a confirmation of
each side by HMAC over the channel. The client sends its element; the server its element and confirmation; the client
its confirmation. Each association takes one guess, and what is sent does not help to test others.

Short string: the client commits to a random number by its hash, the server sends one, the client opens the commitment;
20 bits of a hash of both and the channel are what both show (the idea of RFC 6189 sections 4.4.1.1 and 7). A man in the
middle has two channels and must choose before it knows the other number, so that both ends show the same once in a
million attempts.
"""

from __future__ import annotations

import hashlib
import hmac
import random
from enum import Enum
from typing import Any, Protocol

from voip.srtp.association import Role

PASSWORD_TIMEOUT = 5.0
"""Seconds that the other side has to prove that it knows the password."""
STRING_TIMEOUT = 5.0
"""Seconds in which a string must be agreed on, else there is none: most phones do not know it."""
REPEAT_AFTER = 0.25
"""Seconds until a message is sent again; twice that until each next time."""
MAX_REPEATS = 12
"""Messages that one proof sends at most."""
ELEMENT, NUMBER, DIGEST = 33, 32, 32
"""Bytes of an element of SPAKE2 with its side, of a random number, and of a hash."""
STRING_BITS = 20
ALPHABET = "ybndrfg8ejkmcpqxot1uwisza345h769"
"""32 characters that are not mistaken for one another (RFC 6189 section 5.1.6)."""
_MAGIC = b"voip-proof-1"
_ELEMENT, _ELEMENT_AND_PROOF, _PROOF = b"\x01", b"\x02", b"\x03"
_COMMITMENT, _NUMBER, _OPENING = b"\x11", b"\x12", b"\x13"

NO_PASSWORD = f"the other side has not shown within {PASSWORD_TIMEOUT:g} s that it knows the password (--password-file)"
OTHER_PASSWORD = "the other side has another password, or somebody is in between"


class State(Enum):
    """How far a proof has come."""

    OPEN = "open"
    PROVED = "proved"
    FAILED = "failed"


class Proof(Protocol):
    """Messages and time in, messages out, until `state` is no longer open."""

    state: State
    text: str
    """PROVED: the short string, "" of a password. FAILED: why, for people."""

    def begin(self, now: float) -> None:
        """The association is up."""

    def receive(self, message: bytes) -> None:
        """Application data of the peer."""

    def messages_to_send(self) -> list[bytes]:
        """What is to be sent now; once."""

    def next_timer(self) -> float | None:
        """When `handle_timer` has something to do."""

    def handle_timer(self, now: float) -> None:
        """Repeat, or give up."""


class _Repeater:
    """One message that is sent until it is answered, and a deadline."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._message: bytes | None = None
        self._sent = 0
        self._at: float | None = None
        self.deadline: float | None = None
        self._output: list[bytes] = []
        self._now = 0.0

    def begin(self, now: float) -> None:
        self._now, self.deadline = now, now + self._timeout

    def send(self, message: bytes, *, repeat: bool) -> None:
        """Send now, and with `repeat` again and again, in place of what was repeated before."""
        self._message = message if repeat else None
        self._at = self._now + REPEAT_AFTER if repeat else None
        self._put(message)

    def stop(self) -> None:
        self._message = self._at = self.deadline = None

    def _put(self, message: bytes) -> None:
        if self._sent < MAX_REPEATS:
            self._sent += 1
            self._output.append(message)

    def take(self) -> list[bytes]:
        output, self._output = self._output, []
        return output

    def next_timer(self) -> float | None:
        return min((at for at in (self._at, self.deadline) if at is not None), default=None)

    def handle_timer(self, now: float) -> bool:
        """Whether time is up."""
        self._now = now
        if self.deadline is not None and self.deadline <= now:
            return True
        if self._at is not None and self._at <= now and self._message is not None:
            self._put(self._message)
            self._at = now + 2 * REPEAT_AFTER
        return False


class PasswordProof:
    """One side of the proof that both know the password. ImportError without the library `spake2`."""

    def __init__(self, password: str, role: Role, channel: bytes, rng: random.Random) -> None:
        """`channel`: what only the two ends of the association know. `rng` must be one for secrets."""
        import spake2  # an optional dependency, and this module works without it

        side = spake2.SPAKE2_A if role is Role.CLIENT else spake2.SPAKE2_B
        self.state, self.text = State.OPEN, ""
        self._role, self._channel = role, channel
        self._pake: Any = side(password.encode(), idA=b"client", idB=b"server", entropy_f=rng.randbytes)
        self._own: bytes = self._pake.start()
        self._theirs: bytes | None = None
        self._key = b""
        self._repeater = _Repeater(PASSWORD_TIMEOUT)

    def begin(self, now: float) -> None:
        self._repeater.begin(now)
        if self._role is Role.CLIENT:
            self._repeater.send(_MAGIC + _ELEMENT + self._own, repeat=True)

    def receive(self, message: bytes) -> None:
        kind, body = _split(message)
        if self._role is Role.SERVER and kind == _ELEMENT and len(body) == ELEMENT:
            if self.state is State.OPEN and self._take_element(body):
                self._repeater.send(
                    _MAGIC + _ELEMENT_AND_PROOF + self._own + self._confirmation(Role.SERVER), repeat=True
                )
        elif self._role is Role.SERVER and kind == _PROOF and self._theirs is not None:
            self._check(body, Role.CLIENT)
        elif self._role is Role.CLIENT and kind == _ELEMENT_AND_PROOF and len(body) == ELEMENT + DIGEST:
            if self._take_element(body[:ELEMENT]):
                self._check(body[ELEMENT:], Role.SERVER)
            if self.state is State.PROVED:  # again each time: it is sent again until ours has come
                self._repeater.send(_MAGIC + _PROOF + self._confirmation(Role.CLIENT), repeat=False)

    def messages_to_send(self) -> list[bytes]:
        return self._repeater.take()

    def next_timer(self) -> float | None:
        return self._repeater.next_timer()

    def handle_timer(self, now: float) -> None:
        if self._repeater.handle_timer(now) and self.state is State.OPEN:
            self._fail(NO_PASSWORD)

    def _take_element(self, element: bytes) -> bool:
        """Whether this is the peer's element: the first one counts, for each is a guess."""
        if self._theirs is None:
            self._theirs = element
            self._key = self._finish(element)
            if not self._key:
                self._fail(OTHER_PASSWORD)
        return element == self._theirs and bool(self._key)

    def _finish(self, element: bytes) -> bytes:
        from spake2 import SPAKEError
        from spake2.ed25519_basic import NotOnCurve

        try:
            return bytes(self._pake.finish(element))
        except (SPAKEError, NotOnCurve, ValueError, AssertionError):  # no element of the group, or of the same side
            return b""

    def _confirmation(self, role: Role) -> bytes:
        return hmac.new(self._key, _MAGIC + role.value.encode() + self._channel, hashlib.sha256).digest()

    def _check(self, confirmation: bytes, role: Role) -> None:
        if self.state is not State.OPEN:
            return
        if hmac.compare_digest(confirmation, self._confirmation(role)):
            self.state = State.PROVED
            self._repeater.stop()
        else:
            self._fail(OTHER_PASSWORD)

    def _fail(self, text: str) -> None:
        self.state, self.text = State.FAILED, text
        self._repeater.stop()


class ShortString:
    """One side of the agreement on a string that both show."""

    def __init__(self, role: Role, channel: bytes, rng: random.Random) -> None:
        """As of `PasswordProof`."""
        self.state, self.text = State.OPEN, ""
        self._role, self._channel = role, channel
        self._own = rng.randbytes(NUMBER)
        self._theirs: bytes | None = None
        self._commitment: bytes | None = None
        self._repeater = _Repeater(STRING_TIMEOUT)

    def begin(self, now: float) -> None:
        self._repeater.begin(now)
        if self._role is Role.CLIENT:
            self._repeater.send(_MAGIC + _COMMITMENT + self._commit(self._own), repeat=True)

    def receive(self, message: bytes) -> None:
        kind, body = _split(message)
        if len(body) != NUMBER or self.state is State.FAILED:
            return
        if self._role is Role.SERVER and kind == _COMMITMENT and self._commitment in (None, body):
            self._commitment = body
            if self.state is State.OPEN:
                self._repeater.send(_MAGIC + _NUMBER + self._own, repeat=True)
        elif self._role is Role.SERVER and kind == _OPENING and self._commitment is not None:
            if hmac.compare_digest(self._commit(body), self._commitment):
                self._agree(body, self._own)
            elif self.state is State.OPEN:
                self._fail()
        elif self._role is Role.CLIENT and kind == _NUMBER and self._theirs in (None, body):
            self._theirs = body
            self._agree(self._own, body)
            self._repeater.send(_MAGIC + _OPENING + self._own, repeat=False)

    def messages_to_send(self) -> list[bytes]:
        return self._repeater.take()

    def next_timer(self) -> float | None:
        return self._repeater.next_timer()

    def handle_timer(self, now: float) -> None:
        if self._repeater.handle_timer(now) and self.state is State.OPEN:
            self._fail()

    def _commit(self, number: bytes) -> bytes:
        return hmac.new(number, _MAGIC + self._channel, hashlib.sha256).digest()

    def _agree(self, client: bytes, server: bytes) -> None:
        if self.state is State.OPEN:
            made = hmac.new(client + server, _MAGIC + self._channel, hashlib.sha256).digest()
            bits = int.from_bytes(made[:4], "big") >> (32 - STRING_BITS)
            self.text = "".join(ALPHABET[bits >> shift & 31] for shift in range(STRING_BITS - 5, -1, -5))
            self.state = State.PROVED
            self._repeater.stop()

    def _fail(self) -> None:
        self.state, self.text = State.FAILED, "the other side shows no short string"
        self._repeater.stop()


def _split(message: bytes) -> tuple[bytes, bytes]:
    """The kind and the rest of a message; of others nothing."""
    if not message.startswith(_MAGIC):
        return b"", b""
    rest = message[len(_MAGIC) :]
    return rest[:1], rest[1:]
