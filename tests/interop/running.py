"""Many cells at once, each in a folder of its own; what they show, as JSON."""

from __future__ import annotations

import contextlib
import json
import shutil
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tests.interop import baresip, judgement, linphone, ours, sipp
from tests.interop.cells import PROXIED, TOOLS, Cell
from tests.interop.phone import Certificates, Phone, certificates
from tests.interop.proxy import OurReceiver, Proxy, proxy
from tests.interop.scenes import Findings, phone_scene
from tests.interop.streams import RATES as STREAM_RATES
from tests.interop.streams import stream_scene

AT_ONCE = 7
"""Cells that run at a time: each mostly waits for sound to pass, on two processors."""
RATES = {"opus": 48_000, "l16": 16_000, "g722": 16_000, "pcmu": 8_000, "pcma": 8_000, "aac": 48_000}
"""Of what is said where the peer leaves the choice."""
PASSED, FAILED, EMPTY = "passed", "failed", "empty"


@dataclass(frozen=True)
class Result:
    """What became of a cell. `there` and `back` are what the peer heard of us and we of it: dB or PESQ, infinite as
    "exact"; `reason` says why it is empty or failed; `held` why hold was not tried; `seconds` it took;
    `again`: it had failed among the others, and this is what it did alone."""

    name: str
    peer: str
    who: str
    codec: str
    transport: str
    state: str
    reason: str = ""
    there: float | str | None = None
    back: float | str | None = None
    held: str = ""
    seconds: float = 0.0
    again: bool = False


class Laboratory:
    """What all cells of a run share: a folder, certificates, a proxy, and what is said."""

    def __init__(self, folder: Path, length: float = 0.0) -> None:
        """`length`: seconds of a call; 0: as long as a cell needs."""
        self.folder, self.length = folder.resolve(), length  # programs run in folders of their own
        self.certificates: Certificates = certificates(self.folder)
        self._sounds = self.folder / "sounds"
        self._sounds.mkdir()
        self._lock = threading.Lock()
        self._stack = contextlib.ExitStack()
        self._proxy: Proxy | None = None

    def __enter__(self) -> Laboratory:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def run(self, cell: Cell) -> Result:
        """Play one cell."""
        if reason := cell.empty:
            return _result(cell, EMPTY, reason)
        folder = self.folder / cell.name
        if folder.exists():
            folder.rename(folder.with_name(f"{cell.name}-failed"))
        folder.mkdir()
        begun = time.monotonic()
        try:
            findings = self.play(cell, folder)
        except Exception as error:  # whatever it is: the cell has failed, and the others go on
            (folder / "traceback.txt").write_text(traceback.format_exc())
            findings = Findings(problems=[str(error)])
        state = FAILED if findings.problems else PASSED
        return _result(cell, state, "; ".join(findings.problems), findings, time.monotonic() - begun)

    def play(self, cell: Cell, folder: Path) -> Findings:
        """What happens in a cell; raises whatever goes wrong."""
        if cell.peer in TOOLS:
            return stream_scene(cell, folder, self.recording(cell.codec, STREAM_RATES[cell.codec]))
        phone, rate, channels = self.phone(cell, folder)
        try:
            with phone:
                says = self.recording(cell.codec, rate, channels)
                return phone_scene(cell, folder, self.certificates, phone, says, self.site_of(cell))
        finally:
            (folder / "peer.log").write_text(phone.log())

    def phone(self, cell: Cell, folder: Path) -> tuple[Phone, int, int]:
        """The peer, and rate and channels of what is said."""
        codec, transport = cell.codec, cell.transport
        if cell.peer in ("baresip", "kamailio+baresip"):
            _, rate, channels = baresip.FORMATS[codec]
            says = self.recording(codec, rate, channels, 2)
            site = self.site_of(cell)
            account = None if site is None else baresip.Account(f"peer-{cell.name}", site)
            return baresip.Baresip(folder, codec, transport, self.certificates, says, account), rate, channels
        if cell.peer == "kamailio":
            rate, told = RATES[codec], ours.options(cell, self.certificates)
            says = self.recording(codec, rate, seed=2)
            return OurReceiver(folder, cell.name, transport, self._site(), says, told), rate, 1
        if cell.peer == "linphonec":
            *_, rate, channels = linphone.FORMATS[codec]
            says = self.recording(codec, rate, channels, 2)
            return linphone.Linphone(folder, codec, transport, self.certificates, says), rate, channels
        assert cell.peer == "sipp"
        rate = RATES[codec]
        return sipp.SippPhone(folder, codec, transport, self.recording(codec, rate), length=self.length), rate, 1

    def site_of(self, cell: Cell) -> Proxy | None:
        """The proxy that calls of this cell go through, if any."""
        return self._site() if cell.peer in PROXIED else None

    def start_proxy(self) -> None:
        """One Kamailio and one rtpengine for all cells; they end with the thread that calls this."""
        self._proxy = self._stack.enter_context(proxy(self.folder / "proxy", self.certificates))

    def _site(self) -> Proxy:
        assert self._proxy is not None, "the proxy was not started"
        return self._proxy

    def recording(self, codec: str, rate: int, channels: int = 1, seed: int = 1) -> Path:
        """Something to say, made when it is first wanted."""
        with self._lock:
            return judgement.recording(self._sounds, codec, rate, channels, seed)


def run_cells(
    cells: Sequence[Cell], folder: Path, told: Callable[[Result], None], *, at_once: int = AT_ONCE
) -> list[Result]:
    """Play them, several at once, and what fails once more, alone. `told` hears of each. Results in their order."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)

    def play(cell: Cell) -> Result:
        result = laboratory.run(cell)
        told(result)
        return result

    with Laboratory(folder) as laboratory:
        if any(cell.peer in PROXIED for cell in cells):
            laboratory.start_proxy()
        with ThreadPoolExecutor(at_once) as pool:
            results = dict(zip(cells, pool.map(play, cells), strict=True))
        for cell, result in results.items():  # a machine that stood still is no fault of the peer's, or ours
            if result.state == FAILED:
                results[cell] = replace(play(cell), again=True)
    return list(results.values())


def store(file: Path, results: Sequence[Result]) -> None:
    """Write them as JSON."""
    file.write_text(json.dumps([asdict(result) for result in results], indent=1) + "\n")


def load_results(file: Path) -> list[Result]:
    """The results that were stored."""
    return [Result(**row) for row in json.loads(file.read_text())]


def _result(cell: Cell, state: str, reason: str, findings: Findings | None = None, seconds: float = 0.0) -> Result:
    found = findings or Findings()
    return Result(
        name=cell.name,
        peer=cell.peer,
        who=cell.who,
        codec=cell.codec,
        transport=cell.transport,
        state=state,
        reason=reason,
        there=_figure(found.there),
        back=_figure(found.back),
        held=found.held,
        seconds=round(seconds, 1),
    )


def _figure(value: float | None) -> float | str | None:
    if value is None:
        return None
    return "exact" if value == float("inf") else round(value, 2)
