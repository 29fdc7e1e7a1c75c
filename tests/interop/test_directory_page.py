"""The page of the directory in a real browser: users and calls as they are, names without effect, no barrier."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("selenium")
pytest.importorskip("aiohttp")

from tests.interop.browser import Browser, browser, missing
from tests.interop.pages import page_of, sender_without_target
from tests.support.directory_http import Client, Site
from tests.support.processes import receiver

pytestmark = [pytest.mark.interop, pytest.mark.process]
if not os.environ.get("CI"):
    pytestmark.append(pytest.mark.skipif(missing() is not None, reason=str(missing())))

PICTURES = Path("build/pictures")
TOKEN = "a-token-of-many-characters"
NASTY = "<img src=x onerror='document.title=1'>"


@pytest.fixture(name="window")
def _window(tmp_path: Path) -> Iterator[Browser]:
    with browser(tmp_path) as window:
        yield window
        assert window.errors() == []


def test_users_and_calls_are_listed_and_kept_up_to_date(tmp_path: Path, window: Browser) -> None:
    with Site(tmp_path, token=TOKEN) as site:
        client = Client(site.port, TOKEN)
        window.open(f"{site.url}/#{TOKEN}")
        window.wait_for_text("main", "No user yet.")
        window.wait_for_text("main", "No call yet.")
        alice, bob = client.register("alice"), client.register("bob", contacts=["sip:bob@10.0.0.9"])
        window.wait_for_text("#users", "sip:bob@10.0.0.9")
        carol = client.register("carol")
        call_id = client.signal("initiate", alice, target_user_id=carol).body["call_id"]
        window.wait_for_text("#calls", "calling")
        client.signal("accept", carol, call_id=call_id)
        window.wait_for_text("#calls", "incall")
        client.signal("end", alice, call_id=call_id)
        window.wait_for_text("#calls", "ended")
        client.post("/api/users/disconnect", user_id=bob)
        window.wait_for_text("#users", "offline")
        window.picture(PICTURES / "directory-light.png")
        client.close()


def test_the_page_of_a_sender_offers_the_names_of_the_directory_and_calls_them(tmp_path: Path, window: Browser) -> None:
    with Site(tmp_path) as site, contextlib.closing(Client(site.port)) as client:
        client.register(NASTY, contacts=["sip:nobody@10.0.0.9"])
        with (
            receiver(tmp_path, "--directory", site.url, "--name", "bob") as bob,
            sender_without_target(tmp_path, "--web", "0", "--input", "tone", "--directory", site.url) as calling,
        ):
            bob.wait_for("as bob")
            window.open(page_of(calling))
            window.find("#target").click()
            window.wait_for_text("#found", f"{bob.sip_port} · by the directory · status idle")
            offered = [each.get_attribute("value") for each in window.all("#targets option")]
            assert offered == ["sip:nobody@10.0.0.9", "bob"]
            assert window.run("return document.getElementById('found-none').hidden")
            assert window.all("#found img") == []
            window.find("#target").send_keys("BOB")
            window.press("Start")
            window.wait_for_text(".call .phase", "outgoing")
            window.wait_for_text(".figures", "sent")
            window.press("Stop")
            bob.stop()
            heard = bob.finish()
            calling.stop()
            assert calling.finish().status == 0
    assert heard.call["rx"]["received"] > 0


def test_names_of_others_run_nothing(tmp_path: Path, window: Browser) -> None:
    with Site(tmp_path) as site:
        client = Client(site.port)
        window.open(site.url)
        client.register(NASTY, contacts=["sip:%3Cscript%3E@10.0.0.9"])
        window.wait_for_text("#users", NASTY)
        assert window.run("return document.title") == "voip directory"
        assert window.all("#users img, #users script") == []
        client.close()


def test_without_the_token_nothing_is_shown_and_it_is_said_why(tmp_path: Path) -> None:
    with Site(tmp_path, token=TOKEN) as site, browser(tmp_path) as window:
        window.open(site.url)
        window.wait_for_text("#state", "the token is missing or wrong")
        assert window.text("#users") == ""


@pytest.mark.parametrize("path", ["/", "/api/docs"])
def test_it_can_be_used_with_a_screen_reader_and_on_a_telephone(tmp_path: Path, path: str) -> None:
    axe = pytest.importorskip("axe_core_python.selenium")
    with Site(tmp_path) as site, browser(tmp_path, dark=True, size=(500, 800)) as window:
        client = Client(site.port)
        client.register("a name of sixty-four characters, which is as long as one may be.")
        client.close()
        window.open(site.url + path)
        if path == "/":
            window.wait_for_text("#users", "a name of")
            window.picture(PICTURES / "directory-dark-phone.png")
        found = axe.Axe().run(window.driver)["violations"]
        assert [each["id"] for each in found if each["impact"] in ("serious", "critical")] == []
        assert window.run("return document.documentElement.scrollWidth <= innerWidth")
