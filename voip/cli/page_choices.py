"""What a person chooses on the page: the devices, whom to call of those on the network, and the terms of the next call.

To look for devices, or for receivers on the network, takes seconds: it is done by short-lived threads, and what they
have found is read by others as a whole.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from voip import codecs
from voip.calls import AudioStreams, CallTerms
from voip.cli.browsing import MDNS, look_around
from voip.cli.linking import DirectoryPlace, locate, tell_located
from voip.cli.options import CommonOptions, SenderOptions
from voip.cli.rates import BITRATES
from voip.cli.values import fec_choice
from voip.cli.web import asked_target, refused
from voip.cli.wiring import make_capabilities, make_send_settings
from voip.devices import Device, DeviceInfo, list_devices, open_sink, open_source
from voip.errors import VoipError
from voip.media import Direction
from voip.report import Console
from voip.sip import SipUri, parse_target
from voip.sip.neighbours import is_name, may_be_host

if TYPE_CHECKING:  # they need aiohttp
    from voip.web.program import Arguments

Way = Literal["input", "output"]
WAYS: tuple[Way, Way] = ("input", "output")
USUAL: Mapping[Way, tuple[str, str]] = {"input": ("mic", "silence"), "output": ("speaker", "null")}
"""What can be chosen besides the devices of the list: the system's choice, and none."""
LONGEST_FEC = 60
"""Characters of a pattern that the page may ask for."""


@dataclass(frozen=True)
class Offered:
    """A device of the list, as `--input` or `--output` names it."""

    spec: str
    name: str
    usual: bool


@dataclass(frozen=True)
class Search:
    """What was looked for: whether that goes on, what was found, and why nothing could be."""

    running: bool = False
    done: bool = False
    error: str | None = None
    found: tuple[Mapping[str, Any], ...] = field(default_factory=tuple)


class Choices:
    """Devices and targets to choose from. Commands come from one thread; any may read `state`."""

    def __init__(self, options: CommonOptions, streams: AudioStreams, console: Console) -> None:
        self._options, self._streams, self._console = options, streams, console
        self._devices: dict[Way, tuple[Offered, ...]] = {"input": (), "output": ()}
        self._looked, self._heard = Search(), Search()
        self._opening: dict[Way, bool] = {"input": False, "output": False}
        self._failed: dict[Way, str | None] = {"input": None, "output": None}
        self._names: dict[str, SipUri] = {}

    @property
    def state(self) -> dict[str, Any]:
        """For the page."""
        listed = {way: [asdict(each) for each in self._devices[way]] for way in WAYS}
        used = {"input": self._streams.input_device, "output": self._streams.output_device}
        return {
            "devices": {way: _device_state(used[way], self._failed[way], opening=self._opening[way]) for way in WAYS},
            "listed": listed | {"running": self._looked.running, "error": self._looked.error},
            "heard": asdict(self._heard),
        }

    # --- devices ------------------------------------------------------------------------------------------------------

    def look_for_devices(self, asked: Arguments) -> None:
        """List what there is; the state has it later."""
        if not self._looked.running:
            self._looked = Search(running=True)
            _beside(self._list_devices)

    def change_device(self, asked: Arguments) -> None:
        """Use another device, as soon as it is open; CommandRefused for what is not in the list."""
        way, spec = asked.get("way"), str(asked.get("device", ""))
        if way not in WAYS:
            raise refused("a device is for input or output")
        if spec not in (*USUAL[way], *(each.spec for each in self._devices[way])):
            raise refused("no such device in the list")
        if not self._streams.can_change(way):
            raise refused("this sound cannot be changed while the program runs")
        if self._opening[way]:
            raise refused("a device is being opened")
        self._opening[way], self._failed[way] = True, None
        _beside(partial(self._open, way, spec))

    def _list_devices(self) -> None:
        try:
            found = list_devices(quiet=self._options.hides_library_noise)
        except VoipError as error:
            self._looked = Search(done=True, error=str(error))
            return
        self._devices = {
            "input": tuple(_offered(each, "mic", each.default_input) for each in found if each.inputs),
            "output": tuple(_offered(each, "speaker", each.default_output) for each in found if each.outputs),
        }
        self._looked = Search(done=True)

    def _open(self, way: Way, spec: str) -> None:
        quiet = self._options.hides_library_noise
        try:
            if way == "input":
                self._streams.change_input(open_source(spec, endless=True, quiet=quiet), partial(self._use, way))
            else:
                self._streams.change_output(open_sink(spec, quiet=quiet), partial(self._use, way))
        except VoipError as error:
            self._failed[way] = str(error)
            self._console.event("device-failed", f"{way}: {error}", way=way, error=str(error))
        finally:
            self._opening[way] = False

    def _use(self, way: Way, before: Device) -> None:  # the thread of the device
        _beside(before.close)  # which may wait for a sound server
        device = self._streams.input_device if way == "input" else self._streams.output_device
        description = "" if device is None else device.description
        text = f"{'sound is now taken from' if way == 'input' else 'sound now goes to'} {description}"
        self._console.event("device-changed", text, way=way, description=description)

    # --- the next call ------------------------------------------------------------------------------------------------

    def browse(self, asked: Arguments) -> None:
        """Listen to who announces itself on the network, and ask the directory; the state has them later."""
        if not self._heard.running:
            self._heard = replace(self._heard, running=True)
            _beside(self._browse)

    def _browse(self) -> None:
        try:
            found, problems = look_around(self._options, pause=_pause)
        except VoipError as error:
            self._heard = Search(done=True, error=str(error))
            return
        self._names = {each.name.casefold(): each.uri for each in reversed(found) if each.by == MDNS}
        told = tuple({"name": each.name, "uri": str(each.uri), "by": each.by, "facts": each.shown} for each in found)
        self._heard = Search(done=True, error="; ".join(problems) or None, found=told)

    def find(self, asked: Arguments, use: Callable[[SipUri], object]) -> None:
        """Whom the page asks to call: `use` is given the address, later and by another thread where the directory is
        asked for a name. CommandRefused for what is neither a name nor an address."""
        text, place = str(asked.get("target", "")).strip(), self._options.directory
        if place is not None and is_name(text):
            _beside(partial(self._locate, place, text, use))
        else:
            use(self._names.get(text.casefold()) or asked_target(asked))

    def _locate(self, place: DirectoryPlace, name: str, use: Callable[[SipUri], object]) -> None:
        """At the directory, else on the local network as it was heard last, else in the DNS."""
        found = locate(place, self._options.tls, name, _pause)
        if isinstance(found, SipUri):
            tell_located(self._console, name, found, "directory", f"by the directory {place.url}")
            use(found)
            return
        uri = self._names.get(name.casefold())
        if uri is None and not may_be_host(name):
            self._console.event("failed", found.reason, error=found.reason)
            return
        self._console.say(0, f"{found.reason}; looking elsewhere")
        use(uri or parse_target(name))

    @property
    def codecs(self) -> list[str]:
        """Those that a call can be made with here."""
        return [name for name in codecs.NAMES if codecs.missing(name) is None]

    def terms(self, asked: Arguments) -> CallTerms | None:
        """What the next call is made with, where the page chooses; None for what the options say. CommandRefused."""
        codec, fec = str(asked.get("codec") or ""), str(asked.get("fec") or "")
        bitrate = asked.get("bitrate")
        if not codec and not fec and bitrate is None:
            return None
        options: CommonOptions = self._options
        if codec:
            if codec not in self.codecs:
                raise refused("no such codec here")
            options = replace(options, codecs=(codec,))
        if bitrate is not None:
            options = replace(options, bitrate=_checked_rate(bitrate))
        if fec:
            options = _with_fec(options, fec)
        try:
            capabilities = make_capabilities(options, Direction.SENDRECV, self._streams.input_device)
        except (VoipError, ValueError) as error:
            raise refused(str(error)) from error
        return CallTerms(capabilities, make_send_settings(options))

    def check_device(self) -> None:
        """CommandRefused while there is nothing to send: a call would be silent."""
        device = self._streams.input_device
        problem = getattr(device, "problem", "")
        if isinstance(self._options, SenderOptions) and problem:
            raise refused(problem)


def _checked_rate(bitrate: object) -> int:
    low, high = BITRATES
    if isinstance(bitrate, bool) or not isinstance(bitrate, int | float) or not low <= bitrate <= high:
        raise refused(f"a bit rate is from {low / 1e3:g} to {high / 1e3:g} kbit/s")
    return round(bitrate)


def _with_fec(options: CommonOptions, text: str) -> CommonOptions:
    if len(text) > LONGEST_FEC:
        raise refused("that is too long for a pattern of FEC")
    try:
        return replace(options, fec=fec_choice(text))
    except argparse.ArgumentTypeError as error:
        raise refused(f"FEC: {error}") from error


def _device_state(device: Device | None, failed: str | None, *, opening: bool) -> dict[str, Any] | None:
    """How a device is, and why the one that was chosen last is not used; None where there is none in this direction."""
    if device is None:
        return None
    problem = getattr(device, "problem", "") or None
    return {
        "description": device.description,
        "available": device.available,
        "problem": problem,
        "failed": failed,
        "opening": opening,
    }


def _offered(device: DeviceInfo, word: str, usual: bool) -> Offered:
    return Offered(f"{word}:{device.index}", device.name, usual)


def _beside(work: Callable[[], object]) -> None:
    """Have it done by a thread of its own, which the program does not wait for at its end."""
    threading.Thread(target=work, name="page", daemon=True).start()


def _pause(seconds: float) -> bool:
    time.sleep(seconds)
    return False
