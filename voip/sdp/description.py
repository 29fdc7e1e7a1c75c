"""Session descriptions (RFC 8866): bytes to values and back, as far as a call needs them."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from typing import NamedTuple

from voip import codecs
from voip.codecs import Codec
from voip.errors import ProtocolError
from voip.ip import MAX_PORT
from voip.media import MAX_PAYLOAD_TYPE, Direction, IceCredentials

MAX_LINES = 1000
"""A longer description is refused: every line costs time. Room systems write up to 200, and 64 kB hold some 2000."""
MAX_MEDIA = 100
"""A description of more media lines is refused, for each of them is answered."""
MAX_FORMATS = 64
"""Formats of one media line that are read. Real ones have up to 20 (baresip, audio) or 50 (browsers, video)."""
MAX_ALL_FORMATS = 640
"""Formats of all media lines together that are read, but the first of each line: every one may be looked up."""
MAX_DIGITS = 10
"""A longer number, where one is read, is none; those of o= are text to us."""
MAX_BANDWIDTH = 4_000_000_000
"""A larger number of a b= line is none: bit/s, or kbit/s, of which no call takes so much."""
MAX_BANDWIDTHS = 8
"""Types of b= lines of one part that are kept."""
UNKNOWN_HOST = "0.0.0.0"
"""What stands for the host of an o= line that is missing."""
MAX_NOTES = 10
"""Lines that were passed over and are told of; all are counted."""
MAX_NOTE = 60
"""Characters of such a line that are told."""

_RTPMAP = re.compile(r"([!-.0-~]+)/([0-9]{1,10})(?:/([0-9]{1,10}))?")
_LINE = re.compile(r"([A-Za-z])[ \t]*=(.*)", re.DOTALL)
_OF_FORMAT = re.compile(r"([0-9]+)[\s;:]*(.*)", re.DOTALL)
_IPV4 = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}")
_LEADING_ZEROS = re.compile(r"\b0+(?=[0-9])")
_PER_FORMAT = frozenset({"fmtp", "rtpmap"})
_DIRECTIONS = tuple(direction.value for direction in Direction)
FRAGMENT, PASSWORD, CANDIDATE, LITE = "ice-ufrag", "ice-pwd", "candidate", "ice-lite"
"""Attributes of ICE (RFC 8839 section 5)."""
_KNOWN = frozenset(
    {*_DIRECTIONS, "crypto", "fingerprint", "fmtp", "maxptime", "ptime", "rtcp", "rtcp-mux", "rtcp-xr", "rtpmap"}
) | {"setup", "ssrc", "tls-id", FRAGMENT, PASSWORD, CANDIDATE, LITE, "ice-mismatch", "mid", "group"}
_FRAGMENT = re.compile(r"[A-Za-z0-9+/]{4,256}")
_PASSWORD = re.compile(r"[A-Za-z0-9+/]{22,256}")


class _Table(NamedTuple):
    """What the attributes of a media line say of each format, as long as it has just those attributes."""

    of: list[tuple[str, str | None]]
    length: int
    said: dict[tuple[str, str], str]


@dataclass
class MediaDescription:
    """One m= line with its connection address, attributes and bandwidths; other lines are not kept.

    bandwidths: the number of each b= line by its type in capitals, as it is written (RFC 8866 section 5.8, RFC 3556).
    """

    kind: str
    port: int
    profile: str
    formats: list[str]
    connection: str | None = None
    attributes: list[tuple[str, str | None]] = field(default_factory=list)
    bandwidths: dict[str, int] = field(default_factory=dict)
    _table: _Table | None = field(default=None, init=False, repr=False, compare=False)

    def values(self, name: str) -> list[str]:
        """The values of all attributes of that name."""
        return [value or "" for known, value in self.attributes if known == name]

    def value(self, name: str) -> str | None:
        """The value of the first attribute of that name, "" if it has none; None without the attribute."""
        return next(iter(self.values(name)), None)

    def encoding(self, payload_type: str) -> tuple[str, int, int] | None:
        """Encoding name, clock rate and channels of a format by its rtpmap; None without a readable one."""
        match = _RTPMAP.fullmatch(self._of_format("rtpmap", payload_type) or "")
        return (match[1], int(match[2]), int(match[3] or 1)) if match else None

    def codec(self, payload_type: str) -> Codec | None:
        """The codec of a format, if it is one of ours: by rtpmap, else by the static numbers of RFC 3551.

        Where an rtpmap contradicts the static number of the same name (`9 G722/16000`), the number counts.
        """
        number, encoding = parse_payload_type(payload_type), self.encoding(payload_type)
        if number is None:
            return None
        static = codecs.static(number)
        if encoding is None:
            return static
        same = static is not None and static.name.lower() == encoding[0].lower() and static.channels == encoding[2]
        return codecs.find(*encoding, self.parameters(payload_type)) or (static if same else None)

    def parameters(self, payload_type: str) -> str:
        """The fmtp of a format, "" if it has none."""
        return self._of_format("fmtp", payload_type) or ""

    def parameter(self, payload_type: str, name: str) -> str | None:
        """One name=value of the fmtp of a format; also name:value, as an example of RFC 8627 section 7.2 has it."""
        for item in self.parameters(payload_type).split(";"):
            key, separator, content = item.strip().partition("=" if "=" in item else ":")
            if separator and key.strip().lower() == name:
                return content.strip()
        return None

    def _of_format(self, name: str, payload_type: str) -> str | None:
        """What an attribute says of a format, behind its number; between them a space or, in RFC 8627, a semicolon."""
        table = self._table
        if table is None or table.of is not self.attributes or table.length != len(self.attributes):
            table = self._table = _Table(self.attributes, len(self.attributes), _by_format(self.attributes))
        return table.said.get((name, payload_type))


@dataclass
class SessionDescription:
    """A session description, as far as a call needs it: unknown lines are read over and not kept.

    `skipped` counts lines that could not be read and were passed over; `notes` are the first of them.
    """

    username: str
    session_id: str
    session_version: str
    origin: str
    connection: str | None = None
    timing: str = "0 0"
    attributes: list[tuple[str, str | None]] = field(default_factory=list)
    media: list[MediaDescription] = field(default_factory=list)
    bandwidths: dict[str, int] = field(default_factory=dict)
    skipped: int = field(default=0, compare=False)
    notes: list[str] = field(default_factory=list, compare=False)

    @classmethod
    def parse(cls, data: bytes) -> SessionDescription:
        """Reads a description; ProtocolError if it is none, of another version, or beyond a limit.

        All else that cannot be read is passed over: a line that another medium needs must not cost the call.
        """
        session = cls("-", "0", "0", "")
        version = None
        for line in _lines(data):
            match = _LINE.fullmatch(line)
            if match is None:
                session.skip(line)
            elif match[1] in "vV" and version is None and not session.media:
                version = match[2].strip()
            else:
                session._add(match[1].lower(), match[2].strip())
        if version not in ("0", None):
            raise ProtocolError(f"SDP of version {printable(version, MAX_NOTE)}")
        if version is None and not session.media:
            raise ProtocolError("SDP without v=0 and without a media line")
        session.origin = session.origin or session.connection or UNKNOWN_HOST
        return session

    @property
    def passed_over(self) -> str:
        """For people: the lines that could not be read; "" if there are none."""
        more = self.skipped - len(self.notes)
        lines = "; ".join(self.notes) + (f"; and {more} more" if more else "")
        return f"SDP lines passed over: {lines}" if self.skipped else ""

    def skip(self, line: str) -> None:
        """Note a line that is passed over."""
        self.skipped += 1
        if len(self.notes) < MAX_NOTES:
            self.notes.append(printable(line, MAX_NOTE))

    def serialize(self) -> bytes:
        """The description as bytes, lines ended by CRLF."""
        lines = ["v=0", f"o={self.username} {self.session_id} {self.session_version} {_address(self.origin)}", "s=-"]
        lines += _connection_line(self.connection)
        lines += _bandwidth_lines(self.bandwidths)
        lines.append(f"t={self.timing}")
        lines += _attribute_lines(self.attributes)
        for media in self.media:
            lines.append(" ".join([f"m={media.kind}", str(media.port), media.profile, *media.formats]))
            lines += _connection_line(media.connection)
            lines += _bandwidth_lines(media.bandwidths)
            lines += _attribute_lines(media.attributes)
        return "".join(f"{line}\r\n" for line in lines).encode()

    def direction(self, media: MediaDescription) -> Direction:
        """Whether the describing side sends and receives: what its address and attributes say."""
        names = [name for name, _ in media.attributes + self.attributes if name in _DIRECTIONS]
        direction = Direction(names[0]) if names else Direction.SENDRECV
        address = parse_ip(self.host(media))
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        # RFC 3264 section 8.4: hold as in RFC 2543; with ICE, that candidates come later (RFC 8840 section 4.1.1)
        held = any(each is not None and each.is_unspecified for each in (address, mapped))
        held = held and self.ice_credentials(media) is None
        return direction.limited_to(Direction.SENDONLY) if held else direction

    def values(self, media: MediaDescription, name: str) -> list[str]:
        """The values of an attribute of a media line; those of the session where the line has none."""
        return media.values(name) or [value or "" for known, value in self.attributes if known == name]

    def ice_credentials(self, media: MediaDescription) -> IceCredentials | None:
        """Those of the checks that the describing side sends for a line; None: there are none, or no ICE that is
        understood here: that of a lite agent, which sends none, or without a=rtcp-mux, which takes a second candidate.
        """
        fragment = next(iter(self.values(media, FRAGMENT)), "")
        password = next(iter(self.values(media, PASSWORD)), "")
        if media.value("rtcp-mux") is None or any(name == LITE for name, _ in self.attributes):
            return None
        whole = _FRAGMENT.fullmatch(fragment) and _PASSWORD.fullmatch(password)
        return IceCredentials(fragment, password) if whole else None

    def host(self, media: MediaDescription) -> str | None:
        """The connection address of a media line, its own or the session's."""
        return media.connection or self.connection

    def bandwidth(self, media: MediaDescription, kind: str) -> int | None:
        """The number of a b= line of this type, of the media line or else of the session; None without one."""
        return media.bandwidths.get(kind, self.bandwidths.get(kind))

    def _add(self, kind: str, value: str) -> None:
        part = self.media[-1] if self.media else self
        if kind == "m":
            self._add_media(value)
        elif kind == "c" and part.connection is None:
            part.connection = _parse_connection(value)
            if part.connection is None:
                self.skip(f"c={value}")
        elif kind == "a":
            part.attributes.append(_parse_attribute(value))
        elif kind == "b":
            self._add_bandwidth(part.bandwidths, value)
        elif kind == "t" and not self.media:
            self.timing = " ".join(value.split()) or "0 0"
        elif kind == "o" and not self.media:
            self._set_origin(value)

    def _set_origin(self, value: str) -> None:
        """Only what tells one session from another: who misses some of it is answered all the same."""
        fields = value.rsplit(maxsplit=5)
        if len(fields) != 6:
            self.skip(f"o={value}")
            return
        self.username, self.session_id, self.session_version = " ".join(fields[0].split()), fields[1], fields[2]
        self.origin = fields[5]

    def _add_media(self, value: str) -> None:
        """A line that cannot be read keeps its place, with port 0: the answer has as many (RFC 3264 section 6)."""
        if len(self.media) >= MAX_MEDIA:
            raise ProtocolError(f"SDP with more than {MAX_MEDIA} media lines")
        kind, port_text, profile, *formats = [*value.split(), "", "", ""][: max(3, len(value.split()))]
        if kind.lower() == "audio":
            kind = "audio"
        port = parse_number(port_text.partition("/")[0], MAX_PORT)
        formats = list(dict.fromkeys(formats))
        if port is None or not profile or len(formats) > MAX_FORMATS:
            self.skip(f"m={value}")
        room = MAX_ALL_FORMATS - sum(len(media.formats) for media in self.media)
        readable = port is not None and profile
        self.media.append(
            MediaDescription(
                kind or "x", port or 0 if readable else 0, profile or "x", formats[: max(1, min(room, MAX_FORMATS))]
            )
        )

    def _add_bandwidth(self, bandwidths: dict[str, int], value: str) -> None:
        """A b= line; the first of each type counts."""
        kind, _, text = value.partition(":")
        number = parse_number(text.strip(), MAX_BANDWIDTH)
        if number is None:
            self.skip(f"b={value}")
        elif len(bandwidths) < MAX_BANDWIDTHS and kind.strip().upper().isalpha():
            bandwidths.setdefault(kind.strip().upper(), number)


def _by_format(attributes: list[tuple[str, str | None]]) -> dict[tuple[str, str], str]:
    """What the attributes say of each format, by their name and its number: the first of each counts."""
    table: dict[tuple[str, str], str] = {}
    for name, value in attributes:
        match = _OF_FORMAT.fullmatch(value or "") if name in _PER_FORMAT else None
        if match:
            table.setdefault((name, match[1]), match[2])
    return table


def parse_ip(host: str | None) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address; None for a name, for nothing, and for an address with a zone: RFC 8866 section 9 knows none.

    Leading zeros of IPv4, as some gateways write them, are no octal numbers here.
    """
    text = host or ""
    if _IPV4.fullmatch(text):
        text = _LEADING_ZEROS.sub("", text)
    try:
        return None if "%" in text else ipaddress.ip_address(text)
    except ValueError:
        return None


def is_unspecified(host: str) -> bool:
    """Whether this is the address that is none."""
    address = parse_ip(host)
    return address is not None and address.is_unspecified


def parse_number(text: str, highest: int) -> int | None:
    """Digits alone, of a number up to `highest`; else None."""
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS):
        return None
    return number if (number := int(text)) <= highest else None


def parse_payload_type(text: str | None) -> int | None:
    """A payload type as formats are written; None for anything else."""
    number = parse_number(text or "", MAX_PAYLOAD_TYPE)
    return number if str(number) == text else None


def printable(text: str | None, length: int) -> str:
    """What a peer wrote, fit for a line on a terminal."""
    return re.sub(r"[^ -~]", "?", text or "")[:length]


def _lines(data: bytes) -> list[str]:
    """The lines, ended by CRLF, LF or CR; empty ones and space at the ends do not count, nor does a byte order mark."""
    text = data.decode("utf-8", "replace").removeprefix("\ufeff")
    lines = [line.strip() for line in re.split(r"[\r\n]+", text)]
    lines = [line for line in lines if line]
    if len(lines) > MAX_LINES:
        raise ProtocolError(f"SDP of {len(lines)} lines")
    return lines


def _parse_connection(value: str) -> str | None:
    """The host of a c= line, with or without the brackets that an IPv6 address has elsewhere; None if unreadable."""
    fields = value.split()
    if len(fields) < 3 or fields[0].upper() != "IN" or fields[1].upper() not in ("IP4", "IP6"):
        return None
    host = fields[2].partition("/")[0]
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    address = parse_ip(bare)
    return str(address) if address is not None else host or None


def _parse_attribute(value: str) -> tuple[str, str | None]:
    name, colon, content = (part.strip() for part in value.partition(":"))
    known = name.lower()
    return known if known in _KNOWN else name, content if colon else None


def _address(host: str) -> str:
    return f"IN {'IP6' if ':' in host else 'IP4'} {host}"


def _connection_line(host: str | None) -> list[str]:
    return [f"c={_address(host)}"] if host else []


def _bandwidth_lines(bandwidths: dict[str, int]) -> list[str]:
    return [f"b={kind}:{number}" for kind, number in bandwidths.items()]


def _attribute_lines(attributes: list[tuple[str, str | None]]) -> list[str]:
    return [f"a={name}" if value is None else f"a={name}:{value}" for name, value in attributes]
