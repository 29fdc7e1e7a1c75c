"""--list-devices: whole names, whatever is in them, on any terminal."""

from __future__ import annotations

import io
import json
import sys

import pytest

from voip.cli import listing
from voip.cli.options import ReceiverOptions
from voip.cli.running import run
from voip.devices import DeviceInfo

LONG = "HDA Intel PCH: ALC3235 Analog (hw:0,0), the second of four"


def device(index: int, name: str, *, default: bool = False) -> DeviceInfo:
    return DeviceInfo(index, name, "ALSA", 2, 2, 48000, 0.01, 0.02, default, default)


def listed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *names: str) -> list[str]:
    devices = [device(index, name, default=index == 0) for index, name in enumerate(names)]
    monkeypatch.setattr(listing, "list_devices", lambda: devices)
    assert listing.show_devices(as_json=False) == 0
    return capsys.readouterr().out.splitlines()


def test_names_are_whole_and_the_columns_and_the_mark_are_explained(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    header, first, second, legend = listed(monkeypatch, capsys, LONG, "USB")
    assert header.split() == ["number", "rate", "latency", "use", "name"]
    assert first[header.index("name") :] == LONG
    assert "mic*, speaker*" in first
    assert "*" not in second
    assert legend.startswith("* is used unless")


def test_a_name_cannot_steer_the_terminal_nor_break_the_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = listed(monkeypatch, capsys, "a\nb\x1b[2J\x9b", "耳机")
    assert len(lines) == 4
    assert lines[1].endswith(r"a\nb\x1b[2J\x9b")
    assert lines[2].endswith("耳机")


def test_json_has_the_names_as_they_are(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(listing, "list_devices", lambda: [device(0, "a\nb")])
    assert listing.show_devices(as_json=True) == 0
    assert json.loads(capsys.readouterr().out)[0]["name"] == "a\nb"


@pytest.mark.parametrize(
    ("encoding", "shown"), [("utf-8", "耳机 é"), ("cp1252", r"\u8033\u673a é"), ("ascii", r"\u8033\u673a \xe9")]
)
def test_what_a_terminal_cannot_show_is_escaped(encoding: str, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "list_devices", lambda: [device(0, "耳机 é")])
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding))

    def parse() -> ReceiverOptions:
        raise SystemExit(listing.show_devices(as_json=False))

    with pytest.raises(SystemExit) as end:
        run("receiver.py", parse, lambda options: 1)
    sys.stdout.flush()
    assert end.value.code == 0
    assert written.getvalue().decode(encoding).splitlines()[1].endswith(shown)
