"""The command line of both scripts.

values      what is written after an option
answering   who is answered, and how many
accounts    users, passwords, registrar, proxies
parser      errors of one line, --help, the environment
daily       which options --help shows
calling     making calls, texts, who can be called
options     the options, as frozen dataclasses
listing     --list-devices      versions   --version
keyboard    single keys of the terminal    attendant   what they do
wiring      from options to objects
neighbours  finding and being found on the local network
linking     --directory: being known there, and finding others
texting     a text without a call
keys        the keys of the terminal
policy      what each script does when a call is over
service     what a service manager is told
web         --web, and the buttons of its page
beside      keys, page and announcement together
compat      --compat
udp_programs  voip-udp-test and voip-udp-receiver
running     what both scripts do around their threads
sharing     --workers: what is divided, and what it cannot be combined with
workers     what the parent does, and what a worker does differently
"""

from voip.cli.beside import beside
from voip.cli.neighbours import find_targets
from voip.cli.options import CommonOptions, ReceiverOptions, SenderOptions, receiver_options, sender_options
from voip.cli.policy import ExitAfterLastCall, Redial, WaitForNextCall
from voip.cli.running import finish, run, watch
from voip.cli.start_lines import announce, announce_call
from voip.cli.texting import send_message
from voip.cli.values import RtpTarget, seconds
from voip.cli.wiring import (
    answer_bare_calls,
    call_targets,
    find_keys,
    make_bare_calls,
    make_call_settings,
    make_console,
    make_network,
    make_sender_policy,
    make_streams,
    make_user_agent,
    open_capture,
    open_playback,
    open_receiver_sound,
    open_sender_capture,
    read_plain_source,
)
from voip.cli.workers import own_options, run_workers, teller

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
    "beside",
    "call_targets",
    "find_keys",
    "find_targets",
    "finish",
    "make_bare_calls",
    "make_call_settings",
    "make_console",
    "make_network",
    "make_sender_policy",
    "make_streams",
    "make_user_agent",
    "open_capture",
    "open_playback",
    "open_receiver_sound",
    "open_sender_capture",
    "own_options",
    "read_plain_source",
    "receiver_options",
    "run",
    "run_workers",
    "seconds",
    "send_message",
    "sender_options",
    "teller",
    "watch",
]
