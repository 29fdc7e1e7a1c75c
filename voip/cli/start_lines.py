"""What a script says when it starts: where it can be reached, what is open, and whom it calls."""

from __future__ import annotations

from collections.abc import Sequence

from voip.cli.options import SIP_PORT, CommonOptions, ReceiverOptions, SenderOptions
from voip.cli.values import RtpTarget
from voip.devices import Device
from voip.engine import Playback
from voip.environment import how_to_call, program_name
from voip.net import Network
from voip.report import Console
from voip.sip.grammar import format_host


def announce_call(options: SenderOptions, playback: Playback | None, console: Console) -> None:
    """What a person needs to know before a call: whom it is for unless they said so, and where the peer is played."""
    if not options.target_given and not options.waits:
        console.say(
            0, f"no TARGET given: calling this machine ({program_name('sender')} --help shows how to call another)"
        )
    if playback is not None:
        console.say(0, _speaker_line(options, playback.sink))
    console.pump()


def _speaker_line(options: CommonOptions, speaker: Device) -> str:
    latency = "auto" if options.latency is None else f"{options.latency * 1e3:g} ms"
    return f"speaker   {speaker.description}   latency {latency}"


def announce(
    options: ReceiverOptions, network: Network, sip_port: int | None, devices: Sequence[Device], console: Console
) -> None:
    """What a person needs to know to reach this receiver; `devices`: its speaker, and its microphone if it has one.
    Of a worker only the parent needs to know that it is ready."""
    if options.place is not None:
        console.event("listening", None)
    elif sip_port is None:
        _announce_stream(options, network, devices, console)
    else:
        _announce_calls(options, network, sip_port, devices, console)
    console.pump()


def _announce_stream(options: ReceiverOptions, network: Network, devices: Sequence[Device], console: Console) -> None:
    uri, hosts = str(options.stream), network.addresses.reachable_hosts()
    lines = [f"receiver  waiting for a stream   {uri}", *_sound_lines(options, devices)]
    if isinstance(options.stream, RtpTarget):
        there = options.stream._replace(host=options.stream.host or hosts[0])
        codec = f" --codec {options.codecs[0]}" * (there.form is None)
        lines.append(f"{_call_there()}{there}{codec}" + " --two-way" * options.two_way)
    console.event("listening", "\n".join(lines), uri=uri, addresses=hosts)


def _announce_calls(
    options: ReceiverOptions, network: Network, sip_port: int, devices: Sequence[Device], console: Console
) -> None:
    hosts = network.addresses.reachable_hosts()
    host, ports = format_host(hosts[0]), network.sip.sip_ports
    (first, last), by_tls = options.media_ports or (0, 0), ports.get("tls")
    tcp = f"{sip_port} and {by_tls}" if by_tls else f"{sip_port}"
    lines = [
        f"receiver  waiting for a call   sip:{host}:{sip_port} (udp, tcp)",
        *([f"          or, by TLS,             sips:{host}:{by_tls}"] if by_tls else []),
        f"          open in the firewall: UDP {sip_port} and {first}-{last}, TCP {tcp}",
        *_sound_lines(options, devices),
        _call_there() + _target(options, host, sip_port) + " --two-way" * (options.two_way or options.conference),
    ]
    console.event(
        "listening",
        "\n".join(lines),
        uri=f"sip:{host}:{sip_port}",
        media_ports=[first, last],
        transports=ports,
        addresses=hosts,
        account=None if options.account is None else str(options.account),
    )
    if len(hosts) > 1:
        console.say(1, f"other addresses of this machine: {', '.join(hosts[1:])}")


def _call_there() -> str:
    return f"on the other machine:  {how_to_call('sender')} "


def _sound_lines(options: ReceiverOptions, devices: Sequence[Device]) -> list[str]:
    if options.workers > 1:
        return [f"workers   {options.workers} processes, up to {options.max_calls} calls together"]
    speaker, *microphone = devices
    lines = [_speaker_line(options, speaker), *(f"mic       {device.description}" for device in microphone)]
    return [*lines, f"room      a conference of up to {options.max_calls} callers"] if options.conference else lines


def _target(options: ReceiverOptions, host: str, sip_port: int) -> str:
    """What a sender is told to call: the account, where there is one, for a proxy may be all that may call directly."""
    if options.account is not None:
        return f"{options.account}" + "".join(f" --proxy {proxy.host}" for proxy in options.proxies[:1])
    return host if sip_port == SIP_PORT else f"{host}:{sip_port}"
