"""What is ours: the domains that the directory is responsible for, its addresses (RFC 3261 section 16.4), and how its
telephones see it (section 16.6)."""

from __future__ import annotations

from collections.abc import Callable, Collection
from urllib.parse import quote

from voip.sip.address import Address, literal
from voip.sip.uri import SipUri

USER_SAFE = "-_.!~*'()"
"""Characters of a user part that need no escape (RFC 3261 section 25.1, unreserved)."""
Local = Callable[[Address], "tuple[str, int]"]
"""Our own host and port as seen by a remote."""


class Site:
    """`domains` are names of this directory; `is_own` says of a literal address whether it is this machine's, `ports`
    which ports we listen at. `domain`: the only one whose users are ours, "": those of all names and addresses.
    `tls_name`: the name that its certificate is for, which remotes are told over TLS; "" where that has the address."""

    def __init__(
        self,
        domains: Collection[str],
        is_own: Callable[[str], bool],
        ports: Callable[[], Collection[int]],
        local: Local,
        *,
        domain: str = "",
        tls_name: str = "",
    ) -> None:
        self.domain = _plain(domain)
        self._domains = {_plain(each) for each in domains} | ({self.domain} - {""})
        self._is_own, self._ports, self.local, self._tls_name = is_own, ports, local, tls_name

    def owns(self, uri: SipUri) -> bool:
        """Whether the users of this URI's domain are ours. A maddr that is ours is only the way to us (16.4)."""
        maddr = uri.params.get("maddr")
        if not self._is_our_port(uri) or (maddr and not self._is_our_host(maddr)):
            return False
        return _plain(uri.host) == self.domain if self.domain else bool(maddr) or self._is_our_host(uri.host)

    def is_here(self, uri: SipUri) -> bool:
        """Whether requests that are sent to this URI come here, whosever users are meant: as a Route, or a contact."""
        return self._is_our_port(uri) and self._is_our_host(uri.params.get("maddr") or uri.host)

    def _is_our_port(self, uri: SipUri) -> bool:
        return uri.port is None or uri.port in self._ports()

    def _is_our_host(self, text: str) -> bool:
        host = _plain(text)
        here = literal(host)
        return host in self._domains or (here is not None and self._is_own(str(here)))

    def user(self, name: str, remote: Address, *, direct: bool = False) -> SipUri:
        """The address of a user of ours as that remote has to call it; `direct`: the remote need not ask the DNS where
        the domain is."""
        host, port = self.local(remote)
        user = quote(name, safe=USER_SAFE)
        if not self.domain:
            return SipUri("sip", user, host, port)
        return SipUri("sip", user, self.domain, port if direct else None, {"maddr": host} if direct else {})

    def told(self, remote: Address) -> SipUri:
        """Where that remote reaches us over the transport that it uses, for Via and Record-Route."""
        host, port = self.local(remote)
        if remote.protocol == "tls" and self._tls_name:
            host = self._tls_name
        return SipUri("sip", None, host, port, {"transport": remote.protocol, "lr": None})


def _plain(host: str) -> str:
    return host.casefold().rstrip(".")
