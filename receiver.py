#!/usr/bin/env python3
"""Answer SIP calls and play the audio they send:  receiver.py [--output call.wav]

network thread    sockets -> UserAgent (SIP), RtpSession (RTP) -> mailbox of the playback thread
capture thread    with --two-way: microphone -> AudioSender of each call -> socket, paced by the microphone
playback thread   mailbox -> AudioReceiver (FEC, jitter buffer, decoder) -> Mixer -> speaker, paced by the speaker
bridge thread     in place of capture, with --conference: mix-minus -> AudioSender of each call -> socket, fed by the
                  playback thread; with --two-way the microphone has a thread that feeds the mix
main thread       shows how it goes, acts on keys, waits for Ctrl+C, writes the report

A call: IncomingCall -> CallManager opens a media port, answers 200, attaches an RtpSession; its packets play until
BYE, the media time-out or Ctrl+C (which sends BYE); what has arrived is played to its end; then its report.

With --workers this is a parent, which has the SIP port, and workers, which run this script: the calls are theirs.
"""

import sys

from voip.environment import ensure_dependencies

if __name__ == "__main__":
    ensure_dependencies(__file__)

from voip import cli
from voip.calls import CallManager, CallTable
from voip.engine import Shutdown, Watchdog, Worker, together
from voip.garbage import Garbage
from voip.media import Direction


def main(options: cli.ReceiverOptions) -> int:
    if options.workers > 1:
        return cli.run_workers(options)
    shutdown, console = Shutdown(), cli.make_console(options)
    shutdown.catch_signals()

    keyboard = cli.find_keys(options, console)
    sound = cli.open_receiver_sound(options, console, shutdown)

    network = cli.make_network(options, console, shutdown)
    stream = cli.read_plain_source(options.stream) if options.stream else None
    sip_port = None if stream else network.sip.listen(options.sip_port)
    calls = CallTable(network.loop.now)
    agent = cli.make_user_agent(options, network, calls, max_calls=options.max_calls)
    streams = cli.make_streams(options, network, console, playback=sound.playback, capture=sound.sent)
    settings = cli.make_call_settings(options, Direction.SENDRECV if sound.sent else Direction.RECVONLY)
    tell = cli.teller(options, console)
    policy = cli.WaitForNextCall(shutdown, once=options.once, stream=stream, on_over=tell)
    manager = CallManager(network, agent, calls, streams, console, settings, policy)
    if stream:
        network.loop.post(manager.await_stream, stream)
        cli.answer_bare_calls(options, network, manager, console)
    cli.announce(options, network, sip_port, sound.devices, console)

    garbage = Garbage()
    workers = [
        Worker("network", shutdown, network.loop.run, shutdown.stopped),
        Worker("playback", shutdown, sound.playback.run, shutdown.stopped, garbage.look),
    ]
    for name, run in sound.threads:  # capture, or bridge and microphone
        workers.append(Worker(name, shutdown, run, shutdown.requested, shutdown.stopped))
    watchdog = Watchdog(workers, network.loop.now())
    others = cli.beside("receiver", options, keyboard, network, manager, streams, console)
    with others as keys, garbage, together(workers):
        cli.watch(options, network, manager, sound.devices, console, shutdown, watchdog, keys)
    network.close()
    console.say(1, str(garbage))
    for fault in sound.faults:
        console.say(0, fault)
    return cli.finish("receiver", options, network, manager, sound.devices, console, shutdown, watchdog)


def command() -> int:
    """All that `voip-receiver` does, the command of the installed package."""
    return cli.run("receiver", cli.own_options, main)


if __name__ == "__main__":
    sys.exit(command())
