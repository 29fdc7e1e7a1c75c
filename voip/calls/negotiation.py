"""Offer and answer of one call (RFC 3264), and our session description (RFC 8866) from its first version on.

Descriptions go in and out as bytes, what was agreed on as a `NegotiatedMedia`. Nothing is sent here.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

from voip.errors import NegotiationError
from voip.media import Direction, NegotiatedMedia
from voip.sdp import (
    Capabilities,
    Endpoint,
    OwnKeys,
    PayloadTypes,
    SessionDescription,
    accept_answer,
    make_answer,
    make_offer,
)
from voip.sdp.dtls import reoffered
from voip.sdp.ice import moved
from voip.sdp.security import rekeyed
from voip.srtp import MasterKey


class Negotiation:
    """What the two sides of a call have described so far; `endpoint` is where we can be reached.

    Payload types keep their meaning from description to description (RFC 3264 section 8.3.2), and o= names the host
    that it named first (section 8). A key of ours that was in use and is no more is never used again: its packet
    indices would begin anew (RFC 3711 section 9.1).
    """

    def __init__(
        self,
        capabilities: Capabilities,
        endpoint: Endpoint,
        on_skipped: Callable[[str], object] = lambda text: None,
        *,
        rng: random.Random | None = None,
    ) -> None:
        """`on_skipped` is told, for people, which lines of the peer's descriptions were passed over. `rng`, for
        secrets, makes our keys of SRTP; None: there are none, and nothing is encrypted."""
        self._rng = rng
        self._local: MasterKey | None = None  # our key of SRTP that is in use
        self.endpoint = endpoint if rng is None else replace(endpoint, own_keys=OwnKeys.draw(rng))
        self._wanted, self._capabilities, self._on_skipped = capabilities, capabilities, on_skipped
        self._numbers = PayloadTypes()
        self._sent: SessionDescription | None = None  # the newest of ours; its version rises only when it changes
        self._offer: SessionDescription | None = None  # the newest, if it was an offer; stays for session refreshes
        self._agreed: NegotiatedMedia | None = None
        self._early: NegotiatedMedia | None = None
        self.awaits_answer = False
        """Whether our offer is not answered yet."""

    @property
    def has_offered(self) -> bool:
        """Whether what is in force began with an offer of ours, so that an answer may come, or come anew."""
        return self._offer is not None

    def move(self, host: str, port: int, *, rtcp_port: int | None = None, ip_version: int | None = None) -> None:
        """Be reached at another address from the next description on.

        `rtcp_port`: if it is not the port above. `ip_version`: of our socket, if that is another one.
        """
        version = ip_version or self.endpoint.ip_version
        self.endpoint = replace(self.endpoint, host=host, port=port, rtcp_port=rtcp_port, ip_version=version)

    def protect(self, *, sip_encrypted: bool) -> None:
        """From now on descriptions travel like this."""
        self.endpoint = replace(self.endpoint, sip_encrypted=sip_encrypted)

    def offer(self) -> bytes:
        """Our offer of a new session, with new keys: another peer may have been offered those before."""
        self._draw_keys()
        return self._make_offer(make_offer(self._capabilities, self.endpoint, self._numbers))

    def offer_address(self) -> bytes | None:
        """The session as it is, offered from the address that we have moved to; None before we described anything."""
        if self._sent is None:
            return None
        self._raise_version()
        self._draw_keys()
        return self._make_offer(readdressed(self._sent, self.endpoint, self._capabilities.direction))

    @property
    def held(self) -> bool:
        """Whether our user has put the call on hold."""
        return self._capabilities is not self._wanted

    def hold(self, held: bool) -> bytes | None:
        """The session as it is, offered so that it stands still until `hold(False)`, whatever is offered or answered
        meanwhile; None before we described anything."""
        if self._sent is None:
            return None
        self._capabilities = replace(self._wanted, direction=Direction.INACTIVE) if held else self._wanted
        return self.offer_address()

    def answer(self, offer: bytes) -> tuple[bytes, NegotiatedMedia | None]:
        """Our answer to the peer's offer, and what both agree on. To an empty one: an offer of ours, and None.

        ProtocolError or NegotiationError if nothing can come of it; all stays as it was.
        """
        theirs = self._read(offer) if offer else None
        description, media = self._describe(theirs)
        if self._sent is not None and description != self._sent:
            self._raise_version()
            description, media = self._describe(theirs)
        if media is None or theirs is None:
            return self._make_offer(description), None
        self._numbers.remember(theirs)
        self._agreed = media
        self._keep(description)
        self._use_keys(media)
        if not self.awaits_answer:
            self._offer = None
        return description.serialize(), media

    def keep_early(self, media: NegotiatedMedia) -> None:
        """An offer of the peer's was answered before the call was: `media` takes the place of the answer to ours."""
        self._early = media

    def preview(self, answer: bytes) -> NegotiatedMedia:
        """What both would agree on by this answer in a provisional response. Errors as `accept`."""
        if self._offer is None:
            raise NegotiationError("an answer without an offer")
        media = accept_answer(self._offer, self._read(answer), self._capabilities, self.endpoint, self._agreed)
        self._use_keys(media)
        return media

    def accept(self, answer: bytes) -> NegotiatedMedia:
        """What both agree on by the peer's answer to our offer, or did before if that is empty.

        ProtocolError or NegotiationError if the answer cannot be used.
        """
        self.awaits_answer = False
        if not answer and self._early is not None:
            return self._early
        if self._offer is None:
            raise NegotiationError("an answer without an offer")
        theirs = self._read(answer)
        media = accept_answer(self._offer, theirs, self._capabilities, self.endpoint, self._agreed)
        self._numbers.remember(theirs)
        self._agreed = media
        self._use_keys(media)
        return media

    def _draw_keys(self, kept: MasterKey | None = None) -> None:
        if self._rng is not None:
            self.endpoint = replace(self.endpoint, own_keys=OwnKeys.draw(self._rng, self.endpoint.own_keys, kept))

    def _use_keys(self, media: NegotiatedMedia) -> None:
        keys = None if media.security is None else media.security.keys
        before, self._local = self._local, None if keys is None else keys.local
        if before not in (None, self._local):
            self._draw_keys(self._local)

    def _make_offer(self, description: SessionDescription) -> bytes:
        self._keep(description)
        self._offer = description
        self.awaits_answer = True
        return description.serialize()

    def _keep(self, description: SessionDescription) -> None:
        """A description of ours goes out."""
        self._sent = description
        self._numbers.remember(description)
        if self.endpoint.origin is None:
            self.endpoint = replace(self.endpoint, origin=description.origin)

    def _read(self, data: bytes) -> SessionDescription:
        description = SessionDescription.parse(data)
        if description.skipped:
            self._on_skipped(description.passed_over)
        return description

    def _describe(self, offer: SessionDescription | None) -> tuple[SessionDescription, NegotiatedMedia | None]:
        if offer is not None:
            return make_answer(offer, self._capabilities, self.endpoint, self._agreed)
        return make_offer(self._capabilities, self.endpoint, self._numbers, self._agreed), None

    def _raise_version(self) -> None:
        self.endpoint = replace(self.endpoint, session_version=self.endpoint.session_version + 1)


def readdressed(description: SessionDescription, endpoint: Endpoint, direction: Direction) -> SessionDescription:
    """The description that we sent last as an offer that names another address.

    All else stays, the payload types above all (RFC 3264 section 8.3.2), but for the direction: that a peer had put us
    on hold is for its answer to say again.
    """
    media = []
    for line in description.media:
        if not line.port:
            media.append(line)
            continue
        kept = [(name, value) for name, value in line.attributes if name not in (*_DIRECTIONS, "rtcp")]
        kept = [*reoffered(rekeyed(kept, endpoint.own_keys)), (direction.value, None)]
        kept = moved(kept, endpoint.own_ice, endpoint.host, endpoint.port)
        if endpoint.rtcp_port is not None:
            kept.append(("rtcp", str(endpoint.rtcp_port)))
        media.append(replace(line, port=endpoint.port, connection=None, attributes=kept))
    return replace(
        description,
        session_version=str(endpoint.session_version),
        origin=endpoint.origin or endpoint.host,
        connection=endpoint.host,
        media=media,
    )


_DIRECTIONS = tuple(direction.value for direction in Direction)
