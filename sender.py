#!/usr/bin/env python3
"""Call a receiver (or any SIP phone) and stream the microphone to it:  sender.py 192.168.1.20

capture thread    microphone -> Fanout -> AudioSender (encode, packetize, FEC) -> socket, paced by the microphone
network thread    sockets -> UserAgent (SIP), RtpSession; timers
playback thread   with --two-way: what comes back -> AudioReceiver -> Mixer -> speaker, paced by the speaker
main thread       shows how it goes, waits for Ctrl+C, writes the report

A call: INVITE -> CallAnswered -> Caller attaches an RtpSession and gives the capture thread an AudioSender; it ends
by the end of the input, --duration, BYE from the other side, the media time-out or Ctrl+C (which sends BYE).
"""

import sys

from voip.environment import ensure_dependencies

if __name__ == "__main__":
    ensure_dependencies(__file__)

from voip import cli
from voip.calls import Caller
from voip.engine import Shutdown, Worker, together
from voip.media import Direction
from voip.net import host_address


def main(options: cli.SenderOptions) -> int:
    shutdown, console = Shutdown(), cli.console(options)
    shutdown.catch_signals()

    capture = cli.capture(options, duration=options.duration)
    playback = cli.playback(options) if options.two_way else None
    devices = [part for part in (capture.source, playback and playback.sink) if part]

    network = cli.network(options, console)
    network.sip.listen(options.sip_port)
    agent = cli.user_agent(options, network, accepts_calls=False)
    settings = cli.call_settings(options, Direction.SENDRECV, capture.source)
    calls = Caller(
        network,
        agent,
        console,
        shutdown,
        settings,
        speaking=cli.speaking(options, network, capture, console),
        hearing=cli.hearing(network, playback, console),
        name=options.name,
        connect_timeout=options.connect_timeout,
    )
    for target in options.targets:
        if isinstance(target, cli.RtpTarget):
            network.loop.post(calls.stream_to, str(target), (host_address(target.host, options.bind), target.port))
        else:
            network.loop.post(calls.dial, target)

    workers = [
        Worker("network", shutdown, network.loop.run, shutdown.stopped),
        Worker("capture", shutdown, capture.run, shutdown.requested, shutdown.stopped, calls.on_input_end),
    ]
    if playback:
        workers.append(Worker("playback", shutdown, playback.run, shutdown.stopped))
    with together(workers):
        cli.watch(options, calls, devices, console, shutdown)
    network.close()
    return cli.finish("sender", options, calls, devices, console, shutdown)


def command() -> int:
    """All that `voip-sender` does, the command of the installed package."""
    return cli.run("sender", cli.sender_options, main)


if __name__ == "__main__":
    sys.exit(command())
