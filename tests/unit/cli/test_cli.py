"""The command line as a contract: values with units, defaults, one-line errors, exit codes."""

from __future__ import annotations

from pathlib import Path

import pytest

from voip import cli
from voip.fec import parse_pattern
from voip.media import Direction


@pytest.mark.parametrize(
    ("text", "value"), [("60ms", 0.06), ("2s", 2.0), ("1.5m", 90.0), ("1h", 3600.0), ("3", 3.0), (".5s", 0.5)]
)
def test_times_take_units(text: str, value: float) -> None:
    assert cli.seconds(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "ms", "-1s", "1 fortnight", "1e3", "nan"])
def test_a_wrong_time_is_a_usage_error_that_shows_how(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.receiver_options([f"--latency={text}"])
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert "60ms" in said
    assert said.count("\n") == 1


def test_receiver_defaults_are_those_that_the_firewall_was_opened_for() -> None:
    options = cli.receiver_options([])
    assert (options.sip_port, options.media_ports) == (5060, (5000, 5019))
    assert (options.output, options.max_calls, options.once) == ("speaker", 1, False)
    assert options.latency is None
    assert (options.fec, options.fec_max, options.bitrate) == ("auto", 200_000.0, None)
    assert options.codecs == ("opus", "l16", "g722", "pcmu", "pcma", "aac")


@pytest.mark.parametrize(
    ("text", "value"), [("24000", 24_000.0), ("32k", 32_000.0), ("1.5M", 1_500_000.0), (".5M", 500_000.0)]
)
def test_bit_rates_take_units(text: str, value: float) -> None:
    assert cli.sender_options(["--fec-max", text]).fec_max == value


def test_fec_and_latency_are_automatic_unless_a_value_is_given() -> None:
    options = cli.receiver_options(["--fec", "4", "--latency", "80ms", "--codec", "PCMU,opus", "--bitrate", "64k"])
    assert options.fec == parse_pattern("4")
    assert (options.latency, options.codecs, options.bitrate) == (0.08, ("pcmu", "opus"), 64_000)
    options = cli.receiver_options(["--fec", "off", "--latency", "auto"])
    assert (options.fec, options.latency) == (None, None)


@pytest.mark.parametrize(
    ("fec", "used", "packets"), [("auto", "auto", 13), ("4", parse_pattern("4"), 4), ("off", None, 0)]
)
def test_the_window_that_is_announced_holds_what_will_be_sent(fec: str, used: object, packets: int) -> None:
    options = cli.sender_options(["--fec", fec])
    settings = cli.make_call_settings(options, Direction.SENDRECV)
    assert options.fec == used
    assert settings.capabilities.fec is (used is not None)
    assert settings.capabilities.repair_packets == packets
    assert options.fec_max == 200_000.0


def test_the_bit_rate_reaches_the_codec() -> None:
    settings = cli.make_call_settings(
        cli.sender_options(["--bitrate", "40k", "--codec", "opus,l16"]), Direction.SENDRECV
    )
    opus, l16, *_ = settings.capabilities.codecs
    assert (opus.name, opus.bitrate) == ("opus", 40_000)
    assert (l16.name, l16.bitrate) == ("L16", None)


def test_sender_defaults_call_this_machine_with_the_microphone() -> None:
    options = cli.sender_options([])
    assert [str(target) for target in options.targets] == ["sip:127.0.0.1"]
    assert (options.input, options.sip_port, options.duration) == ("mic", 0, None)


def test_an_unknown_option_names_the_nearest_one(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.receiver_options(["--outptu", "x.wav"])
    assert stop.value.code == 2
    assert "--output" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--codec", "mp3"],
        ["--fec", "many"],
        ["--fec-max", "much"],
        ["--bitrate", "5k"],
        ["--bitrate", "600k"],
        ["--bitrate", "-1"],
        ["--rtp-port", "70000"],
        ["--format", "48000"],
        ["--bind", "here"],
        ["--dscp", "64"],
        ["--ptime", "1s"],
        ["--user", "alice", "--password-file", "/nowhere/at/all"],
        ["--user", "alice"],
        ["sip:"],
    ],
)
def test_a_bad_value_is_one_line_and_exit_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.sender_options(arguments)
    assert stop.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("arguments", [["--latency", "1s", "--latency-max", "100ms"], ["--max-calls", "0"]])
def test_a_bad_value_of_the_receiver_is_one_line_and_exit_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.receiver_options(arguments)
    assert stop.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_private_and_loopback_callers_are_answered_and_others_are_not() -> None:
    options = cli.receiver_options([])
    for host in ("127.0.0.1", "10.1.2.3", "192.168.1.9", "172.31.0.1", "::1", "fd00::5", "fe80::1"):
        assert options.allowed(host)
    for host in ("8.8.8.8", "172.32.0.1", "2001:db8::1"):
        assert not options.allowed(host)


def test_allow_replaces_the_default_and_deny_answers_nobody() -> None:
    options = cli.receiver_options(["--allow", "192.0.2.0/24", "--allow", "2001:db8::/32"])
    assert options.allowed("192.0.2.7")
    assert options.allowed("2001:db8::1")
    assert not options.allowed("127.0.0.1")
    assert not cli.receiver_options(["--answer", "deny"]).allowed("127.0.0.1")


def test_the_password_comes_from_a_file_and_is_never_shown(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("s3cret\nnot this\n")
    options = cli.sender_options(["--user", "alice", "--password-file", str(path)])
    assert options.credentials is not None
    assert (options.credentials.user, options.credentials.password) == ("alice", "s3cret")
    assert "s3cret" not in repr(options)


def test_several_targets_are_kept_in_order() -> None:
    options = cli.sender_options(["10.0.0.1:5070", "sip:bob@10.0.0.2", "rtp://10.0.0.3:5004"])
    assert [str(target) for target in options.targets] == [
        "sip:10.0.0.1:5070",
        "sip:bob@10.0.0.2",
        "rtp://10.0.0.3:5004",
    ]


@pytest.mark.parametrize("slip", [["-o", "null"], ["--latency", "80ms"], ["--latency-max", "1s"]])
def test_options_of_the_other_direction_want_two_way(slip: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.sender_options(slip)
    assert "requires --two-way" in capsys.readouterr().err
    options = cli.sender_options([*slip, "--two-way"])
    assert options.two_way
    with pytest.raises(SystemExit):
        cli.receiver_options(["-i", "demo"])
    assert cli.receiver_options(["-i", "demo", "--two-way"]).input == "demo"
