"""SRTP and SRTCP: what protects packets and opens them (RFC 3711; AES-GCM: RFC 7714), by libsrtp.

libsrtp keeps the roll-over counter of each SSRC (RFC 3711 section 3.3.1) and its list of packets that came before
(section 3.3.2). A context belongs to one thread and one direction.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from voip.errors import ProtocolError
from voip.srtp.keys import MasterKey, Profile

if TYPE_CHECKING:
    import pylibsrtp

REPLAY_WINDOW = 1024
"""Packets behind the newest one that are still accepted, each once: 20 s of packets of 20 ms. At least 64 (RFC 3711
section 3.3.2)."""
MAX_STREAMS = 256
"""SSRCs that one key is used with in one direction: each costs memory for as long as the key is used. A peer that takes
another SSRC each time that a call is resumed does not reach it."""
ALWAYS_TRIED = 100
"""Packets of an unknown SSRC that do not authenticate and are tried once more, as those of a stream that has wrapped;
after them only each ALWAYS_TRIED-th is: a flood must not cost twice."""
LONGEST = 8192 + 256
"""Bytes of the longest packet with what protection adds: more than a media port accepts (`voip.session`)."""
HALF = 0x8000
"""Half of the sequence numbers: from one to another that is farther away, they have wrapped (RFC 3711 appendix A)."""
_SSRC = struct.Struct("!4xI")
_RTP = struct.Struct("!BBHII")
_REPLAYED = "replay"


class NotAuthentic(ProtocolError):
    """A packet of which the key does not say that it is the peer's, and unchanged."""


class Replayed(ProtocolError):
    """A packet that came before, or is too old to tell."""


def missing() -> str | None:
    """None if SRTP works here, else a line that says what to install. Loads libsrtp."""
    try:
        import pylibsrtp  # noqa: F401
    except (ImportError, OSError):
        return "encryption of media (SRTP) needs pylibsrtp: pip install pylibsrtp"
    return None


class Protector:
    """Protects what one thread sends with one master key.

    Any number of SSRCs: each has its own roll-over counter, which begins at 0. A second protector with the same key is
    for other SSRCs, or for RTCP where the first is for RTP: no packet index may be used twice (RFC 3711 section 9.1).
    """

    def __init__(self, profile: Profile, master: MasterKey) -> None:
        self._session = _session(profile, master, inbound=False)
        self._protect = self._session.protect

    def rtp(self, datagram: bytes) -> bytes:
        """SRTP of an RTP packet. ProtocolError if it is none, is too long, or has a number that was used."""
        try:
            return self._protect(datagram)
        except _errors() as error:
            raise ProtocolError(f"not sent: {error}") from error

    def rtcp(self, datagram: bytes) -> bytes:
        """SRTCP of an RTCP compound. ProtocolError if it is none or too long."""
        try:
            return self._session.protect_rtcp(datagram)
        except _errors() as error:
            raise ProtocolError(f"not sent: {error}") from error


class Opener:
    """Opens what a peer has protected with one master key: authenticates and decrypts it, each packet once.

    A packet that is refused changes no state. Where a stream is joined after its numbers have wrapped for the first
    time, as sound that came before the key did, its roll-over counter is found by trial.
    """

    def __init__(self, profile: Profile, master: MasterKey) -> None:
        self._session = _session(profile, master, inbound=True)
        self._profile, self._master = profile, master
        self._streams: set[int] = set()
        self._media: set[int] = set()  # those of them of which RTP has come
        self._opened = 0
        self._refused = 0

    def rtp(self, data: bytes) -> bytes:
        """The RTP packet. NotAuthentic, Replayed."""
        ssrc, number = self._check(data, _RTP.size, 8), int.from_bytes(data[2:4], "big")
        try:
            opened = self._session.unprotect(data)
        except _errors() as error:
            if ssrc in self._media or number >= HALF or not self._is_worth_another_try():
                raise _refusal(error) from error
            opened = self._open_wrapped(data, ssrc)
        self._streams.add(ssrc)
        self._media.add(ssrc)
        self._opened += 1
        return opened

    def rtcp(self, data: bytes) -> bytes:
        """The RTCP compound. NotAuthentic, Replayed."""
        ssrc = self._check(data, _SSRC.size, 4)
        try:
            opened = self._session.unprotect_rtcp(data)
        except _errors() as error:
            raise _refusal(error) from error
        self._streams.add(ssrc)
        return opened

    def _check(self, data: bytes, least: int, at: int) -> int:
        """The SSRC, which is at this offset; NotAuthentic for what cannot be opened whatever follows."""
        if len(data) < least:
            raise NotAuthentic("too short for SRTP")
        if self._opened >= self._master.lifetime:
            raise NotAuthentic("the lifetime of the key is over")
        ssrc = int.from_bytes(data[at : at + 4], "big")
        if ssrc not in self._streams and len(self._streams) >= MAX_STREAMS:
            raise NotAuthentic("too many SSRCs")
        return ssrc

    def _is_worth_another_try(self) -> bool:
        self._refused += 1
        return self._refused <= ALWAYS_TRIED or self._refused % ALWAYS_TRIED == 0

    def _open_wrapped(self, data: bytes, ssrc: int) -> bytes:
        """Open a packet as of a stream that has wrapped once: after one of the last number before the wrap.

        We have the key of the peer, so we can make that one. It is tried beside the real context, which a forged packet
        must not move.
        """
        last = _RTP.pack(0x80, 0, 0xFFFF, 0, ssrc)
        before = _session(self._profile, self._master, inbound=False).protect(last)
        trial = _session(self._profile, self._master, inbound=True)
        trial.unprotect(before)
        try:
            trial.unprotect(data)
        except _errors() as error:
            raise NotAuthentic("authentication failure, with and without a wrap") from error
        self._session.unprotect(before)
        return self._session.unprotect(data)


def _session(profile: Profile, master: MasterKey, *, inbound: bool) -> pylibsrtp.Session:
    from pylibsrtp import Policy, Session

    profiles = {
        Profile.AES_CM_128_HMAC_SHA1_80: Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
        Profile.AEAD_AES_128_GCM: Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
        Profile.AEAD_AES_256_GCM: Policy.SRTP_PROFILE_AEAD_AES_256_GCM,
    }
    direction = Policy.SSRC_ANY_INBOUND if inbound else Policy.SSRC_ANY_OUTBOUND
    policy = Policy(key=master.key + master.salt, ssrc_type=direction, srtp_profile=profiles[profile])
    policy.window_size = REPLAY_WINDOW
    session = Session(policy)
    _widen(session)
    return session


def _widen(session: pylibsrtp.Session) -> None:
    """Give it room for packets of more than its usual 1500 bytes, as linphone sends them of L16.

    Where another version of the library has no such fields nothing is changed, and longer packets are refused.
    """
    from pylibsrtp._binding import ffi

    fields = vars(session)  # it has no argument for this
    if {"_cdata", "_buffer"} <= fields.keys():
        room = ffi.new("char[]", LONGEST)
        fields.update(_cdata=room, _buffer=ffi.buffer(room))


def _errors() -> tuple[type[Exception], ...]:
    """What a call of libsrtp raises; ValueError is for a packet beyond its buffer."""
    from pylibsrtp import Error

    return Error, ValueError


def _refusal(error: Exception) -> ProtocolError:
    """What a refusal of libsrtp means."""
    text = str(error)
    return Replayed(text) if _REPLAYED in text else NotAuthentic(text)
