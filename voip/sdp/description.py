"""Session descriptions (RFC 8866): bytes to values and back, as far as a call needs them."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from voip import codecs
from voip.codecs import Codec
from voip.errors import ProtocolError
from voip.ip import MAX_PORT
from voip.media import MAX_PAYLOAD_TYPE, Direction

MAX_LINES = 100
"""A longer description is refused."""
MAX_FORMATS = 64
"""More formats in one media line are refused. Real ones have up to 20 (baresip, audio) or 50 (browsers, video)."""
MAX_DIGITS = 10
"""A longer number, where one is read, is refused; those of o= are text to us."""

_RTPMAP = re.compile(r"([!-.0-~]+)/([0-9]{1,10})(?:/([0-9]{1,10}))?")
_LINE = re.compile(r"([A-Za-z])=(.*)", re.DOTALL)
_NUMERIC = ("maxptime", "ptime", "rtcp", "rtpmap", "ssrc", "ssrc-group")
_DIRECTIONS = tuple(direction.value for direction in Direction)


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
        number, encoding = parse_payload_type(payload_type), self.encoding(payload_type)
        if number is None:
            return None
        return codecs.find(*encoding, self.parameters(payload_type)) if encoding else codecs.static(number)

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
        address = parse_ip(self.host(media))
        held = address is not None and address.is_unspecified  # RFC 3264 section 8.4: hold as in RFC 2543
        return direction.limited_to(Direction.SENDONLY) if held else direction

    def values(self, media: MediaDescription, name: str) -> list[str]:
        """The values of an attribute of a media line; those of the session where the line has none."""
        return media.values(name) or [value or "" for known, value in self.attributes if known == name]

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


def parse_ip(host: str | None) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address; None for a name, for nothing, and for an address with a zone: RFC 8866 section 9 knows none."""
    try:
        return None if "%" in (host or "") else ipaddress.ip_address(host or "")
    except ValueError:
        return None


def parse_number(text: str, highest: int) -> int | None:
    """Digits alone, of a number up to `highest`; else None."""
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS):
        return None
    return number if (number := int(text)) <= highest else None


def parse_payload_type(text: str | None) -> int | None:
    """A payload type as formats are written; None for anything else."""
    number = parse_number(text or "", MAX_PAYLOAD_TYPE)
    return number if str(number) == text else None


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
    port = parse_number(fields[1].partition("/")[0], MAX_PORT)
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
    address = parse_ip(host)
    return host if address is None else str(address)


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
