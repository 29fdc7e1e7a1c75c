"""The page of each script in a real browser: Start, Stop, figures as in the report, no script of a peer, no barrier."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("selenium")
pytest.importorskip("aiohttp")

import numpy as np
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from tests.bench.waves import load_wave
from tests.interop.browser import Browser, browser, missing
from tests.interop.pages import page_of, sender_without_target
from tests.support.pcapng import Seen, read_capture
from tests.support.processes import free_ports, receiver, sender
from tests.support.relay import RECEIVER_ALIAS, SENDER_ALIAS, relay
from tests.support.sound import pitch
from tests.support.virtual_sound import RATE, VirtualSound, require
from tests.support.wav import load, save
from voip.devices import generate
from voip.errors import EXIT_REJECTED

pytestmark = [pytest.mark.interop, pytest.mark.process]
if not os.environ.get("CI"):
    pytestmark.append(pytest.mark.skipif(missing() is not None, reason=str(missing())))

PICTURES = Path("build/screenshots")
"""Where screenshots are kept."""
STARTS = 100
"""Calls one after the other."""
HEARD = 2.0
"""Seconds of sound that are sent."""
ENOUGH_CAPTURED = 50_000
"""Bytes of a capture: half a second of a call, both ways."""
UNDER_WAY = 2.0
"""Seconds after a BYE in which packets may still come, and reach the file."""
MOST_TABS = 12
"""Steps by keyboard from the address to the button that ends the call."""


@pytest.fixture(name="window")
def _window(tmp_path: Path) -> Iterator[Browser]:
    with browser(tmp_path) as window:
        yield window
        assert window.errors() == []


def test_a_call_is_seen_with_its_figures_and_stopped_by_a_button(tmp_path: Path, window: Browser) -> None:
    with receiver(tmp_path, "--web", "0") as listening, sender(tmp_path, listening.target) as calling:
        window.open(page_of(listening))
        window.wait_for_text(".phase", "incoming")
        window.wait_for_text(".figures", "received")
        window.wait_for_text(".charts", "Received: ")
        window.picture(PICTURES / "receiver-light.png")
        window.press("Stop")
        window.wait_for_text(".phase", "ended")
        assert calling.finish().status == 0
        seen = window.text(".figures")
        listening.stop()
        call = listening.finish().call
    assert f"{call['rx']['received']} packets" in seen
    assert call["end_reason"] == "local-bye"


def test_a_sender_waits_for_start_and_starts_and_stops_a_hundred_times(tmp_path: Path, window: Browser) -> None:
    with receiver(tmp_path) as listening:
        command = ["--web", "0", "--input", "tone", "--codec", "pcmu"]
        with sender_without_target(tmp_path, *command) as calling:
            window.open(page_of(calling))
            window.find("#target").send_keys(listening.target)
            for _ in range(STARTS):
                window.press("Start")
                window.wait_for_text(".call:not(.over) .phase", "outgoing")
                window.press("Stop")
                window.wait(lambda: not window.all(".call:not(.over)"), "end of the call")
            calling.stop()
            outcome = calling.finish()
    assert outcome.status == 0
    assert outcome.report is not None
    assert [call["end_reason"] for call in outcome.report["calls"]] == ["local-bye"] * STARTS


def test_a_call_that_cannot_be_made_is_said_and_the_page_goes_on(tmp_path: Path, window: Browser) -> None:
    with sender_without_target(tmp_path, "--web", "0", "--input", "tone") as calling:
        window.open(page_of(calling))
        for target, words in (("no such:target:", "#problem"), ("127.0.0.1:9", "#events")):
            field = window.find("#target")
            field.clear()
            field.send_keys(target)
            window.press("Start")
            window.wait(lambda where=words: window.text(where), f"{words} for {target}")  # type: ignore[misc]
        window.wait_for_text("#events", "nothing listens")
        calling.stop()
        assert calling.finish().status == 0


def test_a_device_that_is_missing_is_said_and_another_one_is_chosen(tmp_path: Path, window: Browser) -> None:
    nothing = {"ALSA_CONFIG_PATH": str(tmp_path / "nothing.conf")}
    with receiver(tmp_path) as listening:
        with sender_without_target(tmp_path, "--web", "0", environment=nothing) as calling:
            window.open(page_of(calling))
            window.wait_for_text("#device-problem", "no sound device")
            window.find("#target").send_keys(listening.target)
            window.press("Start")
            window.wait_for_text("#problem", "no sound device")
            choose(window, "#input", "silence")
            window.wait(lambda: not window.text("#device-problem"), "end of the problem")
            window.press("Start")
            window.wait_for_text(".phase", "outgoing")
            window.wait_for_text(".meters", "Sent from here: silence")
            choose(window, "#input", "mic")
            window.wait_for_text("#events", "input: there is no sound device")
            window.wait_for_text("#device-problem", "Microphone: there is no sound device")
            window.wait_for_text(".phase", "outgoing")
            calling.stop()
            assert calling.finish().status == 0
        listening.stop()
        listening.finish()


def test_a_device_is_changed_in_a_call_and_what_was_recorded_is_a_download(tmp_path: Path, window: Browser) -> None:
    with receiver(tmp_path, "--web", "0", "--output", "heard.wav") as listening:
        with sender(tmp_path, listening.target, "--web", "0", "--input", "tone:440") as calling:
            window.open(page_of(calling))
            window.wait_for_text(".charts", "Sent: ")
            choose(window, "#input", "silence")
            window.wait_for_text("#input", "silence, ")
            window.wait_for_text(".meters", "Sent from here: silence")
            window.open(page_of(listening))
            window.wait_for_text(".meters", "Heard here: silence")
            choose(window, "#output", "null")
            window.wait_for_text("#output", "now: null")
            received = calls_of(window)[0]["rx"]["received"]
            window.wait(lambda: calls_of(window)[0]["rx"]["received"] > received + 100, "the call goes on")
            window.wait_for_text("#downloads", "heard.wav")
            content = fetched(window, "download/heard.wav")
            calling.stop()
            assert calling.finish().status == 0
        listening.stop()
        listening.finish()
    sound, rate = load_wave(tmp_path / "heard.wav")
    assert content == (tmp_path / "heard.wav").stat().st_size > rate
    assert np.abs(sound[rate // 2 : rate]).max() > 0.01


@pytest.mark.parametrize("address", ["0", "0.0.0.0:0"])
def test_the_button_of_the_capture_saves_what_the_script_has_written(
    tmp_path: Path, window: Browser, address: str
) -> None:
    """Without a token, and with one, when the page fetches it: in the call, and when that is over."""
    with receiver(tmp_path, "--web", address, "--pcap", "far.pcapng") as listening:
        with sender(tmp_path, listening.target) as calling:
            window.open(page_of(listening))
            window.wait_for_text(".phase", "incoming")
            window.wait_for_text("#downloads", "capture")
            window.wait(lambda: (tmp_path / "far.pcapng").stat().st_size > ENOUGH_CAPTURED, "packets in the capture")
            early = window.saved("capture")
            window.press("Stop")
            window.wait_for_text(".phase", "ended")
            assert calling.finish().status == 0
        window.wait(lambda: has_ended(packets_of(tmp_path / "far.pcapng")), "the end of the call in the capture")
        late = window.saved("capture")
        listening.stop()
        assert listening.finish().status == 0
    written = read_capture(tmp_path / "far.pcapng")
    assert early.name == "far.pcapng"
    assert packets_of(early) == written.packets[: len(packets_of(early))]
    assert {True, False} == {each.inbound for each in packets_of(early)}
    assert has_ended(packets_of(late))
    assert packets_of(late) == written.packets
    assert (tmp_path / "far.pcapng").read_bytes().startswith(late.read_bytes())


def packets_of(path: Path) -> Sequence[Seen]:
    return read_capture(path).packets


def has_ended(packets: Sequence[Seen]) -> bool:
    """Whether a BYE was answered, some time ago: packets that were under way then have come."""
    answers = (each for each in packets if each.payload.startswith(b"SIP/2.0 200") and b" BYE\r\n" in each.payload)
    return any(time.time() - each.at > UNDER_WAY for each in answers)


def test_a_microphone_is_looked_for_and_used_in_a_call_that_is_up(tmp_path: Path, window: Browser) -> None:
    require()
    fill = generate.tone(440)
    said = save(tmp_path / "said.wav", fill(60 * RATE))
    with VirtualSound() as sound, sound.speaking(said), receiver(tmp_path, "--output", "heard.wav") as listening:
        command = ("--web", "0", "--input", "silence")
        with sender(tmp_path, listening.target, *command, environment=sound.environment) as calling:
            window.open(page_of(calling))
            window.wait_for_text(".meters", "Sent from here: silence")
            window.press("Look for devices")
            window.wait_for_text("#input", "virtual_microphone")
            (spec,) = window.run(_SPECS, "virtual_microphone")
            assert re.fullmatch(r"mic:\d+", spec)
            choose(window, "#input", spec)
            window.wait_for_text("#events", "sound is now taken from virtual_microphone")
            window.wait(lambda: "Sent from here: silence" not in window.text(".meters"), "sound of the microphone")
            time.sleep(HEARD)
            calling.stop()
            assert calling.finish().status == 0
        listening.stop()
        listening.finish()
    pcm, rate = load(tmp_path / "heard.wav")
    assert pitch(pcm[-rate : -rate // 2], rate) == pytest.approx(440.0, abs=2.0)


_SPECS = """
return [...document.querySelectorAll("#input option")]
  .filter((each) => each.textContent.includes(arguments[0])).map((each) => each.value);
"""


def test_codec_bit_rate_and_fec_of_the_next_call_and_keys_in_it(tmp_path: Path, window: Browser) -> None:
    with receiver(tmp_path) as listening:
        with sender_without_target(tmp_path, "--web", "0", "--input", "tone") as calling:
            window.open(page_of(calling))
            window.find("#target").send_keys(listening.target)
            window.run("document.getElementById('terms').open = true")
            choose(window, "#codec", "pcma")
            choose(window, "#fec", "4")
            window.press("Start")
            window.wait_for_text(".figures", "pcma, 8000 Hz")
            window.wait_for_text(".fec", "flexfec 4, as it was begun")
            window.run("document.querySelector('.keypad').open = true")
            for key in "7#":
                window.press(key)
            listening.wait_for("key 7")
            listening.wait_for("key #")
            choose(window, "#fec", "off")
            window.press("Stop")
            window.wait(lambda: not window.all(".call:not(.over)"), "end of the call")
            window.press("Start")
            window.wait_for_text(".call:not(.over) .phase", "outgoing")
            assert window.text(".call:not(.over) .fec") == ""
            calling.stop()
            assert calling.finish().status == 0
        listening.stop()
        listening.finish()


def test_what_the_charts_show_of_a_lossy_line_is_what_the_report_says(tmp_path: Path, window: Browser) -> None:
    ports = free_ports()
    with (
        relay((ports[0], *ports[1]), "--impair", "media", "--loss", "0.1", "--seed", "7"),
        receiver(tmp_path, "--web", "0", "--public-address", RECEIVER_ALIAS, ports=ports) as listening,
    ):
        with sender(
            tmp_path, f"{RECEIVER_ALIAS}:{ports[0]}", "--public-address", SENDER_ALIAS, "--duration", "8s"
        ) as calling:
            window.open(page_of(listening))
            window.wait_for_text(".phase", "incoming")
            window.wait(lambda: re.search(r"on the network [1-9]", window.text(".charts")), "loss in a chart")
            assert calling.finish().status == 0
        window.wait_for_text(".phase", "ended")
        (shown,) = calls_of(window)
        window.wait(lambda: sum_of(samples_of(window), "lost") == shown["rx"]["lost"], "the last sample")
        samples = samples_of(window)
        listening.stop()
        call = listening.finish().call
    assert call["rx"]["lost"] > 15
    assert sum_of(samples, "lost") == shown["rx"]["lost"] == call["rx"]["lost"]
    assert shown["rx"]["lost_after_fec"] == call["rx"]["lost_after_fec"]
    # A packet counts as missing in the second in which it is looked at before its repair packet has come.
    assert 0 <= sum_of(samples, "missing") - call["rx"]["lost_after_fec"] <= 5
    assert max(each["loss"] or 0.0 for each in samples) > 4.0


def test_two_tabs_show_the_same_and_what_one_does_the_other_sees(tmp_path: Path, window: Browser) -> None:
    with receiver(tmp_path, "--web", "0") as listening, sender(tmp_path, listening.target) as calling:
        url = page_of(listening)
        window.open(url)
        window.wait_for_text(".loudness", "Volume")
        first = window.driver.current_window_handle
        window.driver.switch_to.new_window("tab")
        window.open(url)
        window.wait_for_text(".loudness", "Volume")
        window.press("Mute")
        window.find(".loudness button[aria-pressed=true]")
        window.driver.switch_to.window(first)
        window.find(".loudness button[aria-pressed=true]")
        window.press("Stop")
        assert calling.finish().status == 0
        listening.stop()
        listening.finish()


def test_a_page_that_is_opened_again_shows_the_call_and_what_happened_before(tmp_path: Path, window: Browser) -> None:
    with receiver(tmp_path, "--web", "0") as listening, sender(tmp_path, listening.target) as calling:
        url = page_of(listening)
        for _ in range(2):
            window.open(url)
            window.wait_for_text(".phase", "incoming")
            window.wait_for_text("#events", "call from")
            window.wait(lambda: len(samples_of(window)) >= 2, "samples from before")
            window.open("about:blank")
        calling.stop()
        assert calling.finish().status == 0
        listening.stop()
        listening.finish()


@pytest.mark.parametrize(
    ("dark", "size"), [(False, (1280, 1000)), (True, (1280, 1000)), (False, (360, 800)), (True, (3840, 2160))]
)
def test_no_barrier_is_found_in_light_and_dark_and_nothing_is_wider_than_the_screen(
    tmp_path: Path, dark: bool, size: tuple[int, int]
) -> None:
    axe = pytest.importorskip("axe_core_python.selenium")
    with (
        receiver(tmp_path, "--web", "0") as listening,
        sender(tmp_path, listening.target) as calling,
        browser(tmp_path, dark=dark, size=size) as window,
    ):
        window.open(page_of(listening))
        window.wait_for_text(".charts", "Received: ")
        found = axe.Axe().run(window.driver)
        window.picture(PICTURES / f"receiver-{'dark' if dark else 'light'}-{size[0]}.png")
        assert window.run("return document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        calling.stop()
        calling.finish()
    serious = [each for each in found["violations"] if each["impact"] in ("serious", "critical")]
    assert serious == [], json.dumps(serious, indent=1)


def test_a_caller_that_rings_is_answered_or_declined_on_the_page(tmp_path: Path, window: Browser) -> None:
    with receiver(tmp_path, "--web", "0", "--answer", "ask") as listening:
        window.open(page_of(listening))
        with sender(tmp_path, listening.target, name="first") as calling:
            window.wait_for_text(".phase", "rings")
            window.press("Answer")
            window.wait_for_text(".phase", "incoming")
            calling.stop()
            assert calling.finish().status == 0
        with sender(tmp_path, listening.target, name="second") as calling:
            window.wait_for_text(".phase", "rings")
            window.press("Decline")
            assert calling.finish().status == EXIT_REJECTED
        listening.stop()
        listening.finish()


def test_a_muted_microphone_is_silence_at_the_peer(tmp_path: Path, window: Browser) -> None:
    with receiver(tmp_path, "--output", "heard.wav") as listening:
        with sender(tmp_path, listening.target, "--web", "0", "--input", "tone:440") as calling:
            window.open(page_of(calling))
            window.wait_for_text(".phase", "outgoing")
            window.wait_for_text(".charts", "Sent: ")
            window.press("Mute microphone")
            window.find("#microphone[aria-pressed=true]")
            window.wait_for_text(".meters", "Sent from here: silence")
            calling.stop()
            assert calling.finish().status == 0
        listening.stop()
        listening.finish()
    sound, rate = load_wave(tmp_path / "heard.wav")
    assert np.abs(sound[rate // 2 : rate]).max() > 0.01
    assert np.abs(sound[-rate // 4 :]).max() < 0.01


def test_a_caller_is_made_softer_and_muted(tmp_path: Path, window: Browser) -> None:
    with receiver(tmp_path, "--web", "0") as listening, sender(tmp_path, listening.target) as calling:
        window.open(page_of(listening))
        window.wait_for_text(".loudness", "Volume: 0 dB")
        window.press("Mute")
        window.find(".loudness button[aria-pressed=true]")
        slider = window.find(".loudness input")
        slider.send_keys(*[Keys.ARROW_LEFT] * 6)
        window.wait_for_text(".loudness", "Volume: -6 dB")
        calling.stop()
        calling.finish()
        listening.stop()
        assert listening.finish().call["heard"]["gain_db"] == -6.0


def test_a_text_of_a_peer_is_text_on_the_page(tmp_path: Path, window: Browser) -> None:
    markup = "<img src=x onerror=document.title='owned'><b>bold</b>"
    with receiver(tmp_path, "--web", "0") as listening:
        with sender(tmp_path, listening.target, "--message", markup, "--from", markup) as calling:
            window.open(page_of(listening))
            window.wait_for_text("#events", markup)
            assert window.all("main img, #events b") == []
            assert "receiver" in window.driver.title
            calling.stop()
            calling.finish()
        listening.stop()
        listening.finish()


def test_the_keyboard_alone_begins_and_ends_a_call(tmp_path: Path, window: Browser) -> None:
    def press(*keys: str) -> None:
        ActionChains(window.driver).send_keys(*keys).perform()

    with receiver(tmp_path) as listening, sender_without_target(tmp_path, "--web", "0", "--input", "tone") as calling:
        window.open(page_of(calling))
        window.find("#target")
        press(Keys.TAB, listening.target, Keys.ENTER)
        window.wait_for_text(".call:not(.over) .phase", "outgoing")
        for _ in range(MOST_TABS):
            press(Keys.TAB)
            if window.run("return document.activeElement.innerText") == "Stop":
                break
        press(Keys.ENTER)
        window.wait(lambda: not window.all(".call:not(.over)"), "end of the call")
        calling.stop()
        assert calling.finish().status == 0


@pytest.mark.parametrize(("dark", "size"), [(False, (1280, 1000)), (True, (360, 800))])
def test_no_barrier_is_found_where_a_person_chooses(tmp_path: Path, dark: bool, size: tuple[int, int]) -> None:
    axe = pytest.importorskip("axe_core_python.selenium")
    with (
        receiver(tmp_path) as listening,
        sender_without_target(tmp_path, "--web", "0", "--input", "demo", "--loop") as calling,
        browser(tmp_path, dark=dark, size=size) as window,
    ):
        window.open(page_of(calling))
        window.wait_for_text("#idle", "No call yet")
        window.picture(PICTURES / f"sender-idle-{'dark' if dark else 'light'}-{size[0]}.png")
        window.find("#target").send_keys(f"sip:{'long' * 15}@{listening.target}")
        window.press("Start")
        window.wait_for_text(".charts", "Sent: ")
        window.run("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        found = axe.Axe().run(window.driver)
        window.picture(PICTURES / f"sender-{'dark' if dark else 'light'}-{size[0]}.png")
        assert window.run("return document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        calling.stop()
        calling.finish()
        listening.stop()
        listening.finish()
    serious = [each for each in found["violations"] if each["impact"] in ("serious", "critical")]
    assert serious == [], json.dumps(serious, indent=1)


def choose(window: Browser, selector: str, value: str) -> None:
    """This option of a list, as soon as it is there and can be chosen."""
    window.wait(lambda: window.run(_CHOOSE, selector, value), f"{value} in {selector}")


_CHOOSE = """
const list = document.querySelector(arguments[0]);
const there = !list.disabled && [...list.options].some((each) => each.value === arguments[1]);
if (there) {
  list.value = arguments[1];
  list.dispatchEvent(new Event("change", { bubbles: true }));
}
return there;
"""


def fetched(window: Browser, path: str) -> int:
    """The bytes of what the page can fetch."""
    script = (
        "const done = arguments[1]; fetch(arguments[0]).then((r) => r.arrayBuffer()).then((b) => done(b.byteLength))"
    )
    return int(window.driver.execute_async_script(script, path))


def state_of(window: Browser) -> dict[str, Any]:
    """What a page that is opened now is told: all samples, and each call."""
    state: dict[str, Any] = window.driver.execute_async_script(_STATE)
    return state


_STATE = """
const done = arguments[0];
const socket = new WebSocket(`ws://${location.host}/live`);
socket.addEventListener("message", ({ data }) => {
  const message = JSON.parse(data);
  if (message.type === "state") { socket.close(); done(message); }
});
"""


def calls_of(window: Browser) -> list[dict[str, Any]]:
    calls: list[dict[str, Any]] = state_of(window)["calls"]
    return calls


def samples_of(window: Browser) -> list[dict[str, Any]]:
    """What the charts show of the only call."""
    return [sample for samples in state_of(window)["samples"].values() for _, sample in samples]


def sum_of(samples: list[dict[str, Any]], name: str) -> float:
    return sum(sample[name] or 0 for sample in samples)
