"""The option --web, and what the buttons of the page do, for whatever else gives the same commands."""

from __future__ import annotations

import argparse
import importlib.util
from typing import TYPE_CHECKING, NamedTuple

from voip.audio import GAIN_LIMIT
from voip.calls import AudioStreams, CallManager
from voip.cli.parser import Group
from voip.cli.values import ip_address, target, telephone_keys
from voip.errors import ProtocolError, VoipError
from voip.ip import MAX_PORT
from voip.net import Network
from voip.sip import SipUri
from voip.sip.text_sending import LONGEST_SENT

if TYPE_CHECKING:
    from voip.web.program import Arguments, Command

OPEN = "open"
LOOPBACK = "127.0.0.1"
MOST_KEYS = 32
"""DTMF digits of one command."""


class WebAddress(NamedTuple):
    """Where the page is served: port 0 is a free one. `opens`: a browser is started."""

    host: str = LOOPBACK
    port: int = 0
    opens: bool = False


def add_web(group: Group) -> None:
    """The option of both scripts."""
    group.add_argument(
        "--web",
        metavar="WHERE",
        nargs="?",
        const="",
        type=web_address,
        help="Serve a page with live figures and buttons at [ADDR:]PORT, or `open` it. Other addresses than those of "
        "loopback need the token that is printed.  [any port]",
    )


def web_address(text: str) -> WebAddress:
    """Where to serve the page; "" for the usual place."""
    if importlib.util.find_spec("aiohttp") is None:
        raise argparse.ArgumentTypeError("needs aiohttp: pip install aiohttp")
    if text in ("", OPEN):
        return WebAddress(opens=text == OPEN)
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdigit() and int(port) <= MAX_PORT):
        raise argparse.ArgumentTypeError(f"{text!r} is neither [ADDR:]PORT nor `open`; write TARGET before --web")
    return WebAddress(ip_address(host.strip("[]")) if host else LOOPBACK, int(port))


def commands_of(network: Network, manager: CallManager, streams: AudioStreams, *, dials: bool) -> dict[str, Command]:
    """What the buttons do: posted to the network thread, but for the loudness, which any thread may set."""
    post = network.loop.post
    commands: dict[str, Command] = {
        "hang-up": lambda asked: post(manager.hang_up, _running(manager, asked)),
        "hold": lambda asked: post(manager.hold.toggle, _running(manager, asked) if "call_id" in asked else None),
        "text": lambda asked: post(manager.texts.say, _text(asked)),
    }
    if streams.sends:
        commands["keys"] = lambda asked: post(manager.keys.press, _running(manager, asked), _keys(asked))
    if streams.microphone_muted is not None:
        commands["mute-microphone"] = lambda asked: streams.mute_microphone(asked.get("muted") is True)
    if streams.plays:
        commands["adjust"] = lambda asked: _adjust(manager, streams, asked)
    if dials:
        commands["dial"] = lambda asked: post(manager.dial, asked_target(asked))
    else:
        commands["answer"] = lambda asked: post(manager.answering.answer, _running(manager, asked))
        commands["decline"] = lambda asked: post(manager.answering.decline, _running(manager, asked))
    return commands


def refused(text: str) -> VoipError:
    """CommandRefused, which needs aiohttp."""
    from voip.web import CommandRefused

    return CommandRefused(text)


def _running(manager: CallManager, asked: Arguments) -> str:
    """The Call-ID of the call that the page names."""
    call_id = str(asked.get("call_id", ""))
    if not any(call.call_id == call_id and call.end_reason is None for call in manager.records):
        raise refused("this call is over")
    return call_id


def _adjust(manager: CallManager, streams: AudioStreams, asked: Arguments) -> None:
    gain = asked.get("gain_db", 0.0)
    if not isinstance(gain, int | float) or isinstance(gain, bool) or not -GAIN_LIMIT <= gain <= GAIN_LIMIT:
        raise refused(f"the volume is a number from {-GAIN_LIMIT:g} to {GAIN_LIMIT:g} dB")
    streams.adjust(_running(manager, asked), gain_db=float(gain), muted=asked.get("muted") is True)


def _text(asked: Arguments) -> str:
    text = str(asked.get("text", "")).strip()
    length = len(text.encode("utf-8", "replace"))
    if not 0 < length <= LONGEST_SENT:
        raise refused(f"a text has 1 to {LONGEST_SENT} bytes, this one {length}")
    return text


def _keys(asked: Arguments) -> str:
    keys = str(asked.get("keys", ""))
    if not 0 < len(keys) <= MOST_KEYS:
        raise refused(f"1 to {MOST_KEYS} keys at a time")
    try:
        return telephone_keys(keys)
    except argparse.ArgumentTypeError as error:
        raise refused(str(error)) from error


def asked_target(asked: Arguments) -> SipUri:
    """Whom the page asks to call; CommandRefused for what is no address."""
    try:
        found = target(str(asked.get("target", "")))
    except (argparse.ArgumentTypeError, ProtocolError) as error:
        raise refused(str(error)) from error
    if not isinstance(found, SipUri):
        raise refused("a stream without signalling is begun at the command line")
    return found
