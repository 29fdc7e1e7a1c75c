"""From options to objects: the network, the user agent, what is offered, what is printed."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from voip import codecs
from voip.calls import CallSettings
from voip.cli.options import SIP_PORT, CommonOptions, ReceiverOptions
from voip.devices import Sink, Source
from voip.engine import tune_interpreter
from voip.net import Network
from voip.report import Console
from voip.sdp import Capabilities, Direction, effective_ptime
from voip.sip import Credentials, UserAgent

ANY_PUBLIC_HOST = "192.0.2.1"
"""RFC 5737 documentation address: which of ours leads out is asked of the routing table, nothing is sent there."""
ADAPTIVE_REPAIR_WINDOW = 0.24
"""Seconds that are announced where the pattern changes during a call: 12 packets of 20 ms, for the widest pattern."""


def console(options: CommonOptions) -> Console:
    tune_interpreter()
    return Console(time.monotonic, verbosity=options.verbosity, as_json=options.json)


def network(options: CommonOptions) -> Network:
    return Network(
        bind=options.bind,
        public_address=options.public_address,
        media_ports=options.media_ports,
        dscp=options.dscp,
    )


def user_agent(
    network: Network,
    *,
    max_calls: int = 1,
    accepts_calls: bool = True,
    allowed: Callable[[str], bool] = lambda host: True,
    credentials: Credentials | None = None,
    resolve: Callable[[str], str | None] | None = None,
) -> UserAgent:
    """A user agent on this network. `resolve` gives the literal addresses of host names."""
    return UserAgent(
        rng=random.SystemRandom(),
        local=network.sip_address,
        user=credentials.user if credentials else "voip",
        max_calls=max_calls,
        accepts_calls=accepts_calls,
        allowed=allowed,
        credentials=credentials,
        resolve=resolve,
    )


def call_settings(options: CommonOptions, direction: Direction, source: Source | None = None) -> CallSettings:
    """What is offered and answered: a source's own rate and channels first, a receiver takes any."""
    rate, channels = (source.sample_rate, source.channels) if source else options.format
    offered = tuple(codecs.offerable(options.codecs, rate, channels, options.bitrate))
    window = 0.0
    if options.fec is not None and direction.sends:
        ptime = effective_ptime(offered[0], options.ptime)
        window = ADAPTIVE_REPAIR_WINDOW if isinstance(options.fec, str) else options.fec.window * ptime
    capabilities = Capabilities(
        codecs=offered,
        direction=direction,
        ptime=options.ptime,
        fec=options.fec is not None,
        repair_window=window,
    )
    return CallSettings(
        capabilities=capabilities,
        media_timeout=options.media_timeout,
        fec=options.fec,
        fec_max=options.fec_max,
    )


def announce(options: ReceiverOptions, network: Network, sip_port: int, speaker: Sink, console: Console) -> None:
    """What a person needs to know to reach this receiver."""
    host = network.local_host(ANY_PUBLIC_HOST)
    written = f"[{host}]" if ":" in host else host
    first, last = options.media_ports or (0, 0)
    latency = "auto" if options.latency is None else f"{options.latency * 1e3:g} ms"
    port = "" if sip_port == SIP_PORT else f":{sip_port}"
    console.event(
        "listening",
        f"receiver  waiting for a call   sip:{written}:{sip_port} (udp)\n"
        f"          open in the firewall: UDP {sip_port} and {first}-{last}\n"
        f"speaker   {speaker.description}   latency {latency}\n"
        f"on the other machine:  ./sender.py {written}{port}",
        uri=f"sip:{written}:{sip_port}",
        media_ports=[first, last],
    )
    console.pump()
