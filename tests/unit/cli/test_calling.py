"""Options of texts and of names on the local network."""

from __future__ import annotations

from pathlib import Path

import pytest

from voip import cli
from voip.cli import neighbours
from voip.cli.neighbours import facts, machine_name
from voip.cli.texting import outcome_of
from voip.net import mdns
from voip.sip import TextSent
from voip.sip.neighbours import objection_to_name
from voip.sip.text_sending import LONGEST_SENT


def usage_error(capsys: pytest.CaptureFixture[str], *arguments: str, receiver: bool = False) -> str:
    options = cli.receiver_options if receiver else cli.sender_options
    with pytest.raises(SystemExit) as stop:
        options(list(arguments))
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


@pytest.fixture
def without_zeroconf(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mdns, "missing", lambda: mdns.MISSING)


@pytest.fixture
def with_zeroconf(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mdns, "missing", lambda: None)


def test_nothing_is_sent_announced_or_looked_for_unless_asked_for() -> None:
    sender, receiver = cli.sender_options([]), cli.receiver_options([])
    assert (sender.message, sender.calls, sender.names, sender.browse) == ("", True, (), False)
    assert receiver.announce is None


def test_a_text_goes_with_the_call_or_without_one() -> None:
    options = cli.sender_options(["192.0.2.1", "--message", "on my way"])
    assert (options.message, options.calls) == ("on my way", True)
    options = cli.sender_options(["192.0.2.1", "--message", "on my way", "--no-call"])
    assert (options.message, options.calls) == ("on my way", False)


def test_a_text_that_cannot_be_sent_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert f"{LONGEST_SENT} can be sent" in usage_error(capsys, "--message", "ü" * (LONGEST_SENT // 2 + 1))
    assert cli.sender_options(["--message", "ü" * (LONGEST_SENT // 2)]).message
    assert "letters" in usage_error(capsys, "--message", " ")
    assert "--no-call requires --message" in usage_error(capsys, "--no-call")
    assert "no texts" in usage_error(capsys, "rtp://192.0.2.1:5004", "--message", "x")


def test_names_are_told_from_addresses(with_zeroconf: None) -> None:
    options = cli.sender_options(["kitchen", "Anna's desk", "192.0.2.1", "house.example"])
    assert options.names == ("kitchen", "Anna's desk")
    assert list(map(str, options.targets)) == ["sip:192.0.2.1", "sip:house.example"]
    assert options.target_given


def test_with_a_registrar_a_name_is_a_user_unless_no_user_can_be_called_that(with_zeroconf: None) -> None:
    options = cli.sender_options(["--registrar", "pbx.example", "--user", "alice", "bob", "Anna's desk"])
    assert list(map(str, options.targets)) == ["sip:bob@pbx.example"]
    assert options.names == ("Anna's desk",)


def test_without_zeroconf_one_line_says_what_to_install(
    without_zeroconf: None, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, receiver in ((["--browse"], False), (["Anna's desk"], False), (["--announce"], True)):
        assert "pip install zeroconf" in usage_error(capsys, *arguments, receiver=receiver)
    assert cli.sender_options(["kitchen"]).names == ("kitchen",)  # may be a host
    pytest.importorskip("aiohttp")
    assert cli.sender_options(["--browse", "--directory", "dir.example"]).browse


def test_browsing_takes_no_target(with_zeroconf: None, capsys: pytest.CaptureFixture[str]) -> None:
    options = cli.sender_options(["--browse"])
    assert (options.browse, options.targets, options.target_given) == (True, (), True)
    assert "leave out TARGET" in usage_error(capsys, "--browse", "192.0.2.1")


def test_a_name_to_announce_is_given_or_that_of_the_machine(
    with_zeroconf: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli.receiver_options(["--announce"]).announce == ""
    assert cli.receiver_options(["--announce", "Anna's desk"]).announce == "Anna's desk"
    assert "told from an address" in usage_error(capsys, "--announce", "desk.example", receiver=True)
    assert "without signalling" in usage_error(capsys, "rtp://:5004", "--announce", "desk", receiver=True)
    for name in ("studio-2.example", "600", "", "x" * 100):
        monkeypatch.setattr("platform.node", lambda name=name: name)
        assert objection_to_name(machine_name()) is None


def test_only_addresses_that_are_listened_at_are_announced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "own_hosts", lambda: ["192.168.1.20", "fd00::20"])
    assert neighbours.reachable(None) == ["192.168.1.20", "fd00::20"]
    assert neighbours.reachable("0.0.0.0") == ["192.168.1.20"]
    assert neighbours.reachable("::") == ["fd00::20"]


def test_what_is_announced_is_what_a_caller_needs_and_no_secret(with_zeroconf: None, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("alice:open sesame\n")
    options = cli.receiver_options(["--announce", "--password-file", str(file), "--codec", "pcmu,l16"])
    told = facts(options)
    assert told["codecs"] == "pcmu,l16"
    assert (told["password"], told["twoway"], told["calls"]) == ("yes", "no", "1")
    assert not any(word in str(told) for word in ("alice", "sesame"))


@pytest.mark.parametrize(
    ("status", "reason", "code"),
    [
        (200, "OK", 0),
        (202, "Accepted", 0),
        (401, "Unauthorized", 7),
        (407, "Proxy Authentication Required", 7),
        (403, "Forbidden", 6),
        (415, "Unsupported Media Type", 6),
        (None, "no response", 5),
        (None, "cannot find the host x", 4),
    ],
)
def test_the_fate_of_a_text_is_the_exit_code(status: int | None, reason: str, code: int) -> None:
    outcome = outcome_of(TextSent("x", "", status, reason), "sip:a")
    assert outcome.status == code
    assert (outcome.error == "") == (code == 0)
