"""The command line of both scripts.

values      what is written after an option
accounts    users, passwords, registrar, proxies
parser      errors of one line, --help, the environment
options     the options, as frozen dataclasses
listing     --list-devices      versions   --version
wiring      from options to objects
policy      what each script does when a call is over
service     what a service manager is told
compat      --compat
udp_programs  voip-udp-test and voip-udp-receiver
running     what both scripts do around their threads
"""

from voip.cli.options import CommonOptions, ReceiverOptions, SenderOptions, receiver_options, sender_options
from voip.cli.policy import ExitAfterLastCall, Redial, WaitForNextCall
from voip.cli.running import finish, run, watch
from voip.cli.values import RtpTarget, seconds
from voip.cli.wiring import (
    announce,
    announce_call,
    answer_bare_calls,
    call_targets,
    make_bare_calls,
    make_call_settings,
    make_console,
    make_network,
    make_redial,
    make_streams,
    make_user_agent,
    open_capture,
    open_playback,
    read_plain_source,
)

__all__ = [
    "CommonOptions",
    "ExitAfterLastCall",
    "ReceiverOptions",
    "Redial",
    "RtpTarget",
    "SenderOptions",
    "WaitForNextCall",
    "announce",
    "announce_call",
    "answer_bare_calls",
    "call_targets",
    "finish",
    "make_bare_calls",
    "make_call_settings",
    "make_console",
    "make_network",
    "make_redial",
    "make_streams",
    "make_user_agent",
    "open_capture",
    "open_playback",
    "read_plain_source",
    "receiver_options",
    "run",
    "seconds",
    "sender_options",
    "watch",
]
