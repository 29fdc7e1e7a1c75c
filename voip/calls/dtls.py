"""DTLS-SRTP in a call: the handshake on its media port, the proof of the peer, and the keys that come of both.

RFC 5763: offer and answer say whose certificate is right; the handshake begins when both are there.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from voip.dtls.certificate import Certificate
from voip.dtls.endpoint import WRONG_CERTIFICATE, Closed, Connected, Endpoint, Event, Failed, Received
from voip.dtls.guesses import Guesses
from voip.dtls.proof import PasswordProof, Proof, ShortString, State
from voip.media import NegotiatedMedia
from voip.net import MediaTransport
from voip.net.loop import EventLoop
from voip.sdp import OwnDtls
from voip.srtp import SrtpKeys
from voip.srtp.association import AssociationTerms, Role

SECRET = 32
"""Bytes of the secret that the cookies and identifiers of a call are made of."""
ENDED_UNPROVED = "the other side has ended the DTLS association before the password was proved; it may have another one"


@dataclass(frozen=True)
class DtlsIdentity:
    """What this program proves itself by in every call: its certificate, and the password that it shares, if any.

    `guesses` are the failed proofs of all calls.
    """

    certificate: Certificate
    password: str | None = field(default=None, repr=False)
    guesses: Guesses = field(default_factory=Guesses, compare=False)

    def own(self, rng: random.Random) -> OwnDtls:
        """What the descriptions of a new call say."""
        return OwnDtls(self.certificate.fingerprint, rng.randbytes(SECRET))


@dataclass(frozen=True)
class Listeners:
    """Who is told: that there are keys, or others, at once, for the next datagram may need them; and, a moment later,
    that there will be none, for people, and whether that is because the peer is not who it should be; that the short
    string is known; that the peer has ended the association."""

    on_keys: Callable[[], object]
    on_failed: Callable[[str, bool], object]
    on_string: Callable[[str], object]
    on_closed: Callable[[], object]


class CallDtls:
    """The DTLS side of one call. Network thread only; a participant of the event loop while there is something to
    repeat: the loop asks its participants on every wake-up."""

    def __init__(self, identity: DtlsIdentity, loop: EventLoop, rng: random.Random, listeners: Listeners) -> None:
        self._identity, self._loop, self._rng, self._listeners = identity, loop, rng, listeners
        self._endpoint: Endpoint | None = None
        self._transport: MediaTransport | None = None
        self._terms: AssociationTerms | None = None
        self._connected: Connected | None = None
        self._remote: tuple[str, int] | None = None
        self._behind: tuple[str, int] | None = None  # what the peer's description named when the handshake was done
        self._proof: Proof | None = None
        self._proof_at: float | None = None  # when it begins, if it has to wait
        self._keys: SrtpKeys | None = None
        self._failure: tuple[str, bool] | None = None
        self._closed = self._agreeing = False
        self._due: float | None = None  # the first of all timers

    def agree(self, media: NegotiatedMedia, transport: MediaTransport) -> NegotiatedMedia:
        """Offer and answer say this of the media on that port; the same with the keys, if they are there already."""
        terms = None if media.security is None else media.security.association
        if terms is None or self._closed:
            return media
        if self._failure is not None and self._terms is not None and self._terms.continues(terms):
            self._loop.post(self._listeners.on_failed, *self._failure)  # it was early media, and is the call now
            return media
        self._failure = None
        if transport is not self._transport:
            self._transport = transport
            transport.shake_hands(self._receive)
        if self._endpoint is None:
            self._endpoint = Endpoint(self._identity.certificate, self._rng.randbytes(SECRET))
        if self._terms is not None and not self._terms.continues(terms):
            self._keys = self._proof = self._connected = self._proof_at = None
        self._terms = terms
        usable = media.remote[1] and media.remote[0] not in ("0.0.0.0", "::")
        if media.ice is None:
            self._remote = _bare(media.remote) if usable else None
        self._agreeing = True  # the keys that come of it are returned
        self._endpoint.agree(terms, self._remote, self._loop.now())
        self._pump()
        self._agreeing = False
        return self.secured(media)

    def aim(self, address: tuple[str, int]) -> None:
        """ICE has selected this address of the peer: a handshake with any other is not its own."""
        self._remote = _bare(address)
        if self._endpoint is not None and self._terms is not None:
            self._endpoint.agree(self._terms, self._remote, self._loop.now())
            self._pump()

    def secured(self, media: NegotiatedMedia) -> NegotiatedMedia:
        """With the keys of the association, and the address at which the peer has shown itself."""
        security, connected = media.security, self._connected
        if security is None or security.association is None or self._keys is None or connected is None:
            return media
        secured = replace(media, security=replace(security, keys=self._keys, proved=self._proved))
        if media.ice is not None:
            return secured
        hidden = connected.role is Role.SERVER and _bare(media.remote) == self._behind != connected.remote
        return replace(secured, remote=connected.remote) if hidden else secured

    @property
    def _proved(self) -> str:
        return "password" if self._identity.password is not None else "certificate"

    # --- the event loop -------------------------------------------------------------------------------------------

    def next_timer(self) -> float | None:
        """When a handshake or a proof has to be repeated."""
        return self._due

    def _set_timer(self) -> None:
        """Something has changed: join the event loop, or leave it."""
        due = None
        if self._endpoint is not None:
            own = None if self._proof is None else self._proof.next_timer()
            timers = (self._endpoint.next_timer(), own if self._proof_at is None else self._proof_at)
            due = min((at for at in timers if at is not None), default=None)
        before, self._due = self._due, due
        if before is None and due is not None:
            self._loop.add(self)
        elif before is not None and due is None:
            self._loop.remove(self)

    def handle_timer(self, now: float) -> None:
        if self._endpoint is not None:
            self._endpoint.handle_timer(now)
        if self._proof is not None and self._proof_at is None:
            self._proof.handle_timer(now)
        if self._proof is not None and self._proof_at is not None and self._proof_at <= now:
            self._proof_at = None
            self._proof.begin(now)
        self._pump()

    def flush(self) -> None:
        """Nothing to do: datagrams are sent at once."""

    def close(self) -> None:
        """The call is over: the peer is told so. Idempotent."""
        self._leave()
        self._closed = True

    # --- inside ---------------------------------------------------------------------------------------------------

    def _receive(self, data: bytes, source: tuple[str, int]) -> None:
        if self._endpoint is not None:
            self._endpoint.receive(data, _bare(source), self._loop.now())
            self._pump()

    def _pump(self) -> None:
        """Send what there is to send, and act on what has happened."""
        endpoint = self._endpoint
        if endpoint is None:
            return
        self._send(endpoint)  # first: with the keys sound goes out by another thread, and must not overtake it
        for event in endpoint.take_events():
            self._handle(event)
        if self._proof is not None:
            for message in self._proof.messages_to_send():
                endpoint.send(message)
            self._send(endpoint)
            self._judge(self._proof)
        self._send(endpoint)
        self._set_timer()

    def _send(self, endpoint: Endpoint) -> None:
        if self._transport is not None:
            for datagram, remote in endpoint.datagrams_to_send():
                self._transport.send_dtls(datagram, remote)

    def _handle(self, event: Event) -> None:
        if isinstance(event, Connected):
            self._connected, self._behind = event, self._remote
            self._begin_proof(event)
        elif isinstance(event, Received):
            if self._proof is not None and self._proof_at is None:  # else it comes again
                self._proof.receive(event.data)
        elif isinstance(event, Failed):
            self._fail(event.reason, event.reason == WRONG_CERTIFICATE)
        elif isinstance(event, Closed):
            self._loop.post(self._listeners.on_closed)
            if self._identity.password is not None and self._keys is None:
                self._fail(ENDED_UNPROVED, True)

    def _begin_proof(self, connected: Connected) -> None:
        password = self._identity.password
        if password is None:
            self._proof = ShortString(connected.role, connected.channel, self._rng)
            self._release(connected)
        else:
            self._proof = PasswordProof(password, connected.role, connected.channel, self._rng)
        now = self._loop.now()
        wait = 0.0 if password is None else self._identity.guesses.wait(now)
        if wait:
            self._proof_at = now + wait
        else:
            self._proof.begin(now)

    def _judge(self, proof: Proof) -> None:
        """See what has become of a proof; a password holds the keys back until it is shown to be the same."""
        if proof.state is State.OPEN or self._connected is None:
            return
        if self._identity.password is None:
            if proof.state is State.PROVED and proof.text:
                self._loop.post(self._listeners.on_string, proof.text)
                proof.text = ""
        elif proof.state is State.FAILED:
            self._fail(proof.text, True)
        elif proof.state is State.PROVED and self._keys is None:
            self._release(self._connected)

    def _release(self, connected: Connected) -> None:
        self._keys = connected.keys
        if not self._agreeing:
            self._listeners.on_keys()

    def _fail(self, reason: str, is_identity: bool) -> None:
        self._failure = reason, is_identity
        self._leave()
        self._loop.post(self._listeners.on_failed, reason, is_identity)

    def _leave(self) -> None:
        """End the association, if there is one."""
        endpoint, self._endpoint = self._endpoint, None
        if endpoint is None:
            return
        if self._identity.password is not None and self._connected is not None and self._keys is None:
            self._identity.guesses.note_failure(self._loop.now())  # however it ended
        endpoint.close()
        self._send(endpoint)
        self._proof = self._proof_at = None
        self._set_timer()


def _bare(address: tuple[str, int]) -> tuple[str, int]:
    """An address without the zone of IPv6, which descriptions do not have; the port knows it."""
    return address[0].partition("%")[0], address[1]
