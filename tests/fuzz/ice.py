"""Fuzz target of ICE as it reaches a call: checks of a peer that knows the password, and of those that do not."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from tests.fuzz.target import Target, joined, pieces
from tests.support.ice_lab import NOMINATES, IceScene
from tests.support.session_lab import NAT, PEER, STRANGER
from voip.session.ice import CONSENT
from voip.stun import check_request

SOURCES = (PEER, NAT, ("2001:db8::7", 5004), STRANGER)
RAW, WHOLE, TURNED, WAIT = range(4)
"""What a piece is: a datagram as it is, or without one the last check with our password again; attributes of such a
check; bits to be turned in one; or a time to wait."""
USE_CANDIDATE = NOMINATES[:2]
MOST_PIECES = 150
"""Of an input that are done: half as many again as the checks that are looked at, at once."""
AS_LONG_AS = 16
"""Bytes by which a response may be longer than the check that has shown the password: a mapped address of IPv6, or what
was not understood."""


def checks(data: bytes) -> None:
    """Media goes where a check with the password has nominated a pair, for as long as there is consent. Others get no
    response."""
    scene, proved, last = IceScene(), set(), (b"", STRANGER)
    for control, piece in islice(pieces(data), MOST_PIECES):
        kind, source = control & 3, SOURCES[control >> 2 & 3]
        if kind == WAIT:
            scene.loop.run(control >> 4)
            continue
        sent, authentic = _sent(scene, kind, piece, last[0])
        authentic &= kind != RAW or source == last[1]
        before = len(scene.port.sent)
        taken = scene.port.take(sent, source)
        responses = scene.port.sent[before:]
        assert authentic or not responses, "a response without the password"
        if authentic and responses:  # what came too fast is not looked at, and so not known again from elsewhere
            last = sent, source
        assert not responses or taken
        assert all(remote == source and len(response) <= len(sent) + AS_LONG_AS for response, remote in responses)
        if responses and USE_CANDIDATE in sent:
            proved.add(source)
        _check(scene, proved)
    scene.loop.run(CONSENT + 1.0)
    assert not scene.session.may_send, "without consent"
    scene.ice.close()
    assert not scene.loop.participants


def _sent(scene: IceScene, kind: int, piece: bytes, last: bytes) -> tuple[bytes, bool]:
    """A datagram, and whether whoever sends it knows the password, or has read a check of one who does."""
    if kind == RAW:
        return (piece, False) if piece else (last, bool(last))
    whole = scene.request(piece if kind == WHOLE else NOMINATES)
    sent = whole if kind == WHOLE else _turned(whole, piece)
    return sent, sent == whole


def _check(scene: IceScene, proved: set[tuple[str, int]]) -> None:
    selected = scene.ice.selected
    assert selected is None or selected in proved, "a pair that no check has nominated"
    assert scene.session.may_send == (selected is not None)
    assert selected is None or scene.session.remote == selected


def _turned(whole: bytes, piece: bytes) -> bytes:
    """With these bits turned from the place on that the first octet says."""
    place, masks = sum(piece[:1]) % len(whole), piece[1:]
    turned = bytes(byte ^ mask for byte, mask in zip(whole[place:], masks, strict=False))
    return whole[:place] + turned + whole[place + len(turned) :]


def check_seeds() -> Sequence[bytes]:
    priority, controlled = bytes.fromhex("002400046e0001ff"), bytes.fromhex("802900080000000000000001")
    whole = check_request(bytes(12), "ours:theirs", "another password", priority + NOMINATES)
    return [
        joined((WHOLE, priority), (WHOLE, priority + NOMINATES), (WAIT | 2 << 4, b""), (WHOLE | 4, NOMINATES)),
        joined((WHOLE, NOMINATES), (WHOLE | 8, bytes.fromhex("00240004ffffffff") + NOMINATES), (RAW, whole)),
        joined((WHOLE, controlled), (WHOLE, bytes.fromhex("77770000")), (TURNED, b"\x20\1"), (TURNED, b"\x02\0\1")),
        joined(
            (WHOLE, NOMINATES), (WAIT | 15 << 4, b""), (WAIT | 15 << 4, b""), (WAIT | 2 << 4, b""), (WHOLE, NOMINATES)
        ),
        joined((WHOLE, NOMINATES), (RAW, b""), (RAW | 12, b""), (RAW | 4, b"")),
        joined((RAW | 12, whole), (RAW | 12, whole[:20]), (TURNED | 12, b"\x30\xff")),
    ]


TARGETS = (Target("ice", checks, check_seeds, 1500),)
