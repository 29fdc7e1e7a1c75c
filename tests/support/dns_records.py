"""Records of a DNS that is a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from voip.sip.locate import Naptr, Srv


class Table:
    """Records of a test, and what was asked."""

    def __init__(
        self,
        hosts: Mapping[str, Sequence[str]],
        srv: Mapping[str, Sequence[Srv]] | None = None,
        naptr: Mapping[str, Sequence[Naptr]] | None = None,
    ) -> None:
        self._hosts, self._srv, self._naptr = hosts, srv or {}, naptr or {}
        self.asked: list[str] = []

    def naptr(self, name: str) -> Sequence[Naptr]:
        self.asked.append(f"NAPTR {name}")
        return self._naptr.get(name, [])

    def srv(self, name: str) -> Sequence[Srv]:
        self.asked.append(f"SRV {name}")
        return self._srv.get(name, [])

    def hosts(self, name: str) -> Sequence[str]:
        self.asked.append(name)
        return self._hosts.get(name, [])
