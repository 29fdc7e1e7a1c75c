"""The options that say who may call the receiver: networks, and this machine itself."""

from __future__ import annotations

import argparse
import ipaddress
from typing import Any

from voip.cli.parser import Group
from voip.cli.values import ip_network

LOCAL_NETWORKS = (
    "127.0.0.0/8",  # RFC 1122
    "10.0.0.0/8",  # RFC 1918
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",  # RFC 3927
    "100.64.0.0/10",  # RFC 6598
    "::1/128",  # RFC 4291
    "fe80::/10",
    "fc00::/7",  # RFC 4193
)
"""Callers that are accepted unless --allow-only is given: loopback, private and link-local addresses. This machine is,
too, whatever its addresses are."""


def add_callers(group: Group) -> None:
    """Add them to a group of options."""
    group.add_argument(
        "--allow",
        metavar="CIDR",
        type=ip_network,
        action="append",
        help="Also accept calls from this network, besides this machine and private addresses. May be repeated.",
    )
    group.add_argument(
        "--allow-only",
        metavar="CIDR",
        type=ip_network,
        action="append",
        help="Accept calls from this network in place of this machine and private addresses. May be repeated.",
    )


def callers_values(found: argparse.Namespace) -> dict[str, Any]:
    """What they come to: the fields `allow` and `allow_own` of ReceiverOptions."""
    alone = found.allow_only or map(ipaddress.ip_network, LOCAL_NETWORKS)
    return {"allow": (*alone, *(found.allow or ())), "allow_own": not found.allow_only}
