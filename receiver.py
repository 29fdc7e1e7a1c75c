#!/usr/bin/env python3
"""Answer SIP calls and play the audio they send:  receiver.py [--output call.wav]

network thread    sockets -> UserAgent (SIP), RtpSession (RTP) -> mailbox of the playback thread
capture thread    with --two-way: microphone -> AudioSender of each call -> socket, paced by the microphone
playback thread   mailbox -> AudioReceiver (FEC, jitter buffer, decoder) -> Mixer -> speaker, paced by the speaker
main thread       shows how it goes, waits for Ctrl+C, writes the report

A call: IncomingCall -> Answerer opens a media port, answers 200, attaches an RtpSession; its packets play until
BYE, the media time-out or Ctrl+C (which sends BYE); what has arrived is played to its end; then its report.
"""

import sys

from voip.environment import ensure_dependencies

if __name__ == "__main__":
    ensure_dependencies(__file__)

from voip import cli
from voip.calls import Answerer
from voip.engine import Shutdown, Worker, together
from voip.media import Direction


def main(options: cli.ReceiverOptions) -> int:
    shutdown, console = Shutdown(), cli.console(options)
    shutdown.catch_signals()

    playback = cli.playback(options)
    capture = cli.capture(options, answers=True) if options.two_way else None
    devices = [part for part in (playback.sink, capture and capture.source) if part]

    network = cli.network(options, console)
    sip_port = None if options.stream else network.sip.listen(options.sip_port)
    agent = cli.user_agent(
        options,
        network,
        max_calls=options.max_calls,
        allowed=options.allowed,
        users=options.users,
        replaceable=lambda *call: calls.is_abandoned(*call),
    )
    settings = cli.call_settings(options, Direction.SENDRECV if capture else Direction.RECVONLY)
    calls = Answerer(
        network,
        agent,
        console,
        shutdown,
        settings,
        hearing=cli.hearing(network, playback, console),
        speaking=cli.speaking(options, network, capture, console) if capture else None,
        once=options.once,
    )
    if options.stream:
        network.loop.post(calls.await_stream, cli.plain_source(options.stream))
    cli.announce(options, network, sip_port, devices, console)

    workers = [
        Worker("network", shutdown, network.loop.run, shutdown.stopped),
        Worker("playback", shutdown, playback.run, shutdown.stopped),
    ]
    if capture:
        workers.append(Worker("capture", shutdown, capture.run, shutdown.requested, shutdown.stopped))
    with together(workers):
        cli.watch(options, calls, devices, console, shutdown)
    network.close()
    return cli.finish("receiver", options, calls, devices, console, shutdown)


def command() -> int:
    """All that `voip-receiver` does, the command of the installed package."""
    return cli.run("receiver", cli.receiver_options, main)


if __name__ == "__main__":
    sys.exit(command())
