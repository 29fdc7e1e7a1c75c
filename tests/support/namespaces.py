"""Hosts on one Linux machine, each a network namespace of its own, joined by cables; one of them may be a NAT.

    with Hosts() as hosts:
        inside, router = hosts.add("inside"), hosts.add("router")
        hosts.cable(inside, "192.168.7.2", router, "192.168.7.1")
        with sender(tmp_path, "10.66.0.2", host="0.0.0.0", through=inside.through) as near: ...

Needs root and iproute2, NATs iptables.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass

import pytest

_numbers = itertools.count()
_PATIENCE = 100  # tenths of a second


@dataclass(frozen=True)
class Host:
    """One namespace; `through` is what programs are started by to run in it."""

    name: str

    @property
    def through(self) -> tuple[str, ...]:
        return ("ip", "netns", "exec", self.name)

    def run(self, command: str) -> str:
        """Run a command there; AssertionError with what it said if it fails."""
        done = subprocess.run([*self.through, *command.split()], capture_output=True, text=True)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout

    def link_local(self, interface: str) -> str:
        """The link-local address of an interface, once it can be used: a second or two after it is up."""
        for _ in range(_PATIENCE):
            shown = self.run(f"ip address show dev {interface}")
            found = re.search(r"inet6 (fe80[0-9a-f:]+)/64 scope link *$", shown, re.MULTILINE)
            if found:
                return found[1]
            self.run("sleep 0.1")
        raise AssertionError(f"{interface} has no link-local address")

    def masquerade(self, outside: str, *options: str, ipv6: bool = False) -> None:
        """Be a NAT: what leaves by the interface `outside` gets its address; nothing comes in unasked."""
        forwarding, tables = ("ipv6.conf.all.forwarding", "ip6tables") if ipv6 else ("ipv4.ip_forward", "iptables")
        self.run(f"sysctl -qw net.{forwarding}=1")
        self.run(" ".join([tables, "-t nat -A POSTROUTING -o", outside, "-j MASQUERADE", *options]))
        self.run(f"{tables} -A FORWARD -i {outside} -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT")
        self.run(f"{tables} -A FORWARD -i {outside} -j DROP")


class Hosts:
    """Hosts that are gone with the `with` block."""

    def __init__(self) -> None:
        self._hosts: list[Host] = []

    def __enter__(self) -> Hosts:
        return self

    def __exit__(self, *error: object) -> None:
        for host in self._hosts:
            subprocess.run(["ip", "netns", "delete", host.name], stderr=subprocess.DEVNULL)

    def add(self, name: str) -> Host:
        host = Host(f"voip{os.getpid()}x{next(_numbers)}{name}")
        subprocess.run(["ip", "netns", "add", host.name], check=True)
        self._hosts.append(host)
        host.run("ip link set lo up")
        return host

    def cable(self, left: Host, left_address: str, right: Host, right_address: str) -> tuple[str, str]:
        """Join two hosts: the names of the interfaces at its ends."""
        number = next(_numbers)
        names = f"a{os.getpid()}x{number}", f"b{os.getpid()}x{number}"
        ends = ((left, names[0], left_address), (right, names[1], right_address))
        left.run(f"ip link add {names[0]} type veth peer name {names[1]} netns {right.name}")
        for host, interface, address in ends:
            prefix, quick = (64, " nodad") if ":" in address else (24, "")
            host.run(f"ip address add {address}/{prefix} dev {interface}{quick}")
            host.run(f"ip link set {interface} up")
        return names


def require(*programs: str) -> None:
    """Skip the test where namespaces cannot be made; in CI, which is root on Linux, that is a failure."""
    missing = [program for program in ("ip", *programs) if shutil.which(program) is None]
    reason = "needs Linux" if sys.platform != "linux" else "needs root" if os.geteuid() else ""
    if not reason and missing:
        reason = f"needs {', '.join(missing)}"
    if reason and os.environ.get("CI") == "true":
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)
