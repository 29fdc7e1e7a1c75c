"""TLS for connections (RFC 3261 section 26.2, RFC 8446): who we are, whom we trust, and the layer between the bytes of
a socket and those of its user."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from functools import cached_property

from voip.errors import VoipError

READ_SIZE = 1 << 16


@dataclass(frozen=True)
class TlsFiles:
    """PEM files: our certificate and its key, and the certificates of authorities; None: those of the system."""

    certificate: str | None = None
    key: str | None = None
    authorities: str | None = None


class Tls:
    """What is needed to begin TLS on either side. VoipError, in one line, for files that are of no use."""

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self.server = self._with_certificate(ssl.create_default_context(ssl.Purpose.CLIENT_AUTH))
        """None without a certificate: nobody can connect by TLS then."""
        if files.authorities is not None:
            _ = self.client

    @cached_property
    def client(self) -> ssl.SSLContext:
        """The certificate of the other side is verified, and that it is for the host that was asked for."""
        try:
            context = ssl.create_default_context(cafile=self._files.authorities)
        except (OSError, ssl.SSLError) as error:
            raise VoipError(f"--tls-ca {self._files.authorities}: {_trouble(error)}") from error
        return self._with_certificate(context) or context

    def _with_certificate(self, context: ssl.SSLContext) -> ssl.SSLContext | None:
        if self._files.certificate is None:
            return None
        try:
            # A key with a passphrase would have it asked for on the terminal.
            context.load_cert_chain(self._files.certificate, self._files.key, password=lambda: b"")
        except (OSError, ssl.SSLError) as error:
            raise VoipError(f"--tls-cert {self._files.certificate}: {_trouble(error)}") from error
        return context


class Plain:
    """No layer: TCP as it is."""

    established = True
    waiting = 0
    """Bytes that it has taken and not given on."""

    def begin(self) -> None:
        return

    def receive(self, data: bytes) -> bytes:
        return data

    def send(self, data: bytes) -> bytes:
        return data

    def outgoing(self) -> bytes:
        return b""

    def end(self) -> None:
        return


class TlsLayer:
    """One connection's TLS, between bytes of the wire and bytes of the user; ssl.SSLError where it cannot go on."""

    def __init__(self, context: ssl.SSLContext, server_name: str | None) -> None:
        """`server_name`: whom the certificate of the other side has to be for; None: we are the server."""
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        side = server_name is None
        self._tls = context.wrap_bio(self._in, self._out, server_side=side, server_hostname=server_name)
        self._waiting = bytearray()
        self.established = False
        """Hands have been shaken."""

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def begin(self) -> None:
        self._handshake()

    def receive(self, data: bytes) -> bytes:
        """Bytes of the wire to bytes for the user; take `outgoing` afterwards."""
        self._in.write(data)
        if not self.established:
            self._handshake()
        if not self.established:
            return b""
        found = bytearray()
        try:
            while piece := self._tls.read(READ_SIZE):
                found += piece
        except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            pass
        return bytes(found)

    def send(self, data: bytes) -> bytes:
        """Bytes of the user to bytes for the wire: nothing, as long as hands are being shaken."""
        self._waiting += data
        if self.established:
            self._write()
        return self.outgoing()

    def outgoing(self) -> bytes:
        """What is to be put on the wire."""
        return self._out.read()

    def end(self) -> None:
        """Say that no more will come."""
        if self.established:
            try:
                self._tls.unwrap()
            except ssl.SSLError:  # its answer is not waited for
                return

    def _handshake(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return
        self.established = True
        self._write()

    def _write(self) -> None:
        if self._waiting:
            self._tls.write(bytes(self._waiting))
            self._waiting.clear()


def why_no_tls(error: ssl.SSLError, name: str) -> str:
    """What went wrong with the TLS of the host `name`, and what to do."""
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = error.verify_message.rstrip(".")
        if "mismatch" in reason:
            return f"{name} shows a certificate of somebody else ({reason}): call it by the name in its certificate"
        hint = "" if "expired" in reason else "; if it is a private one, name its authority with --tls-ca FILE"
        return f"the certificate of {name} cannot be trusted ({reason}){hint}"
    if error.reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST"):
        return f"{name} does not speak TLS at this port"
    return f"no TLS with {name}: {(error.reason or 'refused').lower().replace('_', ' ')}"


def _trouble(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return "no certificate and key in PEM that belong together" if error.reason else "not in PEM"
    return error.strerror or str(error)
