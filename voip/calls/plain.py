"""Streams without signalling: media at a known port, and nothing that says when it begins and ends."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from voip.calls.call import Call, CallSettings
from voip.calls.call_media import CallMedia
from voip.calls.table import CallTable
from voip.report import CallRecord, Console
from voip.sdp import SessionDescription
from voip.sdp.plain import media_of

STREAM_ID_BITS = 128
"""Of the name that a stream without signalling gets in place of a Call-ID."""


@dataclass(frozen=True)
class PlainSource:
    """A stream without signalling: the port that it comes to, at any address of the family of `host`, and its format.

    `name` is what the user calls it; without a description it is what we would send ourselves.
    """

    name: str
    host: str
    port: int
    description: SessionDescription | None = None


class PlainStreams:
    """Begins streams without signalling, as calls in the table. Network thread only."""

    def __init__(
        self, table: CallTable, media: CallMedia, console: Console, settings: CallSettings, rng: random.Random
    ) -> None:
        self._table, self._media, self._console, self._settings, self._rng = table, media, console, settings, rng

    def send(self, target: str, remote: tuple[str, int], source: str) -> None:
        """Send to this address and port. NetworkError without a port.

        `target` is what the user calls it, `source` what it is sent, for people.
        """
        call = self._new_call(target, remote[0], incoming=False)
        host, port = remote
        description = self._settings.describe(replace(call.negotiation.endpoint, host=host, port=port))
        self._settings.on_description(description)
        self._console.say(0, f"sending to {target}   {source}")
        media = media_of(description, self._settings.plain_capabilities, call.negotiation.endpoint, remote)
        self._media.begin(call, media)

    def wait(self, source: PlainSource) -> None:
        """Play what comes from the first that is heard. NetworkError if the port is taken."""
        call = self._new_call(source.name, source.host, incoming=True, own_port=source.port)
        description = source.description or self._settings.describe(call.negotiation.endpoint)
        if description.skipped:
            self._console.say(2, description.passed_over)
        self._settings.on_description(description)
        media = media_of(description, self._settings.plain_capabilities, call.negotiation.endpoint, None)
        self._media.begin_when_heard(call, media)

    def _new_call(self, peer: str, host: str, *, incoming: bool, own_port: int | None = None) -> Call:
        record = CallRecord(call_id=f"{self._rng.getrandbits(STREAM_ID_BITS):032x}", peer=peer, incoming=incoming)
        transport = self._media.open_port(host, own_port)
        call = self._media.new_call(record, host, transport=transport, signalled=False)
        self._table.add(call)
        return call
