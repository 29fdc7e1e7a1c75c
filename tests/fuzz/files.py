"""Fuzz targets of what is not the network's: WAV files, answers of the DNS, the command line."""

from __future__ import annotations

import contextlib
import io
import random
import re
import shlex
import socket
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tests.fuzz.target import Target, files
from voip.cli.options import read_receiver, read_sender, receiver_parser, sender_parser
from voip.devices.files import WavReader
from voip.errors import DeviceError
from voip.net.dns import DnsRecords
from voip.sip import parse_target
from voip.sip.locate import addresses_of, stun_servers

SHM = Path("/dev/shm")
"""Where a file costs no disk."""


def wav(data: bytes) -> None:
    """A file that is to be played."""
    with tempfile.NamedTemporaryFile(dir=SHM if SHM.is_dir() else None, suffix=".wav") as file:
        file.write(data)
        file.flush()
        for loop in (False, True):
            with contextlib.suppress(DeviceError):
                reader = WavReader(file.name, loop=loop)
                try:
                    read = reader.from_start()
                    for _ in range(4):
                        read(160)
                finally:
                    reader.close()


def wav_seeds() -> Sequence[bytes]:
    return [each[:600] for each in files("g722/voice.wav", "opus/*.wav")]


class _Answering:
    """In place of dnspython's resolver: every question gets the same bytes as its answer."""

    def __init__(self, wire: bytes) -> None:
        self._wire = wire

    def resolve(self, name: str, kind: str, **options: Any) -> Any:  # noqa: ANN401 - as dnspython has it
        import dns.exception
        import dns.message
        import dns.name
        import dns.rdataclass
        import dns.rdatatype
        import dns.resolver

        message = dns.message.from_wire(self._wire)
        if not isinstance(message, dns.message.QueryMessage):  # such as an update, which the resolver refuses
            raise dns.exception.DNSException
        message.question = dns.message.make_query(name, kind).question  # that of another one is refused as well
        wanted = dns.rdatatype.from_text(kind)
        return dns.resolver.Answer(dns.name.from_text(name), wanted, dns.rdataclass.IN, message)


class _Records(DnsRecords):
    """Records of the answer; no host is looked up in earnest."""

    def hosts(self, name: str) -> Sequence[str]:
        return ["192.0.2.1"] if len(name) % 2 else []


def dns_answer(data: bytes) -> None:
    """The answer of a name server to whatever we ask."""
    records: Any = _Records([socket.AF_INET], _Answering(data))  # type: ignore[arg-type]
    addresses_of(parse_target("sip:a@example.org"), records, random.Random(1))
    stun_servers("example.org", None, records, random.Random(1))


def dns_seeds() -> Sequence[bytes]:
    import dns.message
    import dns.rrset

    question = dns.message.make_query("_sip._udp.example.org.", "SRV")
    seeds = []
    for name, kind, *texts in (
        ("_sip._udp.example.org.", "SRV", "10 5 5060 a.example.org.", "20 0 5061 b.example.org."),
        ("example.org.", "NAPTR", '10 50 "s" "SIP+D2U" "" _sip._udp.example.org.'),
        ("_sip._udp.example.org.", "SRV", "0 0 0 ."),
    ):
        response = dns.message.make_response(question)
        response.answer.append(dns.rrset.from_text(name, 60, "IN", kind, *texts))
        seeds.append(response.to_wire())
    return seeds


RECEIVER, SENDER = receiver_parser(), sender_parser()
"""Made once: it takes longer than to read with them. The same goes for their usage, which is made anew each time while
there is none."""
RECEIVER.usage = SENDER.usage = "see --help"
READERS = (partial(read_receiver, RECEIVER), partial(read_sender, SENDER))
TOUCHES_MACHINE = re.compile("@|--li|--pa|-[^-]*l")
"""How words begin that look at devices and files of this machine, abbreviated or among other letters as well."""


def command_line(data: bytes) -> None:
    """Both programs' options; a wrong one ends in SystemExit with its line."""
    text = data.decode("utf-8", "replace").replace("\0", "")
    try:
        words = shlex.split(text)
    except ValueError:
        return
    if any(TOUCHES_MACHINE.match(word) for word in words):
        return
    for read in READERS:
        with (
            contextlib.suppress(SystemExit),
            contextlib.redirect_stderr(io.StringIO()),
            contextlib.redirect_stdout(io.StringIO()),
        ):
            read(words)


def command_seeds() -> Sequence[bytes]:
    return [
        b"--output null --latency 60ms --latency-max 0.4s --codec opus,l16 --max-calls 3 --allow 10.0.0.0/8",
        b"sip:a@192.0.2.1:5060 --fec sliding:0,1,8+0,2,3,12/1 --ptime 10ms --bitrate 24k --input tone --duration 3s",
        b"rtp://192.0.2.1:5004 --fec off --codec pcmu --dtmf 12# --bind ::1 --rtp-port 5000-5010 --stats-interval 1s",
    ]


TARGETS = (
    Target("wav", wav, wav_seeds, 1000),
    Target("dns", dns_answer, dns_seeds, 600),
    Target("command-line", command_line, command_seeds, 300),
)
