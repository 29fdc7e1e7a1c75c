"""Announcing and browsing on the local network: multicast DNS (RFC 6762) by the package zeroconf, imported here alone.

Questions go to the link-local multicast groups, and to nothing else: no address is tried that has not answered.
"""

from __future__ import annotations

import importlib.util
import queue
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import ModuleType, TracebackType
from typing import Any

from voip.errors import NetworkError
from voip.net.interfaces import own_hosts
from voip.net.zones import learn_zone
from voip.printable import one_line
from voip.sip.neighbours import SERVICES, Neighbour, encode_facts, instance_of, is_port, read_facts, srv_data, usable

DOMAIN = ".local."
LOOK_INTERVAL = 3.0
"""Seconds between looks at our own addresses, of which the announcement tells, and for others of our name."""
MOST_CONFLICTS = 20
"""Names that are given up: as many as come within the minute after which RFC 6762 section 9 no longer tries."""
GOODBYE_TIME = 3.0
"""Seconds that taking an announcement back may take at the end of the program."""
RESOLVE_TIME = 1.0
"""Seconds for the address of a neighbour whose name was heard; both usually come in one packet."""
BROWSE_STEP = 0.1
"""Seconds between looks at what has been heard."""
MOST_NEIGHBOURS = 200
"""Services that are looked at: a network of strangers can announce any number."""
HOST_BYTES = 4
"""Random bytes of the host name that our addresses are announced by: the one of the machine may be another program's to
announce, and two machines may have the same."""
MISSING = "zeroconf is not installed (pip install zeroconf)"


def missing() -> str | None:
    """What to install for any of this to work; None if it is there."""
    return MISSING if importlib.util.find_spec("zeroconf") is None else None


def _library() -> ModuleType:
    try:
        import zeroconf
    except ImportError:
        raise NetworkError(MISSING) from None
    return zeroconf


def _open(library: ModuleType, bind: str | None) -> Any:  # noqa: ANN401 -- of the library
    """Sockets on all interfaces, or on that of the address `bind`. NetworkError."""
    versions = [library.IPVersion.All, library.IPVersion.V4Only, library.IPVersion.V6Only]
    interfaces: object = library.InterfaceChoice.All
    if bind is not None:
        interfaces = [bind]
        versions = [library.IPVersion.V6Only if ":" in bind else library.IPVersion.V4Only]
    problems: list[Exception] = []
    for version in versions:  # a machine without one of the two has the other
        zone = _attempt(library, problems, interfaces=interfaces, ip_version=version)
        if zone is not None:
            return zone
    raise NetworkError(f"multicast DNS does not work here: {problems[0]}")


def _attempt(library: ModuleType, problems: list[Exception], **options: object) -> object | None:
    try:
        zone: object = library.Zeroconf(**options)
    except (OSError, RuntimeError, library.Error) as error:
        problems.append(error)
        return None
    return zone


class Announcement:
    """Our services, announced from `start` to `close` by a thread of its own; also anew when our addresses change.

    A name that is taken already gets a number behind it; so does ours where it turns out later that another has it,
    and its data wins (RFC 6762 sections 8.2 and 9).
    """

    def __init__(
        self,
        name: str,
        ports: Mapping[str, int],
        facts: Mapping[str, str],
        *,
        bind: str | None = None,
        on_announced: Callable[[str], object],
        say: Callable[[int, str], object],
        hosts: Callable[[], Sequence[str]] = own_hosts,
        library: ModuleType | None = None,
    ) -> None:
        """`ports`: by transport, as `SipTransport.sip_ports`. `on_announced` is told the name that was free, on our
        thread. `say` prints a line from the given verbosity on."""
        self._name, self._facts, self._bind, self._hosts = name, encode_facts(facts), bind, hosts
        self._ports = {transport: port for transport, port in ports.items() if transport in SERVICES}
        self._on_announced, self._say = on_announced, say
        self._library = library or _library()
        self._server = f"voip-{secrets.token_hex(HOST_BYTES)}{DOMAIN}"
        self._claimed: list[Any] = []  # services of the library's, as they are announced
        self._conflicts = 0
        self._stopped: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="announcing", daemon=True)

    def start(self) -> None:
        """Begin; it takes a second until others hear of it."""
        self._thread.start()

    def close(self) -> None:
        """Take it back: whoever has heard of us is told that we are gone (RFC 6762 section 10.1)."""
        self._stopped.put(None)
        self._thread.join(GOODBYE_TIME)

    def __enter__(self) -> Announcement:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def _run(self) -> None:
        told = ""
        stopped = False
        while not stopped:
            hosts = self._current_hosts()
            try:
                zone = _open(self._library, self._bind)
            except NetworkError as error:
                told = self._tell_once(told, f"not announced: {error}")
                stopped = self._is_stopped_within(LOOK_INTERVAL)
                continue
            problem = self._try_to_register(zone, hosts)
            told = self._tell_once(told, f"not announced: {problem}") if problem else ""
            stopped = self._is_stopped_within(LOOK_INTERVAL)
            while not (stopped or problem) and self._current_hosts() == hosts:
                problem = self._try_to_resolve_conflict(zone, hosts)
                told = self._tell_once(told, f"not announced: {problem}") if problem else told
                stopped = self._is_stopped_within(LOOK_INTERVAL)
            with suppress(OSError, RuntimeError, self._library.Error):
                zone.unregister_all_services()
            with suppress(OSError, RuntimeError, self._library.Error):
                zone.close()

    def _try_to_register(self, zone: Any, hosts: Sequence[str]) -> str:  # noqa: ANN401 -- of the library
        """Why it has failed, "" if it has not."""
        return self._problem_of(lambda: self._register(zone, hosts))

    def _try_to_resolve_conflict(self, zone: Any, hosts: Sequence[str]) -> str:  # noqa: ANN401 -- of the library
        """The same of another name, where ours has turned out to be another's."""
        return self._problem_of(lambda: self._resolve_conflict(zone, hosts))

    def _problem_of(self, act: Callable[[], None]) -> str:
        try:
            act()
        except (OSError, RuntimeError, self._library.Error) as error:
            return str(error) or type(error).__name__
        return ""

    def _register(self, zone: Any, hosts: Sequence[str]) -> None:  # noqa: ANN401 -- of the library
        """All services by one name: that which was free for the first of them."""
        name, self._claimed = self._name, []
        for transport, service in SERVICES.items():
            if transport not in self._ports:
                continue
            info = self._library.ServiceInfo(
                f"{service}{DOMAIN}",
                f"{name}.{service}{DOMAIN}",
                port=self._ports[transport],
                properties=self._facts,
                server=self._server,
                parsed_addresses=list(hosts),
            )
            zone.register_service(info, allow_name_change=True)
            self._claimed.append(info)
            name = instance_of(info.name, service)
        self._on_announced(name)

    def _resolve_conflict(self, zone: Any, hosts: Sequence[str]) -> None:  # noqa: ANN401 -- of the library
        """Of two of one name the one whose data is lexicographically later keeps it, and announces it again, which
        takes the other's from the caches (RFC 6762 section 10.2). The other looks for a new one.

        That one says no goodbye: its PTR record is the same as the winner's, which would go with it.
        """
        info, others = self._foreign(zone)
        if not others:
            return
        if max(others) < srv_data(info.priority, info.weight, info.port, info.server):
            for each in self._claimed:
                zone.update_service(each)
            return
        self._conflicts += 1
        if self._conflicts > MOST_CONFLICTS:
            return
        zone.loop.call_soon_threadsafe(zone.registry.async_remove, list(self._claimed))
        instance = instance_of(info.name, info.type.removesuffix(DOMAIN))
        self._say(0, f"the name {one_line(instance)} is another receiver's on this network, too: looking for a new one")
        self._register(zone, hosts)
        if self._conflicts == MOST_CONFLICTS:
            self._say(0, f"{MOST_CONFLICTS} names were another's: this one is kept whoever else has it")

    def _foreign(self, zone: Any) -> tuple[Any, list[bytes]]:  # noqa: ANN401 -- of the library
        """The first of our services by whose name another is announced, and the data of its SRV records.

        The first one decides for all, so that not each of the two loses one of them.
        """
        now = self._library.current_time_millis()
        for info in self._claimed:
            own = srv_data(info.priority, info.weight, info.port, info.server)
            records = [
                srv_data(record.priority, record.weight, record.port, record.server)
                for record in zone.cache.entries_with_name(info.name)
                if isinstance(record, self._library.DNSService) and not record.is_expired(now)
            ]
            others = [data for data in records if data != own]
            if others:
                return info, others
        return None, []

    def _current_hosts(self) -> Sequence[str]:
        hosts = list(self._hosts()) or ["127.0.0.1"]
        return hosts if self._bind is None else [self._bind]

    def _tell_once(self, told: str, text: str) -> str:
        if text != told:
            self._say(0, text)
        return text

    def _is_stopped_within(self, seconds: float) -> bool:
        with suppress(queue.Empty):
            self._stopped.get(timeout=seconds)
            return True
        return False


class Browser:
    """What is announced here, as it is heard. For one thread; `close`, or a `with` block, ends it."""

    def __init__(
        self,
        *,
        bind: str | None = None,
        own: Callable[[], Sequence[str]] = own_hosts,
        networks: Callable[[], Sequence[str]] = lambda: (),
        library: ModuleType | None = None,
    ) -> None:
        self._library = library or _library()
        self._own, self._networks = own, networks
        self._heard: queue.SimpleQueue[tuple[str, str, bool]] = queue.SimpleQueue()
        self._neighbours: dict[tuple[str, str], Neighbour] = {}
        self._zone = _open(self._library, bind)
        types = [f"{service}{DOMAIN}" for service in SERVICES.values()]
        self._browser = self._library.ServiceBrowser(self._zone, types, handlers=[self._note])

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        with suppress(OSError, RuntimeError, self._library.Error):
            self._zone.close()

    def look(
        self,
        seconds: float,
        *,
        pause: Callable[[float], bool],
        enough: Callable[[Sequence[Neighbour]], bool] = lambda found: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> list[Neighbour]:
        """All that were heard of within this time, or until that is `enough`; by name, then by service.
        `pause(seconds)` waits; True: the program is to end."""
        deadline = clock() + seconds
        while clock() < deadline and not enough(self.neighbours) and not pause(BROWSE_STEP):
            self._take_heard(deadline, clock)
        return self.neighbours

    @property
    def neighbours(self) -> list[Neighbour]:
        """Those known so far."""
        order = list(SERVICES.values())
        return sorted(self._neighbours.values(), key=lambda each: (each.name.casefold(), order.index(each.service)))

    def _note(self, zeroconf: object, service_type: str, name: str, state_change: object) -> None:
        """A thread of the library's."""
        self._heard.put((service_type, name, state_change is not self._library.ServiceStateChange.Removed))

    def _take_heard(self, deadline: float, clock: Callable[[], float]) -> None:
        while clock() < deadline:
            try:
                service_type, full_name, is_there = self._heard.get_nowait()
            except queue.Empty:
                return
            service = service_type.removesuffix(DOMAIN)
            name = instance_of(full_name, service)
            self._neighbours.pop((name, service), None)
            if is_there and len(self._neighbours) < MOST_NEIGHBOURS:
                neighbour = self._resolve(service_type, full_name, name, service)
                if neighbour is not None:
                    self._neighbours[name, service] = neighbour

    def _resolve(self, service_type: str, full_name: str, name: str, service: str) -> Neighbour | None:
        """None for one that cannot be called."""
        info = self._zone.get_service_info(service_type, full_name, timeout=1e3 * RESOLVE_TIME)
        if info is None or not is_port(info.port):
            return None
        hosts = [_without_zone(address) for address in info.parsed_scoped_addresses()]
        hosts = usable(hosts, self._own(), self._networks())
        return Neighbour(name, service, tuple(hosts), info.port, read_facts(info.properties)) if hosts else None


def _without_zone(address: str) -> str:
    """The address of a neighbour on this link; its zone is remembered."""
    host, _, zone = address.partition("%")
    if zone:
        with suppress(OSError):
            learn_zone(host, zone)
    return host
