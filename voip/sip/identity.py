"""Who and where we are: our URIs, Contact and Via for each remote, and the address that it sees us at (RFC 3581)."""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Callable

from voip.ip import MAX_PORT
from voip.sip.address import SIP_PORT, Address, literal
from voip.sip.headers import BRANCH_COOKIE, Via
from voip.sip.uri import SipUri

TOKEN_BITS = 64
"""Of tags and branches: an attacker off the path cannot name our dialogs and transactions (19.3)."""
MAX_SEEN = 64
"""Remotes that are remembered to see us elsewhere."""
ANONYMOUS = "anonymous"
"""The user part of an address that is not to say anything (8.1.1.3)."""
MAX_USER = 40
"""Characters of a user part made of a name."""
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9_.-]+")
Local = Callable[[Address], "tuple[str, int]"]
"""Our own host and port as a remote reaches them."""


def user_part(name: str) -> str:
    """A name of a person or machine as the user part of a SIP address: letters, digits and `-_.`, without accents; ""
    where nothing is left of it."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return _NOT_PLAIN.sub("-", plain).strip("-.")[:MAX_USER]


def random_token(rng: random.Random, bits: int = TOKEN_BITS) -> str:
    """Random hex digits."""
    return f"{rng.getrandbits(bits):0{bits // 4}x}"


class Identity:
    """Our name, and our address as each remote has to know it.

    `account` is who we are to those we call, if there is one; `always_behind_nat`: it is known that there is a NAT,
    whatever address remotes see us at.
    """

    def __init__(
        self,
        rng: random.Random,
        local: Local,
        user: str,
        *,
        account: SipUri | None = None,
        always_behind_nat: bool = False,
    ) -> None:
        self._rng, self._local, self._user = rng, local, user
        self._account, self._always_behind_nat = account, always_behind_nat
        self._seen_at: dict[Address, tuple[tuple[str, int], tuple[str, int]]] = {}
        """The address that a remote sees us at where it is another than we said, and what we said: ours may change."""

    def host_and_port(self, remote: Address) -> tuple[str, int]:
        """Our own address towards `remote`."""
        return self._local(remote)

    def own_uri(self, remote: Address) -> SipUri:
        """Our URI at our own address."""
        host, port = self._local(remote)
        return SipUri("sip", self._user, host, port)

    def caller_uri(self, remote: Address) -> SipUri:
        """Who we are to those we call: the account, else a user at this machine."""
        return self._account or self.own_uri(remote)

    def contact(self, remote: Address, *, secure: bool = False) -> str:
        """Where `remote` reaches us; `secure`: by a sips: URI, which a request to one calls for (12.1.1)."""
        uri = self.own_uri(remote)
        own, seen = self._seen_at.get(remote, (None, None))
        if seen is not None and own == (uri.host, uri.port):
            uri.host, uri.port = seen
        if secure:
            uri.scheme = "sips"
        elif remote.reliable:
            uri.params["transport"] = remote.protocol
        return f"<{uri}>"

    def via(self, remote: Address) -> str:
        """A Via with a new branch that asks for the address we are seen at (RFC 3581), and lets the other side use
        our connection for its requests (RFC 5923)."""
        alias = ";alias" if remote.reliable else ""
        sent_by = self.own_uri(remote).host_port
        branch = f"{BRANCH_COOKIE}{random_token(self._rng)}"
        return f"SIP/2.0/{remote.protocol.upper()} {sent_by};rport{alias};branch={branch}"

    def learn_address(self, remote: Address, via: Via) -> None:
        """Tell `remote` from now on the address that it sees us at, as its response says in our Via (RFC 3581).

        The port of a connection that we opened is no place to reach us at, unless the address is a NAT's.
        """
        self._seen_at.pop(remote, None)
        own = self._local(remote)
        host, port = via.received or via.host, via.rport or via.port or SIP_PORT
        behind_nat = host.lower() != via.host.lower()
        seen = literal(host)
        if seen is not None and 0 < port <= MAX_PORT and (behind_nat or not remote.reliable):
            while len(self._seen_at) >= MAX_SEEN:
                del self._seen_at[next(iter(self._seen_at))]
            if (str(seen), port) != own:
                self._seen_at[remote] = own, (str(seen), port)

    @property
    def knows_of_nat(self) -> bool:
        """Whether `behind_nat` holds for any remote."""
        return self._always_behind_nat or bool(self._seen_at)

    def behind_nat(self, remote: Address) -> bool:
        """Whether the way back from `remote` has to be kept open: it sees us elsewhere, or we know of a NAT."""
        return remote.protocol == "udp" and (self._always_behind_nat or remote in self._seen_at)
