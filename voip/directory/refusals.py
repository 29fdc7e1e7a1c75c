"""Why the directory refuses what it is asked for, with the status of HTTP (RFC 9110 section 15.5) that says so."""

from __future__ import annotations

from voip.errors import ProtocolError

BAD_REQUEST, FORBIDDEN, NOT_FOUND, CONFLICT, UNAVAILABLE = 400, 403, 404, 409, 503


class Refusal(ProtocolError):
    """The text is for the person who asked. An error of a peer: it ends nothing where nobody waits for it."""

    status = BAD_REQUEST


class BadRequest(Refusal):
    """A field is missing, or has no value that makes sense."""


class Forbidden(Refusal):
    """The name belongs to another: its password is needed."""

    status = FORBIDDEN


class Unknown(Refusal):
    """There is no such user, or call, as far as the one who asks may know."""

    status = NOT_FOUND


class WrongState(Refusal):
    """Not possible now: the call, or the user, is in another state."""

    status = CONFLICT


class NotStored(Refusal):
    """The database does not take it: a disk is full, a server gone."""

    status = UNAVAILABLE
