"""Session descriptions (RFC 8866) and their offer/answer negotiation (RFC 3264), down to one frozen NegotiatedMedia.

Attributes of RFC 3551 (payload types), 5761 (rtcp-mux), 5576 and 5956 (ssrc, ssrc-group), 8627 section 5 (flexfec).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from voip import codecs
from voip.codecs import Codec
from voip.errors import NegotiationError, ProtocolError

MAX_LINES = 100
"""A longer description is refused."""
MAX_FORMATS = 64
"""More formats in one media line are refused. Real ones have up to 20 (baresip, audio) or 50 (browsers, video)."""
MAX_DIGITS = 10
"""A longer number, where one is read, is refused; those of o= are text to us."""
FIRST_DYNAMIC = 96
"""Payload types from here on are assigned by the description (RFC 3551 section 3)."""
LAST_PAYLOAD_TYPE = 127
MAX_PAYLOAD = 1140
"""Bytes of media payload such that a repair packet that protects it fits into a datagram of 1200."""
PACKET_TIMES = (0.06, 0.04, 0.03, 0.02, 0.01, 0.005, 0.004, 0.002, 0.001)
"""Seconds of sound per packet to fall back to where the wanted time makes too large a packet."""
PTIME_RANGE = (0.0025, 0.2)
"""Packet times that a peer may ask for, in seconds: 400 packets a second are enough to be asked for, and RFC 3551
section 4.2 has receivers take up to 200 ms."""
PROFILES = ("RTP/AVP", "RTP/AVPF")
"""Transport profiles that are spoken (RFC 3551, RFC 4585)."""
FEC_NAME = "flexfec"
"""The encoding name of RFC 8627; flexfec-03 of its drafts is another format."""
FEC_GROUP = "FEC-FR"
"""How an ssrc-group is called that ties a repair stream to its media stream (RFC 5956 section 4.1)."""
RTCP_XR = "pkt-loss-rle rcvr-rtt=all voip-metrics"
"""The extended reports that we want of a peer (RFC 3611 section 5.1)."""
ACCEPTED_REPAIR_WINDOW = 0.2
"""Seconds that one who only receives announces, as RFC 8627 section 5.1 wants a repair-window of everybody."""


class Direction(str, Enum):
    """Who sends media, seen from one side (RFC 8866 section 6.7)."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"

    @property
    def sends(self) -> bool:
        """Whether this side sends."""
        return self in (Direction.SENDRECV, Direction.SENDONLY)

    @property
    def receives(self) -> bool:
        """Whether this side receives."""
        return self in (Direction.SENDRECV, Direction.RECVONLY)

    def reversed(self) -> Direction:
        """The same flow seen from the other side."""
        return _direction(self.receives, self.sends)

    def limited_to(self, other: Direction) -> Direction:
        """What both allow."""
        return _direction(self.sends and other.sends, self.receives and other.receives)


def _direction(sends: bool, receives: bool) -> Direction:
    if sends:
        return Direction.SENDRECV if receives else Direction.SENDONLY
    return Direction.RECVONLY if receives else Direction.INACTIVE


@dataclass(frozen=True)
class Capabilities:
    """What one side is able and willing to do.

    codecs in order of preference; ptime in seconds; fec: FlexFEC is understood (and sent, where repair_window, the
    seconds that our pattern spans, is not 0).
    """

    codecs: tuple[Codec, ...]
    direction: Direction = Direction.SENDRECV
    ptime: float = 0.02
    fec: bool = True
    repair_window: float = 0.0


@dataclass(frozen=True)
class Endpoint:
    """One side's media address and identifiers for one call; session_version grows with each new description."""

    host: str
    port: int
    ssrc: int
    fec_ssrc: int
    cname: str
    session_id: int
    session_version: int = 1


@dataclass(frozen=True)
class NegotiatedMedia:
    """All that the media side of a call needs to know; built by offer and answer, or without SIP from options.

    payload_type and fec_payload_type are used in both directions. remote is where we send to; direction is ours.
    repair_window (seconds) is the peer's when we only receive, else our own. The remote SSRCs are None when the peer
    did not announce them. rtcp_rsize: both take RTCP of reduced size; rtcp_xr: the extended reports the peer wants.
    """

    codec: Codec
    payload_type: int
    local: tuple[str, int]
    remote: tuple[str, int]
    remote_rtcp: tuple[str, int] | None = None
    rtcp_mux: bool = False
    ptime: float = 0.02
    direction: Direction = Direction.SENDRECV
    fec: str | None = None
    fec_payload_type: int | None = None
    repair_window: float = 0.0
    ssrc: int = 0
    fec_ssrc: int = 0
    remote_ssrc: int | None = None
    remote_fec_ssrc: int | None = None
    rtcp_rsize: bool = False
    rtcp_xr: frozenset[str] = frozenset()


@dataclass
class MediaDescription:
    """One m= line with its connection address and attributes; other lines are not kept."""

    kind: str
    port: int
    profile: str
    formats: list[str]
    connection: str | None = None
    attributes: list[tuple[str, str | None]] = field(default_factory=list)

    def values(self, name: str) -> list[str]:
        """The values of all attributes of that name."""
        return [value or "" for known, value in self.attributes if known == name]

    def value(self, name: str) -> str | None:
        """The value of the first attribute of that name, "" if it has none; None without the attribute."""
        return next(iter(self.values(name)), None)

    def encoding(self, payload_type: str) -> tuple[str, int, int] | None:
        """Encoding name, clock rate and channels of a format by its rtpmap; None without a readable one."""
        for value in self.values("rtpmap"):
            number, _, encoding = value.partition(" ")
            match = _RTPMAP.fullmatch(encoding.strip())
            if number == payload_type and match:
                return match[1], int(match[2]), int(match[3] or 1)
        return None

    def codec(self, payload_type: str) -> Codec | None:
        """The codec of a format, if it is one of ours: by rtpmap, else by the static numbers of RFC 3551."""
        number, encoding = _payload_type(payload_type), self.encoding(payload_type)
        if number is None:
            return None
        return codecs.find(*encoding) if encoding else codecs.static(number)

    def parameters(self, payload_type: str) -> str:
        """The fmtp of a format, "" if it has none."""
        for value in self.values("fmtp"):
            number, _, parameters = value.partition(" ")
            if number == payload_type:
                return parameters.strip()
        return ""

    def parameter(self, payload_type: str, name: str) -> str | None:
        """One name=value of the fmtp of a format."""
        for item in self.parameters(payload_type).split(";"):
            key, equals, content = item.strip().partition("=")
            if equals and key.strip().lower() == name:
                return content.strip()
        return None


_RTPMAP = re.compile(r"([!-.0-~]+)/([0-9]{1,10})(?:/([0-9]{1,10}))?")
_PTIME = re.compile(r"[0-9]{1,10}(?:\.[0-9]{0,10})?")
_LINE = re.compile(r"([A-Za-z])=(.*)", re.DOTALL)
_NUMERIC = ("maxptime", "ptime", "rtcp", "rtpmap", "ssrc", "ssrc-group")
_DIRECTIONS = tuple(direction.value for direction in Direction)


@dataclass
class SessionDescription:
    """A session description, as far as a call needs it: unknown lines are read over and not kept."""

    username: str
    session_id: str
    session_version: str
    origin: str
    connection: str | None = None
    timing: str = "0 0"
    attributes: list[tuple[str, str | None]] = field(default_factory=list)
    media: list[MediaDescription] = field(default_factory=list)

    @classmethod
    def parse(cls, data: bytes) -> SessionDescription:
        """Reads a description; ProtocolError if it breaks the grammar where it matters, or a limit."""
        lines = list(_lines(data))
        if not lines or lines[0] != ("v", "0"):
            raise ProtocolError("SDP does not start with v=0")
        origin = next((value for kind, value in lines if kind == "o"), "").rsplit(maxsplit=5)
        if len(origin) != 6:
            raise ProtocolError("SDP without a complete o= line")
        session = cls(" ".join(origin[0].split()), origin[1], origin[2], origin[5])
        for kind, value in lines[1:]:
            session._add(kind, value)
        if not session.media:
            raise ProtocolError("SDP without a media line")
        return session

    def serialize(self) -> bytes:
        """The description as bytes, lines ended by CRLF."""
        lines = ["v=0", f"o={self.username} {self.session_id} {self.session_version} {_address(self.origin)}", "s=-"]
        lines += _connection_line(self.connection)
        lines.append(f"t={self.timing}")
        lines += _attribute_lines(self.attributes)
        for media in self.media:
            lines.append(" ".join([f"m={media.kind}", str(media.port), media.profile, *media.formats]))
            lines += _connection_line(media.connection)
            lines += _attribute_lines(media.attributes)
        return "".join(f"{line}\r\n" for line in lines).encode()

    def direction(self, media: MediaDescription) -> Direction:
        """Whether the describing side sends and receives: what its address and attributes say."""
        names = [name for name, _ in media.attributes + self.attributes if name in _DIRECTIONS]
        direction = Direction(names[0]) if names else Direction.SENDRECV
        address = _ip(self.host(media))
        held = address is not None and address.is_unspecified  # RFC 3264 section 8.4: hold as in RFC 2543
        return direction.limited_to(Direction.SENDONLY) if held else direction

    def host(self, media: MediaDescription) -> str | None:
        """The connection address of a media line, its own or the session's."""
        return media.connection or self.connection

    def _add(self, kind: str, value: str) -> None:
        part = self.media[-1] if self.media else self
        if kind == "m":
            self.media.append(_parse_media(value))
        elif kind == "c" and part.connection is None:
            part.connection = _parse_connection(value)
        elif kind == "a":
            part.attributes.append(_parse_attribute(value))
        elif kind == "t" and not self.media:
            self.timing = " ".join(value.split()) or "0 0"


def make_offer(capabilities: Capabilities, endpoint: Endpoint) -> SessionDescription:
    """An offer of one audio line with all our codecs, and FlexFEC if we would send or receive it."""
    media = MediaDescription("audio", endpoint.port, "RTP/AVP", [])
    dynamic = iter(range(FIRST_DYNAMIC, LAST_PAYLOAD_TYPE + 1))
    for codec in capabilities.codecs:
        _add_format(media, str(next(dynamic) if codec.payload_type is None else codec.payload_type), codec)
    if _uses_fec(capabilities):
        window = capabilities.repair_window or ACCEPTED_REPAIR_WINDOW
        _add_fec(media, str(next(dynamic)), capabilities.codecs[0].clock_rate, window)
    ptime = effective_ptime(capabilities.codecs[0], capabilities.ptime)
    _add_common(media, capabilities, endpoint, capabilities.direction, ptime)
    media.attributes += [("rtcp-mux", None), ("rtcp-rsize", None), ("rtcp-xr", RTCP_XR)]
    return _session(endpoint, [media])


def make_answer(
    offer: SessionDescription, capabilities: Capabilities, endpoint: Endpoint
) -> tuple[SessionDescription, NegotiatedMedia]:
    """Answers an offer with its first codec that we have, FlexFEC if both want it, and what follows for the media.

    NegotiationError if no media line is usable.
    """
    offered, choice, codec = _choose(offer, capabilities)
    fec = _fec_format(offered) if _uses_fec(capabilities) else None
    mux = offered.value("rtcp-mux") is not None
    codec = _agreed_codec(codec, offered.parameters(choice), capabilities)
    agreed = _Agreed(offer, offered, codec, int(choice), _payload_type(fec), mux, capabilities.direction)
    negotiated = _negotiated(agreed, capabilities, endpoint)
    media = MediaDescription("audio", endpoint.port, offered.profile, [])
    for number in offered.formats:
        if number == choice:
            _add_format(media, number, negotiated.codec)
        elif number == fec:
            _, clock_rate, _ = offered.encoding(number) or ("", codec.clock_rate, 1)
            _add_fec(media, number, clock_rate, negotiated.repair_window or ACCEPTED_REPAIR_WINDOW)
    _add_common(media, capabilities, endpoint, negotiated.direction, negotiated.ptime)
    asked = [("rtcp-mux", None), ("rtcp-rsize", None), ("rtcp-xr", RTCP_XR)]
    media.attributes += [(name, value) for name, value in asked if offered.value(name) is not None]
    lines = [media if line is offered else _refused(line) for line in offer.media]
    answer = _session(endpoint, lines)
    answer.timing = offer.timing  # RFC 3264 section 6: the time line of the answer equals that of the offer
    return answer, negotiated


def accept_answer(
    offer: SessionDescription, answer: SessionDescription, capabilities: Capabilities, endpoint: Endpoint
) -> NegotiatedMedia:
    """What follows for the media from our offer and the peer's answer; NegotiationError if it takes nothing of it."""
    index = next(index for index, line in enumerate(offer.media) if line.kind == "audio" and line.port)
    ours = offer.media[index]
    theirs = answer.media[index] if index < len(answer.media) else _refused(ours)
    if theirs.kind != "audio" or not theirs.port:
        raise NegotiationError("the answer refuses the audio that was offered")
    if not _is_usable(answer, theirs):
        raise NegotiationError(_printable(f"the answer wants {theirs.profile} at {answer.host(theirs)}"))
    codec, their_number, our_number = _match(ours, theirs)
    their_fec, our_fec = _fec_format(theirs), _fec_format(ours)
    if not (their_fec and our_fec):
        their_fec = our_fec = None
    mux = ours.value("rtcp-mux") is not None and theirs.value("rtcp-mux") is not None
    # RFC 3264 section 5.1: what comes to us bears the numbers of our description, what we send those of theirs.
    sends = offer.direction(ours).sends
    number, fec = (their_number, their_fec) if sends else (our_number, our_fec)
    codec = _agreed_codec(codec, theirs.parameters(their_number), capabilities)
    agreed = _Agreed(answer, theirs, codec, int(number), _payload_type(fec), mux, offer.direction(ours))
    return _negotiated(agreed, capabilities, endpoint)


def effective_ptime(codec: Codec, ptime: float, max_payload: int = MAX_PAYLOAD) -> float:
    """Seconds of sound per packet: ptime, or the largest below it that the codec has and that fits into max_payload.

    Codecs that take any time have PACKET_TIMES below it.
    """
    times = codec.packet_times or (ptime, *PACKET_TIMES)
    for candidate in times:
        if candidate <= ptime and codec.encoded_size(round(codec.sample_rate * candidate)) <= max_payload:
            return candidate
    return times[-1]


def _agreed_codec(codec: Codec, remote_fmtp: str, capabilities: Capabilities) -> Codec:
    """What both sides' format parameters make of a codec."""
    ours = next((known for known in capabilities.codecs if known.name == codec.name), codec)
    return codec.negotiated(ours, remote_fmtp, sends=capabilities.direction.sends)


@dataclass(frozen=True)
class _Agreed:
    """What was chosen of the peer's description, and the direction that we wanted."""

    description: SessionDescription
    media: MediaDescription
    codec: Codec
    payload_type: int
    fec_payload_type: int | None
    rtcp_mux: bool
    direction: Direction


def _negotiated(agreed: _Agreed, capabilities: Capabilities, endpoint: Endpoint) -> NegotiatedMedia:
    description, media = agreed.description, agreed.media
    remote = (description.host(media) or "", media.port)
    fec = agreed.fec_payload_type
    window = 0.0
    if fec is not None:
        window = _repair_window(media) if agreed.direction.receives else capabilities.repair_window
    remote_ssrc, remote_fec_ssrc = _ssrcs(media)
    return NegotiatedMedia(
        codec=agreed.codec,
        payload_type=agreed.payload_type,
        local=(endpoint.host, endpoint.port),
        remote=remote,
        remote_rtcp=remote if agreed.rtcp_mux else _rtcp_address(media, remote),
        rtcp_mux=agreed.rtcp_mux,
        ptime=effective_ptime(agreed.codec, _wanted_ptime(media, capabilities.ptime)),
        direction=agreed.direction.limited_to(description.direction(media).reversed()),
        fec=None if fec is None else FEC_NAME,
        fec_payload_type=fec,
        repair_window=window,
        ssrc=endpoint.ssrc,
        fec_ssrc=endpoint.fec_ssrc,
        remote_ssrc=remote_ssrc,
        remote_fec_ssrc=None if fec is None else remote_fec_ssrc,
        rtcp_rsize=media.value("rtcp-rsize") is not None,
        rtcp_xr=frozenset(word.partition("=")[0] for word in (media.value("rtcp-xr") or "").split()),
    )


def _choose(offer: SessionDescription, capabilities: Capabilities) -> tuple[MediaDescription, str, Codec]:
    """The first usable audio line, and its first format that is one of our codecs, at whatever rate."""
    names = {codec.name for codec in capabilities.codecs}
    for media in offer.media:
        if media.kind == "audio" and media.port and _is_usable(offer, media):
            for number in media.formats:
                codec = media.codec(number)
                if codec and codec.name in names:
                    return media, number, codec
    offered = "; ".join(_describe(media) for media in offer.media if media.kind == "audio" and media.port)
    raise NegotiationError(f"nothing in common: offered {offered or 'no audio'}; known {', '.join(sorted(names))}")


def _match(ours: MediaDescription, theirs: MediaDescription) -> tuple[Codec, str, str]:
    """The first codec of an answer that was offered, with its number there and in the offer."""
    offered = {codec: number for number in reversed(ours.formats) if (codec := ours.codec(number))}
    for number in theirs.formats:
        codec = theirs.codec(number)
        if codec is None and theirs.encoding(number) is None:
            codec = ours.codec(number)  # a dynamic number without rtpmap can only mean what we offered under it
        if codec in offered and codec is not None:
            return codec, number, offered[codec]
    raise NegotiationError(f"the answer takes none of the codecs offered, but {_describe(theirs)}")


def _is_usable(description: SessionDescription, media: MediaDescription) -> bool:
    """Whether the transport is plain RTP to one host, given as an address: names are not looked up for media."""
    address = _ip(description.host(media))
    return media.profile.upper() in PROFILES and address is not None and not address.is_multicast


def _ip(host: str | None) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host or "")
    except ValueError:
        return None


def _uses_fec(capabilities: Capabilities) -> bool:
    return capabilities.fec and (capabilities.direction.receives or capabilities.repair_window > 0.0)


def _fec_format(media: MediaDescription) -> str | None:
    for number in media.formats:
        encoding = media.encoding(number)
        if encoding and encoding[0].lower() == FEC_NAME and _payload_type(number) is not None:
            return number
    return None


def _repair_window(media: MediaDescription) -> float:
    """Seconds, from the microseconds of RFC 8627 section 5.1; 0 if not given."""
    text = media.parameter(_fec_format(media) or "", "repair-window") or ""
    return int(text) / 1e6 if text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS else 0.0


def _wanted_ptime(media: MediaDescription, ours: float) -> float:
    """What the peer asks for (RFC 8866 section 6.4), else our wish, within the peer's maximum."""
    times = []
    for name in ("ptime", "maxptime"):
        value = media.value(name) or ""
        seconds = float(value) / 1000 if _PTIME.fullmatch(value) else 0.0
        times.append(seconds if PTIME_RANGE[0] <= seconds <= PTIME_RANGE[1] else None)
    wanted, maximum = times
    return min(wanted or ours, maximum or PTIME_RANGE[1])


def _rtcp_address(media: MediaDescription, remote: tuple[str, int]) -> tuple[str, int] | None:
    """Where RTCP goes without multiplexing: a=rtcp (RFC 3605), else the next port."""
    words = (media.value("rtcp") or str(remote[1] + 1)).split()
    port = _number(words[0], 65535) if words else None
    host = words[3] if len(words) == 4 and _ip(words[3]) else remote[0]
    return (host, port) if port else None


def _ssrcs(media: MediaDescription) -> tuple[int | None, int | None]:
    """The SSRCs announced for media and repair packets: those of a FEC group, else the first one alone."""
    for value in media.values("ssrc-group"):
        words = value.split()
        if len(words) == 3 and words[0] == FEC_GROUP:
            return _number(words[1], 0xFFFFFFFF), _number(words[2], 0xFFFFFFFF)
    return _number((media.value("ssrc") or "").partition(" ")[0], 0xFFFFFFFF), None


def _number(text: str, highest: int) -> int | None:
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS):
        return None
    return number if (number := int(text)) <= highest else None


def _payload_type(text: str | None) -> int | None:
    number = _number(text or "", LAST_PAYLOAD_TYPE)
    return number if str(number) == text else None


def _describe(media: MediaDescription) -> str:
    names = [f"{found[0]}/{found[1]}" if (found := media.encoding(number)) else number for number in media.formats]
    return _printable(f"{', '.join(names) or 'nothing'} over {media.profile}")


def _printable(text: str) -> str:
    """What a peer wrote, fit for a line on a terminal."""
    return re.sub(r"[^ -~]", "?", text)[:300]


def _add_format(media: MediaDescription, number: str, codec: Codec) -> None:
    media.formats.append(number)
    channels = codec.rtpmap_channels or codec.channels
    suffix = "" if channels == 1 else f"/{channels}"
    media.attributes.append(("rtpmap", f"{number} {codec.name}/{codec.clock_rate}{suffix}"))
    if codec.fmtp:
        media.attributes.append(("fmtp", f"{number} {codec.fmtp}"))


def _add_fec(media: MediaDescription, number: str, clock_rate: int, window: float) -> None:
    media.formats.append(number)
    media.attributes.append(("rtpmap", f"{number} {FEC_NAME}/{clock_rate}"))
    media.attributes.append(("fmtp", f"{number} repair-window={round(window * 1e6)}"))


def _add_common(
    media: MediaDescription, capabilities: Capabilities, endpoint: Endpoint, direction: Direction, ptime: float
) -> None:
    media.attributes += [("ptime", f"{ptime * 1000:g}"), (direction.value, None)]
    if capabilities.direction.sends:
        media.attributes.append(("ssrc", f"{endpoint.ssrc} cname:{endpoint.cname}"))
        if _fec_format(media) and capabilities.repair_window > 0.0:
            media.attributes.append(("ssrc", f"{endpoint.fec_ssrc} cname:{endpoint.cname}"))
            media.attributes.append(("ssrc-group", f"{FEC_GROUP} {endpoint.ssrc} {endpoint.fec_ssrc}"))


def _refused(media: MediaDescription) -> MediaDescription:
    """The same line with port 0 (RFC 3264 section 6)."""
    return MediaDescription(media.kind, 0, media.profile, list(media.formats))


def _session(endpoint: Endpoint, media: list[MediaDescription]) -> SessionDescription:
    version = str(endpoint.session_version)
    return SessionDescription("-", str(endpoint.session_id), version, endpoint.host, endpoint.host, media=media)


def _lines(data: bytes) -> Iterator[tuple[str, str]]:
    """Type and value of each line, ended by CRLF, LF or CR; empty lines and space at the ends do not count."""
    lines = [line for line in re.split(r"[\r\n]+", data.decode("utf-8", "replace")) if line.strip()]
    if len(lines) > MAX_LINES:
        raise ProtocolError(f"SDP of {len(lines)} lines")
    for line in lines:
        match = _LINE.fullmatch(line.strip())
        if not match:
            raise ProtocolError("SDP line without type")
        yield match[1], match[2].strip()


def _parse_media(value: str) -> MediaDescription:
    fields = value.split()
    if len(fields) < 3:
        raise ProtocolError("SDP media line too short")
    port = _number(fields[1].partition("/")[0], 65535)
    if port is None:
        raise ProtocolError("SDP media line with a bad port")
    formats = list(dict.fromkeys(fields[3:]))
    if len(formats) > MAX_FORMATS:
        raise ProtocolError(f"SDP media line with {len(formats)} formats")
    if any(name.isdigit() and len(name) > MAX_DIGITS for name in formats):
        raise ProtocolError("SDP media line with a number out of range")
    return MediaDescription(fields[0], port, fields[2], formats)


def _parse_connection(value: str) -> str:
    fields = value.split()
    host = fields[2].partition("/")[0] if len(fields) == 3 else ""
    if not host or fields[0].upper() != "IN" or fields[1].upper() not in ("IP4", "IP6"):
        raise ProtocolError("SDP connection line is malformed")
    return host


def _parse_attribute(value: str) -> tuple[str, str | None]:
    name, colon, content = (part.strip() for part in value.partition(":"))
    read = content.partition(" ")[0] if name == "ssrc" else content
    if name in _NUMERIC and any(len(digits) > MAX_DIGITS for digits in re.findall("[0-9]+", read)):
        raise ProtocolError(f"SDP attribute {name} with a number out of range")
    return name, content if colon else None


def _address(host: str) -> str:
    return f"IN {'IP6' if ':' in host else 'IP4'} {host}"


def _connection_line(host: str | None) -> list[str]:
    return [f"c={_address(host)}"] if host else []


def _attribute_lines(attributes: list[tuple[str, str | None]]) -> list[str]:
    return [f"a={name}" if value is None else f"a={name}:{value}" for name, value in attributes]
