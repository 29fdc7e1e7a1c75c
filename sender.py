#!/usr/bin/env python3
"""Call receivers (or any SIP phones) and stream the microphone to them:  sender.py 192.168.1.20

capture thread    microphone -> Fanout -> AudioSender (encode, packetize, FEC) -> socket, paced by the microphone
network thread    sockets -> UserAgent (SIP), RtpSession; timers
playback thread   with --two-way: what comes back -> AudioReceiver -> Mixer -> speaker, paced by the speaker
main thread       shows how it goes, waits for Ctrl+C, writes the report

A call: INVITE -> CallAnswered -> CallManager attaches an RtpSession and gives the capture thread an AudioSender; it
ends by the end of the input, --duration, BYE from the other side, the media time-out or Ctrl+C (which sends BYE). One
that is lost is made again (--retry) while the input goes on. Any number of them share one input, and its encoders.
"""

import sys
from functools import partial

from voip.environment import ensure_dependencies

if __name__ == "__main__":
    ensure_dependencies(__file__)

from voip import cli
from voip.calls import CallManager, CallTable
from voip.engine import Shutdown, Watchdog, Worker, together
from voip.garbage import Garbage
from voip.media import Direction


def main(options: cli.SenderOptions) -> int:
    shutdown, console = Shutdown(), cli.make_console(options)
    shutdown.catch_signals()

    options = cli.find_targets(options, console, shutdown)
    if not options.calls:
        return cli.send_message(options, console, shutdown)
    capture = cli.open_sender_capture(options, console, shutdown)
    playback = cli.open_playback(options, console, shutdown) if options.two_way else None
    devices = [part for part in (capture.source, playback and playback.sink) if part]

    network = cli.make_network(options, console)
    network.sip.listen(options.sip_port)
    calls = CallTable(network.loop.now)
    agent = cli.make_user_agent(options, network, calls, accepts_calls=False)
    bare = cli.make_bare_calls(options, network, console)
    policy = cli.make_sender_policy(options, network, shutdown, console, bare.on_over)
    streams = cli.make_streams(options, network, console, playback=playback, capture=capture)
    settings = cli.make_call_settings(options, Direction.SENDRECV, capture.source)
    manager = CallManager(network, agent, calls, streams, console, settings, policy)
    cli.announce_call(options, playback, console)
    cli.call_targets(options, network, manager, bare, policy)

    hang_up = partial(network.loop.post, policy.on_input_ended, manager)
    garbage, between = Garbage(), []
    workers = [Worker("network", shutdown, network.loop.run, shutdown.stopped)]
    if playback:
        workers.append(Worker("playback", shutdown, playback.run, shutdown.stopped, garbage.look))
    else:
        between.append(garbage.look)
    workers.append(Worker("capture", shutdown, capture.run, shutdown.requested, shutdown.stopped, hang_up, *between))
    watchdog = Watchdog(workers, network.loop.now())
    others = cli.beside("sender", options, cli.find_keys(options, console), network, manager, streams, console)
    with others as keys, garbage, together(workers):
        cli.watch(options, network, manager, devices, console, shutdown, watchdog, keys)
    network.close()
    console.say(1, str(garbage))
    return cli.finish("sender", options, network, manager, devices, console, shutdown, watchdog, policy.targets)


def command() -> int:
    """All that `voip-sender` does, the command of the installed package."""
    return cli.run("sender", cli.sender_options, main)


if __name__ == "__main__":
    sys.exit(command())
