"""The options of the directory, and what is made of what it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from voip import cli
from voip.cli.linking import LONGEST_TOKEN, MOST_CONTACTS, DirectoryPlace, best_contact

TOKEN = "abc-_.~+/123="


def usage_error(capsys: pytest.CaptureFixture[str], *arguments: str, receiver: bool = False) -> str:
    options = cli.receiver_options if receiver else cli.sender_options
    with pytest.raises(SystemExit) as stop:
        options(list(arguments))
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


def place(*arguments: str, receiver: bool = False) -> DirectoryPlace:
    options = cli.receiver_options if receiver else cli.sender_options
    found = options([*arguments]).directory
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("text", "url", "token"),
    [
        ("192.0.2.1:5000", "http://192.0.2.1:5000", None),
        ("directory.example", "http://directory.example", None),
        ("http://192.0.2.1:5000/", "http://192.0.2.1:5000", None),
        (f"http://192.0.2.1:5000/#{TOKEN}", "http://192.0.2.1:5000", TOKEN),
        (f"https://:{TOKEN.replace('/', '%2F')}@[2001:db8::1]:5000", "https://[2001:db8::1]:5000", TOKEN),
        ("https://secret@directory.example/voip/", "https://directory.example/voip", "secret"),
    ],
)
def test_a_url_is_taken_as_the_directory_prints_it(text: str, url: str, token: str | None) -> None:
    assert place("--directory", text) == DirectoryPlace(url, token)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "http://",
        "ftp://directory.example",
        "http://directory.example/?x=1",
        "http://a b",
        "http://[::1",
        "http://a:99999",
        "http://a#se cret",
        "http://a#" + "x" * (LONGEST_TOKEN + 1),
        "http://a#\x1b",
    ],
)
def test_what_is_no_url_of_a_directory_is_a_usage_error(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "directory" in usage_error(capsys, "--directory", text)


def test_no_error_and_no_representation_shows_a_token(capsys: pytest.CaptureFixture[str]) -> None:
    assert "sesame" not in usage_error(capsys, "--directory", "ftp://sesame@a#sesame")
    assert "sesame" not in usage_error(capsys, "--directory", "http://a#sesame%20")
    assert "sesame" not in repr(cli.sender_options(["--directory", "http://a#sesame"]))


def test_the_token_of_a_file_comes_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "token"
    file.write_text(f" {TOKEN} \nmore\n")
    assert place("--directory", "http://a#other", "--directory-token-file", str(file)).token == TOKEN
    for content in ("", "\n", "two words\n", "ü\n"):
        file.write_text(content)
        assert "no token" in usage_error(capsys, "--directory", "a", "--directory-token-file", str(file))
    assert "No such file" in usage_error(capsys, "--directory", "a", "--directory-token-file", str(tmp_path / "none"))


def test_the_password_of_a_name_comes_by_a_file_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "password"
    file.write_text("open sesame\n")
    given = ("--directory", "a", "--name", "bob", "--directory-password-file", str(file))
    assert place(*given, receiver=True).password == "open sesame"
    assert "sesame" not in repr(cli.receiver_options(list(given)))
    file.write_text("\n")
    assert "contains no password" in usage_error(capsys, *given)


def test_a_receiver_is_known_by_the_name_of_its_machine_and_a_sender_by_none_unless_it_has_one() -> None:
    assert place("--directory", "a", receiver=True).name == ""
    assert place("--directory", "a", "--name", "bob", receiver=True).name == "bob"
    assert place("--directory", "a").name is None
    assert place("--directory", "a", "--name", "alice").name == "alice"


def test_a_conference_is_known_as_a_room() -> None:
    assert place("--directory", "a", "--name", "standup", "--conference", "--max-calls", "4", receiver=True).room
    assert not place("--directory", "a", "--name", "bob", receiver=True).room


def test_a_sender_shows_its_peers_the_name_that_the_directory_knows() -> None:
    options = cli.sender_options(["--directory", "a", "--name", "Alice", "192.0.2.1"])
    assert (options.name, options.user) == ("Alice", "Alice")
    assert cli.sender_options(["--directory", "a", "--name", "Alice", "--from", "Al", "192.0.2.1"]).name == "Al"


def test_a_sender_without_a_target_waits_to_be_told_by_the_directory() -> None:
    assert cli.sender_options(["--directory", "a", "--name", "alice"]).waits
    assert not cli.sender_options(["--directory", "a", "--name", "alice", "bob"]).waits
    assert not cli.sender_options(["--directory", "a"]).waits


def test_options_that_need_a_directory_say_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "--name requires --directory" in usage_error(capsys, "--name", "bob")
    assert "--directory-token-file requires" in usage_error(capsys, "--directory-token-file", "x", receiver=True)
    assert "told from an address" in usage_error(capsys, "--directory", "a", "--name", "bob.example", receiver=True)
    assert "without signalling" in usage_error(capsys, "--directory", "a", "rtp://:5004", receiver=True)
    monkeypatch.setenv("VOIP_NAME", "bob")  # for both scripts, with or without a directory
    assert cli.receiver_options([]).directory is None
    monkeypatch.setenv("VOIP_DIRECTORY", "a")
    assert place("x").name == "bob"
    assert cli.receiver_options(["rtp://:5004"]).directory is None


def test_a_name_that_is_no_host_can_be_looked_for_without_zeroconf(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voip.net.mdns.missing", lambda: "pip install zeroconf")
    assert "pip install zeroconf" in usage_error(capsys, "Anna's desk")
    assert cli.sender_options(["--directory", "a", "Anna's desk"]).names == ("Anna's desk",)


def test_the_nearest_contact_is_called() -> None:
    own, networks = ["192.168.1.5", "172.17.0.1"], ["192.168.1.5/24"]
    contacts = ("sip:bob@172.17.0.1:5060", "sip:bob@10.0.0.7:5060", "sip:bob@192.168.1.7:5060", "sip:bob@host.example")
    assert str(best_contact(contacts, own, networks)) == "sip:bob@192.168.1.7:5060"
    assert str(best_contact(contacts[:2], own, networks)) == "sip:bob@10.0.0.7:5060"
    assert str(best_contact(contacts[:1], own, networks)) == "sip:bob@172.17.0.1:5060"
    assert str(best_contact(contacts[3:], own, networks)) == "sip:bob@host.example"


def test_what_cannot_be_called_is_no_contact() -> None:
    assert best_contact(("", "bob", "tel:12", "sip:bob@0.0.0.0", "sip:bob@224.0.0.1", "sip:a\x1b@b"), [], []) is None
    assert best_contact(("x",) * MOST_CONTACTS + ("sip:bob@192.0.2.1",), [], []) is None
