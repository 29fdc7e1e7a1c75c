"""The command line of both scripts.

values      what is written after an option
accounts    users, passwords, registrar, proxies
options     the options, as frozen dataclasses
listing     --list-devices
wiring      from options to objects
running     what both scripts do around their threads
"""

from voip.cli.options import CommonOptions, ReceiverOptions, SenderOptions, receiver_options, sender_options
from voip.cli.running import finish, run, watch
from voip.cli.values import RtpTarget, seconds
from voip.cli.wiring import (
    announce,
    call_settings,
    capture,
    console,
    hearing,
    network,
    plain_source,
    playback,
    speaking,
    user_agent,
)

__all__ = [
    "CommonOptions",
    "ReceiverOptions",
    "RtpTarget",
    "SenderOptions",
    "announce",
    "call_settings",
    "capture",
    "console",
    "finish",
    "hearing",
    "network",
    "plain_source",
    "playback",
    "receiver_options",
    "run",
    "seconds",
    "sender_options",
    "speaking",
    "user_agent",
    "watch",
]
