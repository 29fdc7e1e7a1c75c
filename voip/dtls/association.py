"""One DTLS 1.2 association (RFC 6347) with the use_srtp extension (RFC 5764), by OpenSSL between memory buffers.

The only module that imports pyOpenSSL. OpenSSL repeats the last flight by a clock of its own, after 1, 2, 4 ... s (RFC
6347 section 4.2.4); `Association.library_timeout` says when it wants to be asked.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL, crypto

from voip.dtls.certificate import Certificate
from voip.dtls.records import split
from voip.errors import ProtocolError
from voip.srtp import OFFERED, MasterKey, Profile, SrtpKeys
from voip.srtp.association import Role

MTU = 1200
"""Bytes of UDP payload at most: what passes over IPv6 with a tunnel or two (RFC 8200 section 5: 1280 with headers)."""
DTLS_1_2 = 0xFEFD
CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES128+SHA"
"""With forward secrecy; the last for phones of before RFC 8827, whose section 6.5 demands the first."""
EXPORTER = b"EXTRACTOR-dtls_srtp"
"""The label by which keys of SRTP are made of a handshake (RFC 5764 section 4.2)."""
_NAMES = {
    Profile.AES_CM_128_HMAC_SHA1_80: b"SRTP_AES128_CM_SHA1_80",
    Profile.AEAD_AES_128_GCM: b"SRTP_AEAD_AES_128_GCM",
    Profile.AEAD_AES_256_GCM: b"SRTP_AEAD_AES_256_GCM",
}
PROFILES = {_NAMES[profile]: profile for profile in OFFERED}
"""Protection profiles by their names in OpenSSL, in the order in which they are offered."""
CHANNEL = b"EXPERIMENTAL-voip-peer-proof"
"""The label of what binds a proof of the peer to this association (RFC 5705 section 4: a private one)."""
CHANNEL_LENGTH = 32
READ_SIZE = 1 << 16
MAX_DATA = 16
"""Messages of application data that are kept until they are taken."""
COOKIE_LENGTH = 32

OnCertificate = Callable[[bytes], bool]
"""Says whether a certificate, in DER, may be the peer's."""


class HandshakeFailed(ProtocolError):
    """This association will never be established."""


class Context:
    """What the associations of one media port share: certificate, profiles, and the secret of its cookies.

    A cookie is a hash of the source of a ClientHello: only who receives at that address can return it (RFC 6347 section
    4.2.1). Nothing is kept for an address before.
    """

    def __init__(self, certificate: Certificate, secret: bytes, on_certificate: OnCertificate) -> None:
        self._secret, self._source = secret, b""
        self.certificate = certificate.der
        self._on_certificate = on_certificate
        context = SSL.Context(SSL.DTLS_METHOD)
        context.set_min_proto_version(DTLS_1_2)
        context.set_max_proto_version(DTLS_1_2)
        context.use_certificate(x509.load_der_x509_certificate(certificate.der))
        key = serialization.load_der_private_key(certificate.key, None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        context.use_privatekey(key)
        context.set_tlsext_use_srtp(b":".join(PROFILES))
        context.set_cipher_list(CIPHERS)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.set_options(SSL.OP_NO_QUERY_MTU | SSL.OP_NO_TICKET | SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_COMPRESSION)
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, self._verify)
        context.set_cookie_generate_callback(lambda connection: self._cookie())
        context.set_cookie_verify_callback(lambda connection, cookie: hmac.compare_digest(cookie, self._cookie()))
        self._context = context

    def connection(self, role: Role) -> SSL.Connection:
        """A new association in its first state."""
        connection = SSL.Connection(self._context, None)
        connection.set_ciphertext_mtu(MTU)
        if role is Role.CLIENT:
            connection.set_connect_state()
        else:
            connection.set_accept_state()
        return connection

    def speak_of(self, source: bytes) -> None:
        """Cookies are for this address from now on."""
        self._source = source

    def _cookie(self) -> bytes:
        return hmac.new(self._secret, self._source, hashlib.sha256).digest()[:COOKIE_LENGTH]

    def _verify(self, _connection: SSL.Connection, certificate: object, _error: int, depth: int, _ok: int) -> bool:
        """Self-signed is as good as any: only the fingerprint counts, and of the peer's own certificate alone."""
        if depth > 0:
            return True
        return isinstance(certificate, crypto.X509) and self._on_certificate(_der(certificate))


class Listener:
    """Answers each ClientHello by a cookie until one returns it: no state, and fewer bytes than have come."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._connection = context.connection(Role.SERVER)

    def receive(self, record: bytes, source: str) -> tuple[Association | None, list[bytes]]:
        """The association that begins with this record, or the records that ask `source` for a cookie."""
        self._context.speak_of(source.encode())
        connection = self._connection
        connection.bio_write(record)
        try:
            connection.DTLSv1_listen()
        except SSL.WantReadError:
            return None, [each for each in _outgoing(connection) if len(each) <= len(record)]
        except SSL.Error:
            self._connection = self._context.connection(Role.SERVER)
            return None, []
        self._connection = self._context.connection(Role.SERVER)
        return Association(connection, Role.SERVER, self._context.certificate), []


class Association:
    """One connection of OpenSSL. Records in and out; `keys` once the handshake is done.

    A handshake that fails raises HandshakeFailed; what is still to be sent then, an alert, `records_to_send` has.
    """

    def __init__(self, connection: SSL.Connection, role: Role, certificate: bytes) -> None:
        """`certificate`: our own, in DER."""
        self.role = role
        self.established = False
        self.closed = False
        """The peer has ended it (close_notify)."""
        self.ignored = 0
        """Records after the handshake that made no sense."""
        self._connection, self._own = connection, certificate
        self._data: list[bytes] = []

    @staticmethod
    def connect(context: Context) -> Association:
        """The client of a new association; its ClientHello is to be sent after `proceed`."""
        return Association(context.connection(Role.CLIENT), Role.CLIENT, context.certificate)

    @property
    def certificate(self) -> bytes | None:
        """The peer's certificate in DER, once it has come and its key has proved to be the peer's."""
        found = self._connection.get_peer_certificate()
        return None if found is None else _der(found)

    def proceed(self) -> None:
        """Go on with the handshake as far as what has come allows."""
        try:
            self._connection.do_handshake()
        except SSL.WantReadError:
            return
        except SSL.Error as error:
            raise HandshakeFailed(_explain(error)) from error
        self.established = True

    def receive(self, record: bytes) -> None:
        """One whole record of the peer."""
        if self.closed:
            return
        self._connection.bio_write(record)
        if not self.established:
            self.proceed()
        if self.established:
            self._read()

    def _read(self) -> None:
        """After the handshake: data, a flight of the peer again, to which OpenSSL responds, or close_notify."""
        try:
            while len(self._data) < MAX_DATA:
                self._data.append(self._connection.recv(READ_SIZE))
        except SSL.WantReadError:
            return
        except SSL.ZeroReturnError:
            self.closed = True
        except SSL.Error:
            self.ignored += 1

    def keys(self) -> SrtpKeys:
        """The keys of SRTP for our role (RFC 5764 section 4.2); HandshakeFailed without a profile in common."""
        profile = PROFILES.get(self._connection.get_selected_srtp_profile())
        if profile is None:
            raise HandshakeFailed("no protection profile of SRTP in common")
        key, salt = profile.key_length, profile.salt_length
        made = self._connection.export_keying_material(EXPORTER, 2 * (key + salt))
        client = MasterKey(made[:key], made[2 * key : 2 * key + salt])
        server = MasterKey(made[key : 2 * key], made[2 * key + salt :])
        return SrtpKeys(profile, *((client, server) if self.role is Role.CLIENT else (server, client)))

    def channel(self) -> bytes:
        """What only the two ends of this association know, both certificates included."""
        both = [hashlib.sha256(each).digest() for each in (self._own, self.certificate or b"")]
        if self.role is Role.SERVER:
            both.reverse()
        return b"".join([self._connection.export_keying_material(CHANNEL, CHANNEL_LENGTH), *both])

    def send(self, data: bytes) -> None:
        """Send application data; it may be lost."""
        try:
            self._connection.send(data)
        except SSL.Error:
            self.ignored += 1

    def take_data(self) -> list[bytes]:
        """Application data of the peer; once."""
        data, self._data = self._data, []
        return data

    def library_timeout(self) -> float | None:
        """Seconds, by the clock of OpenSSL, after which `handle_timeout` repeats a flight; None: nothing to repeat."""
        return self._connection.DTLSv1_get_timeout()

    def handle_timeout(self) -> None:
        """Repeat the last flight, if OpenSSL agrees that it is time."""
        try:
            self._connection.DTLSv1_handle_timeout()
        except SSL.Error as error:
            raise HandshakeFailed("no response to the DTLS handshake") from error

    def shut_down(self) -> None:
        """Tell the peer that it is over (close_notify)."""
        if self.established and not self.closed:
            try:
                self._connection.shutdown()
            except SSL.Error:
                self.ignored += 1

    def records_to_send(self) -> Sequence[bytes]:
        """What is to be sent now, and must be asked for after each call."""
        return _outgoing(self._connection)


def _outgoing(connection: SSL.Connection) -> list[bytes]:
    """What it has to send: a flight is shorter than READ_SIZE."""
    try:
        return split(connection.bio_read(READ_SIZE))
    except SSL.WantReadError:
        return []


def _der(certificate: crypto.X509) -> bytes:
    """By OpenSSL alone: `cryptography` refuses some of what OpenSSL reads, and only the bytes count here."""
    return crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate)


def _explain(error: SSL.Error) -> str:
    """The reason that OpenSSL gives, in its words: fixed texts, nothing of the peer's."""
    reasons = [reason for _, _, reason in error.args[0]] if error.args and isinstance(error.args[0], list) else []
    return f"DTLS: {reasons[-1]}" if reasons else "DTLS ended without a reason"
