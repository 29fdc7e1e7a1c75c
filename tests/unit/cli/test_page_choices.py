"""What can be chosen on the page, and what is refused: devices that are not in the list, terms that cannot be."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from typing import Any

import pytest

from voip import cli
from voip.calls import AudioStreams
from voip.cli import browsing, page_choices
from voip.cli.linking import NotFound, Person
from voip.cli.page_choices import Choices
from voip.devices import ChangeableSource, DeviceInfo, Source, open_source
from voip.engine import Capture
from voip.errors import DeviceError, NetworkError, VoipError
from voip.fec import parse_pattern
from voip.report import Console
from voip.sip import SipUri
from voip.sip.neighbours import SERVICES, Neighbour

PATIENCE = 10.0
CARD = DeviceInfo(3, "USB <b>", "ALSA", 1, 0, 48000, 0.0, 0.0, True, False)


def choices(source: Source | None = None, *arguments: str) -> tuple[Choices, Capture, Console]:
    options = cli.sender_options(["--web", "0", "--input", "silence", *arguments])
    console = Console(time.monotonic, talk=io.StringIO())
    capture = Capture(source or ChangeableSource(open_source("silence", endless=True)))
    return Choices(options, AudioStreams(lambda *posted: None, console, capture=capture), console), capture, console


def wait(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_nothing_chosen_is_what_the_options_say() -> None:
    assert choices()[0].terms({"target": "x", "codec": "", "fec": "", "bitrate": None}) is None


def test_codec_bit_rate_and_fec_are_of_that_call() -> None:
    found = choices()[0].terms({"codec": "opus", "bitrate": 32000, "fec": "4"})
    assert found is not None
    assert {codec.label for codec in found.capabilities.codecs} == {"opus"}
    assert {codec.bitrate for codec in found.capabilities.codecs} == {32000}
    assert found.send_as.fec == parse_pattern("4")
    off = choices()[0].terms({"fec": "off"})
    assert off is not None
    assert (off.capabilities.fec, off.send_as.fec) == (False, None)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"codec": "mp3"}, "no such codec"),
        ({"codec": ["opus"]}, "no such codec"),
        ({"bitrate": 1}, "6 to 510 kbit/s"),
        ({"bitrate": True}, "6 to 510 kbit/s"),
        ({"bitrate": "24k"}, "6 to 510 kbit/s"),
        ({"bitrate": float("nan")}, "6 to 510 kbit/s"),
        ({"fec": "sliding:"}, "FEC"),
        ({"fec": "4" * 100}, "too long"),
    ],
)
def test_terms_that_cannot_be_are_refused_in_words(asked: dict[str, object], words: str) -> None:
    with pytest.raises(VoipError, match=words):
        choices()[0].terms(asked)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"way": "input", "device": "mic:9"}, "in the list"),
        ({"way": "input", "device": "/etc/passwd"}, "in the list"),
        ({"way": "output", "device": "x.wav"}, "in the list"),
        ({"way": "up", "device": "mic"}, "input or output"),
        ({"way": "output", "device": "null"}, "cannot be changed"),
    ],
)
def test_a_page_can_name_no_device_that_is_not_in_the_list_and_no_file(asked: dict[str, object], words: str) -> None:
    found, _, console = choices()
    with pytest.raises(VoipError, match=words):
        found.change_device(asked)
    assert console.recent.since(0) == []


def test_a_device_of_the_list_is_used_from_then_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_choices, "list_devices", lambda *, quiet: [CARD])
    monkeypatch.setattr(page_choices, "open_source", lambda spec, **how: open_source("tone", endless=True))
    found, capture, console = choices()
    found.look_for_devices({})
    wait(lambda: not found.state["listed"]["running"])
    assert found.state["listed"]["input"] == [{"spec": "mic:3", "name": "USB <b>", "usual": True}]
    assert found.state["listed"]["output"] == []
    found.change_device({"way": "input", "device": "mic:3"})
    wait(lambda: not found.state["devices"]["input"]["opening"])
    capture._mailbox.run()
    assert capture.source.description.startswith("tone")
    assert [event["event"] for _, event in console.recent.since(0)] == ["device-changed"]


def test_a_device_that_cannot_be_opened_is_said_and_the_one_before_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(spec: str, **how: object) -> Source:
        raise DeviceError("the microphone is in use")

    monkeypatch.setattr(page_choices, "open_source", fail)
    found, capture, console = choices()
    found.change_device({"way": "input", "device": "mic"})
    wait(lambda: not found.state["devices"]["input"]["opening"])
    capture._mailbox.run()
    assert capture.source.description.startswith("silence")
    assert found.state["devices"]["input"]["failed"] == "the microphone is in use"
    ((_, event),) = console.recent.since(0)
    assert (event["event"], event["text"]) == ("device-failed", "input: the microphone is in use")


def test_without_a_microphone_no_call_is_begun() -> None:
    missing = ChangeableSource(open_source("silence", endless=True), "no microphone found")
    with pytest.raises(VoipError, match="no microphone found"):
        choices(missing)[0].check_device()
    assert choices(missing)[0].state["devices"]["input"]["problem"] == "no microphone found"
    choices()[0].check_device()


HEARD = [
    Neighbour("Kitchen <b>", SERVICES["udp"], ("192.0.2.7",), 5060, {"codecs": "opus", "other": "x"}),
    Neighbour("Kitchen <b>", SERVICES["tls"], ("192.0.2.7",), 5061, {}),
]


def search(found: Choices) -> Any:  # noqa: ANN401
    """What the page is told of a search when that is over."""
    found.browse({})
    wait(lambda: not found.state["heard"]["running"])
    return found.state["heard"]


def called(found: Choices, target: str) -> str:
    """The address that is called for what a person has typed."""
    used: list[SipUri] = []
    found.find({"target": target}, used.append)
    wait(lambda: used)
    return str(used[0])


def test_receivers_of_the_network_are_found_when_asked_for_and_called_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browsing, "hear", lambda options, pause: HEARD)
    found, _, _ = choices()
    assert called(found, "kitchen") == "sip:kitchen"
    first, second = search(found)["found"]
    assert first == {"name": "Kitchen <b>", "uri": "sip:192.0.2.7:5060", "by": "mdns", "facts": {"codecs": "opus"}}
    assert second["uri"] == "sips:192.0.2.7:5061"
    assert called(found, " KITCHEN <b> ") == "sip:192.0.2.7:5060"


def test_a_network_that_cannot_be_listened_to_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browsing, "hear", fails)
    assert search(choices()[0])["error"] == "multicast DNS does not work here"


def fails(options: object, pause: object) -> list[Neighbour]:
    raise NetworkError("multicast DNS does not work here")


def at_directory(monkeypatch: pytest.MonkeyPatch, *people: Person) -> Choices:
    """With a directory that knows these, and nobody else."""

    def locate(place: object, tls: object, name: str, pause: object) -> SipUri | NotFound:
        known = next((each.uri for each in people if each.name.casefold() == name.casefold()), None)
        return known or NotFound(f"the directory does not know {name}")

    monkeypatch.setattr(browsing, "people", lambda place, tls, pause: list(people))
    monkeypatch.setattr(page_choices, "locate", locate)
    return choices(None, "--directory", "dir.example")[0]


def test_names_of_the_directory_are_offered_beside_those_of_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("aiohttp")
    monkeypatch.setattr(browsing, "hear", lambda options, pause: HEARD[:1])
    found = at_directory(monkeypatch, Person("Bob", "idle", SipUri.parse("sip:bob@192.0.2.8:5060")))
    told = search(found)
    assert [(each["name"], each["by"]) for each in told["found"]] == [("Kitchen <b>", "mdns"), ("Bob", "directory")]
    assert told["found"][1]["facts"] == {"status": "idle"}
    assert told["error"] is None


def test_either_of_the_two_is_offered_where_the_other_does_not_work(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("aiohttp")
    monkeypatch.setattr(browsing, "hear", fails)
    found = at_directory(monkeypatch, Person("Bob", "idle", SipUri.parse("sip:bob@192.0.2.8:5060")))
    told = search(found)
    assert [each["name"] for each in told["found"]] == ["Bob"]
    assert told["error"] == "multicast DNS does not work here"
    monkeypatch.setattr(browsing, "hear", lambda options, pause: HEARD[:1])
    monkeypatch.setattr(browsing, "people", lambda place, tls, pause: NotFound("the directory does not answer"))
    told = search(found)
    assert [each["name"] for each in told["found"]] == ["Kitchen <b>"]
    assert told["error"] == "the directory does not answer"
    monkeypatch.setattr(browsing, "hear", fails)
    assert search(found)["error"] == "the directory does not answer; multicast DNS does not work here"


def test_a_typed_name_is_asked_of_the_directory_first(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("aiohttp")
    monkeypatch.setattr(browsing, "hear", lambda options, pause: HEARD)
    found = at_directory(monkeypatch, Person("Bob", "idle", SipUri.parse("sip:bob@192.0.2.8:5060")))
    assert called(found, "bob") == "sip:bob@192.0.2.8:5060"  # without a search
    assert called(found, "192.0.2.1") == "sip:192.0.2.1"
    assert called(found, "attic") == "sip:attic"
    search(found)
    assert called(found, "kitchen <b>") == "sip:192.0.2.7:5060"


def test_a_name_that_nobody_knows_is_said_on_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("aiohttp")
    found = at_directory(monkeypatch)
    used: list[SipUri] = []
    found.find({"target": "Anna's desk"}, used.append)
    wait(lambda: found._console.recent.since(0))
    ((_, event),) = found._console.recent.since(0)
    assert (event["event"], event["text"]) == ("failed", "the directory does not know Anna's desk")
    assert used == []
