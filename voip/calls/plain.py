"""Streams without signalling: media at a known port, and nothing that says when it begins and ends."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from voip.calls.call import Call, CallSettings
from voip.calls.call_media import CallMedia
from voip.calls.table import CallTable
from voip.formats import DatagramFormat, media_for
from voip.media import NegotiatedMedia
from voip.report import CallRecord, Console
from voip.sdp import SessionDescription
from voip.sdp.plain import ANY_ADDRESS, media_of

STREAM_ID_BITS = 128
"""Of the name that a stream without signalling gets in place of a Call-ID."""


@dataclass(frozen=True)
class PlainSource:
    """A stream without signalling: the port that it comes to, at any address of the family of `host`, and its format.

    `name` is what the user calls it; without a description it is what we would send ourselves. form: it is no RTP, but
    datagrams of this format, which has no description.
    """

    name: str
    host: str
    port: int
    description: SessionDescription | None = None
    form: DatagramFormat | None = None


class PlainStreams:
    """Begins streams without signalling, as calls in the table. Network thread only."""

    def __init__(
        self, table: CallTable, media: CallMedia, console: Console, settings: CallSettings, rng: random.Random
    ) -> None:
        self._table, self._media, self._console, self._settings, self._rng = table, media, console, settings, rng

    def send(self, target: str, remote: tuple[str, int], source: str, form: DatagramFormat | None = None) -> None:
        """Send to this address and port, RTP or datagrams of this format. NetworkError without a port.

        `target` is what the user calls it, `source` what it is sent, for people.
        """
        call = self._new_call(target, remote[0], incoming=False, form=form)
        host, port = remote
        if form is not None:
            self._console.say(0, f"sending to {target}   {source}")
            if form.fragments > 1:
                self._console.say(0, _fragments(form))
            self._media.begin(call, self._media_of(form, remote))
            return
        description = self._settings.describe(replace(call.negotiation.endpoint, host=host, port=port))
        self._settings.on_description(description)
        self._console.say(0, f"sending to {target}   {source}")
        media = media_of(description, self._settings.plain_capabilities, call.negotiation.endpoint, remote)
        self._media.begin(call, media)

    def wait(self, source: PlainSource) -> None:
        """Play what comes from the first that is heard. NetworkError if the port is taken."""
        call = self._new_call(source.name, source.host, incoming=True, own_port=source.port, form=source.form)
        if source.form is not None:
            self._media.begin_when_heard(call, self._media_of(source.form, ANY_ADDRESS))
            return
        description = source.description or self._settings.describe(call.negotiation.endpoint)
        if description.skipped:
            self._console.say(2, description.passed_over)
        self._settings.on_description(description)
        media = media_of(description, self._settings.plain_capabilities, call.negotiation.endpoint, None)
        self._media.begin_when_heard(call, media)

    def _media_of(self, form: DatagramFormat, remote: tuple[str, int]) -> NegotiatedMedia:
        return media_for(form, remote, direction=self._settings.capabilities.direction)

    def _new_call(
        self,
        peer: str,
        host: str,
        *,
        incoming: bool,
        own_port: int | None = None,
        form: DatagramFormat | None = None,
    ) -> Call:
        record = CallRecord(call_id=f"{self._rng.getrandbits(STREAM_ID_BITS):032x}", peer=peer, incoming=incoming)
        transport = self._media.open_port(host, own_port, form)
        call = self._media.new_call(record, host, transport=transport, signalled=False)
        self._table.add(call)
        return call


def _fragments(form: DatagramFormat) -> str:
    """Said once, as the network has to bear it: the loss of either fragment loses the datagram."""
    return (
        f"{form.scheme}: the format demands datagrams of {form.datagram_bytes} bytes; most networks cut each into "
        f"{form.fragments} fragments"
    )
