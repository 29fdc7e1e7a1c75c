"""The media half of a call: its port is opened, its lines begin, change and end (RFC 3264 section 5 on)."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial
from typing import TYPE_CHECKING

from voip.audio import LAST_WORDS
from voip.calls.call import Call, CallTerms
from voip.calls.ice import IceListeners, LineIce
from voip.calls.line import MediaLine
from voip.calls.negotiation import Negotiation
from voip.calls.streams import AudioStreams, ReceiveStream, SendStream
from voip.formats import DatagramFormat
from voip.media import NegotiatedMedia
from voip.net import MediaTransport, Network, family_of
from voip.quality import Rating, rate_heard
from voip.report import CallRecord, Console
from voip.report.security import encryption_object, encryption_parts
from voip.rtcp import ReportSources
from voip.rtp import RtpPacket
from voip.sdp import Capabilities, Endpoint, OwnIce, SrtpRule
from voip.session import RtpSession
from voip.sip import IncomingCall
from voip.sip.grammar import format_host
from voip.stats import ReceiverStats

CNAME_BYTES = 12
"""Of a CNAME that is new for each call, in base64 (RFC 7022 sections 4.2 and 5)."""
SSRC_BITS = 32
ICE_SECRET = 32
"""Bytes that our credentials of ICE in a call are made of."""
SESSION_ID_BITS = 31
"""Of the session id in our descriptions, which some phones read as a signed number."""

if TYPE_CHECKING:  # it needs pyOpenSSL
    from voip.calls.dtls import CallDtls, DtlsIdentity

OnUnprotected = Callable[[Call, str, bool], None]
"""Called with a call, why there will be no keys, and whether that is because the peer is not who it should be."""


class CallMedia:
    """Opens, starts, changes and closes what calls need besides their signalling. Network thread only.

    The moment at which media flows is the one at which a call is established, and the user told.
    """

    def __init__(
        self,
        network: Network,
        audio: AudioStreams,
        console: Console,
        capabilities: Capabilities,
        rng: random.Random,
        dtls: DtlsIdentity | None = None,
        on_unprotected: OnUnprotected = lambda call, reason, is_identity: None,
    ) -> None:
        """`dtls`: what we prove ourselves by. `on_unprotected` ends a call whose handshake has failed."""
        self._network, self._audio, self._console = network, audio, console
        self._capabilities, self._rng = capabilities, rng
        self._dtls = None if capabilities.srtp is SrtpRule.OFF else dtls
        self._on_unprotected = on_unprotected

    def new_call(
        self,
        record: CallRecord,
        remote_host: str,
        *,
        transport: MediaTransport,
        caller_user: str | None = None,
        offer: bytes | None = None,
        signalled: bool = True,
        sip_encrypted: bool = False,
        terms: CallTerms | None = None,
    ) -> Call:
        """A call by this media port, with identifiers and keys of its own; `terms`: other ones than those of all."""
        endpoint = self._new_endpoint(
            transport, remote_host, incoming=record.incoming, signalled=signalled, sip_encrypted=sip_encrypted
        )
        secrets = None if self._capabilities.srtp is SrtpRule.OFF else self._rng
        start = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        call = Call(
            replace(record, start=start, output_latency=self._audio.output_latency),
            remote_host=remote_host,
            transport=transport,
            negotiation=Negotiation(
                terms.capabilities if terms else self._capabilities,
                endpoint,
                partial(self._console.say, 2),
                rng=secrets,
            ),
            now=self._network.loop.now(),
            caller_user=caller_user,
            offer=offer,
            signalled=signalled,
            dtls=self._open_dtls(lambda: call) if signalled else None,
            send_as=terms.send_as if terms else None,
        )
        return call

    def _new_endpoint(
        self, transport: MediaTransport, remote_host: str, *, incoming: bool, signalled: bool, sip_encrypted: bool
    ) -> Endpoint:
        return Endpoint(
            host=transport.host,
            port=transport.port,
            ip_version=transport.ip_version,
            ssrc=self._rng.getrandbits(SSRC_BITS),
            fec_ssrc=self._rng.getrandbits(SSRC_BITS),
            cname=base64.b64encode(self._rng.randbytes(CNAME_BYTES)).decode(),
            session_id=self._rng.getrandbits(SESSION_ID_BITS),
            session_version=1,
            sip_encrypted=sip_encrypted,
            own_dtls=self._dtls.own(self._rng) if self._dtls is not None and signalled else None,
            peer_host=remote_host if incoming else None,
            own_ice=OwnIce(self._rng.randbytes(ICE_SECRET)) if signalled else None,
        )

    def _open_dtls(self, call: Callable[[], Call]) -> CallDtls | None:
        """The DTLS side of a call that is about to be; `call()` is that call, once it is."""
        if self._dtls is None:
            return None
        from voip.calls.dtls import CallDtls, Listeners  # it needs pyOpenSSL, which the identity shows to be there

        listeners = Listeners(
            on_keys=lambda: self._use_keys(call()),
            on_failed=lambda reason, is_identity: self._on_unprotected(call(), reason, is_identity),
            on_string=lambda text: self._tell_string(call(), text),
            on_closed=lambda: self._console.say(1, f"{call().record.peer} has ended the DTLS association"),
        )
        return CallDtls(self._dtls, self._network.loop, self._rng, listeners)

    def incoming_call(self, record: CallRecord, event: IncomingCall, transport: MediaTransport) -> Call:
        """The call of an INVITE that came in."""
        return self.new_call(
            record,
            event.source.host,
            transport=transport,
            caller_user=getattr(event.caller.uri, "user", None),
            offer=event.offer,
            sip_encrypted=event.source.encrypted,
        )

    def open_port(
        self, remote_host: str, own_port: int | None = None, form: DatagramFormat | None = None
    ) -> MediaTransport:
        """A media port for a peer of this address family, `own_port` if that matters; `form`: for other datagrams than
        RTP. NetworkError if there is none."""
        return self._network.media.open(remote_host, own_port, form)

    def aim(self, call: Call, remote_host: str) -> None:
        """Make a call that has not begun ready for a peer at this literal address; NetworkError without a port."""
        transport = call.transport
        if family_of(remote_host) != family_of(call.remote_host):
            transport.close()
            transport = self.open_port(remote_host)
            for line in call.lines:  # of early media
                line.move(transport)
        addresses = self._network.addresses  # the route may be another than for the last call
        call.aim(remote_host, addresses.current_host(remote_host) or addresses.local_host(remote_host), transport)

    def begin(self, call: Call, media: NegotiatedMedia) -> None:
        """Offer and answer agree: media flows from here on, or as soon as a handshake has brought its keys."""
        media = _agreed(call, media)
        if call.lines:
            self.renegotiate(call, media)
        else:
            line = self._add_line(call, media)
            line.transport.attach(line.session, line.packet_sink)
        self._start(call)

    def acknowledge(self, call: Call) -> None:
        """The caller has acknowledged our answer: media may go to the host that it calls from."""
        call.acknowledge()
        self._tell_unproven(call)

    def _tell_unproven(self, call: Call) -> None:
        waiting = [line for line in call.lines if line.send and line.media.ice is None and not line.session.may_send]
        if call.acknowledged and waiting:
            host = call.lines[0].session.remote[0]
            self._console.say(
                1, f"{call.record.peer} is sent nothing at {host} until RTP or RTCP comes from there: SIP does not"
            )

    def begin_early(self, call: Call, media: NegotiatedMedia) -> None:
        """Play what comes before the call is answered, and open a NAT for it; nothing of ours is sent."""
        media = _agreed(call, media)
        line = self._add_line(call, media)
        line.transport.attach(line.session, line.packet_sink, opens_path=True)
        line.listen()

    def begin_when_heard(self, call: Call, media: NegotiatedMedia) -> None:
        """As `begin`, but nothing is played, or recorded, before there is something."""
        line = self._add_line(call, media)

        def on_packet(packet: RtpPacket, arrival: float) -> None:
            if call.established is None:
                self._start(call)
            line.packet_sink(packet, arrival)

        line.transport.attach(line.session, on_packet)

    def renegotiate(self, call: Call, media: NegotiatedMedia) -> None:
        """Go on with what was agreed on anew."""
        media = _agreed(call, media)
        if call.lines and media != call.lines[0].media:
            before = call.lines[0].media
            text = f"media of {call.record.peer} now {media.direction.value}, to {media.remote[0]}"
            self._console.say(1, text)
            if encryption_object(media) != encryption_object(before):
                self._console.say(0, f"media of {call.record.peer} is now {', '.join(encryption_parts(media))}")
            self._go_on(call, media)

    def _go_on(self, call: Call, media: NegotiatedMedia) -> None:
        if call.established is None:
            call.lines[0].renegotiate(media)
        else:
            call.renegotiate(media, self._network.loop.now())

    def say_bye(self, call: Call) -> None:
        """The last RTCP of each line, once: what the call came to. What is on its way to us is taken for a moment."""
        for line in call.lines:
            line.transport.send_goodbye()
        self._network.loop.call_later(LAST_WORDS, partial(self.close, call))

    def close(self, call: Call) -> None:
        """Process what has come last, and close the media port."""
        if call.dtls is not None:
            call.dtls.close()
        call.transport.close()
        for line in call.lines:
            line.close()

    def _use_keys(self, call: Call) -> None:
        """A handshake has brought keys, the first ones or others."""
        if not call.lines or call.ending is not None or call.dtls is None:
            return
        media = call.dtls.secured(call.lines[0].media)
        self._console.say(0, "\n".join(f"  {part}" for part in encryption_parts(media)))
        self._go_on(call, media)

    def _tell_string(self, call: Call, text: str) -> None:
        self._console.event(
            "short-string",
            f"short string {text}   {call.record.peer}\n"
            "  compare it by voice: if it is the same there, nobody is in between",
            call_id=call.call_id,
            string=text,
        )

    def _add_line(self, call: Call, media: NegotiatedMedia) -> MediaLine:
        receive, send = self._audio.open(call.call_id, len(call.lines), call.record.peer, call.send_as)
        session = RtpSession(
            media,
            cname=call.negotiation.endpoint.cname,
            ntp_offset=self._network.ntp_offset,
            rng=self._rng,
            reports=_report_sources(call, receive, send),
            invited=not (call.signalled and call.record.incoming),
            signalling_host=call.remote_host if call.signalled else None,
        )
        if call.acknowledged:
            session.proof.add(call.remote_host)
        listeners = IceListeners(lambda address: self._on_selected(call, line, address), self._console.say)
        ice = LineIce(session, self._network.loop, listeners)
        line = MediaLine(media, call.transport, session, receive, send, ice)
        ice.agree(media.ice, call.transport)
        call.add_line(line)
        return line

    def _on_selected(self, call: Call, line: MediaLine, address: tuple[str, int]) -> None:
        """ICE has selected an address of the peer: a handshake may go there now, and sound."""
        if call.ending is None:
            if call.dtls is not None:
                call.dtls.aim(address)
            self._go_on(call, _aimed(line, line.media))

    def _start(self, call: Call) -> None:
        call.start(self._network.loop.now())
        self._tell_unproven(call)
        waited_at = call.record.peer
        if not call.signalled and call.record.incoming:
            scheme, found, _ = waited_at.partition("://")
            source = format_host(*call.lines[0].session.remote)
            call.record = replace(call.record, peer=f"{scheme if found else 'rtp'}://{source}")
        media, record = call.lines[0].media, call.record
        codec, fec = media.audio.codec, f"FEC {media.fec}" if media.fec else "no FEC"
        said = f"call {'from' if record.incoming else 'to'} {record.peer}"
        if not call.signalled:
            said = f"stream from {record.peer} to {waited_at}" if record.incoming else f"stream to {record.peer}"
        self._console.event(
            "established",
            f"{said}\n"
            f"  {codec.label} {codec.clock_rate} Hz, {codec.channels} ch, {media.audio.ptime * 1e3:.4g} ms packets, "
            f"{fec}\n"
            f"  {', '.join(encryption_parts(media))}",
            call_id=call.call_id,
            peer=record.peer,
            codec=codec.label,
            encryption=encryption_object(media),
        )


def _agreed(call: Call, media: NegotiatedMedia) -> NegotiatedMedia:
    """What was agreed on, with the keys that a handshake has brought already; or it begins."""
    agreed = media if call.dtls is None else call.dtls.agree(media, call.transport)
    return _aimed(call.lines[0], agreed) if call.lines else agreed


def _aimed(line: MediaLine, media: NegotiatedMedia) -> NegotiatedMedia:
    """Its address is what ICE has selected, if it has."""
    selected = None if media.ice is None or line.ice is None else line.ice.selected
    return media if selected is None else replace(media, remote=selected, remote_rtcp=selected)


def _report_sources(call: Call, receive: ReceiveStream | None, send: SendStream | None) -> ReportSources:
    """What RTCP tells of each direction, and what takes what it is told."""

    def rating(stats: ReceiverStats, delay: float) -> Rating | None:
        media = call.record.media
        return None if media is None else rate_heard(media.audio.codec, stats, delay)

    sources = ReportSources(rating=rating)
    if receive is not None:
        sources = replace(sources, receiver_stats=receive.statistics, buffer_limit=receive.delay_max)
    if send is not None:
        sources = replace(sources, sender_stats=send.statistics, on_report=send.on_report)
    return sources
