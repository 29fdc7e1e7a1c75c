"""Another program at the port that is called: one line, at once, whichever of its answers is seen first."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from voip.calls.malformed import MalformedMessages
from voip.report import Console
from voip.sip import Address, MessageUnreadable, RequestEchoed

PLACE = Address("udp", "192.0.2.2", 7)
WHERE = "UDP port 7 of 192.0.2.2"
ADVICE = "another program is there; check the address and the port"


def warnings(*told: MessageUnreadable | RequestEchoed) -> list[dict[str, Any]]:
    """The JSON events that come of these."""
    data = io.StringIO()
    console = Console(lambda: 0.0, as_json=True, talk=io.StringIO(), data=data)
    handlers = MalformedMessages(console).handlers()
    for each in told:
        handlers[type(each)](each)
    console.pump()
    events = [json.loads(line) for line in data.getvalue().splitlines()]
    return [event for event in events if event["event"] == "warning"]


@pytest.mark.parametrize(
    ("told", "what"),
    [
        (RequestEchoed(PLACE, "INVITE sip:a@b SIP/2.0"), "sends our own requests back, as an echo server does"),
        (
            MessageUnreadable(PLACE, "SSH-2.0", "no SIP", expected=False, not_sip=True),
            "responds with 'SSH-2.0', which is not SIP",
        ),
    ],
)
def test_another_program_is_named_once_however_often_it_responds(
    told: MessageUnreadable | RequestEchoed, what: str
) -> None:
    (warning,) = warnings(told, told, told)
    assert warning["cause"] == "not-sip"
    assert warning["message"] == f"{WHERE} {what}: {ADVICE}"


def test_what_was_not_asked_for_is_no_warning() -> None:
    assert warnings(MessageUnreadable(PLACE, "SSH-2.0", "no SIP", expected=False)) == []
