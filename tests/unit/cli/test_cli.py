"""The command line as a contract: values with units, defaults, one-line errors, exit codes."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from voip import cli, codecs, errors
from voip.calls import Answer
from voip.cli.parser import MORE_VARIABLES
from voip.cli.rates import within
from voip.cli.values import REPAIR_FLOOR, RepairLimit
from voip.cli.wiring import make_call_settings
from voip.conversation import Use
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
    assert (options.fec.pattern, options.fec_max, options.bitrate) == ("auto", RepairLimit(200_000.0, 2.5), None)
    assert options.codecs == ("opus", "g722", "pcmu", "pcma", "l16")


@pytest.mark.parametrize(
    ("text", "value"), [("24000", 24_000.0), ("32k", 32_000.0), ("1.5M", 1_500_000.0), (".5M", 500_000.0)]
)
def test_bit_rates_take_units(text: str, value: float) -> None:
    assert cli.sender_options(["--fec-max", text]).fec_max == RepairLimit(value)


@pytest.mark.parametrize(("text", "factor"), [("2x", 2.0), (".5x", 0.5), ("1.25 x", 1.25)])
def test_repair_packets_may_take_a_multiple_of_the_media(text: str, factor: float) -> None:
    assert cli.sender_options(["--fec-max", text]).fec_max == RepairLimit(REPAIR_FLOOR, factor)


@pytest.mark.parametrize(
    ("text", "scheme", "copies"),
    [("auto", "flexfec", True), ("copies", "flexfec", True), ("4", "flexfec", False), ("copies:4,8", "red", False)],
)
def test_red_is_offered_beside_flexfec_where_the_pattern_is_chosen_by_the_losses(
    text: str, scheme: str, copies: bool
) -> None:
    options = cli.sender_options(["--fec", text, "192.0.2.1"])
    offered = make_call_settings(options, Direction.SENDONLY).capabilities
    assert (offered.fec, offered.fec_scheme, offered.copies) == (True, scheme, copies)


def test_fec_and_latency_are_automatic_unless_a_value_is_given() -> None:
    options = cli.receiver_options(["--fec", "4", "--latency", "80ms", "--codec", "PCMU,opus", "--bitrate", "64k"])
    assert options.fec.pattern == parse_pattern("4")
    assert (options.latency, options.codecs, options.bitrate) == (0.08, ("pcmu", "opus"), 64_000)
    options = cli.receiver_options(["--fec", "off", "--latency", "auto"])
    assert (options.fec.pattern, options.latency) == (None, None)


def test_delay_is_for_a_conversation_unless_it_is_said_to_be_for_listening() -> None:
    assert cli.receiver_options([]).latency_for is Use.CONVERSATION
    assert cli.receiver_options(["--latency-for", "listening"]).latency_for is Use.LISTENING
    assert cli.sender_options(["--two-way", "--latency-for=listening"]).latency_for is Use.LISTENING
    with pytest.raises(SystemExit):
        cli.receiver_options(["--latency-for", "singing"])


@pytest.mark.parametrize(
    ("fec", "used", "packets"), [("auto", "auto", 13), ("4", parse_pattern("4"), 4), ("off", None, 0)]
)
def test_the_window_that_is_announced_holds_what_will_be_sent(fec: str, used: object, packets: int) -> None:
    options = cli.sender_options(["--fec", fec])
    settings = cli.make_call_settings(options, Direction.SENDRECV)
    assert options.fec.pattern == used
    assert settings.capabilities.fec is (used is not None)
    assert settings.capabilities.repair_packets == packets
    assert options.fec_max == RepairLimit(200_000.0, 2.5)


def test_the_bit_rate_reaches_the_codec() -> None:
    settings = cli.make_call_settings(
        cli.sender_options(["--bitrate", "40k", "--codec", "opus,l16"]), Direction.SENDRECV
    )
    opus, l16, *_ = settings.capabilities.codecs
    assert (opus.name, opus.bitrate) == ("opus", 40_000)
    assert (l16.name, l16.bitrate) == ("L16", None)


def test_a_ceiling_leaves_out_the_codecs_that_need_more() -> None:
    options = cli.sender_options(["--bitrate-max", "60k", "--codec", "pcmu,l16,opus"])
    assert options.bitrate_max == 60_000
    offered = cli.make_call_settings(options, Direction.SENDRECV).capabilities.codecs
    assert {codec.label for codec in offered} == {"opus"}
    wide = cli.sender_options(["--bitrate-max", "80k", "--codec", "pcmu,l16,opus"])  # PCMU: 64 and 16 of headers
    offered = cli.make_call_settings(wide, Direction.SENDRECV).capabilities.codecs
    assert {codec.label for codec in offered} == {"pcmu", "opus"}


def test_a_ceiling_below_what_every_codec_needs_says_what_they_need() -> None:
    options = cli.sender_options(["--bitrate-max", "60k", "--codec", "pcmu"])
    with pytest.raises(errors.VoipError, match="less than any codec needs: pcmu 80k"):
        cli.make_call_settings(options, Direction.SENDRECV)


def test_a_codec_whose_packets_cannot_be_longer_needs_the_headers_of_its_own_packets() -> None:
    """AAC at its least bit rate takes 31 kbit/s in packets of 1024 samples; Opus would have longer ones."""
    (aac,) = codecs.offerable(("aac",), 48000, 1, None)
    assert within(31_500, [aac], 0.02) == (aac,)
    with pytest.raises(errors.VoipError, match="aac"):
        within(25_000, [aac], 0.02)


def test_a_ceiling_is_refused_where_datagrams_of_one_bit_rate_exceed_it(capsys: pytest.CaptureFixture[str]) -> None:
    target = "pcm://127.0.0.1:5000?rate=8000"
    assert cli.sender_options(["--bitrate-max", "200k", target]).bitrate_max == 200_000
    with pytest.raises(SystemExit):
        cli.sender_options(["--bitrate-max", "100k", "192.168.1.20", target])
    assert f"--bitrate-max 100k: {target} takes 1" in capsys.readouterr().err


def test_a_receiver_has_a_ceiling_only_where_it_sends(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.receiver_options(["--two-way", "--bitrate-max", "64k"]).bitrate_max == 64_000
    with pytest.raises(SystemExit):
        cli.receiver_options(["--bitrate-max", "64k"])
    assert "--bitrate-max requires --two-way" in capsys.readouterr().err


def test_sender_defaults_call_this_machine_with_the_microphone() -> None:
    options = cli.sender_options([])
    assert [str(target) for target in options.targets] == ["sip:127.0.0.1"]
    assert (options.input, options.sip_port, options.duration) == ("mic", 0, None)


@pytest.mark.parametrize("word", ["-p--", "--ptime=--", "--codec=--", "--allow=--", "--bind=--"])
def test_a_value_of_two_hyphens_is_none(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.receiver_options(["--codec", "pcmu", "--allow", "192.0.2.1", word])
    assert ended.value.code == 2
    option = word[:-2].rstrip("=")
    told = capsys.readouterr().err  # what is said of the option depends on the version of Python
    assert re.search(rf"argument (\S+/)?{option}[/:]", told)


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
        ["--fec-max", "x"],
        ["--fec-max", "-2x"],
        ["--fec-max", "2kx"],
        ["--bitrate", "5k"],
        ["--bitrate", "600k"],
        ["--bitrate", "-1"],
        ["--bitrate-max", "19k"],
        ["--bitrate-max", "much"],
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


def test_this_machine_is_answered_whatever_its_address_is_unless_others_are_named_alone() -> None:
    def is_own(host: str) -> bool:
        return host == "192.0.2.2"

    assert cli.receiver_options([]).allowed("192.0.2.2", is_own)
    assert not cli.receiver_options([]).allowed("192.0.2.3", is_own)
    assert cli.receiver_options(["--allow", "198.51.100.0/24"]).allowed("192.0.2.2", is_own)
    assert not cli.receiver_options(["--allow-only", "198.51.100.0/24"]).allowed("192.0.2.2", is_own)


def test_allow_adds_networks_and_deny_declines() -> None:
    options = cli.receiver_options(["--allow", "192.0.2.0/24", "--allow", "2001:db8::/32"])
    assert options.allowed("192.0.2.7")
    assert options.allowed("2001:db8::1")
    assert options.allowed("127.0.0.1")
    assert not options.allowed("198.51.100.1")
    assert cli.receiver_options(["--answer", "deny"]).answer is Answer.DENY  # and they are told so, not 403


def test_allow_only_replaces_the_private_networks_and_allow_still_adds() -> None:
    options = cli.receiver_options(["--allow-only", "192.0.2.0/24", "--allow", "10.0.0.0/8"])
    assert options.allowed("192.0.2.7")
    assert options.allowed("10.1.1.1")
    assert not options.allowed("127.0.0.1")
    assert not options.allowed("192.168.1.1")


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str], *, sender: bool = False) -> str:
    """What is said about these options, in one line, with exit status 2."""
    with pytest.raises(SystemExit) as stop:
        (cli.sender_options if sender else cli.receiver_options)(arguments)
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


@pytest.mark.parametrize(
    ("option", "slip"),
    [
        ("--latency", "60"),
        ("--latency-max", "300"),
        ("--ptime", "20"),
        ("--media-timeout", "20000"),
        ("--stats-interval", "5000"),
    ],
)
def test_a_number_of_milliseconds_without_a_unit_is_named_as_the_slip(
    option: str, slip: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused([option, slip], capsys)
    assert option in said
    assert f"write {slip}ms, or {slip}s" in said


def test_plausible_seconds_without_a_unit_are_taken() -> None:
    options = cli.receiver_options(["--latency", "1", "--latency-max", "2", "--media-timeout", "60"])
    assert (options.latency, options.latency_max, options.media_timeout) == (1.0, 2.0, 60.0)


def test_a_latency_above_its_limit_is_told_with_both_and_where_the_limit_is_from(
    capsys: pytest.CaptureFixture[str],
) -> None:
    said = refused(["--latency", "700ms"], capsys)
    assert "--latency 700ms is above --latency-max 500ms (its default)" in said


@pytest.mark.parametrize("option", ["--report", "--sdp"])
def test_a_file_that_cannot_be_written_is_found_at_the_start(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "cannot write" in refused([option, str(tmp_path / "no" / "x")], capsys)
    assert "Is a directory" in refused([option, str(tmp_path)], capsys)


def test_a_report_that_is_there_is_not_touched_at_the_start(tmp_path: Path) -> None:
    report = tmp_path / "call.json"
    report.write_text("old")
    assert cli.receiver_options(["--report", str(report)]).report == str(report)
    assert report.read_text() == "old"
    cli.receiver_options(["--report", str(tmp_path / "new.json")])
    assert [path.name for path in tmp_path.iterdir()] == ["call.json"]


def test_json_and_raw_samples_cannot_share_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--report FILE" in refused(["--json", "--output", "-"], capsys)
    assert "--report FILE" in refused(["--two-way", "--json", "-o", "-"], capsys, sender=True)
    assert cli.sender_options(["--json", "--input", "-"]).json
    assert cli.receiver_options(["--json", "--no-json", "--output", "-"]).output == "-"


@pytest.mark.parametrize("slip", ["--wavelet", "--require-mos", "--mute", "--check"])
def test_an_option_that_is_like_no_other_is_taken_for_none(slip: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "did you mean" not in refused([slip], capsys)


@pytest.mark.parametrize(
    ("slip", "meant"), [("--ouput", "--output"), ("--latencymax", "--latency-max"), ("--tow-way", "--two-way")]
)
def test_a_slip_of_the_finger_is_recognised(slip: str, meant: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"did you mean {meant}?" in refused([slip], capsys)


def test_what_was_typed_is_harmless_for_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert r"--\x1b[2J" in refused(["--\x1b[2J"], capsys)


# --- the environment --------------------------------------------------------------------------------------------------


def test_the_environment_is_between_the_default_and_what_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"LATENCY": "80ms", "ONCE": "yes", "VERBOSE": "2", "ALLOW": "192.0.2.0/24 10.0.0.0/8"}.items():
        monkeypatch.setenv(f"VOIP_{name}", value)
    options = cli.receiver_options([])
    assert (options.latency, options.once, options.verbosity) == (0.08, True, 2)
    assert options.allowed("192.0.2.1")
    options = cli.receiver_options(["--latency", "90ms", "--no-once", "--allow", "198.51.100.0/24"])
    assert (options.latency, options.once) == (0.09, False)
    assert options.allowed("198.51.100.1")
    assert not options.allowed("192.0.2.1")


@pytest.mark.parametrize(
    ("name", "value"),
    [("VOIP_LATENCY", "60"), ("VOIP_ONCE", "maybe"), ("VOIP_ANSWER", "perhaps"), ("VOIP_VERBOSE", "x")],
)
def test_a_wrong_value_of_the_environment_names_its_variable(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, value)
    assert f"{name}='{value}'" in refused([], capsys)


def test_the_environment_of_both_scripts_may_hold_what_only_one_of_them_uses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOIP_INPUT", "demo")
    monkeypatch.setenv("VOIP_OUTPUT", "null")
    assert cli.sender_options([]).input == "demo"
    assert cli.receiver_options([]).output == "null"
    assert cli.receiver_options(["--two-way"]).input == "demo"


def test_what_both_scripts_know_is_not_told_of_as_unknown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    rooms = tmp_path / "rooms"
    rooms.write_text("10.0.0.1\n")
    for name in MORE_VARIABLES - {"VOIP_PASSWORD", "VOIP_ALLOW_ONLY"}:
        value = {"VOIP_ALLOW": "10.0.0.0/8", "VOIP_ANSWER": "auto", "VOIP_ONCE": "1", "VOIP_MAX_CALLS": "2"}
        values = {**value, "VOIP_RETRY": "off", "VOIP_DTMF": "1", "VOIP_FROM": "Anna", "VOIP_CONFERENCE": "1"}
        values["VOIP_TARGETS_FILE"] = f"{rooms}"
        monkeypatch.setenv(name, values.get(name, "5s"))
    cli.sender_options([])
    cli.receiver_options([])
    assert "ignored" not in capsys.readouterr().err


def test_a_variable_that_is_no_option_is_told_in_one_line_with_the_nearest(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VOIP_LATENCYMAX", "1s")
    monkeypatch.setenv("VOIP_QQQQQQ", "1")
    monkeypatch.setenv("VOIP_LATENCY", "80ms")
    for parse, more in ((cli.sender_options, ["10.0.0.1"]), (cli.receiver_options, [])):
        parse(more)
        (line,) = capsys.readouterr().err.splitlines()
        told = "not an option, ignored: VOIP_LATENCYMAX (did you mean VOIP_LATENCY_MAX?), VOIP_QQQQQQ"
        assert line.endswith(f": {told}")


# --- help and version -------------------------------------------------------------------------------------------------

SCRIPTS = [cli.sender_options, cli.receiver_options]
Parse = Callable[[list[str]], object]


def printed(parse: Parse, option: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    with pytest.raises(SystemExit) as stop:
        parse([option])
    assert stop.value.code == 0
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("parse", SCRIPTS)
def test_help_is_one_screen_with_three_examples_and_the_way_to_the_rest(
    parse: Parse, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = printed(parse, "--help", capsys)
    assert len(lines) <= 30
    assert max(map(len, lines)) <= 80
    program = lines[0].split()[1]
    assert sum(line.startswith(f"  {program} ") for line in lines) == 3
    assert "--help-all" in lines[-1]


@pytest.mark.parametrize("parse", SCRIPTS)
def test_the_full_help_has_every_option_as_a_sentence_and_every_exit_code(
    parse: Parse, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = printed(parse, "--help-all", capsys)
    text = " ".join(" ".join(lines).split())
    assert max(map(len, lines)) <= 80
    options = ("--fec-max BPS", "--bitrate-max BPS", "--[no-]overwrite", "--latency auto|TIME", "--tls-ca FILE")
    for option in (*options, "--version"):
        assert option in text
    codes = text[text.index("Exit codes:") :]
    for code in (value for name, value in vars(errors).items() if name.startswith("EXIT_")):
        assert re.search(rf"\b{code} [a-z]", codes), code


def test_the_version_names_the_libraries_and_says_which_are_missing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "\n".join(printed(cli.sender_options, "--version", capsys))
    assert f"numpy     {np.__version__}" in text
    for name in ("Python", "libopus", "PortAudio", "soxr", "av"):
        assert re.search(rf"^  {name} +\S", text, re.MULTILINE)
    monkeypatch.setitem(sys.modules, "pyaudio", None)
    assert "PortAudio not installed" in "\n".join(printed(cli.receiver_options, "--version", capsys))


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


@pytest.mark.parametrize(
    "slip", [["-o", "null"], ["--latency", "80ms"], ["--latency-max", "1s"], ["--latency-for", "listening"]]
)
def test_options_of_the_other_direction_want_two_way(slip: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.sender_options(slip)
    assert "requires --two-way" in capsys.readouterr().err
    options = cli.sender_options([*slip, "--two-way"])
    assert options.two_way
    with pytest.raises(SystemExit):
        cli.receiver_options(["-i", "demo"])
    assert cli.receiver_options(["-i", "demo", "--two-way"]).input == "demo"
