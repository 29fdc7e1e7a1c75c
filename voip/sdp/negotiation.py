"""Offer and answer (RFC 3264), down to one frozen NegotiatedMedia.

Attributes of RFC 3551 (payload types), 5761 (rtcp-mux), 5576 and 5956 (ssrc, ssrc-group).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from voip.codecs import Codec
from voip.errors import NegotiationError
from voip.ip import MAX_PORT
from voip.media import (
    FEC_SCHEMES,
    FIRST_DYNAMIC,
    FLEXFEC,
    MAX_PAYLOAD_TYPE,
    AudioFormat,
    Direction,
    NegotiatedMedia,
)
from voip.sdp.description import (
    MediaDescription,
    SessionDescription,
    parse_ip,
    parse_number,
    parse_payload_type,
)
from voip.sdp.events import add_comfort, add_events, expected_comfort, find_comfort, find_events, offer_events
from voip.sdp.fec import FecFormats, add_red, add_repair, find_fec, offer_fec, repair_window
from voip.sdp.media import Capabilities, Endpoint, effective_ptime
from voip.sdp.plays import PLAYS, says_that_it_plays
from voip.sdp.reports import RTCP_XR, parse_extended_reports

PTIME_RANGE = (0.0025, 0.2)
"""Packet times that a peer may ask for, in seconds: at most 400 packets a second, and RFC 3551 section 4.2 has
receivers accept up to 200 ms."""
PROFILES = ("RTP/AVP", "RTP/AVPF")
"""Transport profiles that are supported (RFC 3551, RFC 4585)."""
FEC_GROUP = "FEC-FR"
"""The semantics of an ssrc-group that ties a repair stream to its media stream (RFC 5956 section 4.1)."""
ACCEPTED_REPAIR_WINDOW = 0.2
"""Seconds of repair-window that a receive-only side announces: RFC 8627 section 5.1 requires one of every side."""
_PTIME = re.compile(r"[0-9]{1,10}(?:\.[0-9]{0,10})?")


def make_offer(capabilities: Capabilities, endpoint: Endpoint) -> SessionDescription:
    """An offer of one audio line with all our codecs, and FEC if we would send or receive it."""
    media = MediaDescription("audio", endpoint.port, "RTP/AVP", [])
    dynamic = iter(range(FIRST_DYNAMIC, MAX_PAYLOAD_TYPE + 1))
    for codec in capabilities.codecs:
        _add_format(media, str(next(dynamic) if codec.payload_type is None else codec.payload_type), codec)
    if _uses_fec(capabilities):
        window = capabilities.repair_window or ACCEPTED_REPAIR_WINDOW
        offer_fec(media, capabilities.fec_scheme, capabilities.codecs, dynamic, window)
    if capabilities.events:
        offer_events(media, capabilities.codecs)
    ptime = effective_ptime(capabilities.codecs[0], capabilities.ptime, capabilities.max_payload)
    _add_common(media, capabilities, endpoint, capabilities.direction, ptime)
    media.attributes += [("rtcp-mux", None), ("rtcp-rsize", None), ("rtcp-xr", RTCP_XR)]
    return _session(endpoint, [media])


def make_answer(
    offer: SessionDescription, capabilities: Capabilities, endpoint: Endpoint
) -> tuple[SessionDescription, NegotiatedMedia]:
    """Answers an offer with its first codec that we have, FEC if both want it, and what follows for the media.

    NegotiationError if no media line is usable.
    """
    offered, choice, codec = _choose(offer, capabilities, endpoint)
    schemes = (capabilities.fec_scheme, *FEC_SCHEMES) if _uses_fec(capabilities) else ()
    fec = find_fec(offered, codec, choice, schemes)
    mux = offered.value("rtcp-mux") is not None
    codec = _agreed_codec(codec, offered.parameters(choice), capabilities)
    agreed = _Agreed(offer, offered, codec, int(choice), fec, mux, capabilities.direction)
    negotiated = _negotiated(agreed, capabilities, endpoint)
    media = MediaDescription("audio", endpoint.port, offered.profile, [])
    for number in offered.formats:
        if number == choice:
            _add_format(media, number, negotiated.audio.codec)
        elif fec is not None and number == fec.repair:
            _, clock_rate, _ = offered.encoding(number) or ("", codec.clock_rate, 1)
            add_repair(media, fec.scheme, number, clock_rate, negotiated.repair_window or ACCEPTED_REPAIR_WINDOW)
        elif fec is not None and number == fec.red:
            add_red(media, number, choice, (choice, fec.repair or choice))
    _answer_events(media, offered, negotiated)
    _add_common(media, capabilities, endpoint, negotiated.direction, negotiated.audio.ptime)
    media.attributes += [(name, None) for name in ("rtcp-mux", "rtcp-rsize") if offered.value(name) is not None]
    if offer.values(offered, "rtcp-xr"):
        media.attributes.append(("rtcp-xr", RTCP_XR))
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
    if not _is_usable(answer, theirs, endpoint):
        raise NegotiationError(_printable(f"the answer wants {theirs.profile} at {answer.host(theirs)}"))
    codec, their_number, our_number = _match(ours, theirs)
    their_fec = find_fec(theirs, codec, their_number, FEC_SCHEMES) if _uses_fec(capabilities) else None
    our_fec = find_fec(ours, codec, our_number, [their_fec.scheme]) if their_fec else None
    their_fec, our_fec = _common_fec(their_fec, our_fec)
    mux = ours.value("rtcp-mux") is not None and theirs.value("rtcp-mux") is not None
    codec = _agreed_codec(codec, theirs.parameters(their_number), capabilities)
    agreed = _Agreed(answer, theirs, codec, int(their_number), their_fec, mux, offer.direction(ours))
    our_events = find_events(ours, agreed.events[1]) if agreed.events else None
    # RFC 3264 section 5.1: what comes to us bears the numbers of our description, what we send those of theirs.
    negotiated = _negotiated(agreed, capabilities, endpoint)
    return replace(
        negotiated,
        audio=replace(
            negotiated.audio,
            receive_telephone_event_payload_type=int(our_events[0]) if our_events else None,
            comfort_noise_payload_type=expected_comfort(ours, codec.clock_rate),
        ),
        receive_payload_type=int(our_number),
        receive_fec_payload_type=parse_payload_type(our_fec.repair) if our_fec else None,
        receive_red_payload_type=parse_payload_type(our_fec.red) if our_fec else None,
    )


def _common_fec(theirs: FecFormats | None, ours: FecFormats | None) -> tuple[FecFormats | None, FecFormats | None]:
    """What both descriptions have, each by its own numbers."""
    if theirs is None or ours is None:
        return None, None
    if theirs.red is None or ours.red is None:
        return replace(theirs, red=None), replace(ours, red=None)
    return theirs, ours


def _answer_events(media: MediaDescription, offered: MediaDescription, negotiated: NegotiatedMedia) -> None:
    """Take the telephone events that go with the codec, and comfort noise if we receive."""
    audio = negotiated.audio
    if audio.telephone_event_payload_type is not None:
        add_events(media, str(audio.telephone_event_payload_type), audio.telephone_event_rate)
    comfort = find_comfort(offered, negotiated.clock_rate)
    if comfort is not None and negotiated.direction.receives:
        add_comfort(media, comfort, negotiated.clock_rate)


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
    fec: FecFormats | None
    rtcp_mux: bool
    direction: Direction

    @property
    def events(self) -> tuple[str, int] | None:
        """Number and clock rate of the peer's telephone events."""
        return find_events(self.media, self.codec.clock_rate)


def _negotiated(agreed: _Agreed, capabilities: Capabilities, endpoint: Endpoint) -> NegotiatedMedia:
    description, media = agreed.description, agreed.media
    remote = (description.host(media) or "", media.port)
    fec = agreed.fec
    window = 0.0
    if fec is not None:
        window = repair_window(media) if agreed.direction.receives else capabilities.repair_window
    remote_ssrc, remote_fec_ssrc = _ssrcs(media)
    events = agreed.events
    audio = AudioFormat(
        agreed.codec,
        effective_ptime(agreed.codec, _wanted_ptime(media, capabilities.ptime), capabilities.max_payload),
        telephone_event_payload_type=int(events[0]) if events else None,
        telephone_event_rate=events[1] if events else 0,
        comfort_noise_payload_type=expected_comfort(media, agreed.codec.clock_rate),
    )
    return NegotiatedMedia(
        audio,
        payload_type=agreed.payload_type,
        remote=remote,
        remote_rtcp=remote if agreed.rtcp_mux else _rtcp_address(media, remote, endpoint),
        rtcp_mux=agreed.rtcp_mux,
        direction=agreed.direction.limited_to(description.direction(media).reversed()),
        fec=None if fec is None else fec.scheme,
        fec_payload_type=None if fec is None else parse_payload_type(fec.repair),
        red_payload_type=None if fec is None else parse_payload_type(fec.red),
        repair_window=window,
        ssrc=endpoint.ssrc,
        fec_ssrc=endpoint.fec_ssrc,
        remote_ssrc=remote_ssrc,
        remote_fec_ssrc=None if fec is None or fec.scheme != FLEXFEC else remote_fec_ssrc,
        rtcp_rsize=media.value("rtcp-rsize") is not None,
        rtcp_xr=parse_extended_reports(description.values(media, "rtcp-xr")),
        local_direction=agreed.direction,
        remote_direction=description.direction(media),
        remote_plays=says_that_it_plays(description, media),
        fec_clock_rate=_repair_clock_rate(media, fec),
    )


def _choose(
    offer: SessionDescription, capabilities: Capabilities, endpoint: Endpoint
) -> tuple[MediaDescription, str, Codec]:
    """The first usable audio line, and its first format that is one of our codecs, at whatever rate.

    A line of another IP version than our socket's is the last choice, and only if its peer sends: linphone 5 names its
    IPv6 address in a call over IPv4, and what it sends shows where it is (RFC 4961).
    """
    names = {codec.name for codec in capabilities.codecs}
    reached = [media for media in offer.media if _is_usable(offer, media, endpoint)]
    others = [media for media in offer.media if _is_usable(offer, media) and offer.direction(media).sends]
    for media in reached + others:
        if media.kind == "audio" and media.port:
            for number in media.formats:
                codec = media.codec(number)
                if codec and codec.name in names:
                    return media, number, codec
    lines = [media for media in offer.media if media.kind == "audio" and media.port]
    offered = "; ".join(_describe(media) + _unreachable(offer, media, endpoint) for media in lines)
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


def _is_usable(description: SessionDescription, media: MediaDescription, endpoint: Endpoint | None = None) -> bool:
    """Whether the transport is plain RTP to a host, one that our endpoint reaches if that is given."""
    return media.profile.upper() in PROFILES and _can_be_sent_to(description, media, endpoint)


def _can_be_sent_to(description: SessionDescription, media: MediaDescription, endpoint: Endpoint | None) -> bool:
    """Whether the host is one host, given as an address (names are not looked up for media), and of the IP version of
    our socket: with one socket a call has one version. The unspecified address means hold."""
    address = parse_ip(description.host(media))
    if address is None or address.is_multicast:
        return False
    return address.is_unspecified or endpoint is None or endpoint.ip_version in (None, address.version)


def _unreachable(description: SessionDescription, media: MediaDescription, endpoint: Endpoint) -> str:
    """The address of a line if that is why it is refused, behind its description."""
    reachable = _can_be_sent_to(description, media, endpoint)
    return "" if reachable else _printable(f" at {description.host(media)}, which this call does not reach")


def _uses_fec(capabilities: Capabilities) -> bool:
    return capabilities.fec and (capabilities.direction.receives or capabilities.repair_window > 0.0)


def _wanted_ptime(media: MediaDescription, ours: float) -> float:
    """What the peer asks for (RFC 8866 section 6.4), else our wish, within the peer's maximum."""
    times = []
    for name in ("ptime", "maxptime"):
        value = media.value(name) or ""
        seconds = float(value) / 1000 if _PTIME.fullmatch(value) else 0.0
        times.append(seconds if PTIME_RANGE[0] <= seconds <= PTIME_RANGE[1] else None)
    wanted, maximum = times
    return min(wanted or ours, maximum or PTIME_RANGE[1])


def _rtcp_address(media: MediaDescription, remote: tuple[str, int], endpoint: Endpoint) -> tuple[str, int] | None:
    """Where RTCP goes without multiplexing: a=rtcp (RFC 3605), if our endpoint reaches that, else the next port."""
    words = (media.value("rtcp") or str(remote[1] + 1)).split()
    port = parse_number(words[0], MAX_PORT) if words else None
    address = parse_ip(words[3]) if len(words) == 4 else None
    if address is None or endpoint.ip_version not in (None, address.version):
        return (remote[0], port) if port else None
    return (str(address), port) if port else None


def _repair_clock_rate(media: MediaDescription, fec: FecFormats | None) -> int | None:
    """Hz of the timestamps of repair packets (RFC 8627 section 5.1.1); None where they are those of the media."""
    encoding = None if fec is None or fec.scheme != FLEXFEC or fec.repair is None else media.encoding(fec.repair)
    return (encoding[1] or None) if encoding else None


def _ssrcs(media: MediaDescription) -> tuple[int | None, int | None]:
    """The SSRCs announced for media and repair packets: those of a FEC group, else the first one alone."""
    for value in media.values("ssrc-group"):
        words = value.split()
        if len(words) == 3 and words[0] == FEC_GROUP:
            return parse_number(words[1], 0xFFFFFFFF), parse_number(words[2], 0xFFFFFFFF)
    return parse_number((media.value("ssrc") or "").partition(" ")[0], 0xFFFFFFFF), None


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


def _add_common(
    media: MediaDescription, capabilities: Capabilities, endpoint: Endpoint, direction: Direction, ptime: float
) -> None:
    media.attributes += [("ptime", f"{ptime * 1000:g}"), (direction.value, None)]
    if endpoint.rtcp_port is not None:
        media.attributes.append(("rtcp", str(endpoint.rtcp_port)))
    if not capabilities.plays:
        media.attributes.append((PLAYS, "no"))
    if capabilities.direction.sends:
        media.attributes.append(("ssrc", f"{endpoint.ssrc} cname:{endpoint.cname}"))
        if _has_flexfec(media) and capabilities.repair_window > 0.0:
            media.attributes.append(("ssrc", f"{endpoint.fec_ssrc} cname:{endpoint.cname}"))
            media.attributes.append(("ssrc-group", f"{FEC_GROUP} {endpoint.ssrc} {endpoint.fec_ssrc}"))


def _has_flexfec(media: MediaDescription) -> bool:
    encodings = [media.encoding(number) for number in media.formats]
    return any(encoding is not None and encoding[0] == FLEXFEC for encoding in encodings)


def _refused(media: MediaDescription) -> MediaDescription:
    """The same line with port 0 (RFC 3264 section 6)."""
    return MediaDescription(media.kind, 0, media.profile, list(media.formats))


def _session(endpoint: Endpoint, media: list[MediaDescription]) -> SessionDescription:
    version = str(endpoint.session_version)
    return SessionDescription("-", str(endpoint.session_id), version, endpoint.host, endpoint.host, media=media)
