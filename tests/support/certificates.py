"""Certificates for tests, made by openssl: an authority of our own, and what it says about this machine."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

NAMES = "DNS:localhost,IP:127.0.0.1"
DAYS = "2"


@dataclass(frozen=True)
class Certificates:
    """PEM files: the authority's certificate; one for localhost and 127.0.0.1, and its key."""

    authority: Path
    certificate: Path
    key: Path

    @property
    def server(self) -> tuple[str, ...]:
        """The options of who can be called over TLS."""
        return "--tls-cert", str(self.certificate), "--tls-key", str(self.key)

    @property
    def client(self) -> tuple[str, ...]:
        """The options of who trusts the authority."""
        return "--tls-ca", str(self.authority)


def make_certificates(folder: Path, names: str = NAMES) -> Certificates:
    """An authority and a certificate of its for `names` (subjectAltName)."""
    authority, authority_key = folder / "authority.pem", folder / "authority.key"
    certificate, key, request = folder / "certificate.pem", folder / "certificate.key", folder / "request.pem"
    extensions = folder / "extensions"
    lines = [f"subjectAltName={names}", "basicConstraints=CA:FALSE", "authorityKeyIdentifier=keyid"]
    extensions.write_text("\n".join([*lines, "subjectKeyIdentifier=hash", ""]))
    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    usage = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")  # Python 3.13 insists on it
    about = ("-days", DAYS, "-subj", "/CN=tests", *usage)
    _openssl("req", "-x509", *new_key, "-keyout", authority_key, "-out", authority, *about)
    _openssl("req", *new_key, "-keyout", key, "-out", request, "-subj", "/CN=under test")
    signing = ("-CA", authority, "-CAkey", authority_key, "-CAcreateserial", "-extfile", extensions)
    _openssl("x509", "-req", "-in", request, *signing, "-out", certificate, "-days", DAYS)
    return Certificates(authority, certificate, key)


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
