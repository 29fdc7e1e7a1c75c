"""Resolver that a real DNS server knows: NAPTR and SRV records, hosts of two families, servers that are down."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.namespaces import Host, Hosts, require
from tests.support.processes import receiver, sender

PORTS = 25060, range(25062, 25082)
DOMAIN = "test.example"
RECORDS = (
    # Nobody is at the first of two servers, whatever the weight of the second.
    f"--naptr-record={DOMAIN},20,50,s,SIP+D2U,,_sip._udp.{DOMAIN}",
    f"--naptr-record={DOMAIN},10,50,s,SIPS+D2T,,_sips._tcp.{DOMAIN}",
    f"--srv-host=_sip._udp.{DOMAIN},down.{DOMAIN},25070,0,0",
    f"--srv-host=_sip._udp.{DOMAIN},up.{DOMAIN},{PORTS[0]},1,100",
    f"--host-record=down.{DOMAIN},127.0.0.9",
    f"--host-record=up.{DOMAIN},127.0.0.1",
    f"--host-record=dual.{DOMAIN},127.0.0.1,::1",
    f"--srv-host=_stun._udp.{DOMAIN},up.{DOMAIN},25090,0,0",
)


@contextlib.contextmanager
def served(host: Host, folder: Path) -> Iterator[None]:
    """A host with a DNS server of its own, which its programs ask."""
    settings = Path("/etc/netns") / host.name  # `ip netns exec` puts what is here in place of what is in /etc
    settings.mkdir(parents=True)
    (settings / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    options = ["--keep-in-foreground", "--no-hosts", "--no-resolv", "--conf-file=/dev/null", "--user=root"]
    options += ["--listen-address=127.0.0.1", "--bind-interfaces", "--local=/example/", "--pid-file=", *RECORDS]
    with (folder / "dnsmasq.log").open("wb") as log:
        server = subprocess.Popen([*host.through, "dnsmasq", *options], stdout=log, stderr=log)
    try:
        for _ in range(100):
            if ":53 " in host.run("ss -lun"):
                break
            host.run("sleep 0.1")
        yield
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(settings)


@pytest.mark.process
@pytest.mark.interop
def test_a_domain_is_called_at_the_server_of_it_that_is_up(tmp_path: Path) -> None:
    require("dnsmasq")
    with Hosts() as hosts:
        alone = hosts.add("alone")
        with served(alone, tmp_path), receiver(tmp_path, ports=PORTS, through=alone.through) as far:
            for number, target in enumerate((DOMAIN, f"sip:anyone@dual.{DOMAIN}:{PORTS[0]}")):
                options = ("--duration", "1s", "--connect-timeout", "2s")
                with sender(
                    tmp_path, target, *options, name=f"sender{number}", host="0.0.0.0", through=alone.through
                ) as near:
                    outcome = near.finish()
                assert outcome.status == 0, outcome.stderr
                assert outcome.call["peer"].removeprefix("sip:") == target.removeprefix("sip:")
            with sender(tmp_path, f"nobody.{DOMAIN}", name="lost", host="0.0.0.0", through=alone.through) as near:
                outcome = near.finish()
            assert outcome.status == 4
            assert f"cannot find the host nobody.{DOMAIN}" in outcome.stderr
            far.stop()
            assert far.finish().status == 0


@pytest.mark.process
@pytest.mark.interop
def test_a_host_of_two_families_is_called_by_the_one_where_somebody_answers(tmp_path: Path) -> None:
    require("dnsmasq")
    with Hosts() as hosts:
        alone = hosts.add("alone")
        with served(alone, tmp_path), receiver(tmp_path, "--once", ports=PORTS, through=alone.through) as far:
            target = f"dual.{DOMAIN}:{PORTS[0]}"  # nobody listens at ::1, which the system names first
            options = ("--duration", "1s", "--connect-timeout", "2s", "-v")
            with sender(tmp_path, target, *options, host=None, through=alone.through) as near:
                outcome = near.finish()
            assert outcome.status == 0, outcome.stderr
            assert outcome.call["setup_ms"] > 400  # the other address refused the INVITE and its repetition first
            assert far.finish().status == 0
