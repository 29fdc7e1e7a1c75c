"""TLS for connections (RFC 3261 section 26.2, RFC 8446): our certificate, trusted authorities, and a layer between the
bytes of a socket and those of its user."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from voip.errors import VoipError

READ_SIZE = 1 << 16


@dataclass(frozen=True)
class TlsFiles:
    """PEM files: our certificate and its key; certificates of trusted authorities (None: those of the system)."""

    certificate: str | None = None
    key: str | None = None
    authorities: str | None = None


class Tls:
    """The TLS contexts of both roles. VoipError, in one line, for unusable files."""

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self.server = self._with_certificate(ssl.create_default_context(ssl.Purpose.CLIENT_AUTH))
        """The context for incoming connections; None without a certificate: TLS connections are not accepted."""
        if files.authorities is not None:
            _ = self.client

    @cached_property
    def client(self) -> ssl.SSLContext:
        """The context for outgoing connections: the certificate of the server and its host name are verified."""
        try:
            context = ssl.create_default_context(cafile=self._files.authorities)
        except (OSError, ssl.SSLError) as error:
            raise VoipError(f"--tls-ca {self._files.authorities}: {_explain_file_error(error)}") from error
        return self._with_certificate(context) or context

    def _explain_certificate(self, error: OSError) -> str:
        certificate, key = self._files.certificate or "", self._files.key
        if key is None and _holds(certificate, b"CERTIFICATE--") and not _holds(certificate, b"PRIVATE KEY--"):
            return f"--tls-cert {certificate}: it holds no private key; name the file that does by --tls-key"
        if key is not None and isinstance(error, FileNotFoundError) and _holds(certificate, b""):
            return f"--tls-key {key}: {_explain_file_error(error)}"
        return f"--tls-cert {certificate}: {_explain_file_error(error)}"

    def _with_certificate(self, context: ssl.SSLContext) -> ssl.SSLContext | None:
        if self._files.certificate is None:
            return None
        try:
            # Without this, OpenSSL would ask for a passphrase on the terminal.
            context.load_cert_chain(self._files.certificate, self._files.key, password=lambda: b"")
        except (OSError, ssl.SSLError) as error:
            raise VoipError(self._explain_certificate(error)) from error
        return context


class Plain:
    """Plain TCP, with the interface of `TlsLayer`."""

    established = True
    waiting = 0
    """Bytes taken by `send` and not yet passed on."""

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
    """The TLS of one connection, between bytes of the wire and bytes of the user. ssl.SSLError when it fails."""

    def __init__(self, context: ssl.SSLContext, server_name: str | None) -> None:
        """`server_name`: the name that the certificate of the server has to be for; None: we are the server."""
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        side = server_name is None
        self._tls = context.wrap_bio(self._in, self._out, server_side=side, server_hostname=server_name)
        self._waiting = bytearray()
        self.established = False
        """The handshake is complete."""

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def begin(self) -> None:
        self._handshake()

    def receive(self, data: bytes) -> bytes:
        """Turn bytes of the wire into bytes for the user; send `outgoing` afterwards."""
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
        """Turn bytes of the user into bytes for the wire: none during the handshake."""
        self._waiting += data
        if self.established:
            self._write()
        return self.outgoing()

    def outgoing(self) -> bytes:
        """Bytes to send."""
        return self._out.read()

    def end(self) -> None:
        """Send close_notify (RFC 8446 section 6.1)."""
        if self.established:
            try:
                self._tls.unwrap()
            except ssl.SSLError:  # the close_notify of the peer is not awaited
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


def _holds(file: str, what: bytes) -> bool:
    """Whether there is such a file, with this in it."""
    try:
        return what in Path(file).read_bytes()
    except OSError:
        return False


def explain_tls_error(error: ssl.SSLError, name: str) -> str:
    """Why TLS with the host `name` failed, in one line that says what to do."""
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = error.verify_message.rstrip(".")
        if "mismatch" in reason:
            return f"{name} has a certificate for another name ({reason}): call it by the name in its certificate"
        hint = "" if "expired" in reason else "; for a private CA, use --tls-ca FILE"
        return f"the certificate of {name} cannot be trusted ({reason}){hint}"
    if error.reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST"):
        return f"{name} does not use TLS on this port"
    return f"no TLS with {name}: {(error.reason or 'refused').lower().replace('_', ' ')}"


def _explain_file_error(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return "no matching certificate and key in PEM" if error.reason else "not in PEM"
    return error.strerror or str(error)
