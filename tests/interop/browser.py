"""Headless Chromium on the page of a program, driven by Selenium over WebDriver."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

PATIENCE = 30.0
"""Seconds until something is on the page, on a slow machine."""
NARROWEST = 500
"""Pixels of a window of Chromium at least; a narrower screen is that of a phone."""
UNDER_WAY = (".crdownload", ".tmp")
"""How Chromium names a download that is not whole."""
PHONE_SCALE = 1.5
"""Pixels of a picture of a phone for each of the page."""
LOCAL_ONLY = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)
"""A browser for root, without a screen, that looks for nothing elsewhere."""


def missing() -> str | None:
    """What keeps Chromium from being driven here, if anything."""
    absent = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    return f"{' and '.join(absent)} not installed" if absent else None


class Browser:
    """A window of Chromium. `downloads` is the folder of what it saves."""

    def __init__(self, driver: webdriver.Chrome, downloads: Path) -> None:
        self.driver, self.downloads = driver, downloads

    def open(self, url: str) -> None:
        """Show this page."""
        self.driver.get(url)

    def find(self, selector: str) -> WebElement:
        """The first element of this selector of CSS, waited for until it is there and seen."""
        found: WebElement = self.wait(lambda: next((e for e in self.all(selector) if e.is_displayed()), None), selector)
        return found

    def all(self, selector: str) -> list[WebElement]:
        """Every element of this selector, seen or not."""
        found: list[WebElement] = self.driver.find_elements(By.CSS_SELECTOR, selector)
        return found

    def text(self, selector: str) -> str:
        """What elements of this selector say now; read at once, since they may be replaced."""
        return str(
            self.run("return [...document.querySelectorAll(arguments[0])].map(e => e.innerText).join('\\n')", selector)
        )

    def press(self, words: str) -> None:
        """The button of this name, when it is there."""
        self.wait(lambda: self.run(_PRESS, words), f"button {words}")

    def saved(self, words: str) -> Path:
        """What pressing the button of this name saves, once it is whole. A script that presses it, as `press` does, is
        none to Chromium that may save a second file without being asked."""
        before = set(self.downloads.glob("*"))
        self.find("#downloads button")
        next(each for each in self.all("#downloads button") if each.text == words).click()
        (found,) = self.wait(lambda: self._saved_besides(before), f"download of {words}")
        return Path(found)

    def _saved_besides(self, before: set[Path]) -> set[Path]:
        """New files, none while one is under way."""
        found = set(self.downloads.glob("*")) - before
        return set() if any(each.suffix in UNDER_WAY or each.name.startswith(".") for each in found) else found

    def wait(self, condition: Callable[[], Any], what: str, timeout: float = PATIENCE) -> Any:  # noqa: ANN401
        """What `condition` gives as soon as that is something."""
        return WebDriverWait(self.driver, timeout, poll_frequency=0.1).until(
            lambda _: condition(), f"no {what}: {self.text('body')}"
        )

    def wait_for_text(self, selector: str, words: str, timeout: float = PATIENCE) -> None:
        """Until elements of this selector say so."""
        self.wait(lambda: words in self.text(selector), f"{words!r} in {selector}", timeout)

    def run(self, script: str, *arguments: object) -> Any:  # noqa: ANN401
        """What JavaScript returns."""
        return self.driver.execute_script(script, *arguments)

    def errors(self) -> list[Mapping[str, Any]]:
        """What the console of the page has of errors and warnings since it was asked last; that a program which has
        ended does not respond is none."""
        entries: list[Mapping[str, Any]] = self.driver.get_log("browser")  # type: ignore[no-untyped-call]
        return [
            entry
            for entry in entries
            if entry["level"] in ("SEVERE", "WARNING") and "ERR_CONNECTION_REFUSED" not in entry["message"]
        ]

    def picture(self, path: Path) -> None:
        """What is seen, as PNG."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.driver.save_screenshot(str(path))


_PRESS = """
const found = [...document.querySelectorAll("button")].find(
  (each) => each.innerText === arguments[0] && !each.disabled && each.offsetParent
);
found?.click();
return Boolean(found);
"""


@contextlib.contextmanager
def browser(folder: Path, *, dark: bool = False, size: tuple[int, int] = (1280, 1000)) -> Iterator[Browser]:
    """A browser with a profile of its own in this folder."""
    options = Options()
    for argument in (*LOCAL_ONLY, f"--user-data-dir={folder / 'profile'}", f"--window-size={size[0]},{size[1]}"):
        options.add_argument(argument)
    if dark:
        options.add_argument("--blink-settings=preferredColorScheme=0")
    downloads = folder / "downloads"
    downloads.mkdir(exist_ok=True)
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.binary_location = shutil.which("chromium") or ""
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        if size[0] < NARROWEST:
            metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": PHONE_SCALE, "mobile": True}
            driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        yield Browser(driver, downloads)
    finally:
        driver.quit()
