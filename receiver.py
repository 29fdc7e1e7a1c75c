#!/usr/bin/env python3
"""Answer SIP calls and play the audio they send:  receiver.py [--output call.wav]

network thread    sockets -> UserAgent (SIP), RtpSession (RTP) -> mailbox of the playback thread
playback thread   mailbox -> AudioReceiver (FEC, jitter buffer, decoder) -> Mixer -> speaker, paced by the speaker
main thread       shows how it goes, waits for Ctrl+C, writes the report

A call: IncomingCall -> Answerer opens a media port, answers 200, attaches an RtpSession; its packets play until
BYE, the media time-out or Ctrl+C (which sends BYE); what has arrived is played to its end; then its report.
"""

import sys

from voip import cli
from voip.calls import Answerer
from voip.devices import open_sink
from voip.engine import Playback, Shutdown, Worker
from voip.sdp import Direction


def main(options: cli.ReceiverOptions) -> int:
    shutdown, console = Shutdown(), cli.console(options)
    shutdown.catch_signals()

    speaker = open_sink(options.output, format=options.format, quiet=options.hides_library_noise)
    playback = Playback(speaker, latency=options.latency, latency_max=options.latency_max)

    network = cli.network(options)
    sip_port = network.listen(options.sip_port)
    agent = cli.user_agent(network, max_calls=options.max_calls, allowed=options.allowed)
    settings = cli.call_settings(options, Direction.RECVONLY)
    calls = Answerer(network, agent, console, shutdown, settings, playback=playback, once=options.once)
    cli.announce(options, network, sip_port, speaker, console)

    with (
        Worker("network", shutdown, network.run, shutdown.stopped),
        Worker("playback", shutdown, playback.run, shutdown.stopped),
    ):
        cli.watch(options, calls, speaker, console, shutdown)
    network.close()
    return cli.finish("receiver", options, calls, speaker, console, shutdown)


if __name__ == "__main__":
    sys.exit(cli.run("receiver", cli.receiver_options, main))
