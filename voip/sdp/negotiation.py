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
    DTMF_EVENTS,
    FEC_SCHEMES,
    FLEXFEC,
    AudioFormat,
    Direction,
    IceTerms,
    KeyAgreement,
    NegotiatedMedia,
    ReceiveFormat,
)
from voip.sdp.bandwidth import header_rate, receive_limit, wants_no_rtcp
from voip.sdp.description import (
    MediaDescription,
    SessionDescription,
    is_unspecified,
    parse_ip,
    parse_number,
    parse_payload_type,
    printable,
)
from voip.sdp.events import (
    TELEPHONE_EVENT,
    add_comfort,
    add_events,
    all_events,
    expected_comfort,
    find_comfort,
    find_events,
    offered_event_rates,
    taken_events,
)
from voip.sdp.fec import (
    ACCEPTED_REPAIR_WINDOW,
    FecFormats,
    add_red,
    add_repair,
    find_fec,
    is_usable,
    offer_fec,
    repair_window,
    without_flexfec,
)
from voip.sdp.ice import accept_ice, answer_ice, offer_ice
from voip.sdp.ice import add_answer as answer_with_ice
from voip.sdp.media import Capabilities, Endpoint, effective_ptime
from voip.sdp.payload_types import PayloadTypes
from voip.sdp.plays import PLAYS, says_that_it_plays
from voip.sdp.reports import RTCP_XR, parse_extended_reports
from voip.sdp.security import (
    PLAIN_PROFILES,
    SECURE_PROFILES,
    Terms,
    accepted_terms,
    answer_terms,
    objection,
    secure_answer,
    secure_offer,
)

PTIME_RANGE = (0.0025, 0.2)
"""Packet times that a peer may ask for, in seconds: at most 400 packets a second, and RFC 3551 section 4.2 has
receivers accept up to 200 ms."""
FEC_GROUP = "FEC-FR"
"""The semantics of an ssrc-group that ties a repair stream to its media stream (RFC 5956 section 4.1)."""
MAX_REASON = 300
"""Characters of what a peer wrote that are told where it is refused."""
_PTIME = re.compile(r"[0-9]{1,10}(?:\.[0-9]{0,10})?")


def make_offer(
    capabilities: Capabilities,
    endpoint: Endpoint,
    numbers: PayloadTypes | None = None,
    before: NegotiatedMedia | None = None,
) -> SessionDescription:
    """An offer of one audio line with all our codecs, and FEC if we would send or receive it.

    `numbers`: what payload types mean in this session already. `before`: what was agreed on in it so far.
    """
    media = MediaDescription("audio", endpoint.port, "RTP/AVP", [])
    numbering = (numbers or PayloadTypes()).numbers(media)
    for codec in capabilities.codecs:
        encoding = (codec.name, codec.clock_rate, codec.rtpmap_channels or codec.channels)
        number = numbering.number(encoding) if codec.payload_type is None else codec.payload_type
        _add_format(media, str(number), codec)
    ptime = effective_ptime(capabilities.codecs[0], capabilities.ptime, capabilities.max_payload)
    if _uses_fec(capabilities):
        window = capabilities.repair_packets * ptime or min(ACCEPTED_REPAIR_WINDOW, capabilities.max_repair_window)
        offer_fec(media, capabilities, numbering, window)
    for clock_rate in offered_event_rates(capabilities.codecs) if capabilities.events else ():
        add_events(media, str(numbering.number((TELEPHONE_EVENT, clock_rate, 1))), clock_rate)
    ice = endpoint.own_ice if capabilities.ice else None
    before_ice = None if before is None else before.ice
    plain = ice is None and before_ice is None
    _add_common(media, capabilities, endpoint, capabilities.direction, ptime, without_group=not plain)
    media.attributes += [("rtcp-mux", None), ("rtcp-xr", RTCP_XR)]
    secure_offer(media, capabilities, endpoint, before)
    offer = _session(endpoint, [media])
    offer_ice(offer, media, ice, before_ice)
    return offer


def make_answer(
    offer: SessionDescription, capabilities: Capabilities, endpoint: Endpoint, before: NegotiatedMedia | None = None
) -> tuple[SessionDescription, NegotiatedMedia]:
    """Answers an offer with its first codec that we have, FEC if both want it, and what follows for the media.

    `before` is what was agreed on so far in the session: an offer that switches all its audio off then stops the media
    and is answered in kind (RFC 3264 section 8.2). NegotiationError if no media line is usable.
    """
    if before is not None and not any(line.kind == "audio" and line.port for line in offer.media):
        stopped = replace(before, direction=Direction.INACTIVE, remote_direction=Direction.INACTIVE)
        return _answer(offer, endpoint, [_refused(line) for line in offer.media]), stopped
    offered, choice, codec, terms = _choose(offer, capabilities, endpoint, before)
    fec = find_fec(offered, codec, choice, _answerable_schemes(offer, offered, capabilities))
    mux = offered.value("rtcp-mux") is not None
    direction = _answerable_direction(offer, offered, codec, capabilities)
    codec = _agreed_codec(codec, offered.parameters(choice), capabilities)
    ice = answer_ice(offer, offered, endpoint.own_ice, None if before is None else before.ice)
    agreed = _Agreed(offer, offered, codec, int(choice), fec, mux, direction, terms, ice)
    negotiated = _negotiated(agreed, capabilities, endpoint)
    media = MediaDescription("audio", endpoint.port, offered.profile, [])
    for number in offered.formats:
        if number == choice:
            _add_format(media, number, negotiated.audio.codec)
        elif fec is not None and number == fec.repair:
            _, clock_rate, _ = offered.encoding(number) or ("", codec.clock_rate, 1)
            add_repair(media, fec.scheme, number, clock_rate, _answered_window(negotiated, capabilities))
        elif fec is not None and number == fec.red:
            add_red(media, number, choice, fec.carried_by_red(choice))
    _answer_events(media, offered, negotiated)
    _add_common(media, capabilities, endpoint, negotiated.direction, negotiated.audio.ptime)
    if mux:
        media.attributes.append(("rtcp-mux", None))
    if offer.values(offered, "rtcp-xr"):
        media.attributes.append(("rtcp-xr", RTCP_XR))
    secure_answer(media, terms)
    answer = _answer(offer, endpoint, [media if line is offered else _refused(line) for line in offer.media])
    answer_with_ice(answer, media, offer, offered, ice)
    return answer, negotiated


def _answer(offer: SessionDescription, endpoint: Endpoint, lines: list[MediaDescription]) -> SessionDescription:
    answer = _session(endpoint, lines)
    answer.timing = offer.timing  # RFC 3264 section 6: the time line of the answer equals that of the offer
    return answer


def _answerable_schemes(
    offer: SessionDescription, offered: MediaDescription, capabilities: Capabilities
) -> tuple[str, ...]:
    """The schemes of FEC that we may agree to: FlexFEC only if its repair window is one that we can use."""
    if not _uses_fec(capabilities):
        return ()
    schemes = (capabilities.fec_scheme, *FEC_SCHEMES)
    ptime = _wanted_ptime(offer, offered, capabilities.ptime)
    usable = is_usable(repair_window(offered), ptime) or not capabilities.direction.receives
    return schemes if usable else without_flexfec(schemes)


def _answered_window(negotiated: NegotiatedMedia, capabilities: Capabilities) -> float:
    """Seconds of repair window that our answer names: what we send spans, or the most that we can wait for."""
    if capabilities.direction.sends and capabilities.repair_packets:
        return capabilities.repair_packets * negotiated.packet_time
    return min(negotiated.repair_window or ACCEPTED_REPAIR_WINDOW, capabilities.max_repair_window)


def _answered_line(
    offer: SessionDescription, answer: SessionDescription, endpoint: Endpoint
) -> tuple[MediaDescription, MediaDescription]:
    """The audio line that we offered and the answer to it; NegotiationError if that is of no use."""
    index = next(index for index, line in enumerate(offer.media) if line.kind == "audio" and line.port)
    ours = offer.media[index]
    theirs = answer.media[index] if index < len(answer.media) else _refused(ours)
    if theirs.kind != "audio" or not theirs.port:
        raise NegotiationError("the answer refuses the audio that was offered")
    if not (_is_rtp(theirs) and _can_be_sent_to(answer, theirs, endpoint)):
        raise NegotiationError(_printable(f"the answer wants {theirs.profile} at {answer.host(theirs)}"))
    return ours, theirs


def accept_answer(
    offer: SessionDescription,
    answer: SessionDescription,
    capabilities: Capabilities,
    endpoint: Endpoint,
    before: NegotiatedMedia | None = None,
) -> NegotiatedMedia:
    """What our offer and the peer's answer make of the media `before`; NegotiationError if it takes nothing."""
    ours, theirs = _answered_line(offer, answer, endpoint)
    terms = accepted_terms(ours, answer, theirs, capabilities, endpoint, before)
    taken = _matches(ours, theirs)
    codec, their_number, our_number = taken[0]
    their_fec = find_fec(theirs, codec, their_number, FEC_SCHEMES) if _uses_fec(capabilities) else None
    our_fec = find_fec(ours, codec, our_number, [their_fec.scheme]) if their_fec else None
    their_fec, our_fec = _common_fec(their_fec, our_fec)
    mux = ours.value("rtcp-mux") is not None and theirs.value("rtcp-mux") is not None
    codec = _agreed_codec(codec, theirs.parameters(their_number), capabilities)
    direction = offer.direction(ours)
    ice = accept_ice(ours, answer, theirs)
    window = repair_window(ours)
    agreed = _Agreed(answer, theirs, codec, int(their_number), their_fec, mux, direction, terms, ice, window)
    our_events = find_events(ours, agreed.events[1]) if agreed.events else None
    # RFC 3264 section 5.1: what comes to us bears the numbers of our description, what we send those of theirs.
    negotiated = _negotiated(agreed, capabilities, endpoint)
    return replace(
        negotiated,
        audio=replace(
            negotiated.audio,
            receive_telephone_event_payload_type=int(our_events[0]) if our_events else None,
            other_telephone_events=_shared_events(ours, theirs),
            comfort_noise_payload_type=expected_comfort(ours, codec.clock_rate),
        ),
        receive_payload_type=int(our_number),
        receive_fec_payload_type=parse_payload_type(our_fec.repair) if our_fec else None,
        receive_red_payload_type=parse_payload_type(our_fec.red) if our_fec else None,
        receive_formats=tuple(
            ReceiveFormat(int(ours_of_it), _agreed_codec(each, theirs.parameters(number), capabilities))
            for each, number, ours_of_it in taken
        ),
    )


def _shared_events(ours: MediaDescription, theirs: MediaDescription) -> tuple[tuple[int, int], ...]:
    """Our number and the clock rate of all telephone events that both descriptions have."""
    rates = all_events(theirs)
    return tuple((int(number), rate) for rate, number in all_events(ours).items() if rate in rates)


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
    terms: Terms
    ice: IceTerms | None
    announced_window: float | None = None
    """Seconds that our repair packets span by our offer; None: our answer will say it."""

    @property
    def events(self) -> tuple[str, int] | None:
        """Number and clock rate of the peer's telephone events."""
        return find_events(self.media, self.codec.clock_rate)


def _negotiated(agreed: _Agreed, capabilities: Capabilities, endpoint: Endpoint) -> NegotiatedMedia:
    description, media = agreed.description, agreed.media
    remote = (description.host(media) or "", media.port)
    fec, audio = agreed.fec, _audio_format(agreed, capabilities)
    limit = receive_limit(description, media, audio.ptime, agreed.terms.tag_length)
    payload_rate = description.bandwidth(media, "TIAS")
    if limit is not None and not audio.codec.implementation.adapts:
        payload_rate = int(limit - header_rate(remote[0], audio.ptime, agreed.terms.tag_length))
    if payload_rate is not None:
        audio = replace(audio, codec=audio.codec.limited(max(0, payload_rate)))
    remote_ssrc, remote_fec_ssrc = _ssrcs(media)
    flexfec = fec is not None and fec.scheme == FLEXFEC
    return NegotiatedMedia(
        audio,
        payload_type=agreed.payload_type,
        remote=remote,
        remote_rtcp=remote if agreed.rtcp_mux else _rtcp_address(media, remote, endpoint),
        rtcp_mux=agreed.rtcp_mux,
        direction=_agreed_direction(agreed, limit),
        fec=None if fec is None else fec.scheme,
        fec_payload_type=None if fec is None else parse_payload_type(fec.repair),
        red_payload_type=None if fec is None else parse_payload_type(fec.red),
        repair_window=repair_window(media) if flexfec else 0.0,
        send_repair_window=_send_window(agreed, capabilities, audio.ptime) if flexfec else None,
        ssrc=endpoint.ssrc,
        fec_ssrc=endpoint.fec_ssrc,
        remote_ssrc=remote_ssrc,
        remote_fec_ssrc=remote_fec_ssrc if flexfec else None,
        rtcp_xr=parse_extended_reports(description.values(media, "rtcp-xr")),
        local_direction=agreed.direction,
        remote_direction=description.direction(media),
        remote_plays=says_that_it_plays(description, media),
        fec_clock_rate=_repair_clock_rate(media, fec),
        bandwidth=limit,
        rtcp_off=wants_no_rtcp(description, media) or _lacks_rtcp_keys(agreed),
        security=agreed.terms.security,
        security_note=agreed.terms.note,
        profile=media.profile,
        ice=agreed.ice,
    )


def _agreed_direction(agreed: _Agreed, limit: int | None) -> Direction:
    """What both sides want, but for media that the peer wants none of, or that has nowhere to go without ICE."""
    description, media = agreed.description, agreed.media
    direction = agreed.direction.limited_to(description.direction(media).reversed())
    if limit == 0 or (agreed.ice is None and is_unspecified(description.host(media) or "")):  # RFC 3264 section 5
        direction = direction.limited_to(Direction.RECVONLY)
    return direction


def _lacks_rtcp_keys(agreed: _Agreed) -> bool:
    """A port of its own for RTCP would need a handshake of its own (RFC 5764 section 4.1), which we do not make."""
    security = agreed.terms.security
    return security is not None and security.agreement is KeyAgreement.DTLS and not agreed.rtcp_mux


def _audio_format(agreed: _Agreed, capabilities: Capabilities) -> AudioFormat:
    media, events = agreed.media, agreed.events
    return AudioFormat(
        agreed.codec,
        effective_ptime(
            agreed.codec, _wanted_ptime(agreed.description, media, capabilities.ptime), capabilities.max_payload
        ),
        max_ptime=_time(agreed.description, media, "maxptime"),
        telephone_event_payload_type=int(events[0]) if events else None,
        telephone_event_rate=events[1] if events else 0,
        telephone_events=taken_events(media, events[0]) if events else DTMF_EVENTS,
        comfort_noise_payload_type=expected_comfort(media, agreed.codec.clock_rate),
    )


def _send_window(agreed: _Agreed, capabilities: Capabilities, ptime: float) -> float | None:
    """Seconds that our repair packets may span: what we have announced, and not more than the peer names.

    RFC 8627 section 1.1.8: none is to be sent beyond it. None if nothing was said.
    """
    ours = agreed.announced_window
    if ours is None:
        ours = capabilities.repair_packets * ptime
    windows = [window for window in (ours, repair_window(agreed.media)) if window > 0.0]
    return min(windows, default=None)


def _choose(
    offer: SessionDescription, capabilities: Capabilities, endpoint: Endpoint, before: NegotiatedMedia | None
) -> tuple[MediaDescription, str, Codec, Terms]:
    """The first usable audio line, its encryption, and its first format that is one of our codecs: one that we can
    send, if the peer wants to hear us, else at whatever rate.

    Of two lines an encrypted one is better. A line of another IP version than our socket's is the last choice, and only
    if its peer sends: linphone 5 names its IPv6 address in a call over IPv4, and what it sends shows where it is (RFC
    4961).
    """
    names = {codec.name for codec in capabilities.codecs}
    lines = [media for media in offer.media if media.kind == "audio" and media.port]
    found: list[tuple[tuple[bool, bool], MediaDescription, Terms]] = []
    for media in lines:
        reached = _can_be_sent_to(offer, media, endpoint)
        heard = _can_be_sent_to(offer, media, None) and offer.direction(media).sends
        terms = answer_terms(offer, media, capabilities, endpoint, before)
        if terms is not None and (reached or heard):
            found.append(((not reached, terms.security is None), media, terms))
    known = [
        (media, number, codec, terms)
        for _, media, terms in sorted(found, key=lambda each: each[0])
        for number in media.formats
        if (codec := media.codec(number)) and codec.name in names
    ]
    sendable = (each for each in known if _may_send(offer, each[0], each[2], capabilities))
    if known:
        return next(sendable, known[0])
    offered = "; ".join(_describe(media) + _unreachable(offer, media, endpoint) for media in lines)
    if reason := objection(offer, lines, capabilities, endpoint):
        raise NegotiationError(f"{reason}; offered {offered}")
    raise NegotiationError(f"nothing in common: offered {offered or 'no audio'}; known {', '.join(sorted(names))}")


def _may_send(offer: SessionDescription, media: MediaDescription, codec: Codec, capabilities: Capabilities) -> bool:
    """Whether we send nothing of what our source has not: no format of a higher rate, or of more channels, than ours of
    that name. A peer must not make us send more than the user has asked for."""
    if not (capabilities.direction.sends and offer.direction(media).receives):
        return True
    size = (codec.clock_rate, codec.rtpmap_channels or codec.channels)
    ours = [
        (each.clock_rate, each.rtpmap_channels or each.channels)
        for each in capabilities.codecs
        if each.name == codec.name
    ]
    return any(size[0] <= rate and size[1] <= channels for rate, channels in ours)


def _answerable_direction(
    offer: SessionDescription, media: MediaDescription, codec: Codec, capabilities: Capabilities
) -> Direction:
    """What we are willing to do with this format. NegotiationError if that is nothing."""
    if _may_send(offer, media, codec, capabilities):
        return capabilities.direction
    direction = capabilities.direction.limited_to(Direction.RECVONLY)
    if not (direction.receives and offer.direction(media).sends):
        raise NegotiationError(f"nothing in common: we do not send as much as {codec}")
    return direction


def _matches(ours: MediaDescription, theirs: MediaDescription) -> list[tuple[Codec, str, str]]:
    """The codecs of an answer that were offered, each with its number there and in the offer; at least one."""
    offered = {codec: number for number in reversed(ours.formats) if (codec := ours.codec(number))}
    taken: dict[Codec, tuple[Codec, str, str]] = {}
    for number in theirs.formats:
        codec = theirs.codec(number)
        if codec is None and theirs.encoding(number) is None:
            codec = ours.codec(number)  # a dynamic number without rtpmap can only mean what we offered under it
        if codec in offered and codec is not None:
            taken.setdefault(codec, (codec, number, offered[codec]))
    if not taken:
        raise NegotiationError(f"the answer takes none of the codecs offered, but {_describe(theirs)}")
    return list(taken.values())


def _is_rtp(media: MediaDescription) -> bool:
    """Whether the transport is RTP, encrypted or not."""
    return media.profile.upper() in (*PLAIN_PROFILES, *SECURE_PROFILES)


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
    return capabilities.fec and (capabilities.direction.receives or capabilities.repair_packets > 0)


def _wanted_ptime(description: SessionDescription, media: MediaDescription, ours: float) -> float:
    """What the peer asks for (RFC 8866 section 6.4), else our wish, within the peer's maximum."""
    wanted, maximum = (_time(description, media, name) for name in ("ptime", "maxptime"))
    return min(wanted or ours, maximum or PTIME_RANGE[1])


def _time(description: SessionDescription, media: MediaDescription, name: str) -> float | None:
    """Seconds of a=ptime or a=maxptime; None without a sensible one."""
    value = next(iter(description.values(media, name)), "")  # some write it above all media lines
    seconds = float(value) / 1000 if _PTIME.fullmatch(value) else 0.0
    return seconds if PTIME_RANGE[0] <= seconds <= PTIME_RANGE[1] else None


def _rtcp_address(media: MediaDescription, remote: tuple[str, int], endpoint: Endpoint) -> tuple[str, int] | None:
    """Where RTCP goes without multiplexing: a=rtcp (RFC 3605), if our endpoint reaches that, else the next port."""
    words = (media.value("rtcp") or "").split()
    port = (parse_number(words[0], MAX_PORT) if words else None) or parse_number(str(remote[1] + 1), MAX_PORT)
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
    return printable(text, MAX_REASON)


def _add_format(media: MediaDescription, number: str, codec: Codec) -> None:
    media.formats.append(number)
    channels = codec.rtpmap_channels or codec.channels
    suffix = "" if channels == 1 else f"/{channels}"
    media.attributes.append(("rtpmap", f"{number} {codec.name}/{codec.clock_rate}{suffix}"))
    if codec.fmtp:
        media.attributes.append(("fmtp", f"{number} {codec.fmtp}"))


def _add_common(
    media: MediaDescription,
    capabilities: Capabilities,
    endpoint: Endpoint,
    direction: Direction,
    ptime: float,
    *,
    without_group: bool = False,
) -> None:
    """`without_group`: the SSRC of FlexFEC is not told: Chrome refuses sound with two of them."""
    media.attributes += [("ptime", f"{ptime * 1000:g}"), (direction.value, None)]
    if endpoint.rtcp_port is not None:
        media.attributes.append(("rtcp", str(endpoint.rtcp_port)))
    if not capabilities.plays:
        media.attributes.append((PLAYS, "no"))
    if capabilities.direction.sends:
        media.attributes.append(("ssrc", f"{endpoint.ssrc} cname:{endpoint.cname}"))
        if _has_flexfec(media) and capabilities.repair_packets > 0 and not without_group:
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
    origin = endpoint.origin or endpoint.host
    return SessionDescription("-", str(endpoint.session_id), version, origin, endpoint.host, media=media)
