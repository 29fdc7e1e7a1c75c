"""Users, passwords, registrar and proxies on the command line: what goes together, and that no password is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from voip import cli
from voip.sdp import SrtpRule
from voip.sip import Credentials, SipUri
from voip.sip.identity import user_part


@pytest.fixture(autouse=True)
def _no_password_around(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VOIP_PASSWORD", raising=False)


def written(folder: Path, text: str) -> str:
    path = folder / "passwords"
    path.write_text(text)
    return str(path)


def error(capsys: pytest.CaptureFixture[str], parse: object, *arguments: str) -> str:
    """The one line of a usage error."""
    with pytest.raises(SystemExit) as stop:
        parse(arguments)  # type: ignore[operator]
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


def test_an_account_is_a_user_at_a_registrar(tmp_path: Path) -> None:
    file = written(tmp_path, "s3cret\n")
    for parse in (cli.sender_options, cli.receiver_options):
        options = parse(["--registrar", "pbx:5070", "--user", "al ice", "--password-file", file])
        assert str(options.account) == "sip:al%20ice@pbx:5070"
        assert str(options.registrar) == "sip:pbx:5070"
        assert options.credentials == Credentials("al ice", "s3cret")
        assert "s3cret" not in repr(options)
    assert parse(["--registrar", "sips:[2001:db8::1]", "--user", "a"]).credentials is None  # the registrar may not ask
    assert str(parse(["--registrar", "sips:[2001:db8::1]", "--user", "a"]).account) == "sips:a@[2001:db8::1]"


def test_proxies_are_passed_in_their_order() -> None:
    options = cli.sender_options(["--proxy", "edge.example:5070", "--proxy", "sip:core.example;transport=tcp;lr"])
    assert [str(proxy) for proxy in options.proxies] == [
        "sip:edge.example:5070",
        "sip:core.example;transport=tcp;lr",
    ]
    assert cli.receiver_options([]).proxies == ()


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("bob", "sip:bob@pbx:5070;transport=tcp"),
        ("carol@pbx", "sip:carol@pbx"),
        ("house.example", "sip:house.example"),
        ("localhost", "sip:localhost"),
        ("10.0.0.9", "sip:10.0.0.9"),
        ("sip:bob:5080", "sip:bob:5080"),
        ("::1", "sip:[::1]"),
    ],
)
def test_a_name_alone_is_somebody_at_the_registrar(target: str, expected: str) -> None:
    registrar = "sip:pbx:5070;transport=tcp"
    (found,) = cli.sender_options(["--registrar", registrar, "--user", "alice", target]).targets
    assert str(found) == expected
    assert cli.sender_options(["bob"]).names == ("bob",)  # a neighbour, or else a host


def test_callers_need_the_one_password_or_one_of_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, many = written(tmp_path, "se:cret\n"), "alice:se:cret\n\nbob:zanzibar\n"
    assert cli.receiver_options(["--user", "alice", "--password-file", one]).users == {"alice": "se:cret"}
    options = cli.receiver_options(["--password-file", written(tmp_path, many)])
    assert options.users == {"alice": "se:cret", "bob": "zanzibar"}
    assert options.credentials is None
    assert "zanzibar" not in repr(options)
    assert cli.receiver_options([]).users == {}
    monkeypatch.setenv("VOIP_PASSWORD", "alice:s3cret")
    assert cli.receiver_options([]).users == {"alice": "s3cret"}
    assert cli.receiver_options(["--user", "bob"]).users == {"bob": "alice:s3cret"}


def test_with_a_registrar_the_password_is_ours_and_callers_need_none(tmp_path: Path) -> None:
    file = written(tmp_path, "s3cret")
    assert cli.receiver_options(["--registrar", "pbx", "--user", "a", "--password-file", file]).users == {}


def test_the_environment_is_asked_where_no_file_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOIP_PASSWORD", "from outside")
    assert cli.sender_options(["--user", "alice"]).credentials == Credentials("alice", "from outside")
    assert cli.sender_options([]).credentials is None
    file = written(tmp_path, "from the file")
    options = cli.sender_options(["--user", "alice", "--password-file", file])
    assert options.credentials == Credentials("alice", "from the file")


def test_a_password_without_a_user_is_shared_by_both_sides_of_a_call(tmp_path: Path) -> None:
    file = written(tmp_path, "correct horse\n")
    for options in (cli.sender_options(["--password-file", file]), cli.receiver_options(["--password-file", file])):
        assert options.call_password == "correct horse"
        assert options.srtp is SrtpRule.REQUIRED
        assert options.credentials is None
        assert "correct" not in repr(options)
    assert not cli.receiver_options(["--password-file", file]).users
    with_user = cli.sender_options(["--user", "alice", "--password-file", file])
    assert with_user.call_password is None
    assert with_user.srtp is SrtpRule.OPTIONAL
    of_callers = cli.receiver_options(["--password-file", written(tmp_path, "alice:a\nbob:b\n")])
    assert of_callers.call_password is None
    assert of_callers.users == {"alice": "a", "bob": "b"}


def test_what_does_not_go_together_is_said_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty, plain = written(tmp_path, "\n \n"), tmp_path / "plain"
    plain.write_text("secret\nanother\n")
    sender, receiver = cli.sender_options, cli.receiver_options
    assert "--user" in error(capsys, sender, "--registrar", "pbx")
    assert "--password-file" in error(capsys, sender, "--user", "alice")
    assert "--user" in error(capsys, sender, "--password-file", str(plain))
    plain.write_text("secret\n")
    assert "--srtp off" in error(capsys, sender, "--password-file", str(plain), "--srtp", "off")
    assert "without signalling" in error(capsys, sender, "--password-file", str(plain), "rtp://192.0.2.1:5000")
    plain.write_text("alice:a\nsecret\n")
    assert "no password" in error(capsys, receiver, "--password-file", empty)
    assert "user:password" in error(capsys, receiver, "--password-file", str(plain))
    assert "No such file" in error(capsys, receiver, "--password-file", "/nowhere/at/all")
    assert "VOIP_PASSWORD" in error(capsys, receiver, "--user", "alice")
    assert "contains a user" in error(capsys, receiver, "--registrar", "alice@pbx", "--user", "alice")
    assert "contains a user" in error(capsys, sender, "--proxy", "sip:alice@pbx")


@pytest.mark.parametrize(
    ("login", "arguments", "user"),
    [
        ("anna", [], "anna"),
        ("root", [], "studio-2"),  # a container's user says nothing
        ("DOMAIN\\Jörg Müller", [], "DOMAIN-Jorg-Muller"),
        ("anna", ["--from", "Control room"], "Control-room"),
        ("anna", ["--from", "\u5236\u5fa1"], "anna"),  # nothing of it can be written plainly
        ("", [], "studio-2"),
    ],
)
def test_who_says_nothing_of_itself_is_called_after_its_user_or_machine(
    monkeypatch: pytest.MonkeyPatch, login: str, arguments: list[str], user: str
) -> None:
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(variable, login)
    monkeypatch.setattr("platform.node", lambda: "studio-2.example.com")
    if not login:
        monkeypatch.setattr("getpass.getuser", lambda: (_ for _ in ()).throw(KeyError("no entry for 12345")))
    assert cli.sender_options([*arguments]).user == user


def test_the_user_that_is_given_is_the_one_that_calls(tmp_path: Path) -> None:
    options = cli.sender_options(["--user", "bob", "--password-file", written(tmp_path, "x\n"), "--from", "Bob"])
    assert options.user == "bob"


@pytest.mark.parametrize("name", ["", "a@b\r\nX: y", "\udcff" * 9, "x" * 500, "..", "<>\"'"])
def test_any_name_makes_a_user_part_that_can_be_written(name: str) -> None:
    user = user_part(name)
    assert not user or str(SipUri.parse(f"sip:{user}@host").user) == user
    assert len(user) <= 40
