"""What protects the packets of one media port: the SRTP contexts of both directions and threads (RFC 3711).

FEC and RED are made before SRTP and undone after it (RFC 4568 section 6.3.4, FEC_SRTP).
"""

from __future__ import annotations

from collections.abc import Callable

from voip.errors import ProtocolError
from voip.media import Security
from voip.srtp import MasterKey, Profile, SrtpKeys
from voip.srtp.context import NotAuthentic, Opener, Protector, Replayed

_Open = Callable[[Opener, bytes], bytes]
_Protect = Callable[[Protector, bytes], bytes]


class Protection:
    """Protects what is sent and opens what comes, as was agreed on; without an agreement packets pass as they are.

    Threads: `media` belongs to the capture thread, all else to the network thread. They have contexts of their own: the
    capture thread's is for the SSRCs of media and FEC, the network thread's for RTCP and for keep-alives. The network
    thread replaces them whole when there are other keys.

    Where protection was agreed on and there are no keys yet, nothing passes in either direction.

    `unauthenticated` counts packets that the peer's key does not open, `replayed` those that came before.
    """

    def __init__(self, security: Security | None = None) -> None:
        self.unauthenticated = 0
        self.replayed = 0
        self._protects = False
        self._keys: SrtpKeys | None = None
        self._media: Protector | None = None
        self._control: Protector | None = None
        self._opener: Opener | None = None
        self._previous: Opener | None = None  # until the peer has gone over to the key after it
        self.update(security)

    @property
    def waits_for_keys(self) -> bool:
        """Whether protection was agreed on and nothing can be sent or received yet."""
        return self._protects and self._keys is None

    def update(self, security: Security | None) -> None:
        """What was agreed on anew. With the same keys the contexts go on: a packet index must not come twice."""
        self._protects = security is not None
        self.use(None if security is None else security.keys)

    def use(self, keys: SrtpKeys | None) -> None:
        """Other keys, or the same. What the peer has sent by those before is opened until it uses the new ones."""
        before, self._keys = self._keys, keys
        if _remote(before) != _remote(keys):
            self._previous = self._opener
            self._opener = None if keys is None else Opener(keys.profile, keys.remote)
        if _local(before) != _local(keys):
            self._control = None if keys is None else Protector(keys.profile, keys.local)
            self._media = None if keys is None else Protector(keys.profile, keys.local)

    # --- out ------------------------------------------------------------------------------------------------------

    def media(self, datagram: bytes) -> bytes | None:
        """A media or repair packet as it is to be sent; None: not at all. Capture thread."""
        context = self._media
        if context is None:
            return None if self._protects else datagram
        try:
            return context.rtp(datagram)
        except ProtocolError:
            return None

    def keep_alive(self, datagram: bytes) -> bytes | None:
        """The same for an RTP packet of an SSRC that only the network thread uses."""
        return self._protect(self._control, datagram, Protector.rtp)

    def rtcp(self, compound: bytes) -> bytes | None:
        """The same for RTCP."""
        return self._protect(self._control, compound, Protector.rtcp)

    def _protect(self, context: Protector | None, datagram: bytes, protected: _Protect) -> bytes | None:
        if context is None:
            return None if self._protects else datagram
        try:
            return protected(context, datagram)
        except ProtocolError:
            return None

    # --- in -------------------------------------------------------------------------------------------------------

    def open_rtp(self, data: bytes) -> bytes | None:
        """The RTP packet in a datagram; None: dropped and counted."""
        return self._open(data, Opener.rtp)

    def open_rtcp(self, data: bytes) -> bytes | None:
        """The RTCP compound in a datagram; None: dropped and counted."""
        return self._open(data, Opener.rtcp)

    def _open(self, data: bytes, opened: _Open) -> bytes | None:
        if not self._protects:
            return self._open_plain(data, opened)
        problem: ProtocolError = NotAuthentic("there is no key yet")
        if self._opener is not None:
            try:
                found = opened(self._opener, data)
            except ProtocolError as error:
                problem = error
            else:
                self._previous = None
                return found
        if self._previous is not None and (found_before := _try(self._previous, data, opened)) is not None:
            return found_before
        if isinstance(problem, Replayed):
            self.replayed += 1
        else:
            self.unauthenticated += 1
        return None

    def _open_plain(self, data: bytes, opened: _Open) -> bytes:
        """What the peer still sends by the last key must not be played as noise; the first packet that it does not open
        ends that."""
        if self._previous is not None:
            if (found := _try(self._previous, data, opened)) is not None:
                return found
            self._previous = None
        return data


def _try(opener: Opener, data: bytes, opened: _Open) -> bytes | None:
    try:
        return opened(opener, data)
    except ProtocolError:
        return None


def _local(keys: SrtpKeys | None) -> tuple[Profile, MasterKey] | None:
    return None if keys is None else (keys.profile, keys.local)


def _remote(keys: SrtpKeys | None) -> tuple[Profile, MasterKey] | None:
    return None if keys is None else (keys.profile, keys.remote)
