"""--srtp: what is offered by default and when asked for, and what happens where it cannot be had."""

from __future__ import annotations

import sys

import pytest

from voip import cli
from voip.media import Direction
from voip.sdp import SrtpRule


def terms(*argv: str) -> tuple[SrtpRule, bool]:
    """What a sender with these options does, by the capabilities of its calls."""
    settings = cli.make_call_settings(cli.sender_options([*argv]), Direction.SENDRECV)
    return settings.capabilities.srtp, settings.capabilities.sdes_in_clear


def test_media_is_encrypted_with_whoever_can_and_keys_are_offered_where_they_are_safe() -> None:
    assert terms() == (SrtpRule.OPTIONAL, False)


@pytest.mark.parametrize("rule", SrtpRule)
def test_who_asks_for_it_offers_keys_everywhere(rule: SrtpRule) -> None:
    assert terms("--srtp", rule.value) == (rule, True)


def test_the_environment_asks_for_it_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOIP_SRTP", "required")
    assert terms() == (SrtpRule.REQUIRED, True)


def test_another_value_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.sender_options(["--srtp", "always"])
    assert stop.value.code == 2
    assert "required" in capsys.readouterr().err


def without_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pylibsrtp", None)


def test_required_encryption_without_the_library_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    without_library(monkeypatch)
    with pytest.raises(SystemExit) as stop:
        cli.receiver_options(["--srtp", "required"])
    said = capsys.readouterr().err
    assert (stop.value.code, said.count("\n")) == (2, 1)
    assert "pip install pylibsrtp" in said


def test_without_the_library_calls_go_on_in_clear_and_one_line_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    without_library(monkeypatch)
    assert terms() == (SrtpRule.OFF, False)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "not encrypted" in said
    assert terms("--quiet")[0] is terms("--srtp", "off")[0] is SrtpRule.OFF
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "options",
    [
        lambda: cli.receiver_options(["--srtp", "required", "rtp://:5004"]),
        lambda: cli.sender_options(["--srtp", "required", "rtp://127.0.0.1:5004"]),
    ],
)
def test_streams_without_signalling_cannot_be_required_to_be_encrypted(
    options: object, capsys: pytest.CaptureFixture[str]
) -> None:
    assert callable(options)
    with pytest.raises(SystemExit) as stop:
        options()
    assert stop.value.code == 2
    assert "without signalling" in capsys.readouterr().err


def test_streams_without_signalling_offer_no_keys() -> None:
    settings = cli.make_call_settings(cli.sender_options(["--srtp", "optional"]), Direction.SENDRECV)
    assert settings.plain_capabilities.srtp is SrtpRule.OFF
