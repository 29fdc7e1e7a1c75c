"""The page of each script in a real browser: Start, Stop, figures as in the report, no script of a peer, no barrier."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("selenium")
pytest.importorskip("aiohttp")

import numpy as np
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from tests.bench.waves import load_wave
from tests.interop.browser import Browser, browser, missing
from tests.support.processes import LOOPBACK, ROOT, Program, receiver, sender
from voip.errors import EXIT_REJECTED

pytestmark = [pytest.mark.interop, pytest.mark.process]
if not os.environ.get("CI"):
    pytestmark.append(pytest.mark.skipif(missing() is not None, reason=str(missing())))

PICTURES = Path("build/screenshots")
"""Where screenshots are kept."""
MOST_TABS = 12
"""Steps by keyboard from the address to the button that ends the call."""


def page_of(program: Program) -> str:
    """The URL that a program names."""
    found = re.search(r"http://\S+", program.wait_for("page      http"))
    assert found is not None
    return found[0]


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


def test_a_sender_waits_for_start_and_calls_again_after_stop(tmp_path: Path, window: Browser) -> None:
    with receiver(tmp_path) as listening:
        command = ["--web", "0", "--input", "tone"]
        with sender_without_target(tmp_path, *command) as calling:
            window.open(page_of(calling))
            for _ in range(3):
                target = window.find("#target")
                target.clear()
                target.send_keys(listening.target)
                window.press("Start")
                window.wait_for_text(".call:not(.over) .phase", "outgoing")
                window.press("Stop")
                window.wait(lambda: not window.all(".call:not(.over)"), "end of the call")
            calling.stop()
            outcome = calling.finish()
    assert outcome.status == 0
    assert outcome.report is not None
    assert [call["end_reason"] for call in outcome.report["calls"]] == ["local-bye"] * 3


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


def test_a_page_that_is_opened_again_shows_the_call_and_what_happened_before(tmp_path: Path, window: Browser) -> None:
    with receiver(tmp_path, "--web", "0") as listening, sender(tmp_path, listening.target) as calling:
        url = page_of(listening)
        for _ in range(2):
            window.open(url)
            window.wait_for_text(".phase", "incoming")
            window.wait_for_text("#events", "call from")
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
        with sender(tmp_path, listening.target, "--message", markup) as calling:
            window.open(page_of(listening))
            window.wait_for_text("#events", markup)
            assert window.all("#events img, #events b") == []
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


def sender_without_target(folder: Path, *arguments: str) -> Program:
    """sender.py that calls nobody yet."""
    report = folder / "sender.json"
    command = [sys.executable, str(ROOT / "sender.py"), "--bind", LOOPBACK, "--report", str(report), *arguments]
    return Program(command, folder=folder, name="sender", report=report)
