"""What the end of a call means to whoever started the program: an exit status and what to do next."""

from __future__ import annotations

from voip.calls.keeper import Call
from voip.engine import (
    EXIT_AUTHENTICATION,
    EXIT_NETWORK,
    EXIT_NO_ANSWER,
    EXIT_NO_MEDIA,
    EXIT_OK,
    EXIT_REJECTED,
)
from voip.sip import CallEnded

UNAUTHORIZED = (401, 407)
UNAVAILABLE = (408, 480)


def outcome(call: Call, ending: CallEnded | None) -> tuple[int, str]:
    """The exit status that the end of a call means for its caller, and the line that says what to do."""
    peer = call.record.peer
    # 481: the other side has ended the call already. 408: it did not answer, or did not show that it is still there.
    gone = ending is not None and ending.reason == "timeout" and ending.status != 408
    if ending is None or gone or ending.reason in ("local-bye", "remote-bye", "cancelled"):
        return EXIT_OK, ""
    if ending.reason in ("media-timeout", "timeout"):
        return EXIT_NO_MEDIA, f"{peer} has gone: {ending.phrase}"
    if ending.reason == "network":
        return EXIT_NETWORK, ending.phrase
    if ending.reason == "no-answer":
        if ending.status:
            return EXIT_NO_ANSWER, f"{peer} rings, but nobody answers"
        return EXIT_NO_ANSWER, f"{peer} does not answer. Is receiver.py running there, and its UDP port open?"
    said = f"{ending.status} {ending.phrase}".strip()
    if ending.status in UNAUTHORIZED:
        return EXIT_AUTHENTICATION, f"{peer} asks for a user and password ({said}); see --user and --password-file"
    if ending.status in UNAVAILABLE:
        return EXIT_NO_ANSWER, f"{peer} is not available ({said})"
    if ending.status:
        return EXIT_REJECTED, f"{peer} refused the call ({said})"
    return EXIT_NO_MEDIA, f"the call to {peer} ended: {ending.reason}"
