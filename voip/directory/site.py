"""What is ours: the domains and addresses of the directory, and how its telephones see it (RFC 3261 section 16.6)."""

from __future__ import annotations

from collections.abc import Callable, Collection

from voip.sip.address import Address, literal
from voip.sip.uri import SipUri

Local = Callable[[Address], "tuple[str, int]"]
"""Our own host and port as seen by a remote."""


class Site:
    """`domains` are names of this directory; `is_own` says of a literal address whether it is this machine's, `ports`
    which ports we listen at. `tls_name`: the name that its certificate is for, which remotes are told over TLS; ""
    where that has the address."""

    def __init__(
        self,
        domains: Collection[str],
        is_own: Callable[[str], bool],
        ports: Callable[[], Collection[int]],
        local: Local,
        *,
        tls_name: str = "",
    ) -> None:
        self._domains = {domain.casefold().rstrip(".") for domain in domains}
        self._is_own, self._ports, self.local, self._tls_name = is_own, ports, local, tls_name

    def owns(self, uri: SipUri) -> bool:
        """Whether this URI names the directory, or a user of it."""
        if uri.port is not None and uri.port not in self._ports():
            return False
        target = uri.params.get("maddr") or uri.host
        host = target.casefold().rstrip(".")
        here = literal(host)
        return host in self._domains or (here is not None and self._is_own(str(here)))

    def told(self, remote: Address) -> SipUri:
        """Where that remote reaches us over the transport that it uses, for Via and Record-Route."""
        host, port = self.local(remote)
        if remote.protocol == "tls" and self._tls_name:
            host = self._tls_name
        return SipUri("sip", None, host, port, {"transport": remote.protocol, "lr": None})
