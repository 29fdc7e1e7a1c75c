"""The options of security: certificates of TLS, and encryption of media (SRTP)."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from typing import Any

from voip.cli.parser import Group, Parser
from voip.net import TlsFiles
from voip.sdp import SrtpRule
from voip.srtp.context import missing


def add_security(group: Group) -> None:
    """The options of both scripts."""
    group.add_argument("--tls-cert", metavar="FILE", help="Certificate (PEM) of this side; enables TLS.")
    group.add_argument("--tls-key", metavar="FILE", help="Its private key, if that is not in the same file.")
    group.add_argument(
        "--tls-ca", metavar="FILE", help="Certificates of the authorities to trust (PEM).  [the system's]"
    )
    group.add_argument(
        "--srtp",
        metavar="off|optional|required",
        choices=[rule.value for rule in SrtpRule],
        help="Encrypt media (SRTP): with each peer that can, or always; with required a call that cannot be encrypted "
        "is refused. Keys come by DTLS where both can. Keys in SDP are offered where SIP goes over TLS; where it does "
        "not, only if this option is given, and then whoever reads SIP can decrypt.  [optional]",
    )


def security_values(
    parser: Parser, found: argparse.Namespace, *, streams: bool, password: str | None
) -> dict[str, Any]:
    """What they say, as fields of the options' dataclasses; usage errors exit. `streams`: media goes without SIP.
    `password`: what both sides of a call share, which takes encryption for granted."""
    if found.tls_key is not None and found.tls_cert is None:
        parser.error("--tls-key requires --tls-cert")
    rule, option = SrtpRule(found.srtp or SrtpRule.OPTIONAL), "--srtp required"
    if password is not None:
        if rule is SrtpRule.OFF:
            parser.error("--password-file without --user encrypts the call; --srtp off forbids that")
        rule, option = SrtpRule.REQUIRED, "--password-file without --user"
    if rule is SrtpRule.REQUIRED and streams:
        parser.error(f"{option}: a stream without signalling is not encrypted")
    if rule is not SrtpRule.OFF and (problem := missing()) is not None:
        if rule is SrtpRule.REQUIRED:
            parser.error(f"{option}: {problem}")
        if not found.quiet:
            print(f"{parser.prog}: media is not encrypted: {problem}", file=sys.stderr)
        rule = SrtpRule.OFF
    has_dtls = rule is not SrtpRule.OFF and _installed("OpenSSL")
    if password is not None and not (has_dtls and _installed("spake2")):
        parser.error(f"{option} needs pyOpenSSL and spake2: pip install pyOpenSSL spake2")
    return {
        "tls": TlsFiles(found.tls_cert, found.tls_key, found.tls_ca),
        "srtp": rule,
        "sdes_in_clear": found.srtp is not None,
        "has_dtls": has_dtls,
    }


def _installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None
