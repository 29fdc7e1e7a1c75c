"""A peer whose every byte is written by hand: SIP (RFC 3261), SDP (RFC 8866), RTP and RTCP (RFC 3550), G.711.

It shares no code with the program under test, and nothing it sends is checked: what a test wants to be wrong, is.
Everything happens in the test's own thread: sockets are read when the test asks for what has come.
"""

import contextlib
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tests.support.processes import LOOPBACK, PATIENCE
from tests.support.text_phone import CRLF, TextPhone, first_format, is_final, media_port, rtpmap, status, token, value

Samples = NDArray[np.int16]
Address = tuple[str, int]

RATE = 8000
PTIME = 0.02
PACKET = 160  # samples of 20 ms
L16, FEC = 96, 127  # payload types; the second is the one that old programs gave to their own kind of FEC
PCMU = 0
FIRST_SEQUENCE, FIRST_TIMESTAMP = 65500, 0xFFFFFFFF - 5000  # both wrap within the first second
_LARGEST = 65535
_VERSION = 2 << 6


# --- RTP --------------------------------------------------------------------------------------------------------------


def rtp(
    sequence: int,
    timestamp: int,
    payload: bytes,
    *,
    ssrc: int,
    payload_type: int = L16,
    marker: bool = False,
    csrcs: Sequence[int] = (),
    extension: tuple[int, bytes] | None = None,
    padding: int = 0,
) -> bytes:
    """One RTP packet (RFC 3550 section 5.1); numbers are reduced to their field. `padding`: octets of it."""
    first = _VERSION | (padding > 0) << 5 | (extension is not None) << 4 | len(csrcs)
    second = marker << 7 | payload_type
    packet = struct.pack("!BBHII", first, second, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc)
    packet += b"".join(struct.pack("!I", csrc) for csrc in csrcs)
    if extension is not None:
        profile, data = extension
        packet += struct.pack("!HH", profile, len(data) // 4) + data
    return packet + payload + (bytes(padding - 1) + bytes([padding]) if padding else b"")


def sender_report(ssrc: int, timestamp: int, packets: int, octets: int) -> bytes:
    """An RTCP SR without reception report blocks (RFC 3550 section 6.4.1), and the SDES that goes with it."""
    ntp = int((time.time() + 2208988800) * (1 << 32)) & 0xFFFFFFFFFFFFFFFF
    report = struct.pack("!BBHIQIII", _VERSION, 200, 6, ssrc, ntp, timestamp & 0xFFFFFFFF, packets, octets)
    return report + struct.pack("!BBHI", _VERSION | 1, 202, 3, ssrc) + b"\x01\x05a@b.c\x00"


def repair(packets: Sequence[bytes], *, ssrc: int, sequence: int, timestamp: int) -> bytes:
    """A FlexFEC packet over these consecutive packets, at most 15 (RFC 8627 section 4.2.2.1, R=0, F=0)."""
    first, second, length, stamp = 0, 0, 0, 0
    body = 0
    longest = max(len(packet) for packet in packets)
    for packet in packets:
        flags, kind, _, media_time, _ = struct.unpack("!BBHII", packet[:12])
        first, second, length, stamp = first ^ flags, second ^ kind, length ^ (len(packet) - 12), stamp ^ media_time
        body ^= int.from_bytes(packet[12:].ljust(longest - 12, b"\0"), "big")
    (base,) = struct.unpack("!H", packets[0][2:4])
    (protected,) = struct.unpack("!I", packets[0][8:12])
    mask = (0x7FFF << (15 - len(packets))) & 0x7FFF
    payload = struct.pack("!BBHIHH", first & 0x3F, second, length, stamp, base, mask)
    payload += body.to_bytes(longest - 12, "big")
    return rtp(sequence, timestamp, payload, ssrc=ssrc, payload_type=FEC, csrcs=(protected,))


def old_repair(sequences: Sequence[int], body: bytes, *, count: int | None = None) -> bytes:
    """The payload of that other kind of FEC: how many packets, their sequence numbers, the XOR of their payloads."""
    numbers = b"".join(struct.pack("!H", sequence & 0xFFFF) for sequence in sequences)
    return struct.pack("!H", len(sequences) if count is None else count) + numbers + body


# --- sound ------------------------------------------------------------------------------------------------------------


def sound(packets: int, *, seed: int = 5) -> Samples:
    """Noise of so many packets, no sample of it 0, no stretch like another."""
    return np.random.default_rng(seed).integers(1, 12000, packets * PACKET).astype(np.int16)


def big_endian(samples: Samples) -> bytes:
    """L16 (RFC 3551 section 4.5.11)."""
    return samples.astype(">i2").tobytes()


def from_mulaw(code: int) -> int:
    """One sample of G.711 mu-law, table 2a."""
    flipped = ~code & 0xFF
    magnitude = (((flipped & 0x0F) << 3) + 0x84 << (flipped >> 4 & 7)) - 0x84
    return -magnitude if flipped & 0x80 else magnitude


# --- SIP --------------------------------------------------------------------------------------------------------------


@dataclass
class Dialog:
    """A call that is up: what its requests are made of, and the message that opened it at the other side."""

    peer: "RawPeer"
    target: Address
    call_id: str
    remote: str  # To of our requests
    opening: str
    number: int = 1

    @property
    def media(self) -> Address:
        """Where the other side wants its audio."""
        return self.target[0], media_port(self.opening)

    def request(self, method: str, *headers: str) -> bytes:
        """The next request of this call."""
        self.number += 1
        return self.peer.request(
            method, self.target, *headers, call_id=self.call_id, to=self.remote, number=self.number
        )

    def reinvite(self, body: str) -> str:
        """Offer this in the call; the answer, acknowledged."""
        answer = self.peer.ask(self._repeated("INVITE", body), self.target)
        assert answer is not None
        assert status(answer) == 200, answer
        assert value(answer, "Call-ID") == self.call_id
        self.number -= 1
        self.peer.send(self._repeated("ACK"), self.target)
        return answer

    def _repeated(self, method: str, body: str = "") -> bytes:
        self.number += 1
        return self.peer.request(
            method, self.target, body=body, call_id=self.call_id, to=self.remote, number=self.number
        )

    def bye(self) -> int | None:
        """Hang up; the status of the answer."""
        return status(self.peer.ask(self.request("BYE"), self.target))


class RawPeer:
    """Two sockets and a pen. `target`: where it is called; `seen`: all SIP that it has read."""

    def __init__(self, host: str = LOOPBACK) -> None:
        self.host = host
        self.sip, self.rtp = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        for opened in (self.sip, self.rtp):
            opened.bind((host, 0))
        self.port: int = self.sip.getsockname()[1]
        self.target = f"{host}:{self.port}"
        self.tag = token()
        self.text = TextPhone("raw", host, self.port, self.tag)
        self.seen: list[str] = []
        self._unread: list[tuple[str, Address]] = []

    def close(self) -> None:
        """Gone without a word."""
        self.sip.close()
        self.rtp.close()

    # --- reading ---

    def read(self, wanted: Callable[[str], bool], timeout: float = PATIENCE) -> tuple[str, Address] | None:
        """The first message that is wanted, read before or yet to come, with its source; the others stay unread."""
        end = time.monotonic() + timeout
        while True:
            for index, (text, _) in enumerate(self._unread):
                if wanted(text):
                    return self._unread.pop(index)
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.sip], [], [], left)[0]:
                return None
            self._read_one()

    def wait(self, start: str, timeout: float = PATIENCE) -> tuple[str, Address]:
        """The next message that begins like that; AssertionError if none comes."""
        found = self.read(lambda text: text.startswith(start), timeout)
        assert found is not None, f"no {start!r} among {[text.partition(CRLF)[0] for text in self.seen]}"
        return found

    def unread(self) -> list[str]:
        """What has come, and was neither asked for nor waited for."""
        while select.select([self.sip], [], [], 0)[0]:
            self._read_one()
        return [text for text, _ in self._unread]

    def _read_one(self) -> None:
        with contextlib.suppress(ConnectionRefusedError):  # what an earlier datagram of ours ran into
            data, source = self.sip.recvfrom(_LARGEST)
            text = data.decode("utf-8", "replace")
            self.seen.append(text)
            self._unread.append((text, source))

    # --- asking ---

    def send(self, data: bytes, target: Address) -> None:
        self.sip.sendto(data, target)

    def request(
        self,
        method: str,
        target: Address,
        *headers: str,
        call_id: str = "",
        to: str = "",
        number: int = 1,
        body: str = "",
        branch: str = "",
    ) -> bytes:
        """A request as RFC 3261 section 8.1.1 wants it, with these header fields on top."""
        uri, data = f"sip:anyone@{target[0]}:{target[1]}", body.encode()
        return self.text.request(method, uri, *headers, call_id=call_id, to=to, number=number, branch=branch, body=data)

    def ask(self, request: bytes, target: Address, timeout: float = 2.0) -> str | None:
        """The final answer to a request, which is sent once more every half second until it comes (RFC 3261 17.1)."""
        text = request.decode("utf-8", "replace")
        key = value(text, "Call-ID"), value(text, "CSeq")
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            self.send(request, target)
            found = self.read(lambda answer: is_final(answer, *key), 0.5)
            if found is not None:
                return found[0]
        return None

    def description(self, payload_types: Sequence[int] = (L16,), *, ssrc: int | None = None) -> str:
        """SDP of our RTP socket. With `FEC` among the payload types FlexFEC is offered too."""
        known = {L16: f"L16/{RATE}/1", PCMU: "PCMU/8000", FEC: f"flexfec/{RATE}"}
        lines = [f"a=rtpmap:{kind} {known[kind]}" for kind in payload_types]
        lines += [f"a=fmtp:{FEC} repair-window=200000"] if FEC in payload_types else []
        lines += [f"a=ssrc:{ssrc} cname:raw"] if ssrc is not None else []
        return self.text.description(self._rtp_port, payload_types, *lines, "a=ptime:20")

    @property
    def _rtp_port(self) -> int:
        port: int = self.rtp.getsockname()[1]
        return port

    def invite(self, target: Address, description: str | None = None, call_id: str = "") -> tuple[str, Dialog | None]:
        """Call: the final answer, acknowledged, and what it opened (None: it refuses)."""
        call_id, branch = call_id or token(), "z9hG4bK" + token()
        body = self.description() if description is None else description
        answer = self.ask(self.request("INVITE", target, call_id=call_id, body=body, branch=branch), target, PATIENCE)
        assert answer is not None, "no answer to the INVITE"
        to = value(answer, "To")
        if status(answer) != 200:
            self.send(self.request("ACK", target, call_id=call_id, to=to, branch=branch), target)
            return answer, None
        self.send(self.request("ACK", target, call_id=call_id, to=to), target)
        return answer, Dialog(self, target, call_id, to, answer)

    def call(self, target: Address, description: str | None = None) -> Dialog:
        """A call that has to be taken."""
        answer, dialog = self.invite(target, description)
        assert dialog is not None, answer
        return dialog

    # --- answering ---

    def answer(self, request: tuple[str, Address], code: int, reason: str, *headers: str, body: str = "") -> None:
        """Answer a request that came."""
        text, source = request
        self.send(self.text.response(text, code, reason, *headers, body=body.encode()), source)

    def take_call(self, payload_types: Sequence[int] | None = None) -> Dialog:
        """Answer the next INVITE with 200; `payload_types`: the first one of the offer, unless given."""
        invite = self.wait("INVITE ")
        text = invite[0]
        self.answer(invite, 200, "OK", body=self.answer_to(text, payload_types))
        self.wait("ACK ")
        return Dialog(self, invite[1], value(text, "Call-ID"), value(text, "From"), text)

    def answer_to(self, offer: str, payload_types: Sequence[int] | None = None) -> str:
        """SDP that takes one of the payload types of an offer, its first unless said, with the offer's own words."""
        first = first_format(offer) if payload_types is None else payload_types[0]
        return self.text.description(self._rtp_port, [first], *rtpmap(offer, first), "a=recvonly")

    def media(self, count: int, timeout: float = PATIENCE) -> list[bytes]:
        """The next datagrams that come to our RTP socket; AssertionError if they do not."""
        packets: list[bytes] = []
        end = time.monotonic() + timeout
        while len(packets) < count:
            ready = select.select([self.rtp], [], [], max(0.0, end - time.monotonic()))[0]
            assert ready, f"only {len(packets)} of {count} packets came"
            packets.append(self.rtp.recv(_LARGEST))
        return packets


@contextlib.contextmanager
def raw_peer(host: str = LOOPBACK) -> Iterator[RawPeer]:
    """A peer for the time of a test."""
    peer = RawPeer(host)
    try:
        yield peer
    finally:
        peer.close()


# --- a stream ---------------------------------------------------------------------------------------------------------


class Pace:
    """Waits until moments that are a whole number of steps after the first; late is late, no moment is left out."""

    def __init__(self) -> None:
        self._due: float | None = None
        self._never = threading.Event()

    def wait(self, seconds: float = PTIME) -> None:
        """Until so long after the end of the last waiting, as it should have been; the first call is the start."""
        now = time.monotonic()
        self._due = now if self._due is None else self._due + seconds
        self._never.wait(max(0.0, self._due - now))


@dataclass
class Stream:
    """A stream of packets of noise to the other side of a call, 20 ms each, in real time.

    `sent`: the samples of what was sent so far, by packet; `moments`: when.
    """

    dialog: Dialog
    ssrc: int = 0x0A0B0C0D
    sequence: int = FIRST_SEQUENCE
    timestamp: int = FIRST_TIMESTAMP
    seed: int = 5
    sent: list[Samples] = field(default_factory=list)
    moments: list[float] = field(default_factory=list)
    make: Callable[["Stream", Samples], bytes] = lambda stream, samples: stream.packet(samples)
    between: Callable[[int], None] = lambda number: None
    """Called after each packet with its number, 0 on."""

    def __post_init__(self) -> None:
        self.pace = Pace()
        self._source = np.random.default_rng(self.seed)

    def packet(self, samples: Samples) -> bytes:
        """The packet that is due, with these samples."""
        return rtp(self.sequence, self.timestamp, big_endian(samples), ssrc=self.ssrc)

    def prepare(self) -> bytes:
        """The next packet, at once; it is not sent, but from then on it counts as gone by."""
        samples = self._source.integers(1, 12000, PACKET).astype(np.int16)
        data = self.make(self, samples)
        self.sent.append(samples)
        self.moments.append(time.monotonic())
        self.sequence, self.timestamp = self.sequence + 1, self.timestamp + PACKET
        return data

    def throw(self, data: bytes) -> None:
        """Send any datagram from our RTP port."""
        self.dialog.peer.rtp.sendto(data, self.dialog.media)

    def send(self, count: int) -> None:
        """The next packets, in their time."""
        for _ in range(count):
            self.throw(self.next())
            self.between(len(self.sent) - 1)

    def next(self) -> bytes:
        """The next packet, when it is due; it is not sent."""
        data = self.prepare()
        self.pace.wait()
        self.moments[-1] = time.monotonic()
        return data
