"""The errors that cross module boundaries, and the exit codes they end in; everything else that is raised is a bug."""

EXIT_OK, EXIT_BUG, EXIT_USAGE, EXIT_DEVICE, EXIT_NETWORK = 0, 1, 2, 3, 4
EXIT_NO_ANSWER, EXIT_REJECTED, EXIT_AUTHENTICATION, EXIT_NO_MEDIA, EXIT_INTERRUPTED = 5, 6, 7, 8, 130


class VoipError(Exception):
    """Base of all errors of this package. Its text is one line that a user can act on."""


class ProtocolError(VoipError):
    """Bytes from a peer that do not follow their standard; the receiver counts and drops them."""


class NegotiationError(VoipError):
    """Offer and answer have nothing in common (RFC 3264); carries the SIP status to refuse the call with."""

    def __init__(self, text: str, status: int = 488) -> None:
        super().__init__(text)
        self.status = status


class DeviceError(VoipError):
    """A sound device or file cannot be opened or has failed; says what exists instead.

    `may_come`: it is not there, or in use, and may be opened later.
    """

    def __init__(self, text: str, *, may_come: bool = False) -> None:
        super().__init__(text)
        self.may_come = may_come


class Stopped(VoipError):
    """The user, or the system, has told the program to end before it was ready."""


class NetworkError(VoipError):
    """An address, a port or a connection that cannot be used; says what to do."""
