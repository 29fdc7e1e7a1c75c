"""The errors that cross module boundaries; everything else that is raised is a bug."""


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
    """A sound device or file cannot be opened or has failed; says what exists instead."""
