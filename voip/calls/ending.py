"""What the end of a call means to whoever started the program: an exit status and what to do next."""

from __future__ import annotations

from voip.calls.keeper import Call
from voip.errors import (
    EXIT_AUTHENTICATION,
    EXIT_BUG,
    EXIT_NETWORK,
    EXIT_NO_ANSWER,
    EXIT_NO_MEDIA,
    EXIT_OK,
    EXIT_REJECTED,
)
from voip.sip import CallEnded

UNAUTHORIZED = (401, 407)
UNAVAILABLE = (408, 480)
NO_CODEC = "it takes no codec of ours; see --codec"
BUSY = "it is in another call; try again later"
ADVICE = {
    403: "receiver.py says by --allow who may call it; elsewhere an account may be needed, see --user",
    404: "nobody has this name there; check what stands before the @",
    415: NO_CODEC,
    480: "nobody is there now; try again later",
    486: BUSY,
    488: NO_CODEC,
    503: "it has too much to do, or is being restarted; try again later",
    600: BUSY,
    603: "its user does not want the call",
    604: "nobody has this name anywhere; check the address",
    606: NO_CODEC,
}
"""What a refusal means to who called, and what can be done."""


def outcome(call: Call, ending: CallEnded | None) -> tuple[int, str]:
    """The exit status that the end of a call means for its caller, and the line that says what to do."""
    peer = call.record.peer
    # 481: the other side has ended the call already. 408: it did not answer, or did not show that it is still there.
    gone = ending is not None and ending.reason == "timeout" and ending.status != 408
    if ending is None or gone or ending.reason in ("local-bye", "remote-bye", "cancelled"):
        return EXIT_OK, ""
    if ending.reason in ("media-timeout", "timeout"):
        return EXIT_NO_MEDIA, f"{peer} has gone: {ending.phrase}"
    if ending.reason == "internal-error":
        return EXIT_BUG, f"the call to {peer} was dropped because of a bug here; -v says where"
    if ending.reason == "network":
        return EXIT_NETWORK, ending.phrase
    if ending.reason == "no-answer":
        if ending.status:
            return EXIT_NO_ANSWER, f"{peer} rings, but nobody answers"
        kind = "TCP" if peer.startswith("sips:") or "transport=t" in peer else "UDP"
        return EXIT_NO_ANSWER, f"{peer} does not answer. Is receiver.py running there, and its {kind} port open?"
    if ending.status:
        return _refused(peer, ending.reason, ending.status, ending.phrase)
    return EXIT_NO_MEDIA, f"the call to {peer} ended: {ending.reason}"


def _refused(peer: str, reason: str, status: int, phrase: str) -> tuple[int, str]:
    said = f"{status} {phrase}".strip()
    if reason == "redirect-loop":
        return EXIT_REJECTED, f"{peer} sends the call from one address to another ({said}); call the last one itself"
    if status in UNAUTHORIZED:
        return EXIT_AUTHENTICATION, f"{peer} wants a user and password it knows ({said}); see --user, --password-file"
    advice = f": {ADVICE[status]}" if status in ADVICE else ""
    if status in UNAVAILABLE:
        return EXIT_NO_ANSWER, f"{peer} is not available ({said}){advice}"
    return EXIT_REJECTED, f"{peer} refused the call ({said}){advice}"
