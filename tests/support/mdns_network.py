"""A local network in the place of the package zeroconf: what is announced on it is heard at once, by all.

network = MdnsNetwork()
Announcement("kitchen", {"udp": 5060}, {}, library=network.library, ...)
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import ModuleType, SimpleNamespace
from typing import cast


class StateChange(enum.Enum):
    Added = 1
    Removed = 2
    Updated = 3


class IPVersion(enum.Enum):
    V4Only = 1
    V6Only = 2
    All = 3


class Error(Exception):
    """What the library raises."""


@dataclass
class Info:
    """One announced service, as the library has it."""

    type: str
    name: str
    port: int | None = None
    properties: Mapping[object, object] = field(default_factory=dict)
    server: str = ""
    parsed_addresses: Sequence[str] = ()
    priority: int = 0
    weight: int = 0

    def is_expired(self, now: float) -> bool:
        """As the SRV record of it in a cache."""
        return False

    def parsed_scoped_addresses(self) -> list[str]:
        return list(self.parsed_addresses)


Handler = Callable[..., None]


class MdnsNetwork:
    """`refuses`: the versions of IP that cannot be opened; `silent`: nothing can be registered; `late`: the responses
    to the first probes of each service come when the name has been taken."""

    def __init__(self, *, refuses: Sequence[IPVersion] = (), silent: bool = False, late: bool = False) -> None:
        self.refuses, self.silent, self.late = refuses, silent, late
        self.services: list[Info] = []
        self.stale: list[Info] = []  # gone without a goodbye: in the caches until the name is announced anew
        self.updates: list[str] = []
        self.looks = 0
        self.goodbyes: list[str] = []
        self.opened: list[dict[str, object]] = []
        self.handlers: list[tuple[list[str], Handler]] = []
        self.closed = 0

    @property
    def announced(self) -> dict[str, Info]:
        """By name; the newest of those that have the same."""
        return {info.name: info for info in self.services}

    @property
    def library(self) -> ModuleType:
        def make_info(kind: str, name: str, **values: object) -> Info:
            return Info(kind, name, **values)  # type: ignore[arg-type]

        def browse(zone: Zone, types: list[str], handlers: list[Handler]) -> None:
            for handler in handlers:
                self.handlers.append((types, handler))
            for info in list(self.services):
                self.tell(info, StateChange.Added)

        stand_in = SimpleNamespace(
            Zeroconf=lambda **options: Zone(self, options),
            ServiceInfo=make_info,
            ServiceBrowser=browse,
            ServiceStateChange=StateChange,
            IPVersion=IPVersion,
            InterfaceChoice=SimpleNamespace(All="all interfaces"),
            Error=Error,
            DNSService=Info,
            current_time_millis=lambda: 0.0,
        )
        return cast(ModuleType, stand_in)

    def add(self, info: Info) -> None:
        """Somebody announces this."""
        self.services.append(info)
        self.tell(info, StateChange.Added)

    def tell(self, info: Info, change: StateChange) -> None:
        for types, handler in self.handlers:
            if info.type in types:
                handler(zeroconf=None, service_type=info.type, name=info.name, state_change=change)


class Zone:
    """A `Zeroconf` on that network."""

    def __init__(self, network: MdnsNetwork, options: dict[str, object]) -> None:
        if options["ip_version"] in network.refuses:
            raise OSError(97, "Address family not supported by protocol")
        self._network, self._own, self._probed = network, list[Info](), set[str]()
        self.cache = SimpleNamespace(entries_with_name=self._entries)
        self.loop = SimpleNamespace(call_soon_threadsafe=lambda act, *arguments: act(*arguments))
        self.registry = SimpleNamespace(async_remove=self._leave)
        network.opened.append(options)

    def register_service(self, info: Info, allow_name_change: bool = False) -> None:
        if self._network.silent:
            raise Error("nothing goes out")
        name, number, announced = info.name, 2, self._network.announced
        if self._network.late and info.type not in self._probed:
            announced = {}
        self._probed.add(info.type)
        while info.name in announced:
            assert allow_name_change
            info.name = name.replace(f".{info.type}", f"-{number}.{info.type}")
            number += 1
        self._own.append(info)
        self._network.add(info)

    def _entries(self, name: str) -> list[Info]:
        self._network.looks += 1
        return [each for each in self._network.services + self._network.stale if each.name == name]

    def update_service(self, info: Info) -> None:
        self._network.stale = [each for each in self._network.stale if each.name != info.name]
        self._network.updates.append(info.name)

    def unregister_all_services(self) -> None:
        for info in self._own:
            self._network.goodbyes.append(info.name)
            self._network.tell(info, StateChange.Removed)
        self._remove(list(self._own))

    def _leave(self, infos: Sequence[Info]) -> None:
        self._network.stale += [replace(info) for info in infos]
        self._remove(infos)

    def _remove(self, infos: Sequence[Info]) -> None:
        for info in infos:
            self._network.services = [each for each in self._network.services if each is not info]
            self._own.remove(info)

    def get_service_info(self, kind: str, name: str, timeout: float) -> Info | None:
        info = self._network.announced.get(name)
        if info is None:
            return None
        raw = {str(key).encode(): str(value).encode() for key, value in info.properties.items()}
        return Info(kind, name, info.port, cast(Mapping[object, object], raw), info.server, info.parsed_addresses)

    def close(self) -> None:
        self._network.closed += 1
